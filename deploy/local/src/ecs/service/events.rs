//! What a service has done lately, in the words of ECS ("Amazon ECS service event messages", developer guide).

use std::{collections::VecDeque, sync::Arc, time::SystemTime};

use crate::{clock, ecs::task::Task};

/// Events that are shown: "up to 100 of the latest" (ECS API reference, `Service.events`).
const EVENTS_MAX: usize = 100;
/// Tasks that one event names; more tasks make more events.
const TASKS_MAX: usize = 10;

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) at: SystemTime,
    pub(crate) message: String,
}

/// The latest events of one service, the newest first.
#[derive(Debug, Default)]
pub(super) struct Events(VecDeque<Event>);

impl Events {
    pub(super) fn all(&self) -> Vec<Event> {
        self.0.iter().cloned().collect()
    }

    /// Notes that tasks were started.
    pub(super) fn started(&mut self, service: &str, tasks: &[Arc<Task>]) {
        self.of_tasks(service, tasks, |count| format!("has started {count} tasks"));
    }

    /// Notes that tasks were told to stop.
    pub(super) fn stopped(&mut self, service: &str, tasks: &[Arc<Task>]) {
        self.of_tasks(service, tasks, |count| format!("has stopped {count} running tasks"));
    }

    /// Notes that all is as it should be.
    pub(super) fn steady(&mut self, service: &str) {
        self.note(format!("(service {service}) has reached a steady state."));
    }

    /// Notes that there was no zone to start a task in; not again as long as nothing else happens.
    pub(super) fn no_capacity(&mut self, service: &str) {
        let message = format!(
            "(service {service}) was unable to place a task. Reason: Capacity is unavailable at this time."
        );
        if self.0.front().is_none_or(|last| last.message != message) {
            self.note(message);
        }
    }

    fn of_tasks(&mut self, service: &str, tasks: &[Arc<Task>], did: fn(usize) -> String) {
        for tasks in tasks.chunks(TASKS_MAX) {
            let ids: Vec<_> = tasks.iter().map(|task| format!("(task {})", task.id)).collect();
            self.note(format!("(service {service}) {}: {}.", did(tasks.len()), ids.join(" ")));
        }
    }

    fn note(&mut self, message: String) {
        self.0.truncate(EVENTS_MAX - 1);
        self.0.push_front(Event { id: clock::request_id(), at: SystemTime::now(), message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_hundred_are_kept_the_newest_first() {
        let mut events = Events::default();
        (0..150).for_each(|n| events.note(n.to_string()));
        let all = events.all();
        assert_eq!(
            (all.len(), all[0].message.as_str(), all[99].message.as_str()),
            (100, "149", "50")
        );
        events.no_capacity("web");
        events.no_capacity("web");
        assert_eq!(events.all()[1].message, "149");
    }
}
