//! The control loop: finds tasks, proves them, learns how long requests take, renews credentials, and publishes worlds.
//!
//! It runs beside the workers and may stall, fail or be slow without touching a request: they serve on with the last
//! [`World`] they were sent. What takes time (AWS's APIs, DNS, probes) runs as a job of its own and reports back, so one
//! slow answer does not hold up the rest. [`Control::tick`] is the whole story, top to bottom.

pub(crate) mod credentials;
pub(crate) mod discover;
pub(crate) mod learn;
pub(crate) mod probe;
mod shared;

#[cfg(test)]
mod tests;

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use policies::policy::{Policy, ServiceId};
use predictor::outcome::Outcome;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::{debug, warn};

pub(crate) use self::shared::{ControlStats, DiscoveryState, Shared};
use self::{
    credentials::{Aws, Keys, Renewal},
    discover::{Fleet, Found},
    learn::Learner,
};
use crate::{
    lane::{Endpoint, container::Tasks, lambda::Function, lambda::SigningKeys},
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
    fleets: Vec<Fleet>,
    learner: Learner,
    learned: Instant,
    keys: Keys,
    aws: Option<Arc<Aws>>,
    jobs: JoinSet<Report>,
}

/// What a job found.
enum Report {
    /// A service's tasks were listed; the number is the fleet's place.
    Listed(usize, Result<Vec<Found>, String>),
    /// The task of a key was probed.
    Probed(usize, u64, Result<(), String>),
    /// Credentials were asked for.
    Keys(Result<aws_credential_types::Credentials, String>),
}

impl Control {
    /// Makes the loop for `policy`, beginning with the world that the workers were started with.
    ///
    /// Worlds go out through `publish`; outcomes of finished requests come in through `recent`.
    pub(crate) fn new(
        policy: Arc<Policy>,
        shards: Vec<Arc<Shard>>,
        publish: watch::Sender<Arc<World>>,
        recent: mpsc::Receiver<Vec<Outcome>>,
        first: Arc<World>,
    ) -> Self {
        let now = Instant::now();
        let shared = Arc::new(Shared::new(publish.subscribe(), shards));
        let fleets = policy.services.iter().zip(&first.endpoints).enumerate();
        let fleets = fleets.filter_map(|(index, (service, endpoints))| {
            let container = service.container.as_ref()?;
            let tasks = endpoints.tasks.clone()?;
            Some(Fleet::new(ServiceId(index as u16), service.name.clone(), container, tasks, now))
        });
        Self {
            fleets: fleets.collect(),
            learner: Learner::new(&policy),
            learned: now,
            keys: Keys::new(first.keys.is_some()),
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
    pub(crate) async fn first_world(policy: &Arc<Policy>, workers: usize) -> anyhow::Result<World> {
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
        let keys = match &aws {
            Some(aws) if policy.services.iter().any(|service| service.lambda.is_some()) => {
                first_keys(aws).await
            }
            _ => None,
        };
        Ok(World {
            policy: policy.clone(),
            beliefs: Arc::new(learn::priors(policy)),
            endpoints: endpoints.into(),
            keys,
            counters: (0..workers).map(|_| Table::new(policy)).collect(),
            generation: 0,
        })
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
                _ = ticks.tick() => self.tick(Instant::now(), SystemTime::now()),
            }
        }
    }

    /// One tick: discover, probe, learn, renew keys; publish if anything changed.
    ///
    /// Nothing here waits. The first three steps start jobs for what is due; [`Control::hear`] takes in what they find.
    fn tick(&mut self, now: Instant, clock: SystemTime) {
        self.discover(now);
        self.probe(now);
        let beliefs = self.learn(now);
        let keys = self.renew_keys(now, clock);
        let lists = self.lists();
        if beliefs.is_some() || keys.is_some() || lists.is_some() {
            self.publish(beliefs, keys, lists);
        }
        self.shared.stats().tell(&self.fleets, &self.keys);
    }

    /// Starts listing the tasks of every service that is due.
    fn discover(&mut self, now: Instant) {
        for (place, fleet) in self.fleets.iter_mut().enumerate() {
            if let Some(listing) = fleet.listing(now, self.aws.as_ref()) {
                self.jobs.spawn(async move { Report::Listed(place, listing.await) });
            }
        }
    }

    /// Starts probing every task that is due.
    fn probe(&mut self, now: Instant) {
        for (place, fleet) in self.fleets.iter_mut().enumerate() {
            for probe in fleet.probes_due(now) {
                self.jobs.spawn(async move { Report::Probed(place, probe.key, probe.run().await) });
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
        for fleet in &mut self.fleets {
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
            Ok(Report::Listed(place, Ok(found))) => {
                self.fleets[place].listed(found, now);
                return true;
            }
            Ok(Report::Listed(place, Err(error))) => {
                let fleet = &mut self.fleets[place];
                fleet.not_listed(&error, now);
                self.shared.stats().count_discovery_error(fleet.name());
            }
            Ok(Report::Probed(place, key, result)) => self.fleets[place].probed(key, result, now),
            Ok(Report::Keys(result)) => {
                self.keys.heard(result, now, SystemTime::now());
                return true;
            }
            Err(error) => warn!(%error, "a job of the control loop panicked"),
        }
        false
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
        self.world = world.clone();
        self.publish.send_replace(world);
        self.shared.stats().count_world();
        if lists_changed {
            // Whoever waits on an older list gets the slots of the new one.
            self.world
                .endpoints
                .iter()
                .filter_map(|endpoints| endpoints.tasks.as_ref())
                .for_each(Tasks::wake);
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

/// Returns signing keys when credentials come within [`CREDENTIALS_WAIT`].
async fn first_keys(aws: &Aws) -> Option<Arc<SigningKeys>> {
    match timeout(CREDENTIALS_WAIT, aws.credentials()).await {
        Ok(Ok(found)) => {
            Some(Arc::new(credentials::signing_keys(&found, aws.region(), SystemTime::now())))
        }
        // The loop asks again at once, tells why it failed, and publishes them when they come.
        Ok(Err(_)) | Err(_) => None,
    }
}
