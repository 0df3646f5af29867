//! The API of Application Auto Scaling (JSON 1.1): bounds and scheduled actions of ECS services.
//!
//! Wordings are AWS's where they are known. It has no rates of its own here: AWS states none.

use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    bring_within, shape,
    target::{Suspended, Target},
};
use crate::{
    Shared,
    aws_json::{Refusal, page},
    clock,
    faults::{Api, ApiFault},
};

mod actions;

pub(crate) const TARGET_PREFIX: &str = "AnyScaleFrontendService.";
const CALLS: [&str; 6] = [
    "RegisterScalableTarget",
    "DescribeScalableTargets",
    "DeregisterScalableTarget",
    "PutScheduledAction",
    "DescribeScheduledActions",
    "DeleteScheduledAction",
];
/// The only namespace and dimension here.
pub(super) const NAMESPACE: &str = "ecs";
pub(super) const DIMENSION: &str = "ecs:service:DesiredCount";
/// Most entries one call describes (API reference, `MaxResults`).
const PAGE_MAX: usize = 50;

/// What names a target. (Not a struct of its own within the calls: serde cannot flatten and refuse unknown fields.)
struct Name<'a>(Option<&'a String>, Option<&'a String>, Option<&'a String>);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Register {
    service_namespace: Option<String>,
    resource_id: Option<String>,
    scalable_dimension: Option<String>,
    min_capacity: Option<i64>,
    max_capacity: Option<i64>,
    /// ECS has a service-linked role, which is used whatever stands here.
    #[serde(rename = "RoleARN")]
    _role: Option<String>,
    suspended_state: Option<SuspendedState>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuspendedState {
    #[serde(rename = "DynamicScalingInSuspended")]
    dynamic_in: Option<bool>,
    #[serde(rename = "DynamicScalingOutSuspended")]
    dynamic_out: Option<bool>,
    #[serde(rename = "ScheduledScalingSuspended")]
    scheduled: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    service_namespace: Option<String>,
    resource_ids: Option<Vec<String>>,
    scalable_dimension: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Deregister {
    service_namespace: Option<String>,
    resource_id: Option<String>,
    scalable_dimension: Option<String>,
}

/// Lets a call in, unless a fault forbids it.
pub(crate) async fn admit(shared: &Shared) -> Result<(), Refusal> {
    match shared.faults.api.meet(Api::Autoscaling).await {
        None => Ok(()),
        Some(ApiFault::Throttled) => Err(Refusal::new("ThrottlingException", "Rate exceeded")),
        Some(ApiFault::Down(status)) => {
            let kind = match status {
                StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
                _ => "InternalServiceException",
            };
            let message = "ordered by a fault of the local cloud";
            Err(Refusal { status, ..Refusal::new(kind, message) })
        }
    }
}

/// Answers one call.
pub(crate) fn answer(shared: &Arc<Shared>, target: &str, body: &[u8]) -> Result<Value, Refusal> {
    let answered = match target.strip_prefix(TARGET_PREFIX) {
        Some("RegisterScalableTarget") => register(shared, &parse(body)?),
        Some("DescribeScalableTargets") => describe(shared, parse(body)?),
        Some("DeregisterScalableTarget") => deregister(shared, &parse(body)?),
        Some("PutScheduledAction") => actions::put(shared, parse(body)?),
        Some("DescribeScheduledActions") => actions::describe(shared, parse(body)?),
        Some("DeleteScheduledAction") => actions::delete(shared, &parse(body)?),
        _ => Err(Refusal::unknown(target, &CALLS)),
    };
    shared.autoscaling.wake();
    answered
}

/// What a caller gets wrong is a `ValidationException` in this API.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the local cloud cannot do this: {error}")))
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

/// A value that the API's model requires.
fn required<'a>(value: Option<&'a String>, field: &str) -> Result<&'a str, Refusal> {
    value.map(String::as_str).ok_or_else(|| constraint("null", field, "not be null"))
}

fn capacity(asked: Option<i64>, field: &str) -> Result<Option<u32>, Refusal> {
    let read = |value: i64| {
        u32::try_from(value).map_err(|_| {
            constraint(&format!("'{value}'"), field, "have value greater than or equal to 0")
        })
    };
    asked.map(read).transpose()
}

fn namespace(asked: Option<&String>) -> Result<(), Refusal> {
    if required(asked, "serviceNamespace")? != NAMESPACE {
        return Err(invalid("the local cloud scales the service namespace `ecs` only"));
    }
    Ok(())
}

impl<'a> Name<'a> {
    /// The resource id, of the one dimension there is.
    fn id(&self) -> Result<&'a str, Refusal> {
        namespace(self.0)?;
        let id = required(self.1, "resourceId")?;
        if required(self.2, "scalableDimension")? != DIMENSION {
            return Err(invalid(
                "Unsupported service namespace, resource type or scalable dimension",
            ));
        }
        Ok(id)
    }
}

