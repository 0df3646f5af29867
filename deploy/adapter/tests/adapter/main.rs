//! The real adapter with a real app, against a Runtime API on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests are not seen to be in tests")]

mod formats;
mod guard;
mod lambda;
mod streaming;

use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Version};
use lambda_event::{Format, warm_up};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::lambda::Lambda;

/// A test that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const APP: &str = env!("CARGO_BIN_EXE_pacer-adapter-test-app");

fn event(path: &str, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    event_of(Format::ApigwV2, path, headers, body)
}

fn event_of(format: Format, path: &str, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    format.write_event(
        &mut out,
        &lambda_event::Request {
            method: &Method::POST,
            path,
            query,
            headers,
            body,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            request_id: "req",
            epoch_ms: 1,
            domain: "api.example.com",
            protocol: Version::HTTP_11,
        },
    );
    out
}

fn number(answer: &Value, header: &str) -> u64 {
    answer["headers"][header].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_app_sees_the_request_and_the_gateway_what_it_cost() {
    let mut lambda = Lambda::serving().await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "text/plain"),
        ("cookie", "a=1; b=2"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forged-1", "forged"),
        ("x-forged-2", "forged"),
        ("x-forged-3", "forged"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // The gateway lets nobody send these; whoever invokes the function past it might.
    let event = String::from_utf8(event("/a%20b/%C3%A9?x=1&x=%20", &headers, b"hello")).unwrap();
    let event = event
        .replace("x-forged-1", "x-pacer-billed-ms")
        .replace("x-forged-2", "x-amzn-request-context")
        .replace("x-forged-3", "x-amzn-lambda-context");
    lambda.send("id-9", event.into_bytes()).await;
    let call = lambda.call().await;
    assert_eq!(call.path, "invocation/id-9/response");
    let answer: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(answer["statusCode"], 200);
    assert_eq!(answer["headers"]["x-pacer-cold-start"], "1");
    assert_eq!(answer["headers"]["x-pacer-memory-mb"], "1769");
    assert_eq!(answer["headers"]["x-pacer-environment"], "2026/11/21/[$LATEST]abc");
    assert!(0 < number(&answer, "x-pacer-init-ms"));
    assert!(number(&answer, "x-pacer-init-ms") <= number(&answer, "x-pacer-billed-ms"));

    let seen: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["target"], "/a%20b/%C3%A9?x=1&x=%20");
    assert_eq!(seen["body"], "hello");
    let header = |name: &str| {
        let headers = seen["headers"].as_array().unwrap();
        let values: Vec<_> = headers
            .iter()
            .filter(|header| header[0] == name)
            .map(|header| header[1].clone())
            .collect();
        assert!(values.len() < 2, "{name} is there {} times", values.len());
        values.into_iter().next().unwrap_or_default()
    };
    assert_eq!(header("host"), "api.example.com");
    assert_eq!(header("cookie"), "a=1; b=2");
    assert_eq!(header("content-length"), "5");
    assert_eq!(header("x-forwarded-for"), "192.0.2.1");
    assert_eq!(header("x-pacer-billed-ms"), Value::Null);
    let json = |value: Value| serde_json::from_str::<Value>(value.as_str().unwrap()).unwrap();
    assert_eq!(json(header("x-amzn-request-context"))["requestId"], "req");
    let context = json(header("x-amzn-lambda-context"));
    assert_eq!(context["request_id"], "id-9");
    assert_eq!(context["env_config"]["function_name"], "thumb");
    assert_eq!(context["invoked_function_arn"], "arn:aws:lambda:eu-west-1:1:function:thumb");

    let (answer, _) = lambda.ask("/again").await;
    assert_eq!(answer["headers"]["x-pacer-cold-start"], "0");
    assert!(answer["headers"].get("x-pacer-init-ms").is_none());
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn bytes_and_cookies_come_back_and_the_app_cannot_write_its_own_bill() {
    let mut lambda = Lambda::serving().await;
    let (answer, _) = lambda.ask("/bytes").await;
    assert_eq!(answer["headers"]["content-type"], "image/png");
    assert_ne!(answer["headers"]["x-pacer-billed-ms"], "0");
    let answer = Bytes::from(answer.to_string());
    let response = Format::ApigwV2.read_response(&Method::POST, &answer).unwrap();
    assert_eq!(response.status, 201);
    assert_eq!(response.body, (0..=255).collect::<Vec<u8>>());
    let cookies: Vec<_> = response.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn one_connection_serves_and_a_broken_one_is_replaced() {
    let mut lambda = Lambda::serving().await;
    let (_, first) = lambda.ask("/a").await;
    let (_, second) = lambda.ask("/b").await;
    assert_eq!(first["connections"], second["connections"]);

    lambda.send("broken", event("/drop", &HeaderMap::new(), b"")).await;
    let call = lambda.call().await;
    assert_eq!(call.path, "invocation/broken/error");
    assert_eq!(call.error_type(), Some("Runtime.AppError"));

    let (_, third) = lambda.ask("/c").await;
    assert_eq!(third["connections"], json!(second["connections"].as_u64().unwrap() + 1));
    assert_eq!(third["pid"], first["pid"]);
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn a_warm_up_is_answered_without_the_app() {
    let mut lambda = Lambda::serving().await;
    for cold in [true, false] {
        let mut payload = Vec::new();
        warm_up::write(&mut payload, Duration::from_millis(5));
        lambda.send("warm", payload).await;
        let call = lambda.call().await;
        assert_eq!(call.path, "invocation/warm/response");
        let answer = warm_up::read_answer(&call.body).unwrap();
        assert_eq!(answer.cold_start, cold);
        assert_eq!(answer.environment, "2026/11/21/[$LATEST]abc");
    }
    let (answer, _) = lambda.ask("/").await;
    assert_eq!(answer["headers"]["x-pacer-cold-start"], "0");
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn what_cannot_be_answered_is_reported_and_the_next_event_served() {
    let mut lambda = Lambda::serving().await;
    lambda.send("queue", br#"{"Records":[]}"#.to_vec()).await;
    let call = lambda.call().await;
    assert_eq!(
        (&*call.path, call.error_type()),
        ("invocation/queue/error", Some("Runtime.InvalidEvent"))
    );
    let error: Value = serde_json::from_slice(&call.body).unwrap();
    assert!(error["errorMessage"].as_str().unwrap().contains("of no known format"), "{error}");

    lambda
        .send_for("slow", event("/hang", &HeaderMap::new(), b""), Duration::from_millis(200))
        .await;
    let call = lambda.call().await;
    assert_eq!(
        (&*call.path, call.error_type()),
        ("invocation/slow/error", Some("Sandbox.Timedout"))
    );
    let error: Value = serde_json::from_slice(&call.body).unwrap();
    assert!(error["errorMessage"].as_str().unwrap().contains("Task timed out after"), "{error}");

    lambda.send("large", event("/large", &HeaderMap::new(), b"")).await;
    let call = lambda.call().await;
    assert_eq!(
        (&*call.path, call.error_type()),
        ("invocation/large/error", Some("Function.ResponseSizeTooLarge"))
    );

    let (answer, _) = lambda.ask("/").await;
    assert_eq!(answer["statusCode"], 200);
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn an_app_that_dies_in_a_request_ends_the_environment() {
    let mut lambda = Lambda::serving().await;
    lambda.send("last", event("/exit", &HeaderMap::new(), b"")).await;
    let call = lambda.call().await;
    assert_eq!(
        (&*call.path, call.error_type()),
        ("invocation/last/error", Some("Runtime.ExitError"))
    );
    assert!(!lambda.exit().await.success());
}

#[tokio::test]
async fn an_app_that_dies_at_rest_ends_the_environment() {
    let mut lambda = Lambda::serving().await;
    let (_, seen) = lambda.ask("/").await;
    let pid = i32::try_from(seen["pid"].as_u64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(!lambda.exit().await.success());
}

#[tokio::test]
async fn sigterm_ends_the_app_too() {
    let mut lambda = Lambda::serving().await;
    let (_, seen) = lambda.ask("/").await;
    let pid = i32::try_from(seen["pid"].as_u64().unwrap()).unwrap();
    assert!(lambda.terminate().await.success());
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "the app is still there");
}

#[tokio::test]
async fn a_signal_to_adapter_and_app_together_is_no_failure() {
    let mut lambda = Lambda::serving().await;
    lambda.ask("/").await;
    let group = lambda.pid();
    rustix::process::kill_process_group(group, rustix::process::Signal::TERM).unwrap();
    assert!(lambda.exit().await.success());
}

#[tokio::test]
async fn an_app_that_is_not_ready_at_once_is_waited_for() {
    let mut lambda = Lambda::start(&["--ready-path", "/ready", "--", APP], &[]).await;
    let (answer, _) = lambda.ask("/").await;
    assert_eq!(answer["headers"]["x-pacer-cold-start"], "1");
    // Two refusals, ten milliseconds apart.
    assert!(20 <= number(&answer, "x-pacer-init-ms"));
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn an_app_that_does_not_start_is_told_to_lambda() {
    for (arguments, error_type, message) in [
        (
            &["--ready-path", "/never", "--ready-timeout", "100ms", "--", APP][..],
            "Runtime.InitError",
            "last: 500",
        ),
        (&["--", APP, "3"], "Runtime.InitError", "ended with exit status: 3"),
        (&["--", "/nonexistent/app"], "Runtime.InvalidEntrypoint", "cannot run /nonexistent/app"),
    ] {
        let mut lambda = Lambda::start(arguments, &[]).await;
        let call = lambda.call().await;
        assert_eq!((&*call.path, call.error_type()), ("init/error", Some(error_type)));
        let error: Value = serde_json::from_slice(&call.body).unwrap();
        assert!(error["errorMessage"].as_str().unwrap().contains(message), "{error}");
        assert!(!lambda.exit().await.success());
    }
}

#[tokio::test]
async fn a_snapshot_is_taken_when_the_app_is_ready_and_each_copy_has_its_own_name() {
    let variables = [("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")];
    let mut lambda = Lambda::start(&["--ready-path", "/ready", "--", APP], &variables).await;
    assert_eq!(lambda.call().await.path, "restore/next");
    let (answer, seen) = lambda.ask("/").await;
    assert_ne!(answer["headers"]["x-pacer-environment"], "2026/11/21/[$LATEST]abc");
    assert_eq!(answer["headers"]["x-pacer-cold-start"], "1");
    // One to find it ready, one since the restore.
    assert_eq!(seen["connections"], 2);
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn outside_lambda_it_becomes_the_app() {
    let mut app = Command::new(env!("CARGO_BIN_EXE_pacer-adapter"))
        .args(["--port", "1234", "--", "sh", "-c", "echo $$ $PORT; exit 5"])
        .env_remove("AWS_LAMBDA_RUNTIME_API")
        .env_remove("PORT")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = app.id().unwrap();
    let mut said = String::new();
    let mut stdout = app.stdout.take().unwrap();
    let reading = tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut said);
    timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert_eq!(said.trim(), format!("{pid} 1234"));
    assert_eq!(timeout(PATIENCE, app.wait()).await.unwrap().unwrap().code(), Some(5));
}
