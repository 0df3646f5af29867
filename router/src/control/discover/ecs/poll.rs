//! One poll of a cluster: which tasks its services have, and how each of them is.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::Arc,
};

use aws_sdk_ecs::{Client, error::ProvideErrorMetadata, types::DesiredStatus};

use super::{
    super::Found,
    task::{self, Seen},
};
use crate::{
    control::{
        aws::{Aws, reason},
        rate::Rate,
    },
    ledger::held::Life,
};

/// Tasks that one DescribeTasks takes (ECS API reference, DescribeTasks, `tasks`: up to 100).
const DESCRIBE_MAX: usize = 100;

/// Tasks followed in one service: ECS allows 5,000 a service (ECS service quotas); more would be a runaway listing.
const TASKS_MAX: usize = 5000;

/// Names of errors that mean "too often" (the SDKs' own list, as far as ECS uses it).
const THROTTLES: [&str; 5] = [
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
];

/// Names of errors that concern one service and not the next.
const OF_ONE_SERVICE: [&str; 4] = [
    "ServiceNotFoundException",
    "ServiceNotActiveException",
    "AccessDeniedException",
    "InvalidParameterException",
];

/// A poll to be made.
#[derive(Debug)]
pub(crate) struct Poll {
    client: Client,
    rate: Arc<Rate>,
    cluster: Arc<str>,
    services: BTreeSet<Arc<str>>,
    /// Tasks that were not known to have stopped, each with its service: they are asked for even when they are listed no more.
    unended: BTreeMap<String, Arc<str>>,
}

/// What a poll found.
#[derive(Debug)]
pub(crate) struct Polled {
    pub(super) cluster: Arc<str>,
    /// The tasks of each service, or why they are not known.
    pub(super) services: BTreeMap<Arc<str>, Result<Vec<Seen>, String>>,
    /// For how long the tasks of each service are paid for: those that are listed, and those that were.
    pub(super) lives: BTreeMap<Arc<str>, Vec<Life>>,
    /// The tasks that have not stopped, each with its service; `None` when not all is known.
    pub(super) unended: Option<BTreeMap<String, Arc<str>>>,
    /// ECS could not be asked to the end: not reached, down, or throttling.
    pub(super) broke_off: bool,
}

/// What DescribeTasks said, by the task's ARN.
#[derive(Default)]
struct Described {
    seen: BTreeMap<String, Option<Seen>>,
    lives: BTreeMap<String, Life>,
}

/// A call that failed.
struct Failure {
    what: String,
    /// The next call would fail, too.
    breaks_off: bool,
}

impl Poll {
    pub(super) fn new(
        aws: &Aws,
        cluster: Arc<str>,
        services: BTreeSet<Arc<str>>,
        unended: BTreeMap<String, Arc<str>>,
    ) -> Self {
        let (client, rate) = (aws.ecs().clone(), aws.ecs_rate().clone());
        Self { client, rate, cluster, services, unended }
    }

    /// Makes it. A service that is missing or forbidden does not hide the others; anything worse ends the poll.
    pub(crate) async fn run(self) -> Polled {
        let mut services = BTreeMap::new();
        let mut listed: BTreeMap<Arc<str>, Vec<String>> = BTreeMap::new();
        let mut broken: Option<String> = None;
        for service in &self.services {
            if let Some(why) = &broken {
                services.insert(service.clone(), Err(why.clone()));
                continue;
            }
            match self.list(service).await {
                Ok(arns) => {
                    listed.insert(service.clone(), arns);
                }
                Err(failure) => {
                    broken = failure.breaks_off.then(|| failure.what.clone());
                    services.insert(service.clone(), Err(failure.what));
                }
            }
        }
        let described = match &broken {
            Some(why) => Err(Failure { what: why.clone(), breaks_off: true }),
            None => self.describe(&listed).await,
        };
        let broke_off = described.as_ref().is_err_and(|failure| failure.breaks_off);
        let (mut lives, mut unended) = (BTreeMap::new(), None);
        match described {
            Ok(Described { mut seen, lives: of_tasks }) => {
                let mut service_of = self.unended;
                for (service, arns) in &listed {
                    service_of.extend(arns.iter().map(|arn| (arn.clone(), service.clone())));
                }
                // Of one that ECS has forgotten nothing more will be said.
                service_of.retain(|arn, service| {
                    let Some(life) = of_tasks.get(arn) else { return false };
                    let of_service: &mut Vec<_> = lives.entry(service.clone()).or_default();
                    of_service.push(life.clone());
                    life.until.is_none()
                });
                unended = Some(service_of);
                for (service, arns) in listed {
                    let of_it = arns.iter().filter_map(|arn| seen.remove(arn.as_str())).flatten();
                    services.insert(service, Ok(of_it.collect()));
                }
            }
            Err(failure) => {
                for service in listed.into_keys() {
                    services.insert(service, Err(failure.what.clone()));
                }
            }
        }
        Polled { cluster: self.cluster, services, lives, unended, broke_off }
    }

