//! What Pacer's planner goes by: forecasts of minutes, or the truth.

use super::{Demands, Sight};
use crate::{
    forecast::{Config, Forecaster, MASSES, Observed, Quantiles, STEP_S_MAX},
    plan::{Inputs, Shape},
};

/// Length of a forecast's steps, in seconds.
const STEP_S: u64 = 60;

/// Looks that make a step.
const LOOKS: u64 = STEP_S / super::LOOK_S;

/// Start in seconds from which on half a minute makes no difference: a sixth of the work is enough.
const SLOW_START_S: u64 = 240;

/// Age in seconds beyond which a forecast says nothing of now any more: what is asked for now says more.
const STALE_S: u64 = 600;

/// Forecasts of what containers will be asked to serve.
///
/// Forecasts are made of minutes. Where tasks start fast, minutes begin every ten seconds, so that each look has one that has
/// just ended: half a minute of age is what a forecast of the next minute is worth.
#[derive(Debug, Clone)]
pub struct Forecasts {
    forecaster: Forecaster,
    /// The nearer one of its two horizons, in minutes.
    nearest: u64,
    /// Looks from one minute that is learned from to the next.
    every: u64,
    /// Requests of the latest looks, each in the place of its number, and how many of those followed each other.
    asked: [f64; LOOKS as usize],
    row: u64,
    /// The number of the latest look's ten seconds, counted from 1970 on.
    newest: Option<u64>,
    /// When the minute ended that was forecast from last.
    ended_s: Option<u64>,
}

impl Forecasts {
    /// Looks at a service of `shape`.
    pub fn new(shape: &Shape) -> Self {
        let (horizons, every) = looks_at(shape);
        let config = Config { elastic_net: false, ..Config::default() };
        Self {
            forecaster: Forecaster::rolling(STEP_S, every * super::LOOK_S, &horizons, config),
            nearest: horizons[0],
            every,
            asked: [0.0; LOOKS as usize],
            row: 0,
            newest: None,
            ended_s: None,
        }
    }

    /// Tells whether it forecasts the minute in which a task could serve that is asked for now. Where tasks turn out to take
    /// longer, or less long, by half a minute, it does not: see [`Forecasts::relearned`].
    pub fn fits(&self, shape: &Shape) -> bool {
        let serves_s = shape.start_us / 1_000_000 + STEP_S / 2;
        let (from_s, until_s) = (self.nearest * STEP_S, (self.nearest + 1) * STEP_S);
        let is_first = self.nearest == looks_at(shape).0[0];
        is_first || (from_s.saturating_sub(STEP_S / 2)..=until_s + STEP_S / 2).contains(&serves_s)
    }

    /// Makes one for what `shape` has become, which has learned the minutes that this one remembers: at least those of eight
    /// days. Work of tenths of a second, for a thread of its own.
    #[must_use]
    pub fn relearned(&self, shape: &Shape) -> Self {
        let (horizons, every) = looks_at(shape);
        let forecaster = self.forecaster.relearned(every * super::LOOK_S, &horizons);
        let ended_s = forecaster.newest_s().map(|at_s| at_s + STEP_S);
        Self { forecaster, nearest: horizons[0], every, ended_s, ..self.clone() }
    }

    /// Learns what was asked in the past, before the first look: requests of ten seconds each, by when these began, in order.
    ///
    /// Steps that are left out are not known, like those whose count is no number or below 0. Where only minutes were
    /// recorded, each of their steps is given a sixth. What is long past is learned by whole minutes, in a
    /// sixth of the work.
    pub fn recall(&mut self, steps: impl Iterator<Item = (u64, f64)>) {
        for (at_s, asked) in steps {
            self.add(at_s.saturating_add(super::LOOK_S / 2) / super::LOOK_S, asked, Past::Long);
        }
    }

