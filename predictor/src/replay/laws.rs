//! The engine against what is known in closed form.
//!
//! Each law is checked within the sampling error of its run; seeds are fixed, so a failure is no chance.

mod agreement;

use std::sync::Arc;
use std::time::Duration;

use policies::{
    cost::{FunctionSize, TaskSize},
    decide::Belief,
    load::{MemorySource, load},
    policy::{Arch, ColdStart},
};

use super::{
    arrivals::{Spread, Step},
    distribution::Distribution,
    engine::run,
    fargate::TaskModel,
    lambda::{FunctionModel, WarmUps},
    random::{Purpose, Random},
    site::{Account, Arrival, Outcome, Planned, Site, Stream},
    tally::Failed,
};
use crate::plan::{LambdaOnly, Planner, Routing, Shape, StaticTasks, erlang};

const SECOND: u64 = 1_000_000;

const POLICY: &str = "
version: 1
services:
  s:
    lambda: { function: f, max_in_flight: 1000000, assume: { memory: 1769MiB, timeout: 15m, arch: arm64 } }
    container: { upstreams: [http://127.0.0.1:9000], requests_per_task: 1 }
routes:
  - { match: {}, service: s, class: marathon, timeouts: { queue: 0s } }
";

pub(super) fn site(service_time: Distribution) -> Site {
    let loaded = load("p.yaml", &MemorySource::file("p.yaml", POLICY)).unwrap();
    let size = FunctionSize { arch: Arch::Arm64, memory_mib: 1769 };
    let task = TaskSize { arch: Arch::Arm64, cpu_units: 1024, memory_mib: 2048 };
    Site {
        warm_pool: None,
        warm_ups: WarmUps::default(),
        service: loaded.policy.services[0].clone(),
        streams: vec![Stream {
            route: loaded.policy.routes[0].clone(),
            belief: Belief::default(),
            service_time: service_time.clone(),
            objective_us: SECOND,
        }],
        service_time,
        function: FunctionModel {
            size,
            cold_start: ColdStart::Plain,
            start: Distribution::Fixed(400_000.0),
            idle_us: 600 * SECOND,
            timeout_us: 900 * SECOND,
            reserved: None,
            slowness: 1.0,
            answer_bytes_max: u64::MAX,
        },
        task: TaskModel {
            size: task,
            slots: 1,
            start: Distribution::Fixed(60e6),
            least_paid_us: 60 * SECOND,
            spot: 0.0,
            interruptions_per_hour: 0.0,
        },
        shape: Shape {
            slots_per_task: 1,
            break_even: 0.476,
            patience: 0.0,
            start_us: 60 * SECOND,
            paid_start_us: 52_000_000,
            least_paid_us: 60 * SECOND,
            min_tasks: 0,
            max_tasks: 1000,
            warm: None,
            spot: None,
        },
        first_tasks: 0,
    }
}

/// Replays Poisson arrivals, `rate` a second for `seconds`.
fn poisson(site: Site, planner: Box<dyn Planner>, rate: f64, seconds: u64) -> Outcome {
    // A Poisson process over all of it, not one that is known to have so many.
    let mut random = Random::new(11, 0, Purpose::Arrivals);
    let mut at = 0.0;
    let arrivals = std::iter::from_fn(move || {
        at += random.exponential() / rate * 1e6;
        (at < (seconds * SECOND) as f64).then(|| Arrival::plain(at as u64, 0))
    });
    let sites = [site];
    let account = Account { concurrency: 1_000_000 };
    let mut outcomes = run(
        &[&sites[0]],
        vec![Planned { planner, truth: None }],
        arrivals,
        (0, seconds * SECOND),
        account,
        7,
    );
    let outcome = outcomes.remove(0);
    outcome.tally.check().unwrap();
    outcome
}

fn assert_close(measured: f64, law: f64, tolerance: f64, what: &str) {
    assert!((measured - law).abs() <= tolerance, "{what}: {measured:.5} and not {law:.5}");
}

fn distributions(mean_ms: u64) -> [Distribution; 3] {
    let mean = Duration::from_millis(mean_ms);
    [
        Distribution::Exponential(mean.as_secs_f64() * 1e6),
        Distribution::Fixed(mean.as_secs_f64() * 1e6),
        Distribution::lognormal(mean, 1.0),
    ]
}

#[test]
fn all_slots_are_busy_as_often_as_erlang_says_whatever_the_durations_look_like() {
    for service_time in distributions(700) {
        let site = Site { first_tasks: 10, ..site(service_time.clone()) };
        let planner = Box::new(StaticTasks::given(10, Routing::Hybrid));
        let outcome = poisson(site, planner, 10.0, 50_000);
        let spilled = outcome.tally.by_lane[0] as f64 / outcome.tally.requests as f64;
        assert_close(spilled, erlang::blocked(10, 7.0), 0.002, &format!("{service_time:?}"));
    }
}

#[test]
fn requests_wait_as_erlang_says() {
    for (slots, rate) in [(10, 10.0), (20, 17.0 / 0.7), (2, 1.0 / 0.7)] {
        let a = rate * 0.7;
        let site = Site { first_tasks: slots, ..site(Distribution::Exponential(700_000.0)) };
        let planner = Box::new(StaticTasks::given(slots, Routing::ContainerOnly));
        let seconds = (600_000.0 / rate) as u64;
        let outcome = poisson(site, planner, rate, seconds);
        let waited = outcome.tally.latencies.mean_us() - 700_000.0;
        let law = erlang::waits(slots, a) * 700_000.0 / (f64::from(slots) - a);
        assert_close(waited / law, 1.0, 0.06, &format!("{slots} slots"));
    }
}

#[test]
fn one_slot_waits_as_pollaczek_and_khinchine_say() {
    for service_time in distributions(700) {
        let rate = 1.0;
        let law = 0.7 * (1.0 + service_time.scv()) / 2.0 / 0.3 * 700_000.0;
        let site = Site { first_tasks: 1, ..site(service_time.clone()) };
        let planner = Box::new(StaticTasks::given(1, Routing::ContainerOnly));
        let outcome = poisson(site, planner, rate, 600_000);
        let waited = outcome.tally.latencies.mean_us() - 700_000.0;
        assert_close(waited / law, 1.0, 0.07, &format!("{service_time:?}"));
    }
}

#[test]
fn starts_are_cold_as_often_as_an_environment_is_idle_too_long() {
    for (lifetime, law) in [(100, 0.367_88), (300, 0.049_79)] {
        let mut site = site(Distribution::Fixed(1000.0));
        site.function.idle_us = lifetime * SECOND;
        site.function.start = Distribution::Fixed(1.0);
        let outcome = poisson(site, Box::new(LambdaOnly), 0.01, 8_000_000);
        let cold = outcome.tally.cold as f64 / outcome.tally.requests as f64;
        assert_close(cold, law, 0.006, &format!("{lifetime} s"));
    }
}

#[test]
fn lambda_holds_as_many_as_arrive_in_a_request_s_time() {
    let outcome = poisson(site(Distribution::Exponential(2e6)), Box::new(LambdaOnly), 50.0, 4_000);
    let on_average = outcome.tally.in_system_area as f64 / (4_000 * SECOND) as f64;
    assert_close(on_average, 100.0, 2.0, "in the system");
    let mb_ms = *outcome.usage.lambda.mb_ms.of(Arch::Arm64) as f64;
    // Each is rounded up to a millisecond: half of one on average.
    let requests = outcome.tally.requests as f64;
    let told = (outcome.tally.latencies.sum_us() as f64 / 1000.0 + requests / 2.0) * 1769.0;
    assert_close(mb_ms / told, 1.0, 1e-3, "billed");
}

#[test]
fn what_is_not_started_in_time_waits_and_what_is_killed_fails() {
    let mut spec = site(Distribution::Fixed(300e6));
    spec.task.spot = 1.0;
    spec.task.interruptions_per_hour = 1.0;
    spec.first_tasks = 20;
    let planner = Box::new(StaticTasks::given(20, Routing::ContainerOnly));
    let outcome = poisson(spec, planner, 0.04, 100_000);
    let tally = &outcome.tally;
    // 20 tasks, one interruption an hour each, 27.8 hours.
    assert_close(tally.interruptions as f64, 556.0, 75.0, "interruptions");
    let lost = tally.failed[Failed::TaskLost.index()];
    assert!(0 < lost && lost < tally.interruptions, "{tally:?}");
}
