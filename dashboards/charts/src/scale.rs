//! From amounts to places: round ticks, and which amounts are too large to draw beside the others.

use crate::format::NONE;

/// Sizes outside of this are not told apart: below, an amount is zero; above, it is this much. Keeps all sums finite.
const SMALLEST: f64 = 1e-300;
const LARGEST: f64 = 1e300;

/// Returns what is drawn for an amount: none if it is no number.
pub(crate) fn drawable(amount: f64) -> Option<f64> {
    if !amount.is_finite() {
        return None;
    }
    Some(if amount.abs() < SMALLEST { 0.0 } else { amount.clamp(-LARGEST, LARGEST) })
}

/// Amounts at even distances from each other: from `low` to `high`, both of which are ticks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Linear {
    pub(crate) ticks: Vec<f64>,
}

impl Linear {
    /// Takes the smallest step of 1, 2 or 5 times a power of ten that covers zero and the amounts in at most `most` steps and two.
    ///
    /// For amounts up to 437 and 5 steps that is 100: 0, 100, 200, 300, 400, 500. Zero is always there, as a length says
    /// how much only if it begins there; if all amounts are zero, the axis goes to 1.
    pub(crate) fn new(low: f64, high: f64, most: usize) -> Self {
        let low = drawable(low).unwrap_or(0.0).min(0.0);
        let high = drawable(high).unwrap_or(0.0).max(0.0);
        let (low, high) = if low == 0.0 && high == 0.0 { (0.0, 1.0) } else { (low, high) };
        let raw = (high / most as f64) - (low / most as f64);
        let mut power = raw.log10().floor() as i32;
        // A logarithm just below a power of ten may be rounded up to it.
        if raw < 10_f64.powi(power) {
            power -= 1;
        }
        let factor = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .find(|factor| raw <= factor * 10_f64.powi(power) * (1.0 + 1e-9))
            .unwrap_or(10.0);
        // Divided rather than multiplied where it is a fraction: 3 / 10 is 0.3, 3 * 0.1 is not.
        let at = |number: f64| {
            if power < 0 && -300 < power {
                number * factor / 10_f64.powi(-power)
            } else {
                number * factor * 10_f64.powi(power)
            }
        };
        let step = at(1.0);
        let first = (low / step + 1e-9).floor() as i64;
        let last = (high / step - 1e-9).ceil() as i64;
        Self { ticks: (first..=last).map(|number| at(number as f64)).collect() }
    }

    /// Returns where an amount is: 0 at the first tick, 1 at the last, not beyond either.
    pub(crate) fn place(&self, amount: f64) -> f64 {
        let (low, high) = (self.ticks[0], self.ticks[self.ticks.len() - 1]);
        ((amount - low) / (high - low)).clamp(0.0, 1.0)
    }
}

/// How many times the middle amount one may be and still be drawn whole: the middle one then has a quarter of the width.
const BY_FAR: f64 = 4.0;
/// What is not much longer than the longest is drawn whole all the same: it would be cut for nothing.
const NEARLY: f64 = 1.5;

/// Returns the largest amount that is drawn whole. Larger ones are off by far: they would flatten all others.
pub(crate) fn longest(amounts: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> =
        amounts.filter_map(drawable).filter(|amount| 0.0 < *amount).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(middle) = sorted.get(sorted.len().saturating_sub(1) / 2).copied() else { return 0.0 };
    let mut longest = middle;
    for amount in sorted {
        if amount <= BY_FAR * middle || amount <= NEARLY * longest {
            longest = longest.max(amount);
        }
    }
    longest
}

/// Latencies that an axis may be marked at, in microseconds; the first of each group also when there is room for few.
const LATENCIES: [(f64, &str, bool); 34] = [
    (1.0, "1µs", true),
    (2.0, "2µs", false),
    (5.0, "5µs", false),
    (1e1, "10µs", true),
    (2e1, "20µs", false),
    (5e1, "50µs", false),
    (1e2, "100µs", true),
    (2e2, "200µs", false),
    (5e2, "500µs", false),
    (1e3, "1ms", true),
    (2e3, "2ms", false),
    (5e3, "5ms", false),
    (1e4, "10ms", true),
    (2e4, "20ms", false),
    (5e4, "50ms", false),
    (1e5, "100ms", true),
    (2e5, "200ms", false),
    (5e5, "500ms", false),
    (1e6, "1s", true),
    (2e6, "2s", false),
    (5e6, "5s", false),
    (1e7, "10s", true),
    (2e7, "20s", false),
    (6e7, "1min", true),
    (1.2e8, "2min", false),
    (3e8, "5min", false),
    (6e8, "10min", true),
    (1.2e9, "20min", false),
    (3.6e9, "1h", true),
    (7.2e9, "2h", false),
    (1.8e10, "5h", false),
    (3.6e10, "10h", true),
    (8.64e10, "1d", true),
    (8.64e11, "10d", true),
];

