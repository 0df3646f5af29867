//! Deployments that overlap, and tasks that fall ill.

use std::time::Duration;

use pacer_local::{
    Cloud,
    config::{HealthCheck, Service},
};
use serde_json::{Value, json};

use crate::{
    ecs::{describe, running, runs, update},
    support::{app, ecs, service, until, with_service},
};

async fn shown(cloud: &Cloud) -> Value {
    let ask = json!({ "cluster": "prod", "services": ["web"] });
    ecs(cloud, "DescribeServices", ask).await.json()["services"][0].clone()
}

/// A check that passes as long as `file` does not exist; every 50 ms at a hundredfold speed.
fn ill_by(file: &std::path::Path) -> HealthCheck {
    HealthCheck {
        command: vec!["CMD-SHELL".into(), format!("test ! -e {}", file.display())],
        interval: Duration::from_secs(5),
        timeout: Duration::from_mins(1),
        retries: 2,
        start_period: Duration::ZERO,
    }
}

#[tokio::test]
async fn a_new_task_definition_is_rolled_out_beside_the_old_one() {
    // So slow to start that the overlap can be seen: 50 s at a hundredfold speed.
    let slow = Duration::from_secs(50);
    let cloud = with_service(Service { desired: 2, start_lag: slow, ..service(&["http"]) }).await;
    let old = runs(&cloud, 2).await;
    let family = json!({
        "family": "web", "networkMode": "awsvpc", "cpu": "512", "memory": "1024",
        "containerDefinitions": [{
            "name": "app", "image": "web:2", "command": app(&["http"]),
            "portMappings": [{ "containerPort": 8080 }],
        }],
    });
    let registered = ecs(&cloud, "RegisterTaskDefinition", family).await.json();
    let second = &registered["taskDefinition"]["taskDefinitionArn"];
    assert_eq!(*second, "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:2");
    let service = update(&cloud, json!({ "taskDefinition": "web:2" })).await;
    let deployments = &service["deployments"];
    assert_eq!(
        (&deployments[0]["status"], &deployments[0]["rolloutState"]),
        (&json!("PRIMARY"), &json!("IN_PROGRESS"))
    );
    assert_eq!(
        (&deployments[1]["status"], &deployments[1]["runningCount"]),
        (&json!("ACTIVE"), &json!(2))
    );
    assert_eq!((&deployments[0]["taskDefinition"], &service["taskDefinition"]), (second, second));

    let (mut fewest, mut most) = (usize::MAX, 0);
    until("it is rolled out", async || {
        let living = running(&cloud).iter().filter(|t| t.desired == "RUNNING").count();
        (fewest, most) = (fewest.min(living), most.max(living));
        let deployments = cloud.state().services["prod/web"].clone();
        let new =
            deployments.tasks.iter().filter(|t| t.definition == "web:2" && t.status == "RUNNING");
        let old =
            deployments.tasks.iter().filter(|t| t.definition == "web:1" && t.status != "STOPPED");
        (new.count() == 2 && old.count() == 0).then_some(())
    })
    .await;
    assert!(2 <= fewest && most <= 4, "{fewest} to {most}");
    let service = shown(&cloud).await;
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1, "{service}");
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
    let new = describe(&cloud, &running(&cloud)[0].arn).await;
    assert_eq!(
        (&new["cpu"], &new["memory"], &new["startedBy"]),
        (&json!("512"), &json!("1024"), &service["deployments"][0]["id"])
    );
    let stopped = describe(&cloud, &old[0].arn).await;
    assert_eq!(stopped["stopCode"], "ServiceSchedulerInitiated");
    cloud.stop().await;
}

