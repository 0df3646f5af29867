//! The control loop: finds tasks, proves them, learns how long requests take, renews credentials, follows the policy's
//! files, and publishes worlds.
//!
//! It runs beside the workers and may stall, fail or be slow without touching a request: they serve on with the last
//! [`World`] they were sent. What takes time (AWS's APIs, DNS, probes) runs as a job of its own and reports back, so one
//! slow answer does not hold up the rest. [`Control::tick`] is the whole story, top to bottom.

pub(crate) mod credentials;
pub(crate) mod discover;
pub(crate) mod functions;
mod lately;
pub(crate) mod learn;
pub(crate) mod probe;
pub(crate) mod reload;
mod shared;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use aws_credential_types::Credentials;
use policies::policy::{Policy, ServiceId};
use predictor::outcome::Outcome;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::{debug, error, info, warn};

pub(crate) use self::functions::{FunctionState, State as VersionState};
pub(crate) use self::lately::Lately;
pub(crate) use self::shared::{ControlStats, DiscoveryState, PolicyState, Shared};
use self::{
    credentials::{Aws, Keys, Renewal},
    discover::{
        Fleet, Found,
        ecs::{Clusters, Polled, events::Event},
    },
    functions::Functions,
    learn::Learner,
    reload::{Follower, Now, Ready},
};
use crate::{
    files::{Reading, Stamp},
    lane::{Endpoint, container::Tasks, lambda::Function, lambda::SigningKeys, next_key},
    serve::retries::Retries,
    telemetry::{series::Table, shard::Shard},
    world::{Beliefs, Endpoints, World},
};

/// Time between two ticks: how soon a task that a worker gave up on is probed again, and a new one proven. A probe costs
/// a task well below a millisecond, so five a second are no load; doubling it doubles both delays.
const TICK: Duration = Duration::from_millis(200);

/// Time between two rounds of learning. Beliefs move by minutes; a second keeps `pacer explain` and the demo lively at
/// the price of adding up 84 counters a profile and worker.
const LEARN_EVERY: Duration = Duration::from_secs(1);

/// How long the start waits for credentials: the environment and files answer at once, the container and instance
/// endpoints within milliseconds. What comes later is published when it comes.
const CREDENTIALS_WAIT: Duration = Duration::from_secs(2);

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
    follower: Follower,
    learner: Learner,
    learned: Instant,
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
    Told(policies::policy::Queue, Result<Vec<Event>, String>),
    /// Lambda's API was asked for a function.
    Answered(functions::Answer),
    /// The task of a key was probed.
    Probed(u64, u64, Result<(), String>),
    /// The policy's files were looked at.
    Looked(Stamp),
    /// The policy was read again.
    Read(Reading, reload::Result),
    /// Credentials were asked for.
    Keys(Result<aws_credential_types::Credentials, String>),
}

/// What a gateway begins with.
#[derive(Debug)]
pub(crate) struct First {
    /// The world that workers start with.
    pub(crate) world: Arc<World>,
    /// What its keys were made of: they run out also when the loop never gets any.
    pub(crate) credentials: Option<Credentials>,
}

impl Control {
    /// Makes the loop for `policy`, beginning with the world that the workers were started with.
    ///
    /// Worlds go out through `publish`; outcomes of finished requests come in through `recent`; `follower` brings other
    /// policies.
    pub(crate) fn new(
        policy: Arc<Policy>,
        shards: Vec<Arc<Shard>>,
        publish: watch::Sender<Arc<World>>,
        recent: mpsc::Receiver<Vec<Outcome>>,
        first: First,
        follower: Follower,
    ) -> Self {
        let First { world: first, credentials } = first;
        let now = Instant::now();
        let shared = Shared::new(publish.subscribe(), shards, follower.in_force());
        let shared = Arc::new(shared);
        let functions = Functions::new(&policy, now);
        shared.stats().tell_functions(functions.states());
        let fleets = policy.services.iter().zip(&first.endpoints).enumerate();
        let fleets = fleets.filter_map(|(index, (service, endpoints))| {
            let container = service.container.as_ref()?;
            let tasks = endpoints.tasks.clone()?;
            let id = ServiceId(index as u16);
            Some((next_key(), Fleet::new(id, service.name.clone(), container, tasks, now)))
        });
        Self {
            fleets: fleets.collect(),
            clusters: Clusters::default(),
            functions,
            follower,
            learner: Learner::new(&policy),
            learned: now,
            keys: Keys::new(credentials, SystemTime::now()),
            aws: None,
            jobs: JoinSet::new(),
            world: first,
            policy,
            publish,
            shared,
            recent,
        }
    }

