//! How long requests like this one take.
//!
//! A profile is a histogram of service times with logarithmic buckets: workers count into it without a lock, and the
//! control loop turns what was added since its last look into an exponentially forgetting [`Profile`], from which
//! quantiles are read. Buckets a fourth of an octave wide put a quantile within 19 % (2^(1/4)), which is enough to tell a
//! sprinter from a marathon and keeps a profile at 85 counters.

use std::time::Duration;

use policies::decide::Belief;

/// After how long an observation weighs half, in time during which its profile was in use: a deployment that changes how
/// long requests take is mostly learned after two half-lives. Doubling it halves how much a belief wavers.
pub const HALF_LIFE: Duration = Duration::from_mins(10);

/// Buckets per doubling of the time.
const PER_OCTAVE: u32 = 4;

/// Lower bound of the second bucket, in microseconds: everything faster shares the first one.
const FIRST_US: u32 = 500;

/// Octaves covered: 0.5 ms x 2^21 = 17.5 min, beyond Lambda's longest timeout of 15 min.
const OCTAVES: u32 = 21;

/// How many buckets a profile has: the first one, and four to each octave.
pub const BUCKETS: usize = (PER_OCTAVE * OCTAVES + 1) as usize;

/// One counter a bucket; `C` is whatever counts (an atomic in a worker, a number in a merge).
#[derive(Debug)]
pub struct Histogram<C>([C; BUCKETS]);

impl<C: Default> Default for Histogram<C> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| C::default()))
    }
}

impl<C> Histogram<C> {
    /// Returns the counter of a service time in microseconds.
    pub fn bucket(&self, us: u32) -> &C {
        &self.0[bucket_of(us)]
    }

    /// Returns the counter of a service time in microseconds, to be changed.
    pub fn bucket_mut(&mut self, us: u32) -> &mut C {
        &mut self.0[bucket_of(us)]
    }

    /// Iterates over the counters, shortest time first.
    pub fn counters(&self) -> std::slice::Iter<'_, C> {
        self.0.iter()
    }
}

/// Returns the bucket of a service time: 0 below 0.5 ms, then four to the octave.
fn bucket_of(us: u32) -> usize {
    if us < FIRST_US {
        return 0;
    }
    // Integer only: the octave is the position of the highest bit of us / 500, the quarter comes from the next bits.
    let scaled = (u64::from(us) << 8) / u64::from(FIRST_US);
    let octave = scaled.ilog2() - 8;
    let fraction = ((scaled << 8) >> (octave + 8)) - 256;
    // 256 x (2^(1/4) - 1), 256 x (2^(2/4) - 1), 256 x (2^(3/4) - 1)
    let quarter =
        u32::from(fraction >= 48) + u32::from(fraction >= 106) + u32::from(fraction >= 175);
    ((octave * PER_OCTAVE + quarter + 1) as usize).min(BUCKETS - 1)
}

/// Returns the upper bound of a bucket, in microseconds.
fn upper_us(bucket: usize) -> f64 {
    f64::from(FIRST_US) * 2f64.powf(bucket as f64 / f64::from(PER_OCTAVE))
}

/// What has been learned of one profile: counts that fade.
#[derive(Debug, Clone)]
pub struct Profile {
    counts: Box<[f64]>,
    last: Box<[u64]>,
    seen: u64,
}

impl Default for Profile {
    fn default() -> Self {
        Self { counts: vec![0.0; BUCKETS].into(), last: vec![0; BUCKETS].into(), seen: 0 }
    }
}

impl Profile {
    /// Takes in the cumulative `totals` of all workers, after fading what was known by `keep` (0 to 1).
    ///
    /// With `keep = 0.5^(dt / half_life)` an observation weighs half after one half-life. Fading happens only when
    /// something new came, so that a quiet night does not make a profile forget.
    pub fn update(&mut self, totals: impl Iterator<Item = u64>, keep: f64) {
        let mut faded = false;
        for (bucket, total) in totals.take(BUCKETS).enumerate() {
            let fresh = total.saturating_sub(self.last[bucket]);
            self.last[bucket] = total;
            if fresh == 0 {
                continue;
            }
            if !faded {
                self.counts.iter_mut().for_each(|count| *count *= keep);
                faded = true;
            }
            self.counts[bucket] += fresh as f64;
            self.seen += fresh;
        }
    }

    /// Returns what is known, to be kept: how many observations were seen, and what those of each bucket weigh now.
    pub fn known(&self) -> (u64, &[f64]) {
        (self.seen, &self.counts)
    }

    /// Takes in what was known before a restart, as [`Profile::known`] gave it, beside what was seen since. Weights that are
    /// no weights, and buckets that there are none of, are left out.
    pub fn recall(&mut self, seen: u64, weights: impl Iterator<Item = f64>) {
        self.seen = self.seen.saturating_add(seen);
        for (count, weight) in self.counts.iter_mut().zip(weights) {
            if weight.is_finite() && 0.0 <= weight {
                *count += weight;
            }
        }
    }

