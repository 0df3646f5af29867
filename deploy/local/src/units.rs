//! Reads durations, sizes and vCPUs as the configuration writes them: `250ms`, `1769MiB`, `0.25`.
//!
//! The local cloud has its own reader, not the gateway's: it stands in for AWS, and must not share the code of what
//! it is there to test.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// Milliseconds in each unit a duration may carry.
const DURATION_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
/// MiB in each unit a size may carry.
const SIZE_UNITS: [(&str, u32); 2] = [("MiB", 1), ("GiB", 1024)];

/// Reads a duration: a whole number followed by `ms`, `s`, `m` or `h`.
///
/// # Errors
/// Says what was read and what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "`{text}` is not a duration: write a whole number and a unit, like `250ms`, `30s` or `5m`"
        )
    };
    let (number, unit) = split(text);
    let (_, scale) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(*scale).map(Duration::from_millis).ok_or_else(wrong)
}

/// Reads a size in MiB: a whole number followed by `MiB` or `GiB`.
///
/// # Errors
/// Says what was read and what a size looks like.
pub fn parse_mebibytes(text: &str) -> Result<u32, String> {
    let wrong = || {
        format!("`{text}` is not a size: write a whole number and a unit, like `512MiB` or `2GiB`")
    };
    let (number, unit) = split(text);
    let (_, scale) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let number: u32 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(*scale).ok_or_else(wrong)
}

/// Splits `1769MiB` into `1769` and `MiB`.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..digits], text[digits..].trim_start())
}

pub(crate) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(from)?).map_err(D::Error::custom)
}

pub(crate) fn mebibytes<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    parse_mebibytes(&String::deserialize(from)?).map_err(D::Error::custom)
}

/// Reads vCPUs (`1`, `0.25`) as thousandths, because usage is counted in integers.
pub(crate) fn vcpu_milli<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let vcpu = f64::deserialize(from)?;
    if !(0.001..=192.0).contains(&vcpu) {
        return Err(D::Error::custom(format!(
            "{vcpu} vCPU is out of range: write a number from 0.001 to 192"
        )));
    }
    Ok((vcpu * 1000.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_their_absence_is_refused() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(parse_mebibytes("2GiB"), Ok(2048));
        for wrong in ["", "30", "s", "1.5s", "-1s", "30 days", "99999999999999999999h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["512", "512MB", "9999999GiB"] {
            assert!(parse_mebibytes(wrong).is_err(), "{wrong}");
        }
    }
}
