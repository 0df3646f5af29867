//! EventBridge Scheduler: schedules that call ECS's `UpdateService` once, later.
//!
//! Recurring schedules, other groups than `default` and other targets are not here: nobody asks the local cloud for them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{Shared, ecs, tasks::lock};

pub(crate) mod api;
mod input;
mod schedule;

pub(crate) use schedule::Schedule;
use schedule::{AfterCompletion, Outcome};

/// The only group of schedules: each account has it.
pub(crate) const GROUP: &str = "default";
/// How long the keeper sleeps when nothing is due.
const IDLE: Duration = Duration::from_hours(24);

/// All schedules of the account, by name.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    schedules: Mutex<BTreeMap<String, Schedule>>,
    changed: Notify,
}

impl Scheduler {
    /// The schedules, for whoever looks at them or changes them; [`Scheduler::wake`] after a change.
    pub(crate) fn schedules(&self) -> MutexGuard<'_, BTreeMap<String, Schedule>> {
        lock(&self.schedules)
    }

    /// Has the keeper look again.
    fn wake(&self) {
        self.changed.notify_one();
    }
}

/// Calls targets when they are due; runs as long as the cloud does.
pub(crate) async fn keep(shared: Arc<Shared>) {
    loop {
        let now = Instant::now();
        fire_due(&shared, now);
        let next = shared.scheduler.schedules().values().filter_map(|s| s.due).min();
        tokio::select! {
            () = shared.scheduler.changed.notified() => {}
            () = tokio::time::sleep_until(next.unwrap_or(now + IDLE)) => {}
        }
    }
}

fn fire_due(shared: &Arc<Shared>, now: Instant) {
    let mut schedules = shared.scheduler.schedules();
    let mut due: Vec<(Instant, String)> = schedules
        .iter()
        .filter_map(|(name, schedule)| {
            Some((schedule.due.filter(|due| *due <= now)?, name.clone()))
        })
        .collect();
    due.sort();
    for (_, name) in due {
        let Some(schedule) = schedules.get_mut(&name) else { continue };
        let called = ecs::api::update_service(shared, &schedule.input);
        let outcome = match &called {
            Ok(_) => Outcome::Done,
            // What others used up, or what is down, may be there again later. A wrong call stays wrong.
            Err(refusal) if refusal.status.is_server_error() => Outcome::Failed,
            Err(refusal) if refusal.kind == "ThrottlingException" => Outcome::Failed,
            Err(_) => Outcome::Refused,
        };
        let error = called.err().map(|refusal| refusal.message);
        tracing::info!(schedule = name, ?outcome, error, "a schedule called its target");
        if schedule.called(outcome, now, shared.scale)
            && schedule.after_completion == AfterCompletion::Delete
        {
            schedules.remove(&name);
        }
    }
}
