//! DynamoDB's numbers: decimals of up to 38 digits, exact.
//!
//! Not floats: a version that is counted up must compare equal to itself however large it is.

use std::{cmp::Ordering, fmt};

/// Most significant digits (DynamoDB developer guide, "Supported data types", read 2026-11). They fit an `i128`.
const DIGITS_MAX: u32 = 38;
/// Largest magnitude: below 1E126 (the same page).
const MAGNITUDE_MAX: i32 = 125;
/// Smallest magnitude of a number that is not 0: 1E-130 (the same page).
const MAGNITUDE_MIN: i32 = -130;
/// Longest text that is read as a number; no exponent or digit beyond it is within the limits anyway.
const TEXT_BYTES_MAX: usize = 512;

/// `mantissa x 10^exponent`, without trailing zeros in the mantissa, so that equal numbers are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    mantissa: i128,
    exponent: i32,
}

impl Number {
    pub(crate) const ZERO: Self = Self { mantissa: 0, exponent: 0 };

    /// Reads a number as requests write it.
    ///
    /// # Errors
    /// DynamoDB's sentence for what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("The parameter cannot be converted to a numeric value: {}", clip(text));
        if TEXT_BYTES_MAX < text.len() {
            return Err(wrong());
        }
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().map_err(|_| wrong())?),
            None => (text, 0),
        };
        let (negative, digits) = match digits.strip_prefix(['-', '+']) {
            Some(rest) => (digits.starts_with('-'), rest),
            None => (false, digits),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(wrong());
        }
        let mut mantissa: i128 = 0;
        let mut exponent = i64::from(exponent) - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        // Zeros are held back until a digit follows: trailing ones are no significant digits.
        let mut zeros = 0u32;
        for digit in whole.bytes().chain(fraction.bytes()) {
            let digit = digit.wrapping_sub(b'0');
            if 9 < digit {
                return Err(wrong());
            }
            if digit == 0 {
                zeros += 1;
                continue;
            }
            let shifted = power(zeros + 1).and_then(|by| mantissa.checked_mul(by));
            let next = shifted.and_then(|shifted| shifted.checked_add(i128::from(digit)));
            mantissa = next.ok_or_else(too_long)?;
            zeros = 0;
        }
        exponent += i64::from(zeros);
        let exponent = if mantissa == 0 { 0 } else { i32::try_from(exponent).unwrap_or(i32::MAX) };
        Self { mantissa: if negative { -mantissa } else { mantissa }, exponent }.checked()
    }

    /// The sum.
    ///
    /// # Errors
    /// When it has more digits than DynamoDB holds, or is out of its range.
    pub(crate) fn plus(self, other: Self) -> Result<Self, String> {
        if self.mantissa == 0 {
            return Ok(other);
        }
        if other.mantissa == 0 {
            return Ok(self);
        }
        let (high, low) =
            if other.exponent <= self.exponent { (self, other) } else { (other, self) };
        let by = power(high.exponent.abs_diff(low.exponent)).ok_or_else(too_long)?;
        let aligned = high.mantissa.checked_mul(by).ok_or_else(too_long)?;
        let mantissa = aligned.checked_add(low.mantissa).ok_or_else(too_long)?;
        Self { mantissa, exponent: low.exponent }.checked()
    }

    /// The difference, with the errors of the sum.
    pub(crate) fn minus(self, other: Self) -> Result<Self, String> {
        self.plus(Self { mantissa: -other.mantissa, ..other })
    }

    /// Bytes an item is charged for it: one for two digits, and one more; one for the sign.
    pub(crate) fn bytes(self) -> usize {
        (self.digits() as usize).div_ceil(2) + 1 + usize::from(self.mantissa < 0)
    }

    fn digits(self) -> u32 {
        self.mantissa.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1)
    }

    /// The power of ten of the first digit.
    fn magnitude(self) -> i64 {
        i64::from(self.exponent) + i64::from(self.digits()) - 1
    }

    fn checked(mut self) -> Result<Self, String> {
        if self.mantissa == 0 {
            return Ok(Self::ZERO);
        }
        while self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.exponent = self.exponent.saturating_add(1);
        }
        if DIGITS_MAX < self.digits() {
            return Err(too_long());
        }
        if i64::from(MAGNITUDE_MAX) < self.magnitude() {
            return Err("Number overflow. Attempting to store a number with magnitude larger than supported range".into());
        }
        if self.magnitude() < i64::from(MAGNITUDE_MIN) {
            return Err("Number underflow. Attempting to store a number with magnitude smaller than supported range".into());
        }
        Ok(self)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.mantissa.signum().cmp(&other.mantissa.signum());
        if signs.is_ne() || self.mantissa == 0 {
            return signs;
        }
        // The same sign: first by magnitude, then digit by digit at the same number of digits.
        let magnitudes = self.magnitude().cmp(&other.magnitude());
        let sizes = if magnitudes.is_ne() {
            magnitudes
        } else {
            let full = |number: &Self| {
                let by = power(DIGITS_MAX - number.digits()).unwrap_or(1);
                number.mantissa.abs().saturating_mul(by)
            };
            full(self).cmp(&full(other))
        };
        if self.mantissa < 0 { sizes.reverse() } else { sizes }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    /// Without an exponent, as DynamoDB answers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs().to_string();
        if 0 <= self.exponent {
            let zeros = "0".repeat(self.exponent as usize);
            return write!(f, "{sign}{digits}{zeros}");
        }
        let fraction = self.exponent.unsigned_abs() as usize;
        // At least one digit before the point.
        let digits = format!("{digits:0>width$}", width = fraction + 1);
        let (whole, fraction) = digits.split_at(digits.len() - fraction);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

