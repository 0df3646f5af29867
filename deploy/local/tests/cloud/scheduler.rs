//! EventBridge Scheduler: what is to become of a service when nobody says otherwise any more.

use pacer_local::{Cloud, config::Service};
use serde_json::{Value, json};

use crate::{
    ecs::runs,
    support::{at, fault, plain, scheduler, service, until, with_service},
};

async fn cloud() -> Cloud {
    with_service(Service { desired: 1, ..service(&["http"]) }).await
}

/// A schedule that sets the desired count once.
fn schedule(expression: &str, count: u32) -> Value {
    let input = json!({ "Cluster": "prod", "Service": "web", "DesiredCount": count });
    json!({
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": { "Mode": "OFF" },
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": "arn:aws:scheduler:::aws-sdk:ecs:updateService",
            "RoleArn": "arn:aws:iam::123456789012:role/pacer-fallback",
            "Input": input.to_string(),
        },
    })
}

fn with(mut schedule: Value, change: Value) -> Value {
    let Value::Object(change) = change else { panic!("{change} is no object") };
    schedule.as_object_mut().unwrap().extend(change);
    schedule
}

fn desired(cloud: &Cloud) -> u32 {
    cloud.state().services["prod/web"].desired
}

async fn becomes(cloud: &Cloud, count: u32) {
    until(&format!("{count} are desired"), async || (desired(cloud) == count).then_some(())).await;
}

