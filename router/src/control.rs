//! The control loop: finds tasks, proves them, learns how long requests take, renews credentials, follows the policy's
//! files, and publishes worlds.
//!
//! It runs beside the workers and may stall, fail or be slow without touching a request: they serve on with the last
//! [`World`] they were sent. What takes time (AWS's APIs, DNS, probes) runs as a job of its own and reports back, so one
//! slow answer does not hold up the rest. [`Control::tick`] is the whole story, top to bottom.

pub(crate) mod act;
mod asked;
pub(crate) mod audit;
pub(crate) mod aws;
mod booking;
pub(crate) mod capacity;
pub(crate) mod credentials;
pub(crate) mod discover;
pub(crate) mod freeze;
pub(crate) mod functions;
pub(crate) mod gateways;
mod joining;
mod lately;
pub(crate) mod learn;
pub(crate) mod pace;
mod planning;
pub(crate) mod probe;
pub(crate) mod radar;
mod rate;
pub(crate) mod reload;
mod shared;
mod starts;
mod watching;
mod worlds;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use policies::policy::{Policy, Queue, ServiceId, State};
use predictor::outcome::Outcome;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

pub(crate) use self::functions::{FunctionState, State as VersionState};
pub(crate) use self::lately::Lately;
pub(crate) use self::shared::{ControlStats, DiscoveryState, PolicyState, Shared};
pub(crate) use self::worlds::First;
use self::{
    act::{
        Acted, Actuators,
        warm::{Warmed, Warmers},
    },
    audit::Entry,
    aws::Aws,
    capacity::{Capacity, Clock, Learned, Look},
    credentials::{Keys, Renewal},
    discover::{
        Fleet, Found,
        ecs::{Clusters, Polled, events::Event},
    },
    functions::Functions,
    gateways::Gateways,
    learn::Learner,
    reload::{Follower, Now},
    watching::Watch,
};
use crate::{
    files::{Reading, Stamp},
    history::History,
    lane::next_key,
    telemetry::shard::Shard,
    world::{Beliefs, Endpoints, World},
};

/// Time between two ticks: how soon a task that a worker gave up on is probed again, and a new one proven. A probe costs
/// a task well below a millisecond, so five a second are no load; doubling it doubles both delays.
const TICK: Duration = Duration::from_millis(200);

/// Time between two rounds of learning. Beliefs move by minutes; a second keeps `pacer explain` and the demo lively at
/// the price of adding up 84 counters a profile and worker.
const LEARN_EVERY: Duration = Duration::from_secs(1);

/// The control loop and what it owns.
pub(crate) struct Control {
    policy: Arc<Policy>,
    publish: watch::Sender<Arc<World>>,
    world: Arc<World>,
    shared: Arc<Shared>,
    recent: mpsc::Receiver<Vec<Outcome>>,
    /// By a number that is never used twice, so that what a job reports cannot reach another.
    fleets: BTreeMap<u64, Fleet>,
    clusters: Clusters,
    functions: Functions,
    gateways: Gateways,
    /// The gateway is about to stop.
    stopping: Arc<Notify>,
    follower: Follower,
    learner: Learner,
    learned: Instant,
    capacity: Capacity,
    /// When usage was last booked.
    booked: Instant,
    /// What this gateway was asked in a step that is not planned for yet, and since when others are waited for.
    looked: Option<(Look, Instant)>,
    actuators: Actuators,
    warmers: Warmers,
    history: History,
    watch: Watch,
    keys: Keys,
    aws: Option<Arc<Aws>>,
    jobs: JoinSet<Report>,
}

/// What a job found.
enum Report {
    /// A service's upstreams were looked up; the number is the fleet's.
    Listed(u64, Result<Vec<Found>, String>),
    /// The tasks of a cluster's services were listed.
    Polled(Polled),
    /// A queue told of tasks.
    Told(Queue, Result<Vec<Event>, String>),
    /// Lambda's API was asked for a function.
    Answered(functions::Answer),
    /// The table of gateways was written and read.
    Met(gateways::Done),
    /// The task of a key was probed.
    Probed(u64, u64, Result<(), String>),
    /// The policy's files were looked at.
    Looked(Stamp),
    /// The policy was read again.
    Read(Reading, reload::Result),
    /// A planner has learned beside the loop.
    Learned(Box<Learned>),
    /// It was read whether a service that observes could be acted on.
    Checked(Arc<str>, Result<(), String>),
    /// A service's count of tasks was read or set.
    Acted(Acted),
    /// Environments were warmed, or provisioned concurrency was changed.
    Warmed(Warmed),
    /// Credentials were asked for.
    Keys(Result<Credentials, String>),
}

