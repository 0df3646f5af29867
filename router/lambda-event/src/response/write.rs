//! Writes the payload that stands for an app's response: the adapter's side.

use http::header::{CONTENT_LENGTH, SET_COOKIE};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::body::TextTypes;
use crate::format::Format;
use crate::headers::Repeated;
use crate::{body, headers};

/// See [`Format::write_response`].
///
/// With payload format 1.0 every header is in `multiValueHeaders`: in both, some would be sent twice. An app's
/// `content-length` crosses when there is no body to count, in the answers to HEAD.
pub(crate) fn write(
    format: Format,
    out: &mut Vec<u8>,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) {
    let may_be_text = body::may_be_text(headers, TextTypes::All);
    out.reserve(128 + headers.len() * 64 + body::encoded_size_hint(body.len(), may_be_text));
    out.extend_from_slice(br#"{"statusCode":"#);
    out.extend_from_slice(status.as_str().as_bytes());
    if matches!(format, Format::Alb | Format::AlbMultiValue) {
        out.extend_from_slice(br#","statusDescription":""#);
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
        out.push(b'"');
    }
    let skip = |name: &HeaderName| *name == CONTENT_LENGTH && !body.is_empty();
    match format {
        Format::ApigwV2 => write_joined(out, headers, skip),
        Format::ApigwV1 | Format::AlbMultiValue => {
            write_field(out, "multiValueHeaders", headers, Repeated::Listed, skip);
        }
        Format::Alb => write_field(out, "headers", headers, Repeated::Last, skip),
    }
    if !body.is_empty() {
        out.extend_from_slice(br#","body":"#);
    }
    body::write(out, body, may_be_text);
    out.push(b'}');
}

/// Writes `,"headers":{…}` with values joined, and `,"cookies":[…]` if there are any.
pub(crate) fn write_joined(
    out: &mut Vec<u8>,
    headers: &HeaderMap,
    skip: impl Fn(&HeaderName) -> bool,
) {
    let is_cookie = |name: &HeaderName| *name == SET_COOKIE || skip(name);
    write_field(out, "headers", headers, Repeated::Joined, is_cookie);
    if headers.contains_key(SET_COOKIE) {
        out.extend_from_slice(br#","cookies":["#);
        headers::write_list(out, headers, &SET_COOKIE, None);
        out.push(b']');
    }
}

fn write_field(
    out: &mut Vec<u8>,
    field: &str,
    headers: &HeaderMap,
    repeated: Repeated,
    skip: impl Fn(&HeaderName) -> bool,
) {
    out.extend_from_slice(br#",""#);
    out.extend_from_slice(field.as_bytes());
    out.extend_from_slice(br#"":{"#);
    headers::write(out, headers, repeated, skip);
    if out.ends_with(b",") {
        out.pop();
    }
    out.push(b'}');
}
