//! What is held and paid for whether anybody uses it or not: tasks, provisioned concurrency, snapshots.
//!
//! Fargate bills a task from the pull of its image until it has stopped, a minute at least (AWS Fargate pricing). Tasks are
//! therefore followed from before they serve until after they have stopped, by what ECS says of them; each is booked up to the
//! moment at which it was last said to run, some seconds late, so that nothing is ever taken back. Upstreams that are no tasks of ECS are taken for
//! tasks of the size that the policy assumes, while they are listed.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use policies::{
    cost::TaskSize,
    policy::{Arch, ColdStart, Discovery},
};

use super::{Key, Part, Row, View, size_of};

/// Least time that Fargate bills of a task.
const LEAST: Duration = Duration::from_mins(1);

/// How long a task is waited for of which ECS says nothing more: a poller that is throttled waits a minute at most.
const SILENT_MAX: Duration = Duration::from_mins(3);

/// What ECS says of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Life {
    /// The task.
    pub(crate) name: Arc<str>,
    /// Since when it is paid for; `None` while its image is not being pulled yet.
    pub(crate) from: Option<SystemTime>,
    /// When it had stopped; `None` while it has not.
    pub(crate) until: Option<SystemTime>,
    /// It is on Spot.
    pub(crate) spot: bool,
    /// Its CPU units and MiB; `None` where ECS does not say, as for tasks on EC2 without limits of their own.
    pub(crate) size: Option<(u32, u32)>,
    /// Its architecture, if ECS says.
    pub(crate) arch: Option<Arch>,
}

/// One task's account.
#[derive(Debug)]
struct Account {
    life: Life,
    heard: SystemTime,
    /// What was booked of it, in milliseconds.
    booked_ms: u64,
}

/// What is held of all services.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By service and task.
    tasks: BTreeMap<(Arc<str>, Arc<str>), Account>,
    /// How many times faster than real the cloud's lags pass: then a minute at least is most of any bill, and left out.
    scale: f64,
    /// Polls that were not looked at yet.
    heard: Vec<(Arc<str>, Vec<Life>)>,
}

impl Held {
    /// Nothing is held yet; the cloud's lags pass `scale` times as fast as real.
    pub(super) fn new(scale: f64) -> Self {
        Self { scale, ..Self::default() }
    }

    /// Takes in what ECS says of a service's tasks.
    pub(super) fn tasks(&mut self, service: &Arc<str>, lives: Vec<Life>) {
        self.heard.push((service.clone(), lives));
    }

    /// Tells `book` of what was held since the last look, `passed` ago.
    pub(super) fn look(
        &mut self,
        view: &View<'_>,
        now: SystemTime,
        passed: Duration,
        mut book: impl FnMut(Key, Row),
    ) {
        for (service, lives) in std::mem::take(&mut self.heard) {
            for life in lives {
                let key = (service.clone(), life.name.clone());
                match self.tasks.get_mut(&key) {
                    Some(account) => (account.life, account.heard) = (life, now),
                    // One that had stopped before it was ever seen running was another's to book.
                    None if life.until.is_some() => {}
                    None => {
                        // What it cost before this gateway came is in the books of the one before.
                        let paid = life.from.and_then(|from| now.duration_since(from).ok());
                        let before = paid.filter(|paid| SILENT_MAX < *paid);
                        let booked_ms = before.map_or(0, milliseconds);
                        self.tasks.insert(key, Account { life, heard: now, booked_ms });
                    }
                }
            }
        }
        let policy = &view.world.policy;
        let containers = policy
            .services
            .iter()
            .filter_map(|service| Some((&*service.name, service.container.as_ref()?)));
        let assumed: BTreeMap<&str, TaskSize> =
            containers.map(|(name, container)| (name, size_of(container))).collect();
        let least = if 1.0 < self.scale { Duration::ZERO } else { LEAST };
        self.tasks.retain(|(service, _), account| {
            let Some(assumed) = assumed.get(&**service) else { return false };
            let ms = account.due(least);
            if ms != 0 && view.leads {
                let mut row = Row::default();
                row.hold(account.size(*assumed), account.life.spot, ms);
                book(Key::new(service.clone(), Part::Held), row);
            }
            account.booked_ms += ms;
            !account.is_over(now)
        });
        if view.leads {
            upstreams(view, passed, &mut book);
            environments(view, passed, &mut book);
        }
    }
}

impl Account {
    /// Returns the milliseconds that are to be booked.
    fn due(&self, least: Duration) -> u64 {
        let Some(from) = self.life.from else { return 0 };
        let until = self.life.until.unwrap_or(self.heard);
        let mut paid = until.duration_since(from).unwrap_or_default();
        if self.life.until.is_some() {
            paid = paid.max(least);
        }
        milliseconds(paid).saturating_sub(self.booked_ms)
    }

    fn is_over(&self, now: SystemTime) -> bool {
        self.life.until.is_some() || self.heard + SILENT_MAX < now
    }

    fn size(&self, assumed: TaskSize) -> TaskSize {
        let (cpu_units, memory_mib) =
            self.life.size.unwrap_or((assumed.cpu_units, assumed.memory_mib));
        TaskSize { arch: self.life.arch.unwrap_or(assumed.arch), cpu_units, memory_mib }
    }
}

/// Books upstreams that are no tasks of ECS.
fn upstreams(view: &View<'_>, passed: Duration, book: &mut impl FnMut(Key, Row)) {
    let services = view.world.policy.services.iter().zip(&view.world.endpoints);
    for (service, endpoints) in services {
        let (Some(container), Some(tasks)) = (&service.container, &endpoints.tasks) else {
            continue;
        };
        if matches!(container.discovery, Discovery::Ecs { .. }) {
            continue;
        }
        let mut row = Row::default();
        let ms = milliseconds(passed).saturating_mul(tasks.list().len() as u64);
        row.hold(size_of(container), false, ms);
        book(Key::new(service.name.clone(), Part::Held), row);
    }
}

/// Books environments that are ordered, and snapshots.
fn environments(view: &View<'_>, passed: Duration, book: &mut impl FnMut(Key, Row)) {
    let ms = milliseconds(passed);
    for (service, function) in view.functions {
        let (lambda, known) = (&function.real, &function.known);
        let (arch, mib) = (lambda.arch, u64::from(lambda.memory_mib));
        if let Some(provisioned) = known.provisioned {
            // What is being allocated is not billed yet (AWS Lambda pricing: "from the time you enable it").
            let provisioned_mb_ms = mib * ms * u64::from(provisioned.allocated);
            let row = Row { arch, provisioned_mb_ms, ..Row::default() };
            book(Key::new(service.clone(), Part::Provisioned), row);
        }
        if lambda.cold_start == ColdStart::SnapStart {
            let row = Row { arch, cache_mb_ms: mib * ms, ..Row::default() };
            book(Key::new(service.clone(), Part::Cache), row);
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
