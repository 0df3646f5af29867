//! Task state change events, as EventBridge delivers them to the queues of its rules.
//!
//! "Amazon ECS task state change events", ECS developer guide, read 2026-11: the detail is the task as DescribeTasks shows
//! it, with times written out; each change comes with a higher `version`.

use std::{sync::Arc, time::SystemTime};

use serde_json::{Value, json};

use crate::{clock, config::Config, sqs::Sqs, sqs::queue::Queue};

/// Where the events of one cluster go.
#[derive(Debug)]
pub(crate) struct Topic {
    region: String,
    account: String,
    queues: Vec<Arc<Queue>>,
}

impl Topic {
    pub(crate) fn new(config: &Config, cluster: &str, sqs: &Sqs) -> Self {
        let wanted = config
            .queues
            .iter()
            .filter(|(_, queue)| queue.task_events_of.iter().any(|of| of == cluster));
        Self {
            region: config.region.clone(),
            account: config.account.clone(),
            queues: wanted.filter_map(|(name, _)| sqs.queues.get(name).cloned()).collect(),
        }
    }

    /// Tells of a change of the task `arn`, which `detail` describes.
    pub(crate) fn tell(&self, arn: &str, detail: impl FnOnce() -> Value) {
        if self.queues.is_empty() {
            return;
        }
        let event = json!({
            "version": "0",
            "id": clock::request_id(),
            "detail-type": "ECS Task State Change",
            "source": "aws.ecs",
            "account": self.account,
            "time": clock::timestamp(SystemTime::now()),
            "region": self.region,
            "resources": [arn],
            "detail": detail(),
        });
        let event = event.to_string();
        self.queues.iter().for_each(|queue| queue.send(event.clone()));
    }
}
