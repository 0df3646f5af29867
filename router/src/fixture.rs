//! A policy and a world for the tests of this crate, made as the gateway makes them.

use std::sync::Arc;

use policies::{
    decide::{Decision, Facts, Lane, decide},
    load::{MemorySource, load},
    policy::{Policy, RouteId},
};
use predictor::outcome::{End, Outcome, Usage};

use crate::{
    admin::FREE,
    control::learn::priors,
    lane::{
        Endpoint,
        container::{Queue, Task, TaskState, Tasks},
        lambda::Function,
        next_key,
    },
    serve::retries::Retries,
    telemetry::{series::Table, shard::Shard},
    world::{Endpoints, World},
};

/// Two services, one with both lanes, and a route learned by size.
pub(crate) const POLICY: &str = r#"
version: 1
region: eu-west-1
endpoint_url: "http://127.0.0.1:1"
admin: "127.0.0.1:1"
metrics: off
services:
  film:
    lambda:
      function: film:live
      max_in_flight: 10
      assume: { memory: 1769MiB, timeout: 30s, arch: arm64 }
    container:
      upstreams: ["http://127.0.0.1:9000"]
      requests_per_task: 4
      assume: { vcpu: 1, memory: 2GiB, arch: arm64 }
  report:
    container:
      upstreams: ["http://127.0.0.1:9001"]
      requests_per_task: 1
      assume: { vcpu: 1, memory: 2GiB, arch: arm64 }
routes:
  - { match: { path: /render }, service: film, auto: { size_by: { query: frames } } }
  - { match: { path: /thumb, method: POST }, service: film, class: sprinter }
  - { match: { path_prefix: /reports/ }, service: report, class: marathon }
"#;

/// How many workers these worlds are for.
pub(crate) const WORKERS: usize = 2;

/// Loads a policy of one file.
pub(crate) fn policy(text: &str) -> Arc<Policy> {
    let loaded = load("policy.yaml", &MemorySource::file("policy.yaml", text));
    Arc::new(loaded.unwrap_or_else(|problems| panic!("{problems}")).policy)
}

/// Lays out a world with one ready task a service.
pub(crate) fn world(policy: &Arc<Policy>) -> World {
    let endpoints = policy.services.iter().map(|service| {
        let endpoint = Endpoint::parse("http://127.0.0.1:1").unwrap();
        let function = |lambda| Arc::new(Function::new(lambda, endpoint));
        let tasks = service.container.as_ref().map(|container| {
            let address = "127.0.0.1:9000".parse().unwrap();
            let task =
                Task::new("task-1".into(), address, None, container.requests_per_task, next_key());
            task.set_state(TaskState::Ready);
            Arc::new(Tasks::new(vec![Arc::new(task)], Queue::new()))
        });
        Endpoints {
            function: service.lambda.as_ref().map(function),
            tasks,
            retries: Retries::new(WORKERS),
        }
    });
    let endpoints = endpoints.collect();
    World {
        policy: policy.clone(),
        beliefs: Arc::new(priors(policy)),
        endpoints,
        keys: None,
        counters: (0..WORKERS).map(|_| Table::new(policy)).collect(),
        generation: 0,
    }
}

/// Makes the counters of a worker, by its number.
pub(crate) fn shard(worker: usize) -> Arc<Shard> {
    Arc::new(Shard::new(worker))
}

/// Returns the route with a name that ends in `name`.
pub(crate) fn route(policy: &Policy, name: &str) -> RouteId {
    let place = policy.routes.iter().position(|route| route.name.ends_with(name));
    RouteId(place.unwrap_or_else(|| panic!("no route {name}")) as u16)
}

/// Returns what a request that went well leaves behind.
pub(crate) fn outcome(world: &World, route: RouteId, lane: Lane, service_us: u32) -> Outcome {
    Outcome {
        policy: world.generation,
        route: Some(route),
        decision: Some(decision(world, route)),
        lane: Some(lane),
        spill: None,
        arrived_us: 1_764_244_799_999_999,
        queue_wait_us: 1_500,
        service_us,
        total_us: service_us + 2_000,
        status: 200,
        bytes_in: 100,
        bytes_out: 2_000,
        end: End::Complete,
        retries: 0,
        size: 0,
        usage: match lane {
            Lane::Lambda => Usage {
                billed_ms: service_us / 1000,
                memory_mb: 1769,
                estimated: false,
                cold_start: Some(true),
                runs: 1,
                provisioned: false,
            },
            Lane::Container => Usage::default(),
        },
    }
}

/// Decides about a plain request while both lanes have room.
pub(crate) fn decision(world: &World, id: RouteId) -> Decision {
    let route = world.policy.route(id);
    decide(
        &Facts::PLAIN,
        route,
        world.policy.service(route.service),
        world.beliefs.of(id, 0),
        &FREE,
        0,
    )
}
