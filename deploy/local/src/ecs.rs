//! ECS: services that keep a number of tasks running, and the API that says so.
//!
//! A call of the API that the gateway does not make is not here, and a parameter that would be ignored is refused.

use std::{collections::BTreeMap, sync::Arc};

use crate::config::Config;

pub(crate) mod api;
pub(crate) mod service;
pub(crate) mod task;

use service::Service;

/// All clusters of the account.
#[derive(Debug)]
pub(crate) struct Ecs {
    /// Services by cluster and name.
    pub(crate) clusters: BTreeMap<String, BTreeMap<String, Arc<Service>>>,
}

impl Ecs {
    pub(crate) fn new(config: &Config) -> Self {
        let cluster = |(cluster, c): (&String, &crate::config::Cluster)| {
            let service =
                |(name, s)| (String::clone(name), Arc::new(Service::new(config, cluster, name, s)));
            (cluster.clone(), c.services.iter().map(service).collect())
        };
        Self { clusters: config.clusters.iter().map(cluster).collect() }
    }

    /// Every service, cluster by cluster.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.clusters.values().flat_map(BTreeMap::values)
    }

    /// Kills the process of the task `arn`; false when it has none.
    pub(crate) fn kill(&self, arn: &str) -> bool {
        self.services().flat_map(|s| s.tasks()).find(|t| t.arn == arn).is_some_and(|t| t.kill())
    }
}
