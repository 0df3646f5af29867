//! A forecaster from end to end: series with a known answer, and everything that may go wrong with one.

use proptest::prelude::*;
use rand_distr::{Distribution as _, Poisson};
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

use super::{calendar::Event, *};

mod rolling;

const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 86_400;

/// A wave over the day, between 20 and 180.
fn wave(at_s: u64) -> f64 {
    100.0 + 80.0 * ((at_s % DAY_S) as f64 / DAY_S as f64 * std::f64::consts::TAU).sin()
}

fn poisson(random: &mut Xoshiro256PlusPlus, mean: f64) -> u64 {
    if mean <= 0.0 { 0 } else { Poisson::new(mean).unwrap().sample(random) as u64 }
}

/// A forecaster of steps of five minutes, an hour ahead at most.
fn forecaster(config: Config) -> Forecaster {
    Forecaster::new(300, &[1, 3, 12], config)
}

/// What no forecast may ever be.
fn check(quantiles: &Quantiles) {
    let Quantiles { counts, mean } = quantiles;
    assert!(
        counts.is_sorted() && 0.0 <= counts[0] && counts[6].is_finite() && mean.is_finite(),
        "{quantiles:?}"
    );
}

/// Lets days of `load` be seen from `from` on, and returns how much the quantiles of the second half's steps held, for
/// each horizon, as the shares of counts at most and of counts below each quantile.
fn coverage(load: impl Fn(u64) -> f64, days: u64) -> [[(f64, f64); LEVELS.len()]; 3] {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(6);
    let counts: Vec<u64> = (0..days * 288).map(|n| poisson(&mut random, load(300 * n))).collect();
    let mut forecaster = forecaster(Config::default());
    let mut shares = [[(0.0, 0.0); LEVELS.len()]; 3];
    let half = counts.len() / 2;
    let scored = (counts.len() - half - 12) as f64;
    for (n, count) in counts.iter().enumerate() {
        forecaster.observe(300 * n as u64, Some(*count));
        for (shares, steps) in shares.iter_mut().zip([1, 3, 12]) {
            if n < half || counts.len() - 12 <= n {
                continue;
            }
            let forecast = forecaster.forecast(300 * steps as u64);
            check(&forecast);
            for ((held, below), quantile) in shares.iter_mut().zip(forecast.counts) {
                let actual = counts[n + steps] as f32;
                *held += f64::from(u8::from(actual <= quantile)) / scored;
                *below += f64::from(u8::from(actual < quantile)) / scored;
            }
        }
    }
    shares
}

#[test]
fn quantiles_hold_as_often_as_they_say_at_high_and_low_rates() {
    // Per five minutes: a wave over the day of a hundred, and of one, and a constant of a half.
    let loads: [fn(u64) -> f64; 3] = [wave, |at_s| wave(at_s) / 100.0, |_| 0.5];
    for (which, load) in loads.into_iter().enumerate() {
        for shares in coverage(load, 28) {
            for (level, (held, below)) in LEVELS.iter().zip(shares) {
                let level = f64::from(*level);
                // Two points; counts are whole, so that a quantile may lie between what holds too seldom and too often.
                assert!(
                    level - 0.02 <= held && below <= level + 0.02,
                    "load {which} at {level}: {below} to {held}"
                );
            }
        }
    }
}

#[test]
fn a_daily_wave_is_known_an_hour_ahead() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut forecaster = forecaster(Config::default());
    let (mut loss, mut last_loss) = (0.0, 0.0);
    for n in 0..288 * 14 {
        let at_s = 300 * n;
        let count = poisson(&mut random, wave(at_s));
        forecaster.observe(at_s, Some(count));
        if 288 * 7 <= n {
            let truth = wave(at_s + HOUR_S);
            loss += (f64::from(forecaster.forecast(HOUR_S).at(0.5)) - truth).abs();
            last_loss += (count as f64 - truth).abs();
        }
    }
    assert!(loss < 0.3 * last_loss, "{loss} {last_loss}");
}

#[test]
fn a_forecast_from_next_to_nothing_is_not_taken_to_be_exact() {
    let mut forecaster = forecaster(Config::default());
    forecaster.observe(0, Some(100));
    let forecast = forecaster.forecast(300);
    assert!(forecast.at(0.05) < 85.0 && 115.0 < forecast.at(0.95), "{forecast:?}");
    assert!((90.0..110.0).contains(&forecast.at(0.5)), "{forecast:?}");
}

