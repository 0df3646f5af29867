//! An HTTP request on its way to a function: the event that stands for it.
//!
//! Writing is the gateway's hot path: one pass over what is already in memory, into one buffer. Where an event names an
//! account, a stage or a route, it says what a function URL without authorisation says (`anonymous`, `$default`).

pub(crate) mod alb;
mod query;
mod read;
pub(crate) mod v1;
pub(crate) mod v2;

use std::io::Write as _;
use std::net::IpAddr;

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, USER_AGENT};
use http::{HeaderMap, Method, Version};

pub use self::read::{EventError, RequestContext, read_event};
use crate::format::Format;
use crate::headers::Repeated;
use crate::{body, headers, json, time};

/// What an event says about one HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, as the client sent it.
    pub method: &'a Method,
    /// The path, percent-encoded, without the query.
    pub path: &'a str,
    /// What follows the `?`, undecoded.
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

impl Request<'_> {
    /// The query, unless there is nothing in it.
    fn query(&self) -> Option<&str> {
        self.query.filter(|query| !query.is_empty())
    }
}

/// See [`Format::event_size_max`].
pub(crate) fn size_max(
    format: Format,
    headers: &HeaderMap,
    path_len: usize,
    query_len: usize,
    content_length: u64,
) -> u64 {
    // The fixed part is 600 bytes at most, with payload format 1.0 1100. To it come, each possibly doubled by escapes, the
    // domain (255 bytes, 4 or 5 times), the request's id (255, once or twice) and a method (255, once or twice).
    // A path doubles by escapes too; a query is worst as `"&`, which becomes `"\"":"",` as a parameter, and
    // `"\"":[""],` as a list.
    let (envelope, copies, path_factor, query_factor) = match format {
        Format::ApigwV2 => (4096, 1, 4, 6),
        Format::ApigwV1 => (8192, 2, 6, 9),
        Format::Alb => (4096, 1, 2, 4),
        Format::AlbMultiValue => (4096, 1, 2, 5),
    };
    // A header value at most doubles: by escapes, or as ISO 8859-1 in UTF-8. The user agent may be there once more.
    // A cookie of one byte and its `;` become four more; so four times the value covers all of them.
    let header_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + 4 * value.len() + 10).sum();
    let fixed = copies * header_bytes + path_factor * path_len + query_factor * query_len;
    let may_be_text = body::may_be_text(headers, format.text_types());
    (envelope + fixed as u64).saturating_add(body::encoded_size_max(content_length, may_be_text))
}

/// Writes `,"<field>":{…}`: the headers that cross, in one of their forms.
fn write_headers(out: &mut Vec<u8>, request: &Request<'_>, field: &str, repeated: Repeated) {
    let Request { headers, body, domain, .. } = *request;
    // Only payload format 2.0 joins values, and has a place of its own for cookies.
    let cookies_apart = repeated == Repeated::Joined;
    out.extend_from_slice(br#",""#);
    out.extend_from_slice(field.as_bytes());
    out.extend_from_slice(br#"":{"#);
    headers::write(out, headers, repeated, |name| {
        (cookies_apart && *name == COOKIE)
            || *name == CONTENT_LENGTH
            || *name == EXPECT
            || headers::is_reserved(name)
    });
    let (open, close): (&[u8], &[u8]) = match repeated {
        Repeated::Joined | Repeated::Last => (br#"":""#, br#"","#),
        Repeated::Listed => (br#"":[""#, br#""],"#),
    };
    if !headers.contains_key(HOST) && !domain.is_empty() {
        out.extend_from_slice(br#""host"#);
        out.extend_from_slice(open);
        json::escape(out, domain.as_bytes());
        out.extend_from_slice(close);
    }
    if !body.is_empty() || headers.contains_key(CONTENT_LENGTH) {
        out.extend_from_slice(br#""content-length"#);
        out.extend_from_slice(open);
        out.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
        out.extend_from_slice(close);
    }
    if out.ends_with(b",") {
        out.pop();
    }
    out.push(b'}');
}

/// Opens the context of API Gateway's formats, up to the domain; its first label stands for the id of an API.
fn open_context(out: &mut Vec<u8>, request: &Request<'_>) {
    let prefix = request.domain.split('.').next().unwrap_or_default();
    out.extend_from_slice(br#","requestContext":{"accountId":"anonymous","apiId":"#);
    json::string(out, prefix);
    out.extend_from_slice(br#","domainName":"#);
    json::string(out, request.domain);
    out.extend_from_slice(br#","domainPrefix":"#);
    json::string(out, prefix);
}

/// Writes what was asked for, and in which version: `"path":"…","protocol":"…"`.
fn write_target(out: &mut Vec<u8>, request: &Request<'_>) {
    out.extend_from_slice(br#""path":"#);
    json::string(out, request.path);
    out.extend_from_slice(br#","protocol":""#);
    out.extend_from_slice(protocol(request.protocol));
    out.push(b'"');
}

/// Writes a client's address and program: `"sourceIp":"…","userAgent":"…"`.
fn write_client(out: &mut Vec<u8>, request: &Request<'_>) {
    out.extend_from_slice(br#""sourceIp":""#);
    write!(out, "{}", request.source_ip).expect("writing to memory does not fail");
    out.extend_from_slice(br#"","userAgent":""#);
    let user_agent = request.headers.get(USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
    json::escape_latin1(out, user_agent);
    out.push(b'"');
}

/// Writes when the request came: `"04/Mar/2020:19:03:58 +0000","<epoch_field>":1583348638390`.
fn write_time(out: &mut Vec<u8>, request: &Request<'_>, epoch_field: &str) {
    out.push(b'"');
    time::write_log_time(out, request.epoch_ms / 1000);
    out.extend_from_slice(br#"",""#);
    out.extend_from_slice(epoch_field.as_bytes());
    out.extend_from_slice(br#"":"#);
    out.extend_from_slice(itoa::Buffer::new().format(request.epoch_ms).as_bytes());
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
