//! Faults of Lambda: what a test orders, and what happens to the next invocations.
//!
//! Three tables say what there is: [`EXCEPTIONS`] (every refusal of Invoke's API model with its status),
//! [`FUNCTION_ERRORS`] (how functions fail), and the variants of [`PayloadFault`] and [`StreamFault`] (what is wrong with
//! an answer).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{clock, tasks::lock, units};

/// Most faults that wait to happen, all functions together; more is a test that has lost count.
const PENDING_MAX: usize = 100_000;

/// Every exception of Invoke and InvokeWithResponseStream with its status, from the API model of botocore 1.44.5; and
/// two that any call may meet. `TooManyRequestsException` has an order of its own, for its reasons.
pub const EXCEPTIONS: [(&str, u16); 48] = [
    ("AccessDeniedException", 403),
    ("CodeArtifactUserDeletedException", 409),
    ("CodeArtifactUserFailedException", 409),
    ("CodeArtifactUserPendingException", 409),
    ("DurableExecutionAlreadyStartedException", 409),
    ("EC2AccessDeniedException", 502),
    ("EC2ThrottledException", 502),
    ("EC2UnexpectedException", 502),
    ("EFSIOException", 410),
    ("EFSMountConnectivityException", 408),
    ("EFSMountFailureException", 403),
    ("EFSMountTimeoutException", 408),
    ("ENILimitReachedException", 502),
    ("ENINotReadyException", 502),
    ("ExpiredTokenException", 403),
    ("InvalidParameterValueException", 400),
    ("InvalidRequestContentException", 400),
    ("InvalidRuntimeException", 502),
    ("InvalidSecurityGroupIDException", 502),
    ("InvalidSubnetIDException", 502),
    ("InvalidZipFileException", 502),
    ("KMSAccessDeniedException", 502),
    ("KMSDisabledException", 502),
    ("KMSInvalidStateException", 502),
    ("KMSNotFoundException", 502),
    ("ModeNotSupportedException", 400),
    ("NoPublishedVersionException", 400),
    ("RecursiveInvocationException", 400),
    ("RequestTooLargeException", 413),
    ("ResourceConflictException", 409),
    ("ResourceNotFoundException", 404),
    ("ResourceNotReadyException", 502),
    ("RuntimeAliasDeletedException", 409),
    ("RuntimeVersionDeletedException", 409),
    ("S3FilesMountConnectivityException", 408),
    ("S3FilesMountFailureException", 403),
    ("S3FilesMountTimeoutException", 408),
    ("SerializedRequestEntityTooLargeException", 413),
    ("ServiceException", 500),
    ("ServiceQuotaExceededException", 402),
    ("ServiceUnavailableException", 503),
    ("SnapStartException", 400),
    ("SnapStartNotReadyException", 409),
    ("SnapStartRegenerationFailureException", 409),
    ("SnapStartTimeoutException", 408),
    ("SubnetIPAddressLimitReachedException", 502),
    ("UnrecognizedClientException", 403),
    ("UnsupportedMediaTypeException", 415),
];

/// How a function fails: the name in an order, `errorType`, `errorMessage`, and whether it handled it.
pub const FUNCTION_ERRORS: [(&str, &str, &str, bool); 6] = [
    ("handled", "Handled", "the function returned an error", true),
    ("unhandled", "App.Wrong", "the function threw an error", false),
    (
        "timeout",
        "Sandbox.Timedout",
        "2026-01-01T00:00:00.000Z 00000000-0000-4000-a000-000000000000 Task timed out after 3.00 seconds",
        false,
    ),
    (
        "out-of-memory",
        "Runtime.OutOfMemory",
        "RequestId: 00000000-0000-4000-a000-000000000000 Error: Runtime exited with error: signal: killed",
        false,
    ),
    (
        "exit",
        "Runtime.ExitError",
        "RequestId: 00000000-0000-4000-a000-000000000000 Error: Runtime exited with error: exit status 1",
        false,
    ),
    (
        "too-large",
        "Function.ResponseSizeTooLarge",
        "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        false,
    ),
];

