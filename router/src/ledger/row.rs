//! One line of the books: who used how much, in integers.

use std::{ops::AddAssign, sync::Arc};

use policies::{
    cost::{PicoUsd, PriceBook, TaskSize, Terms, Usage},
    decide::{Class, Lane},
    policy::Arch,
};

/// Whose a line is. Lines of a day are sorted by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The service; empty for the gateway itself.
    pub(crate) service: Arc<str>,
    /// Which part of what it used.
    pub(crate) part: Part,
}

/// A part of what a service used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Requests of a route.
    Route {
        /// The route's name.
        route: Arc<str>,
        /// Whose they are, where the policy tells tenants apart; empty else.
        tenant: Arc<str>,
        /// What they were taken for.
        class: Class,
        /// Where they ran.
        lane: Lane,
    },
    /// Tasks, busy or not: what is paid for. Routes have their parts of it; the rest is idle.
    Held,
    /// Warm-up invokes.
    Warm,
    /// Provisioned concurrency, busy or not.
    Provisioned,
    /// Snapshots that are kept.
    Cache,
    /// What the same requests would have used otherwise; not paid by anybody.
    Instead(Instead),
    /// The gateway itself.
    Own,
}

/// Another way to run the same load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Instead {
    /// Everything on Lambda.
    AllLambda,
    /// Everything in containers, as many as Application Auto Scaling has at 70 %.
    TargetTracking,
    /// Both, with as many tasks as what was asked last pays for: the simplest hybrid worth the name.
    LastValue,
}

impl Instead {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::AllLambda, Self::TargetTracking, Self::LastValue];

    /// Returns its name in labels and reports.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AllLambda => "all-lambda",
            Self::TargetTracking => "target-tracking",
            Self::LastValue => "last-value",
        }
    }
}

impl Key {
    /// A part of what a service used.
    pub(crate) fn new(service: Arc<str>, part: Part) -> Self {
        Self { service, part }
    }

    /// The gateway itself.
    pub(crate) fn own() -> Self {
        Self { service: "".into(), part: Part::Own }
    }
}

/// What was used. Sums of a day; 64 bits hold a day of the largest function a million times over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// Requests that ended there.
    pub(crate) requests: u64,
    /// Invocations.
    pub(crate) runs: u64,
    /// Processor architecture of functions: each has its price.
    pub(crate) arch: Arch,
    /// That of tasks.
    pub(crate) task_arch: Arch,
    /// Memory in MiB times billed milliseconds, outside provisioned concurrency.
    pub(crate) mb_ms: u64,
    /// The part of all billed time that was estimated here.
    pub(crate) estimated_mb_ms: u64,
    /// Memory times billed milliseconds on provisioned concurrency.
    pub(crate) provisioned_run_mb_ms: u64,
    /// Memory times milliseconds of provisioned concurrency, busy or not.
    pub(crate) provisioned_mb_ms: u64,
    /// Memory of snapshots times milliseconds for which they were kept.
    pub(crate) cache_mb_ms: u64,
    /// Memory of restored environments.
    pub(crate) restored_mb: u64,
    /// Bytes streamed beyond what is free of each response.
    pub(crate) streamed: u64,
    /// Microseconds of tasks, on demand and on Spot.
    pub(crate) task_us: u64,
    /// 1,024ths of a vCPU times milliseconds of tasks on demand.
    pub(crate) cpu_unit_ms: u64,
    /// MiB times milliseconds of tasks on demand.
    pub(crate) mib_ms: u64,
    /// 1,024ths of a vCPU times milliseconds of tasks on Spot.
    pub(crate) spot_cpu_unit_ms: u64,
    /// MiB times milliseconds of tasks on Spot.
    pub(crate) spot_mib_ms: u64,
    /// Requests that failed, and that waited for longer than their objective: of what would have been alone.
    pub(crate) failed: u64,
    /// See `failed`.
    pub(crate) late: u64,
}

