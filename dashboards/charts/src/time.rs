//! Time on an axis, in UTC or since the start.

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// 1980. What starts before that counts from its own start: no trace of HTTP is as old.
const CLOCK_FROM_US: u64 = 3_652 * DAY;
/// The first Monday after the epoch, which was a Thursday.
const MONDAY: u64 = 4 * DAY;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A mark on the axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) at_us: u64,
    pub(crate) label: String,
    /// What the label leaves out, where that changes: the date of an hour, the year of a day.
    pub(crate) context: Option<String>,
}

/// A stretch of time that begins and ends where the data do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Us(u64),
    Months(u64),
    Years(u64),
}

impl Span {
    /// Returns whether times are told as a clock and a calendar do.
    pub(crate) fn is_clock(self) -> bool {
        CLOCK_FROM_US <= self.start_us
    }

    /// Returns where a moment is: 0 at the start, 1 at the end, not beyond either.
    pub(crate) fn place(self, at_us: u64) -> f64 {
        let at_us = at_us.clamp(self.start_us, self.end_us);
        let length = (self.end_us - self.start_us).max(1);
        (at_us - self.start_us) as f64 / length as f64
    }

    /// Returns round moments, at most `most` and one.
    pub(crate) fn ticks(self, most: u64) -> Vec<Tick> {
        let length = (self.end_us - self.start_us).max(1);
        let most = most.max(1);
        let fits = |step: &Step| match step {
            Step::Us(us) => length / us <= most,
            Step::Months(months) => length / (months * 30 * DAY) <= most,
            Step::Years(years) => length / (years * 365 * DAY) <= most,
        };
        let step = steps(self.is_clock()).find(fits).unwrap_or(Step::Years(1_000_000));
        let mut ticks = Vec::new();
        let mut last_context = String::new();
        let mut at = first(step, self.start_us);
        while let Some(at_us) = at.filter(|at_us| *at_us <= self.end_us) {
            let (label, context) = if self.is_clock() {
                labels(step, at_us)
            } else {
                (since_start(at_us), String::new())
            };
            let context = Some(context).filter(|context| *context != last_context);
            last_context = context.clone().unwrap_or(last_context);
            ticks.push(Tick { at_us, label, context });
            at = at_us.checked_add(1).and_then(|after| first(step, after));
        }
        ticks
    }

    /// Writes a moment for a reader, as exactly as matters within this span.
    pub(crate) fn moment(self, at_us: u64) -> String {
        if !self.is_clock() {
            return format!("{} in", since_start(at_us));
        }
        let (year, month, day) = date(at_us);
        let date = format!("{day} {} {year}", MONTHS[month as usize - 1]);
        let clock = if self.end_us - self.start_us < HOUR {
            clock(at_us, SECOND)
        } else {
            clock(at_us, MINUTE)
        };
        format!("{date} {clock}")
    }
}

/// Iterates over steps that people use, the smallest first.
fn steps(clock: bool) -> impl Iterator<Item = Step> {
    let decades =
        (0..6).flat_map(|power| [1, 2, 5].map(|factor| Step::Us(factor * 10_u64.pow(power))));
    let sixties = [1, 2, 5, 10, 15, 30];
    let short = sixties
        .map(|seconds| seconds * SECOND)
        .into_iter()
        .chain(sixties.map(|minutes| minutes * MINUTE))
        .chain([1, 2, 3, 6, 12].map(|hours| hours * HOUR))
        .chain([DAY, 2 * DAY])
        .map(Step::Us);
    let calendar =
        [Step::Us(7 * DAY), Step::Months(1), Step::Months(3), Step::Months(6)].into_iter().chain(
            (0..6)
                .flat_map(|power| [1, 2, 5].map(|factor| Step::Years(factor * 10_u64.pow(power)))),
        );
    let days = (0..8)
        .flat_map(|power| [5, 10, 20].map(|factor| Step::Us(factor * 10_u64.pow(power) * DAY)));
    decades.chain(short).chain(calendar.filter(move |_| clock)).chain(days.filter(move |_| !clock))
}

