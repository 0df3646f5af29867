//! Keeps as many tasks as are desired: replaces those that die or fall ill, rolls out deployments, and forgets tasks that
//! have long been over.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{Service, ServiceState, groups::Groups, retry, stop::stop, zones};
use crate::{
    Shared,
    config::Provider,
    ecs::{
        cluster::{STOPPED_KEPT, forget},
        deployment::Deployment,
        strategy,
        task::{Origin, Place, Status, Task},
    },
    tasks::lock,
};

/// A task that lived so long did not fail to start, and the next failure counts as the first again. Real time.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// How often a service with protected tasks looks whether one's protection is over, at the least.
const PROTECTION_MAX: Duration = Duration::from_hours(48);

impl Service {
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
        let stopped = stop(&groups, step, state, now);
        state.events.stopped(&self.name, &stopped);
        let running: Vec<Provider> =
            groups.current.iter().filter_map(|task| task.place.provider).collect();
        let zones = groups.current.iter().map(|task| task.place.zone.as_str()).collect();
        self.start(step.start, (running, zones), state, shared);
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
        let count = standing.current_healthy;
        let steady = primary.completed && standing.current == count && count == standing.desired;
        if steady && !state.steady {
            state.events.steady(&self.name);
        }
        state.steady = steady;
        wanted.iter().filter_map(|task| task.protected_until(now)).map(|(until, _)| until).min()
    }

    fn start(
        self: &Arc<Self>,
        count: usize,
        // On which providers and in which zones tasks run.
        (mut providers, mut zones): (Vec<Provider>, Vec<&str>),
        state: &mut ServiceState,
        shared: &Arc<Shared>,
    ) {
        let deployment = state.deployments[0].clone();
        let down = shared.faults.zones_down();
        let mut started = Vec::with_capacity(count);
        for _ in 0..count {
            let Some(zone) = zones::next(&self.zones, &zones, &down) else {
                state.events.no_capacity(&self.name);
                break;
            };
            zones.push(zone);
            let provider = strategy::next(&deployment.strategy, &providers);
            providers.extend(provider);
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
                Place { zone: zone.clone(), provider },
                (self.topic.clone(), self.changed.clone()),
            ));
            state.tasks.push(task.clone());
            started.push(task.clone());
            let delay = retry::delay(state.failures, |nominal| shared.scale.shrink(nominal));
            shared.work.spawn(live(shared.clone(), self.clone(), task, delay));
        }
        state.events.started(&self.name, &started);
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

async fn live(shared: Arc<Shared>, service: Arc<Service>, task: Arc<Task>, delay: Duration) {
    task.live(&shared, (&service.cluster, &service.name), delay).await;
    service.ended(&task);
}
