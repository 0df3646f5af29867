//! Tasks for the demand to come as long as the next one pays, Lambda for the rest.
//!
//! A task is worth having while the share of its slots that it keeps busy is above the break-even with Lambda. For a demand
//! that is known, Erlang's formula tells that share; for one that is only forecast, the break-even picks the quantile to
//! size for: `1 - u*`, the newsvendor's (Whitin 1953; LIBRA, IC2E 2021, splits a load between VMs and functions so). What is
//! taken back must stay back for longer than a start and the least bill would cost: ski rental.

use std::collections::VecDeque;

use super::{Inputs, Plan, Planner, Shape, Why, erlang, hold::Hold};

/// Sizes containers for the demand of late, give or take what it lately changed by.
#[derive(Debug, Clone, Default)]
pub struct Newsvendor {
    last: LastValue,
    hold: Hold,
}

impl Planner for Newsvendor {
    fn plan(&mut self, inputs: &Inputs<'_>, previous: &Plan) -> Plan {
        let shape = inputs.shape;
        // What is asked for now is there after a start, and is looked at again one step later.
        let from = inputs.now_us + shape.start_us;
        let until = from + self.every_us().max(inputs.history.step_us());
        let q = (1.0 - shape.break_even).clamp(0.0, 1.0);
        let ahead = self.last.demand(inputs, until, q);
        let tasks = |demand: f64| {
            let most = shape.max_tasks;
            let Shape { slots_per_task, break_even, patience, .. } = *shape;
            erlang::worthwhile_tasks(&[(demand, 1.0)], slots_per_task, break_even, patience, most)
                .clamp(shape.min_tasks.min(most), most)
        };
        // What is there stays while it is needed, also when less will be needed by the time a start would take.
        let now = inputs.history.demand_over(60_000_000);
        let wanted = tasks(ahead).max(tasks(now).min(previous.tasks));
        let hold_us = shape.start_us + shape.least_paid_us;
        let held = self.hold.held(inputs.now_us, wanted, previous.tasks, hold_us);
        if wanted < held {
            return Plan::tasks(held, Why::Held);
        }
        let why = if wanted == previous.tasks { Why::Unchanged } else { Why::Forecast };
        Plan::tasks(wanted, why)
    }

    fn name(&self) -> &'static str {
        "last-value-newsvendor"
    }
}

/// The demand stays what it was, give or take what it changed by over such a time before.
#[derive(Debug, Clone, Default)]
struct LastValue {
    /// By how much, as a ratio's logarithm, demand changed over the horizon, lately.
    changes: VecDeque<f64>,
}

/// How many changes are remembered: with a look each 10 s, half an hour.
const CHANGES: usize = 180;

/// What is added to either side of a ratio, so that a demand near 0 does not make it endless: a tenth of a slot.
const SOFTEN: f64 = 0.1;

impl LastValue {
    /// Returns the busy slots to size for until `until_us`, at the quantile `q` of what is possible.
    fn demand(&mut self, inputs: &Inputs<'_>, until_us: u64, q: f64) -> f64 {
        let window = 60_000_000;
        let now = inputs.history.demand_over(window);
        let horizon = until_us.saturating_sub(inputs.now_us);
        let steps = (horizon / inputs.history.step_us()).max(1) as usize;
        let before = inputs.history.demand().rev().nth(steps);
        if let Some(before) = before {
            if self.changes.len() == CHANGES {
                self.changes.pop_front();
            }
            self.changes.push_back(((now + SOFTEN) / (before + SOFTEN)).ln());
        }
        if self.changes.is_empty() {
            return now;
        }
        let mut sorted: Vec<_> = self.changes.iter().copied().collect();
        let at = (q * (sorted.len() - 1) as f64).round() as usize;
        let (_, change, _) = sorted.select_nth_unstable_by(at, f64::total_cmp);
        // Erlang's formula adds what chance does within a step; only what the level does is forecast here.
        (now + SOFTEN).mul_add(change.exp(), -SOFTEN).max(0.0)
    }
}
