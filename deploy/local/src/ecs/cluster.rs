//! One cluster: its services, and the tasks that belong to none.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tokio::sync::Notify;

use crate::{
    Shared,
    config::{self, Config},
    ecs::{
        definition::{Definition, Definitions},
        service::Service,
        strategy,
        task::{Origin, Place, Status, Task},
        topic::Topic,
    },
    sqs::Sqs,
    tasks::lock,
};

/// How long a task that is over can be described: ECS says at least an hour. Divided by the time scale.
pub(crate) const STOPPED_KEPT: Duration = Duration::from_hours(1);
/// Most tasks that are over and kept, of a service and of those that stand alone.
pub(crate) const STOPPED_KEPT_MAX: usize = 200;
/// Most tasks that stand alone and live: processes on one machine, not a cluster's quota.
const STANDALONE_MAX: usize = 100;

/// One cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) services: BTreeMap<String, Arc<Service>>,
    topic: Arc<Topic>,
    task_arn_prefix: String,
    zones: Vec<String>,
    standalone: Mutex<Standalone>,
}

#[derive(Debug, Default)]
struct Standalone {
    tasks: Vec<Arc<Task>>,
    /// Lifetime of tasks that are no longer kept, by group.
    forgotten: BTreeMap<String, Lifetimes>,
}

/// What a group of tasks has lived, and with how much: milliseconds, alone and times the tasks' sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    pub(crate) tasks: u64,
    pub(crate) spot_tasks: u64,
    pub(crate) vcpu_milli: u64,
    pub(crate) memory_mib: u64,
}

impl Lifetimes {
    /// Adds what `task` has lived.
    pub(crate) fn add(&mut self, task: &Task) {
        let ms = task.lived_ms();
        let spot = task.place.provider == Some(config::Provider::FargateSpot);
        self.tasks += ms;
        self.spot_tasks += if spot { ms } else { 0 };
        self.vcpu_milli += ms * u64::from(task.definition.content.vcpu_milli);
        self.memory_mib += ms * u64::from(task.definition.content.memory_mib);
    }
}

/// What RunTask asks for.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) definition: Arc<Definition>,
    pub(crate) count: usize,
    pub(crate) group: Option<String>,
    pub(crate) started_by: Option<String>,
    pub(crate) client_token: Option<String>,
    pub(crate) strategy: Vec<config::CapacityProvider>,
}

impl Cluster {
    pub(crate) fn new(
        config: &Config,
        name: &str,
        cluster: &config::Cluster,
        definitions: &Definitions,
        sqs: &Sqs,
    ) -> Self {
        let arn = |kind: &str, rest: &str| {
            format!("arn:aws:ecs:{}:{}:{kind}/{rest}", config.region, config.account)
        };
        let topic = Arc::new(Topic::new(config, name, sqs));
        let services = cluster.services.iter().map(|(service, s)| {
            let service_arn = arn("service", &format!("{name}/{service}"));
            let definition = definitions.of_service(service, s);
            let new = Service::new(config, (name, service), service_arn, s, definition, &topic);
            (service.clone(), Arc::new(new))
        });
        Self {
            services: services.collect(),
            name: name.to_owned(),
            arn: arn("cluster", name),
            topic,
            task_arn_prefix: arn("task", name),
            zones: zones(config, &[]),
            standalone: Mutex::default(),
        }
    }

    /// Whether tasks may run in `zone`.
    pub(crate) fn has_zone(&self, zone: &str) -> bool {
        let of_services = self.services.values().flat_map(|service| service.zones());
        of_services.chain(&self.zones).any(|there| there == zone)
    }

    /// All tasks, those that are over and kept included.
    pub(crate) fn tasks(&self) -> Vec<Arc<Task>> {
        let of_services = self.services.values().flat_map(|service| service.tasks());
        of_services.chain(self.standalone()).collect()
    }

    /// The tasks that belong to no service.
    pub(crate) fn standalone(&self) -> Vec<Arc<Task>> {
        lock(&self.standalone).tasks.clone()
    }

