//! Lambda's Runtime API, version 2018-06-01: where events come from and answers go.
//!
//! Source: "Using the Lambda runtime API" (AWS documentation, November 2026). Only what a buffered, one-at-a-time
//! runtime needs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use crate::connection::{Connection, SendError};

/// Why the Runtime API could not be used. There is nothing to do then but to exit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("runtime API failed at {call}: {source}")]
    Send { call: &'static str, source: SendError },
    #[error("runtime API failed at {call}: its answer broke off: {source}")]
    Body { call: &'static str, source: hyper::Error },
    #[error("runtime API answered {call} with {status}")]
    Status { call: &'static str, status: StatusCode },
    #[error("runtime API sent an event without {0}")]
    Header(&'static str),
}

/// One event, and what Lambda says about it.
#[derive(Debug)]
pub(crate) struct Invoke {
    pub(crate) id: String,
    /// When Lambda kills this environment if there is no answer, on the system's clock.
    pub(crate) deadline: SystemTime,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

impl Invoke {
    /// Time left until the deadline; none when it has passed.
    pub(crate) fn time_left(&self) -> Duration {
        self.deadline.duration_since(SystemTime::now()).unwrap_or_default()
    }

    /// The value of a header of the event's delivery, as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A client of the Runtime API of this environment.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    connection: Connection,
}

impl RuntimeApi {
    /// At `address`, the value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn new(address: String) -> Self {
        RuntimeApi { connection: Connection::new(address) }
    }

    /// Waits for the next event, for as long as it takes.
    pub(crate) async fn next(&mut self) -> Result<Invoke, ApiError> {
        let call = "invocation/next";
        let response = self.call(call, Method::GET, "invocation/next", None, Bytes::new()).await?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(ApiError::Status { call, status: head.status });
        }
        let payload = body.collect().await.map_err(|source| ApiError::Body { call, source })?;
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let id = text("lambda-runtime-aws-request-id")
            .ok_or(ApiError::Header("Lambda-Runtime-Aws-Request-Id"))?
            .to_owned();
        let deadline = text("lambda-runtime-deadline-ms")
            .and_then(|text| text.parse().ok())
            .and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)))
            .ok_or(ApiError::Header("Lambda-Runtime-Deadline-Ms"))?;
        Ok(Invoke { id, deadline, headers: head.headers, payload: payload.to_bytes() })
    }

    /// Answers the invoke `id`. An answer that Lambda refuses (too late, too large) is logged: the next may do.
    pub(crate) async fn respond(&mut self, id: &str, payload: Bytes) -> Result<(), ApiError> {
        self.post("invocation/response", &format!("invocation/{id}/response"), None, payload).await
    }

    /// Tells that the invoke `id` failed.
    pub(crate) async fn invoke_error(
        &mut self,
        id: &str,
        error_type: &'static str,
        message: &str,
    ) -> Result<(), ApiError> {
        let body = error_body(error_type, message);
        self.post("invocation/error", &format!("invocation/{id}/error"), Some(error_type), body)
            .await
    }

    /// Tells that this environment could not start; the process must exit after it.
    pub(crate) async fn init_error(
        &mut self,
        error_type: &'static str,
        message: &str,
    ) -> Result<(), ApiError> {
        self.post("init/error", "init/error", Some(error_type), error_body(error_type, message))
            .await
    }

    /// Waits while Lambda takes the snapshot, and returns in each copy that wakes from it.
    pub(crate) async fn restore_next(&mut self) -> Result<(), ApiError> {
        let call = "restore/next";
        let response = self.call(call, Method::GET, "restore/next", None, Bytes::new()).await?;
        // Its other end is not there any more.
        self.connection.close();
        match response.status() {
            StatusCode::OK => Ok(()),
            status => Err(ApiError::Status { call, status }),
        }
    }

    async fn post(
        &mut self,
        call: &'static str,
        path: &str,
        error_type: Option<&'static str>,
        body: Bytes,
    ) -> Result<(), ApiError> {
        let response = self.call(call, Method::POST, path, error_type, body).await?;
        let status = response.status();
        // Read to the end, so that the connection can be kept.
        response.collect().await.map_err(|source| ApiError::Body { call, source })?;
        if status.is_server_error() {
            return Err(ApiError::Status { call, status });
        }
        if status != StatusCode::ACCEPTED {
            tracing::warn!(call, %status, "the runtime API refused what it was sent");
        }
        Ok(())
    }

    /// Every call may be made twice: the API refuses a second answer to the same invoke.
    async fn call(
        &mut self,
        call: &'static str,
        method: Method,
        path: &str,
        error_type: Option<&'static str>,
        body: Bytes,
    ) -> Result<Response<Incoming>, ApiError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("/2018-06-01/runtime/{path}")
            .parse()
            .map_err(|_| ApiError::Header("a Lambda-Runtime-Aws-Request-Id that fits a path"))?;
        let host = HeaderValue::from_str(self.connection.address())
            .map_err(|_| ApiError::Header("an AWS_LAMBDA_RUNTIME_API of host:port"))?;
        request.headers_mut().insert(http::header::HOST, host);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(http::header::CONTENT_TYPE, json);
        if let Some(error_type) = error_type {
            let error_type = HeaderValue::from_static(error_type);
            request.headers_mut().insert("lambda-runtime-function-error-type", error_type);
        }
        match self.connection.send(request.clone()).await {
            Err(SendError::Exchange { .. }) => self.connection.send(request).await,
            answer => answer,
        }
        .map_err(|source| ApiError::Send { call, source })
    }
}

fn error_body(error_type: &str, message: &str) -> Bytes {
    let body =
        serde_json::json!({"errorMessage": message, "errorType": error_type, "stackTrace": []});
    Bytes::from(body.to_string())
}
