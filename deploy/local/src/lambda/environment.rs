//! One execution environment: a process, its Runtime API, and what Lambda calls its phases.
//!
//! It works on one event at a time and is reused until it has been idle for too long, times out or dies. Who gets it
//! next is decided by the function's pool, not here.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use tokio::{sync::oneshot, time::Instant};

use crate::{
    Shared, clock,
    lambda::{
        Function,
        runtime_api::{Event, FunctionError, Reply, RuntimeApi},
    },
    process::Process,
};

/// One execution environment; dropping it ends its process.
#[derive(Debug)]
pub(crate) struct Environment {
    /// The end of its log stream's name, unique in the cloud.
    pub(crate) id: String,
    pub(crate) process: Process,
    api: RuntimeApi,
    pub(crate) busy: AtomicBool,
    pub(crate) invocations: AtomicU64,
}

/// Why an environment could not be started.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The function's fault: what the caller is told.
    Function(FunctionError),
    /// It did not ask for an event in time.
    Timeout,
}

/// What is needed to make an event of a caller's request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) request_id: String,
    pub(crate) function_arn: String,
    pub(crate) client_context: Option<http::HeaderValue>,
    pub(crate) payload: bytes::Bytes,
}

impl Environment {
    /// Starts a process and waits until it asks for its first event, at most for `budget`. Returns it with the time
    /// that took (Lambda's init duration).
    pub(crate) async fn start(
        shared: &Shared,
        function: &Function,
        request_id: &str,
        budget: Duration,
    ) -> Result<(Self, Duration), StartError> {
        let failed = |kind: &str, message: String| {
            StartError::Function(FunctionError::of_runtime(kind, &message))
        };
        let api = RuntimeApi::start(function.config.init_type).await;
        let api = api.map_err(|e| {
            failed("Runtime.Internal", format!("could not listen for the Runtime API: {e}"))
        })?;
        let id = clock::random_hex();
        let env = variables(shared, function, &id, &api.address());
        let label = format!("{}/{}", function.name, &id[..8]);
        let begun = Instant::now();
        let process = Process::spawn(&shared.processes, &label, &function.config.command, &env)
            .map_err(|e| {
                failed("Runtime.InvalidEntrypoint", format!("RequestId: {request_id} Error: {e}"))
            })?;
        let mut progress = api.progress();
        let settled = progress.wait_for(|p| p.ready || p.init_error.is_some());
        tokio::select! {
            biased;
            exit = process.exited() => {
                // A runtime reports its error first and then exits; the report says more.
                if let Some(error) = api.progress().borrow().init_error.clone() {
                    return Err(StartError::Function(error));
                }
                let message = format!("RequestId: {request_id} Error: Runtime exited with error: {}", exit.text);
                Err(failed("Runtime.ExitError", message))
            }
            () = tokio::time::sleep(budget) => Err(StartError::Timeout),
            settled = settled => {
                let error = settled.ok().and_then(|p| p.init_error.clone());
                match error {
                    Some(error) => Err(StartError::Function(error)),
                    None => Ok(()),
                }
            }
        }?;
        let (busy, invocations) = (AtomicBool::new(true), AtomicU64::new(0));
        Ok((Self { id, process, api, busy, invocations }, begun.elapsed()))
    }

    /// Runs one event. An environment that timed out is killed, and one whose process ended is over.
    pub(crate) async fn invoke(&self, call: Call, timeout: Duration, started: Instant) -> Reply {
        self.invocations.fetch_add(1, Relaxed);
        self.process.clear_tail();
        let (reply, answer) = oneshot::channel();
        let request_id = call.request_id.clone();
        let left = timeout.saturating_sub(started.elapsed());
        let event = Event {
            trace_id: trace_id(&call.request_id),
            request_id: call.request_id,
            function_arn: call.function_arn,
            client_context: call.client_context,
            deadline: SystemTime::now() + left,
            payload: call.payload,
            reply,
        };
        self.api.send(event);
        tokio::select! {
            // An answer counts even when the process ends right after it.
            biased;
            answer = answer => if let Ok(answer) = answer { return answer },
            () = tokio::time::sleep(left) => {
                self.process.kill();
                return Reply::Error(timed_out(&request_id, timeout));
            }
            _ = self.process.exited() => {}
        }
        // The reply is gone: the process died, or closed its connection in the middle of an answer.
        tokio::select! {
            exit = self.process.exited() => {
                let message = format!("RequestId: {request_id} Error: Runtime exited with error: {}", exit.text);
                Reply::Error(FunctionError::of_runtime("Runtime.ExitError", &message))
            }
            () = tokio::time::sleep_until(started + timeout) => {
                self.process.kill();
                Reply::Error(timed_out(&request_id, timeout))
            }
        }
    }

    /// Waits until the process asks for the next event; false when it ended instead.
    pub(crate) async fn ready(&self) -> bool {
        let mut progress = self.api.progress();
        tokio::select! {
            ready = progress.wait_for(|p| p.ready) => ready.is_ok(),
            _ = self.process.exited() => false,
        }
    }
}

/// What Lambda says of an invocation that took too long.
pub(crate) fn timed_out(request_id: &str, timeout: Duration) -> FunctionError {
    let now = clock::timestamp(SystemTime::now());
    let seconds = timeout.as_secs_f64();
    FunctionError::of_runtime(
        "Sandbox.Timedout",
        &format!("{now} {request_id} Task timed out after {seconds:.2} seconds"),
    )
}

/// An X-Ray header of the usual form, not sampled: there is no X-Ray here.
fn trace_id(request_id: &str) -> String {
    let hex: String = request_id.chars().filter(char::is_ascii_hexdigit).collect();
    format!("Root=1-{}-{};Sampled=0", &hex[..8], &hex[8..32])
}

/// The environment variables of a Lambda environment. Lambda's own win over configured ones.
fn variables(
    shared: &Shared,
    function: &Function,
    id: &str,
    api: &str,
) -> BTreeMap<String, String> {
    let mut env = function.config.env.clone();
    let region = &shared.config.region;
    let stream = format!("{}/[{}]{id}", clock::log_date(SystemTime::now()), function.version());
    let own = [
        ("AWS_LAMBDA_RUNTIME_API", api),
        ("AWS_LAMBDA_FUNCTION_NAME", &function.name),
        ("AWS_LAMBDA_FUNCTION_VERSION", function.version()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &function.config.memory.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", function.config.init_type.name()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &format!("/aws/lambda/{}", function.name)),
        ("AWS_LAMBDA_LOG_STREAM_NAME", &stream),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", crate::signature::ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", crate::signature::SECRET_ACCESS_KEY),
        ("AWS_ENDPOINT_URL", &shared.endpoint()),
        ("_HANDLER", "bootstrap"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("TZ", ":UTC"),
    ];
    env.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    env
}
