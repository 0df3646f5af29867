//! Why a plan is what it is, in numbers and in words.
//!
//! A plan that nobody can check is not trusted. So each says which demand it is just enough for, how likely no more than
//! that comes, and when: `7 tasks: demand p54 = 23 busy slots at 14:32, break-even 48 %`. Equal plans have equal words.

use std::fmt::Write as _;

use super::{Plan, Shape, Why, erlang};
use crate::forecast::LEVELS;

/// Halvings by which the demand is found that so many tasks are just enough for: to a millionth of where it may lie.
const HALVINGS: u32 = 20;

/// What a plan goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Basis {
    /// How likely no more comes than the tasks are just enough for, 0 to 1.
    pub level: f64,
    /// The most busy slots for which no task more would pay.
    pub demand: f64,
    /// The moment that was planned for: when a task asked for now could serve.
    pub at_us: u64,
    /// Share of its slots that a task must have busy to pay.
    pub break_even: f64,
    /// Busy slots that are expected then.
    pub expected: f64,
    /// Busy slots that are not exceeded then with nine chances in ten.
    pub p90: f64,
    /// Busy slots over the last minute; in a burst, those that are reckoned with.
    pub now: f64,
    /// The demand is known, or nothing is forecast yet and it is that of now: then there are no levels.
    pub certain: bool,
    /// How many tasks would do, where more are held.
    pub would_do: u32,
    /// Until when they are held, where they are.
    pub until_us: u64,
}

/// What may be asked for, as a planner saw it; a [`Basis`] is worked out of it only for who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Demands in rising order, and how likely each is; none while nothing is forecast.
    pub(super) demands: Vec<(f64, f64)>,
    pub(super) at_us: u64,
    pub(super) now: f64,
    pub(super) would_do: u32,
    pub(super) until_us: u64,
}

impl Seen {
    /// Returns what `tasks` go by.
    pub(super) fn basis(&self, tasks: u32, shape: &Shape) -> Basis {
        let now = [(self.now, 1.0)];
        let demands = if self.demands.is_empty() { &now } else { self.demands.as_slice() };
        let demand = just_enough(tasks, shape);
        Basis {
            level: level(demands, demand),
            demand,
            at_us: self.at_us,
            break_even: shape.next_break_even(),
            expected: demands.iter().map(|(demand, share)| demand * share).sum(),
            p90: quantile(demands, 0.9),
            now: self.now,
            certain: demands.len() <= 1,
            would_do: self.would_do,
            until_us: self.until_us,
        }
    }
}

/// Returns the most busy slots, were they known, for which a task beyond `tasks` does not pay.
fn just_enough(tasks: u32, shape: &Shape) -> f64 {
    let &Shape { slots_per_task, patience, .. } = shape;
    let break_even = shape.next_break_even();
    let pays = |demand: f64| {
        let most = tasks.saturating_add(1);
        let known = [(demand, 1.0)];
        tasks < erlang::worthwhile_tasks(&known, slots_per_task, break_even, patience, most)
    };
    let mut above = (f64::from(tasks) + 1.0) * f64::from(slots_per_task) * 2.0;
    if !pays(above) {
        // No task ever pays, or only when far more is asked than it can serve.
        return above;
    }
    let mut below = 0.0;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(below, above);
        if pays(middle) {
            above = middle;
        } else {
            below = middle;
        }
    }
    below
}

/// Returns the level of the `place`th of `demands`: those of a forecast are its own, of others the middle of their share.
fn level_of(demands: &[(f64, f64)], place: usize) -> f64 {
    if demands.len() == LEVELS.len() {
        return f64::from(LEVELS[place]);
    }
    demands[..place].iter().map(|(_, share)| share).sum::<f64>() + demands[place].1 / 2.0
}

/// Returns how likely no more than `demand` comes. Below the least of `demands` the chance falls to 0 in proportion, beyond
/// the largest what is left of it shrinks in proportion.
fn level(demands: &[(f64, f64)], demand: f64) -> f64 {
    let after = demands.partition_point(|(known, _)| *known <= demand);
    if demands.is_empty() {
        return 1.0;
    }
    let at = |place: usize| (demands[place].0, level_of(demands, place));
    if after == 0 {
        let (first, level) = at(0);
        return level * (demand / first).clamp(0.0, 1.0);
    }
    let (below, low) = at(after - 1);
    if after == demands.len() {
        let left = if demand <= 0.0 { 0.0 } else { (below / demand).clamp(0.0, 1.0) };
        return 1.0 - (1.0 - low) * left;
    }
    let (above, high) = at(after);
    low + (high - low) * (demand - below) / (above - below)
}

