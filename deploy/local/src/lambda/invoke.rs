//! Invoke: `POST /2015-03-31/functions/{FunctionName}/invocations`, from the request to the answer.
//!
//! What Lambda refuses is refused here with its status, exception and wording; what the function does wrong is a 200
//! with `X-Amz-Function-Error`.

use std::sync::Arc;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use tokio::sync::oneshot;

use crate::{
    Shared,
    bill::FunctionUsage,
    clock,
    faults::{InvokeFault, When},
    lambda::{
        api::Asked,
        environment::Call,
        error::ServiceError,
        event, faulty,
        function::Seat,
        run::{Caller, Job, Outcome, run},
        snapshot,
    },
    server::DropConnection,
};

/// Largest event of a synchronous invocation: 6 MB.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Largest event of an asynchronous invocation: 1 MB.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Largest client context, encoded.
const CLIENT_CONTEXT_BYTES_MAX: usize = 3583;

/// Answers one Invoke.
pub(crate) async fn invoke(asked: Asked) -> Result<Response, ServiceError> {
    let kind = asked.header("x-amz-invocation-type").unwrap_or("RequestResponse").to_owned();
    let bytes_max = if kind == "Event" { EVENT_BYTES_MAX } else { PAYLOAD_BYTES_MAX };
    let job = job(&asked, bytes_max)?;
    match kind.as_str() {
        "RequestResponse" => synchronous(&asked, job).await,
        "Event" => event::accept(&asked.shared, job),
        "DryRun" => Ok(StatusCode::NO_CONTENT.into_response()),
        other => Err(ServiceError::parameter(format!(
            "`{other}` is no invocation type; use RequestResponse, Event or DryRun"
        ))),
    }
}

/// Reads what is to run of a request.
///
/// # Errors
/// What Lambda refuses before a function runs.
pub(crate) fn job(asked: &Asked, bytes_max: usize) -> Result<Job, ServiceError> {
    let name = asked.name()?;
    let function = asked.shared.lambda.find(&name)?;
    let version = function.resolve(&name, clock::draw()).ok_or_else(|| name.not_found())?;
    if bytes_max < asked.body.len() {
        return Err(ServiceError::too_large(bytes_max));
    }
    let payload =
        if asked.body.is_empty() { Bytes::from_static(b"{}") } else { asked.body.clone() };
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
        let message = format!("Could not parse request body into json: {error}");
        return Err(ServiceError::content(message));
    }
    let call = Call {
        request_id: asked.request_id.clone(),
        function_arn: function.arn_of(name.qualifier.as_deref()),
        client_context: client_context(&asked.headers)?,
        payload,
    };
    Ok(Job { function, version, call })
}

/// Admits a job, or says why not.
pub(crate) fn admit(shared: &Arc<Shared>, job: &Job) -> Result<Seat, ServiceError> {
    snapshot::enter(shared, &job.function, &job.version)?;
    job.function.seat(&job.version).map_err(|reason| {
        FunctionUsage::count(&job.function.usage.throttles, 1);
        ServiceError::throttled(reason)
    })
}

/// Runs a job whose answer is wanted whole.
pub(crate) async fn whole(shared: &Arc<Shared>, job: Job) -> Result<Outcome, ServiceError> {
    let seat = admit(shared, &job)?;
    let (sender, end) = oneshot::channel();
    // A task of its own: the function runs on when the caller goes away.
    shared.work.spawn(run(shared.clone(), job, seat, Caller::Whole(sender)));
    end.await.map_err(|_| ServiceError::service("the local cloud is stopping"))?
}

async fn synchronous(asked: &Asked, job: Job) -> Result<Response, ServiceError> {
    let fault = asked.shared.faults.lambda.take(&job.function.name);
    let version = job.version.name();
    match &fault {
        None | Some(InvokeFault::Stream(_) | InvokeFault::Drop(When::After)) => {}
        Some(InvokeFault::Payload(fault)) if fault.runs() => {}
        Some(fault) => return faulty::instead(fault, &job, &version).await,
    }
    let outcome = whole(&asked.shared, job).await?;
    let log = asked.tail().then(|| outcome.report.tail());
    match fault {
        Some(InvokeFault::Drop(_)) => Ok(dropped()),
        Some(InvokeFault::Payload(fault)) => {
            Ok(faulty::spoilt(fault, respond(&version, outcome, log)).await)
        }
        _ => Ok(respond(&version, outcome, log)),
    }
}

fn respond(version: &str, outcome: Outcome, log: Option<String>) -> Response {
    let (body, content_type, error) = match outcome.result {
        Ok(answer) => {
            // Lambda's own, whatever the runtime said.
            let kind =
                if answer.streamed { "application/octet-stream" } else { "application/json" };
            (Body::from(answer.body), kind, None)
        }
        Err(error) => {
            (Body::from(error.body.to_string()), "application/json", Some(error.header()))
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    set(&mut response, "x-amz-executed-version", version);
    if let Some(kind) = error {
        set(&mut response, "x-amz-function-error", kind);
    }
    if let Some(log) = log {
        set(&mut response, "x-amz-log-result", &log);
    }
    response
}

/// Sets a header whose value is ASCII by construction.
pub(crate) fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

/// Closes the connection without an answer.
pub(crate) fn dropped() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(DropConnection);
    response
}

fn client_context(headers: &HeaderMap) -> Result<Option<HeaderValue>, ServiceError> {
    let Some(encoded) = headers.get("x-amz-client-context") else { return Ok(None) };
    let wrong =
        || ServiceError::content("Client context must be a valid Base64-encoded JSON object.");
    if CLIENT_CONTEXT_BYTES_MAX < encoded.len() {
        return Err(wrong());
    }
    let decoded = BASE64.decode(encoded.as_bytes()).map_err(|_| wrong())?;
    HeaderValue::from_bytes(&decoded).map(Some).map_err(|_| wrong())
}
