//! Tasks that ECS runs: found, proven, drained, and kept when the API is down.
//!
//! The tasks live on after SIGTERM until their stop timeout: what the gateway does in that time is what is tested.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{
    Cloud, Gateway,
    cloud::{Hold, SCRIPTED},
    gateway::Setup,
    until,
};

/// A cloud with the service `prod/web` of `desired` tasks, which run `scripted task`.
async fn cloud(desired: u32) -> Cloud {
    cloud_with(desired, "start_lag: 1s", "").await
}

/// The same, with `more` of the service and what comes after the clusters.
async fn cloud_with(desired: u32, more: &str, after: &str) -> Cloud {
    let command = format!("['{SCRIPTED}', task]");
    Cloud::start(
        &format!(
            "clusters:\n  prod:\n    services:\n      web: {{ command: {command}, desired: {desired}, stop_timeout: 100s, \
             env: {{ UNREADY: '${{DIR}}/unready' }}, {more} }}\n{after}"
        ),
        5,
    )
    .await
}

async fn gateway(cloud: &Cloud, tasks: usize) -> Gateway {
    gateway_with(cloud, tasks, "").await
}

/// The same, with `more` in `ecs`.
async fn gateway_with(cloud: &Cloud, tasks: usize, more: &str) -> Gateway {
    let policy = format!(
        "endpoint_url: {}\n\
         defaults: {{ decision_header: true }}\n\
         services:\n  web:\n    container:\n      ecs: {{ cluster: prod, service: web, port: 8080{more} }}\n      \
         requests_per_task: 2\n      probe: {{ path: /health, interval: 200ms }}\n\
         routes: [{{ match: {{}}, service: web }}]\n",
        cloud.url()
    );
    let gateway =
        Gateway::start_with(&policy, Setup { wait_ready: false, ..Setup::default() }).await;
    ready(&gateway, tasks).await;
    gateway
}

/// Waits until `count` tasks are ready.
async fn ready(gateway: &Gateway, count: usize) {
    let labels = [("service", "web"), ("state", "ready")];
    gateway.until_metric("pacer_tasks", &labels, count as f64).await;
}

async fn task_states(gateway: &Gateway) -> Vec<Value> {
    let services = gateway.admin("/services").await;
    let tasks = services[0]["container"]["tasks"].as_array().cloned().unwrap_or_default();
    tasks.into_iter().map(|task| task["state"].clone()).collect()
}

