//! `pacer replay`: what a recorded load would have cost under each planner, and how fast it would have been.

mod files;
mod json;
mod table;

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Mutex,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use anyhow::Context;
use policies::{
    cost::{PriceBook, Terms},
    problem::Problems,
    workload::{self, Scenario},
};
use predictor::replay::{
    compare::{Baseline, Bench, Mode, Part, Run},
    distribution::{Distribution, Quantiles},
    scenario::site,
    site::Account,
};

use self::files::Counts;

/// Requests above which they are not followed one by one, unless asked for.
const EVENTS_UP_TO: u64 = 20_000_000;

/// Replay recorded load under several planners, and compare cost, latency and failures.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File that tells of each trace what it lacks: durations, memory, starts
    #[arg(long, value_name = "FILE")]
    workload: PathBuf,

    /// Replay this scenario of the workload file only; may be given several times
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,

    /// Folder of the traces that the workload file names [default: its own]
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,

    /// Write everything to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Own prices, laid over the list prices
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,

    /// Concurrency of the account's functions together
    #[arg(long, value_name = "N", default_value_t = 1000)]
    account_concurrency: u32,

    /// Follow each request, or reckon by step [default: each request up to 20 million]
    #[arg(long, value_name = "HOW")]
    mode: Option<Following>,

    /// What chance goes by: equal seeds, equal results
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Following {
    /// Each request by itself.
    Events,
    /// Whole steps.
    Counts,
}

