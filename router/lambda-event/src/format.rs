//! The event formats: which there are, and how an event shows its own.
//!
//! A format is a promise about both directions: what the event looks like, and how the answer to it is understood. The
//! gateway is told the format by its policy; the adapter sees it by the event's shape, and answers in the same.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::body::TextTypes;
use crate::headers::Repeated;
use crate::request::{self, Request};
use crate::response::{self, Response, ResponseError};

/// How a request stands in an event, and a response in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// API Gateway's payload format 2.0, of HTTP APIs and function URLs: repeated values joined with `,`, cookies apart,
    /// the query as it was sent.
    ApigwV2,
    /// API Gateway's payload format 1.0, of REST APIs: every header and query parameter once with its last value and
    /// once with all of them.
    ApigwV1,
    /// An Application Load Balancer's target group as it is made: one value a name, the last.
    Alb,
    /// A target group with `lambda.multi_value_headers.enabled`: all values, in lists.
    AlbMultiValue,
}

impl Format {
    /// Every format, for tables and tests.
    pub const ALL: [Format; 4] =
        [Format::ApigwV2, Format::ApigwV1, Format::Alb, Format::AlbMultiValue];

    /// Appends the event for `request` to `out`.
    ///
    /// A request without a `host` header (HTTP/2 has none) gets one from `domain`. `content-length` is that of `body`.
    /// What does not cross is said at [the crate's root](crate).
    pub fn write_event(self, out: &mut Vec<u8>, request: &Request<'_>) {
        match self {
            Format::ApigwV2 => request::v2::write(out, request),
            Format::ApigwV1 => request::v1::write(out, request),
            Format::Alb => request::alb::write(out, request, Repeated::Last),
            Format::AlbMultiValue => request::alb::write(out, request, Repeated::Listed),
        }
    }

    /// Returns a size in bytes that the event for such a request does not exceed, before its body was read.
    ///
    /// Text is taken to double (every byte an escape), so the real size of a text body is about half of what this
    /// says; base64 is exact. Lambda takes 6 MB ("Lambda quotas", AWS documentation, November 2026): binary bodies up to
    /// about 4.5 MB, text that surely fits up to 3 MB. `path_len` and `query_len` are those of a valid URI.
    #[must_use]
    pub fn event_size_max(
        self,
        headers: &HeaderMap,
        path_len: usize,
        query_len: usize,
        content_length: u64,
    ) -> u64 {
        request::size_max(self, headers, path_len, query_len, content_length)
    }

    /// Reads the response that a function's payload stands for, as the answer to a request with `method`.
    ///
    /// In every format, an object with a `statusCode` (a number from 200 to 599, or three digits as a string) is taken
    /// apart; the last of equal keys counts, and `set-cookie` in several spellings is several cookies.
    ///
    /// - [`ApigwV2`](Format::ApigwV2): any other JSON is the body of a 200 with `content-type: application/json`; of a
    ///   string, its content is. `multiValueHeaders` replaces `headers` of the same name; AWS ignores it in this format
    ///   (aws-serverless-java-container issue 377), and so loses headers of functions written for the older one.
    /// - [`ApigwV1`](Format::ApigwV1): `headers` and `multiValueHeaders` are merged; a value that both give counts once.
    /// - [`Alb`](Format::Alb) and [`AlbMultiValue`](Format::AlbMultiValue): of a name that is in both, the form of the
    ///   target group's mode counts; a name that is only in the other is taken from there, where the load balancer would
    ///   lose it.
    ///
    /// The answer to HEAD has no body and the length that a body would have, if the function said or sent it.
    ///
    /// # Errors
    ///
    /// When the payload is not JSON, or what it says is not an HTTP response. 1xx is refused: it promises another answer.
    pub fn read_response(
        self,
        method: &Method,
        payload: &Bytes,
    ) -> Result<Response, ResponseError> {
        response::read(self, method, payload)
    }

    /// Appends the payload for a response to `out`: the adapter's side of [`read_response`](Format::read_response).
    pub fn write_response(
        self,
        out: &mut Vec<u8>,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) {
        response::write(self, out, status, headers, body);
    }

    /// Which bodies of requests AWS passes on as text.
    pub(crate) fn text_types(self) -> TextTypes {
        match self {
            Format::ApigwV2 => TextTypes::WithoutForms,
            Format::ApigwV1 => TextTypes::All,
            Format::Alb | Format::AlbMultiValue => TextTypes::Listed,
        }
    }
}
