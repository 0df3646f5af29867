//! Points in time as traces write them, as microseconds of Unix time.
//!
//! Thirty lines of calendar instead of a dependency, and exact: no float takes part.

/// The first second of the year 10000: what claims to be later is no time, but milliseconds taken for seconds, or worse.
const END_S: i64 = 253_402_300_800;

/// Seconds in a day; Unix time has no leap seconds.
const DAY_S: i64 = 86_400;

/// Why something is no time.
pub(super) type Refusal = &'static str;

const NOT_A_TIME: Refusal = "is not a time";
const NO_ZONE: Refusal = "names no time zone: it needs a Z or an offset such as +02:00";
const TOO_EARLY: Refusal = "is before 1970";
const TOO_LATE: Refusal = "is after the year 9999: it may be in milliseconds or microseconds, which the column's name \
                           has to say (timestamp_ms, timestamp_us)";

/// Reads Unix time with or without a fraction, counted in the `digits`-th decimal of a second (0 for seconds, 3 for
/// milliseconds), or an RFC 3339 time.
pub(super) fn timestamp(text: &[u8], digits: u32) -> Result<u64, Refusal> {
    if text.len() > 8 && text[4] == b'-' {
        return rfc3339(text);
    }
    match text.split_first() {
        Some((b'-', rest)) if scaled(rest, 0).is_some() => return Err(TOO_EARLY),
        Some((first, _)) if !first.is_ascii_digit() => return Err(NOT_A_TIME),
        _ => {}
    }
    let us = scaled(text, 6 - digits).ok_or(
        // All digits, and yet no number: too large for one.
        if text.iter().all(u8::is_ascii_digit) && !text.is_empty() { TOO_LATE } else { NOT_A_TIME },
    )?;
    if us < END_S as u64 * 1_000_000 { Ok(us) } else { Err(TOO_LATE) }
}

/// Reads `2018-07-02T22:22:48.364000Z`: a space may stand for the `T`, and an offset with or without a colon for the `Z`.
pub(super) fn rfc3339(text: &[u8]) -> Result<u64, Refusal> {
    let date = text.get(..10).ok_or(NOT_A_TIME)?;
    if date[4] != b'-' || date[7] != b'-' {
        return Err(NOT_A_TIME);
    }
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    if !matches!(text.get(10), Some(b'T' | b't' | b' ')) {
        return Err(NOT_A_TIME);
    }
    let of_day = clock(text.get(11..19).ok_or(NOT_A_TIME)?)?;
    let mut rest = &text[19..];
    let mut us = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let len = fraction.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(fraction.len());
        if len == 0 {
            return Err(NOT_A_TIME);
        }
        for place in 0..6 {
            us = us * 10 + fraction[..len].get(place).map_or(0, |digit| i64::from(digit - b'0'));
        }
        rest = &fraction[len..];
    }
    let offset = match rest {
        b"Z" | b"z" => 0,
        b"" => return Err(NO_ZONE),
        _ => offset(rest)?,
    };
    unix_us(civil(year, month, day)? * DAY_S + of_day - offset, us)
}

/// Reads `10/Oct/2000:13:55:36 -0700`, the time of the Common Log Format.
pub(super) fn common_log(text: &[u8]) -> Result<u64, Refusal> {
    let text: &[u8; 26] = text.try_into().map_err(|_| NOT_A_TIME)?;
    if [text[2], text[6], text[11], text[20]] != *b"//: " {
        return Err(NOT_A_TIME);
    }
    let month = match &text[3..6] {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return Err(NOT_A_TIME),
    };
    let days = civil(number(&text[7..11])?, month, number(&text[..2])?)?;
    unix_us(days * DAY_S + clock(&text[12..20])? - offset(&text[21..])?, 0)
}

fn unix_us(seconds: i64, us: i64) -> Result<u64, Refusal> {
    match seconds {
        ..0 => Err(TOO_EARLY),
        END_S.. => Err(TOO_LATE),
        _ => Ok((seconds * 1_000_000 + us) as u64),
    }
}

