//! Time as AWS writes it, request ids, and the scale on which the cloud's lags pass.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How many times faster than real time lags pass. Work is never scaled: it runs, and is billed, in real time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale(pub(crate) f64);

impl Scale {
    /// The real time that a lag of `nominal` takes.
    pub(crate) fn shrink(self, nominal: Duration) -> Duration {
        nominal.div_f64(self.0)
    }
}

/// Seconds since 1970 with fractions, as JSON 1.1 services write times.
pub(crate) fn epoch_seconds(at: SystemTime) -> f64 {
    // Milliseconds, as ECS gives them.
    (epoch_ms(at) as f64) / 1000.0
}

/// Milliseconds since 1970; 0 before.
pub(crate) fn epoch_ms(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// `2026-11-21T01:16:14.123Z`, as Lambda begins its log lines.
pub(crate) fn timestamp(at: SystemTime) -> String {
    let ms = epoch_ms(at);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (year, month, day) = date_of_day(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// `Sat, 21 Nov 2026 01:16:14 GMT`, as HTTP writes dates (RFC 9110, 5.6.7).
pub(crate) fn http_date(at: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = epoch_ms(at) / 1000;
    let (year, month, date) = date_of_day(seconds / 86_400);
    // 1970-01-01 was a Thursday.
    let day = DAYS[(seconds / 86_400 % 7) as usize];
    let month = MONTHS[(month - 1) as usize];
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{day}, {date:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// `2026/11/21`, as log streams begin.
pub(crate) fn log_date(at: SystemTime) -> String {
    let (year, month, day) = date_of_day(epoch_ms(at) / 86_400_000);
    format!("{year:04}/{month:02}/{day:02}")
}

/// `20261121T011614Z`, the form of `X-Amz-Date`.
pub(crate) fn amz_date(at: SystemTime) -> String {
    let seconds = timestamp(at);
    let seconds = seconds.split('.').next().unwrap_or_default();
    seconds.replace(['-', ':'], "") + "Z"
}

/// Reads `20261121T011614Z`, the form of `X-Amz-Date`.
pub(crate) fn parse_amz_date(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if year < 1970
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || 23 < hour
        || 59 < minute
        || 60 < second
    {
        return None;
    }
    let days = day_of_date(year, month, day);
    Some(UNIX_EPOCH + Duration::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, from 1970 on (H. Hinnant, "chrono-compatible low-level
/// date algorithms", `days_from_civil`).
fn day_of_date(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day since 1970-01-01 (the same, `civil_from_days`).
fn date_of_day(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (date, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    (era * 400 + year_of_era + u64::from(month <= 2), month, date)
}

/// 32 random hexadecimal digits: the id of a task or an environment. Unique, not secret.
pub(crate) fn random_hex() -> String {
    format!("{:032x}", random_bits())
}

/// A random request id in the form of a UUID.
pub(crate) fn request_id() -> String {
    let hex = random_hex();
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// A random number from 0 up to 1.
pub(crate) fn draw() -> f64 {
    // 53 bits: what the fraction of a float holds.
    (random_bits() as u64 >> 11) as f64 / (1u64 << 53) as f64
}

/// The standard library seeds its hash maps from the system; two such seeds are 128 bits that do not repeat.
fn random_bits() -> u128 {
    let half = |n: u8| u128::from(RandomState::new().hash_one(n));
    half(0) << 64 | half(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_survive_the_round_trip() {
        let at = parse_amz_date("20240229T235959Z").unwrap();
        assert_eq!(timestamp(at), "2024-02-29T23:59:59.000Z");
        assert_eq!(amz_date(at), "20240229T235959Z");
        assert_eq!(http_date(at), "Thu, 29 Feb 2024 23:59:59 GMT");
        // 1,000,000,000 s was 2001-09-09T01:46:40Z.
        assert_eq!(
            timestamp(UNIX_EPOCH + Duration::from_secs(1_000_000_000)),
            "2001-09-09T01:46:40.000Z"
        );
        for day in 0..60_000 {
            let (year, month, date) = date_of_day(day);
            assert_eq!(day_of_date(year, month, date), day);
        }
        for wrong in
            ["", "20240229T235959", "20241301T000000Z", "2024022９T23595Z", "20240229 235959Z"]
        {
            assert_eq!(parse_amz_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn request_ids_look_like_uuids_and_differ() {
        let (a, b) = (request_id(), request_id());
        assert_eq!(a.len(), 36);
        assert_ne!(a, b);
    }
}