/// Faults of Lambda. Where a count is left out, the fault happens once; those without a count last until faults are
/// cleared.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LambdaOrder {
    /// Refuses with 429.
    Throttle {
        /// The function.
        function: String,
        /// AWS's reason.
        #[serde(default)]
        reason: ThrottleReason,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Refuses a part of all invocations with 429.
    Storm {
        /// AWS's reason.
        #[serde(default)]
        reason: ThrottleReason,
        /// How many of a hundred, at random: 1 to 100.
        #[serde(default = "all")]
        percent: u8,
    },
    /// Refuses with an exception; the function does not run.
    Error {
        /// The function.
        function: String,
        /// HTTP status, 400 to 599; left out, the one that [`EXCEPTIONS`] has.
        #[serde(default)]
        status: Option<u16>,
        /// The exception, like `SnapStartNotReadyException`.
        #[serde(rename = "type")]
        kind: String,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Refuses calls other than invocations with an exception.
    Api {
        /// HTTP status, 400 to 599; left out, the one that [`EXCEPTIONS`] has.
        #[serde(default)]
        status: Option<u16>,
        /// The exception; `TooManyRequestsException` is 429.
        #[serde(rename = "type")]
        kind: String,
        /// How many calls.
        #[serde(default = "once")]
        count: usize,
    },
    /// Answers with a function error; the function does not run.
    FunctionError {
        /// The function.
        function: String,
        /// A name of [`FUNCTION_ERRORS`].
        kind: String,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Spoils a buffered answer.
    Payload {
        /// The function.
        function: String,
        /// How.
        kind: PayloadFault,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Spoils a streamed answer; does nothing to a buffered one.
    Stream {
        /// The function.
        function: String,
        /// How.
        kind: StreamFault,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Never answers; the function does not run.
    Hang {
        /// The function.
        function: String,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Closes the connection without an answer.
    Drop {
        /// The function.
        function: String,
        /// Before the function runs, or after.
        when: When,
        /// How many invocations.
        #[serde(default = "once")]
        count: usize,
    },
    /// Kills an environment (SIGKILL), idle or busy.
    Kill {
        /// Its id, from `/_local/state`.
        environment: String,
    },
    /// Deletes the snapshot of a SnapStart version, as Lambda does from time to time.
    Inactive {
        /// The function.
        function: String,
        /// The version's number.
        version: u32,
    },
    /// Refuses every call.
    Down {
        /// 500 or 503.
        #[serde(default = "unavailable")]
        status: u16,
    },
    /// Sets Lambda's clock ahead, so that signatures seem old.
    ClockSkew {
        /// How far, like `6m`; signatures are good for five minutes.
        #[serde(deserialize_with = "units::duration")]
        ahead: Duration,
    },
}

/// What is wrong with a buffered answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PayloadFault {
    /// No JSON; the function does not run.
    Garbage,
    /// Nothing; the function does not run.
    Empty,
    /// JSON whose string is no UTF-8; the function does not run.
    InvalidUtf8,
    /// Twice as much as Lambda allows; the function does not run.
    Oversized,
    /// The first half of the answer, as if that were all.
    Truncated,
    /// The first half of the answer; then the connection closes.
    Cut,
}

impl PayloadFault {
    /// Whether the function runs before.
    pub(crate) fn runs(self) -> bool {
        matches!(self, Self::Truncated | Self::Cut)
    }
}

/// What is wrong with a streamed answer. The function runs, but for an oversized prelude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamFault {
    /// Half of the first chunk, and the connection closes.
    Cut,
    /// Half of the first chunk, and a clean end without an error, as accounts were seen to do.
    Truncated,
    /// Frames whose checksum is wrong.
    BadChecksum,
    /// The prelude, and then an error.
    ErrorAfterPrelude,
    /// The first chunks three bytes a frame.
    SplitPrelude,
    /// A prelude of a megabyte that never ends.
    OversizedPrelude,
    /// A function error as payload, and an end without one, as accounts were seen to do.
    ErrorAsPayload,
    /// The body ends without `InvokeComplete`.
    NoComplete,
    /// Events of a kind nobody knows among the chunks.
    UnknownEvent,
}

/// Whether a connection is dropped before or after the function has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// The function does not run.
    Before,
    /// The function runs, and its result is lost.
    After,
}

/// Why Lambda answers 429: the values of `Reason` in the Lambda API reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum ThrottleReason {
    /// The account's concurrency, or the rate at which it may grow, is used up.
    #[default]
    ConcurrentInvocationLimitExceeded,
    /// The function's reserved concurrency is used up.
    ReservedFunctionConcurrentInvocationLimitExceeded,
    /// The function's request rate.
    FunctionInvocationRateLimitExceeded,
    /// The request rate that goes with reserved concurrency.
    ReservedFunctionInvocationRateLimitExceeded,
    /// The caller's request rate.
    CallerRateLimitExceeded,
    /// Snapshots being made at once.
    ConcurrentSnapshotCreateLimitExceeded,
}

impl ThrottleReason {
    /// As AWS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConcurrentInvocationLimitExceeded => "ConcurrentInvocationLimitExceeded",
            Self::ReservedFunctionConcurrentInvocationLimitExceeded => {
                "ReservedFunctionConcurrentInvocationLimitExceeded"
            }
            Self::FunctionInvocationRateLimitExceeded => "FunctionInvocationRateLimitExceeded",
            Self::ReservedFunctionInvocationRateLimitExceeded => {
                "ReservedFunctionInvocationRateLimitExceeded"
            }
            Self::CallerRateLimitExceeded => "CallerRateLimitExceeded",
            Self::ConcurrentSnapshotCreateLimitExceeded => "ConcurrentSnapshotCreateLimitExceeded",
        }
    }
}

