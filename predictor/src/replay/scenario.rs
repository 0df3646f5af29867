//! A scenario of a workload file as a service to replay.

use std::time::Duration;

use policies::{
    cost::{PriceBook, Terms},
    decide::Belief,
    load::{MemorySource, load},
    workload::{self, Scenario},
};

use super::{
    distribution::{Distribution, Quantiles},
    fargate::TaskModel,
    lambda::FunctionModel,
    load::Load,
    site::Site,
};
use crate::plan::Shape;

/// Latency that counts as within the objective where none is written.
const OBJECTIVE: Duration = Duration::from_secs(1);

impl From<&workload::Distribution> for Distribution {
    fn from(written: &workload::Distribution) -> Self {
        let us = |time: &Duration| time.as_secs_f64() * 1e6;
        match written {
            workload::Distribution::Fixed(time) => Self::Fixed(us(time)),
            workload::Distribution::Exponential { mean } => Self::Exponential(us(mean)),
            workload::Distribution::Lognormal { mean, cv } => Self::lognormal(*mean, *cv),
            workload::Distribution::Quantiles(points) => {
                let points = points.iter().map(|(p, time)| (*p, us(time))).collect();
                Quantiles::new(points).map_or(Self::Fixed(0.0), Self::Quantiles)
            }
        }
    }
}

/// Makes the service `name` of a scenario, for a load whose requests take `service_time`.
pub fn site(
    scenario: &Scenario,
    name: &str,
    service_time: Distribution,
    load: &Load,
    book: &PriceBook,
    terms: Terms,
) -> Site {
    let policy = policy(scenario);
    let (function, task) = (scenario.function_size(), scenario.task_size());
    let start = Distribution::from(&scenario.task_start);
    let mean = Duration::from_secs_f64(service_time.mean_us() / 1e6);
    let slots = scenario.requests_per_task;
    let least_paid_us = book.fargate.minimum_seconds * 1_000_000;
    let shape = Shape {
        slots_per_task: slots,
        break_even: book.break_even_utilisation(function, task, false, slots, mean, terms),
        start_us: start.quantile_us(0.95) as u64,
        least_paid_us,
        min_tasks: scenario.tasks.min,
        max_tasks: scenario.tasks.max,
    };
    // What is running when the load begins fits its first step, at 70 %, under every planner.
    let first = load.steps().first();
    let demand = first
        .map_or(0.0, |step| step.count as f64 / step.us.max(1) as f64 * service_time.mean_us());
    let first_tasks = (demand / f64::from(slots) / 0.7).ceil() as u32;
    let mut service = policy.services[0].clone();
    service.name = name.into();
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Site {
        service,
        route: policy.routes[0].clone(),
        belief: Belief::default(),
        service_time,
        function: FunctionModel {
            size: function,
            cold_start: scenario.cold_start.kind,
            start: (&scenario.cold_start.time).into(),
            idle_us: us(scenario.idle_lifetime),
            timeout_us: us(scenario.timeout),
            reserved: scenario.reserved_concurrency,
            slowness: scenario.lambda_speed,
        },
        task: TaskModel {
            size: task,
            slots,
            start,
            least_paid_us,
            spot: scenario.spot.up_to,
            interruptions_per_hour: scenario.spot.interruptions_per_hour,
        },
        first_tasks: first_tasks.clamp(shape.min_tasks, shape.max_tasks.max(shape.min_tasks)),
        shape,
        objective_us: us(scenario.objective.p99.unwrap_or(OBJECTIVE)),
    }
}

/// Makes the policy that a scenario stands for: the only way to get one is to read one.
fn policy(scenario: &Scenario) -> policies::policy::Policy {
    let class = scenario.class.map_or("auto", |class| class.as_str());
    let arch = match scenario.task.arch {
        policies::policy::Arch::Arm64 => "arm64",
        policies::policy::Arch::X86_64 => "x86_64",
    };
    let text = format!(
        "version: 1
services:
  replayed:
    lambda:
      function: replayed
      max_in_flight: {}
      assume: {{ memory: {}MiB, timeout: {}ms, arch: {arch} }}
    container:
      upstreams: [http://127.0.0.1:9]
      requests_per_task: {}
routes:
  - {{ match: {{}}, service: replayed, class: {class} }}
",
        scenario.max_in_flight.unwrap_or(1_000_000),
        scenario.memory_mib,
        scenario.timeout.as_millis(),
        scenario.requests_per_task,
    );
    let source = MemorySource::file("scenario.yaml", &text);
    load("scenario.yaml", &source).expect("a scenario's values are those of a policy").policy
}