    /// Returns what the admin API and `/metrics` read.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Lays out the world that workers start with: static upstreams resolved, nothing proven, beliefs from priors, keys
    /// when credentials are there within two seconds.
    ///
    /// # Errors
    /// When the policy needs AWS and no region is known, or its endpoint is not a URL.
    pub(crate) async fn first_world(policy: &Arc<Policy>, workers: usize) -> anyhow::Result<First> {
        let aws = if Aws::is_needed(policy) { Some(Aws::load(policy).await?) } else { None };
        let mut endpoints = Vec::with_capacity(policy.services.len());
        for service in &policy.services {
            let function = match (&service.lambda, &aws) {
                (Some(lambda), Some(aws)) => {
                    let url = aws.lambda_endpoint();
                    let endpoint = Endpoint::parse(&url).with_context(|| {
                        format!("the address of the Lambda API; mend `endpoint_url` or AWS_ENDPOINT_URL: `{url}`")
                    })?;
                    Some(Arc::new(Function::new(lambda, endpoint)))
                }
                _ => None,
            };
            let tasks = match &service.container {
                Some(container) => Some(discover::first_tasks(&service.name, container).await),
                None => None,
            };
            endpoints.push(Endpoints { function, tasks, retries: Retries::new(workers) });
        }
        let (keys, credentials) = match &aws {
            Some(aws) if policy.services.iter().any(|service| service.lambda.is_some()) => {
                first_keys(aws).await.unzip()
            }
            _ => (None, None),
        };
        let world = World {
            policy: policy.clone(),
            beliefs: Arc::new(learn::priors(policy)),
            endpoints: endpoints.into(),
            keys,
            counters: (0..workers).map(|_| Table::new(policy)).collect(),
            generation: 0,
        };
        Ok(First { world: Arc::new(world), credentials })
    }

    /// Runs until `stop`. Jobs still under way are dropped with it.
    pub(crate) async fn run(mut self, stop: impl Future) {
        let mut stop = pin!(stop);
        if Aws::is_needed(&self.policy) {
            match Aws::load(&self.policy).await {
                Ok(aws) => self.aws = Some(Arc::new(aws)),
                // `first_world` loaded the same settings, so this is a file that changed in between.
                Err(error) => warn!(
                    error = format!("{error:#}"),
                    "no AWS settings: neither ECS nor new credentials until a restart"
                ),
            }
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut stop => return,
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
    }

    /// One tick: follow the policy's files, discover, probe, learn, renew keys; publish if anything changed.
    ///
    /// Nothing here waits. The steps start jobs for what is due; [`Control::hear`] takes in what they find.
    fn tick(&mut self, now: Instant, clock: SystemTime) {
        self.look(now);
        self.discover(now);
        self.read_functions(now);
        self.probe(now);
        let beliefs = self.learn(now);
        let keys = self.renew_keys(now, clock);
        let lists = self.lists();
        if beliefs.is_some() || keys.is_some() || lists.is_some() {
            self.publish(beliefs, keys, lists);
        }
        self.shared.look(now);
        self.shared.stats().tell(self.fleets.values(), &self.keys);
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
                for name in self.clusters.polled(&polled, self.fleets.values_mut(), now) {
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
            Ok(Report::Probed(number, key, result)) => {
                if let Some(fleet) = self.fleets.get_mut(&number) {
                    fleet.probed(key, result, now);
                }
            }
            Ok(Report::Looked(stamp)) => self.follower.saw(stamp, now),
            Ok(Report::Read(reading, result)) => self.read(reading, result, now),
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
                self.shared.policy_refused(problems);
            }
            reload::Result::Ready(ready) => {
                let warnings: Vec<_> = ready.warnings.iter().map(ToString::to_string).collect();
                for warning in &warnings {
                    warn!("{warning}");
                }
                self.follow(*ready, now);
                let (services, routes) = (self.policy.services.len(), self.policy.routes.len());
                info!(hash, services, routes, "the policy is reloaded");
                self.shared.policy_applied(hash, warnings);
            }
        }
    }

