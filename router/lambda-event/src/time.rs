//! Unix time as a calendar date in UTC.
//!
//! Forty lines instead of a dependency: events, access logs and signatures each write one format, always in UTC, and
//! never read one back. How it is written stays with who writes it.

/// A second of the calendar in UTC, without leap seconds, as Unix time has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    /// 1970 and later.
    pub year: u64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

impl Utc {
    /// Returns the second that is `seconds` after the start of 1970.
    ///
    /// Howard Hinnant's `civil_from_days` (chrono-compatible low-level date algorithms): years begin in March, so the
    /// leap day is the last of its year, and 400 years always have 146,097 days.
    #[must_use]
    pub fn from_unix(seconds: u64) -> Self {
        let days = seconds / 86_400 + 719_468;
        let of_day = seconds % 86_400;
        let era = days / 146_097;
        let of_era = days % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Utc {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month: month as u8,
            day: day as u8,
            hour: (of_day / 3600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
        }
    }
}

/// Writes `04/Mar/2020:19:03:58 +0000`, as access logs and API Gateway do.
pub(crate) fn write_log_time(out: &mut Vec<u8>, seconds: u64) {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let Utc { year, month, day, hour, minute, second } = Utc::from_unix(seconds);
    two_digits(out, day);
    out.push(b'/');
    let name = (usize::from(month) - 1) * 3;
    out.extend_from_slice(&MONTHS[name..name + 3]);
    out.push(b'/');
    out.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
    for part in [hour, minute, second] {
        out.push(b':');
        two_digits(out, part);
    }
    out.extend_from_slice(b" +0000");
}

fn two_digits(out: &mut Vec<u8>, number: u8) {
    out.extend_from_slice(&[b'0' + number / 10, b'0' + number % 10]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: u64, expected: &str) {
        let mut out = Vec::new();
        write_log_time(&mut out, seconds);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn days_that_go_wrong_elsewhere() {
        // Checked with `date -u -d @SECONDS`.
        check(0, "01/Jan/1970:00:00:00 +0000");
        check(1_583_348_638, "04/Mar/2020:19:03:58 +0000");
        check(951_782_399, "28/Feb/2000:23:59:59 +0000");
        check(951_782_400, "29/Feb/2000:00:00:00 +0000");
        check(1_704_067_199, "31/Dec/2023:23:59:59 +0000");
        check(4_107_542_400, "01/Mar/2100:00:00:00 +0000");
    }

    #[test]
    fn the_end_of_time_is_a_date() {
        let Utc { month, day, .. } = Utc::from_unix(u64::MAX);
        assert!((1..=12).contains(&month) && (1..=31).contains(&day));
    }
}
