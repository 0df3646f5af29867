//! What each light expert of a forecast costs a step: learning what came, and saying what will come an hour ahead. Goal: 5 us
//! each.
//!
//! These modules are private to the library, so that their files are taken in here by path.

#![expect(dead_code, unused_imports, reason = "what is taken in is more than what is timed")]
#![expect(unreachable_pub, reason = "public to the library, not to a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../src/forecast/calendar.rs"]
mod calendar;
#[path = "../src/forecast/history.rs"]
mod history;
#[path = "../src/forecast/last.rs"]
mod last;
#[path = "../src/forecast/ratio.rs"]
mod ratio;
#[path = "../src/forecast/regression.rs"]
mod regression;
#[path = "../src/forecast/seasonal.rs"]
mod seasonal;
#[path = "../src/forecast/trend.rs"]
mod trend;

use calendar::Calendar;
use history::{History, count_of};
use regression::{FEATURES, Features, Regression};
use seasonal::{Past, REACH, Season};

/// Steps of a minute.
const STEP_S: u64 = 60;
const DAY: u64 = 86_400 / STEP_S;

/// How far ahead, in steps.
const AHEAD: u64 = 60;

/// `ln(1 + count)` of a minute: a rhythm of the day with some unevenness.
fn log(minute: u64) -> f32 {
    let of_day = minute % DAY;
    let count =
        100 + of_day.min(DAY - of_day) / 4 + minute.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 41;
    history::log_of(count as f32)
}

fn features(minute: u64) -> Features {
    std::array::from_fn(
        |i| if i == 0 { 1.0 } else { log(minute * FEATURES as u64 + i as u64) - 5.0 },
    )
}

fn experts(c: &mut Criterion) {
    let mut history = History::new(12_000, 1, 0);
    // Nine hundred weeks after 1970.
    let start = 900 * 7 * DAY;
    history.restart(start);
    (0..8 * DAY).for_each(|minute| history.push(log(minute)));
    let mut calendar = Calendar::new("Europe/Budapest", Vec::new()).expect("it is built in");
    calendar.look_up((start + 8 * DAY) * STEP_S);
    let past = Past { history: &history, calendar: &calendar, step_s: STEP_S };
    let now = history.newest();
    let target = now + AHEAD;

    let mut group = c.benchmark_group("experts");
    let mut say = |name: &str, says: &dyn Fn() -> Option<f32>| {
        group.bench_function(name, |b| b.iter(|| black_box(says())));
    };
    say("last value", &|| history.get(black_box(now)));
    say("highest of three", &|| last::highest(black_box(&history)));
    say("mean of 5", &|| Some(last::short_mean(black_box(&history))));
    say("hours before", &|| past.profile(black_box(target), Season::Hour, 1, 0));
    say("day before", &|| past.analogue(black_box(target), Season::Day, 1, 0));
    say("week before", &|| past.analogue(black_box(target), Season::Week, 1, 0));
    say("days before", &|| past.profile(black_box(target), Season::Day, 1, REACH));
    say("weeks before", &|| past.profile(black_box(target), Season::Week, 1, REACH));
    let level = ratio::level(&history, now).expect("it is held");
    for (name, season) in
        [("day at the level of now", Season::Day), ("week at the level of now", Season::Week)]
    {
        say(name, &|| ratio::ratio(&past, season, black_box(now), level, target));
    }

    let mut means = last::Means::default();
    let mut minute = 0;
    group.bench_function("means of 20 and 100", |b| {
        b.iter(|| {
            minute += 1;
            means.learn(count_of(log(minute)));
            black_box(means.logs())
        });
    });
    let mut trend = trend::Trend::default();
    group.bench_function("damped trend", |b| {
        b.iter(|| {
            minute += 1;
            trend.learn(log(minute));
            black_box(trend.ahead(AHEAD))
        });
    });
    let mut regression = Regression::default();
    let known: Vec<Features> = (0..4_096).map(features).collect();
    group.bench_function("online regression", |b| {
        b.iter(|| {
            minute += 1;
            let features = &known[minute as usize % known.len()];
            regression.learn(features, features[1], 0.9999, 1.0);
            black_box(regression.predict(features))
        });
    });
    group.finish();
}

criterion_group!(benches, experts);
criterion_main!(benches);