impl Control {
    /// Makes the loop for `policy`, beginning with the world that the workers were started with.
    ///
    /// Worlds go out through `publish`; outcomes of finished requests come in through `recent`; `follower` brings other
    /// policies. Plans go by `clock`.
    pub(crate) fn new(
        policy: Arc<Policy>,
        shards: Vec<Arc<Shard>>,
        publish: watch::Sender<Arc<World>>,
        recent: mpsc::Receiver<Vec<Outcome>>,
        first: First,
        follower: Follower,
        clock: Clock,
    ) -> Self {
        let First { world: first, credentials } = first;
        let now = Instant::now();
        let shared = Shared::new(publish.subscribe(), shards, follower.in_force(), clock);
        let shared = Arc::new(shared);
        if let Some(State::Directory(directory)) = &policy.state
            && let Err(error) = shared.audit().keep_in(directory)
        {
            warn!(%error, "the audit log is not kept: its thread cannot be started");
        }
        let functions = Functions::new(&policy, now);
        shared.stats().tell_functions(functions.states());
        let fleets = policy.services.iter().zip(&first.endpoints).enumerate();
        let fleets = fleets.filter_map(|(index, (service, endpoints))| {
            let container = service.container.as_ref()?;
            let tasks = endpoints.tasks.clone()?;
            let id = ServiceId(index as u16);
            Some((next_key(), Fleet::new(id, service.name.clone(), container, tasks, now)))
        });
        let mut control = Self {
            fleets: fleets.collect(),
            clusters: Clusters::default(),
            functions,
            gateways: Gateways::new(&policy, now),
            stopping: Arc::default(),
            follower,
            learner: Learner::new(&policy),
            learned: now,
            capacity: Capacity::new(&policy, clock),
            booked: now,
            looked: None,
            actuators: Actuators::default(),
            warmers: Warmers::default(),
            history: History::none(),
            watch: Watch::new(now),
            keys: Keys::new(credentials, SystemTime::now()),
            aws: None,
            jobs: JoinSet::new(),
            world: first,
            policy,
            publish,
            shared,
            recent,
        };
        control.divide();
        control
    }

    /// Is told through `stopping` that the gateway is about to stop: another may lead then, while this one still serves.
    pub(crate) fn stopping(self, stopping: Arc<Notify>) -> Self {
        Self { stopping, ..self }
    }

