//! How much there is of what a second: the difference between two looks at the counters.
//!
//! While somebody watches, there is a look a second, and rates are over five; else one every ten seconds, so that who comes
//! sees rates at once. A look is what is counted of routes without its histograms: some 150 bytes a route.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use policies::decide::{Class, Reason};
use predictor::outcome::{End, Spill};
use tokio::time::Instant;

use crate::{
    control::Shared,
    telemetry::{
        series::{RouteSeries, Series},
        shard::{Counter, Shard},
    },
};

/// Over how long rates are told: a second alone jumps, ten lag behind.
const OVER: Duration = Duration::from_secs(5);

/// Time between two looks while nobody watches.
const UNWATCHED: Duration = Duration::from_secs(10);

/// What was counted of one route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RouteCount {
    /// Requests finished, by lane: Lambda, container, none.
    pub(super) ran: [u64; 3],
    /// Requests by the lane that they would have had with nothing in its way.
    pub(super) asked: [u64; 3],
    /// Requests that a server error ended, before or within the answer.
    pub(super) failed: u64,
    /// Requests that started a new environment.
    pub(super) cold: u64,
    /// Requests finished, by class and lane; those that were never decided have none.
    pub(super) flows: Flows,
}

/// By class, in the order of [`Class::ALL`], and lane.
pub(super) type Flows = [[u64; 3]; Class::ALL.len()];

impl RouteCount {
    fn of(route: &RouteSeries) -> Self {
        let mut count = Self::default();
        for lanes in &route.workers {
            for (lane, counters) in lanes.iter().enumerate() {
                count.ran[lane] += counters.status.iter().map(Counter::get).sum::<u64>();
                count.asked[lane] += counters.asked.get();
                count.failed += counters.failed.get();
                for (class, used) in counters.used.iter().enumerate() {
                    count.flows[class][lane] += used.requests.get();
                    count.cold += used.cold_starts.get();
                }
            }
        }
        count
    }

    fn since(&self, before: &Self) -> Self {
        let less = |now: [u64; 3], then: [u64; 3]| {
            std::array::from_fn(|lane| now[lane].saturating_sub(then[lane]))
        };
        Self {
            ran: less(self.ran, before.ran),
            asked: less(self.asked, before.asked),
            failed: self.failed.saturating_sub(before.failed),
            cold: self.cold.saturating_sub(before.cold),
            flows: std::array::from_fn(|class| less(self.flows[class], before.flows[class])),
        }
    }

    /// Adds what was counted of another route.
    pub(super) fn add(&mut self, other: &Self) {
        for lane in 0..self.ran.len() {
            self.ran[lane] += other.ran[lane];
            self.asked[lane] += other.asked[lane];
            for class in 0..self.flows.len() {
                self.flows[class][lane] += other.flows[class][lane];
            }
        }
        self.failed += other.failed;
        self.cold += other.cold;
    }

    /// Requests finished on any lane.
    pub(super) fn requests(&self) -> u64 {
        self.ran.iter().sum()
    }
}

/// What was counted of all requests together.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    /// Decisions, by reason.
    pub(super) reasons: [u64; Reason::ALL.len()],
    /// Requests that left Lambda, and a container, after it was tried, by cause.
    pub(super) spills: [[u64; Spill::ALL.len()]; 2],
    /// How requests ended.
    pub(super) ends: [u64; End::ALL.len()],
    /// Requests sent again.
    pub(super) retries: u64,
}

impl Totals {
    fn of(shards: &[Arc<Shard>]) -> Self {
        let sum = |of: &dyn Fn(&Shard) -> &Counter| -> u64 {
            shards.iter().map(|shard| of(shard).get()).sum()
        };
        Self {
            reasons: std::array::from_fn(|reason| {
                (0..3).map(|lane| sum(&|shard| &shard.reasons[lane][reason])).sum()
            }),
            spills: std::array::from_fn(|from| {
                std::array::from_fn(|cause| sum(&|shard| &shard.spills[from][cause]))
            }),
            ends: std::array::from_fn(|end| sum(&|shard| &shard.ends[end])),
            retries: sum(&|shard| &shard.retries),
        }
    }
}

/// One look.
#[derive(Debug)]
struct Look {
    at: Instant,
    routes: Vec<(Arc<str>, Arc<str>, RouteCount)>,
    totals: Totals,
}

impl Look {
    fn at(shared: &Shared, at: Instant) -> Self {
        let route = |route: &RouteSeries| {
            (route.route.clone(), route.service.clone(), RouteCount::of(route))
        };
        Self {
            at,
            routes: Series::list(&shared.series()).iter().map(route).collect(),
            totals: Totals::of(shared.shards()),
        }
    }

    /// Returns what was counted of a route, which most likely stands at `place`.
    fn of(&self, place: usize, route: &str, service: &str) -> Option<&RouteCount> {
        let is = |(name, of, _): &&(Arc<str>, Arc<str>, RouteCount)| {
            **name == *route && **of == *service
        };
        let found = self.routes.get(place).filter(is);
        // Only a reload moves routes.
        found.or_else(|| self.routes.iter().find(is)).map(|(_, _, count)| count)
    }
}

/// The latest looks, oldest first.
#[derive(Debug, Default)]
pub(super) struct Looks(VecDeque<Look>);

/// What was counted between two looks.
#[derive(Debug)]
pub(super) struct Rates<'a> {
    now: &'a Look,
    before: &'a Look,
    /// Between them, in seconds; never 0.
    pub(super) seconds: f64,
}

impl Looks {
    /// Takes a look when one is due.
    pub(super) fn look(&mut self, shared: &Shared, is_watched: bool, now: Instant) {
        let age = self.0.back().map(|last| now.duration_since(last.at));
        if age.is_some_and(|age| age < UNWATCHED && !is_watched) {
            return;
        }
        // The youngest that is old enough stays, to be told from; all before it are of no more use.
        while self.0.get(1).is_some_and(|next| OVER <= now.duration_since(next.at)) {
            self.0.pop_front();
        }
        self.0.push_back(Look::at(shared, now));
    }

    /// Returns what there was lately; `None` before the second look.
    pub(super) fn rates(&self) -> Option<Rates<'_>> {
        let (before, now) = (self.0.front()?, self.0.back()?);
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        (0.0 < seconds).then_some(Rates { now, before, seconds })
    }
}

impl Rates<'_> {
    /// Returns what was counted of each route, with its service.
    pub(super) fn routes(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, RouteCount)> {
        self.now.routes.iter().enumerate().map(|(place, (route, service, count))| {
            let before = self.before.of(place, route, service);
            (route, service, count.since(before.unwrap_or(&RouteCount::default())))
        })
    }

    /// Returns how many a second there were of a counter of all requests.
    pub(super) fn of(&self, counter: impl Fn(&Totals) -> u64) -> f64 {
        let counted = counter(&self.now.totals).saturating_sub(counter(&self.before.totals));
        self.a_second(counted)
    }

    /// Returns how many a second so many are.
    pub(super) fn a_second(&self, counted: u64) -> f64 {
        (counted as f64 / self.seconds * 100.0).round() / 100.0
    }
}