#[test]
fn equal_inputs_give_equal_outputs() {
    let run = || {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(8);
        let mut forecaster = forecaster(Config::default());
        for n in 0..3_000 {
            forecaster.observe(300 * n, Some(poisson(&mut random, wave(300 * n))));
            if n % 1_000 == 999 {
                let refitted = forecaster.refit().run();
                forecaster.install(refitted);
            }
        }
        [300, 900, HOUR_S].map(|ahead_s| forecaster.forecast(ahead_s).counts.map(f32::to_bits))
    };
    assert_eq!(run(), run());
}

#[test]
fn horizons_between_are_between_and_those_beyond_are_the_last() {
    let mut forecaster = forecaster(Config::default());
    assert_eq!(forecaster.forecast(300), Quantiles::default());
    for n in 0..600 {
        forecaster.observe(300 * n, Some(wave(300 * n) as u64));
    }
    let at = |ahead_s: u64| forecaster.forecast(ahead_s).at(0.9);
    assert!((at(600) - f32::midpoint(at(300), at(900))).abs() <= 0.5);
    assert!((at(1) - at(300)).abs() < 1e-6 && (at(5 * HOUR_S) - at(HOUR_S)).abs() < 1e-6);
}

#[test]
fn a_day_without_data_is_got_over() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(9);
    let mut forecaster = forecaster(Config::default());
    for n in 0..288 * 12 {
        let at_s = 300 * n;
        match n / 288 {
            // A day that is told to be missing, and one that is not told at all.
            7 => assert_eq!(forecaster.observe(at_s, None), Observed::Learned),
            9 => continue,
            _ => assert_eq!(
                forecaster.observe(at_s, Some(poisson(&mut random, wave(at_s)))),
                Observed::Learned
            ),
        }
        check(&forecaster.forecast(HOUR_S));
        // An hour into the day after, the forecast is back.
        if n % 288 == 12 && 7 < n / 288 {
            let (median, truth) =
                (f64::from(forecaster.forecast(HOUR_S).at(0.5)), wave(at_s + HOUR_S));
            assert!((median / truth - 1.0).abs() < 0.2, "{median} {truth}");
        }
    }
    assert!(!forecaster.departed());
}

#[test]
fn a_clock_that_jumps_for_a_moment_changes_nothing() {
    let mut forecaster = forecaster(Config::default());
    for n in 1_000..1_600 {
        forecaster.observe(300 * n, Some(50));
    }
    let before = forecaster.forecast(300);
    for at_s in [300 * 1_599, 0, u64::MAX, AT_S_MAX, 300 * 1_000, 300 * 1_599] {
        assert_eq!(forecaster.observe(at_s, Some(7)), Observed::Doubted, "{at_s}");
    }
    assert_eq!(forecaster.forecast(300), before);
    assert_eq!(forecaster.observe(300 * 1_600, Some(50)), Observed::Learned);
}

#[test]
fn a_clock_that_was_set_is_believed_soon() {
    // Back by an hour, ahead by years, and back again.
    let mut forecaster = forecaster(Config::default());
    for from in [1_000_000, 1_000_588, 9_000_000, 1_001_200] {
        for n in from..from + 600 {
            let observed = forecaster.observe(300 * n, Some(50));
            let doubted = n < from + 2 && from != 1_000_000;
            assert_eq!(observed == Observed::Doubted, doubted, "step {n}");
            check(&forecaster.forecast(HOUR_S));
        }
        let median = forecaster.forecast(HOUR_S).at(0.5);
        assert!((45.0..55.0).contains(&median), "{median} after {from}");
    }
}

