use std::time::Duration;

use axum::{
    body::to_bytes,
    http::{Method, Request},
};
use http_body::Body as _;
use policies::decide::Lane;
use serde_json::Value;
use tokio::sync::{mpsc, watch as channel};
use tower::Service;

use super::*;
use crate::{
    control::{Control, First, capacity::Clock, reload::Follower},
    files::Reading,
    fixture,
    telemetry::shard::Shard,
    world::World,
};

/// A gateway without requests so far; its counters, and the world that counts them.
fn gateway(policy: &str) -> (Arc<Live>, Arc<Shard>, Arc<World>) {
    let policy = fixture::policy(policy);
    let world = Arc::new(fixture::world(&policy));
    let shard = fixture::shard(0);
    let (publish, _) = channel::channel(world.clone());
    let (_, recent) = mpsc::channel(1);
    let first = First { world: world.clone(), credentials: None };
    let reading = Reading { hash: "0123456789ab".into(), ..Reading::default() };
    let follower = Follower::new(reading, false, Arc::default());
    let shards = vec![shard.clone()];
    let control = Control::new(policy, shards, publish, recent, first, follower, Clock::real());
    (Live::new(control.shared()), shard, world)
}

/// Counts so many requests for thumbnails, which ran on Lambda.
fn serve(shard: &Shard, world: &World, live: &Live, requests: usize) {
    let route = fixture::route(&world.policy, "/thumb");
    let outcome = fixture::outcome(world, route, Lane::Lambda, 20_000);
    for _ in 0..requests {
        shard.count(&outcome, world);
    }
    live.shared.remember(vec![outcome; requests]);
}

async fn get(live: &Arc<Live>, uri: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(Method::GET).uri(uri).body(Body::empty()).unwrap();
    let response = router(live.clone()).call(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn look_at(live: &Arc<Live>) -> Response {
    let request = Request::builder().uri("/live").body(Body::empty()).unwrap();
    router(live.clone()).call(request).await.unwrap()
}

/// The next snapshot that a viewer gets.
async fn seen(viewer: &mut Body) -> Value {
    let frame = std::future::poll_fn(|context| Pin::new(&mut *viewer).poll_frame(context)).await;
    let bytes = frame.unwrap().unwrap().into_data().unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    let line = text.strip_prefix("data: ").and_then(|text| text.strip_suffix("\n\n")).unwrap();
    assert!(!line.contains('\n'), "an event is one line");
    serde_json::from_str(line).unwrap()
}

#[tokio::test(start_paused = true)]
async fn all_who_look_get_the_same_snapshot_once_a_second() {
    let (live, shard, world) = gateway(fixture::POLICY);
    let running = live.clone();
    let running = tokio::spawn(async move { running.run().await });
    let start = Instant::now();
    let mut viewers: Vec<Body> = Vec::new();
    for _ in 0..3 {
        viewers.push(look_at(&live).await.into_body());
    }
    let first = seen(&mut viewers[0]).await;
    assert!(start.elapsed() < EVERY, "who comes first does not wait");
    assert_eq!(first["flow"], Value::Null, "nothing is made up before there are two looks");
    for viewer in &mut viewers[1..] {
        assert_eq!(seen(viewer).await, first);
    }
    for _ in 0..5 {
        serve(&shard, &world, &live, 10);
        let [one, two, three] = &mut viewers[..] else { unreachable!() };
        let second = seen(one).await;
        assert_eq!((seen(two).await, seen(three).await), (second.clone(), second.clone()));
        assert_eq!(second["flow"]["requests"], 10.0, "{second:#}");
        assert_eq!(second["flow"]["classes"]["sprinter"]["lambda"], 10.0);
        assert_eq!(second["services"][0]["name"], "film");
        assert_eq!(second["decided"]["lines"][0]["lane"], "lambda");
    }
    assert_eq!(start.elapsed().as_secs(), 5, "one a second");
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_while_nobody_looks_and_who_comes_sees_rates_at_once() {
    let (live, shard, world) = gateway(fixture::POLICY);
    let start = Instant::now();
    live.look(start);
    serve(&shard, &world, &live, 100);
    live.look(start + Duration::from_secs(10));
    assert!(live.sent.borrow().at.is_none());
    let mut viewer = look_at(&live).await.into_body();
    live.look(start + Duration::from_secs(10));
    assert_eq!(seen(&mut viewer).await["flow"]["requests"], 10.0);
}

#[tokio::test]
async fn so_many_may_look_and_no_more() {
    let (live, ..) = gateway(fixture::POLICY);
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        let response = look_at(&live).await;
        assert_eq!(response.status(), StatusCode::OK);
        viewers.push(response);
    }
    let refused = look_at(&live).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(RETRY_AFTER));
    viewers.pop();
    assert_eq!(look_at(&live).await.status(), StatusCode::OK);
}

/// A policy of so many routes.
fn many(routes: usize) -> String {
    let mut text = fixture::POLICY.to_owned();
    for route in 0..routes {
        use std::fmt::Write as _;
        let _ = writeln!(text, "  - {{ match: {{ path: /many/{route:04} }}, service: film }}");
    }
    text
}

#[tokio::test]
async fn a_thousand_routes_are_sent_by_the_page() {
    let (live, shard, world) = gateway(&many(1000));
    let start = Instant::now();
    live.look(start);
    serve(&shard, &world, &live, 50);
    let mut viewer = look_at(&live).await.into_body();
    live.look(start + Duration::from_secs(10));
    let snapshot = seen(&mut viewer).await.to_string();
    assert!(snapshot.len() < 10_000, "{} bytes a second", snapshot.len());
    let (_, page) = get(&live, "/live/routes").await;
    assert_eq!((&page["total"], &page["pages"]), (&1003.into(), &51.into()));
    assert_eq!(page["rows"].as_array().unwrap().len(), 20);
    assert!(page["rows"][0]["name"].as_str().unwrap().ends_with("/thumb"), "{page:#}");
    assert_eq!(page["rows"][0]["rate"], 5.0);
    let (_, page) = get(&live, "/live/routes?find=MANY/09&sort=name&page=99").await;
    assert_eq!((&page["found"], &page["page"]), (&100.into(), &4.into()));
    assert!(page["rows"][19]["name"].as_str().unwrap().ends_with("/many/0999"));
    let (status, problem) = get(&live, "/live/routes?sort=luck").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
}

#[tokio::test]
async fn a_timeline_is_of_a_service_that_is_planned_for() {
    let (live, ..) = gateway(fixture::POLICY);
    assert_eq!(get(&live, "/live/timeline?service=film").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&live, "/live/timeline").await.0, StatusCode::BAD_REQUEST);
}
