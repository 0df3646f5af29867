//! The tasks of all services that ECS runs: one poller for each cluster, whatever the number of services.
//!
//! Only calls that every role may be given alone are made: ListTasks, once a service, and DescribeTasks, a hundred tasks
//! of any of them at a time. All clusters share a part of the rate that ECS allows the account
//! ([`Rate`](crate::control::rate::Rate)). A poller that is throttled stops in its tracks, waits longer each time, and
//! what was known last stays.
//!
//! Task state change events ([`events`]) may tell earlier: a task that stops is drained at once, anything else brings the
//! next poll forward. Polling alone finds all of it, five seconds later.

pub(crate) mod events;
mod poll;
mod queue;
pub(super) mod task;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use policies::policy::{Discovery, Queue};
use tokio::time::Instant;
use tracing::warn;

pub(super) use self::poll::list;
pub(crate) use self::poll::{Poll, Polled};
use self::{
    events::Event,
    queue::{Listen, QueueState},
};
use super::Fleet;
use crate::{
    control::{aws::Aws, pace::Pace},
    ledger::held::Life,
};

/// Calls of ECS that may be made at once, and each second after that: half of what ECS allows an account in a region for reading
/// tasks (ECS API reference, "Request throttling": "Cluster resource read", 100 and 20 a second), so that other callers
/// have room. At 10 a second some 45 services of a cluster are polled every 5 s; more take longer.
pub(in crate::control) const BURST: f64 = 50.0;
pub(in crate::control) const PER_SECOND: f64 = 10.0;

/// Time between two polls of a cluster. What a task that came or went waits at most, without events.
pub(super) const LIST_EVERY: Duration = Duration::from_secs(5);

/// Time between the first [`EARLY_LISTINGS`] polls, so that a service that was started together with the gateway is found
/// soon; and the least time between two polls that events bring forward.
pub(super) const LIST_EARLY: Duration = Duration::from_secs(1);

/// How many polls follow each other quickly at the start.
const EARLY_LISTINGS: u32 = 10;

/// How long a task that an event called stopped stays so, whatever is listed: ECS's lists may lag behind its events.
const STOPPED_KEPT: Duration = Duration::from_mins(5);

/// Most such tasks remembered of a cluster: a whole service of 5,000 tasks (ECS service quotas) that is replaced.
const STOPPED_MAX: usize = 5000;

/// All clusters that the policy's services run in, and the queues that tell of them.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    followed: BTreeMap<Arc<str>, Cluster>,
    queues: BTreeMap<Queue, QueueState>,
    /// What polls told of tasks since it was last asked for.
    lives: Lives,
}

/// For how long tasks are paid for, by the policy's services.
pub(crate) type Lives = Vec<(Arc<str>, Vec<Life>)>;

/// One cluster's poller.
#[derive(Debug)]
struct Cluster {
    pace: Pace,
    /// Services of the last poll: one that is new is not kept waiting.
    services: BTreeSet<Arc<str>>,
    polled: Option<Instant>,
    /// Tasks that an event called stopped, and when.
    stopped: HashMap<Arc<str>, Instant>,
    /// Tasks that are not known to have stopped, by ARN, each with its service.
    unended: BTreeMap<String, Arc<str>>,
}

