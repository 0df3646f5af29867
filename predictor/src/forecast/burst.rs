//! Sees within seconds that more comes than was forecast, and tells what comes instead.
//!
//! A forecast is made of minutes; a flood fills every slot in seconds. So counts of short steps are held against the
//! forecast by a cumulative sum of log-likelihood ratios (CUSUM, Page 1954): does the load have the rate that was
//! forecast at most, or half as much again? `S <- max(0, S + (count x ln 1.5 - 0.5 x expected) / dispersion)`, and `S`
//! at `ln(steps)` is an alarm. While the forecast is true, alarms are `steps` apart on average, or further, whatever
//! the rate is (Lorden 1971): that is the rate of false alarms, and a choice. Worked: at 6 steps a minute and one false
//! alarm in 30 days, the bound is ln(259,200) = 12.5; where 10 requests are expected and 30 come, each step adds 30 x
//! 0.405 - 5 = 7.2, and the second one is an alarm.

use std::{collections::VecDeque, time::Duration};

/// The rate that is looked for, as a multiple of what is forecast at most. At twice as much, a load of 1.4 times the
/// forecast would never be seen; closer to 1, a flood would be seen later.
const RATIO: f32 = 1.5;

/// For how long what comes is remembered, to size for the most of it: Knative's panic window is as short as 6 s, a start
/// takes ten times that.
const WINDOW_S: u64 = 60;

/// What is always expected, in requests per second: one a minute is no flood. Without it single requests, where none are
/// forecast, would add up over days.
const LEAST_PER_S: f32 = 1.0 / 60.0;

/// Watches one series.
#[derive(Debug, Clone)]
pub struct Guard {
    /// What the sum comes to for an alarm.
    bound: f32,
    sum: f32,
    active: bool,
    /// Rates of late, and when the step of each began.
    rates: VecDeque<(u64, f32)>,
    step_s: u64,
}

impl Guard {
    /// Watches steps of `step_s` seconds (1 or more), at one false alarm in `apart` on average, or fewer.
    pub fn new(step_s: u64, apart: Duration) -> Self {
        let step_s = step_s.max(1);
        let steps = (apart.as_secs() / step_s).max(2);
        Self { bound: (steps as f32).ln(), sum: 0.0, active: false, rates: VecDeque::new(), step_s }
    }

    /// Learns that `count` requests came in the step at `at_s` where `expected` were forecast at most, for that step: its
    /// share of a high quantile of the forecast. The variance of such counts is `dispersion` (1 or more) times their
    /// mean, apart from what the forecast knows: what a roll-up of these steps into ten minutes tells. Returns whether
    /// reality is out of the forecast, until the sum has come back to nothing.
    ///
    /// On half a week of a small site (0.9 requests a second) with the 0.95 quantile of the minute to come and one
    /// false alarm asked for in 30 days, steps of 10 s gave one alarm; with the 0.99 quantile none. With the dispersion
    /// of single seconds instead, which says nothing of bunches longer than that, there were seven and three.
    pub fn observe(&mut self, at_s: u64, count: u64, expected: f32, dispersion: f32) -> bool {
        let count = count as f32;
        while self.rates.front().is_some_and(|(then, _)| *then + WINDOW_S <= at_s || at_s < *then) {
            self.rates.pop_front();
        }
        self.rates.push_back((at_s, count / self.step_s as f32));
        let least = LEAST_PER_S * self.step_s as f32;
        let expected = if expected.is_finite() { expected.max(least) } else { least };
        let dispersion = if dispersion.is_finite() { dispersion.max(1.0) } else { 1.0 };
        let ratio = (count * RATIO.ln() - expected * (RATIO - 1.0)) / dispersion;
        // Not above the bound: what has lasted for an hour is not to last an hour longer once it is over.
        self.sum = (self.sum + ratio).clamp(0.0, self.bound);
        if self.bound <= self.sum {
            self.active = true;
        } else if self.sum <= 0.0 {
            self.active = false;
        }
        self.active
    }

    /// Whether reality is out of the forecast.
    pub fn active(&self) -> bool {
        self.active
    }

