//! The report as JSON; its shape is a promise, see docs/replay.md.

use policies::{cost::PriceBook, workload::Scenario};
use predictor::replay::{
    compare::{Bench, Mode, Run},
    tally::{Failed, SpillCause},
};
use serde_json::{Map, Value, json};

/// Writes the whole report.
pub(super) fn report(book: &PriceBook, seed: u64, scenarios: &[Value]) -> String {
    let report = json!({
        "version": 1,
        "seed": seed,
        "prices": { "region": book.region, "currency": "USD", "own": book.own },
        "scenarios": scenarios,
    });
    format!("{report:#}\n")
}

/// Tells what a scenario came to.
pub(super) fn scenario(
    scenario: &Scenario,
    bench: &Bench<'_>,
    mode: Mode,
    runs: &[Run],
    notes: &[String],
) -> Value {
    let (start, end) = bench.span_us();
    json!({
        "name": scenario.name,
        "requests": bench.requests(),
        "seconds": (end - start) as f64 / 1e6,
        "mode": match mode { Mode::Events => "events", Mode::Counts => "counts" },
        "lower_bound_usd": bench.lower_bound_usd(),
        "assumed": scenario.assumed,
        "notes": notes,
        "runs": runs.iter().map(run).collect::<Vec<_>>(),
    })
}

fn run(run: &Run) -> Value {
    let tally = &run.outcome.tally;
    let items: Map<String, Value> = run
        .bill
        .lines()
        .map(|(item, amount)| (item.name().to_owned(), amount.as_usd().into()))
        .collect();
    let named = |names: Vec<&str>, counts: &[u64]| -> Map<String, Value> {
        names
            .into_iter()
            .zip(counts)
            .map(|(name, count)| (name.to_owned(), (*count).into()))
            .collect()
    };
    let failed = named(Failed::ALL.map(Failed::as_str).to_vec(), &tally.failed);
    let spills = named(SpillCause::ALL.map(SpillCause::as_str).to_vec(), &tally.spills);
    let throttled = named(vec!["account", "reserved", "scaling-rate"], &tally.throttled);
    let per = |count: u64| count as f64 / tally.requests.max(1) as f64;
    json!({
        "name": run.baseline.as_str(),
        "requests": tally.requests,
        "failures": tally.failures(),
        "failures_by_reason": failed,
        "cost_usd": run.bill.total().as_usd(),
        "cost_by_item_usd": items,
        "latency_ms": {
            "p50": tally.latencies.quantile_us(0.5) / 1e3,
            "p99": tally.latencies.quantile_us(0.99) / 1e3,
            "mean": tally.latencies.mean_us() / 1e3,
        },
        "within_objective": per(tally.within_objective),
        "requests_by_lane": { "lambda": tally.by_lane[0], "container": tally.by_lane[1] },
        "cold_starts": tally.cold,
        "cold_starts_per_request": per(tally.cold),
        "warm_up_starts": tally.warm_ups,
        "spills_by_reason": spills,
        "throttled_by_reason": throttled,
        "utilisation": tally.utilisation(),
        "scaling_actions": tally.scaling_actions,
        "most_tasks": tally.most_tasks,
        "spot_interruptions": tally.interruptions,
    })
}
