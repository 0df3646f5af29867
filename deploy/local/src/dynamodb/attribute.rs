//! Attribute values: what items are made of, and how requests write them.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Value, json};

use super::{number::Number, refusal::invalid};
use crate::aws_json::Refusal;

/// How deep lists and maps may nest (DynamoDB developer guide, "Quotas", read 2026-11).
const DEPTH_MAX: usize = 32;

/// Attributes by name.
pub(crate) type Item = BTreeMap<String, Attribute>;

/// One value. Sets are missing: the gateway keeps none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Text(String),
    Number(Number),
    Bytes(Vec<u8>),
    Bool(bool),
    Null,
    List(Vec<Self>),
    Map(Item),
}

impl Attribute {
    /// Reads one value.
    #[cfg(test)]
    pub(crate) fn read(value: &Value) -> Result<Self, Refusal> {
        Self::nested(value, 0)
    }

    /// Reads `{"S": "text"}` and the like, at `depth` within an item.
    fn nested(value: &Value, depth: usize) -> Result<Self, Refusal> {
        if DEPTH_MAX < depth {
            return Err(invalid("Nesting Levels have exceeded supported limits"));
        }
        let object = value.as_object().filter(|object| object.len() == 1);
        let Some((kind, value)) = object.and_then(|object| object.iter().next()) else {
            return Err(invalid(
                "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
            ));
        };
        match (kind.as_str(), value) {
            ("S", Value::String(text)) => Ok(Self::Text(text.clone())),
            ("N", Value::String(text)) => Number::parse(text).map(Self::Number).map_err(invalid),
            ("B", Value::String(text)) => {
                let bytes = BASE64.decode(text);
                bytes.map(Self::Bytes).map_err(|_| invalid("Invalid Base64 data in a B attribute"))
            }
            ("BOOL", Value::Bool(value)) => Ok(Self::Bool(*value)),
            ("NULL", Value::Bool(true)) => Ok(Self::Null),
            ("L", Value::Array(values)) => {
                let values = values.iter().map(|value| Self::nested(value, depth + 1));
                values.collect::<Result<_, _>>().map(Self::List)
            }
            ("M", Value::Object(values)) => read_item(values, depth + 1).map(Self::Map),
            ("SS" | "NS" | "BS", _) => {
                Err(invalid(format!("the local cloud has no sets ({kind}); use a list or a map")))
            }
            _ => Err(invalid(format!("`{kind}` with {value} is no AttributeValue"))),
        }
    }

    /// The form of requests and answers.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!({ "S": text }),
            Self::Number(number) => json!({ "N": number.to_string() }),
            Self::Bytes(bytes) => json!({ "B": BASE64.encode(bytes) }),
            Self::Bool(value) => json!({ "BOOL": value }),
            Self::Null => json!({ "NULL": true }),
            Self::List(values) => {
                json!({ "L": values.iter().map(Self::json).collect::<Vec<_>>() })
            }
            Self::Map(values) => json!({ "M": item_json(values) }),
        }
    }

    /// The name of its type.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "S",
            Self::Number(_) => "N",
            Self::Bytes(_) => "B",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
            Self::List(_) => "L",
            Self::Map(_) => "M",
        }
    }

    /// Bytes an item is charged for it ("Item sizes and formats", read 2026-11).
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(number) => number.bytes(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::List(values) => 3 + values.iter().map(|value| 1 + value.bytes()).sum::<usize>(),
            Self::Map(values) => 3 + values.len() + item_bytes(values),
        }
    }

    /// How it compares with another of its type, where that type has an order.
    pub(crate) fn order(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// Reads an item, or any attributes by name.
pub(crate) fn read(values: &Map<String, Value>) -> Result<Item, Refusal> {
    read_item(values, 0)
}

fn read_item(values: &Map<String, Value>, depth: usize) -> Result<Item, Refusal> {
    let values = values.iter();
    values.map(|(name, value)| Ok((name.clone(), Attribute::nested(value, depth)?))).collect()
}

/// The form of requests and answers.
pub(crate) fn item_json(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), value.json())).collect::<Map<_, _>>().into()
}

/// The size that DynamoDB's limit of an item means.
pub(crate) fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.bytes()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_round_trip() {
        let value = json!({ "M": {
            "text": { "S": "ő" }, "number": { "N": "1.5" }, "bytes": { "B": "AAEC" },
            "list": { "L": [{ "BOOL": false }, { "NULL": true }] },
        } });
        let read = Attribute::read(&value).unwrap();
        assert_eq!(read.json(), value);
        // Names 4 + 6 + 5 + 4, values 2 + 2 + 3 + (3 + 2 x (1 + 1)), the map itself 3 + 4.
        assert_eq!(read.bytes(), 19 + 14 + 7);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let deep = (0..40).fold(json!({ "S": "x" }), |inner, _| json!({ "L": [inner] }));
        for wrong in [
            json!("text"),
            json!({}),
            json!({ "S": "a", "N": "1" }),
            json!({ "S": 1 }),
            json!({ "N": 1 }),
            json!({ "N": "one" }),
            json!({ "B": "*" }),
            json!({ "NULL": false }),
            json!({ "SS": ["a"] }),
            json!({ "X": "a" }),
            deep,
        ] {
            assert_eq!(
                Attribute::read(&wrong).unwrap_err().kind,
                super::super::refusal::VALIDATION,
                "{wrong}"
            );
        }
    }
}
