//! Rates that refill continuously and are not accumulated beyond their burst.

use std::sync::Mutex;

use tokio::time::Instant;

use crate::tasks::lock;

/// A rate: what may be taken at once, and what comes back each second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) burst: f64,
    pub(crate) per_second: f64,
}

/// A token bucket. Its rate is given with each taking, because quotas change while it is in use.
#[derive(Debug)]
pub(crate) struct Bucket(Mutex<(f64, Instant)>);

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new((f64::INFINITY, now)))
    }

    /// Takes one; false when too many were taken lately.
    pub(crate) fn take(&self, rate: Rate, now: Instant) -> bool {
        let mut tokens = lock(&self.0);
        let elapsed = now.saturating_duration_since(tokens.1).as_secs_f64();
        *tokens = ((tokens.0 + elapsed * rate.per_second).min(rate.burst), now);
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
    fn a_thousand_environments_start_at_once_and_a_hundred_a_second_after() {
        let rate = Rate { burst: 1000.0, per_second: 100.0 };
        let start = Instant::now();
        let bucket = Bucket::new(start);
        assert_eq!((0..2000).filter(|_| bucket.take(rate, start)).count(), 1000);
        let later = start + Duration::from_secs(2);
        assert_eq!((0..2000).filter(|_| bucket.take(rate, later)).count(), 200);
        let much_later = start + Duration::from_hours(1);
        assert_eq!((0..2000).filter(|_| bucket.take(rate, much_later)).count(), 1000);
    }
}
