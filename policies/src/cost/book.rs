//! The price book: every list price of a region, dated and with its source, and a user's own prices laid over it.
//!
//! The numbers are data (`prices/*.yaml`). They are read with the machinery of the policy file, so that whoever writes
//! prices of their own is told of all mistakes at once, each with its place and its fix.

mod overlay;
mod read;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use super::{ByArch, PicoUsd, Term};
use crate::{
    node::{self, Node},
    policy::Arch,
    problem::Problems,
};

/// The prices of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceBook {
    /// The region whose list prices these are, such as `us-east-1`.
    pub region: String,
    /// Prices of Lambda.
    pub lambda: LambdaPrices,
    /// Prices of Fargate.
    pub fargate: FargatePrices,
    /// Prices under savings plans.
    pub savings_plans: SavingsPlans,
    /// Where the list prices come from, with dates, by the names that the file uses.
    pub sources: BTreeMap<String, String>,
    /// Paths of the fields that own prices have replaced, such as `lambda.million_requests`, sorted.
    pub own: Vec<String>,
    /// What it was read from, for own prices to be laid over.
    tree: Node,
}

/// Prices of Lambda. A GB is 1,024 MiB of configured memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LambdaPrices {
    /// A million requests.
    pub million_requests: PicoUsd,
    /// A GB-second of billed duration, in tiers.
    pub duration_gb_second: ByArch<Vec<Tier>>,
    /// A GB-second of provisioned concurrency, busy or not.
    pub provisioned_gb_second: ByArch<PicoUsd>,
    /// A GB-second of billed duration on provisioned concurrency.
    pub provisioned_duration_gb_second: ByArch<PicoUsd>,
    /// The least time that provisioned concurrency is billed for.
    pub provisioned_minimum_seconds: u64,
    /// A GB-second of a version's cached snapshot.
    pub snapstart_cache_gb_second: PicoUsd,
    /// The least time that a cached snapshot is billed for.
    pub snapstart_cache_minimum_seconds: u64,
    /// A GB restored from a snapshot.
    pub snapstart_restore_gb: PicoUsd,
    /// A GB streamed.
    pub streaming_gb: PicoUsd,
    /// What of each streamed response is free, in MiB.
    pub streaming_free_mb_per_request: u64,
    /// A GB-second of ephemeral storage.
    pub storage_gb_second: PicoUsd,
    /// What of a function's ephemeral storage is free, in MiB.
    pub storage_free_mb: u64,
    /// Free tier of a month: requests.
    pub free_requests: u64,
    /// Free tier of a month: GB-seconds of duration, of both architectures together.
    pub free_gb_seconds: u64,
    /// Free tier of a month: GB streamed.
    pub free_streaming_gb: u64,
}

/// A price up to an amount of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// GB-seconds of a month up to which it holds; `None` for the last tier.
    pub up_to_gb_seconds: Option<u64>,
    /// Price of a GB-second.
    pub price: PicoUsd,
}

/// Prices of Fargate for Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FargatePrices {
    /// A vCPU-hour on demand.
    pub vcpu_hour: ByArch<PicoUsd>,
    /// A GB-hour of memory on demand.
    pub gb_hour: ByArch<PicoUsd>,
    /// A vCPU-hour on Spot.
    pub spot_vcpu_hour: ByArch<PicoUsd>,
    /// A GB-hour of memory on Spot.
    pub spot_gb_hour: ByArch<PicoUsd>,
    /// The least time that a task is billed for, from the start of the image pull.
    pub minimum_seconds: u64,
    /// A GB-hour of ephemeral storage.
    pub storage_gb_hour: PicoUsd,
    /// What of a task's ephemeral storage is free, in GiB.
    pub storage_free_gb: u64,
    /// An hour of a public IPv4 address.
    pub public_ipv4_hour: PicoUsd,
}

