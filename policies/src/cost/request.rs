//! What one request costs at list price, for decisions to show beside each other.
//!
//! On demand and in the first tier: what depends on the rest of the account (tiers, savings plans, the free tier) is the
//! bill's matter, not one request's.

use std::time::Duration;

use super::{
    ByArch, FunctionSize, MIB_PER_GB, MS_PER_HOUR, PicoUsd, PriceBook, TaskSize, UNITS_PER_VCPU,
    money::divide,
};
use crate::policy::{Arch, Container, Lambda};

/// The list prices of one region, as far as one request needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    /// The region, such as `us-east-1`.
    pub region: String,
    /// One Lambda request.
    pub lambda_request: PicoUsd,
    /// One GB-second of a function, first tier.
    pub lambda_gb_second: ByArch<PicoUsd>,
    /// One vCPU-hour of a Fargate task.
    pub fargate_vcpu_hour: ByArch<PicoUsd>,
    /// One GB-hour of a Fargate task.
    pub fargate_gb_hour: ByArch<PicoUsd>,
}

impl From<&PriceBook> for Prices {
    fn from(book: &PriceBook) -> Self {
        Self {
            region: book.region.clone(),
            lambda_request: PicoUsd(divide(book.lambda.million_requests.0, 1_000_000)),
            lambda_gb_second: ByArch::from_fn(|arch| book.lambda.first_tier(arch)),
            fargate_vcpu_hour: book.fargate.vcpu_hour,
            fargate_gb_hour: book.fargate.gb_hour,
        }
    }
}

impl Prices {
    /// Returns the built-in prices of `region`, or `None` when there are none.
    pub fn builtin(region: &str) -> Option<Self> {
        PriceBook::builtin(region).map(Self::from)
    }

    /// Returns the built-in prices of [`PriceBook::FALLBACK_REGION`].
    pub fn fallback() -> Self {
        Self::from(PriceBook::fallback())
    }

    /// Prices Lambda usage: `requests`, and `mb_ms` = configured memory in MiB times billed milliseconds, summed.
    ///
    /// `cost = requests x request + mb_ms / 1024 / 1000 x gb_second`: one request of 200 ms at 1769 MiB on Arm costs
    /// 0.0000002 + 0.3455 x 0.0000133334 = 0.0000048 USD. Rounded once, to the nearest 10^-12 USD.
    pub fn lambda(&self, arch: Arch, requests: u64, mb_ms: u64) -> PicoUsd {
        let gb_second = self.lambda_gb_second.of(arch);
        let duration = divide(u128::from(mb_ms).saturating_mul(gb_second.0), MIB_PER_GB * 1000);
        self.lambda_request.times(requests) + PicoUsd(duration)
    }

    /// Prices Fargate usage: `task_ms` milliseconds of tasks of `vcpu` virtual CPUs and `memory_mib` MiB.
    ///
    /// `cost = task_ms x (vcpu x vcpu_hour + memory / 1024 x gb_hour) / 3,600,000`: a minute of 1 vCPU and 2 GiB on Arm
    /// costs (0.03238 + 2 x 0.00356) / 60 = 0.00066 USD. The minimum of a minute a task is the caller's to add: it alone
    /// knows where tasks begin and end.
    pub fn fargate(&self, arch: Arch, vcpu: f64, memory_mib: u32, task_ms: u64) -> PicoUsd {
        let cpu_units = (vcpu * UNITS_PER_VCPU as f64).round() as u32;
        self.task(TaskSize { arch, cpu_units, memory_mib }, task_ms)
    }

    /// Prices `task_ms` milliseconds of `task`.
    fn task(&self, task: TaskSize, task_ms: u64) -> PicoUsd {
        let vcpu_hour = self.fargate_vcpu_hour.of(task.arch).0;
        let gb_hour = self.fargate_gb_hour.of(task.arch).0;
        // A vCPU has as many units as a GB has MiB.
        let hour_1024 = u128::from(task.cpu_units)
            .saturating_mul(vcpu_hour)
            .saturating_add(u128::from(task.memory_mib).saturating_mul(gb_hour));
        PicoUsd(divide(hour_1024.saturating_mul(u128::from(task_ms)), MIB_PER_GB * MS_PER_HOUR))
    }