    /// Adds the requests of the ten seconds of this number.
    fn add(&mut self, number: u64, asked: f64, past: Past) {
        let follows = self.newest.is_some_and(|newest| newest.checked_add(1) == Some(number));
        if self.newest.replace(number) == Some(number) {
            return;
        }
        self.row = if follows { (self.row + 1).min(LOOKS) } else { 1 };
        self.asked[(number % LOOKS) as usize] = asked;
        let first = (number + 1).saturating_sub(LOOKS);
        if self.row < LOOKS || !first.is_multiple_of(self.every) {
            return;
        }
        // A minute of which a part is not known is not known. Before any that is, there is nothing to forecast from.
        let known = self.asked.iter().all(|asked| asked.is_finite() && 0.0 <= *asked);
        let count = known.then(|| self.asked.iter().sum::<f64>().round() as u64);
        if count.is_none() && self.ended_s.is_none() {
            return;
        }
        let at_s = first * super::LOOK_S;
        let (observed, forecast) = match past {
            Past::Just => (self.forecaster.observe(at_s, count), true),
            Past::Long => (self.forecaster.recall(at_s, count), first.is_multiple_of(LOOKS)),
        };
        if observed == Observed::Learned && forecast {
            self.ended_s = Some(at_s + STEP_S);
        }
    }
}

/// Returns the two horizons between which a task serves that is asked for now, in minutes, and the looks from one minute
/// that is learned from to the next.
fn looks_at(shape: &Shape) -> ([u64; 2], u64) {
    let start_s = (shape.start_us / 1_000_000).min(STEP_S_MAX - 2 * STEP_S);
    let nearest = (start_s + STEP_S / 2) / STEP_S;
    let every = if start_s < SLOW_START_S { 1 } else { LOOKS };
    ([nearest.max(1), nearest + 1], every)
}

impl Forecasts {
    /// Returns how far the minute is ahead whose middle is in `in_us`; nothing while nothing is known. Steps are told by their
    /// begin, from that of the last one learned.
    fn ahead_s(&self, inputs: &Inputs<'_>, in_us: u64) -> Option<u64> {
        let ended_s = self.ended_s?;
        if STALE_S < (inputs.now_us / 1_000_000).abs_diff(ended_s) {
            return None;
        }
        let at_s = inputs.now_us.saturating_add(in_us) / 1_000_000;
        Some((at_s + STEP_S / 2).saturating_sub(ended_s).max(STEP_S))
    }
}

/// How long ago something was asked.
#[derive(Debug, Clone, Copy)]
enum Past {
    /// Since the last look.
    Just,
    /// Before this began.
    Long,
}

impl Sight for Forecasts {
    fn look(&mut self, inputs: &Inputs<'_>) {
        let look_us = super::LOOK_S * 1_000_000;
        // The nearest, as a look may come a moment early or late.
        let Some(number) = (inputs.now_us.saturating_add(look_us / 2) / look_us).checked_sub(1)
        else {
            return;
        };
        let Some(newest) = self.newest else {
            self.add(number, inputs.asked, Past::Just);
            return;
        };
        match number.checked_sub(newest) {
            // A second look at the same ten seconds.
            Some(0) => {}
            // Looks that were missed had as much: what is asked is told by ten seconds.
            Some(1..=LOOKS) => {
                let asked = inputs.asked;
                (newest + 1..=number).for_each(|number| self.add(number, asked, Past::Just));
            }
            // The clock was set, or nobody looked for a while: what was asked when is not known.
            _ => (self.newest, self.row) = (Some(number), 0),
        }
    }

    fn demands(&self, inputs: &Inputs<'_>) -> Option<Demands> {
        // The minute in whose middle a task could serve.
        let ahead_s = self.ahead_s(inputs, inputs.shape.start_us)?;
        Some(demands(&self.forecaster.forecast(ahead_s), inputs.mean_service_us / 1e6))
    }

    fn outlook(&self, inputs: &Inputs<'_>, in_s: u64) -> Option<Demands> {
        let ahead_s = self.ahead_s(inputs, in_s.saturating_mul(1_000_000))?;
        Some(demands(&self.forecaster.outlook(ahead_s), inputs.mean_service_us / 1e6))
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

#[cfg(test)]
mod tests;