#[test]
fn a_flood_after_weeks_of_nothing_is_followed_and_forgotten() {
    let mut forecaster = forecaster(Config::default());
    for n in 0..288 * 21 {
        forecaster.observe(300 * n, Some(0));
    }
    let quiet = forecaster.forecast(300);
    assert!(quiet.at(0.99) < 0.5, "{quiet:?}");
    for n in 288 * 21..288 * 21 + 12 {
        forecaster.observe(300 * n, Some(1_000_000));
        check(&forecaster.forecast(HOUR_S));
        if n == 288 * 21 {
            assert!(forecaster.departed());
            assert!(900_000.0 < forecaster.forecast(300).at(0.5), "{:?}", forecaster.forecast(300));
        }
    }
    for n in 288 * 21 + 12..288 * 24 {
        forecaster.observe(300 * n, Some(0));
        check(&forecaster.forecast(HOUR_S));
    }
    assert!(!forecaster.departed());
    assert!(forecaster.forecast(300).at(0.5) < 1.0 && forecaster.forecast(HOUR_S).at(0.9) < 10.0);
}

#[test]
fn absurd_counts_neither_stop_it_nor_stay() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(10);
    let mut forecaster = forecaster(Config::default());
    for n in 0..288 * 10 {
        let count = match n {
            // Any number at all, and the largest, for an hour in the middle of the second week's first day.
            2_100..2_112 => random.next_u64() >> (random.next_u64() % 64),
            2_112 => u64::MAX,
            _ => poisson(&mut random, wave(300 * n)),
        };
        forecaster.observe(300 * n, Some(count));
        for ahead_s in [300, 900, HOUR_S] {
            check(&forecaster.forecast(ahead_s));
        }
    }
    let (median, truth) = (f64::from(forecaster.forecast(300).at(0.5)), wave(300 * 288 * 10));
    assert!((median / truth - 1.0).abs() < 0.3, "{median} {truth}");
}

#[test]
fn a_level_shift_is_followed_within_the_hour() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
    let mut forecaster = forecaster(Config::default());
    for n in 0..288 * 10 + 12 {
        let times = if n < 288 * 10 { 1.0 } else { 5.0 };
        forecaster.observe(300 * n, Some(poisson(&mut random, times * wave(300 * n))));
    }
    let (median, truth) =
        (f64::from(forecaster.forecast(900).at(0.5)), 5.0 * wave(300 * (288 * 10 + 14)));
    assert!((median / truth - 1.0).abs() < 0.2, "{median} {truth}");
}

#[test]
fn an_outage_does_not_come_back_the_day_after() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(13);
    let mut forecaster = forecaster(Config::default());
    let (mut loss, mut steps) = (0.0, 0.0);
    for n in 0..288 * 12 {
        let at_s = 300 * n;
        // Four hours at noon of the tenth day are counted as zeros.
        let out = (10 * DAY_S + 10 * HOUR_S..10 * DAY_S + 14 * HOUR_S).contains(&at_s);
        let count = if out { 0 } else { poisson(&mut random, wave(at_s)) };
        forecaster.observe(at_s, Some(count));
        if (11 * DAY_S + 10 * HOUR_S..11 * DAY_S + 14 * HOUR_S).contains(&at_s) {
            let truth = wave(at_s + 900);
            loss += (f64::from(forecaster.forecast(900).at(0.5)) / truth - 1.0).abs();
            steps += 1.0;
        }
    }
    assert!(loss / steps < 0.1, "off by {} on average", loss / steps);
}

#[test]
fn an_announced_event_multiplies_what_comes_and_is_not_learned() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(12);
    let event = Event { from_s: 10 * DAY_S, until_s: 10 * DAY_S + 4 * HOUR_S, times: 4.0 };
    let calendar = Calendar::utc(vec![event]);
    let mut forecaster = forecaster(Config { calendar, ..Config::default() });
    for n in 0..288 * 12 {
        let at_s = 300 * n;
        let times = if (event.from_s..event.until_s).contains(&at_s) { 4.0 } else { 1.0 };
        forecaster.observe(at_s, Some(poisson(&mut random, times * wave(at_s))));
        let median = f64::from(forecaster.forecast(HOUR_S).at(0.5));
        let target_s = at_s + HOUR_S;
        // Half an hour before it, with nothing to be seen of it; near its end; and at its time of the next day.
        for (look_s, times) in [
            (event.from_s - HOUR_S / 2, 4.0),
            (event.until_s - 600, 1.0),
            (event.from_s + DAY_S, 1.0),
        ] {
            if at_s == look_s {
                let truth = times * wave(target_s);
                assert!((median / truth - 1.0).abs() < 0.25, "{median} {truth} at {look_s}");
            }
        }
    }
}

