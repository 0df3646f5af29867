//! Services to replay: those of a workload file's scenarios, and those of a policy.

use std::time::Duration;

use policies::{
    cost::{FunctionSize, PicoUsd, PriceBook, TaskSize, Terms, UNITS_PER_VCPU},
    decide::{Belief, MIN_SEEN},
    load::{MemorySource, load},
    policy::{ColdStart, Objective, Service, WarmPool},
    workload::{self, Scenario},
};

use super::{
    distribution::{Distribution, Quantiles},
    fargate::{TaskModel, UNPAID},
    lambda::{FunctionModel, KEEP_ALIVE, WARM_UP_US, WarmUps, answer_bytes_max},
    load::Load,
    site::{Site, Stream},
};
use crate::plan::{
    Provisioned, Shape, Spot, Warm,
    spot::price_share,
    warm::{invoke_usd, provisioned_break_even},
};

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
    let mut service = policy.services[0].clone();
    service.name = name.into();
    let stream = Stream {
        route: policy.routes[0].clone(),
        belief: match scenario.class {
            Some(_) => believed(&service_time),
            None => Belief::default(),
        },
        service_time: service_time.clone(),
        objective_us: objective_us(scenario.objective),
    };
    let mut site = of_service(&service, vec![stream], service_time, scenario, load, book, terms);
    // A policy's sizes come in the steps that AWS sells; a scenario's may be any.
    site.function.size = scenario.function_size();
    site.function.cold_start = scenario.cold_start.kind;
    site.task.size = scenario.task_size();
    site.price(book, terms);
    site
}

/// Makes a site of a policy's service; what a policy does not say of it comes from `assumed`.
pub fn of_service(
    service: &Service,
    streams: Vec<Stream>,
    service_time: Distribution,
    assumed: &Scenario,
    load: &Load,
    book: &PriceBook,
    terms: Terms,
) -> Site {
    let lambda = service.lambda.as_ref();
    let container = service.container.as_ref();
    let start = Distribution::from(&assumed.task_start);
    let slots = container.map_or(1, |container| container.requests_per_task);
    let least_paid_us = book.fargate.minimum_seconds * 1_000_000;
    let shape = Shape {
        slots_per_task: slots,
        break_even: 0.0,
        patience: patience(&streams, service_time.mean_us()),
        start_us: start.quantile_us(0.95) as u64,
        paid_start_us: (start.mean_us() * (1.0 - UNPAID)) as u64,
        least_paid_us,
        min_tasks: assumed.tasks.min,
        max_tasks: assumed.tasks.max.max(assumed.tasks.min),
        warm: None,
        spot: None,
    };
    // A scenario holds what it says, a policy's service what the policy says.
    let warm_pool = assumed.warm_pool.or(lambda.and_then(|lambda| lambda.warm_pool));
    let promised = streams.iter().any(|stream| stream.route.objective.p99.is_some())
        || assumed.objective.p99.is_some();
    let mut site = Site {
        service: service.clone(),
        streams,
        warm_pool: warm_pool.map(|pool| (pool, promised)),
        warm_ups: WarmUps::default(),
        function: FunctionModel {
            size: lambda.map_or(assumed.function_size(), |lambda| FunctionSize {
                arch: lambda.arch,
                memory_mib: lambda.memory_mib,
            }),
            cold_start: lambda.map_or(assumed.cold_start.kind, |lambda| lambda.cold_start),
            start: (&assumed.cold_start.time).into(),
            idle_us: micros(assumed.idle_lifetime),
            timeout_us: micros(lambda.map_or(assumed.timeout, |lambda| lambda.timeout)),
            reserved: assumed.reserved_concurrency,
            slowness: assumed.lambda_speed,
            answer_bytes_max: answer_bytes_max(
                lambda.map(|lambda| lambda.invoke).unwrap_or_default(),
            ),
        },
        task: TaskModel {
            size: container.map_or(assumed.task_size(), |container| TaskSize {
                arch: container.arch,
                cpu_units: (container.vcpu * UNITS_PER_VCPU as f64).round() as u32,
                memory_mib: container.memory_mib,
            }),
            slots,
            start,
            least_paid_us,
            spot: assumed.spot.up_to,
            interruptions_per_hour: assumed.spot.interruptions_per_hour,
        },
        first_tasks: first_tasks(load, service_time.mean_us(), slots, &shape),
        shape,
        service_time,
    };
    site.price(book, terms);
    site
}

