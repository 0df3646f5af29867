//! What an invocation used, for the bill: as the adapter or Lambda's log reports it, or as seen from here.
//!
//! Invoke's answer shows neither the billed time nor whether the environment was new. The first [`LOGS_PER_SECOND`] calls of
//! each second ask for the end of their log, where Lambda reports the bill; the others go by what those taught. The adapter
//! tells both in headers, all but a part of a millisecond or two: it cannot see how long its answer takes to leave, nor how
//! long the event took to reach it. What it lacks on average is added before the millisecond is rounded up, so that sums are
//! right. Without the adapter a call is billed for what it took from here, less the time on the way.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use http::{HeaderMap, HeaderName};
use lambda_event::{
    log_tail::{self, Report},
    report,
};
use predictor::outcome::Usage;

/// Calls of a second that ask for the end of their log: all of a function that is called seldom, whose bill is exact then;
/// of one that is called often, so many that averages are good, and so few that their 4 KB do not count.
const LOGS_PER_SECOND: u32 = 128;

/// Calls that the average goes over by which the adapter is short.
const COMPARED_MAX: u32 = 255;

/// More than this it is never short of: something else was billed, such as an extension.
const SHORT_MAX_US: u32 = 50_000;

/// The header of an answer that has the end of the log.
const LOG_RESULT: &str = "x-amz-log-result";

/// What is known of a function's bills.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// The second that is under way, and the calls in it that asked for their log.
    second: AtomicU64,
    asked: AtomicU32,
    /// By how much the adapter's reports are short on average, in microseconds, and of how many that was learned.
    short_us: AtomicU32,
    compared: AtomicU32,
    /// Memory that its log reported; 0 when none did.
    memory_mb: AtomicU32,
    /// Time of a call that is not billed, in microseconds: an average that gives the latest sample an eighth.
    way_us: AtomicU32,
}

impl Meter {
    /// Tells whether a call `since` some fixed moment should ask for its log. Workers that begin a second at once may ask for a
    /// few more.
    pub(super) fn wants_log(&self, since: Duration) -> bool {
        if self.second.swap(since.as_secs(), Relaxed) != since.as_secs() {
            self.asked.store(0, Relaxed);
        }
        self.asked.fetch_add(1, Relaxed) < LOGS_PER_SECOND
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
        let log = answer.get(LOG_RESULT).and_then(|value| log_tail::read(value.as_bytes()));
        let reported = log.as_ref().map(|report| self.reported(report, took));
        let Some(told_ms) = number(response, &report::BILLED_MS) else {
            return reported.unwrap_or_else(|| self.estimate(took, assumed_mb));
        };
        let cold = cold_start(response);
        let told_us = number(response, &report::DURATION_US).filter(|_| cold == Some(false));
        let billed_ms = match (&log, &reported, told_us) {
            (Some(report), Some(usage), told_us) => {
                if let Some(told_us) = told_us.filter(|_| !report.is_cold()) {
                    self.compare(report.duration, told_us);
                }
                usage.billed_ms
            }
            (_, _, Some(told_us)) => {
                told_us.saturating_add(self.short_us.load(Relaxed)).div_ceil(1000)
            }
            (_, _, None) => told_ms,
        };
        Usage {
            billed_ms,
            memory_mb: number(response, &report::MEMORY_MB).unwrap_or(assumed_mb),
            estimated: false,
            cold_start: cold,
            runs: 1,
            provisioned: response.contains_key(&report::PROVISIONED),
        }
    }

    /// Learns by how much the adapter was short of a call. Workers that do so at once lose one lesson, and no more.
    fn compare(&self, took: Duration, told_us: u32) {
        let short_us = micros(took).saturating_sub(told_us);
        if short_us <= SHORT_MAX_US {
            let known = self.compared.load(Relaxed).min(COMPARED_MAX);
            let sum = self.short_us.load(Relaxed) * known + short_us;
            self.short_us.store(sum / (known + 1), Relaxed);
            self.compared.store(known + 1, Relaxed);
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

    /// The headers of an answer that has the end of a log.
    fn logged(duration_us: u32) -> HeaderMap {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        let billed_ms = duration_us.div_ceil(1000);
        let (ms, hundredths) = (duration_us / 1000, duration_us % 1000 / 10);
        let line = format!(
            "REPORT RequestId: 1\tDuration: {ms}.{hundredths:02} ms\tBilled Duration: {billed_ms} ms\tMemory Size: 512 MB\tMax Memory Used: 80 MB\t\n"
        );
        headers(&[(LOG_RESULT, &BASE64_STANDARD.encode(line))])
    }

    #[test]
    fn the_adapter_is_believed_and_what_its_reports_lack_is_added() {
        let meter = Meter::default();
        let told = |us: u32| {
            headers(&[
                ("x-pacer-billed-ms", &us.div_ceil(1000).to_string()),
                ("x-pacer-duration-us", &us.to_string()),
                ("x-pacer-memory-mb", "512"),
                ("x-pacer-cold-start", "0"),
            ])
        };
        let none = headers(&[]);
        let usage = meter.usage(&told(11_300), &none, ms(80), 1769);
        assert_eq!(
            usage,
            Usage {
                billed_ms: 12,
                memory_mb: 512,
                estimated: false,
                cold_start: Some(false),
                runs: 1,
                provisioned: false,
            }
        );
        // Lambda sees 0.3 to 0.5 ms more of each.
        for more in [300, 400, 500, 400] {
            let usage = meter.usage(&told(11_800), &logged(11_800 + more), ms(80), 1769);
            assert_eq!((usage.billed_ms, usage.memory_mb, usage.estimated), (13, 512, false));
        }
        // Of calls that take 11 to 12 ms, four in ten come to 13 ms then.
        let calls = (0..1000).map(|call| meter.usage(&told(11_001 + call), &none, ms(80), 1769));
        let sum: u32 = calls.map(|usage| usage.billed_ms).sum();
        assert!(sum.abs_diff(12_400) <= 2, "{sum}");
        // One that is far off is no lesson: something else was billed with it.
        meter.usage(&told(11_800), &logged(400_000), ms(500), 1769);
        assert_eq!(meter.usage(&told(11_500), &none, ms(80), 1769).billed_ms, 12);
        // A start is billed as the adapter tells it, or as the log does.
        let cold = headers(&[("x-pacer-billed-ms", "250"), ("x-pacer-cold-start", "1")]);
        let usage = meter.usage(&cold, &none, ms(300), 1769);
        assert_eq!((usage.billed_ms, usage.cold_start), (250, Some(true)));
    }

    #[test]
    fn a_log_is_asked_for_now_and_then_and_teaches_the_estimates_between() {
        let meter = Meter::default();
        let asks = |at: Duration| (0..200).filter(|_| meter.wants_log(at)).count();
        assert_eq!([ms(0), ms(999), ms(1000), ms(5000)].map(asks), [128, 0, 128, 128]);
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
