//! What learning a step and forecasting from it costs. Goal: 10,000 series in a second on one core, plans included, and
//! 1 GiB; a light expert in 5 us.
//!
//! Each series has steps of a minute and the horizons 1, 5, 15 and 30 min. The elastic net, which is for the largest
//! series only, is timed apart.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use predictor::forecast::{Config, Forecaster};

/// Horizons, in minutes.
const HORIZONS: [u64; 4] = [1, 5, 15, 30];

/// Minutes that a series is warmed up with: a week is behind it, so that every expert has what it goes by.
const WARM: u64 = 9 * 1_440;

/// A rhythm of the day with some unevenness, without a generator that would be timed along.
fn load(minute: u64) -> u64 {
    let of_day = minute % 1_440;
    100 + of_day.min(1_440 - of_day) / 4 + minute.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 41
}

fn warm(elastic_net: bool, minutes: u64) -> Forecaster {
    let mut forecaster =
        Forecaster::new(60, &HORIZONS, Config { elastic_net, ..Config::default() });
    for minute in 0..minutes {
        forecaster.observe(60 * minute, Some(load(minute)));
    }
    forecaster
}

fn forecast(c: &mut Criterion) {
    let mut group = c.benchmark_group("forecast");
    let mut one = warm(false, WARM);
    let mut minute = WARM;
    group.bench_function("one series, a step", |b| {
        b.iter(|| {
            one.observe(60 * minute, Some(load(minute)));
            minute += 1;
            black_box(one.forecast(300))
        });
    });

    group.bench_function("look up between horizons", |b| {
        b.iter(|| black_box(one.forecast(black_box(420))));
    });

    let rows = warm(true, WARM);
    group.sample_size(10);
    group.bench_function("elastic net, four horizons", |b| {
        b.iter_batched(|| rows.refit(), |refit| black_box(refit.run()), BatchSize::LargeInput);
    });
    drop(rows);

    let mut all = vec![warm(false, WARM); 10_000];
    let mut minute = WARM;
    group.throughput(Throughput::Elements(10_000)).measurement_time(Duration::from_secs(15));
    group.bench_function("10,000 series, a step", |b| {
        b.iter(|| {
            let mut sum = 0.0;
            for (n, forecaster) in all.iter_mut().enumerate() {
                forecaster.observe(60 * minute, Some(load(minute + n as u64)));
                sum += forecaster.forecast(300).at(0.9);
            }
            minute += 1;
            sum
        });
    });
    group.finish();
}

criterion_group!(benches, forecast);
criterion_main!(benches);