impl Row {
    /// Tells whether nothing was used.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self { arch: self.arch, task_arch: self.task_arch, ..Self::default() }
    }

    /// Adds milliseconds of a task.
    pub(crate) fn hold(&mut self, size: TaskSize, spot: bool, ms: u64) {
        self.task_arch = size.arch;
        let add = |to: &mut u64, per_ms: u32| {
            *to = to.saturating_add(ms.saturating_mul(u64::from(per_ms)));
        };
        add(&mut self.task_us, 1000);
        if spot {
            add(&mut self.spot_cpu_unit_ms, size.cpu_units);
            add(&mut self.spot_mib_ms, size.memory_mib);
        } else {
            add(&mut self.cpu_unit_ms, size.cpu_units);
            add(&mut self.mib_ms, size.memory_mib);
        }
    }

    /// Returns it as price books take it.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        let wide = u128::from;
        usage.lambda.requests = wide(self.runs);
        *usage.lambda.mb_ms.of_mut(self.arch) = wide(self.mb_ms);
        *usage.lambda.provisioned_duration_mb_ms.of_mut(self.arch) =
            wide(self.provisioned_run_mb_ms);
        *usage.lambda.provisioned_idle_mb_ms.of_mut(self.arch) = wide(self.provisioned_mb_ms);
        usage.lambda.snapstart_cache_mb_ms = wide(self.cache_mb_ms);
        usage.lambda.snapstart_restored_mb = wide(self.restored_mb);
        usage.lambda.streamed_bytes = wide(self.streamed);
        let on_demand = usage.fargate.on_demand.of_mut(self.task_arch);
        (on_demand.cpu_unit_ms, on_demand.mib_ms) = (wide(self.cpu_unit_ms), wide(self.mib_ms));
        let spot = usage.fargate.spot.of_mut(self.task_arch);
        (spot.cpu_unit_ms, spot.mib_ms) = (wide(self.spot_cpu_unit_ms), wide(self.spot_mib_ms));
        usage
    }

    /// Returns what it costs at list price, all of it in the first tier and nothing free.
    pub(crate) fn cost(&self, book: &PriceBook) -> PicoUsd {
        book.bill(&self.usage(), 0, Terms::default()).total()
    }

    /// Makes a row of usage, of a function and of tasks in one architecture each.
    pub(crate) fn of(usage: &Usage, arch: Arch, task_arch: Arch) -> Self {
        let narrow = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
        let fargate = &usage.fargate;
        let (on_demand, spot) = (fargate.on_demand.of(task_arch), fargate.spot.of(task_arch));
        Self {
            arch,
            task_arch,
            runs: narrow(usage.lambda.requests),
            mb_ms: narrow(*usage.lambda.mb_ms.of(arch)),
            provisioned_run_mb_ms: narrow(*usage.lambda.provisioned_duration_mb_ms.of(arch)),
            provisioned_mb_ms: narrow(*usage.lambda.provisioned_idle_mb_ms.of(arch)),
            cache_mb_ms: narrow(usage.lambda.snapstart_cache_mb_ms),
            restored_mb: narrow(usage.lambda.snapstart_restored_mb),
            streamed: narrow(usage.lambda.streamed_bytes),
            cpu_unit_ms: narrow(on_demand.cpu_unit_ms),
            mib_ms: narrow(on_demand.mib_ms),
            spot_cpu_unit_ms: narrow(spot.cpu_unit_ms),
            spot_mib_ms: narrow(spot.mib_ms),
            ..Self::default()
        }
    }

    /// The numbers, in the order in which they are kept. What comes later is added at the end.
    pub(crate) fn numbers(&self) -> [u64; NUMBERS] {
        [
            self.requests,
            self.runs,
            u64::from(self.arch == Arch::X86_64),
            u64::from(self.task_arch == Arch::X86_64),
            self.mb_ms,
            self.estimated_mb_ms,
            self.provisioned_run_mb_ms,
            self.provisioned_mb_ms,
            self.cache_mb_ms,
            self.restored_mb,
            self.streamed,
            self.task_us,
            self.cpu_unit_ms,
            self.mib_ms,
            self.spot_cpu_unit_ms,
            self.spot_mib_ms,
            self.failed,
            self.late,
        ]
    }

    /// Makes a row of its numbers; those that are not there are nothing.
    pub(crate) fn from_numbers(numbers: &[u64]) -> Self {
        let at = |place: usize| numbers.get(place).copied().unwrap_or_default();
        let arch = |place| if at(place) == 0 { Arch::Arm64 } else { Arch::X86_64 };
        Self {
            requests: at(0),
            runs: at(1),
            arch: arch(2),
            task_arch: arch(3),
            mb_ms: at(4),
            estimated_mb_ms: at(5),
            provisioned_run_mb_ms: at(6),
            provisioned_mb_ms: at(7),
            cache_mb_ms: at(8),
            restored_mb: at(9),
            streamed: at(10),
            task_us: at(11),
            cpu_unit_ms: at(12),
            mib_ms: at(13),
            spot_cpu_unit_ms: at(14),
            spot_mib_ms: at(15),
            failed: at(16),
            late: at(17),
        }
    }

    /// Returns what was used since `before`, which is a part of it.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let Self { arch, task_arch, .. } = *self;
        Self { arch, task_arch, ..self.with(before, u64::saturating_sub) }
    }

    fn with(&self, other: &Self, of: fn(u64, u64) -> u64) -> Self {
        let mut numbers = [0; NUMBERS];
        for (number, (own, other)) in
            numbers.iter_mut().zip(self.numbers().into_iter().zip(other.numbers()))
        {
            *number = of(own, other);
        }
        Self::from_numbers(&numbers)
    }
}

/// Adds what was used in another while. A service that changes its architecture during a day is priced as its later one.
impl AddAssign<&Self> for Row {
    fn add_assign(&mut self, other: &Self) {
        let Self { arch, task_arch, .. } = if other.is_empty() { *self } else { *other };
        *self = Self { arch, task_arch, ..self.with(other, u64::saturating_add) };
    }
}

/// How many numbers a row has.
pub(crate) const NUMBERS: usize = 18;
