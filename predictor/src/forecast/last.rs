//! Experts: the load stays what it was, in the last step, on average over the last 5, 20 and 100 steps, or in the
//! highest of the last three: one low step, a log that is rotated or a pause for collection, is not yet less load.

use super::history::{History, count_of, log_of};

/// Share of a new count in each longer mean: 2 / (n + 1) makes one as old, on average, as a plain mean of n steps.
const SHARES: [f32; 2] = [2.0 / 21.0, 2.0 / 101.0];

/// Steps of the short mean. The counts are averaged plainly, so that it forgets a flood after five steps.
const SHORT: u64 = 5;

/// Steps of which the highest is taken.
const HIGHEST_OF: u64 = 3;

/// Means of the count that forget exponentially.
#[derive(Debug, Clone, Default)]
pub(super) struct Means {
    means: [f32; SHARES.len()],
    seen: f32,
}

impl Means {
    /// Learns the count of a step.
    pub(super) fn learn(&mut self, count: f32) {
        self.seen += 1.0;
        for (mean, share) in self.means.iter_mut().zip(SHARES) {
            // The first counts are averaged plainly.
            *mean += (count - *mean) * share.max(1.0 / self.seen);
        }
    }

    /// Returns the means over 20 and over 100 steps, as logarithms.
    pub(super) fn logs(&self) -> [f32; SHARES.len()] {
        self.means.map(log_of)
    }
}

/// Returns the mean of the last five counts, as a logarithm.
pub(super) fn short_mean(history: &History) -> f32 {
    let (mut sum, mut n) = (0.0, 0.0_f32);
    for log in history.back(history.newest(), SHORT) {
        sum += count_of(log);
        n += 1.0;
    }
    log_of(sum / n.max(1.0))
}

/// Returns the highest of the last three values.
pub(super) fn highest(history: &History) -> Option<f32> {
    history.back(history.newest(), HIGHEST_OF).reduce(f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_a_constant_are_the_constant_and_a_short_one_follows_sooner() {
        let mut means = Means::default();
        let mut history = History::new(16, 1, 0);
        for count in std::iter::repeat_n(40.0, 200).chain(std::iter::repeat_n(80.0, 10)) {
            means.learn(count);
            history.push(log_of(count));
        }
        let [medium, long] = means.logs().map(count_of);
        assert!((count_of(short_mean(&history)) - 80.0).abs() < 0.1);
        // 1 - (1 - 2/21)^10 = 63 % and 1 - (1 - 2/101)^10 = 18 % of the way from 40 to 80.
        assert!((medium - 65.3).abs() < 0.1 && (long - 47.2).abs() < 0.1, "{medium} {long}");
    }

    #[test]
    fn one_low_step_leaves_the_highest_where_it_was_and_three_do_not() {
        let mut history = History::new(16, 1, 0);
        assert_eq!(highest(&history), None);
        for (count, expected) in [(50.0, 50.0), (60.0, 60.0), (5.0, 60.0), (5.0, 60.0), (5.0, 5.0)]
        {
            history.push(log_of(count));
            let found = count_of(highest(&history).unwrap());
            assert!((found - expected).abs() < 0.1, "{found} after {count}");
        }
    }
}
