//! Requests a second that a replay follows on one core, through decision, planner, models and bill; and a year by step.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use policies::{
    cost::{PriceBook, Terms},
    workload,
};
use predictor::replay::{
    arrivals::Step,
    compare::{Baseline, Bench, Mode, Part},
    distribution::Distribution,
    load::Load,
    scenario::site,
    site::Account,
};

const WORKLOAD: &str = "
version: 1
scenarios:
  - name: declared
    trace: none
    service_time: { exponential: { mean: 100ms } }
    requests_per_task: 4
";

/// So many requests a second, for so long.
fn part(per_second: u64, minutes: u64) -> Part {
    let scenario = workload::load("workload.yaml", WORKLOAD).expect("it is right").remove(0);
    let minute = 60_000_000;
    let step = |n| Step { at_us: n * minute, us: minute, count: per_second * 60 };
    let load = Load::new((0..minutes).map(step).collect());
    let time = scenario.service_time.as_ref().map(Distribution::from).expect("it is written");
    let site = site(&scenario, "declared", time, &load, PriceBook::fallback(), Terms::default());
    Part { load: load.into(), work: None, site }
}

fn replay(criterion: &mut Criterion) {
    for (name, mode, parts) in [
        ("followed", Mode::Events, [part(1000, 20)]),
        ("by step", Mode::Counts, [part(1000, 1440)]),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).measurement_time(Duration::from_secs(8));
        let bench = Bench {
            parts: &parts,
            requests: None,
            account: Account { concurrency: 10_000 },
            book: PriceBook::fallback(),
            terms: Terms::default(),
            seed: 7,
        };
        group.throughput(Throughput::Elements(bench.requests()));
        for baseline in
            [Baseline::AllLambda, Baseline::TargetTracking, Baseline::LastValueNewsvendor]
        {
            group.bench_function(baseline.as_str(), |bencher| {
                bencher.iter(|| bench.run(black_box(baseline), mode).expect("it adds up"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, replay);
criterion_main!(benches);
