//! Calls on tasks.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{PAGE_MAX, StrategyItem, cluster, missing, page_max, services, strategy, within};
use crate::{
    Shared,
    aws_json::{Refusal, listed, page},
    ecs::{
        cluster::Run,
        shape,
        task::{Status, Task},
    },
};

/// Most tasks RunTask starts at once (ECS API reference).
const RUN_MAX: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct List {
    cluster: Option<String>,
    service_name: Option<String>,
    family: Option<String>,
    started_by: Option<String>,
    desired_status: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Describe {
    cluster: Option<String>,
    tasks: Vec<String>,
    /// Tags may be asked for; there are none.
    #[serde(rename = "include")]
    _include: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Start {
    cluster: Option<String>,
    task_definition: String,
    count: Option<usize>,
    group: Option<String>,
    started_by: Option<String>,
    client_token: Option<String>,
    launch_type: Option<String>,
    capacity_provider_strategy: Option<Vec<StrategyItem>>,
    /// What ECS insists on for Fargate; on loopback there is one network.
    #[serde(rename = "networkConfiguration")]
    _network_configuration: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Stop {
    cluster: Option<String>,
    task: String,
    reason: Option<String>,
}

pub(super) fn list(shared: &Shared, ask: List) -> Result<Value, Refusal> {
    let cluster = cluster(shared, ask.cluster.as_deref())?;
    let tasks = match ask.service_name.as_deref() {
        Some(name) => services::service(cluster, name)?.tasks(),
        None => cluster.tasks(),
    };
    let stopped = match ask.desired_status.as_deref() {
        None | Some("RUNNING") => false,
        Some("STOPPED") => true,
        // ECS documents that it gives nothing for PENDING: no task is ever desired to be so.
        Some("PENDING") => return Ok(json!({ "taskArns": [] })),
        Some(other) => {
            return Err(Refusal::parameter(format!(
                "desiredStatus `{other}` is not RUNNING or STOPPED"
            )));
        }
    };
    let page_max = page_max(ask.max_results, PAGE_MAX)?;
    let asked_for = |task: &&Arc<Task>| {
        task.is_wanted() != stopped
            && ask.family.as_ref().is_none_or(|family| *family == task.definition.family)
            && (ask.started_by.is_none() || ask.started_by == task.origin.started_by)
    };
    let mut arns: Vec<String> = tasks.iter().filter(asked_for).map(|t| t.arn.clone()).collect();
    arns.sort();
    let next = page(&mut arns, Clone::clone, ask.next_token, page_max);
    Ok(listed("taskArns", &arns, next))
}

pub(super) fn describe(shared: &Shared, ask: Describe) -> Result<Value, Refusal> {
    let cluster = cluster(shared, ask.cluster.as_deref())?;
    within("tasks", ask.tasks.len(), PAGE_MAX)?;
    let all = cluster.tasks();
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for asked in ask.tasks {
        match all.iter().find(|task| task.arn == asked || task.id == asked) {
            Some(task) => tasks.push(shape::task(task)),
            None => failures.push(missing(&asked)),
        }
    }
    Ok(json!({ "tasks": tasks, "failures": failures }))
}

pub(super) fn run(shared: &Arc<Shared>, ask: Start) -> Result<Value, Refusal> {
    let cluster = cluster(shared, ask.cluster.as_deref())?;
    let found = shared.ecs.definitions.find(&ask.task_definition);
    let definition =
        found.ok_or_else(|| Refusal::new("ClientException", "TaskDefinition not found."))?;
    let count = ask.count.unwrap_or(1);
    within("count", count, RUN_MAX)?;
    let strategy = ask.capacity_provider_strategy.map(strategy).transpose()?.unwrap_or_default();
    match ask.launch_type.as_deref() {
        Some(_) if !strategy.is_empty() => {
            return Err(Refusal::parameter(
                "launchType and capacityProviderStrategy cannot both be given",
            ));
        }
        None | Some("FARGATE" | "EC2") => {}
        Some(other) => {
            return Err(Refusal::parameter(format!("launchType `{other}` is not FARGATE or EC2")));
        }
    }
    let (group, started_by, client_token) = (ask.group, ask.started_by, ask.client_token);
    let run = Run { definition, count, group, started_by, client_token, strategy };
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    match cluster.run(shared, run) {
        Ok(started) => tasks.extend(started.iter().map(|task| shape::task(task))),
        // What ECS says when no capacity is left.
        Err(()) => failures.push(json!({ "arn": cluster.arn, "reason": "RESOURCE:CPU" })),
    }
    Ok(json!({ "tasks": tasks, "failures": failures }))
}

pub(super) fn stop(shared: &Shared, ask: &Stop) -> Result<Value, Refusal> {
    let cluster = cluster(shared, ask.cluster.as_deref())?;
    let found = cluster.task(&ask.task).filter(|task| task.status() != Status::Stopped);
    let task = found.ok_or_else(|| Refusal::parameter("The referenced task was not found."))?;
    task.stop("UserInitiated", ask.reason.as_deref().unwrap_or("Task stopped by user"));
    Ok(json!({ "task": shape::task(&task) }))
}
