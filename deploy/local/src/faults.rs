//! Faults a test orders: what goes wrong next, and how many times.
//!
//! A fault is taken exactly once for each time it was ordered, in the order of the orders, so that a test knows which
//! request meets it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use serde::Deserialize;

use crate::{tasks::lock, units};

mod api;
mod lambda;

pub use api::ApiOrder;
pub(crate) use api::{Api, ApiFault, ApiFaults};
pub use lambda::{
    EXCEPTIONS, FUNCTION_ERRORS, LambdaOrder, PayloadFault, StreamFault, ThrottleReason, When,
};
pub(crate) use lambda::{InvokeFault, LambdaFaults, Refusal};

/// The body of `POST /_local/faults`: a fault of one of the services, or one of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// A fault of Lambda.
    pub lambda: Option<LambdaOrder>,
    /// A fault of ECS.
    pub ecs: Option<EcsOrder>,
    /// A fault of Application Auto Scaling's API.
    pub autoscaling: Option<ApiOrder>,
    /// A fault of EventBridge Scheduler's API.
    pub scheduler: Option<ApiOrder>,
    /// A fault of DynamoDB's API.
    pub dynamodb: Option<ApiOrder>,
    /// A fault of S3's API.
    pub s3: Option<ApiOrder>,
    /// A fault of CloudWatch's API.
    pub cloudwatch: Option<ApiOrder>,
}

/// Faults of ECS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EcsOrder {
    /// Every call of the API is refused until faults are cleared. Tasks live on.
    Down {
        /// 500 or 503.
        #[serde(default = "unavailable")]
        status: u16,
    },
    /// Tasks that start from now on take longer, until faults are cleared.
    SlowStart {
        /// The cluster.
        cluster: String,
        /// The service.
        service: String,
        /// Added to the start lag, like `60s`; divided by the time scale.
        #[serde(deserialize_with = "units::duration")]
        extra: Duration,
    },
    /// Kills a task's process (SIGKILL); the service replaces it.
    Kill {
        /// The task's ARN.
        task: String,
    },
    /// Takes the capacity of a Spot task back: the notice, SIGTERM, and SIGKILL after its stop timeout.
    SpotInterruption {
        /// The task's ARN.
        task: String,
    },
    /// Every call of the API is throttled until faults are cleared, as when others use up the account's rate.
    Throttle {},
    /// No call of the API is answered before faults are cleared. Tasks live on.
    Hang {},
    /// An availability zone is lost: its tasks are killed, and none starts there until faults are cleared.
    ZoneDown {
        /// The zone, like `eu-west-1a`.
        zone: String,
    },
}

fn unavailable() -> u16 {
    503
}

/// The faults that wait to happen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) lambda: LambdaFaults,
    pub(crate) api: ApiFaults,
    ecs: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    /// By cluster and service.
    slow_starts: BTreeMap<(String, String), Duration>,
    zones_down: BTreeSet<String>,
}

impl Faults {
    pub(crate) fn slow_start(&self, cluster: &str, service: &str, extra: Duration) {
        lock(&self.ecs).slow_starts.insert((cluster.to_owned(), service.to_owned()), extra);
    }

    /// What is added to the start lag of the service's tasks now.
    pub(crate) fn extra_lag(&self, cluster: &str, service: &str) -> Duration {
        let key = (cluster.to_owned(), service.to_owned());
        lock(&self.ecs).slow_starts.get(&key).copied().unwrap_or_default()
    }

    pub(crate) fn zone_down(&self, zone: &str) {
        lock(&self.ecs).zones_down.insert(zone.to_owned());
    }

    /// The availability zones that are down.
    pub(crate) fn zones_down(&self) -> BTreeSet<String> {
        lock(&self.ecs).zones_down.clone()
    }

    /// Forgets all faults.
    pub(crate) fn clear(&self) {
        self.lambda.clear();
        self.api.clear();
        *lock(&self.ecs) = Pending::default();
    }
}
