//! What was held ready when the crowd came: how the count of tasks went before it, and what the gateway planned.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

/// Changes that are remembered; a day of the demo has some thousands.
const CHANGES_MAX: usize = 100_000;

/// Tasks at one moment, of all services together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tasks {
    /// So many there shall be.
    pub desired: u64,
    /// So many take requests.
    pub ready: u64,
}

/// What the gateway plans for a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Plan {
    /// Why so many tasks, in the gateway's words.
    pub why: String,
    /// Slots that nine chances in ten do not exceed by the time that a task asked for now is ready.
    pub p90: f64,
    /// How long a start takes, in seconds of the recording.
    pub start_s: f64,
    /// Slots of the tasks that are ready.
    pub slots: u64,
}

/// The gateway's `/services`, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Service {
    container: Option<Container>,
    plan: Option<Told>,
}

#[derive(Debug, Deserialize)]
struct Container {
    tasks_ready: u64,
    slots: u64,
}

#[derive(Debug, Deserialize)]
struct Told {
    why: String,
    start_seconds: f64,
    forecast_slots: Forecast,
}

#[derive(Debug, Deserialize)]
struct Forecast {
    p90: f64,
}

/// Returns how many tasks of all services take requests, and the plan of the first that has one.
pub(super) fn read(services: Vec<Service>) -> (u64, Option<Plan>) {
    let ready =
        services.iter().filter_map(|service| Some(service.container.as_ref()?.tasks_ready)).sum();
    let plan = services.into_iter().find_map(|service| {
        let (told, container) = (service.plan?, service.container?);
        Some(Plan {
            why: told.why,
            p90: told.forecast_slots.p90,
            start_s: told.start_seconds,
            slots: container.slots,
        })
    });
    (ready, plan)
}

/// How the count of tasks went, by the demo's time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story(Vec<(Duration, Tasks)>);

/// How tasks rose ahead of the crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rise {
    /// Tasks that there should be for most of the time before the crowd.
    pub quiet: u64,
    /// How long before the crowd more were asked for than that, and not taken back until it came; `None` when it came
    /// first.
    pub ahead: Option<Duration>,
    /// Tasks that took requests when the crowd came.
    pub ready: u64,
    /// Tasks that there should be at most, until the end.
    pub most: u64,
}

impl Story {
    /// Takes in how many tasks there are now.
    pub(crate) fn note(&mut self, at: Duration, tasks: Tasks) {
        let known = self.0.last().is_some_and(|(_, last)| *last == tasks);
        if !known && self.0.len() < CHANGES_MAX {
            self.0.push((at, tasks));
        }
    }

    /// Returns how tasks rose ahead of a crowd that came at `crowd`; `None` when nothing was seen before it.
    pub(crate) fn rise(&self, crowd: Duration) -> Option<Rise> {
        let before: Vec<_> = self.0.iter().filter(|(at, _)| *at < crowd).collect();
        let (_, last) = before.last()?;
        let ends = before.iter().skip(1).map(|(at, _)| *at).chain([crowd]);
        let mut held: BTreeMap<u64, Duration> = BTreeMap::new();
        for ((at, tasks), until) in before.iter().zip(ends) {
            *held.entry(tasks.desired).or_default() += until.saturating_sub(*at);
        }
        let (quiet, _) = held.into_iter().max_by_key(|(_, held)| *held)?;
        let above = before.iter().rev().take_while(|(_, tasks)| quiet < tasks.desired);
        let ahead = above.last().map(|(at, _)| crowd.saturating_sub(*at));
        let most = self.0.iter().map(|(_, tasks)| tasks.desired).max()?;
        Some(Rise { quiet, ahead, ready: last.ready, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn story(changes: &[(u64, u64, u64)]) -> Story {
        let mut story = Story::default();
        for &(seconds, desired, ready) in changes {
            story.note(at(seconds), Tasks { desired, ready });
        }
        story
    }

    #[test]
    fn a_rise_is_counted_from_what_was_held_longest_and_was_not_taken_back() {
        let story = story(&[
            (0, 2, 2),
            (1, 3, 2),
            (2, 2, 2),
            (9, 3, 2),
            (11, 5, 3),
            (15, 5, 5),
            (20, 7, 5),
        ]);
        let rise = Rise { quiet: 2, ahead: Some(at(7)), ready: 5, most: 7 };
        assert_eq!(story.rise(at(16)), Some(rise));
    }

    #[test]
    fn a_crowd_that_comes_first_is_told_as_that() {
        let late = story(&[(0, 2, 2), (17, 5, 2)]);
        assert_eq!(late.rise(at(16)), Some(Rise { quiet: 2, ahead: None, ready: 2, most: 5 }));
        assert_eq!(story(&[(17, 5, 2)]).rise(at(16)), None);
    }

    #[test]
    fn the_admin_api_is_read() {
        let text = r#"[
            {"name": "a", "container": null, "plan": null},
            {"name": "b", "container": {"tasks_ready": 2, "slots": 2}, "plan": {"tasks": 5, "why": "5 tasks: so",
             "start_seconds": 41.5, "forecast_slots": {"expected": 3.1, "p90": 4.5}}}
        ]"#;
        let (ready, plan) = read(serde_json::from_str(text).unwrap());
        let expected = Plan { why: "5 tasks: so".to_owned(), p90: 4.5, start_s: 41.5, slots: 2 };
        assert_eq!((ready, plan), (2, Some(expected)));
    }
}
