//! `pacer replay`: what a recorded load would have cost under each planner, and how fast it would have been.

mod gather;
mod json;
mod loaded;
mod observed;
mod page;
mod report;
mod runs;
mod scenarios;
mod services;
mod spool;
mod table;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail, ensure};
use policies::{
    cost::{PriceBook, Term, Terms},
    problem::Problems,
    workload::{self, Assumptions, Scenario},
};
use predictor::replay::{
    compare::{Baseline, Bench, Mode, Part, Run},
    engine::SITES_MAX,
    site::Account,
};

use self::{
    loaded::Loaded,
    report::{Factor, OtherSlots, Report, SLOTS_MATTER},
    services::Asked,
};
use super::input::traces;

/// Replay recorded load under several planners, and compare cost, latency and failures.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Access logs (ALB, Common, Combined) or CSVs; gzip, folders and `-` too
    #[arg(value_name = "TRACE")]
    traces: Vec<PathBuf>,

    /// Policy whose routes say which service each request is for
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,

    /// File that tells what traces lack: durations, memory, starts
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,

    /// Replay this scenario of the workload file only; may be given several times
    #[arg(long, value_name = "NAME", requires = "workload")]
    scenario: Vec<String>,

    /// Folder of the traces that the workload file names [default: its own]
    #[arg(long = "traces", value_name = "DIR", requires = "workload")]
    folder: Option<PathBuf>,

    /// The policy's service whose load it is, of a trace that does not tell
    #[arg(long, value_name = "NAME", requires = "policy")]
    service: Option<String>,

    /// Only under this planner; may be given several times [default: all of them]
    #[arg(long, value_name = "NAME", value_parser = planner)]
    planner: Vec<Baseline>,

    /// Write everything to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a page with pictures to this file, to be sent on
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Own prices, laid over the list prices
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,

    /// How Lambda's duration and Fargate are paid
    #[arg(long, value_name = "TERM", default_value = "on-demand", value_parser = term)]
    savings_plan: Term,

    /// Take Lambda's free tier off; it is the account's, once a month
    #[arg(long)]
    free_tier: bool,

    /// Concurrency of the account's functions together
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
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

fn planner(name: &str) -> Result<Baseline, String> {
    let names = || Baseline::ALL.map(Baseline::as_str).join(", ");
    Baseline::named(name).ok_or_else(|| format!("there is no such planner; there are {}", names()))
}

