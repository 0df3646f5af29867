//! A bill: usage priced by a book, item by item.
//!
//! Each item is divided and rounded once, to the nearest 10^-12 USD, and the total is the sum of the items: no dollar of
//! a report is without its line.

use super::{
    ByArch, FargateUsage, LambdaUsage, MIB_PER_GB, MS_PER_HOUR, PicoUsd, Plan, PriceBook,
    TaskUsage, Term, Terms, Tier, Usage, money::divide,
};
use crate::policy::Arch;

/// What a bill counts as a month: 730 hours, as AWS does.
pub const MONTH_US: u64 = 730 * 3_600 * 1_000_000;

const ARCHS: [Arch; 2] = [Arch::X86_64, Arch::Arm64];
const MS_PER_SECOND: u128 = 1000;
const BYTES_PER_GB: u128 = 1 << 30;

/// One line of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// Invocations.
    LambdaRequests,
    /// Memory x billed duration outside provisioned concurrency.
    LambdaDuration,
    /// Memory x time of provisioned concurrency, busy or not.
    LambdaProvisionedIdle,
    /// Memory x billed duration on provisioned concurrency.
    LambdaProvisionedDuration,
    /// Snapshots kept.
    SnapstartCache,
    /// Snapshots restored.
    SnapstartRestore,
    /// Bytes of streamed responses.
    LambdaStreaming,
    /// Ephemeral storage of functions.
    LambdaStorage,
    /// vCPUs of tasks on demand.
    FargateVcpu,
    /// Memory of tasks on demand.
    FargateMemory,
    /// vCPUs of tasks on Spot.
    FargateSpotVcpu,
    /// Memory of tasks on Spot.
    FargateSpotMemory,
    /// Ephemeral storage of tasks.
    FargateStorage,
    /// Public IPv4 addresses of tasks.
    PublicIpv4,
    /// All that Pacer's own tasks cost.
    Pacer,
}

/// What an item belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Functions.
    Lambda,
    /// Tasks of services.
    Fargate,
    /// Pacer itself.
    Pacer,
}

impl Item {
    /// All items, in the order of a bill.
    pub const ALL: [Self; 15] = [
        Self::LambdaRequests,
        Self::LambdaDuration,
        Self::LambdaProvisionedIdle,
        Self::LambdaProvisionedDuration,
        Self::SnapstartCache,
        Self::SnapstartRestore,
        Self::LambdaStreaming,
        Self::LambdaStorage,
        Self::FargateVcpu,
        Self::FargateMemory,
        Self::FargateSpotVcpu,
        Self::FargateSpotMemory,
        Self::FargateStorage,
        Self::PublicIpv4,
        Self::Pacer,
    ];