#[tokio::test]
async fn tasks_are_found_and_share_the_requests() {
    let cloud = cloud(2).await;
    let gateway = gateway(&cloud, 2).await;
    let mut pids = Vec::new();
    for _ in 0..40 {
        let answer = gateway.get("/").await;
        assert_eq!((answer.status(), answer.decision("lane")), (200, "container"));
        pids.push(answer.text().to_owned());
    }
    pids.sort();
    pids.dedup();
    assert_eq!(pids.len(), 2);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_new_task_is_given_requests_only_after_its_probe() {
    let cloud = cloud(0).await;
    let gateway = gateway(&cloud, 0).await;
    let unready = cloud.directory.path().join("unready");
    std::fs::write(&unready, "").unwrap();
    assert_eq!(gateway.get("/").await.problem(503, "gateway"), "unavailable");
    cloud.scale(1).await;
    cloud.tasks(1).await;
    // ECS says that it runs, and the gateway knows it; it says itself that it is not ready.
    until("the task is known", async || {
        (task_states(&gateway).await == ["unproven"]).then_some(())
    })
    .await;
    assert_eq!(gateway.get("/").await.problem(503, "gateway"), "unavailable");
    std::fs::remove_file(&unready).unwrap();
    ready(&gateway, 1).await;
    assert_eq!(gateway.get("/").await.status(), 200);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_task_that_stops_finishes_what_it_has() {
    let cloud = cloud(1).await;
    let gateway = gateway(&cloud, 1).await;
    let hold = Hold::new().await;
    let held = tokio::spawn(gateway.get(&hold.path()));
    let working = hold.begun().await;
    cloud.scale(0).await;
    // The task itself would still take requests: it lives on after SIGTERM, as an app does that finishes its work.
    until("it drains", async || (task_states(&gateway).await == ["draining"]).then_some(())).await;
    assert_eq!(gateway.get("/").await.problem(503, "gateway"), "unavailable");
    drop(working);
    assert_eq!(held.await.unwrap().status(), 200);
    until("it is forgotten", async || task_states(&gateway).await.is_empty().then_some(())).await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn traffic_goes_on_while_the_api_is_down() {
    let cloud = cloud(1).await;
    let gateway = gateway(&cloud, 1).await;
    cloud.fault(json!({ "ecs": { "down": { "status": 503 } } })).await;
    until("a listing failed", async || {
        assert_eq!(gateway.get("/").await.status(), 200);
        let status = gateway.admin("/status").await;
        (status["discovery"][0]["ok"] == false).then_some(())
    })
    .await;
    assert_eq!(task_states(&gateway).await, ["ready"]);
    assert_eq!(gateway.get("/").await.status(), 200);
    let errors = gateway.metrics().await.get("pacer_discovery_errors_total", &[("service", "web")]);
    assert!(1.0 <= errors, "{errors}");
    cloud.clear_faults().await;
    cloud.scale(2).await;
    ready(&gateway, 2).await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_killed_task_is_noticed_at_once_and_replaced() {
    let cloud = cloud(2).await;
    let gateway = gateway(&cloud, 2).await;
    let killed = cloud.tasks(2).await.remove(0);
    cloud.fault(json!({ "ecs": { "kill": { "task": killed["arn"] } } })).await;
    // GETs that meet it run on the other one: no client sees anything.
    for _ in 0..50 {
        assert_eq!(gateway.get("/").await.status(), 200);
    }
    until("it is replaced", async || {
        let tasks = cloud.tasks(2).await;
        tasks.iter().all(|task| task["arn"] != killed["arn"]).then_some(())
    })
    .await;
    ready(&gateway, 2).await;
    drop(gateway);
    cloud.stop().await;
}

/// Sends requests one after the other until `done`, and asserts that none is lost. Returns the tasks that answered.
async fn under_load(
    gateway: &Gateway,
    what: &str,
    mut done: impl AsyncFnMut() -> bool,
) -> BTreeSet<String> {
    let mut pids = BTreeSet::new();
    until(what, async || {
        for _ in 0..5 {
            let answer = gateway.get("/").await;
            assert_eq!(answer.status(), 200, "{answer:?}");
            pids.insert(answer.text().to_owned());
        }
        done().await.then_some(())
    })
    .await;
    pids
}

/// How many calls of the ECS API there were.
async fn ecs_calls(cloud: &Cloud) -> u64 {
    let calls = cloud.state().await["ecs_calls"].as_object().cloned().unwrap_or_default();
    calls.values().filter_map(Value::as_u64).sum()
}

const SPOT: &str = "start_lag: 1s, capacity_providers: [{ provider: FARGATE_SPOT }]";

#[tokio::test]
async fn a_spot_notice_drains_a_task_before_it_dies() {
    let cloud = cloud_with(2, SPOT, "").await;
    let gateway = gateway(&cloud, 2).await;
    let hold = Hold::new().await;
    let held = tokio::spawn(gateway.get(&hold.path()));
    let working = hold.begun().await;
    // The task that works on it.
    let tasks = gateway.admin("/services").await[0]["container"]["tasks"].clone();
    let busy = tasks.as_array().unwrap().iter().find(|task| task["busy"] == 1).unwrap().clone();
    let victim = cloud
        .tasks(2)
        .await
        .into_iter()
        .find(|task| task["arn"].as_str().unwrap().ends_with(busy["name"].as_str().unwrap()));
    let victim = victim.unwrap();
    cloud.fault(json!({ "ecs": { "spot_interruption": { "task": victim["arn"] } } })).await;
    let pid = victim["pid"].to_string();
    under_load(&gateway, "it is drained", async || {
        task_states(&gateway).await.contains(&json!("draining"))
    })
    .await;
    // It lives on, and would answer; nothing is sent to it any more.
    for _ in 0..20 {
        assert_ne!(gateway.get("/").await.text(), pid);
    }
    drop(working);
    assert_eq!(held.await.unwrap().status(), 200, "what it had begun, it finished");
    under_load(&gateway, "another took its place", async || {
        let tasks = cloud.tasks(2).await;
        tasks.iter().all(|task| task["arn"] != victim["arn"] && task["provider"] == "FARGATE_SPOT")
    })
    .await;
    ready(&gateway, 2).await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_task_that_ecs_calls_unhealthy_is_given_nothing() {
    // Each task is checked by a file of its own. A successor takes ten seconds to start: so long is the sick one seen.
    let check = "start_lag: 50s, health_check: { command: [CMD-SHELL, 'test ! -e ${DIR}/ill-$HOST'], interval: 5s, \
                 timeout: 60s, retries: 1 }";
    let cloud = cloud_with(2, check, "").await;
    let gateway = gateway(&cloud, 2).await;
    let ill = cloud.tasks(2).await.remove(0);
    let host = ill["address"].as_str().unwrap().split(':').next().unwrap();
    std::fs::write(cloud.directory.path().join(format!("ill-{host}")), "").unwrap();
    under_load(&gateway, "it leaves", async || {
        task_states(&gateway).await.contains(&json!("unproven"))
    })
    .await;
    // Its own probe still answers: only ECS's check says otherwise.
    let pids = under_load(&gateway, "it is replaced", async || {
        let tasks = cloud.tasks(2).await;
        tasks.iter().all(|task| task["arn"] != ill["arn"])
    })
    .await;
    assert!(!pids.contains(&ill["pid"].to_string()), "{pids:?}");
    ready(&gateway, 2).await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_deployment_that_overlaps_loses_no_request() {
    // New tasks count when their check has passed, eight seconds after their start: so long both deployments serve, and
    // the gateway lists them at least every six.
    let check = "start_lag: 1s, health_check: { command: [CMD-SHELL, 'true'], interval: 40s, timeout: 60s }";
    let cloud = cloud_with(2, check, "").await;
    let gateway = gateway(&cloud, 2).await;
    let old = until("they are healthy", async || {
        let tasks = cloud.tasks(2).await;
        let healthy = tasks.iter().filter(|task| task["health"] == "HEALTHY");
        let arns: Vec<_> = healthy.map(|task| task["arn"].clone()).collect();
        (arns.len() == 2).then_some(arns)
    })
    .await;
    let service = cloud.update(json!({ "forceNewDeployment": true })).await;
    assert_eq!(service["deployments"].as_array().unwrap().len(), 2, "{service}");
    let mut most = 0;
    let pids = under_load(&gateway, "the new tasks took over", async || {
        most = most.max(task_states(&gateway).await.len());
        let state = cloud.state().await;
        let tasks = state["services"]["prod/web"]["tasks"].as_array().unwrap().clone();
        let is_old = |task: &&Value| old.contains(&task["arn"]);
        tasks.iter().filter(is_old).all(|task| task["desired"] == "STOPPED")
            && task_states(&gateway).await == ["ready", "ready"]
    })
    .await;
    assert_eq!((pids.len(), most), (4, 4), "both deployments served, and at once");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_throttled_api_is_asked_less_often_and_traffic_goes_on() {
    let cloud = cloud(1).await;
    let gateway = gateway(&cloud, 1).await;
    cloud.fault(json!({ "ecs": { "throttle": {} } })).await;
    let before = ecs_calls(&cloud).await;
    let failures =
        async || gateway.admin("/status").await["discovery"][0]["failures_in_a_row"].clone();
    under_load(&gateway, "two polls failed", async || 2 <= failures().await.as_u64().unwrap_or(0))
        .await;
    let after = ecs_calls(&cloud).await;
    // One call a poll: the first that is throttled ends it. One more may have been on its way when the fault came.
    assert!((2..=4).contains(&(after - before)), "{before} to {after}");
    let error = gateway.admin("/status").await["discovery"][0]["error"].to_string();
    assert!(error.contains("ThrottlingException"), "{error}");
    assert_eq!(task_states(&gateway).await, ["ready"]);
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn tasks_in_bridge_mode_are_found_by_their_host_ports() {
    let cloud = cloud_with(2, "start_lag: 1s, network: bridge", "").await;
    let gateway = gateway(&cloud, 2).await;
    let pids = under_load(&gateway, "it serves", async || true).await;
    assert!(!pids.is_empty());
    let tasks = cloud.tasks(2).await;
    assert!(tasks.iter().all(|task| task["address"].as_str().unwrap().starts_with("127.0.0.1:")));
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn an_event_tells_of_a_spot_notice_that_the_api_cannot() {
    let queue = "queues:\n  tasks: { task_events_of: [prod] }\n";
    let cloud = cloud_with(2, SPOT, queue).await;
    let events = format!(", events: '{}/123456789012/tasks'", cloud.url());
    let gateway = gateway_with(&cloud, 2, &events).await;
    // From here on no listing says anything new.
    cloud.fault(json!({ "ecs": { "throttle": {} } })).await;
    until("a listing failed", async || {
        let status = gateway.admin("/status").await;
        (status["discovery"][0]["ok"] == false).then_some(())
    })
    .await;
    let victim = cloud.tasks(2).await.remove(0);
    cloud.fault(json!({ "ecs": { "spot_interruption": { "task": victim["arn"] } } })).await;
    under_load(&gateway, "it is drained and forgotten", async || {
        task_states(&gateway).await == ["ready"]
    })
    .await;
    drop(gateway);
    cloud.stop().await;
}
