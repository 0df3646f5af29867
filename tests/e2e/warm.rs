//! `mode: act` on the Lambda lane: environments are warm before anybody asks, at the local cloud's Lambda and the real adapter.

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    act::done,
    harness::{
        Cloud, Gateway,
        cloud::SCRIPTED,
        gateway::Setup,
        process::{pacer, run},
        until,
    },
};

/// The function `f` as the demo's app behind the adapter.
fn adapted() -> String {
    let pacer = pacer().display().to_string();
    format!("['{pacer}', adapter, --port, '0', --ready-path, /health, '--', '{pacer}', demo-app]")
}

/// A cloud with the function `f` that runs `command`, whose lags pass `scale` times as fast as real.
async fn cloud(command: &str, scale: u32) -> Cloud {
    let function = format!("command: {command}, qualifiers: [live], memory: 512MiB, idle: 300s");
    Cloud::start(&format!("functions:\n  f: {{ {function} }}\n"), scale).await
}

fn policy(cloud: &Cloud, mode: &str, lambda: &str) -> String {
    format!(
        "endpoint_url: {}\n\
         defaults: {{ decision_header: true, mode: {mode} }}\n\
         services: {{ app: {{ lambda: {{ function: 'f:live', {lambda} }} }} }}\n\
         routes: [{{ match: {{}}, service: app }}]\n",
        cloud.url()
    )
}

async fn gateway(policy: &str, scale: &'static str) -> Gateway {
    let arguments = vec!["--time-scale", scale];
    Gateway::start_with(policy, Setup { arguments, ..Setup::default() }).await
}

/// What runs of the function.
async fn function(cloud: &Cloud) -> Value {
    cloud.state().await["functions"]["f"].clone()
}

