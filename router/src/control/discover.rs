//! Finds the tasks of each service and keeps the list of them.
//!
//! ECS is asked, or names are looked up, as jobs beside the loop; what they find is merged into a [`Fleet`] here, without
//! I/O. A task that is gone or stopping is drained, and leaves the list only when nothing runs on it any more. When a
//! listing fails, the tasks known last stay: a control plane that is down must not take the data plane with it.

mod ecs;
mod reload;

use std::{
    collections::HashSet,
    future::Future,
    hash::{BuildHasher, Hasher, RandomState},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use policies::policy::{Container, Discovery, ServiceId, Upstream};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{credentials::Aws, probe::Probe, shared::DiscoveryState};
use crate::lane::{
    container::{Queue, Task, TaskState, Tasks},
    next_key,
};

/// Time between two listings of one service. ECS lets an account read 20 times a second sustained (ListTasks and
/// DescribeTasks, Service Quotas); at two calls a listing, 5 s leaves room for some 50 services and other callers.
const LIST_EVERY: Duration = Duration::from_secs(5);

/// Time between the first [`EARLY_LISTINGS`] listings: a service that was started together with the gateway is found soon.
/// ECS bears a burst of 100 reads (ECS API reference, request throttling, "Cluster resource read": 100, then 20 a second).
const LIST_EARLY: Duration = Duration::from_secs(1);

/// How many listings follow each other quickly at the start.
const EARLY_LISTINGS: u32 = 10;

/// Time between two lookups of a name: `getaddrinfo` does not tell how long an answer holds, and 30 s is a common TTL.
const LOOKUP_EVERY: Duration = Duration::from_secs(30);

/// How long a lookup may take: the resolver's own default of 5 s for one try.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest pause after failures: the pause doubles from [`LIST_EVERY`] up to this.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Share by which a pause is lengthened or shortened at random, so that several gateways do not ask in step.
const JITTER: f64 = 0.2;

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
    /// When to list next; `None` when nothing can change: every upstream is an address.
    list_at: Option<Instant>,
    listing: bool,
    listings: u32,
    failures: u32,
    error: Option<String>,
    client: Option<aws_sdk_ecs::Client>,
}

