//! One admitted invocation, from its environment to its answer.
//!
//! It runs to its end even when the caller goes away, as at Lambda, and is billed whole.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    Shared,
    bill::{FunctionUsage, ceil_ms},
    lambda::{
        environment::{Call, Environment, InitType, LONG_INIT, StartError},
        error::ServiceError,
        function::{Function, Seat},
        function_error::FunctionError,
        report::{Beginning, Report},
        runtime_api::{RESULT_BYTES_MAX, Reply},
        streamed::{Chunk, Streamed},
        usage,
        version::Version,
    },
};

/// How long an answer is held back until the process asks for its next event, so that a caller's next request finds
/// the environment warm. Real runtimes ask within a millisecond; one that does not delays the answer this long.
const NEXT_WAIT: Duration = Duration::from_millis(100);
/// Largest answer that is streamed; the rest is read and dropped, as Lambda was seen to do.
const STREAM_BYTES_MAX: usize = 200 * 1024 * 1024;
/// So much of a stream passes as fast as it can, and the rest at this many bytes a second (developer guide, "Response
/// streaming for Lambda functions", read 2026-11).
const STREAM_BYTES_FREE: usize = 6 * 1024 * 1024;
const STREAM_BYTES_PER_SECOND: f64 = 2.0 * 1024.0 * 1024.0;

/// What is to run, and where.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) function: Arc<Function>,
    pub(crate) version: Arc<Version>,
    pub(crate) call: Call,
}

/// What became of an invocation that ran.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The answer; empty when it was streamed.
    pub(crate) result: Result<Answer, FunctionError>,
    pub(crate) report: Report,
}

/// The answer of a function.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Bytes,
    /// The function sent it in chunks.
    pub(crate) streamed: bool,
}

/// An invocation's end: its outcome, or the refusal of an environment that could not be restored.
pub(crate) type End = Result<Outcome, ServiceError>;

/// A part of a streamed answer, for who asked for a stream. A function that does not stream gives its end only.
#[derive(Debug)]
pub(crate) enum Part {
    Head(Option<HeaderValue>),
    Data(Bytes),
    End(Box<End>),
}

/// Who waits for the answer, and how.
#[derive(Debug)]
pub(crate) enum Caller {
    Whole(oneshot::Sender<End>),
    /// Bounded: a slow caller slows the function.
    Stream(mpsc::Sender<Part>),
}

impl Caller {
    /// A caller that has gone is no error: the function runs on.
    async fn end(self, end: End) {
        match self {
            Self::Whole(sender) => drop(sender.send(end)),
            Self::Stream(parts) => drop(parts.send(Part::End(Box::new(end))).await),
        }
    }
}

/// An environment, and how it came to be.
struct Ready {
    environment: Arc<Environment>,
    beginning: Beginning,
    /// What of the invocation's timeout the start used up, when init was run again inside the invocation.
    used: Duration,
}

/// Runs one admitted invocation to its end: environment, event, answer, and the environment back to the pool.
pub(crate) async fn run(shared: Arc<Shared>, job: Job, seat: Seat, caller: Caller) {
    let Job { function, version, call } = job;
    let request_id = call.request_id.clone();
    let timeout = version.settings.timeout;
    let ready = match seat.environment {
        Some(environment) => {
            Ok(Ready { environment, beginning: Beginning::Warm, used: Duration::ZERO })
        }
        None => start(&shared, &function, &version, &request_id).await,
    };
    let ready = match ready {
        Ok(ready) => ready,
        Err((error, beginning)) => {
            let end = error.map(|error| {
                let report = Report::failed(&request_id, &version, beginning, &error);
                Outcome { result: Err(error), report }
            });
            if let Ok(outcome) = &end {
                record(&function, outcome);
            }
            // Before the answer, so that the caller's next request finds the place free.
            drop(seat.place);
            caller.end(end).await;
            return;
        }
    };
    let Ready { environment, beginning, used } = ready;
    let started = Instant::now();
    let deadline = started + timeout.saturating_sub(used);
    let result = match environment.invoke(call, deadline, timeout).await {
        Reply::Whole { content_type, body } => Ok(Answer { content_type, body, streamed: false }),
        Reply::Error(error) => Err(error),
        Reply::Streamed(streamed) => {
            let passing = pass_on(&shared, &environment, &request_id, streamed, &caller);
            match tokio::time::timeout_at(deadline, passing).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(Some(error))) => Err(error),
                Ok(Err(None)) | Err(_) => {
                    Err(environment.broken_off(&request_id, deadline, timeout).await)
                }
            }
        }
    };
    let report = Report {
        request_id,
        version: version.name(),
        format: version.settings.log_format,
        memory_mib: version.settings.memory,
        duration: started.elapsed(),
        beginning,
        memory_used_mib: usage::of(environment.process.pid).map(|u| u.memory_mib),
        error: result.as_ref().err().map(|e| e.kind().to_owned()),
        output: Vec::new(),
    };
    let mut outcome = Outcome { result, report };
    record(&function, &outcome);
    // Environment and place are given back before the answer, so that the caller's next request finds both.
    let ready = tokio::time::timeout(NEXT_WAIT, environment.ready()).await;
    outcome.report.output = environment.process.tail().await;
    if let Ok(ready) = ready {
        give_back(&function, &version, environment, ready);
        drop(seat.place);
        caller.end(Ok(outcome)).await;
        return;
    }
    // Slow to ask, not dead: it has what its timeout leaves.
    let asked = async {
        let ready = tokio::time::timeout_at(started + timeout, environment.ready()).await;
        give_back(&function, &version, environment, ready.unwrap_or(false));
        drop(seat.place);
    };
    tokio::join!(caller.end(Ok(outcome)), asked);
}