#[tokio::test]
async fn environments_are_warm_before_requests_come_and_stay_so() {
    let cloud = cloud(&adapted(), 20).await;
    let gateway = gateway(&policy(&cloud, "act", "warm_pool: { min: 3, max: 3 }"), "20").await;
    until("three environments are warm", async || {
        let function = function(&cloud).await;
        (function["environments"].as_array()?.len() == 3 && function["in_flight"] == 0)
            .then_some(())
    })
    .await;
    let deed = done(&gateway, "warm-up", "3 warm").await;
    assert_eq!(deed["why"], "3 environments warm: at the least of 3 (warm_pool.min)", "{deed}");
    let (a, b, c) = tokio::join!(
        gateway.get("/thumb?size=512"),
        gateway.get("/thumb?size=512"),
        gateway.get("/thumb?size=512"),
    );
    for answer in [a, b, c] {
        assert_eq!((answer.status(), answer.decision("start")), (200, "warm"), "{answer:?}");
    }
    // One to see who answers, three to warm, three requests; and the next round, before any would be taken down.
    until("a second round", async || {
        (10 <= function(&cloud).await["invocations"].as_u64()?).then_some(())
    })
    .await;
    let now = function(&cloud).await;
    assert_eq!((&now["cold_starts"], &now["function_errors"]), (&json!(3), &json!(0)), "{now}");
    let plan = gateway.admin("/services").await[0]["plan"].clone();
    assert_eq!((&plan["warm"], &plan["tasks"]), (&json!(3), &Value::Null), "{plan}");
    // Three at once were there, and more may be: as many as the policy allows are held.
    gateway.write_policy(&policy(&cloud, "act", "warm_pool: { min: 3, max: 5 }"));
    until("five environments are warm", async || {
        (function(&cloud).await["environments"].as_array()?.len() == 5).then_some(())
    })
    .await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn to_observe_warms_nothing() {
    let cloud = cloud(&adapted(), 20).await;
    let gateway = gateway(&policy(&cloud, "observe", "warm_pool: { min: 3, max: 5 }"), "20").await;
    let warm = [("service", "app"), ("kind", "warm")];
    gateway.until_metric("pacer_planned_environments", &warm, 3.0).await;
    // Whatever is done of a plan is done in the tick that makes it: another has passed when the plan is of a later step.
    let planned = gateway.admin("/services").await[0]["plan"]["at"].clone();
    until("it is planned again", async || {
        (gateway.admin("/services").await[0]["plan"]["at"] != planned).then_some(())
    })
    .await;
    assert_eq!(function(&cloud).await["invocations"], 0);
    assert_eq!(gateway.admin("/status").await["actions"], json!([]));
    let calls = cloud.calls().await;
    assert!(calls.keys().all(|call| call.starts_with("GET ")), "{calls:?}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_function_without_the_adapter_is_left_alone_after_one_try() {
    let cloud = cloud(&format!("['{SCRIPTED}', function]"), 20).await;
    let pool = |min: u32| format!("warm_pool: {{ min: {min}, max: 5 }}");
    let gateway = gateway(&policy(&cloud, "act", &pool(3)), "20").await;
    let deed = done(&gateway, "warm-up", "warm").await;
    let error = deed["error"].as_str().unwrap_or_default();
    assert!(error.contains("`f:live` is not behind the adapter"), "{deed}");
    let planned = gateway.admin("/services").await[0]["plan"]["at"].clone();
    until("it is planned again", async || {
        (gateway.admin("/services").await[0]["plan"]["at"] != planned).then_some(())
    })
    .await;
    assert_eq!(function(&cloud).await["invocations"], 1);
    assert_eq!(gateway.get("/").await.status(), 200, "requests go on");
    // Another policy has it tried again, once.
    gateway.write_policy(&policy(&cloud, "act", &pool(4)));
    let failed = [("service", "app"), ("kind", "warm-up"), ("result", "failed")];
    gateway.until_metric("pacer_actions_total", &failed, 2.0).await;
    assert_eq!(function(&cloud).await["invocations"], 3);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn provisioned_concurrency_is_had_and_given_back() {
    let cloud = cloud(&adapted(), 60).await;
    let text = |pool: &str| {
        policy(&cloud, "act", &format!("cold_start: provisioned, warm_pool: {{ {pool} }}"))
    };
    let gateway = gateway(&text("min: 2, max: 4"), "60").await;
    done(&gateway, "provision", "provisioned concurrency 0 -> 2").await;
    let has = async |count: f64| {
        let state = [("service", "app"), ("kind", "requested")];
        gateway.until_metric("pacer_lambda_provisioned", &state, count).await;
    };
    has(2.0).await;
    gateway.write_policy(&text("min: 0, max: 4"));
    done(&gateway, "provision", "provisioned concurrency 2 -> none").await;
    until("it is read that there is none", async || {
        let lambda = gateway.admin("/services").await[0]["lambda"].clone();
        let version = &lambda["version"];
        (version.is_object() && version["provisioned"].is_null()).then_some(())
    })
    .await;
    // Once to set it, once to remove it: nothing is done twice.
    let calls = cloud.calls().await;
    let changes = |method: &str| -> u64 {
        let of = |(call, times): (&String, &Value)| {
            let is = call.starts_with(method) && call.contains("provisioned-concurrency");
            times.as_u64().filter(|_| is)
        };
        calls.iter().filter_map(of).sum()
    };
    assert_eq!((changes("PUT "), changes("DELETE ")), (1, 1), "{calls:?}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_throttled_round_ends_and_is_tried_again_later() {
    let cloud = cloud(&adapted(), 20).await;
    cloud.fault(json!({ "lambda": { "throttle": { "function": "f" } } })).await;
    let gateway = gateway(&policy(&cloud, "act", "warm_pool: { min: 3, max: 3 }"), "20").await;
    let deed = done(&gateway, "warm-up", "warm").await;
    let error = deed["error"].as_str().unwrap_or_default();
    assert!(error.starts_with("Invoke for `f:live`: TooManyRequestsException"), "{deed}");
    assert_eq!(function(&cloud).await["cold_starts"], 0);
    cloud.clear_faults().await;
    done(&gateway, "warm-up", "3 warm").await;
    assert_eq!(function(&cloud).await["cold_starts"], 3);
    let status = run(["status", "--admin", &format!("http://{}", gateway.admin)]).await;
    assert!(status.stdout.contains("app: 3 environments warm: at the least of 3"), "{status:?}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_days_budget_is_not_spent_twice_by_a_gateway_that_was_killed() {
    let cloud = cloud(&adapted(), 5).await;
    let state = TempDir::new().expect("there is room for temporary files");
    let state = format!("state: '{}'\n", state.path().display());
    // An invoke is reckoned at half a second of 512 MiB, 0.0000044 USD: there is enough for one, hardly for two, and not for three.
    let pool = "assume: { memory: 512MiB, timeout: 30s }, warm_pool: { min: 3, max: 3, spend: $0.000005/day }";
    let policy = state + &policy(&cloud, "act", pool);
    let spent = "what `warm_pool.spend` allows for the day (UTC) is spent";
    let first = gateway(&policy, "5").await;
    first.until_told(spent).await;
    let warmed = function(&cloud).await["invocations"].as_u64().expect("it is a number");
    assert!((1..=2).contains(&warmed), "{warmed}");
    first.signal(Signal::KILL);
    first.ended().await;

    let second = gateway(&policy, "5").await;
    second.until_told(spent).await;
    assert_eq!(function(&cloud).await["invocations"], warmed, "it is the same day's");
    assert_eq!(second.get("/thumb?size=512").await.status(), 200, "requests are served");
    drop(second);
    cloud.stop().await;
}

#[tokio::test]
async fn what_pacer_provisioned_goes_with_the_pool_and_what_others_did_stays() {
    let cloud = cloud(&adapted(), 60).await;
    let state = TempDir::new().expect("there is room for temporary files");
    let state = format!("state: '{}'\n", state.path().display());
    let with = |lambda: &str| state.clone() + &policy(&cloud, "act", lambda);
    let first =
        gateway(&with("cold_start: provisioned, warm_pool: { min: 2, max: 4 }"), "60").await;
    done(&first, "provision", "provisioned concurrency 0 -> 2").await;
    first.signal(Signal::KILL);
    first.ended().await;

    // Another life, and a policy that asks for none any more.
    let second = gateway(&with("cold_start: provisioned"), "60").await;
    let deed = done(&second, "provision", "provisioned concurrency 2 -> none").await;
    assert_eq!(deed["why"], "the policy does not ask for it any more, and Pacer set it", "{deed}");
    until("it is gone", async || {
        second.signal(Signal::HUP);
        let lambda = second.admin("/services").await[0]["lambda"].clone();
        let version = &lambda["version"];
        (version.is_object() && version["provisioned"].is_null()).then_some(())
    })
    .await;

    // What somebody else sets is theirs.
    let path = "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=live";
    cloud.lambda("PUT", path, json!({ "ProvisionedConcurrentExecutions": 1 })).await;
    let requested = [("service", "app"), ("kind", "requested")];
    until("it is read", async || {
        second.signal(Signal::HUP);
        let metrics = second.metrics().await;
        (metrics.get("pacer_lambda_provisioned", &requested) > 0.5).then_some(())
    })
    .await;
    // Whatever is done of what was read is done in the tick that follows: the loop has learned something since.
    let worlds =
        async || second.admin("/status").await["worlds_published"].as_u64().expect("a number");
    let before = worlds().await;
    until("the loop went on", async || {
        second.get("/thumb?size=512").await;
        (before < worlds().await).then_some(())
    })
    .await;
    let removed = cloud.calls().await.into_iter().filter(|(call, _)| {
        call.starts_with("DELETE ") && call.contains("provisioned-concurrency")
    });
    assert_eq!(removed.map(|(_, times)| times.as_u64().unwrap_or(0)).sum::<u64>(), 1);
    drop(second);
    cloud.stop().await;
}