/// One task and its probes.
#[derive(Debug)]
struct Member {
    task: Arc<Task>,
    probe_at: Instant,
    probing: bool,
    failures: u32,
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
        let members = tasks.list().iter().map(|task| Member::new(task.clone(), now)).collect();
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
            list_at: if fixed { None } else { Some(now) },
            listing: false,
            listings: 0,
            failures: 0,
            error: None,
            client: None,
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
            failures: self.failures,
        }
    }

    /// Returns a listing when one is due. Its result must be reported to [`Fleet::listed`] or [`Fleet::not_listed`].
    pub(crate) fn listing(&mut self, now: Instant, aws: Option<&Arc<Aws>>) -> Option<Listing> {
        if self.listing || self.list_at.is_none_or(|at| now < at) {
            return None;
        }
        let listing: Listing = match &self.container.discovery {
            Discovery::Ecs { cluster, service, port } => {
                if self.client.is_none() {
                    self.client = Some(aws?.ecs());
                }
                let client = self.client.clone()?;
                Box::pin(ecs::list(client, cluster.clone(), service.clone(), *port))
            }
            Discovery::Upstreams(upstreams) => Box::pin(resolve(upstreams.clone())),
        };
        self.listing = true;
        Some(listing)
    }

    /// Takes in a listing that succeeded.
    pub(crate) fn listed(&mut self, found: Vec<Found>, now: Instant) {
        self.listing = false;
        self.failures = 0;
        self.listings = self.listings.saturating_add(1);
        self.list_at = Some(now + jittered(self.pace(), random()));
        if self.error.take().is_some() {
            info!(service = %self.name, tasks = found.len(), "its tasks are listed again");
        }
        self.merge(found, now);
    }

    /// Takes in a listing that failed: what was known stays, and the next one waits longer.
    pub(crate) fn not_listed(&mut self, error: &str, now: Instant) {
        self.listing = false;
        let pause = (LIST_EVERY * 2_u32.pow(self.failures.min(10))).min(BACKOFF_MAX);
        self.list_at = Some(now + jittered(pause, random()));
        self.failures = self.failures.saturating_add(1);
        if self.error.is_none() {
            warn!(service = %self.name, error, kept = self.members.len(), "cannot list its tasks; those known last are kept");
        }
        self.error = Some(error.to_owned());
    }

    fn pace(&self) -> Duration {
        match self.container.discovery {
            Discovery::Ecs { .. } if self.listings < EARLY_LISTINGS => LIST_EARLY,
            Discovery::Ecs { .. } => LIST_EVERY,
            Discovery::Upstreams(_) => LOOKUP_EVERY,
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
                if member.task.state() == TaskState::Draining {
                    member.task.set_state(TaskState::Unproven);
                    *member = Member::new(member.task.clone(), now);
                }
                continue;
            }
            let task = task(&found, self.container.requests_per_task);
            info!(service = %self.name, task = %task.name, address = %task.address, "a task came");
            listed.insert(task.key);
            self.members.push(Member::new(task, now));
            self.changed = true;
        }
        for Member { task, .. } in &self.members {
            if !listed.contains(&task.key) && task.state() != TaskState::Draining {
                info!(service = %self.name, task = %task.name, busy = task.busy(), "a task stops; it finishes what it has");
                task.set_state(TaskState::Draining);
            }
        }
    }

    /// Returns a new list when tasks came, or drained ones are done.
    pub(crate) fn new_list(&mut self) -> Option<Arc<Tasks>> {
        let before = self.members.len();
        self.members
            .retain(|member| member.task.state() != TaskState::Draining || 0 < member.task.busy());
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
            if member.probing || now < member.probe_at || member.task.state() == TaskState::Draining
            {
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
            (Ok(()), TaskState::Unproven) => {
                info!(service = %self.name, task = %task.name, "a task is ready");
                member.failures = 0;
                member.probe_at = now + jittered(self.container.probe.interval, random());
                task.set_state(TaskState::Ready);
                self.tasks.wake();
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
    fn new(task: Arc<Task>, now: Instant) -> Self {
        Self { task, probe_at: now, probing: false, failures: 0 }
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
                    .filter_map(|upstream| Some(found(upstream, address(upstream)?)))
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

/// Looks up all upstreams; each address of a name is a task.
async fn resolve(upstreams: Box<[Upstream]>) -> Result<Vec<Found>, String> {
    let mut all: Vec<Found> = Vec::new();
    for upstream in &upstreams {
        let (host, port) = (&*upstream.host, upstream.port);
        let failed = |why: &dyn std::fmt::Display| {
            format!("looking up `{host}`: {why}; mend `upstreams` or the name service")
        };
        let addresses = match address(upstream) {
            Some(address) => vec![address],
            None => match timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((host, port))).await {
                Ok(Ok(addresses)) => one_family(addresses.collect()),
                Ok(Err(error)) => return Err(failed(&error)),
                Err(_) => return Err(failed(&format_args!("no answer within {LOOKUP_TIMEOUT:?}"))),
            },
        };
        if addresses.is_empty() {
            return Err(failed(&"it has no address"));
        }
        for address in addresses {
            let found = found(upstream, address);
            if !all.iter().any(|other| other.address == found.address) {
                all.push(found);
            }
        }
    }
    Ok(all)
}

/// Keeps the IPv4 addresses when there are any: a name with both families is one server with two addresses, and must not
/// count as two tasks.
fn one_family(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if addresses.iter().any(SocketAddr::is_ipv4) {
        addresses.retain(SocketAddr::is_ipv4);
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn found(upstream: &Upstream, address: SocketAddr) -> Found {
    let tls = upstream.tls.then(|| upstream.host.clone());
    Found { name: address.to_string().into(), address, tls }
}

/// Returns the address of an upstream that is written as one.
fn address(upstream: &Upstream) -> Option<SocketAddr> {
    Some(SocketAddr::new(upstream.host.parse().ok()?, upstream.port))
}

/// Returns `pause`, longer or shorter by up to [`JITTER`], as `random` says.
fn jittered(pause: Duration, random: u64) -> Duration {
    // The upper 53 bits fill a double's mantissa: uniform in [0, 1).
    let uniform = (random >> 11) as f64 / (1_u64 << 53) as f64;
    pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * uniform)
}

/// Returns a random number: the standard library seeds each hasher at random, which is plenty for spreading pauses.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests;
