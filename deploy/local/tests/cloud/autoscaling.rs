//! Application Auto Scaling: bounds of a service's desired count, now and later.

use pacer_local::{Cloud, config::Service};
use serde_json::{Value, json};

use crate::{
    ecs::{runs, update},
    support::{at, autoscaling, fault, plain, service, until, with_service},
};

async fn cloud(desired: u32) -> Cloud {
    with_service(Service { desired, ..service(&["http"]) }).await
}

async fn register(cloud: &Cloud, change: Value) -> Value {
    let answer = autoscaling(cloud, "RegisterScalableTarget", change).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body);
    answer.json()
}

async fn put(cloud: &Cloud, name: &str, change: Value) {
    let mut ask = json!({ "ScheduledActionName": name });
    ask.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let answer = autoscaling(cloud, "PutScheduledAction", ask).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body);
}

fn desired(cloud: &Cloud) -> u32 {
    cloud.state().services["prod/web"].desired
}

async fn becomes(cloud: &Cloud, count: u32) {
    until(&format!("{count} are desired"), async || (desired(cloud) == count).then_some(())).await;
}

/// The bounds that are shown.
async fn bounds(cloud: &Cloud) -> (Value, Value) {
    let ask = json!({ "ResourceId": null, "ResourceIds": ["service/prod/web"] });
    let shown = autoscaling(cloud, "DescribeScalableTargets", ask).await.json();
    let target = &shown["ScalableTargets"][0];
    (target["MinCapacity"].clone(), target["MaxCapacity"].clone())
}

#[tokio::test]
async fn registering_brings_the_service_within_its_bounds_at_once() {
    let cloud = cloud(1).await;
    let arn = register(&cloud, json!({ "MinCapacity": 2, "MaxCapacity": 4 })).await;
    let arn = arn["ScalableTargetARN"].as_str().unwrap().to_owned();
    let prefix = "arn:aws:application-autoscaling:eu-west-1:123456789012:scalable-target/";
    assert!(arn.starts_with(prefix), "{arn}");
    assert_eq!(desired(&cloud), 2);
    runs(&cloud, 2).await;
    update(&cloud, json!({ "desiredCount": 9 })).await;
    assert_eq!(desired(&cloud), 9, "whoever sets it may pass the bounds");
    let again = register(&cloud, json!({})).await;
    assert_eq!(desired(&cloud), 4, "until the next registration, whatever it says");
    assert_eq!(again["ScalableTargetARN"], arn);
    register(&cloud, json!({ "MinCapacity": 3 })).await;
    assert_eq!(bounds(&cloud).await, (json!(3), json!(4)), "what is not given stays");
    register(&cloud, json!({ "MaxCapacity": 3 })).await;
    assert_eq!(desired(&cloud), 3);
    assert_eq!(cloud.state().ecs_calls.get("UpdateService"), Some(&1), "only ours is counted");
    cloud.stop().await;
}

#[tokio::test]
async fn what_is_suspended_is_shown_and_kept() {
    let cloud = cloud(0).await;
    let suspended = json!({ "ScheduledScalingSuspended": true });
    let ask = json!({ "MinCapacity": 0, "MaxCapacity": 4, "SuspendedState": suspended });
    register(&cloud, ask).await;
    register(&cloud, json!({ "SuspendedState": { "DynamicScalingInSuspended": true } })).await;
    let shown = autoscaling(
        &cloud,
        "DescribeScalableTargets",
        json!({ "ResourceId": null, "ScalableDimension": null }),
    )
    .await;
    assert_eq!(
        shown.json()["ScalableTargets"][0]["SuspendedState"],
        json!({
            "DynamicScalingInSuspended": true, "DynamicScalingOutSuspended": false,
            "ScheduledScalingSuspended": true,
        })
    );
    // 10 s at a hundredfold speed; the second action shows that the first one's time has passed.
    put(
        &cloud,
        "lost",
        json!({ "Schedule": at(10), "ScalableTargetAction": { "MinCapacity": 2 } }),
    )
    .await;
    until("it is over", async || {
        let targets = cloud.state().scalable_targets;
        (!targets["service/prod/web"].scheduled_actions["lost"].pending).then_some(())
    })
    .await;
    assert_eq!((desired(&cloud), bounds(&cloud).await.0), (0, json!(0)));
    cloud.stop().await;
}

