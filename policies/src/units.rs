//! Quantities as people write them: durations, sizes, money and shares, always with their unit.
//!
//! A bare number is refused even where one unit would be obvious to its writer: `timeout: 30` has meant seconds,
//! milliseconds and minutes in three products of the same company.

use std::time::Duration;

use crate::cost::{PicoUsd, decimal_usd};

/// The longest duration that a policy may name: a year. Longer is a slip, and sums of such cannot overflow.
pub const DURATION_MAX: Duration = Duration::from_hours(365 * 24);

const NANOS: u64 = 1_000_000_000;

/// What people write for a unit of time, in lower case.
const DURATION_UNITS: [(&str, &[&str]); 6] = [
    ("us", &["us", "µs", "usec", "micros", "microseconds"]),
    ("ms", &["ms", "msec", "millis", "milliseconds"]),
    ("s", &["s", "sec", "secs", "second", "seconds"]),
    ("m", &["m", "min", "mins", "minute", "minutes"]),
    ("h", &["h", "hr", "hrs", "hour", "hours"]),
    ("d", &["d", "day", "days"]),
];

/// What people write for a unit of size, in lower case; what may mean two things means the power of 1,024.
const SIZE_UNITS: [(&str, &[&str]); 7] = [
    ("B", &["b", "byte", "bytes"]),
    ("KiB", &["k", "ki", "kib"]),
    ("MiB", &["m", "mi", "mib"]),
    ("GiB", &["g", "gi", "gib"]),
    ("kB", &["kb"]),
    ("MB", &["mb"]),
    ("GB", &["gb"]),
];

