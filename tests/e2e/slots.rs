//! Slots of the container lane: how full tasks are, who waits, and what comes of it.

use crate::harness::{
    Gateway, Upstream, Wire,
    gateway::{both_lanes, containers_only},
    wire::request,
};

/// Sends a GET whose answer is read later.
async fn begin(gateway: &Gateway, target: &str) -> Wire {
    let mut wire = gateway.connect().await;
    wire.send(request("GET", target, &[], b"")).await;
    wire
}

#[tokio::test]
async fn the_least_loaded_task_is_chosen() {
    let (a, b) = (Upstream::start().await, Upstream::start().await);
    let gateway = Gateway::start(&containers_only(&[&a, &b], 3, "")).await;
    let mut clients = Vec::new();
    let mut exchanges = Vec::new();
    for round in 1..=3 {
        for _ in 0..2 {
            clients.push(begin(&gateway, "/").await);
        }
        exchanges.push(a.next().await);
        exchanges.push(b.next().await);
        assert_eq!((a.requests(), b.requests()), (round, round));
    }
    for exchange in exchanges {
        exchange.reply("200 OK", &[], "done").await;
    }
    for mut client in clients {
        assert_eq!(client.answer("GET").await.text(), "done");
    }
}

#[tokio::test]
async fn a_task_is_never_given_more_than_its_slots() {
    let app = Upstream::start().await;
    let more = ", timeouts: { queue: 20s }";
    let gateway = Gateway::start(&containers_only(&[&app], 2, more)).await;
    let mut first = begin(&gateway, "/1").await;
    let one = app.next().await;
    let mut second = begin(&gateway, "/2").await;
    let two = app.next().await;
    let mut third = begin(&gateway, "/3").await;
    gateway.until_metric("pacer_queue_waiting", &[("service", "app")], 1.0).await;
    assert_eq!(app.requests(), 2);
    // The slot that comes back is the third's.
    one.reply("200 OK", &[], "1").await;
    assert_eq!(first.answer("GET").await.text(), "1");
    let three = app.next().await;
    assert_eq!(three.target, "/3");
    three.reply("200 OK", &[], "3").await;
    assert_eq!(third.answer("GET").await.text(), "3");
    two.reply("200 OK", &[], "2").await;
    assert_eq!(second.answer("GET").await.text(), "2");
    let log = gateway.log(3).await;
    let waited = log.iter().find(|line| line["path"] == "/3").unwrap();
    assert!(0.0 < waited["queue_ms"].as_f64().unwrap(), "{waited}");
}

#[tokio::test]
async fn who_waits_too_long_is_refused() {
    let app = Upstream::start().await;
    let more = ", timeouts: { queue: 100ms }";
    let gateway = Gateway::start(&containers_only(&[&app], 1, more)).await;
    let mut first = begin(&gateway, "/").await;
    let exchange = app.next().await;
    let refused = gateway.get("/").await;
    assert_eq!(refused.problem(503, "backend"), "container-failed");
    assert_eq!(refused.head.get("retry-after"), Some("1"));
    exchange.reply("200 OK", &[], "done").await;
    assert_eq!(first.answer("GET").await.text(), "done");
    assert_eq!(app.requests(), 1);
    gateway.until_metric("pacer_ends_total", &[("end", "unavailable")], 1.0).await;
}

