//! What usage costs at list price.
//!
//! Usage is counted in integers (requests, MB-ms, task-ms) and priced only when a report asks, so that a bill is exact
//! and can be priced again with another list. Nothing here rounds before the last step. Free tiers, savings plans and
//! negotiated prices are deliberately left out: they depend on the rest of the account.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, Sub},
    time::Duration,
};

use serde::Deserialize;

use crate::policy::{Arch, Container, Lambda};

/// An amount of money in 10^-12 USD, 0 to 18 million USD; arithmetic saturates at either end.
///
/// Fine enough for one millisecond of the smallest function (1.6e-9 USD = 1,628 of these), so sums of many small costs
/// lose nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PicoUsd(pub u64);

impl PicoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Returns `self` times `factor`.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// Returns the amount in USD, for gauges and charts.
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e12
    }

    fn from_u128(pico: u128) -> Self {
        Self(u64::try_from(pico).unwrap_or(u64::MAX))
    }
}

impl Add for PicoUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for PicoUsd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for PicoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Two decimals from a dollar upwards; below, two significant digits, because a request costs thousandths of a cent.
impl fmt::Display for PicoUsd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const USD: u64 = 1_000_000_000_000;
        if self.0 == 0 {
            return out.write_str("$0");
        }
        let decimals = if USD <= self.0 {
            2
        } else {
            // Digits of the fraction down to the second significant one.
            let leading_zeros = 12 - self.0.to_string().len();
            (leading_zeros + 2).min(12)
        };
        let unit = 10_u64.pow(u32::try_from(12 - decimals).expect("decimals are at most 12"));
        let rounded = (u128::from(self.0) + u128::from(unit / 2)) / u128::from(unit);
        let scale = 10_u128.pow(u32::try_from(decimals).expect("decimals are at most 12"));
        write!(out, "${}.{:0decimals$}", rounded / scale, rounded % scale)
    }
}

/// Gigabyte in MiB: AWS writes GB and MB for both and divides by 1,024.
const MIB_PER_GB: u128 = 1024;
const MS_PER_HOUR: u128 = 3_600_000;

/// The list prices of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    /// The region, such as `us-east-1`.
    pub region: String,
    /// One Lambda request.
    pub lambda_request: PicoUsd,
    /// One GB-second of a function on Arm, first tier.
    pub lambda_arm_gb_second: PicoUsd,
    /// One GB-second of a function on x86, first tier.
    pub lambda_x86_gb_second: PicoUsd,
    /// One vCPU-hour of a Fargate task on Arm.
    pub fargate_arm_vcpu_hour: PicoUsd,
    /// One GB-hour of a Fargate task on Arm.
    pub fargate_arm_gb_hour: PicoUsd,
    /// One vCPU-hour of a Fargate task on x86.
    pub fargate_x86_vcpu_hour: PicoUsd,
    /// One GB-hour of a Fargate task on x86.
    pub fargate_x86_gb_hour: PicoUsd,
}

impl Prices {
    /// The region whose prices stand in where another's are not built in.
    ///
    /// The ratio of Lambda to Fargate, which is what choices hang on, differs little between regions; the level does.
    pub const FALLBACK_REGION: &'static str = "us-east-1";

    /// Returns the built-in prices of `region`, or `None` when there are none.
    pub fn builtin(region: &str) -> Option<Self> {
        (region == Self::FALLBACK_REGION).then(Self::fallback)
    }

    /// Returns the built-in prices of [`Prices::FALLBACK_REGION`].
    ///
    /// # Panics
    ///
    /// Never: a test parses the built-in list.
    pub fn fallback() -> Self {
        Self::parse(include_str!("../prices/us-east-1.yaml"))
            .expect("the built-in price list is tested")
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: PriceFile = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let price = |entry: &Price| {
            if !file.sources.contains_key(&entry.source) {
                return Err(format!(
                    "price {} names the unknown source {}",
                    entry.price, entry.source
                ));
            }
            decimal_usd(&entry.price).ok_or_else(|| format!("cannot read price {}", entry.price))
        };
        Ok(Self {
            lambda_request: PicoUsd(price(&file.lambda.million_requests)?.0 / 1_000_000),
            lambda_arm_gb_second: price(&file.lambda.duration_arm_gb_second)?,
            lambda_x86_gb_second: price(&file.lambda.duration_x86_gb_second)?,
            fargate_arm_vcpu_hour: price(&file.fargate.arm_vcpu_hour)?,
            fargate_arm_gb_hour: price(&file.fargate.arm_gb_hour)?,
            fargate_x86_vcpu_hour: price(&file.fargate.x86_vcpu_hour)?,
            fargate_x86_gb_hour: price(&file.fargate.x86_gb_hour)?,
            region: file.region,
        })
    }

    /// Prices Lambda usage: `requests`, and `mb_ms` = configured memory in MiB times billed milliseconds, summed.
    ///
    /// `cost = requests x request + mb_ms / 1024 / 1000 x gb_second`: one request of 200 ms at 1769 MiB on Arm costs
    /// 0.0000002 + 0.3455 x 0.0000133334 = 0.0000048 USD. Rounded once, to the nearest 10^-12 USD.
    pub fn lambda(&self, arch: Arch, requests: u64, mb_ms: u64) -> PicoUsd {
        let gb_second = match arch {
            Arch::Arm64 => self.lambda_arm_gb_second,
            Arch::X86_64 => self.lambda_x86_gb_second,
        };
        let duration = divide(u128::from(mb_ms) * u128::from(gb_second.0), MIB_PER_GB * 1000);
        PicoUsd::from_u128(u128::from(requests) * u128::from(self.lambda_request.0) + duration)
    }