    /// Returns what one warm request of `duration` costs on `lambda`; billed by whole milliseconds, rounded up.
    pub fn lambda_request(&self, lambda: &Lambda, duration: Duration) -> PicoUsd {
        let function = FunctionSize::from(lambda);
        let ms = u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        self.lambda(function.arch, 1, ms.saturating_mul(u64::from(function.memory_mib)))
    }

    /// Returns what one request of `duration` costs in `container`: its share of a task whose slots are all in use.
    ///
    /// That is the least it can cost: a task half idle doubles it. `duration x task price / requests_per_task`.
    pub fn container_request(&self, container: &Container, duration: Duration) -> PicoUsd {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        // Priced as if microseconds were milliseconds, to keep three more digits until here.
        let task = self.task(container.into(), us);
        let share = 1000 * u128::from(container.requests_per_task.max(1));
        PicoUsd(divide(task.0, share))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::{ColdStart, Discovery, EventFormat, InvokeMode, Probe, ScaleBy};

    fn lambda() -> Lambda {
        Lambda {
            function: Arc::from("f"),
            qualifier: None,
            event: EventFormat::default(),
            invoke: InvokeMode::default(),
            cold_start: ColdStart::Plain,
            max_in_flight: 1,
            warm_pool: None,
            memory_mib: 1769,
            timeout: Duration::from_secs(30),
            arch: Arch::Arm64,
        }
    }

    fn container(requests_per_task: u32) -> Container {
        Container {
            discovery: Discovery::Upstreams(Box::default()),
            requests_per_task,
            tasks: None,
            scale_by: ScaleBy::default(),
            probe: Probe {
                path: Arc::from("/"),
                interval: Duration::from_secs(5),
                timeout: Duration::from_secs(1),
            },
            vcpu: 1.0,
            memory_mib: 2048,
            arch: Arch::Arm64,
        }
    }

    #[test]
    fn the_built_in_prices_are_those_of_the_book() {
        let prices = Prices::builtin("us-east-1").unwrap();
        assert_eq!(prices.region, "us-east-1");
        assert_eq!(prices.lambda_request, PicoUsd(200_000));
        assert_eq!(prices.lambda_gb_second.arm64, PicoUsd(13_333_400));
        assert!(Prices::builtin("mars-north-1").is_none());
    }

    #[test]
    fn worked_numbers_come_out() {
        let prices = Prices::fallback();
        // 1 s of 1769 MiB on Arm: 1.727539 GB x 0.0000133334 = 0.000023034 (+ 0.0000002 for the request).
        let second = prices.lambda_request(&lambda(), Duration::from_secs(1));
        assert_eq!(second, PicoUsd(23_033_969 + 200_000));
        // 1 h of 1 vCPU and 2 GB on Arm.
        assert_eq!(prices.fargate(Arch::Arm64, 1.0, 2048, 3_600_000), PicoUsd(39_500_000_000));
        // 1 s with one request a task, and a quarter of it with four.
        assert_eq!(
            prices.container_request(&container(1), Duration::from_secs(1)),
            PicoUsd(10_972_222)
        );
        assert_eq!(
            prices.container_request(&container(4), Duration::from_secs(1)),
            PicoUsd(2_743_056)
        );
    }

    proptest! {
        #[test]
        fn pricing_parts_costs_what_pricing_the_whole_does(a in 0_u64..1 << 40, b in 0_u64..1 << 40) {
            let prices = Prices::fallback();
            let whole = prices.lambda(Arch::Arm64, 2, a + b);
            let parts = prices.lambda(Arch::Arm64, 1, a) + prices.lambda(Arch::Arm64, 1, b);
            prop_assert!(whole.0.abs_diff(parts.0) <= 1);
        }

        #[test]
        fn more_usage_never_costs_less(a: u64, b: u64) {
            let prices = Prices::fallback();
            let (less, more) = (a.min(b), a.max(b));
            prop_assert!(prices.lambda(Arch::X86_64, less, less) <= prices.lambda(Arch::X86_64, more, more));
            prop_assert!(
                prices.fargate(Arch::X86_64, 4.0, 8192, less) <= prices.fargate(Arch::X86_64, 4.0, 8192, more)
            );
        }
    }
}
