//! Experts: what came at this time of the hour, the day or the week before.
//!
//! The day before, raw, is the expert to beat on a clean rhythm; the mean over days and over neighbouring steps is less
//! noisy. A day is one of the local calendar: on the morning after clocks change, yesterday's eight o'clock is 23 or 25
//! hours ago.

use super::{calendar::Calendar, history::History};

/// A rhythm that load may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Season {
    /// Timers beat on the hour.
    Hour,
    /// People sleep.
    Day,
    /// And rest on Sunday.
    Week,
}

impl Season {
    /// How long a cycle is, in seconds, while no clock changes.
    pub(super) fn period_s(self) -> u64 {
        match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
        }
    }

    /// How many cycles a profile is the mean of. More of them are less noisy, and older.
    fn cycles(self) -> u64 {
        match self {
            Self::Hour => 6,
            Self::Day => 7,
            Self::Week => 4,
        }
    }
}

/// Steps to each side that a smoothed analogue is the mean of: five minutes of minutes, as rhythms are less sharp than
/// that.
pub(super) const REACH: u64 = 2;

/// The past, as seen from now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past<'a> {
    pub(super) history: &'a History,
    pub(super) calendar: &'a Calendar,
    /// How long a step is.
    pub(super) step_s: u64,
}

impl Past<'_> {
    /// Returns when the step at `tick` begins, in seconds since 1970.
    pub(super) fn at_s(&self, tick: u64) -> Option<u64> {
        tick.checked_mul(self.step_s / self.history.phases())
    }

    /// Returns the tick at the same time `cycles` cycles before `tick`.
    pub(super) fn before(&self, tick: u64, season: Season, cycles: u64) -> Option<u64> {
        let seconds = cycles.checked_mul(season.period_s())?;
        let lag_s = match season {
            Season::Hour => seconds,
            Season::Day | Season::Week => self.calendar.lag(self.at_s(tick)?, seconds),
        };
        // A rhythm shorter than a step, or no multiple of it, has no analogue.
        let lag = lag_s / self.step_s;
        if lag == 0 || !lag_s.is_multiple_of(self.step_s) {
            return None;
        }
        tick.checked_sub(lag * self.history.phases())
    }

    /// Returns the value of the step there, or the mean of those around it.
    pub(super) fn analogue(
        &self,
        tick: u64,
        season: Season,
        cycles: u64,
        reach: u64,
    ) -> Option<f32> {
        self.history.around(self.before(tick, season, cycles)?, reach)
    }

    /// Returns the mean over the cycles before `tick`, from the `first`th one on.
    pub(super) fn profile(&self, tick: u64, season: Season, first: u64, reach: u64) -> Option<f32> {
        let (mut sum, mut n) = (0.0, 0.0_f32);
        for cycles in first..first + season.cycles() {
            let Some(value) = self.analogue(tick, season, cycles, reach) else { break };
            sum += value;
            n += 1.0;
        }
        (0.0 < n).then(|| sum / n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_a_day_and_a_week_ago_is_found() {
        let mut history = History::new(4 * 24 * 9, 1, 0);
        let calendar = Calendar::default();
        // Quarters of an hour; the value is the hour of the day plus the day.
        for quarter in 0..4 * 24 * 9_u16 {
            history.push(f32::from(quarter / 4 % 24) / 10.0 + f32::from(quarter / 96));
        }
        let past = Past { history: &history, calendar: &calendar, step_s: 900 };
        let now = history.next() - 1;
        let check = |value: Option<f32>, expected: f32| {
            assert!((value.unwrap() - expected).abs() < 0.001, "{value:?} {expected}");
        };
        // The target is at midnight after the ninth day.
        check(past.analogue(now + 1, Season::Day, 1, 0), 8.0);
        check(past.analogue(now + 1, Season::Week, 1, 0), 2.0);
        check(past.profile(now + 1, Season::Day, 1, 0), 5.0);
        check(past.analogue(now + 1, Season::Hour, 1, 0), 10.3);
        assert_eq!(past.analogue(now + 1, Season::Week, 2, 0), None);
        // Midnight's neighbours: 8 - 1 + 2.3 twice before, 8.0 three times.
        check(past.analogue(now + 1, Season::Day, 1, REACH), (2.0 * 9.3 + 3.0 * 8.0) / 5.0);
    }
}
