//! One worker's counters.
//!
//! Each worker writes only its own shard, so a plain load and store is enough and no cache line is contended; a scrape
//! reads all shards and adds them up. Counters are cumulative and never reset. What is counted by route hangs on the
//! world that a request was served by: see [`series`](super::series).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use policies::{
    decide::{Class, Decision, Lane, Reason},
    policy::RouteId,
};
use predictor::outcome::{End, Outcome, Spill, Usage};

use crate::{lane::lambda::LambdaError, world::World};

/// A counter with one writer and any number of readers.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the shard's own worker may call it.
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes `n` away: for gauges.
    pub(crate) fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// Returns the value.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the latency histogram, in microseconds: 5 ms to a minute, two or three to the decade, so that both a
/// sprinter's 20 ms and a marathon's 25 s objective fall near a bound. Each costs 100 kB of a scrape for 1,000 routes on a lane.
pub(crate) const LATENCY_BOUNDS_US: [u32; 13] = [
    5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// A classic histogram: one counter a bucket, not cumulative; the last bucket is everything above the last bound.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// Counts by bucket.
    pub(crate) buckets: [Counter; LATENCY_BOUNDS_US.len() + 1],
    /// Sum of all values in microseconds.
    pub(crate) sum_us: Counter,
}

impl Latency {
    fn observe(&self, us: u32) {
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].add(1);
        self.sum_us.add(u64::from(us));
    }
}

/// What is counted of one route on one lane.
#[derive(Debug, Default)]
pub(crate) struct RouteLane {
    /// Responses by status class: 1xx to 5xx at 1 to 5; 0 when the client was never answered.
    pub(crate) status: [Counter; 6],
    /// Latency as the client saw it.
    pub(crate) latency: Latency,
    /// Bytes of request bodies.
    pub(crate) bytes_in: Counter,
    /// Bytes of response bodies.
    pub(crate) bytes_out: Counter,
    /// What was used, by class: for the ledger.
    pub(crate) used: [Used; 2],
    /// Requests whose home this lane is, wherever they ran: what it is asked to have room for. Counted when they are
    /// decided: a forecast must not wait for what is long.
    pub(crate) asked: Counter,
    /// Runs whose service time says how long such requests take, and the sum of those times in microseconds.
    pub(crate) runs: Counter,
    /// See `runs`.
    pub(crate) run_us: Counter,
    /// Requests that took longer than the objective of their route allows.
    pub(crate) late: Counter,
    /// Requests that a server error ended, before or within their answer.
    pub(crate) failed: Counter,
}

/// What requests of one class used of one lane: integers, from which bills are made.
#[derive(Debug, Default)]
pub(crate) struct Used {
    /// Requests that ended on this lane.
    pub(crate) requests: Counter,
    /// Invocations: more than requests where some were sent again, or left for the other lane after they ran.
    pub(crate) runs: Counter,
    /// Milliseconds that Lambda bills, times MB of memory.
    pub(crate) mb_ms: Counter,
    /// Those of them that ran on provisioned concurrency.
    pub(crate) provisioned_mb_ms: Counter,
    /// Those of them that were estimated, for want of a report.
    pub(crate) estimated_mb_ms: Counter,
    /// Invocations that started a new environment.
    pub(crate) cold_starts: Counter,
    /// Bytes of answers beyond what a response may have without being billed for it.
    pub(crate) streamed: Counter,
    /// Time for which a slot of a task was held, in microseconds.
    pub(crate) slot_us: Counter,
}

/// Bytes of a streamed response that are free; others are never larger (AWS Lambda pricing, "HTTP response streaming").
const FREE_STREAMED: u64 = 6 * 1024 * 1024;

impl Used {
    fn count(&self, lane: Option<Lane>, outcome: &Outcome) {
        self.requests.add(1);
        match lane {
            Some(Lane::Container) => self.slot_us.add(u64::from(outcome.service_us)),
            Some(Lane::Lambda) if FREE_STREAMED < outcome.bytes_out => {
                self.streamed.add(outcome.bytes_out - FREE_STREAMED);
            }
            Some(Lane::Lambda) | None => {}
        }
    }

    fn count_runs(&self, usage: &Usage) {
        let mb_ms = u64::from(usage.billed_ms) * u64::from(usage.memory_mb);
        self.runs.add(u64::from(usage.runs));
        self.mb_ms.add(mb_ms);
        if usage.provisioned {
            self.provisioned_mb_ms.add(mb_ms);
        }
        if usage.estimated {
            self.estimated_mb_ms.add(mb_ms);
        }
        if usage.cold_start == Some(true) {
            self.cold_starts.add(1);
        }
    }
}

/// Lanes as an index: Lambda, container, none.
pub(crate) const LANES: [Option<Lane>; 3] = [Some(Lane::Lambda), Some(Lane::Container), None];

const fn lane_index(lane: Option<Lane>) -> usize {
    match lane {
        Some(Lane::Lambda) => 0,
        Some(Lane::Container) => 1,
        None => 2,
    }
}

/// A counter for each error of Lambda.
#[derive(Debug)]
pub(crate) struct LambdaErrors(Box<[Counter]>);

impl Default for LambdaErrors {
    fn default() -> Self {
        Self(std::iter::repeat_with(Counter::default).take(LambdaError::COUNT).collect())
    }
}