/// Returns the first round moment that is not before `from_us`; none if there is no such.
fn first(step: Step, from_us: u64) -> Option<u64> {
    match step {
        Step::Us(us) => {
            let offset = if us == 7 * DAY { MONDAY } else { 0 };
            from_us.saturating_sub(offset).div_ceil(us).checked_mul(us)?.checked_add(offset)
        }
        Step::Months(months) => {
            let (year, month, _) = date(from_us);
            let number = year * 12 + u64::from(month) - 1;
            let mut number = number / months * months;
            loop {
                let at_us = epoch_us(number / 12, (number % 12) as u32 + 1)?;
                if from_us <= at_us {
                    return Some(at_us);
                }
                number += months;
            }
        }
        Step::Years(years) => {
            let year = date(from_us).0;
            let mut year = year / years * years;
            loop {
                match epoch_us(year, 1) {
                    Some(at_us) if from_us <= at_us => return Some(at_us),
                    None if 1970 < year => return None,
                    _ => year += years,
                }
            }
        }
    }
}

/// Returns a tick's label, and what it leaves out.
fn labels(step: Step, at_us: u64) -> (String, String) {
    let (year, month, day) = date(at_us);
    let name = MONTHS[month as usize - 1];
    match step {
        Step::Years(_) => (year.to_string(), String::new()),
        Step::Months(_) => (name.to_owned(), year.to_string()),
        Step::Us(us) if DAY <= us => (format!("{day} {name}"), year.to_string()),
        Step::Us(us) => (clock(at_us, us), format!("{day} {name} {year}")),
    }
}

/// Writes the time of day, down to what a step of `us` needs.
fn clock(at_us: u64, us: u64) -> String {
    let (hours, minutes) = (at_us % DAY / HOUR, at_us % HOUR / MINUTE);
    let (seconds, fraction) = (at_us % MINUTE / SECOND, at_us % SECOND);
    match us {
        MINUTE.. => format!("{hours:02}:{minutes:02}"),
        SECOND.. => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        MS.. => format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", fraction / MS),
        _ => format!("{minutes:02}:{seconds:02}.{fraction:06}"),
    }
}

/// Writes a time since the start in its two largest units.
fn since_start(us: u64) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"), (MS, "ms"), (1, "µs")];
    let Some(at) = units.iter().position(|(unit, _)| *unit <= us) else { return "0".to_owned() };
    let (unit, name) = units[at];
    let large = format!("{} {name}", us / unit);
    match units.get(at + 1) {
        Some((next, name)) if *next <= us % unit => format!("{large} {} {name}", us % unit / next),
        _ => large,
    }
}

/// Returns year, month and day, both from 1, of the Gregorian calendar in UTC.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date(at_us: u64) -> (u64, u32, u32) {
    let days = at_us / DAY + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month as u32, day as u32)
}