#[tokio::test]
async fn a_forced_deployment_replaces_tasks_and_protection_holds_it_up() {
    let cloud = with_service(Service { desired: 2, ..service(&["http"]) }).await;
    let old = runs(&cloud, 2).await;
    let protect = async |enabled: bool| {
        let ask = json!({ "cluster": "prod", "tasks": [old[0].arn], "protectionEnabled": enabled });
        assert_eq!(ecs(&cloud, "UpdateTaskProtection", ask).await.status(), 200);
    };
    protect(true).await;
    update(&cloud, json!({ "forceNewDeployment": true })).await;
    let tasks = until("the unprotected one is replaced", async || {
        let tasks = runs(&cloud, 3).await;
        tasks.iter().all(|task| task.arn != old[1].arn).then_some(tasks)
    })
    .await;
    assert!(tasks.iter().any(|task| task.arn == old[0].arn));
    assert_eq!(shown(&cloud).await["deployments"][0]["rolloutState"], "IN_PROGRESS");
    protect(false).await;
    runs(&cloud, 2).await;
    until("the deployment is done", async || {
        let deployments = shown(&cloud).await["deployments"].clone();
        (deployments[0]["rolloutState"] == "COMPLETED").then_some(())
    })
    .await;
    cloud.stop().await;
}

#[tokio::test]
async fn an_unhealthy_task_is_shown_and_replaced_before_it_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let ill = directory.path().join("ill");
    let check = Some(ill_by(&ill));
    // A successor takes a second to start, in which the sick task can be seen.
    let lag = Duration::from_secs(100);
    let cloud =
        with_service(Service { health_check: check, start_lag: lag, ..service(&["http"]) }).await;
    let task = until("it is healthy", async || {
        running(&cloud).into_iter().find(|task| task.health == "HEALTHY")
    })
    .await;
    std::fs::write(&ill, "").unwrap();
    until("it is unhealthy", async || {
        running(&cloud).into_iter().find(|t| t.arn == task.arn && t.health == "UNHEALTHY")
    })
    .await;
    let described = describe(&cloud, &task.arn).await;
    assert_eq!(
        (&described["healthStatus"], &described["desiredStatus"]),
        (&json!("UNHEALTHY"), &json!("RUNNING"))
    );
    assert_eq!(described["containers"][0]["healthStatus"], "UNHEALTHY");
    std::fs::remove_file(&ill).unwrap();
    // It may have become healthy again before its successor was there: then nothing is to be done.
    until("one healthy task is left", async || {
        let tasks = runs(&cloud, 1).await;
        (tasks[0].health == "HEALTHY").then_some(())
    })
    .await;
    cloud.stop().await;
}

#[tokio::test]
async fn a_task_that_stays_unhealthy_is_stopped_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let ill = directory.path().join("ill");
    let full = Service { maximum_percent: 100, minimum_healthy_percent: 0, ..service(&["http"]) };
    let cloud = with_service(Service { health_check: Some(ill_by(&ill)), ..full }).await;
    let task = runs(&cloud, 1).await.remove(0);
    std::fs::write(&ill, "").unwrap();
    let stopped = crate::ecs::over(&cloud, &task.arn).await;
    assert_eq!(
        (&stopped["stopCode"], &stopped["stoppedReason"]),
        (&json!("ServiceSchedulerInitiated"), &json!("Task failed container health checks"))
    );
    cloud.stop().await;
}

#[tokio::test]
async fn an_update_that_makes_no_sense_changes_nothing() {
    let cloud = with_service(service(&["http"])).await;
    for (change, kind) in [
        (json!({ "taskDefinition": "gone:1" }), "ClientException"),
        (json!({ "desiredCount": -1 }), "InvalidParameterException"),
        (
            json!({ "desiredCount": 5, "deploymentConfiguration": { "minimumHealthyPercent": 100, "maximumPercent": 100 } }),
            "InvalidParameterException",
        ),
        (
            json!({ "capacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }] }),
            "InvalidParameterException",
        ),
        (
            json!({ "forceNewDeployment": true, "capacityProviderStrategy": [{ "capacityProvider": "mine", "weight": 1 }] }),
            "InvalidParameterException",
        ),
    ] {
        let mut ask = json!({ "cluster": "prod", "service": "web" });
        ask.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = ecs(&cloud, "UpdateService", ask).await;
        assert_eq!((answer.status(), &answer.json()["__type"]), (400, &json!(kind)), "{change}");
    }
    let service = shown(&cloud).await;
    assert_eq!(
        (&service["desiredCount"], service["deployments"].as_array().unwrap().len()),
        (&json!(1), 1)
    );
    cloud.stop().await;
}
