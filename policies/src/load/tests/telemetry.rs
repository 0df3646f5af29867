//! Where telemetry is sent.

use std::time::Duration;

use super::warnings;
use crate::sample::{policy, problems};

/// A policy of one service with `telemetry`.
fn with(telemetry: &str) -> String {
    format!(
        "
version: 1
telemetry: {telemetry}
services: {{ one: {{ container: {{ upstreams: [http://a], requests_per_task: 1 }} }} }}
routes: [{{ match: {{}}, service: one }}]
"
    )
}

#[test]
fn a_collector_needs_a_url_and_nothing_else() {
    assert_eq!(policy(&with("{}")).otlp, None);
    let otlp = policy(&with("{ otlp: { endpoint: 'http://127.0.0.1:4318/' } }")).otlp.unwrap();
    assert_eq!(&*otlp.endpoint, "http://127.0.0.1:4318");
    assert_eq!((otlp.traces, otlp.metrics), (Some(0.01), Some(Duration::from_mins(1))));
    assert!(otlp.headers.is_empty());
}

#[test]
fn all_of_a_collector_is_read_and_its_key_never_shown() {
    let text = with(
        "{ otlp: { endpoint: https://otlp.example/otlp, headers: { authorization: 'Basic aHVudGVyMg==' }, traces: off, metrics: 15s } }",
    );
    let whole = policy(&text);
    let otlp = whole.otlp.as_ref().unwrap();
    assert_eq!((otlp.traces, otlp.metrics), (None, Some(Duration::from_secs(15))));
    let (name, value) = &otlp.headers[0];
    assert_eq!((name.as_str(), value.reveal()), ("authorization", "Basic aHVudGVyMg=="));
    assert!(!format!("{whole:?}").contains("aHVudGVy"), "no secret gets out");
    assert_eq!(warnings(&text), "");
    let odd = text.replace("https://otlp.example/otlp", "http://10.0.0.1:4317");
    insta::assert_snapshot!(warnings(&odd), @"
    policy.yaml:3:20 telemetry.otlp: 4317 is the usual port of OTLP over gRPC; over HTTP, which is spoken here, it is 4318
    policy.yaml:3:20 telemetry.otlp: its headers pass in clear: write an endpoint of https://, or keep strangers off the way
    ");
}

#[test]
fn what_is_wrong_with_a_collector_is_told_without_its_key() {
    let text = with(
        "{ otlp: { headers: { host: a, 'b c': hunter2, d: , e: \"hunter2\\t\\u0001\" }, traces: 2, metrics: 1ms, logs: on } }",
    );
    insta::assert_snapshot!(problems(&text), @"
    policy.yaml:3:20 telemetry.otlp.endpoint: missing; write the URL of a collector, such as `http://127.0.0.1:4318`
    policy.yaml:3:33 telemetry.otlp.headers.host: this header is Pacer's own; remove it
    policy.yaml:3:42 telemetry.otlp.headers.b c: expected a header's name such as `x-tier`, got `b c`
    policy.yaml:3:58 telemetry.otlp.headers.d: missing; write the header's value
    policy.yaml:3:66 telemetry.otlp.headers.e: expected a header's value: visible characters and spaces
    policy.yaml:3:95 telemetry.otlp.traces: expected a share between `0%` and `100%`, got `2` (or `off`)
    policy.yaml:3:107 telemetry.otlp.metrics: expected `1s` or more, or `off`, got `1ms`
    policy.yaml:3:112 telemetry.otlp.logs: unknown field `logs`; known here: endpoint, headers, metrics, traces
    ");
    let url = with("{ otlp: { endpoint: 'http://me:hunter2@a' } }");
    insta::assert_snapshot!(problems(&url), @"policy.yaml:3:32 telemetry.otlp.endpoint: expected the URL of a collector such as `http://127.0.0.1:4318`, without user or query");
}
