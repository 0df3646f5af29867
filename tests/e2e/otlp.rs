//! Traces and metrics out: what a collector is sent, what lanes are told, and what happens when nobody listens.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{metric::Data, number_data_point},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use tokio::sync::{Mutex, mpsc};

use crate::harness::{
    Gateway, Upstream,
    gateway::{containers_only, lambda_only},
    until,
    upstream::Exchange,
    wire::Head,
    within,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// What came by one call.
#[derive(Debug)]
struct Call {
    target: String,
    head: Head,
    bytes: Vec<u8>,
}

/// A collector that takes everything.
#[derive(Debug)]
struct Collector {
    upstream: Upstream,
    calls: Mutex<mpsc::UnboundedReceiver<Call>>,
}

impl Collector {
    async fn start() -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let upstream = Upstream::answering(move |exchange: Exchange, body| {
            let (target, head) = (exchange.target.clone(), exchange.head.clone());
            // A test that has seen enough listens no more.
            let _ = sender.send(Call { target, head, bytes: body.bytes });
            exchange.reply("200 OK", &[("content-type", "application/x-protobuf")], b"")
        })
        .await;
        Self { upstream, calls: Mutex::new(calls) }
    }

    /// The next call.
    async fn call(&self) -> Call {
        let next = within("a call of the collector", async {
            self.calls.lock().await.recv().await.expect("the upstream keeps the sender")
        });
        next.await
    }

    /// The next spans.
    async fn spans(&self) -> Vec<Span> {
        let call = self.call().await;
        assert_eq!(call.target, "/v1/traces");
        spans(&call.bytes)
    }

    /// A policy's lines that send it `what`.
    fn policy(&self, what: &str) -> String {
        telemetry(&self.upstream.url(), what)
    }
}

fn telemetry(endpoint: &str, what: &str) -> String {
    format!("telemetry: {{ otlp: {{ endpoint: '{endpoint}', {what} }} }}\n")
}

fn spans(bytes: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(bytes).expect("protobuf");
    let [all] = &request.resource_spans[..] else { panic!("one resource: {request:?}") };
    let resource = attributes(&all.resource.as_ref().expect("who sent it").attributes);
    assert_eq!(resource["service.name"], "pacer");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["service.instance.id"].len(), 36);
    all.scope_spans.iter().flat_map(|scope| scope.spans.clone()).collect()
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let value = |pair: &KeyValue| match pair
        .value
        .as_ref()
        .and_then(|value| value.value.as_ref())
        .expect("a value")
    {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => panic!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.clone(), value(pair))).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("below 16");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The span of `kind`, of which there is one.
fn of(spans: &[Span], kind: SpanKind) -> &Span {
    let found: Vec<_> = spans.iter().filter(|span| span.kind() == kind).collect();
    let [span] = found[..] else { panic!("one {kind:?}: {spans:?}") };
    span
}

#[tokio::test]
async fn a_trace_goes_on_through_the_gateway_and_nothing_secret_leaves() {
    let collector = Collector::start().await;
    let app = Upstream::start().await;
    let policy = collector.policy("headers: { x-key: collectors-own }, traces: 0%, metrics: 1s");
    let policy = policy + &containers_only(&[&app], 4, ", class: marathon");
    let gateway = Gateway::start(&policy).await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [
        ("host", "api.example:8080"),
        ("traceparent", &*traceparent),
        ("tracestate", "vendor=opaque,other=1"),
        ("authorization", "Bearer hunter2"),
        ("cookie", "session=hunter2"),
        ("x-api-key", "hunter2"),
    ];
    let (answer, seen) =
        tokio::join!(gateway.ask("POST", "/films/7?token=hunter2", &headers, b"hunter2"), async {
            let mut exchange = app.next().await;
            exchange.body().await;
            let head = exchange.head.clone();
            exchange.reply("201 Made", &[("set-cookie", "hunter2")], "hunter2").await;
            head
        });
    assert_eq!(answer.status(), 201);
    assert_eq!(seen.get("tracestate"), Some("vendor=opaque,other=1"));

    let (mut found, mut exported) = (None, Vec::new());
    let mut metrics = 0;
    while found.is_none() || metrics < 2 {
        let call = collector.call().await;
        assert_eq!(call.head.get("x-key"), Some("collectors-own"));
        assert_eq!(call.head.get("content-type"), Some("application/x-protobuf"));
        if call.target == "/v1/traces" {
            found = Some(spans(&call.bytes));
        } else {
            metrics += 1;
        }
        exported.push(call.bytes);
    }
    let found = found.unwrap();
    let (server, lane) = (of(&found, SpanKind::Server), of(&found, SpanKind::Client));
    assert_eq!(hex(&server.trace_id), TRACE);
    assert_eq!(hex(&server.parent_span_id), PARENT);
    assert_eq!((&server.trace_id, &server.span_id), (&lane.trace_id, &lane.parent_span_id));
    assert_eq!(server.trace_state, "vendor=opaque,other=1");
    // The task's parent is the way to it.
    let told = format!("00-{TRACE}-{}-01", hex(&lane.span_id));
    assert_eq!(seen.get("traceparent"), Some(&*told));
    assert_eq!(server.name, "POST /*");
    let is = attributes(&server.attributes);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("url.path", "/films/7"),
        ("http.route", "/*"),
        ("http.response.status_code", "201"),
        ("server.address", "api.example"),
        ("server.port", "8080"),
        ("pacer.service", "app"),
        ("pacer.class", "marathon"),
        ("pacer.lane", "container"),
        ("pacer.reason", "only-lane"),
        ("pacer.retries", "0"),
        ("pacer.end", "complete"),
    ] {
        assert_eq!(is.get(name).map(String::as_str), Some(value), "{name}: {is:?}");
    }
    assert!(!is.contains_key("client.address") && !is.contains_key("url.query"), "{is:?}");
    let is = attributes(&lane.attributes);
    assert_eq!(is["pacer.task"], app.address.to_string());
    assert!(server.start_time_unix_nano <= lane.start_time_unix_nano);
    assert!(lane.start_time_unix_nano < lane.end_time_unix_nano);
    assert!(lane.end_time_unix_nano <= server.end_time_unix_nano);
    assert_eq!(server.status, None);

    let errors = gateway.metrics().await.0;
    for bytes in exported.iter().map(Vec::as_slice).chain([errors.as_bytes()]) {
        for secret in ["hunter2", "collectors-own", "x-api-key", "token="] {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} got out");
        }
    }
    let shown = gateway.admin_answer("/policy").await;
    assert!(!shown.text().contains("collectors-own"));
}

