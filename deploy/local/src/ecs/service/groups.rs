//! A service's wanted tasks, by what becomes of them.

use std::sync::Arc;

use super::ServiceState;
use crate::ecs::{
    deployment::Standing,
    task::{Health, Task},
};

/// Wanted tasks by what becomes of them.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) current: Vec<Arc<Task>>,
    pub(super) old_healthy: Vec<Arc<Task>>,
    pub(super) old_pending: Vec<Arc<Task>>,
    pub(super) unhealthy: Vec<Arc<Task>>,
}

impl Groups {
    pub(super) fn of(wanted: &[Arc<Task>], newest: &str) -> Self {
        let mut groups = Self::default();
        for task in wanted {
            let group = if task.state().health == Health::Unhealthy {
                &mut groups.unhealthy
            } else if task.origin.deployment.as_deref() == Some(newest) {
                &mut groups.current
            } else if task.is_healthy() {
                &mut groups.old_healthy
            } else {
                &mut groups.old_pending
            };
            group.push(task.clone());
        }
        groups
    }

    pub(super) fn standing(&self, desired: usize, state: &ServiceState) -> Standing {
        Standing {
            desired,
            minimum_healthy: state.minimum_healthy as usize,
            maximum: state.maximum as usize,
            current: self.current.len(),
            current_healthy: self.current.iter().filter(|task| task.is_healthy()).count(),
            old_healthy: self.old_healthy.len(),
            unhealthy: self.unhealthy.len(),
        }
    }
}
