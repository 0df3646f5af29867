//! How good forecasts would have been: a recorded series is gone through, and forecast from origin to origin.
//!
//! Nothing that comes after an origin is known to its forecast, and every step is learned from, warm-up or not. A series
//! of seconds is forecast by its minutes, as a gateway does it: the count of a second is a share of its minute's.

use std::fmt;

use super::{Config, Forecaster, Quantiles, STEP_S_MAX, rollup::Rollup};

/// Steps shorter than this are rolled up to it, in seconds.
const STEP_S_MIN: u64 = 60;

/// Seconds between fits of the elastic net.
const REFIT_S: u64 = 86_400;

/// What to forecast.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How far ahead, in seconds; those that are no multiple of the series' step, or beyond [`STEP_S_MAX`], are left out.
    pub horizons_s: Vec<u64>,
    /// Which part of the series is for warming up: 0.5 is the first half.
    pub warm_up: f64,
    /// Seconds from origin to origin; made a multiple of the series' step, one step at least.
    pub every_s: u64,
    /// The forecaster's.
    pub config: Config,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            horizons_s: vec![60, 300, 900, 1_800],
            warm_up: 0.5,
            every_s: 900,
            config: Config::default(),
        }
    }
}

/// One forecast and what came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// When the last step that was known began, in seconds since 1970.
    pub origin_s: u64,
    /// When the forecast step began: `horizon_s` later.
    pub target_s: u64,
    /// How far ahead it was.
    pub horizon_s: u64,
    /// The count that came.
    pub actual: u64,
    /// What was forecast.
    pub forecast: Quantiles,
}

impl Row {
    /// The names of a row's columns.
    pub const HEADER: &str = "origin,target,horizon_s,actual,q05,q25,q50,q75,q90,q95,q99,mean";
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.origin_s, self.target_s, self.horizon_s, self.actual)?;
        for count in self.forecast.counts {
            write!(f, ",{count}")?;
        }
        write!(f, ",{}", self.forecast.mean)
    }
}

