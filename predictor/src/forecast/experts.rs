//! All experts, asked for one horizon.
//!
//! Each says one number, `ln(1 + count)`; none knows how wrong it is, which is learned for each of them alike. What an
//! expert cannot say yet (no day before) is said by the next simpler one, so that there are always as many answers.

use std::f32::consts::TAU;

use super::{
    last::{self, Means},
    ratio,
    regression::Features,
    seasonal::{Past, REACH, Season},
    trend::Trend,
};

/// An expert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Expert {
    /// The last value, and the highest of the last three.
    Last,
    Highest,
    /// The means of the last 5, 20 and 100 steps.
    Mean5,
    Mean20,
    Mean100,
    /// Holt's trend.
    Trend,
    /// The same minute of the hours before, on average.
    Hours,
    /// The day and the week before, raw.
    Day,
    Week,
    /// The same time of the days and the weeks before, on average.
    Days,
    Weeks,
    /// The shape of the day, the week and the days before, at the level of now.
    DayRatio,
    WeekRatio,
    DaysRatio,
    /// The two linear models, which go by all the others.
    Regression,
    ElasticNet,
}

/// How many experts there are.
pub(super) const EXPERTS: usize = Expert::ElasticNet as usize + 1;

/// What each expert says.
pub(super) type Points = [f32; EXPERTS];

/// What is known now, whatever the horizon.
#[derive(Debug)]
pub(super) struct Now<'a> {
    past: Past<'a>,
    trend: &'a Trend,
    /// The newest tick.
    tick: u64,
    last: f32,
    highest: Option<f32>,
    mean_5: f32,
    means: [f32; 2],
    level: f32,
    /// What the analogues were for now.
    day: f32,
    week: f32,
    days: Option<f32>,
    odd: f32,
}

impl<'a> Now<'a> {
    /// Looks at the past, which holds a step at least.
    pub(super) fn new(past: Past<'a>, means: &Means, trend: &'a Trend) -> Self {
        let tick = past.history.newest();
        let last = past.history.get(tick).unwrap_or(0.0);
        let day = past.analogue(tick, Season::Day, 1, REACH).unwrap_or(last);
        let days = past.profile(tick, Season::Day, 1, REACH);
        Self {
            trend,
            tick,
            last,
            highest: last::highest(past.history),
            mean_5: last::short_mean(past.history),
            means: means.logs(),
            level: past.history.mean(tick, ratio::LEVEL_STEPS).unwrap_or(last),
            day,
            week: past.analogue(tick, Season::Week, 1, REACH).unwrap_or(day),
            days,
            odd: odd(&past, tick, days),
            past,
        }
    }

    /// The newest value.
    pub(super) fn last(&self) -> f32 {
        self.last
    }

    /// Returns what everyone but the linear models says of the load `steps` after now, and what those go by.
    pub(super) fn ask(&self, steps: u64) -> (Points, Features) {
        let (past, last) = (&self.past, self.last);
        let target = self.tick + steps * past.history.phases();
        let trend = self.trend.ahead(steps);
        // A horizon beyond the hour looks back further: the hour before its target is still to come.
        let hour = (steps * past.step_s).div_ceil(Season::Hour.period_s()).max(1);
        let hours = past.profile(target, Season::Hour, hour, 0);
        let day = past.analogue(target, Season::Day, 1, 0);
        let days = past.profile(target, Season::Day, 1, REACH);
        let weeks = past.profile(target, Season::Week, 1, REACH);
        let day_ratio = ratio::ratio(past, Season::Day, self.tick, self.level, target);
        let week_ratio = ratio::ratio(past, Season::Week, self.tick, self.level, target);
        let days_ratio =
            days.zip(self.days).map(|(shape, before)| ratio::moved(shape, before, self.level));

        let mut points = [self.mean_5; EXPERTS];
        let mut say = |expert: Expert, log: Option<f32>| {
            if let Some(log) = log {
                points[expert as usize] = log;
            }
        };
        say(Expert::Last, Some(last));
        say(Expert::Highest, self.highest);
        say(Expert::Mean20, Some(self.means[0]));
        say(Expert::Mean100, Some(self.means[1]));
        say(Expert::Trend, Some(trend));
        say(Expert::Hours, hours);
        say(Expert::Day, day);
        say(Expert::Week, past.analogue(target, Season::Week, 1, 0).or(day));
        say(Expert::Days, days);
        say(Expert::Weeks, weeks.or(days));
        say(Expert::DayRatio, day_ratio);
        say(Expert::WeekRatio, week_ratio.or(day_ratio));
        say(Expert::DaysRatio, days_ratio);

        let smooth_day = past.analogue(target, Season::Day, 1, REACH).unwrap_or(last);
        let smooth_week = past.analogue(target, Season::Week, 1, REACH).unwrap_or(smooth_day);
        let (of_day, of_week) = past.calendar.local_s(past.at_s(target).unwrap_or(u64::MAX));
        let by_day = of_day as f32 / Season::Day.period_s() as f32 * TAU;
        let by_week = of_week as f32 / Season::Week.period_s() as f32 * TAU;
        let features = [
            1.0,
            self.mean_5 - last,
            self.means[0] - last,
            self.means[1] - last,
            trend - last,
            // Towards the analogues, and along with them.
            smooth_day - last,
            smooth_day - self.day,
            smooth_week - last,
            smooth_week - self.week,
            days.unwrap_or(last) - last,
            days.zip(self.days).map_or(0.0, |(then, now)| then - now),
            hours.unwrap_or(last) - last,
            by_day.sin(),
            by_day.cos(),
            (2.0 * by_day).sin(),
            (2.0 * by_day).cos(),
            (3.0 * by_day).sin(),
            (3.0 * by_day).cos(),
            by_week.sin(),
            by_week.cos(),
            // Low loads come back up, high ones down; in tenths, as the other features are small too.
            last / 10.0,
            odd(past, target, days),
            self.odd,
        ];
        (points, features)
    }
}

/// Returns by how much a single step of the day stands out from its neighbours, day after day: a job on the hour, a log
/// that is rotated at midnight.
fn odd(past: &Past<'_>, tick: u64, smooth: Option<f32>) -> f32 {
    past.profile(tick, Season::Day, 1, 0).zip(smooth).map_or(0.0, |(sharp, smooth)| sharp - smooth)
}