/// Puts an environment back, or has it replaced when it is over and was provisioned.
fn give_back(function: &Function, version: &Version, environment: Arc<Environment>, ready: bool) {
    if ready {
        function.put(version, environment);
    } else {
        environment.process.kill();
        function.provisioning.notify_one();
    }
}

/// Passes a streamed answer on as it comes, or collects it for a caller that wants it whole. The error is none when the
/// process broke off.
async fn pass_on(
    shared: &Shared,
    environment: &Environment,
    request_id: &str,
    mut streamed: Streamed,
    caller: &Caller,
) -> Result<Answer, Option<FunctionError>> {
    let mut answer =
        Answer { content_type: streamed.content_type.take(), streamed: true, ..Answer::default() };
    let mut whole = BytesMut::new();
    let mut sent = 0;
    let begun = Instant::now();
    if let Caller::Stream(parts) = caller {
        let _ = parts.send(Part::Head(answer.content_type.clone())).await;
    }
    loop {
        let data = match streamed.chunks.recv().await {
            Some(Chunk::Data(data)) => data,
            Some(Chunk::End) => break,
            Some(Chunk::Error(error)) => return Err(Some(error)),
            None => {
                tracing::debug!(environment = environment.id, request_id, "an answer was cut");
                return Err(None);
            }
        };
        match caller {
            Caller::Whole(_) if RESULT_BYTES_MAX < whole.len() + data.len() => {
                return Err(Some(FunctionError::result_too_large()));
            }
            Caller::Whole(_) => whole.extend_from_slice(&data),
            Caller::Stream(parts) => {
                let data = data.slice(..data.len().min(STREAM_BYTES_MAX.saturating_sub(sent)));
                sent += data.len();
                if !data.is_empty() {
                    let _ = parts.send(Part::Data(data)).await;
                }
                let paced = sent.saturating_sub(STREAM_BYTES_FREE) as f64 / STREAM_BYTES_PER_SECOND;
                let paced = shared.scale.shrink(Duration::from_secs_f64(paced));
                if !paced.is_zero() {
                    tokio::time::sleep_until(begun + paced).await;
                }
            }
        }
    }
    answer.body = whole.freeze();
    Ok(answer)
}

/// Starts an environment. An init that takes too long is run once more with the function's timeout, as Lambda does.
async fn start(
    shared: &Shared,
    function: &Arc<Function>,
    version: &Arc<Version>,
    request_id: &str,
) -> Result<Ready, (Result<FunctionError, ServiceError>, Beginning)> {
    FunctionUsage::count(&function.usage.cold_starts, 1);
    let settings = &version.settings;
    let init_type =
        if version.snapshot.is_some() { InitType::SnapStart } else { InitType::OnDemand };
    let begun = Instant::now();
    tokio::time::sleep(shared.scale.shrink(settings.start_delay)).await;
    let begin = async |budget| {
        Environment::start(shared, function, version, init_type, request_id, budget).await
    };
    let mut used = Duration::ZERO;
    let snap_start = init_type == InitType::SnapStart;
    let process_begun = Instant::now();
    let mut result = if snap_start {
        begin(settings.timeout.max(LONG_INIT)).await
    } else {
        begin(settings.init_timeout).await
    };
    if !snap_start && matches!(result, Err(StartError::Timeout)) {
        let again = Instant::now();
        result = begin(settings.timeout).await;
        used = again.elapsed();
    }
    let timeout = || FunctionError::timed_out(request_id, settings.timeout);
    let error = match result {
        Ok((environment, started)) => {
            let environment = Arc::new(environment);
            version.pool.add(&environment);
            let beginning = if snap_start {
                FunctionUsage::count(&function.usage.restores, 1);
                FunctionUsage::count(&function.usage.restored_mib, settings.memory.into());
                Beginning::Restore { whole: begun.elapsed(), billed: started.after_restore }
            } else {
                Beginning::Init(started.whole)
            };
            return Ok(Ready { environment, beginning, used });
        }
        Err(StartError::Function(error)) => Ok(error),
        Err(StartError::Timeout) => Ok(timeout()),
        Err(StartError::Restore(error)) => Err(ServiceError::new(
            StatusCode::BAD_REQUEST,
            "SnapStartException",
            format!("The afterRestore() runtime hook encountered an error: {}", error.message()),
        )),
        Err(StartError::RestoreTimeout) => Err(ServiceError::new(
            StatusCode::REQUEST_TIMEOUT,
            "SnapStartTimeoutException",
            "Lambda couldn't restore the snapshot within the timeout limit.",
        )),
    };
    let beginning =
        if snap_start { Beginning::Warm } else { Beginning::Init(process_begun.elapsed()) };
    Err((error, beginning))
}

fn record(function: &Function, outcome: &Outcome) {
    let (usage, report) = (&function.usage, &outcome.report);
    FunctionUsage::count(&usage.requests, 1);
    FunctionUsage::count(&usage.billed_ms, report.billed_ms());
    FunctionUsage::count(&usage.mb_ms, report.billed_ms() * u64::from(report.memory_mib));
    if let Beginning::Init(init) = report.beginning {
        FunctionUsage::count(&usage.init_ms, ceil_ms(init));
    }
    if outcome.result.is_err() {
        FunctionUsage::count(&usage.function_errors, 1);
    }
}