#[tokio::test]
async fn a_schedule_sets_the_desired_count_at_its_time_and_is_gone() {
    let cloud = cloud().await;
    let made = scheduler(&cloud, "POST", "fallback", schedule(&at(60), 3)).await;
    let arn = "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/fallback";
    assert_eq!((made.status(), made.json()), (200, json!({ "ScheduleArn": arn })));
    assert_eq!(desired(&cloud), 1, "not before its time");
    let shown = scheduler(&cloud, "GET", "fallback?groupName=default", Value::Null).await.json();
    assert_eq!(
        (&shown["Arn"], &shown["Name"], &shown["GroupName"], &shown["State"]),
        (&json!(arn), &json!("fallback"), &json!("default"), &json!("ENABLED"))
    );
    assert_eq!(
        (&shown["ScheduleExpressionTimezone"], &shown["Target"]["RetryPolicy"]),
        (&json!("UTC"), &json!({ "MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185 }))
    );
    becomes(&cloud, 3).await;
    runs(&cloud, 3).await;
    until("it is gone", async || {
        let answer = scheduler(&cloud, "GET", "fallback", Value::Null).await;
        (answer.status() == 404).then_some(())
    })
    .await;
    cloud.stop().await;
}

#[tokio::test]
async fn a_schedule_that_is_not_deleted_stays_and_can_be_used_again() {
    let cloud = cloud().await;
    let kept = |expression: &str, count| {
        with(schedule(expression, count), json!({ "ActionAfterCompletion": "NONE" }))
    };
    // A time that is past is taken, and its target called soon.
    assert_eq!(scheduler(&cloud, "POST", "kept", kept(&at(-3600), 2)).await.status(), 200);
    becomes(&cloud, 2).await;
    assert!(!cloud.state().schedules["default/kept"].pending);
    assert_eq!(scheduler(&cloud, "POST", "kept", kept(&at(60), 3)).await.status(), 409);
    assert_eq!(scheduler(&cloud, "PUT", "kept", kept(&at(10), 3)).await.status(), 200);
    becomes(&cloud, 3).await;
    cloud.stop().await;
}

#[tokio::test]
async fn a_schedule_that_is_pushed_forward_disabled_or_deleted_does_not_call() {
    let cloud = cloud().await;
    for name in ["pushed", "disabled", "deleted"] {
        let answer = scheduler(&cloud, "POST", name, schedule(&at(30), 9)).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body);
    }
    let far = schedule(&at(100_000), 4);
    assert_eq!(scheduler(&cloud, "PUT", "pushed", far).await.status(), 200);
    let disabled = with(schedule(&at(30), 9), json!({ "State": "DISABLED" }));
    assert_eq!(scheduler(&cloud, "PUT", "disabled", disabled).await.status(), 200);
    let deleted = scheduler(&cloud, "DELETE", "deleted?groupName=default", Value::Null).await;
    assert_eq!((deleted.status(), deleted.json()), (200, json!({})));
    // Later than the others by more than the minute within which each may call.
    scheduler(&cloud, "POST", "last", schedule(&at(100), 2)).await;
    becomes(&cloud, 2).await;
    let schedules = cloud.state().schedules;
    let names: Vec<_> = schedules.keys().map(String::as_str).collect();
    assert_eq!(names, ["default/disabled", "default/pushed"]);
    assert!(schedules["default/pushed"].pending && !schedules["default/disabled"].pending);
    assert_eq!(schedules["default/pushed"].input["desiredCount"], 4);
    cloud.stop().await;
}

#[tokio::test]
async fn the_same_token_is_the_same_call_and_an_update_replaces_everything() {
    let cloud = cloud().await;
    let first = with(
        schedule("at(2099-07-01T08:00:00)", 1),
        json!({ "ClientToken": "t", "Description": "d", "ScheduleExpressionTimezone": "Europe/Budapest" }),
    );
    for _ in 0..2 {
        assert_eq!(scheduler(&cloud, "POST", "s", first.clone()).await.status(), 200);
    }
    let other = with(first.clone(), json!({ "Description": "e" }));
    for ask in [other, with(first, json!({ "ClientToken": "u" }))] {
        let answer = scheduler(&cloud, "POST", "s", ask).await;
        assert_eq!(
            (answer.status(), answer.header("x-amzn-errortype"), answer.json()),
            (409, "ConflictException", json!({ "Message": "Schedule s already exists." }))
        );
    }
    assert_eq!(cloud.state().schedules["default/s"].at, "2099-07-01T06:00:00.000Z");
    let before = scheduler(&cloud, "GET", "s", Value::Null).await.json();
    assert_eq!(before["Description"], "d");
    let plain = schedule("at(2099-07-01T08:00:00)", 1);
    assert_eq!(scheduler(&cloud, "PUT", "s", plain).await.status(), 200);
    let after = scheduler(&cloud, "GET", "s", Value::Null).await.json();
    assert_eq!(
        (&after["Description"], &after["CreationDate"]),
        (&Value::Null, &before["CreationDate"])
    );
    assert_eq!(cloud.state().schedules["default/s"].at, "2099-07-01T08:00:00.000Z");
    cloud.stop().await;
}

#[tokio::test]
async fn calls_that_are_wrong_are_refused_as_aws_does() {
    let cloud = cloud().await;
    let good = schedule(&at(100_000), 1);
    let target = |change: Value| json!({ "Target": with(good["Target"].clone(), change) });
    let camel = json!({ "cluster": "prod", "service": "web" }).to_string();
    for (name, change, message) in [
        (
            "s",
            json!({ "ScheduleExpression": "at(2026-11-27T08:00:00.5)" }),
            "Invalid Schedule Expression at(2026-11-27T08:00:00.5).",
        ),
        ("s", json!({ "ScheduleExpression": "cron(0 8 * * ? *)" }), "no recurring schedules"),
        ("s", json!({ "ScheduleExpressionTimezone": "Mars/Base" }), "Mars/Base"),
        (
            "s",
            json!({ "FlexibleTimeWindow": null }),
            "Value null at 'flexibleTimeWindow' failed to satisfy constraint: Member must not be null",
        ),
        ("s", json!({ "FlexibleTimeWindow": { "Mode": "FLEXIBLE" } }), "MaximumWindowInMinutes"),
        (
            "s",
            json!({ "FlexibleTimeWindow": { "Mode": "off" } }),
            "enum value set: [OFF, FLEXIBLE]",
        ),
        ("s", json!({ "ActionAfterCompletion": "KEEP" }), "enum value set: [NONE, DELETE]"),
        (
            "s",
            target(json!({ "Arn": "arn:aws:lambda:eu-west-1:123456789012:function:f" })),
            "updateService",
        ),
        ("s", target(json!({ "RoleArn": "admin" })), "regular expression"),
        (
            "s",
            target(json!({ "RoleArn": "arn:aws:iam::999999999999:role/r" })),
            "must allow AWS EventBridge Scheduler to assume the role",
        ),
        (
            "s",
            target(json!({ "Input": camel })),
            "Invalid RequestJson provided. Reason Request payload is missing the following field(s): Service.",
        ),
        (
            "s",
            target(json!({ "RetryPolicy": { "MaximumRetryAttempts": 186 } })),
            "less than or equal to 185",
        ),
        ("s", json!({ "KmsKeyArn": "k" }), "unknown field `KmsKeyArn`"),
        ("a%20b", json!({}), "at 'name'"),
    ] {
        let answer = scheduler(&cloud, "POST", name, with(good.clone(), change.clone())).await;
        let body = answer.json();
        assert_eq!(
            (answer.status(), answer.header("x-amzn-errortype")),
            (400, "ValidationException"),
            "{change}: {body}"
        );
        assert!(body["Message"].as_str().unwrap().contains(message), "{change}: {body}");
    }
    for (method, path, ask, message) in [
        ("GET", "s", Value::Null, "Schedule s does not exist."),
        ("PUT", "s", good.clone(), "Schedule s does not exist."),
        ("DELETE", "s", Value::Null, "Schedule s does not exist."),
        ("GET", "s?groupName=mine", Value::Null, "Schedule group mine does not exist."),
        (
            "POST",
            "s",
            with(good, json!({ "GroupName": "mine" })),
            "Schedule group mine does not exist.",
        ),
    ] {
        let answer = scheduler(&cloud, method, path, ask).await;
        assert_eq!(
            (answer.status(), answer.header("x-amzn-errortype"), answer.json()),
            (404, "ResourceNotFoundException", json!({ "Message": message }))
        );
    }
    let unsigned = plain(&cloud, "GET", "/schedules/s", "").await;
    assert_eq!(
        (unsigned.status(), unsigned.header("x-amzn-errortype")),
        (403, "MissingAuthenticationTokenException")
    );
    assert!(cloud.state().schedules.is_empty());
    cloud.stop().await;
}

#[tokio::test]
async fn a_target_that_is_down_is_called_again_and_a_wrong_call_is_not() {
    let cloud = cloud().await;
    fault(&cloud, json!({ "ecs": { "down": {} } })).await;
    let wrong = json!({ "Cluster": "prod", "Service": "gone", "DesiredCount": 1 }).to_string();
    let good = schedule(&at(1), 2);
    let wrong = with(
        good.clone(),
        json!({ "Target": with(good["Target"].clone(), json!({ "Input": wrong })) }),
    );
    let few = json!({ "RetryPolicy": { "MaximumRetryAttempts": 2 } });
    let few = with(good.clone(), json!({ "Target": with(good["Target"].clone(), few) }));
    scheduler(&cloud, "POST", "few", few).await;
    until("it has given up", async || cloud.state().schedules.is_empty().then_some(())).await;
    assert_eq!(desired(&cloud), 1);
    scheduler(&cloud, "POST", "good", good).await;
    // Once the other has called and failed, it calls again.
    until("it has failed", async || {
        (0 < cloud.state().schedules["default/good"].failures).then_some(())
    })
    .await;
    plain(&cloud, "DELETE", "/_local/faults", "").await;
    becomes(&cloud, 2).await;
    scheduler(&cloud, "POST", "wrong", wrong).await;
    until("both are gone", async || cloud.state().schedules.is_empty().then_some(())).await;
    cloud.stop().await;
}

#[tokio::test]
async fn the_api_can_be_down_throttled_and_hanging_while_schedules_call() {
    let cloud = cloud().await;
    scheduler(&cloud, "POST", "before", schedule(&at(1), 2)).await;
    for (order, status, kind) in [
        (json!({ "throttle": {} }), 429, "ThrottlingException"),
        (json!({ "down": { "status": 500 } }), 500, "InternalServerException"),
        (json!({ "down": {} }), 503, "ServiceUnavailableException"),
    ] {
        fault(&cloud, json!({ "scheduler": order })).await;
        let answer = scheduler(&cloud, "GET", "before", Value::Null).await;
        assert_eq!((answer.status(), answer.header("x-amzn-errortype")), (status, kind));
    }
    becomes(&cloud, 2).await;
    plain(&cloud, "DELETE", "/_local/faults", "").await;
    fault(&cloud, json!({ "scheduler": { "hang": {} } })).await;
    let mut call = Box::pin(scheduler(&cloud, "POST", "after", schedule(&at(100_000), 3)));
    let made = |calls: &Value| calls["POST /schedules/after"] == 1;
    tokio::select! {
        answer = &mut call => panic!("it did not hang: {answer:?}"),
        () = until("it has come", async || {
            made(&plain(&cloud, "GET", "/_local/calls", "").await.json()).then_some(())
        }) => {}
    }
    assert!(!cloud.state().schedules.contains_key("default/after"));
    plain(&cloud, "DELETE", "/_local/faults", "").await;
    assert_eq!(call.await.status(), 200);
    cloud.stop().await;
}
