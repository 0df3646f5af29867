//! Everything that Invoke answers instead of a response, as a type: what it is called, whether the function ran, and what
//! follows from that.
//!
//! Source: the exceptions of Invoke and InvokeWithResponseStream in the Lambda API model (aws-sdk-lambda 1.156, November
//! 2026), the reasons of TooManyRequestsException, and the names that Lambda gives to failures of a function. AWS's own
//! text never reaches a client: it may name functions, accounts and stack traces.

use http::StatusCode;
use predictor::outcome::Spill;

use crate::lane::Failure;

/// One thing that went wrong, by its place in [`ROWS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LambdaError(u8);

/// What follows from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Refused for now, whoever asks: the function did not run.
    Throttled,
    /// No environment could be started or restored: the function did not run.
    NotReady,
    /// Wrong until somebody mends it: the function did not run.
    Misconfigured,
    /// The event is more than Lambda takes: the function did not run.
    TooLarge,
    /// Nobody knows whether it ran.
    Unknown,
    /// It ran and failed.
    Failed,
    /// It ran out of its own time.
    TimedOut,
}

struct Row {
    /// AWS's name of it, and its label in metrics.
    name: &'static str,
    class: Class,
}

macro_rules! rows {
    ($($class:ident: $($name:literal),+;)*) => {
        const ROWS: &[Row] = &[$($(Row { name: $name, class: Class::$class }),+),*];
    };
}

rows! {
    // The reasons of TooManyRequestsException, and the exception when it gives none of them.
    Throttled:
        "ConcurrentInvocationLimitExceeded", "ReservedFunctionConcurrentInvocationLimitExceeded",
        "FunctionInvocationRateLimitExceeded", "ReservedFunctionInvocationRateLimitExceeded",
        "CallerRateLimitExceeded", "ConcurrentSnapshotCreateLimitExceeded", "TooManyRequestsException";
    NotReady:
        "SnapStartException", "SnapStartNotReadyException", "SnapStartRegenerationFailureException",
        "SnapStartTimeoutException", "ResourceConflictException", "ResourceNotReadyException",
        "CodeArtifactUserPendingException", "EC2ThrottledException", "EC2UnexpectedException",
        "EFSMountConnectivityException", "EFSMountTimeoutException", "S3FilesMountConnectivityException",
        "S3FilesMountTimeoutException", "ENILimitReachedException", "ENINotReadyException",
        "SubnetIPAddressLimitReachedException";
    Misconfigured:
        "AccessDeniedException", "CodeArtifactUserDeletedException", "CodeArtifactUserFailedException",
        "DurableExecutionAlreadyStartedException", "EC2AccessDeniedException", "EFSMountFailureException",
        "ExpiredTokenException", "IncompleteSignatureException", "InvalidClientTokenId",
        "InvalidParameterValueException", "InvalidRequestContentException", "InvalidRuntimeException",
        "InvalidSecurityGroupIDException", "InvalidSignatureException", "InvalidSubnetIDException",
        "InvalidZipFileException", "KMSAccessDeniedException", "KMSDisabledException",
        "KMSInvalidStateException", "KMSNotFoundException", "MissingAuthenticationTokenException",
        "ModeNotSupportedException", "NoPublishedVersionException", "RecursiveInvocationException",
        "ResourceNotFoundException", "RuntimeAliasDeletedException", "RuntimeVersionDeletedException",
        "S3FilesMountFailureException", "ServiceQuotaExceededException",
        "UnrecognizedClientException";
    TooLarge:
        "RequestTooLargeException", "SerializedRequestEntityTooLargeException", "UnsupportedMediaTypeException";
    Unknown:
        "EFSIOException", "ServiceException", "ServiceUnavailableException", "Transport";
    // X-Amz-Function-Error, or what a stream's InvokeComplete says.
    Failed:
        "Handled", "Unhandled", "InvalidResponse", "ResponseTooLarge", "BrokenStream";
    TimedOut:
        "Sandbox.Timedout";
    // Names that are new to us, by the class that their status has.
    NotReady: "OtherNotReady";
    Misconfigured: "OtherClientError";
    Unknown: "OtherServerError";
}