impl Clusters {
    /// Returns the polls that are due for the services of `fleets`. Each must be reported to [`Clusters::polled`].
    pub(crate) fn polls_due<'a>(
        &mut self,
        fleets: impl Iterator<Item = &'a Fleet>,
        aws: &Aws,
        now: Instant,
    ) -> Vec<Poll> {
        let mut wanted: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
        for fleet in fleets {
            if let Discovery::Ecs { cluster, service, .. } = fleet.discovery() {
                wanted.entry(cluster.clone()).or_default().insert(service.clone());
            }
        }
        self.followed.retain(|cluster, _| wanted.contains_key(cluster));
        let mut polls = Vec::new();
        for (name, services) in wanted {
            let cluster = self.followed.entry(name.clone()).or_insert_with(|| Cluster::new(now));
            if !services.is_subset(&cluster.services) {
                cluster.pace.hasten(now);
            }
            if cluster.pace.is_due(now) {
                cluster.services.clone_from(&services);
                polls.push(Poll::new(aws, name, services, cluster.unended.clone()));
            }
        }
        polls
    }

    /// Takes in a poll, and hands each of `fleets` what was found of its service.
    ///
    /// Returns the names of those whose tasks could not be listed.
    pub(crate) fn polled<'a>(
        &mut self,
        polled: Polled,
        fleets: impl Iterator<Item = &'a mut Fleet>,
        now: Instant,
    ) -> Vec<Arc<str>> {
        let mut failed = Vec::new();
        // Nobody wants to know of a cluster that another policy has dropped meanwhile.
        let Some(cluster) = self.followed.get_mut(&polled.cluster) else { return failed };
        cluster.polled = Some(now);
        if polled.broke_off {
            cluster.pace.failed(LIST_EVERY, now);
        } else {
            let early = cluster.pace.turns() < EARLY_LISTINGS;
            cluster.pace.succeeded(if early { LIST_EARLY } else { LIST_EVERY }, now);
        }
        if let Some(unended) = polled.unended {
            cluster.unended = unended;
        }
        cluster.stopped.retain(|_, at| now.duration_since(*at) < STOPPED_KEPT);
        for fleet in fleets {
            let Discovery::Ecs { cluster: of, service, port, .. } = fleet.discovery() else {
                continue;
            };
            let (service, port) = (service.clone(), *port);
            if let Some(lives) = polled.lives.get(&service).filter(|_| *of == polled.cluster) {
                self.lives.push((fleet.name().clone(), lives.clone()));
            }
            let Some(seen) = polled.services.get(&service).filter(|_| *of == polled.cluster) else {
                continue;
            };
            let found = seen.as_ref().map_err(Clone::clone).and_then(|seen| {
                let living = seen.iter().filter(|task| !cluster.stopped.contains_key(&task.name));
                task::found(living, port)
            });
            match found {
                Ok(found) => fleet.listed(found, now),
                Err(error) => {
                    fleet.not_listed(&error, now);
                    failed.push(fleet.name().clone());
                }
            }
        }
        failed
    }

    /// Returns what polls told of tasks since this was last asked for.
    pub(crate) fn take_lives(&mut self) -> Lives {
        std::mem::take(&mut self.lives)
    }

    /// Returns what is to be read from the queues of `fleets` now. Each must be reported to [`Clusters::told`].
    pub(crate) fn queues_due<'a>(
        &mut self,
        fleets: impl Iterator<Item = &'a Fleet>,
        aws: &Arc<Aws>,
        now: Instant,
    ) -> Vec<Listen> {
        let wanted: BTreeSet<&Queue> = fleets
            .filter_map(|fleet| match fleet.discovery() {
                Discovery::Ecs { events, .. } => events.as_ref(),
                Discovery::Upstreams(_) => None,
            })
            .collect();
        self.queues.retain(|queue, _| wanted.contains(queue));
        let mut due = Vec::new();
        for queue in wanted {
            let state = self.queues.entry(queue.clone()).or_insert_with(|| QueueState::new(now));
            if state.pace.is_due(now) {
                due.push(Listen::new(queue.clone(), aws.clone()));
            }
        }
        due
    }

    /// Takes in what a queue told: tasks of `fleets` that stop are drained, and for the rest the next poll comes soon.
    pub(crate) fn told<'a>(
        &mut self,
        queue: &Queue,
        told: Result<Vec<Event>, String>,
        fleets: impl Iterator<Item = &'a mut Fleet>,
        now: Instant,
    ) {
        let Some(state) = self.queues.get_mut(queue) else { return };
        let events = match told {
            Ok(events) => {
                state.heard(now);
                events
            }
            Err(error) => {
                if state.pace.failures() == 0 {
                    warn!(
                        queue = &*queue.url,
                        error, "cannot read task state events; polling goes on"
                    );
                }
                state.pace.failed(LIST_EARLY, now);
                return;
            }
        };
        let (mut gone, mut interrupted) = (BTreeSet::new(), BTreeSet::new());
        for event in events {
            let of = |(name, _): &(&Arc<str>, &mut Cluster)| event.is_of_cluster(name);
            for (name, cluster) in self.followed.iter_mut().filter(of) {
                let followed = |service: &Arc<str>| event.is_of_service(service);
                if !cluster.services.iter().any(followed) {
                    continue;
                }
                if event.interrupted {
                    interrupted.insert((name.clone(), event.task.clone()));
                }
                if event.stops {
                    gone.insert((name.clone(), event.task.clone()));
                    cluster.stopped(event.task.clone(), now);
                }
                let soon = cluster.polled.map_or(now, |at| at + LIST_EARLY);
                cluster.pace.hasten(soon.max(now));
            }
        }
        for fleet in fleets {
            let Discovery::Ecs { cluster, .. } = fleet.discovery() else { continue };
            let cluster = cluster.clone();
            fleet.take_back(|task| interrupted.contains(&(cluster.clone(), task.clone())), now);
            fleet.stop(|task| gone.contains(&(cluster.clone(), task.clone())));
        }
    }
}

impl Cluster {
    fn new(now: Instant) -> Self {
        Self {
            pace: Pace::new(true, now),
            services: BTreeSet::new(),
            polled: None,
            stopped: HashMap::new(),
            unended: BTreeMap::new(),
        }
    }

    /// Remembers that `task` stops. The oldest of too many is forgotten: it is off the lists by now.
    fn stopped(&mut self, task: Arc<str>, now: Instant) {
        if STOPPED_MAX <= self.stopped.len() {
            let oldest =
                self.stopped.iter().min_by_key(|(_, at)| **at).map(|(task, _)| task.clone());
            oldest.and_then(|oldest| self.stopped.remove(&oldest));
        }
        self.stopped.insert(task, now);
    }
}

#[cfg(test)]
mod tests;
