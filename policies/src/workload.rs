//! The workload file: what a trace of arrivals lacks, said by whoever replays it.
//!
//! A trace tells when requests came. How long they take, how long starts take, how large tasks and functions are and what
//! is promised it does not tell; a scenario is a trace and all of that. The file is read with the machinery of the policy
//! file, so its mistakes are told all at once, each with its place and its fix. No file is opened here: paths are as
//! written, with their place for whoever cannot open one.

mod distribution;
mod inherit;
mod read;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

pub use self::distribution::Distribution;
use self::read::{KEYS, Level};
use crate::{
    cost::{FunctionSize, TaskSize, UNITS_PER_VCPU},
    decide::Class,
    node,
    policy::{self, Arch, Objective, WarmPool},
    problem::{Place, Problem, Problems},
    spec::{
        fields::{Fields, Sink, Written},
        scalar,
    },
};

/// One load to replay, and what is assumed of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name, unique in its file: at most 64 of `a-z`, `0-9`, `-` and `_`.
    pub name: String,
    /// Where it begins.
    pub place: Place,
    /// The trace of arrivals; `None` only where traces are given apart from the file: see [`Assumptions`].
    pub trace: Option<TraceFile>,
    /// Duration percentiles of each function of the trace (Azure Functions).
    pub profiles: Option<TraceFile>,
    /// What every count of the trace is multiplied by: 0.000001 to 1,000,000. Default 1.
    pub scale: f64,
    /// How long a request takes in a container; `None` only with `profiles`, or where traces are given apart. With
    /// `profiles`, it is that of functions which have none there.
    pub service_time: Option<Distribution>,
    /// From a task asked for until its first probe is answered. Default log-normal, 60 s, cv 0.25.
    pub task_start: Distribution,
    /// How a function's environments start. Default plain, log-normal, 400 ms, cv 0.3.
    pub cold_start: Start,
    /// Memory of the function in MiB: 128 to 10,240. Default 1,769, one vCPU.
    pub memory_mib: u32,
    /// Size of a task. The function's architecture is the task's.
    pub task: Task,
    /// Requests that one task serves at once: 1 to 100,000. Default 1.
    pub requests_per_task: u32,
    /// What is promised, over the whole trace: `window` is none. Default nothing.
    pub objective: Objective,
    /// How long a request takes on Lambda over how long in a container: 0.01 to 100, 2 being twice as long. Default 1.
    pub lambda_speed: f64,
    /// How long an idle environment stays: above 0, at most a day. Default 10 minutes.
    pub idle_lifetime: Duration,
    /// The function's timeout: 1 s to 15 min. Default 15 min.
    pub timeout: Duration,
    /// Environments that may be held warm, by Pacer's own planners; `None` holds none.
    pub warm_pool: Option<WarmPool>,
    /// Concurrency reserved for the function, and its cap; `None` shares what the account has. 1 to 1,000,000.
    pub reserved_concurrency: Option<u32>,
    /// Invocations that Pacer keeps in flight at once; `None` leaves it to Lambda's limits. 1 to 1,000,000.
    pub max_in_flight: Option<u32>,
    /// How many tasks there may be.
    pub tasks: TaskRange,
    /// How much of the tasks is on Spot.
    pub spot: Spot,
    /// The class that its requests are declared as; `None` is `auto`. Default marathon: containers first.
    pub class: Option<Class>,
    /// The keys that nobody wrote, whose defaults hold, for a report to name: `task.vcpu`. Without those of which
    /// nothing is the default.
    pub assumed: Vec<&'static str>,
}

/// What is assumed of a policy's services, whose traces are given apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Assumptions {
    /// Scenarios, each of the service that is named like it.
    scenarios: Vec<Scenario>,
    /// What holds for all other services.
    rest: Scenario,
}

impl Assumptions {
    /// Returns what is assumed of the service `name`.
    pub fn of(&self, name: &str) -> &Scenario {
        self.scenarios.iter().find(|scenario| scenario.name == name).unwrap_or(&self.rest)
    }

    /// Returns the scenarios that the file has.
    pub fn scenarios(&self) -> &[Scenario] {
        &self.scenarios
    }
}

impl Default for Assumptions {
    /// Everything that is assumed where nothing is written.
    fn default() -> Self {
        load_assumptions("defaults", "version: 1\n").expect("a file may leave everything out")
    }
}

/// A file that a scenario names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceFile {
    /// Its path as written, not empty: relative to what the caller says.
    pub path: String,
    /// Where that is written.
    pub place: Place,
    /// As what, such as `scenarios[0].trace`.
    pub field: String,
}

/// How a function's environments start, and how long that takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// How.
    pub kind: policy::ColdStart,
    /// How long; of provisioned concurrency, those beyond what is provisioned.
    pub time: Distribution,
}

/// Size of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    /// Virtual CPUs: 0.125 to 256. Default 1.
    pub vcpu: f64,
    /// Memory in MiB: 64 to 4,194,304. Default 2,048, the least that Fargate sells with one vCPU.
    pub memory_mib: u32,
    /// Architecture, of the function too. Default Arm.
    pub arch: Arch,
}

/// How many tasks there may be; `min` is not above `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRange {
    /// At least: 0 to 100,000. Default 0.
    pub min: u32,
    /// At most: 1 to 100,000. Default 10,000.
    pub max: u32,
}

/// How much of the tasks is on Spot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    /// Largest share of tasks on Spot, 0 to 1. Default 0.
    pub up_to: f64,
    /// How often Spot takes a task back, per hour that the task runs: 0 to 60. Default 0.05, a guess: AWS publishes
    /// nothing for Fargate.
    pub interruptions_per_hour: f64,
}