fn once() -> usize {
    1
}

fn all() -> u8 {
    100
}

fn unavailable() -> u16 {
    503
}

/// What goes wrong with one invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InvokeFault {
    Refuse(Refusal),
    FunctionError { kind: String, message: String, handled: bool },
    Payload(PayloadFault),
    Stream(StreamFault),
    Hang,
    Drop(When),
}

/// A refusal of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Throttle(ThrottleReason),
    Exception { status: StatusCode, kind: String },
}

impl Refusal {
    /// The exception `kind` with this status, or its own.
    ///
    /// # Errors
    /// When the status is none of an error, or not known.
    pub(crate) fn exception(kind: String, status: Option<u16>) -> Result<Self, String> {
        if kind == "TooManyRequestsException" && status.is_none_or(|status| status == 429) {
            return Ok(Self::Throttle(ThrottleReason::CallerRateLimitExceeded));
        }
        let known = EXCEPTIONS.iter().find(|(name, _)| *name == kind).map(|(_, status)| *status);
        let status = status.or(known).ok_or_else(|| {
            format!("type: `{kind}` is no exception of Invoke; write its status too")
        })?;
        let status = StatusCode::from_u16(status).ok();
        let status = status.filter(|s| s.is_client_error() || s.is_server_error());
        let status = status.ok_or("status: is not within 400 to 599")?;
        Ok(Self::Exception { status, kind })
    }
}

impl InvokeFault {
    /// The function error that [`FUNCTION_ERRORS`] has under `name`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn function_error(name: &str) -> Result<Self, String> {
        let row = FUNCTION_ERRORS.iter().find(|row| row.0 == name);
        let Some((_, kind, message, handled)) = row else {
            let names: Vec<&str> = FUNCTION_ERRORS.iter().map(|row| row.0).collect();
            return Err(format!("kind: `{name}` is none of {}", names.join(", ")));
        };
        Ok(Self::FunctionError {
            kind: (*kind).to_owned(),
            message: (*message).to_owned(),
            handled: *handled,
        })
    }
}

/// The faults that wait to happen, and those that last.
#[derive(Debug, Default)]
pub(crate) struct LambdaFaults(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    /// By function: a fault and how many more times.
    invocations: BTreeMap<String, VecDeque<(InvokeFault, usize)>>,
    /// Of calls that are no invocations.
    calls: VecDeque<(Refusal, usize)>,
    storm: Option<(ThrottleReason, u8)>,
    down: Option<StatusCode>,
    clock_ahead: Duration,
}

impl LambdaFaults {
    /// Queues `fault` for the next `count` invocations of `function`.
    ///
    /// # Errors
    /// When too many faults wait.
    pub(crate) fn on_invoke(
        &self,
        function: &str,
        fault: InvokeFault,
        count: usize,
    ) -> Result<(), String> {
        let mut pending = lock(&self.0);
        pending.room(count)?;
        if 0 < count {
            pending.invocations.entry(function.to_owned()).or_default().push_back((fault, count));
        }
        Ok(())
    }

