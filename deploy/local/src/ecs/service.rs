//! One service: keeps as many tasks as are desired, replaces those that die or fall ill, rolls out deployments, and
//! remembers tasks that are over.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    Shared, clock,
    config::{self, CapacityProvider, Config, Provider},
    ecs::{
        cluster::{Lifetimes, STOPPED_KEPT, forget, zones},
        definition::Definition,
        deployment::{Deployment, Standing, Step},
        strategy,
        task::{Health, Origin, Place, Status, Task},
        topic::Topic,
    },
    tasks::lock,
};

/// Delay of a replacement after one failure, doubled with each more, divided by the time scale: ECS throttles tasks
/// that keep failing, without saying how.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The longest and the shortest such delay; the shortest is real time, whatever the time scale.
const RETRY_DELAY_MAX: Duration = Duration::from_mins(1);
const RETRY_DELAY_MIN: Duration = Duration::from_millis(20);
/// A task that lived so long did not fail to start, and the next failure counts as the first again. Real time.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// How often a service with protected tasks looks whether one's protection is over, at the least.
const PROTECTION_MAX: Duration = Duration::from_hours(48);

/// Stop code of a task that its service no longer wants.
const SCHEDULER: &str = "ServiceSchedulerInitiated";

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
    /// Living and dead, oldest first.
    tasks: Vec<Arc<Task>>,
    /// Tasks started so far: spreads them over zones.
    launched: usize,
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
                deployments: vec![new_deployment(definition, service.capacity_providers.clone())],
                tasks: Vec::new(),
                launched: 0,
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
            let deployment = new_deployment(definition, strategy);
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

    /// Keeps the tasks as they are wanted; runs as long as the cloud does.
    pub(crate) async fn keep(self: Arc<Self>, shared: Arc<Shared>) {
        loop {
            let protected_until = self.reconcile(&shared, Instant::now());
            let look_again = protected_until.unwrap_or_else(|| Instant::now() + PROTECTION_MAX);
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(look_again) => {}
            }
        }
    }

    /// Starts what is missing and stops what is too much. Returns when the next protection of a task ends.
    fn reconcile(self: &Arc<Self>, shared: &Arc<Shared>, now: Instant) -> Option<Instant> {
        let mut state = lock(&self.state);
        let state = &mut *state;
        for task in forget(&mut state.tasks, SystemTime::now() - shared.scale.shrink(STOPPED_KEPT))
        {
            state.forgotten.add(&task);
        }
        let wanted: Vec<Arc<Task>> =
            state.tasks.iter().filter(|t| t.is_wanted()).cloned().collect();
        let newest = state.deployments[0].id.clone();
        let groups = Groups::of(&wanted, &newest);
        let desired = state.desired.min(self.config.max) as usize;
        let standing = groups.standing(desired, state);
        let step = standing.step();
        stop(&groups, step, state, now);
        let running: Vec<Provider> =
            groups.current.iter().filter_map(|task| task.place.provider).collect();
        self.start(step.start, running, state, shared);
        let mut older = state.deployments.split_off(1);
        older.retain(|deployment| {
            let of_it = |task: &&Arc<Task>| task.origin.deployment.as_ref() == Some(&deployment.id);
            state.tasks.iter().filter(of_it).any(|task| task.status() != Status::Stopped)
        });
        let replaced = older.is_empty() && groups.unhealthy.is_empty();
        state.deployments.append(&mut older);
        let primary = &mut state.deployments[0];
        if !primary.completed && replaced && standing.desired <= standing.current_healthy {
            primary.completed = true;
            primary.updated = SystemTime::now();
        }
        wanted.iter().filter_map(|task| task.protected_until(now)).map(|(until, _)| until).min()
    }

    fn start(
        self: &Arc<Self>,
        count: usize,
        mut running: Vec<Provider>,
        state: &mut ServiceState,
        shared: &Arc<Shared>,
    ) {
        let deployment = state.deployments[0].clone();
        for _ in 0..count {
            let provider = strategy::next(&deployment.strategy, &running);
            running.extend(provider);
            let zone = self.zones[state.launched % self.zones.len()].clone();
            let origin = Origin {
                cluster_arn: self.cluster_arn.clone(),
                group: format!("service:{}", self.name),
                started_by: Some(deployment.id.clone()),
                deployment: Some(deployment.id.clone()),
                client_token: None,
            };
            let task = Arc::new(Task::new(
                &self.task_arn_prefix,
                deployment.definition.clone(),
                origin,
                Place { zone, provider },
                (self.topic.clone(), self.changed.clone()),
            ));
            state.launched += 1;
            state.tasks.push(task.clone());
            let delay = retry_delay(state.failures, |nominal| shared.scale.shrink(nominal));
            shared.work.spawn(live(shared.clone(), self.clone(), task, delay));
        }
    }

    /// Notes the end of a task.
    fn ended(&self, task: &Task) {
        let mut state = lock(&self.state);
        if task.failed() {
            let young = task.lived_ms() < HEALTHY_AFTER.as_millis() as u64;
            state.failures = if young { state.failures.saturating_add(1) } else { 0 };
            let of_it = |d: &&mut Deployment| Some(&d.id) == task.origin.deployment.as_ref();
            if let Some(deployment) = state.deployments.iter_mut().find(of_it) {
                deployment.failed += 1;
            }
        }
        drop(state);
        self.changed.notify_one();
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

/// Wanted tasks by what becomes of them.
#[derive(Debug, Default)]
struct Groups {
    current: Vec<Arc<Task>>,
    old_healthy: Vec<Arc<Task>>,
    old_pending: Vec<Arc<Task>>,
    unhealthy: Vec<Arc<Task>>,
}

impl Groups {
    fn of(wanted: &[Arc<Task>], newest: &str) -> Self {
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

    fn standing(&self, desired: usize, state: &ServiceState) -> Standing {
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

/// Stops what the step says, but for what is protected.
fn stop(groups: &Groups, step: Step, state: &ServiceState, now: Instant) {
    let newest = &state.deployments[0];
    let spared = |task: &&Arc<Task>| task.protected_until(now).is_none();
    let unprotected =
        |tasks: &[Arc<Task>]| tasks.iter().filter(spared).cloned().collect::<Vec<_>>();
    let scaled_in = victims(&unprotected(&groups.current), step.surplus, &newest.strategy);
    for task in scaled_in {
        let reason = format!("Scaling activity initiated by (deployment {})", newest.id);
        task.stop(SCHEDULER, &reason);
    }
    let retired = victims(&unprotected(&groups.old_healthy), step.retire, &[]);
    for task in unprotected(&groups.old_pending).into_iter().chain(retired) {
        let by = task.origin.deployment.as_deref().unwrap_or_default();
        task.stop(SCHEDULER, &format!("Scaling activity initiated by (deployment {by})"));
    }
    for task in groups.unhealthy.iter().take(step.replace) {
        task.stop(SCHEDULER, "Task failed container health checks");
    }
}

async fn live(shared: Arc<Shared>, service: Arc<Service>, task: Arc<Task>, delay: Duration) {
    task.live(&shared, (&service.cluster, &service.name), delay).await;
    service.ended(&task);
}

fn new_deployment(definition: Arc<Definition>, strategy: Vec<CapacityProvider>) -> Deployment {
    // 19 digits, as ECS numbers them.
    let number = u128::from_str_radix(&clock::random_hex(), 16).unwrap_or_default();
    let now = SystemTime::now();
    Deployment {
        id: format!("ecs-svc/{:019}", number % 10_u128.pow(19)),
        definition,
        strategy,
        created: now,
        updated: now,
        completed: false,
        failed: 0,
    }
}

/// How long the next task is held back after `failures` in a row: `1 s x 2^(failures - 1)`, so 4 s after three.
fn retry_delay(failures: u32, shrink: impl Fn(Duration) -> Duration) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    // 2^6 s is above the longest delay.
    let nominal = RETRY_DELAY * (1 << (failures - 1).min(6));
    shrink(nominal.min(RETRY_DELAY_MAX)).max(RETRY_DELAY_MIN)
}

/// Chooses `count` tasks to stop: those that do not run yet first, then of the provider that has most above its share, and
/// from the fullest zone the newest, as ECS does.
fn victims(wanted: &[Arc<Task>], count: usize, strategy: &[CapacityProvider]) -> Vec<Arc<Task>> {
    let mut left: Vec<&Arc<Task>> = wanted.iter().collect();
    let mut chosen = Vec::new();
    for _ in 0..count.min(wanted.len()) {
        let providers: Vec<Provider> = left.iter().filter_map(|task| task.place.provider).collect();
        let rank = |task: &Task| {
            let excess = strategy::excess(strategy, task.place.provider, &providers);
            let in_zone = left.iter().filter(|other| other.place.zone == task.place.zone).count();
            (task.status() < Status::Running, excess, in_zone)
        };
        let order = |&a: &usize, &b: &usize| {
            let (a, b) = (rank(left[a]), rank(left[b]));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
        };
        // The last of equals is the newest.
        let Some(choice) = (0..left.len()).max_by(order) else { break };
        chosen.push(left.remove(choice).clone());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_slow_down_as_tasks_keep_dying() {
        let delay =
            |failures, scale: u32| retry_delay(failures, |nominal| nominal / scale).as_millis();
        assert_eq!((delay(0, 1), delay(1, 1), delay(3, 1), delay(99, 1)), (0, 1000, 4000, 60_000));
        assert_eq!(delay(1, 1000), 20);
    }

    fn task(zone: &str, provider: Option<Provider>) -> Arc<Task> {
        let config = Config::new();
        let definitions = crate::ecs::definition::Definitions::new(&config);
        let definition = definitions.of_service("web", &config::Service::new(vec!["app".into()]));
        let topic = Topic::new(&config, "c", &crate::sqs::Sqs::new(&config));
        let place = Place { zone: zone.into(), provider };
        let keeper = (Arc::new(topic), Arc::new(Notify::new()));
        Arc::new(Task::new("arn:aws:ecs:r:1:task/c", definition, Origin::default(), place, keeper))
    }

    #[test]
    fn the_newest_task_of_the_fullest_zone_goes_first() {
        let tasks = ["a", "b", "a", "c"].map(|zone| task(zone, None));
        let chosen: Vec<String> = victims(&tasks, 2, &[]).iter().map(|t| t.id.clone()).collect();
        assert_eq!(chosen, [tasks[2].id.clone(), tasks[3].id.clone()]);
        assert_eq!(victims(&tasks, 9, &[]).len(), 4);
    }

    #[test]
    fn a_provider_above_its_share_gives_up_a_task_first() {
        use Provider::{Fargate, FargateSpot};
        let strategy = [
            CapacityProvider { provider: Fargate, base: 1, weight: 1 },
            CapacityProvider { provider: FargateSpot, base: 0, weight: 1 },
        ];
        let tasks = [Fargate, FargateSpot, Fargate].map(|provider| task("a", Some(provider)));
        let chosen = victims(&tasks, 3, &strategy);
        let providers: Vec<_> = chosen.iter().map(|task| task.place.provider.unwrap()).collect();
        assert_eq!(providers, [Fargate, FargateSpot, Fargate]);
    }
}
