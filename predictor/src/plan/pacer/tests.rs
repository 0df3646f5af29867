//! Plans of loads that are played second by second.

use super::*;
use crate::plan::{History, OnLambda, Spot};
use policies::policy::Expect;

const SECOND: u64 = 1_000_000;

fn shape() -> Shape {
    Shape {
        slots_per_task: 2,
        break_even: 0.25,
        patience: 0.0,
        start_us: 80 * SECOND,
        paid_start_us: 52 * SECOND,
        least_paid_us: 60 * SECOND,
        min_tasks: 1,
        max_tasks: 40,
        warm: None,
        spot: None,
    }
}

/// Whose tasks take five minutes to start: a sixth of the work for a forecaster.
fn slow() -> Shape {
    Shape { start_us: 300 * SECOND, ..shape() }
}

fn inputs<'a>(
    now_us: u64,
    history: &'a History,
    asked: f64,
    plan: Plan,
    shape: &'a Shape,
) -> Inputs<'a> {
    Inputs {
        now_us,
        history,
        asked,
        mean_service_us: SECOND as f64,
        ready: plan.tasks,
        starting: 0,
        busy: 0,
        waiting: 0,
        shape,
        truth: None,
        lambda: OnLambda::default(),
    }
}

/// Plays `per_second` requests of a second each, by the second since the start; returns the plan of each look.
fn played(shape: &Shape, seconds: u64, per_second: impl Fn(u64) -> f64) -> Vec<Plan> {
    played_by(&mut Pacer::new(Forecasts::new(shape)), shape, seconds, per_second)
}

/// The same by a planner that is there.
fn played_by(
    planner: &mut Pacer<Forecasts>,
    shape: &Shape,
    seconds: u64,
    per_second: impl Fn(u64) -> f64,
) -> Vec<Plan> {
    let mut history = History::new(LOOK_S * SECOND, 360);
    let mut plan = Plan::tasks(1, Why::Fixed);
    let mut plans = Vec::new();
    for look in 1..=seconds / LOOK_S {
        let asked: f64 = ((look - 1) * LOOK_S..look * LOOK_S).map(&per_second).sum();
        history.push(asked / LOOK_S as f64, 0.0, 1.0);
        let inputs = inputs(look * LOOK_S * SECOND, &history, asked, plan, shape);
        plan = planner.plan(&inputs, &plan);
        plans.push(plan);
    }
    plans
}

#[test]
fn a_steady_load_has_as_many_tasks_as_pay() {
    let shape = shape();
    let plans = played(&shape, 3600, |_| 10.0);
    let pays = worthwhile(&shape, &[(10.0, 1.0)], 1.0);
    let last = plans.last().unwrap().tasks;
    assert!(pays.abs_diff(last) <= 1, "{last} tasks, {pays} pay");
    let late = &plans[plans.len() / 2..];
    assert!(late.iter().all(|plan| plan.tasks == last), "it stays there");
}

#[test]
fn tasks_rise_before_what_comes_every_hour() {
    // Ten minutes of crowd in every hour of two days: it is known when the third day begins.
    let crowd = |second: u64| if second % 3600 < 600 { 20.0 } else { 2.0 };
    let plans = played(&shape(), 10 * 86_400, crowd);
    let at = |second: u64| plans[(9 * 86_400 + 5 * 3600 + second) as usize / 10].tasks;
    let (quiet, crowded) = (at(1800), at(300));
    assert!(quiet + 5 < crowded, "{quiet} and {crowded}");
    assert!(quiet + 3 < at(3600 - 30), "half a minute before: {} of {crowded}", at(3600 - 30));
}

#[test]
fn what_is_taken_back_stays_for_as_long_as_a_start_is_paid_for() {
    let shape = shape();
    let plans = played(&shape, 3000, |second| if second < 2400 { 20.0 } else { 1.0 });
    let before = plans[239].tasks;
    assert_eq!(plans[243].tasks, before, "for a minute it may come back");
    assert!(plans[243..250].iter().any(|plan| plan.why == Why::Held));
    assert!(plans[280].tasks < before / 2, "after that it is not waited for");
}