fn term(name: &str) -> Result<Term, String> {
    let written = |term: Term| term.name().replace('_', "-");
    let names = || Term::ALL.map(written).join(", ");
    let found = Term::ALL.into_iter().find(|term| written(*term) == name);
    found.ok_or_else(|| format!("there are no such terms; there are {}", names()))
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let terms =
        Terms { lambda: args.savings_plan, fargate: args.savings_plan, free_tier: args.free_tier };
    let (book, mut loads) = match load(args, terms)? {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(ExitCode::FAILURE);
        }
    };
    for load in &mut loads {
        set_mode(load, args.mode)?;
        let held = load.parts.iter().any(|part| part.site.warm_pool.is_some());
        if load.mode == Mode::Counts && held {
            load.notes.push(
                "environments held by `warm_pool` are not reckoned by step; follow each request with --mode events"
                    .into(),
            );
        }
    }
    let setting = Setting {
        account: Account { concurrency: args.account_concurrency },
        book: &book,
        terms,
        seed: args.seed,
    };
    let reports = replay(&loads, setting, &planners(args))?;
    for report in &reports {
        print!("{}", table::table(report));
    }
    if let Some(file) = &args.json {
        write(file, &json::report(&book, args.seed, &reports))?;
    }
    if let Some(file) = &args.html {
        write(file, &page::page(&book, args.seed, &reports))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the planners that are asked for, in the order of a report.
fn planners(args: &Args) -> Vec<Baseline> {
    let asked = |planner: &Baseline| args.planner.is_empty() || args.planner.contains(planner);
    Baseline::ALL.into_iter().filter(asked).collect()
}

/// Reads prices, policy, workload and traces.
fn load(args: &Args, terms: Terms) -> anyhow::Result<Result<(PriceBook, Vec<Loaded>), Problems>> {
    let places = traces::find(&args.traces)?;
    if let Some(file) = &args.policy {
        ensure!(
            args.scenario.is_empty(),
            "--scenario picks loads to replay by themselves; with --policy a scenario is used for the service of its name"
        );
        ensure!(!places.is_empty(), "name the traces that are to be replayed: access logs or CSVs");
        let policy = super::load_policy(file)?.loaded.policy;
        let assumptions = match &args.workload {
            Some(file) => match workload::load_assumptions(&name(file), &read(file)?) {
                Ok(assumptions) => assumptions,
                Err(problems) => return Ok(Err(problems)),
            },
            None => Assumptions::default(),
        };
        for scenario in assumptions.scenarios() {
            if policy.services.iter().all(|service| *service.name != *scenario.name) {
                bail!(
                    "{}: scenario `{}` is named like no service of {file}",
                    scenario.place,
                    scenario.name
                );
            }
        }
        let (book, note) = prices(args.prices.as_deref(), policy.region.as_deref())?;
        let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy());
        let asked = Asked {
            name: stem.as_deref().unwrap_or("policy"),
            policy: &policy,
            assumptions: &assumptions,
            service: args.service.as_deref(),
            book: &book,
            terms,
        };
        let mut loaded = services::load(&asked, &places)?;
        loaded.notes.extend(note);
        let nothing = "none of the policy's services is asked for in the traces";
        ensure!(loaded.count() != 0, loaded.with_notes(nothing));
        return Ok(Ok((book, vec![loaded])));
    }
    let Some(file) = &args.workload else {
        bail!(
            "say which services the load is for with --policy FILE, or what it is like with --workload FILE (docs/replay.md)"
        )
    };
    let (book, _) = prices(args.prices.as_deref(), None)?;
    let chosen = match scenarios(file, &args.scenario)? {
        Ok(chosen) => chosen,
        Err(problems) => return Ok(Err(problems)),
    };
    ensure!(
        places.is_empty() || chosen.len() == 1,
        "the traces replace that of one scenario; pick it with --scenario NAME"
    );
    let folder = args.folder.clone().or_else(|| file.parent().map(Path::to_path_buf));
    let folder = folder.unwrap_or_default();
    let load = |scenario| scenarios::load(scenario, &places, &folder, &book, terms);
    let loaded = chosen.iter().map(load).collect::<anyhow::Result<_>>()?;
    Ok(Ok((book, loaded)))
}

/// Returns the prices of `region`, or those of another one with a note.
fn prices(own: Option<&Path>, region: Option<&str>) -> anyhow::Result<(PriceBook, Option<String>)> {
    let known = region.and_then(PriceBook::builtin);
    let book = known.unwrap_or_else(PriceBook::fallback);
    let note = region.filter(|_| known.is_none()).map(|region| {
        format!("no price list of {region} is built in: those of {} are taken; lay your own over them with --prices", book.region)
    });
    let Some(file) = own else { return Ok((book.clone(), note)) };
    let book = book
        .with_overrides(&name(file), &read(file)?)
        .map_err(|problems| anyhow::anyhow!("the prices cannot be used:\n{problems}"))?;
    Ok((book, note))
}

