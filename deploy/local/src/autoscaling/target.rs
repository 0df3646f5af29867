//! One scalable target: the bounds of a service's desired count, and its scheduled actions.

use std::{collections::BTreeMap, time::SystemTime};

use tokio::time::Instant;

/// The bounds of one service.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `service/CLUSTER/SERVICE`.
    pub(crate) id: String,
    pub(crate) cluster: String,
    pub(crate) service: String,
    pub(crate) arn: String,
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) created: SystemTime,
    pub(crate) suspended: Suspended,
    /// By name.
    pub(crate) actions: BTreeMap<String, Action>,
    /// When the service is to be brought within the bounds again, because ECS would not take it.
    pub(super) retry_at: Option<Instant>,
}

/// What is suspended of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Suspended {
    pub(crate) dynamic_in: bool,
    pub(crate) dynamic_out: bool,
    pub(crate) scheduled: bool,
}

/// What changes a target's bounds once.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub(crate) arn: String,
    /// As it was put.
    pub(crate) schedule: String,
    pub(crate) timezone: Option<String>,
    pub(crate) at: SystemTime,
    pub(crate) min: Option<u32>,
    pub(crate) max: Option<u32>,
    pub(crate) created: SystemTime,
    /// When it acts; nothing once it has.
    pub(crate) due: Option<Instant>,
}

impl Target {
    pub(super) fn new(id: &str, (cluster, service): (&str, &str), arn: String) -> Self {
        Self {
            id: id.to_owned(),
            cluster: cluster.to_owned(),
            service: service.to_owned(),
            arn,
            min: 0,
            max: 0,
            created: SystemTime::now(),
            suspended: Suspended::default(),
            actions: BTreeMap::new(),
            retry_at: None,
        }
    }

    /// When something is to be done next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.actions.values().filter_map(|action| action.due).chain(self.retry_at).min()
    }

    /// Takes over the bounds of the actions that are due, in their order; tells whether there were any.
    ///
    /// An action of a target whose scheduled scaling is suspended is lost. So is one whose bounds do not fit the
    /// other bound of the target.
    pub(super) fn act(&mut self, now: Instant) -> bool {
        let mut due: Vec<(&String, &mut Action, Instant)> = self
            .actions
            .iter_mut()
            .filter_map(|(name, action)| {
                action.due.filter(|due| *due <= now).map(|d| (name, action, d))
            })
            .collect();
        due.sort_by_key(|(_, _, due)| *due);
        let mut acted = false;
        for (name, action, _) in due {
            action.due = None;
            let (min, max) = (action.min.unwrap_or(self.min), action.max.unwrap_or(self.max));
            if self.suspended.scheduled || max < min {
                let suspended = self.suspended.scheduled;
                tracing::warn!(
                    target = self.id,
                    action = name,
                    min,
                    max,
                    suspended,
                    "a scheduled action is lost"
                );
                continue;
            }
            (self.min, self.max) = (min, max);
            acted = true;
            tracing::info!(target = self.id, action = name, min, max, "a scheduled action acts");
        }
        acted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn action(due: Instant, min: Option<u32>, max: Option<u32>) -> Action {
        Action {
            arn: String::new(),
            schedule: String::new(),
            timezone: None,
            at: SystemTime::now(),
            min,
            max,
            created: SystemTime::now(),
            due: Some(due),
        }
    }

    #[test]
    fn due_actions_act_in_their_order_and_once() {
        let mut target = Target::new("service/c/s", ("c", "s"), String::new());
        target.max = 10;
        let now = Instant::now();
        let second = Duration::from_secs(1);
        target.actions.insert("a".into(), action(now + second, Some(5), None));
        target.actions.insert("b".into(), action(now, Some(3), None));
        target.actions.insert("later".into(), action(now + 9 * second, Some(7), None));
        assert!(!target.act(now - second));
        assert!(target.act(now + 2 * second));
        assert_eq!((target.min, target.max), (5, 10));
        assert!(!target.act(now + 2 * second), "each acts once");
        assert_eq!(target.due(), Some(now + 9 * second));
    }

    #[test]
    fn an_action_that_does_not_fit_or_is_suspended_is_lost() {
        let mut target = Target::new("service/c/s", ("c", "s"), String::new());
        (target.min, target.max) = (1, 4);
        let now = Instant::now();
        target.actions.insert("a".into(), action(now, Some(5), None));
        assert!(!target.act(now));
        target.suspended.scheduled = true;
        target.actions.insert("b".into(), action(now, Some(2), None));
        assert!(!target.act(now));
        assert_eq!((target.min, target.max, target.due()), (1, 4, None));
    }
}
