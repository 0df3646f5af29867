//! What was counted lately, one value a step.
//!
//! Experts work on `ln(1 + count)`: there a doubling is as far as a halving, and one flood does not outweigh a week. It
//! is held in 1/2048ths, so that eight days of minutes take 23 kB and a count is true to 0.03 %.

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

/// The newest steps of a series, as `ln(1 + count)`.
///
/// Steps may begin more often than they are long: those of a minute every ten seconds, in six phases. A tick is a number, the
/// start of a step divided by how often steps begin. All phases of late are held; further back only the first one is, and a
/// step of another phase is read between the two that it lies across. Eight days of all phases would take six times as much.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// Steps of the first phase, end to end.
    coarse: Box<[u16]>,
    /// The newest steps of all phases; none where there is one phase only.
    fine: Box<[u16]>,
    phases: u64,
    /// The tick after the newest one.
    next: u64,
    /// How many of the newest ticks are held, and how many of them by all phases.
    len: u64,
    fine_len: u64,
}

impl History {
    /// Holds up to `steps`, of which steps begin in `phases` and the latest `fine` ticks are held apart.
    pub(super) fn new(steps: u64, phases: u64, fine: u64) -> Self {
        let fine = if phases == 1 { 0 } else { fine };
        Self {
            coarse: vec![0; steps as usize].into(),
            fine: vec![0; fine as usize].into(),
            phases,
            next: 0,
            len: 0,
            fine_len: 0,
        }
    }

    /// Forgets everything; the next value is of the tick `next`.
    pub(super) fn restart(&mut self, next: u64) {
        (self.next, self.len, self.fine_len) = (next, 0, 0);
    }

    /// Forgets `tick` and everything after it, so that it comes next; everything, when `tick` is not one that is held.
    pub(super) fn rewind(&mut self, tick: u64) {
        match self.next.checked_sub(tick).filter(|ahead| *ahead <= self.len) {
            Some(ahead) => {
                (self.next, self.len) = (tick, self.len - ahead);
                self.fine_len = self.fine_len.saturating_sub(ahead);
            }
            None => self.restart(tick),
        }
    }

    /// Adds the value of the next tick.
    pub(super) fn push(&mut self, log: f32) {
        let held = (log * PER_UNIT).round() as u16;
        if self.next.is_multiple_of(self.phases) {
            let slot = self.slot(self.next);
            self.coarse[slot] = held;
        }
        if !self.fine.is_empty() {
            let slot = self.fine_slot(self.next);
            self.fine[slot] = held;
        }
        self.next += 1;
        self.len = (self.len + 1).min(self.capacity());
        self.fine_len = (self.fine_len + 1).min(self.fine.len() as u64);
    }

    /// Adds the value of the next step of the first phase, and passes over those of the other phases that begin in it. What is
    /// next has to be of the first phase.
    pub(super) fn push_whole(&mut self, log: f32) {
        debug_assert!(self.next.is_multiple_of(self.phases), "{} begins no whole step", self.next);
        let slot = self.slot(self.next);
        self.coarse[slot] = (log * PER_UNIT).round() as u16;
        self.next += self.phases;
        self.len = (self.len + self.phases).min(self.capacity());
        self.fine_len = 0;
    }

