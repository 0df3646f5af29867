//! The report as JSON; its shape is a promise, see docs/replay.md.

use policies::cost::{Bill, PriceBook};
use predictor::replay::{
    compare::{Mode, Run, ServiceRun},
    latency::Latencies,
    tally::{Failed, SpillCause},
};
use serde_json::{Map, Value, json};

use super::report::{Report, Saving, Worth};

/// Writes the whole report.
pub(super) fn report(book: &PriceBook, seed: u64, reports: &[Report<'_>]) -> String {
    let report = json!({
        "version": 1,
        "seed": seed,
        "prices": { "region": book.region, "currency": "USD", "own": book.own },
        "scenarios": reports.iter().map(scenario).collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

/// Tells what a load came to.
fn scenario(report: &Report<'_>) -> Value {
    let (bench, loaded) = (&report.bench, report.loaded);
    let mut value = json!({
        "name": loaded.name,
        "requests": bench.requests(),
        "seconds": report.span_us() as f64 / 1e6,
        "mode": match loaded.mode { Mode::Events => "events", Mode::Counts => "counts" },
        "lower_bound_usd": bench.lower_bound_usd(),
        "assumed": loaded.assumed,
        "notes": loaded.notes,
        "not_sure": report.unsure(),
        "observed": observed(report),
        "verdict": verdict(report),
        "runs": report.runs.iter().map(run).collect::<Vec<_>>(),
    });
    for other in &report.slots {
        let costs: Map<String, Value> = other
            .runs
            .iter()
            .map(|run| (run.baseline.as_str().to_owned(), run.bill.total().as_usd().into()))
            .collect();
        value[format!("cost_usd_at_{}_requests_per_task", other.factor.as_str())] = costs.into();
    }
    value
}

/// Tells how the load was run, as far as its log tells.
fn observed(report: &Report<'_>) -> Value {
    let (Some(observed), Some(cost)) = (&report.loaded.observed, report.observed_cost()) else {
        return Value::Null;
    };
    json!({
        "requests": observed.requests,
        "failures": observed.failures,
        "servers": observed.servers,
        "cost_usd": cost.as_usd(),
        "latency_ms": latency(&observed.latencies),
        "within_objective": observed.within_objective as f64 / observed.latencies.count().max(1) as f64,
        "requests_by_lane": { "lambda": observed.on_lambda, "container": observed.in_tasks },
    })
}

/// Tells what follows, in dollars a month of 730 hours.
fn verdict(report: &Report<'_>) -> Value {
    let Some(saving) = report.saving() else { return Value::Null };
    let services: Map<String, Value> = report
        .services()
        .into_iter()
        .map(|(name, saving)| (name.to_owned(), saving.usd().into()))
        .collect();
    let (own, worth) = report.worth().unwrap_or((0.0, Worth::Never));
    let part = |number: usize| report.parts().map(|parts| parts[number]);
    json!({
        "saved_usd_a_month": saving.usd(),
        "saved_by_both_lanes_usd_a_month": part(0),
        "saved_by_forecast_usd_a_month": part(1),
        "saved_by_perfect_forecast_on_top_usd_a_month": part(2),
        "saved_from_observed_usd_a_month": report.saving_from_observed().map(Saving::usd),
        "saved_by_service_usd_a_month": services,
        "pacer_usd_a_month": own,
        "worth_running_from_usd_a_month": match worth { Worth::From(bill) => Some(bill), Worth::Never => None },
    })
}

fn latency(latencies: &Latencies) -> Value {
    json!({
        "p50": latencies.quantile_us(0.5) / 1e3,
        "p99": latencies.quantile_us(0.99) / 1e3,
        "mean": latencies.mean_us() / 1e3,
    })
}

fn items(bill: &Bill) -> Map<String, Value> {
    bill.lines().map(|(item, amount)| (item.name().to_owned(), amount.as_usd().into())).collect()
}

fn run(run: &Run) -> Value {
    let tally = &run.outcome.tally;
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
        "cost_by_item_usd": items(&run.bill),
        "latency_ms": latency(&tally.latencies),
        "within_objective": per(tally.within_objective),
        "objective_windows_met": tally.windows[1] as f64 / tally.windows[0].max(1) as f64,
        "requests_by_lane": { "lambda": tally.by_lane[0], "container": tally.by_lane[1] },
        "cold_starts": tally.cold,
        "cold_starts_per_request": per(tally.cold),
        "warm_up_starts": tally.warm_ups,
        "warm_up_cost_usd": run.warm_up_cost.as_usd(),
        "spills_by_reason": spills,
        "throttled_by_reason": throttled,
        "utilisation": tally.utilisation(),
        "scaling_actions": tally.scaling_actions,
        "most_tasks": tally.most_tasks,
        "spot_interruptions": tally.interruptions,
        "services": run.services.iter().map(service).collect::<Vec<_>>(),
    })
}

fn service(service: &ServiceRun) -> Value {
    json!({
        "name": service.name,
        "requests": service.requests,
        "failures": service.failures,
        "p99_ms": service.p99_us / 1e3,
        "cost_usd": service.cost.as_usd(),
    })
}