/// Returns the unit that somebody meant who wrote `unit`.
fn meant(unit: &str, units: &[(&'static str, &[&str])]) -> Option<&'static str> {
    let lower = unit.trim().to_lowercase();
    units.iter().find(|(_, written)| written.contains(&&*lower)).map(|(unit, _)| *unit)
}

fn did_you_mean(meant: Option<String>) -> String {
    meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

/// Reads a duration: `250ms`, `1.5s`, `5m`, `1m30s`, `2h`, `30d`. Zero is `0s`.
///
/// # Errors
///
/// A sentence that says what was expected, for anything else and for more than [`DURATION_MAX`].
pub fn duration(text: &str) -> Result<Duration, String> {
    let expected =
        || format!("expected a duration such as `250ms`, `1.5s` or `1m30s`, got `{text}`");
    let mut total = Duration::ZERO;
    let mut smallest = u64::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(expected)?;
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let nanos = match unit {
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => NANOS,
            "m" => 60 * NANOS,
            "h" => 3_600 * NANOS,
            "d" => 86_400 * NANOS,
            "" => return Err(format!("{}; did you mean `{text}s` or `{text}ms`?", expected())),
            unit => {
                let meant = meant(unit, &DURATION_UNITS).map(|unit| format!("{number}{unit}"));
                return Err(expected() + &did_you_mean(meant));
            }
        };
        // 1m30s, never 30s1m or 1s1s: what is out of order is a slip.
        if smallest <= nanos {
            return Err(expected());
        }
        smallest = nanos;
        let part = Duration::from_nanos(times(number, nanos).ok_or_else(expected)?);
        total = total.saturating_add(part);
        rest = after;
    }
    if smallest == u64::MAX {
        return Err(expected());
    }
    if DURATION_MAX < total {
        return Err(format!("expected at most a year (`365d`), got `{text}`"));
    }
    Ok(total)
}

/// Reads a size in bytes: `64KiB`, `1.5MiB`, `2GiB` (powers of 1,024), `64kB`, `6MB`, `1GB` (powers of 1,000), `512B`.
///
/// # Errors
///
/// A sentence that says what was expected.
pub fn size(text: &str) -> Result<u64, String> {
    let expected = || format!("expected a size such as `512MiB` or `64kB`, got `{text}`");
    let (number, unit) = split_number(text).ok_or_else(expected)?;
    let bytes = match unit {
        "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "" => return Err(format!("{}; did you mean `{text}MiB`?", expected())),
        unit => {
            let meant = meant(unit, &SIZE_UNITS).map(|unit| format!("{number}{unit}"));
            return Err(expected() + &did_you_mean(meant));
        }
    };
    times(number, bytes)
        .ok_or_else(|| format!("expected a whole number of bytes, below 16 EiB, got `{text}`"))
}

/// Reads a size that must be whole MiB, as memory is sold: `1769MiB`, `2GiB`.
///
/// # Errors
///
/// A sentence that says what was expected.
pub fn mebibytes(text: &str) -> Result<u32, String> {
    let bytes = size(text)?;
    if bytes % (1024 * 1024) != 0 {
        return Err(format!("expected whole MiB such as `1769MiB` or `2GiB`, got `{text}`"));
    }
    u32::try_from(bytes / (1024 * 1024))
        .map_err(|_| format!("expected less than 4 PiB of memory, got `{text}`"))
}

/// Reads a share: `10%` is 0.1; 0 to 100 %.
///
/// # Errors
///
/// A sentence that says what was expected.
pub fn percent(text: &str) -> Result<f64, String> {
    let expected = || format!("expected a share between `0%` and `100%`, got `{text}`");
    let (number, unit) = split_number(text).ok_or_else(expected)?;
    // Shifted as text: 99.9 / 100 is not the double nearest to 0.999.
    let share: f64 = format!("{number}e-2").parse().map_err(|_| expected())?;
    if unit != "%" || 1.0 < share {
        return Err(expected());
    }
    Ok(share)
}

/// Money over a time: `$5/day`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spend {
    /// The amount.
    pub amount: PicoUsd,
    /// Over how long; `None` for an amount alone.
    pub per: Option<Duration>,
}

/// Reads money: `$3000`, `$0.25`, `$5/day`, `$1/hour`.
///
/// # Errors
///
/// A sentence that says what was expected.
pub fn money(text: &str) -> Result<Spend, String> {
    let expected = || format!("expected money such as `$3000` or `$5/day`, got `{text}`");
    let amount = text.strip_prefix('$').ok_or_else(expected)?;
    let (amount, per) = match amount.split_once('/') {
        None => (amount, None),
        Some((amount, "hour")) => (amount, Some(Duration::from_hours(1))),
        Some((amount, "day")) => (amount, Some(Duration::from_hours(24))),
        Some(_) => return Err(expected()),
    };
    Ok(Spend { amount: decimal_usd(amount).ok_or_else(expected)?, per })
}

/// Reads money over a time as what it comes to in a day of 24 hours: `$5/day`, `$0.25/hour`.
///
/// # Errors
///
/// A sentence that says what was expected, also of no money at all.
pub fn money_a_day(text: &str) -> Result<PicoUsd, String> {
    let expected = || format!("expected money over a time such as `$5/day`, got `{text}`");
    let spend = money(text).map_err(|_| expected())?;
    let Some(per) = spend.per else {
        return Err(format!("{}; did you mean `{text}/day`?", expected()));
    };
    // Hours and days: each divides a day.
    match spend.amount.times(86_400 / per.as_secs().max(1)) {
        PicoUsd::ZERO => Err(format!("expected more than no money, got `{text}`")),
        amount => Ok(amount),
    }
}

/// Writes a duration for people, two significant digits at least: `41ms`, `4.1 s` is written `4.1s`, `2m5s`.
pub fn show_duration(duration: Duration) -> String {
    let us = duration.as_micros();
    match us {
        0 => "0s".to_owned(),
        1..1_000 => format!("{us}us"),
        1_000..10_000 => trim(&format!("{:.1}", us as f64 / 1e3), "ms"),
        10_000..1_000_000 => format!("{}ms", us / 1_000),
        1_000_000..60_000_000 => trim(&format!("{:.1}", us as f64 / 1e6), "s"),
        _ => {
            let seconds = duration.as_secs();
            let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
            let written = parts.iter().filter(|(count, _)| *count != 0);
            written.fold(String::new(), |text, (count, unit)| format!("{text}{count}{unit}"))
        }
    }
}

/// Writes a size for people in the largest unit that divides it: `64KiB`, `6MiB`, `1000B`.
pub fn show_size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = units.into_iter().find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
}

fn trim(number: &str, unit: &str) -> String {
    format!("{}{unit}", number.strip_suffix(".0").unwrap_or(number))
}

/// Splits `1.5s` into `1.5` and `s`; a number has digits on both sides of its one point, and no sign.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    if number.is_empty()
        || number.starts_with('.')
        || number.ends_with('.')
        || 1 < number.matches('.').count()
    {
        return None;
    }
    Some((number, rest))
}

