//! A request's head: what is refused, what is decided by, and what is changed before it is sent on.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version,
    header::{CONNECTION, EXPECT, TE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::PathAndQuery,
};
use hyper::body::Body;
use lambda_event::Format;
use policies::{
    decide::{self, Facts},
    path,
    policy::Retry,
};

use super::Problem;
use crate::{lane::body::Payload, serve::connection::Client};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// A request's name, the same in every hop's log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Which headers with a meaning for a proxy a message has.
///
/// Found in one pass over it, because most messages have hardly any: looking each of them up costs more than the rest of
/// this file.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How many `Host` headers.
    pub(super) hosts: u8,
    connection: bool,
    /// `Connection` names other headers.
    names: bool,
    /// Anything else that concerns one hop only.
    hop: bool,
    te: bool,
    pub(super) transfer_encoding: bool,
    upgrade: bool,
    trailer: bool,
    grpc: bool,
    /// `x-pacer-*`.
    own: bool,
    /// Something about where it came from.
    origin: bool,
    /// Something about the trace that it is part of.
    pub(super) trace: bool,
}

impl Seen {
    /// Looks through a message's headers. Returns what it has, and its (last) `Host`.
    pub(super) fn of(headers: &HeaderMap) -> (Self, Option<&HeaderValue>) {
        let (mut seen, mut host) = (Self::default(), None);
        for (name, value) in headers {
            match name.as_str() {
                "host" => (seen.hosts, host) = (seen.hosts.saturating_add(1), Some(value)),
                "connection" => {
                    seen.connection = true;
                    seen.names |= value != "keep-alive" && value != "close";
                }
                "content-type" => seen.grpc |= value.as_bytes().starts_with(b"application/grpc"),
                "trailer" => seen.trailer = true,
                "te" => (seen.te, seen.hop) = (true, true),
                "transfer-encoding" => (seen.transfer_encoding, seen.hop) = (true, true),
                "upgrade" => (seen.upgrade, seen.hop) = (true, true),
                "keep-alive"
                | "proxy-connection"
                | "proxy-authenticate"
                | "proxy-authorization"
                | "expect" => seen.hop = true,
                "traceparent" | "tracestate" => seen.trace = true,
                text => {
                    seen.own |= text.starts_with(lambda_event::report::PREFIX);
                    seen.origin |= is_origin(text);
                }
            }
        }
        (seen, host)
    }
}

/// Checks what hyper lets pass. Returns the host asked for; empty when an old client named none.
///
/// RFC 9112 section 3.2: a request without a host, or with two, must be answered 400; two readers of it could disagree
/// about where it goes.
pub(super) fn check<'h>(
    parts: &Parts,
    seen: &Seen,
    host: Option<&'h HeaderValue>,
) -> Result<&'h str, Problem> {
    if parts.method == Method::CONNECT {
        return Err(Problem::bad_request("CONNECT is not served: this is no forward proxy"));
    }
    // The body would be sent on without the coding that this says it has.
    let coded = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"chunked");
    if seen.transfer_encoding && parts.headers.get_all(TRANSFER_ENCODING).iter().any(coded) {
        return Err(Problem::not_implemented("no transfer coding but chunked is served"));
    }
    let host = match (host, seen.hosts) {
        (Some(host), 1) => host,
        (Some(_), _) => return Err(Problem::bad_request("the request has two Host headers")),
        (None, _) if parts.version == Version::HTTP_10 => return Ok(""),
        (None, _) => return Err(Problem::bad_request("the request has no Host header")),
    };
    let host =
        host.to_str().map_err(|_| Problem::bad_request("the Host header is not a host name"))?;
    // Absolute form: RFC 9112 section 3.2.2 lets its authority win; one that differs from Host is no honest request.
    if parts.uri.authority().is_some_and(|authority| {
        !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes())
    }) {
        return Err(Problem::bad_request(
            "the request's URL and its Host header name different hosts",
        ));
    }
    Ok(host)
}