#[test]
fn eight_o_clock_stays_eight_o_clock_when_clocks_change() {
    // Work begins at 08:00 in Budapest. Summer time begins on 29 March 2026, day 20,541 since 1970, at 01:00 UTC.
    let changes_s = 20_541 * DAY_S + HOUR_S;
    let work = |at_s: u64| {
        let local_s = at_s + if at_s < changes_s { HOUR_S } else { 2 * HOUR_S };
        if (8 * HOUR_S..18 * HOUR_S).contains(&(local_s % DAY_S)) { 400 } else { 20 }
    };
    let median_at_eight = |calendar: Calendar| {
        let mut forecaster = forecaster(Config { calendar, ..Config::default() });
        let start_s = changes_s - 14 * DAY_S - HOUR_S;
        // Until half an hour before 08:00 summer time, 06:00 UTC, of the first day.
        let until_s = 20_541 * DAY_S + 5 * HOUR_S + HOUR_S / 2;
        for at_s in (start_s..until_s).step_by(300) {
            forecaster.observe(at_s, Some(work(at_s)));
        }
        forecaster.forecast(HOUR_S).at(0.5)
    };
    let local = median_at_eight(Calendar::new("Europe/Budapest", Vec::new()).unwrap());
    let utc = median_at_eight(Calendar::default());
    assert!(300.0 < local && utc < 100.0, "{local} {utc}");
}

#[test]
fn a_series_is_bounded_in_memory() {
    // Minutes, four horizons: 10,000 of them are to fit into 1 GiB, which is 107 kB each.
    let mut series = None;
    let allocated = allocation_counter::measure(|| {
        let config = Config { elastic_net: false, ..Config::default() };
        let mut forecaster = Forecaster::new(60, &[1, 5, 15, 30], config);
        for minute in 0..1_440 {
            forecaster.observe(60 * minute, Some(minute % 100));
        }
        series = Some(forecaster);
    });
    // The forecaster itself is on the stack, and small.
    let bytes = allocated.bytes_current.unsigned_abs() + size_of_val(&series) as u64;
    assert!(bytes < 100_000, "{bytes}");
    // Once it is warm, a step allocates nothing.
    let forecaster = series.as_mut().unwrap();
    let allocated = allocation_counter::measure(|| {
        for minute in 1_440..1_540 {
            forecaster.observe(60 * minute, Some(7));
        }
    });
    assert_eq!(allocated.count_total, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_series_makes_it_panic_or_say_what_is_no_count(
        step_s in prop_oneof![Just(1), Just(10), Just(60), Just(7), Just(1_800), Just(86_400)],
        zone in prop_oneof![Just(None), Just(Some("Europe/Budapest")), Just(Some("Australia/Lord_Howe"))],
        start_s in prop_oneof![0..1_000_u64, 1_700_000_000..1_800_000_000_u64, Just(AT_S_MAX - 100_000)],
        steps in prop::collection::vec(
            (
                // Mostly the next step, now and then a gap, a step back or any time at all.
                prop_oneof![20 => Just(1_i64), 1 => -50..50_i64, 1 => any::<i64>()],
                prop_oneof![8 => (0..200_u64).prop_map(Some), 1 => Just(None), 1 => any::<u64>().prop_map(Some)],
            ),
            1..120,
        ),
    ) {
        let calendar = zone.map_or_else(Calendar::default, |zone| Calendar::new(zone, Vec::new()).unwrap());
        let horizons: Vec<u64> = [1, 2, 9].into_iter().filter(|steps| steps * step_s <= STEP_S_MAX).collect();
        let mut forecaster = Forecaster::new(step_s, &horizons, Config { calendar, elastic_net: true });
        let mut at_s = start_s;
        for (ahead, count) in steps {
            at_s = at_s.saturating_add_signed(ahead.saturating_mul(step_s.cast_signed()));
            forecaster.observe(at_s, count);
            for ahead_s in [0, 1, 5 * step_s, u64::MAX] {
                check(&forecaster.forecast(ahead_s));
            }
            if ahead != 1 {
                at_s = start_s;
            }
        }
        let refitted = forecaster.refit().run();
        forecaster.install(refitted);
        check(&forecaster.forecast(step_s));
    }
}
