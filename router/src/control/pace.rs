//! When something that is asked again and again is asked next: at its pace, later after failures, never in step with
//! others.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

/// Longest pause after failures.
pub(super) const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Share by which a pause is lengthened or shortened at random, so that several gateways do not ask in step.
const JITTER: f64 = 0.2;

/// The next turn of something.
#[derive(Debug)]
pub(crate) struct Pace {
    /// `None` when there is no next turn.
    at: Option<Instant>,
    /// A turn has begun and not ended.
    under_way: bool,
    /// Turns that succeeded.
    turns: u32,
    /// Turns that failed, in a row.
    failures: u32,
}

impl Pace {
    /// Begins now; never, when `ever` is not.
    pub(crate) fn new(ever: bool, now: Instant) -> Self {
        Self { at: ever.then_some(now), under_way: false, turns: 0, failures: 0 }
    }

    /// Tells whether a turn is due. Whoever gets `true` must end it by one of the other calls.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = !self.under_way && self.at.is_some_and(|at| at <= now);
        self.under_way |= due;
        due
    }

    /// Ends a turn that succeeded; the next is due after `pause`.
    pub(crate) fn succeeded(&mut self, pause: Duration, now: Instant) {
        self.under_way = false;
        self.failures = 0;
        self.turns = self.turns.saturating_add(1);
        self.at = Some(now + jittered(pause, random()));
    }

    /// Ends a turn that failed: the pause is `first` and doubles with each more failure, up to [`BACKOFF_MAX`].
    pub(crate) fn failed(&mut self, first: Duration, now: Instant) {
        self.under_way = false;
        let pause = (first * 2_u32.pow(self.failures.min(10))).min(BACKOFF_MAX);
        self.at = Some(now + jittered(pause, random()));
        self.failures = self.failures.saturating_add(1);
    }

    /// Brings the next turn forward to `at`; what fails waits all the same.
    pub(crate) fn hasten(&mut self, at: Instant) {
        if self.failures == 0 {
            self.at = self.at.map(|due| due.min(at));
        }
    }

    /// Sets the next turn, also where there was to be none.
    pub(super) fn turn_at(&mut self, at: Instant) {
        self.at = Some(at);
    }

    /// Returns how many turns succeeded.
    pub(super) fn turns(&self) -> u32 {
        self.turns
    }

    /// Returns how many turns failed in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns when the next turn is due.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.at
    }
}

/// Returns `pause`, longer or shorter by up to [`JITTER`], as `random` says.
pub(super) fn jittered(pause: Duration, random: u64) -> Duration {
    // The upper 53 bits fill a double's mantissa: uniform in [0, 1).
    let uniform = (random >> 11) as f64 / (1_u64 << 53) as f64;
    pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * uniform)
}

/// Returns a random number: the standard library seeds each hasher at random, which is plenty for spreading pauses.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_share() {
        let second = Duration::from_secs(1);
        assert_eq!(jittered(second, 0), Duration::from_millis(800));
        assert!(jittered(second, u64::MAX) <= Duration::from_millis(1200));
    }

    #[test]
    fn failures_double_the_pause_up_to_a_minute_and_nothing_hastens_them() {
        let (now, first) = (Instant::now(), Duration::from_secs(5));
        let mut pace = Pace::new(true, now);
        assert!(pace.is_due(now) && !pace.is_due(now), "one turn at a time");
        pace.succeeded(first, now);
        pace.hasten(now);
        assert!(pace.is_due(now));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pace.failed(first, now);
            pauses.push(pace.at().expect("it goes on").duration_since(now));
        }
        assert!(pauses[0] <= first.mul_f64(1.2) && pauses[0] * 2 < pauses[3], "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= BACKOFF_MAX.mul_f64(1.2)), "{pauses:?}");
        assert!(BACKOFF_MAX.mul_f64(0.79) < pauses[7], "{pauses:?}");
        pace.hasten(now);
        assert!(!pace.is_due(now + Duration::from_secs(40)), "what fails is not hastened");
        assert!(!Pace::new(false, now).is_due(now + BACKOFF_MAX));
    }
}
