//! What a service is made of, as planners need it: from the policy, list prices, and what was measured.

use std::time::Duration;

use policies::{
    cost::{FunctionSize, PriceBook, TaskSize, Terms},
    decide::Lane,
    policy::{ColdStart, Container, Lambda, Policy, Service, ServiceId},
};
use predictor::{
    plan::{
        Provisioned, Shape, Spot, Warm,
        spot::price_share,
        warm::{invoke_usd, provisioned_break_even},
    },
    replay::fargate::UNPAID,
};

use crate::control::starts::Starts;

/// Most tasks where the policy names no bound: what ECS allows a service (Amazon ECS service quotas, "Tasks per service").
const MOST_TASKS: u32 = 5_000;

/// Share of its slots that a task must keep busy where there is no Lambda to go to instead: nothing else can serve what
/// finds no slot, so that one in fifty is enough.
const NO_LAMBDA: f64 = 0.02;

/// CPU units of a vCPU.
const UNITS_PER_VCPU: f64 = 1024.0;

/// After how long without a request Lambda is taken to take an environment down. AWS does not say; what others measured lies
/// between 5 and 45 minutes, and an environment that is gone costs a cold start, one that is held too often a hundred-thousandth
/// of a dollar. At twice as long half as many invokes would be sent.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_mins(5);

/// What a warm-up invoke is billed on average, its hold and now and then a start: what its cost is reckoned at beforehand.
pub(crate) const WARM_UP_BILLED: Duration = Duration::from_millis(500);

/// Returns what a service is made of: without a container lane it never has a task. `scale` is how much faster than real
/// the plans' time passes.
pub(super) fn shape(
    policy: &Policy,
    id: ServiceId,
    mean: Duration,
    starts: &Starts,
    scale: f64,
    book: &PriceBook,
) -> Shape {
    let service = policy.service(id);
    let us = |time: Duration| (time.as_secs_f64() * 1e6) as u64;
    let paid_start_us = us(starts.mean(scale).mul_f64(1.0 - UNPAID));
    let spot = service.container.as_ref().and_then(|own| spot(own, paid_start_us, book));
    let routes = || policy.routes.iter().filter(|route| route.service == id);
    let longest_wait = routes().map(|route| route.timeouts.queue).max().unwrap_or_default();
    let (least, most) = bounds(service, routes().map(|route| route.lanes.has(Lane::Lambda)));
    Shape {
        slots_per_task: service.container.as_ref().map_or(1, |own| own.requests_per_task),
        break_even: break_even(service, mean, book),
        patience: longest_wait.as_secs_f64() / mean.as_secs_f64().max(1e-6),
        start_us: us(starts.p95(scale)),
        paid_start_us,
        least_paid_us: book.fargate.minimum_seconds * 1_000_000,
        min_tasks: least,
        max_tasks: most,
        warm: service.lambda.as_ref().and_then(|lambda| warm(service, lambda, book)),
        spot,
    }
}

/// Returns how many tasks a service has at least and at most; its routes may use Lambda or not.
fn bounds(service: &Service, mut routes: impl Iterator<Item = bool>) -> (u32, u32) {
    let Some(container) = &service.container else { return (0, 0) };
    let limits = container.tasks.as_ref();
    let most = limits.map_or(MOST_TASKS, |limits| limits.max);
    let least = limits.map_or(0, |limits| limits.min);
    // What only containers can serve must find one.
    let needs_one = routes.any(|allows| !may_use_lambda(service, allows));
    (least.max(u32::from(needs_one)).min(most), most)
}

/// Returns what environments may be held warm. [`KEEP_ALIVE`] is in the plans' time: a faster cloud takes them down sooner.
fn warm(service: &Service, lambda: &Lambda, book: &PriceBook) -> Option<Warm> {
    let pool = lambda.warm_pool.as_ref()?;
    let function = FunctionSize { arch: lambda.arch, memory_mib: lambda.memory_mib };
    let provisioned = (lambda.cold_start == ColdStart::Provisioned).then(|| Provisioned {
        break_even: provisioned_break_even(book, lambda.arch),
        // Who promises latency pays for it.
        always: service.objective.p99.is_some(),
    });
    let cost = invoke_usd(book, function, lambda.cold_start, WARM_UP_BILLED, Terms::default());
    Some(Warm {
        min: pool.min,
        max: pool.max,
        spend_usd: pool.spend.map(policies::cost::PicoUsd::as_usd),
        invoke_usd: cost,
        keep_alive_us: KEEP_ALIVE.as_micros() as u64,
        provisioned,
    })
}

/// Returns which tasks may be on Spot, where the policy wants any there.
fn spot(container: &Container, paid_start_us: u64, book: &PriceBook) -> Option<Spot> {
    let up_to = container.tasks.as_ref()?.spot;
    let price = || price_share(book, task_size(container), paid_start_us, Terms::default());
    (0.0 < up_to).then(|| Spot { up_to, price: price() })
}

