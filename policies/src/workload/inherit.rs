//! Inheritance, and what holds when nothing is written.
//!
//! Field by field: a scenario's own value, else that of `defaults`, else the built-in one. A distribution is one field.

use std::time::Duration;

use super::{Distribution, Scenario, Spot, Start, Task, TaskRange, read::Level};
use crate::{
    decide::Class,
    policy::{Arch, ColdStart, Objective, WarmPool},
    spec::{
        defaults as built_in,
        fields::{Fields, Sink, Written},
    },
};

/// Published for an image of 413 MB: 53 to 62 s from creation to start. Doubled, planners must look twice as far ahead.
const TASK_START: Distribution = Distribution::Lognormal { mean: Duration::from_mins(1), cv: 0.25 };
/// Published for a Rust image at 1769 MiB: 425 ms. Python and Java may take seconds: their owners should write it.
const COLD_START: Start = Start {
    kind: ColdStart::Plain,
    time: Distribution::Lognormal { mean: Duration::from_millis(400), cv: 0.3 },
};
/// Not documented by AWS; what was measured lies between 5 and 45 minutes, mostly near this since July 2019.
const IDLE_LIFETIME: Duration = Duration::from_mins(10);
/// The longest that Lambda allows (AWS Lambda quotas): a replay should not fail requests by a limit nobody wrote.
const TIMEOUT: Duration = Duration::from_mins(15);
/// Twice ECS's own quota of tasks per service: none in practice.
const TASKS: TaskRange = TaskRange { min: 0, max: 10_000 };
/// Slots of all tasks together: 10,000 tasks of a thousand requests, 80 MB of memory.
const SLOTS_MAX: u32 = 10_000_000;
/// AWS publishes no rate for Fargate: a task in twenty each hour is a guess on the high side.
const SPOT: Spot = Spot { up_to: 0.0, interruptions_per_hour: 0.05 };
/// Containers first: a free slot is already paid for.
const CLASS: Option<Class> = Some(Class::Marathon);

/// The levels that apply, and the keys that neither writes.
struct Levels<'l> {
    own: &'l Level,
    defaults: &'l Level,
    assumed: Vec<&'static str>,
}

impl<'l> Levels<'l> {
    /// Returns the value of the nearest level that writes one.
    fn nearest<T>(&self, get: impl Fn(&'l Level) -> Option<&'l T>) -> Option<&'l T> {
        get(self.own).or_else(|| get(self.defaults))
    }

    fn or<T: Clone + 'l>(
        &mut self,
        key: &'static str,
        get: impl Fn(&'l Level) -> Option<&'l T>,
        default: T,
    ) -> T {
        let written = self.nearest(get);
        if written.is_none() {
            self.assumed.push(key);
        }
        written.cloned().unwrap_or(default)
    }
}

/// Notes what a scenario that is replayed by itself must have and neither level writes.
pub(super) fn require(own: &Level, defaults: &Level, fields: &Fields<'_, '_>) {
    if !own.trace_written && !defaults.trace_written {
        fields.missing("trace", "write the path of a trace of arrivals");
    }
    if !own.times_written && !defaults.times_written {
        fields.missing(
            "service_time",
            "write how long requests take, such as `{ lognormal: { mean: 200ms, cv: 1 } }`, or `profiles`",
        );
    }
}