/// Returns the demand at a level, between those that are known in proportion; beyond them the nearest.
pub(super) fn quantile(demands: &[(f64, f64)], wanted: f64) -> f64 {
    let after = (0..demands.len()).find(|&place| wanted <= level_of(demands, place));
    match after {
        None => demands.last().map_or(0.0, |(demand, _)| *demand),
        Some(0) => demands[0].0,
        Some(after) => {
            let (low, high) = (level_of(demands, after - 1), level_of(demands, after));
            let part = if low < high { (wanted - low) / (high - low) } else { 1.0 };
            demands[after - 1].0 + part * (demands[after].0 - demands[after - 1].0)
        }
    }
}

/// Says in words why a plan is what it is; `clock` writes a moment, in microseconds since 1970, as [`utc`] does.
pub fn words(plan: &Plan, basis: Option<&Basis>, clock: impl Fn(u64) -> String) -> String {
    let tasks = plan.tasks;
    let mut text = format!("{tasks} task{}: ", if tasks == 1 { "" } else { "s" });
    let Some(basis) = basis else {
        let _ = write!(text, "{}", plan.why);
        return text;
    };
    let now = busy(basis.now);
    let _ = match plan.why {
        Why::Held => write!(
            text,
            "held: {} would do, the others are kept until {}, as to start them again would cost as much; ",
            basis.would_do,
            clock(basis.until_us),
        ),
        Why::Burst => write!(text, "burst: {now} busy slots, more than was forecast; "),
        Why::Event => write!(text, "event: "),
        Why::Needed => write!(text, "needed now for {now} busy slots; "),
        Why::Least => write!(text, "at the least of {tasks} (tasks.min); "),
        Why::Most => write!(text, "at the most of {tasks} (tasks.max); "),
        Why::Fixed | Why::TooBusy | Why::TooIdle | Why::Panic => write!(text, "{}; ", plan.why),
        Why::Forecast | Why::Unchanged => Ok(()),
    };
    if 1.0 <= basis.break_even {
        let _ = write!(text, "no task pays, break-even {}", percent(basis.break_even));
        return text;
    }
    let (demand, at) = (busy(basis.expected), clock(basis.at_us));
    let _ = match (basis.certain, plan.why) {
        (true, _) => write!(text, "demand {demand} busy slots at {at}"),
        // What these tasks are enough for says nothing: they were not counted out for it.
        (false, Why::Held | Why::Needed | Why::Least | Why::Most) => {
            write!(text, "demand {demand}, p90 = {} busy slots at {at}", busy(basis.p90))
        }
        (false, _) => {
            let level = (basis.level * 100.0).round().clamp(1.0, 99.0);
            write!(text, "demand p{level} = {} busy slots at {at}", busy(basis.demand))
        }
    };
    let _ = write!(text, ", break-even {}", percent(basis.break_even));
    text
}