#[tokio::test]
async fn a_function_is_told_of_a_trace_that_began_here() {
    let collector = Collector::start().await;
    let api = Upstream::start().await;
    let policy = collector.policy("traces: 100%, metrics: off") + &lambda_only(&api, "");
    let gateway = Gateway::start(&policy).await;
    let headers = [("traceparent", "00-nonsense-01"), ("tracestate", "of=nothing")];
    let (answer, event) = tokio::join!(gateway.ask("GET", "/a?b=c", &headers, b""), async {
        let mut exchange = api.next().await;
        let event = exchange.event().await;
        let payload = r#"{"statusCode":503,"headers":{"x-pacer-billed-ms":"7","x-pacer-memory-mb":"1769",
            "x-pacer-cold-start":"1","x-pacer-environment":"e"},"body":"sorry"}"#;
        exchange.returned(payload).await;
        event
    });
    assert_eq!(answer.status(), 503);
    let found = collector.spans().await;
    let (server, lane) = (of(&found, SpanKind::Server), of(&found, SpanKind::Client));
    assert!(server.parent_span_id.is_empty() && server.trace_state.is_empty(), "{server:?}");
    assert_ne!(server.trace_id, [0; 16]);
    // Recorded, and of a random id.
    let told = format!("00-{}-{}-03", hex(&server.trace_id), hex(&lane.span_id));
    assert_eq!(event["headers"]["traceparent"], *told);
    assert!(event["headers"]["tracestate"].is_null(), "{event}");
    for span in [server, lane] {
        let is = attributes(&span.attributes);
        assert_eq!((&*is["pacer.lane"], &*is["pacer.cold_start"]), ("lambda", "true"));
        assert_eq!(is["error.type"], "503");
        assert_eq!(span.status.as_ref().map(|status| status.code), Some(2));
    }
    // One that no route takes has a span, too, and no lane.
    assert_eq!(gateway.ask("CONNECT", "a:1", &[], b"").await.status(), 400);
    let found = collector.spans().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(attributes(&found[0].attributes)["pacer.end"], "refused");
}

/// What a task sees of `traceparent` and `tracestate` that a client sends, under a policy.
async fn passed(telemetry: &str, headers: &[(&str, &str)]) -> [Option<String>; 2] {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&(telemetry.to_owned() + &containers_only(&[&app], 4, ""))).await;
    let (_, head) = tokio::join!(gateway.ask("GET", "/", headers, b""), async {
        let exchange = app.next().await;
        let head = exchange.head.clone();
        exchange.reply("200 OK", &[], "").await;
        head
    });
    let all = |name| head.all(name).join("|");
    ["traceparent", "tracestate"].map(|name| Some(all(name)).filter(|text| !text.is_empty()))
}

