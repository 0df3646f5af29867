//! Forecasts looked at as a gateway does: what they keep, what they remember, and clocks that are set.

use super::*;
use crate::plan::History;

const SECOND: u64 = 1_000_000;
const DAY_S: u64 = 86_400;
const YEAR_S: u64 = 365 * DAY_S;

fn shape() -> Shape {
    Shape {
        slots_per_task: 2,
        break_even: 0.25,
        patience: 0.0,
        start_us: 60 * SECOND,
        paid_start_us: 52 * SECOND,
        least_paid_us: 60 * SECOND,
        min_tasks: 1,
        max_tasks: 40,
        warm: None,
        spot: None,
    }
}

/// Lets `forecasts` look at requests of a second each, at a time in seconds; returns the demand to expect when a task asked for
/// then could serve.
fn look(forecasts: &mut Forecasts, now_s: u64, asked: f64) -> Option<f64> {
    look_at(forecasts, now_s.saturating_mul(SECOND), asked)
}

fn look_at(forecasts: &mut Forecasts, now_us: u64, asked: f64) -> Option<f64> {
    let (shape, history) = (shape(), History::new(10 * SECOND, 1));
    let inputs = Inputs {
        now_us,
        history: &history,
        asked,
        mean_service_us: SECOND as f64,
        ready: 0,
        starting: 0,
        busy: 0,
        waiting: 0,
        shape: &shape,
        truth: None,
        lambda: crate::plan::OnLambda::default(),
    };
    forecasts.look(&inputs);
    let demands = forecasts.demands(&inputs)?;
    assert!(demands.iter().all(|(demand, _)| demand.is_finite() && 0.0 <= *demand), "{demands:?}");
    Some(demands.iter().map(|(demand, share)| demand * share).sum())
}

#[test]
fn a_service_is_bounded_in_memory_and_a_look_allocates_no_more_than_its_answer() {
    // 10,000 of them are to fit into 1 GiB, which is 107 kB each, plans and what was asked in the last hour included.
    let mut forecasts = None;
    let allocated = allocation_counter::measure(|| {
        let mut service = Forecasts::new(&shape());
        service.recall((0..8_640).map(|n| (10 * n, (n % 100) as f64)));
        forecasts = Some(service);
    });
    let bytes = allocated.bytes_current.unsigned_abs() + size_of_val(&forecasts) as u64;
    assert!(bytes < 70_000, "{bytes}");
    let forecasts = forecasts.as_mut().unwrap();
    let allocated = allocation_counter::measure(|| {
        for n in 8_641..8_741 {
            look(forecasts, 10 * n, 7.0).unwrap();
        }
    });
    assert_eq!(allocated.bytes_current, 0);
    // The answer, and the two queues of the history that is made here.
    assert!(allocated.count_total <= 300, "{}", allocated.count_total);
}

#[test]
fn a_beat_on_the_hour_is_known_in_the_minutes_of_every_phase() {
    // 300 requests in the first ten seconds of every hour, and 10 in all others.
    let asked = |at_s: u64| if at_s.is_multiple_of(3_600) { 300.0 } else { 10.0 };
    let mut forecasts = Forecasts::new(&shape());
    let until_s = 3 * DAY_S + 23 * 3_600;
    forecasts.recall((0..until_s).step_by(10).map(|at_s| (at_s, asked(at_s))));
    for now_s in (until_s + 10..until_s + 3_600 * 4).step_by(10) {
        let demand = look(&mut forecasts, now_s, asked(now_s - 10)).unwrap();
        if now_s < until_s + 3_600 * 2 {
            continue;
        }
        // A task serves after a minute: half of what is expected then is of the minute before, half of the one after. One of
        // these has the beat, 350 requests, and the other one 60: 3.4 busy slots.
        let beats = (now_s..now_s + 120).step_by(10).any(|at_s| 100.0 < asked(at_s));
        let expected = if beats { 2.9..3.9 } else { 0.8..1.2 };
        assert!(expected.contains(&demand), "{demand} at {now_s}: {beats}");
    }
}

#[test]
fn what_was_recalled_is_forecast_from_at_the_first_look() {
    let asked =
        |at_s: u64| 100.0 + 80.0 * (at_s as f64 / DAY_S as f64 * std::f64::consts::TAU).sin();
    let start_s = 40 * YEAR_S;
    let mut forecasts = Forecasts::new(&shape());
    // By the minute, with an hour that is not known; rows of nonsense are left out.
    let minutes = (start_s..start_s + 3 * DAY_S).step_by(60).filter(|at_s| at_s % DAY_S >= 3_600);
    let tens = minutes.flat_map(|at_s| (0..6).map(move |n| (at_s + 10 * n, asked(at_s))));
    let odd = [(start_s, 1e9), (0, 1e9), (u64::MAX, 1e9), (start_s + 5, f64::NAN), (7, -1.0)];
    forecasts.recall(odd.into_iter().chain(tens));
    let now_s = start_s + 3 * DAY_S + 20;
    let expected = asked(now_s + 90) / 10.0;
    let demand = look(&mut forecasts, now_s, asked(now_s)).unwrap();
    assert!((demand / expected - 1.0).abs() < 0.05, "{demand} {expected}");
}

