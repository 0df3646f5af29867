//! Answers that go out as the app sends them.

use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use lambda_event::stream::{CONTENT_TYPE, Head, Reader};
use lambda_event::warm_up;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::lambda::{Call, Lambda, header};
use crate::{APP, event};

async fn streaming() -> Lambda {
    Lambda::start(&["--", APP], &[("AWS_LWA_INVOKE_MODE", "response_stream")]).await
}

fn get(path: &str) -> Vec<u8> {
    event(path, &HeaderMap::new(), b"")
}

/// Checks how a streamed answer was sent, and takes it apart.
fn read(call: &Call) -> (Head, Bytes) {
    assert_eq!(header(&call.headers, "lambda-runtime-function-response-mode"), Some("streaming"));
    assert_eq!(header(&call.headers, "transfer-encoding"), Some("chunked"));
    assert_eq!(header(&call.headers, "content-type"), Some(CONTENT_TYPE));
    let mut reader = Reader::new(Some(&HeaderValue::from_static(CONTENT_TYPE)));
    let piece = reader.push(call.body.clone()).unwrap();
    (piece.head.unwrap(), piece.body)
}

/// The trailers in which a broken stream says why.
fn failure(call: &Call) -> (String, Value) {
    let trailers = call.trailers.as_ref().unwrap();
    let error_type = header(trailers, "lambda-runtime-function-error-type").unwrap();
    let body = header(trailers, "lambda-runtime-function-error-body").unwrap();
    let body = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    (error_type.to_owned(), serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn the_first_bytes_are_out_before_the_app_has_finished() {
    let gate = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = gate.local_addr().unwrap().port();
    // Ours counts before that of Lambda Web Adapter.
    let variables =
        [("PACER_ADAPTER_INVOKE_MODE", "RESPONSE_STREAM"), ("AWS_LWA_INVOKE_MODE", "buffered")];
    let mut lambda = Lambda::start(&["--", APP], &variables).await;
    for cold in ["1", "0"] {
        lambda.send("id-1", get(&format!("/stream?gate={port}"))).await;
        let mut begun = Vec::new();
        while !begun.ends_with(b"\0\0first") {
            begun.extend_from_slice(&lambda.piece().await);
        }
        // Only now may the app go on.
        gate.accept().await.unwrap().0.write_all(b"!").await.unwrap();

        let call = lambda.call().await;
        assert_eq!(call.path, "invocation/id-1/response");
        let (head, body) = read(&call);
        assert_eq!((head.status.as_u16(), &body[..]), (200, &b"firstsecond"[..]));
        assert!(call.trailers.is_none(), "an app's own trailers do not cross");
        assert_eq!(head.headers["content-type"], "text/event-stream");
        let cookies: Vec<_> = head.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        // What is known when it begins; the time on the bill is not.
        assert_eq!(head.headers["x-pacer-environment"], "2026/11/21/[$LATEST]abc");
        assert_eq!(head.headers["x-pacer-memory-mb"], "1769");
        assert_eq!(head.headers["x-pacer-cold-start"], cold);
        assert_eq!(head.headers.contains_key("x-pacer-init-ms"), cold == "1");
        assert!(!head.headers.contains_key("x-pacer-billed-ms"));
        while lambda.piece().await != "second" {}
    }
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn what_is_too_large_to_be_buffered_can_be_streamed() {
    let mut lambda = streaming().await;
    lambda.send("large", get("/large")).await;
    let (_, body) = read(&lambda.call().await);
    assert_eq!(body.len(), 7_000_000);
    lambda.send("empty", get("/empty")).await;
    let (head, body) = read(&lambda.call().await);
    assert_eq!((head.status.as_u16(), body.len()), (302, 0));
    assert_eq!(head.headers["location"], "/");
    lambda.send("own", get("/bytes")).await;
    let (head, _) = read(&lambda.call().await);
    assert!(!head.headers.contains_key("x-pacer-busy"), "the app cannot speak for us");
    assert!(!head.headers.contains_key("x-pacer-billed-ms"));
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_in_its_trailers_and_the_next_event_is_served() {
    let mut lambda = streaming().await;
    lambda.send("drop", get("/stream-drop")).await;
    let call = lambda.call().await;
    assert_eq!(call.path, "invocation/drop/response");
    assert_eq!(read(&call).1, "first");
    let (error_type, body) = failure(&call);
    assert_eq!(error_type, "Runtime.AppError");
    assert_eq!(body["errorType"], "Runtime.AppError");
    assert!(body["errorMessage"].as_str().unwrap().contains("broke off"), "{body}");

    lambda.send_for("hang", get("/stream-hang"), Duration::from_millis(300)).await;
    let call = lambda.call().await;
    assert_eq!(read(&call).1, "first");
    let (error_type, body) = failure(&call);
    assert_eq!(error_type, "Sandbox.Timedout");
    assert!(body["errorMessage"].as_str().unwrap().contains("Task timed out after"), "{body}");

    lambda.send("next", get("/empty")).await;
    assert_eq!(read(&lambda.call().await).0.status, 302);
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn an_app_that_dies_in_a_stream_ends_the_environment() {
    let mut lambda = streaming().await;
    lambda.send("exit", get("/stream-exit")).await;
    let (error_type, _) = failure(&lambda.call().await);
    assert_eq!(error_type, "Runtime.ExitError");
    assert!(!lambda.exit().await.success());
}

#[tokio::test]
async fn what_fails_before_the_head_is_an_error_and_no_stream() {
    let mut lambda = streaming().await;
    for (id, path, error_type) in [
        ("dropped", "/drop", "Runtime.AppError"),
        ("wide", "/wide", "Function.ResponseSizeTooLarge"),
    ] {
        lambda.send(id, get(path)).await;
        let call = lambda.call().await;
        assert_eq!(call.path, format!("invocation/{id}/error"));
        assert_eq!(call.error_type(), Some(error_type));
    }
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn a_warm_up_is_answered_whole() {
    let mut lambda = streaming().await;
    let mut payload = Vec::new();
    warm_up::write(&mut payload, Duration::ZERO);
    lambda.send("warm", payload).await;
    let call = lambda.call().await;
    assert_eq!(header(&call.headers, "lambda-runtime-function-response-mode"), None);
    assert!(warm_up::read_answer(&call.body).unwrap().cold_start);
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn a_mode_that_is_none_is_refused() {
    let mut lambda = Lambda::start(&["--", APP], &[("AWS_LWA_INVOKE_MODE", "streaming")]).await;
    assert!(!lambda.exit().await.success());
}
