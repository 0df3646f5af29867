//! Usage in integers, from which a bill is made elsewhere.
//!
//! What is counted is what AWS would charge for: Lambda by request and by memory times billed duration, Fargate by task
//! time. Times are real milliseconds whatever the time scale. Prices, and Fargate's minimum of a minute a task, are not
//! applied here: a bill can then be repriced.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde::Serialize;

/// What one function has used, and how its invocations ended.
#[derive(Debug, Default)]
pub(crate) struct FunctionUsage {
    pub(crate) requests: AtomicU64,
    pub(crate) billed_ms: AtomicU64,
    pub(crate) mb_ms: AtomicU64,
    pub(crate) init_ms: AtomicU64,
    pub(crate) restores: AtomicU64,
    pub(crate) restored_mib: AtomicU64,
    pub(crate) provisioned_mb_ms: AtomicU64,
    pub(crate) cold_starts: AtomicU64,
    pub(crate) throttles: AtomicU64,
    pub(crate) function_errors: AtomicU64,
}

impl FunctionUsage {
    /// Counts one, or `n`.
    pub(crate) fn count(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }
}

/// The answer of `GET /_local/bill`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// By function name.
    pub functions: BTreeMap<String, FunctionBill>,
    /// By `cluster/service`; tasks that belong to no service by `cluster/GROUP`, like `prod/family:report`.
    pub services: BTreeMap<String, ServiceBill>,
}

/// What one function has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FunctionBill {
    /// Invocations that ran, whether they failed or not. Throttles are free.
    pub requests: u64,
    /// Billed milliseconds: each invocation's, with its init on a cold start (of SnapStart: what runs after the restore),
    /// rounded up.
    pub billed_ms: u64,
    /// Billed milliseconds times the memory in MiB that each invocation had.
    pub mb_ms: u64,
    /// The part of `billed_ms` that was init.
    pub init_ms: u64,
    /// Snapshots restored.
    pub restores: u64,
    /// MiB of memory restored, all restores together.
    pub restored_mib: u64,
    /// MiB of provisioned environments times milliseconds, from the order to its end.
    pub provisioned_mb_ms: u64,
    /// Configured memory in MiB.
    pub memory_mib: u32,
}

/// What one service has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceBill {
    /// Milliseconds of all its tasks, from the order to run one to its end. (Fargate starts at the image pull, some
    /// seconds later: this is a little high.)
    pub task_ms: u64,
    /// The part of `task_ms` on Spot capacity.
    pub spot_task_ms: u64,
    /// Each task's milliseconds times its thousandths of a vCPU: task definitions may differ in size.
    pub vcpu_milli_ms: u64,
    /// Each task's milliseconds times its MiB.
    pub memory_mib_ms: u64,
    /// Thousandths of a vCPU of a task, as configured; 0 for tasks that belong to no service.
    pub vcpu_milli: u32,
    /// Memory of a task in MiB, as configured; 0 for tasks that belong to no service.
    pub memory_mib: u32,
}

/// Milliseconds, rounded up as Lambda rounds.
pub(crate) fn ceil_ms(duration: Duration) -> u64 {
    duration.as_micros().div_ceil(1000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begun_millisecond_is_billed() {
        assert_eq!(ceil_ms(Duration::ZERO), 0);
        assert_eq!(ceil_ms(Duration::from_micros(1)), 1);
        assert_eq!(ceil_ms(Duration::from_millis(1)), 1);
        assert_eq!(ceil_ms(Duration::from_micros(1001)), 2);
    }
}