#[test]
fn clocks_that_are_set_and_looks_that_are_missed_are_got_over_within_two_minutes() {
    let mut forecasts = Forecasts::new(&shape());
    let mut now_s = 40 * YEAR_S;
    for jump_s in [
        0,
        0,
        -3_600,
        10,
        40,
        90,
        3_600,
        DAY_S.cast_signed(),
        -DAY_S.cast_signed(),
        (10 * YEAR_S).cast_signed(),
        -(10 * YEAR_S).cast_signed(),
    ] {
        now_s = now_s.checked_add_signed(jump_s).unwrap();
        let mut demand = None;
        for n in 0..12 {
            now_s += 10;
            demand = look(&mut forecasts, now_s, 100.0);
            assert!(
                demand.is_none_or(|demand| demand < 15.0),
                "{demand:?} at look {n} after {jump_s} s"
            );
            // Two looks at the same ten seconds are one.
            look(&mut forecasts, now_s, 100.0);
        }
        let demand = demand.unwrap();
        assert!((9.0..11.0).contains(&demand), "{demand} after {jump_s} s");
    }
    // No time is one that it stops at.
    for now_us in [0, 1, u64::MAX, u64::MAX - 1, 9 * SECOND, u64::MAX / 2] {
        for n in 0..10 {
            look_at(&mut forecasts, now_us.saturating_add(10 * n * SECOND), f64::MAX);
        }
    }
}

#[test]
fn a_forecast_of_long_ago_is_none() {
    let mut forecasts = Forecasts::new(&shape());
    (1..=60).for_each(|n| _ = look(&mut forecasts, 10 * n, 100.0));
    assert!(look(&mut forecasts, 600 + 300, 100.0).is_some());
    assert_eq!(look(&mut forecasts, 600 + 3_600, 100.0), None);
}

#[test]
fn what_is_not_known_is_passed_over_and_forecast_on() {
    let mut forecasts = Forecasts::new(&shape());
    // Not known before anything is.
    (1..=30).for_each(|n| assert_eq!(look(&mut forecasts, 10 * n, f64::NAN), None));
    (31..=400).for_each(|n| _ = look(&mut forecasts, 10 * n, 100.0));
    // Two hours that are not to be learned from, as what was announced was on.
    for n in 401..=1_120 {
        let demand = look(&mut forecasts, 10 * n, f64::NAN).unwrap();
        assert!((9.0..11.0).contains(&demand), "{demand} at look {n}");
    }
    let demand = look(&mut forecasts, 11_210, 100.0).unwrap();
    assert!((9.0..11.0).contains(&demand), "{demand}");
}

#[test]
fn what_is_relearned_for_a_longer_start_knows_what_was_known() {
    // Four days of a crowd of ten minutes in every hour, as a service whose tasks start in a minute has learned it.
    let asked = |at_s: u64| if at_s % 3_600 < 600 { 200.0 } else { 20.0 };
    let until_s = 4 * DAY_S;
    let mut quick = Forecasts::new(&shape());
    for now_s in (10..=until_s).step_by(10) {
        look(&mut quick, now_s, asked(now_s - 10));
    }
    for (start_s, every) in [(200, 1), (900, LOOKS)] {
        let slow = Shape { start_us: start_s * SECOND, ..shape() };
        assert!(quick.fits(&shape()) && !quick.fits(&slow));
        let mut relearned = quick.relearned(&slow);
        assert!(relearned.fits(&slow) && !relearned.fits(&shape()) && relearned.every == every);
        let history = History::new(10 * SECOND, 1);
        let mut demand = |now_s: u64| {
            let inputs = Inputs {
                now_us: now_s * SECOND,
                history: &history,
                asked: asked(now_s - 10),
                mean_service_us: SECOND as f64,
                ready: 0,
                starting: 0,
                busy: 0,
                waiting: 0,
                shape: &slow,
                truth: None,
                lambda: crate::plan::OnLambda::default(),
            };
            relearned.look(&inputs);
            let demands = relearned.demands(&inputs).unwrap();
            demands.iter().map(|(demand, share)| demand * share).sum::<f64>()
        };
        // What is expected when a task could serve: the crowd of the next hour, before it has come.
        for now_s in (until_s + 10..until_s + 3_600).step_by(10) {
            let (demand, serves_s) = (demand(now_s), now_s + start_s);
            match serves_s % 3_600 {
                120..480 => assert!(14.0 < demand, "{demand} at {now_s}, {start_s}"),
                900..3_300 => assert!(demand < 5.0, "{demand} at {now_s}, {start_s}"),
                _ => {}
            }
        }
    }
}

#[test]
fn a_start_that_changes_by_less_than_half_a_minute_changes_no_horizon() {
    let of = |start_s: u64| Shape { start_us: start_s * SECOND, ..shape() };
    let forecasts = Forecasts::new(&of(80));
    for (start_s, fits) in
        [(1, true), (60, true), (89, true), (115, true), (121, false), (600, false)]
    {
        assert_eq!(forecasts.fits(&of(start_s)), fits, "{start_s}");
    }
    let slow = Forecasts::new(&of(200));
    for (start_s, fits) in [(80, false), (115, false), (121, true), (239, true), (241, false)] {
        assert_eq!(slow.fits(&of(start_s)), fits, "{start_s}");
    }
    assert!(!slow.fits(&of(u64::MAX / SECOND)), "absurd");
}
