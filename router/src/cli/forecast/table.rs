//! The report for the terminal.

use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

use charts::format;
use predictor::forecast::{LEVELS, backtest::Ahead};

use super::{Back, Found, score::Level, series::Series, shown};
use crate::telemetry::access_log::rfc3339;

/// Writes the whole report.
pub(super) fn table(series: &Series, found: &Found) -> String {
    let mut out = format!("{}\n", heading(series));
    match found {
        Found::Ahead { ahead, horizons_s } => comes(&mut out, series, ahead, horizons_s),
        Found::Back(back) => came(&mut out, back),
    }
    for note in &series.notes {
        line(&mut out, format_args!("  note: {note}"));
    }
    out
}

/// Tells what the load is.
pub(super) fn heading(series: &Series) -> String {
    format!(
        "{}: {} requests in {}, by {}",
        series.name,
        format::thousands(series.total() as f64),
        series.lasts(),
        shown(series.step_s)
    )
}

/// Writes a time in UTC, to the second.
pub(super) fn utc(at_s: u64) -> String {
    // Later than any clock: a time that is told as its seconds is better than none.
    let Some(at) = UNIX_EPOCH.checked_add(Duration::from_secs(at_s)) else {
        return at_s.to_string();
    };
    let text = rfc3339(at);
    text.split_once('.').map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// Writes a level as in `p95`.
pub(super) fn level_name(level: f32) -> String {
    format!("p{:.0}", level * 100.0)
}

/// Adds a line.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

/// Writes cells one beside the other.
fn columns(cells: impl IntoIterator<Item = String>) -> String {
    cells.into_iter().fold(String::new(), |mut row, cell| {
        let _ = write!(row, " {cell:>9}");
        row
    })
}

fn comes(out: &mut String, series: &Series, ahead: &Ahead, horizons_s: &[u64]) {
    line(
        out,
        format_args!(
            "requests in the step of {} that begins so long after {}:",
            shown(series.step_s),
            utc(ahead.origin_s)
        ),
    );
    let levels = columns(LEVELS.map(level_name));
    line(out, format_args!("  {:>8}  {:20}{levels}{:>10}", "after", "at", "mean"));
    for horizon_s in horizons_s {
        let forecast = ahead.forecast(*horizon_s);
        let counts = forecast.counts.iter().chain([&forecast.mean]);
        let counts = columns(counts.map(|count| format::count(f64::from(*count))));
        let at = utc(ahead.origin_s + horizon_s);
        line(out, format_args!("  {:>8}  {at:20}{counts}", shown(*horizon_s)));
    }
}

fn came(out: &mut String, back: &Back) {
    line(out, format_args!("{}", origins(back)));
    line(
        out,
        format_args!(
            "  {:>8}{:>7}{:>11}{:>12}{:>12}  best simple",
            "ahead", "level", "not above", "loss", "of simple's"
        ),
    );
    for score in &back.scores {
        let mut horizon = shown(score.horizon_s);
        for (at, level) in LEVELS.iter().zip(&score.levels) {
            let (skill, best) = compared(level);
            let Level { loss, covered, .. } = level;
            line(
                out,
                format_args!(
                    "  {horizon:>8} {:>6} {:>10} {:>11} {skill:>11}  {best}",
                    level_name(*at),
                    format::percent(*covered),
                    format::count(*loss)
                ),
            );
            horizon.clear();
        }
    }
}

/// Tells from where forecasts were made.
pub(super) fn origins(back: &Back) -> String {
    format!(
        "{} forecasts from {} origins, {} apart, after the first {:.0} %",
        format::thousands(back.rows.len() as f64),
        format::thousands(back.origins() as f64),
        shown(back.settings.every_s),
        back.settings.warm_up * 100.0
    )
}

/// Returns the loss as a multiple of the best simple method's, and which that is.
pub(super) fn compared(level: &Level) -> (String, &'static str) {
    let skill = level.skill().map_or_else(|| "-".to_owned(), |skill| format!("{skill:.3}"));
    (skill, level.best().map_or("-", |(method, _)| method.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_the_second() {
        assert_eq!(utc(804_571_140), "1995-07-01T03:59:00Z");
        assert!(!utc(u64::MAX).is_empty());
        assert_eq!(LEVELS.map(level_name), ["p5", "p25", "p50", "p75", "p90", "p95", "p99"]);
    }
}
