//! An SQS queue of the configuration.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{Cluster, NAME_RULE, Problems, is_name};
use crate::units;

/// An SQS queue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Clusters whose task state change events it is sent, as by a rule of EventBridge.
    #[serde(default)]
    pub task_events_of: Vec<String>,
    /// How long a message that was received and not deleted is hidden, up to 12 h. Real time.
    #[serde(default = "default_visibility_timeout", deserialize_with = "units::duration")]
    pub visibility_timeout: Duration,
}

fn default_visibility_timeout() -> Duration {
    Duration::from_secs(30)
}

impl Queue {
    pub(super) fn check(
        &self,
        name: &str,
        clusters: &BTreeMap<String, Cluster>,
        problems: &mut Problems,
    ) {
        let at = format!("queues.{name}");
        problems.unless(is_name(name), format!("{at}: {NAME_RULE}"));
        problems.unless(
            self.visibility_timeout <= Duration::from_hours(12),
            format!("{at}.visibility_timeout: {:?} is more than 12h", self.visibility_timeout),
        );
        for cluster in &self.task_events_of {
            problems.unless(
                clusters.contains_key(cluster),
                format!("{at}.task_events_of: there is no cluster `{cluster}`"),
            );
        }
    }
}
