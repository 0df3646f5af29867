//! SQS: queues into which ECS tells how its tasks are, and the API that a gateway reads them with.
//!
//! Standard queues only: at least once, in no promised order, although here it is the order of sending. Nobody but the
//! cloud itself sends.

use std::{collections::BTreeMap, sync::Arc};

use crate::config::Config;

pub(crate) mod api;
pub(crate) mod queue;

use queue::Queue;

/// All queues of the account, by name.
#[derive(Debug)]
pub(crate) struct Sqs {
    pub(crate) queues: BTreeMap<String, Arc<Queue>>,
}

impl Sqs {
    pub(crate) fn new(config: &Config) -> Self {
        let queue = |(name, queue): (&String, &crate::config::Queue)| {
            (name.clone(), Arc::new(Queue::new(queue.visibility_timeout)))
        };
        Self { queues: config.queues.iter().map(queue).collect() }
    }
}
