//! What a scenario, or `defaults`, writes: each key read, nothing inherited.

use std::{ops::RangeInclusive, time::Duration};

use super::{Distribution, Start, TraceFile, distribution};
use crate::{
    decide::Class,
    policy::{Arch, ColdStart},
    spec::{
        capacity::WarmPoolSpec,
        fields::{Fields, WordOrFields, Written},
        scalar::{self, Scalar, Shape},
        service,
    },
    units,
};

/// What may be written at each level; `None` inherits.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) trace: Option<TraceFile>,
    pub(super) profiles: Option<TraceFile>,
    pub(super) scale: Option<f64>,
    pub(super) service_time: Option<Distribution>,
    pub(super) task_start: Option<Distribution>,
    pub(super) cold_start: Option<Start>,
    pub(super) memory_mib: Option<u32>,
    pub(super) vcpu: Option<f64>,
    pub(super) task_memory_mib: Option<u32>,
    pub(super) arch: Option<Arch>,
    pub(super) requests_per_task: Option<u32>,
    pub(super) p99: Option<Duration>,
    pub(super) success: Option<f64>,
    pub(super) lambda_speed: Option<f64>,
    pub(super) idle_lifetime: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) warm_pool: Option<WarmPoolSpec>,
    /// The inner `None` is written `none`.
    pub(super) reserved_concurrency: Option<Written<Option<u32>>>,
    /// The inner `None` is written `none`.
    pub(super) max_in_flight: Option<Written<Option<u32>>>,
    pub(super) tasks_min: Option<Written<u32>>,
    pub(super) tasks_max: Option<Written<u32>>,
    pub(super) spot_up_to: Option<f64>,
    pub(super) interruptions_per_hour: Option<f64>,
    /// The inner `None` is `auto`.
    pub(super) class: Option<Written<Option<Class>>>,
    /// A trace is written, even if it could not be read: then its absence is not a second problem.
    pub(super) trace_written: bool,
    /// So are service times or profiles.
    pub(super) times_written: bool,
}

/// All keys that [`Level::read`] asks for: at the top of the file they are in the wrong place. A test compares.
pub(super) const KEYS: [&str; 19] = [
    "trace",
    "profiles",
    "scale",
    "service_time",
    "task_start",
    "cold_start",
    "memory",
    "task",
    "requests_per_task",
    "objective",
    "lambda_speed",
    "idle_lifetime",
    "timeout",
    "warm_pool",
    "reserved_concurrency",
    "max_in_flight",
    "tasks",
    "spot",
    "class",
];

pub(super) const NAME: Scalar<String> = scalar::scalar(
    |text| service::service_name(text).map(|()| text.to_owned()),
    Shape::Form("^[a-z0-9_-]{1,64}$"),
);
/// From one of a million requests to a million for each: more is a slip.
const SCALE: Scalar<f64> = scalar::scalar(|text| number(text, 1e-6, 1e6), Shape::Number);
const SPEED: Scalar<f64> = scalar::scalar(|text| number(text, 0.01, 100.0), Shape::Number);
/// From half of the least that Fargate sells to more than EC2's largest common machines have.
const VCPU: Scalar<f64> = scalar::scalar(|text| number(text, 0.125, 256.0), Shape::Number);
const PER_HOUR: Scalar<f64> = scalar::scalar(|text| number(text, 0.0, 60.0), Shape::Number);
const TASK_MEMORY: Scalar<u32> = scalar::scalar(task_memory, scalar::SIZE.shape);
const SLOTS: Scalar<u32> = scalar::scalar(|text| whole(text, 1..=100_000), Shape::Count);
const TASKS_MIN: Scalar<u32> = scalar::scalar(|text| whole(text, 0..=100_000), Shape::Text);
const TASKS_MAX: Scalar<u32> = scalar::scalar(|text| whole(text, 1..=100_000), Shape::Count);
const CONCURRENCY: Scalar<Option<u32>> = scalar::scalar(concurrency, Shape::Text);
const IDLE: Scalar<Duration> = scalar::scalar(idle, scalar::DURATION.shape);
/// One word where a start is due: always a mistake.
const NO_START: Scalar<()> = scalar::scalar(
    |text| {
        let how = if ["snapstart", "provisioned"].contains(&text) { text } else { "plain" };
        let time = match distribution::time(text) {
            Ok(_) => format!("{{ fixed: {text} }}"),
            Err(_) => "{ lognormal: { mean: 400ms, cv: 0.3 } }".to_owned(),
        };
        Err(format!(
            "expected how environments start and how long that takes, got `{text}`; write `{{ {how}: {time} }}`"
        ))
    },
    Shape::Text,
);