    /// Returns its name for programs. Stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LambdaRequests => "lambda_requests",
            Self::LambdaDuration => "lambda_duration",
            Self::LambdaProvisionedIdle => "lambda_provisioned_idle",
            Self::LambdaProvisionedDuration => "lambda_provisioned_duration",
            Self::SnapstartCache => "snapstart_cache",
            Self::SnapstartRestore => "snapstart_restore",
            Self::LambdaStreaming => "lambda_streaming",
            Self::LambdaStorage => "lambda_storage",
            Self::FargateVcpu => "fargate_vcpu",
            Self::FargateMemory => "fargate_memory",
            Self::FargateSpotVcpu => "fargate_spot_vcpu",
            Self::FargateSpotMemory => "fargate_spot_memory",
            Self::FargateStorage => "fargate_storage",
            Self::PublicIpv4 => "public_ipv4",
            Self::Pacer => "pacer",
        }
    }

    /// Returns its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::LambdaRequests => "Lambda requests",
            Self::LambdaDuration => "Lambda duration",
            Self::LambdaProvisionedIdle => "Lambda provisioned concurrency",
            Self::LambdaProvisionedDuration => "Lambda duration on provisioned concurrency",
            Self::SnapstartCache => "SnapStart cache",
            Self::SnapstartRestore => "SnapStart restores",
            Self::LambdaStreaming => "Lambda response streaming",
            Self::LambdaStorage => "Lambda ephemeral storage",
            Self::FargateVcpu => "Fargate vCPU",
            Self::FargateMemory => "Fargate memory",
            Self::FargateSpotVcpu => "Fargate Spot vCPU",
            Self::FargateSpotMemory => "Fargate Spot memory",
            Self::FargateStorage => "Fargate ephemeral storage",
            Self::PublicIpv4 => "public IPv4 addresses",
            Self::Pacer => "Pacer itself",
        }
    }

    /// Returns what it belongs to.
    pub const fn group(self) -> Group {
        match self {
            Self::LambdaRequests
            | Self::LambdaDuration
            | Self::LambdaProvisionedIdle
            | Self::LambdaProvisionedDuration
            | Self::SnapstartCache
            | Self::SnapstartRestore
            | Self::LambdaStreaming
            | Self::LambdaStorage => Group::Lambda,
            Self::FargateVcpu
            | Self::FargateMemory
            | Self::FargateSpotVcpu
            | Self::FargateSpotMemory
            | Self::FargateStorage
            | Self::PublicIpv4 => Group::Fargate,
            Self::Pacer => Group::Pacer,
        }
    }
}

/// Amounts by item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bill {
    /// In the order of [`Item::ALL`].
    amounts: [PicoUsd; Item::ALL.len()],
    /// Items of which a part was priced on demand although a savings plan was asked for: the book does not know the
    /// plan's price of it. They are too dear by the plan's discount, never too cheap.
    pub not_in_plan: Vec<Item>,
}

impl Bill {
    /// Returns all items with their amounts, always in the same order; zeros too.
    pub fn lines(&self) -> impl Iterator<Item = (Item, PicoUsd)> {
        Item::ALL.into_iter().zip(self.amounts)
    }

    /// Returns the amount of `item`.
    pub const fn amount(&self, item: Item) -> PicoUsd {
        self.amounts[item as usize]
    }

    /// Returns the sum of all items.
    pub fn total(&self) -> PicoUsd {
        self.amounts.into_iter().sum()
    }

    /// Returns the sum of the items of `group`.
    pub fn subtotal(&self, group: Group) -> PicoUsd {
        self.lines().filter(|(item, _)| item.group() == group).map(|(_, amount)| amount).sum()
    }

    /// Enters `cost`, in 10^-12 USD times `units`.
    fn enter(&mut self, item: Item, cost: u128, units: u128) {
        self.amounts[item as usize] = PicoUsd(divide(cost, units));
    }
}

impl PriceBook {
    /// Prices `usage` of `span_us` microseconds on `terms`.
    ///
    /// Tiers and the free tier are a month's: they are taken pro rata, as if all of the month went like this span. Over 1.5
    /// months the first tier of x86 ends at 9e9 GB-s instead of 6e9. Where the span is 0, that is unknown, all is of the
    /// first tier and nothing free.
    pub fn bill(&self, usage: &Usage, span_us: u64, terms: Terms) -> Bill {
        let mut bill = Bill::default();
        self.bill_lambda(&mut bill, &usage.lambda, span_us, terms);
        let mut rates = TaskRates::new(self, terms.fargate);
        let fargate = rates.price(&usage.fargate);
        let per_hour = MIB_PER_GB * MS_PER_HOUR;
        bill.enter(Item::FargateVcpu, fargate.vcpu, per_hour);
        bill.enter(Item::FargateMemory, fargate.memory, per_hour);
        bill.enter(Item::FargateSpotVcpu, fargate.spot_vcpu, per_hour);
        bill.enter(Item::FargateSpotMemory, fargate.spot_memory, per_hour);
        bill.enter(Item::FargateStorage, fargate.storage, per_hour);
        bill.enter(Item::PublicIpv4, fargate.public_ipv4, per_hour);
        bill.not_in_plan.append(&mut rates.not_in_plan);
        let pacer = rates.price(&usage.pacer);
        bill.enter(Item::Pacer, pacer.sum(), per_hour);
        if !rates.not_in_plan.is_empty() {
            bill.not_in_plan.push(Item::Pacer);
        }
        bill
    }