fn name(file: &Path) -> String {
    file.display().to_string()
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Reads the workload file and picks the scenarios that are asked for.
fn scenarios(file: &Path, asked: &[String]) -> anyhow::Result<Result<Vec<Scenario>, Problems>> {
    let name = name(file);
    let all = match workload::load(&name, &read(file)?) {
        Ok(all) => all,
        Err(problems) => return Ok(Err(problems)),
    };
    for wanted in asked {
        if !all.iter().any(|scenario| scenario.name == *wanted) {
            let names: Vec<_> = all.iter().map(|scenario| scenario.name.as_str()).collect();
            bail!("{name} has no scenario `{wanted}`; it has {}", names.join(", "));
        }
    }
    let chosen = |scenario: &Scenario| asked.is_empty() || asked.contains(&scenario.name);
    Ok(Ok(all.into_iter().filter(chosen).collect()))
}

fn set_mode(load: &mut Loaded, asked: Option<Following>) -> anyhow::Result<()> {
    match asked {
        None => {}
        Some(Following::Events) => {
            ensure!(
                load.parts.len() <= SITES_MAX,
                "{}: {} functions are more than the {SITES_MAX} whose requests can be followed; leave --mode out",
                load.name,
                load.parts.len()
            );
            load.mode = Mode::Events;
        }
        Some(Following::Counts) => {
            if load.parts.iter().any(|part| 1 < part.site.streams.len()) {
                bail!("requests of several routes are followed one by one: leave --mode out");
            }
            load.mode = Mode::Counts;
        }
    }
    Ok(())
}

/// What is the same for all loads.
#[derive(Debug, Clone, Copy)]
struct Setting<'a> {
    account: Account,
    book: &'a PriceBook,
    terms: Terms,
    seed: u64,
}

impl<'a> Setting<'a> {
    fn bench(self, load: &'a Loaded, parts: &'a [Part]) -> Bench<'a> {
        let Self { account, book, terms, seed } = self;
        Bench { parts, requests: load.requests(), account, book, terms, seed }
    }
}

/// What is replayed once.
struct Job<'a> {
    load: &'a Loaded,
    parts: &'a [Part],
    planner: Baseline,
}

/// Replays every load under every planner, and under some with other numbers of requests a task.
fn replay<'a>(
    loads: &'a [Loaded],
    setting: Setting<'a>,
    planners: &[Baseline],
) -> anyhow::Result<Vec<Report<'a>>> {
    let others: Vec<_> = loads.iter().map(|load| other_slots(load, setting)).collect();
    let matter = SLOTS_MATTER.iter().filter(|planner| planners.contains(planner));
    let matter: Vec<_> = matter.copied().collect();
    let mut jobs = Vec::new();
    for (load, others) in loads.iter().zip(&others) {
        let written = (&load.parts, planners);
        let others = others.iter().map(|(_, parts)| (parts, &matter[..]));
        for (parts, planners) in std::iter::once(written).chain(others) {
            jobs.extend(planners.iter().map(|planner| Job { load, parts, planner: *planner }));
        }
    }
    let runs =
        runs::all(&jobs, |job| setting.bench(job.load, job.parts).run(job.planner, job.load.mode))?;
    let mut runs = runs.into_iter();
    let mut take = |count: usize| runs.by_ref().take(count).collect::<Vec<Run>>();
    let report = |(load, others): (&'a Loaded, &Vec<(Factor, Vec<Part>)>)| Report {
        loaded: load,
        bench: setting.bench(load, &load.parts),
        runs: take(planners.len()),
        slots: others
            .iter()
            .map(|(factor, _)| OtherSlots { factor: *factor, runs: take(matter.len()) })
            .collect(),
    };
    Ok(loads.iter().zip(&others).map(report).collect())
}

/// Returns the services of `load` with half, and with twice, as many requests a task; without what would be no whole number.
fn other_slots(load: &Loaded, setting: Setting<'_>) -> Vec<(Factor, Vec<Part>)> {
    let with = |factor: Factor| {
        let part = |part: &Part| {
            let slots = factor.times(part.site.task.slots)?;
            Some(part.with_slots(slots, setting.book, setting.terms))
        };
        let parts: Option<Vec<_>> = load.parts.iter().map(part).collect();
        Some((factor, parts?))
    };
    Factor::ALL.into_iter().filter_map(with).collect()
}
