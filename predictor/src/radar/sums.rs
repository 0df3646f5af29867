//! How much of an error budget is left, and how fast it is spent.
//!
//! An objective of 99.9 % allows one request in a thousand to miss it: over the policy's window, that is the budget. The burn
//! rate is how many times faster than that it is spent: `missed / allowed` over a shorter window (Google, "The Site
//! Reliability Workbook", chapter 5, "Alerting on SLOs"). Worked: of 10,000 requests in an hour 10 may miss; 144 do: burn
//! rate 14.4, and a budget of 30 days is spent in 50 hours.
//!
//! While a window is not full yet, what is not seen of it is taken to have had as many requests as what is, and no misses.
//! The first minute after a start then weighs as a minute, and not as a month.

use std::collections::VecDeque;

/// The windows that burn rates are told over, in seconds: 5 and 30 minutes, 1 and 6 hours.
pub const WINDOWS_S: [u64; 4] = [300, 1_800, 3_600, 21_600];

/// Length of the sums that burn rates are of, in seconds, and how many there are: six hours and the minute under way.
const FINE_S: u64 = 60;
const FINE: usize = 361;

/// How many sums the whole window is of: the last one under way, so that the window is exact to a hundredth.
const COARSE: u64 = 100;

/// The largest burn rate that is told: a promise of 100 % has no budget, and any miss spends infinitely many of it.
const RATE_MAX: f64 = 1e6;

/// The budget of one objective of a service: some 15 kB when it is full.
#[derive(Debug, Clone)]
pub struct Budget {
    window_s: u64,
    /// When it was first told something.
    since_s: Option<u64>,
    now_s: u64,
    fine: VecDeque<Sum>,
    coarse: VecDeque<Sum>,
}

/// What was counted from a moment on.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    /// Its place: the moment divided by the sums' length.
    number: u64,
    missed: u64,
    /// Misses that the objectives allow.
    allowed: f64,
}

impl Budget {
    /// Judges over `window_s` seconds, an hour or more.
    pub fn new(window_s: u64) -> Self {
        Self {
            window_s: window_s.max(3_600),
            since_s: None,
            now_s: 0,
            fine: VecDeque::new(),
            coarse: VecDeque::new(),
        }
    }

    /// Returns the length of the window, in seconds.
    pub fn window_s(&self) -> u64 {
        self.window_s
    }

    /// Takes in that `missed` requests missed the objective since the last call, where it allowed `allowed`. A clock that is set
    /// back counts as one that stands.
    pub fn add(&mut self, now_s: u64, missed: u64, allowed: f64) {
        self.since_s.get_or_insert(now_s);
        self.now_s = self.now_s.max(now_s);
        let allowed = super::number(allowed);
        let coarse_s = self.coarse_s();
        for (sums, long_s, keep) in
            [(&mut self.fine, FINE_S, FINE as u64), (&mut self.coarse, coarse_s, COARSE + 1)]
        {
            let number = self.now_s / long_s;
            match sums.back_mut() {
                Some(last) if last.number == number => {
                    last.missed = last.missed.saturating_add(missed);
                    last.allowed += allowed;
                }
                // What was not asked takes no place.
                _ if missed == 0 && allowed <= 0.0 => {}
                _ => sums.push_back(Sum { number, missed, allowed }),
            }
            while sums.front().is_some_and(|sum| sum.number + keep <= number) {
                sums.pop_front();
            }
        }
    }

    /// Returns how many times faster than allowed the budget was spent over the last `window_s` seconds, up to six hours, and
    /// how many requests missed in it.
    pub fn burn(&self, window_s: u64) -> (f64, u64) {
        rate(&self.fine, FINE_S, window_s.max(FINE_S), self.now_s, self.seen_s())
    }

    /// Returns the share of the budget that is left, 0 to 1.
    pub fn left(&self) -> f64 {
        let (spent, _) =
            rate(&self.coarse, self.coarse_s(), self.window_s, self.now_s, self.seen_s());
        (1.0 - spent).clamp(0.0, 1.0)
    }

