//! The report on the terminal.

use std::fmt::Write;

use charts::format::{self, duration_us as time, usd};
use policies::cost::{Group, MONTH_US};
use predictor::replay::{
    compare::{Baseline, Mode},
    tally::Tally,
};

use super::report::{Report, Saving, Worth};

/// Writes what a load came to under each planner.
pub(super) fn table(report: &Report<'_>) -> String {
    let (bench, loaded) = (&report.bench, report.loaded);
    let days = report.span_us() as f64 / 86_400e6;
    let how = match loaded.mode {
        Mode::Events => "each request followed",
        Mode::Counts => "reckoned by step",
    };
    let services = match bench.parts.len() {
        1 => String::new(),
        several => format!("  {several} services"),
    };
    let bound = bench.lower_bound_usd();
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{}  {} requests, {days:.1} days{services}  {} list prices  seed {}  {how}",
        loaded.name,
        format::thousands(bench.requests() as f64),
        bench.book.region,
        bench.seed,
    );
    let _ = writeln!(
        out,
        "  {:22} {:>10} {:>9} {:>9} {:>7} {:>6} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6}",
        "planner",
        "cost",
        "lambda",
        "fargate",
        "pacer",
        "/bound",
        "p50",
        "p99",
        "in goal",
        "failed",
        "cold",
        "util"
    );
    observed(report, bound, &mut out);
    for run in &report.runs {
        let tally = &run.outcome.tally;
        let part = |group| run.bill.subtotal(group).as_usd();
        let total = run.bill.total().as_usd();
        let _ = writeln!(
            out,
            "  {:22} {:>10} {:>9} {:>9} {:>7} {:>6} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6}",
            run.baseline.as_str(),
            usd(total),
            usd(part(Group::Lambda)),
            usd(part(Group::Fargate)),
            usd(part(Group::Pacer)),
            of_bound(total, bound),
            time(tally.latencies.quantile_us(0.5)),
            time(tally.latencies.quantile_us(0.99)),
            share(tally.within_objective, tally),
            share(tally.failures(), tally),
            share(tally.cold, tally),
            tally
                .utilisation()
                .map_or_else(|| "-".to_owned(), |used| format!("{:.0}%", used * 100.0)),
        );
    }
    let _ = writeln!(out, "  {:22} {:>10}", "lower bound", usd(bound));
    for line in verdict(report) {
        let _ = writeln!(out, "  {line}");
    }
    if !loaded.assumed.is_empty() {
        let _ = writeln!(out, "  assumed: {}", loaded.assumed.join(", "));
    }
    for note in &loaded.notes {
        let _ = writeln!(out, "  {note}");
    }
    let unsure = report.unsure();
    if !unsure.is_empty() {
        let _ = writeln!(out, "  NOT SURE: {}", unsure.join("; "));
    }
    out.push('\n');
    out
}

/// Writes how the load was run, where its log tells.
fn observed(report: &Report<'_>, bound: f64, out: &mut String) {
    let (Some(observed), Some(cost)) = (&report.loaded.observed, report.observed_cost()) else {
        return;
    };
    let part = |group| {
        let bill = report.bench.book.bill(&observed.usage, report.span_us(), report.bench.terms);
        bill.subtotal(group).as_usd()
    };
    let _ = writeln!(
        out,
        "  {:22} {:>10} {:>9} {:>9} {:>7} {:>6} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6}",
        "as you ran it",
        usd(cost.as_usd()),
        usd(part(Group::Lambda)),
        usd(part(Group::Fargate)),
        "-",
        of_bound(cost.as_usd(), bound),
        time(observed.latencies.quantile_us(0.5)),
        time(observed.latencies.quantile_us(0.99)),
        percent(observed.within_objective, observed.latencies.count()),
        percent(observed.failures, observed.requests),
        "-",
        "-",
    );
}

/// Returns what follows from the runs, a sentence each.
pub(super) fn verdict(report: &Report<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(observed) = &report.loaded.observed {
        lines.push(format!(
            "as you ran it: {} servers seen in the log, each priced as a task of the policy from its first request to its last \
             one, idle or not; {} requests on functions",
            observed.servers,
            format::thousands(observed.on_lambda as f64),
        ));
    }
    let Some(saving) = report.saving() else { return lines };
    let month = MONTH_US as f64 <= report.span_us() as f64 * 1.5;
    let projected = if month { "" } else { "; if every month were like this" };
    if let Some(saving) = report.saving_from_observed() {
        lines.push(format!("pacer instead of how you ran it {}{projected}", saves(saving)));
    }
    let mut line = format!("pacer instead of target tracking {}{projected}", saves(saving));
    if let Some([lanes, forecast, perfect]) = report.parts() {
        let _ = write!(
            line,
            "; of that {} by using both lanes, {} by the forecast; a perfect one would save {} on top",
            usd(lanes),
            usd(forecast),
            usd(perfect)
        );
    }
    lines.push(line);
    // What fails or waits costs nothing: cheaper is not better then.
    if let (Some(tracking), Some(pacer)) =
        (report.run(Baseline::TargetTracking), report.run(Baseline::Pacer))
    {
        let [tracking, pacer] = [tracking, pacer].map(|run| &run.outcome.tally);
        let missed = |tally: &Tally| tally.requests - tally.within_objective;
        if missed(pacer) + tracking.requests / 1000 < missed(tracking) {
            lines.push(format!(
                "target tracking keeps the goal for {} of the requests and fails {}, pacer for {} and {}",
                share(tracking.within_objective, tracking),
                share(tracking.failures(), tracking),
                share(pacer.within_objective, pacer),
                share(pacer.failures(), pacer),
            ));
        }
    }
    let services = report.services();
    if 1 < services.len() {
        let mut services = services;
        services.sort_by(|a, b| b.1.usd().abs().total_cmp(&a.1.usd().abs()));
        let told = services.iter().take(SERVICES).map(|(name, saving)| {
            let saved = saving.usd();
            match saved {
                CENT.. => format!("{name} -{}", usd(saved)),
                _ if saved <= -CENT => format!("{name} +{} (leave it alone)", usd(-saved)),
                _ => format!("{name} the same"),
            }
        });
        let told: Vec<_> = told.collect();
        let more = services.len().saturating_sub(SERVICES);
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        lines.push(format!("by service, a month: {}{more}", told.join(", ")));
    }
    if let Some((own, worth)) = report.worth() {
        lines.push(match worth {
            Worth::From(bill) => format!(
                "the gateway itself costs {} a month: not worth running for a bill of less than {} a month",
                usd(own),
                usd(bill)
            ),
            Worth::Never => format!(
                "not worth running for this load: the gateway costs {} a month, and saves nothing",
                usd(own)
            ),
        });
    }
    lines
}

const CENT: f64 = 0.01;

fn saves(saving: Saving) -> String {
    let (saved, share) = (saving.usd(), saving.share() * 100.0);
    if saved < 0.0 {
        return format!("costs {} a month more ({:.0}%)", usd(-saved), -share);
    }
    format!("saves {} a month ({share:.0}%)", usd(saved))
}

/// Services that the verdict names.
const SERVICES: usize = 8;

fn of_bound(total: f64, bound: f64) -> String {
    if bound <= 0.0 { "-".to_owned() } else { format!("{:.2}", total / bound) }
}

fn share(count: u64, tally: &Tally) -> String {
    percent(count, tally.requests)
}

fn percent(count: u64, all: u64) -> String {
    format::percent(count as f64 / all.max(1) as f64)
}
