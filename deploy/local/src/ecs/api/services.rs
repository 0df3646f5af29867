//! Calls on services.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{StrategyItem, cluster, missing, page_max, strategy, within};
use crate::{
    Shared,
    aws_json::{Refusal, listed, page},
    ecs::{
        cluster::Cluster,
        service::{Service, Update},
        shape, short,
    },
};

/// Most services DescribeServices takes at once, and ListServices gives unless asked for more (ECS API reference).
const SERVICES_MAX: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct List {
    cluster: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Describe {
    cluster: Option<String>,
    services: Vec<String>,
    /// Tags may be asked for; there are none.
    #[serde(rename = "include")]
    _include: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    cluster: Option<String>,
    service: String,
    desired_count: Option<i64>,
    task_definition: Option<String>,
    force_new_deployment: Option<bool>,
    capacity_provider_strategy: Option<Vec<StrategyItem>>,
    deployment_configuration: Option<Percentages>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Percentages {
    minimum_healthy_percent: Option<u32>,
    maximum_percent: Option<u32>,
}

pub(super) fn list(shared: &Shared, ask: List) -> Result<Value, Refusal> {
    let cluster = cluster(shared, ask.cluster.as_deref())?;
    let page_max = page_max(ask.max_results, SERVICES_MAX)?;
    let mut arns: Vec<_> = cluster.services.values().map(|service| service.arn.clone()).collect();
    let next = page(&mut arns, Clone::clone, ask.next_token, page_max);
    Ok(listed("serviceArns", &arns, next))
}

pub(super) fn describe(shared: &Shared, ask: Describe) -> Result<Value, Refusal> {
    let cluster = cluster(shared, ask.cluster.as_deref())?;
    within("services", ask.services.len(), SERVICES_MAX)?;
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for asked in ask.services {
        match cluster.services.get(short(&asked)) {
            Some(service) => services.push(shape::service(service)),
            None => failures.push(missing(&asked)),
        }
    }
    Ok(json!({ "services": services, "failures": failures }))
}

pub(super) fn update(shared: &Shared, ask: Change) -> Result<Value, Refusal> {
    let service = service(cluster(shared, ask.cluster.as_deref())?, &ask.service)?;
    let desired = ask.desired_count.map(u32::try_from).transpose();
    let desired = desired.map_err(|_| Refusal::parameter("desiredCount must be 0 or more"))?;
    let definition = ask.task_definition.map(|asked| {
        let found = shared.ecs.definitions.find(&asked);
        found.ok_or_else(|| Refusal::new("ClientException", "TaskDefinition not found."))
    });
    let definition = definition.transpose()?;
    let strategy = ask.capacity_provider_strategy.map(strategy).transpose()?;
    let force = ask.force_new_deployment.unwrap_or(false);
    if strategy.is_some() && !force {
        return Err(Refusal::parameter(
            "capacityProviderStrategy: the local cloud changes it only with forceNewDeployment",
        ));
    }
    let percentages = ask.deployment_configuration.unwrap_or_default();
    let update = Update {
        desired,
        minimum_healthy: percentages.minimum_healthy_percent,
        maximum: percentages.maximum_percent,
        definition,
        strategy,
        force,
    };
    service.update(update).map_err(Refusal::parameter)?;
    Ok(json!({ "service": shape::service(service) }))
}

/// The service of a name or ARN.
pub(super) fn service<'a>(cluster: &'a Cluster, asked: &str) -> Result<&'a Arc<Service>, Refusal> {
    let found = cluster.services.get(short(asked));
    found.ok_or_else(|| Refusal::new("ServiceNotFoundException", "Service not found."))
}