    /// Returns what the admin API and `/metrics` read.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Runs until `stop`. Jobs still under way are dropped with it.
    pub(crate) async fn run(mut self, stop: impl Future) {
        let mut stop = pin!(stop);
        self.load_aws().await;
        let mut past = self.open_history();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut stop => break,
                () = self.stopping.notified() => {
                    self.gateways.stop(Instant::now());
                    ticks.reset_immediately();
                }
                Some(loaded) = past.next(), if !past.is_done() => self.remember(loaded),
                Some(report) = self.jobs.join_next(), if !self.jobs.is_empty() => {
                    if self.hear(report) {
                        ticks.reset_immediately();
                    }
                }
                Some(outcomes) = self.recent.recv() => self.shared.remember(outcomes),
                () = self.follower.asked() => {
                    self.follower.told = true;
                    self.functions.hasten(Instant::now());
                    ticks.reset_immediately();
                }
                _ = ticks.tick() => self.tick(Instant::now(), SystemTime::now()),
            }
        }
        // A gateway that leaves does not lead any more: what it keeps for all is kept before.
        self.keep_last();
        self.leave().await;
        self.history.close().await;
    }

    /// One tick: follow the policy's files, discover, probe, learn, renew keys; publish if anything changed; plan; look
    /// for trouble ahead.
    ///
    /// Nothing here waits. The steps start jobs for what is due; [`Control::hear`] takes in what they find.
    fn tick(&mut self, now: Instant, clock: SystemTime) {
        self.look(now);
        self.discover(now);
        self.read_functions(now);
        self.meet(now);
        self.probe(now);
        let beliefs = self.learn(now);
        let keys = self.renew_keys(now, clock);
        let lists = self.lists();
        if beliefs.is_some() || keys.is_some() || lists.is_some() {
            self.publish(beliefs, keys, lists);
        }
        self.plan(now, clock);
        self.obey(now);
        self.act(now);
        self.keep(now);
        self.watch(now, clock);
        self.shared.look(now);
        self.book(now, clock);
        self.shared.stats().tell_gateways(self.gateways.state(now, clock));
        self.shared.stats().tell(self.fleets.values(), &self.keys);
        self.shared.stats().tell_history(self.history.health());
    }

    /// Starts looking at the policy's files, or reading them, when that is due.
    fn look(&mut self, now: Instant) {
        if let Some((main, hash)) = self.follower.due() {
            let policy = self.policy.clone();
            let now = Now { policy, aws: self.aws.clone(), has_keys: self.world.keys.is_some() };
            self.jobs.spawn(async move {
                let (reading, result) = reload::read(main, hash, now).await;
                Report::Read(reading, result)
            });
        } else if let Some(reading) = self.follower.look(now) {
            self.jobs.spawn(async move {
                let look = tokio::task::spawn_blocking(move || reading.look());
                Report::Looked(look.await.expect("looking does not panic, and nobody aborts it"))
            });
        }
    }

    /// Starts looking for the tasks of every service that is due, and listening to the queues that tell of them.
    fn discover(&mut self, now: Instant) {
        for (&number, fleet) in &mut self.fleets {
            if let Some(lookup) = fleet.lookup(now) {
                self.jobs.spawn(async move { Report::Listed(number, lookup.await) });
            }
        }
        let Some(aws) = &self.aws else { return };
        for poll in self.clusters.polls_due(self.fleets.values(), aws, now) {
            self.jobs.spawn(async move { Report::Polled(poll.run().await) });
        }
        for listen in self.clusters.queues_due(self.fleets.values(), aws, now) {
            self.jobs.spawn(async move {
                let (queue, told) = listen.run().await;
                Report::Told(queue, told)
            });
        }
    }

    /// Starts reading every function that is due.
    fn read_functions(&mut self, now: Instant) {
        let Some(aws) = self.aws.as_ref().filter(|_| self.world.keys.is_some()) else { return };
        for ask in self.functions.due(aws, now) {
            self.jobs.spawn(async move { Report::Answered(ask.run().await) });
        }
    }

    /// Starts probing every task that is due.
    fn probe(&mut self, now: Instant) {
        for (&number, fleet) in &mut self.fleets {
            for probe in fleet.probes_due(now) {
                self.jobs
                    .spawn(async move { Report::Probed(number, probe.key, probe.run().await) });
            }
        }
    }

    /// Turns what the workers counted into beliefs, once a second; `None` when nothing new came.
    fn learn(&mut self, now: Instant) -> Option<Arc<Beliefs>> {
        let elapsed = now.duration_since(self.learned);
        if elapsed < LEARN_EVERY {
            return None;
        }
        self.learned = now;
        self.learner.learn(&self.policy, &self.world.counters, elapsed).map(Arc::new)
    }

    /// Asks for credentials before they expire, and returns what that changed.
    fn renew_keys(&mut self, now: Instant, clock: SystemTime) -> Option<Renewal> {
        let aws = self.aws.as_ref()?;
        if !self.policy.services.iter().any(|service| service.lambda.is_some()) {
            return None;
        }
        if self.keys.is_due(now) {
            let aws = aws.clone();
            self.jobs.spawn(async move { Report::Keys(aws.credentials().await) });
        }
        self.keys.renewal(aws.region(), clock)
    }

    /// Returns all endpoints with new lists of tasks when a list changed since the last world.
    fn lists(&mut self) -> Option<Box<[Endpoints]>> {
        let mut endpoints = None;
        for fleet in self.fleets.values_mut() {
            if let Some(tasks) = fleet.new_list() {
                let all = endpoints.get_or_insert_with(|| self.world.endpoints.clone());
                all[usize::from(fleet.service().0)].tasks = Some(tasks);
            }
        }
        endpoints
    }

    /// Takes in what a job found. Returns whether the next tick should come at once: there is something to act on.
    fn hear(&mut self, report: Result<Report, tokio::task::JoinError>) -> bool {
        let now = Instant::now();
        match report {
            Ok(Report::Listed(number, found)) => {
                // Of a service that another policy has dropped meanwhile, nobody wants to know.
                let Some(fleet) = self.fleets.get_mut(&number) else { return false };
                match found {
                    Ok(found) => {
                        fleet.listed(found, now);
                        return true;
                    }
                    Err(error) => {
                        fleet.not_listed(&error, now);
                        self.shared.stats().count_discovery_error(fleet.name());
                    }
                }
            }
            Ok(Report::Polled(polled)) => {
                for name in self.clusters.polled(polled, self.fleets.values_mut(), now) {
                    self.shared.stats().count_discovery_error(&name);
                }
                return true;
            }
            Ok(Report::Told(queue, told)) => {
                self.clusters.told(&queue, told, self.fleets.values_mut(), now);
                return true;
            }
            Ok(Report::Answered(answer)) => {
                if self.functions.heard(answer, now) {
                    self.show_functions();
                    self.adopt_functions();
                }
            }
            Ok(Report::Met(done)) => {
                if self.gateways.heard(done, now, SystemTime::now()) {
                    self.divide();
                }
            }
            Ok(Report::Probed(number, key, result)) => {
                if let Some(fleet) = self.fleets.get_mut(&number) {
                    fleet.probed(key, result, now);
                }
            }
            Ok(Report::Looked(stamp)) => self.follower.saw(stamp, now),
            Ok(Report::Read(reading, result)) => self.read(reading, result, now),
            Ok(Report::Learned(learned)) => self.capacity.learned(*learned),
            Ok(Report::Checked(service, check)) => self.watch.checked(service, check),
            Ok(Report::Acted(acted)) => {
                if let Some(deed) = self.actuators.heard(acted, now, SystemTime::now()) {
                    self.shared.did(deed);
                }
                return true;
            }
            Ok(Report::Warmed(warmed)) => {
                self.book_warmed(&warmed, SystemTime::now());
                if warmed.changed_function() {
                    self.functions.hasten(now);
                }
                if let Some(deed) = self.warmers.heard(warmed, now, SystemTime::now()) {
                    self.shared.did(deed);
                }
                return true;
            }
            Ok(Report::Keys(result)) => {
                self.keys.heard(result, now, SystemTime::now());
                return true;
            }
            Err(error) => warn!(%error, "a job of the control loop panicked"),
        }
        false
    }

    /// Takes in a policy that was read again: a good one takes over, a bad one is told of and changes nothing.
    fn read(&mut self, reading: Reading, result: reload::Result, now: Instant) {
        let hash = reading.hash.clone();
        let in_force = matches!(result, reload::Result::Ready(_));
        self.follower.read(reading, in_force, now);
        match result {
            reload::Result::Same => self.shared.policy_same(),
            reload::Result::Refused(problems) => {
                error!(
                    "the policy is not reloaded, the one in force stays; mend these:\n{problems}"
                );
                self.shared.audit().add(Entry::of_policy("", "refused", Some(&problems)));
                self.shared.policy_refused(problems);
            }
            reload::Result::Ready(ready) => {
                let warnings: Vec<_> = ready.warnings.iter().map(ToString::to_string).collect();
                for warning in &warnings {
                    warn!("{warning}");
                }
                let modes = reload::modes(&self.policy, &ready.policy);
                self.follow(*ready, now);
                for (service, from, to) in modes {
                    let entry = Entry::of_mode(&service, from.as_str(), to.as_str());
                    self.shared.audit().add(entry);
                }
                let (services, routes) = (self.policy.services.len(), self.policy.routes.len());
                info!(hash, services, routes, "the policy is reloaded");
                self.shared.audit().add(Entry::of_policy(&hash, "in force", None));
                self.shared.policy_applied(hash, warnings);
            }
        }
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Control")
            .field("fleets", &self.fleets)
            .field("jobs", &self.jobs.len())
            .finish_non_exhaustive()
    }
}
