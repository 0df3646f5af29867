//! The Runtime API (2018-06-01) of one environment: what a function's process talks to.
//!
//! A listener for each environment, because `AWS_LAMBDA_RUNTIME_API` is a host and a port, and several runtimes add
//! the path themselves. States are Lambda's: `next` while an event is being worked on is `InvalidStateTransition`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    response::{IntoResponse, Json, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    clock::epoch_ms,
    lambda::{
        function_error::FunctionError,
        streamed::{self, Streamed},
    },
    server::Server,
    tasks::lock,
};

/// Largest result of a synchronous invocation: 6 MB, and the hundred bytes by which Lambda's own check exceeds it.
pub(crate) const RESULT_BYTES_MAX: usize = 6 * 1024 * 1024 + 100;
/// Largest error report; a stack trace fits many times over.
const ERROR_BYTES_MAX: usize = 256 * 1024;

/// An event on its way to the process.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) request_id: String,
    pub(crate) function_arn: String,
    /// Decoded JSON of the caller's client context, if any.
    pub(crate) client_context: Option<HeaderValue>,
    pub(crate) trace_id: String,
    pub(crate) deadline: SystemTime,
    pub(crate) payload: Bytes,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// What the process answered.
#[derive(Debug)]
pub(crate) enum Reply {
    Whole {
        content_type: Option<HeaderValue>,
        body: Bytes,
    },
    /// The answer has begun; the rest comes in chunks.
    Streamed(Streamed),
    Error(FunctionError),
}

/// What the rest of the cloud sees of the process's progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The process waits for an event.
    pub(crate) ready: bool,
    /// When it asked to be restored from a snapshot, if it did.
    pub(crate) restored: Option<Instant>,
    /// It reported that it could not initialise.
    pub(crate) init_error: Option<FunctionError>,
    /// It reported that it could not go on after it was restored.
    pub(crate) restore_error: Option<FunctionError>,
}

impl Progress {
    /// Whether the start is over, well or not.
    pub(crate) fn settled(&self) -> bool {
        self.ready || self.init_error.is_some() || self.restore_error.is_some()
    }
}

/// The Runtime API of one environment; dropping it closes the listener.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    server: Server,
    events: mpsc::Sender<Event>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug)]
struct Shared {
    /// Locked by the `next` that waits.
    events: tokio::sync::Mutex<mpsc::Receiver<Event>>,
    progress: watch::Sender<Progress>,
    /// The event being worked on.
    running: Mutex<Option<(String, oneshot::Sender<Reply>)>>,
}

impl RuntimeApi {
    /// Listens on a port of 127.0.0.1 that the system chooses; with `restore`, as in an environment of SnapStart.
    pub(crate) async fn start(restore: bool) -> std::io::Result<Self> {
        // One at a time: an environment has one event, by Lambda's contract.
        let (events, receiver) = mpsc::channel(1);
        let progress = watch::Sender::new(Progress::default());
        let shared = Arc::new(Shared {
            events: tokio::sync::Mutex::new(receiver),
            progress: progress.clone(),
            running: Mutex::new(None),
        });
        let mut paths = Router::new()
            .route("/ping", get(|| async { "pong" }))
            .route("/runtime/invocation/next", get(next))
            .route("/runtime/invocation/{id}/response", post(response))
            .route("/runtime/invocation/{id}/error", post(error))
            .route("/runtime/init/error", post(init_error));
        if restore {
            paths = paths
                .route("/runtime/restore/next", get(restore_next))
                .route("/runtime/restore/error", post(restore_error));
        }
        let router = Router::new().nest("/2018-06-01", paths.with_state(shared));
        let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), router).await?;
        Ok(Self { server, events, progress })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Sees the process wait for an event, or report that it cannot.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Hands `event` to the process, which must be ready. An event it cannot take is dropped, and its reply with it.
    pub(crate) fn send(&self, event: Event) {
        self.progress.send_modify(|progress| progress.ready = false);
        if self.events.try_send(event).is_err() {
            tracing::warn!(api = %self.server.address, "an environment was given an event it could not take");
        }
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let Ok(mut events) = shared.events.try_lock() else {
        return refusal("another `next` waits for an event");
    };
    if lock(&shared.running).is_some() {
        return refusal("the last event has not been answered");
    }
    shared.progress.send_modify(|progress| progress.ready = true);
    let Some(event) = events.recv().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = Response::new(Body::from(event.payload));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut set = |name: &'static str, value: &str| {
        // Ids, ARNs and numbers: all visible ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("lambda-runtime-aws-request-id", &event.request_id);
    set("lambda-runtime-invoked-function-arn", &event.function_arn);
    set("lambda-runtime-trace-id", &event.trace_id);
    set("lambda-runtime-deadline-ms", &epoch_ms(event.deadline).to_string());
    if let Some(context) = event.client_context {
        headers.insert(HeaderName::from_static("lambda-runtime-client-context"), context);
    }
    *lock(&shared.running) = Some((event.request_id, event.reply));
    response
}