/// Returns when a month begins; none before 1970 or after what fits. The same source, `days_from_civil`.
fn epoch_us(year: u64, month: u32) -> Option<u64> {
    let year = year.checked_sub(u64::from(month <= 2))?;
    let month_from_march = (u64::from(month) + 9) % 12;
    let year_of_era = year % 400;
    let day_of_year = (153 * month_from_march + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (year / 400 * 146_097 + day_of_era).checked_sub(719_468)?.checked_mul(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 14 Nov 2026 00:00 UTC, a Saturday.
    const NOVEMBER: u64 = 1_794_614_400 * SECOND;

    fn written(start_us: u64, length_us: u64, most: u64) -> Vec<String> {
        let span = Span { start_us, end_us: start_us + length_us };
        let tick = |tick: Tick| match tick.context {
            Some(context) => format!("{} ({context})", tick.label),
            None => tick.label,
        };
        span.ticks(most).into_iter().map(tick).collect()
    }

    #[test]
    fn ticks_fit_the_span_from_seconds_to_years() {
        let cases: [(u64, u64, u64, &[&str]); 12] = [
            (
                NOVEMBER,
                4 * SECOND,
                4,
                &["00:00:00 (14 Nov 2026)", "00:00:01", "00:00:02", "00:00:03", "00:00:04"],
            ),
            (
                NOVEMBER,
                400 * MS,
                2,
                &["00:00:00.000 (14 Nov 2026)", "00:00:00.200", "00:00:00.400"],
            ),
            (NOVEMBER + 40 * SECOND, 3 * MINUTE, 3, &["00:01 (14 Nov 2026)", "00:02", "00:03"]),
            (
                NOVEMBER + 20 * HOUR,
                8 * HOUR,
                4,
                &["20:00 (14 Nov 2026)", "22:00", "00:00 (15 Nov 2026)", "02:00", "04:00"],
            ),
            (NOVEMBER, 3 * DAY, 3, &["14 Nov (2026)", "15 Nov", "16 Nov", "17 Nov"]),
            (NOVEMBER, 21 * DAY, 3, &["16 Nov (2026)", "23 Nov", "30 Nov"]),
            (NOVEMBER, 70 * DAY, 4, &["Dec (2026)", "Jan (2027)"]),
            (NOVEMBER, 1_000 * DAY, 4, &["2027", "2028", "2029"]),
            (NOVEMBER, 40_000 * DAY, 4, &["2050", "2100"]),
            (0, 2 * DAY, 4, &["0", "12 h", "1 d", "1 d 12 h", "2 d"]),
            (0, 90 * SECOND, 4, &["0", "30 s", "1 min", "1 min 30 s"]),
            (0, 30 * DAY, 4, &["0", "10 d", "20 d", "30 d"]),
        ];
        for (start, length, most, expected) in cases {
            assert_eq!(written(start, length, most), expected, "{length} us from {start}");
        }
    }

    #[test]
    fn ticks_of_any_span_are_few_and_within_it() {
        for start_us in
            [0, 1, CLOCK_FROM_US - 1, CLOCK_FROM_US, NOVEMBER + 12_345, u64::MAX / 2, u64::MAX - 5]
        {
            let mut length_us = 1_u64;
            while let (Some(end_us), Some(next)) =
                (start_us.checked_add(length_us), length_us.checked_mul(3))
            {
                for most in [1, 3, 10] {
                    let span = Span { start_us, end_us };
                    let ticks = span.ticks(most);
                    assert!(ticks.len() as u64 <= most + 2, "{span:?}: {ticks:?}");
                    assert!(ticks.is_sorted_by(|one, next| one.at_us < next.at_us), "{span:?}");
                    assert!(
                        ticks.iter().all(|tick| start_us <= tick.at_us && tick.at_us <= end_us),
                        "{span:?}"
                    );
                }
                length_us = next;
            }
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let cases = [
            (0, (1970, 1, 1)),
            (NOVEMBER, (2026, 11, 14)),
            (NOVEMBER - 1, (2026, 11, 13)),
            (951_782_400 * SECOND, (2000, 2, 29)),
            (4_107_542_400 * SECOND, (2100, 3, 1)),
        ];
        for (at_us, expected) in cases {
            assert_eq!(date(at_us), expected, "{at_us}");
        }
        for year in 1970..2500 {
            for month in 1..=12 {
                let at_us = epoch_us(year, month).expect("after 1970");
                assert_eq!(date(at_us), (year, month, 1));
                assert_eq!(
                    date(at_us - u64::from(at_us != 0)).2 == 1,
                    at_us == 0,
                    "{year}-{month}"
                );
            }
        }
    }

    #[test]
    fn a_single_moment_has_a_place() {
        let span = Span { start_us: NOVEMBER, end_us: NOVEMBER };
        assert!(span.place(NOVEMBER).abs() < 1e-9);
        assert_eq!(span.ticks(5).len(), 1);
        assert_eq!(span.moment(NOVEMBER + 5 * MINUTE), "14 Nov 2026 00:05:00");
        assert_eq!(Span { start_us: 0, end_us: DAY }.moment(90 * MINUTE), "1 h 30 min in");
    }
}
