//! What Pacer's planner goes by: forecasts of minutes, or the truth.

use std::collections::VecDeque;

use super::{Demands, Sight};
use crate::{
    forecast::{Config, Forecaster, MASSES, Quantiles},
    plan::{Inputs, Shape},
};

/// Length of a forecast's steps, in seconds.
const STEP_S: u64 = 60;

/// Looks that make a step.
const LOOKS: usize = (STEP_S / super::LOOK_S) as usize;

/// Start in seconds from which on half a minute makes no difference: a sixth of the work is enough.
const SLOW_START_S: u64 = 240;

/// Forecasts of what containers will be asked to serve.
///
/// Forecasts are made of minutes. Where tasks start fast, six forecasters look at minutes that begin ten seconds apart, so
/// that each look has one that has just ended: half a minute of age is what a forecast of the next minute is worth.
#[derive(Debug, Clone)]
pub struct Forecasts {
    phases: Vec<Forecaster>,
    /// Requests of the latest looks, the newest last: a minute of them.
    asked: VecDeque<f64>,
    looks: usize,
    /// The forecaster that learned last, and when its minute ended.
    newest: Option<(usize, u64)>,
}

impl Forecasts {
    /// Looks at a service of `shape`.
    pub fn new(shape: &Shape) -> Self {
        let start_s = shape.start_us / 1_000_000;
        let nearest = (start_s + STEP_S / 2) / STEP_S;
        let horizons = [nearest.max(1), nearest + 1];
        let config = Config { elastic_net: false, ..Config::default() };
        let forecaster = Forecaster::new(STEP_S, &horizons, config);
        let phases = if start_s < SLOW_START_S { LOOKS } else { 1 };
        Self {
            phases: vec![forecaster; phases],
            asked: VecDeque::with_capacity(LOOKS),
            looks: 0,
            newest: None,
        }
    }
}

impl Sight for Forecasts {
    fn look(&mut self, inputs: &Inputs<'_>) {
        if self.asked.len() == LOOKS {
            self.asked.pop_front();
        }
        self.asked.push_back(inputs.asked);
        let turn = self.looks % LOOKS;
        self.looks += 1;
        if turn < self.phases.len() && self.asked.len() == LOOKS {
            let count = self.asked.iter().sum::<f64>();
            // A minute of which a part is not known is not known.
            let count = count.is_finite().then(|| count.round() as u64);
            let now_s = inputs.now_us / 1_000_000;
            self.phases[turn].observe(now_s.saturating_sub(STEP_S), count);
            self.newest = Some((turn, now_s));
        }
    }

    fn demands(&self, inputs: &Inputs<'_>) -> Option<Demands> {
        let (turn, ended_s) = self.newest?;
        // The minute in whose middle a task could serve. Steps are told by their begin, from that of the last one learned.
        let serves_s = inputs.now_us.saturating_add(inputs.shape.start_us) / 1_000_000;
        let ahead_s = (serves_s + STEP_S / 2).saturating_sub(ended_s).max(STEP_S);
        let forecast = self.phases[turn].forecast(ahead_s);
        Some(demands(&forecast, inputs.mean_service_us / 1e6))
    }

    fn planner(&self) -> &'static str {
        "pacer"
    }
}

/// Returns demands and their shares for a count that is forecast.
///
/// Chance within a step is Erlang's part: a count of mean `m` varies by at least `sqrt(m)`, and what is forecast beyond that
/// is what the rate is not known by.
fn demands(forecast: &Quantiles, slot_s: f64) -> Demands {
    let counts = forecast.counts.map(f64::from);
    let mean = f64::from(forecast.mean);
    // Of a normal distribution the quartiles are 1.349 deviations apart.
    let deviation = (counts[3] - counts[1]) / 1.349;
    let variance = deviation * deviation;
    let own = if variance <= 0.0 { 0.0 } else { (1.0 - mean / variance).max(0.0).sqrt() };
    let each = counts.into_iter().zip(MASSES).map(|(count, mass)| {
        let count = (count - mean).mul_add(own, mean).max(0.0);
        (count / STEP_S as f64 * slot_s, f64::from(mass))
    });
    each.collect()
}

/// The demand is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Truth;

impl Sight for Truth {
    fn look(&mut self, _: &Inputs<'_>) {}

    fn demands(&self, inputs: &Inputs<'_>) -> Option<Demands> {
        let from_us = inputs.now_us.saturating_add(inputs.shape.start_us);
        let demand = inputs.truth?.demand(from_us, from_us.saturating_add(STEP_S * 1_000_000));
        Some(vec![(demand, 1.0)])
    }

    fn may_err(&self) -> bool {
        false
    }

    fn planner(&self) -> &'static str {
        "perfect-forecast"
    }
}