    /// The tick after the newest one.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The newest tick.
    pub(super) fn newest(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// How many ticks a step is long.
    pub(super) fn phases(&self) -> u64 {
        self.phases
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many ticks are held at most.
    pub(super) fn capacity(&self) -> u64 {
        (self.coarse.len() as u64 - 1) * self.phases + 1
    }

    /// Returns the value of a tick, when it is held.
    pub(super) fn get(&self, tick: u64) -> Option<f32> {
        let back = self.next.checked_sub(tick)?;
        if back == 0 || self.len < back {
            return None;
        }
        if back <= self.fine_len {
            return Some(f32::from(self.fine[self.fine_slot(tick)]) / PER_UNIT);
        }
        let (begins, part) = (tick - tick % self.phases, tick % self.phases);
        if begins + self.len < self.next {
            return None;
        }
        let value = f32::from(self.coarse[self.slot(begins)]) / PER_UNIT;
        if part == 0 || self.next <= begins + self.phases {
            return Some(value);
        }
        let after = f32::from(self.coarse[self.slot(begins + self.phases)]) / PER_UNIT;
        Some(between(value, after, part as f32 / self.phases as f32))
    }

    /// Returns the ticks that are held as they were, and their values, in order of time: of those long past only the ones of
    /// the first phase.
    pub(super) fn held(&self) -> impl Iterator<Item = (u64, f32)> {
        let fine = self.next - self.fine_len.min(self.next);
        let ticks = self.next - self.len.min(self.next)..self.next;
        let ticks = ticks.filter(move |tick| fine <= *tick || tick.is_multiple_of(self.phases));
        ticks.filter_map(|tick| Some((tick, self.get(tick)?)))
    }

    /// Returns the mean over those of the `n` steps, the last of which is at `tick`, that are held, when there are any.
    pub(super) fn mean(&self, tick: u64, n: u64) -> Option<f32> {
        mean(self.back(tick, n))
    }

    /// Returns the values of those of the `n` steps, end to end, that are held; the last one is at `tick`.
    pub(super) fn back(&self, tick: u64, n: u64) -> impl Iterator<Item = f32> {
        let ticks = (0..n).rev().filter_map(move |ago| tick.checked_sub(ago * self.phases));
        ticks.filter_map(|tick| self.get(tick))
    }

    /// Returns the mean of the step at `tick` and of its neighbours, `reach` to each side; only of steps that are over. `None`
    /// when the step itself is not held.
    pub(super) fn around(&self, tick: u64, reach: u64) -> Option<f32> {
        let value = self.get(tick)?;
        if reach == 0 {
            return Some(value);
        }
        self.mean(tick + reach * self.phases, 2 * reach + 1)
    }

    fn slot(&self, tick: u64) -> usize {
        (tick / self.phases % self.coarse.len() as u64) as usize
    }

    fn fine_slot(&self, tick: u64) -> usize {
        (tick % self.fine.len() as u64) as usize
    }
}

fn mean(values: impl Iterator<Item = f32>) -> Option<f32> {
    let (sum, n) = values.fold((0.0, 0.0_f32), |(sum, n), value| (sum + value, n + 1.0));
    (0.0 < n).then(|| sum / n)
}

/// How far apart two logarithms may be for a line between them to do: it is off by an eighth of the square, 0.8 %.
const STRAIGHT: f32 = 0.25;

/// Returns the logarithm of the count of a step that has `part` of the second of two and the rest of the first.
fn between(first: f32, second: f32, part: f32) -> f32 {
    if (second - first).abs() < STRAIGHT {
        return first + part * (second - first);
    }
    let (from, until) = (count_of(first), count_of(second));
    log_of(from + part * (until - from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_steps_are_held_and_older_ones_are_not() {
        let mut history = History::new(4, 1, 0);
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
    fn steps_of_other_phases_are_exact_of_late_and_in_proportion_before() {
        // Three ticks to a step, of which six are held apart; a rate that rises by 10 a tick, and then by 1,000.
        let mut history = History::new(8, 3, 6);
        history.restart(3);
        let rate = |tick: u64| if tick < 15 { 10 * tick } else { 1_000 * tick };
        let count = |tick: u64| (tick..tick + 3).map(rate).sum::<u64>() as f32;
        (3..24).for_each(|tick| history.push(log_of(count(tick))));
        for tick in 3..24 {
            let held = count_of(history.get(tick).unwrap());
            // Between steps of a rate that is not even, a part is taken of it as if it were.
            let expected = if tick < 18 && tick % 3 != 0 {
                let (before, part) = (tick - tick % 3, (tick % 3) as f32 / 3.0);
                count(before) + part * (count(before + 3) - count(before))
            } else {
                count(tick)
            };
            assert!((held / expected - 1.0).abs() < 0.01, "{tick}: {held} and not {expected}");
        }
        assert_eq!((history.get(2), history.get(24)), (None, None));
        // Steps end to end: those at 17, 20 and 23.
        let mean = count_of(history.mean(23, 2).unwrap());
        assert!((mean - (count(20) * count(23)).sqrt()).abs() < 0.01 * mean, "{mean}");
        // Only 7 whole steps back and one are held.
        (24..40).for_each(|_| history.push(1.0));
        assert_eq!(history.capacity(), 22);
        assert!(history.get(39 - 21).is_some() && history.get(39 - 22).is_none());
    }

    #[test]
    fn a_start_amid_a_step_and_whole_steps_that_are_passed_over() {
        let mut history = History::new(8, 3, 3);
        history.restart(4);
        (4..9).for_each(|_| history.push(2.0));
        // The step that began before it is not known.
        assert_eq!(history.get(4), None);
        assert_eq!(history.get(7), Some(2.0));
        history.push_whole(3.0);
        assert_eq!((history.next(), history.get(9), history.get(11)), (12, Some(3.0), Some(3.0)));
        assert!((2.0..3.0).contains(&history.get(7).unwrap()));
        history.push(4.0);
        assert_eq!(history.get(12), Some(4.0));
        // Back amid a step: what came after it is not looked at any more.
        history.rewind(8);
        assert_eq!((history.get(7), history.get(8)), (Some(2.0), None));
        history.push(5.0);
        assert_eq!(history.get(8), Some(5.0));
    }

    #[test]
    fn what_is_rewound_is_forgotten_and_the_rest_is_not() {
        let mut history = History::new(4, 1, 0);
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
        let mut history = History::new(1, 1, 0);
        for count in [1.0_f32, 17.0, 1e3, 1e6, 1e9, COUNT_MAX as f32] {
            history.push(log_of(count));
            let held = count_of(history.get(history.newest()).unwrap());
            assert!((held / count - 1.0).abs() < 0.0005, "{count} {held}");
        }
    }
}
