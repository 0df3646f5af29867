//! One schedule: when it calls its target, and what becomes of it then.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::time::Instant;

use crate::clock::Scale;

/// Pause before a call that failed is repeated; doubled with each failure up to the longest, divided by the time scale. The
/// user guide says "exponential backoff" and no more.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_mins(1);
/// The shortest such pause: real time, whatever the time scale.
const BACKOFF_MIN: Duration = Duration::from_millis(20);

/// What becomes of a schedule that has called its target, or has given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterCompletion {
    None,
    Delete,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It may succeed later.
    Failed,
    /// It never will.
    Refused,
}

/// One schedule.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) arn: String,
    /// What it was made or last changed with, as it was asked.
    pub(super) asked: super::api::Asked,
    pub(super) client_token: Option<String>,
    pub(crate) created: SystemTime,
    pub(crate) modified: SystemTime,
    /// The moment it names.
    pub(crate) at: SystemTime,
    pub(crate) after_completion: AfterCompletion,
    /// What `UpdateService` is called with, in the words of its own API.
    pub(crate) input: Value,
    /// When it calls, or calls again; nothing once it has, or when it is disabled.
    pub(crate) due: Option<Instant>,
    pub(super) retries_left: u32,
    /// How long after the first call it is repeated at most. Divided by the time scale.
    pub(super) age_max: Duration,
    pub(super) first_call: Option<Instant>,
    /// Calls that failed and are repeated.
    pub(crate) failures: u32,
}

impl Schedule {
    /// Notes how a call ended; true when it was the last.
    pub(super) fn called(&mut self, outcome: Outcome, now: Instant, scale: Scale) -> bool {
        self.due = None;
        let first = *self.first_call.get_or_insert(now);
        if outcome != Outcome::Failed || self.retries_left == 0 {
            return true;
        }
        // 2^6 s is above the longest pause.
        let nominal = (BACKOFF * (1 << self.failures.min(6))).min(BACKOFF_MAX);
        let again = now + scale.shrink(nominal).max(BACKOFF_MIN);
        if first + scale.shrink(self.age_max) < again {
            return true;
        }
        self.failures += 1;
        self.retries_left -= 1;
        self.due = Some(again);
        false
    }

    /// `at(...)`, as it was asked.
    pub(crate) fn expression(&self) -> &str {
        self.asked.expression()
    }
}
