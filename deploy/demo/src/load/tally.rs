//! What came of the requests, by route.
//!
//! Counts and a histogram, no list of requests: the size does not grow with the length of the demo.

use std::{collections::BTreeMap, time::Duration};

use super::mix::Route;

/// All routes' results.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    routes: [Results; 3],
    failures: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
}

/// Different texts kept of each kind (failures, reasons); a broken gateway must not fill memory with new ones.
const TEXTS_MAX: usize = 64;
/// Stands for all further texts.
const OTHERS: &str = "others";

/// One route's results.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// Requests that were due.
    pub sent: u64,
    /// Requests answered in full with the right kind of answer.
    pub ok: u64,
    /// Requests answered otherwise, or not at all.
    pub failed: u64,
    /// Answers from the Lambda lane.
    pub lambda: u64,
    /// Answers from the container lane.
    pub container: u64,
    /// Time from when a request was due to the last byte of its answer, of those that were ok.
    pub latency: Latency,
}

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Answered in full with the right kind of answer, so long after it was due.
    Ok(Duration),
    /// Anything else, in a few words.
    Failed(String),
}

impl Tally {
    /// Notes that a request was due.
    pub fn sent(&mut self, route: Route) {
        self.routes[route.index()].sent += 1;
    }

    /// Notes how a request ended, and the gateway's decision if its answer carried one.
    pub fn ended(&mut self, route: Route, end: End, decision: Option<&str>) {
        let results = &mut self.routes[route.index()];
        match decision.and_then(|decision| value(decision, "lane")) {
            Some("lambda") => results.lambda += 1,
            Some("container") => results.container += 1,
            _ => {}
        }
        match end {
            End::Ok(latency) => {
                results.ok += 1;
                results.latency.add(latency);
            }
            End::Failed(why) => {
                results.failed += 1;
                bump(&mut self.failures, &why);
            }
        }
        if let Some(reason) = decision.and_then(|decision| value(decision, "reason")) {
            bump(&mut self.reasons, reason);
        }
    }

    /// Returns a route's results.
    pub const fn route(&self, route: Route) -> &Results {
        &self.routes[route.index()]
    }

    /// Returns the results of all routes together: sent, ok, failed.
    pub fn totals(&self) -> (u64, u64, u64) {
        self.routes
            .iter()
            .fold((0, 0, 0), |(sent, ok, failed), r| (sent + r.sent, ok + r.ok, failed + r.failed))
    }

    /// Returns the failures by kind, most frequent first.
    pub fn failures(&self) -> Vec<(&str, u64)> {
        by_count(&self.failures)
    }

    /// Returns the gateway's reasons, most frequent first.
    pub fn reasons(&self) -> Vec<(&str, u64)> {
        by_count(&self.reasons)
    }
}

/// Returns the value of `key` in a decision: `lane=lambda class=sprinter reason=learned`.
fn value<'a>(decision: &'a str, key: &str) -> Option<&'a str> {
    decision.split_ascii_whitespace().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

fn bump(counts: &mut BTreeMap<String, u64>, text: &str) {
    let text = if counts.len() < TEXTS_MAX || counts.contains_key(text) { text } else { OTHERS };
    *counts.entry(text.to_owned()).or_default() += 1;
}

fn by_count(counts: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut counts: Vec<_> = counts.iter().map(|(text, &count)| (text.as_str(), count)).collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    counts
}

/// Latencies, in buckets at most 1.6 % wide: exact microseconds up to 128, then 64 buckets for each doubling.
#[derive(Debug, Clone, Default)]
pub struct Latency {
    buckets: Vec<u64>,
    count: u64,
}

impl Latency {
    /// Adds one; what exceeds 71 minutes counts as that.
    pub fn add(&mut self, latency: Duration) {
        let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        let bucket = bucket_of(micros);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
    }

    /// Returns the latency that `share` (0 to 1) of all stay within, rounded up to its bucket; `None` when there are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut below = 0;
        let bucket = self.buckets.iter().position(|&count| {
            below += count;
            rank <= below
        })?;
        Some(Duration::from_micros(last_of(bucket)))
    }
}

fn bucket_of(micros: u32) -> usize {
    let doublings = micros.max(64).ilog2() - 6;
    (doublings * 64 + (micros >> doublings)) as usize
}

/// Returns the highest microsecond that falls into `bucket`.
const fn last_of(bucket: usize) -> u64 {
    if bucket < 128 {
        return bucket as u64;
    }
    let doublings = bucket / 64 - 1;
    ((bucket - doublings * 64 + 1) as u64 * (1 << doublings)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_meet_without_gap() {
        let mut last = None;
        for bucket in 0..1700 {
            let upper = last_of(bucket);
            let lower = last.map_or(0, |last: u64| last + 1);
            for edge in [lower, upper] {
                assert_eq!(bucket_of(edge as u32), bucket, "{edge}");
            }
            assert!(
                (upper - lower) as f64 <= lower as f64 / 63.0,
                "bucket {bucket}: {lower} to {upper}"
            );
            last = Some(upper);
        }
        assert_eq!(last_of(bucket_of(u32::MAX)), u64::from(u32::MAX));
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.99), None);
        for ms in 1..=100 {
            latency.add(Duration::from_millis(ms));
        }
        for (share, ms) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let found = latency.quantile(share).unwrap().as_secs_f64() * 1000.0;
            assert!((ms..ms * 1.017).contains(&found), "{share}: {found}");
        }
    }

    #[test]
    fn a_decision_gives_lane_and_reason() {
        let mut tally = Tally::default();
        tally.sent(Route::Thumb);
        tally.ended(
            Route::Thumb,
            End::Ok(Duration::from_millis(3)),
            Some("lane=lambda class=sprinter reason=learned"),
        );
        tally.sent(Route::Render);
        tally.ended(
            Route::Render,
            End::Failed("status 503".to_owned()),
            Some("reason=refused class=marathon"),
        );
        tally.sent(Route::Render);
        assert_eq!(tally.totals(), (3, 1, 1));
        assert_eq!(
            (tally.route(Route::Thumb).lambda, tally.route(Route::Render).container),
            (1, 0)
        );
        assert_eq!(tally.failures(), [("status 503", 1)]);
        assert_eq!(tally.reasons(), [("learned", 1), ("refused", 1)]);
    }

    #[test]
    fn many_different_texts_stay_bounded() {
        let mut tally = Tally::default();
        for n in 0..1000 {
            tally.ended(Route::Thumb, End::Failed(format!("odd {n}")), None);
        }
        assert_eq!(tally.failures().len(), TEXTS_MAX + 1);
        assert_eq!(tally.failures()[0], (OTHERS, 1000 - TEXTS_MAX as u64));
    }
}
