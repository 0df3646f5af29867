//! The Lambda lane against the local cloud: real environments, real processes, the real adapter.

use serde_json::json;

use crate::harness::{
    Cloud, Gateway,
    cloud::{Hold, SCRIPTED},
    process::pacer,
    upstream::event_body,
};

/// A cloud with the function `f`, which runs `scripted function`.
async fn scripted(more: &str) -> Cloud {
    let command = format!("['{SCRIPTED}', function]");
    Cloud::start(
        &format!("functions:\n  f: {{ command: {command}, qualifiers: [live]{more} }}\n"),
        1,
    )
    .await
}

async fn gateway(cloud: &Cloud, more: &str) -> Gateway {
    Gateway::start(&format!(
        "endpoint_url: {}\n\
         defaults: {{ decision_header: true }}\n\
         services: {{ app: {{ lambda: {{ function: 'f:live' }} }} }}\n\
         routes: [{{ match: {{}}, service: app{more} }}]\n",
        cloud.url()
    ))
    .await
}

#[tokio::test]
async fn an_environment_is_started_once_and_serves_again() {
    let cloud = scripted("").await;
    let gateway = gateway(&cloud, "").await;
    let first = gateway.post("/echo?a=1", b"body").await.json();
    assert_eq!(first["event"]["rawPath"], "/echo");
    assert_eq!(event_body(&first["event"]), b"body");
    let second = gateway.get("/").await.json();
    assert_eq!((&second["pid"], &second["count"]), (&first["pid"], &json!(2)));
    assert_eq!(cloud.state().await["functions"]["f"]["cold_starts"], 1);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_function_that_throws_exits_or_answers_garbage_is_a_502() {
    let cloud = scripted("").await;
    let gateway = gateway(&cloud, "").await;
    for path in ["/throw", "/exit", "/garbage", "/large"] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.problem(502, "backend"), "lambda-failed", "{path}");
        for leak in ["secret", "exit", "JSON at all", "rs:7"] {
            assert!(!answer.text().contains(leak), "{path}: {answer:?}");
        }
        // The next request finds an environment that works.
        assert_eq!(gateway.get("/").await.status(), 200, "after {path}");
    }
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_function_beyond_its_own_timeout_is_a_504() {
    let cloud = scripted(", timeout: 300ms").await;
    let gateway = gateway(&cloud, "").await;
    let hold = Hold::new().await;
    let asked = tokio::spawn(gateway.get(&hold.path()));
    let _working = hold.begun().await;
    let answer = asked.await.unwrap();
    assert_eq!(answer.problem(504, "backend"), "lambda-failed");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn faults_of_the_cloud_become_problems() {
    let cloud = scripted("").await;
    let gateway = gateway(&cloud, ", timeouts: { first_byte: 2s }").await;
    assert_eq!(gateway.get("/").await.status(), 200);
    for (fault, status) in [
        (json!({ "throttle": { "function": "f" } }), 503),
        (json!({ "payload": { "function": "f", "kind": "garbage" } }), 502),
        (json!({ "hang": { "function": "f" } }), 504),
        (json!({ "drop": { "function": "f", "when": "before" } }), 502),
        (json!({ "drop": { "function": "f", "when": "after" } }), 502),
        (
            json!({ "error": { "function": "f", "status": 409, "type": "SnapStartNotReadyException" } }),
            503,
        ),
    ] {
        cloud.fault(json!({ "lambda": fault })).await;
        let answer = gateway.post("/", b"once").await;
        assert_eq!(answer.problem(status, "backend"), "lambda-failed", "{fault}");
        assert_eq!(gateway.get("/").await.status(), 200, "after {fault}");
    }
    // Of six POSTs, only the one whose answer was dropped ran.
    assert_eq!(cloud.state().await["functions"]["f"]["invocations"], 1 + 1 + 6);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn reserved_concurrency_throttles_and_nothing_runs_twice() {
    let cloud = scripted(", reserved_concurrency: 1").await;
    // The gateway is not to know.
    let denied = json!({ "type": "AccessDeniedException", "count": 1000 });
    cloud.fault(json!({ "lambda": { "api": denied } })).await;
    let gateway = gateway(&cloud, "").await;
    let hold = Hold::new().await;
    let held = tokio::spawn(gateway.get(&hold.path()));
    let working = hold.begun().await;
    assert_eq!(gateway.get("/").await.problem(503, "backend"), "lambda-failed");
    drop(working);
    assert_eq!(held.await.unwrap().status(), 200);
    assert_eq!(gateway.get("/").await.json()["count"], 2);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn the_unchanged_demo_app_is_a_function_by_its_adapter() {
    let pacer = pacer().display().to_string();
    let command = format!(
        "['{pacer}', adapter, --port, '0', --ready-path, /health, '--', '{pacer}', demo-app]"
    );
    let cloud = Cloud::start(
        &format!(
            "functions:\n  f: {{ command: {command}, qualifiers: [live], memory: 1769MiB }}\n"
        ),
        1,
    )
    .await;
    let gateway = gateway(&cloud, "").await;
    let photo = gateway.get("/thumb?size=64").await;
    assert_eq!((photo.status(), photo.head.get("content-type")), (200, Some("image/jpeg")));
    assert!(photo.body.bytes.starts_with(&[0xFF, 0xD8, 0xFF]), "no JPEG: {:?}", photo.head);
    assert_eq!(photo.decision("start"), "cold");
    // A binary body both ways: what came out goes in again.
    let again = gateway.post("/resize?width=40", &photo.body.bytes).await;
    assert_eq!(again.status(), 200, "{}", again.text());
    assert!(again.body.bytes.starts_with(&[0xFF, 0xD8, 0xFF]));
    assert_eq!(again.decision("start"), "warm");
    assert_eq!(again.head.names("x-pacer-"), ["x-pacer-decision"]);
    assert!(again.head.names("x-amz").is_empty(), "{again:?}");
    // The gateway counts what the adapter tells, whose clock runs within the one that bills: it begins when the process
    // does, not when it is asked for. Each invoke is rounded up on its own.
    let log = gateway.log(2).await;
    assert_eq!((&log[0]["cold_start"], &log[1]["cold_start"]), (&json!(true), &json!(false)));
    let told: i64 = log.iter().map(|line| line["billed_ms"].as_i64().unwrap()).sum();
    let billed = cloud.bill().await["functions"]["f"]["billed_ms"].as_i64().unwrap();
    assert!(2 <= told && told <= billed + 2, "told {told} ms, billed {billed} ms");
    drop(gateway);
    cloud.stop().await;
}
