//! Reads an event back into the request it stands for: the adapter's side.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::str::FromStr as _;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::format::Format;
use crate::headers::{Entries, HeaderError, Text};
use crate::{body, headers};

/// Why an event is no HTTP request.
///
/// The invoke failed without the app having run; sending the event again gives the same answer.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or a field has the wrong type.
    #[error("event is not an HTTP event: {0}")]
    Shape(#[from] serde_json::Error),
    /// JSON, but of no HTTP front end.
    #[error(
        "event is of no known format: it has neither requestContext.http (API Gateway's payload format 2.0, function URLs) nor requestContext.elb (load balancers) nor httpMethod (payload format 1.0)"
    )]
    Unknown,
    /// A `version` that does not belong to the event's shape.
    #[error(
        "event has payload format {0:?}, and only \"1.0\" and \"2.0\" are read; set the integration's payload format version"
    )]
    Version(String),
    /// A method with characters outside RFC 9110's `token`.
    #[error("method {0:?} of the event is not an HTTP method")]
    Method(String),
    /// A path that does not begin with `/`, or that no URI can hold.
    #[error("path {0:?} of the event is not the path of a URI")]
    Path(String),
    /// A header that HTTP does not allow.
    #[error("event has a bad header: {0}")]
    Header(#[from] HeaderError),
    /// `isBase64Encoded` is true, and the body is something else.
    #[error("body of the event is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
}

/// The JSON text of an event's `requestContext`, among the extensions of what [`read_event`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext(pub Bytes);

/// The fields of all formats.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    version: Option<Text<'a>>,
    #[serde(borrow)]
    request_context: Option<&'a RawValue>,

    #[serde(borrow)]
    raw_path: Option<Text<'a>>,
    #[serde(borrow)]
    raw_query_string: Option<Text<'a>>,
    #[serde(borrow)]
    cookies: Option<Vec<Text<'a>>>,

    #[serde(borrow)]
    http_method: Option<Text<'a>>,
    #[serde(borrow)]
    path: Option<Text<'a>>,
    #[serde(borrow)]
    query_string_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    multi_value_query_string_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    multi_value_headers: Option<Entries<'a, Option<Vec<Text<'a>>>>>,

    #[serde(borrow, default)]
    headers: Entries<'a, Option<Text<'a>>>,
    #[serde(borrow)]
    body: Option<Text<'a>>,
    is_base64_encoded: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Context<'a> {
    #[serde(borrow)]
    http: Option<ContextHttp<'a>>,
    elb: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ContextHttp<'a> {
    #[serde(borrow)]
    method: Text<'a>,
}

/// Reads the request that an event stands for, and which format it has. Its [`RequestContext`] is among the extensions.
///
/// Cookies become one `cookie` header; `content-length` is that of the body; every other header, `x-forwarded-for`
/// and its like too, is as it stands, in lists where the event has lists. Characters of a path that no URI has are
/// percent-encoded: HTTP APIs decode `rawPath`. A query is put together anew where the event has only its parameters,
/// so that it means the same, if it may look different.
///
/// # Errors
///
/// When the payload is no HTTP event of a format in [`Format`], or stands for no valid HTTP request.
pub fn read_event(payload: &[u8]) -> Result<(Format, http::Request<Bytes>), EventError> {
    let event: Event<'_> = serde_json::from_slice(payload)?;
    let context_text = event.request_context.map_or("{}", RawValue::get);
    let context: Context<'_> = serde_json::from_str(context_text)?;
    let format = format(&event, &context)?;
    let (method, uri) = match &context.http {
        Some(http) if format == Format::ApigwV2 => {
            let query = event.raw_query_string.as_ref().map_or("", |query| &query.0);
            (&http.method, uri(event.raw_path.as_ref(), query)?)
        }
        _ => (
            event.http_method.as_ref().ok_or(EventError::Unknown)?,
            uri(event.path.as_ref(), &query(&event, format)?)?,
        ),
    };
    let method = Method::from_bytes(method.0.as_bytes())
        .map_err(|_| EventError::Method(method.0.to_string()))?;
    let mut headers = read_headers(event.headers, event.multi_value_headers, event.cookies)?;
    let body = match event.body {
        Some(text) => body::read(text.0, event.is_base64_encoded == Some(true), None)?,
        None => Bytes::new(),
    };
    let has_length = headers.remove(CONTENT_LENGTH).is_some();
    if has_length || !body.is_empty() {
        set_length(&mut headers, body.len())?;
    }

    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let context = Bytes::copy_from_slice(context_text.as_bytes());
    request.extensions_mut().insert(RequestContext(context));
    Ok((format, request))
}

