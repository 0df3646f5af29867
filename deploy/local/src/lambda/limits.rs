//! How many invocations may run at once, and how fast environments may be added.
//!
//! As Lambda has it ("Lambda function scaling", developer guide, read 2026-11): reserved concurrency is a limit of one
//! function and is taken from the account's, which all others share; and per function 1,000 environments may be added
//! every 10 s, refilled continuously, not accumulated beyond that.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use tokio::time::Instant;

use crate::{clock::Scale, faults::ThrottleReason, tasks::lock};

/// Environments a function may add at once.
const STARTS_BURST: f64 = 1000.0;
/// Environments a second that refill it: 1,000 in 10 s. The cloud's clock is scaled, so this is multiplied by it.
const STARTS_PER_SECOND: f64 = 100.0;

/// A limit of invocations in flight, of one function or of all that reserve nothing.
#[derive(Debug)]
pub(crate) struct Limit {
    in_flight_max: u32,
    in_flight: AtomicU32,
    reason: ThrottleReason,
}

impl Limit {
    /// What functions without reserved concurrency share.
    pub(crate) fn unreserved(in_flight_max: u32) -> Self {
        let reason = ThrottleReason::ConcurrentInvocationLimitExceeded;
        Self { in_flight_max, in_flight: AtomicU32::new(0), reason }
    }

    /// What one function reserves.
    pub(crate) fn reserved(in_flight_max: u32) -> Self {
        let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
        Self { in_flight_max, in_flight: AtomicU32::new(0), reason }
    }

    /// Takes room for one invocation, also counted in `running`, until the slot is dropped.
    ///
    /// # Errors
    /// The reason for a 429 when there is no room.
    pub(crate) fn enter(
        self: &Arc<Self>,
        running: &Arc<AtomicU32>,
    ) -> Result<Slot, ThrottleReason> {
        let room = |n: u32| (n < self.in_flight_max).then_some(n + 1);
        self.in_flight.fetch_update(Relaxed, Relaxed, room).map_err(|_| self.reason)?;
        running.fetch_add(1, Relaxed);
        Ok(Slot { limit: self.clone(), running: running.clone() })
    }
}

/// Room for one invocation; given back on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    limit: Arc<Limit>,
    running: Arc<AtomicU32>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.limit.in_flight.fetch_sub(1, Relaxed);
        self.running.fetch_sub(1, Relaxed);
    }
}

/// How fast a function may add environments: a token bucket.
#[derive(Debug)]
pub(crate) struct StartRate {
    tokens: Mutex<(f64, Instant)>,
    per_second: f64,
}

impl StartRate {
    pub(crate) fn new(scale: Scale, now: Instant) -> Self {
        Self { tokens: Mutex::new((STARTS_BURST, now)), per_second: STARTS_PER_SECOND * scale.0 }
    }

    /// Takes one start; false when too many were taken lately.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut tokens = lock(&self.tokens);
        let elapsed = now.saturating_duration_since(tokens.1).as_secs_f64();
        *tokens = ((tokens.0 + elapsed * self.per_second).min(STARTS_BURST), now);
        if tokens.0 < 1.0 {
            return false;
        }
        tokens.0 -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_slot_is_given_back_when_it_is_dropped() {
        let (limit, running) = (Arc::new(Limit::reserved(1)), Arc::new(AtomicU32::new(0)));
        let slot = limit.enter(&running).unwrap();
        assert_eq!(running.load(Relaxed), 1);
        let refused = limit.enter(&running).unwrap_err();
        assert_eq!(refused, ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded);
        drop(slot);
        assert!(limit.enter(&running).is_ok());
    }

    #[test]
    fn a_thousand_environments_start_at_once_and_a_hundred_a_second_after() {
        let start = Instant::now();
        let rate = StartRate::new(Scale(1.0), start);
        assert_eq!((0..2000).filter(|_| rate.take(start)).count(), 1000);
        let later = start + Duration::from_secs(2);
        assert_eq!((0..2000).filter(|_| rate.take(later)).count(), 200);
        let much_later = start + Duration::from_hours(1);
        assert_eq!((0..2000).filter(|_| rate.take(much_later)).count(), 1000);
    }
}
