//! What usage costs.
//!
//! Usage is counted in integers (requests, MB-ms, vCPU-unit-ms) and priced only when a report asks, so that a bill is
//! exact and can be priced again with another list. Nothing here rounds before the last division of an amount.

mod bill;
mod book;
mod break_even;
mod by_arch;
mod money;
mod request;
mod terms;
mod usage;

pub(crate) use self::money::decimal_usd;
pub use self::{
    bill::{Bill, Group, Item, MONTH_US},
    book::{FargatePrices, LambdaPrices, Plan, PriceBook, SavingsPlans, Tier},
    by_arch::ByArch,
    money::PicoUsd,
    request::Prices,
    terms::{Term, Terms},
    usage::{FargateUsage, FunctionSize, LambdaUsage, TaskSize, TaskUsage, Usage},
};

/// Gigabyte in MiB: AWS writes GB and MB for both and divides by 1,024.
const MIB_PER_GB: u128 = 1024;
const MS_PER_HOUR: u128 = 3_600_000;
/// Fargate sells 1,024ths of a vCPU.
pub const UNITS_PER_VCPU: u128 = 1024;