impl LambdaError {
    /// How many there are.
    pub(crate) const COUNT: usize = ROWS.len();

    /// The connection broke before there was an answer.
    pub(super) fn transport() -> Self {
        Self::named("Transport")
    }

    /// The function answered what is no HTTP response.
    pub(super) fn invalid_response() -> Self {
        Self::named("InvalidResponse")
    }

    /// The function answered more than Lambda passes on.
    pub(super) fn response_too_large() -> Self {
        Self::named("ResponseTooLarge")
    }

    /// A stream ended before it was complete, or was damaged.
    pub(super) fn broken_stream() -> Self {
        Self::named("BrokenStream")
    }

    /// An error of the service, by its status, its exception and, of a throttle, its reason.
    pub(super) fn of_service(status: StatusCode, exception: &str, reason: &str) -> Self {
        if let Some(known) = Self::find(reason).filter(|row| row.class() == Class::Throttled) {
            return known;
        }
        if let Some(known) = Self::find(exception) {
            return known;
        }
        Self::named(match status.as_u16() {
            429 => "TooManyRequestsException",
            413 | 415 => "RequestTooLargeException",
            408 | 409 | 502 => "OtherNotReady",
            410 => "EFSIOException",
            400..=499 => "OtherClientError",
            _ => "OtherServerError",
        })
    }

    /// A failure of the function itself: `handled` is Lambda's word for it, `kind` and `message` the function's.
    pub(super) fn of_function(handled: &str, kind: &str, message: &str) -> Self {
        // Runtimes tell a timeout by its text, newer ones by its type too.
        if kind == "Sandbox.Timedout" || message.contains("Task timed out after") {
            return Self::named("Sandbox.Timedout");
        }
        if kind == "Function.ResponseSizeTooLarge" {
            return Self::response_too_large();
        }
        Self::named(if handled == "Handled" { "Handled" } else { "Unhandled" })
    }

    fn find(name: &str) -> Option<Self> {
        ROWS.iter().position(|row| row.name == name).map(|place| Self(place as u8))
    }

    fn named(name: &'static str) -> Self {
        Self::find(name).expect("the name is one of the table's")
    }

    fn class(self) -> Class {
        ROWS[self.index()].class
    }

