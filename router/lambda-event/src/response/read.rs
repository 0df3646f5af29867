//! Reads the payload that a function answered with: the gateway's side.
//!
//! Read once: parts whose meaning depends on whether there is a `statusCode` are only marked, and body and header
//! values without escapes stay in the payload's own bytes.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Response, ResponseError};
use crate::headers::{Entries, Text};
use crate::{body, headers};

/// Reads the response that a function's payload stands for.
///
/// - An object with a `statusCode` (a number, or a string of digits) is taken apart. The last of equal keys counts.
///   `multiValueHeaders` replaces `headers` of the same name; AWS ignores it in this format (aws-serverless-java-container
///   issue 377), and so loses headers of functions written for the older one.
/// - Any other JSON is the body of a 200 with `content-type: application/json`; of a string, its content is.
///
/// # Errors
///
/// When the payload is not JSON, or what it says is not an HTTP response. 1xx is refused: it promises another answer.
pub fn read_response(payload: &Bytes) -> Result<Response, ResponseError> {
    let answer = serde_json::from_slice(payload).map_err(ResponseError::Json)?;
    match answer {
        Answer::Parts(parts) if !matches!(parts.status, Value::Absent) => explicit(payload, parts),
        Answer::Parts(_) | Answer::Other => Ok(inferred(payload.clone())),
        Answer::Text(Cow::Borrowed(text)) => Ok(inferred(payload.slice_ref(text.as_bytes()))),
        Answer::Text(Cow::Owned(text)) => Ok(inferred(Bytes::from(text))),
    }
}

fn inferred(body: Bytes) -> Response {
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response { status: StatusCode::OK, headers, body }
}

fn explicit(payload: &Bytes, parts: Parts<'_>) -> Result<Response, ResponseError> {
    let status = status(&parts.status)?;
    let headers = read_headers(payload, &parts)?;
    let has_body = status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
    let body = match parts.body {
        Value::Text(text) => body::read(text, parts.is_base64, Some(payload))?,
        Value::Absent | Value::Null => Bytes::new(),
        Value::Bool(_) | Value::Number(_) | Value::Other => return Err(ResponseError::Body),
    };
    Ok(Response { status, headers, body: if has_body { body } else { Bytes::new() } })
}

fn status(value: &Value<'_>) -> Result<StatusCode, ResponseError> {
    let number = match value {
        Value::Number(number) => u16::try_from(*number).ok(),
        Value::Text(text) if text.len() == 3 => text.parse().ok(),
        Value::Text(_) | Value::Absent | Value::Null | Value::Bool(_) | Value::Other => None,
    };
    let allowed = number.filter(|number| (200..=599).contains(number));
    let status = allowed.and_then(|number| StatusCode::from_u16(number).ok());
    status.ok_or_else(|| ResponseError::Status(value.to_string()))
}

fn read_headers(payload: &Bytes, parts: &Parts<'_>) -> Result<HeaderMap, ResponseError> {
    let single: Entries<'_, Option<Text<'_>>> = part("headers", parts.headers)?;
    let multi: Entries<'_, Vec<Text<'_>>> = part("multiValueHeaders", parts.multi_value_headers)?;
    let cookies: Option<Vec<Text<'_>>> = part("cookies", parts.cookies)?;

    let mut map = headers::map_for(single.0.len() + multi.0.len());
    for (name, value) in &single.0 {
        let Some(value) = value else { continue };
        let Some(name) = headers::to_name(&name.0)? else { continue };
        headers::insert(&mut map, name, &value.0, Some(payload))?;
    }
    for (name, values) in &multi.0 {
        let Some(name) = headers::to_name(&name.0)? else { continue };
        map.remove(&name);
        for value in values {
            headers::append(&mut map, &name, &value.0, Some(payload))?;
        }
    }
    for cookie in cookies.iter().flatten() {
        headers::append(&mut map, &SET_COOKIE, &cookie.0, Some(payload))?;
    }
    Ok(map)
}

fn part<'de, T: Deserialize<'de> + Default>(
    part: &'static str,
    raw: Option<&'de RawValue>,
) -> Result<T, ResponseError> {
    raw.map_or_else(
        || Ok(T::default()),
        |raw| {
            serde_json::from_str(raw.get()).map_err(|source| ResponseError::Part { part, source })
        },
    )
}

/// What a payload is, before it is known whether it is meant as a response.
enum Answer<'de> {
    Parts(Parts<'de>),
    Text(Cow<'de, str>),
    Other,
}

#[derive(Default)]
struct Parts<'de> {
    status: Value<'de>,
    headers: Option<&'de RawValue>,
    multi_value_headers: Option<&'de RawValue>,
    cookies: Option<&'de RawValue>,
    body: Value<'de>,
    is_base64: bool,
}

/// A value of any type, kept only as far as some part may use it.
#[derive(Default)]
enum Value<'de> {
    #[default]
    Absent,
    Null,
    Bool(bool),
    Number(u64),
    Text(Cow<'de, str>),
    Other,
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
