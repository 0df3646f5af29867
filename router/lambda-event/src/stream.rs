//! A response that is streamed: a prelude of JSON with status and headers, eight zero bytes, and the body as it is.
//!
//! Source: "Response streaming for Lambda functions" (AWS documentation, November 2026) and what AWS's runtimes for Node,
//! Go and Rust write. The format is the same whatever format the event had. Bodies are handed on piece by piece, sharing
//! the bytes they came in; of the prelude no more than [`PRELUDE_BYTES_MAX`] is held.

mod reader;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};

pub use self::reader::Reader;
use crate::response::{ResponseError, write};

/// The content type that announces a prelude; with any other the stream is the body.
pub const CONTENT_TYPE: &str = "application/vnd.awslambda.http-integration-response";

/// Zero bytes between prelude and body.
pub const DELIMITER_BYTES: usize = 8;

/// The longest prelude that is read. API Gateway and load balancers allow some 10 KB of headers; twice as many bytes
/// would be twice as much that a function can make the gateway hold for each stream.
pub const PRELUDE_BYTES_MAX: usize = 16 * 1024;

/// Status and headers of a streamed response.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status, 200 to 599. With 204 and 304 the body is to be read and thrown away.
    pub status: StatusCode,
    /// The headers, as [`Response`](crate::Response) has them. No `content-length`: the length is not known yet.
    pub headers: HeaderMap,
}

/// What one piece of a stream brought.
#[derive(Debug, Default)]
pub struct Piece {
    /// The head, with the piece that completes it. It comes once.
    pub head: Option<Head>,
    /// Bytes of the body; may be empty. None come before the head.
    pub body: Bytes,
}

/// Why a stream has no head. The function's fault: a 502 for the client, and the request ran.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The prelude is longer than [`PRELUDE_BYTES_MAX`], or the zero bytes that end it do not come.
    #[error("function sent a prelude of more than {PRELUDE_BYTES_MAX} bytes; send fewer headers")]
    TooLong,
    /// Some of the eight zero bytes are missing.
    #[error("function sent {0} zero bytes after its prelude; send 8")]
    Delimiter(usize),
    /// The stream ended before the prelude did.
    #[error("function ended its response within the prelude, after {0} bytes")]
    Truncated(usize),
    /// The prelude is not JSON, or says what is no HTTP response.
    #[error("prelude: {0}")]
    Prelude(#[from] ResponseError),
}

/// Appends prelude and zero bytes to `out`: what comes next is the body. The adapter's side.
///
/// Whoever sends it must see that the prelude is no longer than [`PRELUDE_BYTES_MAX`].
pub fn write_prelude(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    out.extend_from_slice(br#"{"statusCode":"#);
    out.extend_from_slice(status.as_str().as_bytes());
    write::write_joined(out, headers, |name| *name == CONTENT_LENGTH);
    out.push(b'}');
    out.extend_from_slice(&[0; DELIMITER_BYTES]);
}
