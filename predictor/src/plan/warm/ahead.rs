//! The Lambda lane's own forecast: how many requests will be on it at once in the minutes to come.
//!
//! By the machinery that forecasts what containers are asked for, of steps whose count is the most at once. It knows what
//! comes every day and what rises; of bursts that nobody foresees it knows how high they lately were.

use crate::forecast::{Config, Forecaster};

/// Length of a step, in seconds.
const STEP_S: u64 = 300;

/// How far ahead, in steps: an environment that is started now is there until the second one ends.
const HORIZONS: [u64; 2] = [1, 2];

/// Quantile that is forecast. Environments cost so little that the highest is worth it.
const LEVEL: f32 = 0.99;

/// Forecasts the most at once.
#[derive(Debug, Clone)]
pub(super) struct Ahead {
    forecaster: Forecaster,
    /// The step that has not ended, and the most at once in it until now.
    step: Option<u64>,
    most: u32,
}

impl Default for Ahead {
    fn default() -> Self {
        let config = Config { elastic_net: false, ..Config::default() };
        Self { forecaster: Forecaster::new(STEP_S, &HORIZONS, config), step: None, most: 0 }
    }
}

impl Ahead {
    /// Learns the most at once since the last look. Steps without any are not known.
    pub(super) fn look(&mut self, now_us: u64, most: u32) {
        let step = now_us / 1_000_000 / STEP_S;
        match self.step {
            Some(before) if before == step => self.most = self.most.max(most),
            before => {
                if let Some(before) = before {
                    self.forecaster.observe(before * STEP_S, Some(u64::from(self.most)));
                }
                (self.step, self.most) = (Some(step), most);
            }
        }
    }

    /// Returns how many may be there at once, 99 times of 100 no more; 0 before anything is known.
    pub(super) fn most(&self) -> f64 {
        let at = |steps| f64::from(self.forecaster.forecast(steps * STEP_S).at(LEVEL));
        HORIZONS.into_iter().map(at).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_every_day_is_forecast_before_it_comes() {
        let crowd = |at_s: u64| if at_s % 86_400 < 3_600 { 40 } else { 2 };
        let mut ahead = Ahead::default();
        let mut quiet = 0.0;
        for at_s in (0..=21 * 86_400).step_by(60) {
            ahead.look(at_s * 1_000_000, crowd(at_s));
            if at_s == 20 * 86_400 + 43_200 {
                quiet = ahead.most();
            }
        }
        // The crowd is due: its first step has just begun, of which nothing is learned yet.
        assert!(35.0 < ahead.most(), "{}", ahead.most());
        assert!(quiet < 10.0, "{quiet}");
    }

    #[test]
    fn nothing_is_expected_before_anything_is_known() {
        assert!(Ahead::default().most() <= 0.0);
        let mut ahead = Ahead::default();
        ahead.look(0, 7);
        assert!(ahead.most() <= 0.0, "a step that has not ended");
    }
}
