//! How good forecasts would have been: a recorded series is gone through, and forecast from origin to origin.
//!
//! Nothing that comes after an origin is known to its forecast, and every step is learned from, warm-up or not. A series
//! of seconds is forecast by its minutes, as a gateway does it: the count of a second is a share of its minute's.

use std::fmt;

use super::{
    Config, Forecaster, Quantiles, STEP_S_MAX,
    rollup::{Rollup, Step},
};

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

/// Returns the step by which a series with steps of `step_s` seconds is forecast: its own, or a minute where its steps
/// are parts of one. Horizons are multiples of it.
pub fn forecast_step_s(step_s: u64) -> u64 {
    if step_s < STEP_S_MIN && STEP_S_MIN.is_multiple_of(step_s) { STEP_S_MIN } else { step_s }
}

/// Goes through a series that begins at `start_s` with steps of `step_s` seconds, a count each (`None` where it is not
/// known).
pub fn run(start_s: u64, step_s: u64, counts: &[Option<u64>], settings: &Settings) -> Vec<Row> {
    let step_s = step_s.max(1);
    let Some(mut learner) = Learner::new(start_s, step_s, counts.len(), settings) else {
        return Vec::new();
    };
    let every_s = (settings.every_s - settings.every_s % learner.long_s).max(learner.long_s);
    let warm = (counts.len() as f64 * settings.warm_up.clamp(0.0, 1.0)) as usize;
    let mut rows = Vec::new();
    let mut next_origin_s = 0;

    for (i, count) in counts.iter().enumerate() {
        let at_s = start_s + i as u64 * step_s;
        if !learner.learn(at_s, *count) || i < warm || at_s < next_origin_s {
            continue;
        }
        next_origin_s = at_s + every_s;
        for &horizon_s in &learner.horizons_s {
            let Some(Some(actual)) = counts.get(i + (horizon_s / step_s) as usize) else {
                continue;
            };
            rows.push(Row {
                origin_s: at_s,
                target_s: at_s + horizon_s,
                horizon_s,
                actual: *actual,
                forecast: learner.forecast(horizon_s),
            });
        }
    }
    rows
}

/// What comes after the end of a series.
#[derive(Debug, Clone)]
pub struct Ahead {
    /// When the last step that is known began, in seconds since 1970. Of a series of seconds that is the last second of
    /// its last minute that is over.
    pub origin_s: u64,
    learner: Learner,
}

impl Ahead {
    /// Learns a whole series, like [`run`]. Returns `None` where that would have no origin: when no step is over, or no
    /// horizon fits.
    pub fn new(
        start_s: u64,
        step_s: u64,
        counts: &[Option<u64>],
        settings: &Settings,
    ) -> Option<Self> {
        let step_s = step_s.max(1);
        let mut learner = Learner::new(start_s, step_s, counts.len(), settings)?;
        let mut origin_s = None;
        for (i, count) in counts.iter().enumerate() {
            let at_s = start_s + i as u64 * step_s;
            if learner.learn(at_s, *count) {
                origin_s = Some(at_s);
            }
        }
        Some(Self { origin_s: origin_s?, learner })
    }

    /// Returns what comes in the step that begins `ahead_s` after the origin; see [`Forecaster::forecast`].
    pub fn forecast(&self, ahead_s: u64) -> Quantiles {
        self.learner.forecast(ahead_s)
    }
}

/// A forecaster that learns a series of any step, and refits its elastic nets once a day.
#[derive(Debug, Clone)]
struct Learner {
    step_s: u64,
    long_s: u64,
    /// Horizons that fit the step.
    horizons_s: Vec<u64>,
    forecaster: Forecaster,
    rollup: Rollup,
    elastic_net: bool,
    next_refit_s: u64,
}

