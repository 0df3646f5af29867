//! Calls of a function in flight and refused, by ten seconds of the plans' time.

use std::collections::VecDeque;

use crate::lane::lambda::Function;

/// Steps that are kept: five minutes, and the one under way.
const STEPS: usize = 31;

/// Length of a step, in seconds of the plans' clock.
const STEP_S: u64 = 10;

/// Steps that make a minute.
const MINUTE: usize = 6;

/// What one function did lately.
#[derive(Debug, Default)]
pub(super) struct Flights {
    steps: VecDeque<Step>,
    /// As counted at the last look.
    seen: Option<Counted>,
}

/// Calls of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// That began.
    pub(super) began: u64,
    /// That Lambda refused, for too many or too fast.
    pub(super) throttled: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Step {
    number: u64,
    /// Most in flight at once, as far as looks saw it.
    most: u32,
    counted: Counted,
}

impl Flights {
    /// Takes a look.
    pub(super) fn look(&mut self, function: &Function, shown_s: f64) {
        let counted = Counted { began: function.began(), throttled: function.throttled() };
        self.take(shown_s as u64 / STEP_S, function.in_flight(), counted);
    }

    fn take(&mut self, number: u64, in_flight: u32, counted: Counted) {
        let before = self.seen.replace(counted).unwrap_or(counted);
        let last = self.steps.back().map_or(number, |last| last.number);
        // A clock that is set back stands still; after a pause of minutes what was before says nothing.
        let number = number.max(last);
        if STEPS as u64 <= number - last {
            self.steps.clear();
        }
        let next = self.steps.back().map_or(number, |last| last.number + 1);
        for number in next..=number {
            if self.steps.len() == STEPS {
                self.steps.pop_front();
            }
            self.steps.push_back(Step { number, ..Step::default() });
        }
        let Some(step) = self.steps.back_mut() else { return };
        step.most = step.most.max(in_flight);
        let sum = &mut step.counted;
        sum.began += counted.began.saturating_sub(before.began);
        sum.throttled += counted.throttled.saturating_sub(before.throttled);
    }

    /// Returns the most in flight at once in each step, the latest last.
    pub(super) fn most(&self) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator + '_ {
        self.steps.iter().map(|step| f64::from(step.most))
    }

    /// Returns what was counted in the last minute.
    pub(super) fn last_minute(&self) -> Counted {
        let steps = self.steps.iter().rev().take(MINUTE + 1);
        steps.fold(Counted::default(), |sum, Step { counted, .. }| Counted {
            began: sum.began + counted.began,
            throttled: sum.throttled + counted.throttled,
        })
    }

    /// Tells whether there were any in the last minute.
    pub(super) fn are_any(&self) -> bool {
        self.steps
            .iter()
            .rev()
            .take(MINUTE + 1)
            .any(|step| 0 < step.most || step.counted != Counted::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_counted_and_five_are_looked_back_on() {
        let mut flights = Flights::default();
        let counted = |began, throttled| Counted { began, throttled };
        let minute = |flights: &Flights| {
            let Counted { began, throttled } = flights.last_minute();
            (began, throttled)
        };
        for number in 0..100_u64 {
            let (began, throttled) = (number * 10 + 7, number / 10);
            flights.take(number, number as u32, counted(began, throttled));
            flights.take(number, 3, counted(began, throttled));
        }
        assert_eq!(flights.most().collect::<Vec<_>>().len(), STEPS);
        assert_eq!(flights.most().next_back(), Some(99.0));
        assert_eq!(minute(&flights), (70, 0));
        // Nobody looked for half a minute.
        flights.take(103, 5, counted(1_100, 12));
        assert_eq!(flights.most().skip(STEPS - 4).collect::<Vec<_>>(), [0.0, 0.0, 0.0, 5.0]);
        assert_eq!(minute(&flights), (133, 3));
        flights.take(40, 9, counted(1_101, 12));
        assert_eq!(flights.most().next_back(), Some(9.0), "a clock set back stands still");
        flights.take(1_000_000, 1, counted(1_200, 12));
        assert_eq!(flights.most().collect::<Vec<_>>(), [1.0]);
        assert!(flights.are_any());
    }
}
