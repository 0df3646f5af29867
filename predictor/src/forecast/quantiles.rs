//! A forecast: how many requests a step will have, with which probability.

/// The levels of a forecast's quantiles.
pub const LEVELS: [f32; 7] = [0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

/// Which part of the probability each quantile stands for: from halfway to the level before to halfway to the one after.
pub const MASSES: [f32; LEVELS.len()] = [0.15, 0.225, 0.25, 0.2, 0.1, 0.045, 0.03];

/// Mean above which a count's own chance is taken for normal.
const NORMAL_ABOVE: f32 = 60.0;

/// Requests of a step to come, as quantiles.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quantiles {
    /// The count that is not exceeded with the probability of each of [`LEVELS`]: whole, none below 0, none below the one
    /// before.
    pub counts: [f32; LEVELS.len()],
    /// The count to expect.
    pub mean: f32,
}

impl Quantiles {
    /// Takes quantiles in order; the mean is that of the seven, each weighing the probability around its level.
    pub(super) fn new(counts: [f32; LEVELS.len()]) -> Self {
        let mean = counts.iter().zip(MASSES).map(|(count, mass)| count * mass).sum();
        Self { counts, mean }
    }

    /// Returns the quantile at a level, between [`LEVELS`] in proportion; below the first and above the last one those.
    pub fn at(&self, level: f32) -> f32 {
        let after = LEVELS.partition_point(|known| *known < level);
        match after {
            0 => self.counts[0],
            _ if LEVELS.len() <= after => self.counts[LEVELS.len() - 1],
            _ => {
                let part = (level - LEVELS[after - 1]) / (LEVELS[after] - LEVELS[after - 1]);
                self.counts[after - 1] + part * (self.counts[after] - self.counts[after - 1])
            }
        }
    }

    /// Returns the forecast of `times` (above 0) as many requests.
    pub(super) fn times(&self, times: f32) -> Self {
        Self { counts: self.counts.map(|count| (count * times).round()), mean: self.mean * times }
    }

    /// Returns what lies at `part` (0 to 1) of the way to `other`.
    pub(super) fn towards(&self, other: &Self, part: f32) -> Self {
        Self::new(std::array::from_fn(|i| {
            self.counts[i] + part * (other.counts[i] - self.counts[i])
        }))
    }

    /// Returns the forecast of a share (0 to 1) of these requests: of one route among many, of one second of a minute.
    ///
    /// A share is more uneven than the whole. Given the count of the whole, that of the share varies by chance, with a
    /// variance of `dispersion` (1 or more) times its mean: 1 when requests come one by one, more when they come in
    /// bunches. What is returned are quantiles of the mixture of seven such counts, one for each quantile of the whole:
    /// Poisson, or negative binomial above a dispersion of 1.
    #[must_use]
    pub fn share(&self, share: f32, dispersion: f32) -> Self {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        let dispersion = if dispersion.is_finite() { dispersion.clamp(1.0, 100.0) } else { 1.0 };
        let means = self.counts.map(|count| count * share);
        if NORMAL_ABOVE < means[LEVELS.len() - 1] / dispersion {
            return Self {
                counts: wide(&means, dispersion).map(f32::round),
                mean: self.mean * share,
            };
        }
        let mut counts = [0.0; LEVELS.len()];
        let mut parts = means.map(|mean| Counts::new(mean, dispersion));
        let (mut next, mut count, mut below) = (0, 0.0_f32, 0.0_f64);
        // Beyond that count even the highest mean with the widest spread has next to nothing left.
        let most = (means[LEVELS.len() - 1] + 1.0) * 4.0 + 60.0 * dispersion;
        while next < LEVELS.len() && count <= most {
            below += parts
                .iter_mut()
                .zip(MASSES)
                .map(|(part, mass)| f64::from(mass) * part.advance())
                .sum::<f64>();
            while next < LEVELS.len() && f64::from(LEVELS[next]) <= below {
                counts[next] = count;
                next += 1;
            }
            count += 1.0;
        }
        counts[next..].fill(count);
        Self { counts, mean: self.mean * share }
    }
}

