//! Pacer's own planner: tasks for the load to come, as long as the next one is expected to pay.
//!
//! A task is worth having while the share of its slots that it is expected to keep busy, over all demands that are possible
//! by the time that one asked for now could serve, is above the break-even with Lambda ([`erlang::worthwhile_tasks`]).
//! Two rules keep that from running after every ripple:
//!
//! - **One more** has its start to pay for, too: that is spread over a use of [`USED_FOR`] as long.
//! - **One less** must be one less for as long as a start is paid for: then what idling cost is what starting it again
//!   would, and at worst twice the best is paid (ski rental). What is still needed now is not taken back either.
//!
//! What will be asked for a [`Sight`] tells: forecasts, or the truth, by which the same planner is what the best forecast of
//! all would come to. Sums of what a task gains over the time to come were tried in the place of both rules: they had tasks
//! come and go by the thousand, or, held back, cost more wherever starts take minutes.

mod sight;

pub use self::sight::{Forecasts, Truth};
use super::{
    Inputs, Plan, Planner, Shape, Why,
    basis::{Basis, Seen},
    erlang,
    event::{self, Event},
    hold::Hold,
};

/// How often it looks, in seconds.
const LOOK_S: u64 = 10;

/// For how long a task more is expected to be used, in paid starts. With 3, with 7 and without any end, five of the loads of
/// `tests/sim` cost the same within 3 %.
const USED_FOR: f64 = 7.0;

/// Demands (busy slots), and how likely each is.
pub type Demands = Vec<(f64, f64)>;

/// Tells what will be asked for.
pub trait Sight {
    /// Learns what was asked for since the last look.
    fn look(&mut self, inputs: &Inputs<'_>);

    /// Returns what may be asked for when a task asked for now could serve; nothing while too little is known.
    fn demands(&self, inputs: &Inputs<'_>) -> Option<Demands>;

    /// The name of the planner that goes by it.
    fn planner(&self) -> &'static str;
}

/// The plan of one service.
#[derive(Debug, Clone)]
pub struct Pacer<S> {
    sight: S,
    hold: Hold,
    events: Vec<Event>,
    /// What the last plan went by, with its tasks and the service it was for.
    seen: Option<(Seen, u32, Shape)>,
}

/// How many tasks are wanted, and why.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    tasks: u32,
    why: Why,
}

impl<S: Sight> Pacer<S> {
    /// Goes by what `sight` tells.
    pub fn new(sight: S) -> Self {
        Self { sight, hold: Hold::default(), events: Vec::new(), seen: None }
    }

    /// Knows what was announced, from now on: these events and no others.
    pub fn set_events(&mut self, events: Vec<Event>) {
        self.events = events;
    }

    /// Learns what was asked for since the last look, unless an event had a part in it.
    fn look(&mut self, inputs: &Inputs<'_>) {
        let since_us = inputs.now_us.saturating_sub(self.every_us());
        let mut inputs = *inputs;
        if event::any(&self.events, since_us, inputs.now_us) {
            inputs.asked = f64::NAN;
        }
        self.sight.look(&inputs);
    }

    /// Returns what the last plan went by; nothing before the first. [`words`](super::words) makes a sentence of it.
    pub fn basis(&self) -> Option<Basis> {
        self.seen.as_ref().map(|(seen, tasks, shape)| seen.basis(*tasks, shape))
    }
}

impl Wanted {
    /// Returns how many tasks pay, of those that are `asked` for already and beyond.
    fn of(shape: &Shape, asked: u32, seen: &Seen) -> Self {
        let now = worthwhile(shape, &[(seen.now, 1.0)], 1.0);
        if seen.demands.is_empty() {
            return Self::within(shape, now, Why::Forecast);
        }
        let more = worthwhile(shape, &seen.demands, 1.0 + 1.0 / USED_FOR);
        let kept = worthwhile(shape, &seen.demands, 1.0).min(asked);
        let needed = now.min(asked);
        if more.max(kept) < needed {
            return Self::within(shape, needed, Why::Needed);
        }
        Self::within(shape, more.max(kept), Why::Forecast)
    }

