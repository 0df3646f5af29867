//! Has what was planned: sets the count of tasks of services in `mode: act`.
//!
//! For each service one call at a time, as a job beside the loop: it is read, then the next step is taken
//! ([`next`]), then it is read again. A call that fails changes nothing but when the next is made: what runs
//! stays as it is. Ahead of it all a schedule is kept that lowers the count to `tasks.fallback` when nobody pushes it
//! forward any more. Who may act is not decided here: of several gateways one does.

mod call;
mod deeds;
mod next;
mod service;
pub(crate) mod spot;
pub(crate) mod warm;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use policies::policy::{Discovery, Mode, Policy, ScaleBy, Service, TaskLimits};
use tokio::time::{Instant, timeout};

pub(crate) use self::deeds::{Deed, Deeds, KINDS};
use self::service::{Acting, Done};
use super::{aws::Aws, discover::Fleet, freeze::Brake, gateways::Lease};

/// Names of tasks.
pub(crate) type Names = BTreeSet<Arc<str>>;

/// A call under way.
pub(crate) type Call = Pin<Box<dyn Future<Output = Acted> + Send>>;

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Acted {
    service: Arc<str>,
    done: Done,
}

/// What is acted on, as AWS calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    cluster: Arc<str>,
    service: Arc<str>,
    by: ScaleBy,
    scheduler_role: Option<Arc<str>>,
}

/// What a call is made with: and whether it may be made, which is asked right before it.
#[derive(Debug, Clone)]
pub(crate) struct Allowed {
    /// Clients.
    pub(crate) aws: Arc<Aws>,
    /// Of several gateways one holds it.
    pub(crate) lease: Lease,
    /// While it is on nothing is changed.
    pub(crate) brake: Brake,
}

impl Allowed {
    /// Returns the clients for a call that changes capacity, while the lease is held and nothing is frozen.
    fn now(&self) -> Result<&Aws, String> {
        if self.brake.is_on() {
            return Err("scaling is frozen: the call was not made".to_owned());
        }
        self.to_hold()
    }

    /// Returns the clients for a call that keeps capacity as it is, while the lease is held.
    fn to_hold(&self) -> Result<&Aws, String> {
        self.left().map(|_| &*self.aws)
    }

    /// Returns for how long a call that is made now may take.
    fn left(&self) -> Result<Duration, String> {
        let left = self.lease.left(Instant::now(), SystemTime::now());
        left.ok_or_else(|| "another gateway leads now: the call was not made".to_owned())
    }

    /// Waits for `call` for as long as the lease lasts: after that another gateway may do something else.
    async fn while_leading(
        &self,
        call: impl Future<Output = Result<(), String>>,
    ) -> Result<(), String> {
        let left = self.left()?;
        let given_up = || "it was not answered while this gateway led".to_owned();
        timeout(left, call).await.unwrap_or_else(|_| Err(given_up()))
    }
}

/// What is the same for all services at one moment.
#[derive(Debug)]
pub(crate) struct Circumstances<'a> {
    /// What calls are made with.
    pub(crate) allowed: &'a Allowed,
    /// Requests that other gateways have in a task.
    pub(crate) busy: &'a BTreeMap<Arc<str>, u32>,
    /// Gateways that live, this one among them.
    pub(crate) live: u32,
    /// How many times faster than real AWS's lags pass: more than 1 behind a local cloud only.
    pub(crate) scale: f64,
    /// This moment.
    pub(crate) now: Instant,
}

/// How many tasks a service should have.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) tasks: u32,
    /// Why, in words.
    pub(crate) why: String,
    /// Enough is known to have fewer than there are.
    pub(crate) may_take_back: bool,
}

/// Those who act, by service.
#[derive(Debug, Default)]
pub(crate) struct Actuators(BTreeMap<Arc<str>, Acting>);