#[tokio::test]
async fn a_trace_that_is_not_recorded_passes_as_it_came_and_nonsense_does_not() {
    let collector = Collector::start().await;
    let on = collector.policy("traces: 0%, metrics: off");
    let good = format!("cc-{TRACE}-{PARENT}-00-more");
    let state = ("tracestate", "a=1");
    let both =
        |parent: &str, state: Option<&str>| [Some(parent.to_owned()), state.map(str::to_owned)];
    assert_eq!(passed(&on, &[("traceparent", &good), state]).await, both(&good, Some("a=1")));
    assert_eq!(passed(&on, &[]).await, [None, None]);
    assert_eq!(passed(&on, &[("traceparent", "nonsense"), state]).await, [None, None]);
    assert_eq!(passed(&on, &[state]).await, [None, None]);
    let twice = [("traceparent", &*good), ("traceparent", &*good)];
    assert_eq!(passed(&on, &twice).await, [None, None]);
    // Without telemetry a gateway is no part of any trace.
    assert_eq!(
        passed("", &[("traceparent", "nonsense"), state]).await,
        both("nonsense", Some("a=1"))
    );
    assert_eq!(collector.upstream.requests(), 0, "nothing was recorded");
}

#[tokio::test]
async fn a_collector_and_prometheus_are_told_the_same() {
    let collector = Collector::start().await;
    let app = Upstream::saying("four").await;
    let policy = collector.policy("traces: off, metrics: 1s") + &containers_only(&[&app], 4, "");
    let gateway = Gateway::start(&policy).await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/").await.status(), 200);
    }
    let scraped = gateway.metrics().await;
    // Names, and samples of what does not change by being looked at.
    let (mut names, mut same) = (BTreeMap::new(), 0);
    let mut requests = 0.0;
    while requests < 5.0 {
        let call = collector.call().await;
        assert_eq!(call.target, "/v1/metrics");
        let request = ExportMetricsServiceRequest::decode(&*call.bytes).expect("protobuf");
        let all = request.resource_metrics.into_iter().flat_map(|all| all.scope_metrics);
        names = all.flat_map(|scope| scope.metrics).map(|all| (all.name, all.data)).collect();
        requests = match names.get("pacer_requests_total") {
            Some(Some(Data::Sum(sum))) => match sum.data_points[0].value {
                Some(number_data_point::Value::AsDouble(value)) => value,
                _ => panic!("{sum:?}"),
            },
            _ => 0.0,
        };
    }
    for line in scraped.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let data = names.remove(name).unwrap_or_else(|| panic!("{name} is missing")).unwrap();
        let points = match &data {
            Data::Sum(sum) if sum.is_monotonic && kind == "counter" => &sum.data_points,
            Data::Gauge(gauge) if kind == "gauge" => &gauge.data_points,
            Data::Histogram(histogram) if kind == "histogram" => {
                let counted: u64 = histogram.data_points.iter().map(|point| point.count).sum();
                let count = scraped.get(&format!("{name}_count"), &[]);
                assert!((count - counted as f64).abs() < 1e-9, "{name}: {counted}, not {count}");
                continue;
            }
            other => panic!("{name} is a {kind}: {other:?}"),
        };
        if !name.starts_with("pacer_re") {
            continue;
        }
        for point in points {
            let labels = attributes(&point.attributes);
            let labels: Vec<_> = labels.iter().map(|(name, is)| (&**name, &**is)).collect();
            let Some(number_data_point::Value::AsDouble(value)) = point.value else {
                panic!("{point:?}")
            };
            let expected = scraped.get(name, &labels);
            assert!((value - expected).abs() < 1e-9, "{name}{labels:?}: {value}, not {expected}");
            assert!(kind == "gauge" || point.start_time_unix_nano < point.time_unix_nano);
            same += 1;
        }
    }
    assert!(4 < same, "{same}");
    // What was booked between the two is told by now.
    let later = gateway.metrics().await;
    names.retain(|name, _| !later.0.contains(&format!("# TYPE {name} ")));
    assert!(names.is_empty(), "only the collector is told of {names:?}");
}

#[tokio::test]
async fn without_a_collector_the_gateway_serves_on_and_says_so_once() {
    let app = Upstream::saying("app").await;
    // A port that was given out and is closed again.
    let gone = Upstream::start().await;
    gone.close().await;
    let policy = telemetry(&gone.url(), "traces: 100%, metrics: 1s");
    let gateway = Gateway::start(&(policy + &containers_only(&[&app], 4, ""))).await;
    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.text(), "app");
    }
    until("both signals have failed twice", async || {
        let metrics = gateway.metrics().await;
        let failed = |signal| metrics.get("pacer_otlp_failures_total", &[("signal", signal)]);
        (2.0 <= failed("traces") && 2.0 <= failed("metrics")).then_some(())
    })
    .await;
    assert_eq!(gateway.get("/").await.text(), "app");
    gateway.terminate();
    let (ended, _) = gateway.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("takes no telemetry").count(), 2, "{}", ended.stderr);
}

