//! `POST /2015-03-31/functions/{FunctionName}/invocations`: from the request to the answer.
//!
//! What Lambda refuses is refused here with its status, exception and wording; what the function does wrong is a 200
//! with `X-Amz-Function-Error`. A synchronous invocation runs to its end even when the caller goes away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use axum::{
    body::Body,
    extract::{Path, Query, Request, State},
    response::{IntoResponse, Json, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    Shared,
    bill::{FunctionUsage, ceil_ms},
    clock,
    config::InitType,
    faults::{InvokeFault, ThrottleReason, When},
    lambda::{
        Function, Seat,
        environment::{Call, Environment, StartError, timed_out},
        runtime_api::{FunctionError, Reply},
    },
    server::DropConnection,
    signature,
};

/// Largest event of a synchronous invocation: 6 MB.
const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Largest event of an asynchronous invocation: 1 MB.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// How much of a payload that is too large is read, so that its sender sees the answer instead of a reset.
const READ_BYTES_MAX: usize = 2 * PAYLOAD_BYTES_MAX;
/// Largest client context, encoded.
const CLIENT_CONTEXT_BYTES_MAX: usize = 3583;
/// Asynchronous events that may wait; Lambda's queue is far longer, a laptop's memory is not.
const EVENTS_WAITING_MAX: usize = 1000;
/// Waits before an asynchronous event that failed is tried again: Lambda does it after one and two minutes.
const EVENT_RETRIES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];
/// How often an asynchronous event that was throttled looks for room, and how often at most (6 h in all, as Lambda's
/// maximum event age).
const EVENT_POLL: Duration = Duration::from_secs(1);
const EVENT_POLLS_MAX: usize = 6 * 3600;
/// How long an answer is held back until the process asks for its next event, so that a caller's next request finds
/// the environment warm. Real runtimes ask within a millisecond; one that does not delays the answer this long.
const NEXT_WAIT: Duration = Duration::from_millis(100);

/// The query of an invocation.
#[derive(Debug, Deserialize)]
pub(crate) struct Parameters {
    #[serde(rename = "Qualifier")]
    qualifier: Option<String>,
}

/// What became of an invocation that ran.
#[derive(Debug)]
struct Outcome {
    reply: Reply,
    /// Of the invocation alone.
    duration: Duration,
    /// Of a cold start's init, where it is billed.
    init: Option<Duration>,
    tail: Vec<u8>,
}

impl Outcome {
    fn billed_ms(&self) -> u64 {
        ceil_ms(self.duration + self.init.unwrap_or_default())
    }
}

/// An error of the service, as Lambda's REST API writes it.
#[derive(Debug)]
struct ServiceError {
    status: StatusCode,
    kind: String,
    message: String,
    reason: Option<ThrottleReason>,
}

impl ServiceError {
    fn new(status: StatusCode, kind: &str, message: impl Into<String>) -> Self {
        Self { status, kind: kind.to_owned(), message: message.into(), reason: None }
    }

