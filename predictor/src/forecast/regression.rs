//! Expert: a straight line through what is known now, learned one step at a time (recursive least squares).
//!
//! It forecasts the change of `ln(1 + count)` until the target from how far now is from means, from the analogues of
//! the day and the week before and from the time of day. Old steps are forgotten exponentially; one that is far off
//! counts as four deviations, so that an outlier does not bend it.

/// How many features there are.
pub(super) const FEATURES: usize = 23;

/// What a regression goes by.
pub(super) type Features = [f32; FEATURES];

/// First diagonal of the inverse: the weights are held towards zero as if one step had been seen with a change of zero.
const INVERSE: f64 = 1.0;

/// The trace of the inverse up to which old steps are forgotten. Directions in which nothing happens for weeks would blow
/// up without a limit (wind-up).
const TRACE_MAX: f64 = 1e4 * FEATURES as f64;

/// Steps after which deviations are known well enough to tell outliers.
const OUTLIERS_AFTER: f64 = 30.0;

/// Deviations that an outlier counts as.
const OUTLIER: f64 = 4.0;

/// A linear model that learns online.
#[derive(Debug, Clone)]
pub(super) struct Regression {
    weights: [f64; FEATURES],
    /// Inverse of the weighted second moments.
    inverse: Box<[[f64; FEATURES]; FEATURES]>,
    /// Mean absolute residual, as a deviation of a normal distribution.
    deviation: f64,
    seen: f64,
}

impl Default for Regression {
    fn default() -> Self {
        let mut inverse = Box::new([[0.0; FEATURES]; FEATURES]);
        (0..FEATURES).for_each(|i| inverse[i][i] = INVERSE);
        Self { weights: [0.0; FEATURES], inverse, deviation: 0.0, seen: 0.0 }
    }
}

impl Regression {
    /// Returns the change that it expects.
    pub(super) fn predict(&self, features: &Features) -> f32 {
        dot(&self.weights, features) as f32
    }

    /// Learns the change that came; what was learned before counts `keep` (below 1) times as much from now on, and this counts
    /// as `share` of a step.
    pub(super) fn learn(&mut self, features: &Features, change: f32, keep: f64, share: f64) {
        let mut error = f64::from(change) - dot(&self.weights, features);
        self.seen += share;
        if OUTLIERS_AFTER < self.seen {
            let most = OUTLIER * self.deviation;
            error = error.clamp(-most, most);
        }
        // The mean absolute value of a normal distribution is 0.8 deviations.
        self.deviation +=
            (1.25 * error.abs() - self.deviation) * (share / self.seen).max(0.01 * share);

        let mut gain = [0.0; FEATURES];
        let least = keep / share;
        let (mut denominator, mut trace) = (least, 0.0);
        for (i, row) in self.inverse.iter().enumerate() {
            gain[i] = dot(row, features);
            denominator += gain[i] * f64::from(features[i]);
            trace += row[i];
        }
        if !(denominator.is_finite() && least <= denominator && error.is_finite()) {
            // Rounding has made the inverse one of nothing: what it had learned is let go.
            *self = Self::default();
            return;
        }
        let grow = if trace < TRACE_MAX { 1.0 / keep } else { 1.0 };
        for (i, row) in self.inverse.iter_mut().enumerate() {
            let share = gain[i] / denominator;
            self.weights[i] += share * error;
            for (moment, other) in row.iter_mut().zip(&gain) {
                *moment = (*moment - share * other) * grow;
            }
        }
    }
}

fn dot(weights: &[f64; FEATURES], features: &Features) -> f64 {
    weights.iter().zip(features).map(|(weight, feature)| weight * f64::from(*feature)).sum()
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};
    use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

    use super::*;

    /// Steps of a known line: twice the second feature less half of the third, and noise of 0.1.
    fn steps(seed: u64) -> impl Iterator<Item = (Features, f32)> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        std::iter::repeat_with(move || {
            let features: Features = std::array::from_fn(|_| StandardNormal.sample(&mut random));
            let noise: f32 = StandardNormal.sample(&mut random);
            (features, 2.0 * features[1] - 0.5 * features[2] + 0.1 * noise)
        })
    }

    #[test]
    fn a_line_is_found() {
        let mut regression = Regression::default();
        for (features, change) in steps(1).take(2_000) {
            regression.learn(&features, change, 0.9995, 1.0);
        }
        for (i, weight) in regression.weights.iter().enumerate() {
            let expected = [0.0, 2.0, -0.5].get(i).copied().unwrap_or(0.0);
            assert!((weight - expected).abs() < 0.02, "{i}: {weight}");
        }
    }

    #[test]
    fn outliers_bend_it_little() {
        let mut regression = Regression::default();
        for (n, (features, change)) in steps(2).take(2_000).enumerate() {
            let change = if n % 50 == 49 { 30.0 } else { change };
            regression.learn(&features, change, 0.9995, 1.0);
        }
        assert!((regression.weights[1] - 2.0).abs() < 0.1, "{:?}", regression.weights);
    }

    #[test]
    fn years_of_nothing_and_absurd_steps_leave_it_finite() {
        let mut regression = Regression::default();
        let mut features = [0.0; FEATURES];
        features[0] = 1.0;
        for _ in 0..20_000 {
            regression.learn(&features, 0.0, 0.99, 1.0);
        }
        for (n, (features, _)) in steps(3).take(1_000).enumerate() {
            let absurd = features.map(|feature| feature * if n % 7 == 0 { 1e15 } else { 30.0 });
            regression.learn(&absurd, 30.0, 0.999, 1.0);
            assert!(regression.predict(&features).is_finite());
        }
    }
}
