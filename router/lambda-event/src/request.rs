//! An HTTP request on its way to a function: the event that stands for it.
//!
//! Writing is the gateway's hot path: one pass over what is already in memory, into one buffer. The content of the
//! event is that of a function URL without authorisation (`accountId` is `anonymous`, one stage, one route).

mod query;
mod read;

use std::io::Write as _;
use std::net::IpAddr;

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, USER_AGENT};
use http::{HeaderMap, Method, Version};

pub use self::read::{EventError, RequestContext, read_event};
use crate::{body, headers, json, time};

/// What an event says about one HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, as the client sent it.
    pub method: &'a Method,
    /// The path, percent-encoded, without the query: `rawPath`.
    pub path: &'a str,
    /// What follows the `?`, undecoded: `rawQueryString`.
    pub query: Option<&'a str>,
    /// The headers; those that do not cross are left out here, so the caller need not copy them.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
    /// The client's address.
    pub source_ip: IpAddr,
    /// A name for this request that no other has; at most 255 bytes.
    pub request_id: &'a str,
    /// When it arrived, in milliseconds since 1970.
    pub epoch_ms: u64,
    /// The host name that was asked for, without port; at most 255 bytes (RFC 1035 section 2.3.4).
    pub domain: &'a str,
    /// The client's protocol version.
    pub protocol: Version,
}

/// Bytes of an event without headers, path, query and body, rounded up: 600 for the fixed part and, each
/// possibly doubled by escapes, 4 x 255 for the domain, 255 for the request's id, 255 for a method.
const ENVELOPE_BYTES_MAX: u64 = 4096;

/// Appends the event for `request` to `out`.
///
/// A request without a `host` header (HTTP/2 has none) gets one from `domain`. `content-length` is that of `body`.
/// `expect` does not cross: it was answered when the body was read.
pub fn write_event(out: &mut Vec<u8>, request: &Request<'_>) {
    let Request { method, path, query, headers, body, .. } = *request;
    let may_be_text = body::may_be_text(headers);
    let query = query.filter(|query| !query.is_empty());
    out.reserve(
        640 + headers.len() * 64
            + 2 * path.len()
            + 3 * query.map_or(0, str::len)
            + body::encoded_size_hint(body.len(), may_be_text),
    );

    out.extend_from_slice(br#"{"version":"2.0","routeKey":"$default","rawPath":"#);
    json::string(out, path);
    out.extend_from_slice(br#","rawQueryString":"#);
    json::string(out, query.unwrap_or_default());
    if headers.contains_key(COOKIE) {
        out.extend_from_slice(br#","cookies":["#);
        headers::write_list(out, headers, &COOKIE, Some(b';'));
        out.push(b']');
    }
    write_headers(out, request);
    if let Some(query) = query {
        out.extend_from_slice(br#","queryStringParameters":{"#);
        query::write_parameters(out, query);
        out.push(b'}');
    }
    write_context(out, request, method, path);
    out.push(b',');
    body::write(out, body, may_be_text);
    out.push(b'}');
}

fn write_headers(out: &mut Vec<u8>, request: &Request<'_>) {
    let Request { headers, body, domain, .. } = *request;
    out.extend_from_slice(br#","headers":{"#);
    headers::write(out, headers, |name| {
        *name == COOKIE || *name == CONTENT_LENGTH || *name == EXPECT
    });
    if !headers.contains_key(HOST) && !domain.is_empty() {
        out.extend_from_slice(br#""host":"#);
        json::string(out, domain);
        out.push(b',');
    }
    if !body.is_empty() || headers.contains_key(CONTENT_LENGTH) {
        out.extend_from_slice(br#""content-length":""#);
        out.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
        out.extend_from_slice(br#"","#);
    }
    if out.ends_with(b",") {
        out.pop();
    }
    out.push(b'}');
}

fn write_context(out: &mut Vec<u8>, request: &Request<'_>, method: &Method, path: &str) {
    let prefix = request.domain.split('.').next().unwrap_or_default();
    out.extend_from_slice(br#","requestContext":{"accountId":"anonymous","apiId":"#);
    json::string(out, prefix);
    out.extend_from_slice(br#","domainName":"#);
    json::string(out, request.domain);
    out.extend_from_slice(br#","domainPrefix":"#);
    json::string(out, prefix);
    out.extend_from_slice(br#","http":{"method":"#);
    json::string(out, method.as_str());
    out.extend_from_slice(br#","path":"#);
    json::string(out, path);
    out.extend_from_slice(br#","protocol":""#);
    out.extend_from_slice(protocol(request.protocol));
    out.extend_from_slice(br#"","sourceIp":""#);
    write!(out, "{}", request.source_ip).expect("writing to memory does not fail");
    out.extend_from_slice(br#"","userAgent":""#);
    let user_agent = request.headers.get(USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
    json::escape_latin1(out, user_agent);
    out.extend_from_slice(br#""},"requestId":"#);
    json::string(out, request.request_id);
    out.extend_from_slice(br#","routeKey":"$default","stage":"$default","time":""#);
    time::write_log_time(out, request.epoch_ms / 1000);
    out.extend_from_slice(br#"","timeEpoch":"#);
    out.extend_from_slice(itoa::Buffer::new().format(request.epoch_ms).as_bytes());
    out.push(b'}');
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_09 => b"HTTP/0.9",
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2",
        Version::HTTP_3 => b"HTTP/3",
        _ => b"HTTP/1.1",
    }
}

/// Returns a size in bytes that the event for such a request does not exceed, before its body was read.
///
/// Text is taken to double (every byte an escape), so the real size of a text body is about half of what this says;
/// base64 is exact. Lambda takes 6 MB ("Lambda quotas", AWS documentation, November 2026): binary bodies up to about 4.5 MB, text that
/// surely fits up to 3 MB. `path_len` and `query_len` are those of a valid URI.
#[must_use]
pub fn event_size_max(
    headers: &HeaderMap,
    path_len: usize,
    query_len: usize,
    content_length: u64,
) -> u64 {
    // A header value at most doubles: by escapes, or as ISO 8859-1 in UTF-8. The user agent is there twice.
    // A cookie of one byte and its `;` become four more; so four times the value covers all of them.
    let header_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + 4 * value.len() + 8).sum();
    // The path is there twice; a query is there once raw and once decoded: `a&` may become `"\"":"",`.
    let fixed = header_bytes + 4 * path_len + 6 * query_len;
    (ENVELOPE_BYTES_MAX + fixed as u64)
        .saturating_add(body::encoded_size_max(content_length, body::may_be_text(headers)))
}
