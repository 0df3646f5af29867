//! One function: its versions, its aliases, and which of them an invocation gets.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    bill::FunctionUsage,
    clock::{self, Scale},
    config::{self, Config},
    faults::ThrottleReason,
    lambda::{
        environment::Environment,
        limits::{Limits, Slot},
        name::{LATEST, Name},
        provisioned::Provisioned,
        snapshot::State,
        version::Version,
    },
    tasks::lock,
};

/// One function.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) usage: FunctionUsage,
    limits: Arc<Limits>,
    in_flight: Arc<AtomicU32>,
    published: Mutex<Published>,
    /// An environment became idle.
    warmed: Notify,
    /// What is provisioned changed, or an environment of it ended.
    pub(crate) provisioning: Notify,
}

/// What publishing and aliasing change.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) latest: Arc<Version>,
    pub(crate) versions: BTreeMap<u32, Arc<Version>>,
    pub(crate) aliases: BTreeMap<String, Alias>,
    /// Provisioned concurrency by qualifier.
    pub(crate) provisioned: BTreeMap<String, Provisioned>,
    /// The last number that was given.
    pub(crate) last: u32,
}

/// A name for a version, or for two by weight.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alias {
    pub(crate) version: Target,
    pub(crate) description: String,
    /// Another version and the part of the invocations it gets, 0 to 1.
    pub(crate) routing: Option<(u32, f64)>,
    pub(crate) revision: String,
}

/// What an alias points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Latest,
    Number(u32),
}

/// What an admitted invocation holds: its place under the limits, and an environment if there is one.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) place: Place,
    pub(crate) environment: Option<Arc<Environment>>,
}

/// An invocation in flight; given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    in_flight: Arc<AtomicU32>,
    /// None in a provisioned environment, whose room is taken for good.
    _slot: Option<Slot>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Function {
    /// The function as configured: with qualifiers, versions are published and aliases made at once.
    pub(crate) fn new(
        name: &str,
        settings: &config::Function,
        config: &Config,
        limits: Arc<Limits>,
    ) -> Self {
        let latest = Arc::new(Version::latest(settings.clone(), String::new()));
        let numbers = settings.qualifiers.iter().filter_map(|q| q.parse::<u32>().ok());
        let last = if settings.qualifiers.is_empty() { 0 } else { numbers.max().unwrap_or(1) };
        let version = |n: u32| (n, Arc::new(latest.publish(n, String::new(), State::Active)));
        let aliases = settings.qualifiers.iter().filter(|q| q.parse::<u32>().is_err());
        let alias = |name: &String| {
            let alias = Alias {
                version: Target::Number(last),
                description: String::new(),
                routing: None,
                revision: clock::request_id(),
            };
            (name.clone(), alias)
        };
        let published = Published {
            versions: (1..=last).map(version).collect(),
            aliases: aliases.map(alias).collect(),
            provisioned: BTreeMap::new(),
            last,
            latest,
        };
        Self {
            name: name.to_owned(),
            arn: format!("arn:aws:lambda:{}:{}:function:{name}", config.region, config.account),
            usage: FunctionUsage::default(),
            limits,
            in_flight: Arc::default(),
            published: Mutex::new(published),
            warmed: Notify::new(),
            provisioning: Notify::new(),
        }
    }

    /// Versions, aliases and what is provisioned.
    pub(crate) fn published(&self) -> MutexGuard<'_, Published> {
        lock(&self.published)
    }

    /// Every version, `$LATEST` first.
    pub(crate) fn versions(&self) -> Vec<Arc<Version>> {
        let published = self.published();
        std::iter::once(&published.latest).chain(published.versions.values()).cloned().collect()
    }

    /// The version that an invocation of `name` gets; an alias of two draws.
    pub(crate) fn resolve(&self, name: &Name, draw: f64) -> Option<Arc<Version>> {
        self.published().resolve(name.qualifier.as_deref(), draw)
    }

    /// The ARN with this qualifier, if any.
    pub(crate) fn arn_of(&self, qualifier: Option<&str>) -> String {
        match qualifier {
            None | Some(LATEST) => self.arn.clone(),
            Some(qualifier) => format!("{}:{qualifier}", self.arn),
        }
    }

    /// Admits an invocation of `version`.
    ///
    /// # Errors
    /// Why it is throttled.
    pub(crate) fn seat(&self, version: &Version) -> Result<Seat, ThrottleReason> {
        let now = Instant::now();
        if let Some(environment) = version.pool.take_provisioned() {
            if let Err(reason) = self.limits.request(&self.name, now) {
                self.put(version, environment);
                return Err(reason);
            }
            return Ok(Seat { place: self.place(None), environment: Some(environment) });
        }
        let slot = self.limits.enter(&self.name)?;
        self.limits.request(&self.name, now)?;
        let environment = version.pool.take_warm();
        if environment.is_none() && !self.limits.start(&self.name, now) {
            return Err(ThrottleReason::ConcurrentInvocationLimitExceeded);
        }
        Ok(Seat { place: self.place(Some(slot)), environment })
    }

    fn place(&self, slot: Option<Slot>) -> Place {
        self.in_flight.fetch_add(1, Relaxed);
        Place { in_flight: self.in_flight.clone(), _slot: slot }
    }

    /// Invocations in flight.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Puts an environment that waits for an event back.
    pub(crate) fn put(&self, version: &Version, environment: Arc<Environment>) {
        version.pool.put(environment);
        self.warmed.notify_one();
    }

    /// Every environment that lives, with its version.
    pub(crate) fn environments(&self) -> Vec<(Arc<Version>, Arc<Environment>)> {
        let of = |version: Arc<Version>| {
            let environments = version.pool.environments();
            environments.into_iter().map(move |e| (version.clone(), e))
        };
        self.versions().into_iter().flat_map(of).collect()
    }

    /// Drops all idle environments.
    pub(crate) fn clear(&self) {
        for version in self.versions() {
            version.pool.clear();
        }
    }

    /// Drops environments once they have been idle for too long; runs as long as the cloud does.
    pub(crate) async fn reap(self: Arc<Self>, scale: Scale) {
        loop {
            let now = Instant::now();
            let next = |v: Arc<Version>| v.pool.reap(scale.shrink(v.settings.idle), now);
            match self.versions().into_iter().filter_map(next).min() {
                Some(next) => tokio::time::sleep_until(next).await,
                None => self.warmed.notified().await,
            }
        }
    }
}