    /// Queues `refusal` for the next `count` calls that are no invocations.
    ///
    /// # Errors
    /// When too many faults wait.
    pub(crate) fn on_call(&self, refusal: Refusal, count: usize) -> Result<(), String> {
        let mut pending = lock(&self.0);
        pending.room(count)?;
        if 0 < count {
            pending.calls.push_back((refusal, count));
        }
        Ok(())
    }

    /// Takes the fault that the next invocation of `function` meets.
    pub(crate) fn take(&self, function: &str) -> Option<InvokeFault> {
        let mut pending = lock(&self.0);
        if let Some(fault) = pending.invocations.get_mut(function).and_then(take) {
            return Some(fault);
        }
        let (reason, percent) = pending.storm?;
        let meets = clock::draw() * 100.0 < f64::from(percent);
        meets.then_some(InvokeFault::Refuse(Refusal::Throttle(reason)))
    }

    /// Takes the refusal that the next call meets that is no invocation.
    pub(crate) fn take_call(&self) -> Option<Refusal> {
        take(&mut lock(&self.0).calls)
    }

    pub(crate) fn set_storm(&self, reason: ThrottleReason, percent: u8) {
        lock(&self.0).storm = Some((reason, percent));
    }

    pub(crate) fn set_down(&self, status: StatusCode) {
        lock(&self.0).down = Some(status);
    }

    pub(crate) fn down(&self) -> Option<StatusCode> {
        lock(&self.0).down
    }

    pub(crate) fn set_clock_ahead(&self, ahead: Duration) {
        lock(&self.0).clock_ahead = ahead;
    }

    pub(crate) fn clock_ahead(&self) -> Duration {
        lock(&self.0).clock_ahead
    }

    /// Forgets all faults.
    pub(crate) fn clear(&self) {
        *lock(&self.0) = Pending::default();
    }
}

impl Pending {
    fn room(&self, count: usize) -> Result<(), String> {
        let invocations = self.invocations.values().flatten().map(|(_, n)| *n);
        let waiting: usize = invocations.chain(self.calls.iter().map(|(_, n)| *n)).sum();
        if PENDING_MAX < waiting.saturating_add(count) {
            return Err(format!(
                "count: {count} more than the {waiting} that wait is above {PENDING_MAX}; clear some"
            ));
        }
        Ok(())
    }
}

/// Takes the next of a queue in which each fault is as often as it was ordered.
fn take<T: Clone>(queue: &mut VecDeque<(T, usize)>) -> Option<T> {
    let (fault, left) = queue.front_mut()?;
    let fault = fault.clone();
    *left -= 1;
    if *left == 0 {
        queue.pop_front();
    }
    Some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_happen_in_order_and_as_often_as_ordered() {
        let faults = LambdaFaults::default();
        let garbage = InvokeFault::Payload(PayloadFault::Garbage);
        faults.on_invoke("f", garbage.clone(), 2).unwrap();
        faults.on_invoke("f", InvokeFault::Hang, 1).unwrap();
        assert_eq!(faults.take("g"), None);
        assert_eq!(faults.take("f"), Some(garbage.clone()));
        assert_eq!(faults.take("f"), Some(garbage));
        assert_eq!(faults.take("f"), Some(InvokeFault::Hang));
        assert_eq!(faults.take("f"), None);
        assert!(faults.on_invoke("f", InvokeFault::Hang, PENDING_MAX + 1).is_err());
    }

    #[test]
    fn a_storm_lasts_until_it_is_cleared() {
        let faults = LambdaFaults::default();
        faults.set_storm(ThrottleReason::default(), 100);
        assert!((0..100).all(|_| faults.take("f").is_some()));
        faults.clear();
        assert_eq!(faults.take("f"), None);
    }

    #[test]
    fn an_exception_has_its_own_status_unless_another_is_ordered() {
        let status = |kind: &str, status| match Refusal::exception(kind.into(), status) {
            Ok(Refusal::Exception { status, .. }) => status.as_u16(),
            Ok(Refusal::Throttle(_)) => 429,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(status("EFSIOException", None), 410);
        assert_eq!(status("EFSIOException", Some(500)), 500);
        assert_eq!(status("TooManyRequestsException", None), 429);
        assert!(Refusal::exception("Mood".into(), None).is_err());
        assert!(Refusal::exception("Mood".into(), Some(200)).is_err());
        assert!(EXCEPTIONS.is_sorted());
    }
}
