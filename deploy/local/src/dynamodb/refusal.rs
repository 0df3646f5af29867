//! DynamoDB's refusals, in its words.

use serde_json::Value;

use crate::aws_json::Refusal;

/// The exception of everything that is wrong with a request.
pub(crate) const VALIDATION: &str = "com.amazon.coral.validate#ValidationException";
const CONDITION: &str = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
const NOT_FOUND: &str = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException";
const IN_USE: &str = "com.amazonaws.dynamodb.v20120810#ResourceInUseException";
const LIMIT: &str = "com.amazonaws.dynamodb.v20120810#LimitExceededException";

/// The request is wrong.
pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(VALIDATION, message)
}

/// A condition did not hold; with the item that is there, where that was asked for.
pub(crate) fn condition_failed(item: Option<Value>) -> Refusal {
    let refusal = Refusal::new(CONDITION, "The conditional request failed");
    Refusal { extra: item.map(|item| ("Item", item)), ..refusal }
}

/// There is no such table, told to who reads or writes.
pub(crate) fn not_found() -> Refusal {
    Refusal::new(NOT_FOUND, "Requested resource not found")
}

/// There is no such table, told to who asks about the table itself.
pub(crate) fn no_table(name: &str) -> Refusal {
    Refusal::new(NOT_FOUND, format!("Requested resource not found: Table: {name} not found"))
}

/// The table is there already.
pub(crate) fn in_use(name: &str) -> Refusal {
    Refusal::new(IN_USE, format!("Table already exists: {name}"))
}

/// There is too much of something.
pub(crate) fn too_much(message: impl Into<String>) -> Refusal {
    Refusal::new(LIMIT, message)
}
