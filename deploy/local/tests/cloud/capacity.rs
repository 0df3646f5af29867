//! Capacity providers, Spot, and the protection of tasks.

use pacer_local::config::{CapacityProvider, Provider, Service};
use serde_json::{Value, json};

use crate::{
    ecs::{describe, over, running, runs, update},
    support::{ecs, fault, gone, plain, service, until, with_service},
};

/// Base 1 on demand, the rest on Spot.
fn mostly_spot(desired: u32, command: &str) -> Service {
    let item = |provider, base, weight| CapacityProvider { provider, base, weight };
    Service {
        desired,
        capacity_providers: vec![item(Provider::Fargate, 1, 0), item(Provider::FargateSpot, 0, 1)],
        ..service(&[command])
    }
}

#[tokio::test]
async fn tasks_are_spread_over_capacity_providers_and_say_so() {
    let cloud = with_service(mostly_spot(3, "http")).await;
    let mut providers = Vec::new();
    for task in runs(&cloud, 3).await {
        let described = describe(&cloud, &task.arn).await;
        assert_eq!(described["capacityProviderName"].as_str(), task.provider);
        providers.extend(task.provider);
    }
    providers.sort_unstable();
    assert_eq!(providers, ["FARGATE", "FARGATE_SPOT", "FARGATE_SPOT"]);
    let ask = json!({ "cluster": "prod", "services": ["web"] });
    let shown = ecs(&cloud, "DescribeServices", ask).await.json()["services"][0].clone();
    assert_eq!(
        shown["capacityProviderStrategy"],
        json!([
            { "capacityProvider": "FARGATE", "base": 1, "weight": 0 },
            { "capacityProvider": "FARGATE_SPOT", "base": 0, "weight": 1 },
        ])
    );
    assert_eq!(shown["launchType"], Value::Null, "launch type and strategy exclude each other");
    update(&cloud, json!({ "desiredCount": 1 })).await;
    assert_eq!(runs(&cloud, 1).await[0].provider, Some("FARGATE"), "the base stays");
    cloud.stop().await;
}

#[tokio::test]
async fn count_and_strategy_change_together_with_a_new_deployment() {
    let cloud = with_service(mostly_spot(2, "http")).await;
    let old = runs(&cloud, 2).await;
    let change = json!({
        "desiredCount": 3, "forceNewDeployment": true,
        "capacityProviderStrategy": [
            { "capacityProvider": "FARGATE", "base": 2, "weight": 1 },
            { "capacityProvider": "FARGATE_SPOT", "weight": 3 },
        ],
    });
    let service = update(&cloud, change).await;
    assert_eq!(
        (&service["desiredCount"], service["deployments"].as_array().unwrap().len()),
        (&json!(3), 2)
    );
    let tasks = until("three others run", async || {
        let tasks = running(&cloud);
        let none_is_old = tasks.iter().all(|task| old.iter().all(|other| other.arn != task.arn));
        (tasks.len() == 3 && none_is_old).then_some(tasks)
    })
    .await;
    let mut providers: Vec<_> = tasks.iter().filter_map(|task| task.provider).collect();
    providers.sort_unstable();
    assert_eq!(providers, ["FARGATE", "FARGATE", "FARGATE_SPOT"]);
    for task in &old {
        over(&cloud, &task.arn).await;
    }
    // The count alone makes no deployment: the tasks there are stay.
    let service = update(&cloud, json!({ "desiredCount": 2 })).await;
    let made_by = describe(&cloud, &tasks[0].arn).await["startedBy"].clone();
    assert_eq!(service["deployments"][0]["id"], made_by, "the deployment is the same");
    let left = runs(&cloud, 2).await;
    assert!(left.iter().all(|task| tasks.iter().any(|other| other.arn == task.arn)), "{left:?}");
    cloud.stop().await;
}

#[tokio::test]
async fn scale_in_waits_while_all_are_protected() {
    let cloud = with_service(Service { desired: 2, ..service(&["http"]) }).await;
    let tasks = runs(&cloud, 2).await;
    for task in &tasks {
        protect(&cloud, &task.arn, Some(2880)).await;
    }
    update(&cloud, json!({ "desiredCount": 1 })).await;
    // A new task is started and stopped beside them: the service has looked, and left them alone.
    update(&cloud, json!({ "desiredCount": 3 })).await;
    runs(&cloud, 3).await;
    update(&cloud, json!({ "desiredCount": 1 })).await;
    let left = runs(&cloud, 2).await;
    assert!(left.iter().all(|task| tasks.iter().any(|other| other.arn == task.arn)), "{left:?}");
    let ask = json!({ "cluster": "prod", "services": ["web"] });
    let shown = ecs(&cloud, "DescribeServices", ask).await.json()["services"][0].clone();
    assert_eq!((&shown["desiredCount"], &shown["runningCount"]), (&json!(1), &json!(2)));
    protect(&cloud, &tasks[0].arn, None).await;
    assert_eq!(runs(&cloud, 1).await[0].arn, tasks[1].arn);
    cloud.stop().await;
}

