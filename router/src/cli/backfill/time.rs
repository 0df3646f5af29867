//! Points in time on the command line, in UTC: `2026-11-01`, `2026-11-01T08:00`, seconds since 1970, or `28d` ago.

use lambda_event::time::Utc;
use policies::units;

/// Reads a point in time; `now_s` is what an age is taken from.
pub(super) fn read(text: &str, now_s: u64) -> Result<u64, String> {
    if let Ok(ago) = units::duration(text) {
        return Ok(now_s.saturating_sub(ago.as_secs()));
    }
    // Fewer digits would be a year, or a day without its dashes.
    if 9 <= text.len()
        && let Ok(seconds) = text.parse::<u64>()
    {
        return if seconds < 100_000_000_000 {
            Ok(seconds)
        } else {
            Err(format!("`{text}` is beyond the year 5000: is it in milliseconds?"))
        };
    }
    written(text).ok_or_else(|| {
        format!("expected a time in UTC such as `2026-11-01` or `2026-11-01T08:00:00Z`, seconds since 1970, or how long ago such as `28d`, got `{text}`")
    })
}

fn written(text: &str) -> Option<u64> {
    let text = text.trim_end_matches('Z');
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let number = |text: &str, digits: usize| {
        let all = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| text.parse::<u64>().ok()).flatten()
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let mut clock = clock.split(':');
    let (hour, minute) = (number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    let second = clock.next().map_or(Some(0), |second| number(second, 2))?;
    let in_a_day = hour < 24 && minute < 60 && second < 60 && clock.next().is_none();
    if !in_a_day || year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Howard Hinnant's `days_from_civil`: years begin in March, so the leap day is the last of its year.
    let (years, from_march) = if 2 < month { (year, month - 3) } else { (year - 1, month + 9) };
    let of_era =
        years % 400 * 365 + years % 400 / 4 - years % 400 / 100 + (153 * from_march + 2) / 5 + day
            - 1;
    let at_s = (years / 400 * 146_097 + of_era - 719_468) * 86_400;
    // The 31st of a month of thirty days is another day.
    (u64::from(Utc::from_unix(at_s).day) == day)
        .then_some(at_s + hour * 3_600 + minute * 60 + second)
}

/// Writes a point in time.
pub(super) fn show(at_s: u64) -> String {
    let Utc { year, month, day, hour, minute, second } = Utc::from_unix(at_s);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_shown() {
        for (text, at_s) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2026-11-01T08:00", 1_793_520_000),
            ("2026-11-01 08:00:07", 1_793_520_007),
            ("2026-11-01T08:00:07Z", 1_793_520_007),
            ("1793520007", 1_793_520_007),
            ("2d", 2_000_000_000 - 172_800),
        ] {
            assert_eq!(read(text, 2_000_000_000), Ok(at_s), "{text}");
        }
        assert_eq!(show(1_793_520_007), "2026-11-01T08:00:07Z");
        for day in 0..40_000 {
            assert_eq!(read(&show(day * 86_400 + 1), 0), Ok(day * 86_400 + 1));
        }
    }

    #[test]
    fn what_is_no_time_is_told() {
        for text in [
            "",
            "now",
            "2026-02-30",
            "2026-13-01",
            "2026-1-1",
            "1969-12-31",
            "2026-01-01T24:00",
            "20261101",
            "1793520007000",
        ] {
            assert!(read(text, 0).is_err(), "{text}");
        }
    }
}
