//! What may be asked for within the hour, for who warns: forecasts, and what was announced.

use super::{Pacer, Sight, number};
use crate::{
    plan::{Inputs, basis::quantile, event},
    radar::{Ahead, HORIZON_S},
};

/// How far ahead it is told, in seconds, beside when a task asked for now could serve.
const AHEAD_S: [u64; 5] = [300, 600, 1_200, 2_400, 3_600];

impl<S: Sight> Pacer<S> {
    /// Returns what may be asked for from now on, in order of time: as it was over the last minute, when a task that is asked
    /// for now could serve, and further ahead; and on both sides of the moments in which something announced begins.
    pub fn outlook(&self, inputs: &Inputs<'_>) -> Vec<Ahead> {
        let now = number(inputs.history.demand_over(60_000_000));
        let mut moments: Vec<u64> =
            AHEAD_S.into_iter().chain([inputs.shape.start_us / 1_000_000]).collect();
        for event in &self.events {
            let in_s = event.from_us.saturating_sub(inputs.now_us) / 1_000_000;
            if 1 < in_s && in_s <= HORIZON_S as u64 {
                moments.extend([in_s - 1, in_s]);
            }
        }
        moments.retain(|in_s| (1..=HORIZON_S as u64).contains(in_s));
        moments.sort_unstable();
        moments.dedup();
        let first = Ahead { in_s: 0.0, expected: now, p90: now };
        let later = moments.into_iter().map(|in_s| self.ahead(inputs, now, in_s));
        [first].into_iter().chain(later).collect()
    }

    fn ahead(&self, inputs: &Inputs<'_>, now: f64, in_s: u64) -> Ahead {
        let at_us = inputs.now_us.saturating_add(in_s * 1_000_000);
        let mut demands = self.sight.outlook(inputs, in_s).unwrap_or_default();
        let runs = |at_us: u64| event::any(&self.events, at_us, at_us.saturating_add(1));
        if demands.is_empty() {
            // Where nothing is forecast it stays as it is; and as in a plan, what comes in an event has its part of it.
            let event = runs(at_us) && runs(inputs.now_us);
            demands.push((if event { 0.0 } else { now }, 1.0));
        }
        for (demand, _) in &mut demands {
            *demand = number(*demand);
        }
        event::apply(&self.events, at_us, number(inputs.mean_service_us), &mut demands);
        let expected = demands.iter().map(|(demand, share)| demand * share).sum();
        Ahead { in_s: in_s as f64, expected, p90: quantile(&demands, 0.9) }
    }
}

#[cfg(test)]
mod tests {
    use policies::policy::Expect;

    use super::*;
    use crate::plan::{Event, History, KnownAhead, OnLambda, Shape};

    const SHAPE: Shape = Shape {
        slots_per_task: 4,
        break_even: 0.3,
        patience: 0.0,
        start_us: 80_000_000,
        paid_start_us: 60_000_000,
        least_paid_us: 60_000_000,
        min_tasks: 0,
        max_tasks: 40,
        warm: None,
        spot: None,
    };

    #[test]
    fn an_announced_crowd_is_seen_before_anything_was_learned() {
        let mut history = History::new(10_000_000, 6);
        (0..6).for_each(|_| history.push(3.0, 3.0, 8.0));
        let inputs = Inputs {
            now_us: 1_000_000_000,
            history: &history,
            asked: 30.0,
            mean_service_us: 1e6,
            ready: 2,
            starting: 0,
            busy: 3,
            waiting: 0,
            lambda: OnLambda::default(),
            shape: &SHAPE,
            truth: None,
        };
        let mut planner = Pacer::new(KnownAhead);
        let seen = |planner: &Pacer<KnownAhead>| -> Vec<_> {
            let outlook = planner.outlook(&inputs);
            outlook.iter().map(|ahead| (ahead.in_s as u64, ahead.p90 as u64)).collect()
        };
        // Nothing is forecast: it stays as it is.
        let even = [0, 80, 300, 600, 1_200, 2_400, 3_600].map(|in_s| (in_s, 3));
        assert_eq!(seen(&planner), even);
        let from_us = inputs.now_us + 900_000_000;
        planner.set_events(vec![Event {
            from_us,
            until_us: from_us + 600_000_000,
            expect: Expect::Times(4.0),
        }]);
        let crowd = [(600, 3), (899, 3), (900, 12), (1_200, 12), (2_400, 3)];
        assert_eq!(seen(&planner)[3..8], crowd);
    }
}
