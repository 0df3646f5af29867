//! The ECS API (JSON 1.1): the calls the gateway makes, and those by which people and tests change what runs.
//!
//! Shapes are those of the AWS API reference, as far as they are filled in; SDKs take absent fields for unset. A
//! parameter that this cloud would ignore is refused by name.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Shared,
    aws_json::{Refusal, parse},
    config::{CapacityProvider, Provider},
    ecs::{cluster::Cluster, limits::Limits, short},
    faults::{Api, ApiFault},
};

mod clusters;
mod definitions;
mod protection;
mod services;
mod tasks;

const TARGET_PREFIX: &str = "AmazonEC2ContainerServiceV20141113.";
/// Most entries one call lists, and most tasks and clusters one describes (ECS API reference).
const PAGE_MAX: usize = 100;

/// Lets a call in, unless a fault or the API's own limits forbid it. Every call counts, whatever becomes of it.
pub(crate) async fn admit(shared: &Shared, target: &str) -> Result<(), Refusal> {
    let call = target.strip_prefix(TARGET_PREFIX).unwrap_or_default();
    if Limits::calls().contains(&call) {
        shared.ecs.count(call);
    }
    let fault = shared.faults.api.meet(Api::Ecs).await;
    pass(shared, call, fault)
}

fn pass(shared: &Shared, call: &str, fault: Option<ApiFault>) -> Result<(), Refusal> {
    if let Some(ApiFault::Down(status)) = fault {
        let unavailable = status == http::StatusCode::SERVICE_UNAVAILABLE;
        let kind = if unavailable { "ServiceUnavailable" } else { "ServerException" };
        let message = "ordered by a fault of the local cloud";
        return Err(Refusal { status, ..Refusal::new(kind, message) });
    }
    if fault == Some(ApiFault::Throttled) || !shared.ecs.limits.take(call, Instant::now()) {
        return Err(Refusal::new("ThrottlingException", "Rate exceeded"));
    }
    Ok(())
}

/// Updates a service for another service of the account, which meets the API's faults and limits as any caller does.
pub(crate) fn update_service(shared: &Arc<Shared>, ask: &Value) -> Result<Value, Refusal> {
    let call = "UpdateService";
    pass(shared, call, shared.faults.api.now(Api::Ecs))?;
    answer(shared, &format!("{TARGET_PREFIX}{call}"), ask.to_string().as_bytes())
}

/// Answers one call.
pub(crate) fn answer(shared: &Arc<Shared>, target: &str, body: &[u8]) -> Result<Value, Refusal> {
    match target.strip_prefix(TARGET_PREFIX) {
        Some("DescribeClusters") => clusters::describe(shared, parse(body)?),
        Some("DescribeServices") => services::describe(shared, parse(body)?),
        Some("DescribeTaskDefinition") => definitions::describe(shared, &parse(body)?),
        Some("DescribeTasks") => tasks::describe(shared, parse(body)?),
        Some("GetTaskProtection") => protection::get(shared, parse(body)?),
        Some("ListClusters") => clusters::list(shared, parse(body)?),
        Some("ListServices") => services::list(shared, parse(body)?),
        Some("ListTaskDefinitions") => definitions::list(shared, parse(body)?),
        Some("ListTasks") => tasks::list(shared, parse(body)?),
        Some("RegisterTaskDefinition") => definitions::register(shared, parse(body)?),
        Some("RunTask") => tasks::run(shared, parse(body)?),
        Some("StopTask") => tasks::stop(shared, &parse(body)?),
        Some("UpdateService") => services::update(shared, parse(body)?),
        Some("UpdateTaskProtection") => protection::update(shared, parse(body)?),
        _ => Err(Refusal::unknown(target, &Limits::calls())),
    }
}

/// The cluster of a name or ARN; `default` when none is given, as in ECS.
fn cluster<'a>(shared: &'a Shared, asked: Option<&str>) -> Result<&'a Arc<Cluster>, Refusal> {
    let name = short(asked.unwrap_or("default"));
    let found = shared.ecs.clusters.get(name);
    found.ok_or_else(|| Refusal::new("ClusterNotFoundException", "Cluster not found."))
}

/// How many entries a list may have.
fn page_max(asked: Option<usize>, default: usize) -> Result<usize, Refusal> {
    let page_max = asked.unwrap_or(default);
    if (1..=PAGE_MAX).contains(&page_max) {
        return Ok(page_max);
    }
    Err(Refusal::parameter(format!("maxResults {page_max} is not within 1 to {PAGE_MAX}")))
}

/// Checks how many names or ARNs a call is given.
fn within(what: &str, given: usize, max: usize) -> Result<(), Refusal> {
    if (1..=max).contains(&given) {
        return Ok(());
    }
    Err(Refusal::parameter(format!("{what}: {given} is not within 1 to {max}")))
}

/// Something asked for that is not there.
fn missing(arn: &str) -> Value {
    serde_json::json!({ "arn": arn, "reason": "MISSING" })
}

/// An item of a capacity provider strategy.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StrategyItem {
    capacity_provider: String,
    base: Option<u32>,
    weight: Option<u32>,
}

/// Reads a strategy. Where the API is given no weight, it is 0, which is why one provider alone needs none.
fn strategy(items: Vec<StrategyItem>) -> Result<Vec<CapacityProvider>, Refusal> {
    let alone = items.len() == 1;
    let read = items.into_iter().map(|item| {
        let provider = Provider::of(&item.capacity_provider).ok_or_else(|| {
            Refusal::parameter("The specified capacity provider was not found. Specify a valid name or ARN and try again.")
        })?;
        let weight = item.weight.unwrap_or(u32::from(alone));
        Ok(CapacityProvider { provider, base: item.base.unwrap_or(0), weight })
    });
    let strategy: Vec<CapacityProvider> = read.collect::<Result<_, Refusal>>()?;
    crate::config::strategy(&strategy)
        .map_err(|problem| Refusal::parameter(format!("capacityProviderStrategy: {problem}")))?;
    Ok(strategy)
}
