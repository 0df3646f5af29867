//! Times that vary: of requests, of starts.

use std::time::Duration;

use super::{latency::Latencies, random::Random};

/// A distribution of times, in microseconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Fixed(f64),
    /// Exponential, by its mean.
    Exponential(f64),
    /// Log-normal, by the mean and the deviation of its logarithm.
    Lognormal {
        /// Mean of the logarithm.
        mu: f64,
        /// Deviation of the logarithm.
        sigma: f64,
    },
    /// By its quantiles, straight between them.
    Quantiles(Quantiles),
}

/// Quantiles of a distribution: pairs of a probability and a time, both growing, from probability 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiles(Box<[(f64, f64)]>);

/// Longest time that is drawn: a day. A tail that runs away is cut there, far beyond any timeout.
const LONGEST_US: f64 = 86_400e6;

impl Distribution {
    /// Returns the log-normal distribution of a mean and a coefficient of variation.
    ///
    /// `sigma^2 = ln(1 + cv^2)`, `mu = ln(mean) - sigma^2 / 2`.
    pub fn lognormal(mean: Duration, cv: f64) -> Self {
        let mean = mean.as_secs_f64() * 1e6;
        if mean <= 0.0 || cv <= 0.0 {
            return Self::Fixed(mean);
        }
        let variance = cv.mul_add(cv, 1.0).ln();
        Self::Lognormal { mu: mean.ln() - variance / 2.0, sigma: variance.sqrt() }
    }

    /// Draws a time in whole microseconds.
    pub fn draw(&self, random: &mut Random) -> u64 {
        let us = match self {
            Self::Fixed(us) => *us,
            Self::Exponential(mean) => mean * random.exponential(),
            Self::Lognormal { mu, sigma } => sigma.mul_add(random.normal(), *mu).exp(),
            Self::Quantiles(quantiles) => quantiles.at(random.uniform()),
        };
        us.min(LONGEST_US).round() as u64
    }

    /// Returns its mean in microseconds.
    pub fn mean_us(&self) -> f64 {
        match self {
            Self::Fixed(us) => *us,
            Self::Exponential(mean) => *mean,
            Self::Lognormal { mu, sigma } => (mu + sigma * sigma / 2.0).exp(),
            Self::Quantiles(quantiles) => quantiles.mean(),
        }
    }

    /// Returns the mean in microseconds of its times when none may be longer than `most_us`.
    pub fn mean_up_to_us(&self, most_us: f64) -> f64 {
        match self {
            Self::Fixed(us) => us.min(most_us),
            Self::Exponential(mean) if *mean <= 0.0 => 0.0,
            // The integral of exp(-t / m) from 0 to L.
            Self::Exponential(mean) => -mean * (-most_us / mean).exp_m1(),
            Self::Lognormal { .. } if most_us <= 0.0 => 0.0,
            // Of a log-normal time, the part of the mean that lies below L is m Phi((ln L - mu - sigma^2) / sigma).
            Self::Lognormal { mu, sigma } => {
                let z = (most_us.ln() - mu) / sigma;
                let longer = 1.0 - normal_share(z);
                self.mean_us().mul_add(normal_share(z - sigma), most_us * longer)
            }
            Self::Quantiles(quantiles) => quantiles.mean_up_to(most_us),
        }
    }

    /// Returns its squared coefficient of variation: variance / mean^2.
    pub fn scv(&self) -> f64 {
        match self {
            Self::Fixed(_) => 0.0,
            Self::Exponential(_) => 1.0,
            Self::Lognormal { sigma, .. } => (sigma * sigma).exp() - 1.0,
            Self::Quantiles(quantiles) => quantiles.scv(),
        }
    }

    /// Returns the time that a share `p` of all draws do not exceed.
    pub fn quantile_us(&self, p: f64) -> f64 {
        match self {
            Self::Fixed(us) => *us,
            Self::Exponential(mean) => -mean * (-p).ln_1p(),
            Self::Lognormal { mu, sigma } => sigma.mul_add(normal_quantile(p), *mu).exp(),
            Self::Quantiles(quantiles) => quantiles.at(p),
        }
    }

