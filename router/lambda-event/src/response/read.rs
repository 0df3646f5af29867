//! Reads the payload that a function answered with: the gateway's side.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::de::Deserialize;
use serde_json::value::RawValue;

use super::payload::{Answer, Parts, Value};
use super::{Response, ResponseError};
use crate::format::Format;
use crate::headers::{Entries, HeaderError, OneOrMany, Text};
use crate::{body, headers};

/// See [`Format::read_response`].
pub(crate) fn read(
    format: Format,
    method: &Method,
    payload: &Bytes,
) -> Result<Response, ResponseError> {
    let answer = serde_json::from_slice(payload).map_err(ResponseError::Json)?;
    let is_head = method == Method::HEAD;
    let mut response = match answer {
        Answer::Parts(parts) if !parts.status.is_absent() => {
            explicit(format, payload, parts, is_head)?
        }
        _ if format != Format::ApigwV2 => return Err(ResponseError::NoStatus),
        Answer::Parts(_) | Answer::Other => inferred(payload.clone()),
        Answer::Text(Cow::Borrowed(text)) => inferred(payload.slice_ref(text.as_bytes())),
        Answer::Text(Cow::Owned(text)) => inferred(Bytes::from(text)),
    };
    if is_head {
        take_body(&mut response);
    }
    Ok(response)
}

/// Reads the prelude of a streamed response, in which `statusCode` may be missing, and 200 then (aws-lambda-go leaves out
/// a zero).
pub(crate) fn read_prelude(prelude: &Bytes) -> Result<(StatusCode, HeaderMap), ResponseError> {
    let answer = serde_json::from_slice(prelude).map_err(ResponseError::Json)?;
    let Answer::Parts(parts) = answer else { return Err(ResponseError::NoStatus) };
    let status = if parts.status.is_absent() { StatusCode::OK } else { parts.status.status()? };
    Ok((status, read_headers(Format::ApigwV2, &parts, prelude, false)?))
}

/// Leaves of the body what HEAD tells about it: its length (RFC 9110 section 9.3.2).
fn take_body(response: &mut Response) {
    let Response { headers, body, .. } = response;
    if !body.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        *body = Bytes::new();
    } else if let Some(said) = headers.remove(CONTENT_LENGTH)
        && let Some(length) = said.to_str().ok().and_then(|text| text.parse::<u64>().ok())
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn inferred(body: Bytes) -> Response {
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response { status: StatusCode::OK, headers, body }
}

fn explicit(
    format: Format,
    payload: &Bytes,
    parts: Parts<'_>,
    is_head: bool,
) -> Result<Response, ResponseError> {
    let status = parts.status.status()?;
    // RFC 9110 sections 15.3.5 and 15.4.5.
    let has_body = status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
    let headers = read_headers(format, &parts, payload, is_head && has_body)?;
    let body = match parts.body {
        Value::Text(text) => body::read(text, parts.is_base64, Some(payload))?,
        Value::Absent | Value::Null => Bytes::new(),
        Value::Bool(_) | Value::Number(_) | Value::Other => return Err(ResponseError::Body),
    };
    Ok(Response { status, headers, body: if has_body { body } else { Bytes::new() } })
}

/// Reads the headers of a response object, with `content-length` only if it is to be kept. Their values share the bytes
/// of `payload`.
fn read_headers(
    format: Format,
    parts: &Parts<'_>,
    payload: &Bytes,
    keep_length: bool,
) -> Result<HeaderMap, ResponseError> {
    let single: Entries<'_, OneOrMany<'_>> = part("headers", parts.headers)?;
    let listed: Entries<'_, OneOrMany<'_>> = part("multiValueHeaders", parts.multi_value_headers)?;
    let mut headers = if listed.0.is_empty() {
        to_map(&single, payload, keep_length)?
    } else {
        let single = to_map(&single, payload, keep_length)?;
        combine(format, single, to_map(&listed, payload, keep_length)?)?
    };
    if format == Format::ApigwV2 {
        let cookies: Option<Vec<Text<'_>>> = part("cookies", parts.cookies)?;
        for cookie in cookies.iter().flatten() {
            headers::append(&mut headers, &SET_COOKIE, &cookie.0, Some(payload))?;
        }
    }
    Ok(headers)
}

/// The last of equal names counts. But functions that may give each name once spell `set-cookie` in several ways to set
/// several cookies, and load balancers and REST APIs pass them on.
fn to_map(
    entries: &Entries<'_, OneOrMany<'_>>,
    payload: &Bytes,
    keep_length: bool,
) -> Result<HeaderMap, ResponseError> {
    let mut map = headers::map_for(entries.0.len());
    for (name, values) in &entries.0 {
        let values = match values {
            OneOrMany::None => continue,
            OneOrMany::One(value) => std::slice::from_ref(value),
            OneOrMany::Many(values) => values,
        };
        let Some(name) = headers::to_answer_name(&name.0)? else { continue };
        if name == CONTENT_LENGTH && !keep_length {
            continue;
        }
        if let [value] = values
            && name != SET_COOKIE
        {
            headers::insert(&mut map, name, &value.0, Some(payload))?;
            continue;
        }
        if name != SET_COOKIE {
            map.remove(&name);
        }
        for value in values {
            headers::append(&mut map, &name, &value.0, Some(payload))?;
        }
    }
    Ok(map)
}

/// Makes one map of `headers` and `multiValueHeaders`, by the rules that [`Format::read_response`] states.
fn combine(
    format: Format,
    single: HeaderMap,
    listed: HeaderMap,
) -> Result<HeaderMap, ResponseError> {
    let (mut all, rest) = match format {
        Format::ApigwV2 | Format::ApigwV1 | Format::AlbMultiValue => (listed, single),
        Format::Alb => (single, listed),
    };
    let both: Vec<HeaderName> =
        rest.keys().filter(|name| all.contains_key(*name)).cloned().collect();
    for (name, value) in &rest {
        let is_new = if format == Format::ApigwV1 {
            !all.get_all(name).iter().any(|known| known == value)
        } else {
            !both.contains(name)
        };
        if is_new {
            all.try_append(name, value.clone()).map_err(|_| HeaderError::TooMany)?;
        }
    }
    Ok(all)
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