/// Returns quantiles of a share that is large: its own chance, normal, widens the distances from the median.
fn wide(means: &[f32; LEVELS.len()], dispersion: f32) -> [f32; LEVELS.len()] {
    /// Quantiles of the standard normal distribution at [`LEVELS`].
    const NORMAL: [f32; LEVELS.len()] = [-1.645, -0.674, 0.0, 0.674, 1.282, 1.645, 2.326];
    let median = means[2];
    std::array::from_fn(|i| {
        let own = NORMAL[i].powi(2) * dispersion * median;
        let away = ((means[i] - median).powi(2) + own).sqrt();
        (median + away.copysign(NORMAL[i])).max(0.0)
    })
}

/// Probabilities of 0, 1, 2... requests.
#[derive(Debug, Clone, Copy)]
struct Counts {
    /// In `f64`: that of none may be as small as 1e-120.
    probability: f64,
    count: f64,
    /// Of the negative binomial: the probability of `k + 1` is that of `k` times `(size + k) x rest / (k + 1)`.
    size_rest: f64,
    rest: f64,
}

impl Counts {
    fn new(mean: f32, dispersion: f32) -> Self {
        let (mean, dispersion) = (f64::from(mean), f64::from(dispersion));
        // Variance = dispersion x mean: rest = 1 - 1 / dispersion, size = mean / (dispersion - 1), so that size x rest
        // = mean / dispersion; the probability of none is dispersion^-size, and exp(-mean) at a dispersion of 1.
        let rest = 1.0 - dispersion.recip();
        let none =
            if dispersion < 1.001 { -mean } else { -mean * dispersion.ln() / (dispersion - 1.0) };
        Self { probability: none.exp(), count: 0.0, size_rest: mean / dispersion, rest }
    }

    /// Returns the probability of the next count.
    fn advance(&mut self) -> f64 {
        let probability = self.probability;
        self.probability *= (self.size_rest + self.count * self.rest) / (self.count + 1.0);
        self.count += 1.0;
        probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_between_levels_lies_between_theirs() {
        let quantiles = Quantiles::new([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0]);
        for (level, count) in
            [(0.0, 1.0), (0.05, 1.0), (0.375, 2.5), (0.97, 8.0), (0.99, 10.0), (1.0, 10.0)]
        {
            assert!((quantiles.at(level) - count).abs() < 1e-4, "{level}: {}", quantiles.at(level));
        }
        assert!((MASSES.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_share_of_a_sure_count_is_poisson() {
        // Quantiles of the Poisson distribution of mean 2 (tables), then of mean 30.
        let certain = Quantiles::new([120.0; LEVELS.len()]);
        let whole = |share: f32| certain.share(share, 1.0).counts.map(|count| count as u32);
        assert_eq!(whole(1.0 / 60.0), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(whole(0.25), [21, 26, 30, 34, 37, 39, 43]);
        // A variance of 4 times the mean is wider, around the same mean.
        let bunched = certain.share(0.25, 4.0);
        assert!(bunched.counts[0] < 15.0 && 55.0 < bunched.counts[6], "{bunched:?}");
        assert!((bunched.mean - 30.0).abs() < 0.01);
        // Large shares go over into the normal approximation without a jump: mean 59 and 61.
        let [below, above] =
            [118.0 / 240.0, 122.0 / 240.0].map(|share| certain.share(share, 1.0).at(0.99));
        assert!((0.0..4.0).contains(&(above - below)), "{below} {above}");
    }

    #[test]
    fn shares_of_nothing_and_of_everything() {
        let none = Quantiles::default().share(0.5, 1.0);
        assert_eq!(none, Quantiles::default());
        let huge = Quantiles::new([1e13; LEVELS.len()]);
        for (share, dispersion) in
            [(1.0, 1.0), (f32::NAN, f32::NAN), (1e-12, 1e9), (2.0, 0.0), (-1.0, 5.0)]
        {
            let part = huge.share(share, dispersion);
            assert!(
                part.counts.is_sorted() && part.counts.iter().all(|count| count.is_finite()),
                "{part:?}"
            );
        }
    }
}
