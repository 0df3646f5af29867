//! Watches whether what comes is what tasks were asked for, and tells what to reckon with when it is not.
//!
//! Each count of ten seconds is held against what was forecast for it when tasks that could serve it had to be asked for:
//! a start ago. While [`Guard`] says that reality has left that, the demand a start ahead is one of two: what is forecast,
//! or as much as comes now. How often bursts of this service outlasted a start tells how likely the second is: tasks for a
//! burst that is over when they come are paid for and idle.

use std::{collections::VecDeque, time::Duration};

use super::LOOK_S;
use crate::{
    forecast::{burst::Guard, rollup::Rollup},
    plan::{Inputs, basis::quantile},
};

/// One false alarm in so long, or fewer, while the forecast is true.
const APART: Duration = Duration::from_hours(24 * 30);

/// Length over which it is learned how unevenly requests come, in seconds.
const DISPERSION_S: u64 = 600;

/// Quantile of the forecast that counts are held against. At 0.95, forecasts that are a little off by day are alarms.
const LEVEL: f64 = 0.99;

/// Most forecasts that are kept: a day of looks, which no start takes.
const FORECASTS: usize = (86_400 / LOOK_S) as usize;

/// What is believed of a service none of whose bursts was seen: one of three lasted. Each burst seen counts as much.
const LASTED: (f64, f64) = (1.0, 3.0);

/// Share by which a burst that counts as lasting may have shrunk.
const SHRUNK: f64 = 0.8;

/// The watch over one service.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    guard: Guard,
    rollup: Rollup,
    /// Requests per second that were forecast at most, and for when; one a look, the nearest first.
    forecast: VecDeque<(u64, f32)>,
    /// Rates that were called bursts, and when it is known whether they lasted.
    open: VecDeque<(u64, f64)>,
    lasted: (f64, f64),
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            guard: Guard::new(LOOK_S, APART),
            rollup: Rollup::new(LOOK_S, DISPERSION_S),
            forecast: VecDeque::new(),
            open: VecDeque::new(),
            lasted: LASTED,
        }
    }
}

impl Watch {
    /// Learns what was asked since the last look.
    pub(super) fn look(&mut self, inputs: &Inputs<'_>) {
        let began_us = inputs.now_us.saturating_sub(LOOK_S * 1_000_000);
        let began_s = began_us / 1_000_000;
        if !inputs.asked.is_finite() {
            return;
        }
        let count = inputs.asked.round() as u64;
        self.rollup.add(began_s, count);
        let mut expected = None;
        while let Some((at_us, rate)) = self.forecast.front()
            && *at_us <= began_us
        {
            expected = Some(*rate);
            self.forecast.pop_front();
        }
        let Some(rate) = expected else { return };
        let before = self.guard.active();
        let expected = rate * LOOK_S as f32;
        let active = self.guard.observe(began_s, count, expected, self.rollup.dispersion());
        let rate = inputs.asked / LOOK_S as f64;
        if active && !before {
            self.open.push_back((inputs.now_us.saturating_add(inputs.shape.start_us), rate));
        }
        while let Some((due_us, then)) = self.open.front()
            && *due_us <= inputs.now_us
        {
            let lasted = f64::from(self.guard.rate(rate as f32)) >= then * SHRUNK;
            self.lasted.0 += f64::from(u8::from(lasted));
            self.lasted.1 += 1.0;
            self.open.pop_front();
        }
    }

    /// Learns what is forecast for `at_us`, and has it reckon with a burst that goes on. Returns the busy slots of a burst.
    pub(super) fn reckon(
        &mut self,
        at_us: u64,
        service_us: f64,
        demands: &mut Vec<(f64, f64)>,
    ) -> Option<f64> {
        if demands.is_empty() || service_us.is_nan() || service_us <= 0.0 {
            return None;
        }
        let most = quantile(demands, LEVEL) / service_us * 1e6;
        if self.forecast.back().is_some_and(|(last, _)| at_us <= *last) {
            // The clock was set back, or tasks start faster now.
            self.forecast.clear();
        }
        if self.forecast.len() == FORECASTS {
            self.forecast.pop_front();
        }
        self.forecast.push_back((at_us, most as f32));
        if !self.guard.active() {
            return None;
        }
        let now = f64::from(self.guard.rate(0.0)) * service_us / 1e6;
        let likely = self.lasted.0 / self.lasted.1;
        if now <= quantile(demands, 0.5) {
            return None;
        }
        for (demand, share) in demands.iter_mut() {
            if *demand < now {
                *share *= 1.0 - likely;
            }
        }
        let left: f64 = demands.iter().map(|(_, share)| share).sum();
        let place = demands.partition_point(|(demand, _)| *demand < now);
        demands.insert(place, (now, (1.0 - left).max(0.0)));
        Some(now)
    }
}
