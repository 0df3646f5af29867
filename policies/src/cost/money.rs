//! Amounts of money, exact to 10^-12 USD.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, Sub},
};

/// An amount of money in 10^-12 USD; arithmetic saturates at either end (0 and 3 x 10^26 USD).
///
/// Fine enough for one millisecond of the smallest function (1.6e-9 USD = 1,628 of these), so sums of many small costs
/// lose nothing; wide enough for a trace of ten years at an absurd scale, which 64 bits (18 million USD) were not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PicoUsd(pub u128);

impl PicoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Returns `self` times `factor`.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor as u128))
    }

    /// Returns the amount in USD, for gauges and charts.
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e12
    }
}

impl Add for PicoUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for PicoUsd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for PicoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Two decimals from a dollar upwards; below, two significant digits, because a request costs thousandths of a cent.
impl fmt::Display for PicoUsd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const USD: u128 = 1_000_000_000_000;
        if self.0 == 0 {
            return out.write_str("$0");
        }
        let decimals = if USD <= self.0 {
            2
        } else {
            // Digits of the fraction down to the second significant one.
            let leading_zeros = 12 - self.0.to_string().len();
            (leading_zeros + 2).min(12)
        };
        let unit = 10_u128.pow(u32::try_from(12 - decimals).expect("decimals are at most 12"));
        let rounded = divide(self.0, unit);
        let scale = 10_u128.pow(u32::try_from(decimals).expect("decimals are at most 12"));
        write!(out, "${}.{:0decimals$}", rounded / scale, rounded % scale)
    }
}

/// Divides, rounding half up.
pub(super) const fn divide(amount: u128, by: u128) -> u128 {
    amount.saturating_add(by / 2) / by
}

/// Reads a decimal amount of USD exactly; at most 12 decimals and 18 million USD.
pub(crate) fn decimal_usd(text: &str) -> Option<PicoUsd> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || 12 < fraction.len() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let pico: u64 = format!("{whole}{fraction:0<12}").parse().ok()?;
    Some(PicoUsd(u128::from(pico)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_reads_as_money() {
        let shown = |pico| PicoUsd(pico).to_string();
        assert_eq!(shown(0), "$0");
        assert_eq!(shown(310_000_000), "$0.00031");
        assert_eq!(shown(23_233_969), "$0.000023");
        assert_eq!(shown(1), "$0.000000000001");
        assert_eq!(shown(999_999_999_999), "$1.00");
        assert_eq!(shown(12_345_678_901_234), "$12.35");
        assert_eq!(shown(30_000_000_500_000_000_000), "$30000000.50");
    }

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        assert_eq!(decimal_usd("0.0000166667"), Some(PicoUsd(16_666_700)));
        assert_eq!(decimal_usd("3"), Some(PicoUsd(3_000_000_000_000)));
        for wrong in ["", ".5", "-1", "1e-7", "0,2", "$1", "0.0000000000001", "99999999999"] {
            assert_eq!(decimal_usd(wrong), None, "{wrong}");
        }
    }
}
