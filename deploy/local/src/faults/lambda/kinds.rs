//! What can go wrong with an invocation: exceptions, function errors, and spoilt answers.

use serde::{Deserialize, Serialize};

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