#[test]
fn a_plan_says_what_it_goes_by() {
    let shape = shape();
    let mut planner = Pacer::new(Forecasts::new(&shape));
    assert_eq!(planner.basis(), None, "nothing was planned");
    let mut history = History::new(LOOK_S * SECOND, 360);
    let mut plan = Plan::tasks(1, Why::Fixed);
    for look in 1..=360 {
        history.push(10.0, 0.0, 1.0);
        let inputs = inputs(look * LOOK_S * SECOND, &history, 100.0, plan, &shape);
        plan = planner.plan(&inputs, &plan);
        let basis = planner.basis().unwrap();
        assert_eq!(basis.certain, look < 6, "a forecast takes a minute");
    }
    let basis = planner.basis().unwrap();
    assert_eq!(basis.at_us, 3_680 * SECOND);
    assert!((basis.expected - 10.0).abs() < 0.5 && (basis.now - 10.0).abs() < 1e-9);
    assert!(basis.expected <= basis.p90 + 0.5 && (0.0..=1.0).contains(&basis.level));
    let words = crate::plan::words(&plan, Some(&basis), crate::plan::utc);
    assert!(words.starts_with(&format!("{} tasks: demand p", plan.tasks)), "{words}");
    assert!(words.ends_with(" busy slots at 01:01, break-even 25 %"), "{words}");
}

/// Plays three days and six hours of a hundred requests in ten seconds, four times as many during the last hour of the
/// second day, of which the planner is told as `expect`; returns the tasks at a second from the event's begin.
fn with_event(expect: Expect) -> impl Fn(i64) -> u32 {
    let from_s = 47 * 3600;
    let shape = slow();
    let mut planner = Pacer::new(Forecasts::new(&shape));
    let (from_us, until_us) = (from_s * SECOND, (from_s + 3600) * SECOND);
    planner.set_events(vec![Event { from_us, until_us, expect }]);
    let crowd = |second: u64| if (from_s..from_s + 3600).contains(&second) { 40.0 } else { 10.0 };
    let plans = played_by(&mut planner, &shape, 78 * 3600, crowd);
    move |second| plans[((from_s.cast_signed() + second) / 10 - 1) as usize].tasks
}

#[test]
fn tasks_rise_one_start_before_an_event_and_fall_after_it() {
    for expect in [Expect::Times(4.0), Expect::PerSecond(40.0)] {
        let tasks = with_event(expect);
        let shape = slow();
        let [quiet, crowded] = [10.0, 40.0].map(|demand| worthwhile(&shape, &[(demand, 1.0)], 1.0));
        let close = |tasks: u32, wanted: u32| tasks.abs_diff(wanted) <= 2;
        assert!(close(tasks(-310), quiet), "{} before", tasks(-310));
        for second in [-300, 0, 1800, 3290] {
            assert!(close(tasks(second), crowded), "{} at {second}", tasks(second));
        }
        // It is over; a minute for what was asked last, a minute for what a start is paid for.
        assert!(close(tasks(3600 + 180), quiet), "{} after", tasks(3600 + 180));
        // The same hour of the day after is not taken for another.
        for second in [-600, 0, 1800] {
            let after = tasks(86_400 + second);
            assert!(close(after, quiet), "{after} a day later at {second}");
        }
    }
}

#[test]
fn what_was_announced_holds_while_nothing_is_forecast_yet() {
    let shape = shape();
    let mut planner = Pacer::new(Forecasts::new(&shape));
    let expect = Expect::PerSecond(20.0);
    planner.set_events(vec![Event { from_us: 0, until_us: u64::MAX, expect }]);
    let plans = played_by(&mut planner, &shape, 600, |_| 0.0);
    let pays = worthwhile(&shape, &[(20.0, 1.0)], 1.0);
    assert!(plans.iter().all(|plan| plan.tasks.abs_diff(pays) <= 1), "{plans:?}, {pays} pay");
}

#[test]
fn the_operators_bounds_are_a_reason() {
    let at = |min_tasks, max_tasks, per_second: f64| {
        let shape = Shape { min_tasks, max_tasks, ..shape() };
        played(&shape, 600, |_| per_second).last().copied().unwrap()
    };
    assert_eq!(at(2, 40, 0.0), Plan::tasks(2, Why::Least));
    assert_eq!(at(2, 5, 100.0), Plan::tasks(5, Why::Most));
}

