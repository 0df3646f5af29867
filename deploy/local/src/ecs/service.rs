//! One service: keeps as many tasks as are desired, replaces those that die, and remembers those that are over.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tokio::sync::Notify;

use crate::{
    Shared,
    config::{self, Config},
    ecs::task::{Status, Task},
    tasks::lock,
};

/// How long a task that is over can be described: ECS says at least an hour. Divided by the time scale.
const STOPPED_KEPT: Duration = Duration::from_hours(1);
/// Most tasks that are over and kept.
const STOPPED_KEPT_MAX: usize = 200;
/// Delay of a replacement after one failure, doubled with each more, divided by the time scale: ECS throttles tasks
/// that keep failing, without saying how.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The longest and the shortest such delay; the shortest is real time, whatever the time scale.
const RETRY_DELAY_MAX: Duration = Duration::from_mins(1);
const RETRY_DELAY_MIN: Duration = Duration::from_millis(20);
/// A task that lived so long did not fail to start, and the next failure counts as the first again. Real time.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// One service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) cluster: String,
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) cluster_arn: String,
    pub(crate) task_definition: String,
    pub(crate) created: SystemTime,
    pub(crate) config: config::Service,
    task_arn_prefix: String,
    zones: Vec<String>,
    state: Mutex<ServiceState>,
    changed: Notify,
}

#[derive(Debug)]
struct ServiceState {
    desired: u32,
    updated: SystemTime,
    /// Living and dead, oldest first.
    tasks: Vec<Arc<Task>>,
    /// Tasks started so far: spreads them over zones.
    launched: usize,
    /// Tasks in a row that died young.
    failures: u32,
    /// Lifetime of tasks that are no longer kept.
    forgotten_ms: u64,
}

impl Service {
    pub(crate) fn new(
        config: &Config,
        cluster: &str,
        name: &str,
        service: &config::Service,
    ) -> Self {
        let arn = |kind: &str, rest: &str| {
            format!("arn:aws:ecs:{}:{}:{kind}/{rest}", config.region, config.account)
        };
        let mut zones = service.zones.clone();
        if zones.is_empty() {
            zones = ["a", "b", "c"].map(|zone| format!("{}{zone}", config.region)).into();
        }
        let created = SystemTime::now();
        Self {
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            arn: arn("service", &format!("{cluster}/{name}")),
            cluster_arn: arn("cluster", cluster),
            task_definition: arn("task-definition", &format!("{name}:1")),
            task_arn_prefix: arn("task", cluster),
            created,
            config: service.clone(),
            zones,
            state: Mutex::new(ServiceState {
                desired: service.desired,
                updated: created,
                tasks: Vec::new(),
                launched: 0,
                failures: 0,
                forgotten_ms: 0,
            }),
            changed: Notify::new(),
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

    /// Sets the desired count; tasks follow.
    pub(crate) fn set_desired(&self, desired: u32) {
        let mut state = lock(&self.state);
        state.desired = desired;
        state.updated = SystemTime::now();
        drop(state);
        tracing::info!(service = self.arn, desired, "desired count set");
        self.changed.notify_one();
    }

    /// Tasks running, and tasks on their way.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let tasks = self.tasks();
        let count = |is: fn(Status) -> bool| tasks.iter().filter(|t| is(t.status())).count();
        (count(|s| s == Status::Running), count(|s| s < Status::Running))
    }

    /// Lifetime of all tasks ever, in milliseconds.
    pub(crate) fn task_ms(&self) -> u64 {
        let state = lock(&self.state);
        state.forgotten_ms + state.tasks.iter().map(|t| t.lived_ms()).sum::<u64>()
    }

    /// Keeps the number of tasks at what is desired; runs as long as the cloud does.
    pub(crate) async fn keep(self: Arc<Self>, shared: Arc<Shared>) {
        loop {
            self.reconcile(&shared);
            self.changed.notified().await;
        }
    }

    /// Starts what is missing and stops what is too much.
    fn reconcile(self: &Arc<Self>, shared: &Arc<Shared>) {
        let mut state = lock(&self.state);
        state.forget(SystemTime::now() - shared.scale.shrink(STOPPED_KEPT));
        let wanted: Vec<Arc<Task>> =
            state.tasks.iter().filter(|t| t.is_wanted()).cloned().collect();
        let target = state.desired.min(self.config.max) as usize;
        for task in victims(&wanted, wanted.len().saturating_sub(target)) {
            task.stop();
        }
        for _ in wanted.len()..target {
            let zone = &self.zones[state.launched % self.zones.len()];
            let task = Arc::new(Task::new(&self.task_arn_prefix, zone));
            state.launched += 1;
            state.tasks.push(task.clone());
            let delay = retry_delay(state.failures, |nominal| shared.scale.shrink(nominal));
            shared.work.spawn(live(shared.clone(), self.clone(), task, delay));
        }
    }

    /// Notes the end of a task.
    fn ended(&self, task: &Task, by_order: bool) {
        let mut state = lock(&self.state);
        let young = task.lived_ms() < HEALTHY_AFTER.as_millis() as u64;
        state.failures = match (by_order, young) {
            (true, _) => state.failures,
            (false, true) => state.failures.saturating_add(1),
            (false, false) => 0,
        };
        drop(state);
        self.changed.notify_one();
    }
}

impl ServiceState {
    /// Forgets tasks that were over before `since`, and the oldest of too many.
    fn forget(&mut self, since: SystemTime) {
        let over = self.tasks.iter().filter(|t| t.status() == Status::Stopped).count();
        let mut excess = over.saturating_sub(STOPPED_KEPT_MAX);
        let forgotten_ms = &mut self.forgotten_ms;
        self.tasks.retain(|task| {
            let too_many = 0 < excess && task.status() == Status::Stopped;
            excess -= usize::from(too_many);
            let keep = !too_many && !task.was_over(since);
            *forgotten_ms += if keep { 0 } else { task.lived_ms() };
            keep
        });
    }
}

async fn live(shared: Arc<Shared>, service: Arc<Service>, task: Arc<Task>, delay: Duration) {
    let by_order = task.live(&shared, &service, delay).await;
    service.ended(&task, by_order);
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

/// Chooses `count` tasks to stop: those that do not run yet first, then from the fullest zone the newest, as ECS does.
fn victims(wanted: &[Arc<Task>], count: usize) -> Vec<Arc<Task>> {
    let mut left: Vec<&Arc<Task>> = wanted.iter().collect();
    let mut chosen = Vec::new();
    for _ in 0..count.min(wanted.len()) {
        let in_zone = |task: &Task| left.iter().filter(|other| other.zone == task.zone).count();
        // The last of equals is the newest.
        let choice =
            (0..left.len()).max_by_key(|&i| (left[i].status() < Status::Running, in_zone(left[i])));
        let Some(choice) = choice else { break };
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

    #[test]
    fn the_newest_task_of_the_fullest_zone_goes_first() {
        let task = |zone: &str| Arc::new(Task::new("arn:aws:ecs:r:1:task/c", zone));
        let tasks = [task("a"), task("b"), task("a"), task("c")];
        let chosen: Vec<String> = victims(&tasks, 2).iter().map(|t| t.id.clone()).collect();
        assert_eq!(chosen, [tasks[2].id.clone(), tasks[3].id.clone()]);
        assert_eq!(victims(&tasks, 9).len(), 4);
    }
}
