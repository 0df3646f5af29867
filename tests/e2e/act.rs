//! `mode: act`: what is planned is had, at AWS's own APIs on the local cloud; nobody's request is lost for it.

use serde_json::{Value, json};

use crate::harness::{
    Cloud, Gateway,
    cloud::{Hold, SCRIPTED},
    gateway::Setup,
    process::run,
    until,
};

/// How much faster than real plans and the cloud's lags pass here.
const SCALE: u32 = 20;

/// A cloud with the service `prod/web` of `desired` tasks.
async fn cloud(desired: u32) -> Cloud {
    cloud_with(desired, "", SCALE).await
}

/// The same, with `more` of the service, and lags that pass `scale` times as fast.
async fn cloud_with(desired: u32, more: &str, scale: u32) -> Cloud {
    let command = format!("['{SCRIPTED}', task]");
    let config = format!(
        "clusters:\n  prod:\n    services:\n      web: {{ command: {command}, desired: {desired}, \
         start_lag: 2s, stop_timeout: 100s{more} }}\n"
    );
    Cloud::start(&config, scale).await
}

fn policy(cloud: &Cloud, mode: &str, tasks: &str) -> String {
    format!(
        "endpoint_url: {}\ndefaults: {{ mode: {mode} }}\nservices:\n  web:\n    container:\n      \
         ecs: {{ cluster: prod, service: web, port: 8080 }}\n      requests_per_task: 1\n      \
         probe: {{ path: /health, interval: 200ms }}\n      {tasks}\n\
         routes: [{{ match: {{}}, service: web, timeouts: {{ queue: 5s }} }}]\n",
        cloud.url()
    )
}

const ROLE: &str = "scheduler_role: arn:aws:iam::123456789012:role/pacer-fallback";

fn tasks(bounds: &str) -> String {
    format!("tasks: {{ {bounds}, {ROLE} }}")
}

async fn gateway(policy: &str) -> Gateway {
    let arguments = vec!["--time-scale", "20"];
    Gateway::start_with(policy, Setup { wait_ready: false, arguments, ..Setup::default() }).await
}

/// Waits until the service is to have so many tasks.
async fn desired(cloud: &Cloud, count: u32) {
    until(&format!("{count} tasks are desired"), async || {
        (cloud.state().await["services"]["prod/web"]["desired"] == count).then_some(())
    })
    .await;
}

/// Waits until something of that kind was done, and returns it.
pub(crate) async fn done(gateway: &Gateway, kind: &str, what: &str) -> Value {
    until(&format!("{kind}: {what}"), async || {
        let status = gateway.admin("/status").await;
        let actions = status["actions"].as_array()?.clone();
        let is_it = |action: &Value| {
            action["kind"] == kind && action["what"].as_str().is_some_and(|did| did.contains(what))
        };
        actions.into_iter().find(is_it)
    })
    .await
}

