//! The DynamoDB API (JSON 1.0): the calls of leases and beats, and those by which people make tables for them.
//!
//! Shapes are those of the AWS API reference, as far as they are filled in. A parameter that this cloud would ignore is
//! refused by name.

use std::{collections::BTreeMap, sync::Arc};

use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    attribute::read,
    expression::Names,
    refusal::{invalid, not_found},
    table::Table,
};
use crate::{
    Shared,
    aws_json::Refusal,
    faults::{Api, ApiFault},
};

mod items;
mod query;
mod tables;

pub(crate) const TARGET_PREFIX: &str = "DynamoDB_20120810.";
/// Largest request: an item is at most 400 KB, and its JSON may be more than twice as long.
pub(crate) const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;
const CALLS: [&str; 10] = [
    "CreateTable",
    "DeleteItem",
    "DeleteTable",
    "DescribeTable",
    "DescribeTimeToLive",
    "GetItem",
    "PutItem",
    "Query",
    "UpdateItem",
    "UpdateTimeToLive",
];

/// Lets a call in, unless a fault forbids it.
pub(crate) async fn admit(shared: &Shared) -> Result<(), Refusal> {
    match shared.faults.api.meet(Api::Dynamodb).await {
        None => Ok(()),
        Some(ApiFault::Throttled) => {
            Err(Refusal::new("com.amazon.coral.availability#ThrottlingException", "Rate exceeded"))
        }
        Some(ApiFault::Down(status)) => {
            let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
            let kind = if unavailable {
                "com.amazon.coral.availability#ServiceUnavailableException"
            } else {
                "com.amazonaws.dynamodb.v20120810#InternalServerError"
            };
            let message = "ordered by a fault of the local cloud";
            Err(Refusal { status, ..Refusal::new(kind, message) })
        }
    }
}

/// Answers one call.
pub(crate) fn answer(shared: &Arc<Shared>, target: &str, body: &[u8]) -> Result<Value, Refusal> {
    match target.strip_prefix(TARGET_PREFIX) {
        Some("CreateTable") => tables::create(shared, parse(body)?),
        Some("DeleteItem") => items::delete(shared, parse(body)?),
        Some("DeleteTable") => tables::delete(shared, &parse(body)?),
        Some("DescribeTable") => tables::describe(shared, &parse(body)?),
        Some("DescribeTimeToLive") => tables::describe_ttl(shared, &parse(body)?),
        Some("GetItem") => items::get(shared, &parse(body)?),
        Some("PutItem") => items::put(shared, parse(body)?),
        Some("Query") => query::query(shared, parse(body)?),
        Some("UpdateItem") => items::update(shared, parse(body)?),
        Some("UpdateTimeToLive") => tables::update_ttl(shared, parse(body)?),
        _ => Err(Refusal::unknown(target, &CALLS)),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the local cloud cannot do this: {error}")))
}

/// The table of a name or ARN, for who reads or writes.
fn table(shared: &Shared, asked: &str) -> Result<Arc<Table>, Refusal> {
    shared.dynamodb.table(short(asked)).ok_or_else(not_found)
}

/// The name in an ARN, or the name itself.
fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

type Texts = Option<BTreeMap<String, String>>;
type Values = Option<Map<String, Value>>;

/// The names and values of a request's expressions.
fn names(names: Texts, values: Values) -> Result<Names, Refusal> {
    for (given, what) in [
        (names.as_ref().is_some_and(BTreeMap::is_empty), "Names"),
        (values.as_ref().is_some_and(Map::is_empty), "Values"),
    ] {
        if given {
            return Err(invalid(format!("ExpressionAttribute{what} must not be empty")));
        }
    }
    let values = values.map(|values| read(&values)).transpose()?;
    Names::new(names.unwrap_or_default(), values.unwrap_or_default())
}

/// Refuses to tell what a call used up: nothing is metered here.
fn not_metered(capacity: Option<&str>) -> Result<(), Refusal> {
    match capacity {
        None | Some("NONE") => Ok(()),
        Some(other) => Err(invalid(format!(
            "the local cloud meters nothing: ReturnConsumedCapacity `{other}` must be NONE"
        ))),
    }
}