    fn bill_lambda(&self, bill: &mut Bill, usage: &LambdaUsage, span_us: u64, terms: Terms) {
        let prices = &self.lambda;
        let plan = self.savings_plans.under(terms.lambda);
        let gb_second = MIB_PER_GB * MS_PER_SECOND;
        let free = |per_month: u64, units: u128| {
            if terms.free_tier { pro_rata(u128::from(per_month) * units, span_us) } else { 0 }
        };

        let requests = usage.requests.saturating_sub(free(prices.free_requests, 1));
        let cost = requests.saturating_mul(prices.million_requests.0);
        bill.enter(Item::LambdaRequests, cost, 1_000_000);

        let mut free_mb_ms = free(prices.free_gb_seconds, gb_second);
        let mut cost = 0_u128;
        // AWS does not say of which architecture the free seconds are. Of Arm first, the cheaper: it saves the least.
        for arch in [Arch::Arm64, Arch::X86_64] {
            let used = *usage.mb_ms.of(arch);
            let mb_ms = used.saturating_sub(free_mb_ms);
            free_mb_ms = free_mb_ms.saturating_sub(used);
            let in_plan = plan.and_then(|plan| *plan.lambda_gb_second.of(arch));
            cost = cost.saturating_add(match in_plan {
                Some(price) => mb_ms.saturating_mul(price.0),
                None => tiered(prices.duration_gb_second.of(arch), mb_ms, gb_second, span_us),
            });
            if plan.is_some() && in_plan.is_none() && 0 < mb_ms {
                bill.not_in_plan = vec![Item::LambdaDuration];
            }
        }
        bill.enter(Item::LambdaDuration, cost, gb_second);

        let provisioned = [
            (
                Item::LambdaProvisionedIdle,
                &usage.provisioned_idle_mb_ms,
                &prices.provisioned_gb_second,
                plan.map(|plan| &plan.lambda_provisioned_gb_second),
            ),
            (
                Item::LambdaProvisionedDuration,
                &usage.provisioned_duration_mb_ms,
                &prices.provisioned_duration_gb_second,
                plan.map(|plan| &plan.lambda_provisioned_duration_gb_second),
            ),
        ];
        for (item, mb_ms, on_demand, in_plan) in provisioned {
            let (cost, complete) = priced(mb_ms, on_demand, in_plan);
            bill.enter(item, cost, gb_second);
            if !complete {
                bill.not_in_plan.push(item);
            }
        }

        let cost = usage.snapstart_cache_mb_ms.saturating_mul(prices.snapstart_cache_gb_second.0);
        bill.enter(Item::SnapstartCache, cost, gb_second);
        let cost = usage.snapstart_restored_mb.saturating_mul(prices.snapstart_restore_gb.0);
        bill.enter(Item::SnapstartRestore, cost, MIB_PER_GB);
        let free_bytes = free(prices.free_streaming_gb, BYTES_PER_GB);
        let cost =
            usage.streamed_bytes.saturating_sub(free_bytes).saturating_mul(prices.streaming_gb.0);
        bill.enter(Item::LambdaStreaming, cost, BYTES_PER_GB);
        let cost = usage.storage_mb_ms.saturating_mul(prices.storage_gb_second.0);
        bill.enter(Item::LambdaStorage, cost, gb_second);
    }
}

/// What tasks cost, in 10^-12 USD times 1,024 times an hour's milliseconds.
struct TaskCost {
    vcpu: u128,
    memory: u128,
    spot_vcpu: u128,
    spot_memory: u128,
    storage: u128,
    public_ipv4: u128,
}

