//! How often an API is asked: a token bucket that all who ask it in this process share.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant, sleep_until};

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Rate {
    burst: f64,
    per_second: f64,
    tokens: Mutex<Tokens>,
}

#[derive(Debug)]
struct Tokens {
    /// Below zero: so many are promised to whoever waits.
    left: f64,
    at: Instant,
}

impl Rate {
    /// Makes a full bucket of `burst` calls at once, and `per_second` after that.
    pub(crate) fn new(burst: f64, per_second: f64) -> Self {
        let tokens = Mutex::new(Tokens { left: burst, at: Instant::now() });
        Self { burst, per_second, tokens }
    }

    /// Waits for one's turn to call.
    pub(super) async fn turn(&self) {
        sleep_until(self.take(Instant::now())).await;
    }

    /// Takes a token; returns when it may be used.
    fn take(&self, now: Instant) -> Instant {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(tokens.at).as_secs_f64();
        tokens.left = (tokens.left + elapsed * self.per_second).min(self.burst) - 1.0;
        tokens.at = now;
        now + Duration::from_secs_f64((-tokens.left / self.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_ten_a_second() {
        let rate = Rate::new(50.0, 10.0);
        let start = Instant::now();
        let turns: Vec<_> = (0..70).map(|_| rate.take(start).duration_since(start)).collect();
        assert!(turns[..50].iter().all(Duration::is_zero), "{turns:?}");
        assert_eq!((turns[50].as_millis(), turns[69].as_millis()), (100, 2000));
        let later = start + Duration::from_mins(1);
        let free = (0..70).filter(|_| rate.take(later) == later).count();
        assert_eq!(free, 50, "what is not used is not saved up");
    }
}
