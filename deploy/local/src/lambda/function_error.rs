//! An error of a function or its runtime: to the caller a 200 with `X-Amz-Function-Error`.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::{clock, lambda::runtime_api::RESULT_BYTES_MAX};

/// What a caller is told of an invocation that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionError {
    /// `errorMessage`, `errorType` and what else was reported.
    pub(crate) body: Value,
    /// Reported as one the function handled.
    pub(crate) handled: bool,
}

impl FunctionError {
    /// An error of Lambda's own, like `Runtime.ExitError`.
    pub(crate) fn of_runtime(kind: &str, message: &str) -> Self {
        Self { body: json!({ "errorType": kind, "errorMessage": message }), handled: false }
    }

    /// What a runtime reported, with the type its header said.
    pub(crate) fn reported(kind: Option<&str>, body: &[u8]) -> Self {
        let kind = kind.unwrap_or("Runtime.Unknown");
        let body = match serde_json::from_slice(body) {
            Ok(Value::Object(body)) => Value::Object(body),
            _ => json!({ "errorType": kind, "errorMessage": String::from_utf8_lossy(body) }),
        };
        Self { body, handled: kind == "Handled" }
    }

    /// An invocation that took too long.
    pub(crate) fn timed_out(request_id: &str, timeout: Duration) -> Self {
        let now = clock::timestamp(SystemTime::now());
        let seconds = timeout.as_secs_f64();
        Self::of_runtime(
            "Sandbox.Timedout",
            &format!("{now} {request_id} Task timed out after {seconds:.2} seconds"),
        )
    }

    /// A process that ended in the middle; `how` is like `exit status 1`.
    pub(crate) fn exited(request_id: &str, how: &str) -> Self {
        let message = format!("RequestId: {request_id} Error: Runtime exited with error: {how}");
        Self::of_runtime("Runtime.ExitError", &message)
    }

    /// A result above what a buffered invocation may answer.
    pub(crate) fn result_too_large() -> Self {
        let message = format!(
            "Response payload size exceeded maximum allowed payload size ({RESULT_BYTES_MAX} bytes)."
        );
        Self::of_runtime("Function.ResponseSizeTooLarge", &message)
    }

    /// `errorType`.
    pub(crate) fn kind(&self) -> &str {
        self.body["errorType"].as_str().unwrap_or("Runtime.Unknown")
    }

    /// `errorMessage`.
    pub(crate) fn message(&self) -> String {
        self.body["errorMessage"].as_str().unwrap_or_default().to_owned()
    }

    /// The value of `X-Amz-Function-Error`.
    pub(crate) fn header(&self) -> &'static str {
        if self.handled { "Handled" } else { "Unhandled" }
    }
}
