//! Another policy while the gateway runs.
//!
//! The files are looked at once a second, all that were read, by identity, times and size. Not by the system's own
//! notifications: those do not come from network file systems, miss what happens behind links unless every directory on
//! the way is watched, and cost a dependency; a look costs a few microseconds a file. What changed is read once it was
//! the same for two looks, so that a file that is still being written is left alone. SIGHUP reads at once.
//!
//! A policy is read and made ready here, beside the loop and beside all traffic: problems refuse it, and the tasks of
//! services that are new to it prove themselves before it takes over. [`Control::follow`](super::Control::follow) then
//! puts it in force in one step.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_credential_types::Credentials;
use policies::{
    policy::{Mode, Policy, Service, ServiceId},
    problem::Problem,
    reload::needs_restart,
};
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{
    aws::Aws,
    credentials::first_keys,
    discover::{Fleet, first_tasks},
};
use crate::{
    files::{FileSource, ReadPolicy, Reading, Stamp, read_policy},
    lane::{Endpoint, lambda::SigningKeys},
};

/// Time between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Returns the services that `next` has in another mode: name, and the modes of before and after.
pub(super) fn modes(now: &Policy, next: &Policy) -> Vec<(Arc<str>, Mode, Mode)> {
    let before: BTreeMap<_, _> =
        now.services.iter().map(|service| (&service.name, service.mode)).collect();
    let changed = |service: &Service| {
        let before = *before.get(&service.name)?;
        (before != service.mode).then(|| (service.name.clone(), before, service.mode))
    };
    next.services.iter().filter_map(changed).collect()
}

/// How the policy's files are followed.
#[derive(Debug)]
pub(crate) struct Follower {
    /// What was read last, whether it could be used or not.
    reading: Reading,
    /// Hash of the policy in force.
    in_force: String,
    /// The files are looked at; otherwise only a signal makes them read.
    watch: bool,
    asked: Arc<Notify>,
    /// A signal came.
    pub(super) told: bool,
    look_at: Instant,
    /// What the last look saw, when it differs from what was read.
    changed: Option<Stamp>,
    busy: bool,
}

/// A policy that can take over at once.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(super) policy: Arc<Policy>,
    pub(super) warnings: Vec<Problem>,
    /// The tasks of services that are new or found elsewhere, by name, as far as they could be proven.
    pub(super) fleets: BTreeMap<Arc<str>, Fleet>,
    pub(super) aws: Option<Arc<Aws>>,
    /// The Lambda API, when a service has a function.
    pub(super) lambda: Option<Endpoint>,
    /// Keys, when there were none before.
    pub(super) keys: Option<(Arc<SigningKeys>, Credentials)>,
}

/// What became of reading the policy again.
#[derive(Debug)]
pub(crate) enum Result {
    /// It is as it was.
    Same,
    /// It may take over.
    Ready(Box<Ready>),
    /// It may not: why, a line each.
    Refused(String),
}

/// What reading the policy again needs to know of the one in force.
#[derive(Debug, Clone)]
pub(super) struct Now {
    pub(super) policy: Arc<Policy>,
    pub(super) aws: Option<Arc<Aws>>,
    pub(super) has_keys: bool,
}

impl Follower {
    /// Follows the files of `reading`, when `watch` says so, and whenever `asked` is notified.
    pub(crate) fn new(reading: Reading, watch: bool, asked: Arc<Notify>) -> Self {
        Self {
            in_force: reading.hash.clone(),
            reading,
            watch,
            asked,
            told: false,
            look_at: Instant::now() + LOOK_EVERY,
            changed: None,
            busy: false,
        }
    }

    /// Returns the hash of the policy in force.
    pub(super) fn in_force(&self) -> &str {
        &self.in_force
    }

    /// Waits until a signal asks for a reload.
    pub(super) fn asked(&self) -> impl Future<Output = ()> + use<> {
        let asked = self.asked.clone();
        async move { asked.notified().await }
    }

