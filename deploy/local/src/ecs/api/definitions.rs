//! Calls on task definitions.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{PAGE_MAX, page_max};
use crate::{
    Shared,
    aws_json::{Refusal, listed, page},
    config::{HealthCheck, Network},
    ecs::{definition::Content, shape},
};

/// Longest stop timeout: the most Fargate allows.
const STOP_TIMEOUT_SECONDS_MAX: u64 = 120;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Describe {
    task_definition: String,
    /// Tags may be asked for; there are none.
    #[serde(rename = "include")]
    _include: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct List {
    family_prefix: Option<String>,
    status: Option<String>,
    sort: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Register {
    family: String,
    network_mode: Option<String>,
    /// Follows from the network mode here.
    #[serde(rename = "requiresCompatibilities")]
    _requires_compatibilities: Option<Vec<String>>,
    cpu: Option<String>,
    memory: Option<String>,
    container_definitions: Vec<Container>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Container {
    name: String,
    image: String,
    #[serde(default)]
    entry_point: Vec<String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: Vec<Variable>,
    #[serde(default)]
    port_mappings: Vec<PortMapping>,
    health_check: Option<Check>,
    stop_timeout: Option<u64>,
    essential: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PortMapping {
    container_port: u16,
    host_port: Option<u16>,
    protocol: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Check {
    command: Vec<String>,
    interval: Option<u64>,
    timeout: Option<u64>,
    retries: Option<u32>,
    start_period: Option<u64>,
}

pub(super) fn describe(shared: &Shared, ask: &Describe) -> Result<Value, Refusal> {
    let found = shared.ecs.definitions.find(&ask.task_definition);
    let found = found
        .ok_or_else(|| Refusal::new("ClientException", "Unable to describe task definition."))?;
    Ok(json!({ "taskDefinition": shape::definition(&found), "tags": [] }))
}

pub(super) fn list(shared: &Shared, ask: List) -> Result<Value, Refusal> {
    // Nothing is ever deregistered.
    let active = matches!(ask.status.as_deref(), None | Some("ACTIVE"));
    let page_max = page_max(ask.max_results, PAGE_MAX)?;
    if !matches!(ask.sort.as_deref(), None | Some("ASC")) {
        return Err(Refusal::parameter("sort: the local cloud lists in ascending order only"));
    }
    let mut all = shared.ecs.definitions.list(ask.family_prefix.as_deref());
    all.retain(|_| active);
    // Revision 10 comes after 9.
    let key = |d: &std::sync::Arc<crate::ecs::definition::Definition>| {
        format!("{}:{:010}", d.family, d.revision)
    };
    all.sort_by_key(key);
    let next = page(&mut all, key, ask.next_token, page_max);
    let arns: Vec<String> = all.iter().map(|definition| definition.arn.clone()).collect();
    Ok(listed("taskDefinitionArns", &arns, next))
}

pub(super) fn register(shared: &Shared, ask: Register) -> Result<Value, Refusal> {
    let family = ask.family.clone();
    let good = (1..=255).contains(&family.len())
        && family.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !good {
        return Err(client(
            "Family contains invalid characters or is not within 1 to 255 of them.",
        ));
    }
    let content = content(ask)?;
    let registered = shared.ecs.definitions.register(&family, content);
    let registered = registered.ok_or_else(|| {
        Refusal::new("LimitExceededException", "the local cloud keeps no more task definitions")
    })?;
    Ok(json!({ "taskDefinition": shape::definition(&registered), "tags": [] }))
}

fn content(ask: Register) -> Result<Content, Refusal> {
    let network = match ask.network_mode.as_deref() {
        Some("awsvpc") => Network::Awsvpc,
        None | Some("bridge") => Network::Bridge,
        Some(other) => {
            return Err(Refusal::parameter(format!(
                "networkMode: the local cloud has awsvpc and bridge, not `{other}`"
            )));
        }
    };
    let number = |name: &str, text: Option<String>, default: u32| match text {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| client(&format!("Invalid '{name}' setting for task.")))
        }
    };
    let vcpu_milli = number("cpu", ask.cpu, 1024)?.saturating_mul(1000) / 1024;
    let memory_mib = number("memory", ask.memory, 2048)?;
    let [container]: [Container; 1] = ask.container_definitions.try_into().map_err(|_| {
        Refusal::parameter("containerDefinitions: the local cloud runs one container a task")
    })?;
    let [port]: [PortMapping; 1] = container.port_mappings.try_into().map_err(|_| {
        Refusal::parameter("portMappings: the local cloud's tasks serve on one port")
    })?;
    let same_port = port.host_port.is_none_or(|host| {
        host == if network == Network::Awsvpc { port.container_port } else { 0 }
    });
    if port.container_port == 0 || !same_port || port.protocol.is_some_and(|p| p != "tcp") {
        return Err(Refusal::parameter(
            "portMappings: TCP, with hostPort as containerPort (awsvpc) or 0 (bridge)",
        ));
    }
    if container.essential == Some(false) {
        return Err(client("At least one container in the task definition must be essential."));
    }
    if container.entry_point.is_empty() && container.command.is_empty() {
        return Err(Refusal::parameter(
            "command: the local cloud pulls no image; entryPoint and command are a process of its machine",
        ));
    }
    let stop_timeout = container.stop_timeout.unwrap_or(30);
    if STOP_TIMEOUT_SECONDS_MAX < stop_timeout {
        return Err(client("stopTimeout is above 120 seconds."));
    }
    let env: BTreeMap<_, _> =
        container.environment.into_iter().map(|v| (v.name, v.value)).collect();
    Ok(Content {
        network,
        vcpu_milli,
        memory_mib,
        name: container.name,
        image: container.image,
        entry_point: container.entry_point,
        command: container.command,
        env,
        port: port.container_port,
        health_check: container.health_check.map(health_check).transpose()?,
        stop_timeout: Duration::from_secs(stop_timeout),
    })
}

fn health_check(check: Check) -> Result<HealthCheck, Refusal> {
    let check = HealthCheck {
        command: check.command,
        interval: Duration::from_secs(check.interval.unwrap_or(30)),
        timeout: Duration::from_secs(check.timeout.unwrap_or(5)),
        retries: check.retries.unwrap_or(3),
        start_period: Duration::from_secs(check.start_period.unwrap_or(0)),
    };
    check.check().map_err(|problem| client(&format!("healthCheck.{problem}")))?;
    Ok(check)
}

fn client(message: &str) -> Refusal {
    Refusal::new("ClientException", message)
}
