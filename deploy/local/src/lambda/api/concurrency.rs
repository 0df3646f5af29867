//! GetAccountSettings, and PutFunctionConcurrency, GetFunctionConcurrency and DeleteFunctionConcurrency.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Asked, count};
use crate::lambda::error::ServiceError;

/// GetAccountSettings. Sizes are AWS's default quotas; nothing here counts towards them.
#[expect(clippy::unnecessary_wraps, reason = "an operation, as all in the table")]
pub(super) fn account(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let lambda = &asked.shared.lambda;
    let body = json!({
        "AccountLimit": {
            "TotalCodeSize": 80_530_636_800_u64,
            "CodeSizeUnzipped": 262_144_000,
            "CodeSizeZipped": 52_428_800,
            "ConcurrentExecutions": lambda.limits.account,
            "UnreservedConcurrentExecutions": lambda.limits.account_unreserved(),
        },
        "AccountUsage": { "TotalCodeSize": 0, "FunctionCount": lambda.functions.len() },
    });
    Ok((StatusCode::OK, body))
}

/// PutFunctionConcurrency.
pub(super) fn put(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (_, function) = asked.function()?;
    let reserved = count(&asked.json()?, "ReservedConcurrentExecutions")?
        .ok_or_else(|| ServiceError::parameter("ReservedConcurrentExecutions: is missing"))?;
    let limits = &asked.shared.lambda.limits;
    limits.reserve(&function.name, Some(reserved)).map_err(ServiceError::parameter)?;
    Ok((StatusCode::OK, json!({ "ReservedConcurrentExecutions": reserved })))
}

/// GetFunctionConcurrency.
pub(super) fn get(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (_, function) = asked.function()?;
    let reserved = asked.shared.lambda.limits.reserved(&function.name);
    let body = reserved.map_or(json!({}), |n| json!({ "ReservedConcurrentExecutions": n }));
    Ok((StatusCode::OK, body))
}

/// DeleteFunctionConcurrency.
pub(super) fn delete(asked: &Asked) -> Result<(StatusCode, Value), ServiceError> {
    let (_, function) = asked.function()?;
    let limits = &asked.shared.lambda.limits;
    limits.reserve(&function.name, None).map_err(ServiceError::parameter)?;
    Ok((StatusCode::NO_CONTENT, Value::Null))
}
