//! `pacer backfill`: fills the history of a policy with what was asked before Pacer ran.
//!
//! A forecast needs a week or two to know a rhythm; this gives it weeks at once, from where requests were counted so far:
//! Prometheus, CloudWatch, or access logs. What a store has already stays as it is unless `--replace` says otherwise, so
//! that it can be run again, and after a gateway has begun to learn.

mod cloudwatch;
mod http;
mod prometheus;
mod steps;
mod summary;
mod time;
mod trace;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail, ensure};
use policies::{
    policy::{Policy, State},
    units,
};

use self::{
    steps::Steps,
    summary::{ServiceTime, summary},
    time::show,
};
use crate::{
    control::aws::Aws,
    history::{Batch, DAYS, HOUR_S, Merge, Merged, Store},
};

/// What is filled unless --from says otherwise: four weeks, from which rhythms of days and weeks are learned.
const SPAN_S: u64 = 28 * 86_400;

/// Fill the history of a policy with what was asked before Pacer ran.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true))]
pub(super) struct Args {
    /// The policy's main file, whose `state` is filled
    #[arg(long, value_name = "FILE")]
    policy: String,

    /// Ask this Prometheus, or what speaks its API
    #[arg(long, value_name = "URL", group = "source", requires = "query")]
    prometheus: Option<String>,

    /// How many requests came in the step that ends at each point: `sum(increase(http_requests_total[1m]))`
    #[arg(long, value_name = "PROMQL", requires = "prometheus")]
    query: Option<String>,

    /// Send this header to Prometheus: `name: value`, or `@FILE` with one a line
    #[arg(long, value_name = "HEADER", requires = "prometheus")]
    header: Vec<String>,

    /// Ask CloudWatch for the sum of a metric, such as AWS/ApplicationELB/RequestCount
    #[arg(long, value_name = "NAMESPACE/METRIC", group = "source")]
    cloudwatch: Option<String>,

    /// A dimension of the metric; all that it has are needed
    #[arg(long, value_name = "NAME=VALUE", requires = "cloudwatch")]
    dimension: Vec<String>,

    /// Read access logs (ALB, Common, Combined) or CSVs; gzip, folders and `-` too
    #[arg(long, value_name = "FILE", group = "source", num_args = 1..)]
    trace: Vec<PathBuf>,

    /// What a point is a count of [default: 60s; of CloudWatch 300s where it has no more]
    #[arg(long, value_name = "TIME", value_parser = step, conflicts_with = "trace")]
    step: Option<u64>,

    /// Whose requests they are, when that is not told by routes, or by a label or column
    #[arg(long, value_name = "NAME")]
    service: Option<String>,

    /// From when, in UTC: 2026-11-01, 2026-11-01T08:00, 1793520000, or 28d ago [default: 28d]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,

    /// Until when [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// How long requests take [default: as the trace says, or the prior of the service's first route]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    service_time: Option<Duration>,

    /// What a missing point is taken for [default: unknown for Prometheus and CSVs of counts, zero for others]
    #[arg(long, value_enum)]
    missing: Option<Missing>,

    /// Tell what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Replace what the history has of the same time
    #[arg(long)]
    replace: bool,
}

/// What a missing point is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Missing {
    /// No request came.
    Zero,
    /// Nobody knows: it stays missing.
    Unknown,
}

/// What is asked of a source.
#[derive(Debug)]
struct Asked<'a> {
    policy: &'a Policy,
    service: Option<String>,
    from_s: u64,
    until_s: u64,
    now_s: u64,
}

impl Asked<'_> {
    /// Returns whose requests they are when nothing in the source says it.
    fn only(&self) -> anyhow::Result<String> {
        let services = &self.policy.services;
        match (&self.service, services.len()) {
            (Some(service), _) => Ok(service.clone()),
            (None, 1) => Ok(services[0].name.to_string()),
            (None, _) => bail!(
                "it does not say which service it is of; name it with --service: {}",
                names(self.policy)
            ),
        }
    }
}

/// What a source says.
#[derive(Debug, Default)]
struct Gathered {
    services: BTreeMap<String, Steps>,
    notes: Vec<String>,
}

impl Gathered {
    /// Returns from when to when there is anything.
    fn span(&self) -> Option<(u64, u64)> {
        let spans: Vec<_> = self.services.values().filter_map(Steps::span).collect();
        let from = spans.iter().map(|(from, _)| *from).min()?;
        Some((from, spans.iter().map(|(_, until)| *until).max()?))
    }

    /// Makes every step between each service's first and last known.
    fn fill(&mut self) {
        for steps in self.services.values_mut() {
            if let Some((from, until)) = steps.span() {
                steps.fill(from, until);
            }
        }
    }
}

