//! One service: how many tasks of what it wants, and what the API is told of it.

use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use tokio::sync::Notify;

use crate::{
    config::{self, CapacityProvider, Config},
    ecs::{
        cluster::{Lifetimes, zones},
        definition::Definition,
        deployment::Deployment,
        task::{Status, Task},
        topic::Topic,
    },
    tasks::lock,
};

mod events;
mod groups;
mod keep;
mod retry;
mod stop;
mod zones;

pub(crate) use events::Event;
use events::Events;

/// One service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) cluster: String,
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) cluster_arn: String,
    pub(crate) created: SystemTime,
    pub(crate) config: config::Service,
    task_arn_prefix: String,
    zones: Vec<String>,
    topic: Arc<Topic>,
    state: Mutex<ServiceState>,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct ServiceState {
    desired: u32,
    updated: SystemTime,
    /// Shares of the desired count during a deployment, in percent.
    minimum_healthy: u32,
    maximum: u32,
    /// The newest first; older ones as long as they have tasks.
    deployments: Vec<Deployment>,
    events: Events,
    /// Whether it was as it should be when it last looked.
    steady: bool,
    /// Living and dead, oldest first.
    tasks: Vec<Arc<Task>>,
    /// Tasks in a row that died young.
    failures: u32,
    /// Lifetime of tasks that are no longer kept.
    forgotten: Lifetimes,
}

/// What UpdateService changes.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) desired: Option<u32>,
    pub(crate) minimum_healthy: Option<u32>,
    pub(crate) maximum: Option<u32>,
    /// Any of these makes a new deployment.
    pub(crate) definition: Option<Arc<Definition>>,
    pub(crate) strategy: Option<Vec<CapacityProvider>>,
    pub(crate) force: bool,
}

/// Tasks of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) wanted: usize,
    pub(crate) running: usize,
    pub(crate) pending: usize,
}

impl Service {
    pub(crate) fn new(
        config: &Config,
        (cluster, name): (&str, &str),
        arn: String,
        service: &config::Service,
        definition: Arc<Definition>,
        topic: &Arc<Topic>,
    ) -> Self {
        let created = SystemTime::now();
        let of = |kind: &str| {
            format!("arn:aws:ecs:{}:{}:{kind}/{cluster}", config.region, config.account)
        };
        Self {
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            arn,
            cluster_arn: of("cluster"),
            task_arn_prefix: of("task"),
            created,
            config: service.clone(),
            zones: zones(config, &service.zones),
            topic: topic.clone(),
            state: Mutex::new(ServiceState {
                desired: service.desired,
                updated: created,
                minimum_healthy: service.minimum_healthy_percent,
                maximum: service.maximum_percent,
                deployments: vec![Deployment::new(definition, service.capacity_providers.clone())],
                events: Events::default(),
                steady: false,
                tasks: Vec::new(),
                failures: 0,
                forgotten: Lifetimes::default(),
            }),
            changed: Arc::new(Notify::new()),
        }
    }

    /// All tasks, also those that are over and kept.
    pub(crate) fn tasks(&self) -> Vec<Arc<Task>> {
        lock(&self.state).tasks.clone()
    }

    /// Availability zones that its tasks are spread over.
    pub(crate) fn zones(&self) -> &[String] {
        &self.zones
    }

    /// What it has done lately, the newest first.
    pub(crate) fn events(&self) -> Vec<Event> {
        lock(&self.state).events.all()
    }

    /// Has it look again at what runs.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Desired count, and when it was last set.
    pub(crate) fn desired(&self) -> (u32, SystemTime) {
        let state = lock(&self.state);
        (state.desired, state.updated)
    }

    /// Minimum healthy and maximum percent.
    pub(crate) fn percentages(&self) -> (u32, u32) {
        let state = lock(&self.state);
        (state.minimum_healthy, state.maximum)
    }

    /// Its deployments, the newest first, and their tasks.
    pub(crate) fn deployments(&self) -> Vec<(Deployment, Counts)> {
        let state = lock(&self.state);
        let counted = state.deployments.iter().map(|d| (d.clone(), state.counts(&d.id)));
        counted.collect()
    }

    /// Changes what is wanted; tasks follow. All of it or, if the percentages together make no sense, nothing.
    ///
    /// # Errors
    /// When a deployment could never take a step.
    pub(crate) fn update(&self, update: Update) -> Result<(), String> {
        let mut state = lock(&self.state);
        let minimum_healthy = update.minimum_healthy.unwrap_or(state.minimum_healthy);
        let maximum = update.maximum.unwrap_or(state.maximum);
        if 100 < minimum_healthy || !(100..=200).contains(&maximum) || maximum <= minimum_healthy {
            return Err(format!(
                "minimumHealthyPercent {minimum_healthy} (0 to 100) and maximumPercent {maximum} (100 to 200, and above the minimum) do not fit"
            ));
        }
        (state.minimum_healthy, state.maximum) = (minimum_healthy, maximum);
        if let Some(desired) = update.desired {
            state.desired = desired;
            tracing::info!(service = self.arn, desired, "desired count set");
        }
        state.updated = SystemTime::now();
        let newest = &state.deployments[0];
        let another = update.definition.as_ref().is_some_and(|d| d.arn != newest.definition.arn);
        if another || update.force {
            let definition = update.definition.unwrap_or_else(|| newest.definition.clone());
            let strategy = update.strategy.unwrap_or_else(|| newest.strategy.clone());
            let deployment = Deployment::new(definition, strategy);
            tracing::info!(service = self.arn, deployment = deployment.id, "a deployment begins");
            state.deployments.insert(0, deployment);
            state.failures = 0;
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Tasks running, and tasks on their way.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let tasks = self.tasks();
        let count = |is: fn(Status) -> bool| tasks.iter().filter(|t| is(t.status())).count();
        (count(|s| s == Status::Running), count(|s| s < Status::Running))
    }

    /// What all tasks ever have lived.
    pub(crate) fn lifetimes(&self) -> Lifetimes {
        let state = lock(&self.state);
        let mut lifetimes = state.forgotten;
        state.tasks.iter().for_each(|task| lifetimes.add(task));
        lifetimes
    }
}

impl ServiceState {
    fn counts(&self, deployment: &str) -> Counts {
        let mut counts = Counts::default();
        let of_it = |task: &&Arc<Task>| task.origin.deployment.as_deref() == Some(deployment);
        for task in self.tasks.iter().filter(of_it) {
            counts.wanted += usize::from(task.is_wanted());
            counts.running += usize::from(task.status() == Status::Running);
            counts.pending += usize::from(task.status() < Status::Running);
        }
        counts
    }
}
