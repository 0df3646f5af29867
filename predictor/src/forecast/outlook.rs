//! Further ahead than any horizon: for warnings, not for plans.
//!
//! A horizon learns which experts to believe, and costs tens of kilobytes a series. What comes within the hour is asked for
//! by nobody but who warns, so it is told by the forecast of the furthest horizon, moved by the shape of the day and the week
//! before: as many times more as it became then, on the same stretch. It is as wide as the furthest horizon's, so less than
//! it would have to be.

use super::{
    Forecaster, Quantiles,
    history::{count_of, log_of},
    seasonal::{Past, REACH, Season},
};

/// The largest change that a shape is believed to bring, as a logarithm: ln 5.
const CHANGE_MAX: f32 = 1.609_438;

impl Forecaster {
    /// Returns about what comes in the step `ahead_s` seconds after the one observed last: up to the furthest horizon what
    /// [`Forecaster::forecast`] does.
    pub fn outlook(&self, ahead_s: u64) -> Quantiles {
        let said = self.forecast(ahead_s);
        let furthest = self.horizons.last().map_or(0, |horizon| horizon.steps() * self.step_s);
        let newest = self.history.newest();
        let tick = |in_s: u64| newest.saturating_add(in_s / self.every_s);
        if ahead_s <= furthest || self.history.is_empty() {
            return said;
        }
        let past = Past { history: &self.history, calendar: &self.calendar, step_s: self.step_s };
        let change = |season| {
            let then = past.analogue(tick(ahead_s), season, 1, REACH)?;
            Some(then - past.analogue(tick(furthest), season, 1, REACH)?)
        };
        let known = [change(Season::Day), change(Season::Week)].into_iter().flatten();
        let (sum, n) = known.fold((0.0, 0.0_f32), |(sum, n), change| (sum + change, n + 1.0));
        if n <= 0.0 {
            return said;
        }
        let change = (sum / n).clamp(-CHANGE_MAX, CHANGE_MAX);
        Quantiles::new(said.counts.map(|count| count_of(log_of(count) + change).round()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    /// Minutes of days of the same shape: 20 by night, 200 from eight in the morning on.
    fn days(forecaster: &mut Forecaster, minutes: u64) {
        for minute in 0..minutes {
            let count = if (480..1_200).contains(&(minute % 1_440)) { 200 } else { 20 };
            forecaster.observe(minute * 60, Some(count));
        }
    }

    #[test]
    fn the_morning_is_seen_an_hour_ahead_by_the_day_before() {
        let config = Config { elastic_net: false, ..Config::default() };
        let mut forecaster = Forecaster::new(60, &[1, 2], config);
        days(&mut forecaster, 3 * 1_440 + 450);
        // Half past seven.
        let (near, far) = (forecaster.outlook(120), forecaster.outlook(3_600));
        assert_eq!(near, forecaster.forecast(120));
        assert!(near.mean < 40.0, "{near:?}");
        assert!((60.0..=250.0).contains(&far.mean), "{far:?}");
        assert!(far.counts.is_sorted());
    }

    #[test]
    fn without_a_day_before_it_stays_as_it_is() {
        let config = Config { elastic_net: false, ..Config::default() };
        let mut forecaster = Forecaster::new(60, &[1, 2], config);
        assert_eq!(forecaster.outlook(3_600), Quantiles::default());
        days(&mut forecaster, 450);
        assert_eq!(forecaster.outlook(3_600), forecaster.forecast(120));
    }
}
