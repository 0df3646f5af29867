//! One execution environment: a process, its Runtime API, and what Lambda calls its phases.
//!
//! It works on one event at a time and is reused until it has been idle for too long, times out or dies. Who gets it
//! next is decided by its version's pool, not here.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use tokio::{sync::oneshot, time::Instant};

use crate::{
    Shared, clock,
    lambda::{
        function::Function,
        function_error::FunctionError,
        runtime_api::{Event, Progress, Reply, RuntimeApi},
        version::Version,
    },
    process::Process,
};

/// How long an environment may take to start when its init was paid for elsewhere (SnapStart, provisioned concurrency):
/// 130 s or the function's timeout, whichever is longer.
pub(crate) const LONG_INIT: Duration = Duration::from_secs(130);

/// How environments are initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InitType {
    /// The process starts when it is needed.
    OnDemand,
    /// It was started before it was needed.
    Provisioned,
    /// As a snapshot is restored: the process starts for real, `restore/next` exists, and init is not billed.
    SnapStart,
}

impl InitType {
    /// The value of `AWS_LAMBDA_INITIALIZATION_TYPE`.
    fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Provisioned => "provisioned-concurrency",
            Self::SnapStart => "snap-start",
        }
    }
}

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

/// How long a start took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    /// From the process's start until it asked for its first event: Lambda's init duration.
    pub(crate) whole: Duration,
    /// The part after the snapshot was restored, if the process asked for that.
    pub(crate) after_restore: Duration,
}

/// Why an environment could not be started.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The function's fault: what the caller is told.
    Function(FunctionError),
    /// It did not ask for an event in time.
    Timeout,
    /// It reported an error after it was restored.
    Restore(FunctionError),
    /// It did not ask for an event in time after it was restored.
    RestoreTimeout,
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
    /// Starts a process and waits until it asks for its first event, at most for `budget`.
    pub(crate) async fn start(
        shared: &Shared,
        function: &Function,
        version: &Version,
        init_type: InitType,
        request_id: &str,
        budget: Duration,
    ) -> Result<(Self, Started), StartError> {
        let failed = |kind: &str, message: String| {
            StartError::Function(FunctionError::of_runtime(kind, &message))
        };
        let api = RuntimeApi::start(init_type == InitType::SnapStart).await;
        let api = api.map_err(|e| {
            failed("Runtime.Internal", format!("could not listen for the Runtime API: {e}"))
        })?;
        let id = clock::random_hex();
        let env = variables(shared, function, version, init_type, (&id, &api.address()));
        let label = format!("{}/{}", function.name, &id[..8]);
        let begun = Instant::now();
        let process = Process::spawn(&shared.processes, &label, &version.settings.command, &env)
            .map_err(|e| {
                failed("Runtime.InvalidEntrypoint", format!("RequestId: {request_id} Error: {e}"))
            })?;
        let mut progress = api.progress();
        let mut restored = api.progress();
        // After-restore hooks have a time of their own.
        let restore_late = async {
            let since = restored.wait_for(|p| p.restored.is_some()).await;
            let since = since.ok().and_then(|p| p.restored);
            match since {
                Some(since) => {
                    tokio::time::sleep_until(since + version.settings.restore_timeout).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            exit = process.exited() => {
                // A runtime reports its error first and then exits; the report says more.
                refused(&api)?;
                return Err(StartError::Function(FunctionError::exited(request_id, &exit.text)));
            }
            _ = progress.wait_for(Progress::settled) => refused(&api)?,
            () = restore_late => return Err(StartError::RestoreTimeout),
            () = tokio::time::sleep(budget) => return Err(StartError::Timeout),
        }
        let restored = api.progress().borrow().restored;
        let after_restore = restored.map(|since| since.elapsed()).unwrap_or_default();
        let started = Started { whole: begun.elapsed(), after_restore };
        let (busy, invocations) = (AtomicBool::new(true), AtomicU64::new(0));
        Ok((Self { id, process, api, busy, invocations }, started))
    }

    /// Runs one event until its answer is there or has begun. An environment that is late is killed.
    pub(crate) async fn invoke(&self, call: Call, deadline: Instant, timeout: Duration) -> Reply {
        self.invocations.fetch_add(1, Relaxed);
        self.process.clear_tail();
        let (reply, answer) = oneshot::channel();
        let request_id = call.request_id.clone();
        let left = deadline.saturating_duration_since(Instant::now());
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
            () = tokio::time::sleep_until(deadline) => {}
            _ = self.process.exited() => {}
        }
        Reply::Error(self.broken_off(&request_id, deadline, timeout).await)
    }

    /// Why there is no answer, or no more of it: the process died, or is late, for which it is killed. One that closed
    /// its connection in the middle of an answer has until the deadline to do one or the other.
    pub(crate) async fn broken_off(
        &self,
        request_id: &str,
        deadline: Instant,
        timeout: Duration,
    ) -> FunctionError {
        tokio::select! {
            biased;
            exit = self.process.exited() => FunctionError::exited(request_id, &exit.text),
            () = tokio::time::sleep_until(deadline) => {
                self.process.kill();
                FunctionError::timed_out(request_id, timeout)
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

/// The error a process reported of its start, if it did.
fn refused(api: &RuntimeApi) -> Result<(), StartError> {
    let progress = api.progress().borrow().clone();
    match (progress.init_error, progress.restore_error) {
        (Some(error), _) => Err(StartError::Function(error)),
        (None, Some(error)) => Err(StartError::Restore(error)),
        (None, None) => Ok(()),
    }
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
    version: &Version,
    init_type: InitType,
    (id, api): (&str, &str),
) -> BTreeMap<String, String> {
    let settings = &version.settings;
    let mut env = settings.env.clone();
    let region = &shared.config.region;
    let number = version.name();
    let group = format!("/aws/lambda/{}", function.name);
    let stream = format!("{}/[{number}]{id}", clock::log_date(SystemTime::now()));
    let mut own = vec![
        ("AWS_LAMBDA_RUNTIME_API", api),
        ("AWS_LAMBDA_FUNCTION_NAME", &function.name),
        ("AWS_LAMBDA_FUNCTION_VERSION", &number),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", init_type.name()),
        ("AWS_LAMBDA_LOG_FORMAT", settings.log_format.name()),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", crate::signature::ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", crate::signature::SECRET_ACCESS_KEY),
        ("_HANDLER", "bootstrap"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("TZ", ":UTC"),
    ];
    // A snapshot is shared by many environments, so it cannot know its log stream.
    if init_type != InitType::SnapStart {
        own.push(("AWS_LAMBDA_LOG_GROUP_NAME", &group));
        own.push(("AWS_LAMBDA_LOG_STREAM_NAME", &stream));
    }
    env.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    env.insert("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".into(), settings.memory.to_string());
    env.insert("AWS_ENDPOINT_URL".into(), shared.endpoint());
    env
}
