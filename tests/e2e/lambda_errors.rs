//! Every answer of Lambda that is no response: what the client gets, what ran where, and how often. The errors come from
//! the local cloud, on the wire as AWS writes them.

use std::fmt::Write as _;

use serde_json::json;

use crate::harness::{
    Cloud, Gateway, Upstream,
    cloud::SCRIPTED,
    gateway::{Setup, container},
    until,
};

/// Whether a request that met an error may go to the container lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ran {
    /// The function did not run: whatever its method.
    No,
    /// Nobody knows: only what may be repeated.
    Unknown,
}

/// Every exception of Invoke, what it says of the function, and the status of a service without another lane.
const EXCEPTIONS: [(&str, Ran, u16); 48] = [
    ("AccessDeniedException", Ran::No, 502),
    ("CodeArtifactUserDeletedException", Ran::No, 502),
    ("CodeArtifactUserFailedException", Ran::No, 502),
    ("CodeArtifactUserPendingException", Ran::No, 503),
    ("DurableExecutionAlreadyStartedException", Ran::No, 502),
    ("EC2AccessDeniedException", Ran::No, 502),
    ("EC2ThrottledException", Ran::No, 503),
    ("EC2UnexpectedException", Ran::No, 503),
    ("EFSIOException", Ran::Unknown, 502),
    ("EFSMountConnectivityException", Ran::No, 503),
    ("EFSMountFailureException", Ran::No, 502),
    ("EFSMountTimeoutException", Ran::No, 503),
    ("ENILimitReachedException", Ran::No, 503),
    ("ENINotReadyException", Ran::No, 503),
    ("ExpiredTokenException", Ran::No, 502),
    ("InvalidParameterValueException", Ran::No, 502),
    ("InvalidRequestContentException", Ran::No, 502),
    ("InvalidRuntimeException", Ran::No, 502),
    ("InvalidSecurityGroupIDException", Ran::No, 502),
    ("InvalidSubnetIDException", Ran::No, 502),
    ("InvalidZipFileException", Ran::No, 502),
    ("KMSAccessDeniedException", Ran::No, 502),
    ("KMSDisabledException", Ran::No, 502),
    ("KMSInvalidStateException", Ran::No, 502),
    ("KMSNotFoundException", Ran::No, 502),
    ("ModeNotSupportedException", Ran::No, 502),
    ("NoPublishedVersionException", Ran::No, 502),
    ("RecursiveInvocationException", Ran::No, 502),
    ("RequestTooLargeException", Ran::No, 413),
    ("ResourceConflictException", Ran::No, 503),
    ("ResourceNotFoundException", Ran::No, 502),
    ("ResourceNotReadyException", Ran::No, 503),
    ("RuntimeAliasDeletedException", Ran::No, 502),
    ("RuntimeVersionDeletedException", Ran::No, 502),
    ("S3FilesMountConnectivityException", Ran::No, 503),
    ("S3FilesMountFailureException", Ran::No, 502),
    ("S3FilesMountTimeoutException", Ran::No, 503),
    ("SerializedRequestEntityTooLargeException", Ran::No, 413),
    ("ServiceException", Ran::Unknown, 502),
    ("ServiceQuotaExceededException", Ran::No, 502),
    ("ServiceUnavailableException", Ran::Unknown, 502),
    ("SnapStartException", Ran::No, 503),
    ("SnapStartNotReadyException", Ran::No, 503),
    ("SnapStartRegenerationFailureException", Ran::No, 503),
    ("SnapStartTimeoutException", Ran::No, 503),
    ("SubnetIPAddressLimitReachedException", Ran::No, 503),
    ("UnrecognizedClientException", Ran::No, 502),
    ("UnsupportedMediaTypeException", Ran::No, 413),
];

const REASONS: [&str; 6] = [
    "ConcurrentInvocationLimitExceeded",
    "ReservedFunctionConcurrentInvocationLimitExceeded",
    "FunctionInvocationRateLimitExceeded",
    "ReservedFunctionInvocationRateLimitExceeded",
    "CallerRateLimitExceeded",
    "ConcurrentSnapshotCreateLimitExceeded",
];

