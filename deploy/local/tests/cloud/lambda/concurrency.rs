//! Reserved and provisioned concurrency, the account's settings, and rates.

use std::time::Duration;

use pacer_local::{Cloud, Config};
use serde_json::{Value, json};

use crate::support::{fault, function, invoke_as, lambda, pause, start, until};

const RESERVED: &str = "/2017-10-31/functions/f/concurrency";
const PROVISIONED: &str = "/2019-09-30/functions/f/provisioned-concurrency";

async fn cloud(account: u32, scale: f64) -> Cloud {
    let mut config = Config { account_concurrency: account, ..Config::new() };
    let mut f = function(&["function"]);
    f.qualifiers = vec!["live".into()];
    f.memory = 512;
    config.functions.insert("f".into(), f);
    let mut snap = function(&["function"]);
    (snap.snap_start, snap.qualifiers) = (true, vec!["live".into()]);
    config.functions.insert("snap".into(), snap);
    start(config, scale).await
}

#[tokio::test]
async fn reserved_concurrency_is_set_shown_and_taken_away() {
    let cloud = cloud(1000, 1.0).await;
    let reserve = async |n: u32| {
        let body = json!({ "ReservedConcurrentExecutions": n });
        lambda(&cloud, "PUT", RESERVED, body).await
    };
    assert_eq!(reserve(10).await.json(), json!({ "ReservedConcurrentExecutions": 10 }));
    let get = "/2019-09-30/functions/f/concurrency";
    let shown = lambda(&cloud, "GET", get, Value::Null).await;
    assert_eq!(shown.json(), json!({ "ReservedConcurrentExecutions": 10 }));
    let settings = lambda(&cloud, "GET", "/2016-08-19/account-settings", Value::Null).await.json();
    assert_eq!(settings["AccountLimit"]["ConcurrentExecutions"], 1000);
    assert_eq!(settings["AccountLimit"]["UnreservedConcurrentExecutions"], 990);
    assert_eq!(settings["AccountUsage"]["FunctionCount"], 2);
    let described = lambda(&cloud, "GET", "/2015-03-31/functions/f", Value::Null).await.json();
    assert_eq!(described["Concurrency"]["ReservedConcurrentExecutions"], 10);
    let refused = reserve(901).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.json()["message"].as_str().unwrap().contains("minimum value of [100]"));
    // Reserving nothing turns the function off.
    reserve(0).await;
    let answer = invoke_as(&cloud, "f", &[], &json!({})).await;
    assert_eq!(
        (answer.status(), &answer.json()["Reason"]),
        (429, &json!("ReservedFunctionConcurrentInvocationLimitExceeded"))
    );
    assert_eq!(lambda(&cloud, "DELETE", RESERVED, Value::Null).await.status(), 204);
    assert_eq!(lambda(&cloud, "GET", get, Value::Null).await.json(), json!({}));
    assert_eq!(invoke_as(&cloud, "f", &[], &json!({})).await.status(), 200);
    cloud.stop().await;
}

#[tokio::test]
async fn provisioned_environments_are_there_before_they_are_needed() {
    // A minute of allocation becomes 60 ms.
    let cloud = cloud(1000, 1000.0).await;
    let live = format!("{PROVISIONED}?Qualifier=live");
    let none = lambda(&cloud, "GET", &live, Value::Null).await;
    assert_eq!(
        (none.status(), none.header("x-amzn-errortype")),
        (404, "ProvisionedConcurrencyConfigNotFoundException")
    );
    let body = json!({ "ProvisionedConcurrentExecutions": 2 });
    let put = lambda(&cloud, "PUT", &live, body).await;
    assert_eq!((put.status(), &put.json()["Status"]), (202, &json!("IN_PROGRESS")));
    let status = async || lambda(&cloud, "GET", &live, Value::Null).await.json();
    let ready = async || {
        let status = status().await;
        (status["Status"] == "READY").then_some(status)
    };
    let described = until("they are there", ready).await;
    assert_eq!(described["AvailableProvisionedConcurrentExecutions"], 2);
    // Two at once in them, the third on demand.
    let long = || invoke_as(&cloud, "f:live", &[], &PAUSE);
    let (a, b, c) = tokio::join!(long(), long(), long());
    let mut kinds = [a, b, c].map(|answer| {
        answer.json()["env"]["AWS_LAMBDA_INITIALIZATION_TYPE"].as_str().unwrap().to_owned()
    });
    kinds.sort_unstable();
    assert_eq!(kinds, ["on-demand", "provisioned-concurrency", "provisioned-concurrency"]);
    let state = &cloud.state().functions["f"];
    assert_eq!((state.cold_starts, state.invocations), (1, 3));
    // One that dies is replaced.
    let dead = state.environments.iter().find(|e| e.version == "1").unwrap().id.clone();
    fault(&cloud, json!({ "lambda": { "kill": { "environment": dead } } })).await;
    until("it is replaced", ready).await;
    assert!(0 < cloud.bill().functions["f"].provisioned_mb_ms);
    // Not reaped: the on-demand one is, after 300 ms of idleness.
    until("only they are left", async || {
        (cloud.state().functions["f"].environments.len() == 2).then_some(())
    })
    .await;
    let list = lambda(&cloud, "GET", &format!("{PROVISIONED}?List=ALL"), Value::Null).await.json();
    let list = list["ProvisionedConcurrencyConfigs"].as_array().unwrap().clone();
    assert_eq!(list.len(), 1);
    assert!(list[0]["FunctionArn"].as_str().unwrap().ends_with(":f:live"));
    assert_eq!(lambda(&cloud, "DELETE", &live, Value::Null).await.status(), 204);
    until("none is left", async || {
        cloud.state().functions["f"].environments.is_empty().then_some(())
    })
    .await;
    cloud.stop().await;
}

