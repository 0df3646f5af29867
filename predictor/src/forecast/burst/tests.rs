//! How rare false alarms are, and how soon a flood is seen: played at random, seeded.

use rand_distr::{Distribution as _, Gamma, Poisson};
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

use super::*;

const MONTH: Duration = Duration::from_hours(24 * 30);

/// Requests that come at random, in bunches above a dispersion of 1: a Poisson distribution whose mean varies.
struct Load {
    random: Xoshiro256PlusPlus,
    dispersion: f64,
}

impl Load {
    fn new(seed: u64, dispersion: f64) -> Self {
        Self { random: Xoshiro256PlusPlus::seed_from_u64(seed), dispersion }
    }

    fn count(&mut self, mean: f64) -> u64 {
        let beyond = self.dispersion - 1.0;
        let mean = if 0.0 < beyond {
            Gamma::new(mean / beyond, beyond).unwrap().sample(&mut self.random)
        } else {
            mean
        };
        if mean < 1e-9 { 0 } else { Poisson::new(mean).unwrap().sample(&mut self.random) as u64 }
    }
}

fn piece(at_s: u64, seconds: f32, count: u64, expected_per_s: f32) -> Piece {
    Piece { at_s, seconds, count, expected_per_s, share: 1.0 }
}

/// Counts of steps of 10 s whose mean is `mean(step)`; tells for each whether there is an alarm.
fn watch(
    guard: &mut Guard,
    seed: u64,
    expected_per_s: f32,
    steps: u64,
    mean: impl Fn(u64) -> f64,
) -> Vec<bool> {
    let mut load = Load::new(seed, 1.0);
    let mut count = |n| load.count(mean(n));
    (0..steps).map(|n| guard.observe(piece(10 * n, 10.0, count(n), expected_per_s), 1.0)).collect()
}

fn begins(alarms: &[bool]) -> usize {
    alarms.windows(2).filter(|pair| !pair[0] && pair[1]).count()
}

#[test]
fn false_alarms_are_as_rare_as_was_asked_for() {
    // One in 2,000 steps at most, over 400,000 steps of loads that are just what was forecast at most.
    for (seed, mean) in [(1, 0.3), (2, 3.0), (3, 30.0), (4, 300.0)] {
        let mut guard = Guard::new(10, Duration::from_secs(20_000));
        let alarms = watch(&mut guard, seed, mean as f32 / 10.0, 400_000, |_| mean);
        let began = begins(&alarms);
        // The bound is on the time to the first alarm from a sum of nothing, as after each alarm here.
        assert!(began <= 200, "{began} alarms at {mean}");
    }
}

#[test]
fn a_month_of_seconds_as_forecast_has_one_false_alarm_at_most() {
    // The load is all the time as high as is forecast at most, which no load is; single requests, and bunches.
    for (seed, mean, dispersion) in [(1, 2.0, 1.0), (2, 20.0, 1.0), (3, 20.0, 3.0)] {
        let (mut guard, mut load) = (Guard::new(1, MONTH), Load::new(seed, dispersion));
        let alarms: Vec<bool> = (0..MONTH.as_secs())
            .map(|at_s| {
                let piece = piece(at_s, 1.0, load.count(mean), mean as f32);
                guard.observe(piece, dispersion as f32)
            })
            .collect();
        println!("{mean}/s, dispersion {dispersion}: {}", begins(&alarms));
        assert!(begins(&alarms) <= 1, "{} alarms at {mean}, {dispersion}", begins(&alarms));
    }
}

/// Returns after how many seconds of `times` as many requests as are forecast at most there is an alarm, in each of 400
/// floods, the soonest first. The load before is two thirds of what is forecast at most.
fn seconds_until_seen(per_s: f64, times: f64, dispersion: f64) -> Vec<u64> {
    let mut seen: Vec<u64> = (0..400)
        .map(|seed| {
            let mut load = Load::new(seed, dispersion);
            let mut guard = Guard::new(1, MONTH);
            let mut second = 0;
            loop {
                let mean = if second < 120 { per_s / 1.5 } else { per_s * times };
                let piece = piece(second, 1.0, load.count(mean), per_s as f32);
                second += 1;
                if guard.observe(piece, dispersion as f32) || 1_000 < second {
                    break second.saturating_sub(120);
                }
            }
        })
        .collect();
    seen.sort_unstable();
    seen
}