/// A cloud with functions `f0`, `f1` and so on, each for one kind of error, and a gateway with two services of each:
/// `/both/N` has a container beside it, `/alone/N` has not.
async fn functions(count: usize, tasks: &Upstream) -> (Cloud, Gateway) {
    let mut config = "functions:\n".to_owned();
    let mut policy = "defaults: { decision_header: true }\nservices:\n".to_owned();
    let mut routes = "routes:\n".to_owned();
    let tasks = container(&[tasks], 10);
    for n in 0..count {
        for kind in ["both", "alone"] {
            let name = format!("{kind}{n}");
            let _ = writeln!(config, "  {name}: {{ command: ['{SCRIPTED}', function] }}");
            let lambda = format!("lambda: {{ function: {name} }}");
            let lanes = match kind {
                "both" => format!("{lambda}, container: {tasks}"),
                _ => lambda,
            };
            let _ = writeln!(policy, "  {name}: {{ {lanes} }}");
            let path = format!("match: {{ path: /{kind}/{n} }}");
            let _ = writeln!(routes, "  - {{ {path}, service: {name}, class: sprinter }}");
        }
    }
    let cloud = Cloud::start(&config, 1).await;
    let gateway = Gateway::start(&format!("endpoint_url: {}\n{policy}{routes}", cloud.url())).await;
    (cloud, gateway)
}