/// Brings the path into its one normal form, in which it is both matched and sent on.
pub(super) fn normalise_path(uri: &mut Uri) -> Result<(), Problem> {
    let bad = |_| Problem::bad_request("the request's path is not a valid one");
    let normal = path::normal(uri.path()).map_err(bad)?;
    if matches!(normal, std::borrow::Cow::Borrowed(_)) && uri.authority().is_none() {
        return Ok(());
    }
    let target = match uri.query() {
        Some(query) => format!("{normal}?{query}"),
        None => normal.into_owned(),
    };
    let target: PathAndQuery = target
        .parse()
        .map_err(|_| Problem::bad_request("the request's path is not a valid one"))?;
    *uri = Uri::from(target);
    Ok(())
}

/// Returns what rules a lane in or out.
pub(super) fn facts(parts: &Parts, seen: &Seen, payload: &Payload, format: Format) -> Facts {
    let headers = &parts.headers;
    let body = match payload {
        Payload::Stream(_, body) => Some(body.size_hint().exact()),
        _ => None,
    };
    let body = match body {
        None => decide::Body::Empty,
        Some(None) => decide::Body::Streaming,
        Some(Some(length)) => {
            let query = parts.uri.query().map_or(0, str::len);
            let path = parts.uri.path().len();
            decide::Body::Encoded(format.event_size_max(headers, path, query, length))
        }
    };
    Facts {
        body,
        upgrade: seen.upgrade && asks_for_upgrade(headers),
        grpc: seen.grpc,
        trailers: seen.trailer,
    }
}

/// Tells whether another protocol is asked for. `h2c` does not count: it may be ignored (RFC 9110 section 7.8), and many
/// clients offer it with every first request.
fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let protocols = headers
        .get_all(UPGRADE)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    protocols
        .map(<[u8]>::trim_ascii)
        .any(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"h2c"))
}

/// Takes off what must not cross, and adds what a backend wants to know.
pub(super) fn prepare(
    headers: &mut HeaderMap,
    seen: &Seen,
    client: &Client,
    request_id: HeaderValue,
) {
    let wants_trailers = seen.te && headers.get(TE).is_some_and(|te| has_token(te, "trailers"));
    strip_seen(headers, seen);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if seen.origin {
        let chain =
            joined(headers, &FORWARDED_FOR, &client.address_text).filter(|_| client.trusted);
        if !client.trusted {
            strip_origin(headers);
        }
        headers.insert(FORWARDED_FOR, chain.unwrap_or_else(|| client.address_text.clone()));
        headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    } else {
        headers.insert(FORWARDED_FOR, client.address_text.clone());
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    headers.insert(REQUEST_ID, request_id);
}

/// Takes off everything that says where a request came from.
fn strip_origin(headers: &mut HeaderMap) {
    let claims =
        headers.keys().filter(|name| is_origin(name.as_str())).cloned().collect::<Vec<_>>();
    for name in claims {
        headers.remove(name);
    }
}

/// Tells whether a header says where a request came from, or who sent it: believed only from a trusted hop.
fn is_origin(name: &str) -> bool {
    matches!(name, "forwarded" | "x-real-ip") || name.starts_with("x-forwarded-")
}

/// Takes off, from the trailers of a request, all that its head would not have been allowed to say.
pub(crate) fn strip_trailers(trailers: &mut HeaderMap) {
    strip(trailers);
    strip_origin(trailers);
}

/// Returns the values of `name`, joined, with `last` behind them; `None` without values.
fn joined(headers: &HeaderMap, name: &HeaderName, last: &HeaderValue) -> Option<HeaderValue> {
    let mut chain = Vec::new();
    for value in headers.get_all(name) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    if chain.is_empty() {
        return None;
    }
    chain.extend_from_slice(last.as_bytes());
    HeaderValue::from_bytes(&chain).ok()
}

/// Takes off hop-by-hop headers (RFC 9110 section 7.6.1), those that `Connection` names, `Expect`, which is answered
/// here, and everything `x-pacer-*`, which only Pacer may say. Used both ways.
pub(super) fn strip(headers: &mut HeaderMap) {
    let (seen, _) = Seen::of(headers);
    strip_seen(headers, &seen);
}

/// Does the same to a message that was looked through before.
pub(super) fn strip_seen(headers: &mut HeaderMap, seen: &Seen) {
    if seen.names {
        strip_named(headers);
    }
    if seen.connection {
        headers.remove(CONNECTION);
    }
    if seen.hop {
        for name in ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"]
        {
            headers.remove(name);
        }
        for name in [TE, TRANSFER_ENCODING, UPGRADE, EXPECT] {
            headers.remove(name);
        }
    }
    if seen.own {
        let ours: Vec<HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().starts_with(lambda_event::report::PREFIX))
            .cloned()
            .collect();
        for name in ours {
            headers.remove(name);
        }
    }
}

