//! What became of each service's requests in the last minute: for people, who ask how it is now.
//!
//! Counters never fall, so a window is the difference between two looks at them. A look is taken every ten seconds.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::telemetry::{
    series::Series,
    shard::{Counter, LATENCY_BOUNDS_US, RouteLane},
};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How many looks are kept: a minute.
const LOOKS: usize = 7;

/// The looks of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Looks(VecDeque<(Instant, BTreeMap<Arc<str>, Counted>)>);

/// What was counted of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Requests finished.
    pub(crate) requests: u64,
    /// Of these, answered with a status from 500.
    pub(crate) errors: u64,
    /// Of these, ended by a server error, before or within the answer.
    pub(crate) failed: u64,
    /// Of these, slower than the objective of their route.
    pub(crate) late: u64,
    /// By latency as clients saw it.
    buckets: [u64; LATENCY_BOUNDS_US.len() + 1],
}

/// What was counted of a service lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lately {
    /// Over how long.
    pub(crate) over: Duration,
    /// What.
    pub(crate) counted: Counted,
}

impl Looks {
    /// Takes a look when one is due.
    pub(super) fn look(&mut self, series: &Series, now: Instant) {
        let due = self.0.back().is_none_or(|(last, _)| LOOK_EVERY <= now.duration_since(*last));
        if !due {
            return;
        }
        if self.0.len() == LOOKS {
            self.0.pop_front();
        }
        self.0.push_back((now, count(series)));
    }

    /// Returns what each service has counted since the oldest look.
    pub(super) fn lately(&self, series: &Series, now: Instant) -> BTreeMap<Arc<str>, Lately> {
        let Some((since, before)) = self.0.front() else { return BTreeMap::new() };
        let over = now.duration_since(*since);
        let lately = |(service, counted): (Arc<str>, Counted)| {
            let counted = counted.since(before.get(&service));
            (service, Lately { over, counted })
        };
        count(series).into_iter().map(lately).collect()
    }
}

fn count(series: &Series) -> BTreeMap<Arc<str>, Counted> {
    let mut all: BTreeMap<Arc<str>, Counted> = BTreeMap::new();
    for route in series.list() {
        let counted = all.entry(route.service.clone()).or_default();
        for lane in route.workers.iter().flat_map(|lanes| lanes.iter()) {
            counted.add(lane);
        }
    }
    all
}

impl Counted {
    fn add(&mut self, lane: &RouteLane) {
        self.requests += lane.status.iter().map(Counter::get).sum::<u64>();
        self.errors += lane.status[5].get();
        self.failed += lane.failed.get();
        self.late += lane.late.get();
        let counters = self.buckets.iter_mut().zip(&lane.latency.buckets);
        counters.for_each(|(sum, bucket)| *sum += bucket.get());
    }

    fn since(mut self, before: Option<&Self>) -> Self {
        if let Some(before) = before {
            self.requests = self.requests.saturating_sub(before.requests);
            self.errors = self.errors.saturating_sub(before.errors);
            self.failed = self.failed.saturating_sub(before.failed);
            self.late = self.late.saturating_sub(before.late);
            let counters = self.buckets.iter_mut().zip(before.buckets);
            counters.for_each(|(now, then)| *now = now.saturating_sub(then));
        }
        self
    }

    /// Returns a bound that a share `q` of all requests stayed below, in microseconds; `None` without requests, or when it
    /// lies above the last bound.
    pub(crate) fn quantile_at_most_us(&self, q: f64) -> Option<u32> {
        let total: u64 = self.buckets.iter().sum();
        let wanted = (total as f64 * q).ceil() as u64;
        let mut seen = 0;
        let reaches = |bucket: &u64| {
            seen += bucket;
            0 < wanted && wanted <= seen
        };
        let place = self.buckets.iter().position(reaches)?;
        LATENCY_BOUNDS_US.get(place).copied()
    }
}

#[cfg(test)]
mod tests {
    use policies::decide::Lane;

    use super::*;
    use crate::{fixture, telemetry::series::Series};

    fn of(looks: &Looks, service: &str, series: &Series, now: Instant) -> Lately {
        looks.lately(series, now).remove(service).unwrap_or_default()
    }

    #[test]
    fn the_window_is_a_minute_and_older_requests_are_forgotten() {
        let world = fixture::world(&fixture::policy(fixture::POLICY));
        let series = Series::of(&world);
        let start = Instant::now();
        let count = |status: u16, us: u32| {
            let route = fixture::route(&world.policy, "/render");
            let mut outcome = fixture::outcome(&world, route, Lane::Container, us);
            outcome.status = status;
            fixture::shard(1).count(&outcome, &world);
        };
        let mut looks = Looks::default();
        looks.look(&series, start);
        (0..99).for_each(|_| count(200, 1_000));
        count(503, 90_000);
        let lately = of(&looks, "film", &series, start + Duration::from_secs(5));
        assert_eq!((lately.counted.requests, lately.counted.errors), (100, 1));
        assert_eq!(
            lately.counted.quantile_at_most_us(0.99),
            Some(5_000),
            "1 ms and 2 ms of overhead"
        );
        assert_eq!(lately.counted.quantile_at_most_us(1.0), Some(100_000));
        assert_eq!((lately.counted.failed, lately.counted.late), (1, 0), "no objective");
        assert_eq!(of(&looks, "report", &series, start).counted, Counted::default());
        for seconds in (1..=70).map(|seconds| start + Duration::from_secs(seconds)) {
            looks.look(&series, seconds);
        }
        let lately = of(&looks, "film", &series, start + Duration::from_secs(70));
        assert_eq!((lately.over.as_secs(), lately.counted.requests), (60, 0));
    }
}