impl Scenario {
    /// Returns what decides the price of its function.
    pub const fn function_size(&self) -> FunctionSize {
        FunctionSize { arch: self.task.arch, memory_mib: self.memory_mib }
    }

    /// Returns what decides the price of a task.
    pub fn task_size(&self) -> TaskSize {
        let cpu_units = (self.task.vcpu * UNITS_PER_VCPU as f64).round() as u32;
        TaskSize { arch: self.task.arch, cpu_units, memory_mib: self.task.memory_mib }
    }
}

impl TraceFile {
    /// Returns the problem that `message` tells of this file, at the place where it is named.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { place: self.place.clone(), field: self.field.clone(), message: message.into() }
    }
}

/// Reads the workload file `text`; `file` is its name to tell in errors.
///
/// Returns its scenarios in their order, at least one.
///
/// # Errors
///
/// All problems of the file, each with its line, field and fix.
pub fn load(file: &str, text: &str) -> Result<Vec<Scenario>, Problems> {
    let scenarios = read(file, text, Traces::Named)?.scenarios;
    debug_assert!(!scenarios.is_empty(), "a file without scenarios has a problem");
    Ok(scenarios)
}

/// Reads the workload file `text` for a policy's services, whose traces are given apart: a scenario is named like its
/// service and needs neither a trace nor service times, and what `defaults` say holds for all other services.
///
/// # Errors
///
/// All problems of the file, each with its line, field and fix.
pub fn load_assumptions(file: &str, text: &str) -> Result<Assumptions, Problems> {
    read(file, text, Traces::Apart)
}

/// Where the traces are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Traces {
    /// Each scenario names its own.
    Named,
    /// They are given apart from the file.
    Apart,
}

fn read(file: &str, text: &str, traces: Traces) -> Result<Assumptions, Problems> {
    let file: Arc<str> = file.into();
    let root = node::parse(&file, text).map_err(|problem| Problems(vec![problem]))?;
    let sink = Sink::default();
    let read = Fields::of(&root, String::new(), &sink).map(|fields| read_file(fields, traces));
    let problems = sink.into_problems(&[file.to_string()]);
    match read {
        Some(assumptions) if problems.is_empty() => Ok(assumptions),
        _ => Err(Problems(problems)),
    }
}

fn read_file(mut fields: Fields<'_, '_>, traces: Traces) -> Assumptions {
    let version = fields.value("version", scalar::VERSION);
    if version.is_none() && !fields.has_value("version") {
        let place = Place { line: 1, column: 1, ..fields.place.clone() };
        fields.missing_at(place, "version", "write `version: 1` first");
    }
    let defaults = match fields.fields("defaults") {
        Some(mut defaults) => {
            let level = Level::read(&mut defaults);
            defaults.misplaced("name", "belongs to a scenario; move it there");
            defaults.done();
            level
        }
        // What could not be read may hold what scenarios seem to lack.
        None if fields.has_value("defaults") => Level::unreadable(),
        None => Level::default(),
    };
    for key in KEYS {
        fields.misplaced(key, "belongs in `defaults` or a scenario; move it there");
    }
    for key in ["services", "routes"] {
        fields.misplaced(key, "belongs in a policy; give that file with `--policy`");
    }
    let read = fields.each("scenarios", |fields| read_scenario(fields, &defaults, traces));
    let any = fields.has_value("scenarios") && !fields.list_is_empty("scenarios");
    if traces == Traces::Named && !any {
        fields.missing("scenarios", "write at least one, such as `- { name: api, trace: api.csv, service_time: { fixed: 200ms } }`");
    }
    unique(fields.sink, read.iter().filter_map(|(name, _)| name.as_ref()));
    // Scenarios that name their traces stand for themselves: what they all mend in `defaults` is sound.
    let rest = match traces {
        Traces::Named => Level::default(),
        Traces::Apart => defaults,
    };
    let rest = inherit::scenario("", &rest, &Level::default(), &fields);
    fields.done();
    let scenarios = read.into_iter().filter_map(|(_, scenario)| scenario).collect();
    Assumptions { scenarios, rest }
}

/// Reads one scenario. Its name is returned apart, for it may be read where the rest may not.
fn read_scenario(
    mut fields: Fields<'_, '_>,
    defaults: &Level,
    traces: Traces,
) -> (Option<Written<String>>, Option<Scenario>) {
    let name = fields.value("name", read::NAME);
    if !fields.has_value("name") {
        fields.missing("name", "write one, for reports and for `--scenario`");
    }
    let own = Level::read(&mut fields);
    if traces == Traces::Named {
        inherit::require(&own, defaults, &fields);
    }
    let known = name.as_ref().map(|name| &*name.value);
    let scenario = inherit::scenario(known.unwrap_or_default(), &own, defaults, &fields);
    fields.done();
    let complete = known.is_some() && (traces == Traces::Apart || scenario.trace.is_some());
    (name, complete.then_some(scenario))
}

/// Notes names that more than one scenario has.
fn unique<'w>(sink: &Sink, names: impl Iterator<Item = &'w Written<String>>) {
    let mut places: HashMap<&str, &Place> = HashMap::new();
    for name in names {
        if let Some(first) = places.get(&*name.value) {
            let message = format!(
                "the scenario at {first} is called `{}` too; rename one of them",
                name.value
            );
            name.problem(sink, message);
        } else {
            places.insert(&name.value, &name.place);
        }
    }
}