    fn throttled(reason: ThrottleReason) -> Self {
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
            headers.insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Answers one Invoke.
pub(crate) async fn handle(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(parameters): Query<Parameters>,
    request: Request,
) -> Response {
    let request_id = clock::request_id();
    let answered = answer(&shared, &name, parameters.qualifier, request, &request_id).await;
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

async fn answer(
    shared: &Arc<Shared>,
    name: &str,
    qualifier: Option<String>,
    request: Request,
    request_id: &str,
) -> Result<Response, ServiceError> {
    let (parts, body) = request.into_parts();
    let bad =
        |kind: &str, message: String| ServiceError::new(StatusCode::BAD_REQUEST, kind, message);
    let payload = axum::body::to_bytes(body, READ_BYTES_MAX).await;
    let payload = payload.map_err(|_| too_large(PAYLOAD_BYTES_MAX))?;
    signature::verify(&parts, &payload, &shared.config.region, "lambda", SystemTime::now())
        .map_err(|refusal| {
            ServiceError::new(StatusCode::FORBIDDEN, refusal.name(), refusal.to_string())
        })?;
    let (function, version) = find(shared, name, qualifier)?;

    let kind = text(&parts.headers, "x-amz-invocation-type").unwrap_or("RequestResponse");
    let size_max = if kind == "Event" { EVENT_BYTES_MAX } else { PAYLOAD_BYTES_MAX };
    if size_max < payload.len() {
        return Err(too_large(size_max));
    }
    let payload = if payload.is_empty() { Bytes::from_static(b"{}") } else { payload };
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
        let message = format!("Could not parse request body into json: {error}");
        return Err(bad("InvalidRequestContentException", message));
    }
    let client_context = client_context(&parts.headers)?;
    let call = Call {
        request_id: request_id.to_owned(),
        function_arn: function.arn_of(&version),
        client_context,
        payload,
    };
    match kind {
        "RequestResponse" => synchronous(shared, &function, &version, call, &parts.headers).await,
        "Event" => asynchronous(shared, function, call),
        "DryRun" => Ok(StatusCode::NO_CONTENT.into_response()),
        other => {
            let message =
                format!("`{other}` is no invocation type; use RequestResponse, Event or DryRun");
            Err(bad("InvalidParameterValueException", message))
        }
    }
}

async fn synchronous(
    shared: &Arc<Shared>,
    function: &Arc<Function>,
    version: &str,
    call: Call,
    headers: &HeaderMap,
) -> Result<Response, ServiceError> {
    let fault = shared.faults.take(&function.name);
    match fault {
        None | Some(InvokeFault::Drop(When::After)) => {}
        Some(InvokeFault::Throttle(reason)) => {
            FunctionUsage::count(&function.usage.throttles, 1);
            return Err(ServiceError::throttled(reason));
        }
        Some(InvokeFault::Error { status, kind }) => {
            return Err(ServiceError::new(status, &kind, "ordered by a fault of the local cloud"));
        }
        Some(InvokeFault::Garbage) => return Ok("{\"statusCode\": 2\u{fffd}".into_response()),
        // Ends when the caller leaves or the cloud stops.
        Some(InvokeFault::Hang) => return std::future::pending().await,
        Some(InvokeFault::Drop(When::Before)) => return Ok(dropped()),
    }
    let seat = function.seat().map_err(|reason| {
        FunctionUsage::count(&function.usage.throttles, 1);
        ServiceError::throttled(reason)
    })?;
    let request_id = call.request_id.clone();
    let (sender, outcome) = oneshot::channel();
    // A task of its own: the function runs on when the caller goes away.
    shared.work.spawn(run(shared.clone(), function.clone(), call, seat, sender));
    let outcome = outcome.await.map_err(|_| {
        ServiceError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ServiceException",
            "the local cloud is stopping",
        )
    })?;
    if fault.is_some() {
        return Ok(dropped());
    }
    let tail = headers.get("x-amz-log-type").is_some_and(|v| v == "Tail");
    Ok(respond(function, version, &request_id, outcome, tail))
}

fn asynchronous(
    shared: &Arc<Shared>,
    function: Arc<Function>,
    call: Call,
) -> Result<Response, ServiceError> {
    let waiting = &shared.lambda.events_waiting;
    let room = |n: usize| (n < EVENTS_WAITING_MAX).then_some(n + 1);
    waiting
        .fetch_update(Relaxed, Relaxed, room)
        .map_err(|_| ServiceError::throttled(ThrottleReason::CallerRateLimitExceeded))?;
    let place = Waiting(waiting.clone());
    shared.work.spawn(event(shared.clone(), function, call, place));
    Ok(StatusCode::ACCEPTED.into_response())
}

/// A place among the waiting events; given back on drop.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Works on an asynchronous event: waits for room, and tries again twice when the function fails.
async fn event(shared: Arc<Shared>, function: Arc<Function>, call: Call, place: Waiting) {
    let mut polls = 0;
    for pause in EVENT_RETRIES.map(Some).into_iter().chain([None]) {
        let seat = loop {
            match function.seat() {
                Ok(seat) => break seat,
                Err(reason) if polls == EVENT_POLLS_MAX => {
                    tracing::warn!(
                        function = function.name,
                        reason = reason.name(),
                        "an event expired"
                    );
                    return;
                }
                Err(_) => polls += 1,
            }
            FunctionUsage::count(&function.usage.throttles, 1);
            tokio::time::sleep(shared.scale.shrink(EVENT_POLL)).await;
        };
        let (sender, outcome) = oneshot::channel();
        shared.work.spawn(run(shared.clone(), function.clone(), call.clone(), seat, sender));
        match (outcome.await.map(|o| o.reply), pause) {
            (Ok(Reply::Error(error)), Some(pause)) => {
                tracing::info!(function = function.name, error = %error.body, "an event failed and is tried again");
                tokio::time::sleep(shared.scale.shrink(pause)).await;
            }
            (Ok(Reply::Error(error)), None) => {
                tracing::warn!(function = function.name, error = %error.body, "an event failed for the last time");
            }
            (Ok(Reply::Result(_)) | Err(_), _) => break,
        }
    }
    drop(place);
}

/// Runs one admitted invocation to its end: environment, event, answer, and the environment back to the pool.
async fn run(
    shared: Arc<Shared>,
    function: Arc<Function>,
    call: Call,
    seat: Seat,
    answer: oneshot::Sender<Outcome>,
) {
    let timeout = function.config.timeout;
    let (environment, init) = match seat.warm {
        Some(environment) => (environment, Start { init: None, used: Duration::ZERO }),
        None => match start(&shared, &function, &call.request_id).await {
            Ok(started) => started,
            Err((error, took)) => {
                let init = bills_init(&function).then_some(took);
                let outcome = Outcome {
                    reply: Reply::Error(error),
                    duration: Duration::ZERO,
                    init,
                    tail: Vec::new(),
                };
                record(&function, &outcome);
                // Before the answer, so that the caller's next request finds the place free.
                drop(seat.slot);
                let _ = answer.send(outcome);
                return;
            }
        },
    };
    let started = Instant::now();
    let reply = environment.invoke(call, timeout.saturating_sub(init.used), started).await;
    let outcome = Outcome {
        reply,
        duration: started.elapsed(),
        init: init.init,
        tail: environment.process.tail(),
    };
    record(&function, &outcome);
    // Environment and place are given back before the answer, so that the caller's next request finds both.
    if let Ok(ready) = tokio::time::timeout(NEXT_WAIT, environment.ready()).await {
        if ready {
            function.put_warm(environment);
        }
        drop(seat.slot);
        let _ = answer.send(outcome);
        return;
    }
    // Slow to ask, not dead: it has what its timeout leaves.
    let _ = answer.send(outcome);
    if tokio::time::timeout_at(started + timeout, environment.ready()).await.unwrap_or(false) {
        function.put_warm(environment);
    }
    drop(seat.slot);
}

/// Whether init is billed: a restored snapshot's was paid for when it was taken.
fn bills_init(function: &Function) -> bool {
    function.config.init_type == InitType::OnDemand
}

/// How an environment came to be.
struct Start {
    /// Billed init.
    init: Option<Duration>,
    /// What of the invocation's timeout the start used up, when init was run again inside the invocation.
    used: Duration,
}

/// Starts an environment. An init that takes too long is run once more with the function's timeout, as Lambda does.
async fn start(
    shared: &Shared,
    function: &Arc<Function>,
    request_id: &str,
) -> Result<(Arc<Environment>, Start), (FunctionError, Duration)> {
    FunctionUsage::count(&function.usage.cold_starts, 1);
    tokio::time::sleep(shared.scale.shrink(function.config.start_delay)).await;
    let begun = Instant::now();
    let mut used = Duration::ZERO;
    let mut result =
        Environment::start(shared, function, request_id, function.config.init_timeout).await;
    if matches!(result, Err(StartError::Timeout)) {
        let again = Instant::now();
        result = Environment::start(shared, function, request_id, function.config.timeout).await;
        used = again.elapsed();
    }
    match result {
        Ok((environment, init)) => {
            let environment = Arc::new(environment);
            function.add(&environment);
            Ok((environment, Start { init: bills_init(function).then_some(init), used }))
        }
        Err(StartError::Function(error)) => Err((error, begun.elapsed())),
        Err(StartError::Timeout) => {
            Err((timed_out(request_id, function.config.timeout), begun.elapsed()))
        }
    }
}

fn record(function: &Function, outcome: &Outcome) {
    let usage = &function.usage;
    FunctionUsage::count(&usage.requests, 1);
    FunctionUsage::count(&usage.billed_ms, outcome.billed_ms());
    FunctionUsage::count(&usage.init_ms, outcome.init.map_or(0, ceil_ms));
    if matches!(outcome.reply, Reply::Error(_)) {
        FunctionUsage::count(&usage.function_errors, 1);
    }
}

fn respond(
    function: &Function,
    version: &str,
    request_id: &str,
    outcome: Outcome,
    tail: bool,
) -> Response {
    let executed = if version.bytes().all(|b| b.is_ascii_digit()) || version == "$LATEST" {
        version
    } else {
        "1"
    };
    let log = tail.then(|| log_tail(function, request_id, &outcome));
    let (body, error) = match outcome.reply {
        Reply::Result(body) => (Body::from(body), None),
        Reply::Error(error) => {
            let kind = if error.handled { "Handled" } else { "Unhandled" };
            (Body::from(error.body.to_string()), Some(kind))
        }
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-amz-executed-version", executed);
    if let Some(kind) = error {
        set("x-amz-function-error", kind);
    }
    if let Some(log) = log {
        set("x-amz-log-result", &log);
    }
    response
}

/// The last 4 KB of what the process wrote, and Lambda's REPORT line; base64.
fn log_tail(function: &Function, request_id: &str, outcome: &Outcome) -> String {
    let init =
        outcome.init.map(|init| format!("\tInit Duration: {:.2} ms", init.as_secs_f64() * 1000.0));
    let report = format!(
        "REPORT RequestId: {request_id}\tDuration: {:.2} ms\tBilled Duration: {} ms\tMemory Size: {} MB{}\t\n",
        outcome.duration.as_secs_f64() * 1000.0,
        outcome.billed_ms(),
        function.config.memory,
        init.unwrap_or_default(),
    );
    let mut log =
        format!("START RequestId: {request_id} Version: {}\n", function.version()).into_bytes();
    log.extend(&outcome.tail);
    if log.last() != Some(&b'\n') {
        log.push(b'\n');
    }
    log.extend(format!("END RequestId: {request_id}\n{report}").into_bytes());
    BASE64.encode(&log[log.len().saturating_sub(4096)..])
}

/// Finds the function that a name, partial ARN or ARN means, and the version or alias asked for.
fn find(
    shared: &Shared,
    name: &str,
    qualifier: Option<String>,
) -> Result<(Arc<Function>, String), ServiceError> {
    let config = &shared.config;
    let parts: Vec<&str> = name.split(':').collect();
    let (place, rest): (Option<(&str, &str)>, &[&str]) = match &parts[..] {
        ["arn", "aws", "lambda", region, account, "function", rest @ ..] => {
            (Some((*region, *account)), rest)
        }
        [account, "function", rest @ ..] => (Some((config.region.as_str(), *account)), rest),
        rest => (None, rest),
    };
    let (name, inline) = match rest {
        [name] => (*name, None),
        [name, inline] => (*name, Some(*inline)),
        _ => {
            let message = format!("`{name}` is no function name, partial ARN or ARN");
            return Err(ServiceError::new(StatusCode::BAD_REQUEST, "ValidationException", message));
        }
    };
    if let (Some(inline), Some(query)) = (inline, qualifier.as_deref())
        && inline != query
    {
        let message =
            "The derived qualifier from the function name does not match the specified qualifier.";
        return Err(ServiceError::new(
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
            message,
        ));
    }
    let version = inline.map(str::to_owned).or(qualifier).unwrap_or_else(|| "$LATEST".to_owned());
    let function = shared.lambda.functions.get(name);
    let here =
        place.is_none_or(|(region, account)| region == config.region && account == config.account);
    let function = function
        .filter(|f| here && (version == "$LATEST" || f.config.qualifiers.contains(&version)));
    let missing = || {
        let (region, account) = place.unwrap_or((&config.region, &config.account));
        let suffix = if version == "$LATEST" { String::new() } else { format!(":{version}") };
        let message = format!(
            "Function not found: arn:aws:lambda:{region}:{account}:function:{name}{suffix}"
        );
        ServiceError::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    };
    Ok((function.ok_or_else(missing)?.clone(), version))
}

impl Function {
    /// The ARN that was invoked.
    fn arn_of(&self, version: &str) -> String {
        if version == "$LATEST" { self.arn.clone() } else { format!("{}:{version}", self.arn) }
    }
}

fn client_context(headers: &HeaderMap) -> Result<Option<HeaderValue>, ServiceError> {
    let Some(encoded) = headers.get("x-amz-client-context") else { return Ok(None) };
    let wrong = || {
        let message = "Client context must be a valid Base64-encoded JSON object.";
        ServiceError::new(StatusCode::BAD_REQUEST, "InvalidRequestContentException", message)
    };
    if CLIENT_CONTEXT_BYTES_MAX < encoded.len() {
        return Err(wrong());
    }
    let decoded = BASE64.decode(encoded.as_bytes()).map_err(|_| wrong())?;
    HeaderValue::from_bytes(&decoded).map(Some).map_err(|_| wrong())
}

fn too_large(bytes_max: usize) -> ServiceError {
    let message =
        format!("Request must be smaller than {bytes_max} bytes for the InvokeFunction operation");
    ServiceError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", message)
}

fn dropped() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(DropConnection);
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