/// A scenario with its load.
struct Loaded {
    scenario: Scenario,
    parts: Vec<Part>,
    notes: Vec<String>,
    mode: Mode,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let book = prices(args.prices.as_deref())?;
    let terms = Terms::default();
    let chosen = match scenarios(args)? {
        Ok(chosen) => chosen,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let folder = args
        .traces
        .clone()
        .unwrap_or_else(|| args.workload.parent().map_or_else(PathBuf::new, Path::to_path_buf));
    let mut loaded = Vec::with_capacity(chosen.len());
    for scenario in chosen {
        loaded.push(load(scenario, &folder, args.mode, &book, terms)?);
    }
    let account = Account { concurrency: args.account_concurrency };
    let bench = |parts| Bench { parts, account, book: &book, terms, seed: args.seed };
    let jobs: Vec<_> = loaded
        .iter()
        .enumerate()
        .flat_map(|(scenario, _)| Baseline::ALL.map(|baseline| (scenario, baseline)))
        .collect();
    let runs = all(&jobs, |&(scenario, baseline)| {
        bench(&loaded[scenario].parts).run(baseline, loaded[scenario].mode)
    })?;
    let mut runs = runs.into_iter();
    let mut told = Vec::with_capacity(loaded.len());
    for loaded in &loaded {
        let runs: Vec<Run> = runs.by_ref().take(Baseline::ALL.len()).collect();
        let bench = bench(&loaded.parts);
        print!("{}", table::table(&loaded.scenario, &bench, loaded.mode, &runs, &loaded.notes));
        told.push(json::scenario(&loaded.scenario, &bench, loaded.mode, &runs, &loaded.notes));
    }
    if let Some(file) = &args.json {
        let text = json::report(&book, args.seed, &told);
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn prices(own: Option<&Path>) -> anyhow::Result<PriceBook> {
    let book = PriceBook::fallback();
    let Some(file) = own else { return Ok(book.clone()) };
    let text = read(file)?;
    let name = file.display().to_string();
    book.with_overrides(&name, &text)
        .map_err(|problems| anyhow::anyhow!("the prices cannot be used:\n{problems}"))
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Reads the workload file and picks the scenarios that are asked for.
fn scenarios(args: &Args) -> anyhow::Result<Result<Vec<Scenario>, Problems>> {
    let name = args.workload.display().to_string();
    let all = match workload::load(&name, &read(&args.workload)?) {
        Ok(all) => all,
        Err(problems) => return Ok(Err(problems)),
    };
    for wanted in &args.scenario {
        if !all.iter().any(|scenario| scenario.name == *wanted) {
            let names: Vec<_> = all.iter().map(|scenario| scenario.name.as_str()).collect();
            anyhow::bail!("{name} has no scenario `{wanted}`; it has {}", names.join(", "));
        }
    }
    let asked =
        |scenario: &Scenario| args.scenario.is_empty() || args.scenario.contains(&scenario.name);
    Ok(Ok(all.into_iter().filter(asked).collect()))
}

/// Reads a scenario's trace, and makes services of it.
fn load(
    scenario: Scenario,
    folder: &Path,
    mode: Option<Following>,
    book: &PriceBook,
    terms: Terms,
) -> anyhow::Result<Loaded> {
    let Counts { loads, mut notes } =
        files::counts(&folder.join(&scenario.trace.path), scenario.scale)
            .with_context(|| scenario.trace.problem("cannot be replayed").to_string())?;
    let profiles = match &scenario.profiles {
        Some(file) => files::profiles(&folder.join(&file.path))
            .with_context(|| file.problem("cannot be used").to_string())?,
        None => BTreeMap::new(),
    };
    let written = scenario.service_time.as_ref().map(Distribution::from);
    let mut parts = Vec::with_capacity(loads.len());
    let mut without = (0_usize, 0_u64);
    for (function, load) in loads {
        let known = profiles.get(&function).cloned().map(Quantiles::new).and_then(Result::ok);
        let Some(time) = known.map(Distribution::Quantiles).or_else(|| written.clone()) else {
            without = (without.0 + 1, without.1 + load.total());
            continue;
        };
        let name = if function.is_empty() { &scenario.name } else { &function };
        let site = site(&scenario, name, time, &load, book, terms);
        parts.push(Part { load, site });
    }
    if without.0 != 0 {
        notes.push(format!(
            "left out: {} requests of {} functions whose durations nobody tells; give `service_time`",
            without.1, without.0
        ));
    }
    let requests: u64 = parts.iter().map(|part| part.load.total()).sum();
    anyhow::ensure!(0 < requests, "{}", scenario.trace.problem("has no requests to replay"));
    let mode = match mode {
        Some(Following::Events) => Mode::Events,
        None if requests <= EVENTS_UP_TO => Mode::Events,
        Some(Following::Counts) | None => Mode::Counts,
    };
    Ok(Loaded { scenario, parts, notes, mode })
}

/// Does all jobs, as many at a time as there are processors; results come in the order of the jobs.
fn all<J: Sync, R: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> Result<R, String> + Sync,
) -> anyhow::Result<Vec<R>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<Option<Result<R, String>>>> =
        Mutex::new(jobs.iter().map(|_| None).collect());
    let (begun, shown) = (Instant::now(), std::io::stderr().is_terminal());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((number, job)) = {
                    let number = next.fetch_add(1, Relaxed);
                    jobs.get(number).map(|job| (number, job))
                } {
                    let result = work(job);
                    if let Ok(mut results) = results.lock() {
                        results[number] = Some(result);
                    }
                    let done = done.fetch_add(1, Relaxed) + 1;
                    if shown {
                        progress(done, jobs.len(), begun);
                    }
                }
            });
        }
    });
    if shown {
        eprint!("\r\x1b[K");
    }
    let results = results.into_inner().map_err(|_| anyhow::anyhow!("a replay broke off"))?;
    let results = results
        .into_iter()
        .map(|result| result.unwrap_or_else(|| Err("a replay broke off".into())));
    results
        .collect::<Result<_, _>>()
        .map_err(|wrong| anyhow::anyhow!("a model does not add up: {wrong}"))
}

/// Shows how far it is, and how long the rest will take if it goes on so.
fn progress(done: usize, all: usize, begun: Instant) {
    let elapsed = begun.elapsed().as_secs_f64();
    let left = elapsed / done as f64 * (all - done) as f64;
    let filled = done * 20 / all;
    let bar: String = (0..20).map(|at| if at < filled { '#' } else { '.' }).collect();
    let mut out = std::io::stderr().lock();
    // A line that cannot be shown is no reason to stop.
    let _ = write!(out, "\r\x1b[Kreplay {bar} {done}/{all}, {left:.0} s left");
    let _ = out.flush();
}