impl LambdaErrors {
    /// Returns the counter of an error.
    pub(crate) fn of(&self, error: LambdaError) -> &Counter {
        &self.0[error.index()]
    }

    /// Returns the counter of the error at `index`.
    pub(crate) fn at(&self, index: usize) -> &Counter {
        &self.0[index]
    }
}

/// All counters of one worker, but those of routes.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    /// Which worker's it is, from 0: its place in all that is kept by worker.
    pub(crate) worker: usize,
    /// Decisions by lane and reason.
    pub(crate) reasons: [[Counter; Reason::ALL.len()]; 3],
    /// Requests that left a lane after it was tried, by the lane they left and why.
    pub(crate) spills: [[Counter; Spill::ALL.len()]; 2],
    /// How requests ended.
    pub(crate) ends: [Counter; End::ALL.len()],
    /// Requests sent again.
    pub(crate) retries: Counter,
    /// Requests in flight now.
    pub(crate) in_flight: Counter,
    /// Client connections accepted.
    pub(crate) connections: Counter,
    /// Client connections closed on arrival because `limits.connections` was reached. Written by the acceptor alone, and
    /// only in the first worker's shard.
    pub(crate) connections_refused: Counter,
    /// Client connections open now.
    pub(crate) connections_open: Counter,
    /// Connections opened to tasks and to Lambda.
    pub(crate) upstream_connections: Counter,
    /// What Lambda answered instead of a response.
    pub(crate) lambda_errors: LambdaErrors,
    /// Lines that the access log had to drop because its writer was behind.
    pub(crate) log_dropped: Counter,
    /// Requests recorded for traces that had to be dropped because the control runtime was behind.
    pub(crate) spans_dropped: Counter,
}

impl Shard {
    /// Makes the shard of a worker, by its number from 0.
    pub(crate) fn new(worker: usize) -> Self {
        Self { worker, ..Self::default() }
    }

    /// Counts what a call of Lambda used that went on after its request had ended.
    pub(crate) fn count_usage(&self, route: RouteId, class: Class, usage: &Usage, world: &World) {
        let route = world.counters[self.worker].of(Some(route));
        route.lanes[lane_index(Some(Lane::Lambda))].used[class as usize].count_runs(usage);
    }

    /// Counts what a request is asked of first, when it is decided.
    pub(crate) fn count_asked(&self, route: RouteId, decision: Decision, world: &World) {
        let lane = lane_index(decision.home());
        world.counters[self.worker].of(Some(route)).lanes[lane].asked.add(1);
    }

    /// Counts one finished request, which was served by `world`.
    pub(crate) fn count(&self, outcome: &Outcome, world: &World) {
        let route = world.counters[self.worker].of(outcome.route);
        let counters = &route.lanes[lane_index(outcome.lane)];
        counters.status[usize::from(outcome.status / 100).min(5)].add(1);
        counters.latency.observe(outcome.total_us);
        if route.late_beyond_us < outcome.total_us {
            counters.late.add(1);
        }
        if has_failed(outcome) {
            counters.failed.add(1);
        }
        counters.bytes_in.add(outcome.bytes_in);
        counters.bytes_out.add(outcome.bytes_out);
        if let Some(decision) = &outcome.decision {
            let class = decision.class as usize;
            counters.used[class].count(outcome.lane, outcome);
            if outcome.usage.memory_mb != 0 {
                // Also when Lambda was only tried first, or failed: it bills that too.
                route.lanes[lane_index(Some(Lane::Lambda))].used[class].count_runs(&outcome.usage);
            }
            self.reasons[lane_index(decision.lane)][decision.reason.index()].add(1);
        }
        if let (Some(spill), Some(from)) =
            (outcome.spill, outcome.decision.and_then(|decision| decision.lane))
        {
            self.spills[lane_index(Some(from))][spill.index()].add(1);
        }
        self.ends[outcome.end.index()].add(1);
        if 0 < outcome.retries {
            self.retries.add(u64::from(outcome.retries));
        }
        if outcome.route.is_some()
            && (outcome.end == End::Complete && outcome.status < 500 || was_cut(outcome))
            && 0 < outcome.service_us
            // A cold start says nothing of how long the next such request takes.
            && outcome.usage.cold_start != Some(true)
        {
            route.profiles[usize::from(outcome.size)].bucket(outcome.service_us).add(1);
            counters.runs.add(1);
            counters.run_us.add(u64::from(outcome.service_us));
        }
    }
}

/// Tells whether the client was promised more than it got: an error from 500 on, or an answer that broke off. A client that
/// went away, or was too slow itself (408), had nothing broken.
const fn has_failed(outcome: &Outcome) -> bool {
    500 <= outcome.status
        || match outcome.end {
            End::LaneFailed => true,
            End::TimedOut => outcome.status != 408,
            End::Complete | End::Refused | End::Unavailable | End::ClientGone => false,
        }
}

/// Tells whether a timeout ended the run. What it took is not known, but it was at least this: leaving such runs out would
/// teach that the survivors are all there is, and keep sending long requests to where they die. A 408 is the client's.
fn was_cut(outcome: &Outcome) -> bool {
    outcome.end == End::TimedOut && outcome.status == 504
}
