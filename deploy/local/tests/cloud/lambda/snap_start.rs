//! SnapStart: snapshots that are made, lost and restored.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use pacer_local::{Cloud, Config};
use serde_json::{Value, json};

use crate::support::{fault, function, invoke_as, lambda, start, until, with_function};

const F: &str = "/2015-03-31/functions/f";

async fn state(cloud: &Cloud, version: &str) -> Value {
    let path = format!("{F}/configuration?Qualifier={version}");
    lambda(cloud, "GET", &path, Value::Null).await.json()
}

#[tokio::test]
async fn a_restore_is_reported_and_no_init_is_billed() {
    let mut f = function(&["snap-start"]);
    (f.snap_start, f.qualifiers) = (true, vec!["live".into()]);
    let cloud = with_function(f).await;
    let answer = invoke_as(&cloud, "f:live", &[("x-amz-log-type", "Tail")], &json!({})).await;
    let log = String::from_utf8(BASE64.decode(answer.header("x-amz-log-result")).unwrap()).unwrap();
    assert!(log.contains("Billed Restore Duration: ") && !log.contains("Init Duration: "), "{log}");
    let answer = answer.json();
    assert_eq!(answer["about"]["restore"], 200);
    assert_eq!(answer["env"]["AWS_LAMBDA_INITIALIZATION_TYPE"], "snap-start");
    assert_eq!(answer["env"]["AWS_LAMBDA_LOG_STREAM_NAME"], Value::Null);
    let bill = cloud.bill().functions["f"];
    assert_eq!((bill.init_ms, bill.restores, bill.restored_mib), (0, 1, 1769));
    // The unpublished version has no snapshot.
    let latest = invoke_as(&cloud, "f", &[], &json!({})).await.json();
    assert_eq!(latest["about"]["restore"], 404);
    assert_eq!(latest["env"]["AWS_LAMBDA_INITIALIZATION_TYPE"], "on-demand");
    cloud.stop().await;
}

#[tokio::test]
async fn a_version_is_pending_until_its_snapshot_is_made() {
    let mut f = function(&["snap-start"]);
    f.snap_start = true;
    // For ever, by this clock.
    f.snapshot_lag = Duration::from_hours(1);
    let cloud = with_function(f).await;
    let version = lambda(&cloud, "POST", &format!("{F}/versions"), json!({})).await;
    assert_eq!(version.status(), 201);
    let version = version.json();
    assert_eq!(
        (&version["State"], &version["StateReasonCode"]),
        (&json!("Pending"), &json!("Creating"))
    );
    assert_eq!(
        version["SnapStart"],
        json!({ "ApplyOn": "PublishedVersions", "OptimizationStatus": "On" })
    );
    let early = invoke_as(&cloud, "f:1", &[], &json!({})).await;
    assert_eq!(
        (early.status(), early.header("x-amzn-errortype")),
        (409, "ResourceConflictException")
    );
    cloud.stop().await;

    for (mode, expected) in [("snap-start", "Active"), ("init-error", "Failed")] {
        let mut config = Config::new();
        let mut f = function(&[mode]);
        f.snap_start = true;
        config.functions.insert("f".into(), f);
        let cloud = start(config, 1000.0).await;
        lambda(&cloud, "POST", &format!("{F}/versions"), json!({})).await;
        let version = until("the snapshot is settled", async || {
            let version = state(&cloud, "1").await;
            (version["State"] != "Pending").then_some(version)
        })
        .await;
        assert_eq!(version["State"], expected, "{version}");
        if expected == "Failed" {
            assert_eq!(version["StateReasonCode"], "FunctionError.RuntimeInitError");
        } else {
            assert_eq!(invoke_as(&cloud, "f:1", &[], &json!({})).await.status(), 200);
        }
        cloud.stop().await;
    }
}

#[tokio::test]
async fn a_snapshot_that_is_lost_is_made_again_by_the_next_invocation() {
    let mut config = Config::new();
    let mut f = function(&["snap-start"]);
    (f.snap_start, f.qualifiers) = (true, vec!["live".into()]);
    config.functions.insert("f".into(), f);
    let cloud = start(config, 100.0).await;
    fault(&cloud, json!({ "lambda": { "inactive": { "function": "f", "version": 1 } } })).await;
    let version = state(&cloud, "live").await;
    assert_eq!(
        (&version["State"], &version["StateReasonCode"]),
        (&json!("Inactive"), &json!("Idle"))
    );
    let refused = invoke_as(&cloud, "f:live", &[], &json!({})).await;
    assert_eq!(
        (refused.status(), refused.header("x-amzn-errortype")),
        (409, "SnapStartNotReadyException")
    );
    until("it is back", async || {
        (invoke_as(&cloud, "f:live", &[], &json!({})).await.status() == 200).then_some(())
    })
    .await;
    cloud.stop().await;
}

#[tokio::test]
async fn what_goes_wrong_after_a_restore_is_a_refusal() {
    for (mode, status, kind) in [
        ("restore-error", 400, "SnapStartException"),
        ("slow-restore", 408, "SnapStartTimeoutException"),
    ] {
        let mut f = function(&[mode]);
        (f.snap_start, f.qualifiers) = (true, vec!["live".into()]);
        f.restore_timeout = Duration::from_millis(100);
        let cloud = with_function(f).await;
        let answer = invoke_as(&cloud, "f:live", &[], &json!({})).await;
        assert_eq!((answer.status(), answer.header("x-amzn-errortype")), (status, kind));
        let state = &cloud.state().functions["f"];
        assert_eq!((state.invocations, state.in_flight), (0, 0));
        cloud.stop().await;
    }
}
