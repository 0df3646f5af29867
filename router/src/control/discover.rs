//! Finds the tasks of each service and keeps the list of them.
//!
//! ECS is asked, for all services of a cluster together ([`ecs`]), or names are looked up, as jobs beside the loop; what
//! they find is merged into a [`Fleet`] here, without I/O. A task that is gone or stopping is drained, and leaves the list
//! only when nothing runs on it any more; one that ECS calls unhealthy is given nothing until it is called so no longer.
//! When a listing fails, the tasks known last stay: a control plane that is down must not take the data plane with it.

pub(crate) mod ecs;
mod interruptions;
mod reload;
mod retire;
mod share;
mod upstreams;

use std::{
    collections::HashSet,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use policies::policy::{Container, Discovery, ServiceId};
use tokio::time::Instant;
use tracing::{info, warn};

use self::{
    ecs::LIST_EVERY,
    interruptions::Interruptions,
    upstreams::{address, resolve},
};
use super::{
    act::Names,
    aws::Aws,
    gateways::Division,
    pace::{Pace, jittered, random},
    probe::Probe,
    shared::DiscoveryState,
    starts::Starts,
};
use crate::lane::{
    container::{Queue, Task, TaskState, Tasks},
    next_key,
};

/// Time between two lookups of a name: `getaddrinfo` does not tell how long an answer holds, and 30 s is a common TTL.
const LOOKUP_EVERY: Duration = Duration::from_secs(30);

/// Time between two probes of a task that has not answered yet.
const PROVE_EVERY: Duration = Duration::from_millis(200);

/// Consecutive failed probes after which a ready task is given no more requests; one may be a lost packet.
const FAILURES_MAX: u32 = 2;

/// Probes of a task that is not ready that fail before somebody is told, once: 2 s, because a container that is still
/// starting refuses connections and that is no news.
const FAILURES_TOLD: u32 = 10;

/// A task as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// What it is called.
    pub(crate) name: Arc<str>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The name in its certificate when it speaks TLS.
    pub(crate) tls: Option<Arc<str>>,
    /// Its own health check failed, as ECS sees it.
    pub(crate) unhealthy: bool,
    /// Where ECS runs it.
    pub(crate) placed: Placed,
}

/// Where and since when a task of ECS is; nothing is known of upstreams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Placed {
    /// When it was asked for.
    pub(crate) created: Option<SystemTime>,
    /// Its availability zone.
    pub(crate) zone: Option<Arc<str>>,
    /// The task definition that it was started from.
    pub(crate) definition: Option<Arc<str>>,
    /// AWS may take it back with two minutes' notice.
    pub(crate) spot: bool,
}

/// A listing under way.
pub(crate) type Listing = Pin<Box<dyn Future<Output = Result<Vec<Found>, String>> + Send>>;

/// The tasks of one service, as this loop knows them.
#[derive(Debug)]
pub(crate) struct Fleet {
    service: ServiceId,
    name: Arc<str>,
    container: Container,
    queue: Arc<Queue>,
    /// The list published last.
    tasks: Arc<Tasks>,
    members: Vec<Member>,
    changed: bool,
    /// What of each task's slots is this gateway's.
    division: Division,
    /// When to list next; never when nothing can change: every upstream is an address.
    pace: Pace,
    error: Option<String>,
    /// When it was first looked for: of tasks that were asked for before, nobody saw when they were ready.
    since: SystemTime,
    starts: Starts,
    /// Tasks that are to go: listed, and given nothing.
    retiring: Names,
    interruptions: Interruptions,
}

/// One task and its probes.
#[derive(Debug)]
struct Member {
    task: Arc<Task>,
    probe_at: Instant,
    probing: bool,
    failures: u32,
    /// ECS calls it so: it is not probed, because it is not to become ready.
    unhealthy: bool,
    placed: Placed,
    /// It has been ready before.
    proven: bool,
    /// The last listing showed it.
    listed: bool,
}

impl Fleet {
    /// Begins with the tasks of the first world.
    pub(crate) fn new(
        service: ServiceId,
        name: Arc<str>,
        container: &Container,
        tasks: Arc<Tasks>,
        now: Instant,
    ) -> Self {
        let member = |task: &Arc<Task>| Member::new(task.clone(), Placed::default(), now);
        let members = tasks.list().iter().map(member).collect();
        let fixed = match &container.discovery {
            Discovery::Ecs { .. } => false,
            Discovery::Upstreams(upstreams) => {
                upstreams.iter().all(|upstream| address(upstream).is_some())
            }
        };
        Self {
            service,
            name,
            container: container.clone(),
            queue: tasks.queue().clone(),
            tasks,
            members,
            changed: false,
            division: Division::whole(),
            pace: Pace::new(!fixed, now),
            error: None,
            since: SystemTime::now(),
            starts: Starts::default(),
            retiring: Names::new(),
            interruptions: Interruptions::default(),
        }
    }

    /// Returns the service whose tasks these are.
    pub(crate) fn service(&self) -> ServiceId {
        self.service
    }

