//! The time of a request as access logs write it: `12/Mar/2020:19:03:58 +0000`.
//!
//! Forty lines instead of a dependency: one format, always UTC, never read back.

const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// Writes the time `seconds` after 1970, in UTC.
pub(crate) fn write(out: &mut Vec<u8>, seconds: u64) {
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    two_digits(out, day);
    out.push(b'/');
    let name = (month as usize - 1) * 3;
    out.extend_from_slice(&MONTHS[name..name + 3]);
    out.push(b'/');
    out.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
    for part in [of_day / 3600, of_day / 60 % 60, of_day % 60] {
        out.push(b':');
        two_digits(out, part);
    }
    out.extend_from_slice(b" +0000");
}

fn two_digits(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
}

/// Year, month and day of the day `days` after 1 January 1970.
///
/// Howard Hinnant's `civil_from_days` (chrono-compatible low-level date algorithms): years begin in March, so the
/// leap day is the last of its year, and 400 years always have 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    fn check(seconds: u64, expected: &str) {
        let mut out = Vec::new();
        super::write(&mut out, seconds);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn days_that_go_wrong_elsewhere() {
        check(0, "01/Jan/1970:00:00:00 +0000");
        check(1_583_348_638, "04/Mar/2020:19:03:58 +0000");
        check(951_782_399, "28/Feb/2000:23:59:59 +0000");
        check(951_782_400, "29/Feb/2000:00:00:00 +0000");
        check(1_704_067_199, "31/Dec/2023:23:59:59 +0000");
        check(4_107_542_400, "01/Mar/2100:00:00:00 +0000");
    }
}
