//! Faults of Lambda: what a test orders.

use std::time::Duration;

use serde::Deserialize;

use crate::units;

mod kinds;
mod pending;

pub use kinds::{EXCEPTIONS, FUNCTION_ERRORS, PayloadFault, StreamFault, ThrottleReason, When};
pub(crate) use pending::{InvokeFault, LambdaFaults, Refusal};

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

fn once() -> usize {
    1
}

fn all() -> u8 {
    100
}

fn unavailable() -> u16 {
    503
}
