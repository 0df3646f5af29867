//! The clock that plans go by.
//!
//! Real time, but in the demo: there a recorded half hour passes in a minute and a half, and so do the local cloud's lags.
//! Forecasts then see the recorded time, and a plan made ten recorded seconds after the last comes half a second after it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time between two looks at what was asked, in seconds. Ends at whole multiples since 1970, so that several gateways look
/// at the same steps.
pub(crate) const STEP_S: u64 = 10;

/// Tells the time of plans.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// How many times faster than real it passes.
    scale: f64,
    /// When, in real time, it showed `shown`; `None` shows real time.
    at: Option<SystemTime>,
    shown: SystemTime,
}

impl Clock {
    /// Shows real time.
    pub(crate) fn real() -> Self {
        Self { scale: 1.0, at: None, shown: UNIX_EPOCH }
    }

    /// Shows real time, and passes `scale` times as fast from now on.
    pub(crate) fn new(scale: f64) -> Self {
        let now = SystemTime::now();
        if (scale - 1.0).abs() < f64::EPSILON {
            return Self::real();
        }
        Self::scaled(scale, now, now)
    }

    /// Passes `scale` times as fast from now on, beginning with `shown`.
    pub(crate) fn scaled(scale: f64, shown: SystemTime, now: SystemTime) -> Self {
        Self { scale, at: Some(now), shown }
    }

    /// Returns what it shows at a real time, since 1970.
    pub(crate) fn shows(&self, now: SystemTime) -> Duration {
        let Some(at) = self.at else { return now.duration_since(UNIX_EPOCH).unwrap_or_default() };
        let real = now.duration_since(at).unwrap_or_default();
        self.shown.duration_since(UNIX_EPOCH).unwrap_or_default() + real.mul_f64(self.scale)
    }

    /// Returns when, in real time, it shows `shown` (since 1970).
    pub(crate) fn real_time_of(&self, shown: Duration) -> SystemTime {
        let Some(at) = self.at else { return UNIX_EPOCH + shown };
        let since = shown.saturating_sub(self.shown.duration_since(UNIX_EPOCH).unwrap_or_default());
        at + since.div_f64(self.scale)
    }

    /// Returns how many times faster than real it passes.
    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_begins_where_it_was_set_and_runs_faster() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let later = now + Duration::from_secs(3);
        assert_eq!(Clock::real().shows(later), Duration::from_secs(1003));
        let clock = Clock::scaled(20.0, UNIX_EPOCH + Duration::from_secs(50), now);
        assert_eq!(clock.shows(later), Duration::from_secs(110));
        assert_eq!(clock.real_time_of(Duration::from_secs(110)), later);
        assert_eq!(
            clock.shows(UNIX_EPOCH),
            Duration::from_secs(50),
            "it never shows what was before"
        );
    }
}
