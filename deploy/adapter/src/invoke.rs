//! One invoke: an event becomes a request to the app, and its response the answer.

use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use lambda_event::stream::PRELUDE_BYTES_MAX;
use lambda_event::{EventError, Format, RequestContext, report, warm_up};
use tokio::time::{Instant, sleep, timeout_at};

use crate::InvokeMode;
use crate::app::App;
use crate::connection::SendError;
use crate::context::LambdaContext;
use crate::environment::{Environment, Visit};
use crate::runtime_api::Invoke;
use crate::streamed::{Deadline, Streamed};

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
    #[error(
        "the response's headers take more than the {PRELUDE_BYTES_MAX} bytes of a stream's prelude; send fewer"
    )]
    PreludeTooLarge,
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
            Failure::TooLarge | Failure::PreludeTooLarge => "Function.ResponseSizeTooLarge",
            Failure::Overrun(_) => "Sandbox.Timedout",
            Failure::Exited(_) => "Runtime.ExitError",
        }
    }
}

/// What the Runtime API is to be told.
pub(crate) enum Answer {
    Whole(Bytes),
    /// The beginning is there, the rest comes as the app sends it.
    Streamed(Streamed),
}

/// Answers one event: a warm-up by itself, anything else by asking the app.
pub(crate) async fn answer(
    app: &mut App,
    environment: &mut Environment,
    invoke: &Invoke,
    mode: InvokeMode,
) -> Result<Answer, Failure> {
    let visit = environment.receive();
    let time_left = invoke.time_left().saturating_sub(OVERRUN_MARGIN);
    if let Some(hold) = warm_up::read(&invoke.payload) {
        sleep(hold.min(time_left)).await;
        let answer =
            warm_up::Answer { environment: environment.id().into(), cold_start: visit.is_cold() };
        let mut out = Vec::new();
        warm_up::write_answer(&mut out, &answer);
        return Ok(Answer::Whole(out.into()));
    }

    let (format, request) = request(invoke)?;
    let deadline = Deadline { at: Instant::now() + time_left, time_left };
    let exchange = async {
        let (mut head, body) = app.send(request).await?.into_parts();
        remove_own(&mut head.headers);
        match mode {
            InvokeMode::Buffered => {
                buffer(head, body, format, environment, &visit).await.map(Answer::Whole)
            }
            InvokeMode::ResponseStream => {
                environment.report_start(&visit, &mut head.headers);
                Streamed::begin(head.status, &head.headers, body, deadline).map(Answer::Streamed)
            }
        }
    };
    let exchange = timeout_at(deadline.at, exchange).await;
    match exchange.unwrap_or(Err(Failure::Overrun(time_left))) {
        Ok(answer) => Ok(answer),
        Err(failure) => Err(give_up(app, failure).await),
    }
}

/// Closes the connection, on which whatever the app still does is for nobody, and says whether the app has ended.
pub(crate) async fn give_up(app: &mut App, failure: Failure) -> Failure {
    app.close_connection();
    match failure {
        Failure::App(_) | Failure::Body(_) => {
            app.has_ended().await.map_or(failure, Failure::Exited)
        }
        Failure::Event(_)
        | Failure::TooLarge
        | Failure::PreludeTooLarge
        | Failure::Overrun(_)
        | Failure::Exited(_) => failure,
    }
}

/// The event's request, with Lambda's own context added and what only Pacer or Lambda may say taken out.
fn request(invoke: &Invoke) -> Result<(Format, Request<Full<Bytes>>), EventError> {
    let (format, request) = lambda_event::read_event(&invoke.payload)?;
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
    Ok((format, Request::from_parts(head, Full::new(body))))
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

async fn buffer(
    mut head: Parts,
    body: Incoming,
    format: Format,
    environment: &Environment,
    visit: &Visit,
) -> Result<Bytes, Failure> {
    let body = match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(Failure::TooLarge),
        Err(error) => return Err(Failure::Body(error)),
    };
    environment.report(visit, &mut head.headers);
    let mut payload = Vec::new();
    format.write_response(&mut payload, head.status, &head.headers, &body);
    if ANSWER_BYTES_MAX < payload.len() {
        return Err(Failure::TooLarge);
    }
    Ok(payload.into())
}
