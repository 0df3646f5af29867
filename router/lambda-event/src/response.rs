//! A function's answer on its way to the client: the payload, and the HTTP response it stands for.
//!
//! With payload format 2.0 AWS infers: JSON without a `statusCode` is a 200 with that JSON as its body. Kong and Envoy do
//! not, and so break functions that work behind API Gateway. REST APIs and load balancers do not infer either.

mod payload;
mod read;
pub(crate) mod write;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

pub(crate) use self::read::{read, read_prelude};
pub(crate) use self::write::write;
use crate::headers::HeaderError;

/// The HTTP response that a payload stands for.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status, 200 to 599.
    pub status: StatusCode,
    /// The headers, with one `set-cookie` for each cookie; no hop-by-hop ones, none of AWS's own (`x-amz-*`, `x-amzn-*`),
    /// and `content-length` only if this answers HEAD. Those of [`report`](crate::report) are there: the gateway reads
    /// them and takes them off.
    pub headers: HeaderMap,
    /// The body, decoded; empty with 204 and 304 and after HEAD, which have none.
    pub body: Bytes,
}

/// Why a payload is no HTTP response.
///
/// The function's fault, always: a 502 for the client. It ran, so the request may not be repeated on that ground.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// Not JSON at all.
    #[error("function answered with something that is not JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// JSON without a `statusCode`, in a format that infers nothing.
    #[error(
        "function answered without a statusCode; send an object with one, or use payload format 2.0, where any JSON is a response"
    )]
    NoStatus,
    /// A part of the answer has the wrong JSON type.
    #[error("function answered with a {part} of the wrong type: {source}")]
    Part {
        /// The name of the part: `headers`, `multiValueHeaders` or `cookies`.
        part: &'static str,
        /// What was found instead.
        source: serde_json::Error,
    },
    /// `statusCode` is not a number from 200 to 599.
    #[error("function answered with statusCode {0}; send a number from 200 to 599")]
    Status(String),
    /// `body` is not a string.
    #[error("function answered with a body that is not a string; send it as JSON text in a string")]
    Body,
    /// `isBase64Encoded` is true, and `body` is something else.
    #[error(
        "function answered with a body that is not base64 ({0}); encode it or set isBase64Encoded to false"
    )]
    Base64(#[from] base64::DecodeError),
    /// A header that HTTP does not allow.
    #[error("function answered with a bad header: {0}")]
    Header(#[from] HeaderError),
}