    /// Returns for how long it has been told, in seconds.
    pub fn seen_s(&self) -> u64 {
        self.now_s - self.since_s.unwrap_or(self.now_s)
    }

    fn coarse_s(&self) -> u64 {
        self.window_s.div_ceil(COARSE)
    }
}

fn rate(sums: &VecDeque<Sum>, long_s: u64, window_s: u64, now_s: u64, seen_s: u64) -> (f64, u64) {
    let first = (now_s / long_s + 1).saturating_sub(window_s.div_ceil(long_s));
    let within = sums.iter().filter(|sum| first <= sum.number);
    let (missed, allowed) = within.fold((0_u64, 0.0), |(missed, allowed), sum| {
        (missed.saturating_add(sum.missed), allowed + sum.allowed)
    });
    // A second at least: at first, what was seen was in no time.
    let whole = (window_s as f64 / seen_s.max(1) as f64).max(1.0);
    if missed == 0 {
        return (0.0, 0);
    }
    let rate = missed as f64 / (allowed * whole);
    (if rate.is_nan() { RATE_MAX } else { rate.min(RATE_MAX) }, missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand requests a minute, of which one may miss; `missed(minute)` do.
    fn told(window_s: u64, minutes: u64, missed: impl Fn(u64) -> u64) -> Budget {
        let mut budget = Budget::new(window_s);
        budget.add(0, 0, 0.0);
        // Told at the end of each minute, of which it is.
        (0..minutes).for_each(|minute| budget.add(minute * 60 + 59, missed(minute), 1.0));
        budget
    }

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 0.02 * expected.max(0.1), "{value}, not {expected}");
    }

    #[test]
    fn a_burn_rate_is_missed_by_allowed_over_each_window() {
        // A day as promised, then ten minutes of 30 misses where one is allowed.
        let budget = told(30 * 86_400, 1_450, |minute| if minute < 1_440 { 1 } else { 30 });
        close(budget.burn(300).0, 30.0);
        close(budget.burn(1_800).0, (20.0 + 10.0 * 30.0) / 30.0);
        close(budget.burn(3_600).0, (50.0 + 10.0 * 30.0) / 60.0);
        close(budget.burn(21_600).0, (350.0 + 10.0 * 30.0) / 360.0);
        assert_eq!(budget.burn(300).1, 150);
    }

    #[test]
    fn a_full_window_is_spent_by_what_was_missed_in_it_and_forgets_what_is_older() {
        // A window of an hour: half an hour in which all that is allowed twice over misses, then none.
        let half = |minute: u64| u64::from(minute < 30);
        close(told(3_600, 60, half).left(), 0.5);
        close(told(3_600, 90, half).left(), 1.0);
        assert!(told(3_600, 60, |_| 3).left() <= 0.0);
    }

    #[test]
    fn what_was_not_seen_yet_is_taken_to_be_calm() {
        // The first two minutes miss 16 times what is allowed: of an hour that is half of it, of 30 days next to nothing.
        let budget = told(30 * 86_400, 2, |_| 16);
        close(budget.burn(3_600).0, 16.0 * 119.0 / 3_600.0);
        close(budget.left(), 0.999);
    }

    #[test]
    fn a_promise_without_a_budget_a_clock_set_back_and_silence_are_borne() {
        let mut budget = Budget::new(0);
        assert_eq!((budget.burn(300), budget.left(), budget.seen_s()), ((0.0, 0), 1.0, 0));
        budget.add(1_000_000, 0, f64::NAN);
        budget.add(900_000, 3, 0.0);
        assert_eq!(budget.burn(300), (RATE_MAX, 3));
        assert!(budget.left() <= 0.0);
        budget.add(u64::MAX, 0, 1.0);
        assert_eq!(budget.burn(300), (0.0, 0));
        let budget = told(86_400, 60 * 48, |_| 0);
        assert!(budget.fine.len() <= FINE && budget.coarse.len() as u64 <= COARSE + 1);
    }
}