#[tokio::test]
async fn a_scheduled_action_changes_bounds_and_service_on_time_and_once() {
    let cloud = cloud(1).await;
    register(&cloud, json!({ "MinCapacity": 0, "MaxCapacity": 10 })).await;
    let ask = json!({ "Schedule": at(60), "ScalableTargetAction": { "MinCapacity": 3 } });
    put(&cloud, "floor", ask).await;
    assert_eq!(desired(&cloud), 1, "not before its time");
    let shown = autoscaling(&cloud, "DescribeScheduledActions", json!({})).await.json();
    let action = &shown["ScheduledActions"][0];
    assert_eq!(
        (&action["ScheduledActionName"], &action["ScalableTargetAction"]),
        (&json!("floor"), &json!({ "MinCapacity": 3 }))
    );
    assert!(action["ScheduledActionARN"].as_str().unwrap().ends_with(":scheduledActionName/floor"));
    becomes(&cloud, 3).await;
    assert_eq!(bounds(&cloud).await, (json!(3), json!(10)));
    runs(&cloud, 3).await;
    // It acts once: what is set afterwards stays.
    register(&cloud, json!({ "MinCapacity": 0 })).await;
    update(&cloud, json!({ "desiredCount": 1 })).await;
    put(
        &cloud,
        "ceiling",
        json!({ "Schedule": at(10), "ScalableTargetAction": { "MaxCapacity": 0 } }),
    )
    .await;
    becomes(&cloud, 0).await;
    assert_eq!(bounds(&cloud).await, (json!(0), json!(0)));
    cloud.stop().await;
}

#[tokio::test]
async fn an_action_that_is_pushed_forward_or_deleted_does_not_act_at_its_old_time() {
    let cloud = cloud(1).await;
    register(&cloud, json!({ "MinCapacity": 0, "MaxCapacity": 10 })).await;
    let action = |min: u32| json!({ "MinCapacity": min });
    put(&cloud, "pushed", json!({ "Schedule": at(20), "ScalableTargetAction": action(5) })).await;
    put(&cloud, "deleted", json!({ "Schedule": at(20), "ScalableTargetAction": action(6) })).await;
    // What is not given stays: here the bounds.
    put(&cloud, "pushed", json!({ "Schedule": at(100_000) })).await;
    let gone = json!({ "ScheduledActionName": "deleted" });
    assert_eq!(autoscaling(&cloud, "DeleteScheduledAction", gone.clone()).await.status(), 200);
    put(&cloud, "later", json!({ "Schedule": at(30), "ScalableTargetAction": action(2) })).await;
    becomes(&cloud, 2).await;
    let shown = cloud.state().scalable_targets["service/prod/web"].clone();
    assert_eq!((shown.min, shown.max), (2, 10));
    let pushed = &shown.scheduled_actions["pushed"];
    assert_eq!((pushed.min, pushed.max, pushed.pending), (Some(5), None, true));
    let again = autoscaling(&cloud, "DeleteScheduledAction", gone).await;
    assert_eq!((again.status(), &again.json()["__type"]), (400, &json!("ObjectNotFoundException")));
    assert_eq!(autoscaling(&cloud, "DeregisterScalableTarget", json!({})).await.status(), 200);
    let left = json!({ "ResourceId": null, "ScalableDimension": null });
    let left = autoscaling(&cloud, "DescribeScheduledActions", left).await.json();
    assert_eq!(left["ScheduledActions"], json!([]), "they go with their target");
    cloud.stop().await;
}