    /// Keeps `tasks` to what the operator allows.
    fn within(shape: &Shape, tasks: u32, why: Why) -> Self {
        let (least, most) = (shape.min_tasks.min(shape.max_tasks), shape.max_tasks);
        if most < tasks {
            return Self { tasks: most, why: Why::Most };
        }
        if tasks < least {
            return Self { tasks: least, why: Why::Least };
        }
        Self { tasks, why }
    }
}

/// Returns how many tasks are busy for at least `times` the break-even: up to one more than there may be.
fn worthwhile(shape: &Shape, demands: &[(f64, f64)], times: f64) -> u32 {
    let &Shape { slots_per_task, break_even, patience, max_tasks, .. } = shape;
    let most = max_tasks.saturating_add(1);
    erlang::worthwhile_tasks(demands, slots_per_task, break_even * times, patience, most)
}

impl<S: Sight> Planner for Pacer<S> {
    fn plan(&mut self, inputs: &Inputs<'_>, previous: &Plan) -> Plan {
        let shape = inputs.shape;
        self.look(inputs);
        let at_us = inputs.now_us.saturating_add(shape.start_us);
        let mut demands = self.sight.demands(inputs).unwrap_or_default();
        let event = event::apply(&self.events, at_us, inputs.mean_service_us, &mut demands);
        let mut seen =
            Seen { demands, at_us, now: inputs.history.demand_over(60_000_000), ..Seen::default() };
        let wanted = Wanted::of(shape, previous.tasks, &seen);
        let hold_us = shape.paid_start_us.max(shape.least_paid_us);
        let held = self.hold.held(inputs.now_us, wanted.tasks, previous.tasks, hold_us);
        (seen.would_do, seen.until_us) = (wanted.tasks, self.hold.until_us(hold_us));
        let plan = if wanted.tasks < held {
            Plan::tasks(held, Why::Held)
        } else if event && wanted.why == Why::Forecast {
            Plan::tasks(wanted.tasks, Why::Event)
        } else if wanted.why == Why::Forecast && wanted.tasks == previous.tasks {
            Plan::tasks(wanted.tasks, Why::Unchanged)
        } else {
            Plan::tasks(wanted.tasks, wanted.why)
        };
        self.seen = Some((seen, plan.tasks, shape.clone()));
        plan
    }

    fn every_us(&self) -> u64 {
        LOOK_S * 1_000_000
    }

    fn name(&self) -> &'static str {
        self.sight.planner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::History;
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
        }
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
        let shape = shape();
        let mut planner = Pacer::new(Forecasts::new(&shape));
        let (from_us, until_us) = (from_s * SECOND, (from_s + 3600) * SECOND);
        planner.set_events(vec![Event { from_us, until_us, expect }]);
        let crowd =
            |second: u64| if (from_s..from_s + 3600).contains(&second) { 40.0 } else { 10.0 };
        let plans = played_by(&mut planner, &shape, 78 * 3600, crowd);
        move |second| plans[((from_s as i64 + second) / 10 - 1) as usize].tasks
    }

    #[test]
    fn tasks_rise_one_start_before_an_event_and_fall_after_it() {
        for expect in [Expect::Times(4.0), Expect::PerSecond(40.0)] {
            let tasks = with_event(expect);
            let shape = shape();
            let [quiet, crowded] =
                [10.0, 40.0].map(|demand| worthwhile(&shape, &[(demand, 1.0)], 1.0));
            let close = |tasks: u32, wanted: u32| tasks.abs_diff(wanted) <= 2;
            // A start takes 80 s.
            assert!(close(tasks(-90), quiet), "{} before", tasks(-90));
            for second in [-80, 0, 1800, 3500] {
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
    fn the_operators_bounds_are_a_reason() {
        let at = |min_tasks, max_tasks, per_second: f64| {
            let shape = Shape { min_tasks, max_tasks, ..shape() };
            played(&shape, 600, |_| per_second).last().copied().unwrap()
        };
        assert_eq!(at(2, 40, 0.0), Plan::tasks(2, Why::Least));
        assert_eq!(at(2, 5, 100.0), Plan::tasks(5, Why::Most));
    }

    #[test]
    fn a_plan_keeps_to_its_bounds_and_to_itself() {
        let shape = Shape { max_tasks: 5, ..shape() };
        let plans = played(&shape, 1200, |second| if second < 600 { 500.0 } else { 0.0 });
        assert!(plans.iter().all(|plan| (1..=5).contains(&plan.tasks)));
        let same = played(&shape, 1200, |second| if second < 600 { 500.0 } else { 0.0 });
        assert_eq!(plans, same, "equal inputs, equal plans");
    }
}
