//! Query: the items of one partition key, in the order of their sort keys.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Texts, Values, names, not_metered, table};
use crate::{
    Shared,
    aws_json::Refusal,
    dynamodb::{
        attribute::{Attribute, item_json, read},
        expression::{self, Comparator, Condition, Operand},
        refusal::invalid,
        table::{self, Schema},
    },
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Query {
    table_name: String,
    key_condition_expression: String,
    expression_attribute_names: Texts,
    expression_attribute_values: Values,
    exclusive_start_key: Option<Map<String, Value>>,
    limit: Option<usize>,
    scan_index_forward: Option<bool>,
    /// Every read is.
    #[serde(rename = "ConsistentRead")]
    _consistent_read: Option<bool>,
    return_consumed_capacity: Option<String>,
}

pub(super) fn query(shared: &Shared, ask: Query) -> Result<Value, Refusal> {
    not_metered(ask.return_consumed_capacity.as_deref())?;
    if ask.limit == Some(0) {
        return Err(invalid(
            "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ));
    }
    let names = names(ask.expression_attribute_names, ask.expression_attribute_values)?;
    let text = &ask.key_condition_expression;
    let condition = expression::condition("KeyConditionExpression", text, &names)?;
    names.all_used()?;
    let table = table(shared, &ask.table_name)?;
    let hash = partition(&condition, &table.schema)?;
    let after = ask.exclusive_start_key.map(|key| table.schema.key(&read(&key)?)).transpose();
    let after = after.map_err(|_| invalid("The provided starting key is invalid"))?;
    if after.as_ref().is_some_and(|key| key.hash != hash) {
        return Err(invalid(
            "The provided starting key is outside query boundaries based on provided conditions",
        ));
    }
    let forward = ask.scan_index_forward.unwrap_or(true);
    let limit = ask.limit.unwrap_or(usize::MAX);
    let (items, last) = table.query(&table::Query { hash, condition, forward, after, limit });
    let items: Vec<Value> = items.iter().map(item_json).collect();
    let mut answer = json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items });
    if let Some(last) = last {
        answer["LastEvaluatedKey"] = item_json(&table.schema.item(&last));
    }
    Ok(answer)
}

/// The partition key that `condition` asks for: it must be `hash = value`, with one condition of the sort key at most.
fn partition(condition: &Condition, schema: &Schema) -> Result<String, Refusal> {
    let (first, second) = match condition {
        Condition::And(first, second) => (first.as_ref(), Some(second.as_ref())),
        single => (single, None),
    };
    let hash = [Some(first), second].into_iter().flatten().find_map(|part| hash(part, schema));
    let missing = || invalid(format!("Query condition missed key schema element: {}", schema.hash));
    let hash = hash.ok_or_else(missing)?;
    let rest = [Some(first), second].into_iter().flatten();
    let mut rest = rest.filter(|part| self::hash(part, schema).is_none());
    match (rest.next(), &schema.range) {
        (None, _) if second.is_some() => Err(invalid(
            "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key",
        )),
        (None, _) => Ok(hash),
        (Some(part), Some(range)) if is_of_range(part, range) => Ok(hash),
        _ => Err(invalid("Query key condition not supported")),
    }
}

fn hash(part: &Condition, schema: &Schema) -> Option<String> {
    match part {
        Condition::Compare(
            Operand::Attribute(name),
            Comparator::Equal,
            Operand::Value(Attribute::Text(value)),
        ) if *name == schema.hash => Some(value.clone()),
        _ => None,
    }
}

/// Whether `part` is what a query may ask of the sort key, which is a string.
fn is_of_range(part: &Condition, range: &str) -> bool {
    let is_text = |operand: &Operand| matches!(operand, Operand::Value(Attribute::Text(_)));
    match part {
        Condition::Compare(Operand::Attribute(name), comparator, value) => {
            name == range && *comparator != Comparator::NotEqual && is_text(value)
        }
        Condition::Between(Operand::Attribute(name), low, high) => {
            name == range && is_text(low) && is_text(high)
        }
        Condition::BeginsWith(Operand::Attribute(name), prefix) => name == range && is_text(prefix),
        _ => false,
    }
}
