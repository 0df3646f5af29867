//! The circuit breaker of the Lambda lane.
//!
//! Without one, each request for a function that is missing or out of reach would pay for finding out again before it goes
//! to a container.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// First and longest time that a broken lane is left alone. The first is short because most breaks are; the longest
/// bounds how late a repaired function is noticed.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What can find out whether a broken lane works again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// A call of Lambda that runs nothing: the break is of the way there, or of permissions.
    DryRun,
    /// Only a request: the break is of the function's start.
    Request,
}

/// Leaves a lane alone after it proved broken, and has it probed when the rest is over.
///
/// Only failures that say something of the next call count: a function that is missing, cannot be reached or cannot
/// start. A throttle or a failed request does not. Where a dry run can tell, no request pays for the probe; else one does.
#[derive(Debug)]
pub(super) struct Breaker {
    since: Instant,
    failures: AtomicU32,
    open_until_ms: AtomicU64,
    /// A dry run can tell whether it works again.
    dry_run_tells: AtomicBool,
    /// One call is out to see.
    probing: AtomicBool,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            failures: AtomicU32::new(0),
            open_until_ms: AtomicU64::new(0),
            dry_run_tells: AtomicBool::new(false),
            probing: AtomicBool::new(false),
        }
    }
}

impl Breaker {
    fn now_ms(&self) -> u64 {
        self.since.elapsed().as_millis() as u64
    }

    /// Tells whether requests may be sent to the lane. One that has no other (`alone`) may while the function fails to
    /// start: it loses nothing by trying, and often the next start works.
    pub(super) fn is_closed(&self, alone: bool) -> bool {
        self.failures.load(Relaxed) == 0
            || !self.dry_run_tells.load(Relaxed)
                && (alone || self.open_until_ms.load(Relaxed) <= self.now_ms())
    }

    /// Tells whether this request may be sent to the lane: once a rest is over, one is, until its answer is known.
    pub(super) fn lets_through(&self, alone: bool) -> bool {
        self.failures.load(Relaxed) == 0
            || !self.dry_run_tells.load(Relaxed) && (alone || self.begin_probe())
    }

    /// Tells whether the caller is to send a dry run now.
    pub(super) fn wants_dry_run(&self) -> bool {
        self.failures.load(Relaxed) != 0 && self.dry_run_tells.load(Relaxed) && self.begin_probe()
    }

    fn begin_probe(&self) -> bool {
        let (until, now) = (self.open_until_ms.load(Relaxed), self.now_ms());
        // A probe of which nothing is heard, because its client went away, is followed by another one.
        let probing = now + REST.0.as_millis() as u64;
        let mine = until <= now
            && self.open_until_ms.compare_exchange(until, probing, Relaxed, Relaxed).is_ok();
        if mine {
            self.probing.store(true, Relaxed);
        }
        mine
    }

    /// Begins a rest, longer each time. One break is seen by many requests at once: the first of them counts.
    pub(super) fn failed(&self, probe: Probe) {
        let now = self.now_ms();
        let resting = self.failures.load(Relaxed) != 0 && now < self.open_until_ms.load(Relaxed);
        let probing = self.probing.swap(false, Relaxed);
        if resting && !probing {
            return;
        }
        self.dry_run_tells.store(probe == Probe::DryRun, Relaxed);
        let failures = self.failures.fetch_add(1, Relaxed);
        let rest = REST.0.saturating_mul(1 << failures.min(16)).min(REST.1);
        self.open_until_ms.store(now + rest.as_millis() as u64, Relaxed);
    }

    /// Closes: a call was answered.
    pub(super) fn succeeded(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
            self.probing.store(false, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_broken_lane_rests_then_one_call_probes_it() {
        let breaker = Breaker::default();
        assert!(breaker.lets_through(false));
        breaker.failed(Probe::Request);
        assert!(!breaker.is_closed(false) && !breaker.lets_through(false));
        assert!(breaker.is_closed(true) && breaker.lets_through(true), "without another lane");
        tokio::time::advance(REST.0).await;
        assert!(breaker.is_closed(false));
        assert!(breaker.lets_through(false), "one probe");
        assert!(!breaker.lets_through(false), "and no second one beside it");
        breaker.failed(Probe::Request);
        tokio::time::advance(REST.0).await;
        assert!(!breaker.is_closed(false), "the second rest is longer");
        tokio::time::advance(REST.0).await;
        assert!(breaker.lets_through(false));
        breaker.succeeded();
        assert!(breaker.lets_through(false) && breaker.lets_through(false));
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn where_a_dry_run_can_tell_no_request_pays_for_the_probe() {
        let breaker = Breaker::default();
        assert!(!breaker.wants_dry_run());
        breaker.failed(Probe::DryRun);
        assert!(!breaker.wants_dry_run(), "it rests first");
        tokio::time::advance(REST.0).await;
        assert!(!breaker.is_closed(false) && !breaker.lets_through(false));
        assert!(breaker.wants_dry_run());
        assert!(!breaker.wants_dry_run(), "one is enough");
        breaker.succeeded();
        assert!(
            breaker.is_closed(false) && breaker.lets_through(false) && !breaker.wants_dry_run()
        );
    }
}