    /// Returns requests per second to be ready for: `forecast`, or while reality is out of it the most of the last
    /// minute, if that is more.
    pub fn rate(&self, forecast: f32) -> f32 {
        if !self.active {
            return forecast;
        }
        self.rates.iter().fold(forecast, |most, (_, rate)| most.max(*rate))
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, Poisson};
    use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

    use super::*;

    /// Counts of a Poisson distribution whose mean is `mean(step)`, in steps of 10 s; tells for each whether there is
    /// an alarm.
    fn watch(
        guard: &mut Guard,
        seed: u64,
        expected: f32,
        steps: u64,
        mean: impl Fn(u64) -> f64,
    ) -> Vec<bool> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        (0..steps)
            .map(|n| {
                let count = Poisson::new(mean(n)).unwrap().sample(&mut random) as u64;
                guard.observe(10 * n, count, expected, 1.0)
            })
            .collect()
    }

    #[test]
    fn false_alarms_are_as_rare_as_was_asked_for() {
        // One in 2,000 steps at most, over 400,000 steps of loads that are just what was forecast at most.
        for (seed, mean) in [(1, 0.3), (2, 3.0), (3, 30.0), (4, 300.0)] {
            let mut guard = Guard::new(10, Duration::from_secs(20_000));
            let alarms = watch(&mut guard, seed, mean as f32, 400_000, |_| mean);
            let began = alarms.windows(2).filter(|pair| !pair[0] && pair[1]).count();
            // The bound is on the time to the first alarm from a sum of nothing, as after each alarm here.
            assert!(began <= 200, "{began} alarms at {mean}");
        }
    }

    #[test]
    fn a_flood_is_seen_within_seconds_and_its_end_within_minutes() {
        // Expected at most 10 in a step, 5 do come; then three times what was expected for 10 minutes.
        for (seed, slowest) in [(1, 3), (2, 3), (3, 3), (4, 3)] {
            let mut guard = Guard::new(10, Duration::from_hours(24 * 30));
            let alarms = watch(&mut guard, seed, 10.0, 400, |n| {
                if (100..160).contains(&n) { 30.0 } else { 5.0 }
            });
            let seen = alarms.iter().position(|alarm| *alarm).unwrap() as u64;
            let over = alarms.iter().rposition(|alarm| *alarm).unwrap() as u64;
            assert!((100..100 + slowest).contains(&seen), "seen at {seen}");
            assert!((159..170).contains(&over), "over at {over}");
        }
    }

    #[test]
    fn a_flood_onto_silence_is_seen_and_sized_by_what_comes() {
        let mut guard = Guard::new(10, Duration::from_hours(24 * 30));
        assert!(!guard.observe(0, 20, 0.0, 1.0));
        assert!((guard.rate(0.5) - 0.5).abs() < 1e-6);
        assert!(guard.observe(10, 20, 0.0, 1.0));
        assert!(guard.observe(20, 500, 0.0, 1.0));
        assert!((guard.rate(0.5) - 50.0).abs() < 1e-6);
        assert!((guard.rate(80.0) - 80.0).abs() < 1e-6);
    }

    #[test]
    fn single_requests_where_none_are_forecast_are_no_flood() {
        let mut guard = Guard::new(10, Duration::from_hours(24 * 30));
        // Seven an hour, for four weeks.
        let alarms = watch(&mut guard, 5, 0.0, 6 * 60 * 24 * 28, |_| 0.02);
        assert!(alarms.iter().all(|alarm| !alarm));
    }

    #[test]
    fn absurd_counts_and_clocks_are_borne() {
        let mut guard = Guard::new(0, Duration::ZERO);
        for (at_s, count, expected, dispersion) in [
            (u64::MAX - 60, u64::MAX, f32::NAN, 0.0),
            (5, 0, f32::INFINITY, f32::NAN),
            (0, 7, -5.0, -1.0),
        ] {
            guard.observe(at_s, count, expected, dispersion);
            assert!(guard.rate(1.0).is_finite() && guard.rates.len() < 100);
        }
    }
}
