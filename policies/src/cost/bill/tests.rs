//! Bills worked by hand, and the laws that hold for all of them.

use proptest::prelude::*;

use super::*;
use crate::cost::{FunctionSize, TaskSize};

const GB: FunctionSize = FunctionSize { arch: Arch::Arm64, memory_mib: 1024 };
const TASK: TaskSize = TaskSize { arch: Arch::Arm64, cpu_units: 1024, memory_mib: 2048 };
const HOUR_MS: u64 = 3_600_000;

fn book() -> &'static PriceBook {
    PriceBook::fallback()
}

fn on(lambda: Term, fargate: Term) -> Terms {
    Terms { lambda, fargate, free_tier: false }
}

/// Bills a month on demand.
fn month(usage: &Usage) -> Bill {
    book().bill(usage, MONTH_US, Terms::default())
}

/// Checks the items that are not zero, in USD with 12 decimals.
#[track_caller]
fn check(bill: &Bill, expected: &[(&str, u128)]) {
    let lines = bill.lines().filter(|(_, amount)| *amount != PicoUsd::ZERO);
    let lines: Vec<_> = lines.map(|(item, amount)| (item.name(), amount.0)).collect();
    assert_eq!(lines, expected);
}

#[test]
fn lambda_is_billed_by_request_and_memory_time() {
    let mut usage = Usage::default();
    // 1 s of 1769 MiB: 1.727539 GB x 0.0000133334 = 0.000023034.
    usage.lambda.add(FunctionSize { memory_mib: 1769, ..GB }, 1, 1000);
    check(&month(&usage), &[("lambda_requests", 200_000), ("lambda_duration", 23_033_969)]);
    // One request is a millionth of 0.20; three of them are not rounded three times.
    let third = book().with_overrides("own.yaml", "lambda: { million_requests: 0.000001333333 }");
    usage.lambda.requests = 3;
    let bill = third.unwrap().bill(&usage, MONTH_US, Terms::default());
    assert_eq!(bill.amount(Item::LambdaRequests), PicoUsd(4));
}

#[test]
fn fargate_is_billed_by_vcpu_and_memory_time() {
    let mut usage = Usage::default();
    usage.fargate.add(TASK, false, HOUR_MS);
    usage.fargate.add(TASK, true, HOUR_MS);
    usage.pacer.add(TaskSize { cpu_units: 512, memory_mib: 1024, ..TASK }, false, HOUR_MS);
    usage.pacer.public_ipv4_ms = u128::from(HOUR_MS);
    usage.fargate.public_ipv4_ms = u128::from(HOUR_MS) * 2;
    usage.fargate.storage_mib_ms = u128::from(HOUR_MS) * 1024 * 10;
    let bill = month(&usage);
    check(
        &bill,
        &[
            ("fargate_vcpu", 32_380_000_000),
            ("fargate_memory", 7_120_000_000),
            ("fargate_spot_vcpu", 10_309_690_000),
            ("fargate_spot_memory", 2_266_980_000),
            ("fargate_storage", 1_110_000_000),
            ("public_ipv4", 10_000_000_000),
            // 0.5 x 0.03238 + 0.00356 + 0.005.
            ("pacer", 24_750_000_000),
        ],
    );
    assert_eq!(bill.subtotal(Group::Pacer), PicoUsd(24_750_000_000));
    assert_eq!(bill.subtotal(Group::Lambda), PicoUsd::ZERO);
    assert_eq!(bill.subtotal(Group::Fargate), PicoUsd(63_186_670_000));
    // One second of one vCPU and 2 GB: 0.0000109722 USD.
    let mut second = Usage::default();
    second.fargate.add(TASK, false, 1000);
    assert_eq!(month(&second).total(), PicoUsd(10_972_222));
}

