//! What came of each service, by step, while it is gathered.
//!
//! Counts come by the second, the minute or five of them; they are spread evenly over the steps that they cover, in whole
//! requests whose sum stays. A step that is covered in part only is left out: it would be taken for all of it.

use std::collections::BTreeMap;

use anyhow::ensure;

use super::time::show;
use crate::history::{REQUESTS_MAX, STEP_S};

/// A step in microseconds.
pub(super) const STEP_US: u64 = STEP_S * 1_000_000;

/// What came in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) requests: u64,
    /// Requests whose duration is known, and its sum.
    pub(super) timed: u64,
    pub(super) service_us: u64,
    /// How much of the step is covered.
    covered_us: u64,
}

/// The steps of one service, by when they begin in seconds.
#[derive(Debug, Default)]
pub(super) struct Steps(BTreeMap<u64, Came>);

/// Where a service's steps have holes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gaps {
    pub(super) count: u64,
    pub(super) seconds: u64,
    /// When the longest begins, and how long it is.
    pub(super) longest: Option<(u64, u64)>,
}

impl Steps {
    /// Takes in a count that covers `us` microseconds from `at_us` on.
    ///
    /// # Errors
    /// When it is more than anything is asked: a counter that was read wrong.
    pub(super) fn count(&mut self, at_us: u64, us: u64, count: u64) -> anyhow::Result<()> {
        let most = u128::from(REQUESTS_MAX) * u128::from(us) / u128::from(STEP_US);
        ensure!(
            u128::from(count) <= most,
            "{count} requests in {} s from {} on are more than a billion a second: is the right metric asked for?",
            us as f64 / 1e6,
            show(at_us / 1_000_000)
        );
        // How many have come by a time: whole ones, so that those of all pieces add up.
        let by = |until_us: u64| {
            (u128::from(count) * u128::from(until_us - at_us) / u128::from(us)) as u64
        };
        let (mut from_us, end_us) = (at_us, at_us + us);
        while from_us < end_us {
            let step = from_us / STEP_US;
            let until_us = end_us.min((step + 1) * STEP_US);
            let came = self.0.entry(step * STEP_S).or_default();
            came.requests += by(until_us) - by(from_us);
            came.covered_us += until_us - from_us;
            from_us = until_us;
        }
        Ok(())
    }

    /// Takes in a single request.
    pub(super) fn request(&mut self, at_us: u64, duration_us: Option<u32>) {
        let came = self.0.entry(at_us / STEP_US * STEP_S).or_default();
        came.requests += 1;
        came.covered_us = STEP_US;
        if let Some(duration_us) = duration_us {
            came.timed += 1;
            came.service_us += u64::from(duration_us);
        }
    }

    /// Keeps what lies between two times and is covered whole.
    pub(super) fn keep(&mut self, from_s: u64, until_s: u64) {
        self.0.retain(|&at_s, came| {
            from_s <= at_s && at_s + STEP_S <= until_s && STEP_US <= came.covered_us
        });
    }

    /// Makes every step from `from_s` to before `until_s` known: one that was not had no request.
    pub(super) fn fill(&mut self, from_s: u64, until_s: u64) {
        for at_s in (from_s.next_multiple_of(STEP_S)..until_s).step_by(STEP_S as usize) {
            self.0.entry(at_s).or_default().covered_us = STEP_US;
        }
    }

    /// Returns when the first step begins, and when the last one ends.
    pub(super) fn span(&self) -> Option<(u64, u64)> {
        let ((first, _), (last, _)) = (self.0.first_key_value()?, self.0.last_key_value()?);
        Some((*first, last + STEP_S))
    }

    /// Returns the steps, by when they begin.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Came)> {
        self.0.iter().map(|(at_s, came)| (*at_s, *came))
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the holes between its steps.
    pub(super) fn gaps(&self) -> Gaps {
        let mut gaps = Gaps::default();
        let mut next = None;
        for &at_s in self.0.keys() {
            if let Some(next) = next.filter(|next| *next < at_s) {
                gaps.count += 1;
                gaps.seconds += at_s - next;
                if gaps.longest.is_none_or(|(_, longest)| longest < at_s - next) {
                    gaps.longest = Some((next, at_s - next));
                }
            }
            next = Some(at_s + STEP_S);
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: u64 = 1_000_000;

    fn requests(steps: &Steps) -> Vec<(u64, u64)> {
        steps.iter().map(|(at_s, came)| (at_s, came.requests)).collect()
    }

    #[test]
    fn a_minute_is_spread_evenly_in_whole_requests() {
        let mut steps = Steps::default();
        steps.count(60 * SECOND_US, 60 * SECOND_US, 8).unwrap();
        assert_eq!(requests(&steps), [(60, 1), (70, 1), (80, 2), (90, 1), (100, 1), (110, 2)]);
        for count in [0, 1, 5, 1_000_003] {
            let mut steps = Steps::default();
            steps.count(300 * SECOND_US, 300 * SECOND_US, count).unwrap();
            assert_eq!(steps.len(), 30);
            assert_eq!(steps.iter().map(|(_, came)| came.requests).sum::<u64>(), count);
        }
    }

    #[test]
    fn seconds_are_added_up_and_parts_of_a_step_left_out() {
        let mut steps = Steps::default();
        for second in 5..27 {
            steps.count(second * SECOND_US, SECOND_US, 2).unwrap();
        }
        steps.keep(0, 100);
        assert_eq!(requests(&steps), [(10, 20)]);
        // Rows that do not begin with a step fill it together.
        let mut steps = Steps::default();
        steps.count(5 * SECOND_US, 60 * SECOND_US, 60).unwrap();
        steps.count(65 * SECOND_US, 60 * SECOND_US, 120).unwrap();
        steps.keep(0, 200);
        assert_eq!(steps.len(), 11);
        assert_eq!(requests(&steps)[5], (60, 15));
    }

    #[test]
    fn only_what_was_asked_for_is_kept() {
        let mut steps = Steps::default();
        steps.count(0, 60 * SECOND_US, 60).unwrap();
        steps.keep(15, 50);
        assert_eq!(requests(&steps), [(20, 10), (30, 10), (40, 10)]);
        assert_eq!(steps.span(), Some((20, 50)));
    }

    #[test]
    fn holes_are_found_and_filled() {
        let mut steps = Steps::default();
        for at_s in [0, 10, 40, 100, 110] {
            steps.request(at_s * SECOND_US, (at_s == 0).then_some(5));
        }
        let gaps = Gaps { count: 2, seconds: 70, longest: Some((50, 50)) };
        assert_eq!(steps.gaps(), gaps);
        steps.fill(0, 120);
        assert_eq!((steps.len(), steps.gaps()), (12, Gaps::default()));
        let first = steps.iter().next().unwrap().1;
        assert_eq!((first.requests, first.timed, first.service_us), (1, 1, 5));
    }

    #[test]
    fn absurd_counts_are_refused_with_their_place() {
        let told = Steps::default().count(60 * SECOND_US, SECOND_US, 1_000_000_001);
        let told = told.unwrap_err().to_string();
        assert!(told.contains("1970-01-01T00:01:00Z") && told.contains("billion"), "{told}");
        assert!(Steps::default().count(0, SECOND_US, 1_000_000_000).is_ok());
    }
}