impl TaskCost {
    fn sum(&self) -> u128 {
        [self.vcpu, self.memory, self.spot_vcpu, self.spot_memory, self.storage, self.public_ipv4]
            .into_iter()
            .fold(0, u128::saturating_add)
    }
}

/// What tasks are priced with.
struct TaskRates<'b> {
    book: &'b PriceBook,
    plan: Option<&'b Plan>,
    not_in_plan: Vec<Item>,
}

impl<'b> TaskRates<'b> {
    fn new(book: &'b PriceBook, term: Term) -> Self {
        Self { book, plan: book.savings_plans.under(term), not_in_plan: vec![] }
    }

    fn price(&mut self, usage: &FargateUsage) -> TaskCost {
        let prices = &self.book.fargate;
        let cpu = |tasks: &ByArch<TaskUsage>| ByArch::from_fn(|arch| tasks.of(arch).cpu_unit_ms);
        let memory = |tasks: &ByArch<TaskUsage>| ByArch::from_fn(|arch| tasks.of(arch).mib_ms);
        let on_demand = &usage.on_demand;
        let plan_vcpu = self.plan.map(|plan| &plan.fargate_vcpu_hour);
        let plan_memory = self.plan.map(|plan| &plan.fargate_gb_hour);
        let (vcpu_cost, vcpu_complete) = priced(&cpu(on_demand), &prices.vcpu_hour, plan_vcpu);
        let (memory_cost, memory_complete) =
            priced(&memory(on_demand), &prices.gb_hour, plan_memory);
        if !vcpu_complete {
            self.not_in_plan.push(Item::FargateVcpu);
        }
        if !memory_complete {
            self.not_in_plan.push(Item::FargateMemory);
        }
        TaskCost {
            vcpu: vcpu_cost,
            memory: memory_cost,
            spot_vcpu: priced(&cpu(&usage.spot), &prices.spot_vcpu_hour, None).0,
            spot_memory: priced(&memory(&usage.spot), &prices.spot_gb_hour, None).0,
            storage: usage.storage_mib_ms.saturating_mul(prices.storage_gb_hour.0),
            // By the address, not by the MiB: brought to the others' unit.
            public_ipv4: usage
                .public_ipv4_ms
                .saturating_mul(prices.public_ipv4_hour.0)
                .saturating_mul(MIB_PER_GB),
        }
    }
}

/// Prices `quantity` by the plan where it has a price, else on demand; tells whether the plan, if any, had them all.
fn priced(
    quantity: &ByArch<u128>,
    on_demand: &ByArch<PicoUsd>,
    plan: Option<&ByArch<Option<PicoUsd>>>,
) -> (u128, bool) {
    let (mut cost, mut complete) = (0_u128, true);
    for arch in ARCHS {
        let in_plan = plan.and_then(|plan| *plan.of(arch));
        complete &= plan.is_none() || in_plan.is_some() || *quantity.of(arch) == 0;
        let price = in_plan.unwrap_or(*on_demand.of(arch));
        cost = cost.saturating_add(quantity.of(arch).saturating_mul(price.0));
    }
    (cost, complete)
}

/// Prices `mb_ms` of `span_us` by `tiers`, whose bounds are a month's GB-seconds of `gb_second` MB-ms each.
fn tiered(tiers: &[Tier], mb_ms: u128, gb_second: u128, span_us: u64) -> u128 {
    let (mut below, mut cost) = (0, 0_u128);
    for tier in tiers {
        let up_to = match tier.up_to_gb_seconds {
            Some(bound) if span_us != 0 => pro_rata(u128::from(bound) * gb_second, span_us),
            _ => u128::MAX,
        };
        let up_to = up_to.min(mb_ms);
        cost = cost.saturating_add((up_to - below).saturating_mul(tier.price.0));
        below = up_to;
    }
    cost
}

/// Returns what of a month's `amount` falls to `span_us`, in whole units.
const fn pro_rata(amount: u128, span_us: u64) -> u128 {
    amount.saturating_mul(span_us as u128) / MONTH_US as u128
}

#[cfg(test)]
mod tests;