    /// The task of an ARN or id.
    pub(crate) fn task(&self, asked: &str) -> Option<Arc<Task>> {
        self.tasks().into_iter().find(|task| task.arn == asked || task.id == asked)
    }

    /// What tasks that stand alone have lived, by group.
    pub(crate) fn standalone_lifetimes(&self) -> BTreeMap<String, Lifetimes> {
        let standalone = lock(&self.standalone);
        let mut lifetimes = standalone.forgotten.clone();
        for task in &standalone.tasks {
            lifetimes.entry(task.origin.group.clone()).or_default().add(task);
        }
        lifetimes
    }

    /// Starts tasks that belong to no service. A client token that was used before gives the tasks of that time.
    ///
    /// # Errors
    /// When there is no room for so many.
    pub(crate) fn run(&self, shared: &Arc<Shared>, run: Run) -> Result<Vec<Arc<Task>>, ()> {
        let mut standalone = lock(&self.standalone);
        standalone.forget(SystemTime::now() - shared.scale.shrink(STOPPED_KEPT));
        if run.client_token.is_some() {
            let same =
                standalone.tasks.iter().filter(|t| t.origin.client_token == run.client_token);
            let same: Vec<_> = same.cloned().collect();
            if !same.is_empty() {
                return Ok(same);
            }
        }
        let living = standalone.tasks.iter().filter(|task| task.status() != Status::Stopped);
        if STANDALONE_MAX < living.count() + run.count {
            return Err(());
        }
        let down = shared.faults.zones_down();
        let zones: Vec<&String> = self.zones.iter().filter(|zone| !down.contains(*zone)).collect();
        if zones.is_empty() {
            return Err(());
        }
        let origin = Origin {
            cluster_arn: self.arn.clone(),
            group: run.group.unwrap_or_else(|| format!("family:{}", run.definition.family)),
            started_by: run.started_by,
            deployment: None,
            client_token: run.client_token,
        };
        let mut started: Vec<Arc<Task>> = Vec::with_capacity(run.count);
        for n in 0..run.count {
            let running: Vec<_> = started.iter().filter_map(|task| task.place.provider).collect();
            let place = Place {
                zone: zones[n % zones.len()].clone(),
                provider: strategy::next(&run.strategy, &running),
            };
            let task = Arc::new(Task::new(
                &self.task_arn_prefix,
                run.definition.clone(),
                origin.clone(),
                place,
                (self.topic.clone(), Arc::new(Notify::new())),
            ));
            let (living, shared_) = (task.clone(), shared.clone());
            let label = (self.name.clone(), run.definition.family.clone());
            shared.work.spawn(async move {
                living.live(&shared_, (&label.0, &label.1), Duration::ZERO).await;
            });
            started.push(task);
        }
        standalone.tasks.extend(started.iter().cloned());
        Ok(started)
    }
}

impl Standalone {
    /// Forgets tasks that were over before `since`, and the oldest of too many.
    fn forget(&mut self, since: SystemTime) {
        for task in forget(&mut self.tasks, since) {
            self.forgotten.entry(task.origin.group.clone()).or_default().add(&task);
        }
    }
}

/// Takes out of `tasks`, which are oldest first, those that were over before `since`, and the oldest of too many.
pub(crate) fn forget(tasks: &mut Vec<Arc<Task>>, since: SystemTime) -> Vec<Arc<Task>> {
    let over = tasks.iter().filter(|task| task.status() == Status::Stopped).count();
    let mut excess = over.saturating_sub(STOPPED_KEPT_MAX);
    tasks
        .extract_if(.., |task| {
            let too_many = 0 < excess && task.status() == Status::Stopped;
            excess -= usize::from(too_many);
            too_many || task.was_over(since)
        })
        .collect()
}

/// The zones tasks are spread over: those that are `configured`, or three of the region.
pub(crate) fn zones(config: &Config, configured: &[String]) -> Vec<String> {
    if !configured.is_empty() {
        return configured.to_vec();
    }
    ["a", "b", "c"].map(|zone| format!("{}{zone}", config.region)).into()
}
