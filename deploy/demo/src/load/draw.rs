//! Seeded random draws.
//!
//! Fixed and portable, so that two runs of the demo send the same requests at the same times. Not for secrets.

/// A generator: SplitMix64 (Steele, Lea, Flood 2014), which passes BigCrush and fits in three lines.
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// Starts at `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 up to, not including, 1.
    pub const fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_the_published_generator() {
        // The reference C code of Vigna, seed 1234567.
        let mut draw = Draw::new(1_234_567);
        assert_eq!(
            [draw.bits(), draw.bits()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }

    #[test]
    fn unit_draws_fill_the_interval_evenly() {
        let mut draw = Draw::new(1);
        let mut tenths = [0_u32; 10];
        for _ in 0..10_000 {
            tenths[(draw.unit() * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|&count| (850..1150).contains(&count)), "{tenths:?}");
    }
}
