//! What a forecast has to beat: methods of one line, calibrated as anyone would do it.
//!
//! Each says one number; the quantiles of its last residuals, relative ones, move that to each level. Only residuals
//! whose target had come by the origin count, those of the warm-up too.

use std::collections::VecDeque;

use predictor::forecast::LEVELS;

/// Residuals that are remembered.
const RESIDUALS: usize = 500;

/// Below so many the number itself stands for every quantile.
const RESIDUALS_MIN: usize = 20;

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// A simple method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Simple {
    /// What came last.
    LastValue,
    /// The mean of the last five steps.
    MeanOfFive,
    /// What came at the same time of the day before.
    DayBefore,
    /// What came at the same time of the week before.
    WeekBefore,
    /// What came at the same time of the day before, at the level of now: times what the last ten steps have of those
    /// ten a day before, a fifth to five times.
    DayAtLevel,
}

impl Simple {
    pub(super) const ALL: [Self; 5] =
        [Self::LastValue, Self::MeanOfFive, Self::DayBefore, Self::WeekBefore, Self::DayAtLevel];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::LastValue => "last value",
            Self::MeanOfFive => "mean of five",
            Self::DayBefore => "day before",
            Self::WeekBefore => "week before",
            Self::DayAtLevel => "day at level",
        }
    }

    /// Returns what it says of the step `ahead` after the origin; `None` where it cannot know.
    fn point(self, past: &Past<'_>, ahead: usize) -> Option<f64> {
        let before = |period_s: u64| {
            let period = (period_s / past.step_s).max(1) as usize;
            let back = period * ahead.div_ceil(period);
            let count = past.counts[(past.origin + ahead).checked_sub(back)?]?;
            Some((count as f64, past.origin.checked_sub(back)))
        };
        match self {
            Self::LastValue => past.last.map(|count| count as f64),
            Self::MeanOfFive => past.mean(past.origin, 5),
            Self::DayBefore => before(DAY_S).map(|(count, _)| count),
            Self::WeekBefore => before(7 * DAY_S).map(|(count, _)| count),
            Self::DayAtLevel => {
                let (count, then) = before(DAY_S)?;
                let then = past.mean(then?, 10).filter(|then| 0.0 < *then)?;
                Some(count * (past.mean(past.origin, 10)? / then).clamp(0.2, 5.0))
            }
        }
    }
}

/// What is known at an origin.
#[derive(Debug)]
pub(super) struct Past<'a> {
    pub(super) counts: &'a [Option<u64>],
    pub(super) step_s: u64,
    /// The number of the last step that is known.
    pub(super) origin: usize,
    /// The last count that is known.
    pub(super) last: Option<u64>,
}

impl Past<'_> {
    /// Returns the mean of those that are known of the `steps` up to `until`.
    fn mean(&self, until: usize, steps: usize) -> Option<f64> {
        let known = self.counts[(until + 1).saturating_sub(steps)..=until].iter().flatten();
        let (sum, known) =
            known.fold((0.0, 0.0), |(sum, known), count| (sum + *count as f64, known + 1.0));
        (0.0 < known).then(|| sum / known)
    }
}

/// One method at one horizon, calibrated as it goes.
#[derive(Debug)]
pub(super) struct Calibrated {
    method: Simple,
    ahead: usize,
    /// Residuals whose target is still to come, and the number of that step.
    pending: VecDeque<(usize, f64)>,
    known: VecDeque<f64>,
    /// The same in order of size.
    sorted: Vec<f64>,
    /// Whether it ever had a number of its own.
    pub(super) spoke: bool,
}

impl Calibrated {
    pub(super) fn new(method: Simple, ahead: usize) -> Self {
        let (pending, known) = (VecDeque::new(), VecDeque::with_capacity(RESIDUALS));
        Self { method, ahead, pending, known, sorted: Vec::with_capacity(RESIDUALS), spoke: false }
    }

    /// Returns its quantiles at an origin, and remembers how far off it will turn out; origins come in order. A method
    /// that cannot know yet says the last value.
    pub(super) fn say(&mut self, past: &Past<'_>) -> Option<[f64; LEVELS.len()]> {
        while let Some((_, residual)) = self.pending.pop_front_if(|(at, _)| *at <= past.origin) {
            self.learn(residual);
        }
        let own = self.method.point(past, self.ahead);
        self.spoke |= own.is_some();
        let log = own.or(past.last.map(|count| count as f64))?.ln_1p();
        if let Some(Some(actual)) = past.counts.get(past.origin + self.ahead) {
            self.pending.push_back((past.origin + self.ahead, (*actual as f64).ln_1p() - log));
        }
        Some(LEVELS.map(|level| (log + self.quantile(f64::from(level))).exp_m1()))
    }

    fn learn(&mut self, residual: f64) {
        if self.known.len() == RESIDUALS
            && let Some(oldest) = self.known.pop_front()
        {
            self.sorted.remove(self.place(oldest));
        }
        self.known.push_back(residual);
        self.sorted.insert(self.place(residual), residual);
    }

    fn place(&self, residual: f64) -> usize {
        self.sorted.partition_point(|other| *other < residual)
    }

    /// Returns the quantile of the residuals, between two in proportion.
    fn quantile(&self, level: f64) -> f64 {
        if self.sorted.len() < RESIDUALS_MIN {
            return 0.0;
        }
        let place = level * (self.sorted.len() - 1) as f64;
        let below = self.sorted[place as usize];
        let above = self.sorted[(place as usize + 1).min(self.sorted.len() - 1)];
        below + place.fract() * (above - below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_looks_where_its_name_says() {
        // Two weeks and a day of hours.
        let counts: Vec<_> = (0..360).map(Some).collect();
        let level = |now: f64, then: f64, count: f64| Some(count * now / then);
        for (origin, ahead, points) in [
            (
                200,
                2,
                [Some(200.0), Some(198.0), Some(178.0), Some(34.0), level(195.5, 171.5, 178.0)],
            ),
            // The day before its target is still to come: two days before.
            (
                200,
                30,
                [Some(200.0), Some(198.0), Some(182.0), Some(62.0), level(195.5, 147.5, 182.0)],
            ),
            (20, 2, [Some(20.0), Some(18.0), None, None, None]),
        ] {
            let past = Past { counts: &counts, step_s: 3_600, origin, last: counts[origin] };
            let said = Simple::ALL.map(|method| method.point(&past, ahead));
            let whole = |point: Option<f64>| point.map(|point| (point * 1e3).round());
            assert_eq!(said.map(whole), points.map(whole));
        }
    }

    #[test]
    fn residuals_move_the_number_to_each_level_once_their_targets_have_come() {
        // Doubles and halves by turns: half of all residuals are ln 2 or so.
        let counts: Vec<_> = (0..1_200).map(|n| Some(if n % 2 == 0 { 99 } else { 199 })).collect();
        let mut method = Calibrated::new(Simple::LastValue, 1);
        for origin in 0..1_199 {
            let past = Past { counts: &counts, step_s: 60, origin, last: counts[origin] };
            let said = method.say(&past).unwrap();
            assert!(method.known.len() <= RESIDUALS && method.known.len() == method.sorted.len());
            if origin == 15 {
                assert!(said.iter().all(|count| (count - 199.0).abs() < 1e-6), "{said:?}");
            }
            if origin == 1_000 {
                let round = said.map(f64::round);
                assert_eq!((round[0], round[6]), (49.0, 199.0), "{said:?}");
            }
        }
        assert!(method.sorted.is_sorted());
    }
}
