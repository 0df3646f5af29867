//! The ECS API's other calls, and how often it may be called.

use pacer_local::config::Service;
use serde_json::{Value, json};

use crate::{
    ecs::runs,
    support::{app, ecs, fault, service, until, with_service},
};

fn definition(family: &str) -> Value {
    json!({
        "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [{
            "name": "job", "image": "job:1", "entryPoint": [app(&[])[0]], "command": ["http"],
            "environment": [{ "name": "WHO", "value": "me" }],
            "portMappings": [{ "containerPort": 9090, "protocol": "tcp" }],
            "healthCheck": { "command": ["CMD-SHELL", "true"] },
            "stopTimeout": 60, "essential": true,
        }],
    })
}

#[tokio::test]
async fn a_task_can_be_run_and_stopped_by_itself() {
    let cloud = with_service(Service { desired: 0, ..service(&["http"]) }).await;
    assert_eq!(ecs(&cloud, "RegisterTaskDefinition", definition("job")).await.status(), 200);
    let run = json!({
        "cluster": "prod", "taskDefinition": "job", "count": 2, "startedBy": "me", "clientToken": "once",
        "capacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT" }],
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
    });
    let started = ecs(&cloud, "RunTask", run.clone()).await.json();
    let arns: Vec<Value> =
        started["tasks"].as_array().unwrap().iter().map(|t| t["taskArn"].clone()).collect();
    let task = &started["tasks"][0];
    assert_eq!(
        (&task["lastStatus"], &task["group"], &task["capacityProviderName"]),
        (&json!("PROVISIONING"), &json!("family:job"), &json!("FARGATE_SPOT"))
    );
    let again = ecs(&cloud, "RunTask", run).await.json();
    assert_eq!(again["tasks"].as_array().unwrap().len(), 2);
    assert!(arns.contains(&again["tasks"][0]["taskArn"]), "the same token is the same run");
    let status = |n: usize| cloud.state().tasks["prod"].get(n).map(|task| task.status);
    until("both run", async || {
        (status(0) == Some("RUNNING") && status(1) == Some("RUNNING")).then_some(())
    })
    .await;
    let of_me = json!({ "cluster": "prod", "startedBy": "me" });
    let listed = ecs(&cloud, "ListTasks", of_me).await.json();
    assert_eq!(listed["taskArns"].as_array().unwrap().len(), 2);

    let stop = json!({ "cluster": "prod", "task": arns[0], "reason": "enough" });
    let stopped = ecs(&cloud, "StopTask", stop.clone()).await.json();
    assert_eq!(stopped["task"]["desiredStatus"], "STOPPED");
    until("one is over", async || (0..2).any(|n| status(n) == Some("STOPPED")).then_some(())).await;
    let described =
        ecs(&cloud, "DescribeTasks", json!({ "cluster": "prod", "tasks": [arns[0]] })).await.json();
    assert_eq!(
        (&described["tasks"][0]["stopCode"], &described["tasks"][0]["stoppedReason"]),
        (&json!("UserInitiated"), &json!("enough"))
    );
    assert_eq!(ecs(&cloud, "StopTask", stop).await.status(), 400, "it is over");
    let protect = json!({ "cluster": "prod", "tasks": [arns[1]], "protectionEnabled": true });
    let refused = ecs(&cloud, "UpdateTaskProtection", protect).await.json();
    assert_eq!(refused["failures"][0]["reason"], "TASK_NOT_VALID", "it has no scheduler");
    let bill = cloud.bill().services["prod/family:job"];
    assert!(0 < bill.spot_task_ms && bill.spot_task_ms == bill.task_ms, "{bill:?}");
    let many = json!({ "cluster": "prod", "taskDefinition": "job", "count": 11 });
    assert_eq!(ecs(&cloud, "RunTask", many).await.status(), 400);
    cloud.stop().await;
}