/// Takes off what `Connection` names.
fn strip_named(headers: &mut HeaderMap) {
    let mut named: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(CONNECTION) {
        for token in value.as_bytes().split(|byte| *byte == b',') {
            // A client must not be able to take off what routes and frames a message.
            if let Ok(name) = HeaderName::from_bytes(token.trim_ascii())
                && !matches!(name.as_str(), "host" | "content-length" | "close" | "keep-alive")
            {
                named.push(name);
            }
        }
    }
    for name in &named {
        headers.remove(name);
    }
}

/// Returns the address of the client: the last one in `X-Forwarded-For` that no trusted hop has.
///
/// `headers` are prepared: an untrusted peer's own claim is gone from them.
pub(super) fn client_address(headers: &HeaderMap, client: &Client) -> IpAddr {
    if !client.trusted {
        return client.address;
    }
    let trusted = &client.worker.world().policy.listen.trust_forwarded_from;
    let chain =
        headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let hops = chain.rsplit(',').map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    let mut last = client.address;
    for hop in hops {
        last = hop;
        if !trusted.iter().any(|network| network.contains(hop)) {
            break;
        }
    }
    last
}

/// Tells whether policy says that such a request may run twice.
pub(super) fn may_repeat(method: &Method, headers: &HeaderMap, retry: &Retry) -> bool {
    retry.idempotent_methods.contains(method)
        || retry.idempotent_headers.iter().any(|name| headers.contains_key(name))
}

/// Returns the first value of a query parameter, undecoded: it is only read as a number.
pub(crate) fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn has_token(value: &HeaderValue, token: &str) -> bool {
    let mut tokens = value.as_bytes().split(|byte| *byte == b',' || *byte == b';');
    tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[track_caller]
    fn check_strip(given: &[(&'static str, &'static str)], left: &[(&'static str, &'static str)]) {
        let mut given = headers(given);
        strip(&mut given);
        assert_eq!(given, headers(left));
    }

    #[test]
    fn hop_by_hop_headers_and_those_named_by_connection_do_not_cross() {
        check_strip(&[("accept", "a")], &[("accept", "a")]);
        check_strip(
            &[
                ("connection", "close, x-secret-hop"),
                ("x-secret-hop", "1"),
                ("keep-alive", "1"),
                ("te", "gzip"),
                ("accept", "a"),
            ],
            &[("accept", "a")],
        );
        check_strip(
            &[("upgrade", "h2c"), ("transfer-encoding", "chunked"), ("proxy-connection", "x")],
            &[],
        );
    }

    #[test]
    fn connection_cannot_take_off_what_frames_the_message() {
        check_strip(
            &[("connection", "host, content-length"), ("host", "h"), ("content-length", "3")],
            &[("host", "h"), ("content-length", "3")],
        );
    }

    #[test]
    fn nobody_but_pacer_says_x_pacer() {
        check_strip(
            &[("x-pacer-billed-ms", "1"), ("x-pacer-busy", "1"), ("x-pacerlike", "1")],
            &[("x-pacerlike", "1")],
        );
    }

    #[test]
    fn a_query_parameter_is_found_by_its_whole_name() {
        assert_eq!(query_value("frames=240&x=1", "frames"), Some("240"));
        assert_eq!(query_value("myframes=1&frames=2", "frames"), Some("2"));
        assert_eq!(query_value("frames", "frames"), None);
    }
}
