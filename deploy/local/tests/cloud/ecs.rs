//! Services, tasks and the ECS API.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use pacer_local::{
    Cloud, TaskState,
    config::{Network, Service},
};
use serde_json::{Value, json};

use crate::support::{Answer, alive, ecs, fault, gone, plain, send, service, until, with_service};

/// Tasks of `prod/web` that run.
pub(crate) fn running(cloud: &Cloud) -> Vec<TaskState> {
    let tasks = cloud.state().services["prod/web"].tasks.clone();
    tasks.into_iter().filter(|t| t.status == "RUNNING").collect()
}

pub(crate) async fn runs(cloud: &Cloud, count: usize) -> Vec<TaskState> {
    let what = format!("{count} tasks run");
    until(&what, async || Some(running(cloud)).filter(|tasks| tasks.len() == count)).await
}

/// What the task answers over HTTP, once it listens.
pub(crate) async fn get(address: &str, path: &str) -> Option<Answer> {
    let address = address.parse().unwrap();
    tokio::net::TcpStream::connect(address).await.ok()?;
    let request = Request::get(path).header("host", "x").body(Full::default()).unwrap();
    send(address, request).await.ok()
}

pub(crate) async fn describe(cloud: &Cloud, arn: &str) -> Value {
    let answer = ecs(cloud, "DescribeTasks", json!({ "cluster": "prod", "tasks": [arn] })).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body);
    answer.json()["tasks"][0].clone()
}

/// Waits until the task is over, and describes it.
pub(crate) async fn over(cloud: &Cloud, arn: &str) -> Value {
    until("it is over", async || {
        let services = cloud.state().services;
        let mut tasks = services.values().flat_map(|s| &s.tasks);
        tasks.any(|t| t.arn == arn && t.status == "STOPPED").then_some(())
    })
    .await;
    describe(cloud, arn).await
}

/// Sets what `prod/web` should be.
pub(crate) async fn update(cloud: &Cloud, change: Value) -> Value {
    let mut ask = json!({ "cluster": "prod", "service": "web" });
    ask.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let answer = ecs(cloud, "UpdateService", ask).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body);
    answer.json()["service"].clone()
}

#[tokio::test]
async fn tasks_have_addresses_of_their_own_and_serve_there() {
    let cloud = with_service(Service { desired: 3, ..service(&["http"]) }).await;
    let tasks = runs(&cloud, 3).await;
    let mut seen = Vec::new();
    for task in &tasks {
        let address = task.address.clone().unwrap();
        let answer = until("it serves", async || get(&address, "/").await).await;
        assert_eq!(answer.body, task.pid.unwrap().to_string());
        let described = describe(&cloud, &task.arn).await;
        let details = &described["attachments"][0];
        assert_eq!(details["type"], "ElasticNetworkInterface");
        let details = details["details"].as_array().unwrap();
        let ip = details.iter().find(|d| d["name"] == "privateIPv4Address").unwrap()["value"]
            .as_str()
            .unwrap();
        assert_eq!(format!("{ip}:8080"), address);
        assert_eq!(described["containers"][0]["networkInterfaces"][0]["privateIpv4Address"], ip);
        assert_eq!(
            (&described["lastStatus"], &described["desiredStatus"]),
            (&json!("RUNNING"), &json!("RUNNING"))
        );
        assert!(
            described["createdAt"].as_f64().unwrap() <= described["startedAt"].as_f64().unwrap()
        );
        assert_eq!(described["availabilityZone"], task.zone);
        seen.push((address, task.zone.clone()));
    }
    seen.sort();
    seen.dedup_by_key(|(address, _)| address.clone());
    assert_eq!(seen.len(), 3);
    let zones: std::collections::BTreeSet<_> = seen.into_iter().map(|(_, zone)| zone).collect();
    assert_eq!(zones.into_iter().collect::<Vec<_>>(), ["eu-west-1a", "eu-west-1b", "eu-west-1c"]);
    cloud.stop().await;
    assert!(tasks.iter().all(|t| !alive(u64::from(t.pid.unwrap()))));
}