#[test]
fn snapstart_streaming_and_storage_have_lines_of_their_own() {
    let mut usage = Usage::default();
    // 1 GB for a month of 730 h: 3.954 USD. One restore of 1 GB: as much as 10.5 s of 1 GB on Arm.
    usage.lambda.snapstart_cache_mb_ms = 1024 * 730 * u128::from(HOUR_MS);
    usage.lambda.snapstart_restored_mb = 1024;
    usage.lambda.streamed_bytes = 5 << 30;
    usage.lambda.storage_mb_ms = 1024 * 1000 * 1_000_000;
    check(
        &month(&usage),
        &[
            ("snapstart_cache", 3_954_088_800_000),
            ("snapstart_restore", 139_799_800),
            ("lambda_streaming", 40_000_000_000),
            ("lambda_storage", 30_900_000_000),
        ],
    );
    // The least that a snapshot costs: 1 GB for three hours.
    let least = book().lambda.snapstart_cache_minimum_seconds;
    let mut usage = Usage::default();
    usage.lambda.snapstart_cache_mb_ms = 1024 * 1000 * u128::from(least);
    check(&month(&usage), &[("snapstart_cache", 16_249_680_000)]);
}

#[test]
fn provisioned_concurrency_pays_off_at_three_fifths_of_use() {
    let plain = |busy_ms| {
        let mut usage = Usage::default();
        usage.lambda.add(FunctionSize { arch: Arch::X86_64, ..GB }, 0, busy_ms);
        month(&usage).total()
    };
    let provisioned = |busy_ms| {
        let mut usage = Usage::default();
        usage.lambda.add_provisioned(FunctionSize { arch: Arch::X86_64, ..GB }, 0, busy_ms);
        usage.lambda.provisioned_idle_mb_ms.x86_64 = 1024 * u128::from(HOUR_MS);
        month(&usage).total()
    };
    assert!(plain(HOUR_MS / 1000 * 599) < provisioned(HOUR_MS / 1000 * 599));
    assert!(provisioned(HOUR_MS / 1000 * 601) < plain(HOUR_MS / 1000 * 601));
}

#[test]
fn tiers_hold_by_the_month_and_pro_rata() {
    // 7e9 GB-s on x86: 6e9 at 0.0000166667 and 1e9 at 0.000015.
    let mut usage = Usage::default();
    usage.lambda.mb_ms.x86_64 = 7_000_000_000 * 1_024_000;
    check(&month(&usage), &[("lambda_duration", 115_000_200_000_000_000)]);
    // Over one and a half months the first tier ends at 9e9.
    let bill = book().bill(&usage, MONTH_US * 3 / 2, Terms::default());
    check(&bill, &[("lambda_duration", 116_666_900_000_000_000)]);
    // All three tiers, on Arm: 7.5e9, 11.25e9 and 1e9 GB-s.
    let mut usage = Usage::default();
    usage.lambda.mb_ms.arm64 = 19_750_000_000 * 1_024_000;
    check(&month(&usage), &[("lambda_duration", 245_668_325_000_000_000)]);
    // A span that is not known: the first tier.
    let bill = book().bill(&usage, 0, Terms::default());
    check(&bill, &[("lambda_duration", 263_334_650_000_000_000)]);
}

#[test]
fn the_free_tier_is_taken_off_when_asked_for_and_pro_rata() {
    let mut usage = Usage::default();
    usage.lambda.add(GB, 1_500_000, 300_000_000);
    usage.lambda.add(FunctionSize { arch: Arch::X86_64, ..GB }, 0, 300_000_000);
    usage.lambda.streamed_bytes = 150 << 30;
    let free = Terms { free_tier: true, ..Terms::default() };
    // Half a million requests, 300,000 - 100,000 GB-s of x86 and 50 GB are left.
    check(
        &book().bill(&usage, MONTH_US, free),
        &[
            ("lambda_requests", 100_000_000_000),
            ("lambda_duration", 3_333_340_000_000),
            ("lambda_streaming", 400_000_000_000),
        ],
    );
    check(&book().bill(&usage, MONTH_US * 2, free), &[]);
    assert_eq!(book().bill(&usage, 0, free), month(&usage));
}