#[tokio::test]
async fn the_queue_has_a_limit() {
    let app = Upstream::start().await;
    let policy = containers_only(&[&app], 1, ", timeouts: { queue: 20s }");
    let gateway = Gateway::start(&format!("limits: {{ queue: 1 }}\n{policy}")).await;
    let mut first = begin(&gateway, "/").await;
    let exchange = app.next().await;
    let mut waiting = begin(&gateway, "/").await;
    gateway.until_metric("pacer_queue_waiting", &[("service", "app")], 1.0).await;
    assert_eq!(gateway.get("/").await.problem(503, "backend"), "container-failed");
    exchange.reply("200 OK", &[], "done").await;
    assert_eq!(first.answer("GET").await.text(), "done");
    app.next().await.reply("200 OK", &[], "done").await;
    assert_eq!(waiting.answer("GET").await.text(), "done");
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_the_queue() {
    let app = Upstream::start().await;
    let more = ", timeouts: { queue: 20s }";
    let gateway = Gateway::start(&containers_only(&[&app], 1, more)).await;
    let mut first = begin(&gateway, "/1").await;
    let exchange = app.next().await;
    let gone = begin(&gateway, "/gone").await;
    gateway.until_metric("pacer_queue_waiting", &[("service", "app")], 1.0).await;
    drop(gone);
    gateway.until_metric("pacer_ends_total", &[("end", "client-gone")], 1.0).await;
    let mut third = begin(&gateway, "/3").await;
    exchange.reply("200 OK", &[], "1").await;
    assert_eq!(first.answer("GET").await.text(), "1");
    let next = app.next().await;
    assert_eq!(next.target, "/3");
    next.reply("200 OK", &[], "3").await;
    assert_eq!(third.answer("GET").await.text(), "3");
    assert_eq!(app.requests(), 2);
}

#[tokio::test]
async fn high_priority_waits_less() {
    let app = Upstream::start().await;
    let policy = containers_only(&[&app], 1, ", timeouts: { queue: 20s }");
    let urgent = "  - { match: { path: /urgent }, service: app, timeouts: { queue: 20s }, priority: high }\n";
    let gateway = Gateway::start(&format!("{policy}{urgent}")).await;
    let waiting = async |count: f64| {
        gateway.until_metric("pacer_queue_waiting", &[("service", "app")], count).await;
    };
    let _first = begin(&gateway, "/first").await;
    let exchange = app.next().await;
    let _usual = begin(&gateway, "/usual").await;
    waiting(1.0).await;
    let _urgent = begin(&gateway, "/urgent").await;
    waiting(2.0).await;
    exchange.reply("200 OK", &[], "").await;
    let next = app.next().await;
    assert_eq!(next.target, "/urgent");
    next.reply("200 OK", &[], "").await;
    assert_eq!(app.next().await.target, "/usual");
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_slot_back() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 1, "")).await;
    for begun in [false, true] {
        let mut wire = begin(&gateway, "/").await;
        let mut exchange = app.next().await;
        if begun {
            exchange.wire.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart").await;
            wire.head().await.unwrap();
        }
        drop(wire);
        // The task sees it too, and may stop working.
        exchange.wire.closed().await;
        let mut next = begin(&gateway, "/").await;
        app.next().await.reply("200 OK", &[], "next").await;
        assert_eq!(next.answer("GET").await.text(), "next");
    }
    gateway.until_metric("pacer_ends_total", &[("end", "client-gone")], 2.0).await;
    gateway.until_metric("pacer_slots_busy", &[("service", "app")], 0.0).await;
}

#[tokio::test]
async fn full_tasks_spill_to_lambda() {
    let api = Upstream::answering(|exchange, _| {
        exchange.returned(r#"{"statusCode":200,"body":"lambda"}"#)
    })
    .await;
    let app = Upstream::start().await;
    let at_once = ", class: marathon, timeouts: { queue: 0s }";
    let gateway = Gateway::start(&both_lanes(&api, &[&app], 1, at_once)).await;
    let mut first = begin(&gateway, "/").await;
    let exchange = app.next().await;
    let spilled = gateway.post("/", b"unsafe to repeat, and not repeated").await;
    assert_eq!(spilled.text(), "lambda");
    assert_eq!(
        (spilled.decision("lane"), spilled.decision("reason")),
        ("lambda", "spill-slots-full")
    );
    exchange.reply("200 OK", &[], "container").await;
    let answer = first.answer("GET").await;
    assert_eq!((answer.text(), answer.decision("reason")), ("container", "declared"));
    gateway.until_metric("pacer_decisions_total", &[("reason", "spill-slots-full")], 1.0).await;
}

#[tokio::test]
async fn a_slot_that_is_expected_in_time_is_waited_for() {
    let api = Upstream::answering(|exchange, _| {
        exchange.returned(r#"{"statusCode":200,"body":"lambda"}"#)
    })
    .await;
    let app = Upstream::start().await;
    // One slot of requests that are taken to last 10 s: one may wait 15 s for it, a second would wait for 20 s.
    let more = ", class: marathon, timeouts: { queue: 15s }, auto: { prior: 10s }";
    let gateway = Gateway::start(&both_lanes(&api, &[&app], 1, more)).await;
    let mut first = begin(&gateway, "/").await;
    let exchange = app.next().await;
    let mut second = begin(&gateway, "/").await;
    gateway.until_metric("pacer_queue_waiting", &[("service", "app")], 1.0).await;
    let third = gateway.get("/").await;
    assert_eq!((third.text(), third.decision("reason")), ("lambda", "spill-slots-full"));
    exchange.reply("200 OK", &[], "container").await;
    assert_eq!(first.answer("GET").await.text(), "container");
    app.next().await.reply("200 OK", &[], "container").await;
    let waited = second.answer("GET").await;
    assert_eq!((waited.text(), waited.decision("reason")), ("container", "declared"));
}

#[tokio::test]
async fn who_has_waited_for_long_enough_goes_to_lambda() {
    let api = Upstream::answering(|exchange, _| {
        exchange.returned(r#"{"statusCode":200,"body":"lambda"}"#)
    })
    .await;
    let app = Upstream::start().await;
    let more = ", class: marathon, timeouts: { queue: 50ms }, auto: { prior: 20ms }";
    let gateway = Gateway::start(&both_lanes(&api, &[&app], 1, more)).await;
    let mut first = begin(&gateway, "/").await;
    let exchange = app.next().await;
    let second = gateway.post("/", b"not run before, so it may run anywhere").await;
    assert_eq!((second.text(), second.decision("lane")), ("lambda", "lambda"));
    exchange.reply("200 OK", &[], "container").await;
    assert_eq!(first.answer("GET").await.text(), "container");
}