/// Goes through a series that begins at `start_s` with steps of `step_s` seconds, a count each (`None` where it is not
/// known).
pub fn run(start_s: u64, step_s: u64, counts: &[Option<u64>], settings: &Settings) -> Vec<Row> {
    let step_s = step_s.max(1);
    let long_s =
        if step_s < STEP_S_MIN && STEP_S_MIN.is_multiple_of(step_s) { STEP_S_MIN } else { step_s };
    let horizons_s: Vec<u64> = settings
        .horizons_s
        .iter()
        .copied()
        .filter(|ahead_s| (1..=STEP_S_MAX).contains(ahead_s) && ahead_s.is_multiple_of(long_s))
        .collect();
    // Up to the end of the last target.
    let lasts_s = (counts.len() as u64)
        .checked_mul(step_s)
        .and_then(|lasts_s| lasts_s.checked_add(2 * STEP_S_MAX));
    let ends_s = lasts_s.and_then(|lasts_s| start_s.checked_add(lasts_s));
    if horizons_s.is_empty() || STEP_S_MAX < long_s || ends_s.is_none() {
        return Vec::new();
    }
    let horizons: Vec<u64> = horizons_s.iter().map(|ahead_s| ahead_s / long_s).collect();
    let mut forecaster = Forecaster::new(long_s, &horizons, settings.config.clone());
    let mut rollup = Rollup::new(step_s, long_s);
    let every_s = (settings.every_s - settings.every_s % long_s).max(long_s);
    let warm = (counts.len() as f64 * settings.warm_up.clamp(0.0, 1.0)) as usize;
    let mut rows = Vec::new();
    let mut next_origin_s = 0;
    let mut next_refit_s = start_s.saturating_add(REFIT_S);

    for (i, count) in counts.iter().enumerate() {
        let at_s = start_s + i as u64 * step_s;
        if step_s == long_s {
            forecaster.observe(at_s, *count);
        } else {
            if let Some(count) = count {
                rollup.add(at_s, *count);
            }
            let Some(step) = rollup.over(at_s + step_s) else { continue };
            forecaster.observe(step.at_s, step.count);
        }
        if settings.config.elastic_net && next_refit_s <= at_s {
            next_refit_s = at_s + REFIT_S;
            let refitted = forecaster.refit().run();
            forecaster.install(refitted);
        }
        if i < warm || at_s < next_origin_s {
            continue;
        }
        next_origin_s = at_s + every_s;
        for &horizon_s in &horizons_s {
            let Some(Some(actual)) = counts.get(i + (horizon_s / step_s) as usize) else {
                continue;
            };
            let mut forecast = forecaster.forecast(horizon_s);
            if step_s < long_s {
                forecast = forecast.share(step_s as f32 / long_s as f32, rollup.dispersion());
            }
            rows.push(Row {
                origin_s: at_s,
                target_s: at_s + horizon_s,
                horizon_s,
                actual: *actual,
                forecast,
            });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let config = Config { elastic_net: false, ..Config::default() };
        Settings { horizons_s: vec![300, 900, 1_000], config, ..Settings::default() }
    }

    /// Two days of five minutes, from some midnight on.
    fn counts() -> Vec<Option<u64>> {
        (0..576_u64).map(|n| Some(100 + n % 288 + n * 7_919 % 13)).collect()
    }

    const START_S: u64 = 1_700_006_400;

    #[test]
    fn every_origin_has_a_row_for_each_horizon_with_what_came() {
        let counts = counts();
        let rows = run(START_S, 300, &counts, &settings());
        // A day of quarters of an hour, two horizons that are multiples of the step; what comes after the end is unknown.
        assert_eq!(rows.len(), 96 * 2 - 1);
        for row in &rows {
            assert_eq!(row.target_s, row.origin_s + row.horizon_s);
            assert_eq!(Some(row.actual), counts[((row.target_s - START_S) / 300) as usize]);
            assert!(START_S + 86_400 <= row.origin_s && row.origin_s.is_multiple_of(900));
        }
        let first = rows[0].to_string();
        assert!(first.starts_with("1700092800,1700093100,300,107,"), "{first}");
        assert_eq!(first.split(',').count(), Row::HEADER.split(',').count());
    }

    #[test]
    fn nothing_after_an_origin_is_known_to_its_forecast() {
        let counts = counts();
        let mut changed = counts.clone();
        changed[450..].fill(Some(100_000));
        let [before, after] =
            [counts, changed].map(|counts| run(START_S, 300, &counts, &settings()));
        let change_s = START_S + 450 * 300;
        let (mut same, mut other) = (0, 0);
        for (before, after) in before.iter().zip(&after) {
            if before.origin_s < change_s {
                assert_eq!(before.forecast, after.forecast);
                same += 1;
            } else {
                other += usize::from(before.forecast != after.forecast);
            }
        }
        assert!(100 < same && 50 < other, "{same} {other}");
    }

    #[test]
    fn seconds_are_forecast_as_shares_of_their_minute() {
        // Two requests in each second, for three hours.
        let counts = vec![Some(2); 3 * 3_600];
        let settings = Settings { horizons_s: vec![60, 61, 300], ..settings() };
        let rows = run(START_S, 1, &counts, &settings);
        assert!(!rows.is_empty() && rows.iter().all(|row| (row.origin_s + 1).is_multiple_of(60)));
        for row in rows {
            assert_eq!(row.forecast.at(0.5) as u32, 2);
            assert!((4.0..=7.0).contains(&row.forecast.at(0.99)), "{row}");
        }
    }

    #[test]
    fn steps_that_are_missing_are_no_targets_and_odd_settings_give_no_rows() {
        let mut counts = counts();
        counts[400..500].fill(None);
        let rows = run(START_S, 300, &counts, &settings());
        let missing = START_S + 400 * 300..START_S + 500 * 300;
        assert!(!rows.is_empty() && rows.iter().all(|row| !missing.contains(&row.target_s)));
        assert!(
            run(START_S, 0, &counts, &Settings { every_s: 0, ..settings() }).len()
                < counts.len() * 2
        );
        assert!(run(START_S, 7_000, &counts, &settings()).is_empty());
        assert!(run(START_S, 300, &[], &settings()).is_empty());
        assert!(run(u64::MAX - 100, 300, &counts, &settings()).is_empty());
        let far = Settings { horizons_s: vec![0, u64::MAX, u64::MAX - 255], ..settings() };
        assert!(run(START_S, 300, &counts, &far).is_empty());
    }
}
