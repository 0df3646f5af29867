//! AWS's JSON protocols: every call is a POST to `/` whose `X-Amz-Target` says which one it is.
//!
//! A parameter that this cloud would ignore is refused by name: the readers of the calls know their fields and no others.

use std::{sync::Arc, time::SystemTime};

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Shared, autoscaling, clock, cloudwatch, dynamodb, ecs, signature, sqs};

/// Largest request: a hundred ARNs are 15 KB, a task definition at most 64 KB.
const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// A refused call.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The exception's name.
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    /// The name that the service's older query protocol had for it, where SDKs still look for that.
    pub(crate) query_code: Option<&'static str>,
    /// What its body holds beside the message.
    pub(crate) extra: Option<(&'static str, Value)>,
}

impl Refusal {
    /// The caller's fault, as most are.
    pub(crate) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind,
            message: message.into(),
            query_code: None,
            extra: None,
        }
    }

    /// A parameter is wrong.
    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// A call that this cloud does not have, among those of `target`'s service that it has.
    pub(crate) fn unknown(target: &str, calls: &[&str]) -> Self {
        let calls = calls.join(", ");
        Self::new(
            "UnknownOperationException",
            format!("`{target}` is not a call of the local cloud; it has {calls}"),
        )
    }
}

/// A service that speaks such a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Autoscaling,
    Dynamodb,
    Ecs,
    Sqs,
}

impl Service {
    /// The service of a target. What is nobody's is ECS's to refuse.
    fn of(target: &str) -> Self {
        if target.starts_with(autoscaling::api::TARGET_PREFIX) {
            Self::Autoscaling
        } else if target.starts_with(dynamodb::api::TARGET_PREFIX) {
            Self::Dynamodb
        } else if target.starts_with(sqs::api::TARGET_PREFIX) {
            Self::Sqs
        } else {
            Self::Ecs
        }
    }
}

/// Answers one call.
pub(crate) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let target = request.headers().get("x-amz-target").and_then(|v| v.to_str().ok());
    let target = target.unwrap_or_default().to_owned();
    if let Some(operation) = target.strip_prefix(cloudwatch::api::TARGET_PREFIX) {
        let wire = cloudwatch::api::Wire::Json;
        return cloudwatch::api::respond(&shared, operation, wire, request).await;
    }
    let service = Service::of(&target);
    let answer = answer(&shared, service, &target, request).await;
    let query_code = answer.as_ref().err().and_then(|refusal| refusal.query_code);
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(refusal) => {
            let mut body = json!({ "__type": refusal.kind, "message": refusal.message });
            if let Some((name, value)) = refusal.extra {
                body[name] = value;
            }
            (refusal.status, body)
        }
    };
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(match service {
            Service::Autoscaling | Service::Ecs => "application/x-amz-json-1.1",
            Service::Dynamodb | Service::Sqs => "application/x-amz-json-1.0",
        }),
    );
    if let Ok(id) = HeaderValue::from_str(&clock::request_id()) {
        headers.insert("x-amzn-requestid", id);
    }
    if let Some(code) = query_code.and_then(|code| HeaderValue::from_str(code).ok()) {
        headers.insert("x-amzn-query-error", code);
    }
    response
}

async fn answer(
    shared: &Arc<Shared>,
    service: Service,
    target: &str,
    request: Request,
) -> Result<Value, Refusal> {
    match service {
        Service::Autoscaling => autoscaling::api::admit(shared).await?,
        Service::Dynamodb => dynamodb::api::admit(shared).await?,
        Service::Ecs => ecs::api::admit(shared, target).await?,
        Service::Sqs => {}
    }
    let (parts, body) = request.into_parts();
    let bytes_max = match service {
        Service::Dynamodb => dynamodb::api::REQUEST_BYTES_MAX,
        _ => REQUEST_BYTES_MAX,
    };
    let body = axum::body::to_bytes(body, bytes_max).await;
    let body =
        body.map_err(|_| Refusal::parameter(format!("the request is above {bytes_max} bytes")))?;
    let name = match service {
        Service::Autoscaling => "application-autoscaling",
        Service::Dynamodb => "dynamodb",
        Service::Ecs => "ecs",
        Service::Sqs => "sqs",
    };
    signature::verify(&parts, &body, &shared.config.region, name, SystemTime::now()).map_err(
        |refusal| Refusal {
            status: StatusCode::FORBIDDEN,
            ..Refusal::new(refusal.name(), refusal.to_string())
        },
    )?;
    match service {
        Service::Autoscaling => autoscaling::api::answer(shared, target, &body),
        Service::Dynamodb => dynamodb::api::answer(shared, target, &body),
        Service::Ecs => ecs::api::answer(shared, target, &body),
        Service::Sqs => sqs::api::answer(shared, target, &body).await,
    }
}

/// Reads what is asked.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::parameter(format!("the local cloud cannot do this: {error}")))
}

/// The answer of a list: `items` under `name`, and the next page's token if there is a next page.
pub(crate) fn listed(name: &str, items: &[String], next: Option<String>) -> Value {
    let mut answer = json!({ name: items });
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    answer
}

/// Cuts `items`, which are in the order of `key`, to the page after `token`; returns the next page's token.
///
/// The token is the last key of the page before: that is all the next page needs to know.
pub(crate) fn page<T>(
    items: &mut Vec<T>,
    key: impl Fn(&T) -> String,
    token: Option<String>,
    page_max: usize,
) -> Option<String> {
    if let Some(token) = token {
        items.retain(|item| token < key(item));
    }
    let more = page_max < items.len();
    items.truncate(page_max);
    items.last().filter(|_| more).map(key)
}