    /// Returns its place among all.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Returns the label in metrics of the error at `index`.
    pub(crate) fn name_at(index: usize) -> &'static str {
        ROWS[index].name
    }

    /// Returns AWS's name of it.
    pub(super) fn as_str(self) -> &'static str {
        Self::name_at(self.index())
    }

    /// Tells whether it refuses a call for too many or too fast.
    pub(super) fn is_throttle(self) -> bool {
        self.class() == Class::Throttled
    }

    /// Tells whether the next call would fail as well: the lane is better left alone.
    pub(super) fn is_lasting(self) -> bool {
        matches!(self.class(), Class::Misconfigured | Class::NotReady)
    }

    /// Tells whether it is there until somebody mends the policy, the function or its permissions.
    pub(super) fn is_misconfigured(self) -> bool {
        self.class() == Class::Misconfigured
    }

    /// Returns what it means for the request. `retry_after` is what Lambda asked for, in seconds.
    pub(super) fn failure(self, retry_after: Option<u32>) -> Failure {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let bad_gateway = StatusCode::BAD_GATEWAY;
        let mut failure = match self.class() {
            Class::Throttled => {
                Failure::did_not_run(Spill::Throttled, unavailable, "Lambda throttled the call")
            }
            Class::NotReady => Failure::did_not_run(
                Spill::NotReady,
                unavailable,
                "Lambda could not start the function",
            ),
            Class::Misconfigured => Failure::did_not_run(
                Spill::Misconfigured,
                bad_gateway,
                "Lambda refused the call: the gateway's policy or its permissions are wrong",
            ),
            Class::TooLarge => Failure::did_not_run(
                Spill::TooLarge,
                StatusCode::PAYLOAD_TOO_LARGE,
                "Lambda found the request too large",
            ),
            Class::Unknown => Failure::unknown(bad_gateway, "Lambda failed"),
            Class::TimedOut => {
                Failure::ran(StatusCode::GATEWAY_TIMEOUT, "the function ran into its own timeout")
                    .timed_out()
            }
            Class::Failed => Failure::ran(
                bad_gateway,
                match self.as_str() {
                    "InvalidResponse" => "the function's answer is not an HTTP response",
                    "ResponseTooLarge" => "the function's response is larger than Lambda's limit",
                    _ => "the function failed",
                },
            ),
        };
        failure.retry_after = retry_after;
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::Execution::{self, DidNotRun, Ran, Unknown};

    #[track_caller]
    fn check(status: u16, name: &str, ran: Execution, cause: Spill, answer: u16) {
        let status = StatusCode::from_u16(status).unwrap();
        let failure = LambdaError::of_service(status, name, "").failure(None);
        assert_eq!(
            (failure.ran, failure.cause, failure.status.as_u16()),
            (ran, cause, answer),
            "{status} {name}"
        );
    }

    #[test]
    fn every_exception_says_whether_the_function_ran() {
        check(429, "TooManyRequestsException", DidNotRun, Spill::Throttled, 503);
        for name in [
            "SnapStartNotReadyException",
            "SnapStartRegenerationFailureException",
            "ResourceConflictException",
        ] {
            check(409, name, DidNotRun, Spill::NotReady, 503);
        }
        check(408, "SnapStartTimeoutException", DidNotRun, Spill::NotReady, 503);
        check(400, "SnapStartException", DidNotRun, Spill::NotReady, 503);
        check(400, "InvalidRequestContentException", DidNotRun, Spill::Misconfigured, 502);
        check(413, "RequestTooLargeException", DidNotRun, Spill::TooLarge, 413);
        check(404, "ResourceNotFoundException", DidNotRun, Spill::Misconfigured, 502);
        check(403, "AccessDeniedException", DidNotRun, Spill::Misconfigured, 502);
        check(410, "EFSIOException", Unknown, Spill::Failed, 502);
        check(402, "ServiceQuotaExceededException", DidNotRun, Spill::Misconfigured, 502);
        check(502, "EC2ThrottledException", DidNotRun, Spill::NotReady, 503);
        check(502, "KMSDisabledException", DidNotRun, Spill::Misconfigured, 502);
        check(502, "InvalidSubnetIDException", DidNotRun, Spill::Misconfigured, 502);
        check(500, "ServiceException", Unknown, Spill::Failed, 502);
    }

    #[test]
    fn what_is_new_to_us_is_judged_by_its_status() {
        check(429, "", DidNotRun, Spill::Throttled, 503);
        check(409, "NewConflictException", DidNotRun, Spill::NotReady, 503);
        check(418, "NewException", DidNotRun, Spill::Misconfigured, 502);
        check(502, "NewException", DidNotRun, Spill::NotReady, 503);
        check(503, "", Unknown, Spill::Failed, 502);
    }

    #[test]
    fn throttles_are_told_apart_by_their_reason() {
        let of = |reason| {
            LambdaError::of_service(
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequestsException",
                reason,
            )
        };
        assert_eq!(of("CallerRateLimitExceeded").as_str(), "CallerRateLimitExceeded");
        assert_eq!(of("NewReason").as_str(), "TooManyRequestsException");
        // The name of another error is no reason of a throttle.
        assert_eq!(of("ServiceException").as_str(), "TooManyRequestsException");
        assert_eq!(of("").failure(Some(7)).retry_after, Some(7));
    }

    #[test]
    fn a_function_that_fails_has_run() {
        let of = |handled, kind, message| {
            let failure = LambdaError::of_function(handled, kind, message).failure(None);
            (failure.ran, failure.status.as_u16())
        };
        assert_eq!(
            of("Unhandled", "", "2026-11-21T00:00:00Z 1-2 Task timed out after 3.00 seconds"),
            (Ran, 504)
        );
        assert_eq!(of("Unhandled", "Sandbox.Timedout", ""), (Ran, 504));
        assert_eq!(of("Unhandled", "Runtime.ExitError", ""), (Ran, 502));
        assert_eq!(of("Handled", "ValueError", ""), (Ran, 502));
    }

    #[test]
    fn names_are_labels_and_each_is_there_once() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(LambdaError::find(row.name).unwrap().index(), index, "{}", row.name);
        }
    }
}
