//! Whether a plan is steady, and what it would have saved: what speaks for letting a service act.

use std::collections::VecDeque;

use predictor::plan::erlang;

/// For how long turns of the plan are remembered, in seconds of the plans' clock.
const HOUR_S: f64 = 3_600.0;

/// Most turns that are remembered: one a plan.
const TURNS: usize = 360;

/// Plans that an average is over: a day of them.
const PLANS: f64 = 8_640.0;

/// What plans came to.
#[derive(Debug, Default)]
pub(super) struct Steadiness {
    /// When it was first planned.
    since_s: Option<f64>,
    last: Option<u32>,
    rises: Option<bool>,
    turns: VecDeque<f64>,
    plans: f64,
    /// Tasks that ran and tasks that were planned, on average, with what Lambda served counted as tasks, too.
    tasks: (f64, f64),
}

/// One plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned {
    pub(super) ready: u32,
    pub(super) tasks: u32,
    pub(super) demand: f64,
    pub(super) slots_each: u32,
    /// Share of its slots that a task must have busy to cost no more than Lambda; `None` without Lambda.
    pub(super) break_even: Option<f64>,
}

impl Steadiness {
    /// Takes in a plan.
    pub(super) fn look(&mut self, planned: &Planned, shown_s: f64) {
        self.since_s.get_or_insert(shown_s);
        if let Some(last) = self.last.replace(planned.tasks).filter(|last| *last != planned.tasks) {
            let rises = last < planned.tasks;
            if self.rises.replace(rises).is_some_and(|before| before != rises) {
                self.turns.push_back(shown_s);
            }
        }
        let old = |at_s: &f64| *at_s < shown_s - HOUR_S;
        while self.turns.len() > TURNS || self.turns.front().is_some_and(old) {
            self.turns.pop_front();
        }
        self.plans = (self.plans + 1.0).min(PLANS);
        let (ran, would) = (planned.cost(planned.ready), planned.cost(planned.tasks));
        self.tasks.0 += (ran - self.tasks.0) / self.plans;
        self.tasks.1 += (would - self.tasks.1) / self.plans;
    }

    /// Returns for how long it was planned, in seconds.
    pub(super) fn seen_s(&self, shown_s: f64) -> f64 {
        self.since_s.map_or(0.0, |since_s| shown_s - since_s)
    }

    /// Returns how often the plan turned round within the last hour.
    pub(super) fn turns(&self) -> u32 {
        self.turns.len() as u32
    }

    /// Returns what ran and what was planned on average, in tasks.
    pub(super) fn tasks(&self) -> (f64, f64) {
        self.tasks
    }
}

impl Planned {
    /// Returns what so many tasks cost together with what they leave to Lambda, in tasks. Where a slot is busy for a share `u`
    /// of the time and Lambda costs as much, a slot's second on Lambda costs `1 / u` of a task's.
    fn cost(&self, tasks: u32) -> f64 {
        let slots = tasks.saturating_mul(self.slots_each);
        let Some(break_even) = self.break_even.filter(|share| 0.0 < *share) else {
            return f64::from(tasks);
        };
        let left = erlang::overflow(slots, self.demand.max(0.0), 0.0);
        f64::from(tasks) + left / (f64::from(self.slots_each.max(1)) * break_even)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANNED: Planned =
        Planned { ready: 10, tasks: 4, demand: 6.0, slots_each: 4, break_even: Some(0.12) };

    #[test]
    fn idle_tasks_cost_more_than_the_plan_and_too_few_do_too() {
        let mut steady = Steadiness::default();
        steady.look(&PLANNED, 0.0);
        let (ran, planned) = steady.tasks();
        assert!((ran - 10.0).abs() < 0.01, "{ran}");
        assert!((4.0..4.1).contains(&planned), "{planned}");
        // All six busy slots on Lambda: 6 / (4 x 0.12) tasks' worth.
        assert!((PLANNED.cost(0) - 12.5).abs() < 0.01, "{}", PLANNED.cost(0));
        assert!((Planned { break_even: None, ..PLANNED }.cost(3) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn only_turns_of_the_last_hour_count() {
        let mut steady = Steadiness::default();
        for (at_s, tasks) in [(0.0, 4), (10.0, 6), (20.0, 7), (30.0, 5), (40.0, 5), (50.0, 6)] {
            steady.look(&Planned { tasks, ..PLANNED }, at_s);
        }
        assert_eq!(steady.turns(), 2);
        steady.look(&Planned { tasks: 6, ..PLANNED }, 3_640.0);
        assert_eq!(steady.turns(), 1);
        assert!((steady.seen_s(3_640.0) - 3_640.0).abs() < 1e-9);
    }
}