#[test]
fn what_is_certain_to_be_needed_is_not_left_to_spot() {
    let spot = Some(Spot { up_to: 0.7, price: 0.3 });
    let dear = Shape { min_tasks: 2, ..shape() };
    let cheap = Shape { spot, ..dear.clone() };
    let uneven = by_chance(9, |second| if second / 600 % 2 == 0 { 30.0 } else { 10.0 });
    let (without, with) = (played(&dear, 7_200, &uneven), played(&cheap, 7_200, &uneven));
    assert!(without.iter().all(|plan| plan.spot == 0));
    let certain = worthwhile(&cheap, &[(5.0, 1.0)], 1.0);
    for plan in &with[60..] {
        assert!(plan.spot <= plan.tasks.saturating_sub(2) * 7 / 10, "{plan:?}");
        assert!(plan.spot == 0 || certain <= plan.tasks - plan.spot, "{plan:?} of {certain}");
    }
    assert!(with.iter().any(|plan| 3 <= plan.spot));
    let sum = |plans: &[Plan]| plans.iter().map(|plan| u64::from(plan.tasks)).sum::<u64>();
    assert!(sum(&without) < sum(&with), "a task that costs less pays sooner");
}

#[test]
fn a_plan_keeps_to_its_bounds_and_to_itself() {
    let shape = Shape { max_tasks: 5, ..shape() };
    let plans = played(&shape, 1200, |second| if second < 600 { 500.0 } else { 0.0 });
    assert!(plans.iter().all(|plan| (1..=5).contains(&plan.tasks)));
    let same = played(&shape, 1200, |second| if second < 600 { 500.0 } else { 0.0 });
    assert_eq!(plans, same, "equal inputs, equal plans");
}

/// Returns whole counts of ten seconds of `per_second` requests, as even as chance is not: seeded.
fn by_chance(seed: u64, per_second: impl Fn(u64) -> f64) -> impl Fn(u64) -> f64 {
    use rand_distr::{Distribution as _, Poisson};
    use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

    move |second| {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ second.wrapping_mul(0x9e37_79b9));
        Poisson::new(per_second(second)).map_or(0.0, |counts| counts.sample(&mut random))
    }
}

#[test]
fn a_flood_is_seen_within_seconds_and_is_over_within_minutes() {
    // Ten a second; forty for a quarter of an hour of the third hour.
    let flood = 7_200..8_100;
    let shape = shape();
    let load = by_chance(3, |second| if flood.contains(&second) { 40.0 } else { 10.0 });
    let plans = played(&shape, 10_800, load);
    let at = |second: u64| plans[(second / LOOK_S - 1) as usize];
    let whys = |from, until| (from..until).step_by(10).map(move |second| at(second).why);
    assert!(whys(3_600, 7_210).all(|why| why != Why::Burst), "nothing is the matter");
    let quiet = at(7_200).tasks;
    assert_eq!(at(7_220).why, Why::Burst, "seen with the second look");
    assert!(quiet + 5 <= at(7_220).tasks, "{} after {quiet}", at(7_220).tasks);
    assert!(whys(7_220, 8_100).any(|why| why != Why::Burst), "the forecast has caught up with it");
    assert!(at(8_400).tasks <= quiet + 2, "{} after it", at(8_400).tasks);
    assert!(whys(8_400, 10_800).all(|why| why != Why::Burst));
}

#[test]
fn a_load_that_is_as_forecast_is_no_flood() {
    // Two days of a load that goes up and down by day, with what chance adds.
    let day = |second: u64| 6.0 + 4.0 * (second as f64 / 86_400.0 * std::f64::consts::TAU).sin();
    let plans = played(&slow(), 2 * 86_400, by_chance(11, day));
    let bursts = plans.iter().filter(|plan| plan.why == Why::Burst).count();
    assert_eq!(bursts, 0);
}

