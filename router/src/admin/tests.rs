use axum::{
    body::{Body, to_bytes},
    http::{Method, Request},
};
use policies::decide::Lane;
use tokio::sync::{mpsc, watch};
use tower::Service;

use super::*;
use crate::{
    control::{Control, First, capacity::Clock, reload::Follower},
    files::Reading,
    fixture,
};

/// What follows no files.
fn follower() -> Follower {
    Follower::new(
        Reading { hash: "0123456789ab".into(), ..Reading::default() },
        false,
        Arc::default(),
    )
}

/// A gateway's admin state after 60 requests for two frames.
fn state() -> AdminState {
    let policy = fixture::policy(fixture::POLICY);
    let mut world = fixture::world(&policy);
    let shard = fixture::shard(0);
    let mut outcome =
        fixture::outcome(&world, fixture::route(&policy, "/render"), Lane::Container, 40_000);
    outcome.size = 2;
    for _ in 0..60 {
        shard.count(&outcome, &world);
    }
    let mut learner = crate::control::learn::Learner::new(&policy);
    world.beliefs = Arc::new(
        learner.learn(&policy, &world.counters, std::time::Duration::from_secs(1)).unwrap(),
    );
    let world = Arc::new(world);
    let (publish, _) = watch::channel(world.clone());
    let (_, recent) = mpsc::channel(1);
    let first = First { world, credentials: None };
    let control =
        Control::new(policy, vec![shard], publish, recent, first, follower(), Clock::real());
    control.shared().remember(vec![outcome; 3]);
    control.shared()
}

async fn check(method: Method, uri: &str) -> (StatusCode, String, Value) {
    let state = state();
    let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
    let response = router(state.clone(), Live::new(state)).call(request).await.unwrap();
    let status = response.status();
    let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, content_type, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn services_show_their_lanes() {
    let (status, content_type, services) = check(Method::GET, "/services").await;
    assert_eq!((status, &*content_type), (StatusCode::OK, "application/json"));
    insta::assert_snapshot!(format!("{:#}", services[0]), @r#"
    {
      "container": {
        "slots": 4,
        "slots_free": 4,
        "tasks": [
          {
            "address": "127.0.0.1:9000",
            "busy": 0,
            "name": "task-1",
            "slots": 4,
            "state": "ready"
          }
        ],
        "tasks_ready": 1,
        "waiting": 0
      },
      "lambda": {
        "function": "film:live",
        "in_flight": 0,
        "max_in_flight": 10,
        "ready": true,
        "up": true,
        "usable": false,
        "version": {
          "arch": "arm64",
          "assumed": [
            "memory",
            "timeout",
            "arch",
            "concurrency"
          ],
          "concurrency": null,
          "error": null,
          "last_update": null,
          "memory_mib": 1769,
          "provisioned": null,
          "snap_start": null,
          "state": "unread",
          "targets": {},
          "timeout": "30s",
          "version": null,
          "warnings": []
        }
      },
      "lately": {
        "errors": 0,
        "p99_at_most_ms": null,
        "requests": 0,
        "seconds": 0
      },
      "mode": "observe",
      "name": "film",
      "not_acted_on": null,
      "plan": null,
      "spot_proposed": null
    }
    "#);
    assert_eq!(services[1]["lambda"], Value::Null);
}

#[tokio::test]
async fn routes_show_what_is_believed_of_the_sizes_that_were_seen() {
    let (_, _, routes) = check(Method::GET, "/routes").await;
    let render = routes
        .as_array()
        .unwrap()
        .iter()
        .find(|route| route["name"].as_str().unwrap().ends_with("/render"))
        .unwrap();
    assert_eq!(render["size_by"], json!({ "query": "frames" }));
    let beliefs: Vec<BeliefView> = serde_json::from_value(render["beliefs"].clone()).unwrap();
    assert_eq!(
        beliefs.iter().map(|belief| (belief.size, belief.seen)).collect::<Vec<_>>(),
        [(0, 0), (2, 60)]
    );
    assert!((30_000..50_000).contains(&beliefs[1].p95_us), "{beliefs:?}");
    assert_eq!(
        (&render["beliefs"][1]["class"], &render["beliefs"][1]["reason"]),
        (&json!("sprinter"), &json!("learned"))
    );
}

#[tokio::test]
async fn decisions_are_limited_and_read_like_the_access_log() {
    let (_, _, decisions) = check(Method::GET, "/decisions?limit=2").await;
    assert_eq!(decisions.as_array().unwrap().len(), 2);
    assert_eq!(decisions[0]["ts"], "2025-11-27T11:59:59.999Z");
    assert_eq!(decisions[0]["service_ms"], 40.0);
    assert_eq!(
        (&decisions[0]["lane"], &decisions[0]["end"]),
        (&json!("container"), &json!("complete"))
    );
}

#[tokio::test]
async fn the_policy_shows_what_was_inherited() {
    let (_, _, policy) = check(Method::GET, "/policy").await;
    assert_eq!(policy["services"][0]["lambda"]["function"], "film:live");
    assert_eq!(
        policy["services"][0]["container"]["discovery"],
        json!({ "upstreams": ["http://127.0.0.1:9000"] })
    );
    assert_eq!(policy["routes"].as_array().unwrap().len(), 3);
    assert_eq!(policy["routes"][0]["timeouts"]["connect"], "1s");
}

#[tokio::test]
async fn status_is_there_before_the_first_tick() {
    let (status, _, body) = check(Method::GET, "/status").await;
    assert_eq!((status, &body["credentials"]["usable"]), (StatusCode::OK, &json!(false)));
    assert_eq!(body["workers"], 1);
}

#[tokio::test]
async fn errors_are_problem_documents() {
    for (method, uri, expected) in [
        (Method::GET, "/nothing", StatusCode::NOT_FOUND),
        (Method::POST, "/status", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/decisions?limit=many", StatusCode::BAD_REQUEST),
        (Method::GET, "/decisions?limt=5", StatusCode::BAD_REQUEST),
    ] {
        let (status, content_type, problem) = check(method, uri).await;
        assert_eq!((status, &*content_type), (expected, "application/problem+json"), "{uri}");
        assert_eq!(problem["status"], expected.as_u16(), "{problem}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem}");
    }
}