#[tokio::test]
async fn a_time_zone_makes_the_time_local() {
    let cloud = cloud(0).await;
    register(&cloud, json!({ "MinCapacity": 0, "MaxCapacity": 10 })).await;
    let (schedule, bounds) = ("at(2099-07-01T08:00:00)", json!({ "MinCapacity": 1 }));
    for (name, zone, at) in [
        ("utc", Value::Null, "2099-07-01T08:00:00.000Z"),
        ("local", json!("Europe/Budapest"), "2099-07-01T06:00:00.000Z"),
    ] {
        let mut ask = json!({ "Schedule": schedule, "ScalableTargetAction": bounds });
        if !zone.is_null() {
            ask["Timezone"] = zone;
        }
        put(&cloud, name, ask).await;
        let targets = cloud.state().scalable_targets;
        assert_eq!(targets["service/prod/web"].scheduled_actions[name].at, at);
    }
    cloud.stop().await;
}

#[tokio::test]
async fn calls_that_are_wrong_are_refused_as_aws_does() {
    let cloud = cloud(1).await;
    let unregistered = "No scalable target registered for service namespace: ecs, resource ID: service/prod/web, scalable dimension: ecs:service:DesiredCount";
    let action = json!({
        "ScheduledActionName": "a", "Schedule": at(1000), "ScalableTargetAction": { "MinCapacity": 1 },
    });
    let early = [
        (
            "RegisterScalableTarget",
            json!({ "MinCapacity": 1 }),
            "ValidationException",
            "must be provided",
        ),
        ("PutScheduledAction", action.clone(), "ObjectNotFoundException", unregistered),
        ("DeregisterScalableTarget", json!({}), "ObjectNotFoundException", unregistered),
    ];
    for (call, ask, kind, message) in early {
        refused(&cloud, call, ask, kind, message).await;
    }
    register(&cloud, json!({ "MinCapacity": 1, "MaxCapacity": 4 })).await;
    let register = "RegisterScalableTarget";
    let validation = "ValidationException";
    for (call, change, message) in [
        (
            register,
            json!({ "MinCapacity": 5 }),
            "Maximum capacity cannot be less than minimum capacity",
        ),
        (
            register,
            json!({ "MinCapacity": -1 }),
            "Value '-1' at 'minCapacity' failed to satisfy constraint: Member must have value greater than or equal to 0",
        ),
        (
            register,
            json!({ "ResourceId": "service/prod/gone" }),
            "ECS service doesn't exist: service/prod/gone",
        ),
        (register, json!({ "ResourceId": "prod/web" }), "Unsupported service namespace"),
        (
            register,
            json!({ "ScalableDimension": null }),
            "Value null at 'scalableDimension' failed to satisfy constraint: Member must not be null",
        ),
        (register, json!({ "Tags": {} }), "unknown field `Tags`"),
        ("DescribeScalableTargets", json!({ "ResourceId": null, "MaxResults": 51 }), "resource id"),
    ] {
        refused(&cloud, call, change, validation, message).await;
    }
    for (change, message) in [
        (json!({ "Schedule": at(-10) }), "in the past"),
        (json!({ "Schedule": "at(2026-11-27)" }), "Invalid schedule expression: at(2026-11-27)"),
        (json!({ "Schedule": "rate(5 minutes)" }), "no recurring schedules"),
        (json!({ "Timezone": "Mars/Base" }), "Invalid timezone: Mars/Base"),
        (
            json!({ "ScalableTargetAction": {} }),
            "At least one of minimum capacity and maximum capacity should be provided",
        ),
        (
            json!({ "ScalableTargetAction": { "MinCapacity": 3, "MaxCapacity": 2 } }),
            "Maximum capacity cannot be less",
        ),
        (json!({ "ScheduledActionName": "a:b" }), "regular expression"),
    ] {
        let mut ask = action.clone();
        ask.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        refused(&cloud, "PutScheduledAction", ask, validation, message).await;
    }
    assert_eq!((desired(&cloud), bounds(&cloud).await), (1, (json!(1), json!(4))));
    refused(
        &cloud,
        "PutScalingPolicy",
        json!({}),
        "UnknownOperationException",
        "PutScheduledAction",
    )
    .await;
    cloud.stop().await;
}

