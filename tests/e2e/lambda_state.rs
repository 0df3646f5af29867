//! What the gateway reads of functions from Lambda's API, and what it does with it. Where nothing is under way it reads
//! again in half a minute; the tests have it read at once, by SIGHUP.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{
    Cloud, Gateway, Upstream,
    cloud::{Hold, SCRIPTED},
    gateway::container,
    process::run,
    until,
};

/// A cloud with the function `f`, which runs `scripted function`.
async fn cloud(more: &str) -> Cloud {
    let command = format!("['{SCRIPTED}', function]");
    Cloud::start(&format!("functions:\n  f: {{ command: {command}, {more} }}\n"), 50).await
}

/// A gateway whose service `app` has both lanes, and sends sprinters to `function`.
async fn gateway(cloud: &Cloud, tasks: &Upstream, function: &str, route: &str) -> Gateway {
    let (url, tasks) = (cloud.url(), container(&[tasks], 10));
    let assume = "assume: { memory: 1769MiB, timeout: 1m }";
    Gateway::start(&format!(
        "endpoint_url: {url}\ndefaults: {{ decision_header: true }}\n\
         services: {{ app: {{ lambda: {{ function: '{function}', {assume} }}, container: {tasks} }} }}\n\
         routes: [{{ match: {{}}, service: app, class: sprinter{route} }}]\n"
    ))
    .await
}

/// Waits until what the admin API shows of the function is as it should be.
async fn until_version(gateway: &Gateway, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(what, async || {
        let lambda = gateway.admin("/services").await[0]["lambda"].clone();
        is(&lambda["version"]).then_some(lambda)
    })
    .await
}

fn invocations(calls: &serde_json::Map<String, Value>) -> u64 {
    let invoked = calls.iter().filter(|(call, _)| call.contains("/invocations"));
    invoked.filter_map(|(_, count)| count.as_u64()).sum()
}

