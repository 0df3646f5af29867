//! The CloudWatch API as today's SDKs speak it: `rpc-v2-cbor`, one path an operation (aws-sdk-cloudwatch 1.140), and
//! JSON 1.0 (boto3 1.44, the AWS CLI).
//!
//! The older query protocol is not here. The caller may compress what it puts.

use std::{io::Read, sync::Arc, time::SystemTime};

use axum::{
    Router,
    body::to_bytes,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::cbor;
use crate::{
    Shared,
    aws_json::Refusal,
    clock,
    faults::{Api, ApiFault},
    signature::{self, text},
};

mod get;
mod put;

/// Largest request (CloudWatch API reference, `PutMetricData`: 1 MB), compressed or not.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
const CALLS: [&str; 2] = ["GetMetricData", "PutMetricData"];
/// What `X-Amz-Target` begins with in JSON.
pub(crate) const TARGET_PREFIX: &str = "GraniteServiceVersion20100801.";
const PROTOCOL: HeaderName = HeaderName::from_static("smithy-protocol");

/// All routes of CloudWatch.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/service/GraniteServiceVersion20100801/operation/{operation}", post(handle))
}

/// How requests and answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Cbor,
    Json,
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    Path(operation): Path<String>,
    request: Request,
) -> Response {
    respond(&shared, &operation, Wire::Cbor, request).await
}

/// Answers one call, in the protocol in which it came.
pub(crate) async fn respond(
    shared: &Shared,
    operation: &str,
    wire: Wire,
    request: Request,
) -> Response {
    let answer = answer(shared, operation, wire, request).await;
    let query_code = answer.as_ref().err().and_then(|refusal| refusal.query_code);
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(refusal) => {
            let kind = format!("com.amazonaws.cloudwatch#{}", refusal.kind);
            (refusal.status, Some(json!({ "__type": kind, "message": refusal.message })))
        }
    };
    let (kind, body) = match (wire, body) {
        (Wire::Cbor, None) => ("application/cbor", Vec::new()),
        (Wire::Cbor, Some(body)) => ("application/cbor", cbor::encode(&body)),
        (Wire::Json, body) => {
            let body = body.unwrap_or_else(|| json!({}));
            ("application/x-amz-json-1.0", body.to_string().into_bytes())
        }
    };
    let kind = HeaderValue::from_static(kind);
    let mut response = (status, [(CONTENT_TYPE, kind)], body).into_response();
    let headers = response.headers_mut();
    if wire == Wire::Cbor {
        headers.insert(PROTOCOL, HeaderValue::from_static("rpc-v2-cbor"));
    }
    if let Ok(id) = HeaderValue::from_str(&clock::request_id()) {
        headers.insert("x-amzn-requestid", id);
    }
    if let Some(code) = query_code {
        headers.insert("x-amzn-query-error", HeaderValue::from_static(code));
    }
    response
}

async fn answer(
    shared: &Shared,
    operation: &str,
    wire: Wire,
    request: Request,
) -> Result<Option<Value>, Refusal> {
    match shared.faults.api.meet(Api::Cloudwatch).await {
        None => {}
        Some(ApiFault::Throttled) => {
            return Err(refusal("ThrottlingException", "Throttling;Sender", "Rate exceeded"));
        }
        Some(ApiFault::Down(status)) => {
            let message = "ordered by a fault of the local cloud";
            let refusal = if status == StatusCode::SERVICE_UNAVAILABLE {
                refusal("ServiceUnavailable", "ServiceUnavailable;Receiver", message)
            } else {
                refusal("InternalServiceFault", "InternalServiceError;Receiver", message)
            };
            return Err(Refusal { status, ..refusal });
        }
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, REQUEST_BYTES_MAX).await.map_err(|_| too_large())?;
    let (region, now) = (&shared.config.region, SystemTime::now());
    signature::verify(&parts, &body, region, "monitoring", now).map_err(|refusal| Refusal {
        status: StatusCode::FORBIDDEN,
        ..Refusal::new(refusal.name(), refusal.to_string())
    })?;
    if wire == Wire::Cbor && text(&parts.headers, PROTOCOL.as_str()) != Some("rpc-v2-cbor") {
        return Err(invalid("the local cloud speaks smithy-protocol rpc-v2-cbor here"));
    }
    let body = plain(&parts.headers, body)?;
    match operation {
        "GetMetricData" => get::get(shared, parse(wire, &body)?, now).map(Some),
        "PutMetricData" => put::put(shared, parse(wire, &body)?, now).map(|()| None),
        _ => Err(Refusal::unknown(operation, &CALLS)),
    }
}

/// The body as it was before its sender compressed it.
fn plain(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Refusal> {
    match text(headers, CONTENT_ENCODING.as_str()) {
        None | Some("") => Ok(body),
        Some("gzip") => {
            let mut plain = Vec::new();
            let limit = REQUEST_BYTES_MAX as u64 + 1;
            let read = flate2::read::GzDecoder::new(&body[..]).take(limit).read_to_end(&mut plain);
            read.map_err(|error| invalid(format!("the request is no gzip: {error}")))?;
            if REQUEST_BYTES_MAX < plain.len() { Err(too_large()) } else { Ok(plain.into()) }
        }
        Some(other) => Err(invalid(format!("Content-Encoding `{other}` is not gzip"))),
    }
}

fn parse<T: DeserializeOwned>(wire: Wire, body: &[u8]) -> Result<T, Refusal> {
    let value = match wire {
        Wire::Cbor => cbor::decode(body)
            .map_err(|problem| invalid(format!("the request is no CBOR of ours: {problem}")))?,
        Wire::Json => serde_json::from_slice(body)
            .map_err(|problem| invalid(format!("the request is no JSON: {problem}")))?,
    };
    serde_json::from_value(value)
        .map_err(|error| invalid(format!("the local cloud cannot do this: {error}")))
}

fn refusal(kind: &'static str, query_code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { query_code: Some(query_code), ..Refusal::new(kind, message) }
}

fn invalid(message: impl Into<String>) -> Refusal {
    refusal("InvalidParameterValueException", "InvalidParameterValue;Sender", message)
}

fn too_large() -> Refusal {
    let message = format!("the request is above {REQUEST_BYTES_MAX} bytes");
    Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        ..refusal("RequestEntityTooLarge", "RequestEntityTooLarge;Sender", message)
    }
}

/// A dimension, as both calls write it.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Dimension {
    name: String,
    value: String,
}

/// Most dimensions of a metric (CloudWatch API reference, `MetricDatum`).
const DIMENSIONS_MAX: usize = 30;

fn dimensions(
    given: Option<Vec<Dimension>>,
) -> Result<std::collections::BTreeMap<String, String>, Refusal> {
    let given = given.unwrap_or_default();
    if DIMENSIONS_MAX < given.len() {
        return Err(invalid(format!("a metric has at most {DIMENSIONS_MAX} dimensions")));
    }
    Ok(given.into_iter().map(|dimension| (dimension.name, dimension.value)).collect())
}