    /// Returns that service's name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns what `/status` tells about its discovery.
    pub(crate) fn state(&self) -> DiscoveryState {
        DiscoveryState {
            service: self.name.clone(),
            error: self.error.clone(),
            failures: self.pace.failures(),
        }
    }

    /// Returns the container lane as the policy has it.
    pub(crate) fn container(&self) -> &Container {
        &self.container
    }

    /// Notes how long a start took.
    #[cfg(test)]
    pub(crate) fn started_after(&mut self, lag: std::time::Duration) {
        self.starts.note(lag);
    }

    /// Returns how long its tasks take to start.
    pub(crate) fn starts(&self) -> &Starts {
        &self.starts
    }

    /// Returns where its tasks are.
    pub(crate) fn discovery(&self) -> &Discovery {
        &self.container.discovery
    }

    /// Returns a look-up of its upstreams' names when one is due. Its result must be reported to [`Fleet::listed`] or
    /// [`Fleet::not_listed`]. Tasks of ECS are found by [`ecs::Clusters`], for all fleets together.
    pub(crate) fn lookup(&mut self, now: Instant) -> Option<Listing> {
        match &self.container.discovery {
            Discovery::Upstreams(upstreams) if self.pace.is_due(now) => {
                Some(Box::pin(resolve(upstreams.clone())))
            }
            Discovery::Upstreams(_) | Discovery::Ecs { .. } => None,
        }
    }

    /// Returns a look-up or a listing of its own when one is due: for a fleet that is made ready outside of the loop.
    pub(crate) fn listing(&mut self, now: Instant, aws: Option<&Arc<Aws>>) -> Option<Listing> {
        let Discovery::Ecs { cluster, service, port, .. } = &self.container.discovery else {
            return self.lookup(now);
        };
        let aws = aws.filter(|_| self.pace.is_due(now))?;
        Some(Box::pin(ecs::list(aws.clone(), cluster.clone(), service.clone(), *port)))
    }

    /// Takes in a listing that succeeded.
    pub(crate) fn listed(&mut self, found: Vec<Found>, now: Instant) {
        let pause = match self.container.discovery {
            Discovery::Ecs { .. } => LIST_EVERY,
            Discovery::Upstreams(_) => LOOKUP_EVERY,
        };
        self.pace.succeeded(pause, now);
        if self.error.take().is_some() {
            info!(service = %self.name, tasks = found.len(), "its tasks are listed again");
        }
        self.merge(found, now);
    }

    /// Takes in a listing that failed: what was known stays, and the next one waits longer.
    pub(crate) fn not_listed(&mut self, error: &str, now: Instant) {
        self.pace.failed(LIST_EVERY, now);
        if self.error.is_none() {
            warn!(service = %self.name, error, kept = self.members.len(), "cannot list its tasks; those known last are kept");
        }
        self.error = Some(error.to_owned());
    }

    /// Drains the tasks whose name `stops` is true of.
    pub(crate) fn stop(&mut self, stops: impl Fn(&Arc<str>) -> bool) {
        for at in 0..self.members.len() {
            if stops(&self.members[at].task.name) {
                self.members[at].listed = false;
                self.drain(&self.members[at].task);
            }
        }
    }

    fn drain(&self, task: &Task) {
        if task.state() != TaskState::Draining {
            info!(service = %self.name, task = %task.name, busy = task.busy(), "a task stops; it finishes what it has");
            task.set_state(TaskState::Draining);
        }
    }

    /// Makes the members what was found: new ones come unproven, missing ones drain, returned ones prove themselves again.
    fn merge(&mut self, found: Vec<Found>, now: Instant) {
        let mut listed = HashSet::with_capacity(found.len());
        for found in found {
            let same = |member: &&mut Member| {
                member.task.address == found.address && member.task.name == found.name
            };
            if let Some(member) = self.members.iter_mut().find(same) {
                listed.insert(member.task.key);
                member.listed = true;
                let retires = self.retiring.contains(&member.task.name);
                if member.task.state() == TaskState::Draining && !retires {
                    member.task.set_state(TaskState::Unproven);
                    *member = Member::new(member.task.clone(), found.placed, now);
                }
                member.set_unhealthy(found.unhealthy, &self.name);
                continue;
            }
            let slots = self.division.slots(&found.name, self.container.requests_per_task);
            let task = task(&found, slots);
            info!(service = %self.name, task = %task.name, address = %task.address, "a task came");
            listed.insert(task.key);
            let mut member = Member::new(task, found.placed, now);
            member.set_unhealthy(found.unhealthy, &self.name);
            self.members.push(member);
            self.changed = true;
        }
        for at in 0..self.members.len() {
            if !listed.contains(&self.members[at].task.key) {
                self.members[at].listed = false;
                self.drain(&self.members[at].task);
            }
        }
        self.share();
    }