#[tokio::test]
async fn real_memory_and_timeout_hold_and_a_moved_alias_is_followed() {
    let tasks = Upstream::saying("container").await;
    let cloud = cloud("qualifiers: [live], memory: 512MiB, timeout: 2s").await;
    // Within what is assumed, beyond what the function has.
    let gateway = gateway(&cloud, &tasks, "f:live", ", auto: { prior: 5s }").await;
    let lambda =
        until_version(&gateway, "it is read", |version| version["state"] == "active").await;
    let version = &lambda["version"];
    assert_eq!((&version["memory_mib"], &version["timeout"]), (&json!(512), &json!("2s")));
    assert_eq!((&version["version"], &version["targets"]), (&json!("1"), &json!({ "1": 1.0 })));
    let answer = gateway.get("/").await;
    assert_eq!(answer.text(), "container", "{answer:?}");
    let policy = gateway.admin("/policy").await;
    assert_eq!(policy["services"][0]["lambda"]["memory_mib"], 512, "what is billed by");
    gateway
        .until_metric("pacer_lambda_state", &[("service", "app"), ("state", "active")], 1.0)
        .await;
    let warnings = version["warnings"].to_string();
    for part in ["memory 1769MiB, the function has 512MiB", "timeout 1m, the function has 2s"] {
        assert!(warnings.contains(part), "{part}: {warnings}");
        gateway.until_told(part).await;
    }
    let admin = format!("http://{}", gateway.admin);
    let status = run(["status", "--admin", &admin]).await.stdout;
    assert!(status.contains("f:live, version 1 active, SnapStart off, 512MiB, 2s"), "{status}");

    let function = "/2015-03-31/functions/f";
    let change = json!({ "MemorySize": 1024, "Timeout": 20 });
    cloud.lambda("PUT", &format!("{function}/configuration"), change).await;
    let made = cloud.lambda("POST", &format!("{function}/versions"), json!({})).await;
    assert_eq!(made["Version"], "2");
    let change = json!({ "FunctionVersion": "2" });
    cloud.lambda("PUT", &format!("{function}/aliases/live"), change).await;
    gateway.signal(Signal::HUP);
    let lambda =
        until_version(&gateway, "it is followed", |version| version["version"] == "2").await;
    let version = &lambda["version"];
    assert_eq!((&version["memory_mib"], &version["timeout"]), (&json!(1024), &json!("20s")));
    let answer = gateway.get("/").await;
    assert_eq!(answer.json()["count"], 1, "its timeout leaves room now: {answer:?}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_version_that_is_not_there_gets_nothing_until_it_is() {
    let tasks = Upstream::saying("container").await;
    let cloud = cloud("memory: 512MiB").await;
    let gateway = gateway(&cloud, &tasks, "f:next", "").await;
    let lambda =
        until_version(&gateway, "it is missed", |version| version["state"] == "absent").await;
    assert_eq!((&lambda["ready"], &lambda["up"]), (&json!(false), &json!(false)));
    let before = invocations(&cloud.calls().await);
    for _ in 0..5 {
        assert_eq!(gateway.post("/", b"once").await.text(), "container");
    }
    assert_eq!(invocations(&cloud.calls().await), before, "nothing is tried");
    let made = cloud.lambda("POST", "/2015-03-31/functions/f/versions", json!({})).await;
    let alias = json!({ "Name": "next", "FunctionVersion": made["Version"] });
    cloud.lambda("POST", "/2015-03-31/functions/f/aliases", alias).await;
    until_version(&gateway, "it is found", |version| version["state"] == "active").await;
    let answer = gateway.post("/", b"once").await;
    assert_eq!((answer.status(), &answer.json()["count"]), (200, &json!(1)), "{answer:?}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn an_inactive_snapshot_leaves_the_lane_is_woken_and_comes_back() {
    let tasks = Upstream::saying("container").await;
    let cloud = cloud("qualifiers: [live], memory: 512MiB, snap_start: true").await;
    let gateway = gateway(&cloud, &tasks, "f:live", "").await;
    let active = |version: &Value| version["state"] == "active" && version["snap_start"] == "on";
    until_version(&gateway, "it is Active", active).await;
    assert_ne!(gateway.post("/", b"once").await.text(), "container");
    let ran = cloud.state().await["functions"]["f"]["invocations"].clone();
    cloud.fault(json!({ "lambda": { "inactive": { "function": "f", "version": 1 } } })).await;
    gateway.signal(Signal::HUP);
    until_version(&gateway, "it is Inactive", |version| version["state"] == "inactive").await;
    // One of them wakes it; each is answered.
    for _ in 0..5 {
        assert_eq!(gateway.post("/", b"once").await.text(), "container");
    }
    assert_eq!(cloud.state().await["functions"]["f"]["invocations"], ran);
    until_version(&gateway, "it is Active again", active).await;
    until("the function answers", async || {
        (gateway.post("/", b"once").await.text() != "container").then_some(())
    })
    .await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn reserved_concurrency_caps_what_is_sent() {
    let tasks = Upstream::saying("container").await;
    let cloud = cloud("qualifiers: [live], memory: 512MiB, reserved_concurrency: 1").await;
    let gateway = gateway(&cloud, &tasks, "f:live", "").await;
    gateway.until_metric("pacer_lambda_concurrency_limit", &[("service", "app")], 1.0).await;
    let hold = Hold::new().await;
    let held = tokio::spawn(gateway.get(&hold.path()));
    let working = hold.begun().await;
    let answer = gateway.post("/", b"once").await;
    assert_eq!(answer.text(), "container");
    assert_eq!(invocations(&cloud.calls().await), 1, "nothing was sent to be throttled");
    drop(working);
    assert_eq!(held.await.unwrap().status(), 200);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn what_may_not_be_read_is_assumed_and_told_once() {
    let tasks = Upstream::saying("container").await;
    let cloud = cloud("qualifiers: [live], memory: 512MiB").await;
    let denied = json!({ "type": "AccessDeniedException", "count": 1000 });
    cloud.fault(json!({ "lambda": { "api": denied } })).await;
    let gateway = gateway(&cloud, &tasks, "f:live", "").await;
    let lambda =
        until_version(&gateway, "it is denied", |version| version["error"].is_string()).await;
    let version = &lambda["version"];
    assert_eq!((&version["state"], &version["memory_mib"]), (&json!("unread"), &json!(1769)));
    assert_eq!(version["assumed"], json!(["memory", "timeout", "arch", "concurrency"]));
    assert_eq!(gateway.get("/").await.json()["count"], 1, "the function is called all the same");
    // Another reading is no news.
    let asked = async || {
        let calls = cloud.calls().await;
        let reads = calls.iter().filter(|(call, _)| call.contains("/configuration"));
        reads.filter_map(|(_, count)| count.as_u64()).sum::<u64>()
    };
    assert_eq!(asked().await, 1);
    gateway.signal(Signal::HUP);
    until("it is asked again", async || (asked().await == 2).then_some(())).await;
    let admin = format!("http://{}", gateway.admin);
    let status = run(["status", "--admin", &admin]).await.stdout;
    assert!(status.contains("1769MiB assumed, 1m assumed"), "{status}");
    assert!(
        status.contains("NOT READ: not permitted: lambda:GetFunctionConfiguration"),
        "{status}"
    );
    // Permitted, it is read.
    cloud.clear_faults().await;
    gateway.signal(Signal::HUP);
    until_version(&gateway, "it is read", |version| version["memory_mib"] == 512).await;
    gateway.until_told("not permitted to read functions").await;
    let errors = gateway.errors();
    assert_eq!(errors.matches("not permitted to read functions").count(), 1, "{errors}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn what_was_read_last_stays_while_the_api_is_down() {
    let tasks = Upstream::saying("container").await;
    let cloud = cloud("qualifiers: [live], memory: 512MiB").await;
    let gateway = gateway(&cloud, &tasks, "f:live", "").await;
    until_version(&gateway, "it is read", |version| version["concurrency"].is_u64()).await;
    cloud.fault(json!({ "lambda": { "down": { "status": 503 } } })).await;
    gateway.signal(Signal::HUP);
    let lambda = until_version(&gateway, "it fails", |version| version["error"].is_string()).await;
    let version = &lambda["version"];
    assert_eq!((&version["state"], &version["memory_mib"]), (&json!("active"), &json!(512)));
    assert_eq!(lambda["ready"], true, "that it cannot be read says nothing of it");
    cloud.clear_faults().await;
    until_version(&gateway, "it is read again", |version| version["error"].is_null()).await;
    gateway.until_told("functions are read again").await;
    let errors = gateway.errors();
    assert_eq!(errors.matches("cannot read functions").count(), 1, "{errors}");
    assert_eq!(errors.matches("functions are read again").count(), 1, "{errors}");
    drop(gateway);
    cloud.stop().await;
}