/// Latencies by their logarithm.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latency {
    low_us: f64,
    high_us: f64,
    pub(crate) ticks: Vec<(f64, &'static str)>,
}

impl Latency {
    /// Covers the latencies from tick to tick, with at most about `most` of them.
    pub(crate) fn new(low_us: f64, high_us: f64, most: usize) -> Self {
        let last = LATENCIES.len() - 1;
        let from = LATENCIES.iter().rposition(|(us, ..)| *us <= low_us).unwrap_or(0).min(last - 1);
        let until = LATENCIES.iter().position(|(us, ..)| high_us <= *us).unwrap_or(last);
        let all = &LATENCIES[from..=until.max(from + 1)];
        let few = most < all.len();
        Self {
            low_us: all[0].0,
            high_us: all[all.len() - 1].0,
            ticks: all
                .iter()
                .filter(|(_, _, major)| *major || !few)
                .map(|(us, label, _)| (*us, *label))
                .collect(),
        }
    }

    /// Returns where a latency is: 0 at the lower end, 1 at the upper, not beyond either.
    pub(crate) fn place(&self, us: f64) -> f64 {
        let us = us.clamp(self.low_us, self.high_us);
        (us / self.low_us).ln() / (self.high_us / self.low_us).ln()
    }
}

/// Returns where a quantile is: each nine as far from the one before it. The median is at 0.3, p90 at 1, p99 at 2.
pub(crate) fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile.clamp(0.0, 0.999_999_9)).log10()
}

/// Writes a share of one as the name of a quantile: `p50`, `p99.9`.
pub(crate) fn quantile_name(quantile: f64) -> String {
    if !quantile.is_finite() {
        return NONE.to_owned();
    }
    // Rounded, as 0.999 * 100 is 99.9 and a little.
    let percent = format!("{:.5}", quantile * 100.0);
    format!("p{}", percent.trim_end_matches('0').trim_end_matches('.'))
}