    /// Returns the reading to look at again when that is due; [`Follower::saw`] must be told what was seen.
    pub(super) fn look(&mut self, now: Instant) -> Option<Reading> {
        if self.busy || !self.watch || now < self.look_at {
            return None;
        }
        self.busy = true;
        Some(self.reading.clone())
    }

    /// Takes in what the files look like.
    pub(super) fn saw(&mut self, stamp: Stamp, now: Instant) {
        self.busy = false;
        self.look_at = now + LOOK_EVERY;
        if stamp == self.reading.stamp {
            self.changed = None;
        } else if self.changed.as_ref() == Some(&stamp) {
            self.told = true;
        } else {
            self.changed = Some(stamp);
        }
    }

    /// Returns the main file when it is to be read now; [`Follower::read`] must be told what was read.
    pub(super) fn due(&mut self) -> Option<(String, String)> {
        if self.busy || !std::mem::take(&mut self.told) {
            return None;
        }
        self.busy = true;
        Some((self.reading.main.clone(), self.in_force.clone()))
    }

    /// Takes in what was read, and whether it was put in force.
    pub(super) fn read(&mut self, reading: Reading, in_force: bool, now: Instant) {
        self.busy = false;
        self.look_at = now + LOOK_EVERY;
        self.changed = None;
        if in_force {
            self.in_force.clone_from(&reading.hash);
        }
        self.reading = reading;
    }
}

/// Reads the policy `main` and makes it ready to follow `now`, whose hash is `hash`.
pub(super) async fn read(main: String, hash: String, now: Now) -> (Reading, Result) {
    let reading = tokio::task::spawn_blocking(move || read_policy(&main, &FileSource)).await;
    match reading.expect("loading does not panic, and nobody aborts it") {
        Err((problems, reading)) => (reading, Result::Refused(problems.to_string())),
        Ok(ReadPolicy { reading, .. }) if reading.hash == hash => (reading, Result::Same),
        Ok(ReadPolicy { loaded, reading }) => {
            let restart = needs_restart(&now.policy, &loaded);
            if !restart.is_empty() {
                return (
                    reading,
                    Result::Refused(policies::problem::Problems(restart).to_string()),
                );
            }
            match ready(loaded.policy, loaded.warnings, now).await {
                Ok(ready) => (reading, Result::Ready(Box::new(ready))),
                Err(error) => (reading, Result::Refused(format!("{error:#}"))),
            }
        }
    }
}

async fn ready(policy: Policy, warnings: Vec<Problem>, now: Now) -> anyhow::Result<Ready> {
    let policy = Arc::new(policy);
    let aws = match now.aws {
        None if Aws::is_needed(&policy) => Some(Arc::new(Aws::load(&policy).await?)),
        aws => aws,
    };
    let functions = policy.services.iter().any(|service| service.lambda.is_some());
    let lambda = match &aws {
        Some(aws) if functions => Some(Endpoint::parse(&aws.lambda_endpoint())?),
        _ => None,
    };
    let keys = match &aws {
        Some(aws) if functions && !now.has_keys => first_keys(aws).await,
        _ => None,
    };
    let mut warming = JoinSet::new();
    for (index, service) in policy.services.iter().enumerate() {
        let Some(container) = &service.container else { continue };
        let before = now.policy.services.iter().find(|before| before.name == service.name);
        let before = before.and_then(|before| before.container.as_ref());
        if before.is_some_and(|before| before.discovery == container.discovery) {
            continue;
        }
        let (name, container, aws) = (service.name.clone(), container.clone(), aws.clone());
        warming.spawn(async move {
            let tasks = first_tasks(&name, &container).await;
            let id = ServiceId(index as u16);
            let fleet = Fleet::new(id, name.clone(), &container, tasks, Instant::now());
            (name, fleet.warm(aws.as_ref()).await)
        });
    }
    let fleets = warming.join_all().await.into_iter().collect();
    Ok(Ready { policy, warnings, fleets, aws, lambda, keys })
}
