//! Minutes that begin every ten seconds, learned from each of them or from one in six.

use super::*;

/// Minutes that begin every ten seconds, one and two of them ahead.
fn rolling() -> Forecaster {
    let config = Config { elastic_net: false, ..Config::default() };
    Forecaster::rolling(60, 10, &[1, 2], config)
}

/// Requests of each ten seconds of `days`, Poisson of a wave over the day of 2 to 18.
fn tens(seed: u64, days: u64) -> Vec<u64> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..days * 8_640).map(|n| poisson(&mut random, wave(10 * n) / 10.0)).collect()
}

/// The minute that begins with the `n`th ten seconds.
fn minute(tens: &[u64], n: usize) -> u64 {
    tens[n..n + 6].iter().sum()
}

#[test]
fn quantiles_of_minutes_that_overlap_hold_as_often_as_they_say() {
    let tens = tens(21, 4);
    let mut forecaster = rolling();
    let mut held = [[0.0; LEVELS.len()]; 6];
    let (warm, end) = (2 * 8_640, tens.len() - 6);
    for n in 0..end - 6 {
        forecaster.observe(10 * n as u64, Some(minute(&tens, n)));
        if warm <= n {
            let forecast = forecaster.forecast(60);
            check(&forecast);
            for (held, quantile) in held[n % 6].iter_mut().zip(forecast.counts) {
                *held += f64::from(u8::from(minute(&tens, n + 6) as f32 <= quantile));
            }
        }
    }
    let each = (end - 6 - warm) as f64 / 6.0;
    for held in held {
        for (level, held) in LEVELS.iter().zip(held) {
            // Three points, as each phase has 2,880 minutes only.
            assert!((held / each - f64::from(*level)).abs() < 0.03, "{level}: {}", held / each);
        }
    }
}

#[test]
fn what_was_recalled_is_known_as_well_as_what_was_observed() {
    let tens = tens(22, 4);
    let losses = [Forecaster::observe, Forecaster::recall].map(|learn| {
        let mut forecaster = rolling();
        for n in 0..3 * 8_640 {
            learn(&mut forecaster, 10 * n as u64, Some(minute(&tens, n)));
        }
        let mut loss = 0.0;
        for n in 3 * 8_640..tens.len() - 12 {
            forecaster.observe(10 * n as u64, Some(minute(&tens, n)));
            let truth = wave(10 * (n as u64 + 9)) / 10.0 * 6.0;
            loss += (f64::from(forecaster.forecast(60).at(0.5)) / truth - 1.0).abs();
        }
        loss / 8_628.0
    });
    assert!(losses[0] < 0.12, "off by {losses:?} on average");
    assert!(losses[1] < 1.05 * losses[0], "off by {losses:?} on average");
}

#[test]
fn gaps_and_clocks_that_are_set_are_got_over_within_two_minutes() {
    const YEAR_S: u64 = 365 * DAY_S;
    let mut forecaster = rolling();
    let mut at_s = 20 * YEAR_S;
    for ahead_s in [0, 30, 100, 3_600, DAY_S, 8 * DAY_S, 10 * YEAR_S] {
        for back in [false, true] {
            let before_s = at_s;
            at_s += ahead_s;
            for n in 0..12 {
                forecaster.observe(at_s + 10 * n, Some(600));
                check(&forecaster.forecast(60));
            }
            let median = forecaster.forecast(60).at(0.5);
            assert!((550.0..650.0).contains(&median), "{median} after a jump of {ahead_s} s");
            // Back to where it was, as if it had been a mistake; or on from there.
            at_s = if back { before_s } else { at_s + 120 };
        }
    }
}

#[test]
fn a_gap_of_days_is_filled_by_whole_minutes() {
    let tens = tens(23, 6);
    let mut forecaster = rolling();
    let mut n = 0;
    while n + 12 < tens.len() {
        forecaster.observe(10 * n as u64, Some(minute(&tens, n)));
        // Two days and a bit, which end amid a minute.
        n += if n == 2 * 8_640 + 3 { 2 * 8_640 + 100 } else { 1 };
    }
    assert!(!forecaster.departed());
    let truth = wave(10 * (n as u64 + 9)) / 10.0 * 6.0;
    let median = f64::from(forecaster.forecast(60).at(0.5));
    assert!((median / truth - 1.0).abs() < 0.25, "{median} {truth}");
}