/// Multiplies a decimal number by `unit` exactly; `None` when the product is not whole or too large.
fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let product = digits.checked_mul(u128::from(unit))?;
    if product % scale != 0 {
        return None;
    }
    u64::try_from(product / scale).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_names_of_units_are_understood_and_refused() {
        for (written, meant) in
            [("250sec", "250s"), ("5 min", "5m"), ("1.5hours", "1.5h"), ("3MS", "3ms")]
        {
            let error = duration(written).unwrap_err();
            assert!(error.ends_with(&format!("did you mean `{meant}`?")), "{error}");
        }
        for (written, meant) in
            [("512Mb", "512MB"), ("1G", "1GiB"), ("64 kib", "64KiB"), ("9bytes", "9B")]
        {
            let error = size(written).unwrap_err();
            assert!(error.ends_with(&format!("did you mean `{meant}`?")), "{error}");
        }
        assert!(!duration("5parsecs").unwrap_err().contains("did you mean"));
    }

    #[test]
    fn durations_need_a_unit_and_order() {
        let ms = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!(ms("250ms"), Ok(250));
        assert_eq!(ms("1.5s"), Ok(1_500));
        assert_eq!(ms("1m30s"), Ok(90_000));
        assert_eq!(ms("2h"), Ok(7_200_000));
        assert_eq!(ms("30d"), Ok(2_592_000_000));
        assert_eq!(ms("0s"), Ok(0));
        for wrong in
            ["", "s", "-1s", "1.s", ".5s", "1sec", "30s1m", "1s1s", "1s2", "1e3s", "1..5s", "nan"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        insta::assert_snapshot!(duration("30").unwrap_err(), @"expected a duration such as `250ms`, `1.5s` or `1m30s`, got `30`; did you mean `30s` or `30ms`?");
        insta::assert_snapshot!(duration("366d").unwrap_err(), @"expected at most a year (`365d`), got `366d`");
    }

    #[test]
    fn sizes_tell_powers_of_two_from_powers_of_ten() {
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("64kB"), Ok(64_000));
        assert_eq!(size("1.5MiB"), Ok(1_572_864));
        assert_eq!(size("0B"), Ok(0));
        assert_eq!(mebibytes("1769MiB"), Ok(1769));
        assert_eq!(mebibytes("2GiB"), Ok(2048));
        for wrong in ["", "1", "1K", "1kb", "-1B", "0.5B", "99999999999GiB", "MiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(mebibytes("1500kB").is_err());
        insta::assert_snapshot!(size("512").unwrap_err(), @"expected a size such as `512MiB` or `64kB`, got `512`; did you mean `512MiB`?");
    }

    #[test]
    fn shares_and_money_carry_their_signs() {
        assert_eq!(percent("10%"), Ok(0.1));
        assert_eq!(percent("99.9%"), Ok(0.999));
        for wrong in ["10", "101%", "-1%", "%"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
        let day = Spend { amount: PicoUsd(5_000_000_000_000), per: Some(Duration::from_hours(24)) };
        assert_eq!(money("$5/day"), Ok(day));
        assert_eq!(money("$0.25").map(|spend| spend.amount), Ok(PicoUsd(250_000_000_000)));
        for wrong in ["5", "$", "$5/week", "$-5", "€5"] {
            assert!(money(wrong).is_err(), "{wrong}");
        }
        assert_eq!(money_a_day("$5/day"), Ok(PicoUsd(5_000_000_000_000)));
        assert_eq!(money_a_day("$0.25/hour"), Ok(PicoUsd(6_000_000_000_000)));
        for wrong in ["5/day", "$0/day", "$5/month"] {
            assert!(money_a_day(wrong).is_err(), "{wrong}");
        }
        insta::assert_snapshot!(money_a_day("$5").unwrap_err(), @"expected money over a time such as `$5/day`, got `$5`; did you mean `$5/day`?");
    }

    #[test]
    fn people_read_what_they_would_write() {
        let shown = |us| show_duration(Duration::from_micros(us));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(870), "870us");
        assert_eq!(shown(4_100), "4.1ms");
        assert_eq!(shown(41_900), "41ms");
        assert_eq!(shown(4_100_000), "4.1s");
        assert_eq!(shown(30_000_000), "30s");
        assert_eq!(shown(125_000_000), "2m5s");
        assert_eq!(shown(3_600_000_000), "1h");
        assert_eq!(show_size(6 << 20), "6MiB");
        assert_eq!(show_size(1000), "1000B");
        assert_eq!(show_size(0), "0B");
    }

    proptest! {
        #[test]
        fn whole_milliseconds_read_exactly(ms in 0_u64..31_536_000_000) {
            prop_assert_eq!(duration(&format!("{ms}ms")), Ok(Duration::from_millis(ms)));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (duration(&text), size(&text), percent(&text), money(&text), money_a_day(&text));
        }
    }
}