#[test]
fn savings_plans_price_what_they_cover_and_say_what_they_do_not() {
    let mut usage = Usage::default();
    usage.lambda.add(GB, 1_000_000, 1000);
    usage.fargate.add(TASK, false, HOUR_MS);
    usage.fargate.add(TASK, true, HOUR_MS);
    let bill = |term| book().bill(&usage, MONTH_US, on(term, term));
    let year = bill(Term::OneYearNoUpfront);
    check(
        &year,
        &[
            ("lambda_requests", 200_000_000_000),
            ("lambda_duration", 11_700_000),
            ("fargate_vcpu", 25_500_000_000),
            ("fargate_memory", 5_600_000_000),
            ("fargate_spot_vcpu", 10_309_690_000),
            ("fargate_spot_memory", 2_266_980_000),
        ],
    );
    assert_eq!(year.not_in_plan, []);
    // Three years all upfront: no price of memory is known.
    let years = bill(Term::ThreeYearsAllUpfront);
    assert_eq!(years.amount(Item::FargateVcpu), PicoUsd(15_870_000_000));
    assert_eq!(years.amount(Item::FargateMemory), PicoUsd(7_120_000_000));
    assert_eq!(years.not_in_plan, [Item::FargateMemory]);
    // Provisioned concurrency on Arm has no price in any plan, and Pacer's own tasks are tasks.
    let mut usage = Usage::default();
    usage.lambda.provisioned_idle_mb_ms.arm64 = 1;
    usage.pacer.add(TASK, false, HOUR_MS);
    let years =
        book().bill(&usage, MONTH_US, on(Term::OneYearNoUpfront, Term::ThreeYearsAllUpfront));
    assert_eq!(years.not_in_plan, [Item::LambdaProvisionedIdle, Item::Pacer]);
    assert_eq!(month(&usage).not_in_plan, []);
}

#[test]
fn items_are_named_once_and_stand_in_their_order() {
    for (index, item) in Item::ALL.into_iter().enumerate() {
        assert_eq!(item as usize, index);
    }
    let mut names: Vec<_> = Item::ALL.iter().map(|item| item.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Item::ALL.len());
}

#[test]
fn ten_years_at_an_absurd_scale_are_billed_without_a_limit() {
    let mut usage = Usage::default();
    // A million requests a second of 10 GB and 15 minutes each.
    let requests = 1_000_000 * 86_400 * 3653;
    let size = FunctionSize { memory_mib: 10_240, ..GB };
    usage.lambda.add(size, requests, requests * 900);
    usage.lambda.mb_ms.arm64 *= 1000;
    let bill = book().bill(&usage, MONTH_US * 120, Terms::default());
    // Nearly all of it in the last tier: 3.2e14 x 900 s x 10 GB x 0.0000106667.
    let last = 315_619_200_000_000.0 * 9000.0 * 0.000_010_666_7;
    assert!((bill.amount(Item::LambdaDuration).as_usd() / last - 1.0).abs() < 1e-5);
}

fn usage() -> impl Strategy<Value = Usage> {
    let quantity = || 0_u128..1 << 70;
    proptest::collection::vec(quantity(), 30).prop_map(|numbers| {
        let mut numbers = numbers.into_iter();
        let mut next = move || numbers.next().expect("30 are enough");
        let mut by_arch = || ByArch { x86_64: next(), arm64: next() };
        let (mb_ms, idle, duration) = (by_arch(), by_arch(), by_arch());
        let lambda = LambdaUsage {
            mb_ms,
            provisioned_idle_mb_ms: idle,
            provisioned_duration_mb_ms: duration,
            requests: by_arch().x86_64,
            snapstart_cache_mb_ms: by_arch().x86_64,
            snapstart_restored_mb: by_arch().x86_64,
            streamed_bytes: by_arch().x86_64,
            storage_mb_ms: by_arch().x86_64,
        };
        let mut tasks = || {
            let (cpu, memory) = (by_arch(), by_arch());
            ByArch::from_fn(|arch| TaskUsage {
                cpu_unit_ms: *cpu.of(arch),
                mib_ms: *memory.of(arch),
            })
        };
        let (on_demand, spot) = (tasks(), tasks());
        let more = by_arch();
        let fargate = FargateUsage {
            on_demand,
            spot,
            storage_mib_ms: more.x86_64,
            public_ipv4_ms: more.arm64,
        };
        Usage { lambda, fargate, pacer: FargateUsage { on_demand: spot, ..fargate } }
    })
}

