//! The report on the terminal.

use std::fmt::Write;

use policies::{cost::Group, workload::Scenario};
use predictor::replay::{
    compare::{Bench, Mode, Run},
    tally::Tally,
};

/// Writes what a scenario came to under each planner.
pub(super) fn table(
    scenario: &Scenario,
    bench: &Bench<'_>,
    mode: Mode,
    runs: &[Run],
    notes: &[String],
) -> String {
    let (start, end) = bench.span_us();
    let days = (end - start) as f64 / 86_400e6;
    let how = match mode {
        Mode::Events => "each request followed",
        Mode::Counts => "reckoned by step",
    };
    let bound = bench.lower_bound_usd();
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{}  {} requests, {days:.1} days  {} list prices  seed {}  {how}",
        scenario.name,
        thousands(bench.requests()),
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
    for run in runs {
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
            if bound <= 0.0 { "-".to_owned() } else { format!("{:.2}", total / bound) },
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
    if !scenario.assumed.is_empty() {
        let _ = writeln!(out, "  assumed: {}", scenario.assumed.join(", "));
    }
    for note in notes {
        let _ = writeln!(out, "  {note}");
    }
    out.push('\n');
    out
}

fn share(count: u64, tally: &Tally) -> String {
    if count == 0 {
        return "0".to_owned();
    }
    let percent = count as f64 * 100.0 / tally.requests.max(1) as f64;
    match percent {
        99.995.. => "100%".to_owned(),
        0.01.. => format!("{percent:.2}%"),
        _ => "<0.01%".to_owned(),
    }
}

fn time(us: f64) -> String {
    match us / 1e3 {
        ms if ms < 10.0 => format!("{ms:.1}ms"),
        ms if ms < 1000.0 => format!("{ms:.0}ms"),
        ms if ms < 100_000.0 => format!("{:.1}s", ms / 1e3),
        ms => format!("{:.0}s", ms / 1e3),
    }
}

fn usd(amount: f64) -> String {
    match amount {
        0.0 => "0".to_owned(),
        _ if amount < 10.0 => format!("${amount:.2}"),
        _ => format!("${}", thousands(amount.round() as u64)),
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
