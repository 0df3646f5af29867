//! What Invoke answered: a response, or a failure typed by whether the function ran.
//!
//! Source: the Lambda API model's exceptions with their status (aws-sdk-lambda 1.156, November 2026). AWS's own text
//! never reaches the client: it may name functions, accounts and stack traces.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use predictor::outcome::Spill;
use serde::Deserialize;

use crate::lane::Failure;

/// Reads an answer of Invoke.
pub(super) fn read(
    status: StatusCode,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<lambda_event::Response, Failure> {
    if status != StatusCode::OK {
        return Err(service_error(status, &error_type(headers, body)));
    }
    if headers.contains_key("x-amz-function-error") {
        return Err(function_error(body));
    }
    lambda_event::read_response(body).map_err(|error| {
        tracing::debug!(%error, "the function's answer is not an HTTP response");
        Failure::ran(StatusCode::BAD_GATEWAY, "the function's answer is not an HTTP response")
    })
}

/// Returns the exception's name: from the header, or from the body's `__type`; empty when neither has it.
fn error_type(headers: &HeaderMap, body: &Bytes) -> String {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "__type", default)]
        name: String,
    }
    let header =
        headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let name = header.unwrap_or_else(|| {
        serde_json::from_slice::<Typed>(body).map(|typed| typed.name).unwrap_or_default()
    });
    // Seen as `Name`, `Name:http://...` and `prefix#Name`.
    let name = name.split(':').next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default().to_owned()
}

fn service_error(status: StatusCode, name: &str) -> Failure {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let not_ready =
        Failure::did_not_run(Spill::NotReady, unavailable, "Lambda could not start the function");
    let misconfigured = Failure::did_not_run(
        Spill::Misconfigured,
        StatusCode::BAD_GATEWAY,
        "Lambda refused the call: the gateway's policy or its permissions are wrong",
    );
    let failure = match (status.as_u16(), name) {
        (429, _) => {
            Failure::did_not_run(Spill::Throttled, unavailable, "Lambda throttled the call")
        }
        (400, "SnapStartException") | (408 | 409, _) => not_ready,
        (413 | 415, _) => Failure::did_not_run(
            Spill::TooLarge,
            StatusCode::PAYLOAD_TOO_LARGE,
            "Lambda found the request too large",
        ),
        // EFS broke in the middle of a run.
        (410, _) => Failure::unknown(StatusCode::BAD_GATEWAY, "the function failed"),
        (400..=499, _) => misconfigured,
        // Served as 502, but wrong until somebody mends them.
        (502, name)
            if ["KMS", "Invalid", "EC2AccessDenied"]
                .iter()
                .any(|prefix| name.starts_with(prefix)) =>
        {
            misconfigured
        }
        (502, _) => not_ready,
        _ => Failure::unknown(StatusCode::BAD_GATEWAY, "Lambda failed"),
    };
    if matches!(failure.cause, Spill::Misconfigured) {
        tracing::warn!(%status, exception = %name, "Lambda refused a call");
    } else {
        tracing::debug!(%status, exception = %name, "Lambda did not serve a call");
    }
    failure
}

/// A function error: Invoke's status is 200, the function threw, exited or ran out of time.
fn function_error(body: &Bytes) -> Failure {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Thrown<'a> {
        #[serde(rename = "errorMessage", borrow)]
        message: std::borrow::Cow<'a, str>,
        #[serde(rename = "errorType", borrow)]
        kind: std::borrow::Cow<'a, str>,
    }
    let thrown: Thrown<'_> = serde_json::from_slice(body).unwrap_or_default();
    tracing::debug!(kind = %thrown.kind, "the function failed");
    if thrown.message.contains("Task timed out after") || thrown.kind == "Sandbox.Timedout" {
        return Failure::ran(StatusCode::GATEWAY_TIMEOUT, "the function ran into its own timeout")
            .timed_out();
    }
    Failure::ran(StatusCode::BAD_GATEWAY, "the function failed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::Execution::{self, DidNotRun, Unknown};

    #[track_caller]
    fn check(status: u16, name: &str, ran: Execution, cause: Spill, answer: u16) {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-amzn-errortype"),
            name.parse().unwrap(),
        )]);
        let body = Bytes::from_static(br#"{"Message":"secret","Type":"User"}"#);
        let failure = read(StatusCode::from_u16(status).unwrap(), &headers, &body).unwrap_err();
        assert_eq!(
            (failure.ran, failure.cause, failure.status.as_u16()),
            (ran, cause, answer),
            "{status} {name}"
        );
        assert!(!failure.detail.contains("secret"));
    }

    #[test]
    fn every_exception_of_invoke_says_whether_the_function_ran() {
        check(429, "TooManyRequestsException", DidNotRun, Spill::Throttled, 503);
        for name in [
            "SnapStartNotReadyException",
            "SnapStartRegenerationFailureException",
            "ResourceConflictException",
        ] {
            check(409, name, DidNotRun, Spill::NotReady, 503);
        }
        check(408, "SnapStartTimeoutException", DidNotRun, Spill::NotReady, 503);
        check(400, "SnapStartException", DidNotRun, Spill::NotReady, 503);
        check(400, "InvalidRequestContentException", DidNotRun, Spill::Misconfigured, 502);
        check(413, "RequestTooLargeException", DidNotRun, Spill::TooLarge, 413);
        check(404, "ResourceNotFoundException", DidNotRun, Spill::Misconfigured, 502);
        check(403, "AccessDeniedException", DidNotRun, Spill::Misconfigured, 502);
        check(410, "EFSIOException", Unknown, Spill::Failed, 502);
        check(402, "ServiceQuotaExceededException", DidNotRun, Spill::Misconfigured, 502);
        check(502, "EC2ThrottledException", DidNotRun, Spill::NotReady, 503);
        check(
            502,
            "KMSDisabledException:http://internal.amazon.com/coral/",
            DidNotRun,
            Spill::Misconfigured,
            502,
        );
        check(502, "InvalidSubnetIDException", DidNotRun, Spill::Misconfigured, 502);
        check(500, "ServiceException", Unknown, Spill::Failed, 502);
        check(503, "", Unknown, Spill::Failed, 502);
    }

    #[test]
    fn function_errors_become_502_or_504_and_leak_nothing() {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-amz-function-error"),
            "Unhandled".parse().unwrap(),
        )]);
        let read = |body: &'static str| {
            read(StatusCode::OK, &headers, &Bytes::from_static(body.as_bytes())).unwrap_err()
        };
        let timed_out = read(
            r#"{"errorMessage":"2026-11-21T00:00:00Z 1-2 Task timed out after 3.00 seconds"}"#,
        );
        assert_eq!((timed_out.ran, timed_out.status.as_u16()), (Execution::Ran, 504));
        for body in [
            r#"{"errorMessage":"secret","errorType":"Runtime.ExitError","stackTrace":["secret"]}"#,
            "garbage",
            "",
        ] {
            let failed = read(body);
            assert_eq!((failed.ran, failed.status.as_u16()), (Execution::Ran, 502));
            assert!(!failed.detail.contains("secret"));
        }
    }
}