#[tokio::test]
async fn an_interrupted_spot_task_has_notice_sigterm_and_a_successor() {
    // It ignores SIGTERM, so that the notice can be seen while it lives.
    let cloud = with_service(mostly_spot(2, "http-stubborn")).await;
    let tasks = runs(&cloud, 2).await;
    let spot = tasks.iter().find(|t| t.provider == Some("FARGATE_SPOT")).unwrap();
    fault(&cloud, json!({ "ecs": { "spot_interruption": { "task": spot.arn } } })).await;
    let noticed = describe(&cloud, &spot.arn).await;
    assert_eq!(
        (&noticed["desiredStatus"], &noticed["stopCode"], &noticed["stoppedReason"]),
        (&json!("STOPPED"), &json!("SpotInterruption"), &json!("Your Spot Task was interrupted."))
    );
    let listed = ecs(&cloud, "ListTasks", json!({ "cluster": "prod" })).await.json();
    assert!(!listed["taskArns"].as_array().unwrap().contains(&json!(spot.arn)), "{listed}");
    gone(u64::from(spot.pid.unwrap())).await;
    assert_eq!(over(&cloud, &spot.arn).await["stopCode"], "SpotInterruption");
    until("another takes its place", async || {
        let tasks = running(&cloud);
        (tasks.len() == 2 && tasks.iter().all(|t| t.arn != spot.arn)).then_some(())
    })
    .await;
    assert!(0 < cloud.bill().services["prod/web"].spot_task_ms);

    let on_demand = tasks.iter().find(|t| t.provider == Some("FARGATE")).unwrap();
    let order = json!({ "ecs": { "spot_interruption": { "task": on_demand.arn } } });
    let refused = plain(&cloud, "POST", "/_local/faults", &order.to_string()).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.json()["error"].as_str().unwrap().contains("FARGATE_SPOT"));
    cloud.stop().await;
}

/// Protects `arn` for `minutes`, or not any more.
async fn protect(cloud: &pacer_local::Cloud, arn: &str, minutes: Option<u32>) -> Value {
    let ask = json!({
        "cluster": "prod", "tasks": [arn], "protectionEnabled": minutes.is_some(),
        "expiresInMinutes": minutes.unwrap_or(1),
    });
    let answer = ecs(cloud, "UpdateTaskProtection", ask).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body);
    answer.json()
}

#[tokio::test]
async fn scale_in_spares_protected_tasks_until_the_protection_ends() {
    let cloud = with_service(Service { desired: 3, ..service(&["http"]) }).await;
    let tasks = runs(&cloud, 3).await;
    // The newest, which would go first.
    let spared = [&tasks[1].arn, &tasks[2].arn];
    let shown = protect(&cloud, spared[0], Some(2880)).await;
    let protection = &shown["protectedTasks"][0];
    assert_eq!(
        (&protection["protectionEnabled"], &protection["taskArn"]),
        (&json!(true), &json!(spared[0]))
    );
    assert!(protection["expirationDate"].is_f64());
    protect(&cloud, spared[1], Some(2880)).await;
    update(&cloud, json!({ "desiredCount": 0 })).await;
    let left = runs(&cloud, 2).await;
    assert!(left.iter().all(|task| spared.contains(&&task.arn)), "{left:?}");

    let asked = json!({ "cluster": "prod", "tasks": [spared[0], tasks[0].arn, "gone"] });
    over(&cloud, &tasks[0].arn).await;
    let got = ecs(&cloud, "GetTaskProtection", asked).await.json();
    assert_eq!(got["protectedTasks"][0]["protectionEnabled"], true);
    assert_eq!(
        got["failures"],
        json!([
            { "arn": tasks[0].arn, "reason": "TASK_NOT_VALID" },
            { "arn": "gone", "reason": "MISSING" },
        ])
    );

    let shown = protect(&cloud, spared[0], None).await;
    assert_eq!(shown["protectedTasks"][0]["protectionEnabled"], false);
    assert_eq!(runs(&cloud, 1).await[0].arn, *spared[1]);
    // A minute at a hundredfold speed; nobody else wakes the service then.
    protect(&cloud, spared[1], Some(1)).await;
    runs(&cloud, 0).await;
    cloud.stop().await;
}
