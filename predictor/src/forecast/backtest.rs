//! How good forecasts would have been: a recorded series is gone through, and forecast from origin to origin.
//!
//! Nothing that comes after an origin is known to its forecast, and every step is learned from, warm-up or not. A series
//! of seconds is forecast by its minutes, as a gateway does it: the count of a second is a share of its minute's.

use std::fmt;

use super::{Config, Forecaster, Quantiles, rollup::Rollup};

/// Steps shorter than this are rolled up to it, in seconds.
const STEP_S_MIN: u64 = 60;

/// Seconds between fits of the elastic net.
const REFIT_S: u64 = 86_400;

/// What to forecast.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How far ahead, in seconds; those that are no multiple of the series' step are left out.
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
        .filter(|ahead_s| 0 < *ahead_s && ahead_s.is_multiple_of(long_s))
        .collect();
    if horizons_s.is_empty() || super::STEP_S_MAX < long_s {
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
        let at_s = start_s.saturating_add(i as u64 * step_s);
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
