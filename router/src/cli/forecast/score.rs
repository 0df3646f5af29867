//! How good forecasts were: by their losses, by how often they held, and beside simple methods.

use predictor::forecast::{
    LEVELS,
    backtest::{Row, Settings},
};

use super::{
    series::Series,
    simple::{Calibrated, Past, Simple},
};

/// How good the forecasts of one horizon were.
#[derive(Debug)]
pub(super) struct Score {
    pub(super) horizon_s: u64,
    /// How many forecasts there were.
    pub(super) forecasts: usize,
    /// For each of [`LEVELS`].
    pub(super) levels: [Level; LEVELS.len()],
}

/// How good one quantile was.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Level {
    /// Mean pinball loss, in requests.
    pub(super) loss: f64,
    /// Share of forecasts that were not exceeded: the level, if it is right.
    pub(super) covered: f64,
    /// What each of [`Simple::ALL`] would have lost; `None` if the series is too short for it.
    pub(super) simple: [Option<f64>; Simple::ALL.len()],
}

impl Level {
    /// Returns the simple method that loses least, and what.
    pub(super) fn best(&self) -> Option<(Simple, f64)> {
        let losses = Simple::ALL.into_iter().zip(self.simple);
        let known = losses.filter_map(|(method, loss)| Some((method, loss?)));
        known.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Returns the loss as a share of the best simple method's; `None` where that loses nothing.
    pub(super) fn skill(&self) -> Option<f64> {
        self.best().filter(|(_, loss)| 0.0 < *loss).map(|(_, loss)| self.loss / loss)
    }
}

/// Returns the pinball loss: what a quantile at `level` costs when `actual` comes. R. Koenker and G. Bassett, "Regression
/// Quantiles", Econometrica 46(1), 1978.
///
/// `loss = level x (actual - quantile)` above the quantile, `(1 - level) x (quantile - actual)` below: at 0.9, 10 requests
/// too few cost 9, 10 too many cost 1.
pub(super) fn pinball(level: f64, quantile: f64, actual: f64) -> f64 {
    let over = actual - quantile;
    (level * over).max((level - 1.0) * over)
}

/// Scores every horizon.
pub(super) fn all(series: &Series, rows: &[Row], settings: &Settings) -> Vec<Score> {
    let score = |horizon_s: &u64| {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.horizon_s == *horizon_s).collect();
        (!rows.is_empty()).then(|| one(series, *horizon_s, &rows, settings.every_s))
    };
    settings.horizons_s.iter().filter_map(score).collect()
}

fn one(series: &Series, horizon_s: u64, rows: &[&Row], every_s: u64) -> Score {
    let ahead = (horizon_s / series.step_s) as usize;
    let mut methods = Simple::ALL.map(|method| Calibrated::new(method, ahead));
    let mut levels = [Level::default(); LEVELS.len()];
    let mut lost = [[0.0; LEVELS.len()]; Simple::ALL.len()];
    let (mut next, mut last) = (0, None);
    let mut past = |origin: usize| {
        while next <= origin {
            last = series.counts[next].or(last);
            next += 1;
        }
        Past { counts: &series.counts, step_s: series.step_s, origin, last }
    };
    for origin in warm_up(series, rows, every_s) {
        let past = past(origin);
        for method in &mut methods {
            method.say(&past);
        }
    }
    for method in &mut methods {
        method.spoke = false;
    }
    for row in rows {
        let actual = row.actual as f64;
        for (level, (at, quantile)) in
            levels.iter_mut().zip(LEVELS.into_iter().zip(row.forecast.counts))
        {
            level.loss += pinball(at.into(), quantile.into(), actual);
            level.covered += f64::from(u8::from(actual <= f64::from(quantile)));
        }
        let past = past(series.step_at(row.origin_s));
        for (method, lost) in methods.iter_mut().zip(&mut lost) {
            // Before anything was known, nothing is the last value.
            let said = method.say(&past).unwrap_or_default();
            for ((lost, at), quantile) in lost.iter_mut().zip(LEVELS).zip(said) {
                *lost += pinball(at.into(), quantile, actual);
            }
        }
    }
    let forecasts = rows.len() as f64;
    for (number, level) in levels.iter_mut().enumerate() {
        level.loss /= forecasts;
        level.covered /= forecasts;
        for (of, (method, lost)) in level.simple.iter_mut().zip(methods.iter().zip(&lost)) {
            *of = method.spoke.then(|| lost[number] / forecasts);
        }
    }
    Score { horizon_s, forecasts: rows.len(), levels }
}