/// Plays seconds of a load of `all`, of which this gateway is asked `own`, for an hour and then some of a flood; each look is
/// planned `late_s` after its end. Returns after how many seconds of flood there was a burst, and the plan of a minute later.
fn seen_by_the_second(
    own: impl Fn(u64) -> f64,
    all: impl Fn(u64) -> f64,
    late_s: u64,
) -> (Option<u64>, Plan) {
    let shape = shape();
    let mut planner = Pacer::new(Forecasts::new(&shape));
    let mut history = History::new(LOOK_S * SECOND, 360);
    let mut plan = Plan::tasks(1, Why::Fixed);
    let mut seen = None;
    for second in 1..=3_660_u64 {
        let until_us = second * SECOND;
        let look_us = second.div_ceil(LOOK_S) * LOOK_S * SECOND;
        let count = own(second - 1) as u64;
        if planner.second(Second { until_us, long_us: SECOND, count, look_us }) {
            plan = planner.replan(&inputs(until_us, &history, 0.0, plan, &shape), &plan);
            assert!(3_600 < second || plan.why != Why::Burst, "no flood at {second}");
            seen = seen.or(second.checked_sub(3_600));
        }
        if late_s < second && (second - late_s).is_multiple_of(LOOK_S) {
            let end_s = second - late_s;
            let asked: f64 = (end_s - LOOK_S..end_s).map(&all).sum();
            history.push(asked / LOOK_S as f64, 0.0, 1.0);
            let inputs = inputs(end_s * SECOND, &history, asked, plan, &shape);
            plan = planner.plan(&inputs, &plan);
            if plan.why == Why::Burst {
                assert!(3_600 < second, "no flood at {second}");
                seen = seen.or(second.checked_sub(3_600));
            }
        }
    }
    (seen, plan)
}

#[test]
fn who_tells_of_seconds_has_a_flood_planned_in_two() {
    let load = |seed, quiet, flood| {
        by_chance(seed, move |second| if 3_600 <= second { flood } else { quiet })
    };
    let quiet = worthwhile(&shape(), &[(10.0, 1.0)], 1.0);
    for seed in 1..=5 {
        let (seen, plan) = seen_by_the_second(load(seed, 10.0, 40.0), load(seed, 10.0, 40.0), 0);
        assert!(seen.is_some_and(|seconds| seconds <= 2), "{seen:?}, seed {seed}");
        assert!(quiet + 5 <= plan.tasks, "{plan:?}");
    }
    // None comes in an hour and a minute: what is told by the second and again by the look is told once.
    let (seen, _) = seen_by_the_second(load(6, 10.0, 10.0), load(6, 10.0, 10.0), 0);
    assert_eq!(seen, None);
}

#[test]
fn of_two_gateways_each_sees_a_flood_in_its_own_share() {
    let half = |seed| by_chance(seed, |second| if 3_600 <= second { 60.0 } else { 10.0 });
    let (one, other) = (half(1), half(2));
    let (seen, _) = seen_by_the_second(&one, |second| one(second) + other(second), 4);
    assert!(seen.is_some_and(|seconds| seconds <= 3), "{seen:?}");
    // The other one's requests all come here: as many in all.
    let moved = by_chance(3, |second| if 3_600 <= second { 20.0 } else { 10.0 });
    let all = |second: u64| moved(second) + if 3_600 <= second { 0.0 } else { other(second) };
    let (seen, _) = seen_by_the_second(&moved, all, 4);
    assert_eq!(seen, None);
}

#[test]
fn zeros_for_weeks_then_a_flood_end_in_as_many_tasks_as_pay() {
    let shape = slow();
    let mut planner = Pacer::new(Forecasts::new(&shape));
    let mut history = History::new(LOOK_S * SECOND, 60);
    let (mut plan, mut now_us) = (Plan::tasks(1, Why::Fixed), 0);
    // Three weeks of a look a minute, as its caller was busy; then ten minutes of forty requests a second.
    for look in 0..21 * 1_440 + 60 {
        let flood = 21 * 1_440 <= look;
        now_us += if flood { LOOK_S } else { 60 } * SECOND;
        let per_second = if flood { 40.0 } else { 0.0 };
        history.push(per_second, 0.0, 1.0);
        let asked = per_second * LOOK_S as f64;
        plan = planner.plan(&inputs(now_us, &history, asked, plan, &shape), &plan);
        match look {
            30_000 => assert_eq!(plan, Plan::tasks(1, Why::Least)),
            // A whole minute of it is over.
            30_245.. => assert!(plan.tasks >= 15, "{} at {look}", plan.tasks),
            _ => {}
        }
    }
}

