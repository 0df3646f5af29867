//! Each timeout of a policy, and whom it blames.
//!
//! Timeouts are short here so that they run out; what is looked at is the answer, never how long it took.

use crate::harness::{
    Gateway, Upstream,
    gateway::containers_only,
    wire::{chunk, request},
};

async fn start(app: &Upstream, timeouts: &str) -> Gateway {
    Gateway::start(&containers_only(&[app], 1, &format!(", timeouts: {{ {timeouts} }}"))).await
}

#[tokio::test]
async fn a_task_that_hangs_is_given_up_after_first_byte() {
    let app = Upstream::start().await;
    let gateway = start(&app, "first_byte: 200ms").await;
    for (method, body) in [("GET", &b""[..]), ("POST", b"body")] {
        let mut wire = gateway.connect().await;
        wire.send(request(method, "/", &[], body)).await;
        let mut exchange = app.next().await;
        assert_eq!(exchange.body().await.bytes, body);
        assert_eq!(wire.answer(method).await.problem(504, "backend"), "container-failed");
        // The task learns that nobody waits any more.
        exchange.wire.closed().await;
    }
    // A request that timed out is not repeated, idempotent or not: the load is the likely cause.
    assert_eq!(app.requests(), 2);
    gateway.until_metric("pacer_ends_total", &[("end", "timed-out")], 2.0).await;
}

#[tokio::test]
async fn first_byte_begins_when_the_upload_has_ended() {
    let app = Upstream::start().await;
    // Both of the others are longer than this test would wait.
    let gateway = start(&app, "first_byte: 200ms, idle: 5m, total: 10m").await;
    let mut wire = gateway.connect().await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let mut exchange = app.next().await;
    wire.send(chunk("piece")).await;
    assert_eq!(exchange.wire.chunk().await.unwrap(), b"piece");
    wire.send(chunk("")).await;
    assert_eq!(exchange.wire.chunk().await, None);
    assert_eq!(wire.answer("POST").await.problem(504, "backend"), "container-failed");
}

#[tokio::test]
async fn the_total_bounds_the_head_too() {
    let app = Upstream::start().await;
    let gateway = start(&app, "first_byte: 20s, total: 200ms").await;
    assert_eq!(gateway.get("/").await.problem(504, "backend"), "container-failed");
}

#[tokio::test]
async fn a_response_that_stalls_is_cut() {
    let app = Upstream::start().await;
    for timeouts in ["idle: 200ms", "idle: 20s, total: 300ms"] {
        let gateway = start(&app, timeouts).await;
        let mut wire = gateway.connect().await;
        wire.send(request("GET", "/", &[], b"")).await;
        let mut exchange = app.next().await;
        exchange.wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        exchange.wire.send(chunk("begun")).await;
        let answer = wire.answer("GET").await;
        assert_eq!((answer.text(), answer.body.cut), ("begun", true), "{timeouts}");
        exchange.wire.closed().await;
        gateway.until_metric("pacer_ends_total", &[("end", "timed-out")], 1.0).await;
    }
}

#[tokio::test]
async fn an_upload_that_stalls_is_the_clients_fault() {
    let app = Upstream::start().await;
    let gateway = start(&app, "idle: 200ms").await;
    let mut wire = gateway.connect().await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nbegun").await;
    let exchange = app.next().await;
    assert_eq!(wire.answer("POST").await.problem(408, "client"), "request-failed");
    drop(exchange);
    // Its slot, the only one, is free again.
    wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    app.next().await.reply("200 OK", &[], "next").await;
    assert_eq!(wire.answer("GET").await.text(), "next");
}

#[tokio::test]
async fn a_small_upload_that_trickles_holds_no_slot() {
    let app = Upstream::start().await;
    let gateway = start(&app, "idle: 500ms").await;
    let mut slow = gateway.connect().await;
    slow.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nbegun").await;
    gateway.until_metric("pacer_requests_in_flight", &[], 1.0).await;
    let mut quick = gateway.connect().await;
    quick.send(request("GET", "/", &[], b"")).await;
    app.next().await.reply("200 OK", &[], "quick").await;
    assert_eq!(quick.answer("GET").await.text(), "quick");
    slow.answer("POST").await.problem(408, "client");
    assert_eq!(app.requests(), 1);
}

#[tokio::test]
async fn an_upload_that_goes_on_is_not_bounded_by_first_byte() {
    let app = Upstream::start().await;
    let gateway = start(&app, "first_byte: 300ms, idle: 10s").await;
    let mut wire = gateway.connect().await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let mut exchange = app.next().await;
    // Five pieces, together far longer than first_byte: the gap is what the test is about.
    for _ in 0..5 {
        tokio::time::sleep(std::time::Duration::from_millis(120)).await;
        wire.send(chunk("piece")).await;
        assert_eq!(exchange.wire.chunk().await.unwrap(), b"piece");
    }
    wire.send(chunk("")).await;
    assert_eq!(exchange.wire.chunk().await, None);
    exchange.reply("200 OK", &[], "done").await;
    assert_eq!(wire.answer("POST").await.text(), "done");
}

#[tokio::test]
async fn a_client_that_takes_nothing_does_not_hold_a_slot_for_ever() {
    let app = Upstream::start().await;
    let gateway = start(&app, "total: 500ms").await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let mut exchange = app.next().await;
    exchange.wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n").await;
    // More than all socket buffers on the way hold. The client reads none of it, and stays.
    let sending = tokio::spawn(async move {
        let block = vec![b'x'; 1_000_000];
        for _ in 0..100 {
            exchange.wire.send(&block).await;
        }
    });
    let mut second = gateway.connect().await;
    gateway.until_metric("pacer_slots_busy", &[], 0.0).await;
    second.send(request("GET", "/", &[], b"")).await;
    app.next().await.reply("200 OK", &[], "next").await;
    assert_eq!(second.answer("GET").await.text(), "next");
    sending.abort();
    drop(wire);
}