impl Learner {
    /// Returns `None` when no horizon fits, and when the time of a target would be no number.
    fn new(start_s: u64, step_s: u64, counts: usize, settings: &Settings) -> Option<Self> {
        let long_s = forecast_step_s(step_s);
        let mut horizons_s = settings.horizons_s.clone();
        horizons_s
            .retain(|ahead_s| (1..=STEP_S_MAX).contains(ahead_s) && ahead_s.is_multiple_of(long_s));
        // Up to the end of the last target.
        let lasts_s = (counts as u64).checked_mul(step_s)?.checked_add(2 * STEP_S_MAX)?;
        start_s.checked_add(lasts_s)?;
        if horizons_s.is_empty() || STEP_S_MAX < long_s {
            return None;
        }
        let horizons: Vec<u64> = horizons_s.iter().map(|ahead_s| ahead_s / long_s).collect();
        Some(Self {
            step_s,
            long_s,
            horizons_s,
            forecaster: Forecaster::new(long_s, &horizons, settings.config.clone()),
            rollup: Rollup::new(step_s, long_s),
            elastic_net: settings.config.elastic_net,
            next_refit_s: start_s.saturating_add(REFIT_S),
        })
    }

    /// Learns the count of the step that began at `at_s`. Returns whether a step of the forecaster is over with it: then
    /// this step can be forecast from.
    fn learn(&mut self, at_s: u64, count: Option<u64>) -> bool {
        if self.step_s == self.long_s {
            self.forecaster.observe(at_s, count);
        } else {
            if let Some(count) = count {
                self.rollup.add(at_s, count);
            }
            let ends_s = at_s + self.step_s;
            let step = match self.rollup.over(ends_s) {
                Some(step) => step,
                // A minute of which nothing is known is one that is missing, and not one that is still to come.
                None if ends_s.is_multiple_of(self.long_s) => {
                    Step { at_s: ends_s - self.long_s, count: None }
                }
                None => return false,
            };
            self.forecaster.observe(step.at_s, step.count);
        }
        if self.elastic_net && self.next_refit_s <= at_s {
            self.next_refit_s = at_s + REFIT_S;
            let refitted = self.forecaster.refit().run();
            self.forecaster.install(refitted);
        }
        true
    }

    fn forecast(&self, ahead_s: u64) -> Quantiles {
        let forecast = self.forecaster.forecast(ahead_s);
        if self.step_s == self.long_s {
            return forecast;
        }
        forecast.share(self.step_s as f32 / self.long_s as f32, self.rollup.dispersion())
    }
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
    fn after_weeks_without_seconds_no_forecast_is_a_stale_one() {
        // Three hours of 2 requests a second, 40 days of which nothing is known, and then 50 a second.
        let counts =
            [vec![Some(2); 10_800], vec![None; 40 * 86_400], vec![Some(50); 3_600]].concat();
        let settings = Settings { horizons_s: vec![60], warm_up: 0.0, every_s: 60, ..settings() };
        let back_s = START_S + 10_800 + 40 * 86_400;
        let rows = run(START_S, 1, &counts, &settings);
        let first = rows.iter().find(|row| back_s <= row.origin_s).expect("there are origins");
        assert_eq!(first.origin_s, back_s + 59);
        assert!(first.forecast.at(0.5) > 40.0, "{first}");
    }

    #[test]
    fn what_comes_after_the_end_is_what_the_last_origin_says() {
        let counts = counts();
        let settings = Settings { every_s: 300, ..settings() };
        let last = run(START_S, 300, &counts, &settings)
            .into_iter()
            .rfind(|row| row.horizon_s == 300)
            .expect("there are origins");
        // The last row's origin is the step before the last one: its target has to be known.
        let ahead = Ahead::new(START_S, 300, &counts[..575], &settings).expect("it has an end");
        assert_eq!(ahead.origin_s, last.origin_s);
        assert_eq!(ahead.forecast(300), last.forecast);
        // A minute that is not over is not known.
        let seconds = vec![Some(2); 3 * 3_600 + 59];
        let ahead = Ahead::new(START_S, 1, &seconds, &settings).expect("it has an end");
        assert_eq!(ahead.origin_s, START_S + 3 * 3_600 - 1);
        assert!(Ahead::new(START_S, 1, &seconds[..59], &settings).is_none());
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