    /// Returns the belief that these observations support; the costs are left at zero for the caller, who knows prices.
    pub fn belief(&self, sprinter_up_to_us: u32) -> Belief {
        let weight: f64 = self.counts.iter().sum();
        if weight <= 0.0 {
            return Belief::default();
        }
        let mean = self
            .counts
            .iter()
            .enumerate()
            .map(|(bucket, count)| count * middle_us(bucket))
            .sum::<f64>()
            / weight;
        let long: f64 = self
            .counts
            .iter()
            .enumerate()
            .filter(|(bucket, _)| f64::from(sprinter_up_to_us) < upper_us(*bucket))
            .map(|(_, count)| count)
            .sum();
        Belief {
            seen: u32::try_from(self.seen).unwrap_or(u32::MAX),
            mean_us: mean as u32,
            p50_us: self.quantile_us(0.50, weight),
            p95_us: self.quantile_us(0.95, weight),
            p_long: (long / weight) as f32,
            ..Belief::default()
        }
    }

    fn quantile_us(&self, q: f64, weight: f64) -> u32 {
        let mut left = q * weight;
        for (bucket, count) in self.counts.iter().enumerate() {
            left -= count;
            // Half of the lightest possible observation absorbs the rounding of the sums.
            if left <= 1e-9 * weight {
                return middle_us(bucket) as u32;
            }
        }
        upper_us(BUCKETS - 1) as u32
    }
}

/// Returns the value that stands for a bucket: the geometric middle of its bounds.
fn middle_us(bucket: usize) -> f64 {
    if bucket == 0 {
        f64::from(FIRST_US) / 2.0
    } else {
        upper_us(bucket) / 2f64.powf(0.5 / f64::from(PER_OCTAVE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_between_its_bounds() {
        for us in [
            1,
            499,
            500,
            501,
            594,
            595,
            1000,
            1414,
            10_000,
            123_456,
            1_000_000,
            15 * 60 * 1_000_000,
        ] {
            let bucket = bucket_of(us);
            assert!(f64::from(us) <= upper_us(bucket) * 1.005, "{us} above its bucket {bucket}");
            assert!(
                bucket == 0 || upper_us(bucket - 1) <= f64::from(us) * 1.005,
                "{us} below its bucket {bucket}"
            );
        }
    }

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let histogram: Histogram<std::cell::Cell<u64>> = Histogram::default();
        for us in (1..=1000).map(|ms| ms * 1000) {
            let counter = histogram.bucket(us);
            counter.set(counter.get() + 1);
        }
        let mut profile = Profile::default();
        profile.update(histogram.counters().map(std::cell::Cell::get), 1.0);
        let belief = profile.belief(900_000);
        assert_eq!(belief.seen, 1000);
        assert!((420_000..600_000).contains(&belief.p50_us), "{belief:?}");
        assert!((790_000..1_130_000).contains(&belief.p95_us), "{belief:?}");
        assert!((0.0..0.35).contains(&belief.p_long), "{belief:?}");
    }

    #[test]
    fn what_was_known_before_a_restart_is_believed_again() {
        let mut before = Profile::default();
        before.update((0..BUCKETS).map(|bucket| if bucket == 30 { 90 } else { 0 }), 1.0);
        let (seen, weights) = before.known();
        let mut after = Profile::default();
        after.recall(seen, weights.iter().copied());
        assert_eq!(after.belief(1), before.belief(1));
        // The counters of the new life begin at nothing, and count on.
        after.update((0..BUCKETS).map(|bucket| u64::from(bucket == 30) * 10), 1.0);
        assert_eq!((after.belief(1).seen, after.known().1[30]), (100, 100.0));
        let known = after.belief(1);
        after.recall(0, [f64::NAN, f64::INFINITY, -1.0].into_iter().chain([0.0; 200]));
        assert_eq!(after.belief(1), known, "what is no weight is left out");
    }

    #[test]
    fn old_observations_fade_but_silence_does_not() {
        let mut profile = Profile::default();
        let at = |bucket: usize, n: u64| (0..BUCKETS).map(move |b| if b == bucket { n } else { 0 });
        profile.update(at(10, 100), 0.5);
        let before = profile.belief(1);
        profile.update(at(10, 100), 0.5);
        assert_eq!(profile.belief(1), before, "nothing new came");
        let both = |b: usize| if b == 10 || b == 40 { 100 } else { 0 };
        profile.update((0..BUCKETS).map(both), 0.01);
        assert!(before.p50_us * 2 < profile.belief(1).p50_us, "the new ones weigh more");
    }
}