impl Actuators {
    /// Returns the calls that are due. `planned` tells how many tasks a service should have, and why.
    ///
    /// Tasks that are to go are given nothing new from now on.
    pub(crate) fn due<'a>(
        &mut self,
        policy: &Policy,
        fleets: impl Iterator<Item = &'a mut Fleet>,
        planned: impl Fn(&str) -> Option<Wish>,
        circumstances: &Circumstances<'_>,
    ) -> Vec<Call> {
        let mut fleets: BTreeMap<_, _> =
            fleets.map(|fleet| (fleet.name().clone(), fleet)).collect();
        let mut calls = Vec::new();
        let mut old = std::mem::take(&mut self.0);
        for service in &policy.services {
            let Some(fleet) = fleets.get_mut(&service.name) else { continue };
            let before = old.remove(&service.name);
            let Some((target, limits)) = target(service) else { continue };
            let mut acting = match before {
                Some(acting) if *acting.target() == target => acting,
                _ => Acting::new(service.name.clone(), target, circumstances.now),
            };
            if let Some(wish) = planned(&service.name) {
                let tasks = wish.tasks.clamp(limits.min, limits.max);
                let wish = Wish { tasks, ..wish };
                calls.extend(acting.due(wish, limits, fleet, circumstances));
            }
            self.0.insert(service.name.clone(), acting);
        }
        // Who is acted on no longer has all its tasks back.
        for name in old.into_keys() {
            if let Some(fleet) = fleets.get_mut(&name) {
                fleet.retire(&Names::new());
            }
        }
        calls
    }

    /// Returns the tasks that are to go, of all services.
    pub(crate) fn retiring(&self) -> Names {
        self.0.values().flat_map(Acting::retiring).cloned().collect()
    }

    /// Returns why tasks are left as they are, by service, where something is in the way.
    pub(crate) fn troubles(&self) -> BTreeMap<Arc<str>, String> {
        let trouble = |(name, acting): (&Arc<str>, &Acting)| {
            Some((name.clone(), acting.trouble()?.to_owned()))
        };
        self.0.iter().filter_map(trouble).collect()
    }

    /// Returns why the tasks of a service are left as they are, if something is in the way.
    pub(crate) fn trouble(&self, service: &str) -> Option<&str> {
        self.0.get(service)?.trouble()
    }

    /// Returns how many tasks of a service ECS is to have, as read or set last.
    pub(crate) fn asked(&self, service: &str) -> Option<u32> {
        self.0.get(service)?.asked()
    }

    /// Takes in what came of a call; returns what was done by it, if anything was.
    pub(crate) fn heard(&mut self, acted: Acted, now: Instant, clock: SystemTime) -> Option<Deed> {
        self.0.get_mut(&acted.service)?.heard(acted.done, now, clock)
    }
}

/// Returns the name of the schedule that lowers a service's count when no gateway is left, where there is to be one.
pub(crate) fn fallback_schedule(service: &Service) -> Option<String> {
    let (target, _) = target(service)?;
    (target.by == ScaleBy::DesiredCount).then(|| target.schedule())
}

/// Reads whether a service that only observes could be acted on; `None` where nothing would be. Nothing is changed.
pub(crate) fn dry_check(
    service: &Service,
    aws: Arc<Aws>,
) -> Option<impl Future<Output = Result<(), String>> + Send + use<>> {
    let (target, limits) = candidate(service).filter(|_| service.mode == Mode::Observe)?;
    let most = limits.max;
    Some(async move {
        let told = call::read(&aws, &target).await?;
        service::by(&target, &told, most).map(drop)
    })
}

/// Returns what of a service is acted on, and within which bounds.
fn target(service: &Service) -> Option<(Target, &TaskLimits)> {
    candidate(service).filter(|_| service.mode == Mode::Act)
}

/// Returns what of a service would be acted on, whatever its mode.
fn candidate(service: &Service) -> Option<(Target, &TaskLimits)> {
    let container = service.container.as_ref()?;
    let Discovery::Ecs { cluster, service, .. } = &container.discovery else { return None };
    let limits = container.tasks.as_ref()?;
    let target = Target {
        cluster: cluster.clone(),
        service: service.clone(),
        by: container.scale_by,
        scheduler_role: limits.scheduler_role.clone(),
    };
    Some((target, limits))
}

impl Target {
    /// Returns the name of the service as Application Auto Scaling writes it.
    fn resource(&self) -> String {
        let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        format!("service/{}/{}", last(&self.cluster), last(&self.service))
    }

    /// Returns the name of the schedule that lowers the count: of at most 64 characters, and of this service alone.
    fn schedule(&self) -> String {
        use sha2::{Digest, Sha256};
        let resource = self.resource();
        let hash = Sha256::digest(resource.as_bytes());
        let readable: String = resource["service/".len()..]
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
            .take(40)
            .collect();
        format!("pacer-{readable}-{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(cluster: &str, service: &str) -> Target {
        let (cluster, service) = (cluster.into(), service.into());
        Target { cluster, service, by: ScaleBy::DesiredCount, scheduler_role: None }
    }

    #[test]
    fn names_are_those_of_the_apis_also_when_the_policy_gives_arns() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/prod";
        assert_eq!(target(arn, "film").resource(), "service/prod/film");
        let long = target("prod", &"a-long-name.".repeat(20)).schedule();
        assert!(long.len() <= 64 && long.starts_with("pacer-prod-a-long-name-"), "{long}");
        assert_ne!(target("a", "b").schedule(), target("a-b", "").schedule());
    }
}
