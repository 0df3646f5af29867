//! Events and responses against the shapes that AWS documents, a module for each front end.

#![expect(clippy::unwrap_used, reason = "helpers of tests are not seen to be in tests")]

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use lambda_event::{Format, Request, Response, ResponseError};
use serde_json::Value;

mod alb;
mod v1;
mod v2;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// The event of a POST, written behind what a buffer has already.
fn event(
    format: Format,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Value {
    let mut out = b"before".to_vec();
    format.write_event(
        &mut out,
        &Request {
            method: &Method::POST,
            path,
            query,
            headers,
            body,
            source_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            request_id: "id-1",
            epoch_ms: 1_583_348_638_390,
            domain: "api.example.com",
            protocol: Version::HTTP_11,
        },
    );
    serde_json::from_slice(out.strip_prefix(b"before").unwrap()).unwrap()
}

/// What a function returns for a response.
fn written(format: Format, status: StatusCode, headers: &HeaderMap, body: &str) -> Value {
    let mut out = Vec::new();
    format.write_response(&mut out, status, headers, body.as_bytes());
    serde_json::from_slice(&out).unwrap()
}

/// The response that a function's payload stands for.
fn read(format: Format, payload: &str) -> Result<Response, ResponseError> {
    format.read_response(&Method::GET, &Bytes::copy_from_slice(payload.as_bytes()))
}