fn format(event: &Event<'_>, context: &Context<'_>) -> Result<Format, EventError> {
    let (format, version) = if context.http.is_some() {
        (Format::ApigwV2, "2.0")
    } else if context.elb.is_some() {
        let listed = event.multi_value_headers.is_some();
        return Ok(if listed { Format::AlbMultiValue } else { Format::Alb });
    } else if event.http_method.is_some() {
        (Format::ApigwV1, "1.0")
    } else {
        return Err(EventError::Unknown);
    };
    match &event.version {
        Some(said) if said.0 != version => Err(EventError::Version(said.0.to_string())),
        _ => Ok(format),
    }
}

/// Puts a query together from its parameters: encoded where the event has them decoded, else as they stand.
fn query(event: &Event<'_>, format: Format) -> Result<String, EventError> {
    let mut query = String::new();
    let mut push = |key: &str, value: &str| {
        if !query.is_empty() {
            query.push('&');
        }
        if format == Format::ApigwV1 {
            query.push_str(&encode(key, is_unreserved));
            query.push('=');
            query.push_str(&encode(value, is_unreserved));
        } else {
            query.push_str(key);
            query.push('=');
            query.push_str(value);
        }
    };
    if let Some(listed) = event.multi_value_query_string_parameters
        && listed.get() != "null"
    {
        let listed: Entries<'_, Option<Vec<Text<'_>>>> = serde_json::from_str(listed.get())?;
        for (key, values) in &listed.0 {
            values.iter().flatten().for_each(|value| push(&key.0, &value.0));
        }
    } else if let Some(single) = event.query_string_parameters {
        let single: Entries<'_, Option<Text<'_>>> = serde_json::from_str(single.get())?;
        for (key, value) in &single.0 {
            push(&key.0, value.as_ref().map_or("", |value| &value.0));
        }
    }
    Ok(query)
}

fn read_headers(
    single: Entries<'_, Option<Text<'_>>>,
    listed: Option<Entries<'_, Option<Vec<Text<'_>>>>>,
    cookies: Option<Vec<Text<'_>>>,
) -> Result<HeaderMap, EventError> {
    let listed = listed.unwrap_or_default();
    let mut map = headers::map_for(single.0.len() + listed.0.len());
    for (name, values) in &listed.0 {
        let Some(values) = values.as_ref().filter(|values| !values.is_empty()) else { continue };
        let Some(name) = headers::to_name(&name.0)? else { continue };
        if name == CONTENT_LENGTH {
            set_length(&mut map, 0)?;
        } else if name == COOKIE {
            insert_cookies(&mut map, values)?;
        } else {
            for value in values {
                headers::append(&mut map, &name, &value.0, None)?;
            }
        }
    }
    for (name, value) in single.0 {
        let Some(value) = value else { continue };
        let Some(name) = headers::to_name(&name.0)? else { continue };
        if name == CONTENT_LENGTH {
            set_length(&mut map, 0)?;
        } else if listed.0.is_empty() || !map.contains_key(&name) {
            headers::insert(&mut map, name, &value.0, None)?;
        }
    }
    if let Some(cookies) = cookies.filter(|cookies| !cookies.is_empty()) {
        // A function URL repeats them among the headers; the list is complete, so it replaces those.
        insert_cookies(&mut map, &cookies)?;
    }
    Ok(map)
}

/// One header, however many they were: RFC 6265 section 5.4 allows no more.
fn insert_cookies(headers: &mut HeaderMap, cookies: &[Text<'_>]) -> Result<(), HeaderError> {
    let joined = cookies.iter().map(|cookie| &*cookie.0).collect::<Vec<_>>().join("; ");
    headers::insert(headers, COOKIE, &joined, None)
}

/// Takes the place of any length given before; the map may be full.
fn set_length(headers: &mut HeaderMap, length: usize) -> Result<(), HeaderError> {
    let length = HeaderValue::from(length);
    headers.try_insert(CONTENT_LENGTH, length).map_err(|_| HeaderError::TooMany)?;
    Ok(())
}

fn uri(path: Option<&Text<'_>>, query: &str) -> Result<Uri, EventError> {
    let path = path.map_or("", |path| &path.0);
    let bad = || EventError::Path(path.to_owned());
    if !path.starts_with('/') && path != "*" {
        return Err(bad());
    }
    let target = |path: &str, query: &str| {
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    };
    let as_it_stands = !path.contains(['?', '#']) && !query.contains('#');
    if as_it_stands && let Ok(uri) = PathAndQuery::from_str(&target(path, query)) {
        return Ok(Uri::from(uri));
    }
    let in_path = |byte| is_path(byte) || b"/%".contains(&byte);
    let in_query = |byte| in_path(byte) || byte == b'?';
    let encoded = target(&encode(path, in_path), &encode(query, in_query));
    PathAndQuery::from_str(&encoded).map(Uri::from).map_err(|_| bad())
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// RFC 3986 section 3.3: what a segment of a path may have, but for escapes.
fn is_path(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

/// Percent-encodes the bytes that do not stay.
fn encode(text: &str, stays: impl Fn(u8) -> bool) -> Cow<'_, str> {
    if text.bytes().all(&stays) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if stays(byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to memory does not fail");
        }
    }
    Cow::Owned(encoded)
}