    /// Prices Fargate usage: `task_ms` milliseconds of tasks of `vcpu` virtual CPUs and `memory_mib` MiB.
    ///
    /// `cost = task_ms x (vcpu x vcpu_hour + memory / 1024 x gb_hour) / 3,600,000`: a minute of 1 vCPU and 2 GiB on Arm
    /// costs (0.03238 + 2 x 0.00356) / 60 = 0.00066 USD. The minimum of a minute a task is the caller's to add: it alone
    /// knows where tasks begin and end.
    pub fn fargate(&self, arch: Arch, vcpu: f64, memory_mib: u32, task_ms: u64) -> PicoUsd {
        let (vcpu_hour, gb_hour) = match arch {
            Arch::Arm64 => (self.fargate_arm_vcpu_hour, self.fargate_arm_gb_hour),
            Arch::X86_64 => (self.fargate_x86_vcpu_hour, self.fargate_x86_gb_hour),
        };
        // Fargate sells 1,024ths of a vCPU.
        let cpu_units = (vcpu * 1024.0).round() as u64;
        let hour_1024 = u128::from(cpu_units) * u128::from(vcpu_hour.0)
            + u128::from(memory_mib) * u128::from(gb_hour.0);
        PicoUsd::from_u128(divide(
            hour_1024.saturating_mul(u128::from(task_ms)),
            1024 * MS_PER_HOUR,
        ))
    }

    /// Returns what one warm request of `duration` costs on `lambda`; billed by whole milliseconds, rounded up.
    pub fn lambda_request(&self, lambda: &Lambda, duration: Duration) -> PicoUsd {
        let ms = u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        self.lambda(lambda.arch, 1, ms.saturating_mul(u64::from(lambda.memory_mib)))
    }

    /// Returns what one request of `duration` costs in `container`: its share of a task whose slots are all in use.
    ///
    /// That is the least it can cost: a task half idle doubles it. `duration x task price / requests_per_task`.
    pub fn container_request(&self, container: &Container, duration: Duration) -> PicoUsd {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let task = self.fargate(container.arch, container.vcpu, container.memory_mib, us);
        // Priced as if microseconds were milliseconds, to keep three more digits until here.
        let share = 1000 * u128::from(container.requests_per_task.max(1));
        PicoUsd::from_u128(divide(u128::from(task.0), share))
    }
}

/// Divides, rounding half up.
const fn divide(amount: u128, by: u128) -> u128 {
    (amount + by / 2) / by
}

/// Reads a decimal amount of USD exactly; at most 12 decimals.
pub(crate) fn decimal_usd(text: &str) -> Option<PicoUsd> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || 12 < fraction.len() || !digits(whole) || !digits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<12}").parse().ok().map(PicoUsd)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    region: String,
    #[serde(rename = "currency")]
    _currency: Currency,
    sources: std::collections::BTreeMap<String, String>,
    lambda: LambdaPrices,
    fargate: FargatePrices,
}

#[derive(Deserialize)]
enum Currency {
    #[serde(rename = "USD")]
    Usd,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LambdaPrices {
    duration_x86_gb_second: Price,
    duration_arm_gb_second: Price,
    million_requests: Price,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the unit belongs to the name; all happen to be per hour"
)]
struct FargatePrices {
    x86_vcpu_hour: Price,
    x86_gb_hour: Price,
    arm_vcpu_hour: Price,
    arm_gb_hour: Price,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    price: String,
    source: String,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::{ColdStart, Discovery, EventFormat, InvokeMode, Probe};

    fn lambda() -> Lambda {
        Lambda {
            function: Arc::from("f"),
            qualifier: None,
            event: EventFormat::default(),
            invoke: InvokeMode::default(),
            cold_start: ColdStart::Plain,
            max_in_flight: 1,
            memory_mib: 1769,
            timeout: Duration::from_secs(30),
            arch: Arch::Arm64,
        }
    }

    fn container(requests_per_task: u32) -> Container {
        Container {
            discovery: Discovery::Upstreams(Box::default()),
            requests_per_task,
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
    fn the_built_in_list_parses_with_a_dated_source_for_every_price() {
        let text = include_str!("../prices/us-east-1.yaml");
        let prices = Prices::parse(text).expect("every price names a source");
        assert_eq!(prices.region, "us-east-1");
        assert_eq!(prices.lambda_request, PicoUsd(200_000));
        assert_eq!(prices.lambda_arm_gb_second, PicoUsd(13_333_400));
        let file: PriceFile = serde_saphyr::from_str(text).unwrap();
        for (key, source) in &file.sources {
            assert!(source.contains("2026-"), "source {key} has no date");
        }
        let unsourced =
            text.replace("price: \"0.20\", source: lambda", "price: \"0.20\", source: hearsay");
        assert_eq!(
            Prices::parse(&unsourced).unwrap_err(),
            "price 0.20 names the unknown source hearsay"
        );
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

    #[test]
    fn money_reads_as_money() {
        let shown = |pico| PicoUsd(pico).to_string();
        assert_eq!(shown(0), "$0");
        assert_eq!(shown(310_000_000), "$0.00031");
        assert_eq!(shown(23_233_969), "$0.000023");
        assert_eq!(shown(1), "$0.000000000001");
        assert_eq!(shown(999_999_999_999), "$1.00");
        assert_eq!(shown(12_345_678_901_234), "$12.35");
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