/// Moves labels apart until each has `gap` pixels, within `low..high` and in their order; closer where there is no room for that.
pub(crate) fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let gap = gap.min((high - low) / wanted.len().saturating_sub(1).max(1) as f64);
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|one, other| wanted[*one].total_cmp(&wanted[*other]));
    let mut places: Vec<f64> = order.iter().map(|at| wanted[*at].clamp(low, high)).collect();
    for at in 1..places.len() {
        places[at] = places[at].max(places[at - 1] + gap);
    }
    let mut below = high;
    for place in places.iter_mut().rev() {
        *place = place.min(below);
        below = *place - gap;
    }
    let mut out = vec![0.0; wanted.len()];
    for (at, place) in order.into_iter().zip(places) {
        out[at] = place;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_where_a_person_would_put_them() {
        let cases: [(f64, f64, usize, &[f64]); 8] = [
            (0.0, 437.0, 5, &[0.0, 100.0, 200.0, 300.0, 400.0, 500.0]),
            (0.0, 0.0, 5, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
            (0.0, 1.0, 5, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
            (3.0, 9.0, 5, &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
            (0.0, 1000.0, 5, &[0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]),
            (-3.0, 7.0, 5, &[-4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0]),
            (f64::NAN, f64::INFINITY, 2, &[0.0, 0.5, 1.0]),
            (0.0, 0.3, 3, &[0.0, 0.1, 0.2, 0.3]),
        ];
        for (low, high, most, expected) in cases {
            assert_eq!(Linear::new(low, high, most).ticks, expected, "{low} to {high}");
        }
    }

    #[test]
    fn ticks_are_round_and_few_and_cover_amounts_of_any_size() {
        for power in -320..=308 {
            for digits in [1.0, 1.000_000_1, 1.99, 2.0, 2.5, 4.999, 5.0, 7.3, 9.999_999, 10.0] {
                for most in 2..9 {
                    let high = digits * 10_f64.powi(power);
                    for low in [0.0, -high, -high * 0.01] {
                        let told = format!("{low} to {high} in {most}");
                        let linear = Linear::new(low, high, most);
                        let ticks = &linear.ticks;
                        assert!(2 <= ticks.len() && ticks.len() <= most + 3, "{told}: {ticks:?}");
                        assert!(ticks.iter().all(|tick| tick.is_finite()), "{told}: {ticks:?}");
                        assert!(ticks.is_sorted_by(|one, next| one < next), "{told}: {ticks:?}");
                        let within = |amount: f64| {
                            let amount = drawable(amount).expect("a number");
                            let slack = 1e-8 * (ticks[1] - ticks[0]);
                            ticks[0] - slack <= amount && amount <= ticks[ticks.len() - 1] + slack
                        };
                        assert!(
                            high.is_infinite() || within(low) && within(high),
                            "{told}: {ticks:?}"
                        );
                        let step = ticks[1] - ticks[0];
                        let factor = step / 10_f64.powf((step * 1.000_01).log10().floor());
                        let round =
                            [1.0, 2.0, 5.0].iter().any(|nice| (factor / nice - 1.0).abs() < 1e-4);
                        assert!(round, "{told}: {ticks:?}");
                        assert!((0.0..=1.0).contains(&linear.place(high.min(LARGEST))), "{told}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_what_is_off_by_far_is_cut() {
        let cases: [(&[f64], f64); 8] = [
            (&[538.0, 6982.0, 565.0, 390.0, 374.0, 393.0, 450.0, 410.0, 408.0], 565.0),
            (&[131.0, 949.0, 99.0, 57.0, 82.0, 63.0, 104.0, 107.0, 97.0], 131.0),
            (&[10.0, 20.0, 30.0], 30.0),
            (&[10.0, 10.0, 39.0, 58.0], 58.0),
            (&[1.0, 1.0, 20.0], 1.0),
            (&[0.0, 0.0], 0.0),
            (&[], 0.0),
            (&[f64::NAN, 3.0, f64::INFINITY], 3.0),
        ];
        for (amounts, expected) in cases {
            let longest = longest(amounts.iter().copied());
            assert!((longest - expected).abs() < 1e-9, "{amounts:?}: {longest}");
        }
    }

    #[test]
    fn latencies_are_marked_at_what_people_say() {
        let labels = |low, high, most| -> Vec<&str> {
            Latency::new(low, high, most).ticks.into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(1.3e4, 4e7, 6), ["10ms", "100ms", "1s", "10s", "1min"]);
        assert_eq!(labels(4e5, 3e6, 6), ["200ms", "500ms", "1s", "2s", "5s"]);
        assert_eq!(labels(0.0, 0.0, 6), ["1µs", "2µs"]);
        assert_eq!(labels(1e6, 1e6, 6), ["1s", "2s"]);
        assert_eq!(labels(1e300, 1e300, 6), ["1d", "10d"]);
        let axis = Latency::new(1e3, 1e6, 6);
        for (us, place) in [(0.0, 0.0), (1e3, 0.0), (1e6, 1.0), (1e9, 1.0), (1e4, 1.0 / 3.0)] {
            assert!((axis.place(us) - place).abs() < 1e-9, "{us}");
        }
    }

    #[test]
    fn quantiles_are_named_by_their_nines() {
        for (quantile, name, place) in [
            (0.5, "p50", 0.301),
            (0.9, "p90", 1.0),
            (0.99, "p99", 2.0),
            (0.999, "p99.9", 3.0),
            (0.9999, "p99.99", 4.0),
        ] {
            assert_eq!(quantile_name(quantile), name);
            assert!((nines(quantile) - place).abs() < 1e-3, "{quantile}");
        }
        assert!(nines(1.0).is_finite() && nines(-1.0).abs() < 1e-9);
    }

    #[test]
    fn labels_keep_their_order_and_distance() {
        let places = spread(&[10.0, 12.0, 11.0, 95.0, 99.0], 15.0, 0.0, 100.0);
        assert_eq!(places, [10.0, 40.0, 25.0, 85.0, 100.0]);
        let squeezed = spread(&[50.0; 3], 80.0, 0.0, 100.0);
        assert_eq!(squeezed, [0.0, 50.0, 100.0]);
        assert!(spread(&[], 15.0, 0.0, 100.0).is_empty());
    }
}
