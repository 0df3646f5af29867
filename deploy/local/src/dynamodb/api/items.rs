//! Items: get, put, update, delete.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Texts, Values, names, not_metered, table};
use crate::{
    Shared,
    aws_json::Refusal,
    dynamodb::{
        attribute::{Item, item_json, read},
        expression::{self, Condition, Names},
        refusal::invalid,
        table::{Written, updated_within_limit},
    },
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetItem {
    table_name: String,
    key: Map<String, Value>,
    /// Every read is.
    #[serde(rename = "ConsistentRead")]
    _consistent_read: Option<bool>,
    return_consumed_capacity: Option<String>,
}

pub(super) fn get(shared: &Shared, ask: &GetItem) -> Result<Value, Refusal> {
    not_metered(ask.return_consumed_capacity.as_deref())?;
    let table = table(shared, &ask.table_name)?;
    let key = table.schema.key(&read(&ask.key)?)?;
    let item = table.get(&key);
    Ok(item.map_or(json!({}), |item| json!({ "Item": item_json(&item) })))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutItem {
    table_name: String,
    item: Map<String, Value>,
    condition_expression: Option<String>,
    expression_attribute_names: Texts,
    expression_attribute_values: Values,
    return_values: Option<Returned>,
    return_values_on_condition_check_failure: Option<OnFailure>,
    return_consumed_capacity: Option<String>,
}

/// `ReturnValues`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Returned {
    #[default]
    None,
    AllOld,
    UpdatedOld,
    AllNew,
    UpdatedNew,
}

/// `ReturnValuesOnConditionCheckFailure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum OnFailure {
    None,
    AllOld,
}

impl Returned {
    /// What a write that replaces or deletes a whole item can return.
    fn of_whole(self) -> Result<Self, Refusal> {
        match self {
            Self::None | Self::AllOld => Ok(self),
            Self::UpdatedOld | Self::AllNew | Self::UpdatedNew => {
                Err(invalid("Return values set to invalid value"))
            }
        }
    }

    fn answer(self, written: Written, changed: &[String]) -> Value {
        let part = |item: Option<Item>| {
            let part = item.map(|mut item| {
                item.retain(|name, _| changed.contains(name));
                item
            });
            part.filter(|item| !item.is_empty())
        };
        let attributes = match self {
            Self::None => None,
            Self::AllOld => written.before,
            Self::AllNew => written.after,
            Self::UpdatedOld => part(written.before),
            Self::UpdatedNew => part(written.after),
        };
        attributes.map_or(json!({}), |item| json!({ "Attributes": item_json(&item) }))
    }
}

fn condition(text: Option<&str>, names: &Names) -> Result<Option<Condition>, Refusal> {
    text.map(|text| expression::condition("ConditionExpression", text, names)).transpose()
}

pub(super) fn put(shared: &Shared, ask: PutItem) -> Result<Value, Refusal> {
    not_metered(ask.return_consumed_capacity.as_deref())?;
    let returned = ask.return_values.unwrap_or_default().of_whole()?;
    let names = names(ask.expression_attribute_names, ask.expression_attribute_values)?;
    let condition = condition(ask.condition_expression.as_deref(), &names)?;
    names.all_used()?;
    let item = read(&ask.item)?;
    let table = table(shared, &ask.table_name)?;
    let key = table.key_of(&item)?;
    let tell = ask.return_values_on_condition_check_failure == Some(OnFailure::AllOld);
    let written = table.write(&key, condition.as_ref(), tell, |_| Ok(Some(item)))?;
    Ok(returned.answer(written, &[]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteItem {
    table_name: String,
    key: Map<String, Value>,
    condition_expression: Option<String>,
    expression_attribute_names: Texts,
    expression_attribute_values: Values,
    return_values: Option<Returned>,
    return_values_on_condition_check_failure: Option<OnFailure>,
    return_consumed_capacity: Option<String>,
}

pub(super) fn delete(shared: &Shared, ask: DeleteItem) -> Result<Value, Refusal> {
    not_metered(ask.return_consumed_capacity.as_deref())?;
    let returned = ask.return_values.unwrap_or_default().of_whole()?;
    let names = names(ask.expression_attribute_names, ask.expression_attribute_values)?;
    let condition = condition(ask.condition_expression.as_deref(), &names)?;
    names.all_used()?;
    let table = table(shared, &ask.table_name)?;
    let key = table.schema.key(&read(&ask.key)?)?;
    let tell = ask.return_values_on_condition_check_failure == Some(OnFailure::AllOld);
    let written = table.write(&key, condition.as_ref(), tell, |_| Ok(None))?;
    Ok(returned.answer(written, &[]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UpdateItem {
    table_name: String,
    key: Map<String, Value>,
    update_expression: Option<String>,
    condition_expression: Option<String>,
    expression_attribute_names: Texts,
    expression_attribute_values: Values,
    return_values: Option<Returned>,
    return_values_on_condition_check_failure: Option<OnFailure>,
    return_consumed_capacity: Option<String>,
}

pub(super) fn update(shared: &Shared, ask: UpdateItem) -> Result<Value, Refusal> {
    not_metered(ask.return_consumed_capacity.as_deref())?;
    let names = names(ask.expression_attribute_names, ask.expression_attribute_values)?;
    let update = ask.update_expression.as_deref();
    let update = update.map(|text| expression::update(text, &names)).transpose()?;
    let update = update.unwrap_or_default();
    let condition = condition(ask.condition_expression.as_deref(), &names)?;
    names.all_used()?;
    let table = table(shared, &ask.table_name)?;
    let key = table.schema.key(&read(&ask.key)?)?;
    let changed: Vec<String> = update.names().map(str::to_owned).collect();
    if let Some(name) = table.schema.names().find(|name| changed.contains(name)) {
        return Err(invalid(format!(
            "One or more parameter values were invalid: Cannot update attribute {name}. This attribute is part of the key"
        )));
    }
    let tell = ask.return_values_on_condition_check_failure == Some(OnFailure::AllOld);
    let written = table.write(&key, condition.as_ref(), tell, |before| {
        // An item that is not there is made, with nothing but its key.
        let before = before.cloned().unwrap_or_else(|| table.schema.item(&key));
        let after = update.apply(&before).map_err(invalid)?;
        updated_within_limit(&after)?;
        Ok(Some(after))
    })?;
    Ok(ask.return_values.unwrap_or_default().answer(written, &changed))
}