    /// Puts another policy in force, in one step. What it says of services and routes that were there already goes on:
    /// tasks, connections, what is in flight, what was counted and learned.
    fn follow(&mut self, ready: Ready, now: Instant) {
        let Ready { policy, mut fleets, aws, lambda, keys, .. } = ready;
        self.functions.follow(&policy, now);
        let policy = Arc::new(self.functions.real(&policy));
        let old = self.world.clone();
        let mut old_fleets: BTreeMap<_, _> = std::mem::take(&mut self.fleets)
            .into_iter()
            .map(|(number, fleet)| (fleet.name().clone(), (number, fleet)))
            .collect();
        let mut endpoints = Vec::with_capacity(policy.services.len());
        for (index, service) in policy.services.iter().enumerate() {
            let before = old.policy.services.iter().position(|old| old.name == service.name);
            let before = before.map(|index| (&old.policy.services[index], &old.endpoints[index]));
            let function =
                service.lambda.as_ref().zip(lambda.as_ref()).map(|(wanted, endpoint)| match before
                    .and_then(|(old, at)| Some((old.lambda.as_ref()?, at.function.as_ref()?)))
                {
                    Some((old, function)) if old == wanted => function.clone(),
                    Some((old, function))
                        if (&old.function, &old.qualifier)
                            == (&wanted.function, &wanted.qualifier) =>
                    {
                        Arc::new(function.follow(wanted))
                    }
                    _ => Arc::new(Function::new(wanted, endpoint.clone())),
                });
            let tasks = service.container.as_ref().and_then(|container| {
                let (number, mut fleet) =
                    match (fleets.remove(&service.name), old_fleets.remove(&service.name)) {
                        (Some(mut new), Some((_, old))) => {
                            new.succeed(old, now);
                            (next_key(), new)
                        }
                        (Some(new), None) => (next_key(), new),
                        (None, Some(old)) => old,
                        // `reload::read` made a fleet for every service that had none.
                        (None, None) => return None,
                    };
                fleet.keep(ServiceId(index as u16), container);
                let tasks = fleet.tasks();
                self.fleets.insert(number, fleet);
                Some(tasks)
            });
            let retries = before.map(|(_, at)| at.retries.clone());
            let retries = retries.unwrap_or_else(|| Retries::new(old.counters.len()));
            endpoints.push(Endpoints { function, tasks, retries });
        }
        self.aws = self.aws.take().or(aws);
        let keys = keys.map(|(keys, credentials)| {
            self.keys.heard(Ok(credentials), now, SystemTime::now());
            keys
        });
        let world = Arc::new(World {
            beliefs: Arc::new(self.learner.follow(&policy, &old.policy)),
            counters: self.shared.series().tables(&policy, &old),
            endpoints: endpoints.into(),
            keys: keys.or_else(|| old.keys.clone()),
            generation: old.generation + 1,
            policy: policy.clone(),
        });
        self.policy = policy;
        self.shared.adopt(&world);
        self.send(world);
        self.show_functions();
    }

    /// Puts in force what was read of functions: in a new world, where it changes what the policy says of them.
    fn adopt_functions(&mut self) {
        let policy = self.functions.real(&self.policy);
        let lanes = |policy: &Policy| -> Vec<_> {
            policy.services.iter().map(|service| service.lambda.clone()).collect()
        };
        if lanes(&policy) == lanes(&self.policy) {
            return;
        }
        let old = self.world.clone();
        let policy = Arc::new(policy);
        let mut endpoints = old.endpoints.clone();
        for (service, endpoints) in policy.services.iter().zip(&mut endpoints) {
            if let (Some(lambda), Some(function)) = (&service.lambda, &mut endpoints.function) {
                *function = Arc::new(function.follow(lambda));
            }
        }
        let world = Arc::new(World {
            policy: policy.clone(),
            beliefs: Arc::new(self.learner.follow(&policy, &old.policy)),
            endpoints,
            keys: old.keys.clone(),
            counters: old.counters.clone(),
            generation: old.generation,
        });
        self.policy = policy;
        self.send_quietly(world);
    }

    /// Tells workers, the admin API and `/metrics` how the functions are.
    fn show_functions(&self) {
        for (service, endpoints) in self.policy.services.iter().zip(&self.world.endpoints) {
            if let Some(function) = &endpoints.function {
                function.offer(self.functions.offer(&service.name));
            }
        }
        self.shared.stats().tell_functions(self.functions.states());
    }

    /// Publishes a world in which what is given replaces what was.
    fn publish(
        &mut self,
        beliefs: Option<Arc<Beliefs>>,
        keys: Option<Renewal>,
        endpoints: Option<Box<[Endpoints]>>,
    ) {
        let old = &self.world;
        debug!(
            beliefs = beliefs.is_some(),
            keys = keys.is_some(),
            tasks = endpoints.is_some(),
            "a new world"
        );
        let lists_changed = endpoints.is_some();
        let world = Arc::new(World {
            policy: old.policy.clone(),
            beliefs: beliefs.unwrap_or_else(|| old.beliefs.clone()),
            endpoints: endpoints.unwrap_or_else(|| old.endpoints.clone()),
            keys: keys.map_or_else(|| old.keys.clone(), Renewal::into_keys),
            counters: old.counters.clone(),
            generation: old.generation,
        });
        if lists_changed {
            self.send(world);
        } else {
            self.send_quietly(world);
        }
    }

    /// Publishes a world with other lists of tasks: whoever waits on an older list gets the slots of the new one.
    fn send(&mut self, world: Arc<World>) {
        self.send_quietly(world);
        let endpoints = self.world.endpoints.iter();
        endpoints.filter_map(|endpoints| endpoints.tasks.as_ref()).for_each(Tasks::wake);
    }

    fn send_quietly(&mut self, world: Arc<World>) {
        self.world = world.clone();
        self.publish.send_replace(world);
        self.shared.stats().count_world();
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

/// Returns signing keys, and what they were made of, when credentials come within [`CREDENTIALS_WAIT`].
async fn first_keys(aws: &Aws) -> Option<(Arc<SigningKeys>, Credentials)> {
    match timeout(CREDENTIALS_WAIT, aws.credentials()).await {
        Ok(Ok(found)) => {
            let keys = credentials::signing_keys(&found, aws.region(), SystemTime::now());
            Some((Arc::new(keys), found))
        }
        // The loop asks again at once, tells why it failed, and publishes them when they come.
        Ok(Err(_)) | Err(_) => None,
    }
}
