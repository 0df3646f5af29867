//! What a client is told when no lane answered: a problem document (RFC 9457) that says whose fault it is.
//!
//! `fault` is `client` (change the request), `gateway` (its policy or its state) or `backend` (the lane). The text is
//! always one of ours: nothing of a backend's or AWS's answer passes.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use policies::decide::{Lane, Refusal};
use predictor::outcome::{End, Spill};

use super::{
    exchange::Exchange,
    reply::{self, ResponseBody},
};
use crate::lane::Failure;

/// Seconds after which a client may try again when the lane names none.
const RETRY_AFTER_DEFAULT: u32 = 1;

/// Why a request is answered by the gateway itself.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// A short constant name, for programs.
    code: &'static str,
    fault: &'static str,
    detail: &'static str,
    end: End,
    /// In how many seconds the client may try again.
    retry_after: Option<u32>,
}

impl Problem {
    const fn new(
        status: StatusCode,
        code: &'static str,
        fault: &'static str,
        detail: &'static str,
        end: End,
    ) -> Self {
        Self { status, code, fault, detail, end, retry_after: None }
    }

    /// The request is not one that HTTP or this gateway allows.
    pub(super) const fn bad_request(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "client", detail, End::Refused)
    }

    /// HTTP allows it, this gateway does not serve it.
    pub(super) const fn not_implemented(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "not-implemented", "client", detail, End::Refused)
    }

    /// No route matches.
    pub(super) const fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-route",
            "client",
            "no route of the policy matches this request",
            End::Refused,
        )
    }

    /// The body did not arrive in time.
    pub(super) const fn body_late() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-late",
            "client",
            "the request's body did not arrive in time",
            End::TimedOut,
        )
    }

    /// The body broke off.
    pub(super) const fn body_broken() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "body-broken",
            "client",
            "the request's body broke off or is malformed",
            End::ClientGone,
        )
    }

    /// The bodies held for Lambda have reached `limits.buffered`.
    pub(super) const fn buffers_full() -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "buffers-full",
            "gateway",
            "the bodies that the gateway holds have reached limits.buffered",
            End::Unavailable,
        );
        problem.retry_after = Some(RETRY_AFTER_DEFAULT);
        problem
    }

    /// No lane was chosen.
    pub(super) const fn refused(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "client",
                "the request is too large for Lambda, and its route has no container lane",
                End::Refused,
            ),
            Refusal::NotPossible => Self::new(
                StatusCode::NOT_IMPLEMENTED,
                "not-possible",
                "gateway",
                "no lane of the route can serve such a request",
                End::Refused,
            ),
            Refusal::Unavailable => {
                let mut problem = Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "gateway",
                    "no lane of the route can take the request now",
                    End::Unavailable,
                );
                problem.retry_after = Some(RETRY_AFTER_DEFAULT);
                problem
            }
        }
    }

    /// The last lane that was tried failed.
    pub(super) fn failed(failure: &Failure, lane: Lane) -> Self {
        let (fault, code) = match (failure.status, lane) {
            (
                StatusCode::BAD_REQUEST
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::PAYLOAD_TOO_LARGE,
                _,
            ) => ("client", "request-failed"),
            // Only full buffers end so: they are the gateway's, on whichever lane's behalf.
            (StatusCode::SERVICE_UNAVAILABLE, _)
                if matches!(failure.cause, Spill::TooLarge | Spill::Failed) =>
            {
                ("gateway", "buffers-full")
            }
            (_, Lane::Lambda) => ("backend", "lambda-failed"),
            (_, Lane::Container) => ("backend", "container-failed"),
        };
        let end = match failure.cause {
            _ if failure.timed_out => End::TimedOut,
            // The only way to a 400 from here is a body that broke off.
            _ if failure.status == StatusCode::BAD_REQUEST => End::ClientGone,
            Spill::QueueFull
            | Spill::QueueTimeout
            | Spill::Throttled
            | Spill::NotReady
            | Spill::Busy => End::Unavailable,
            Spill::TooLarge => End::Refused,
            Spill::Connect | Spill::Misconfigured | Spill::Failed => End::LaneFailed,
        };
        let mut problem = Self::new(failure.status, code, fault, failure.detail, end);
        if failure.status == StatusCode::SERVICE_UNAVAILABLE {
            problem.retry_after = Some(failure.retry_after.unwrap_or(RETRY_AFTER_DEFAULT));
        }
        problem
    }

    /// Turns it into what dispatching understands: the request has not run.
    pub(super) fn into_failure(self) -> Failure {
        Failure {
            ran: crate::lane::Execution::Ran,
            cause: Spill::Failed,
            status: self.status,
            detail: self.detail,
            timed_out: matches!(self.end, End::TimedOut),
            retry_after: self.retry_after,
        }
    }

    /// Makes the response.
    pub(super) fn into_response(self, mut exchange: Box<Exchange>) -> Response<ResponseBody> {
        let document = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "fault": self.fault,
            "request_id": exchange.request_id.text(),
        });
        let body = Bytes::from(document.to_string());
        exchange.outcome.status = self.status.as_u16();
        exchange.outcome.bytes_out = body.len() as u64;
        exchange.end = Some(self.end);
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = self.status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply::explain(response.headers_mut(), &exchange);
        *response.body_mut() = ResponseBody::whole(body, exchange);
        response
    }
}
