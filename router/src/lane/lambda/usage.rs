//! What an invocation used, for the bill: as the adapter or Lambda's log reports it, or as seen from here.
//!
//! Invoke's answer shows neither the billed time nor whether the environment was new. The adapter tells both in headers.
//! For functions without it, one call in [`SAMPLE`] asks for the end of its log, where Lambda reports the bill; the calls
//! between are estimated with what those taught: the time on the way, which is not billed, and the function's real memory.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use http::{HeaderMap, HeaderName};
use lambda_event::{
    log_tail::{self, Report},
    report,
};
use predictor::outcome::Usage;

/// One call in so many asks for its log: often enough to follow a function whose memory is changed, seldom enough that
/// its 4 KB do not count.
const SAMPLE: u32 = 32;

/// The header of an answer that has the end of the log.
const LOG_RESULT: &str = "x-amz-log-result";

/// What is known of a function's bills.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// The adapter reported the last call: no log is needed.
    reported: AtomicBool,
    calls: AtomicU32,
    /// Memory that its log reported; 0 when none did.
    memory_mb: AtomicU32,
    /// Time of a call that is not billed, in microseconds: an average that gives the latest sample an eighth.
    way_us: AtomicU32,
}

impl Meter {
    /// Tells whether this call should ask for its log.
    pub(super) fn wants_log(&self) -> bool {
        !self.reported.load(Relaxed) && self.calls.fetch_add(1, Relaxed).is_multiple_of(SAMPLE)
    }

    /// Returns what a call used that took `took`. `response` are the headers of the function, `answer` those of Lambda,
    /// and `assumed_mb` is the memory to assume while none was reported.
    pub(super) fn usage(
        &self,
        response: &HeaderMap,
        answer: &HeaderMap,
        took: Duration,
        assumed_mb: u32,
    ) -> Usage {
        let billed_ms = number(response, &report::BILLED_MS);
        self.reported.store(billed_ms.is_some(), Relaxed);
        if let Some(billed_ms) = billed_ms {
            return Usage {
                billed_ms,
                memory_mb: number(response, &report::MEMORY_MB).unwrap_or(assumed_mb),
                estimated: false,
                cold_start: cold_start(response),
                runs: 1,
                provisioned: response.contains_key(&report::PROVISIONED),
            };
        }
        let log = answer.get(LOG_RESULT).and_then(|value| log_tail::read(value.as_bytes()));
        match log {
            Some(report) => self.reported(&report, took),
            None => self.estimate(took, assumed_mb),
        }
    }

    /// Takes note of what Lambda's log reported of a call that took `took`.
    pub(super) fn reported(&self, report: &Report, took: Duration) -> Usage {
        let billed = report.billed + report.billed_restore.unwrap_or_default();
        if !report.is_cold() {
            let way = micros(took.saturating_sub(report.duration));
            let known = self.way_us.load(Relaxed);
            let average = if known == 0 { way } else { known - known / 8 + way / 8 };
            self.way_us.store(average, Relaxed);
        }
        self.memory_mb.store(report.memory_mb, Relaxed);
        Usage {
            billed_ms: u32::try_from(billed.as_millis()).unwrap_or(u32::MAX),
            memory_mb: report.memory_mb,
            estimated: false,
            cold_start: Some(report.is_cold()),
            runs: 1,
            provisioned: false,
        }
    }

    /// Returns what a call used that took `took` and of which nothing was reported.
    pub(super) fn estimate(&self, took: Duration, assumed_mb: u32) -> Usage {
        let way = Duration::from_micros(u64::from(self.way_us.load(Relaxed)));
        let memory_mb = match self.memory_mb.load(Relaxed) {
            0 => assumed_mb,
            known => known,
        };
        Usage::estimate(took.saturating_sub(way), memory_mb)
    }
}

/// Returns what the adapter tells of its start.
pub(super) fn cold_start(response: &HeaderMap) -> Option<bool> {
    number(response, &report::COLD_START).map(|cold| cold != 0)
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u32> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_adapter_is_believed_and_makes_logs_needless() {
        let meter = Meter::default();
        assert!(meter.wants_log());
        let reported = headers(&[
            ("x-pacer-billed-ms", "12"),
            ("x-pacer-memory-mb", "512"),
            ("x-pacer-cold-start", "1"),
        ]);
        let usage = meter.usage(&reported, &headers(&[]), ms(80), 1769);
        assert_eq!(
            usage,
            Usage {
                billed_ms: 12,
                memory_mb: 512,
                estimated: false,
                cold_start: Some(true),
                runs: 1,
                provisioned: false,
            }
        );
        assert!((0..2 * SAMPLE).all(|_| !meter.wants_log()));
        // A function that is deployed without it later is sampled again.
        let none = headers(&[]);
        meter.usage(&none, &none, ms(30), 1769);
        assert!((0..SAMPLE).any(|_| meter.wants_log()));
    }

    #[test]
    fn a_log_is_asked_for_now_and_then_and_teaches_the_estimates_between() {
        let meter = Meter::default();
        assert_eq!((0..2 * SAMPLE).filter(|_| meter.wants_log()).count(), 2);
        let none = headers(&[]);
        // Before any report: all of the time, and the memory that policy assumes.
        assert_eq!(meter.usage(&none, &none, ms(30), 1769), Usage::estimate(ms(30), 1769));
        let line = "REPORT RequestId: 1\tDuration: 19.20 ms\tBilled Duration: 20 ms\tMemory Size: 1024 MB\tMax Memory Used: 80 MB\t\n";
        let report = log_tail::read_log(line.as_bytes()).expect("a REPORT line");
        let usage = meter.reported(&report, ms(27));
        assert_eq!((usage.billed_ms, usage.memory_mb, usage.estimated), (20, 1024, false));
        // 7.8 ms of 27 were the way.
        let usage = meter.usage(&none, &none, ms(50), 1769);
        assert_eq!((usage.billed_ms, usage.memory_mb, usage.estimated), (43, 1024, true));
    }
}