fn task_size(container: &Container) -> TaskSize {
    TaskSize {
        arch: container.arch,
        cpu_units: (container.vcpu * UNITS_PER_VCPU).round() as u32,
        memory_mib: container.memory_mib,
    }
}

fn may_use_lambda(service: &Service, route_allows: bool) -> bool {
    service.lambda.is_some() && route_allows && !service.needs.storage && !service.needs.affinity
}

fn break_even(service: &Service, mean: Duration, book: &PriceBook) -> f64 {
    let (Some(lambda), Some(container)) = (&service.lambda, &service.container) else {
        return NO_LAMBDA;
    };
    let function = FunctionSize { arch: lambda.arch, memory_mib: lambda.memory_mib };
    let task = task_size(container);
    let slots = container.requests_per_task;
    book.break_even_utilisation(function, task, false, slots, mean, Terms::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn of(text: &str, service: u16) -> Shape {
        let policy = fixture::policy(text);
        let (mean, book) = (Duration::from_millis(100), PriceBook::fallback());
        shape(&policy, ServiceId(service), mean, &Starts::default(), 1.0, book)
    }

    #[test]
    fn a_service_on_both_lanes_is_weighed_against_lambda() {
        let shape = of(fixture::POLICY, 0);
        assert_eq!((shape.slots_per_task, shape.min_tasks, shape.max_tasks), (4, 0, 5_000));
        // A quarter of the 0.476 that one slot needs, less what the fee for requests of 100 ms makes Lambda dearer.
        assert!((0.10..0.119).contains(&shape.break_even), "{}", shape.break_even);
        assert!((shape.patience - 2.0).abs() < 1e-9, "200 ms of waiting, 100 ms a request");
        assert_eq!(shape.start_us, 80_000_000);
    }

    #[test]
    fn what_only_containers_can_serve_has_one_at_least() {
        let shape = of(fixture::POLICY, 1);
        assert_eq!((shape.min_tasks, shape.break_even), (1, NO_LAMBDA));
        let only = "class: sprinter, lanes: [container]";
        let text = fixture::POLICY.replace("class: sprinter", only);
        assert_eq!(of(&text, 0).min_tasks, 1);
    }

    #[test]
    fn environments_and_spot_are_planned_within_the_policys_bounds_at_list_prices() {
        assert_eq!((of(fixture::POLICY, 0).warm, of(fixture::POLICY, 0).spot), (None, None));
        let with = |lambda: &str, more: &str| {
            fixture::POLICY.replacen(
                "max_in_flight: 10",
                &format!("max_in_flight: 10\n      {lambda}"),
                1,
            ) + more
        };
        let pool = "warm_pool: { min: 1, max: 5, spend: $2/day }";
        let warm = of(&with(pool, ""), 0).warm.unwrap();
        assert_eq!((warm.min, warm.max, warm.spend_usd), (1, 5, Some(2.0)));
        // 0.5 s x 1.7275 GB x 0.0000133334 + 0.0000002.
        assert!((warm.invoke_usd - 1.1717e-5).abs() < 1e-8, "{warm:?}");
        assert_eq!((warm.keep_alive_us, warm.provisioned), (300_000_000, None));
        let provisioned = format!("cold_start: provisioned\n      {pool}");
        let kept = of(&with(&provisioned, ""), 0).warm.unwrap().provisioned.unwrap();
        assert!((kept.break_even - 0.6).abs() < 1e-3 && !kept.always, "{kept:?}");
        let promised =
            with(&provisioned, "").replace("  film:\n", "  film:\n    objective: { p99: 1s }\n");
        assert!(of(&promised, 0).warm.unwrap().provisioned.unwrap().always);
    }

    #[test]
    fn spot_is_planned_for_where_the_policy_wants_any() {
        let with = |tasks: &str| {
            let ecs = format!("ecs: {{ cluster: prod, service: film, port: 80 }}\n      {tasks}");
            fixture::POLICY.replace("upstreams: [\"http://127.0.0.1:9000\"]", &ecs)
        };
        assert_eq!(of(&with("tasks: { min: 1, max: 9 }"), 0).spot, None);
        let shape = of(&with("tasks: { min: 1, max: 9, spot: { up_to: 70% } }"), 0);
        let spot = shape.spot.unwrap();
        assert!((spot.up_to - 0.7).abs() < 1e-9, "{spot:?}");
        assert!((0.25..0.45).contains(&spot.price), "a third of the price: {spot:?}");
    }

    #[test]
    fn a_service_of_lambda_alone_has_no_tasks() {
        let text = "version: 1\nregion: eu-west-1\nendpoint_url: 'http://127.0.0.1:1'\nservices:\n  \
                    a: { lambda: { function: 'f:live', warm_pool: { min: 2, max: 4 } } }\n\
                    routes: [{ match: {}, service: a }]\n";
        let shape = of(text, 0);
        assert_eq!((shape.min_tasks, shape.max_tasks, shape.warm.unwrap().min), (0, 0, 2));
    }
}