/// Ten to the power of `by`, if it fits.
fn power(by: u32) -> Option<i128> {
    10i128.checked_pow(by)
}

fn too_long() -> String {
    format!("Attempting to store more than {DIGITS_MAX} significant digits in a Number")
}

/// The beginning of a text that is too long to repeat.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_told_in_one_form() {
        for (given, told) in [
            ("0", "0"),
            ("-0.000", "0"),
            ("+7", "7"),
            ("007.50", "7.5"),
            (".5", "0.5"),
            ("1e3", "1000"),
            ("-12.5E-3", "-0.0125"),
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ] {
            assert_eq!(number(given).to_string(), told, "{given}");
        }
        assert_eq!(number("9e125").to_string().len(), 126);
    }

    #[test]
    fn what_dynamodb_cannot_hold_is_refused() {
        for (given, part) in [
            ("", "cannot be converted"),
            ("seven", "cannot be converted"),
            ("1.2.3", "cannot be converted"),
            ("-", "cannot be converted"),
            ("1e", "cannot be converted"),
            ("NaN", "cannot be converted"),
            ("100000000000000000000000000000000000001", "38 significant digits"),
            ("1e126", "overflow"),
            ("1e2147483647", "overflow"),
            ("1e-131", "underflow"),
        ] {
            let error = Number::parse(given).unwrap_err();
            assert!(error.contains(part), "{given}: {error}");
        }
    }

    #[test]
    fn numbers_are_in_order_and_sums_are_exact() {
        let rising =
            ["-1e30", "-2", "-1.5", "-1e-9", "0", "1e-9", "0.1", "9", "10", "10.5", "1e100"];
        for (at, low) in rising.iter().enumerate() {
            for (other, high) in rising.iter().enumerate() {
                assert_eq!(number(low).cmp(&number(high)), at.cmp(&other), "{low} {high}");
            }
        }
        assert_eq!(number("0.1").plus(number("0.2")), Ok(number("0.3")));
        assert_eq!(number("41").plus(number("1")), Ok(number("42")));
        assert_eq!(number("1").minus(number("1")), Ok(Number::ZERO));
        assert_eq!(number("1e18").minus(number("1")).unwrap().to_string(), "999999999999999999");
        assert!(number("1e60").plus(number("1")).unwrap_err().contains("38"));
        assert!(number("9e125").plus(number("9e125")).unwrap_err().contains("overflow"));
    }
}
