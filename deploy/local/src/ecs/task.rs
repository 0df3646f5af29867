//! One task: a process that serves HTTP on its own address, and what ECS says of it from birth to after its end.

use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    bill::ceil_ms,
    clock,
    config::Provider,
    ecs::{definition::Definition, shape, topic::Topic},
    tasks::lock,
};

mod address;
mod container;
mod life;
mod state;

pub(crate) use state::{Health, Status, TaskState};

/// Orders to a task, given from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Live,
    /// By the scheduler or a user.
    Stop,
    /// Its Spot capacity is taken back: SIGTERM comes with the notice.
    Interrupt,
    /// By a fault: its process is killed.
    Kill,
}

/// Whose a task is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) cluster_arn: String,
    /// `service:NAME`, or what RunTask was told.
    pub(crate) group: String,
    pub(crate) started_by: Option<String>,
    /// The deployment of its service.
    pub(crate) deployment: Option<String>,
    pub(crate) client_token: Option<String>,
}

/// Where it runs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) zone: String,
    pub(crate) provider: Option<Provider>,
}

/// One task. Its [`Task::live`] is the only one who moves it through its life.
#[derive(Debug)]
pub(crate) struct Task {
    /// 32 hexadecimal digits: the end of its ARN.
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) created: SystemTime,
    pub(crate) definition: Arc<Definition>,
    pub(crate) origin: Origin,
    pub(crate) place: Place,
    born: Instant,
    order: watch::Sender<Order>,
    state: Mutex<TaskState>,
    topic: Arc<Topic>,
    /// Whoever keeps this task is woken when it changes.
    changed: Arc<Notify>,
}

impl Task {
    pub(crate) fn new(
        arn_prefix: &str,
        definition: Arc<Definition>,
        origin: Origin,
        place: Place,
        (topic, changed): (Arc<Topic>, Arc<Notify>),
    ) -> Self {
        let id = clock::random_hex();
        Self {
            arn: format!("{arn_prefix}/{id}"),
            id,
            created: SystemTime::now(),
            definition,
            origin,
            place,
            born: Instant::now(),
            order: watch::Sender::new(Order::Live),
            state: Mutex::new(TaskState::new()),
            topic,
            changed,
        }
    }

    pub(crate) fn state(&self) -> TaskState {
        lock(&self.state).clone()
    }

    pub(crate) fn status(&self) -> Status {
        lock(&self.state).status
    }

    /// Whether it is meant to run: neither over nor told to stop.
    pub(crate) fn is_wanted(&self) -> bool {
        lock(&self.state).wanted
    }

    /// Whether it runs and its health check, if it has one, has found it healthy.
    pub(crate) fn is_healthy(&self) -> bool {
        let state = lock(&self.state);
        let checked = self.definition.content.health_check.is_some();
        state.status == Status::Running && (!checked || state.health == Health::Healthy)
    }

    /// How long it has lived, or did: what is billed.
    pub(crate) fn lived_ms(&self) -> u64 {
        ceil_ms(lock(&self.state).lived.unwrap_or_else(|| self.born.elapsed()))
    }

    /// Whether it is over and was so before `since`.
    pub(crate) fn was_over(&self, since: SystemTime) -> bool {
        lock(&self.state).stopped.is_some_and(|at| at < since)
    }

    /// Whether it ended by itself, and not because somebody wanted it to.
    pub(crate) fn failed(&self) -> bool {
        matches!(
            lock(&self.state).stop_code,
            Some("EssentialContainerExited" | "TaskFailedToStart")
        )
    }

    /// Asks it to stop. What was said first of a task that stops already, stays.
    pub(crate) fn stop(&self, code: &'static str, reason: &str) {
        if self.no_longer_wanted(code, reason) {
            self.order.send_replace(Order::Stop);
        }
    }

    /// Takes its capacity back, as Spot does; false when it does not run on Spot capacity, or not any more.
    pub(crate) fn interrupt(&self) -> bool {
        let interrupted = self.place.provider == Some(Provider::FargateSpot)
            && self.no_longer_wanted("SpotInterruption", "Your Spot Task was interrupted.");
        if interrupted {
            self.order.send_replace(Order::Interrupt);
        }
        interrupted
    }

    /// Loses it with what it runs on: its process is killed at once.
    pub(crate) fn lose(&self) {
        let reason =
            "The infrastructure that this task ran on is gone (a fault of the local cloud).";
        if self.no_longer_wanted("InfrastructureHealth", reason) || self.kill() {
            self.order.send_replace(Order::Kill);
        }
    }

    /// Kills its process; false when it has none (any more).
    pub(crate) fn kill(&self) -> bool {
        let alive = lock(&self.state).pid.is_some();
        if alive {
            self.order.send_replace(Order::Kill);
        }
        alive
    }

    /// Spares it from scale-in and deployments until `until`; not any more without.
    pub(crate) fn protect(&self, until: Option<(Instant, SystemTime)>) {
        lock(&self.state).protected = until;
        self.changed.notify_one();
    }

    /// Until when it is protected.
    pub(crate) fn protected_until(&self, now: Instant) -> Option<(Instant, SystemTime)> {
        lock(&self.state).protected.filter(|(until, _)| now < *until)
    }

    /// Notes what its health check found.
    pub(crate) fn set_health(&self, health: Health) {
        if lock(&self.state).health != health {
            self.update(|state| state.health = health);
        }
    }

    fn no_longer_wanted(&self, code: &'static str, reason: &str) -> bool {
        let wanted = self.is_wanted();
        if wanted {
            self.update(|state| {
                state.wanted = false;
                state.stop_code = Some(code);
                state.stopped_reason = Some(reason.to_owned());
            });
        }
        wanted
    }

    /// Changes what is told of it, and tells it.
    fn update(&self, change: impl FnOnce(&mut TaskState)) {
        let mut state = lock(&self.state);
        change(&mut state);
        state.version += 1;
        let told = state.clone();
        drop(state);
        self.topic.tell(&self.arn, || shape::event(self, &told));
        self.changed.notify_one();
    }
}