impl Level {
    /// Returns a level of which nothing is known, so that nothing can be said to be missing.
    pub(super) fn unreadable() -> Self {
        Self { trace_written: true, times_written: true, ..Self::default() }
    }

    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let mut level = Self {
            trace: trace_file(fields, "trace"),
            profiles: trace_file(fields, "profiles"),
            scale: value(fields, "scale", SCALE),
            service_time: Distribution::read(fields, "service_time"),
            task_start: Distribution::read(fields, "task_start"),
            cold_start: cold_start(fields),
            memory_mib: value(fields, "memory", service::LAMBDA_MEMORY),
            ..Self::default()
        };
        if let Some(mut task) = fields.fields("task") {
            level.vcpu = value(&mut task, "vcpu", VCPU);
            level.task_memory_mib = value(&mut task, "memory", TASK_MEMORY);
            level.arch = value(&mut task, "arch", scalar::ARCH);
            task.done();
        }
        level.requests_per_task = value(fields, "requests_per_task", SLOTS);
        if let Some(mut objective) = fields.fields("objective") {
            level.p99 = value(&mut objective, "p99", scalar::SOME_TIME);
            level.success = value(&mut objective, "success", scalar::PERCENT);
            objective.done();
        }
        level.lambda_speed = value(fields, "lambda_speed", SPEED);
        level.idle_lifetime = value(fields, "idle_lifetime", IDLE);
        level.timeout = value(fields, "timeout", service::LAMBDA_TIMEOUT);
        level.warm_pool = fields.fields("warm_pool").map(WarmPoolSpec::read);
        level.reserved_concurrency = fields.value("reserved_concurrency", CONCURRENCY);
        level.max_in_flight = fields.value("max_in_flight", CONCURRENCY);
        if let Some(mut tasks) = fields.fields("tasks") {
            level.tasks_min = tasks.value("min", TASKS_MIN);
            level.tasks_max = tasks.value("max", TASKS_MAX);
            tasks.done();
        }
        if let Some(mut spot) = fields.fields("spot") {
            level.spot_up_to = value(&mut spot, "up_to", scalar::PERCENT);
            level.interruptions_per_hour = value(&mut spot, "interruptions_per_hour", PER_HOUR);
            spot.done();
        }
        level.class = fields.value("class", scalar::CLASS);
        fields.misplaced(
            "arch",
            "belongs in `task: { arch: ... }`, and holds for the function too; move it there",
        );
        fields.misplaced("vcpu", "belongs in `task: { vcpu: ... }`; move it there");
        level.trace_written = fields.has_value("trace");
        level.times_written = fields.has_value("service_time") || fields.has_value("profiles");
        level
    }
}

fn value<T>(fields: &mut Fields<'_, '_>, name: &'static str, scalar: Scalar<T>) -> Option<T> {
    fields.value(name, scalar).map(|written| written.value)
}

fn trace_file(fields: &mut Fields<'_, '_>, name: &'static str) -> Option<TraceFile> {
    let Written { value, place, field } = fields.value(name, scalar::TEXT)?;
    Some(TraceFile { path: value.to_string(), place, field })
}

/// Reads how environments start: `{ plain: DISTRIBUTION }`, or another one of three.
fn cold_start(fields: &mut Fields<'_, '_>) -> Option<Start> {
    let WordOrFields::Fields(mut kinds) = fields.word_or_fields("cold_start", NO_START) else {
        return None;
    };
    for form in distribution::FORMS {
        kinds.misplaced(
            form,
            &format!("belongs below `plain`, `snapstart` or `provisioned`; write `plain: {{ {form}: ... }}`"),
        );
    }
    let mut read =
        |name, kind| Distribution::read(&mut kinds, name).map(|time| Start { kind, time });
    let plain = read("plain", ColdStart::Plain);
    let snapstart = read("snapstart", ColdStart::SnapStart);
    let provisioned = read("provisioned", ColdStart::Provisioned);
    let one = if ["snapstart", "provisioned"].iter().all(|name| kinds.has_value(name)) {
        kinds.sink.add(kinds.place.clone(), kinds.path.clone(), service::SNAPSTART_OR_PROVISIONED);
        None
    } else {
        one_of(
            &kinds,
            &["plain", "snapstart", "provisioned"],
            "such as `plain: { lognormal: { mean: 400ms, cv: 0.3 } }`",
        )
    };
    kinds.done();
    one.and(plain.or(snapstart).or(provisioned))
}

/// Holds the writer to exactly one of `names`; what else is written is for `done` to refuse.
pub(super) fn one_of(fields: &Fields<'_, '_>, names: &[&str], example: &str) -> Option<()> {
    let written: Vec<&str> = names.iter().copied().filter(|name| fields.has_value(name)).collect();
    let message = match written[..] {
        [_] => return Some(()),
        [] if fields.is_empty() || names.iter().any(|name| fields.has(name)) => {
            let (last, rest) = names.split_last()?;
            format!("missing; write one of `{}` and `{last}`, {example}", rest.join("`, `"))
        }
        [] => return None,
        [first, second, ..] => {
            format!("`{first}` and `{second}` exclude each other; keep one of them")
        }
    };
    fields.sink.add(fields.place.clone(), fields.path.clone(), message);
    None
}

/// Reads a decimal number between `least` and `most`.
pub(super) fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse() {
        Ok(number) if plain && (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from {least} to {most}, got `{text}`")),
    }
}

fn whole(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if plain && range.contains(&number) => Ok(number),
        _ => {
            let (least, most) = range.into_inner();
            Err(format!("expected a whole number from {least} to {most}, got `{text}`"))
        }
    }
}

/// Reads a cap, or `none`: with it a scenario is free of one that `defaults` write.
fn concurrency(text: &str) -> Result<Option<u32>, String> {
    if text == "none" {
        return Ok(None);
    }
    whole(text, 1..=1_000_000).map(Some).map_err(|message| format!("{message} (or write `none`)"))
}

fn task_memory(text: &str) -> Result<u32, String> {
    match units::mebibytes(text)? {
        mib @ 64..=4_194_304 => Ok(mib),
        _ => Err(format!("expected `64MiB` to `4096GiB`, got `{text}`")),
    }
}

fn idle(text: &str) -> Result<Duration, String> {
    match scalar::some_time(text)? {
        time if Duration::from_hours(24) < time => {
            Err(format!("expected more than `0s` and at most `1d`, got `{text}`"))
        }
        time => Ok(time),
    }
}
