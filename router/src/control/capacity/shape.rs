//! What a service is made of, as planners need it: from the policy, list prices, and what was measured.

use std::time::Duration;

use policies::{
    cost::{FunctionSize, PriceBook, TaskSize, Terms},
    decide::Lane,
    policy::{Policy, Service, ServiceId},
};
use predictor::{plan::Shape, replay::fargate::UNPAID};

use crate::control::starts::Starts;

/// Most tasks where the policy names no bound: what ECS allows a service (Amazon ECS service quotas, "Tasks per service").
const MOST_TASKS: u32 = 5_000;

/// Share of its slots that a task must keep busy where there is no Lambda to go to instead: nothing else can serve what
/// finds no slot, so that one in fifty is enough.
const NO_LAMBDA: f64 = 0.02;

/// CPU units of a vCPU.
const UNITS_PER_VCPU: f64 = 1024.0;

/// Returns what the containers of a service are made of; `None` without a container lane. `scale` is how much faster than
/// real the plans' time passes.
pub(super) fn shape(
    policy: &Policy,
    id: ServiceId,
    mean: Duration,
    starts: &Starts,
    scale: f64,
    book: &PriceBook,
) -> Option<Shape> {
    let service = policy.service(id);
    let container = service.container.as_ref()?;
    let routes = || policy.routes.iter().filter(|route| route.service == id);
    let longest_wait = routes().map(|route| route.timeouts.queue).max().unwrap_or_default();
    let limits = container.tasks.as_ref();
    let most = limits.map_or(MOST_TASKS, |limits| limits.max);
    let least = limits.map_or(0, |limits| limits.min);
    // What only containers can serve must find one.
    let needs_one = routes().any(|route| !may_use_lambda(service, route.lanes.has(Lane::Lambda)));
    let us = |time: Duration| (time.as_secs_f64() * scale * 1e6) as u64;
    Some(Shape {
        slots_per_task: container.requests_per_task,
        break_even: break_even(service, mean, book),
        patience: longest_wait.as_secs_f64() / mean.as_secs_f64().max(1e-6),
        start_us: us(starts.p95()),
        paid_start_us: us(starts.mean().mul_f64(1.0 - UNPAID)),
        least_paid_us: book.fargate.minimum_seconds * 1_000_000,
        min_tasks: least.max(u32::from(needs_one)).min(most),
        max_tasks: most,
        warm: None,
        spot: None,
    })
}

fn may_use_lambda(service: &Service, route_allows: bool) -> bool {
    service.lambda.is_some() && route_allows && !service.needs.storage && !service.needs.affinity
}

fn break_even(service: &Service, mean: Duration, book: &PriceBook) -> f64 {
    let (Some(lambda), Some(container)) = (&service.lambda, &service.container) else {
        return NO_LAMBDA;
    };
    let function = FunctionSize { arch: lambda.arch, memory_mib: lambda.memory_mib };
    let task = TaskSize {
        arch: container.arch,
        cpu_units: (container.vcpu * UNITS_PER_VCPU).round() as u32,
        memory_mib: container.memory_mib,
    };
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
        shape(&policy, ServiceId(service), mean, &Starts::default(), 1.0, book).unwrap()
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
}
