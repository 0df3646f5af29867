//! A deployment of a service, and how the next one takes over from those before: how many tasks may start and stop now.
//!
//! Rolling updates as ECS documents them (developer guide, "Deploy Amazon ECS services by replacing tasks"): never more
//! wanted tasks than `maximumPercent` of the desired count, rounded down, and never fewer healthy ones than
//! `minimumHealthyPercent`, rounded up.

use std::{sync::Arc, time::SystemTime};

use crate::{clock, config::CapacityProvider, ecs::definition::Definition};

/// One deployment: what tasks started from now on run, and where.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    /// `ecs-svc/` and 19 digits.
    pub(crate) id: String,
    pub(crate) definition: Arc<Definition>,
    pub(crate) strategy: Vec<CapacityProvider>,
    pub(crate) created: SystemTime,
    pub(crate) updated: SystemTime,
    /// Every task was of it and healthy once.
    pub(crate) completed: bool,
    /// Tasks that did not start, or ended by themselves.
    pub(crate) failed: usize,
}

impl Deployment {
    /// One that begins now.
    pub(crate) fn new(definition: Arc<Definition>, strategy: Vec<CapacityProvider>) -> Self {
        // 19 digits, as ECS numbers them.
        let number = u128::from_str_radix(&clock::random_hex(), 16).unwrap_or_default();
        let now = SystemTime::now();
        Self {
            id: format!("ecs-svc/{:019}", number % 10_u128.pow(19)),
            definition,
            strategy,
            created: now,
            updated: now,
            completed: false,
            failed: 0,
        }
    }
}

/// What there is of a service's wanted tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) desired: usize,
    /// Shares of `desired`, in percent.
    pub(crate) minimum_healthy: usize,
    pub(crate) maximum: usize,
    /// Tasks of the newest deployment that are not unhealthy, and those of them that are healthy.
    pub(crate) current: usize,
    pub(crate) current_healthy: usize,
    /// Tasks of older deployments that are healthy.
    pub(crate) old_healthy: usize,
    /// Tasks of any deployment that became unhealthy.
    pub(crate) unhealthy: usize,
}

/// What may be done now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Tasks to start.
    pub(crate) start: usize,
    /// Tasks of the newest deployment that are too many.
    pub(crate) surplus: usize,
    /// Healthy tasks of older deployments to stop; those that are not healthy yet can always go.
    pub(crate) retire: usize,
    /// Unhealthy tasks to stop.
    pub(crate) replace: usize,
}

impl Standing {
    /// The next step; nothing, when all is as it should be, or must wait for a task.
    pub(crate) fn step(self) -> Step {
        let upper = self.desired * self.maximum / 100;
        let lower = (self.desired * self.minimum_healthy).div_ceil(100);
        // Old tasks that are not healthy yet are stopped at once and take no room.
        let others = self.old_healthy + self.unhealthy;
        let missing = self.desired.saturating_sub(self.current);
        let room = upper.saturating_sub(self.current + others);
        let healthy = self.current_healthy.min(self.desired) + self.old_healthy;
        let in_place = self.desired <= self.current_healthy;
        Step {
            start: missing.min(room),
            surplus: self.current.saturating_sub(self.desired),
            retire: healthy.saturating_sub(lower).min(self.old_healthy),
            // An unhealthy task is replaced before it is stopped, unless there is no room for both.
            replace: if in_place || (0 < missing && room == 0) { self.unhealthy } else { 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(desired: usize, minimum_healthy: usize, maximum: usize) -> Standing {
        Standing { desired, minimum_healthy, maximum, ..Standing::default() }
    }

    /// Plays a whole deployment of `desired` tasks; returns the fewest healthy and the most wanted tasks on the way.
    fn roll(desired: usize, minimum_healthy: usize, maximum: usize) -> (usize, usize) {
        let mut now =
            Standing { old_healthy: desired, ..standing(desired, minimum_healthy, maximum) };
        let (mut fewest, mut most) = (desired, desired);
        for _ in 0..100 {
            let step = now.step();
            now.current += step.start;
            now.old_healthy -= step.retire;
            most = most.max(now.current + now.old_healthy);
            fewest = fewest.min(now.current_healthy + now.old_healthy);
            if step == Step::default() && now.current_healthy < now.current {
                now.current_healthy += 1;
            }
        }
        assert_eq!((now.current_healthy, now.old_healthy), (desired, 0), "{now:?}");
        (fewest, most)
    }

    #[test]
    fn a_deployment_stays_within_its_percentages() {
        assert_eq!(roll(4, 100, 200), (4, 8));
        assert_eq!(roll(1, 100, 200), (1, 2));
        assert_eq!(roll(4, 50, 100), (2, 4));
        assert_eq!(roll(10, 90, 110), (9, 11));
        assert_eq!(roll(1, 0, 100), (0, 1));
    }

    #[test]
    fn what_is_missing_starts_and_what_is_too_much_stops() {
        let all = standing(3, 100, 200);
        assert_eq!(all.step(), Step { start: 3, ..Step::default() });
        let many = Standing { current: 5, current_healthy: 5, ..all };
        assert_eq!(many.step(), Step { surplus: 2, ..Step::default() });
        let none = Standing { old_healthy: 3, ..standing(0, 100, 200) };
        assert_eq!(none.step(), Step { retire: 3, ..Step::default() });
    }

    #[test]
    fn an_unhealthy_task_is_replaced_before_it_is_stopped_if_there_is_room() {
        let ill =
            Standing { current: 1, current_healthy: 1, unhealthy: 1, ..standing(2, 100, 200) };
        assert_eq!(ill.step(), Step { start: 1, ..Step::default() });
        let replaced = Standing { current: 2, current_healthy: 2, ..ill };
        assert_eq!(replaced.step(), Step { replace: 1, ..Step::default() });
        let full = Standing { maximum: 100, minimum_healthy: 50, ..ill };
        assert_eq!(full.step(), Step { replace: 1, ..Step::default() });
    }
}