    /// Returns the share of draws that do not exceed `us`.
    pub fn share_within(&self, us: f64) -> f64 {
        match self {
            Self::Fixed(fixed) => f64::from(u8::from(*fixed <= us)),
            Self::Exponential(mean) if *mean <= 0.0 => 1.0,
            Self::Exponential(mean) => -(-us / mean).exp_m1(),
            Self::Lognormal { .. } if us <= 0.0 => 0.0,
            Self::Lognormal { mu, sigma } => normal_share((us.ln() - mu) / sigma),
            Self::Quantiles(quantiles) => quantiles.share_within(us),
        }
    }
}

impl From<&Latencies> for Distribution {
    /// Makes a distribution of times that were counted: within each bucket they lie evenly.
    fn from(counted: &Latencies) -> Self {
        let all = counted.count() as f64;
        let mut below = 0;
        let mut points = Vec::new();
        for ((from, until), count) in counted.buckets() {
            points.push((below as f64 / all, from));
            below += count;
            points.push((below as f64 / all, until));
        }
        Quantiles::new(points).map_or(Self::Fixed(0.0), Self::Quantiles)
    }
}

impl Quantiles {
    /// Takes quantiles by their probabilities.
    ///
    /// # Errors
    /// When there are none, or one is not between 0 and 1, or times fall as probabilities grow.
    pub fn new(mut points: Vec<(f64, f64)>) -> Result<Self, &'static str> {
        let (Some(&first), Some(&last)) = (points.first(), points.last()) else {
            return Err("no quantile is given");
        };
        if points.iter().any(|(p, us)| !(0.0..=1.0).contains(p) || !us.is_finite() || *us < 0.0) {
            return Err("a quantile is outside of 0 to 100 %, or its time is below 0");
        }
        if points.windows(2).any(|pair| pair[1].0 < pair[0].0 || pair[1].1 < pair[0].1) {
            return Err("the quantiles do not grow");
        }
        if 0.0 < first.0 {
            points.insert(0, (0.0, first.1));
        }
        if last.0 < 1.0 {
            points.push((1.0, last.1));
        }
        Ok(Self(points.into()))
    }

    fn at(&self, p: f64) -> f64 {
        let above = self.0.partition_point(|point| point.0 <= p).clamp(1, self.0.len() - 1);
        let ((p0, us0), (p1, us1)) = (self.0[above - 1], self.0[above]);
        if p1 <= p0 { us1 } else { us0 + (us1 - us0) * ((p - p0) / (p1 - p0)).clamp(0.0, 1.0) }
    }

    fn share_within(&self, us: f64) -> f64 {
        let above = self.0.partition_point(|point| point.1 <= us);
        match (above.checked_sub(1).map(|below| self.0[below]), self.0.get(above)) {
            (None, _) => 0.0,
            (Some(_), None) => 1.0,
            (Some((p0, us0)), Some(&(p1, us1))) => p0 + (p1 - p0) * (us - us0) / (us1 - us0),
        }
    }

    fn mean(&self) -> f64 {
        self.0.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum()
    }

    fn mean_up_to(&self, most: f64) -> f64 {
        let piece = |pair: &[(f64, f64)]| {
            let (share, a, b) = (pair[1].0 - pair[0].0, pair[0].1.min(most), pair[1].1);
            // The part of the piece that stays below.
            let below = if b <= most { 1.0 } else { ((most - a) / (b - a)).max(0.0) };
            share * (below * f64::midpoint(a, b.min(most)) + (1.0 - below) * most)
        };
        self.0.windows(2).map(piece).sum()
    }

    fn scv(&self) -> f64 {
        let mean = self.mean();
        if mean <= 0.0 {
            return 0.0;
        }
        // Of a straight piece from a to b, the mean of squares is (a^2 + ab + b^2) / 3.
        let squares = |pair: &[(f64, f64)]| {
            let (a, b) = (pair[0].1, pair[1].1);
            (pair[1].0 - pair[0].0) * (a * a + a * b + b * b) / 3.0
        };
        let square: f64 = self.0.windows(2).map(squares).sum();
        (square / (mean * mean) - 1.0).max(0.0)
    }
}

