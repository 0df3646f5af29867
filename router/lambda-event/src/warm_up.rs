//! The event that makes Lambda start an environment without any work being done.
//!
//! A SnapStart function cannot have provisioned concurrency, so environments are made by invokes that overlap:
//! each is held open for a moment by the adapter, which answers it itself. A function without the adapter would
//! take the event for work; the gateway sends it only where it was told that the adapter answers.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use crate::json;

/// The longest an environment may be held, whatever the event says.
///
/// Overlap needs only the spread of the invokes' arrival, well below a second; each held second is billed.
pub const HOLD_MAX: Duration = Duration::from_secs(10);

/// Longer payloads are not looked at: a warm-up event has some fifty bytes, and others need not be parsed twice.
const PAYLOAD_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    pacer: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WarmUp {
    #[serde(rename = "warm-up")]
    warm_up: Hold,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hold {
    hold_ms: u64,
}

/// What the adapter says of the environment that a warm-up event reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Answer<'a> {
    /// The environment's id, as in [`report::ENVIRONMENT`](crate::report::ENVIRONMENT).
    pub environment: Cow<'a, str>,
    /// Whether this event was the environment's first, so that it was started for it.
    pub cold_start: bool,
}

/// Writes `{"pacer":{"warm-up":{"hold_ms":…}}}`; the hold is cut to whole milliseconds.
pub fn write(out: &mut Vec<u8>, hold: Duration) {
    let hold_ms = u64::try_from(hold.as_millis()).unwrap_or(u64::MAX);
    out.extend_from_slice(br#"{"pacer":{"warm-up":{"hold_ms":"#);
    out.extend_from_slice(itoa::Buffer::new().format(hold_ms).as_bytes());
    out.extend_from_slice(b"}}}");
}

/// Returns how long to hold the environment, at most [`HOLD_MAX`], when `payload` is a warm-up event.
#[must_use]
pub fn read(payload: &[u8]) -> Option<Duration> {
    if PAYLOAD_BYTES_MAX < payload.len() {
        return None;
    }
    let event: Envelope<WarmUp> = serde_json::from_slice(payload).ok()?;
    Some(Duration::from_millis(event.pacer.warm_up.hold_ms).min(HOLD_MAX))
}

/// Writes `{"pacer":{"environment":"…","cold_start":…}}`.
pub fn write_answer(out: &mut Vec<u8>, answer: &Answer<'_>) {
    out.extend_from_slice(br#"{"pacer":{"environment":"#);
    json::string(out, &answer.environment);
    out.extend_from_slice(br#","cold_start":"#);
    out.extend_from_slice(if answer.cold_start { b"true" } else { b"false" });
    out.extend_from_slice(b"}}");
}

/// Returns what the adapter answered; `None` shows that something else did.
#[must_use]
pub fn read_answer(payload: &[u8]) -> Option<Answer<'_>> {
    serde_json::from_slice::<Envelope<Answer<'_>>>(payload).ok().map(|envelope| envelope.pacer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_is_what_the_other_side_was_told() {
        let mut event = Vec::new();
        write(&mut event, Duration::from_millis(100));
        assert_eq!(event, br#"{"pacer":{"warm-up":{"hold_ms":100}}}"#);
        assert_eq!(read(&event), Some(Duration::from_millis(100)));
    }

    #[test]
    fn an_endless_hold_is_cut() {
        assert_eq!(read(br#"{"pacer":{"warm-up":{"hold_ms":99999999}}}"#), Some(HOLD_MAX));
    }

    #[test]
    fn a_request_is_no_warm_up() {
        assert_eq!(read(br#"{"version":"2.0","pacer":{"warm-up":{"hold_ms":1}}}"#), None);
        assert_eq!(read(b"{}"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn the_answer_round_trips() {
        let answer = Answer { environment: "2026/11/21/[$LATEST]ab".into(), cold_start: true };
        let mut out = Vec::new();
        write_answer(&mut out, &answer);
        assert_eq!(read_answer(&out), Some(answer));
        assert_eq!(read_answer(b"null"), None);
    }
}
