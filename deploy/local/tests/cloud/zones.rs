//! Availability zones that are lost, an API that hangs, and what a service says it did.

use std::collections::BTreeMap;

use pacer_local::{Cloud, config::Service};
use serde_json::{Value, json};

use crate::{
    ecs::{describe, over, running, runs, update},
    support::{ecs, fault, gone, plain, service, until, with_service},
};

/// Running tasks by zone.
fn zones(cloud: &Cloud) -> BTreeMap<String, usize> {
    let mut zones = BTreeMap::new();
    for task in running(cloud) {
        *zones.entry(task.zone).or_default() += 1;
    }
    zones
}

async fn spread(cloud: &Cloud, wanted: &[(&str, usize)]) {
    let wanted: BTreeMap<_, _> =
        wanted.iter().map(|(z, n)| (format!("eu-west-1{z}"), *n)).collect();
    let what = format!("tasks are spread as {wanted:?}");
    until(&what, async || (zones(cloud) == wanted).then_some(())).await;
}

async fn lose(cloud: &Cloud, zone: &str) {
    fault(cloud, json!({ "ecs": { "zone_down": { "zone": format!("eu-west-1{zone}") } } })).await;
}

/// The messages of the service's events, the newest first.
async fn events(cloud: &Cloud) -> Vec<String> {
    let ask = json!({ "cluster": "prod", "services": ["web"] });
    let shown = ecs(cloud, "DescribeServices", ask).await.json();
    let events = shown["services"][0]["events"].as_array().unwrap().clone();
    events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_zone_that_is_lost_takes_its_tasks_and_gets_none_until_it_is_back() {
    let cloud = with_service(Service { desired: 6, ..service(&["http-stubborn"]) }).await;
    spread(&cloud, &[("a", 2), ("b", 2), ("c", 2)]).await;
    let lost: Vec<_> = running(&cloud).into_iter().filter(|t| t.zone == "eu-west-1b").collect();
    lose(&cloud, "b").await;
    for task in &lost {
        // At once, though it ignores SIGTERM.
        gone(u64::from(task.pid.unwrap())).await;
        let stopped = over(&cloud, &task.arn).await;
        assert_eq!(
            (&stopped["stopCode"], &stopped["availabilityZone"]),
            (&json!("InfrastructureHealth"), &json!("eu-west-1b"))
        );
    }
    spread(&cloud, &[("a", 3), ("c", 3)]).await;
    assert_eq!(cloud.state().zones_down.into_iter().collect::<Vec<_>>(), ["eu-west-1b"]);
    plain(&cloud, "DELETE", "/_local/faults", "").await;
    assert!(cloud.state().zones_down.is_empty());
    update(&cloud, json!({ "desiredCount": 9 })).await;
    spread(&cloud, &[("a", 3), ("b", 3), ("c", 3)]).await;
    cloud.stop().await;
}

#[tokio::test]
async fn without_any_zone_nothing_starts_and_with_one_again_it_does() {
    let cloud = with_service(service(&["http"])).await;
    runs(&cloud, 1).await;
    for zone in ["a", "b", "c"] {
        lose(&cloud, zone).await;
    }
    runs(&cloud, 0).await;
    until("the service says so", async || {
        events(&cloud).await[0].contains("was unable to place a task").then_some(())
    })
    .await;
    let run = json!({ "cluster": "prod", "taskDefinition": "web" });
    let refused = ecs(&cloud, "RunTask", run).await.json();
    assert_eq!(refused["failures"][0]["reason"], "RESOURCE:CPU");
    plain(&cloud, "DELETE", "/_local/faults", "").await;
    runs(&cloud, 1).await;
    let order = json!({ "ecs": { "zone_down": { "zone": "us-east-1a" } } });
    let refused = plain(&cloud, "POST", "/_local/faults", &order.to_string()).await;
    assert!(refused.json()["error"].as_str().unwrap().starts_with("ecs.zone_down.zone"));
    cloud.stop().await;
}

#[tokio::test]
async fn a_service_tells_what_it_did() {
    let cloud = with_service(Service { desired: 2, ..service(&["http"]) }).await;
    let first = runs(&cloud, 2).await;
    let steady = "(service web) has reached a steady state.";
    let says = async |n: usize, message: &str| {
        let what = format!("it says `{message}` {n} times");
        let count = async || events(&cloud).await.iter().filter(|m| *m == message).count();
        until(&what, async || (count().await == n).then_some(())).await;
    };
    says(1, steady).await;
    update(&cloud, json!({ "desiredCount": 1 })).await;
    let left = runs(&cloud, 1).await.remove(0);
    let stopped = first.iter().find(|task| task.arn != left.arn).unwrap();
    let id = stopped.arn.rsplit('/').next().unwrap();
    says(1, &format!("(service web) has stopped 1 running tasks: (task {id}).")).await;
    says(2, steady).await;
    let started = events(&cloud).await.pop().unwrap();
    assert!(started.starts_with("(service web) has started 2 tasks: (task "), "{started}");
    cloud.stop().await;
}

#[tokio::test]
async fn protection_is_part_of_the_state() {
    let cloud = with_service(service(&["http"])).await;
    let task = runs(&cloud, 1).await.remove(0);
    assert_eq!(task.protected_until, None);
    let protect = json!({ "cluster": "prod", "tasks": [task.arn], "protectionEnabled": true });
    assert_eq!(ecs(&cloud, "UpdateTaskProtection", protect).await.status(), 200);
    let until = running(&cloud)[0].protected_until.clone().unwrap();
    assert!(until.ends_with('Z'), "{until}");
    cloud.stop().await;
}

#[tokio::test]
async fn an_ecs_that_hangs_answers_when_it_is_well_again() {
    let cloud = with_service(service(&["http"])).await;
    let task = runs(&cloud, 1).await.remove(0);
    fault(&cloud, json!({ "ecs": { "hang": {} } })).await;
    let call = json!({ "cluster": "prod", "service": "web", "desiredCount": 2 });
    let mut call = Box::pin(ecs(&cloud, "UpdateService", call));
    tokio::select! {
        answer = &mut call => panic!("it did not hang: {answer:?}"),
        () = until("it has come", async || {
            (cloud.state().ecs_calls.get("UpdateService") == Some(&1)).then_some(())
        }) => {}
    }
    assert_eq!(running(&cloud), [task]);
    plain(&cloud, "DELETE", "/_local/faults", "").await;
    assert_eq!(call.await.json()["service"]["desiredCount"], Value::from(2));
    let tasks = runs(&cloud, 2).await;
    assert_eq!(describe(&cloud, &tasks[1].arn).await["lastStatus"], "RUNNING");
    cloud.stop().await;
}
