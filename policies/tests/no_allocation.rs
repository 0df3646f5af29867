//! Deciding, matching and recognising a normal path allocate nothing: they run for every request.

use allocation_counter::measure;
use http::{HeaderMap, HeaderValue, Method};
use policies::{
    decide::{Belief, ContainerState, Facts, LambdaState, LaneStates, decide},
    load::{MemorySource, load},
    path::normal,
    route::Head,
};

#[test]
fn nothing_on_the_path_of_a_request_allocates() {
    let text = "
version: 1
services:
  one:
    lambda: { function: f }
    container: { upstreams: [http://127.0.0.1:1], requests_per_task: 4 }
routes:
  - { match: { host: '*.example.com', path_prefix: /v1/, method: GET, headers: { x-tier: gold }, query: { n: a b } }, service: one }
  - { match: { host: api.example.com, path: /v2 }, service: one }
  - { match: {}, service: one }
";
    let policy = load("policy.yaml", &MemorySource::file("policy.yaml", text))
        .expect("a good policy")
        .policy;
    let mut headers = HeaderMap::new();
    headers.insert("x-tier", HeaderValue::from_static("gold"));
    let lanes = LaneStates {
        lambda: LambdaState { up: true, in_flight: 0 },
        container: ContainerState { up: true, slots: 8, slots_free: 0, waiting: 1 },
    };
    let belief = Belief { seen: 100, p95_us: 1_000_000, ..Belief::default() };

    let counted = measure(|| {
        for (host, query) in [("API.Example.com:80", Some("m=1&%6e=a+b")), ("other", None)] {
            for path in ["/v1/a/b", "/v2", "/x"] {
                let path = normal(path).expect("a good path");
                let head =
                    Head { host, path: &path, query, method: &Method::GET, headers: &headers };
                let route =
                    policy.route(policy.table.find(&head).expect("the last route matches all"));
                for draw in [0, u64::MAX] {
                    let service = policy.service(route.service);
                    let decision = decide(&Facts::PLAIN, route, service, &belief, &lanes, draw);
                    assert!(decision.lane.is_some());
                    assert!(decision.ruled_out.iter().count() < 2);
                }
            }
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");

    let control = measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(control.count_total, 1, "the counter counts");
}
