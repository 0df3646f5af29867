//! `at(...)`: the schedule expression of what happens once, in a time zone.
//!
//! Recurring expressions (`rate`, `cron`) are not here: nobody asks the local cloud for them.

use std::time::{Duration, SystemTime};

use jiff::{civil::DateTime, tz::TimeZone};
use tokio::time::Instant;

use crate::clock::Scale;

/// The one form that AWS takes: without fractions of a second, without an offset.
const FORM: &[u8; 19] = b"dddd-dd-ddTdd:dd:dd";

/// What is wrong with an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Expression,
    Zone,
}

/// The moment that `expression` names in `zone`, which is UTC unless it is given.
///
/// A local time that a change of clocks skips is that of before the change, one that comes twice is the first.
pub(crate) fn parse(expression: &str, zone: Option<&str>) -> Result<SystemTime, Wrong> {
    let text = expression.strip_prefix("at(").and_then(|rest| rest.strip_suffix(')'));
    let text = text.filter(|text| is_of_form(text)).ok_or(Wrong::Expression)?;
    let local: DateTime = text.parse().map_err(|_| Wrong::Expression)?;
    let zone = match zone {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name).map_err(|_| Wrong::Zone)?,
    };
    let at = zone.to_timestamp(local).map_err(|_| Wrong::Expression)?;
    Ok(SystemTime::from(at))
}

fn is_of_form(text: &str) -> bool {
    let fits = |(byte, form): (u8, &u8)| match form {
        b'd' => byte.is_ascii_digit(),
        literal => byte == *literal,
    };
    text.len() == FORM.len() && text.bytes().zip(FORM).all(fits)
}

/// When what is scheduled for `at` happens here: as long from now as it says, divided by the time scale, like any lag. What
/// is past happens at once.
pub(crate) fn due(at: SystemTime, scale: Scale) -> Instant {
    let ahead = at.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
    Instant::now() + scale.shrink(ahead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::timestamp;

    fn utc(expression: &str, zone: Option<&str>) -> Result<String, Wrong> {
        parse(expression, zone).map(timestamp)
    }

    #[test]
    fn a_local_time_is_a_moment_in_its_zone() {
        let at = |zone| utc("at(2026-11-27T08:00:00)", zone).unwrap();
        assert_eq!(at(None), "2026-11-27T08:00:00.000Z");
        assert_eq!(at(Some("UTC")), at(None));
        assert_eq!(at(Some("Europe/Budapest")), "2026-11-27T07:00:00.000Z");
        assert_eq!(at(Some("America/New_York")), "2026-11-27T13:00:00.000Z");
        let skipped = utc("at(2026-03-29T02:30:00)", Some("Europe/Budapest")).unwrap();
        assert_eq!(skipped, "2026-03-29T01:30:00.000Z");
    }

    #[test]
    fn other_forms_and_zones_are_refused() {
        for wrong in [
            "at(2026-11-27T08:00)",
            "at(2026-11-27 08:00:00)",
            "at(2026-11-27T08:00:00Z)",
            "at(2026-11-27T08:00:00.123)",
            "at(2026-02-30T08:00:00)",
            "2026-11-27T08:00:00",
            "rate(5 minutes)",
            "cron(0 8 * * ? *)",
        ] {
            assert_eq!(utc(wrong, None), Err(Wrong::Expression), "{wrong}");
        }
        assert_eq!(utc("at(2026-11-27T08:00:00)", Some("Mars/Base")), Err(Wrong::Zone));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_ahead_comes_as_much_sooner_as_the_scale_says() {
        let ahead = SystemTime::now() + Duration::from_mins(10);
        let wait = due(ahead, Scale(100.0)) - Instant::now();
        assert!((5.9..=6.0).contains(&wait.as_secs_f64()), "{wait:?}");
        assert_eq!(due(SystemTime::UNIX_EPOCH, Scale(1.0)), Instant::now());
    }
}
