//! What a decision and a route match cost. Goals: at most 100 ns and 300 ns (1,000 routes).
//!
//! One request of one class at a time: the branch predictor sees what a steady route shows it.

use std::{fmt::Write, hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method};
use policies::{
    decide::{Belief, ContainerState, Facts, LambdaState, LaneStates, decide},
    load::{MemorySource, load},
    path::normal,
    policy::Policy,
    route::Head,
};

/// A thousand routes as a large gateway has them: 20 hosts, 10 services each, 5 routes a service.
fn policy() -> Policy {
    let mut text = "
version: 1
services:
  one:
    lambda: { function: f, assume: { memory: 1GiB, timeout: 30s } }
    container: { upstreams: [http://127.0.0.1:1], requests_per_task: 4 }
routes:
"
    .to_owned();
    for n in 0..200 {
        let host = format!("team{}.example.com", n % 20);
        for matches in [
            format!("{{ host: {host}, path: /v1/service{n} }}"),
            format!("{{ host: {host}, path_prefix: /v1/service{n}/items/ }}"),
            format!("{{ host: {host}, path_prefix: /v1/service{n}/items/special }}"),
            format!("{{ host: {host}, path: /v1/service{n}/items, method: POST }}"),
            format!("{{ host: {host}, path: /v1/service{n}/items, method: GET }}"),
        ] {
            writeln!(text, "  - {{ match: {matches}, service: one }}").expect("text grows");
        }
    }
    let loaded = load("policy.yaml", &MemorySource::file("policy.yaml", &text));
    loaded.unwrap_or_else(|problems| panic!("{problems}")).policy
}

fn benches(criterion: &mut Criterion) {
    let policy = policy();
    let headers = HeaderMap::new();
    for (name, host, path) in [
        ("exact", "team7.example.com", "/v1/service187/items"),
        ("prefix", "team7.example.com", "/v1/service187/items/4711/parts/3"),
        ("upper case host", "TEAM7.Example.com:443", "/v1/service187/items/4711"),
        ("nothing", "team7.example.com", "/v2/elsewhere"),
    ] {
        let head = Head { host, path, query: None, method: &Method::GET, headers: &headers };
        criterion.bench_function(&format!("route match of 1,000, {name}"), |bencher| {
            bencher.iter(|| policy.table.find(black_box(&head)));
        });
    }

    let route = &policy.routes[0];
    let service = policy.service(route.service);
    let lanes = LaneStates {
        lambda: LambdaState { up: true, in_flight: 3 },
        container: ContainerState { up: true, slots: 8, slots_free: 2, waiting: 0 },
    };
    for (name, p95) in [("learned", 40_000), ("borderline", 1_000_000), ("marathon", 4_000_000)] {
        let belief = Belief { seen: 212, p95_us: p95, ..Belief::default() };
        criterion.bench_function(&format!("decide, {name}"), |bencher| {
            let mut draw = 0_u64;
            bencher.iter(|| {
                draw = draw.wrapping_add(0x9E37_79B9_7F4A_7C15);
                decide(
                    black_box(&Facts::PLAIN),
                    black_box(route),
                    black_box(service),
                    black_box(&belief),
                    black_box(&lanes),
                    draw,
                )
            });
        });
    }

    criterion.bench_function("normal form of a plain path", |bencher| {
        bencher.iter(|| normal(black_box("/v1/service187/items/4711/parts/3")).is_ok());
    });
}

criterion_group! {
    name = all;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = benches
}
criterion_main!(all);