static PAUSE: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| pause(200));

#[tokio::test]
async fn what_cannot_be_provisioned_is_refused() {
    let cloud = cloud(200, 1.0).await;
    let put = async |path: &str, n: u32| {
        let path = format!("/2019-09-30/functions/{path}");
        let answer =
            lambda(&cloud, "PUT", &path, json!({ "ProvisionedConcurrentExecutions": n })).await;
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        (answer.status(), message)
    };
    let of = |function: &str, qualifier: &str| {
        format!("{function}/provisioned-concurrency?Qualifier={qualifier}")
    };
    for (path, n, status, part) in [
        (of("f", "%24LATEST"), 1, 400, "unpublished function versions"),
        (of("snap", "live"), 1, 400, "SnapStart"),
        (of("f", "live"), 101, 400, "minimum value of [100]"),
        (of("f", "live"), 0, 400, "1 or more"),
        (of("f", "9"), 1, 404, "Function not found"),
        (of("f", "live"), 1, 202, ""),
        (of("f", "1"), 1, 409, "already Provisioned version"),
    ] {
        let (got, message) = put(&path, n).await;
        assert!(got == status && message.contains(part), "{path} {n}: {got} {message}");
    }
    let weights = json!({ "RoutingConfig": { "AdditionalVersionWeights": { "1": 0.1 } } });
    let alias = lambda(&cloud, "PUT", "/2015-03-31/functions/f/aliases/live", weights).await;
    assert_eq!(alias.status(), 400);
    cloud.stop().await;
}

#[tokio::test]
async fn a_function_that_cannot_start_cannot_be_provisioned() {
    let mut config = Config::new();
    let mut f = function(&["init-error"]);
    f.qualifiers = vec!["live".into()];
    config.functions.insert("f".into(), f);
    let cloud = start(config, 1000.0).await;
    let live = format!("{PROVISIONED}?Qualifier=live");
    lambda(&cloud, "PUT", &live, json!({ "ProvisionedConcurrentExecutions": 1 })).await;
    let reason = until("it failed", async || {
        let status = lambda(&cloud, "GET", &live, Value::Null).await.json();
        (status["Status"] == "FAILED").then(|| status["StatusReason"].clone())
    })
    .await;
    assert_eq!(reason, "FUNCTION_ERROR_INIT_FAILURE");
    cloud.stop().await;
}

#[tokio::test]
async fn requests_have_a_rate_beside_their_concurrency() {
    let mut config = Config::new();
    let mut f = function(&["function"]);
    // Ten requests a second.
    f.reserved_concurrency = Some(1);
    f.timeout = Duration::from_secs(5);
    config.functions.insert("f".into(), f);
    // So slow a clock that none comes back.
    let cloud = start(config, 0.000_001).await;
    for _ in 0..10 {
        assert_eq!(invoke_as(&cloud, "f", &[], &json!({})).await.status(), 200);
    }
    let answer = invoke_as(&cloud, "f", &[], &json!({})).await;
    assert_eq!(
        (answer.status(), &answer.json()["Reason"]),
        (429, &json!("ReservedFunctionInvocationRateLimitExceeded"))
    );
    cloud.stop().await;
}
