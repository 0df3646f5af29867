//! HTTP request to Lambda event to HTTP response, both directions. Pure.
//!
//! The event is Amazon API Gateway's payload format 2.0, which function URLs use too, so a function that
//! works behind either works behind Pacer. The gateway writes events and reads responses; the adapter inside
//! the function reads events and writes responses. Both ends live in one crate because what one writes
//! must be what the other reads. Nothing here does I/O, reads a clock or knows about Lambda's API.
//!
//! The promises, in both directions:
//!
//! - **Names are lower case, repeated headers are joined with `,`**, as AWS does it.
//! - **Cookies are in `cookies` and nowhere else.** API Gateway does the same; function URLs also leave them
//!   among the headers, which has made apps see each cookie twice (aws-lambda-web-adapter issue 121).
//! - **A header's bytes survive.** JSON has characters and HTTP/1 has bytes, so each byte is sent as the character
//!   of the same number (ISO 8859-1), as Node and Python's WSGI present it, and turned back the same way.
//! - **A body's bytes survive.** It is sent as text only when that gives back the same bytes; see [`body`].
//! - **Hop-by-hop headers do not cross** (RFC 9110 section 7.6.1), nor does `content-length` of a response: the
//!   length is that of the body.
//! - **`rawQueryString` is the truth.** `queryStringParameters` is decoded and joined with `,`, and so ambiguous.

pub mod body;
pub mod headers;
mod json;
pub mod report;
pub mod request;
pub mod response;
pub mod time;
pub mod warm_up;

pub use request::{EventError, Request, RequestContext, event_size_max, read_event, write_event};
pub use response::{Response, ResponseError, read_response, write_response};
