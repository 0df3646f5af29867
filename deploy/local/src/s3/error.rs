//! S3's refusals, in its words and its XML.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};

use super::xml::escape;
use crate::signature;

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Error {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The request is wrong.
    pub(crate) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn no_bucket() -> Self {
        let message = "The specified bucket does not exist";
        Self::new(StatusCode::NOT_FOUND, "NoSuchBucket", message)
    }

    pub(crate) fn no_key() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.")
    }

    /// What S3 can do and this cloud cannot.
    pub(crate) fn missing(what: &str) -> Self {
        let message = format!("the local cloud's S3 has no {what}");
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        Self::bad(
            "EntityTooLarge",
            format!(
                "Your proposed upload exceeds the maximum allowed size: {bytes_max} bytes here"
            ),
        )
    }

    pub(crate) fn precondition_failed() -> Self {
        let message = "At least one of the pre-conditions you specified did not hold";
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message)
    }

    /// The answer: XML, but for HEAD, whose answers have no body.
    pub(crate) fn response(&self, resource: &str, is_head: bool) -> Response {
        if is_head {
            return self.status.into_response();
        }
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message><Resource>{}</Resource></Error>",
            self.code,
            escape(&self.message),
            escape(resource),
        );
        let kind = HeaderValue::from_static("application/xml");
        (self.status, [(CONTENT_TYPE, kind)], body).into_response()
    }
}

impl From<signature::Refusal> for Error {
    /// S3 has names of its own for these.
    fn from(refusal: signature::Refusal) -> Self {
        use signature::Refusal;
        let (status, code) = match refusal {
            Refusal::Missing => (StatusCode::FORBIDDEN, "AccessDenied"),
            Refusal::Incomplete(_) => (StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed"),
            Refusal::UnknownKey(_) => (StatusCode::FORBIDDEN, "InvalidAccessKeyId"),
            Refusal::Mismatch(_) => (StatusCode::FORBIDDEN, "SignatureDoesNotMatch"),
            Refusal::Skewed(_) => (StatusCode::FORBIDDEN, "RequestTimeTooSkewed"),
        };
        Self::new(status, code, refusal.to_string())
    }
}
