//! A load as counts by step, and what can be asked of it.

use super::arrivals::Step;
use crate::plan::Truth;

/// Arrivals of one service, by steps in order; steps that are not there have none.
#[derive(Debug, Clone, Default)]
pub struct Load {
    steps: Vec<Step>,
    /// Arrivals before each step.
    before: Vec<u64>,
    total: u64,
}

impl Load {
    /// Takes steps in order of time, of which none overlap.
    pub fn new(steps: Vec<Step>) -> Self {
        let mut total = 0;
        let before = steps.iter().map(|step| {
            let before = total;
            total += step.count;
            before
        });
        Self { before: before.collect(), total, steps }
    }

    /// Returns the steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns how many arrive in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns when the first step begins and the last one ends; `None` without any.
    pub fn span_us(&self) -> Option<(u64, u64)> {
        let (first, last) = (self.steps.first()?, self.steps.last()?);
        Some((first.at_us, last.at_us + last.us))
    }

    /// Returns how many arrive before `at_us`, on average, if each step's are spread evenly.
    pub fn before(&self, at_us: u64) -> f64 {
        let next = self.steps.partition_point(|step| step.at_us <= at_us);
        let Some(last) = next.checked_sub(1) else { return 0.0 };
        let step = self.steps[last];
        let part = (at_us - step.at_us).min(step.us) as f64 / step.us.max(1) as f64;
        (step.count as f64).mul_add(part, self.before[last] as f64)
    }

    /// Returns the most that arrive in one step, per second.
    pub fn peak_per_second(&self) -> f64 {
        let rate = |step: &Step| step.count as f64 * 1e6 / step.us.max(1) as f64;
        self.steps.iter().map(rate).fold(0.0, f64::max)
    }
}

/// The demand of a load, known ahead of time.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    load: &'a Load,
    mean_service_us: f64,
}

impl<'a> Known<'a> {
    /// Knows `load`, whose requests take `mean_service_us` on average.
    pub fn new(load: &'a Load, mean_service_us: f64) -> Self {
        Self { load, mean_service_us }
    }
}

impl Truth for Known<'_> {
    fn demand(&self, from_us: u64, until_us: u64) -> f64 {
        let us = until_us.saturating_sub(from_us).max(1) as f64;
        (self.load.before(until_us) - self.load.before(from_us)) * self.mean_service_us / us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_is_what_arrives_times_how_long_it_takes() {
        let step = |at_us, count| Step { at_us, us: 60_000_000, count };
        let load = Load::new(vec![step(0, 600), step(60_000_000, 0), step(180_000_000, 60)]);
        let known = Known::new(&load, 500_000.0);
        let demand = |from: u64, until: u64| known.demand(from * 1_000_000, until * 1_000_000);
        assert!((demand(0, 60) - 5.0).abs() < 1e-9 && (demand(30, 90) - 2.5).abs() < 1e-9);
        assert!(demand(120, 180).abs() < 1e-9, "a step that is not there has none");
        assert!((demand(180, 240) - 0.5).abs() < 1e-9 && demand(240, 300).abs() < 1e-9);
        assert_eq!((load.total(), load.span_us()), (660, Some((0, 240_000_000))));
        assert!((load.peak_per_second() - 10.0).abs() < 1e-9);
    }
}
