use std::time::Duration;

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::metric::Data,
    trace::v1::{Span, span::SpanKind},
};
use policies::{decide::Lane, policy::Policy};
use predictor::outcome::{End, Spill};

use super::*;
use crate::{
    fixture,
    proxy::Traced,
    telemetry::otlp::context::{Context, SAMPLED},
};

fn finished(lane: Lane) -> Finished {
    of_policy(&fixture::policy(fixture::POLICY), lane)
}

fn of_policy(policy: &Arc<Policy>, lane: Lane) -> Finished {
    let world = fixture::world(policy);
    let outcome = fixture::outcome(&world, fixture::route(policy, "/reports/*"), lane, 20_000);
    Finished {
        traced: Box::new(Traced {
            own: Context { trace: 0xabc, span: 1, flags: SAMPLED },
            lane: 2,
            parent: Some(3),
            state: "vendor=1".into(),
            method: http::Method::GET,
            path: "/reports/7".into(),
            host: "api.example:8080".into(),
            task: Some("10.0.0.7:80".into()),
        }),
        sent_us: Some(outcome.arrived_us + 2_000),
        outcome,
        request_id: "id".to_owned(),
        policy: policy.clone(),
    }
}

/// Returns attributes as `key=value`, in order of their keys.
fn shown(attributes: &[KeyValue]) -> Vec<String> {
    let value = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    };
    let pair = |pair: &KeyValue| {
        let found = pair.value.as_ref().and_then(|found| found.value.as_ref());
        format!("{}={}", pair.key, found.map(value).unwrap_or_default())
    };
    let mut shown: Vec<String> = attributes.iter().map(pair).collect();
    shown.sort();
    shown
}

#[test]
fn a_request_is_a_span_of_the_gateway_and_one_of_its_lane() {
    let spans: Vec<Span> = finished(Lane::Container).spans().collect();
    let [server, lane] = &spans[..] else { panic!("two spans: {spans:?}") };
    assert_eq!((&*server.name, server.kind()), ("GET /reports/*", SpanKind::Server));
    assert_eq!((&*lane.name, lane.kind()), ("container report", SpanKind::Client));
    for span in &spans {
        assert_eq!(span.trace_id, 0xabc_u128.to_be_bytes());
        assert_eq!(span.trace_state, "vendor=1");
        assert_eq!(span.status, None);
    }
    assert_eq!(
        (&*server.span_id, &*server.parent_span_id),
        (&[0, 0, 0, 0, 0, 0, 0, 1][..], &[0, 0, 0, 0, 0, 0, 0, 3][..])
    );
    assert_eq!(
        (&*lane.span_id, &lane.parent_span_id),
        (&[0, 0, 0, 0, 0, 0, 0, 2][..], &server.span_id)
    );
    assert_eq!((server.flags, lane.flags), (0x301, 0x101));
    // 22 ms in all, of which 20 at the lane, after 2.
    assert_eq!(server.end_time_unix_nano - server.start_time_unix_nano, 22_000_000);
    assert_eq!(lane.start_time_unix_nano - server.start_time_unix_nano, 2_000_000);
    assert_eq!(lane.end_time_unix_nano, server.end_time_unix_nano);
    assert_eq!(
        shown(&server.attributes),
        [
            "http.request.method=GET",
            "http.response.status_code=200",
            "http.route=/reports/*",
            "pacer.class=marathon",
            "pacer.end=complete",
            "pacer.lane=container",
            "pacer.queue_wait_ms=1.5",
            "pacer.reason=only-lane",
            "pacer.request_id=id",
            "pacer.retries=0",
            "pacer.route=/reports/*",
            "pacer.service=report",
            "server.address=api.example",
            "server.port=8080",
            "url.path=/reports/7",
            "url.scheme=http",
        ]
    );
    let lane = shown(&lane.attributes);
    assert_eq!(lane, ["pacer.lane=container", "pacer.service=report", "pacer.task=10.0.0.7:80"]);
}

