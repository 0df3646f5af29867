//! Responses that a function streams, from the local cloud's real processes: the client gets each piece as it is written,
//! never takes a part for the whole, and what it leaves is finished and counted.

use serde_json::json;
use tokio::net::TcpStream;

use crate::harness::{
    Cloud, Gateway, Wire,
    cloud::{Hold, SCRIPTED},
    until,
    wire::{Head, request},
};

/// A cloud with the function `f`, and a gateway that invokes it by streams.
async fn streaming() -> (Cloud, Gateway) {
    let config = format!("functions:\n  f: {{ command: ['{SCRIPTED}', function] }}\n");
    let cloud = Cloud::start(&config, 1).await;
    let gateway = Gateway::start(&format!(
        "endpoint_url: {}\n\
         defaults: {{ decision_header: true }}\n\
         services: {{ app: {{ lambda: {{ function: f, invoke: stream }} }} }}\n\
         routes: [{{ match: {{}}, service: app }}]\n",
        cloud.url()
    ))
    .await;
    (cloud, gateway)
}

/// Asks for a stream and takes its first piece. Dropping the socket, the last of what is returned, lets the
/// function go on.
async fn held(gateway: &Gateway) -> (Wire, Head, TcpStream) {
    let hold = Hold::new().await;
    let mut wire = gateway.connect().await;
    let path = format!("/stream{}", hold.path());
    wire.send(request("GET", &path, &[], b"")).await;
    let head = wire.head().await.expect("the stream begins");
    assert_eq!(head.status(), 201);
    assert_eq!(wire.chunk().await.as_deref(), Some(&b"first"[..]));
    let working = hold.begun().await;
    (wire, head, working)
}

#[tokio::test]
async fn the_first_piece_comes_before_the_function_ends() {
    let (cloud, gateway) = streaming().await;
    let (mut wire, head, working) = held(&gateway).await;
    assert_eq!(head.all("set-cookie"), ["a=1", "b=2"]);
    // The function cannot close the client's connection.
    assert_eq!(head.get("connection"), None);
    assert_eq!(
        gateway.metrics().await.get("pacer_lambda_in_flight", &[]).to_bits(),
        1.0_f64.to_bits()
    );
    drop(working);
    assert_eq!(wire.chunk().await.unwrap(), b"last");
    assert_eq!(wire.chunk().await, None);
    // Its connection serves on.
    assert_eq!(wire.ask("GET", "/stream/whole", &[], b"").await.text(), "whole");
    let log = gateway.log(2).await;
    assert!(log.iter().all(|line| line["end"] == "complete"), "{log:?}");
    assert!(log.iter().all(|line| 0 < line["billed_ms"].as_u64().unwrap()), "{log:?}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn bodies_that_are_empty_plain_or_unwanted() {
    let (cloud, gateway) = streaming().await;
    let mut wire = gateway.connect().await;
    let empty = wire.ask("GET", "/stream/empty", &[], b"").await;
    assert_eq!((empty.status(), empty.head.get("location")), (302, Some("/elsewhere")));
    assert!(empty.body.bytes.is_empty() && !empty.body.cut);
    let plain = wire.ask("GET", "/stream/plain", &[], b"").await;
    assert_eq!((plain.status(), plain.text()), (200, "whole"));
    assert_eq!(plain.head.get("content-type"), Some("text/plain"));
    let head = wire.ask("HEAD", "/stream/whole", &[], b"").await;
    assert_eq!((head.status(), head.head.get("x-kind")), (201, Some("whole")));
    // What followed is of the next request alone.
    assert_eq!(wire.ask("GET", "/stream/whole", &[], b"").await.text(), "whole");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_function_that_does_not_stream_answers_all_the_same() {
    let (cloud, gateway) = streaming().await;
    let answer = gateway.get("/throw").await;
    assert_eq!(answer.problem(502, "backend"), "lambda-failed");
    assert!(!answer.text().contains("secret"), "{answer:?}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn an_error_in_the_middle_cuts_the_response() {
    let (cloud, gateway) = streaming().await;
    let answer = gateway.get("/stream/fail").await;
    assert!(answer.body.cut, "{answer:?}");
    assert_eq!(answer.body.bytes, b"first");
    assert_eq!(gateway.log(1).await[0]["end"], "lane-failed");
    for (kind, status, cut) in [
        // Before the head there is still a status to give.
        ("oversized-prelude", 502, false),
        ("bad-checksum", 502, false),
        ("cut", 201, true),
        ("no-complete", 201, true),
        ("error-after-prelude", 201, true),
        ("split-prelude", 201, false),
        ("unknown-event", 201, false),
    ] {
        let order = json!({ "function": "f", "kind": kind });
        cloud.fault(json!({ "lambda": { "stream": order } })).await;
        let mut wire = gateway.connect().await;
        wire.send(request("GET", "/stream/large/1", &[], b"")).await;
        let head = wire.head().await.unwrap_or_else(|| panic!("{kind}: no head"));
        let body = wire.body(&head).await;
        // A cut may come before the head was passed on.
        let early = cut && head.status() == 502;
        assert!(head.status() == status || early, "{kind}: {head:?}");
        assert_eq!(body.cut, cut && !early, "{kind}");
        cloud.clear_faults().await;
        assert_eq!(gateway.get("/stream/whole").await.text(), "whole", "after {kind}");
    }
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_when_the_function_ends() {
    let (cloud, gateway) = streaming().await;
    let (wire, _, working) = held(&gateway).await;
    wire.reset();
    assert_eq!(gateway.log(1).await[0]["end"], "client-gone");
    // The function still runs, and takes its place.
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.get("pacer_lambda_in_flight", &[]).to_bits(), 1.0_f64.to_bits());
    let billed = metrics.get("pacer_lambda_billed_gb_seconds_total", &[]);
    assert!(billed <= 0.0, "{billed}");
    drop(working);
    gateway.until_metric("pacer_lambda_in_flight", &[], 0.0).await;
    until("the run is counted", async || {
        let billed = gateway.metrics().await.get("pacer_lambda_billed_gb_seconds_total", &[]);
        (0.0 < billed).then_some(())
    })
    .await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_slow_client_slows_the_function_down() {
    let (cloud, gateway) = streaming().await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/stream/large/64", &[], b"")).await;
    let head = wire.head().await.unwrap();
    // Nobody takes the body: what is on the way is bounded by socket buffers and one frame, not by the response's size.
    let resident = async || gateway.metrics().await.get("process_resident_memory_bytes", &[]);
    let before = resident().await;
    for _ in 0..20 {
        assert_eq!(gateway.get("/stream/whole").await.text(), "whole");
    }
    let after = resident().await;
    assert!(after - before < 16.0 * 1024.0 * 1024.0, "{before} {after}");
    let body = wire.body(&head).await;
    assert_eq!((body.bytes.len(), body.cut), (64 << 20, false));
    drop(gateway);
    cloud.stop().await;
}
