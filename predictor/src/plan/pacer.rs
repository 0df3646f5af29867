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
use super::{Inputs, Plan, Planner, Shape, Why, erlang, hold::Hold};

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
}

impl<S: Sight> Pacer<S> {
    /// Goes by what `sight` tells.
    pub fn new(sight: S) -> Self {
        Self { sight, hold: Hold::default() }
    }

    /// Returns how many tasks pay, of those that are asked for already and beyond.
    fn wanted(&mut self, inputs: &Inputs<'_>, asked: u32) -> u32 {
        let shape = inputs.shape;
        self.sight.look(inputs);
        let now = worthwhile(shape, &[(inputs.history.demand_over(60_000_000), 1.0)], 1.0);
        let Some(soon) = self.sight.demands(inputs) else { return now };
        let more = worthwhile(shape, &soon, 1.0 + 1.0 / USED_FOR);
        let kept = worthwhile(shape, &soon, 1.0).max(now).min(asked);
        more.max(kept)
    }
}

/// Returns how many tasks are busy for at least `times` the break-even.
fn worthwhile(shape: &Shape, demands: &[(f64, f64)], times: f64) -> u32 {
    let &Shape { slots_per_task, break_even, patience, min_tasks, max_tasks, .. } = shape;
    erlang::worthwhile_tasks(demands, slots_per_task, break_even * times, patience, max_tasks)
        .clamp(min_tasks.min(max_tasks), max_tasks)
}

impl<S: Sight> Planner for Pacer<S> {
    fn plan(&mut self, inputs: &Inputs<'_>, previous: &Plan) -> Plan {
        let wanted = self.wanted(inputs, previous.tasks);
        let hold_us = inputs.shape.paid_start_us.max(inputs.shape.least_paid_us);
        let held = self.hold.held(inputs.now_us, wanted, previous.tasks, hold_us);
        if wanted < held {
            return Plan::tasks(held, Why::Held);
        }
        let why = if wanted == previous.tasks { Why::Unchanged } else { Why::Forecast };
        Plan::tasks(wanted, why)
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

    /// Plays `per_second` requests of a second each, by the second since the start; returns the plan of each look.
    fn played(shape: &Shape, seconds: u64, per_second: impl Fn(u64) -> f64) -> Vec<Plan> {
        let mut planner = Pacer::new(Forecasts::new(shape));
        let mut history = History::new(LOOK_S * SECOND, 360);
        let mut plan = Plan::tasks(1, Why::Fixed);
        let mut plans = Vec::new();
        for look in 1..=seconds / LOOK_S {
            let asked: f64 = ((look - 1) * LOOK_S..look * LOOK_S).map(&per_second).sum();
            history.push(asked / LOOK_S as f64, 0.0, 1.0);
            let inputs = Inputs {
                now_us: look * LOOK_S * SECOND,
                history: &history,
                asked,
                mean_service_us: SECOND as f64,
                ready: plan.tasks,
                starting: 0,
                busy: 0,
                waiting: 0,
                shape,
                truth: None,
            };
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
    fn a_plan_keeps_to_its_bounds_and_to_itself() {
        let shape = Shape { max_tasks: 5, ..shape() };
        let plans = played(&shape, 1200, |second| if second < 600 { 500.0 } else { 0.0 });
        assert!(plans.iter().all(|plan| (1..=5).contains(&plan.tasks)));
        let same = played(&shape, 1200, |second| if second < 600 { 500.0 } else { 0.0 });
        assert_eq!(plans, same, "equal inputs, equal plans");
    }
}
