//! What the calendar knows: local time, and events that were announced.
//!
//! Rhythms follow people's clocks. When those change, the same local time yesterday is 23 or 25 hours ago, and a forecast
//! that looks 24 hours back is an hour off for a day. An event says by how much it multiplies what would come without it:
//! counts within are divided by that before anything is learned from them, and forecasts within are multiplied, so that
//! neither the days after it nor the one a week later are taken for ordinary.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// How far around a time changes of the clock are looked up at once: further than any history reaches, and two days
/// ahead.
const BACK_S: i64 = 40 * 86_400;
const AHEAD_S: i64 = 2 * 86_400;

/// Something announced that changes the load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// When it begins, in seconds since 1970 (UTC).
    pub from_s: u64,
    /// When it is over.
    pub until_s: u64,
    /// Load as a multiple of what comes without it; held between 0.01 and 100.
    pub times: f32,
}

/// A time zone that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownZone(String);

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown time zone `{}`", self.0)
    }
}

impl std::error::Error for UnknownZone {}

/// Local time and events of a series. The default is UTC without events.
#[derive(Debug, Clone, Default)]
pub struct Calendar {
    zone: Option<TimeZone>,
    events: Vec<Event>,
    /// From when on (seconds since 1970) local time is how many seconds ahead of UTC; in order of time.
    offsets: Vec<(i64, i64)>,
    /// For which times `offsets` was looked up.
    known: std::ops::Range<i64>,
}

impl Calendar {
    /// Makes the calendar of a zone by its name in the IANA database, `Europe/Budapest`.
    ///
    /// # Errors
    ///
    /// When the zone is not in the database that is built in (no file is read).
    pub fn new(zone: &str, events: Vec<Event>) -> Result<Self, UnknownZone> {
        let zone = TimeZone::get(zone).map_err(|_| UnknownZone(zone.to_owned()))?;
        Ok(Self { zone: Some(zone), events, ..Self::default() })
    }

    /// Makes a calendar of UTC with `events`.
    pub fn utc(events: Vec<Event>) -> Self {
        Self { events, ..Self::default() }
    }

    /// Returns by how much events multiply the load at `at_s`, at least 0.01: 1 without any, the largest of several.
    pub(super) fn times(&self, at_s: u64) -> f32 {
        let now = self.events.iter().filter(|event| event.from_s <= at_s && at_s < event.until_s);
        let times = now.map(|event| event.times.clamp(0.01, 100.0)).reduce(f32::max);
        // A number that is none, from a policy that was not checked, changes nothing.
        times.filter(|times| times.is_finite()).unwrap_or(1.0)
    }

    /// Looks up the changes of the clock around `now_s`, unless they are known.
    pub(super) fn look_up(&mut self, now_s: u64) {
        let Some(zone) = &self.zone else { return };
        // Far beyond what the database can tell, and far enough from the end for sums.
        let now = i64::try_from(now_s).unwrap_or(i64::MAX).min(i64::MAX / 2);
        if self.known.contains(&(now - BACK_S)) && self.known.contains(&(now + AHEAD_S / 2)) {
            return;
        }
        let (from, until) = (now - BACK_S - AHEAD_S, now + AHEAD_S);
        self.known = from..until;
        self.offsets.clear();
        // Out of what the database can tell (beyond the year 9999) local time is UTC.
        let Ok(start) = Timestamp::from_second(from) else { return };
        self.offsets.push((i64::MIN, i64::from(zone.to_offset(start).seconds())));
        for change in zone.following(start) {
            let at = change.timestamp().as_second();
            if until < at {
                break;
            }
            self.offsets.push((at, i64::from(change.offset().seconds())));
        }
    }

    /// Returns how many seconds local time is ahead of UTC at `at_s`.
    fn offset_s(&self, at_s: i64) -> i64 {
        self.offsets.iter().rev().find(|(from, _)| *from <= at_s).map_or(0, |(_, offset)| *offset)
    }

    /// Returns how many seconds before `at_s` the local time was the same, `ago_s` (whole days) ago by the calendar.
    pub(super) fn lag(&self, at_s: u64, ago_s: u64) -> u64 {
        let (Ok(at), Ok(ago)) = (i64::try_from(at_s), i64::try_from(ago_s)) else { return ago_s };
        // The time then, had the clock not changed, tells the offset then; a time that a change skipped or repeated is
        // taken with the offset before it, or after it, which is an hour off once a year.
        ago.saturating_add(self.offset_s(at.saturating_sub(ago)) - self.offset_s(at)).unsigned_abs()
    }

    /// Returns the seconds since the last local midnight, and since the last start of a local week (a Thursday, as 1970
    /// began).
    pub(super) fn local_s(&self, at_s: u64) -> (u64, u64) {
        let local =
            at_s.saturating_add_signed(self.offset_s(i64::try_from(at_s).unwrap_or(i64::MAX)));
        (local % DAY_S, local % (7 * DAY_S))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_second().try_into().unwrap()
    }

    #[test]
    fn yesterday_is_23_or_25_hours_ago_when_clocks_change() {
        let mut calendar = Calendar::new("Europe/Budapest", Vec::new()).unwrap();
        // Summer time began on 29 March 2026 at 02:00 local time (01:00 UTC), and ends on 25 October at 03:00 (01:00
        // UTC).
        for (now, hours) in [
            ("2026-03-28T08:00:00Z", 24),
            ("2026-03-29T08:00:00Z", 23),
            ("2026-03-30T08:00:00Z", 24),
            ("2026-10-25T08:00:00Z", 25),
            ("2026-10-26T08:00:00Z", 24),
        ] {
            let now_s = at(now);
            calendar.look_up(now_s);
            assert_eq!(calendar.lag(now_s, DAY_S), hours * 3_600, "{now}");
        }
        // And a week ago, all week.
        calendar.look_up(at("2026-04-03T08:00:00Z"));
        assert_eq!(calendar.lag(at("2026-04-03T08:00:00Z"), 7 * DAY_S), 7 * DAY_S - 3_600);
        assert_eq!(calendar.local_s(at("2026-04-03T08:00:00Z")).0, 10 * 3_600);
    }

    #[test]
    fn zones_with_half_hours_and_without_summer_time() {
        let mut calendar = Calendar::new("Asia/Kolkata", Vec::new()).unwrap();
        let now_s = at("2026-07-01T00:00:00Z");
        calendar.look_up(now_s);
        assert_eq!((calendar.local_s(now_s).0, calendar.lag(now_s, DAY_S)), (19_800, DAY_S));
        let error = Calendar::new("Europe/Nowhere", Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "unknown time zone `Europe/Nowhere`");
    }

    #[test]
    fn any_time_is_answered() {
        let mut calendar = Calendar::new("America/New_York", Vec::new()).unwrap();
        for now_s in [0, 1, 86_400, u64::from(u32::MAX), u64::MAX / 2, u64::MAX] {
            calendar.look_up(now_s);
            let _ = (calendar.lag(now_s, DAY_S), calendar.local_s(now_s), calendar.times(now_s));
        }
    }

    #[test]
    fn the_largest_of_the_events_of_a_time_counts() {
        let event = |from_s, until_s, times| Event { from_s, until_s, times };
        let calendar =
            Calendar::utc(vec![event(10, 20, 4.0), event(15, 30, 2.0), event(40, 50, f32::NAN)]);
        let times = [9, 10, 15, 20, 30, 45].map(|at_s| calendar.times(at_s) as u32);
        assert_eq!(times, [1, 4, 4, 2, 1, 1]);
    }
}