#[tokio::test]
async fn bridge_mode_gives_host_ports() {
    let cloud =
        with_service(Service { network: Network::Bridge, desired: 2, ..service(&["http"]) }).await;
    for task in runs(&cloud, 2).await {
        let described = describe(&cloud, &task.arn).await;
        let binding = &described["containers"][0]["networkBindings"][0];
        assert_eq!(
            (&binding["bindIP"], &binding["containerPort"]),
            (&json!("127.0.0.1"), &json!(8080))
        );
        let address = format!("127.0.0.1:{}", binding["hostPort"]);
        let answer = until("it serves", async || get(&address, "/").await).await;
        assert_eq!(answer.body, task.pid.unwrap().to_string());
        assert_eq!(
            (&described["launchType"], &described["attachments"]),
            (&json!("EC2"), &json!([]))
        );
    }
    cloud.stop().await;
}

#[tokio::test]
async fn a_task_passes_through_ecs_statuses_and_takes_its_lag() {
    // 100 s at a hundredfold speed.
    let cloud =
        with_service(Service { start_lag: Duration::from_secs(100), ..service(&["http"]) }).await;
    let mut statuses = Vec::new();
    let mut see = |status: &'static str| {
        if statuses.last() != Some(&status) {
            statuses.push(status);
        }
    };
    let task = until("it runs", async || {
        let task = cloud.state().services["prod/web"].tasks.first().cloned()?;
        see(task.status);
        (task.status == "RUNNING").then_some(task)
    })
    .await;
    let described = describe(&cloud, &task.arn).await;
    let lag = described["startedAt"].as_f64().unwrap() - described["createdAt"].as_f64().unwrap();
    assert!((0.99..15.0).contains(&lag), "{lag}");
    ecs(&cloud, "UpdateService", json!({ "cluster": "prod", "service": "web", "desiredCount": 0 }))
        .await;
    until("it is over", async || {
        let task = cloud.state().services["prod/web"].tasks.first().cloned()?;
        see(task.status);
        (task.status == "STOPPED").then_some(())
    })
    .await;
    let all = [
        "PROVISIONING",
        "PENDING",
        "ACTIVATING",
        "RUNNING",
        "DEACTIVATING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
    ];
    // Looks on a busy machine may miss one that is short.
    let places: Vec<_> = statuses.iter().map(|s| all.iter().position(|name| name == s)).collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{statuses:?}");
    assert_eq!((statuses[0], statuses.last()), ("PROVISIONING", Some(&"STOPPED")));
    let described = describe(&cloud, &task.arn).await;
    assert_eq!(
        (&described["stopCode"], &described["desiredStatus"]),
        (&json!("ServiceSchedulerInitiated"), &json!("STOPPED"))
    );
    let code = &described["containers"][0]["exitCode"];
    assert_eq!(code, 143);
    let bill = cloud.bill().services["prod/web"];
    assert!((1000..20_000).contains(&bill.task_ms), "{bill:?}");
    assert_eq!((bill.vcpu_milli, bill.memory_mib), (1000, 2048));
    assert_eq!(
        (bill.vcpu_milli_ms, bill.memory_mib_ms),
        (1000 * bill.task_ms, 2048 * bill.task_ms)
    );
    let times = [
        "createdAt",
        "pullStartedAt",
        "pullStoppedAt",
        "startedAt",
        "stoppingAt",
        "executionStoppedAt",
        "stoppedAt",
    ];
    let times: Vec<_> = times.iter().map(|name| described[name].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(cloud.bill().services["prod/web"], bill, "a task that is over costs nothing more");
    cloud.stop().await;
}

