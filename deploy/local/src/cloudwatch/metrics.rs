//! Metrics: what was put, by minute, and what a query makes of it.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use crate::{clock, tasks::lock};

/// Minutes of values that are kept, of all metrics together. AWS has no such limit; the memory of this machine has: each
/// is some 50 bytes.
const MINUTES_MAX: usize = 4_000_000;
/// A minute and an hour in seconds.
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// What names a metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Metric {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) dimensions: BTreeMap<String, String>,
}

/// What a period's values come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistic {
    Sum,
    SampleCount,
    Average,
}

impl Statistic {
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "Sum" => Some(Self::Sum),
            "SampleCount" => Some(Self::SampleCount),
            "Average" => Some(Self::Average),
            _ => None,
        }
    }
}

/// Values, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Values {
    pub(crate) sum: f64,
    pub(crate) count: f64,
}

impl Values {
    fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    fn tell(self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Sum => self.sum,
            Statistic::SampleCount => self.count,
            Statistic::Average => self.sum / self.count,
        }
    }
}

/// What a query asks, in seconds since 1970: from `start`, up to and without `end`.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) metric: Metric,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// A multiple of a minute.
    pub(crate) period: u64,
    pub(crate) statistic: Statistic,
}

/// All metrics of the account.
#[derive(Debug, Default)]
pub(crate) struct CloudWatch(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By the minute's first second.
    metrics: BTreeMap<Metric, BTreeMap<u64, Values>>,
    minutes: usize,
}

impl CloudWatch {
    /// Adds values to the minute of `second`; false when there is no room for another minute.
    pub(crate) fn put(&self, metric: Metric, second: u64, values: Values) -> bool {
        let mut kept = lock(&self.0);
        let Kept { metrics, minutes } = &mut *kept;
        let minute = second - second % MINUTE;
        let series = metrics.entry(metric).or_default();
        if !series.contains_key(&minute) {
            if MINUTES_MAX <= *minutes {
                return false;
            }
            *minutes += 1;
        }
        series.entry(minute).or_default().add(values);
        true
    }

    /// The periods that have values, in the order of time: their first second, and what they come to.
    ///
    /// Periods begin at multiples of themselves, so that one that holds `start` is there as a whole.
    pub(crate) fn read(&self, query: &Query, now: SystemTime) -> Vec<(u64, f64)> {
        let now = clock::epoch_ms(now) / 1000;
        let kept = lock(&self.0);
        let Some(series) = kept.metrics.get(&query.metric) else { return Vec::new() };
        let start = query.start - query.start % query.period;
        if query.end <= start {
            return Vec::new();
        }
        let mut periods: BTreeMap<u64, Values> = BTreeMap::new();
        for (minute, values) in series.range(start..query.end) {
            let period = minute - minute % query.period;
            if query.period.is_multiple_of(finest(now.saturating_sub(period))) {
                periods.entry(period).or_default().add(*values);
            }
        }
        periods.into_iter().map(|(at, values)| (at, values.tell(query.statistic))).collect()
    }
}

/// The shortest period that there still is at an age: values of a minute are kept for 15 days, of five minutes for 63,
/// of an hour for 455 (CloudWatch user guide, "Metrics retention", read 2026-11). In seconds.
fn finest(age: u64) -> u64 {
    let days = Duration::from_secs(age).as_secs() / (24 * HOUR);
    match days {
        ..15 => MINUTE,
        15..63 => 5 * MINUTE,
        63..455 => HOUR,
        // No period is a multiple of that.
        455.. => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const DAY: u64 = 24 * HOUR;
    /// A moment that is a whole hour.
    const NOW: u64 = 1_800_000_000;

    fn metric(target: &str) -> Metric {
        Metric {
            namespace: "AWS/ApplicationELB".into(),
            name: "RequestCount".into(),
            dimensions: [("TargetGroup".to_owned(), target.to_owned())].into(),
        }
    }

    fn put(cloudwatch: &CloudWatch, second: u64, sum: f64) {
        assert!(cloudwatch.put(metric("a"), second, Values { sum, count: 2.0 }));
    }

    fn read(cloudwatch: &CloudWatch, (start, end): (u64, u64), period: u64) -> Vec<(u64, f64)> {
        let statistic = Statistic::Sum;
        let query = Query { metric: metric("a"), start, end, period, statistic };
        cloudwatch.read(&query, UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[test]
    fn values_are_added_up_by_period() {
        let cloudwatch = CloudWatch::default();
        let start = NOW - HOUR;
        for (second, sum) in [(0, 1.0), (59, 2.0), (60, 4.0), (299, 8.0), (300, 16.0), (600, 32.0)]
        {
            put(&cloudwatch, start + second, sum);
        }
        let all = (start, start + 600);
        assert_eq!(
            read(&cloudwatch, all, 60),
            [(start, 3.0), (start + 60, 4.0), (start + 240, 8.0), (start + 300, 16.0)],
            "the end is not in it"
        );
        assert_eq!(read(&cloudwatch, all, 300), [(start, 15.0), (start + 300, 16.0)]);
        assert_eq!(read(&cloudwatch, (start + 200, start + 300), 300), [(start, 15.0)]);
        assert_eq!(read(&cloudwatch, (start + 600, start + 600), 60), []);
        let ask = |statistic, metric| {
            let query = Query { metric, start, end: start + 300, period: 300, statistic };
            cloudwatch.read(&query, UNIX_EPOCH + Duration::from_secs(NOW))
        };
        assert_eq!(ask(Statistic::SampleCount, metric("a")), [(start, 8.0)]);
        assert_eq!(ask(Statistic::Average, metric("a")), [(start, 15.0 / 8.0)]);
        assert_eq!(ask(Statistic::Sum, metric("b")), []);
    }

    #[test]
    fn what_is_older_is_there_in_coarser_periods_only() {
        let cloudwatch = CloudWatch::default();
        let ages = [14, 16, 64, 456];
        for age in ages {
            put(&cloudwatch, NOW - age * DAY, 1.0);
        }
        let ages_in = |period| -> Vec<u64> {
            let read = read(&cloudwatch, (0, NOW), period);
            read.into_iter().map(|(at, _)| (NOW - at) / DAY).collect()
        };
        assert_eq!(ages_in(60), [14]);
        assert_eq!(ages_in(300), [16, 14]);
        assert_eq!(ages_in(3600), [64, 16, 14]);
    }
}
