//! Protection of tasks from scale-in and deployments.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{PAGE_MAX, cluster, missing, within};
use crate::{
    Shared,
    aws_json::Refusal,
    clock::epoch_seconds,
    ecs::{
        cluster::Cluster,
        task::{Status, Task},
    },
};

/// Most tasks that are protected at once (ECS API reference).
const UPDATE_MAX: usize = 10;
/// How long protection holds unless it is said, and at most: 2 and 48 hours (ECS API reference). Divided by the time scale.
const MINUTES: u64 = 120;
const MINUTES_MAX: u64 = 2880;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Get {
    cluster: Option<String>,
    tasks: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    cluster: Option<String>,
    tasks: Vec<String>,
    protection_enabled: bool,
    expires_in_minutes: Option<u64>,
}

pub(super) fn get(shared: &Shared, ask: Get) -> Result<Value, Refusal> {
    let cluster = cluster(shared, ask.cluster.as_deref())?;
    let asked = ask.tasks.unwrap_or_else(|| {
        let protected = cluster.tasks().into_iter();
        protected
            .filter(|task| task.is_wanted() && is_of_a_service(task))
            .map(|task| task.arn.clone())
            .collect()
    });
    if PAGE_MAX < asked.len() {
        return Err(Refusal::parameter(format!("tasks: more than {PAGE_MAX}")));
    }
    Ok(answer(cluster, asked, |_| {}))
}

pub(super) fn update(shared: &Shared, ask: Change) -> Result<Value, Refusal> {
    let cluster = cluster(shared, ask.cluster.as_deref())?;
    within("tasks", ask.tasks.len(), UPDATE_MAX)?;
    let minutes = ask.expires_in_minutes.unwrap_or(MINUTES);
    if !(1..=MINUTES_MAX).contains(&minutes) {
        return Err(Refusal::parameter(format!(
            "expiresInMinutes {minutes} is not within 1 to {MINUTES_MAX}"
        )));
    }
    let holds = shared.scale.shrink(Duration::from_mins(minutes));
    let until = (Instant::now() + holds, SystemTime::now() + holds);
    Ok(answer(cluster, ask.tasks, |task| task.protect(ask.protection_enabled.then_some(until))))
}

/// Does `change` to each task that can be protected, and shows how it is.
fn answer(cluster: &Cluster, asked: Vec<String>, change: impl Fn(&Task)) -> Value {
    let (mut shown, mut failures) = (Vec::new(), Vec::new());
    for asked in asked {
        let Some(task) = cluster.task(&asked) else {
            failures.push(missing(&asked));
            continue;
        };
        if !is_of_a_service(&task) || task.status() == Status::Stopped {
            failures.push(json!({ "arn": task.arn, "reason": "TASK_NOT_VALID" }));
            continue;
        }
        change(&task);
        let until = task.protected_until(Instant::now());
        let mut protection = json!({ "taskArn": task.arn, "protectionEnabled": until.is_some() });
        if let Some((_, at)) = until {
            protection["expirationDate"] = json!(epoch_seconds(at));
        }
        shown.push(protection);
    }
    json!({ "protectedTasks": shown, "failures": failures })
}

/// Tasks that stand alone have no scheduler to be protected from.
fn is_of_a_service(task: &Arc<Task>) -> bool {
    task.origin.deployment.is_some()
}