#[tokio::test]
async fn tasks_come_as_planned_and_go_when_they_are_idle() {
    let cloud = cloud(1).await;
    let three = policy(&cloud, "act", &tasks("min: 3, max: 5, fallback: 3"));
    let gateway = gateway(&three).await;
    desired(&cloud, 3).await;
    let done_so = done(&gateway, "scale-out", "tasks 1 -> 3").await;
    assert!(
        done_so["why"].as_str().unwrap().starts_with("3 tasks: at the least of 3"),
        "{done_so}"
    );
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 3.0).await;
    // Each has a request when fewer are wanted.
    let mut holds = Vec::new();
    for _ in 0..3 {
        let hold = Hold::new().await;
        let held = tokio::spawn(gateway.get(&hold.path()));
        holds.push((hold.begun().await, held));
    }
    gateway.write_policy(&policy(&cloud, "act", &tasks("min: 1, max: 1, fallback: 1")));
    gateway.until_metric("pacer_tasks", &[("state", "draining")], 2.0).await;
    let state = cloud.state().await;
    assert_eq!(state["services"]["prod/web"]["desired"], 3, "they have work: {state}");
    for (working, held) in holds {
        drop(working);
        assert_eq!(held.await.unwrap().status(), 200);
    }
    desired(&cloud, 1).await;
    cloud.tasks(1).await;
    done(&gateway, "release", "let go").await;
    assert_eq!(gateway.get("/").await.status(), 200, "the one that stays serves");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_gateway_that_has_just_started_takes_nothing_back() {
    let cloud = cloud(3).await;
    let gateway = gateway(&policy(&cloud, "act", &tasks("min: 1, max: 5, fallback: 2"))).await;
    gateway.until_metric("pacer_planned_tasks", &[("service", "web")], 1.0).await;
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 3.0).await;
    done(&gateway, "protect", "protect").await;
    assert_eq!(
        cloud.state().await["services"]["prod/web"]["desired"],
        3,
        "it has seen no load yet"
    );
    // Five minutes of the plans' time later it knows that there is none.
    desired(&cloud, 1).await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn frozen_nothing_is_changed_until_it_is_thawed() {
    let cloud = cloud(2).await;
    let gateway = gateway(&policy(&cloud, "observe", &tasks("min: 4, max: 4, fallback: 4"))).await;
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 2.0).await;
    let admin = format!("http://{}", gateway.admin);
    assert_eq!(run(["freeze", "--admin", &admin, "we think"]).await.code, Some(0));
    gateway.write_policy(&policy(&cloud, "act", &tasks("min: 4, max: 4, fallback: 4")));
    gateway.until_metric("pacer_planned_tasks", &[("service", "web")], 4.0).await;
    // What keeps capacity as it is goes on: the schedule for when Pacer is gone, and protection.
    done(&gateway, "fallback", "fall back to 4 tasks").await;
    done(&gateway, "protect", "protect").await;
    let updates = async || {
        let calls = cloud.calls().await;
        let updates = calls.iter().filter(|(name, _)| name.contains("UpdateService"));
        updates.filter_map(|(_, count)| count.as_u64()).sum::<u64>()
    };
    assert_eq!(
        (updates().await, &cloud.state().await["services"]["prod/web"]["desired"]),
        (0, &json!(2))
    );
    assert_eq!(gateway.get("/").await.status(), 200, "traffic goes on");
    assert_eq!(run(["thaw", "--admin", &admin]).await.code, Some(0));
    desired(&cloud, 4).await;
    let audit = gateway.admin("/audit").await;
    let kinds: Vec<_> =
        audit.as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    for kind in ["scale-out", "thaw", "protect", "policy", "mode", "freeze"] {
        assert!(kinds.contains(&kind), "{audit}");
    }
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn to_observe_changes_nothing() {
    let cloud = cloud(1).await;
    let gateway = gateway(&policy(&cloud, "observe", &tasks("min: 3, max: 5, fallback: 3"))).await;
    gateway.until_metric("pacer_planned_tasks", &[("service", "web")], 3.0).await;
    let plan = gateway.admin("/services").await[0]["plan"].clone();
    assert!(plan["why"].as_str().unwrap().starts_with("3 tasks: "), "{plan}");
    let status = gateway.admin("/status").await;
    assert_eq!(status["actions"], json!([]));
    let calls = cloud.calls().await;
    let reads = ["ListTasks", "DescribeTasks", "DescribeServices", "DescribeScalableTargets"];
    let others: Vec<_> =
        calls.keys().filter(|call| !reads.iter().any(|read| call.contains(read))).collect();
    assert!(others.is_empty(), "{others:?}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_gateway_that_dies_leaves_the_fallback() {
    // The schedule lies a quarter of an hour of the gateway's clock ahead: 18 s of this cloud's.
    let cloud = cloud_with(1, "", 50 * SCALE).await;
    // Something is announced that takes more tasks than the fallback.
    let announced = "events: [{ service: web, from: 2020-01-01T00:00Z, until: 2100-01-01T00:00Z, expect: 100/s }]\n";
    let text = policy(&cloud, "act", &tasks("min: 1, max: 3, fallback: 2"));
    let gateway = gateway(&format!("{text}{announced}")).await;
    desired(&cloud, 3).await;
    done(&gateway, "fallback", "fall back to 2 tasks").await;
    let schedules = cloud.state().await["schedules"].clone();
    assert!(schedules.to_string().contains("pacer-prod-web-"), "{schedules}");
    gateway.signal(rustix::process::Signal::KILL);
    desired(&cloud, 2).await;
    cloud.stop().await;
}

#[tokio::test]
async fn what_cannot_be_called_is_left_as_it_is_until_it_can() {
    let cloud = cloud(2).await;
    let two = policy(&cloud, "act", &tasks("min: 2, max: 2, fallback: 2"));
    let gateway = gateway(&two).await;
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 2.0).await;
    done(&gateway, "protect", "protect").await;
    cloud.fault(json!({ "ecs": { "throttle": {} } })).await;
    gateway.write_policy(&policy(&cloud, "act", &tasks("min: 4, max: 4, fallback: 4")));
    until("it is told", async || {
        let failed = [("service", "web"), ("result", "failed")];
        (0.0 < gateway.metrics().await.get("pacer_actions_total", &failed)).then_some(())
    })
    .await;
    assert_eq!(gateway.get("/").await.status(), 200, "traffic goes on");
    assert_eq!(cloud.state().await["services"]["prod/web"]["desired"], 2);
    cloud.clear_faults().await;
    desired(&cloud, 4).await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn spot_tasks_that_are_given_notice_are_replaced_while_it_runs() {
    let cloud = cloud_with(2, ", capacity_providers: [{ provider: FARGATE_SPOT }]", SCALE).await;
    let gateway = gateway(&policy(&cloud, "act", &tasks("min: 2, max: 4, fallback: 2"))).await;
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 2.0).await;
    // It has work: it lives as long as the notice runs.
    let hold = Hold::new().await;
    let held = tokio::spawn(gateway.get(&hold.path()));
    let working = hold.begun().await;
    let services = gateway.admin("/services").await;
    let busy =
        services[0]["container"]["tasks"].as_array().unwrap().iter().find(|task| task["busy"] == 1);
    let name = busy.unwrap()["name"].as_str().unwrap().to_owned();
    let is_it = |task: &Value| task["arn"].as_str().unwrap().ends_with(&name);
    let task = cloud.tasks(2).await.into_iter().find(is_it).unwrap()["arn"].clone();
    cloud.fault(json!({ "ecs": { "spot_interruption": { "task": task } } })).await;
    gateway.until_metric("pacer_tasks", &[("state", "draining")], 1.0).await;
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 2.0).await;
    drop(working);
    assert_eq!(held.await.unwrap().status(), 200, "its successor was ready before it had to end");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn another_share_on_spot_is_proposed_and_never_set() {
    let cloud = cloud(3).await;
    let bounds = "min: 1, max: 3, fallback: 3, spot: { up_to: 100% }";
    let gateway = gateway(&policy(&cloud, "act", &tasks(bounds))).await;
    let proposed = until("it is proposed", async || {
        let proposed = gateway.admin("/services").await[0]["spot_proposed"].clone();
        (proposed["tasks"] == 3).then_some(proposed)
    })
    .await;
    assert_eq!((&proposed["on_spot"], &proposed["wanted"]), (&json!(0), &json!(2)), "{proposed}");
    let status = run(["status", "--admin", &format!("http://{}", gateway.admin)]).await;
    let command = "aws ecs update-service --cluster prod --service web --force-new-deployment";
    let said = status.stdout.contains("web: 0 of 3 tasks on Spot, 2 may be");
    assert!(said && status.stdout.contains(command), "{status:?}");
    let providers = cloud.state().await["services"]["prod/web"].clone();
    assert!(!providers.to_string().contains("FARGATE_SPOT"), "{providers}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn tasks_come_also_when_the_schedule_cannot_be_made() {
    let cloud = cloud(1).await;
    cloud.fault(json!({ "scheduler": { "down": { "status": 503 } } })).await;
    let gateway = gateway(&policy(&cloud, "act", &tasks("min: 2, max: 4, fallback: 2"))).await;
    desired(&cloud, 2).await;
    let failed = done(&gateway, "fallback", "fall back to 2 tasks").await;
    assert!(failed["error"].as_str().unwrap().contains("Schedule for `web`"), "{failed}");
    cloud.clear_faults().await;
    until("it is made once it can be", async || {
        cloud.state().await["schedules"].to_string().contains("pacer-prod-web-").then_some(())
    })
    .await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn two_never_scale_one_service() {
    let cloud = cloud(1).await;
    let floor = "scale_by: autoscaling-floor\n      tasks: { min: 3, max: 5, fallback: 3 }";
    let gateway = gateway(&policy(&cloud, "act", floor)).await;
    gateway.until_told("has no scalable target for service `web`").await;
    let target = json!({
        "ServiceNamespace": "ecs", "ResourceId": "service/prod/web",
        "ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": 1, "MaxCapacity": 2,
    });
    cloud.autoscaling("RegisterScalableTarget", target).await;
    // The floor is raised as far as Auto Scaling's own bound, which is the operator's too.
    desired(&cloud, 2).await;
    gateway.write_policy(&policy(&cloud, "act", &tasks("min: 3, max: 5, fallback: 3")));
    gateway.until_told("is scaled by Application Auto Scaling (2 to 2 tasks)").await;
    assert_eq!(cloud.state().await["services"]["prod/web"]["desired"], 2, "it is left alone");
    drop(gateway);
    cloud.stop().await;
}
