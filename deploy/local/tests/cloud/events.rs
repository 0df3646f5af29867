//! Task state change events, and the queues they come through.

use std::net::SocketAddr;

use pacer_local::{
    Cloud, Config,
    config::{CapacityProvider, Cluster, Provider, Queue, Service},
};
use serde_json::{Value, json};
use tokio::time::Duration;

use crate::{
    ecs::{runs, update},
    support::{Answer, fault, send, service, signed},
};

async fn sqs(cloud: &Cloud, call: &str, body: Value) -> Answer {
    let target = format!("AmazonSQS.{call}");
    let headers =
        [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.0")];
    send(cloud.address, signed(cloud, "sqs", "/", &headers, body.to_string())).await.unwrap()
}

/// A cloud whose queue `tasks` is told of the cluster `prod`, and one of nothing.
async fn cloud() -> (Cloud, String) {
    let mut config = Config::new();
    let spot = CapacityProvider { provider: Provider::FargateSpot, base: 0, weight: 1 };
    let web = Service { desired: 1, capacity_providers: vec![spot], ..service(&["http"]) };
    config.clusters.insert("prod".into(), Cluster { services: [("web".into(), web)].into() });
    for (name, of) in [("tasks", vec!["prod".to_owned()]), ("silent", Vec::new())] {
        let queue = Queue { task_events_of: of, visibility_timeout: Duration::from_secs(30) };
        config.queues.insert(name.into(), queue);
    }
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let cloud = pacer_local::start(config, listen, 100.0).await.unwrap();
    let url = sqs(&cloud, "GetQueueUrl", json!({ "QueueName": "tasks" })).await.json();
    let url = url["QueueUrl"].as_str().unwrap().to_owned();
    (cloud, url)
}

/// Receives and deletes until an event fits.
async fn event(cloud: &Cloud, url: &str, fits: impl Fn(&Value) -> bool) -> Value {
    loop {
        let ask = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20 });
        let received = sqs(cloud, "ReceiveMessage", ask).await.json();
        let messages = received["Messages"].as_array().expect("an event within 20 s").clone();
        let entries: Vec<_> = messages.iter().enumerate().map(|(n, message)| {
            json!({ "Id": n.to_string(), "ReceiptHandle": message["ReceiptHandle"] })
        }).collect();
        let deleted =
            sqs(cloud, "DeleteMessageBatch", json!({ "QueueUrl": url, "Entries": entries }));
        assert_eq!(deleted.await.json()["Successful"].as_array().unwrap().len(), messages.len());
        let events =
            messages.iter().map(|m| serde_json::from_str(m["Body"].as_str().unwrap()).unwrap());
        if let Some(found) = events.into_iter().find(|event| fits(event)) {
            return found;
        }
    }
}

#[tokio::test]
async fn every_change_of_a_task_is_told() {
    let (cloud, url) = cloud().await;
    let task = runs(&cloud, 1).await.remove(0);
    let running = event(&cloud, &url, |e| e["detail"]["lastStatus"] == "RUNNING").await;
    assert_eq!(
        (&running["source"], &running["detail-type"], &running["resources"]),
        (&json!("aws.ecs"), &json!("ECS Task State Change"), &json!([task.arn]))
    );
    let detail = &running["detail"];
    assert_eq!(
        (&detail["group"], &detail["desiredStatus"], &detail["attachments"][0]["type"]),
        (&json!("service:web"), &json!("RUNNING"), &json!("eni"))
    );
    assert!(detail["startedAt"].as_str().unwrap().ends_with('Z'), "times are text: {detail}");
    update(&cloud, json!({ "desiredCount": 0 })).await;
    let stopping = event(&cloud, &url, |e| e["detail"]["desiredStatus"] == "STOPPED").await;
    assert_eq!(stopping["detail"]["lastStatus"], "RUNNING", "told before it happens");
    let stopped = event(&cloud, &url, |e| e["detail"]["lastStatus"] == "STOPPED").await;
    let version = |event: &Value| event["detail"]["version"].as_u64().unwrap();
    assert!(version(&running) < version(&stopping) && version(&stopping) < version(&stopped));
    let silent = url.replace("/tasks", "/silent");
    let nothing = sqs(&cloud, "ReceiveMessage", json!({ "QueueUrl": silent })).await;
    assert_eq!((nothing.status(), nothing.json()), (200, json!({})));
    cloud.stop().await;
}

#[tokio::test]
async fn a_spot_notice_is_told_before_the_task_stops() {
    let (cloud, url) = cloud().await;
    let task = runs(&cloud, 1).await.remove(0);
    fault(&cloud, json!({ "ecs": { "spot_interruption": { "task": task.arn } } })).await;
    let notice = event(&cloud, &url, |e| e["detail"]["stopCode"] == "SpotInterruption").await;
    let detail = &notice["detail"];
    assert_eq!(
        (&notice["resources"], &detail["desiredStatus"], &detail["stoppedReason"]),
        (&json!([task.arn]), &json!("STOPPED"), &json!("Your Spot Task was interrupted."))
    );
    assert_eq!(
        (&detail["lastStatus"], &detail["capacityProviderName"]),
        (&json!("RUNNING"), &json!("FARGATE_SPOT"))
    );
    cloud.stop().await;
}

#[tokio::test]
async fn calls_that_are_wrong_are_refused_as_sqs_does() {
    let (cloud, url) = cloud().await;
    for (call, body, kind, code) in [
        (
            "ReceiveMessage",
            json!({ "QueueUrl": url.replace("/tasks", "/gone") }),
            "com.amazonaws.sqs#QueueDoesNotExist",
            "AWS.SimpleQueueService.NonExistentQueue;Sender",
        ),
        (
            "GetQueueUrl",
            json!({ "QueueName": "gone" }),
            "com.amazonaws.sqs#QueueDoesNotExist",
            "AWS.SimpleQueueService.NonExistentQueue;Sender",
        ),
        (
            "ReceiveMessage",
            json!({ "QueueUrl": url, "WaitTimeSeconds": 21 }),
            "InvalidParameterValueException",
            "InvalidParameterValue;Sender",
        ),
        (
            "ReceiveMessage",
            json!({ "QueueUrl": url, "MaxNumberOfMessages": 11 }),
            "InvalidParameterValueException",
            "InvalidParameterValue;Sender",
        ),
        (
            "DeleteMessageBatch",
            json!({ "QueueUrl": url, "Entries": [] }),
            "EmptyBatchRequest",
            "AWS.SimpleQueueService.EmptyBatchRequest;Sender",
        ),
        ("SendMessage", json!({ "QueueUrl": url }), "UnknownOperationException", ""),
    ] {
        let answer = sqs(&cloud, call, body).await;
        assert_eq!((answer.status(), &answer.json()["__type"]), (400, &json!(kind)), "{call}");
        assert_eq!(answer.header("x-amzn-query-error"), code, "{call}");
        assert_eq!(answer.header("content-type"), "application/x-amz-json-1.0");
    }
    cloud.stop().await;
}