fn terms() -> impl Strategy<Value = Terms> {
    let term = || proptest::sample::select(&Term::ALL[..]);
    (term(), term(), any::<bool>()).prop_map(|(lambda, fargate, free_tier)| Terms {
        lambda,
        fargate,
        free_tier,
    })
}

/// From nothing to ten years.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..MONTH_US, MONTH_US..MONTH_US * 120]
}

proptest! {
    #[test]
    fn the_total_is_the_sum_of_the_lines(usage in usage(), span in span(), terms in terms()) {
        let bill = book().bill(&usage, span, terms);
        let sum: u128 = bill.lines().map(|(_, amount)| amount.0).sum();
        prop_assert_eq!(bill.total(), PicoUsd(sum));
        let groups = [Group::Lambda, Group::Fargate, Group::Pacer];
        prop_assert_eq!(bill.total(), groups.map(|group| bill.subtotal(group)).into_iter().sum());
    }

    #[test]
    fn more_usage_never_costs_less(a in usage(), b in usage(), span in span(), terms in terms()) {
        let mut both = a;
        both += b;
        let (less, more) = (book().bill(&a, span, terms), book().bill(&both, span, terms));
        for (item, amount) in less.lines() {
            prop_assert!(amount <= more.amount(item), "{}", item.name());
        }
    }

    /// Without tiers and free parts, services billed apart cost what they cost together, but for the rounding.
    #[test]
    fn parts_cost_what_the_whole_does(a in usage(), b in usage(), terms in terms()) {
        let terms = Terms { free_tier: false, ..terms };
        let mut both = a;
        both += b;
        let whole = book().bill(&both, 0, terms);
        let (a, b) = (book().bill(&a, 0, terms), book().bill(&b, 0, terms));
        for (item, amount) in whole.lines() {
            let parts = a.amount(item) + b.amount(item);
            prop_assert!(amount.0.abs_diff(parts.0) <= 1, "{}", item.name());
        }
    }

    /// No bound of a tier is a step: one more GB-second costs at most the dearest tier's price.
    #[test]
    fn tiers_are_continuous(
        tier in 0_usize..2,
        offset in -2_i64..3,
        span in 1..MONTH_US * 120,
        arm: bool,
    ) {
        let arch = if arm { Arch::Arm64 } else { Arch::X86_64 };
        let bound = book().lambda.duration_gb_second.of(arch)[tier].up_to_gb_seconds.unwrap();
        let bound = pro_rata(u128::from(bound) * 1_024_000, span);
        let at = bound.saturating_add_signed(i128::from(offset) * 1_024_000);
        let cost = |mb_ms| {
            let mut usage = Usage::default();
            *usage.lambda.mb_ms.of_mut(arch) = mb_ms;
            book().bill(&usage, span, Terms::default()).total()
        };
        let step = cost(at + 1_024_000) - cost(at);
        prop_assert!(PicoUsd::ZERO < step && step <= book().lambda.first_tier(arch) + PicoUsd(1));
    }

    /// The same load for twice as long costs twice as much.
    #[test]
    fn a_bill_is_in_proportion_to_the_span(mb_ms in 0_u128..1 << 70, span in 1..MONTH_US * 60) {
        let cost = |times: u64| {
            let mut usage = Usage::default();
            usage.lambda.mb_ms.x86_64 = mb_ms * u128::from(times);
            book().bill(&usage, span * times, Terms::default()).total()
        };
        // Bounds fall to whole MB-ms, worth two pico-dollars from tier to tier, and both bills are rounded.
        prop_assert!(cost(2).0.abs_diff(cost(1).0 * 2) <= 8);
    }
}
