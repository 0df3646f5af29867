//! Expert: the load goes on changing as it did lately, less and less (Holt's linear trend, damped: Gardner and McKenzie
//! 1985).

/// Share of a new value in the level, and of a new change in the slope. Doubled, it follows noise.
const LEVEL: f32 = 0.5;
const SLOPE: f32 = 0.1;

/// What is left of the slope a step later: all the change to come is nine times the slope.
const DAMPING: f32 = 0.9;

/// Level and slope of the logarithm.
#[derive(Debug, Clone, Default)]
pub(super) struct Trend {
    /// `None` before the first value.
    level: Option<f32>,
    slope: f32,
}

impl Trend {
    /// Learns the value of a step.
    pub(super) fn learn(&mut self, log: f32) {
        let Some(level) = self.level else {
            self.level = Some(log);
            return;
        };
        let slope = DAMPING * self.slope;
        let next = level + slope + LEVEL * (log - level - slope);
        self.slope = slope + SLOPE * (next - level - slope);
        self.level = Some(next);
    }

    /// Returns what comes `steps` later: `level + slope x (d + d^2 + ... + d^steps)`.
    pub(super) fn ahead(&self, steps: u64) -> f32 {
        let left = DAMPING.powi(i32::try_from(steps).unwrap_or(i32::MAX));
        self.level.unwrap_or(0.0) + self.slope * DAMPING * (1.0 - left) / (1.0 - DAMPING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_goes_on_and_flattens_and_a_constant_stays() {
        let mut trend = Trend::default();
        for n in 0..500_u16 {
            trend.learn(0.01 * f32::from(n));
        }
        let [one, ten, far] = [1, 10, u64::MAX].map(|steps| trend.ahead(steps) - 4.99);
        assert!(-0.02 < one && one < ten && ten < far && far < 0.09, "{one} {ten} {far}");

        let mut trend = Trend::default();
        (0..50).for_each(|_| trend.learn(3.0));
        assert!((trend.ahead(60) - 3.0).abs() < 1e-6);
    }
}
