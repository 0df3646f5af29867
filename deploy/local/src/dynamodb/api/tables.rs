//! Tables: create, describe, delete, and their time to live.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{short, table};
use crate::{
    Shared,
    aws_json::Refusal,
    clock,
    config::is_table_name,
    dynamodb::{
        refusal::{in_use, invalid, no_table, too_much},
        table::{Schema, Table},
    },
    tasks::lock,
};

/// Most tables of an account and region (DynamoDB developer guide, "Quotas", read 2026-11).
const TABLES_MAX: usize = 2500;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct CreateTable {
    table_name: String,
    attribute_definitions: Vec<Definition>,
    key_schema: Vec<KeyElement>,
    billing_mode: Option<String>,
    /// Nothing here is billed by tags.
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Definition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeyElement {
    attribute_name: String,
    key_type: String,
}

pub(super) fn create(shared: &Shared, ask: CreateTable) -> Result<Value, Refusal> {
    if !is_table_name(&ask.table_name) {
        return Err(invalid(format!(
            "Invalid table/index name.  Table/index names must be between 3 and 255 characters long, and may contain only the characters a-z, A-Z, 0-9, '_', '-', and '.': {}",
            ask.table_name
        )));
    }
    if ask.billing_mode.as_deref() != Some("PAY_PER_REQUEST") {
        return Err(invalid("the local cloud has tables of BillingMode PAY_PER_REQUEST only"));
    }
    let schema = schema(&ask)?;
    let mut tables = lock(&shared.dynamodb.tables);
    if tables.contains_key(&ask.table_name) {
        return Err(in_use(&ask.table_name));
    }
    if TABLES_MAX <= tables.len() {
        return Err(too_much(format!("there are {TABLES_MAX} tables; delete some")));
    }
    let table = Arc::new(Table::new(&ask.table_name, schema));
    tables.insert(ask.table_name, table.clone());
    Ok(json!({ "TableDescription": description(shared, &table, "ACTIVE") }))
}

fn schema(ask: &CreateTable) -> Result<Schema, Refusal> {
    let (hash, range) = match ask.key_schema.as_slice() {
        [hash] if hash.key_type == "HASH" => (hash, None),
        [hash, range] if hash.key_type == "HASH" && range.key_type == "RANGE" => {
            (hash, Some(range))
        }
        _ => {
            return Err(invalid(
                "Invalid KeySchema: The first KeySchemaElement is not a HASH key type, or the second is not a RANGE key type",
            ));
        }
    };
    let names = [Some(hash), range].into_iter().flatten();
    for KeyElement { attribute_name: name, .. } in names {
        let mut definitions = ask.attribute_definitions.iter();
        let Some(definition) = definitions.find(|d| d.attribute_name == *name) else {
            return Err(invalid(format!(
                "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [{name}]"
            )));
        };
        if definition.attribute_type != "S" {
            return Err(invalid(format!(
                "the local cloud has keys of type S only; `{name}` is not"
            )));
        }
    }
    if ask.attribute_definitions.len() != ask.key_schema.len() {
        return Err(invalid(
            "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
        ));
    }
    let name = |element: &KeyElement| element.attribute_name.clone();
    Ok(Schema { hash: name(hash), range: range.map(name) })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct OfTable {
    table_name: String,
}

pub(super) fn describe(shared: &Shared, ask: &OfTable) -> Result<Value, Refusal> {
    let name = short(&ask.table_name);
    let table = shared.dynamodb.table(name).ok_or_else(|| no_table(name))?;
    Ok(json!({ "Table": description(shared, &table, "ACTIVE") }))
}

pub(super) fn delete(shared: &Shared, ask: &OfTable) -> Result<Value, Refusal> {
    let name = short(&ask.table_name);
    let table = lock(&shared.dynamodb.tables).remove(name).ok_or_else(|| no_table(name))?;
    Ok(json!({ "TableDescription": description(shared, &table, "DELETING") }))
}

fn description(shared: &Shared, table: &Table, status: &str) -> Value {
    let (items, bytes) = table.size();
    let config = &shared.config;
    let definitions = table.schema.names();
    let definitions = definitions.map(|n| json!({ "AttributeName": n, "AttributeType": "S" }));
    let keys = table.schema.names().zip(["HASH", "RANGE"]);
    let keys = keys.map(|(name, kind)| json!({ "AttributeName": name, "KeyType": kind }));
    json!({
        "TableName": table.name,
        "TableStatus": status,
        "TableArn": format!("arn:aws:dynamodb:{}:{}:table/{}", config.region, config.account, table.name),
        "TableId": table.id,
        "CreationDateTime": clock::epoch_seconds(table.created),
        "AttributeDefinitions": definitions.collect::<Vec<_>>(),
        "KeySchema": keys.collect::<Vec<_>>(),
        "ItemCount": items,
        "TableSizeBytes": bytes,
        "BillingModeSummary": { "BillingMode": "PAY_PER_REQUEST" },
        "ProvisionedThroughput": { "NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0 },
        "DeletionProtectionEnabled": false,
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UpdateTtl {
    table_name: String,
    time_to_live_specification: TtlSpecification,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TtlSpecification {
    enabled: bool,
    attribute_name: String,
}

pub(super) fn update_ttl(shared: &Shared, ask: UpdateTtl) -> Result<Value, Refusal> {
    let table = table(shared, &ask.table_name)?;
    let TtlSpecification { enabled, attribute_name: name } = ask.time_to_live_specification;
    let mut ttl = lock(&table.ttl);
    if enabled == ttl.is_some() {
        let state = if enabled { "enabled" } else { "disabled" };
        return Err(invalid(format!("TimeToLive is already {state}")));
    }
    *ttl = enabled.then(|| name.clone());
    Ok(json!({ "TimeToLiveSpecification": { "Enabled": enabled, "AttributeName": name } }))
}

pub(super) fn describe_ttl(shared: &Shared, ask: &OfTable) -> Result<Value, Refusal> {
    let table = table(shared, &ask.table_name)?;
    let ttl = lock(&table.ttl);
    Ok(match ttl.as_ref() {
        Some(name) => {
            json!({ "TimeToLiveDescription": { "TimeToLiveStatus": "ENABLED", "AttributeName": name } })
        }
        None => json!({ "TimeToLiveDescription": { "TimeToLiveStatus": "DISABLED" } }),
    })
}