async fn response(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(reply) = shared.take(&id) else {
        return refusal("no event with this id is being worked on");
    };
    let content_type = headers.get(CONTENT_TYPE).cloned();
    let mode = headers.get("lambda-runtime-function-response-mode");
    if mode.is_some_and(|mode| mode == "streaming") {
        let (chunks, streamed) = streamed::channel(content_type);
        let _ = reply.send(Reply::Streamed(streamed));
        return match streamed::pass_on(body, chunks).await {
            Ok(()) => accepted(),
            // Nobody waits for the rest: the invocation timed out, or is beyond its size.
            Err(streamed::Unwanted) => too_large(),
        };
    }
    if let Ok(body) = to_bytes(body, RESULT_BYTES_MAX).await {
        let _ = reply.send(Reply::Whole { content_type, body });
        return accepted();
    }
    let _ = reply.send(Reply::Error(FunctionError::result_too_large()));
    too_large()
}

async fn error(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(reply) = shared.take(&id) else {
        return refusal("no event with this id is being worked on");
    };
    let _ = reply.send(Reply::Error(reported(&headers, body).await));
    accepted()
}

async fn init_error(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    let error = reported(&headers, body).await;
    shared.fail(|progress| progress.init_error = Some(error))
}

/// Lambda blocks here while it takes the snapshot and until it is restored. There is none to take: on.
async fn restore_next(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.progress.send_modify(|progress| progress.restored = Some(Instant::now()));
    StatusCode::OK
}

async fn restore_error(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let error = reported(&headers, body).await;
    shared.fail(|progress| progress.restore_error = Some(error))
}

async fn reported(headers: &HeaderMap, body: Body) -> FunctionError {
    let body = to_bytes(body, ERROR_BYTES_MAX).await.unwrap_or_default();
    let kind = headers.get("lambda-runtime-function-error-type").and_then(|v| v.to_str().ok());
    FunctionError::reported(kind, &body)
}

impl Shared {
    /// Takes the reply of event `id`, if that is the one being worked on.
    fn take(&self, id: &str) -> Option<oneshot::Sender<Reply>> {
        lock(&self.running).take_if(|(running, _)| running == id).map(|(_, reply)| reply)
    }

    /// Notes that the process could not start.
    fn fail(&self, change: impl FnOnce(&mut Progress)) -> Response {
        if self.progress.borrow().ready || lock(&self.running).is_some() {
            return refusal("initialisation is over");
        }
        self.progress.send_modify(change);
        accepted()
    }
}

fn accepted() -> Response {
    answer(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
}

fn too_large() -> Response {
    let message = FunctionError::result_too_large().message();
    answer(
        StatusCode::PAYLOAD_TOO_LARGE,
        &json!({ "errorType": "RequestEntityTooLarge", "errorMessage": message }),
    )
}

fn refusal(message: &str) -> Response {
    answer(
        StatusCode::FORBIDDEN,
        &json!({ "errorType": "InvalidStateTransition", "errorMessage": message }),
    )
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, Json(body)).into_response()
}
