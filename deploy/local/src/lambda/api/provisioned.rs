//! PutProvisionedConcurrencyConfig, GetProvisionedConcurrencyConfig, ListProvisionedConcurrencyConfigs and
//! DeleteProvisionedConcurrencyConfig.

use std::time::SystemTime;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Asked, count};
use crate::{
    clock,
    lambda::{
        error::ServiceError,
        function::{Function, Published},
        name::{LATEST, Name},
        provisioned::Provisioned,
    },
};

/// PutProvisionedConcurrencyConfig.
pub(super) fn put(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (name, function) = asked.function()?;
    let requested = count(&asked.json()?, "ProvisionedConcurrentExecutions")?;
    let requested = requested.filter(|n| 0 < *n).ok_or_else(|| {
        ServiceError::parameter("ProvisionedConcurrentExecutions: must be 1 or more")
    })?;
    let qualifier = qualifier(&name)?;
    let mut published = function.published();
    allowed(&published, &name, qualifier)?;
    let others = published.provisioned.iter().filter(|(q, _)| *q != qualifier);
    let total = requested + others.map(|(_, p)| p.requested).sum::<u32>();
    let limits = &asked.shared.lambda.limits;
    limits.provision(&function.name, total).map_err(ServiceError::parameter)?;
    if let Some(before) = published.provisioned.get(qualifier) {
        before.bill(&function.usage, &published, qualifier);
    }
    let order =
        Provisioned { requested, modified: SystemTime::now(), since: Instant::now(), failed: None };
    let described = describe(&published, qualifier, &order, true);
    published.provisioned.insert(qualifier.to_owned(), order);
    drop(published);
    function.provisioning.notify_one();
    Ok((StatusCode::ACCEPTED, described))
}

/// GetProvisionedConcurrencyConfig, or with `List=ALL` ListProvisionedConcurrencyConfigs: they share a path.
pub(super) fn get(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (name, function) = asked.function()?;
    let published = function.published();
    if asked.query.get("List").is_some_and(|list| list == "ALL") {
        let item = |(qualifier, order): (&String, &Provisioned)| {
            let mut item = describe(&published, qualifier, order, false);
            item["FunctionArn"] = function.arn_of(Some(qualifier)).into();
            item
        };
        let items = published.provisioned.iter().map(item).collect();
        return Ok((StatusCode::OK, asked.page("ProvisionedConcurrencyConfigs", items)?));
    }
    let qualifier = qualifier(&name)?;
    published.resolve(Some(qualifier), 1.0).ok_or_else(|| name.not_found())?;
    let order = published.provisioned.get(qualifier).ok_or_else(|| {
        ServiceError::new(
            StatusCode::NOT_FOUND,
            "ProvisionedConcurrencyConfigNotFoundException",
            "No Provisioned Concurrency Config found for this function",
        )
    })?;
    Ok((StatusCode::OK, describe(&published, qualifier, order, false)))
}

/// DeleteProvisionedConcurrencyConfig.
pub(super) fn delete(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (name, function) = asked.function()?;
    let qualifier = qualifier(&name)?;
    let mut published = function.published();
    published.resolve(Some(qualifier), 1.0).ok_or_else(|| name.not_found())?;
    if let Some(order) = published.provisioned.get(qualifier) {
        order.bill(&function.usage, &published, qualifier);
    }
    published.provisioned.remove(qualifier);
    drop(published);
    changed(asked, &function)?;
    Ok((StatusCode::NO_CONTENT, Value::Null))
}

/// Has what is provisioned follow the orders, of which one was deleted.
pub(super) fn changed(asked: &Asked, function: &Function) -> Result<(), ServiceError> {
    let total = function.published().provisioned.values().map(|p| p.requested).sum();
    let limits = &asked.shared.lambda.limits;
    limits.provision(&function.name, total).map_err(ServiceError::parameter)?;
    function.provisioning.notify_one();
    Ok(())
}

fn qualifier(name: &Name) -> Result<&str, ServiceError> {
    name.qualifier.as_deref().filter(|q| *q != LATEST).ok_or_else(|| {
        ServiceError::parameter(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
        )
    })
}

/// Refuses what AWS refuses of a qualifier.
fn allowed(published: &Published, name: &Name, qualifier: &str) -> Result<(), ServiceError> {
    let version = published.resolve(Some(qualifier), 1.0).ok_or_else(|| name.not_found())?;
    if version.number.is_none() {
        return Err(ServiceError::parameter(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
        ));
    }
    if published.aliases.get(qualifier).is_some_and(|alias| alias.routing.is_some()) {
        return Err(ServiceError::parameter(
            "Alias with weights can not be used with Provisioned Concurrency",
        ));
    }
    if version.snapshot.is_some() {
        return Err(ServiceError::parameter(
            "Provisioned Concurrency is not supported for SnapStart enabled functions",
        ));
    }
    let same = |other: &&String| {
        let of = published.resolve(Some(other), 1.0);
        *other != qualifier && of.is_some_and(|of| of.number == version.number)
    };
    if published.provisioned.keys().any(|other| same(&other)) {
        return Err(ServiceError::conflict(
            "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
        ));
    }
    Ok(())
}

/// An order as the API describes it; one that was just made has nothing yet.
fn describe(published: &Published, qualifier: &str, order: &Provisioned, new: bool) -> Value {
    let version = published.resolve(Some(qualifier), 1.0).filter(|_| !new);
    let (allocated, available, open) = version.map(|v| v.pool.provisioned()).unwrap_or_default();
    let ready = open && order.requested as usize <= allocated;
    let status = match (&order.failed, ready) {
        (Some(_), _) => "FAILED",
        (None, true) => "READY",
        (None, false) => "IN_PROGRESS",
    };
    let mut body = json!({
        "RequestedProvisionedConcurrentExecutions": order.requested,
        "AllocatedProvisionedConcurrentExecutions": if open { allocated } else { 0 },
        "AvailableProvisionedConcurrentExecutions": available,
        "Status": status,
        "LastModified": clock::timestamp(order.modified).replace('Z', "+0000"),
    });
    if let Some(reason) = &order.failed {
        body["StatusReason"] = reason.as_str().into();
    }
    body
}