/// Returns the steps of the warm-up that would have been origins, in order.
fn warm_up(series: &Series, rows: &[&Row], every_s: u64) -> Vec<usize> {
    let first = rows.first().map_or(0, |row| series.step_at(row.origin_s));
    let every = ((every_s / series.step_s) as usize).max(1);
    let mut origins: Vec<_> =
        std::iter::successors(first.checked_sub(every), |step| step.checked_sub(every)).collect();
    origins.reverse();
    origins
}

#[cfg(test)]
mod tests {
    use predictor::forecast::{Config, backtest};

    use super::*;

    #[test]
    fn the_pinball_loss_is_asymmetric() {
        for (level, quantile, actual, loss) in
            [(0.9, 100.0, 110.0, 9.0), (0.9, 100.0, 90.0, 1.0), (0.5, 7.0, 7.0, 0.0)]
        {
            assert!((pinball(level, quantile, actual) - loss).abs() < 1e-9);
        }
    }

    #[test]
    fn a_rhythm_is_told_by_the_day_before_and_no_worse_by_the_forecast() {
        // Twelve days of five minutes: a wave, and a little chance that no day repeats.
        let chance = |n: u64| (n * n * 7_919 + n * 104_729) % 1_009 % 31;
        let wave = |n: u64| (n as f64 / 288.0 * std::f64::consts::TAU).sin();
        let counts: Vec<_> =
            (0..12 * 288).map(|n| Some((500.0 + 400.0 * wave(n)) as u64 + chance(n))).collect();
        let (start_s, step_s) = (1_700_006_400, 300);
        let series = Series { name: String::new(), start_s, step_s, counts, notes: Vec::new() };
        let config = Config { elastic_net: false, ..Config::default() };
        let settings = Settings { horizons_s: vec![300, 1_800], config, ..Settings::default() };
        let rows = backtest::run(start_s, step_s, &series.counts, &settings);
        let scores = all(&series, &rows, &settings);
        assert_eq!(scores.iter().map(|score| score.forecasts).sum::<usize>(), rows.len());
        for (score, horizon_s) in scores.iter().zip([300, 1_800]) {
            assert_eq!(score.horizon_s, horizon_s);
            let median = score.levels[2];
            let [last, _, day, week, _] =
                median.simple.map(|loss| loss.expect("they all could know"));
            assert!(median.skill().is_some_and(|skill| skill < 1.05), "{median:?}");
            if horizon_s == 1_800 {
                assert!(day < last, "{day} {last} {week}");
            }
            for (level, at) in score.levels.iter().zip(LEVELS) {
                assert!((level.covered - f64::from(at)).abs() < 0.08, "{at}: {level:?}");
            }
        }
    }

    #[test]
    fn a_method_that_could_never_know_is_not_compared_with() {
        let counts: Vec<_> = (0..600_u64).map(|n| Some(100 + n * 7_919 % 31)).collect();
        let series =
            Series { name: String::new(), start_s: 0, step_s: 300, counts, notes: Vec::new() };
        let settings = Settings { horizons_s: vec![300], ..Settings::default() };
        let rows = backtest::run(0, 300, &series.counts, &settings);
        let [score] = &all(&series, &rows, &settings)[..] else { panic!("one horizon") };
        assert_eq!(
            score.levels[0].simple.map(|loss| loss.is_some()),
            [true, true, true, false, true]
        );
    }
}
