//! What is told of bounds and schedules: what is to become of services, now and later.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{Shared, clock::timestamp, scheduler::GROUP};

/// One scalable target, now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScalableTargetState {
    /// `MinCapacity`.
    pub min: u32,
    /// `MaxCapacity`.
    pub max: u32,
    /// Whether scale-in by policies is suspended.
    pub dynamic_scaling_in_suspended: bool,
    /// Whether scale-out by policies is suspended.
    pub dynamic_scaling_out_suspended: bool,
    /// Whether scheduled actions are suspended.
    pub scheduled_scaling_suspended: bool,
    /// Its scheduled actions by name, those that have acted included.
    pub scheduled_actions: BTreeMap<String, ScheduledActionState>,
}

/// One scheduled action, now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduledActionState {
    /// As it was put: `at(...)`.
    pub schedule: String,
    /// As it was put.
    pub timezone: Option<String>,
    /// The moment that both name, in UTC.
    pub at: String,
    /// The `MinCapacity` that it sets.
    pub min: Option<u32>,
    /// The `MaxCapacity` that it sets.
    pub max: Option<u32>,
    /// Whether it has yet to act.
    pub pending: bool,
}

/// One schedule, now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduleState {
    /// As it was made: `at(...)`.
    pub schedule: String,
    /// The moment that it names, in UTC.
    pub at: String,
    /// What `UpdateService` is called with, in ECS's names.
    pub input: Value,
    /// Whether it has yet to call its target, for the first time or again.
    pub pending: bool,
    /// Calls that failed so far.
    pub failures: u32,
}

pub(super) fn targets(shared: &Shared) -> BTreeMap<String, ScalableTargetState> {
    let targets = shared.autoscaling.targets();
    let state = targets.iter().map(|(id, target)| {
        let actions = target.actions.iter().map(|(name, action)| {
            let state = ScheduledActionState {
                schedule: action.schedule.clone(),
                timezone: action.timezone.clone(),
                at: timestamp(action.at),
                min: action.min,
                max: action.max,
                pending: action.due.is_some(),
            };
            (name.clone(), state)
        });
        let state = ScalableTargetState {
            min: target.min,
            max: target.max,
            dynamic_scaling_in_suspended: target.suspended.dynamic_in,
            dynamic_scaling_out_suspended: target.suspended.dynamic_out,
            scheduled_scaling_suspended: target.suspended.scheduled,
            scheduled_actions: actions.collect(),
        };
        (id.clone(), state)
    });
    state.collect()
}

pub(super) fn schedules(shared: &Shared) -> BTreeMap<String, ScheduleState> {
    let schedules = shared.scheduler.schedules();
    let state = schedules.iter().map(|(name, schedule)| {
        let state = ScheduleState {
            schedule: schedule.expression().to_owned(),
            at: timestamp(schedule.at),
            input: schedule.input.clone(),
            pending: schedule.due.is_some(),
            failures: schedule.failures,
        };
        (format!("{GROUP}/{name}"), state)
    });
    state.collect()
}
