//! ECS: clusters of services that keep a number of tasks running, tasks that stand alone, and the API that says so.
//!
//! A call of the API that neither the gateway nor whoever operates it makes is not here, and a parameter that would be
//! ignored is refused.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::{config::Config, sqs::Sqs, tasks::lock};

pub(crate) mod api;
pub(crate) mod cluster;
pub(crate) mod definition;
pub(crate) mod deployment;
mod health;
pub(crate) mod limits;
pub(crate) mod service;
mod shape;
mod strategy;
pub(crate) mod task;
mod topic;

use cluster::Cluster;
use definition::Definitions;
use limits::Limits;
use service::Service;
use task::Task;

/// All clusters of the account.
#[derive(Debug)]
pub(crate) struct Ecs {
    pub(crate) clusters: BTreeMap<String, Arc<Cluster>>,
    pub(crate) definitions: Definitions,
    pub(crate) limits: Limits,
    /// Calls of the API since the start, refused ones included.
    calls: Mutex<BTreeMap<String, u64>>,
}

impl Ecs {
    pub(crate) fn new(config: &Config, sqs: &Sqs) -> Self {
        let definitions = Definitions::new(config);
        let clusters = config.clusters.iter().map(|(name, cluster)| {
            let cluster = Cluster::new(config, name, cluster, &definitions, sqs);
            (name.clone(), Arc::new(cluster))
        });
        Self {
            clusters: clusters.collect(),
            definitions,
            limits: Limits::new(),
            calls: Mutex::default(),
        }
    }

    /// Every service, cluster by cluster.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.clusters.values().flat_map(|cluster| cluster.services.values())
    }

    /// The task of `arn`, wherever it runs.
    pub(crate) fn task(&self, arn: &str) -> Option<Arc<Task>> {
        self.clusters.values().find_map(|cluster| cluster.task(arn))
    }

    /// Counts a call.
    fn count(&self, call: &str) {
        *lock(&self.calls).entry(call.to_owned()).or_default() += 1;
    }

    /// How often each call was made.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        lock(&self.calls).clone()
    }
}

/// The name at the end of an ARN; a name is its own.
fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