/// Prices under compute savings plans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SavingsPlans {
    /// One year, paid by the month.
    pub one_year_no_upfront: Plan,
    /// Three years, paid by the month.
    pub three_years_no_upfront: Plan,
    /// Three years, paid in advance.
    pub three_years_all_upfront: Plan,
}

/// Prices under one savings plan; `None` where they are not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// A GB-second of Lambda duration, in all tiers.
    pub lambda_gb_second: ByArch<Option<PicoUsd>>,
    /// A GB-second of provisioned concurrency, busy or not.
    pub lambda_provisioned_gb_second: ByArch<Option<PicoUsd>>,
    /// A GB-second of duration on provisioned concurrency.
    pub lambda_provisioned_duration_gb_second: ByArch<Option<PicoUsd>>,
    /// A vCPU-hour of a Fargate task.
    pub fargate_vcpu_hour: ByArch<Option<PicoUsd>>,
    /// A GB-hour of a Fargate task.
    pub fargate_gb_hour: ByArch<Option<PicoUsd>>,
}

const BUILT_IN: &str = include_str!("../../prices/us-east-1.yaml");

static FALLBACK: LazyLock<PriceBook> = LazyLock::new(|| {
    let file: Arc<str> = "prices/us-east-1.yaml".into();
    let tree = node::parse(&file, BUILT_IN).map_err(|problem| Problems(vec![problem]));
    tree.and_then(|tree| read::read(tree, &file, None))
        .unwrap_or_else(|problems| panic!("a test reads the built-in prices: {problems}"))
});

impl PriceBook {
    /// The region whose prices stand in where another's are not built in.
    ///
    /// The ratio of Lambda to Fargate, which is what choices hang on, differs little between regions; the level does.
    pub const FALLBACK_REGION: &'static str = "us-east-1";

    /// Returns the built-in prices of `region`, or `None` when there are none.
    pub fn builtin(region: &str) -> Option<&'static Self> {
        (region == Self::FALLBACK_REGION).then(Self::fallback)
    }

    /// Returns the built-in prices of [`PriceBook::FALLBACK_REGION`]. Its `region` tells whose they are.
    ///
    /// # Panics
    ///
    /// Never: a test reads the built-in list.
    pub fn fallback() -> &'static Self {
        &FALLBACK
    }

    /// Returns this book with the prices of `text` in place of its own; `file` is the name to tell in errors.
    ///
    /// The syntax is that of `prices/us-east-1.yaml`, of which only what differs is written. A price may be a plain number
    /// instead of a `price` with a `source`; `duration_gb_second` may be one price for all tiers; a list replaces the
    /// list.
    ///
    /// # Errors
    ///
    /// All problems of the file, each with its line, field and fix.
    pub fn with_overrides(&self, file: &str, text: &str) -> Result<Self, Problems> {
        let file: Arc<str> = file.into();
        let own = node::parse(&file, text).map_err(|problem| Problems(vec![problem]))?;
        let mut paths = self.own.clone();
        let tree = overlay::lay(self.tree.clone(), own, "", &mut paths);
        paths.retain(|path| path.contains('.') && !path.starts_with("sources."));
        paths.sort_unstable();
        paths.dedup();
        let book = read::read(tree, &file, Some(&self.region))?;
        Ok(Self { own: paths, ..book })
    }
}

impl LambdaPrices {
    /// Returns the price of a GB-second in the first tier.
    pub fn first_tier(&self, arch: Arch) -> PicoUsd {
        self.duration_gb_second.of(arch).first().map_or(PicoUsd::ZERO, |tier| tier.price)
    }
}

impl SavingsPlans {
    /// Returns the prices under `term`; on demand none.
    pub const fn under(&self, term: Term) -> Option<&Plan> {
        match term {
            Term::OnDemand => None,
            Term::OneYearNoUpfront => Some(&self.one_year_no_upfront),
            Term::ThreeYearsNoUpfront => Some(&self.three_years_no_upfront),
            Term::ThreeYearsAllUpfront => Some(&self.three_years_all_upfront),
        }
    }
}

#[cfg(test)]
mod tests;
