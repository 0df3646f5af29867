//! Faults that are ordered: what an invocation meets, and how often.

use std::time::Duration;

use pacer_local::faults::{EXCEPTIONS, FUNCTION_ERRORS};
use serde_json::{Value, json};

use crate::support::{fault, function, invoke, lambda, plain, send, signed, with_function};

#[tokio::test]
async fn every_exception_of_invoke_can_be_met_with_its_status() {
    let cloud = with_function(function(&["function"])).await;
    for (kind, status) in EXCEPTIONS {
        fault(&cloud, json!({ "lambda": { "error": { "function": "f", "type": kind } } })).await;
        let answer = invoke(&cloud, json!({})).await;
        assert_eq!((answer.status(), answer.header("x-amzn-errortype")), (status, kind));
        let side = if status < 500 { "User" } else { "Service" };
        assert_eq!(answer.json()["Type"], side, "{kind}");
    }
    for reason in [
        "ConcurrentInvocationLimitExceeded",
        "ReservedFunctionConcurrentInvocationLimitExceeded",
        "FunctionInvocationRateLimitExceeded",
        "ReservedFunctionInvocationRateLimitExceeded",
        "CallerRateLimitExceeded",
        "ConcurrentSnapshotCreateLimitExceeded",
    ] {
        let order = json!({ "function": "f", "reason": reason });
        fault(&cloud, json!({ "lambda": { "throttle": order } })).await;
        let answer = invoke(&cloud, json!({})).await;
        assert_eq!((answer.status(), answer.header("retry-after")), (429, "1"));
        assert_eq!(answer.header("x-amzn-errortype"), "TooManyRequestsException");
        assert_eq!(answer.json()["Reason"], reason);
    }
    assert_eq!(cloud.state().functions["f"].invocations, 0);
    cloud.stop().await;
}

#[tokio::test]
async fn every_function_error_can_be_met() {
    let cloud = with_function(function(&["function"])).await;
    for (name, kind, message, handled) in FUNCTION_ERRORS {
        fault(&cloud, json!({ "lambda": { "function_error": { "function": "f", "kind": name } } }))
            .await;
        let answer = invoke(&cloud, json!({})).await;
        let expected = if handled { "Handled" } else { "Unhandled" };
        assert_eq!((answer.status(), answer.header("x-amz-function-error")), (200, expected));
        assert_eq!(answer.json(), json!({ "errorType": kind, "errorMessage": message }));
    }
    assert_eq!(cloud.state().functions["f"].invocations, 0);
    cloud.stop().await;
}

#[tokio::test]
async fn payloads_go_wrong_as_ordered() {
    let cloud = with_function(function(&["function"])).await;
    let request = || signed(&cloud, "lambda", "/2015-03-31/functions/f/invocations", &[], "{}");
    let order = async |kind: &str| {
        fault(&cloud, json!({ "lambda": { "payload": { "function": "f", "kind": kind } } })).await;
    };
    for (kind, runs) in
        [("empty", 0), ("invalid-utf8", 0), ("oversized", 0), ("garbage", 0), ("truncated", 1)]
    {
        order(kind).await;
        let answer = invoke(&cloud, json!({})).await;
        assert_eq!(answer.status(), 200, "{kind}");
        assert_eq!(
            serde_json::from_slice::<Value>(&answer.body).is_err(),
            kind != "oversized",
            "{kind}"
        );
        assert_eq!(12 * 1024 * 1024 < answer.body.len(), kind == "oversized");
        assert_eq!(std::str::from_utf8(&answer.body).is_err(), kind == "invalid-utf8");
        assert_eq!(cloud.state().functions["f"].invocations, runs, "{kind}");
    }
    order("cut").await;
    send(cloud.address, request()).await.unwrap_err();
    assert_eq!(cloud.state().functions["f"].invocations, 2);
    cloud.stop().await;
}