#[tokio::test]
async fn the_desired_count_is_followed_up_and_down() {
    let cloud = with_service(service(&["http"])).await;
    let update = async |count: i64| {
        ecs(
            &cloud,
            "UpdateService",
            json!({ "cluster": "prod", "service": "web", "desiredCount": count }),
        )
        .await
    };
    runs(&cloud, 1).await;
    let answer = update(4).await;
    assert_eq!((answer.status(), &answer.json()["service"]["desiredCount"]), (200, &json!(4)));
    runs(&cloud, 4).await;
    update(1).await;
    let left = runs(&cloud, 1).await;
    let services =
        ecs(&cloud, "DescribeServices", json!({ "cluster": "prod", "services": ["web", "gone"] }))
            .await
            .json();
    let web = &services["services"][0];
    assert_eq!(
        (&web["desiredCount"], &web["runningCount"], &web["pendingCount"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(web["serviceArn"], "arn:aws:ecs:eu-west-1:123456789012:service/prod/web");
    assert_eq!(services["failures"], json!([{ "arn": "gone", "reason": "MISSING" }]));
    let list = ecs(
        &cloud,
        "ListTasks",
        json!({ "cluster": "prod", "serviceName": "web", "desiredStatus": "RUNNING" }),
    );
    assert_eq!(list.await.json(), json!({ "taskArns": [left[0].arn] }));
    assert_eq!(update(-1).await.status(), 400);
    cloud.stop().await;
}

#[tokio::test]
async fn more_tasks_than_there_is_room_for_are_not_started() {
    let cloud = with_service(Service { desired: 5, max: 2, ..service(&["http"]) }).await;
    runs(&cloud, 2).await;
    assert_eq!(cloud.state().services["prod/web"].tasks.len(), 2);
    cloud.stop().await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    let cloud = with_service(Service { desired: 5, ..service(&["http"]) }).await;
    runs(&cloud, 5).await;
    let (mut arns, mut token, mut pages) = (Vec::new(), Value::Null, 0);
    loop {
        let mut ask = json!({ "cluster": "prod", "maxResults": 2 });
        if !token.is_null() {
            ask["nextToken"] = token;
        }
        let page = ecs(&cloud, "ListTasks", ask).await.json();
        arns.extend(page["taskArns"].as_array().unwrap().clone());
        pages += 1;
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!((pages, arns.len()), (3, 5));
    let described =
        ecs(&cloud, "DescribeTasks", json!({ "cluster": "prod", "tasks": arns })).await.json();
    assert_eq!(described["tasks"].as_array().unwrap().len(), 5);
    cloud.stop().await;
}

#[tokio::test]
async fn a_task_that_dies_is_remembered_and_replaced() {
    let cloud = with_service(service(&["http"])).await;
    let first = runs(&cloud, 1).await.remove(0);
    let address = first.address.clone().unwrap();
    until("it serves", async || get(&address, "/").await).await;
    get(&address, "/exit").await;
    let second =
        until("another runs", async || running(&cloud).into_iter().find(|t| t.arn != first.arn))
            .await;
    assert_ne!(second.address, first.address);
    let described = over(&cloud, &first.arn).await;
    assert_eq!(
        (&described["lastStatus"], &described["stopCode"]),
        (&json!("STOPPED"), &json!("EssentialContainerExited"))
    );
    assert_eq!(described["containers"][0]["exitCode"], 1);

    fault(&cloud, json!({ "ecs": { "kill": { "task": second.arn } } })).await;
    gone(u64::from(second.pid.unwrap())).await;
    until("a third runs", async || running(&cloud).into_iter().find(|t| t.arn != second.arn)).await;
    assert_eq!(over(&cloud, &second.arn).await["containers"][0]["exitCode"], 137);
    cloud.stop().await;
}

#[tokio::test]
async fn a_task_that_ignores_sigterm_is_killed_after_its_stop_timeout() {
    let cloud = with_service(service(&["http-stubborn"])).await;
    let task = runs(&cloud, 1).await.remove(0);
    // Once it serves, its handler is in place.
    let address = task.address.clone().unwrap();
    until("it serves", async || get(&address, "/").await).await;
    ecs(&cloud, "UpdateService", json!({ "cluster": "prod", "service": "web", "desiredCount": 0 }))
        .await;
    gone(u64::from(task.pid.unwrap())).await;
    let described = over(&cloud, &task.arn).await;
    assert_eq!(described["containers"][0]["exitCode"], 137);
    // 30 s at a hundredfold speed.
    let took = described["stoppedAt"].as_f64().unwrap() - described["stoppingAt"].as_f64().unwrap();
    assert!((0.29..15.0).contains(&took), "{took}");
    cloud.stop().await;
}

#[tokio::test]
async fn a_task_that_cannot_start_says_why() {
    let cloud = with_service(Service {
        start_lag: Duration::ZERO,
        ..Service::new(vec!["/does/not/exist".into()])
    })
    .await;
    let reason = until("it failed", async || {
        cloud.state().services["prod/web"].tasks.first()?.stopped_reason.clone()
    })
    .await;
    assert!(reason.contains("could not start `/does/not/exist`"), "{reason}");
    cloud.stop().await;
}

#[tokio::test]
async fn calls_that_are_wrong_are_refused_as_ecs_does() {
    let cloud = with_service(service(&["http"])).await;
    for (call, body, kind) in [
        ("ListTasks", json!({ "cluster": "gone" }), "ClusterNotFoundException"),
        ("ListTasks", json!({}), "ClusterNotFoundException"),
        (
            "ListTasks",
            json!({ "cluster": "prod", "serviceName": "gone" }),
            "ServiceNotFoundException",
        ),
        (
            "ListTasks",
            json!({ "cluster": "prod", "launchType": "EC2" }),
            "InvalidParameterException",
        ),
        ("ListTasks", json!({ "cluster": "prod", "maxResults": 101 }), "InvalidParameterException"),
        ("DescribeTasks", json!({ "cluster": "prod", "tasks": [] }), "InvalidParameterException"),
        (
            "UpdateService",
            json!({ "cluster": "prod", "service": "gone" }),
            "ServiceNotFoundException",
        ),
        (
            "DeleteService",
            json!({ "cluster": "prod", "service": "web" }),
            "UnknownOperationException",
        ),
    ] {
        let answer = ecs(&cloud, call, body.clone()).await;
        assert_eq!(
            (answer.status(), &answer.json()["__type"]),
            (400, &json!(kind)),
            "{call} {body}"
        );
    }
    let missing =
        ecs(&cloud, "DescribeTasks", json!({ "cluster": "prod", "tasks": ["gone"] })).await.json();
    assert_eq!(
        missing,
        json!({ "tasks": [], "failures": [{ "arn": "gone", "reason": "MISSING" }] })
    );
    let unsigned = plain(&cloud, "POST", "/", "{}").await;
    assert_eq!(
        (unsigned.status(), &unsigned.json()["__type"]),
        (403, &json!("MissingAuthenticationTokenException"))
    );
    cloud.stop().await;
}

#[tokio::test]
async fn the_api_can_be_down_while_tasks_live_on() {
    let cloud = with_service(service(&["http"])).await;
    let task = runs(&cloud, 1).await.remove(0);
    for (status, kind) in [(503, "ServiceUnavailable"), (500, "ServerException")] {
        fault(&cloud, json!({ "ecs": { "down": { "status": status } } })).await;
        let answer = ecs(&cloud, "ListTasks", json!({ "cluster": "prod" })).await;
        assert_eq!((answer.status(), &answer.json()["__type"]), (status, &json!(kind)));
    }
    assert_eq!(running(&cloud), [task]);
    assert_eq!(plain(&cloud, "DELETE", "/_local/faults", "").await.status(), 204);
    assert_eq!(ecs(&cloud, "ListTasks", json!({ "cluster": "prod" })).await.status(), 200);
    cloud.stop().await;
}

#[tokio::test]
async fn a_slow_start_adds_to_the_lag() {
    let cloud = with_service(Service { desired: 0, ..service(&["http"]) }).await;
    let slow = json!({ "cluster": "prod", "service": "web", "extra": "100s" });
    fault(&cloud, json!({ "ecs": { "slow_start": slow } })).await;
    ecs(&cloud, "UpdateService", json!({ "cluster": "prod", "service": "web", "desiredCount": 1 }))
        .await;
    let task = runs(&cloud, 1).await.remove(0);
    let described = describe(&cloud, &task.arn).await;
    let lag = described["startedAt"].as_f64().unwrap() - described["createdAt"].as_f64().unwrap();
    assert!((0.99..15.0).contains(&lag), "{lag}");
    cloud.stop().await;
}
