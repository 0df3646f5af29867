//! Faults a test orders: what goes wrong next, and how many times.
//!
//! A fault is taken exactly once for each time it was ordered, in the order of the orders, so that a test knows which
//! request meets it.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use serde::Deserialize;

use crate::{tasks::lock, units};

mod lambda;

pub use lambda::{
    EXCEPTIONS, FUNCTION_ERRORS, LambdaOrder, PayloadFault, StreamFault, ThrottleReason, When,
};
pub(crate) use lambda::{InvokeFault, LambdaFaults, Refusal};

/// The body of `POST /_local/faults`: one fault of Lambda, of ECS, or one of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// A fault of Lambda.
    pub lambda: Option<LambdaOrder>,
    /// A fault of ECS.
    pub ecs: Option<EcsOrder>,
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
}

fn unavailable() -> u16 {
    503
}

/// The faults that wait to happen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) lambda: LambdaFaults,
    ecs: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    ecs_down: Option<http::StatusCode>,
    ecs_throttled: bool,
    /// By cluster and service.
    slow_starts: BTreeMap<(String, String), Duration>,
}

impl Faults {
    pub(crate) fn set_ecs_down(&self, status: http::StatusCode) {
        lock(&self.ecs).ecs_down = Some(status);
    }

    pub(crate) fn ecs_down(&self) -> Option<http::StatusCode> {
        lock(&self.ecs).ecs_down
    }

    pub(crate) fn throttle_ecs(&self) {
        lock(&self.ecs).ecs_throttled = true;
    }

    pub(crate) fn ecs_throttled(&self) -> bool {
        lock(&self.ecs).ecs_throttled
    }

    pub(crate) fn slow_start(&self, cluster: &str, service: &str, extra: Duration) {
        lock(&self.ecs).slow_starts.insert((cluster.to_owned(), service.to_owned()), extra);
    }

    /// What is added to the start lag of the service's tasks now.
    pub(crate) fn extra_lag(&self, cluster: &str, service: &str) -> Duration {
        let key = (cluster.to_owned(), service.to_owned());
        lock(&self.ecs).slow_starts.get(&key).copied().unwrap_or_default()
    }

    /// Forgets all faults.
    pub(crate) fn clear(&self) {
        self.lambda.clear();
        *lock(&self.ecs) = Pending::default();
    }
}