/// Returns the share of a standard normal distribution up to `z`, within 8e-8 (Abramowitz and Stegun 26.2.17).
pub(crate) fn normal_share(z: f64) -> f64 {
    let t = 1.0 / 0.231_641_9_f64.mul_add(z.abs(), 1.0);
    let series = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let tail = series.into_iter().fold(0.0_f64, |sum, factor| sum.mul_add(t, factor)) * t;
    let above = tail * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    if z < 0.0 { above } else { 1.0 - above }
}

/// Returns where a standard normal distribution reaches the share `p`, by halving [`normal_share`].
pub(crate) fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal_share(middle) < p { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::{super::random::Purpose, *};

    fn moments(distribution: &Distribution) -> (f64, f64) {
        let mut random = Random::new(7, 0, Purpose::Durations);
        let draws: Vec<_> = (0..200_000).map(|_| distribution.draw(&mut random) as f64).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let square = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>();
        (mean, square / draws.len() as f64 / (mean * mean))
    }

    fn one_of_each() -> [Distribution; 4] {
        let points = vec![(0.0, 10_000.0), (0.5, 50_000.0), (0.99, 200_000.0), (1.0, 900_000.0)];
        [
            Distribution::Fixed(200_000.0),
            Distribution::Exponential(200_000.0),
            Distribution::lognormal(Duration::from_millis(200), 1.0),
            Distribution::Quantiles(Quantiles::new(points).unwrap()),
        ]
    }

    #[test]
    fn draws_have_the_moments_that_are_told() {
        for distribution in one_of_each() {
            let (mean, scv) = moments(&distribution);
            let told = (distribution.mean_us(), distribution.scv());
            assert!((mean / told.0 - 1.0).abs() < 0.02, "{distribution:?}: {mean}");
            assert!((scv - told.1).abs() < 0.06, "{distribution:?}: {scv} and not {}", told.1);
        }
    }

    #[test]
    fn a_mean_of_times_that_are_cut_off_is_that_of_draws() {
        for distribution in one_of_each() {
            let mut random = Random::new(7, 0, Purpose::Durations);
            let draws: Vec<_> = (0..100_000).map(|_| distribution.draw(&mut random)).collect();
            for most in [5_000, 60_000, 300_000, 10_000_000] {
                let sum: u64 = draws.iter().map(|us| us.min(&most)).sum();
                let mean = sum as f64 / draws.len() as f64;
                let told = distribution.mean_up_to_us(most as f64);
                assert!((told / mean - 1.0).abs() < 0.02, "{distribution:?} {most}: {told} {mean}");
            }
        }
    }

    #[test]
    fn times_that_were_counted_are_drawn_as_they_came() {
        let mut counted = Latencies::default();
        for us in [100_u64, 20_000, 20_100, 900_000] {
            counted.add_many(us, 25);
        }
        let told = Distribution::from(&counted);
        assert!((told.mean_us() / counted.mean_us() - 1.0).abs() < 0.01);
        for (q, us) in [(0.1, 100.0), (0.4, 20_000.0), (0.74, 20_100.0), (0.8, 900_000.0)] {
            assert!((told.quantile_us(q) / us - 1.0).abs() < 0.02, "{q}: {}", told.quantile_us(q));
        }
        assert_eq!(Distribution::from(&Latencies::default()), Distribution::Fixed(0.0));
    }

    #[test]
    fn quantiles_and_shares_are_each_others_inverse() {
        let points = vec![(0.01, 1e3), (0.5, 5e4), (0.99, 2e5)];
        for distribution in [
            Distribution::Exponential(3e5),
            Distribution::lognormal(Duration::from_secs(2), 1.2),
            Distribution::Quantiles(Quantiles::new(points).unwrap()),
        ] {
            for p in [0.05, 0.3, 0.5, 0.9, 0.98] {
                let back = distribution.share_within(distribution.quantile_us(p));
                assert!((back - p).abs() < 1e-5, "{distribution:?}: {p} came back as {back}");
            }
        }
        assert!((normal_quantile(0.975) - 1.959_964).abs() < 1e-5);
    }

    #[test]
    fn quantiles_that_make_no_sense_are_refused() {
        for points in [vec![], vec![(0.5, 2.0), (0.9, 1.0)], vec![(1.5, 1.0)], vec![(0.5, -1.0)]] {
            assert!(Quantiles::new(points).is_err());
        }
    }
}
