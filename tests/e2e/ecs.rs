//! Tasks that ECS runs: found, proven, drained, and kept when the API is down.

use serde_json::{Value, json};

use crate::harness::{
    Cloud, Gateway,
    cloud::{Hold, SCRIPTED},
    gateway::Setup,
    until,
};

/// A cloud with the service `prod/web` of `desired` tasks, which run `scripted task`.
async fn cloud(desired: u32) -> Cloud {
    let command = format!("['{SCRIPTED}', task]");
    Cloud::start(
        &format!(
            "clusters:\n  prod:\n    services:\n      web: {{ command: {command}, desired: {desired}, start_lag: 1s, \
             stop_timeout: 100s, env: {{ UNREADY: '${{DIR}}/unready' }} }}\n"
        ),
        5,
    )
    .await
}

async fn gateway(cloud: &Cloud, tasks: usize) -> Gateway {
    let policy = format!(
        "endpoint_url: {}\n\
         defaults: {{ decision_header: true }}\n\
         services:\n  web:\n    container:\n      ecs: {{ cluster: prod, service: web, port: 8080 }}\n      \
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