async fn refused(cloud: &Cloud, call: &str, ask: Value, kind: &str, message: &str) {
    let answer = autoscaling(cloud, call, ask.clone()).await;
    let body = answer.json();
    assert_eq!((answer.status(), &body["__type"]), (400, &json!(kind)), "{call} {ask}: {body}");
    let said = body["message"].as_str().unwrap();
    assert!(said.contains(message), "{call} {ask}: {said}");
}

#[tokio::test]
async fn descriptions_come_in_pages() {
    let cloud = cloud(0).await;
    register(&cloud, json!({ "MinCapacity": 0, "MaxCapacity": 4 })).await;
    let action = json!({ "Schedule": at(100_000), "ScalableTargetAction": { "MinCapacity": 1 } });
    for name in ["a", "b", "c"] {
        put(&cloud, name, action.clone()).await;
    }
    let (mut names, mut token) = (Vec::new(), Value::Null);
    loop {
        let ask = json!({ "MaxResults": 2, "NextToken": token });
        let page = autoscaling(&cloud, "DescribeScheduledActions", ask).await.json();
        let actions = page["ScheduledActions"].as_array().unwrap().clone();
        names.extend(actions.iter().map(|a| a["ScheduledActionName"].clone()));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
    let ask = json!({ "ScheduledActionNames": ["b", "x"] });
    let named = autoscaling(&cloud, "DescribeScheduledActions", ask).await.json();
    assert_eq!(named["ScheduledActions"].as_array().unwrap().len(), 1);
    cloud.stop().await;
}

#[tokio::test]
async fn the_api_can_be_down_throttled_and_hanging() {
    let cloud = cloud(0).await;
    let ask = json!({ "MinCapacity": 1, "MaxCapacity": 4 });
    for (order, status, kind) in [
        (json!({ "throttle": {} }), 400, "ThrottlingException"),
        (json!({ "down": { "status": 500 } }), 500, "InternalServiceException"),
        (json!({ "down": {} }), 503, "ServiceUnavailable"),
    ] {
        fault(&cloud, json!({ "autoscaling": order })).await;
        let answer = autoscaling(&cloud, "RegisterScalableTarget", ask.clone()).await;
        assert_eq!((answer.status(), &answer.json()["__type"]), (status, &json!(kind)));
    }
    plain(&cloud, "DELETE", "/_local/faults", "").await;
    fault(&cloud, json!({ "autoscaling": { "hang": {} } })).await;
    let mut call = Box::pin(autoscaling(&cloud, "RegisterScalableTarget", ask));
    let made = |calls: &Value| calls["AnyScaleFrontendService.RegisterScalableTarget"] == 4;
    tokio::select! {
        answer = &mut call => panic!("it did not hang: {answer:?}"),
        () = until("it has come", async || {
            made(&plain(&cloud, "GET", "/_local/calls", "").await.json()).then_some(())
        }) => {}
    }
    assert_eq!(desired(&cloud), 0);
    plain(&cloud, "DELETE", "/_local/faults", "").await;
    assert_eq!((call.await.status(), desired(&cloud)), (200, 1));
    cloud.stop().await;
}

#[tokio::test]
async fn what_ecs_would_not_take_is_done_when_it_does_again() {
    let cloud = cloud(1).await;
    fault(&cloud, json!({ "ecs": { "down": {} } })).await;
    register(&cloud, json!({ "MinCapacity": 2, "MaxCapacity": 4 })).await;
    assert_eq!((desired(&cloud), bounds(&cloud).await), (1, (json!(2), json!(4))));
    plain(&cloud, "DELETE", "/_local/faults", "").await;
    becomes(&cloud, 2).await;
    cloud.stop().await;
}
