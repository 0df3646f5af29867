//! What a caller gets instead of a function's answer when a fault was ordered.

use axum::{
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;

use crate::{
    bill::FunctionUsage,
    faults::{InvokeFault, PayloadFault, Refusal},
    lambda::{
        error::ServiceError,
        function_error::FunctionError,
        invoke::{PAYLOAD_BYTES_MAX, dropped, set},
        run::Job,
    },
};

/// Answers without running the function.
pub(crate) async fn instead(
    fault: &InvokeFault,
    job: &Job,
    version: &str,
) -> Result<Response, ServiceError> {
    match fault {
        InvokeFault::Refuse(refusal) => Err(refused(refusal, job)),
        // Ends when the caller leaves or the cloud stops.
        InvokeFault::Hang => std::future::pending().await,
        InvokeFault::Drop(_) => Ok(dropped()),
        InvokeFault::FunctionError { kind, message, handled } => {
            let error = function_error(kind, message, *handled);
            FunctionUsage::count(&job.function.usage.function_errors, 1);
            let mut response = error.body.to_string().into_response();
            set(&mut response, "x-amz-executed-version", version);
            set(&mut response, "x-amz-function-error", error.header());
            Ok(response)
        }
        InvokeFault::Payload(_) | InvokeFault::Stream(_) => {
            let body: Body = match fault {
                InvokeFault::Payload(PayloadFault::Oversized) => {
                    format!("\"{}\"", "x".repeat(2 * PAYLOAD_BYTES_MAX)).into()
                }
                InvokeFault::Payload(PayloadFault::InvalidUtf8) => {
                    Bytes::from_static(b"{\"statusCode\":200,\"body\":\"\xff\xfe\"}").into()
                }
                InvokeFault::Payload(PayloadFault::Empty) => Body::empty(),
                _ => "{\"statusCode\": 2\u{fffd}".into(),
            };
            let mut response = Response::new(body);
            set(&mut response, "x-amz-executed-version", version);
            Ok(response)
        }
    }
}

/// The refusal that was ordered.
pub(crate) fn refused(refusal: &Refusal, job: &Job) -> ServiceError {
    match refusal {
        Refusal::Throttle(reason) => {
            FunctionUsage::count(&job.function.usage.throttles, 1);
            ServiceError::throttled(*reason)
        }
        Refusal::Exception { status, kind } => {
            ServiceError::new(*status, kind, "ordered by a fault of the local cloud")
        }
    }
}

/// The function error that was ordered.
pub(crate) fn function_error(kind: &str, message: &str, handled: bool) -> FunctionError {
    FunctionError { handled, ..FunctionError::of_runtime(kind, message) }
}

/// Spoils an answer of a function that ran: half of it is missing.
pub(crate) async fn spoilt(fault: PayloadFault, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, 2 * PAYLOAD_BYTES_MAX).await.unwrap_or_default();
    let half = body.slice(..body.len() / 2);
    if fault == PayloadFault::Cut {
        // It says how much there is, and the connection closes before.
        parts.headers.insert(CONTENT_LENGTH, body.len().into());
        return Response::from_parts(parts, Body::new(crate::lambda::cut::Cut::after(half)));
    }
    Response::from_parts(parts, Body::from(half))
}
