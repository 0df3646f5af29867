//! Application Auto Scaling's target tracking on ECS, with its real reaction times.
//!
//! ECS reports utilisation once a minute, and the value of a minute is there about a minute after it. A target of 70 % makes
//! two alarms: above 70 % in three minutes out of three, and below 63 % (nine tenths of it) in 15 out of 15. Each of them
//! sets the count in proportion: `ceil(tasks x utilisation / target)`. After a step out or in, none in the same direction
//! follows for 300 s, the default cooldown; a step out may interrupt the pause of a step in. Sources: Application Auto
//! Scaling user guide, "Target tracking scaling policies"; Amazon ECS developer guide, "Service auto scaling".
//!
//! A floor (`MinCapacity`) may be raised by somebody else: that is how Pacer works beside it, and AWS's own predictive scaling.

use super::{Inputs, Plan, Planner, Routing, Why};

const MINUTE_US: u64 = 60_000_000;

/// Minutes above the target before it scales out, and below nine tenths of it before it scales in.
const OUT_MINUTES: u64 = 3;
const IN_MINUTES: u64 = 15;

/// How old the newest minute is when it is seen.
const DELAY_US: u64 = MINUTE_US;

/// Pause after a step, in either direction.
const COOLDOWN_US: u64 = 300_000_000;

/// Target tracking of slots in use.
#[derive(Debug, Clone)]
pub struct TargetTracking {
    target: f64,
    least: u32,
    out_at: Option<u64>,
    in_at: Option<u64>,
}

impl TargetTracking {
    /// Tracks `target`, a share of slots in use, such as 0.7.
    pub fn new(target: f64) -> Self {
        Self { target, least: 1, out_at: None, in_at: None }
    }

    /// Sets the floor below which it does not go.
    pub fn floor(&mut self, least: u32) {
        self.least = least;
    }
}

impl Planner for TargetTracking {
    fn plan(&mut self, inputs: &Inputs<'_>, previous: &Plan) -> Plan {
        let most = inputs.shape.max_tasks.max(1);
        let least = self.least.max(inputs.shape.min_tasks).clamp(1, most);
        let held = previous.tasks.clamp(least, most);
        let minute = |ago: u64| inputs.history.utilisation(MINUTE_US, DELAY_US + ago * MINUTE_US);
        let minutes = |count: u64, is: &dyn Fn(f64) -> bool| {
            (0..count).all(|ago| minute(ago).is_some_and(is))
        };
        let wanted = |used: f64| (f64::from(held) * used / self.target).ceil() as u32;
        let rested = |since: Option<u64>| since.is_none_or(|at| at + COOLDOWN_US <= inputs.now_us);
        let newest = minute(0).unwrap_or_default();
        if minutes(OUT_MINUTES, &|used| self.target < used) {
            let tasks = wanted(newest).clamp(held, most);
            if held < tasks && rested(self.out_at) {
                self.out_at = Some(inputs.now_us);
                return Plan::tasks(tasks, Why::TooBusy);
            }
        } else if minutes(IN_MINUTES, &|used| used < 0.9 * self.target) {
            let tasks = wanted(newest).clamp(least, held);
            if tasks < held && rested(self.in_at) && rested(self.out_at) {
                self.in_at = Some(inputs.now_us);
                return Plan::tasks(tasks, Why::TooIdle);
            }
        }
        Plan::tasks(held, Why::Unchanged)
    }

    fn every_us(&self) -> u64 {
        MINUTE_US
    }

    fn routing(&self) -> Routing {
        Routing::ContainerOnly
    }

    fn name(&self) -> &'static str {
        "target-tracking"
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{History, Shape},
        *,
    };

    #[test]
    fn a_floor_above_the_most_is_the_most() {
        let shape = Shape {
            slots_per_task: 1,
            break_even: 0.5,
            patience: 0.0,
            start_us: MINUTE_US,
            paid_start_us: 52_000_000,
            least_paid_us: MINUTE_US,
            min_tasks: 0,
            max_tasks: 5,
            warm: None,
            spot: None,
        };
        let history = History::new(MINUTE_US, 60);
        let inputs = Inputs {
            now_us: 0,
            history: &history,
            asked: 0.0,
            mean_service_us: 0.0,
            ready: 0,
            starting: 0,
            busy: 0,
            waiting: 0,
            shape: &shape,
            truth: None,
            lambda: crate::plan::OnLambda::default(),
        };
        let mut tracking = TargetTracking::new(0.7);
        tracking.floor(40);
        assert_eq!(tracking.plan(&inputs, &Plan::tasks(2, Why::Fixed)).tasks, 5);
    }
}
