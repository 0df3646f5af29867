//! Announced events as written.
//!
//! Times are read here but for one thing: where the clocks of a zone change, what a local time means depends on whether
//! an event begins or ends with it, which only the reader of the whole event knows.

use std::sync::Arc;

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

use super::{
    fields::{Fields, Written},
    scalar::{self, Scalar, Shape},
};
use crate::{
    policy::Expect,
    problem::{Place, did_you_mean},
};

/// By how much an event may multiply: forecasts hold it within these bounds too.
const TIMES: std::ops::RangeInclusive<f64> = 0.01..=100.0;
/// Requests a second beyond which a number is a slip.
const PER_SECOND_MAX: f64 = 1e7;

/// One event.
#[derive(Debug)]
pub(crate) struct EventSpec {
    pub(crate) place: Place,
    pub(crate) field: String,
    pub(crate) service: Option<Written<Arc<str>>>,
    pub(crate) from_s: Option<Written<i64>>,
    pub(crate) until_s: Option<Written<i64>>,
    pub(crate) expect: Option<Written<Expect>>,
}

impl EventSpec {
    pub(crate) fn read(mut fields: Fields<'_, '_>) -> Self {
        let service = fields.value("service", scalar::TEXT);
        let (from, until) = (fields.value("from", WHEN), fields.value("until", WHEN));
        let zone = fields.value("zone", ZONE);
        let expect = fields.value("expect", EXPECT);
        let wanted = [
            ("service", "write the service of which it is announced"),
            ("from", "write when it begins, such as `2026-11-27T08:00`"),
            ("until", "write when it is over, such as `2026-11-27T20:00`"),
            ("expect", "write what is expected: `4x forecast` or `300/s`"),
        ];
        for (name, fix) in wanted {
            if !fields.has_value(name) {
                fields.missing(name, fix);
            }
        }
        let zoned = Zoned { zone: zone.as_ref(), written: fields.has_value("zone") };
        let spec = Self {
            place: fields.place.clone(),
            field: fields.path.clone(),
            service,
            from_s: from.and_then(|when| zoned.seconds(when, End::First, &fields)),
            until_s: until.and_then(|when| zoned.seconds(when, End::Last, &fields)),
            expect,
        };
        fields.done();
        spec
    }
}

/// A time as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// With `Z` or an offset.
    At(Timestamp),
    /// By the clocks of a zone.
    Local(DateTime),
}

/// Which one is meant of two moments at which the clocks show the same: an event lasts from the first to the last.
#[derive(Debug, Clone, Copy)]
enum End {
    First,
    Last,
}

/// The zone of an event, if one could be read; `written` if one should have been.
#[derive(Debug, Clone, Copy)]
struct Zoned<'a> {
    zone: Option<&'a Written<(Arc<str>, TimeZone)>>,
    written: bool,
}

impl Zoned<'_> {
    /// Returns `when` in seconds since 1970; notes it when there is no such time.
    fn seconds(
        &self,
        when: Written<When>,
        end: End,
        fields: &Fields<'_, '_>,
    ) -> Option<Written<i64>> {
        let local = match when.value {
            When::At(at) => {
                return Some(Written {
                    value: at.as_second(),
                    place: when.place,
                    field: when.field,
                });
            }
            When::Local(local) => local,
        };
        let Some(zone) = self.zone else {
            if !self.written {
                let message = format!(
                    "a local time needs its zone; write `zone: Europe/Budapest` or the like, or a time in UTC such as `{local}Z`"
                );
                when.problem(fields.sink, message);
            }
            return None;
        };
        match moment(&zone.value.1, local, end) {
            Ok(at) => Some(Written { value: at.as_second(), place: when.place, field: when.field }),
            Err(instead) => {
                let message =
                    format!("the clocks of {} skip {local}; write `{instead}`", zone.value.0);
                when.problem(fields.sink, message);
                None
            }
        }
    }
}

