//! Counts of seconds, or of other short pieces, made counts of longer steps.
//!
//! Seconds come in order from the gateway's counters. A second that was not reported (a restart, a clock set forward)
//! is missing, which is not zero: a step is known when nine tenths of it are, and then counts as if the rest had been
//! alike.

/// Share of a step that has to be known.
const KNOWN: f64 = 0.9;

/// Steps that the mean dispersion is over: about an hour of minutes. Before there are as many, over those that there are
/// and one in which requests came one by one.
const STEPS: u32 = 60;

/// A step that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When it began, in seconds since 1970; a multiple of its length.
    pub at_s: u64,
    /// Its requests; `None` when too little of it is known.
    pub count: Option<u64>,
}

/// Sums up pieces of time.
#[derive(Debug, Clone)]
pub struct Rollup {
    piece_s: u64,
    step_s: u64,
    /// The step that is being filled.
    at_s: Option<u64>,
    /// When the newest piece of it began.
    newest_s: u64,
    pieces: u32,
    sum: u64,
    squares: f64,
    dispersion: f32,
    /// Steps that the dispersion is of, up to [`STEPS`].
    steps: u32,
}

impl Rollup {
    /// Sums up pieces of `piece_s` seconds into steps of `step_s`; each is 1 at least, and a step no shorter than a
    /// piece.
    pub fn new(piece_s: u64, step_s: u64) -> Self {
        let piece_s = piece_s.max(1);
        Self {
            piece_s,
            step_s: step_s.max(piece_s),
            at_s: None,
            newest_s: 0,
            pieces: 0,
            sum: 0,
            squares: 0.0,
            dispersion: 1.0,
            steps: 1,
        }
    }

    /// Adds the requests of the piece that began at `piece_at_s`, and returns the step before when this one begins a
    /// new step and that one was not returned yet. Of steps that were left out altogether nothing is returned. A piece
    /// that is not after the one before it is left out: a clock that is set back would count twice.
    pub fn add(&mut self, piece_at_s: u64, count: u64) -> Option<Step> {
        let begins = piece_at_s - piece_at_s % self.step_s;
        if self.at_s.is_some() && piece_at_s <= self.newest_s {
            return None;
        }
        let over = self.at_s.filter(|at_s| *at_s != begins).and_then(|at_s| self.close(at_s));
        (self.at_s, self.newest_s) = (Some(begins), piece_at_s);
        self.pieces += 1;
        self.sum = self.sum.saturating_add(count);
        self.squares += (count as f64).powi(2);
        over
    }

    /// Returns the step that was being filled if it is over at `now_s`: sooner than the next piece tells.
    pub fn over(&mut self, now_s: u64) -> Option<Step> {
        let at_s = self.at_s.filter(|at_s| at_s.saturating_add(self.step_s) <= now_s)?;
        self.close(at_s)
    }

    /// Returns how much more the pieces of a step vary than chance alone would make them: their variance by their mean, 1
    /// for requests that come one by one. A mean over an hour or so.
    pub fn dispersion(&self) -> f32 {
        self.dispersion
    }

    fn close(&mut self, at_s: u64) -> Option<Step> {
        if self.pieces == 0 {
            return None;
        }
        let pieces = f64::from(self.pieces);
        let all = (self.step_s / self.piece_s) as f64;
        let mean = self.sum as f64 / pieces;
        let known = KNOWN * all <= pieces;
        let count = if pieces < all { (mean * all).round() as u64 } else { self.sum };
        if known && 1 < self.pieces && 0 < self.sum {
            let variance = (self.squares - pieces * mean * mean).max(0.0) / (pieces - 1.0);
            self.steps = (self.steps + 1).min(STEPS);
            self.dispersion += ((variance / mean) as f32 - self.dispersion) / self.steps as f32;
        }
        (self.pieces, self.sum, self.squares) = (0, 0, 0.0);
        Some(Step { at_s, count: known.then_some(count) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(seconds: impl IntoIterator<Item = (u64, u64)>) -> Vec<Step> {
        let mut rollup = Rollup::new(1, 10);
        seconds.into_iter().filter_map(|(second_s, count)| rollup.add(second_s, count)).collect()
    }

    #[test]
    fn seconds_become_steps() {
        let found = steps((100..131).map(|second_s| (second_s, second_s % 10)));
        let step = |at_s| Step { at_s, count: Some(45) };
        assert_eq!(found, [step(100), step(110), step(120)]);
    }

    #[test]
    fn a_step_is_known_by_nine_tenths() {
        // One second of the first step is missing, two of the second, all of the third.
        let found =
            steps((100..119).filter(|s| *s != 105 && *s != 112).chain([130]).map(|s| (s, 9)));
        assert_eq!(found, [Step { at_s: 100, count: Some(90) }, Step { at_s: 110, count: None }]);
    }

    #[test]
    fn a_clock_that_is_set_back_counts_nothing_twice() {
        let found = steps((100..110).chain(103..108).chain(110..121).map(|s| (s, 1)));
        assert_eq!(found.iter().map(|step| step.count).collect::<Vec<_>>(), [Some(10), Some(10)]);
        assert!(steps([(u64::MAX, u64::MAX), (0, 1), (u64::MAX - 1, 1)]).is_empty());
    }

    #[test]
    fn a_step_that_is_over_is_there_at_once_and_once() {
        let mut rollup = Rollup::new(1, 2);
        assert_eq!((rollup.add(4, 1), rollup.over(5)), (None, None));
        assert_eq!(
            (rollup.add(5, 2), rollup.over(6)),
            (None, Some(Step { at_s: 4, count: Some(3) }))
        );
        assert_eq!((rollup.over(7), rollup.add(6, 2)), (None, None));
    }

    #[test]
    fn bunches_are_known_after_some_steps() {
        let mut rollup = Rollup::new(1, 60);
        (0..60 * 6).for_each(|second_s| {
            rollup.add(second_s, if second_s % 5 == 0 { 5 } else { 0 });
        });
        // Five steps of 4, and one of 1.
        assert!((rollup.dispersion() - 3.5).abs() < 0.1, "{}", rollup.dispersion());
    }

    #[test]
    fn bunches_are_told_from_single_requests() {
        // Five requests in every fifth second: mean 1, variance (16 + 4 x 1) / 5 = 4 of the mean.
        let mut rollup = Rollup::new(1, 60);
        for second_s in 0..60 * 600 {
            rollup.add(second_s, if second_s % 5 == 0 { 5 } else { 0 });
        }
        assert!((rollup.dispersion() - 4.0).abs() < 0.1, "{}", rollup.dispersion());
    }
}
