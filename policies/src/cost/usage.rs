//! What was used, in integers.
//!
//! Minimum times (a minute of a task, five of provisioned concurrency, three hours of a cached snapshot) and free parts
//! (of a streamed response, of storage) are the caller's to apply, from the numbers in the [`PriceBook`]: it alone knows
//! where each of them begins and ends. 128 bits hold any sum of what 64 bits count.
//!
//! [`PriceBook`]: super::PriceBook

use std::ops::AddAssign;

use super::{ByArch, UNITS_PER_VCPU};
use crate::policy::{Arch, Container, Lambda};

/// Usage of one account.
///
/// Tiers are an account's: add up the usage of its services first, then ask for one bill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Functions.
    pub lambda: LambdaUsage,
    /// Tasks of services.
    pub fargate: FargateUsage,
    /// Pacer's own tasks.
    pub pacer: FargateUsage,
}

/// Usage of functions. `mb` is configured memory in MiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LambdaUsage {
    /// Invocations that ran, whether they failed or not. Throttles are free.
    pub requests: u128,
    /// Memory x billed milliseconds of invocations outside provisioned concurrency.
    pub mb_ms: ByArch<u128>,
    /// Memory x milliseconds of provisioned environments for as long as they were ordered, **busy or not**.
    pub provisioned_idle_mb_ms: ByArch<u128>,
    /// Memory x billed milliseconds of invocations on provisioned environments.
    pub provisioned_duration_mb_ms: ByArch<u128>,
    /// Memory x milliseconds of each active published version with SnapStart; none on Java's managed runtimes.
    pub snapstart_cache_mb_ms: u128,
    /// Memory of each restored environment; none on Java's managed runtimes.
    pub snapstart_restored_mb: u128,
    /// Bytes streamed beyond the free part of each response.
    pub streamed_bytes: u128,
    /// Ephemeral storage in MiB beyond the free part x billed milliseconds.
    pub storage_mb_ms: u128,
}

/// Usage of Fargate tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FargateUsage {
    /// Tasks on demand.
    pub on_demand: ByArch<TaskUsage>,
    /// Tasks on Spot.
    pub spot: ByArch<TaskUsage>,
    /// Ephemeral storage in MiB beyond the free part of each task x milliseconds.
    pub storage_mib_ms: u128,
    /// Milliseconds of public IPv4 addresses.
    pub public_ipv4_ms: u128,
}

/// Usage of tasks of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskUsage {
    /// 1,024ths of a vCPU x milliseconds.
    pub cpu_unit_ms: u128,
    /// MiB x milliseconds.
    pub mib_ms: u128,
}

/// What of a function decides its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionSize {
    /// Its architecture.
    pub arch: Arch,
    /// Its configured memory in MiB.
    pub memory_mib: u32,
}

/// What of a task decides its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskSize {
    /// Its architecture.
    pub arch: Arch,
    /// Its 1,024ths of a vCPU.
    pub cpu_units: u32,
    /// Its memory in MiB.
    pub memory_mib: u32,
}

impl LambdaUsage {
    /// Adds `requests` invocations of `function` that were billed `billed_ms` together.
    pub fn add(&mut self, function: FunctionSize, requests: u64, billed_ms: u64) {
        self.requests += u128::from(requests);
        *self.mb_ms.of_mut(function.arch) +=
            u128::from(function.memory_mib) * u128::from(billed_ms);
    }

    /// Adds `requests` invocations of `function` on provisioned environments, billed `billed_ms` together.
    ///
    /// The environments themselves are the caller's to add, to `provisioned_idle_mb_ms`.
    pub fn add_provisioned(&mut self, function: FunctionSize, requests: u64, billed_ms: u64) {
        self.requests += u128::from(requests);
        *self.provisioned_duration_mb_ms.of_mut(function.arch) +=
            u128::from(function.memory_mib) * u128::from(billed_ms);
    }
}

impl FargateUsage {
    /// Adds `billed_ms` of one task of size `task`, on Spot when `spot`.
    pub fn add(&mut self, task: TaskSize, spot: bool, billed_ms: u64) {
        let kind = if spot { &mut self.spot } else { &mut self.on_demand };
        *kind.of_mut(task.arch) += TaskUsage {
            cpu_unit_ms: u128::from(task.cpu_units) * u128::from(billed_ms),
            mib_ms: u128::from(task.memory_mib) * u128::from(billed_ms),
        };
    }
}

impl From<&Lambda> for FunctionSize {
    fn from(lambda: &Lambda) -> Self {
        Self { arch: lambda.arch, memory_mib: lambda.memory_mib }
    }
}

impl From<&Container> for TaskSize {
    fn from(container: &Container) -> Self {
        let cpu_units = (container.vcpu * UNITS_PER_VCPU as f64).round() as u32;
        Self { arch: container.arch, cpu_units, memory_mib: container.memory_mib }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.lambda += other.lambda;
        self.fargate += other.fargate;
        self.pacer += other.pacer;
    }
}

impl AddAssign for LambdaUsage {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.mb_ms += other.mb_ms;
        self.provisioned_idle_mb_ms += other.provisioned_idle_mb_ms;
        self.provisioned_duration_mb_ms += other.provisioned_duration_mb_ms;
        self.snapstart_cache_mb_ms += other.snapstart_cache_mb_ms;
        self.snapstart_restored_mb += other.snapstart_restored_mb;
        self.streamed_bytes += other.streamed_bytes;
        self.storage_mb_ms += other.storage_mb_ms;
    }
}

impl AddAssign for FargateUsage {
    fn add_assign(&mut self, other: Self) {
        self.on_demand += other.on_demand;
        self.spot += other.spot;
        self.storage_mib_ms += other.storage_mib_ms;
        self.public_ipv4_ms += other.public_ipv4_ms;
    }
}

impl AddAssign for TaskUsage {
    fn add_assign(&mut self, other: Self) {
        self.cpu_unit_ms += other.cpu_unit_ms;
        self.mib_ms += other.mib_ms;
    }
}