#[test]
fn a_flood_is_seen_in_three_seconds_and_a_doubling_in_a_few_more() {
    // Requests per second that are forecast at most, times as many, dispersion; seconds that 95 of 100 do not exceed.
    let table = [
        (10.0, 3.0, 1.0, 3),
        (10.0, 5.0, 1.0, 2),
        (10.0, 10.0, 1.0, 1),
        (10.0, 2.0, 1.0, 8),
        (50.0, 2.0, 1.0, 2),
        (50.0, 3.0, 3.0, 2),
        (5.0, 3.0, 1.0, 5),
        (5.0, 10.0, 1.0, 1),
        (1.0, 10.0, 1.0, 4),
    ];
    for (per_s, times, dispersion, most) in table {
        let seen = seconds_until_seen(per_s, times, dispersion);
        let [p50, p95, last] = [200, 380, 399].map(|place| seen[place]);
        println!("{per_s}/s x{times} d{dispersion}: {p50} {p95} {last}");
        assert!(0 < seen[0], "an alarm before the flood: {per_s} {dispersion}");
        assert!(p95 <= most, "{per_s}/s x{times}, dispersion {dispersion}: {p50}, {p95}, {last}");
    }
}

#[test]
fn a_flood_is_seen_in_steps_too_and_its_end_within_minutes() {
    // Expected at most 10 in a step, 5 do come; then three times what was expected for 10 minutes.
    for (seed, slowest) in [(1, 3), (2, 3), (3, 3), (4, 3)] {
        let mut guard = Guard::new(10, MONTH);
        let alarms =
            watch(&mut guard, seed, 1.0, 400, |n| if (100..160).contains(&n) { 30.0 } else { 5.0 });
        let seen = alarms.iter().position(|alarm| *alarm).unwrap() as u64;
        let over = alarms.iter().rposition(|alarm| *alarm).unwrap() as u64;
        assert!((100..100 + slowest).contains(&seen), "seen at {seen}");
        assert!((159..170).contains(&over), "over at {over}");
    }
}

#[test]
fn a_flood_onto_silence_is_seen_and_sized_by_what_comes() {
    let mut guard = Guard::new(10, MONTH);
    assert!(!guard.observe(piece(0, 10.0, 20, 0.0), 1.0));
    assert!((guard.rate(0.5) - 0.5).abs() < 1e-6);
    assert!(guard.observe(piece(10, 10.0, 20, 0.0), 1.0));
    assert!((guard.rate(0.5) - 2.0).abs() < 1e-6, "{}", guard.rate(0.5));
    assert!(guard.observe(piece(20, 10.0, 500, 0.0), 1.0));
    assert!((guard.rate(0.5) - 50.0).abs() < 1e-6);
    assert!((guard.rate(80.0) - 80.0).abs() < 1e-6);
}

#[test]
fn what_is_seen_in_seconds_is_sized_as_it_comes() {
    for (share, seed) in [(1.0, 7), (0.25, 8)] {
        let (mut guard, mut load) = (Guard::new(1, MONTH), Load::new(seed, 1.0));
        for second in 0..90 {
            let mean = f64::from(share) * if second < 60 { 80.0 } else { 400.0 };
            let seen = Piece { share, ..piece(second, 1.0, load.count(mean), 100.0) };
            let alarm = guard.observe(seen, 1.0);
            assert_eq!(alarm, 60 <= second, "{second}");
            let rate = guard.rate(0.0);
            let most = if second < 66 { 100.0 } else { 60.0 };
            assert!(!alarm || (rate - 400.0).abs() < most, "{rate} at {second}");
        }
    }
}

#[test]
fn single_requests_where_none_are_forecast_are_no_flood() {
    let mut guard = Guard::new(10, MONTH);
    // Seven an hour, for four weeks.
    let alarms = watch(&mut guard, 5, 0.0, 6 * 60 * 24 * 28, |_| 0.02);
    assert!(alarms.iter().all(|alarm| !alarm));
    // A page with twenty pictures, once in half an hour.
    let mut guard = Guard::new(1, MONTH);
    for at_s in 0..86_400 {
        assert!(!guard.observe(piece(at_s, 1.0, if at_s % 1_800 == 0 { 20 } else { 0 }, 0.0), 1.0));
    }
}

#[test]
fn absurd_counts_and_clocks_are_borne() {
    let mut guard = Guard::new(0, Duration::ZERO);
    for (at_s, count, expected, dispersion) in [
        (u64::MAX - 60, u64::MAX, f32::NAN, 0.0),
        (5, 0, f32::INFINITY, f32::NAN),
        (0, 7, -5.0, -1.0),
    ] {
        for (seconds, share) in [(10.0, 1.0), (f32::NAN, f32::NAN), (0.0, -1.0), (1.0, 9.0)] {
            let piece = Piece { at_s, seconds, count, expected_per_s: expected, share };
            guard.observe(piece, dispersion);
            assert!(guard.rate(1.0).is_finite() && guard.windows.len() < 100);
        }
    }
}
