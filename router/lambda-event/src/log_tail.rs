//! What Lambda's log says an invoke cost: the REPORT line at the end of `X-Amz-Log-Result`.
//!
//! For functions without the adapter, which reports more. With `X-Amz-Log-Type: Tail` Invoke returns the last 4 KB of the
//! log; the platform's line is its last. A function can write such a line itself, so what is read here is an estimate:
//! good for averages, not for an account. Sources: "Using CloudWatch logs with Lambda", "Monitoring for Lambda SnapStart"
//! and "Lambda Telemetry API event schema reference" (AWS documentation, November 2026).

mod json;
mod text;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The cost of one invoke, as the platform logged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The id of the invoke, as in the answer's `x-amzn-RequestId`.
    pub request_id: String,
    /// How long the handler ran, to the microsecond.
    pub duration: Duration,
    /// The time on the bill, in whole milliseconds. Since August 2025 it includes [`init`](Report::init).
    pub billed: Duration,
    /// Memory size of the function, in MiB as Lambda counts it.
    pub memory_mb: u32,
    /// The most memory that the environment has used since it started, in MiB.
    pub memory_used_mb: u32,
    /// How long the environment took to start; only of the first invoke, and never with SnapStart.
    pub init: Option<Duration>,
    /// How long the snapshot took to be restored; only of the first invoke, with SnapStart.
    pub restore: Option<Duration>,
    /// The part of [`restore`](Report::restore) that is billed, beside [`billed`](Report::billed).
    pub billed_restore: Option<Duration>,
}

impl Report {
    /// Returns whether this invoke was its environment's first, as far as it tells: with provisioned concurrency the
    /// start is logged apart.
    #[must_use]
    pub fn is_cold(&self) -> bool {
        self.init.is_some() || self.restore.is_some()
    }
}

/// Reads the value of `X-Amz-Log-Result`: base64 of the end of a log, in the text or the JSON log format.
///
/// Returns `None` when there is no whole report in it: a function logs more than 4 KB after its handler has returned.
#[must_use]
pub fn read(log_result: &[u8]) -> Option<Report> {
    let log = STANDARD.decode(log_result).ok()?;
    read_log(&log)
}

/// Reads the last report in the text of a log, which may begin anywhere, within a character too.
#[must_use]
pub fn read_log(log: &[u8]) -> Option<Report> {
    let log = String::from_utf8_lossy(log);
    log.lines().rev().find_map(|line| text::read(line).or_else(|| json::read(line)))
}
