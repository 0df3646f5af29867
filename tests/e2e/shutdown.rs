//! Stopping: what runs is finished, what idles is closed, and the process ends well.

use rustix::process::Signal;

use crate::harness::{
    Gateway, Upstream, Wire,
    gateway::containers_only,
    until,
    wire::{chunk, request},
};

async fn refuses(gateway: &Gateway) {
    let address = gateway.http;
    until("no more connections are taken", async || {
        tokio::net::TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_request_in_flight_is_finished() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/slow", &[], b"")).await;
    let mut exchange = app.next().await;
    exchange.wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    exchange.wire.send(chunk("first")).await;
    let head = wire.head().await.unwrap();
    gateway.terminate();
    refuses(&gateway).await;
    exchange.wire.send(chunk("last")).await;
    exchange.wire.send(chunk("")).await;
    let body = wire.body(&head).await;
    assert_eq!((&*body.bytes, body.cut), (&b"firstlast"[..], false));
    wire.closed().await;
    let (ended, log) = gateway.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!((&log[0]["path"], &log[0]["end"]), (&"/slow".into(), &"complete".into()));
}

#[tokio::test]
async fn a_response_that_begins_while_stopping_says_close() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let mut wire = gateway.connect().await;
    wire.send(request("POST", "/", &[], b"body")).await;
    let mut exchange = app.next().await;
    exchange.body().await;
    gateway.terminate();
    refuses(&gateway).await;
    exchange.reply("200 OK", &[], "done").await;
    let answer = wire.answer("POST").await;
    assert_eq!((answer.text(), answer.head.get("connection")), ("done", Some("close")));
    wire.closed().await;
    assert_eq!(gateway.ended().await.0.code, Some(0));
}

#[tokio::test]
async fn idle_connections_are_closed_at_once() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let mut used = gateway.connect().await;
    assert_eq!(used.ask("GET", "/", &[], b"").await.text(), "app");
    let mut fresh = gateway.connect().await;
    gateway.until_metric("pacer_connections_open", &[], 2.0).await;
    gateway.terminate();
    used.closed().await;
    fresh.closed().await;
    assert_eq!(gateway.ended().await.0.code, Some(0));
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let app = Upstream::start().await;
    let policy = containers_only(&[&app], 4, "");
    let gateway = Gateway::start(&format!("limits: {{ shutdown: 200ms }}\n{policy}")).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let mut exchange = app.next().await;
    gateway.terminate();
    wire.closed().await;
    exchange.wire.closed().await;
    let (ended, _) = gateway.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("limits.shutdown"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let mut wire: Wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let _exchange = app.next().await;
    gateway.terminate();
    refuses(&gateway).await;
    gateway.terminate();
    wire.closed().await;
    assert_eq!(gateway.ended().await.0.code, Some(130));
}

/// A policy that takes connections for `drain` more after SIGTERM.
fn draining(app: &Upstream, drain: &str) -> String {
    let policy = containers_only(&[app], 4, "");
    format!("listen: {{ http: '127.0.0.1:0', drain: {drain} }}\n{policy}")
}

#[tokio::test]
async fn while_it_drains_it_serves_says_503_to_health_checks_and_closes_each_connection() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&draining(&app, "60s")).await;
    let mut kept = gateway.connect().await;
    let answer = kept.ask("GET", "/", &[], b"").await;
    assert_eq!((answer.text(), answer.head.get("connection")), ("app", None));
    assert_eq!(gateway.get("/.pacer/ready").await.status(), 200);
    gateway.terminate();
    // Each on a connection that is opened after the signal.
    let health = until("health says 503", async || {
        let answer = gateway.get("/.pacer/ready").await;
        (answer.status() == 503).then_some(answer)
    })
    .await;
    assert_eq!(health.head.get("connection"), Some("close"));
    let mut new = gateway.connect().await;
    let answer = new.ask("GET", "/", &[], b"").await;
    assert_eq!((answer.text(), answer.head.get("connection")), ("app", Some("close")));
    new.closed().await;
    // One that was open already is served once more, and told the same.
    let answer = kept.ask("GET", "/", &[], b"").await;
    assert_eq!((answer.text(), answer.head.get("connection")), ("app", Some("close")));
    kept.closed().await;
    // Whoever cannot wait says so again.
    gateway.terminate();
    assert_eq!(gateway.ended().await.0.code, Some(130));
}

#[tokio::test]
async fn when_the_drain_is_over_the_port_closes_and_what_runs_is_finished() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&draining(&app, "300ms")).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let exchange = app.next().await;
    gateway.terminate();
    refuses(&gateway).await;
    exchange.reply("200 OK", &[], "done").await;
    assert_eq!(wire.answer("GET").await.text(), "done");
    assert_eq!(gateway.ended().await.0.code, Some(0));
}

#[tokio::test]
async fn a_person_at_the_terminal_does_not_wait_for_the_drain() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&draining(&app, "1h")).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let exchange = app.next().await;
    gateway.signal(Signal::INT);
    refuses(&gateway).await;
    exchange.reply("200 OK", &[], "done").await;
    assert_eq!(wire.answer("GET").await.text(), "done");
    assert_eq!(gateway.ended().await.0.code, Some(0));
}
