//! CloudWatch's protocol and faults; what metrics come to is tested beside them and in the contract tests.

use pacer_local::{Cloud, Config};
use serde_json::json;

use crate::support::{Answer, fault, plain, send, signed, start};

async fn call(cloud: &Cloud, call: &str, headers: &[(&'static str, &str)], body: &[u8]) -> Answer {
    let path = format!("/service/GraniteServiceVersion20100801/operation/{call}");
    let mut all = vec![("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")];
    all.extend(headers);
    send(cloud.address, signed(cloud, "monitoring", &path, &all, body.to_vec())).await.unwrap()
}

/// `{"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1}]}`.
const PUT: &[u8] = b"\xa2\x69Namespace\x61n\x6aMetricData\x81\xa2\x6aMetricName\x61m\x65Value\x01";

#[tokio::test]
async fn values_are_put_in_cbor_and_refusals_are_cbor_too() {
    let cloud = start(Config::new(), 1.0).await;
    let put = call(&cloud, "PutMetricData", &[], PUT).await;
    assert_eq!(
        (put.status(), put.header("smithy-protocol"), put.body.len()),
        (200, "rpc-v2-cbor", 0)
    );
    for (name, headers, body, code, message) in [
        ("PutMetricData", &[][..], &PUT[..20], "InvalidParameterValue;Sender", "no CBOR"),
        (
            "PutMetricData",
            &[("content-encoding", "gzip")],
            PUT,
            "InvalidParameterValue;Sender",
            "no gzip",
        ),
        ("GetMetricData", &[], b"\xa0", "InvalidParameterValue;Sender", "missing field"),
        ("ListMetrics", &[], b"\xa0", "", "it has GetMetricData, PutMetricData"),
    ] {
        let refused = call(&cloud, name, headers, body).await;
        assert_eq!(
            (refused.status(), refused.header("x-amzn-query-error")),
            (400, code),
            "{message}"
        );
        assert_eq!(refused.header("content-type"), "application/cbor");
        let told = String::from_utf8_lossy(&refused.body).into_owned();
        assert!(told.contains(message), "{told}");
    }
    for (order, status, code) in [
        (json!({ "throttle": {} }), 400, "Throttling;Sender"),
        (json!({ "down": { "status": 500 } }), 500, "InternalServiceError;Receiver"),
    ] {
        fault(&cloud, json!({ "cloudwatch": order })).await;
        let refused = call(&cloud, "PutMetricData", &[], PUT).await;
        assert_eq!((refused.status(), refused.header("x-amzn-query-error")), (status, code));
        plain(&cloud, "DELETE", "/_local/faults", "").await;
    }
    cloud.stop().await;
}