    /// Returns the ARNs of a service's tasks that are meant to run.
    async fn list(&self, service: &str) -> Result<Vec<String>, Failure> {
        let mut arns: Vec<String> = Vec::new();
        let mut token = None;
        loop {
            self.rate.turn().await;
            let call = self.client.list_tasks().cluster(&*self.cluster).service_name(service);
            let call = call.desired_status(DesiredStatus::Running).set_next_token(token);
            let page = call.send().await;
            let page = page.map_err(|error| {
                Failure::of(&format!("ListTasks for service `{service}`"), &self.cluster, &error)
            })?;
            arns.extend(page.task_arns.unwrap_or_default());
            if TASKS_MAX < arns.len() {
                let what = format!(
                    "ECS ListTasks for service `{service}` lists more than {TASKS_MAX} tasks"
                );
                return Err(Failure { what, breaks_off: false });
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(arns);
            }
        }
    }

    /// Describes all tasks, of whatever service, in as few calls as there can be. A task that is missing in the answer has
    /// gone meanwhile, one that does not run gives nothing.
    async fn describe(
        &self,
        listed: &BTreeMap<Arc<str>, Vec<String>>,
    ) -> Result<Described, Failure> {
        let mut found = Described::default();
        let all: BTreeSet<&String> = listed.values().flatten().chain(self.unended.keys()).collect();
        let all: Vec<&String> = all.into_iter().collect();
        for arns in all.chunks(DESCRIBE_MAX) {
            self.rate.turn().await;
            let arns = arns.iter().map(|arn| (*arn).clone()).collect();
            let call = self.client.describe_tasks().cluster(&*self.cluster).set_tasks(Some(arns));
            let described = call.send().await;
            let described =
                described.map_err(|error| Failure::of("DescribeTasks", &self.cluster, &error))?;
            for task in described.tasks() {
                let arn = task.task_arn().unwrap_or_default();
                found.seen.insert(arn.to_owned(), task::seen(task));
                found.lives.insert(arn.to_owned(), task::life(task));
            }
        }
        Ok(found)
    }
}

/// Lists one service alone: for a policy that is being made ready, beside the pollers but at their rate.
pub(in super::super) async fn list(
    aws: Arc<Aws>,
    cluster: Arc<str>,
    service: Arc<str>,
    port: u16,
) -> Result<Vec<Found>, String> {
    let polled = Poll::new(&aws, cluster, [service.clone()].into(), BTreeMap::new()).run().await;
    let seen = polled.services.into_values().next().unwrap_or_else(|| Ok(Vec::new()))?;
    task::found(seen.iter(), port)
}

impl Failure {
    /// Says in one sentence what was tried, with what, and what AWS said.
    fn of<E: ProvideErrorMetadata + Error>(call: &str, cluster: &str, error: &E) -> Self {
        let code = error.code().unwrap_or_default();
        let throttled = THROTTLES.contains(&code);
        let hint = if throttled { "; it is asked less often for a while" } else { "" };
        Self {
            what: format!("ECS {call} in cluster `{cluster}`: {}{hint}", reason(error)),
            breaks_off: !OF_ONE_SERVICE.contains(&code),
        }
    }
}
