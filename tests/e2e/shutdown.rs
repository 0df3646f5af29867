//! Stopping: what runs is finished, what idles is closed, and the process ends well.

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
