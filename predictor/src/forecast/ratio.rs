//! Expert: the shape of the day before at the level of now.
//!
//! A day with twice the load of yesterday mostly keeps yesterday's hours. The ratio of now to the same time before is
//! held between a fifth and five: a ratio to a quiet night says nothing about noon.

use super::{
    history::History,
    seasonal::{Past, REACH, Season},
};

/// Steps that make up the level of now, and that of the cycle before.
pub(super) const LEVEL_STEPS: u64 = 10;

/// The largest ratio between cycles that is believed, as a logarithm: ln 5.
const RATIO_MAX: f32 = 1.609_438;

/// Returns the mean of the last steps up to that at `tick`, when all of them are held.
pub(super) fn level(history: &History, tick: u64) -> Option<f32> {
    history.get(tick.checked_sub((LEVEL_STEPS - 1) * history.phases())?)?;
    history.mean(tick, LEVEL_STEPS)
}

/// Returns the shape moved from the level `before` it was seen at to that of `now`.
pub(super) fn moved(shape: f32, before: f32, now: f32) -> f32 {
    shape + (now - before).clamp(-RATIO_MAX, RATIO_MAX)
}

/// Returns what comes at `target`, by the cycle before; `now` is the newest tick, and `level_now` the level there.
pub(super) fn ratio(
    past: &Past<'_>,
    season: Season,
    now: u64,
    level_now: f32,
    target: u64,
) -> Option<f32> {
    let shape = past.analogue(target, season, 1, REACH)?;
    let before = level(past.history, past.before(now, season, 1)?)?;
    Some(moved(shape, before, level_now))
}

#[cfg(test)]
mod tests {
    use super::{super::calendar::Calendar, *};

    #[test]
    fn twice_the_day_before_goes_on_twice_the_day_before() {
        let mut history = History::new(48 * 3, 1, 0);
        // Half hours, a wave over the day; the second day is twice the first (ln 2 = 0.693).
        let wave = |n: u16| 5.0 + (f32::from(n % 48) / 48.0 * std::f32::consts::TAU).sin();
        for n in 0..48 + 30 {
            history.push(wave(n) + if 48 <= n { 0.693 } else { 0.0 });
        }
        let calendar = Calendar::default();
        let past = Past { history: &history, calendar: &calendar, step_s: 1_800 };
        let now = history.next() - 1;
        let level_now = level(&history, now).unwrap();
        let found = ratio(&past, Season::Day, now, level_now, now + 1).unwrap();
        // The neighbours smooth the wave a little.
        assert!((found - wave(30) - 0.693).abs() < 0.03, "{found} {}", wave(30) + 0.693);
        assert_eq!(ratio(&past, Season::Week, now, level_now, now + 1), None);
    }

    #[test]
    fn a_hundredfold_level_is_not_believed_of_the_shape() {
        assert!((moved(2.0, 1.0, 1.0 + 100.0_f32.ln()) - (2.0 + 5.0_f32.ln())).abs() < 1e-6);
    }
}