#[tokio::test]
async fn task_definitions_are_kept_in_revisions() {
    let cloud = with_service(Service { desired: 0, ..service(&["http"]) }).await;
    for revision in 1..=11 {
        let registered = ecs(&cloud, "RegisterTaskDefinition", definition("job")).await.json();
        assert_eq!(registered["taskDefinition"]["revision"], revision);
    }
    let latest = json!({ "taskDefinition": "job" });
    let shown =
        ecs(&cloud, "DescribeTaskDefinition", latest).await.json()["taskDefinition"].clone();
    assert_eq!((&shown["revision"], &shown["family"]), (&json!(11), &json!("job")));
    let container = &shown["containerDefinitions"][0];
    let command: Vec<_> = container["entryPoint"]
        .as_array()
        .unwrap()
        .iter()
        .chain(container["command"].as_array().unwrap())
        .collect();
    assert_eq!(json!(command), json!(app(&["http"])));
    assert_eq!(container["environment"], json!([{ "name": "WHO", "value": "me" }]));
    assert_eq!(container["healthCheck"]["interval"], 30);
    let (mut arns, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut ask = json!({ "familyPrefix": "job", "maxResults": 4 });
        if !token.is_null() {
            ask["nextToken"] = token;
        }
        let page = ecs(&cloud, "ListTaskDefinitions", ask).await.json();
        arns.extend(page["taskDefinitionArns"].as_array().unwrap().clone());
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(arns.len(), 11);
    assert!(arns[10].as_str().unwrap().ends_with("/job:11"), "in order of numbers: {arns:?}");
    let wrong = |change: fn(&mut Value)| {
        let mut asked = definition("job");
        change(&mut asked);
        asked
    };
    for (asked, named) in [
        (wrong(|d| d["containerDefinitions"][0]["command"] = json!([])), None),
        (wrong(|d| d["family"] = json!("a b")), Some("Family")),
        (wrong(|d| d["networkMode"] = json!("host")), Some("networkMode")),
        (wrong(|d| d["volumes"] = json!([])), Some("volumes")),
        (wrong(|d| d["containerDefinitions"][0]["portMappings"] = json!([])), Some("portMappings")),
        (
            wrong(|d| d["containerDefinitions"][0]["healthCheck"]["retries"] = json!(11)),
            Some("retries"),
        ),
    ] {
        let answer = ecs(&cloud, "RegisterTaskDefinition", asked).await;
        let Some(named) = named else {
            assert_eq!(answer.status(), 200, "an entry point alone will do");
            continue;
        };
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(answer.status() == 400 && message.contains(named), "{named}: {message}");
    }
    let missing =
        ecs(&cloud, "DescribeTaskDefinition", json!({ "taskDefinition": "job:99" })).await;
    assert_eq!((missing.status(), &missing.json()["__type"]), (400, &json!("ClientException")));
    cloud.stop().await;
}

#[tokio::test]
async fn clusters_and_services_are_listed_and_described() {
    let cloud = with_service(service(&["http"])).await;
    runs(&cloud, 1).await;
    let arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/prod";
    assert_eq!(
        ecs(&cloud, "ListClusters", json!({})).await.json(),
        json!({ "clusterArns": [arn] })
    );
    let shown =
        ecs(&cloud, "DescribeClusters", json!({ "clusters": ["prod", "gone"] })).await.json();
    let prod = &shown["clusters"][0];
    assert_eq!((&prod["runningTasksCount"], &prod["activeServicesCount"]), (&json!(1), &json!(1)));
    assert_eq!(prod["capacityProviders"], json!(["FARGATE", "FARGATE_SPOT"]));
    assert_eq!(shown["failures"], json!([{ "arn": "gone", "reason": "MISSING" }]));
    let listed = ecs(&cloud, "ListServices", json!({ "cluster": arn })).await.json();
    assert_eq!(
        listed["serviceArns"],
        json!(["arn:aws:ecs:eu-west-1:123456789012:service/prod/web"])
    );
    cloud.stop().await;
}

#[tokio::test]
async fn calls_beyond_the_rate_are_throttled_and_counted() {
    let cloud = with_service(service(&["http"])).await;
    let list = async || ecs(&cloud, "ListTasks", json!({ "cluster": "prod" })).await;
    let mut answered = 0;
    // A burst of a hundred, and what comes back while it is used up: 20 a second.
    let throttled = until("the burst is used up", async || {
        let answer = list().await;
        answered += usize::from(answer.status() == 200);
        (answer.status() != 200).then_some(answer)
    })
    .await;
    assert!(100 <= answered, "{answered}");
    assert_eq!(
        (throttled.status(), &throttled.json()["__type"]),
        (400, &json!("ThrottlingException"))
    );
    let services = json!({ "cluster": "prod", "services": ["web"] });
    assert_eq!(
        ecs(&cloud, "DescribeServices", services.clone()).await.status(),
        200,
        "another group"
    );
    assert_eq!(cloud.state().ecs_calls["ListTasks"], answered as u64 + 1);

    fault(&cloud, json!({ "ecs": { "throttle": {} } })).await;
    assert_eq!(
        ecs(&cloud, "DescribeServices", services).await.json()["__type"],
        "ThrottlingException"
    );
    cloud.stop().await;
}
