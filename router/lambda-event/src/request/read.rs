//! Reads an event back into the request it stands for: the adapter's side.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::str::FromStr as _;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::headers::{Entries, HeaderError, Text};
use crate::{body, headers};

/// Why an event is no HTTP request.
///
/// The invoke failed without the app having run; sending the event again gives the same answer.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or a field has the wrong type.
    #[error("event is not an HTTP event of payload format 2.0: {0}")]
    Shape(#[from] serde_json::Error),
    /// Another payload format; a `version` other than 2.0.
    #[error(
        "event has payload format {0:?}, and only \"2.0\" is read; set the integration's payload format version to 2.0"
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    version: Option<Text<'a>>,
    #[serde(borrow)]
    raw_path: Text<'a>,
    #[serde(borrow, default)]
    raw_query_string: Option<Text<'a>>,
    #[serde(borrow, default)]
    cookies: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    headers: Entries<'a, Option<Text<'a>>>,
    #[serde(borrow)]
    request_context: &'a RawValue,
    #[serde(borrow, default)]
    body: Option<Text<'a>>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
}

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow)]
    http: ContextHttp<'a>,
}

#[derive(Deserialize)]
struct ContextHttp<'a> {
    #[serde(borrow)]
    method: Text<'a>,
}

/// Reads the request that an event stands for. Its [`RequestContext`] is among the extensions.
///
/// Cookies become one `cookie` header; `content-length` is that of the body; every other header, `x-forwarded-for`
/// and its like too, is as it stands. Characters of a path that no URI has are percent-encoded: API
/// Gateway decodes `rawPath`.
///
/// # Errors
///
/// When the payload is no HTTP event of payload format 2.0, or stands for no valid HTTP request.
pub fn read_event(payload: &[u8]) -> Result<http::Request<Bytes>, EventError> {
    let event: Event<'_> = serde_json::from_slice(payload)?;
    if let Some(version) = &event.version
        && version.0 != "2.0"
    {
        return Err(EventError::Version(version.0.to_string()));
    }
    let context: Context<'_> = serde_json::from_str(event.request_context.get())?;
    let method = &context.http.method.0;
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| EventError::Method(method.to_string()))?;
    let query = event.raw_query_string.as_ref().map_or("", |query| &query.0);
    let uri = uri(&event.raw_path.0, query)?;
    let mut headers = read_headers(event.headers, event.cookies)?;
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
    let context = Bytes::copy_from_slice(event.request_context.get().as_bytes());
    request.extensions_mut().insert(RequestContext(context));
    Ok(request)
}

fn read_headers(
    entries: Entries<'_, Option<Text<'_>>>,
    cookies: Option<Vec<Text<'_>>>,
) -> Result<HeaderMap, EventError> {
    let mut map = headers::map_for(entries.0.len());
    for (name, value) in entries.0 {
        let Some(value) = value else { continue };
        let is_length = name.0.eq_ignore_ascii_case(CONTENT_LENGTH.as_str());
        if is_length {
            set_length(&mut map, 0)?;
            continue;
        }
        let Some(name) = headers::to_name(&name.0)? else { continue };
        headers::insert(&mut map, name, &value.0, None)?;
    }
    if let Some(cookies) = cookies.filter(|cookies| !cookies.is_empty()) {
        // A function URL repeats them among the headers; the list is complete, so it replaces those.
        let joined = cookies.iter().map(|cookie| &*cookie.0).collect::<Vec<_>>().join("; ");
        headers::insert(&mut map, COOKIE, &joined, None)?;
    }
    Ok(map)
}

/// Takes the place of any length given before; the map may be full.
fn set_length(headers: &mut HeaderMap, length: usize) -> Result<(), HeaderError> {
    let length = HeaderValue::from(length);
    headers.try_insert(CONTENT_LENGTH, length).map_err(|_| HeaderError::TooMany)?;
    Ok(())
}

fn uri(path: &str, query: &str) -> Result<Uri, EventError> {
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
    let encoded = target(&encode(path, b"/%"), &encode(query, b"/%?"));
    PathAndQuery::from_str(&encoded).map(Uri::from).map_err(|_| bad())
}

/// Percent-encodes what RFC 3986 gives no place in a path or query; `keep` and escapes already there stay.
fn encode<'a>(text: &'a str, keep: &[u8]) -> Cow<'a, str> {
    let stays = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) || keep.contains(&byte)
    };
    if text.bytes().all(stays) {
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
