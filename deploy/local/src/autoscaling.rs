//! Application Auto Scaling: bounds of the desired count of ECS services, and actions that change these bounds once, later.
//!
//! Scaling policies are not here: who calls this cloud scales by itself and leaves to Application Auto Scaling the bounds.
//! Of a service that is registered only its bounds act: a desired count that is set beyond them stays until the next
//! registration or scheduled action, as at AWS.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::json;
use tokio::{sync::Notify, time::Instant};

use crate::{Shared, ecs, tasks::lock};

pub(crate) mod api;
mod shape;
mod target;

pub(crate) use target::{Action, Target};

/// How soon a change that ECS would not take is tried again. Divided by the time scale. AWS does not say.
const RETRY: Duration = Duration::from_secs(10);
/// The shortest such pause: real time, whatever the time scale.
const RETRY_MIN: Duration = Duration::from_millis(20);
/// How long the keeper sleeps when nothing is due.
const IDLE: Duration = Duration::from_hours(24);

/// All scalable targets of the account, by resource id (`service/CLUSTER/SERVICE`).
#[derive(Debug, Default)]
pub(crate) struct Autoscaling {
    targets: Mutex<BTreeMap<String, Target>>,
    changed: Notify,
}

impl Autoscaling {
    /// The targets, for whoever looks at them or changes them; [`Autoscaling::wake`] after a change.
    pub(crate) fn targets(&self) -> MutexGuard<'_, BTreeMap<String, Target>> {
        lock(&self.targets)
    }

    /// Has the keeper look again.
    fn wake(&self) {
        self.changed.notify_one();
    }
}

/// Runs scheduled actions when they are due, and repeats what ECS would not take; runs as long as the cloud does.
pub(crate) async fn keep(shared: Arc<Shared>) {
    loop {
        let now = Instant::now();
        run_due(&shared, now);
        let next = shared.autoscaling.targets().values().filter_map(Target::due).min();
        tokio::select! {
            () = shared.autoscaling.changed.notified() => {}
            () = tokio::time::sleep_until(next.unwrap_or(now + IDLE)) => {}
        }
    }
}

fn run_due(shared: &Arc<Shared>, now: Instant) {
    for target in shared.autoscaling.targets().values_mut() {
        let acted = target.act(now);
        if acted || target.retry_at.is_some_and(|at| at <= now) {
            bring_within(shared, target);
        }
    }
}

/// Brings the service's desired count within the bounds of `target`, or sees to it that it is tried again.
fn bring_within(shared: &Arc<Shared>, target: &mut Target) {
    target.retry_at = None;
    let cluster = shared.ecs.clusters.get(&target.cluster);
    let Some(service) = cluster.and_then(|cluster| cluster.services.get(&target.service)) else {
        return;
    };
    let (desired, _) = service.desired();
    let within = desired.clamp(target.min, target.max);
    if within == desired {
        return;
    }
    let ask =
        json!({ "cluster": target.cluster, "service": target.service, "desiredCount": within });
    match ecs::api::update_service(shared, &ask) {
        Ok(_) => tracing::info!(service = target.id, desired, within, "brought within its bounds"),
        Err(refusal) => {
            tracing::warn!(
                service = target.id,
                within,
                error = refusal.message,
                "not brought within its bounds"
            );
            let pause = shared.scale.shrink(RETRY).max(RETRY_MIN);
            target.retry_at = Some(Instant::now() + pause);
            shared.autoscaling.wake();
        }
    }
}
