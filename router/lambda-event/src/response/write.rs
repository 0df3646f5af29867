//! Writes the payload that stands for an app's response: the adapter's side.

use http::header::{CONTENT_LENGTH, SET_COOKIE};
use http::{HeaderMap, StatusCode};

use crate::{body, headers};

/// Appends the payload for a response to `out`.
pub fn write_response(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    let may_be_text = body::may_be_text(headers);
    out.reserve(128 + headers.len() * 64 + body::encoded_size_hint(body.len(), may_be_text));
    out.extend_from_slice(br#"{"statusCode":"#);
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(br#","headers":{"#);
    headers::write(out, headers, |name| *name == SET_COOKIE || *name == CONTENT_LENGTH);
    if out.ends_with(b",") {
        out.pop();
    }
    out.push(b'}');
    if headers.contains_key(SET_COOKIE) {
        out.extend_from_slice(br#","cookies":["#);
        headers::write_list(out, headers, &SET_COOKIE, None);
        out.push(b']');
    }
    out.push(b',');
    body::write(out, body, may_be_text);
    out.push(b'}');
}