impl Published {
    /// The version that `qualifier` means; an alias of two draws a number from 0 to 1.
    pub(crate) fn resolve(&self, qualifier: Option<&str>, draw: f64) -> Option<Arc<Version>> {
        let qualifier = qualifier.unwrap_or(LATEST);
        if qualifier == LATEST {
            return Some(self.latest.clone());
        }
        if let Ok(number) = qualifier.parse() {
            return self.versions.get(&number).cloned();
        }
        let alias = self.aliases.get(qualifier)?;
        let target = match alias.routing {
            Some((other, weight)) if draw < weight => Target::Number(other),
            _ => alias.version,
        };
        match target {
            Target::Latest => Some(self.latest.clone()),
            Target::Number(number) => self.versions.get(&number).cloned(),
        }
    }

    /// Publishes `$LATEST`, with its description unless there is another, unless nothing changed since the last time.
    /// True when a version was made.
    pub(crate) fn publish(&mut self, description: Option<String>) -> (Arc<Version>, bool) {
        let same = self.versions.get(&self.last).filter(|v| v.settings == self.latest.settings);
        if let Some(same) = same {
            return (same.clone(), false);
        }
        self.last += 1;
        let description = description.unwrap_or_else(|| self.latest.description.clone());
        let version = Arc::new(self.latest.publish(self.last, description, State::Pending));
        self.versions.insert(self.last, version.clone());
        (version, true)
    }

    /// Replaces `$LATEST`. Its environments end when the last of them is idle.
    pub(crate) fn update(&mut self, settings: config::Function, description: String) {
        self.latest = Arc::new(Version::latest(settings, description));
    }
}

impl Target {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == LATEST {
            return Some(Self::Latest);
        }
        text.parse().ok().map(Self::Number)
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Latest => LATEST.to_owned(),
            Self::Number(number) => number.to_string(),
        }
    }
}