/// Reads a step of whole seconds.
fn step(text: &str) -> Result<u64, String> {
    let step = units::duration(text)?;
    let whole = step.subsec_nanos() == 0 && (1..=86_400).contains(&step.as_secs());
    whole
        .then_some(step.as_secs())
        .ok_or_else(|| format!("expected whole seconds, `1s` to `1d`, got `{text}`"))
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let read = super::load_policy(&args.policy)?;
    let policy = &read.loaded.policy;
    let state = policy.state.as_ref().with_context(|| {
        format!("{} has no `state`, so there is nothing to fill: add `state: DIRECTORY` or `state: s3://BUCKET/PREFIX`", args.policy)
    })?;
    let asked = asked(args, policy)?;
    super::runtime()?.block_on(async {
        let needs_aws = args.cloudwatch.is_some() || matches!(state, State::S3 { .. });
        let aws = if needs_aws { Some(Aws::load(policy).await?) } else { None };
        let config = aws.as_ref().map(Aws::config);
        let mut store = Store::new(state, config)?;
        if !args.dry_run {
            // Before anything is asked for: weeks of a query would be for nothing.
            store.open().context("the history cannot be written; if a gateway runs, stop it, backfill, and start it again")?;
        }
        let mut gathered = if let Some(url) = &args.prometheus {
            let server = http::Server::new(url, &args.header)?;
            let query = args.query.as_deref().context("--prometheus needs --query")?;
            let gathered = prometheus::gather(&server, query, args.step.unwrap_or(60), &asked).await;
            filled(gathered.with_context(|| format!("Prometheus at {url}"))?, args.missing, Missing::Unknown)
        } else if let Some(metric) = &args.cloudwatch {
            let named = cloudwatch::Named::new(metric, &args.dimension)?;
            let config = config.expect("it was loaded for this");
            let gathered = cloudwatch::gather(config, &named, args.step, &asked).await?;
            filled(gathered, args.missing, Missing::Zero)
        } else {
            trace::gather(&args.trace, &asked, args.missing)?
        };
        let span = gathered.span();
        for steps in gathered.services.values_mut() {
            steps.keep(asked.from_s, asked.until_s);
        }
        gathered.services.retain(|_, steps| steps.len() != 0);
        ensure!(
            !gathered.services.is_empty(),
            "there is nothing between {} and {}{}",
            show(asked.from_s),
            show(asked.until_s),
            span.map_or(String::new(), |(from, until)| format!(
                ": what was read is from {} to {}; --from and --until choose, {DAYS} days back at most",
                show(from),
                show(until)
            ))
        );
        for note in &gathered.notes {
            println!("note: {note}");
        }
        let how = if args.replace { Merge::Replace } else { Merge::Fill };
        let mut all = Merged::default();
        for (service, steps) in &gathered.services {
            let time = ServiceTime::of(policy, service, steps, args.service_time);
            print!("{}", summary(service, steps, &time));
            if args.dry_run {
                continue;
            }
            let mut batch = batch(service, steps, &time);
            let merged = store.save(&mut batch, how).await.map_err(anyhow::Error::msg)?;
            println!("  {}", written(merged, how));
            all += merged;
        }
        if args.dry_run {
            println!("nothing is written: --dry-run");
        } else {
            println!("{}: {} steps written", store.name(), fresh(all, how));
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn asked<'a>(args: &Args, policy: &'a Policy) -> anyhow::Result<Asked<'a>> {
    let now_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let read = |text: &Option<String>, option: &str| {
        let read = text.as_deref().map(|text| time::read(text, now_s));
        read.transpose().map_err(|why| anyhow::anyhow!("{option}: {why}"))
    };
    let until_s = read(&args.until, "--until")?.unwrap_or(now_s);
    let from_s = read(&args.from, "--from")?;
    ensure!(until_s <= now_s, "--until is {}, which is still to come", show(until_s));
    let oldest_s = (now_s / HOUR_S).saturating_sub(DAYS * 24) * HOUR_S;
    let from_s = match from_s {
        Some(from_s) if from_s < oldest_s => {
            println!(
                "note: history is kept for {DAYS} days, so --from is {} instead of {}",
                show(oldest_s),
                show(from_s)
            );
            oldest_s
        }
        Some(from_s) => from_s,
        None => until_s.saturating_sub(SPAN_S).max(oldest_s),
    };
    ensure!(
        from_s < until_s,
        "--from is {}, and --until {}: nothing lies between",
        show(from_s),
        show(until_s)
    );
    if let Some(service) = &args.service {
        let known = policy.services.iter().any(|known| *known.name == **service);
        ensure!(known, "the policy has no service `{service}`; it has {}", names(policy));
    }
    Ok(Asked { policy, service: args.service.clone(), from_s, until_s, now_s })
}

fn names(policy: &Policy) -> String {
    policy.services.iter().map(|service| &*service.name).collect::<Vec<_>>().join(", ")
}

fn filled(mut gathered: Gathered, missing: Option<Missing>, default: Missing) -> Gathered {
    if missing.unwrap_or(default) == Missing::Zero {
        gathered.fill();
    }
    gathered
}

fn batch(service: &str, steps: &Steps, time: &ServiceTime) -> Batch {
    let mut batch = Batch::default();
    for (at_s, came) in steps.iter() {
        batch.set(service, at_s, time.step(came));
    }
    batch
}

/// Returns how many steps were written.
fn fresh(merged: Merged, how: Merge) -> u64 {
    if how == Merge::Replace { merged.steps } else { merged.steps - merged.had }
}

fn written(merged: Merged, how: Merge) -> String {
    let (written, had) = (fresh(merged, how), merged.had);
    let rest = match how {
        _ if had == 0 => String::new(),
        Merge::Replace => format!("; {had} of them replace what was there"),
        Merge::Fill => {
            format!("; {had} were there already and stay as they are (--replace replaces them)")
        }
    };
    format!("{written} steps written{rest}")
}
