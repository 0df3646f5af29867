//! Where the truth falls around a forecast: the quantiles of its residuals, the newest ones counting most.
//!
//! Conformal prediction makes a calibrated quantile of any point forecast by adding the quantile of what it was wrong by
//! (Vovk, Gammerman, Shafer 2005). Weights that fall with age let it follow a series that changes (Barber et al. 2023). A
//! histogram, rather than a window, holds any number of residuals in 500 bytes and takes each in constant time.

use std::cmp::Ordering;

use super::{LEVELS, PerLevel};

/// Buckets per doubling of a residual's size: a quantile is placed within 19 %, and between bounds by proportion.
const PER_OCTAVE: u32 = 4;

/// Binary exponent of the smallest residual told from zero: 2^-10, one in a thousand for residuals of logarithms.
const EXPONENT_MIN: u32 = 127 - 10;

/// Doublings told apart: up to 2^5. A logarithm of 32 is beyond every count.
const OCTAVES: u32 = 15;

/// Buckets on each side of zero.
const SIDE: usize = (PER_OCTAVE * OCTAVES) as usize;

/// Bits of an `f32` below its exponent and the part of the mantissa that tells buckets apart.
const SHIFT: u32 = 23 - PER_OCTAVE.ilog2();

/// Beyond this gain all weights are made smaller, so that sums stay exact to 1e-6 or so.
const GAIN_MAX: f32 = 1e6;

/// A histogram of residuals that forgets exponentially.
#[derive(Debug, Clone)]
pub(super) struct Residuals {
    /// Weight of each bucket, the most negative residuals first; the middle one holds what is too small to tell from
    /// zero.
    buckets: Box<[f32; 2 * SIDE + 1]>,
    total: f32,
    /// What the next residual weighs. It grows, instead of everything else being made smaller each time.
    gain: f32,
}

/// Residuals that a forecast is taken to have had before it has any: the middles of tenths of the normal distribution.
/// As few as they are they are soon outweighed, and until then a forecast is not taken to be exact.
const PRIOR: [f32; 10] =
    [-1.645, -1.036, -0.674, -0.385, -0.126, 0.126, 0.385, 0.674, 1.036, 1.645];

impl Residuals {
    /// Starts with a normal distribution of this deviation, known as well as from ten residuals.
    pub(super) fn new(deviation: f32) -> Self {
        let mut residuals = Self { buckets: Box::new([0.0; 2 * SIDE + 1]), total: 0.0, gain: 1.0 };
        for residual in PRIOR {
            residuals.add(residual * deviation, 1.0, 1.0);
        }
        residuals
    }

    /// Adds a residual, which counts as `share` of one; each weighs `growth` (above 1) times what the one before it does.
    pub(super) fn add(&mut self, residual: f32, growth: f32, share: f32) {
        let size = bucket(residual.abs());
        let at = if residual < 0.0 { SIDE - size } else { SIDE + size };
        let weight = self.gain * share;
        self.buckets[at] += weight;
        self.total += weight;
        self.gain *= growth;
        if GAIN_MAX < self.gain {
            let by = 1.0 / self.gain;
            self.buckets.iter_mut().for_each(|weight| *weight *= by);
            self.total *= by;
            self.gain = 1.0;
        }
    }

    /// Returns the quantiles of the residuals at each of [`LEVELS`].
    pub(super) fn quantiles(&self) -> PerLevel {
        let mut quantiles = [0.0; LEVELS.len()];
        let (mut next, mut below, mut edge) = (0, 0.0, 0.0);
        for (at, &weight) in self.buckets.iter().enumerate() {
            if weight <= 0.0 {
                continue;
            }
            let (low, high) = bounds(at);
            while next < LEVELS.len() && LEVELS[next] * self.total <= below + weight {
                let part = ((LEVELS[next] * self.total - below) / weight).clamp(0.0, 1.0);
                quantiles[next] = low + part * (high - low);
                next += 1;
            }
            (below, edge) = (below + weight, high);
        }
        // Sums of floats: the weights may come to a little less than their total.
        quantiles[next..].fill(edge);
        quantiles
    }
}

/// Returns the bucket of a residual's size: 0 below 2^-10 or so, then four to the octave.
fn bucket(size: f32) -> usize {
    // The bits of a positive number are its logarithm, with straight lines between powers of two.
    let place = size.to_bits() >> SHIFT;
    (place.saturating_sub(EXPONENT_MIN * PER_OCTAVE) as usize).min(SIDE)
}

