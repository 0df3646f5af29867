//! Calls on scheduled actions.

use std::{sync::Arc, time::SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    DIMENSION, NAMESPACE, Name, capacity, constraint, described, invalid, namespace, page,
    page_max, required, shape, unregistered,
};
use crate::{
    Shared,
    at::{self, Wrong},
    autoscaling::{Action, Target},
    aws_json::Refusal,
    clock,
};

/// Most scheduled actions of one target (Application Auto Scaling quotas, read 2026-11).
const ACTIONS_MAX: usize = 200;
/// Longest name of an action (API reference, `ScheduledActionName`).
const NAME_MAX: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Put {
    service_namespace: Option<String>,
    resource_id: Option<String>,
    scalable_dimension: Option<String>,
    scheduled_action_name: Option<String>,
    schedule: Option<String>,
    timezone: Option<String>,
    scalable_target_action: Option<Bounds>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Bounds {
    min_capacity: Option<i64>,
    max_capacity: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Describe {
    service_namespace: Option<String>,
    resource_id: Option<String>,
    scalable_dimension: Option<String>,
    scheduled_action_names: Option<Vec<String>>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Delete {
    service_namespace: Option<String>,
    resource_id: Option<String>,
    scalable_dimension: Option<String>,
    scheduled_action_name: Option<String>,
}

/// Puts an action, or changes what is given of one: bounds are changed together, the rest field by field.
pub(super) fn put(shared: &Arc<Shared>, ask: Put) -> Result<Value, Refusal> {
    let id = Name(
        ask.service_namespace.as_ref(),
        ask.resource_id.as_ref(),
        ask.scalable_dimension.as_ref(),
    )
    .id()?;
    let name = required(ask.scheduled_action_name.as_ref(), "scheduledActionName")?;
    if name.is_empty() || NAME_MAX < name.len() || name.contains([':', '/', '|']) {
        let rule = r"satisfy regular expression pattern: (?!((^[ ]+.*)|(.*([\u0000-\u001f]|[\u007f-\u009f]|[:/|])+.*)|(.*[ ]+$))).+";
        return Err(constraint(&format!("'{name}'"), "scheduledActionName", rule));
    }
    let mut targets = shared.autoscaling.targets();
    let target = targets.get_mut(id).ok_or_else(|| unregistered(id))?;
    let known = target.actions.get(name);
    let Some(schedule) = ask.schedule.or_else(|| known.map(|action| action.schedule.clone()))
    else {
        return Err(invalid("a new scheduled action needs a Schedule"));
    };
    let timezone = ask.timezone.or_else(|| known.and_then(|action| action.timezone.clone()));
    let at = moment(&schedule, timezone.as_deref())?;
    let (min, max) = bounds(ask.scalable_target_action, known)?;
    if known.is_none() && ACTIONS_MAX <= target.actions.len() {
        return Err(Refusal::new(
            "LimitExceededException",
            format!("a scalable target has at most {ACTIONS_MAX} scheduled actions"),
        ));
    }
    let arn = match known {
        Some(action) => action.arn.clone(),
        None => arn(shared, id, name),
    };
    let action = Action {
        arn,
        schedule,
        timezone,
        at,
        min,
        max,
        created: known.map_or_else(SystemTime::now, |action| action.created),
        due: Some(at::due(at, shared.scale)),
    };
    target.actions.insert(name.to_owned(), action);
    Ok(json!({}))
}

/// The moment of a schedule, which must be ahead.
fn moment(schedule: &str, timezone: Option<&str>) -> Result<SystemTime, Refusal> {
    let at = at::parse(schedule, timezone).map_err(|wrong| match wrong {
        Wrong::Zone => invalid(format!("Invalid timezone: {}", timezone.unwrap_or_default())),
        Wrong::Expression if schedule.starts_with("rate(") || schedule.starts_with("cron(") => {
            invalid(format!("the local cloud has no recurring schedules, such as {schedule}"))
        }
        Wrong::Expression => invalid(format!("Invalid schedule expression: {schedule}")),
    })?;
    if at <= SystemTime::now() {
        return Err(invalid(format!("The schedule is in the past: {schedule}")));
    }
    Ok(at)
}

fn bounds(
    asked: Option<Bounds>,
    known: Option<&Action>,
) -> Result<(Option<u32>, Option<u32>), Refusal> {
    let (min, max) = match (asked, known) {
        (Some(asked), _) => (
            capacity(asked.min_capacity, "scalableTargetAction.minCapacity")?,
            capacity(asked.max_capacity, "scalableTargetAction.maxCapacity")?,
        ),
        (None, Some(action)) => (action.min, action.max),
        (None, None) => (None, None),
    };
    if min.is_none() && max.is_none() {
        return Err(invalid(
            "At least one of minimum capacity and maximum capacity should be provided",
        ));
    }
    if min.zip(max).is_some_and(|(min, max)| max < min) {
        return Err(invalid("Maximum capacity cannot be less than minimum capacity"));
    }
    Ok((min, max))
}

fn arn(shared: &Shared, id: &str, name: &str) -> String {
    let (region, account) = (&shared.config.region, &shared.config.account);
    let uuid = clock::request_id();
    format!(
        "arn:aws:autoscaling:{region}:{account}:scheduledAction:{uuid}:resource/{NAMESPACE}/{id}:scheduledActionName/{name}"
    )
}

pub(super) fn describe(shared: &Shared, ask: Describe) -> Result<Value, Refusal> {
    namespace(ask.service_namespace.as_ref())?;
    if ask.scalable_dimension.is_some() && ask.resource_id.is_none() {
        return Err(invalid("a scalable dimension needs a resource id beside it"));
    }
    let targets = shared.autoscaling.targets();
    let of = |target: &&Target| ask.resource_id.as_ref().is_none_or(|id| *id == target.id);
    let named = |name: &String| {
        let names = ask.scheduled_action_names.as_ref();
        names.is_none_or(|names| names.is_empty() || names.contains(name))
    };
    let mut found: Vec<(&Target, &String, &Action)> = targets
        .values()
        .filter(of)
        .flat_map(|target| target.actions.iter().map(move |(name, action)| (target, name, action)))
        .filter(|(_, name, _)| named(name))
        .collect();
    let page_max = page_max(ask.max_results)?;
    // A space sorts before all that an id may have, so that the keys are in the order of targets and names.
    let key = |(target, name, _): &(&Target, &String, &Action)| format!("{} {name}", target.id);
    let next = page(&mut found, key, ask.next_token, page_max);
    let shown: Vec<_> = found.into_iter().map(|(t, name, a)| shape::action(t, name, a)).collect();
    Ok(described("ScheduledActions", &shown, next))
}

pub(super) fn delete(shared: &Shared, ask: &Delete) -> Result<Value, Refusal> {
    let id = Name(
        ask.service_namespace.as_ref(),
        ask.resource_id.as_ref(),
        ask.scalable_dimension.as_ref(),
    )
    .id()?;
    let name = required(ask.scheduled_action_name.as_ref(), "scheduledActionName")?;
    let mut targets = shared.autoscaling.targets();
    let removed = targets.get_mut(id).and_then(|target| target.actions.remove(name));
    removed.ok_or_else(|| {
        Refusal::new(
            "ObjectNotFoundException",
            format!(
                "No scheduled action found for service namespace: {NAMESPACE}, resource ID: {id}, scalable dimension: {DIMENSION}, scheduled action name: {name}"
            ),
        )
    })?;
    Ok(json!({}))
}