#[tokio::test]
async fn what_a_collector_refuses_is_dropped_and_counted() {
    let collector = Upstream::answering(|exchange, _| {
        exchange.reply("500 Broken", &[], "a secret of the collector")
    })
    .await;
    let app = Upstream::saying("app").await;
    let policy = telemetry(&collector.url(), "traces: 100%, metrics: off");
    let gateway = Gateway::start(&(policy + &containers_only(&[&app], 4, ""))).await;
    for _ in 0..7 {
        assert_eq!(gateway.get("/").await.text(), "app");
    }
    gateway.until_metric("pacer_otlp_dropped_total", &[], 7.0).await;
    gateway.until_told("it answers 500").await;
    assert!(!gateway.errors().contains("secret"));
    assert!(0.0 < gateway.metrics().await.get("pacer_otlp_failures_total", &[]));
}

#[tokio::test]
async fn a_collector_that_asks_for_time_gets_the_same_again() {
    let collector = Upstream::start().await;
    let app = Upstream::saying("app").await;
    let policy = telemetry(&collector.url(), "traces: 100%, metrics: off");
    let gateway = Gateway::start(&(policy + &containers_only(&[&app], 4, ""))).await;
    assert_eq!(gateway.get("/").await.text(), "app");
    let mut exchange = collector.next().await;
    let first = exchange.body().await.bytes;
    // While it waits, requests are served, and theirs wait too.
    assert_eq!(gateway.get("/").await.text(), "app");
    exchange.reply("503 Later", &[("retry-after", "1")], "").await;
    let mut exchange = collector.next().await;
    assert_eq!(exchange.body().await.bytes, first);
    exchange.reply("200 OK", &[], "").await;
    let mut exchange = collector.next().await;
    assert_eq!(spans(&exchange.body().await.bytes).len(), 2);
    exchange.reply("200 OK", &[], "").await;
    gateway.until_metric("pacer_otlp_requests_total", &[], 2.0).await;
    assert!(gateway.metrics().await.get("pacer_otlp_dropped_total", &[]) < 1.0);
}

#[tokio::test]
async fn a_collector_that_answers_without_end_or_not_at_all_holds_nothing_up() {
    let collector = Upstream::start().await;
    let app = Upstream::saying("app").await;
    let policy = telemetry(&collector.url(), "traces: 100%, metrics: off");
    let gateway = Gateway::start(&(policy + &containers_only(&[&app], 4, ""))).await;
    assert_eq!(gateway.get("/").await.text(), "app");
    let mut exchange = collector.next().await;
    exchange.body().await;
    // More than is read of any answer, and less than it promises.
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    exchange.wire.send([head.as_bytes(), &vec![0; 256 * 1024]].concat()).await;
    gateway.until_metric("pacer_otlp_requests_total", &[], 1.0).await;
    assert_eq!(gateway.get("/").await.text(), "app");
    let _silent = collector.next().await;
    assert_eq!(gateway.get("/").await.text(), "app");
    // It waits for its collector for a moment, and not for ten seconds.
    gateway.terminate();
    let (ended, _) = gateway.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn what_was_recorded_last_is_sent_before_the_gateway_ends() {
    let collector = Collector::start().await;
    let app = Upstream::saying("app").await;
    let policy = collector.policy("traces: 100%, metrics: 1h") + &containers_only(&[&app], 4, "");
    let gateway = Gateway::start(&policy).await;
    assert_eq!(gateway.get("/last").await.text(), "app");
    gateway.terminate();
    let (ended, _) = gateway.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let found = collector.spans().await;
    assert_eq!(attributes(&of(&found, SpanKind::Server).attributes)["url.path"], "/last");
    assert_eq!(collector.call().await.target, "/v1/metrics");
}

#[tokio::test]
async fn telemetry_is_turned_on_and_off_while_the_gateway_runs() {
    let collector = Collector::start().await;
    let app = Upstream::saying("app").await;
    let plain = containers_only(&[&app], 4, "");
    let gateway = Gateway::start(&plain).await;
    gateway.get("/off").await;
    gateway.write_policy(&(collector.policy("traces: 100%, metrics: off") + &plain));
    gateway.until_metric("pacer_reload_total", &[("result", "applied")], 1.0).await;
    gateway.get("/on").await;
    let found = collector.spans().await;
    assert_eq!(attributes(&of(&found, SpanKind::Server).attributes)["url.path"], "/on");
    gateway.write_policy(&plain);
    gateway.until_metric("pacer_reload_total", &[("result", "applied")], 2.0).await;
    gateway.get("/off").await;
    gateway.terminate();
    assert_eq!(gateway.ended().await.0.code, Some(0));
    assert_eq!(collector.upstream.requests(), 1);
}
