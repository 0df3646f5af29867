//! Task definitions: what a task runs, in revisions that never change.
//!
//! One container with one port a task. No image is pulled: `entryPoint` and `command` are a process of this machine.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use crate::{
    config::{self, Config, HealthCheck, Network},
    tasks::lock,
};

/// Most revisions kept, all families together (ECS: a million a family).
const REVISIONS_MAX: usize = 10_000;
/// From the decision to run a task to its process, where no service of the configuration says otherwise.
const START_LAG: Duration = Duration::from_secs(30);

/// One revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) arn: String,
    pub(crate) family: String,
    pub(crate) revision: usize,
    pub(crate) registered: SystemTime,
    pub(crate) content: Content,
    /// Of the configuration, not of ECS: a family keeps its lag.
    pub(crate) start_lag: Duration,
}

/// What a revision says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) network: Network,
    pub(crate) vcpu_milli: u32,
    pub(crate) memory_mib: u32,
    /// The container's name.
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) entry_point: Vec<String>,
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) port: u16,
    pub(crate) health_check: Option<HealthCheck>,
    pub(crate) stop_timeout: Duration,
}

/// All revisions of all families.
#[derive(Debug)]
pub(crate) struct Definitions {
    arn_prefix: String,
    families: Mutex<BTreeMap<String, Vec<Arc<Definition>>>>,
}

impl Definitions {
    pub(crate) fn new(config: &Config) -> Self {
        let arn_prefix =
            format!("arn:aws:ecs:{}:{}:task-definition", config.region, config.account);
        Self { arn_prefix, families: Mutex::default() }
    }

    /// Registers what a service of the configuration runs, as a revision of the family of its name.
    pub(crate) fn of_service(&self, family: &str, service: &config::Service) -> Arc<Definition> {
        let content = Content {
            network: service.network,
            vcpu_milli: service.vcpu_milli,
            memory_mib: service.memory,
            name: "app".into(),
            image: "local".into(),
            entry_point: Vec::new(),
            command: service.command.clone(),
            env: service.env.clone(),
            port: service.port,
            health_check: service.health_check.clone(),
            stop_timeout: service.stop_timeout,
        };
        let mut families = lock(&self.families);
        self.add(families.entry(family.to_owned()).or_default(), family, content, service.start_lag)
    }

    /// Registers a revision; `None` when there are too many.
    pub(crate) fn register(&self, family: &str, content: Content) -> Option<Arc<Definition>> {
        let mut families = lock(&self.families);
        if REVISIONS_MAX <= families.values().map(Vec::len).sum() {
            return None;
        }
        let revisions = families.entry(family.to_owned()).or_default();
        let start_lag = revisions.last().map_or(START_LAG, |last| last.start_lag);
        Some(self.add(revisions, family, content, start_lag))
    }

    fn add(
        &self,
        revisions: &mut Vec<Arc<Definition>>,
        family: &str,
        content: Content,
        start_lag: Duration,
    ) -> Arc<Definition> {
        let revision = revisions.len() + 1;
        let definition = Arc::new(Definition {
            arn: format!("{}/{family}:{revision}", self.arn_prefix),
            family: family.to_owned(),
            revision,
            registered: SystemTime::now(),
            content,
            start_lag,
        });
        revisions.push(definition.clone());
        definition
    }

    /// The revision of a family's name (its latest), of `family:revision`, or of an ARN.
    pub(crate) fn find(&self, asked: &str) -> Option<Arc<Definition>> {
        let families = lock(&self.families);
        match super::short(asked).split_once(':') {
            None => families.get(asked)?.last().cloned(),
            Some((family, revision)) => {
                let revision: usize = revision.parse().ok()?;
                families.get(family)?.get(revision.checked_sub(1)?).cloned()
            }
        }
    }

    /// All revisions, by family and number; of one family if one is given.
    pub(crate) fn list(&self, family: Option<&str>) -> Vec<Arc<Definition>> {
        let families = lock(&self.families);
        let wanted = families.iter().filter(|(name, _)| family.is_none_or(|f| f == *name));
        wanted.flat_map(|(_, revisions)| revisions.clone()).collect()
    }
}

impl Content {
    /// The command line of the process.
    pub(crate) fn command_line(&self) -> Vec<String> {
        self.entry_point.iter().chain(&self.command).cloned().collect()
    }
}