/// Returns the days from the start of 1970 to a date.
///
/// Howard Hinnant's `days_from_civil` (chrono-compatible low-level date algorithms): years begin in March, so the leap
/// day is the last of its year, and 400 years always have 146,097 days.
fn civil(year: i64, month: i64, day: i64) -> Result<i64, Refusal> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return Err(NOT_A_TIME),
    };
    if !(1..=days).contains(&day) {
        return Err(NOT_A_TIME);
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Ok(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Reads `13:55:36` as seconds of the day. A leap second is the first of the next minute.
fn clock(text: &[u8]) -> Result<i64, Refusal> {
    if text[2] != b':' || text[5] != b':' {
        return Err(NOT_A_TIME);
    }
    let (hour, minute, second) = (number(&text[..2])?, number(&text[3..5])?, number(&text[6..])?);
    if 23 < hour || 59 < minute || 60 < second {
        return Err(NOT_A_TIME);
    }
    Ok(hour * 3600 + minute * 60 + second)
}

/// Reads `-0700`, `-07:00` or `-07` as seconds east of UTC.
fn offset(text: &[u8]) -> Result<i64, Refusal> {
    let (&sign, digits) = text.split_first().ok_or(NO_ZONE)?;
    let (hours, minutes) = match digits.len() {
        2 => (digits, &b"00"[..]),
        4 => digits.split_at(2),
        5 if digits[2] == b':' => (&digits[..2], &digits[3..]),
        _ => return Err(NOT_A_TIME),
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if 23 < hours || 59 < minutes {
        return Err(NOT_A_TIME);
    }
    match sign {
        b'+' => Ok(hours * 3600 + minutes * 60),
        b'-' => Ok(-(hours * 3600 + minutes * 60)),
        _ => Err(NOT_A_TIME),
    }
}

/// Reads digits and nothing else; the callers give two or four of them.
fn number(digits: &[u8]) -> Result<i64, Refusal> {
    digits.iter().try_fold(0, |number, digit| {
        if digit.is_ascii_digit() {
            Ok(number * 10 + i64::from(digit - b'0'))
        } else {
            Err(NOT_A_TIME)
        }
    })
}

/// Reads a decimal number times 10^`digits`, without a sign or an exponent; what is finer is cut off.
///
/// `scaled(b"0.086", 6)` is 86,000: seconds read as microseconds.
pub(super) fn scaled(text: &[u8], digits: u32) -> Option<u64> {
    let point = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b""[..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for digit in whole {
        value = value.checked_mul(10)?.checked_add(decimal_digit(*digit)?)?;
    }
    for place in 0..digits as usize {
        let digit = fraction.get(place).map_or(Some(0), |digit| decimal_digit(*digit))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    let finer = fraction.get(digits as usize..).unwrap_or_default();
    finer.iter().all(u8::is_ascii_digit).then_some(value)
}

fn decimal_digit(byte: u8) -> Option<u64> {
    byte.is_ascii_digit().then(|| u64::from(byte - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    #[test]
    fn unix_time_is_exact_to_the_microsecond() {
        for (text, digits, us) in [
            ("0", 0, 0),
            ("893971800", 0, 893_971_800 * S),
            ("0.001491", 0, 1_491),
            ("1700158546.680590", 0, 1_700_158_546_680_590),
            ("1700158546.6805909", 0, 1_700_158_546_680_590),
            ("1700158546.5", 0, 1_700_158_546_500_000),
            ("253402300799", 0, 253_402_300_799 * S),
            ("253402300799.999999", 0, 253_402_300_799_999_999),
            ("1700158546680", 3, 1_700_158_546_680_000),
            ("1700158546680.5", 3, 1_700_158_546_680_500),
            ("1700158546680590", 6, 1_700_158_546_680_590),
        ] {
            assert_eq!(timestamp(text.as_bytes(), digits), Ok(us), "{text}");
        }
    }

    #[test]
    fn dates_and_offsets_come_out_as_date_says() {
        // Checked with `date -u -d TEXT +%s`.
        for (text, us) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T01:00:00+01:00", 0),
            ("2018-07-02T22:22:48.364000Z", 1_530_570_168_364_000),
            ("2018-07-02 22:22:48Z", 1_530_570_168 * S),
            ("2018-07-02T22:22:48.3Z", 1_530_570_168_300_000),
            ("2018-07-02T22:22:48.123456789+0530", 1_530_550_368_123_456),
            ("2000-02-29T12:00:00-08", 951_854_400 * S),
            ("2016-12-31T23:59:60Z", 1_483_228_800 * S),
            ("9999-12-31T23:59:59Z", 253_402_300_799 * S),
        ] {
            assert_eq!(timestamp(text.as_bytes(), 0), Ok(us), "{text}");
        }
        assert_eq!(common_log(b"10/Oct/2000:13:55:36 -0700"), Ok(971_211_336 * S));
        assert_eq!(common_log(b"01/Aug/1995:00:00:01 -0400"), Ok(807_249_601 * S));
    }

    #[test]
    fn what_is_no_time_says_why() {
        for (text, why) in [
            ("", NOT_A_TIME),
            ("-", NOT_A_TIME),
            (".", NOT_A_TIME),
            ("abc", NOT_A_TIME),
            ("1e9", NOT_A_TIME),
            ("12:00", NOT_A_TIME),
            ("1700158546.68x", NOT_A_TIME),
            ("-5", TOO_EARLY),
            ("-0.5", TOO_EARLY),
            ("1969-12-31T23:59:59Z", TOO_EARLY),
            ("1970-01-01T00:00:00+00:01", TOO_EARLY),
            ("1700158546680", TOO_LATE),
            ("99999999999999999999999999", TOO_LATE),
            ("9999-12-31T23:59:59-00:01", TOO_LATE),
            ("2014-07-01 00:00:00", NO_ZONE),
            ("2014-07-01T00:00:00.5", NO_ZONE),
            ("2014-07-01", NOT_A_TIME),
            ("2014-02-29T00:00:00Z", NOT_A_TIME),
            ("2100-02-29T00:00:00Z", NOT_A_TIME),
            ("2014-13-01T00:00:00Z", NOT_A_TIME),
            ("2014-00-01T00:00:00Z", NOT_A_TIME),
            ("2014-01-01T24:00:00Z", NOT_A_TIME),
            ("2014-01-01T00:00:00.Z", NOT_A_TIME),
            ("2014-01-01T00:00:00+1:00", NOT_A_TIME),
            ("2014-01-01T00:00:00+24:00", NOT_A_TIME),
        ] {
            assert_eq!(timestamp(text.as_bytes(), 0), Err(why), "{text}");
        }
        for text in
            ["", "10/Oct/2000:13:55:36", "10/oct/2000:13:55:36 -0700", "1x/Oct/2000:13:55:36 -0700"]
        {
            assert_eq!(common_log(text.as_bytes()), Err(NOT_A_TIME), "{text}");
        }
    }

    #[test]
    fn decimals_are_scaled_without_a_float() {
        for (text, digits, value) in [
            ("0.086", 6, Some(86_000)),
            ("78.000", 3, Some(78_000)),
            (".5", 1, Some(5)),
            ("5.", 1, Some(50)),
            ("0", 6, Some(0)),
            ("18446744073709551615", 0, Some(u64::MAX)),
            ("18446744073709551616", 0, None),
            ("1..2", 3, None),
            ("1.2x", 1, None),
            ("-1", 0, None),
            (".", 0, None),
            ("", 0, None),
        ] {
            assert_eq!(scaled(text.as_bytes(), digits), value, "{text}");
        }
    }
}