#[test]
fn who_asks_each_second_is_answered_the_same_at_each_look() {
    let shape = shape();
    let load = by_chance(5, |second| if 600 < second { 30.0 } else { 10.0 });
    let plans = |every_s: u64| {
        let mut planner = Pacer::new(Forecasts::new(&shape));
        let mut history = History::new(LOOK_S * SECOND, 360);
        let (mut plan, mut asked) = (Plan::tasks(1, Why::Fixed), 0.0);
        let mut plans = Vec::new();
        let mut since = 0.0;
        for second in 1..=1_200_u64 {
            asked += load(second);
            since += load(second);
            if second % LOOK_S == 0 {
                history.push(since / LOOK_S as f64, 0.0, 1.0);
                since = 0.0;
            }
            if second % every_s == 0 {
                let inputs = inputs(second * SECOND, &history, asked, plan, &shape);
                (plan, asked) = (planner.plan(&inputs, &plan), 0.0);
            }
            if second % LOOK_S == 0 {
                plans.push(plan.tasks);
            }
        }
        plans
    };
    let (seldom, often) = (plans(10), plans(1));
    let differ = seldom.iter().zip(&often).filter(|(one, other)| one.abs_diff(**other) > 1).count();
    assert!(differ <= 4, "{differ} of {} differ", seldom.len());
}

mod laws {
    use proptest::prelude::*;

    use super::*;

    fn absurd() -> impl Strategy<Value = f64> {
        prop::sample::select(vec![
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            -1.0,
            0.0,
            f64::MIN_POSITIVE,
            0.3,
            1.0,
            50.0,
            1e9,
        ])
    }

    fn moment() -> impl Strategy<Value = u64> {
        prop_oneof![0..4_000 * SECOND, any::<u64>(), Just(0), Just(u64::MAX)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_comes_a_plan_is_within_its_bounds(
            (min_tasks, max_tasks, slots_per_task) in (0..60_u32, 0..60_u32, 0..5_u32),
            (break_even, patience) in (absurd(), absurd()),
            (start_us, paid_start_us, least_paid_us) in (moment(), moment(), moment()),
            (times, per_second) in (absurd(), absurd()),
            looks in prop::collection::vec((moment(), absurd(), absurd(), absurd(), any::<u32>()), 1..40),
        ) {
            let shape = Shape {
                slots_per_task,
                break_even,
                patience,
                start_us: start_us % (7_200 * SECOND),
                paid_start_us,
                least_paid_us,
                min_tasks,
                max_tasks,
                warm: None,
                spot: None,
            };
            let mut planner = Pacer::new(Forecasts::new(&shape));
            let all = |expect| Event { from_us: 0, until_us: u64::MAX / 2, expect };
            planner.set_events(vec![all(Expect::Times(times)), all(Expect::PerSecond(per_second))]);
            let mut history = History::new(LOOK_S * SECOND, 360);
            let mut now_us = 0_u64;
            for (step_us, asked, demand, mean_us, asked_for) in looks {
                // Now and then the clock goes back, or far ahead.
                now_us = if asked_for % 5 == 0 { step_us } else { now_us.saturating_add(10 * SECOND) };
                history.push(demand, demand, demand);
                let before = Plan::tasks(asked_for % 100, Why::Fixed);
                let mut inputs = inputs(now_us, &history, asked, before, &shape);
                inputs.mean_service_us = mean_us;
                let plan = planner.plan(&inputs, &before);
                prop_assert!((min_tasks.min(max_tasks)..=max_tasks).contains(&plan.tasks), "{plan:?}");
                let basis = planner.basis().unwrap();
                prop_assert!((0.0..=1.0).contains(&basis.level), "{basis:?}");
                prop_assert!(!crate::plan::words(&plan, Some(&basis), crate::plan::utc).is_empty());
            }
        }
    }
}
