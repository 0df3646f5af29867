//! Randomness of a replay: one stream of numbers for each thing that is drawn.
//!
//! Each stream has a generator of its own, seeded by the replay's seed and by what it is for. So two planners see the same
//! arrivals and the same durations however many starts each of them causes, and a difference between them is theirs.

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng as _, SeedableRng},
};

/// What a stream of numbers is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// When requests arrive within a step.
    Arrivals = 1,
    /// How long requests take.
    Durations = 2,
    /// How long environments and tasks take to start.
    Starts = 3,
    /// The draw of a decision at the border between the classes.
    Decisions = 4,
    /// Spot interruptions.
    Spot = 5,
}

/// A stream of numbers.
#[derive(Debug, Clone)]
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// Makes the stream for `purpose` of the `service`th service.
    pub fn new(seed: u64, service: usize, purpose: Purpose) -> Self {
        // Seeds that lie close to each other are spread by the generator itself (SplitMix64).
        let stream = (service as u64) << 8 | purpose as u64;
        let seed = seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Returns 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a number of the exponential distribution of mean 1.
    pub fn exponential(&mut self) -> f64 {
        rand_distr::Distribution::sample(&rand_distr::Exp1, &mut self.0)
    }

    /// Returns a number of the normal distribution of mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        rand_distr::Distribution::sample(&rand_distr::StandardNormal, &mut self.0)
    }
}
