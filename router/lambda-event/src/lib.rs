//! HTTP request to Lambda event to HTTP response, both directions. Pure.
//!
//! The formats are those of AWS's own front ends, so a function that works behind one of them works behind Pacer. The
//! gateway writes events and reads responses; the adapter inside the function reads events and writes responses. Both
//! ends live in one crate because what one writes must be what the other reads. Nothing here does I/O, reads a clock or
//! knows about Lambda's API.
//!
//! The gateway's lane holds a [`Format`] and calls three methods of it: [`event_size_max`](Format::event_size_max) before
//! the body is read, [`write_event`](Format::write_event), and [`read_response`](Format::read_response). An answer that is
//! streamed goes through a [`stream::Reader`] instead of the latter, whatever the format. [`log_tail`] reads what a
//! function without the adapter cost. The adapter calls [`read_event`], and answers by
//! [`write_response`](Format::write_response) or [`stream::write_prelude`].
//!
//! The promises, in every format:
//!
//! - **Names are lower case.** What becomes of repeated headers, cookies and query parameters is the format's own rule;
//!   see [`Format`].
//! - **With payload format 2.0, cookies are in `cookies` and nowhere else.** HTTP APIs do the same; function URLs also
//!   leave them among the headers, which has made apps see each cookie twice (aws-lambda-web-adapter issue 121).
//! - **A header's bytes survive.** JSON has characters and HTTP/1 has bytes, so each byte is sent as the character
//!   of the same number (ISO 8859-1), as Node and Python's WSGI present it, and turned back the same way.
//! - **A body's bytes survive.** It is sent as text only when that gives back the same bytes, else in base64.
//! - **Hop-by-hop headers do not cross** (RFC 9110 section 7.6.1), nor does `content-length` of a response: the
//!   length is that of the body. `expect` does not cross either: it was answered when the body was read.
//! - **What AWS or Pacer says, nobody else says.** `x-amz-*`, `x-amzn-*` (but for `x-amzn-trace-id`) and `x-pacer-*` of a
//!   client are left out of events; `x-amz-*` and `x-amzn-*` of a function are left out of responses.
//! - **What HTTP does not allow is an error**, never a header: CR, LF, NUL, names with `:` in them (pseudo-headers).

mod body;
mod format;
mod headers;
mod json;
pub mod log_tail;
pub mod report;
mod request;
mod response;
pub mod stream;
pub mod time;
pub mod warm_up;

pub use format::Format;
pub use headers::{HeaderError, is_hop_by_hop};
pub use request::{EventError, Request, RequestContext, read_event};
pub use response::{Response, ResponseError};