/// Returns the moment at which the clocks of `zone` show `local`; where they skip it, what to write instead.
fn moment(zone: &TimeZone, local: DateTime, end: End) -> Result<Timestamp, String> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let moment = match (ambiguous.offset(), end) {
        (AmbiguousOffset::Gap { .. }, _) => {
            // As late after the change as it would have been without one.
            let after = ambiguous.later().map_err(|error| error.to_string())?;
            return Err(zone.to_datetime(after).to_string());
        }
        (AmbiguousOffset::Unambiguous { .. }, _) => ambiguous.unambiguous(),
        (AmbiguousOffset::Fold { .. }, End::First) => ambiguous.earlier(),
        (AmbiguousOffset::Fold { .. }, End::Last) => ambiguous.later(),
    };
    moment.map_err(|error| error.to_string())
}

const WHEN: Scalar<When> =
    scalar::scalar(when, Shape::Form(r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?$"));
const ZONE: Scalar<(Arc<str>, TimeZone)> =
    scalar::scalar(zone, Shape::Form("^[A-Za-z][A-Za-z0-9/_+-]*$"));
const EXPECT: Scalar<Expect> =
    scalar::scalar(expect, Shape::Form(r"^(\d+(\.\d+)?x forecast|\d+(\.\d+)?/s)$"));

/// Reads `2026-11-27T08:00`, with seconds, `Z` or an offset if wanted.
fn when(text: &str) -> Result<When, String> {
    let expected = || {
        format!(
            "expected a time such as `2026-11-27T08:00` (with a `zone`) or `2026-11-27T08:00Z`, got `{text}`"
        )
    };
    // The library reads more than is told of here: days alone, weeks, fractions, names of zones.
    let form = b"0000-00-00T00:00";
    let (minutes, rest) = text.split_at_checked(form.len()).ok_or_else(expected)?;
    let as_form = |(byte, form): (u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte == *form,
    };
    if !minutes.bytes().zip(form).all(as_form) {
        return Err(expected());
    }
    let of_two_digits =
        |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = rest.get(..3).filter(|text| text.strip_prefix(':').is_some_and(of_two_digits));
    let zone = &rest[seconds.map_or(0, str::len)..];
    let is_offset = |zone: &str| {
        zone.strip_prefix(['+', '-'])
            .and_then(|offset| offset.split_once(':'))
            .is_some_and(|(hours, minutes)| of_two_digits(hours) && of_two_digits(minutes))
    };
    match zone {
        "" => text.parse().map(When::Local).map_err(|_| expected()),
        zone if zone == "Z" || is_offset(zone) => {
            text.parse().map(When::At).map_err(|_| expected())
        }
        _ => Err(expected()),
    }
}

/// Reads the name of a zone in the IANA database that is built in.
fn zone(text: &str) -> Result<(Arc<str>, TimeZone), String> {
    if let Ok(zone) = TimeZone::get(text) {
        return Ok((text.into(), zone));
    }
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let hint = did_you_mean(text, known.iter().map(String::as_str))
        .map_or(String::new(), |name| format!("; did you mean `{name}`?"));
    Err(format!(
        "expected the IANA name of a time zone such as `Europe/Budapest`, got `{text}`{hint}"
    ))
}

/// Reads `4x forecast` or `300/s`.
fn expect(text: &str) -> Result<Expect, String> {
    let plain = |text: &str| {
        let is_number = text.starts_with(|first: char| first.is_ascii_digit())
            && text.ends_with(|last: char| last.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        is_number.then(|| text.parse::<f64>().ok()).flatten()
    };
    if let Some(times) = text.strip_suffix("x forecast").and_then(plain) {
        return if TIMES.contains(&times) {
            Ok(Expect::Times(times))
        } else {
            Err(format!(
                "expected {} to {} times the forecast, got `{text}`",
                TIMES.start(),
                TIMES.end()
            ))
        };
    }
    if let Some(rate) = text.strip_suffix("/s").and_then(plain) {
        return if 0.0 < rate && rate <= PER_SECOND_MAX {
            Ok(Expect::PerSecond(rate))
        } else {
            Err(format!(
                "expected more than 0 and at most {PER_SECOND_MAX} requests a second, got `{text}`"
            ))
        };
    }
    let hint = match text.strip_suffix('x').map(str::trim_end).and_then(plain) {
        Some(times) => format!("; did you mean `{times}x forecast`?"),
        None => String::new(),
    };
    Err(format!("expected `4x forecast` or `300/s`, got `{text}`{hint}"))
}