#[tokio::test]
async fn faults_without_a_count_last_until_they_are_cleared() {
    let cloud = with_function(function(&["function"])).await;
    for (order, status, kind) in [
        (
            json!({ "storm": { "reason": "CallerRateLimitExceeded" } }),
            429,
            "TooManyRequestsException",
        ),
        (json!({ "down": { "status": 500 } }), 500, "ServiceException"),
        (json!({ "down": {} }), 503, "ServiceUnavailableException"),
        (json!({ "clock_skew": { "ahead": "6m" } }), 403, "InvalidSignatureException"),
    ] {
        fault(&cloud, json!({ "lambda": order })).await;
        for _ in 0..3 {
            let answer = invoke(&cloud, json!({})).await;
            assert_eq!((answer.status(), answer.header("x-amzn-errortype")), (status, kind));
        }
        plain(&cloud, "DELETE", "/_local/faults", "").await;
        assert_eq!(invoke(&cloud, json!({})).await.status(), 200);
    }
    // Four minutes are within what AWS accepts.
    fault(&cloud, json!({ "lambda": { "clock_skew": { "ahead": "4m" } } })).await;
    assert_eq!(invoke(&cloud, json!({})).await.status(), 200);
    cloud.stop().await;
}

#[tokio::test]
async fn an_old_signature_is_refused_in_awss_words() {
    let cloud = with_function(function(&["function"])).await;
    fault(&cloud, json!({ "lambda": { "clock_skew": { "ahead": "10m" } } })).await;
    let message = invoke(&cloud, json!({})).await.json()["message"].as_str().unwrap().to_owned();
    // "Signature expired: 20261121T011614Z is now earlier than 20261121T012114Z (20261121T012614Z - 5 min.)"
    let words: Vec<&str> = message.split(' ').collect();
    assert_eq!(words[..2], ["Signature", "expired:"], "{message}");
    assert_eq!(words[3..7], ["is", "now", "earlier", "than"], "{message}");
    assert_eq!(words[9..], ["-", "5", "min.)"], "{message}");
    cloud.stop().await;
}

#[tokio::test]
async fn calls_that_are_no_invocations_have_faults_of_their_own() {
    let cloud = with_function(function(&["function"])).await;
    let get = async || lambda(&cloud, "GET", "/2015-03-31/functions/f", Value::Null).await;
    for (kind, status) in [("TooManyRequestsException", 429), ("AccessDeniedException", 403)] {
        fault(&cloud, json!({ "lambda": { "api": { "type": kind } } })).await;
        assert_eq!(invoke(&cloud, json!({})).await.status(), 200);
        let answer = get().await;
        assert_eq!((answer.status(), answer.header("x-amzn-errortype")), (status, kind));
        assert_eq!(get().await.status(), 200);
    }
    cloud.stop().await;
}

#[tokio::test]
async fn faults_of_invoke_happen_as_often_as_ordered() {
    let cloud = with_function(function(&["function"])).await;
    let throttle = json!({ "function": "f", "reason": "CallerRateLimitExceeded", "count": 2 });
    fault(&cloud, json!({ "lambda": { "throttle": throttle } })).await;
    for _ in 0..2 {
        let answer = invoke(&cloud, json!({})).await;
        assert_eq!(
            (answer.status(), &answer.json()["Reason"]),
            (429, &json!("CallerRateLimitExceeded"))
        );
    }
    let error = json!({ "function": "f", "status": 409, "type": "SnapStartNotReadyException" });
    fault(&cloud, json!({ "lambda": { "error": error } })).await;
    let answer = invoke(&cloud, json!({})).await;
    assert_eq!(
        (answer.status(), answer.header("x-amzn-errortype")),
        (409, "SnapStartNotReadyException")
    );
    fault(&cloud, json!({ "lambda": { "payload": { "function": "f", "kind": "garbage" } } })).await;
    let answer = invoke(&cloud, json!({})).await;
    assert_eq!(answer.status(), 200);
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
    assert_eq!(cloud.state().functions["f"].invocations, 0);

    let request = || signed(&cloud, "lambda", "/2015-03-31/functions/f/invocations", &[], "{}");
    fault(&cloud, json!({ "lambda": { "drop": { "function": "f", "when": "before" } } })).await;
    send(cloud.address, request()).await.unwrap_err();
    assert_eq!(cloud.state().functions["f"].invocations, 0);
    fault(&cloud, json!({ "lambda": { "drop": { "function": "f", "when": "after" } } })).await;
    send(cloud.address, request()).await.unwrap_err();
    assert_eq!(cloud.state().functions["f"].invocations, 1);

    fault(&cloud, json!({ "lambda": { "hang": { "function": "f" } } })).await;
    let hang =
        tokio::time::timeout(Duration::from_millis(300), send(cloud.address, request())).await;
    assert!(hang.is_err(), "{hang:?}");
    assert_eq!(invoke(&cloud, json!({})).await.status(), 200);
    cloud.stop().await;
}
