//! One invoke: an event becomes a request to the app, and its response the answer.

use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use lambda_event::{EventError, RequestContext, report, warm_up};
use serde::Serialize;
use tokio::time::{sleep, timeout};

use crate::app::App;
use crate::connection::SendError;
use crate::environment::{Environment, Visit};
use crate::runtime_api::Invoke;

/// What Lambda takes as an answer, in bytes of JSON ("Lambda quotas", AWS documentation: 6 MB; its error message says
/// 6291556). A body of more bytes cannot fit, so no more is held.
const ANSWER_BYTES_MAX: usize = 6_291_556;

/// Time kept to tell Lambda of an overrun before it kills the environment, which the next request would pay for.
const OVERRUN_MARGIN: Duration = Duration::from_millis(20);

/// The event's `requestContext`, under the name that Lambda Web Adapter gives it, so that apps need not care.
const REQUEST_CONTEXT: HeaderName = HeaderName::from_static("x-amzn-request-context");

/// What Lambda says about this invoke, as Lambda Web Adapter puts it.
const LAMBDA_CONTEXT: HeaderName = HeaderName::from_static("x-amzn-lambda-context");

/// Why an invoke has no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The app did not run.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The app may have run.
    #[error("the app did not answer: {0}")]
    App(#[from] SendError),
    #[error("the app's response broke off: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "the response is larger than the {ANSWER_BYTES_MAX} bytes that Lambda takes; send it from a container"
    )]
    TooLarge,
    /// Worded as Lambda itself does, because gateways know a timeout by these words.
    #[error("Task timed out after {:.2} seconds", .0.as_secs_f64())]
    Overrun(Duration),
    #[error("the app ended with {0} during a request")]
    Exited(ExitStatus),
}

impl Failure {
    /// The type that Lambda reports, in its own terms where it has one.
    pub(crate) fn error_type(&self) -> &'static str {
        match self {
            Failure::Event(_) => "Runtime.InvalidEvent",
            Failure::App(_) | Failure::Body(_) => "Runtime.AppError",
            Failure::TooLarge => "Function.ResponseSizeTooLarge",
            Failure::Overrun(_) => "Sandbox.Timedout",
            Failure::Exited(_) => "Runtime.ExitError",
        }
    }
}

/// Answers one event: a warm-up by itself, anything else by asking the app.
pub(crate) async fn answer(
    app: &mut App,
    environment: &mut Environment,
    invoke: &Invoke,
) -> Result<Bytes, Failure> {
    let visit = environment.receive();
    let time_left = invoke.time_left().saturating_sub(OVERRUN_MARGIN);
    if let Some(hold) = warm_up::read(&invoke.payload) {
        sleep(hold.min(time_left)).await;
        let answer =
            warm_up::Answer { environment: environment.id().into(), cold_start: visit.is_cold() };
        let mut out = Vec::new();
        warm_up::write_answer(&mut out, &answer);
        return Ok(out.into());
    }

    let request = request(invoke)?;
    let exchange = timeout(time_left, exchange(app, environment, &visit, request)).await;
    let failure = match exchange {
        Ok(Ok(payload)) => return Ok(payload),
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Overrun(time_left),
    };
    // Whatever the app still does on this connection is for nobody.
    app.close_connection();
    match failure {
        Failure::App(_) | Failure::Body(_) => {
            Err(app.has_ended().await.map_or(failure, Failure::Exited))
        }
        Failure::Event(_) | Failure::TooLarge | Failure::Overrun(_) | Failure::Exited(_) => {
            Err(failure)
        }
    }
}

/// The event's request, with Lambda's own context added and what only Pacer or Lambda may say taken out.
fn request(invoke: &Invoke) -> Result<Request<Full<Bytes>>, EventError> {
    let (_, request) = lambda_event::read_event(&invoke.payload)?;
    let (mut head, body) = request.into_parts();
    remove_own(&mut head.headers);
    if let Some(RequestContext(context)) = head.extensions.remove()
        && let Some(value) = json_value(&context)
    {
        head.headers.insert(REQUEST_CONTEXT, value);
    }
    let context =
        serde_json::to_vec(&LambdaContext::of(invoke)).expect("strings and numbers are JSON");
    if let Some(value) = json_value(&context) {
        head.headers.insert(LAMBDA_CONTEXT, value);
    }
    Ok(Request::from_parts(head, Full::new(body)))
}

fn remove_own(headers: &mut HeaderMap) {
    let own = |name: &&HeaderName| {
        name.as_str().starts_with(report::PREFIX)
            || **name == REQUEST_CONTEXT
            || **name == LAMBDA_CONTEXT
    };
    let names: Vec<HeaderName> = headers.keys().filter(own).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// JSON as a header. Line breaks stand only between its tokens: inside strings they are escaped.
fn json_value(json: &[u8]) -> Option<HeaderValue> {
    let one_line: Vec<u8> =
        json.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect();
    HeaderValue::from_bytes(&one_line).ok()
}

async fn exchange(
    app: &mut App,
    environment: &Environment,
    visit: &Visit,
    request: Request<Full<Bytes>>,
) -> Result<Bytes, Failure> {
    let (mut head, body) = app.send(request).await?.into_parts();
    let body = match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(Failure::TooLarge),
        Err(error) => return Err(Failure::Body(error)),
    };
    environment.report(visit, &mut head.headers);
    let mut payload = Vec::new();
    lambda_event::Format::ApigwV2.write_response(&mut payload, head.status, &head.headers, &body);
    if ANSWER_BYTES_MAX < payload.len() {
        return Err(Failure::TooLarge);
    }
    Ok(payload.into())
}

/// The context of an invoke, with the field names of Lambda Web Adapter 1.0.
#[derive(Serialize)]
struct LambdaContext<'a> {
    request_id: &'a str,
    deadline: u64,
    invoked_function_arn: &'a str,
    xray_trace_id: Option<&'a str>,
    client_context: Option<serde_json::Value>,
    identity: Option<serde_json::Value>,
    env_config: EnvConfig,
}

#[derive(Serialize)]
struct EnvConfig {
    function_name: String,
    memory: u32,
    version: String,
    log_stream: String,
    log_group: String,
}

impl<'a> LambdaContext<'a> {
    fn of(invoke: &'a Invoke) -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let json = |name| invoke.header(name).and_then(|text| serde_json::from_str(text).ok());
        let since_1970 = invoke.deadline.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        LambdaContext {
            request_id: &invoke.id,
            deadline: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            invoked_function_arn: invoke
                .header("lambda-runtime-invoked-function-arn")
                .unwrap_or_default(),
            xray_trace_id: invoke.header("lambda-runtime-trace-id"),
            client_context: json("lambda-runtime-client-context"),
            identity: json("lambda-runtime-cognito-identity"),
            env_config: EnvConfig {
                function_name: variable("AWS_LAMBDA_FUNCTION_NAME"),
                memory: variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").parse().unwrap_or_default(),
                version: variable("AWS_LAMBDA_FUNCTION_VERSION"),
                log_stream: variable("AWS_LAMBDA_LOG_STREAM_NAME"),
                log_group: variable("AWS_LAMBDA_LOG_GROUP_NAME"),
            },
        }
    }
}
