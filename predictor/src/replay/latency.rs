//! How long requests took, as counts of a logarithmic scale.

use std::fmt;

/// Buckets to a doubling: within 1.1 % of the time.
const PER_OCTAVE: u32 = 64;
const SHIFT: u32 = PER_OCTAVE.trailing_zeros();

/// Up to 2^40 microseconds, 12 days.
const BUCKETS: usize = (40 * PER_OCTAVE) as usize;

/// Latencies in microseconds.
#[derive(Clone, PartialEq, Eq)]
pub struct Latencies {
    counts: Box<[u64]>,
    count: u64,
    sum_us: u128,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into(), count: 0, sum_us: 0 }
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Latencies")
            .field("count", &self.count)
            .field("sum_us", &self.sum_us)
            .finish_non_exhaustive()
    }
}

impl Latencies {
    /// Counts one.
    pub fn add(&mut self, us: u64) {
        self.counts[bucket(us)] += 1;
        self.count += 1;
        self.sum_us += u128::from(us);
    }

    /// Counts `count` of about `us`.
    pub fn add_many(&mut self, us: u64, count: u64) {
        self.counts[bucket(us)] += count;
        self.count += count;
        self.sum_us += u128::from(us) * u128::from(count);
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Self) {
        for (own, others) in self.counts.iter_mut().zip(&other.counts) {
            *own += others;
        }
        self.count += other.count;
        self.sum_us += other.sum_us;
    }

    /// Returns how many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns their sum in microseconds.
    pub fn sum_us(&self) -> u128 {
        self.sum_us
    }

    /// Returns their mean in microseconds; 0 without any.
    pub fn mean_us(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_us as f64 / self.count as f64 }
    }

    /// Returns the latency that a share `q` of them do not exceed, in microseconds; 0 without any.
    pub fn quantile_us(&self, q: f64) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let rank = (q * self.count as f64).max(1.0);
        let mut below = 0_u64;
        for (bucket, &count) in self.counts.iter().enumerate() {
            if count != 0 && rank <= (below + count) as f64 {
                let (from, until) = bounds(bucket);
                return from + (until - from) * (rank - below as f64) / count as f64;
            }
            below += count;
        }
        bounds(BUCKETS - 1).1
    }

    /// Iterates over the buckets that have any: their bounds in microseconds, and how many are in them.
    pub fn buckets(&self) -> impl Iterator<Item = ((f64, f64), u64)> + '_ {
        let used = self.counts.iter().enumerate().filter(|(_, count)| **count != 0);
        used.map(|(bucket, count)| (bounds(bucket), *count))
    }
}

/// Below 64 us each has a bucket of its own; above, the six bits behind the highest one say which.
fn bucket(us: u64) -> usize {
    if us < u64::from(PER_OCTAVE) {
        return us as usize;
    }
    let octave = us.ilog2() - SHIFT;
    let within = (us >> octave) as u32 - PER_OCTAVE;
    (((octave + 1) * PER_OCTAVE + within) as usize).min(BUCKETS - 1)
}

fn bounds(bucket: usize) -> (f64, f64) {
    let (octave, within) = (bucket as u32 / PER_OCTAVE, bucket as u32 % PER_OCTAVE);
    if octave == 0 {
        return (f64::from(within), f64::from(within + 1));
    }
    let unit = (1_u64 << (octave - 1)) as f64;
    (f64::from(PER_OCTAVE + within) * unit, f64::from(PER_OCTAVE + within + 1) * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket() {
        let mut latencies = Latencies::default();
        for us in 1..=100_000 {
            latencies.add(us);
        }
        for q in [0.01, 0.5, 0.9, 0.99, 1.0] {
            let ratio = latencies.quantile_us(q) / (q * 100_000.0);
            assert!((ratio - 1.0).abs() < 0.012, "{q}: {ratio}");
        }
        assert!((latencies.mean_us() - 50_000.5).abs() < 1e-9);
    }

    #[test]
    fn buckets_join_and_hold_what_is_in_them() {
        for number in 1..BUCKETS {
            assert!((bounds(number - 1).1 - bounds(number).0).abs() < 1e-9);
        }
        for us in [0, 1, 63, 64, 65, 127, 128, 1000, 123_456_789, u64::MAX] {
            let (from, until) = bounds(bucket(us));
            assert!(us == u64::MAX || from <= us as f64 && (us as f64) < until, "{us}");
        }
    }
}