/// Writes a moment, in microseconds since 1970, as the clock shows it in UTC: `14:32`.
pub fn utc(at_us: u64) -> String {
    let minutes = at_us / 60_000_000;
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// Writes busy slots: whole ones, and tenths where a tenth matters.
fn busy(slots: f64) -> String {
    let tenths = (slots * 10.0).round() / 10.0;
    if tenths < 10.0 && tenths.fract() != 0.0 {
        format!("{tenths:.1}")
    } else {
        format!("{slots:.0}")
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        slots_per_task: 4,
        break_even: 0.48,
        patience: 0.0,
        start_us: 80_000_000,
        paid_start_us: 52_000_000,
        least_paid_us: 60_000_000,
        min_tasks: 0,
        max_tasks: 40,
        warm: None,
        spot: None,
    };

    /// 14:32 of some day.
    const AT_US: u64 = (20_000 * 86_400 + 14 * 3600 + 32 * 60) * 1_000_000;

    fn seen() -> Seen {
        let demands = vec![
            (14.0, 0.15),
            (17.0, 0.225),
            (20.0, 0.25),
            (24.0, 0.2),
            (28.0, 0.1),
            (30.0, 0.045),
            (36.0, 0.03),
        ];
        Seen { demands, at_us: AT_US, now: 19.0, would_do: 5, until_us: AT_US + 60_000_000 }
    }

    fn said(tasks: u32, why: Why, seen: &Seen) -> String {
        words(&Plan::tasks(tasks, why), Some(&seen.basis(tasks, &SHAPE)), utc)
    }

    #[test]
    fn a_plan_is_worded_by_what_it_is_enough_for() {
        let ahead = "demand 21, p90 = 28 busy slots at 14:32, break-even 48 %";
        for (tasks, why, expected) in [
            (
                5,
                Why::Forecast,
                "5 tasks: demand p52 = 20 busy slots at 14:32, break-even 48 %".to_owned(),
            ),
            (
                1,
                Why::Unchanged,
                "1 task: demand p2 = 5.6 busy slots at 14:32, break-even 48 %".to_owned(),
            ),
            (
                7,
                Why::Event,
                "7 tasks: event: demand p89 = 28 busy slots at 14:32, break-even 48 %".to_owned(),
            ),
            (
                7,
                Why::Burst,
                "7 tasks: burst: 19 busy slots, more than was forecast; demand p89 = 28 busy slots at 14:32, \
                 break-even 48 %"
                    .to_owned(),
            ),
            (7, Why::Needed, format!("7 tasks: needed now for 19 busy slots; {ahead}")),
            (2, Why::Least, format!("2 tasks: at the least of 2 (tasks.min); {ahead}")),
            (40, Why::Most, format!("40 tasks: at the most of 40 (tasks.max); {ahead}")),
            (
                7,
                Why::Held,
                format!(
                    "7 tasks: held: 5 would do, the others are kept until 14:33, as to start them again would cost as \
                     much; {ahead}"
                ),
            ),
        ] {
            assert_eq!(said(tasks, why, &seen()), expected);
        }
        let known = Seen { demands: vec![(2.54, 1.0)], at_us: AT_US, ..Seen::default() };
        assert_eq!(
            said(1, Why::Forecast, &known),
            "1 task: demand 2.5 busy slots at 14:32, break-even 48 %"
        );
        assert_eq!(words(&Plan::tasks(3, Why::Fixed), None, utc), "3 tasks: fixed");
    }

    #[test]
    fn so_many_tasks_are_just_enough_for_that_demand() {
        for tasks in [0, 1, 7, 300] {
            let basis = seen().basis(tasks, &SHAPE);
            let pays =
                |demand: f64| erlang::worthwhile_tasks(&[(demand, 1.0)], 4, 0.48, 0.0, 10_000);
            assert_eq!(pays(basis.demand * 0.999), tasks, "{basis:?}");
            assert_eq!(pays(basis.demand * 1.001 + 0.001), tasks + 1, "{basis:?}");
            assert!((0.0..=1.0).contains(&basis.level));
        }
    }

    #[test]
    fn levels_and_quantiles_are_each_others_inverse() {
        let demands = seen().demands;
        for level_wanted in [0.05, 0.2, 0.5, 0.54, 0.9, 0.97, 0.99] {
            let demand = quantile(&demands, level_wanted);
            assert!((level(&demands, demand) - level_wanted).abs() < 1e-6, "{level_wanted}");
        }
        assert!(level(&demands, 0.0) <= 0.0 && level(&demands, 1e9) < 1.0);
        assert!((level(&demands, 7.0) - 0.025).abs() < 1e-9);
        // A demand that is known, and none.
        assert!((level(&[(5.0, 1.0)], 5.0) - 0.5).abs() < 1e-9);
        assert!((quantile(&[(5.0, 1.0)], 0.9) - 5.0).abs() < 1e-9 && quantile(&[], 0.9) <= 0.0);
    }

    #[test]
    fn a_task_that_never_pays_is_said_to() {
        let shape = Shape { break_even: 1.12, ..SHAPE };
        let text = words(&Plan::tasks(0, Why::Forecast), Some(&seen().basis(0, &shape)), utc);
        assert_eq!(text, "0 tasks: no task pays, break-even 112 %");
    }
}
