//! What a buffered Invoke answered: a response, or an error of the table.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header::RETRY_AFTER};
use lambda_event::Format;
use serde::Deserialize;

use super::error::LambdaError;

/// The header that tells a function's failure; its value says whether the function caught it.
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// An error, and for how many seconds Lambda asks to be left alone.
pub(super) type Refused = (LambdaError, Option<u32>);

/// Reads the answer to a request of `method`.
pub(super) fn read(
    format: Format,
    method: &Method,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<lambda_event::Response, LambdaError> {
    if let Some(handled) = headers.get(FUNCTION_ERROR) {
        return Err(function_error(handled.to_str().unwrap_or_default(), body));
    }
    format.read_response(method, body).map_err(|error| {
        tracing::debug!(%error, "the function's answer is not an HTTP response");
        LambdaError::invalid_response()
    })
}

/// Reads an answer whose status is not 200.
pub(super) fn service_error(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Refused {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        #[serde(rename = "__type")]
        name: String,
        #[serde(rename = "Reason")]
        reason: String,
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let said: Body = serde_json::from_slice(body).unwrap_or_default();
    // Seen as `Name`, `Name:http://...` and `prefix#Name`.
    let name = text("x-amzn-errortype").unwrap_or(&said.name);
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default();
    let error = LambdaError::of_service(status, name, &said.reason);
    if error.is_lasting() {
        tracing::warn!(%status, exception = %name, "Lambda refused a call");
    } else {
        tracing::debug!(%status, exception = %name, reason = %said.reason, "Lambda did not serve a call");
    }
    let retry_after = text(RETRY_AFTER.as_str()).and_then(|value| value.parse().ok());
    (error, retry_after)
}

/// A function error: Invoke's status is 200, the function threw, exited or ran out of time.
fn function_error(handled: &str, body: &Bytes) -> LambdaError {
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
    LambdaError::of_function(handled, &thrown.kind, &thrown.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn an_exception_is_named_by_the_header_or_by_the_body() {
        let status = StatusCode::BAD_GATEWAY;
        let body = Bytes::from_static(
            br#"{"__type":"com.amazonaws#ENINotReadyException","Message":"secret"}"#,
        );
        let url = "KMSDisabledException:http://internal.amazon.com/coral/";
        let (error, _) = service_error(status, &headers("x-amzn-errortype", url), &body);
        assert_eq!(error.as_str(), "KMSDisabledException");
        let (error, _) = service_error(status, &HeaderMap::new(), &body);
        assert_eq!(error.as_str(), "ENINotReadyException");
    }

    #[test]
    fn a_throttle_says_why_and_for_how_long() {
        let body = Bytes::from_static(br#"{"Reason":"CallerRateLimitExceeded","Type":"User"}"#);
        let (error, retry_after) =
            service_error(StatusCode::TOO_MANY_REQUESTS, &headers("retry-after", "3"), &body);
        assert_eq!((error.as_str(), retry_after), ("CallerRateLimitExceeded", Some(3)));
    }

    #[test]
    fn function_errors_are_told_from_responses_and_leak_nothing() {
        let read = |body: &'static str| {
            let headers = headers(FUNCTION_ERROR, "Unhandled");
            let body = Bytes::from_static(body.as_bytes());
            super::read(Format::ApigwV2, &Method::GET, &headers, &body).unwrap_err()
        };
        let late =
            r#"{"errorMessage":"2026-11-21T00:00:00Z 1-2 Task timed out after 3.00 seconds"}"#;
        assert_eq!(read(late).as_str(), "Sandbox.Timedout");
        for body in [
            r#"{"errorMessage":"secret","errorType":"Runtime.ExitError","stackTrace":["secret"]}"#,
            "garbage",
            "",
        ] {
            let error = read(body);
            assert_eq!(error.as_str(), "Unhandled");
            assert!(!error.failure(None).detail.contains("secret"));
        }
    }
}
