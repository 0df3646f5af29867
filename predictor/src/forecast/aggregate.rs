//! Weighs experts by what they would have lost.
//!
//! Bernstein online aggregation (Wintenberger, Optimal learning with Bernstein online aggregation, 2017): weights fall
//! exponentially with regret, at a rate of each expert's own that follows how much its regret varies. What is lost
//! against the best expert grows with the logarithm of their number only, and no rate has to be tuned to a series. Losses
//! are made linear at the mixture (the gradient trick), so that the mixture competes with every fixed mix of experts, not
//! only with the best one. Old regrets are forgotten exponentially: which expert is best changes.

/// Weights of a few experts.
#[derive(Debug, Clone)]
pub(super) struct Aggregator<const N: usize> {
    weights: [f32; N],
    log_prior: [f32; N],
    /// Sum of each expert's regrets, less their squares' share.
    regret: [f32; N],
    /// Sum of their squares.
    square: [f32; N],
    /// The largest of them.
    range: [f32; N],
}

impl<const N: usize> Aggregator<N> {
    /// Starts with weights in proportion to `prior`, each above 0: an expert that has to win against a prior of 1 in 100
    /// needs about `ln(100) = 4.6` times its usual regret to do so.
    pub(super) fn new(prior: &[f32; N]) -> Self {
        let sum: f32 = prior.iter().sum();
        let weights = prior.map(|prior| prior / sum);
        Self {
            weights,
            log_prior: weights.map(f32::ln),
            regret: [0.0; N],
            square: [0.0; N],
            range: [0.0; N],
        }
    }

    /// Returns the mixture of what the experts say.
    pub(super) fn mix(&self, values: &[f32; N]) -> f32 {
        self.weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
    }

    /// Learns from the truth: `values` is what the experts had said, `mix` their mixture, `slope` the loss's slope there.
    /// What was learned before counts `keep` (below 1) times as much from now on, and this counts as `share` of a step.
    pub(super) fn learn(&mut self, values: &[f32; N], mix: f32, slope: f32, keep: f32, share: f32) {
        let mut most = f32::NEG_INFINITY;
        for (i, value) in values.iter().enumerate() {
            let regret = slope * (mix - value);
            self.range[i] = (self.range[i] * keep).max(regret.abs());
            self.square[i] = self.square[i] * keep + share * regret * regret;
            let mut exponent = self.log_prior[i];
            if 0.0 < self.square[i] {
                let rate = (0.5 / self.range[i]).min((-self.log_prior[i] / self.square[i]).sqrt());
                self.regret[i] = self.regret[i] * keep + share * (regret - rate * regret * regret);
                exponent += rate * self.regret[i];
            }
            self.weights[i] = exponent;
            most = most.max(exponent);
        }
        // The greatest exponent is made 0, so that the sum is at least 1.
        let mut sum = 0.0;
        for weight in &mut self.weights {
            *weight = (*weight - most).exp();
            sum += *weight;
        }
        self.weights.iter_mut().for_each(|weight| *weight /= sum);
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};
    use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

    use super::*;

    /// Loses by the absolute error: returns the losses of the mixture and of each expert over `steps` steps.
    fn losses(steps: usize, truth: impl Fn(usize, f32) -> (f32, [f32; 4])) -> (f32, [f32; 4]) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let mut aggregator = Aggregator::new(&[1.0; 4]);
        let (mut mixture, mut experts) = (0.0, [0.0; 4]);
        for n in 0..steps {
            let noise: f32 = StandardNormal.sample(&mut random);
            let (truth, values) = truth(n, noise);
            let mix = aggregator.mix(&values);
            mixture += (truth - mix).abs();
            for (loss, value) in experts.iter_mut().zip(values) {
                *loss += (truth - value).abs();
            }
            aggregator.learn(&values, mix, if truth < mix { 1.0 } else { -1.0 }, 0.999, 1.0);
        }
        (mixture, experts)
    }

    #[test]
    fn little_is_lost_against_the_best_expert() {
        let (mixture, experts) = losses(2_000, |_, noise| (10.0 + noise, [10.0, 11.0, 13.0, 0.0]));
        let best = experts.into_iter().fold(f32::INFINITY, f32::min);
        assert!(mixture < 1.02 * best, "{mixture} {experts:?}");
    }

    #[test]
    fn a_mix_beats_experts_that_are_wrong_on_both_sides() {
        let (mixture, experts) =
            losses(2_000, |_, noise| (10.0 + 0.1 * noise, [9.0, 11.0, 12.0, 7.0]));
        let best = experts.into_iter().fold(f32::INFINITY, f32::min);
        assert!(mixture < 0.25 * best, "{mixture} {experts:?}");
    }

    #[test]
    fn after_a_switch_the_new_best_is_followed() {
        // The best expert changes in the middle; each of them loses 5 a step for half of the time.
        let (mixture, experts) = losses(8_000, |n, noise| {
            let truth = if n < 4_000 { 10.0 } else { 5.0 };
            (truth + noise, [10.0, 5.0, 20.0, 0.0])
        });
        let best = experts.into_iter().fold(f32::INFINITY, f32::min);
        assert!(mixture < 0.5 * best, "{mixture} {experts:?}");
    }

    #[test]
    fn the_largest_counts_leave_weights_finite() {
        let mut aggregator = Aggregator::new(&[1.0, 2.0]);
        for n in 0..100_u8 {
            let values = if n % 2 == 0 { [1e14, 0.0] } else { [0.0, 1e14] };
            let mix = aggregator.mix(&values);
            aggregator.learn(&values, mix, -0.99, 0.9, 1.0);
            assert!(mix.is_finite() && aggregator.weights.iter().all(|weight| weight.is_finite()));
        }
    }
}