/// A target that is not registered.
fn unregistered(id: &str) -> Refusal {
    Refusal::new(
        "ObjectNotFoundException",
        format!(
            "No scalable target registered for service namespace: {NAMESPACE}, resource ID: {id}, scalable dimension: {DIMENSION}"
        ),
    )
}

fn register(shared: &Arc<Shared>, ask: &Register) -> Result<Value, Refusal> {
    let id = Name(
        ask.service_namespace.as_ref(),
        ask.resource_id.as_ref(),
        ask.scalable_dimension.as_ref(),
    )
    .id()?;
    let mut parts = id.split('/');
    let (kind, cluster, service) = (parts.next(), parts.next(), parts.next());
    let of_service = kind == Some("service") && parts.next().is_none();
    let (Some(cluster), Some(service), true) = (cluster, service, of_service) else {
        return Err(invalid("Unsupported service namespace, resource type or scalable dimension"));
    };
    let there = shared.ecs.clusters.get(cluster).is_some_and(|c| c.services.contains_key(service));
    if !there {
        return Err(invalid(format!("ECS service doesn't exist: {id}")));
    }
    let asked_min = capacity(ask.min_capacity, "minCapacity")?;
    let asked_max = capacity(ask.max_capacity, "maxCapacity")?;
    let mut targets = shared.autoscaling.targets();
    let known = targets.get(id);
    let (Some(min), Some(max)) = (
        asked_min.or(known.map(|target| target.min)),
        asked_max.or(known.map(|target| target.max)),
    ) else {
        return Err(invalid(
            "Both minimum capacity and maximum capacity must be provided for a new scalable target",
        ));
    };
    if max < min {
        return Err(invalid("Maximum capacity cannot be less than minimum capacity"));
    }
    let target = targets.entry(id.to_owned()).or_insert_with(|| {
        let (region, account) = (&shared.config.region, &shared.config.account);
        let prefix = format!("arn:aws:application-autoscaling:{region}:{account}");
        let arn = format!("{prefix}:scalable-target/{}", clock::random_hex());
        Target::new(id, (cluster, service), arn)
    });
    (target.min, target.max) = (min, max);
    if let Some(asked) = &ask.suspended_state {
        let was = target.suspended;
        target.suspended = Suspended {
            dynamic_in: asked.dynamic_in.unwrap_or(was.dynamic_in),
            dynamic_out: asked.dynamic_out.unwrap_or(was.dynamic_out),
            scheduled: asked.scheduled.unwrap_or(was.scheduled),
        };
    }
    bring_within(shared, target);
    Ok(json!({ "ScalableTargetARN": target.arn }))
}

fn describe(shared: &Shared, ask: Describe) -> Result<Value, Refusal> {
    namespace(ask.service_namespace.as_ref())?;
    if ask.scalable_dimension.is_some() && ask.resource_ids.as_ref().is_none_or(Vec::is_empty) {
        return Err(invalid("a scalable dimension needs a resource id beside it"));
    }
    let targets = shared.autoscaling.targets();
    let asked = |target: &&Target| {
        ask.resource_ids.as_ref().is_none_or(|ids| ids.is_empty() || ids.contains(&target.id))
    };
    let mut found: Vec<&Target> = targets.values().filter(asked).collect();
    let page_max = page_max(ask.max_results)?;
    let next = page(&mut found, |target| target.id.clone(), ask.next_token, page_max);
    let account = &shared.config.account;
    let shown: Vec<_> = found.into_iter().map(|t| shape::target(t, account)).collect();
    Ok(described("ScalableTargets", &shown, next))
}

fn deregister(shared: &Shared, ask: &Deregister) -> Result<Value, Refusal> {
    let id = Name(
        ask.service_namespace.as_ref(),
        ask.resource_id.as_ref(),
        ask.scalable_dimension.as_ref(),
    )
    .id()?;
    // Its scheduled actions go with it.
    shared.autoscaling.targets().remove(id).ok_or_else(|| unregistered(id))?;
    Ok(json!({}))
}

/// How many entries a description may have.
fn page_max(asked: Option<usize>) -> Result<usize, Refusal> {
    let page_max = asked.unwrap_or(PAGE_MAX);
    if (1..=PAGE_MAX).contains(&page_max) {
        return Ok(page_max);
    }
    Err(invalid(format!("MaxResults {page_max} is not within 1 to {PAGE_MAX}")))
}

fn described(name: &str, shown: &[Value], next: Option<String>) -> Value {
    let mut answer = json!({ name: shown });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    answer
}
