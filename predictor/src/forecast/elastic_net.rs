//! Expert: an elastic net, refitted now and then to what the online regression sees step by step.
//!
//! The penalty (Zou and Hastie 2005) drops features that say nothing, which the online regression cannot. A fit takes
//! some milliseconds, so that it is asked for and installed, and run where it holds up nobody. On recorded traffic it is
//! the best single expert for half-hours of taxis, and the mixture of all experts is as good without it: it is for the
//! few largest series.

use linfa::{Dataset, traits::Fit as _};
use linfa_elasticnet::ElasticNet;
use ndarray::{Array1, Array2};

use super::regression::{FEATURES, Features};

/// How many steps a fit goes by: those of a week, each tenth of a series of minutes.
const ROWS_MAX: usize = 1_000;

/// A fit to fewer steps than these is none: four to a feature.
const ROWS_MIN: usize = 4 * FEATURES;

/// Strength of the penalty, as a share of the changes' deviation, and which part of it selects (the rest shrinks).
/// Features count in deviations too, so that it is the same for every series.
const PENALTY: f64 = 0.01;
const SELECTING: f64 = 0.5;

/// Bounds on the time a fit takes: passes over the features, and the gain below which they end.
const PASSES_MAX: u32 = 300;
const TOLERANCE: f64 = 1e-4;

/// Steps to fit to: what was known, and the change that came.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    rows: Vec<(Features, f32)>,
    /// The one to overwrite next, when there are [`ROWS_MAX`].
    next: usize,
}

impl Rows {
    /// How many steps apart the rows are kept that cover `steps`.
    pub(super) fn spacing(steps: u64) -> u64 {
        (steps / ROWS_MAX as u64).max(1)
    }

    /// Adds a step.
    pub(super) fn add(&mut self, features: &Features, change: f32) {
        if self.rows.len() < ROWS_MAX {
            self.rows.push((*features, change));
        } else {
            self.rows[self.next] = (*features, change);
            self.next = (self.next + 1) % ROWS_MAX;
        }
    }

    /// Fits a model. `None` when there is too little to fit to, when nothing changes, or when the solver fails.
    pub(super) fn fit(&self) -> Option<Model> {
        let n = self.rows.len();
        if n < ROWS_MIN {
            return None;
        }
        let column = |j: usize| self.rows.iter().map(move |(features, _)| f64::from(features[j]));
        let (centres, deviations): (Vec<f64>, Vec<f64>) =
            (0..FEATURES).map(|j| moments(column(j))).unzip();
        let (centre, deviation) = moments(self.rows.iter().map(|(_, change)| f64::from(*change)));
        if deviation < 1e-9 {
            return None;
        }
        let scales: Vec<f64> = deviations
            .iter()
            .map(|&deviation| if deviation < 1e-6 { 0.0 } else { deviation.recip() })
            .collect();
        let features = Array2::from_shape_fn((n, FEATURES), |(i, j)| {
            (f64::from(self.rows[i].0[j]) - centres[j]) * scales[j]
        });
        let changes =
            Array1::from_shape_fn(n, |i| (f64::from(self.rows[i].1) - centre) / deviation);
        let fitted = ElasticNet::params()
            .penalty(PENALTY)
            .l1_ratio(SELECTING)
            .with_intercept(false)
            .tolerance(TOLERANCE)
            .max_iterations(PASSES_MAX)
            .fit(&Dataset::new(features, changes))
            .ok()?;
        let mut weights = [0.0; FEATURES];
        let mut intercept = centre;
        for (j, weight) in weights.iter_mut().enumerate() {
            *weight = fitted.hyperplane()[j] * scales[j] * deviation;
            intercept -= *weight * centres[j];
        }
        let finite = intercept.is_finite() && weights.iter().all(|weight| weight.is_finite());
        finite.then_some(Model { weights, intercept })
    }
}

/// What was fitted.
#[derive(Debug, Clone)]
pub(super) struct Model {
    weights: [f64; FEATURES],
    intercept: f64,
}

impl Model {
    /// Returns the change that it expects.
    pub(super) fn predict(&self, features: &Features) -> f32 {
        let terms =
            self.weights.iter().zip(features).map(|(weight, feature)| weight * f64::from(*feature));
        (self.intercept + terms.sum::<f64>()) as f32
    }
}

/// Returns the mean and the standard deviation.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    (mean, (values.map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt())
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};
    use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

    use super::*;

    #[test]
    fn a_sparse_line_is_found_and_what_says_nothing_is_dropped() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
        let mut rows = Rows::default();
        for _ in 0..3 * ROWS_MAX {
            let features: Features = std::array::from_fn(|_| StandardNormal.sample(&mut random));
            let noise: f32 = StandardNormal.sample(&mut random);
            rows.add(&features, 0.5 + 2.0 * features[1] - 0.5 * features[2] + 0.02 * noise);
        }
        assert_eq!(rows.rows.len(), ROWS_MAX);
        let model = rows.fit().unwrap();
        assert!(
            (model.weights[1] - 2.0).abs() < 0.05 && (model.weights[2] + 0.5).abs() < 0.05,
            "{model:?}"
        );
        assert!((model.intercept - 0.5).abs() < 0.05, "{model:?}");
        let dropped = model.weights.iter().filter(|weight| **weight == 0.0).count();
        assert!(FEATURES / 2 < dropped, "{model:?}");
    }

    #[test]
    fn nothing_is_fitted_to_nothing() {
        let mut rows = Rows::default();
        assert!(rows.fit().is_none());
        (0..500).for_each(|_| rows.add(&[1.0; FEATURES], 0.0));
        assert!(rows.fit().is_none());
    }
}