/// How often the function `name` ran.
async fn runs(cloud: &Cloud, name: &str) -> u64 {
    cloud.bill().await["functions"][name]["requests"].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn every_exception_is_a_row_of_one_table() {
    let tasks = Upstream::saying("container").await;
    let (cloud, gateway) = functions(EXCEPTIONS.len(), &tasks).await;
    for (n, (exception, ran, status)) in EXCEPTIONS.into_iter().enumerate() {
        let order = |function: String, count: u32| json!({ "lambda": { "error": { "function": function, "type": exception, "count": count } } });
        cloud.fault(order(format!("both{n}"), 1)).await;
        let answer = gateway.post(&format!("/both/{n}"), b"once").await;
        match ran {
            // Whatever its method, it goes to the other lane, and runs there alone.
            Ran::No => {
                assert_eq!((answer.status(), answer.text()), (200, "container"), "{exception}");
            }
            // It may have run: a POST is not sent again.
            Ran::Unknown => {
                assert_eq!(answer.problem(502, "backend"), "lambda-failed", "{exception}");
            }
        }
        // Twice: what may be repeated is sent to Lambda again.
        cloud.fault(order(format!("alone{n}"), 2)).await;
        let answer = gateway.post(&format!("/alone/{n}"), b"once").await;
        assert_eq!(answer.status(), status, "{exception}: {answer:?}");
        assert_eq!(answer.head.get("retry-after").is_some(), status == 503, "{exception}");
        assert!(!answer.text().contains(exception), "{exception} leaks: {answer:?}");
        for name in [format!("both{n}"), format!("alone{n}")] {
            assert_eq!(runs(&cloud, &name).await, 0, "{exception} {name}");
        }
    }
    let metrics = gateway.metrics().await;
    for (exception, ..) in EXCEPTIONS {
        let count = metrics.get("pacer_lambda_errors_total", &[("error", exception)]);
        assert!(2.0 <= count, "{exception}: {count}");
    }
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_throttle_is_told_by_its_reason_and_costs_a_request_one_call() {
    let tasks = Upstream::saying("container").await;
    let (cloud, gateway) = functions(REASONS.len(), &tasks).await;
    for (n, reason) in REASONS.into_iter().enumerate() {
        for kind in ["both", "alone"] {
            let order = json!({ "function": format!("{kind}{n}"), "reason": reason });
            cloud.fault(json!({ "lambda": { "throttle": order } })).await;
        }
        let answer = gateway.post(&format!("/both/{n}"), b"once").await;
        assert_eq!((answer.status(), answer.text()), (200, "container"), "{reason}");
        assert_eq!(answer.decision("spill"), "throttled", "{reason}");
        let answer = gateway.post(&format!("/alone/{n}"), b"once").await;
        assert_eq!(answer.problem(503, "backend"), "lambda-failed", "{reason}");
        let retry_after = answer.head.get("retry-after").expect("it says when to come back");
        assert!(retry_after.parse::<u32>().is_ok(), "{retry_after}");
        // A throttle says nothing of the next request.
        assert_eq!(gateway.get(&format!("/alone/{n}")).await.status(), 200, "{reason}");
    }
    let metrics = gateway.metrics().await;
    for reason in REASONS {
        let count = metrics.get("pacer_lambda_errors_total", &[("error", reason)]);
        assert_eq!(count.to_bits(), 2.0_f64.to_bits(), "{reason}");
    }
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_function_that_fails_has_run_and_is_not_run_again() {
    let tasks = Upstream::saying("container").await;
    let kinds = [
        ("handled", "Handled", 502),
        ("unhandled", "Unhandled", 502),
        ("timeout", "Sandbox.Timedout", 504),
        ("out-of-memory", "Unhandled", 502),
        ("exit", "Unhandled", 502),
        ("too-large", "ResponseTooLarge", 502),
    ];
    let (cloud, gateway) = functions(kinds.len(), &tasks).await;
    for (n, (kind, error, status)) in kinds.into_iter().enumerate() {
        let order = json!({ "function": format!("both{n}"), "kind": kind });
        cloud.fault(json!({ "lambda": { "function_error": order } })).await;
        let metrics = gateway.metrics().await;
        let before = metrics.get("pacer_lambda_errors_total", &[("error", error)]);
        let billed = metrics.get("pacer_lambda_billed_gb_seconds_total", &[]);
        // Even what may be repeated, and with a container free.
        let answer = gateway.get(&format!("/both/{n}")).await;
        assert_eq!(answer.problem(status, "backend"), "lambda-failed", "{kind}");
        for leak in ["App.Wrong", "Runtime.", "function returned", "signal"] {
            assert!(!answer.text().contains(leak), "{kind} leaks: {answer:?}");
        }
        let metrics = gateway.metrics().await;
        let after = metrics.get("pacer_lambda_errors_total", &[("error", error)]);
        assert_eq!((after - before).to_bits(), 1.0_f64.to_bits(), "{kind}");
        let after = metrics.get("pacer_lambda_billed_gb_seconds_total", &[]);
        assert!(billed < after, "{kind} is billed: {after} GB-s");
    }
    assert_eq!(tasks.requests(), 0);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn answers_that_are_damaged_are_never_taken_for_responses() {
    let tasks = Upstream::saying("container").await;
    let kinds = ["garbage", "invalid-utf8", "oversized", "truncated", "cut"];
    let (cloud, gateway) = functions(kinds.len(), &tasks).await;
    for (n, kind) in kinds.into_iter().enumerate() {
        let order = json!({ "function": format!("both{n}"), "kind": kind });
        cloud.fault(json!({ "lambda": { "payload": order } })).await;
        let answer = gateway.post(&format!("/both/{n}"), b"once").await;
        assert_eq!(answer.problem(502, "backend"), "lambda-failed", "{kind}");
        assert_eq!(gateway.get(&format!("/both/{n}")).await.status(), 200, "after {kind}");
    }
    assert_eq!(tasks.requests(), 0);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_lane_that_is_broken_costs_no_request_a_call_and_heals_by_itself() {
    let tasks = Upstream::saying("container").await;
    let (cloud, gateway) = functions(1, &tasks).await;
    let broken = json!({ "function": "both0", "type": "AccessDeniedException", "count": 1 });
    cloud.fault(json!({ "lambda": { "error": broken } })).await;
    assert_eq!(gateway.get("/both/0").await.text(), "container");
    let calls = async || {
        let calls = cloud.calls().await;
        let invokes = calls.iter().filter(|(name, _)| name.contains("/invocations"));
        invokes.filter_map(|(_, count)| count.as_u64()).sum::<u64>()
    };
    let before = calls().await;
    // While it rests, requests do not even try.
    for _ in 0..20 {
        assert_eq!(gateway.get("/both/0").await.text(), "container");
    }
    assert_eq!(calls().await, before);
    // A dry run finds out that it works again: no request paid for that, and none ran for it.
    until("Lambda is called again", async || {
        let answer = gateway.get("/both/0").await;
        assert_eq!(answer.status(), 200);
        (answer.decision("lane") == "lambda").then_some(())
    })
    .await;
    assert_eq!(
        gateway.metrics().await.get("pacer_spills_total", &[("from", "lambda")]).to_bits(),
        1.0_f64.to_bits()
    );
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn the_whole_api_down_is_served_by_the_other_lane() {
    let tasks = Upstream::saying("container").await;
    let (cloud, gateway) = functions(1, &tasks).await;
    cloud.fault(json!({ "lambda": { "down": {} } })).await;
    // A 503 may have run: only what may be repeated moves.
    assert_eq!(gateway.get("/both/0").await.text(), "container");
    assert_eq!(gateway.post("/both/0", b"once").await.problem(502, "backend"), "lambda-failed");
    assert_eq!(gateway.get("/alone/0").await.status(), 502);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn clocks_that_differ_are_a_refusal_that_leaves_the_other_lane() {
    let tasks = Upstream::saying("container").await;
    let (cloud, gateway) = functions(1, &tasks).await;
    cloud.fault(json!({ "lambda": { "clock_skew": { "ahead": "6m" } } })).await;
    assert_eq!(gateway.post("/both/0", b"once").await.text(), "container");
    let answer = gateway.get("/alone/0").await;
    assert_eq!(answer.problem(502, "backend"), "lambda-failed");
    assert!(!answer.text().contains("Signature"), "{answer:?}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_throttling_storm_loses_nothing_that_a_container_can_take() {
    let tasks = Upstream::saying("container").await;
    let (cloud, gateway) = functions(1, &tasks).await;
    cloud.fault(json!({ "lambda": { "storm": { "percent": 60 } } })).await;
    let mut lanes = [0, 0];
    for _ in 0..60 {
        let answer = gateway.post("/both/0", b"once").await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        lanes[usize::from(answer.text() == "container")] += 1;
    }
    assert!(lanes.iter().all(|count| 5 < *count), "{lanes:?}");
    // Each ran once: those that the container took did not run in the function.
    assert_eq!(runs(&cloud, "both0").await, lanes[0]);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn credentials_that_expired_are_refused_and_not_shown() {
    let tasks = Upstream::saying("container").await;
    let cloud =
        Cloud::start(&format!("functions:\n  f: {{ command: ['{SCRIPTED}', function] }}\n"), 1)
            .await;
    let policy = format!(
        "endpoint_url: {}\nservices: {{ app: {{ lambda: {{ function: f }}, container: {} }} }}\n\
         routes: [{{ match: {{}}, service: app, class: sprinter }}]\n",
        cloud.url(),
        container(&[&tasks], 10),
    );
    let setup = Setup { env: vec![("AWS_SECRET_ACCESS_KEY", "very-secret")], ..Setup::default() };
    let gateway = Gateway::start_with(&policy, setup).await;
    let expired = json!({ "function": "f", "type": "ExpiredTokenException", "count": 1 });
    cloud.fault(json!({ "lambda": { "error": expired } })).await;
    assert_eq!(gateway.post("/", b"once").await.text(), "container");
    assert!(
        !gateway.errors().contains("very-secret") && !gateway.log_text().contains("very-secret")
    );
    drop(gateway);
    cloud.stop().await;
}
