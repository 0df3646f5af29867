//! How long a service's tasks take from being asked for until they answer their first probe.
//!
//! It is what a plan must look ahead, and nobody knows it better than who has just watched: image, network and
//! application all have a part in it.

use std::{collections::VecDeque, time::Duration};

/// Starts that are remembered: of more, the earliest may have been of another image.
const KEPT: usize = 32;

/// Starts from which on a 95th percentile is one, and not merely the longest.
const ENOUGH: usize = 20;

/// What a start is taken for before any was seen: a Fargate task takes 30 to 90 s.
const ASSUMED: Duration = Duration::from_mins(1);

/// A start beyond this is not believed: clocks disagree, or the task was stuck.
const LONGEST: Duration = Duration::from_hours(1);

/// The latest starts of a service's tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Starts(VecDeque<Duration>);

impl Starts {
    /// Notes how long a start took.
    pub(super) fn note(&mut self, lag: Duration) {
        if lag.is_zero() || LONGEST < lag {
            return;
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(lag);
    }

    /// Returns the mean, in the time of a clock that passes `scale` times as fast as real: that of the cloud where they start.
    pub(crate) fn mean(&self, scale: f64) -> Duration {
        let seen = u32::try_from(self.0.len()).expect("at most 32");
        let mean = self.0.iter().sum::<Duration>().checked_div(seen);
        mean.map_or(ASSUMED, |mean| mean.mul_f64(scale))
    }

    /// Returns what 95 of 100 do not exceed, in that time: of few, the longest; of none, a third more than what is assumed.
    pub(crate) fn p95(&self, scale: f64) -> Duration {
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let place = if sorted.len() < ENOUGH { sorted.len() } else { sorted.len() * 95 / 100 };
        let p95 = sorted.get(place.saturating_sub(1));
        p95.map_or(ASSUMED + ASSUMED / 3, |p95| p95.mul_f64(scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_and_the_longest_are_told_and_nonsense_is_not_believed() {
        let mut starts = Starts::default();
        assert_eq!((starts.mean(9.0), starts.p95(9.0)), (ASSUMED, Duration::from_secs(80)));
        for seconds in [40, 20, 30, 0, 7200] {
            starts.note(Duration::from_secs(seconds));
        }
        let (mean, p95) = (Duration::from_secs(30), Duration::from_secs(40));
        assert_eq!((starts.0.len(), starts.mean(1.0), starts.p95(1.0)), (3, mean, p95));
        assert_eq!((starts.mean(2.0), starts.p95(2.0)), (mean * 2, p95 * 2));
        for seconds in 1..=100 {
            starts.note(Duration::from_secs(seconds));
        }
        assert_eq!((starts.0.len(), starts.p95(1.0)), (KEPT, Duration::from_secs(98)));
    }
}