/// Returns the scenario that `own` and `defaults` make; notes what does not go together.
pub(super) fn scenario(
    name: &str,
    own: &Level,
    defaults: &Level,
    fields: &Fields<'_, '_>,
) -> Scenario {
    let mut levels = Levels { own, defaults, assumed: vec![] };
    let trace = levels.nearest(|level| level.trace.as_ref()).cloned();
    let profiles = levels.nearest(|level| level.profiles.as_ref()).cloned();
    let service_time = levels.nearest(|level| level.service_time.as_ref()).cloned();
    let scale = levels.or("scale", |level| level.scale.as_ref(), 1.0);
    let task_start = levels.or("task_start", |level| level.task_start.as_ref(), TASK_START);
    let cold_start = levels.or("cold_start", |level| level.cold_start.as_ref(), COLD_START);
    let memory_mib =
        levels.or("memory", |level| level.memory_mib.as_ref(), built_in::LAMBDA_MEMORY_MIB);
    let task = Task {
        vcpu: levels.or("task.vcpu", |level| level.vcpu.as_ref(), built_in::TASK_VCPU),
        memory_mib: levels.or(
            "task.memory",
            |level| level.task_memory_mib.as_ref(),
            built_in::TASK_MEMORY_MIB,
        ),
        arch: levels.or("task.arch", |level| level.arch.as_ref(), Arch::default()),
    };
    let requests_per_task =
        levels.or("requests_per_task", |level| level.requests_per_task.as_ref(), 1);
    let objective = Objective {
        p99: levels.nearest(|level| level.p99.as_ref()).copied(),
        success: levels.nearest(|level| level.success.as_ref()).copied(),
        window: None,
    };
    let lambda_speed = levels.or("lambda_speed", |level| level.lambda_speed.as_ref(), 1.0);
    let idle_lifetime =
        levels.or("idle_lifetime", |level| level.idle_lifetime.as_ref(), IDLE_LIFETIME);
    let timeout = levels.or("timeout", |level| level.timeout.as_ref(), TIMEOUT);
    let warm_pool = warm_pool(&levels, cold_start.kind, fields.sink);
    let cap = |written: Option<&Written<Option<u32>>>| written.and_then(|written| written.value);
    let reserved_concurrency = cap(levels.nearest(|level| level.reserved_concurrency.as_ref()));
    let max_in_flight = cap(levels.nearest(|level| level.max_in_flight.as_ref()));
    let tasks = tasks(&mut levels, requests_per_task, fields.sink);
    let spot = Spot {
        up_to: levels.or("spot.up_to", |level| level.spot_up_to.as_ref(), SPOT.up_to),
        interruptions_per_hour: levels.or(
            "spot.interruptions_per_hour",
            |level| level.interruptions_per_hour.as_ref(),
            SPOT.interruptions_per_hour,
        ),
    };
    let class = levels.or("class", |level| level.class.as_ref().map(|class| &class.value), CLASS);
    Scenario {
        name: name.to_owned(),
        place: fields.place.clone(),
        trace,
        profiles,
        scale,
        service_time,
        task_start,
        cold_start,
        memory_mib,
        task,
        requests_per_task,
        objective,
        lambda_speed,
        idle_lifetime,
        timeout,
        warm_pool,
        reserved_concurrency,
        max_in_flight,
        tasks,
        spot,
        class,
        assumed: levels.assumed,
    }
}

/// Returns what may be held warm: of the nearest level that writes any of it, as a whole. Notes what does not go together.
fn warm_pool(levels: &Levels<'_>, cold_start: ColdStart, sink: &Sink) -> Option<WarmPool> {
    let written = levels.nearest(|level| level.warm_pool.as_ref())?;
    let most = written.max.as_ref()?;
    let min = written.min.as_ref().map_or(0, |min| min.value);
    if let Some(min) = written.min.as_ref().filter(|min| most.value < min.value) {
        min.problem(sink, format!("is more than `max` ({}); lower it, or raise `max`", most.value));
    }
    if cold_start == ColdStart::Provisioned && most.value == 0 {
        most.problem(
            sink,
            "with `cold_start: { provisioned: ... }`, provisioned concurrency is at least 1; raise it, or write another `cold_start`",
        );
    }
    Some(WarmPool { min, max: most.value, spend: written.spend.as_ref().map(|spend| spend.value) })
}

/// Returns how many tasks there may be; notes when there is no such number.
fn tasks(levels: &mut Levels<'_>, requests_per_task: u32, sink: &Sink) -> TaskRange {
    let (own, defaults) = (levels.own, levels.defaults);
    let mut bound = |key, get: fn(&Level) -> Option<&Written<u32>>, default| {
        let written = levels.nearest(get);
        if written.is_none() {
            levels.assumed.push(key);
        }
        written.map_or(default, |written| written.value)
    };
    let min: fn(&Level) -> Option<&Written<u32>> = |level| level.tasks_min.as_ref();
    let max: fn(&Level) -> Option<&Written<u32>> = |level| level.tasks_max.as_ref();
    let fitting = SLOTS_MAX / requests_per_task.max(1);
    let range = TaskRange {
        min: bound("tasks.min", min, TASKS.min),
        max: bound("tasks.max", max, TASKS.max.min(fitting)),
    };
    if let Some(written) = levels.nearest(max)
        && fitting < range.max
    {
        written.problem(
            sink,
            format!(
                "{} tasks of {requests_per_task} requests are more than {SLOTS_MAX} slots, the most that is reckoned with; write at most {fitting}",
                range.max
            ),
        );
    }
    if range.max < range.min {
        // Told where it was written last: at the scenario, if it writes either of them.
        let nearest = min(own).or(max(own)).or(min(defaults)).or(max(defaults));
        if let Some(written) = nearest {
            let TaskRange { min, max } = range;
            written.problem(
                sink,
                format!("`min` is {min} and `max` is {max}; lower the one or raise the other"),
            );
        }
    }
    range
}
