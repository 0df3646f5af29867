//! The event of payload format 2.0.
//!
//! Source: "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway" and "Invoking Lambda function URLs" (AWS
//! documentation, November 2026). The path stays percent-encoded, as function URLs leave it; HTTP APIs decode it, and
//! lose what stands behind an encoded `?`.

use http::header::COOKIE;

use super::{Request, open_context, query, write_client, write_headers, write_target, write_time};
use crate::format::Format;
use crate::headers::Repeated;
use crate::{body, headers, json};

pub(crate) fn write(out: &mut Vec<u8>, request: &Request<'_>) {
    let Request { path, headers, body, .. } = *request;
    let may_be_text = body::may_be_text(headers, Format::ApigwV2.text_types());
    let query = request.query();
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
    write_headers(out, request, "headers", Repeated::Joined);
    if let Some(query) = query {
        out.extend_from_slice(br#","queryStringParameters":{"#);
        query::write(out, &query::decoded(query), Repeated::Joined);
        out.push(b'}');
    }
    write_context(out, request);
    if !body.is_empty() {
        out.extend_from_slice(br#","body":"#);
    }
    body::write(out, body, may_be_text);
    out.push(b'}');
}

fn write_context(out: &mut Vec<u8>, request: &Request<'_>) {
    open_context(out, request);
    out.extend_from_slice(br#","http":{"method":"#);
    json::string(out, request.method.as_str());
    out.push(b',');
    write_target(out, request);
    out.push(b',');
    write_client(out, request);
    out.extend_from_slice(br#"},"requestId":"#);
    json::string(out, request.request_id);
    out.extend_from_slice(br#","routeKey":"$default","stage":"$default","time":"#);
    write_time(out, request, "timeEpoch");
    out.push(b'}');
}