/// Returns the bounds of a bucket of the histogram.
fn bounds(at: usize) -> (f32, f32) {
    let bound = |size: usize| f32::from_bits((size as u32 + EXPONENT_MIN * PER_OCTAVE) << SHIFT);
    match at.cmp(&SIDE) {
        Ordering::Less => (-bound(SIDE - at + 1), -bound(SIDE - at)),
        Ordering::Equal => (0.0, 0.0),
        Ordering::Greater => (bound(at - SIDE), bound(at - SIDE + 1)),
    }
}

/// What a quantile that was issued is moved by, in deviations of the forecast, so that it holds as often as it says.
///
/// Adaptive conformal inference (Gibbs and Candes 2021; as a quantile tracker: Angelopoulos et al. 2023): each miss moves
/// it out by `GAIN x level`, each hit moves it in by `GAIN x (1 - level)`, whatever the series does.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracker(PerLevel);

/// Deviations moved by per miss. Doubling it halves how long a wrong coverage lasts, and doubles how much it wavers.
const GAIN: f32 = 0.01;

/// The most it moves a quantile by, in deviations: a mixture of calibrated quantiles is never as wrong as that.
const MOVE_MAX: f32 = 1.0;

impl Tracker {
    /// Returns what to add to the quantile at `LEVELS[level]`, in deviations.
    pub(super) fn offset(&self, level: usize) -> f32 {
        self.0[level]
    }

    /// Learns whether the truth fell at or below the quantile that was issued; this counts as `share` of a step.
    pub(super) fn learn(&mut self, level: usize, held: bool, share: f32) {
        let miss = LEVELS[level] - if held { 1.0 } else { 0.0 };
        self.0[level] = (self.0[level] + GAIN * share * miss).clamp(-MOVE_MAX, MOVE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};
    use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

    use super::*;

    #[test]
    fn quantiles_of_normal_residuals_are_the_normal_ones() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut residuals = Residuals::new(1.0);
        for _ in 0..100_000 {
            let z: f32 = StandardNormal.sample(&mut random);
            residuals.add(0.3 * z, 1.0 + 1e-5, 1.0);
        }
        let quantiles = residuals.quantiles();
        // Quantiles of the standard normal distribution.
        for (found, z) in quantiles.iter().zip([-1.645, -0.674, 0.0, 0.674, 1.282, 1.645, 2.326]) {
            assert!((found / 0.3 - z).abs() < 0.06, "{found} for {z}: {quantiles:?}");
        }
    }

    #[test]
    fn what_changed_is_forgotten() {
        let mut residuals = Residuals::new(1.0);
        for _ in 0..10_000 {
            residuals.add(5.0, 1.01, 1.0);
        }
        for _ in 0..1_000 {
            residuals.add(-0.5, 1.01, 1.0);
        }
        let highest = residuals.quantiles()[LEVELS.len() - 1];
        assert!((-0.6..-0.4).contains(&highest), "{highest}");
    }

    #[test]
    fn before_any_residual_they_are_normal_and_absurd_ones_are_held() {
        let mut residuals = Residuals::new(0.5);
        let [lowest, .., highest] = residuals.quantiles();
        assert!(
            (-1.0..-0.7).contains(&lowest) && (0.7..1.0).contains(&highest),
            "{lowest} {highest}"
        );
        for residual in [0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE] {
            residuals.add(residual, 1.1, 1.0);
        }
        assert!(residuals.quantiles().iter().all(|quantile| quantile.is_finite()));
    }

    #[test]
    fn a_tracker_comes_to_the_offset_that_holds_as_often_as_its_level() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
        let mut tracker = Tracker::default();
        let level = LEVELS.len() - 3;
        let mut held = 0;
        for n in 0..20_000 {
            let z: f32 = StandardNormal.sample(&mut random);
            // The forecast is too low by half a deviation: 1.282 - 0.5 is issued where 1.282 is right.
            let holds = z <= 0.782 + tracker.offset(level);
            tracker.learn(level, holds, 1.0);
            held += i32::from(10_000 <= n && holds);
        }
        let coverage = f64::from(held) / 10_000.0;
        assert!((coverage - 0.9).abs() < 0.005, "{coverage}");
    }
}
