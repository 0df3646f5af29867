//! Faults a test orders: what goes wrong next, and how many times.
//!
//! A fault is taken exactly once for each time it was ordered, in the order of the orders, so that a test knows which
//! request meets it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{tasks::lock, units};

/// Most faults that wait to happen, all functions together; more is a test that has lost count.
const PENDING_MAX: usize = 100_000;

/// The body of `POST /_local/faults`: one fault of Lambda, of ECS, or one of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// A fault of Lambda.
    pub lambda: Option<LambdaOrder>,
    /// A fault of ECS.
    pub ecs: Option<EcsOrder>,
}

/// Faults of Lambda. Where a count is left out, the fault happens once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LambdaOrder {
    /// Refuses with 429.
    Throttle {
        /// The function.
        function: String,
        /// AWS's reason.
        #[serde(default)]
        reason: ThrottleReason,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Refuses with a status and an exception of the caller's choice; the function does not run.
    Error {
        /// The function.
        function: String,
        /// HTTP status, 400 to 599.
        status: u16,
        /// The exception, like `SnapStartNotReadyException`.
        #[serde(rename = "type")]
        kind: String,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Answers 200 with bytes that are no JSON; the function does not run.
    Garbage {
        /// The function.
        function: String,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Never answers; the function does not run.
    Hang {
        /// The function.
        function: String,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Closes the connection without an answer.
    Drop {
        /// The function.
        function: String,
        /// Before the function runs, or after.
        when: When,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Kills an environment (SIGKILL), idle or busy.
    Kill {
        /// Its id, from `/_local/state`.
        environment: String,
    },
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
}

/// Whether a connection is dropped before or after the function has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// The function does not run.
    Before,
    /// The function runs, and its result is lost.
    After,
}

/// Why Lambda answers 429: the values of `Reason` in the Lambda API reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum ThrottleReason {
    /// The account's concurrency, or the rate at which it may grow, is used up.
    #[default]
    ConcurrentInvocationLimitExceeded,
    /// The function's reserved concurrency is used up.
    ReservedFunctionConcurrentInvocationLimitExceeded,
    /// The function's request rate.
    FunctionInvocationRateLimitExceeded,
    /// The request rate that goes with reserved concurrency.
    ReservedFunctionInvocationRateLimitExceeded,
    /// The caller's request rate.
    CallerRateLimitExceeded,
    /// Snapshots being made at once.
    ConcurrentSnapshotCreateLimitExceeded,
}

impl ThrottleReason {
    /// As AWS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConcurrentInvocationLimitExceeded => "ConcurrentInvocationLimitExceeded",
            Self::ReservedFunctionConcurrentInvocationLimitExceeded => {
                "ReservedFunctionConcurrentInvocationLimitExceeded"
            }
            Self::FunctionInvocationRateLimitExceeded => "FunctionInvocationRateLimitExceeded",
            Self::ReservedFunctionInvocationRateLimitExceeded => {
                "ReservedFunctionInvocationRateLimitExceeded"
            }
            Self::CallerRateLimitExceeded => "CallerRateLimitExceeded",
            Self::ConcurrentSnapshotCreateLimitExceeded => "ConcurrentSnapshotCreateLimitExceeded",
        }
    }
}

fn once() -> usize {
    1
}

fn unavailable() -> u16 {
    503
}

/// What goes wrong with one invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InvokeFault {
    Throttle(ThrottleReason),
    Error { status: http::StatusCode, kind: String },
    Garbage,
    Hang,
    Drop(When),
}

/// The faults that wait to happen.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    /// By function: a fault and how many more times.
    invocations: BTreeMap<String, VecDeque<(InvokeFault, usize)>>,
    ecs_down: Option<http::StatusCode>,
    /// By cluster and service.
    slow_starts: BTreeMap<(String, String), Duration>,
}

impl Faults {
    /// Queues `fault` for the next `count` invocations of `function`.
    ///
    /// # Errors
    /// When too many faults wait.
    pub(crate) fn on_invoke(
        &self,
        function: &str,
        fault: InvokeFault,
        count: usize,
    ) -> Result<(), String> {
        let mut pending = lock(&self.0);
        let waiting: usize = pending.invocations.values().flatten().map(|(_, n)| *n).sum();
        if PENDING_MAX < waiting.saturating_add(count) {
            return Err(format!(
                "count: {count} more than the {waiting} that wait is above {PENDING_MAX}; clear some"
            ));
        }
        if 0 < count {
            pending.invocations.entry(function.to_owned()).or_default().push_back((fault, count));
        }
        Ok(())
    }

    /// Takes the fault that the next invocation of `function` meets.
    pub(crate) fn take(&self, function: &str) -> Option<InvokeFault> {
        let mut pending = lock(&self.0);
        let queue = pending.invocations.get_mut(function)?;
        let (fault, left) = queue.front_mut()?;
        let fault = fault.clone();
        *left -= 1;
        if *left == 0 {
            queue.pop_front();
        }
        Some(fault)
    }

    pub(crate) fn set_ecs_down(&self, status: http::StatusCode) {
        lock(&self.0).ecs_down = Some(status);
    }

    pub(crate) fn ecs_down(&self) -> Option<http::StatusCode> {
        lock(&self.0).ecs_down
    }

    pub(crate) fn slow_start(&self, cluster: &str, service: &str, extra: Duration) {
        lock(&self.0).slow_starts.insert((cluster.to_owned(), service.to_owned()), extra);
    }

    /// What is added to the start lag of the service's tasks now.
    pub(crate) fn extra_lag(&self, cluster: &str, service: &str) -> Duration {
        let key = (cluster.to_owned(), service.to_owned());
        lock(&self.0).slow_starts.get(&key).copied().unwrap_or_default()
    }

    /// Forgets all faults.
    pub(crate) fn clear(&self) {
        *lock(&self.0) = Pending::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_happen_in_order_and_as_often_as_ordered() {
        let faults = Faults::default();
        faults.on_invoke("f", InvokeFault::Garbage, 2).unwrap();
        faults.on_invoke("f", InvokeFault::Hang, 1).unwrap();
        assert_eq!(faults.take("g"), None);
        assert_eq!(faults.take("f"), Some(InvokeFault::Garbage));
        assert_eq!(faults.take("f"), Some(InvokeFault::Garbage));
        assert_eq!(faults.take("f"), Some(InvokeFault::Hang));
        assert_eq!(faults.take("f"), None);
        assert!(faults.on_invoke("f", InvokeFault::Hang, PENDING_MAX + 1).is_err());
    }
}
