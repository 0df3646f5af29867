//! Lambda's Runtime API, version 2018-06-01: where events come from and answers go.
//!
//! Source: "Using the Lambda runtime API" and "Building a custom runtime: response streaming" (AWS documentation, November
//! 2026). Only what a one-at-a-time runtime needs.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use lambda_event::stream;

use crate::connection::{Connection, SendError};

const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");
const ERROR_BODY: HeaderName = HeaderName::from_static("lambda-runtime-function-error-body");
const RESPONSE_MODE: HeaderName = HeaderName::from_static("lambda-runtime-function-response-mode");

/// Pieces of a streamed answer that wait for the connection: one goes out, one is ready.
const PIECES_WAITING_MAX: usize = 1;

/// What a call carries: all of it, or an answer that still comes.
type CallBody = Either<Full<Bytes>, Channel<Bytes, io::Error>>;

/// Where the pieces of a streamed answer go.
pub(crate) type Pieces = Sender<Bytes, io::Error>;

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
    connection: Connection<CallBody>,
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

    /// Returns a call that answers the invoke `id` piece by piece, and where the pieces go: prelude, delimiter and body, or
    /// [`failure`] as trailers in the middle of it. It is made once: what is streamed cannot be sent again.
    pub(crate) fn respond_streaming(
        &mut self,
        id: &str,
    ) -> (Pieces, impl Future<Output = Result<(), ApiError>>) {
        let (pieces, body) = Channel::new(PIECES_WAITING_MAX);
        let request =
            self.request(Method::POST, &format!("invocation/{id}/response"), Either::Right(body));
        let call = "invocation/response";
        let sent = async move {
            let mut request = request?;
            let headers = request.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(stream::CONTENT_TYPE));
            headers.insert(RESPONSE_MODE, HeaderValue::from_static("streaming"));
            headers.append(TRAILER, HeaderValue::from(ERROR_TYPE));
            headers.append(TRAILER, HeaderValue::from(ERROR_BODY));
            let sent = self.connection.send(request).await;
            let response = sent.map_err(|source| ApiError::Send { call, source })?;
            finish(call, response).await
        };
        (pieces, sent)
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
        finish(call, response).await
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
        let body = Full::new(body);
        let request = || -> Result<Request<CallBody>, ApiError> {
            let mut request = self.request(method.clone(), path, Either::Left(body.clone()))?;
            let headers = request.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if let Some(error_type) = error_type {
                headers.insert(ERROR_TYPE, HeaderValue::from_static(error_type));
            }
            Ok(request)
        };
        let (first, second) = (request()?, request()?);
        match self.connection.send(first).await {
            Err(SendError::Exchange { .. }) => self.connection.send(second).await,
            answer => answer,
        }
        .map_err(|source| ApiError::Send { call, source })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: CallBody,
    ) -> Result<Request<CallBody>, ApiError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = format!("/2018-06-01/runtime/{path}")
            .parse()
            .map_err(|_| ApiError::Header("a Lambda-Runtime-Aws-Request-Id that fits a path"))?;
        let host = HeaderValue::from_str(self.connection.address())
            .map_err(|_| ApiError::Header("an AWS_LAMBDA_RUNTIME_API of host:port"))?;
        request.headers_mut().insert(HOST, host);
        Ok(request)
    }
}

async fn finish(call: &'static str, response: Response<Incoming>) -> Result<(), ApiError> {
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

/// The trailers that end a streamed answer which failed: the error's type, and its body in base64.
pub(crate) fn failure(error_type: &'static str, message: &str) -> HeaderMap {
    let body = BASE64_STANDARD.encode(error_body(error_type, message));
    let body = HeaderValue::from_str(&body).expect("base64 is visible ASCII");
    HeaderMap::from_iter([(ERROR_TYPE, HeaderValue::from_static(error_type)), (ERROR_BODY, body)])
}

fn error_body(error_type: &str, message: &str) -> Bytes {
    let body =
        serde_json::json!({"errorMessage": message, "errorType": error_type, "stackTrace": []});
    Bytes::from(body.to_string())
}
