//! What was counted lately, one value a step.
//!
//! Experts work on `ln(1 + count)`: there a doubling is as far as a halving, and one flood does not outweigh a week. It
//! is held in 1/2048ths, so that eight days of minutes take 23 kB and a count is true to 0.03 %.

use std::ops::RangeInclusive;

/// How finely `ln(1 + count)` is held. Half of it would blur counts of a thousand and more by one.
const PER_UNIT: f32 = 2048.0;

/// Largest count of a step that is told from larger ones: its logarithm, 29.9, is below 65,535 / 2048.
pub(super) const COUNT_MAX: u64 = 10_000_000_000_000;

/// Returns `ln(1 + count)`.
pub(super) fn log_of(count: f32) -> f32 {
    count.max(0.0).ln_1p()
}

/// Returns the count whose `ln(1 + count)` is `log`, at least 0.
pub(super) fn count_of(log: f32) -> f32 {
    log.exp_m1().max(0.0)
}

/// The newest steps of a series, as `ln(1 + count)`. A step is a number: its start divided by the steps' length.
#[derive(Debug, Clone)]
pub(super) struct History {
    ring: Box<[u16]>,
    /// The step after the newest one.
    next: u64,
    /// How many of the newest steps are held.
    len: u64,
}

impl History {
    /// Holds up to `capacity` steps.
    pub(super) fn new(capacity: u64) -> Self {
        Self { ring: vec![0; capacity as usize].into(), next: 0, len: 0 }
    }

    /// Forgets everything; the next value is of the step `next`.
    pub(super) fn restart(&mut self, next: u64) {
        (self.next, self.len) = (next, 0);
    }

    /// Forgets `step` and everything after it, so that it comes next; everything, when `step` is not one that is held.
    pub(super) fn rewind(&mut self, step: u64) {
        let ahead = self.next.checked_sub(step).filter(|ahead| *ahead <= self.len);
        (self.next, self.len) = (step, ahead.map_or(0, |ahead| self.len - ahead));
    }

    /// Adds the value of the next step.
    pub(super) fn push(&mut self, log: f32) {
        let slot = self.slot(self.next);
        self.ring[slot] = (log * PER_UNIT).round() as u16;
        self.next += 1;
        self.len = (self.len + 1).min(self.capacity());
    }

    /// The step after the newest one.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn capacity(&self) -> u64 {
        self.ring.len() as u64
    }

    /// Returns the value of a step, when it is held.
    pub(super) fn get(&self, step: u64) -> Option<f32> {
        let back = self.next.checked_sub(step)?;
        (1 <= back && back <= self.len).then(|| f32::from(self.ring[self.slot(step)]) / PER_UNIT)
    }

    /// Returns the mean over those of `steps` that are held, when there are any.
    pub(super) fn mean(&self, steps: RangeInclusive<u64>) -> Option<f32> {
        let (mut sum, mut n) = (0.0, 0.0_f32);
        for value in steps.filter_map(|step| self.get(step)) {
            sum += value;
            n += 1.0;
        }
        (0.0 < n).then(|| sum / n)
    }

    /// Returns the mean of `step` and of its neighbours, `reach` to each side; only of steps that are over. `None` when
    /// `step` itself is not held.
    pub(super) fn around(&self, step: u64, reach: u64) -> Option<f32> {
        let value = self.get(step)?;
        if reach == 0 {
            return Some(value);
        }
        self.mean(step.saturating_sub(reach)..=step + reach)
    }

    fn slot(&self, step: u64) -> usize {
        (step % self.capacity()) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_steps_are_held_and_older_ones_are_not() {
        let mut history = History::new(4);
        history.restart(100);
        for count in 0..6_u8 {
            history.push(log_of(f32::from(count)));
        }
        assert_eq!(history.get(101), None);
        assert_eq!(history.get(106), None);
        for (step, count) in [(102, 2.0), (105, 5.0)] {
            let held = count_of(history.get(step).unwrap());
            assert!((held - count).abs() < 0.01, "{step} {held}");
        }
        // The neighbours after the newest step, and before the oldest, are left out.
        let around = history.around(105, 1).unwrap();
        let mean = f32::midpoint(log_of(4.0), log_of(5.0));
        assert!((around - mean).abs() < 0.001, "{around} {mean}");
    }

    #[test]
    fn what_is_rewound_is_forgotten_and_the_rest_is_not() {
        let mut history = History::new(4);
        history.restart(10);
        for count in [1.0, 2.0, 3.0] {
            history.push(log_of(count));
        }
        history.rewind(12);
        assert!(history.get(11).is_some() && history.get(12).is_none() && history.next() == 12);
        history.rewind(5);
        assert!(history.is_empty() && history.next() == 5);
    }

    #[test]
    fn large_counts_stay_true_to_the_third_of_a_per_mille() {
        let mut history = History::new(1);
        for count in [1.0_f32, 17.0, 1e3, 1e6, 1e9, COUNT_MAX as f32] {
            history.push(log_of(count));
            let held = count_of(history.get(history.next() - 1).unwrap());
            assert!((held / count - 1.0).abs() < 0.0005, "{count} {held}");
        }
    }
}