    /// Returns a new list when tasks came, or drained ones are done.
    pub(crate) fn new_list(&mut self) -> Option<Arc<Tasks>> {
        // Which task a slot is kept of goes by which are ready.
        if self.division.is_divided() {
            self.share();
        }
        let before = self.members.len();
        self.members.retain(|member| {
            let done = member.task.state() == TaskState::Draining && member.task.busy() == 0;
            // Who is to go stays until ECS has stopped it: it may be wanted back.
            !done || member.listed
        });
        if !self.changed && self.members.len() == before {
            return None;
        }
        self.changed = false;
        let list = self.members.iter().map(|member| member.task.clone()).collect();
        self.tasks = Arc::new(Tasks::new(list, self.queue.clone()));
        Some(self.tasks.clone())
    }

    /// Returns the probes that are due. Each result must be reported to [`Fleet::probed`].
    pub(crate) fn probes_due(&mut self, now: Instant) -> Vec<Probe> {
        let mut due = Vec::new();
        for member in &mut self.members {
            // A worker may have found it dead meanwhile: then it is not left alone until its next turn.
            if member.task.state() == TaskState::Unproven {
                member.probe_at = member.probe_at.min(now + PROVE_EVERY);
            }
            let never = member.unhealthy || member.task.state() == TaskState::Draining;
            if never || member.probing || now < member.probe_at {
                continue;
            }
            member.probing = true;
            due.push(Probe::of(&member.task, &self.container.probe));
        }
        due
    }

    /// Takes in the result of a probe.
    pub(crate) fn probed(&mut self, key: u64, result: Result<(), String>, now: Instant) {
        let Some(member) = self.members.iter_mut().find(|member| member.task.key == key) else {
            return;
        };
        member.probing = false;
        let task = &member.task;
        match (result, task.state()) {
            (_, TaskState::Draining) => {}
            _ if member.unhealthy => {}
            (Ok(()), TaskState::Unproven) => {
                info!(service = %self.name, task = %task.name, "a task is ready");
                member.failures = 0;
                member.probe_at = now + jittered(self.container.probe.interval, random());
                task.set_state(TaskState::Ready);
                self.tasks.wake();
                let created = member.placed.created.filter(|created| self.since <= *created);
                if let Some(created) =
                    created.filter(|_| !std::mem::replace(&mut member.proven, true))
                {
                    // Clocks that disagree by more than a start takes would tell nonsense; none is told then.
                    self.starts.note(SystemTime::now().duration_since(created).unwrap_or_default());
                }
            }
            (Ok(()), TaskState::Ready) => {
                member.failures = 0;
                member.probe_at = now + jittered(self.container.probe.interval, random());
            }
            (Err(error), TaskState::Ready) => {
                member.failures += 1;
                member.probe_at = now + PROVE_EVERY;
                if FAILURES_MAX <= member.failures {
                    warn!(service = %self.name, task = %task.name, error, "a task stopped answering its probes");
                    task.fail();
                }
            }
            (Err(error), TaskState::Unproven) => {
                member.failures = member.failures.saturating_add(1);
                member.probe_at = now + PROVE_EVERY;
                if member.failures == FAILURES_TOLD {
                    warn!(service = %self.name, task = %task.name, address = %task.address, error, "a task does not become ready");
                }
            }
        }
    }
}

impl Member {
    fn new(task: Arc<Task>, placed: Placed, now: Instant) -> Self {
        Self {
            task,
            probe_at: now,
            probing: false,
            failures: 0,
            unhealthy: false,
            placed,
            proven: false,
            listed: true,
        }
    }

    /// Begins anew with the same task.
    fn again(self, now: Instant) -> Self {
        Self { unhealthy: self.unhealthy, ..Self::new(self.task, self.placed, now) }
    }

    /// Takes in what ECS says of its health. Who recovers proves itself again.
    fn set_unhealthy(&mut self, unhealthy: bool, service: &str) {
        if self.unhealthy == unhealthy {
            return;
        }
        self.unhealthy = unhealthy;
        let task = &self.task;
        if unhealthy {
            warn!(service, task = %task.name, "ECS calls a task unhealthy; it is given no more requests");
            task.fail();
        } else {
            info!(service, task = %task.name, "ECS calls a task unhealthy no longer");
        }
    }
}

/// Makes the list of tasks that the first world has: resolved upstreams; none yet of ECS, which the loop asks at once.
pub(crate) async fn first_tasks(service: &str, container: &Container) -> Arc<Tasks> {
    let found = match &container.discovery {
        Discovery::Ecs { .. } => Vec::new(),
        Discovery::Upstreams(upstreams) => {
            resolve(upstreams.clone()).await.unwrap_or_else(|error| {
                warn!(service, error, "an upstream cannot be found yet");
                // Those given as addresses need no lookup.
                upstreams
                    .iter()
                    .filter_map(|upstream| Some(upstreams::found(upstream, address(upstream)?)))
                    .collect()
            })
        }
    };
    let list = found.iter().map(|found| task(found, container.requests_per_task)).collect();
    Arc::new(Tasks::new(list, Queue::new()))
}

fn task(found: &Found, slots: u32) -> Arc<Task> {
    Arc::new(Task::new(found.name.clone(), found.address, found.tls.clone(), slots, next_key()))
}

#[cfg(test)]
mod tests;