impl Site {
    /// Returns the same service with another number of slots a task.
    #[must_use]
    pub fn with_slots(&self, slots: u32, load: &Load, book: &PriceBook, terms: Terms) -> Self {
        let mut site = self.clone();
        site.task.slots = slots;
        site.shape.slots_per_task = slots;
        site.first_tasks = first_tasks(load, self.service_time.mean_us(), slots, &site.shape);
        if let Some(container) = &mut site.service.container {
            container.requests_per_task = slots;
        }
        site.price(book, terms);
        site
    }

    /// Works out what depends on prices.
    fn price(&mut self, book: &PriceBook, terms: Terms) {
        let (function, task) = (self.function.size, self.task.size);
        let slowness = self.function.slowness;
        // The formula takes a request to be as long on either lane: c d / (g m d + f). With a duration of s d on Lambda it is
        // c d / (g m s d + f), which is the formula's value at s d over s.
        let mean = Duration::from_secs_f64(self.service_time.mean_us() * slowness / 1e6);
        let slots = self.task.slots;
        let even = book.break_even_utilisation(function, task, false, slots, mean, terms);
        self.shape.break_even = even / slowness;
        let price = price_share(book, task, self.shape.paid_start_us, terms);
        let up_to = self.task.spot;
        self.shape.spot = (0.0 < up_to).then_some(Spot { up_to, price });
        self.shape.warm = None;
        let Some((pool, promised)) = self.warm_pool else { return };
        let FunctionModel { cold_start, ref start, idle_us, .. } = self.function;
        let (hold, start) = (WARM_UP_US as f64 / 1e6, start.mean_us() / 1e6);
        let cost = |kind, seconds| {
            invoke_usd(book, function, kind, Duration::from_secs_f64(seconds), terms)
        };
        let keep_alive_us = micros(KEEP_ALIVE).min(idle_us);
        let (hold_usd, invoke_usd) = (cost(ColdStart::Plain, hold), cost(cold_start, hold + start));
        let spend_usd = pool.spend.map(PicoUsd::as_usd);
        let start_usd = invoke_usd - hold_usd;
        self.warm_ups = WarmUps { every_us: keep_alive_us / 2, hold_usd, start_usd, spend_usd };
        let provisioned = (cold_start == ColdStart::Provisioned).then(|| Provisioned {
            break_even: provisioned_break_even(book, function.arch),
            always: promised,
        });
        let WarmPool { min, max, .. } = pool;
        self.shape.warm =
            Some(Warm { min, max, spend_usd, invoke_usd, keep_alive_us, provisioned });
    }
}

/// Returns how many tasks run when the load begins, under every planner: those that its first step fills to 70 %.
fn first_tasks(load: &Load, mean_us: f64, slots: u32, shape: &Shape) -> u32 {
    let step = load.steps().first();
    let demand = step.map_or(0.0, |step| step.count as f64 / step.us.max(1) as f64 * mean_us);
    let tasks = (demand / f64::from(slots) / 0.7).ceil() as u32;
    tasks.clamp(shape.min_tasks, shape.max_tasks)
}

/// Returns how long requests may wait for a slot, in mean service times.
fn patience(streams: &[Stream], mean_us: f64) -> f64 {
    let longest = streams.iter().map(|stream| stream.route.timeouts.queue).max();
    longest.map_or(0.0, |queue| queue.as_secs_f64() * 1e6 / mean_us.max(1.0))
}

/// Returns the latency that counts as within an objective, in microseconds.
pub fn objective_us(objective: Objective) -> u64 {
    micros(objective.p99.unwrap_or(OBJECTIVE))
}

/// Returns what is believed of requests that take `service_time`, once it is learned.
pub fn believed(service_time: &Distribution) -> Belief {
    let us = |us: f64| us as u32;
    Belief {
        seen: MIN_SEEN,
        mean_us: us(service_time.mean_us()),
        p50_us: us(service_time.quantile_us(0.5)),
        p95_us: us(service_time.quantile_us(0.95)),
        ..Belief::default()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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
