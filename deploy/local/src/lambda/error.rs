//! An error of the service, as Lambda's REST API writes it.
//!
//! Not an error of a function: that is a 200 with `X-Amz-Function-Error`, and is made where the function ran.

use axum::response::{IntoResponse, Json, Response};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};

use crate::faults::ThrottleReason;

/// A refusal: an exception of the API model with its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceError {
    pub(crate) status: StatusCode,
    /// The exception, like `ResourceNotFoundException`.
    pub(crate) kind: String,
    pub(crate) message: String,
    reason: Option<ThrottleReason>,
}

impl ServiceError {
    pub(crate) fn new(status: StatusCode, kind: &str, message: impl Into<String>) -> Self {
        Self { status, kind: kind.to_owned(), message: message.into(), reason: None }
    }

    /// `InvalidParameterValueException`, 400.
    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message)
    }

    /// `InvalidRequestContentException`, 400.
    pub(crate) fn content(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContentException", message)
    }

    /// `ResourceNotFoundException`, 404.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    /// `ResourceConflictException`, 409.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ResourceConflictException", message)
    }

    /// `ServiceException`, 500.
    pub(crate) fn service(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", message)
    }

    /// `RequestTooLargeException`, 413.
    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let message = format!(
            "Request must be smaller than {bytes_max} bytes for the InvokeFunction operation"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", message)
    }

    /// `TooManyRequestsException`, 429, with AWS's reason.
    pub(crate) fn throttled(reason: ThrottleReason) -> Self {
        let error =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Rate Exceeded.");
        Self { reason: Some(reason), ..error }
    }
}

impl IntoResponse for ServiceError {
    fn into_response(self) -> Response {
        let fault = if self.status.is_server_error() { "Service" } else { "User" };
        // AWS writes `Message` for some exceptions and `message` for others; SDKs read either.
        let mut body = json!({ "Type": fault, "Message": self.message, "message": self.message });
        if let Some(reason) = self.reason {
            body["Reason"] = Value::from(reason.name());
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Ok(kind) = HeaderValue::from_str(&self.kind) {
            headers.insert("x-amzn-errortype", kind);
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
