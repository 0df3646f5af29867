//! The API of EventBridge Scheduler (REST, JSON): schedules made, replaced, shown and deleted.
//!
//! Wordings are AWS's where they are known. Its rates (a thousand calls a second) are above what this cloud can answer.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use axum::{
    Router,
    body::to_bytes,
    extract::{Path, Query, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::{GROUP, schedule::Schedule};
use crate::{
    Shared,
    aws_json::Refusal,
    clock::{epoch_seconds, request_id},
    faults::{Api, ApiFault},
    signature,
};

mod asked;

pub(crate) use asked::Asked;

/// Largest request; an input is at most 256 KB.
const REQUEST_BYTES_MAX: usize = 512 * 1024;
/// Longest name of a schedule (API reference, `CreateSchedule`).
const NAME_MAX: usize = 64;

/// All routes of EventBridge Scheduler.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/schedules/{name}", post(handle).put(handle).get(handle).delete(handle))
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let answered = answer(&shared, &name, &query, request).await;
    shared.scheduler.wake();
    let mut response = match answered {
        Ok(body) => (StatusCode::OK, axum::Json(body)).into_response(),
        Err(refusal) => {
            let body = axum::Json(json!({ "Message": refusal.message }));
            let mut response = (refusal.status, body).into_response();
            response
                .headers_mut()
                .insert("x-amzn-errortype", HeaderValue::from_static(refusal.kind));
            response
        }
    };
    if let Ok(id) = HeaderValue::from_str(&request_id()) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

async fn answer(
    shared: &Arc<Shared>,
    name: &str,
    query: &BTreeMap<String, String>,
    request: Request,
) -> Result<Value, Refusal> {
    admit(shared).await?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, REQUEST_BYTES_MAX).await;
    let body =
        body.map_err(|_| invalid(format!("the request is above {REQUEST_BYTES_MAX} bytes")))?;
    let region = &shared.config.region;
    signature::verify(&parts, &body, region, "scheduler", SystemTime::now()).map_err(
        |refusal| Refusal {
            status: StatusCode::FORBIDDEN,
            ..Refusal::new(refusal.name(), refusal.to_string())
        },
    )?;
    let named = (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !named {
        let rule = "satisfy regular expression pattern: ^[0-9a-zA-Z-_.]+$";
        return Err(constraint(&format!("'{name}'"), "name", rule));
    }
    match parts.method {
        Method::POST => create(shared, name, asked::read(&body)?),
        Method::PUT => update(shared, name, asked::read(&body)?),
        Method::DELETE => {
            group(query.get("groupName"))?;
            let mut schedules = shared.scheduler.schedules();
            schedules.remove(name).ok_or_else(|| missing(name))?;
            Ok(json!({}))
        }
        _ => {
            group(query.get("groupName"))?;
            let schedules = shared.scheduler.schedules();
            Ok(shown(name, schedules.get(name).ok_or_else(|| missing(name))?))
        }
    }
}

/// Lets a call in, unless a fault forbids it.
async fn admit(shared: &Shared) -> Result<(), Refusal> {
    match shared.faults.api.meet(Api::Scheduler).await {
        None => Ok(()),
        Some(ApiFault::Throttled) => {
            let refusal = Refusal::new("ThrottlingException", "Rate exceeded");
            Err(Refusal { status: StatusCode::TOO_MANY_REQUESTS, ..refusal })
        }
        Some(ApiFault::Down(status)) => {
            let kind = match status {
                StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailableException",
                _ => "InternalServerException",
            };
            let message = "ordered by a fault of the local cloud";
            Err(Refusal { status, ..Refusal::new(kind, message) })
        }
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationException", message)
}

/// A value that breaks a constraint of the API's model, in the words that all such have.
fn constraint(value: &str, field: &str, constraint: &str) -> Refusal {
    invalid(format!(
        "1 validation error detected: Value {value} at '{field}' failed to satisfy constraint: Member must {constraint}"
    ))
}

fn missing(name: &str) -> Refusal {
    let message = format!("Schedule {name} does not exist.");
    let refusal = Refusal::new("ResourceNotFoundException", message);
    Refusal { status: StatusCode::NOT_FOUND, ..refusal }
}

/// Checks that a group is the one there is.
fn group(asked: Option<&String>) -> Result<(), Refusal> {
    match asked {
        Some(group) if group != GROUP => {
            let message = format!("Schedule group {group} does not exist.");
            let refusal = Refusal::new("ResourceNotFoundException", message);
            Err(Refusal { status: StatusCode::NOT_FOUND, ..refusal })
        }
        _ => Ok(()),
    }
}

/// Makes a schedule. The same request with the same token again is the same call, not a second one.
fn create(
    shared: &Shared,
    name: &str,
    (asked, token): (Asked, Option<String>),
) -> Result<Value, Refusal> {
    let made = asked.schedule(shared, name, token)?;
    let mut schedules = shared.scheduler.schedules();
    if let Some(known) = schedules.get(name) {
        let same_token = made.client_token.is_some() && known.client_token == made.client_token;
        if same_token && known.asked == made.asked {
            return Ok(json!({ "ScheduleArn": known.arn }));
        }
        let refusal = Refusal::new("ConflictException", format!("Schedule {name} already exists."));
        return Err(Refusal { status: StatusCode::CONFLICT, ..refusal });
    }
    let answer = json!({ "ScheduleArn": made.arn });
    schedules.insert(name.to_owned(), made);
    Ok(answer)
}

/// Replaces a schedule as a whole: what is not given is as if it had never been.
fn update(
    shared: &Shared,
    name: &str,
    (asked, token): (Asked, Option<String>),
) -> Result<Value, Refusal> {
    let made = asked.schedule(shared, name, token)?;
    let mut schedules = shared.scheduler.schedules();
    let known = schedules.get_mut(name).ok_or_else(|| missing(name))?;
    *known = Schedule { created: known.created, ..made };
    Ok(json!({ "ScheduleArn": known.arn }))
}

/// A schedule as GetSchedule shows it.
fn shown(name: &str, schedule: &Schedule) -> Value {
    let mut shown = schedule.asked.shown();
    shown["Arn"] = json!(schedule.arn);
    shown["Name"] = json!(name);
    shown["GroupName"] = json!(GROUP);
    shown["CreationDate"] = json!(epoch_seconds(schedule.created));
    shown["LastModificationDate"] = json!(epoch_seconds(schedule.modified));
    shown
}