#[test]
fn what_failed_is_an_error_and_a_client_that_left_is_none() {
    let check = |status, end, expected: Option<&str>| {
        let mut finished = finished(Lane::Lambda);
        (finished.outcome.status, finished.outcome.end) = (status, end);
        finished.outcome.spill = Some(Spill::Throttled);
        for span in finished.spans() {
            let found = shown(&span.attributes);
            let found = found.iter().find_map(|pair| pair.strip_prefix("error.type="));
            assert_eq!(found, expected, "{status} {end:?} {}", span.name);
            assert_eq!(span.status.map(|status| status.code), expected.map(|_| 2));
        }
    };
    check(200, End::Complete, None);
    check(404, End::Complete, None);
    check(502, End::LaneFailed, Some("502"));
    check(500, End::Complete, Some("500"));
    check(200, End::LaneFailed, Some("lane-failed"));
    check(200, End::TimedOut, Some("timed-out"));
    check(408, End::TimedOut, None);
    check(0, End::ClientGone, None);
}

#[test]
fn of_a_request_that_came_to_no_lane_there_is_one_span() {
    let mut finished = finished(Lane::Container);
    let outcome = &mut finished.outcome;
    (outcome.lane, outcome.route, outcome.decision) = (None, None, None);
    (outcome.status, outcome.end) = (404, End::Refused);
    finished.sent_us = None;
    finished.traced.method = http::Method::from_bytes(b"MADE-UP").unwrap();
    let spans: Vec<Span> = finished.spans().collect();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].name, "HTTP");
    assert!(shown(&spans[0].attributes).contains(&"http.request.method=_OTHER".to_owned()));
}

#[test]
fn metrics_say_what_they_say_to_prometheus() {
    use crate::telemetry::{
        REQUEST_DURATION, RETRIES,
        exposition::{Sample, Samples, Value},
        shard::LATENCY_BOUNDS_US,
    };
    let buckets: Vec<u64> = (0..=LATENCY_BOUNDS_US.len() as u64).collect();
    let labels = vec!["/a".to_owned(), "lambda".to_owned()];
    let latency =
        Sample { labels, value: Value::Latency { buckets: buckets.clone(), seconds: 30.5 } };
    let retries = Sample { labels: vec![], value: Value::Number(4.0) };
    let families = [
        Samples { metric: REQUEST_DURATION, samples: vec![latency] },
        Samples { metric: RETRIES, samples: vec![retries] },
    ];
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let metrics = metrics::translate(&families, at(1), at(9));
    let Some(Data::Histogram(histogram)) = &metrics[0].data else { panic!("{metrics:?}") };
    let point = &histogram.data_points[0];
    assert_eq!(point.bucket_counts, buckets);
    assert_eq!(point.explicit_bounds.len() + 1, buckets.len(), "the last is above all bounds");
    assert_eq!(point.explicit_bounds[..2], [0.005, 0.01]);
    assert_eq!((point.count, point.sum), (buckets.iter().sum(), Some(30.5)));
    assert_eq!(shown(&point.attributes), ["lane=lambda", "route=/a"]);
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1_000_000_000, 9_000_000_000));
    let Some(Data::Sum(sum)) = &metrics[1].data else { panic!("{metrics:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    assert_eq!(sum.data_points[0].start_time_unix_nano, 1_000_000_000);
}

#[test]
fn an_instance_is_named_by_a_random_uuid() {
    let (one, other) = (instance(), instance());
    assert_ne!(one, other);
    assert_eq!((one.len(), &one[14..15]), (36, "4"), "{one}");
    assert!("89ab".contains(&one[19..20]), "{one}");
}

#[test]
fn no_more_waits_than_there_is_room_for() {
    let counts = Counts::default();
    let (_sender, mut recorded) = mpsc::channel(1);
    let queue = VecDeque::new();
    let mut waiting = Waiting { recorded: &mut recorded, queue, ended: false, counts: &counts };
    let policy = fixture::policy(fixture::POLICY);
    for _ in 0..WAITING_MAX / BATCH + 3 {
        let batch = (0..BATCH).map(|_| of_policy(&policy, Lane::Container)).collect();
        waiting.hear(Some(batch));
    }
    assert_eq!((waiting.queue.len(), counts.dropped()), (WAITING_MAX, 3 * BATCH as u64));
    assert_eq!(waiting.take().len(), CALL_MAX);
}
