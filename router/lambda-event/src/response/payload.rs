//! A function's payload as JSON, taken apart only as far as it must be.
//!
//! Read once: parts whose meaning depends on whether there is a `statusCode` are only marked, and body and header
//! values without escapes stay in the payload's own bytes.

use std::borrow::Cow;

use http::StatusCode;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::ResponseError;

/// What a payload is, before it is known whether it is meant as a response.
pub(super) enum Answer<'de> {
    Parts(Parts<'de>),
    Text(Cow<'de, str>),
    Other,
}

/// The parts of a response object.
#[derive(Default)]
pub(super) struct Parts<'de> {
    pub(super) status: Value<'de>,
    pub(super) headers: Option<&'de RawValue>,
    pub(super) multi_value_headers: Option<&'de RawValue>,
    pub(super) cookies: Option<&'de RawValue>,
    pub(super) body: Value<'de>,
    pub(super) is_base64: bool,
}

/// A value of any type, kept only as far as some part may use it.
#[derive(Default)]
pub(super) enum Value<'de> {
    #[default]
    Absent,
    Null,
    Bool(bool),
    Number(u64),
    Text(Cow<'de, str>),
    Other,
}

impl Value<'_> {
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Value::Absent)
    }

    /// Reads it as a `statusCode`.
    pub(super) fn status(&self) -> Result<StatusCode, ResponseError> {
        let number = match self {
            Value::Number(number) => u16::try_from(*number).ok(),
            Value::Text(text) if text.len() == 3 => text.parse().ok(),
            Value::Text(_) | Value::Absent | Value::Null | Value::Bool(_) | Value::Other => None,
        };
        let allowed = number.filter(|number| (200..=599).contains(number));
        let status = allowed.and_then(|number| StatusCode::from_u16(number).ok());
        status.ok_or_else(|| ResponseError::Status(self.to_string()))
    }
}

impl std::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => write!(f, "{:?}", text.chars().take(20).collect::<String>()),
            Value::Null => f.write_str("null"),
            Value::Absent | Value::Bool(_) | Value::Other => f.write_str("of another type"),
        }
    }
}

enum Key {
    StatusCode,
    Headers,
    MultiValueHeaders,
    Cookies,
    Body,
    IsBase64Encoded,
    Unknown,
}

impl<'de> Deserialize<'de> for Answer<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnswerVisitor)
    }
}

struct AnswerVisitor;

impl<'de> Visitor<'de> for AnswerVisitor {
    type Value = Answer<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any JSON")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer<'de>, A::Error> {
        let mut parts = Parts::default();
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::StatusCode => parts.status = map.next_value()?,
                Key::Headers => parts.headers = Some(map.next_value()?),
                Key::MultiValueHeaders => parts.multi_value_headers = Some(map.next_value()?),
                Key::Cookies => parts.cookies = Some(map.next_value()?),
                Key::Body => parts.body = map.next_value()?,
                Key::IsBase64Encoded => {
                    parts.is_base64 = matches!(map.next_value()?, Value::Bool(true));
                }
                Key::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Answer::Parts(parts))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Answer<'de>, E> {
        Ok(Answer::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Answer<'de>, E> {
        Ok(Answer::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Answer<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Answer::Other)
    }
    fn visit_unit<E>(self) -> Result<Answer<'de>, E> {
        Ok(Answer::Other)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Answer<'de>, E> {
        Ok(Answer::Other)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Answer<'de>, E> {
        Ok(Answer::Other)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Answer<'de>, E> {
        Ok(Answer::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Answer<'de>, E> {
        Ok(Answer::Other)
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any JSON")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }
    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }
            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "statusCode" => Key::StatusCode,
                    "headers" => Key::Headers,
                    "multiValueHeaders" => Key::MultiValueHeaders,
                    "cookies" => Key::Cookies,
                    "body" => Key::Body,
                    "isBase64Encoded" => Key::IsBase64Encoded,
                    _ => Key::Unknown,
                })
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}
