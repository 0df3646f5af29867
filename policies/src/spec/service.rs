//! A service as written.

use std::{sync::Arc, time::Duration};

use super::{
    RESERVED,
    capacity::{self, TasksSpec, WarmPoolSpec},
    common::Common,
    fields::{Fields, Written},
    outline::Choice,
    scalar::{self, Scalar, Shape},
};
use crate::{
    policy::{Arch, ColdStart, EventFormat, InvokeMode, Needs, Queue, ScaleBy, Upstream},
    problem::Place,
    units,
};

/// One service.
#[derive(Debug)]
pub(crate) struct ServiceSpec {
    pub(crate) name: Written<String>,
    pub(crate) common: Common,
    pub(crate) lambda: Option<LambdaSpec>,
    pub(crate) container: Option<ContainerSpec>,
    /// A lane is written, even if it could not be read: then its absence is not a second problem.
    pub(crate) lambda_written: bool,
    pub(crate) container_written: bool,
    pub(crate) needs: Needs,
}

/// AWS Lambda guide, "Improving startup performance with Lambda SnapStart", supported features and limitations.
pub(crate) const SNAPSTART_OR_PROVISIONED: &str = "SnapStart and provisioned concurrency exclude each other: AWS refuses \
     provisioned concurrency on a version with SnapStart; keep one of them";

/// Its Lambda lane.
#[derive(Debug)]
pub(crate) struct LambdaSpec {
    pub(crate) function: Written<Function>,
    pub(crate) event: Option<Written<EventFormat>>,
    pub(crate) invoke: Option<Written<InvokeMode>>,
    pub(crate) cold_start: Option<Written<ColdStart>>,
    pub(crate) max_in_flight: Option<Written<u32>>,
    pub(crate) warm_pool: Option<WarmPoolSpec>,
    pub(crate) memory_mib: Option<Written<u32>>,
    pub(crate) timeout: Option<Written<Duration>>,
    pub(crate) arch: Option<Written<Arch>>,
}

/// Its container lane.
#[derive(Debug)]
pub(crate) struct ContainerSpec {
    pub(crate) place: Place,
    pub(crate) path: String,
    pub(crate) discovery: DiscoverySpec,
    pub(crate) requests_per_task: Written<u32>,
    pub(crate) tasks: Option<TasksSpec>,
    /// `tasks` is written, even if it could not be read.
    pub(crate) tasks_written: bool,
    pub(crate) scale_by: Option<Written<ScaleBy>>,
    pub(crate) probe_path: Option<Written<Arc<str>>>,
    pub(crate) probe_interval: Option<Written<Duration>>,
    pub(crate) probe_timeout: Option<Written<Duration>>,
    pub(crate) vcpu: Option<Written<f64>>,
    pub(crate) memory_mib: Option<Written<u32>>,
    pub(crate) arch: Option<Written<Arch>>,
}

/// Where its tasks are.
#[derive(Debug)]
pub(crate) enum DiscoverySpec {
    Ecs { cluster: Arc<str>, service: Arc<str>, port: u16, events: Option<Queue> },
    Upstreams(Vec<Written<Upstream>>),
}

/// A function's name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: Arc<str>,
    pub(crate) qualifier: Option<Arc<str>>,
    pub(crate) region: Option<Arc<str>>,
}

impl ServiceSpec {
    pub(crate) fn read(name: Written<String>, fields: Option<Fields<'_, '_>>) -> Self {
        let Some(mut fields) = fields else {
            // Noted already; what it lacks besides is not the writer's problem yet.
            return Self {
                name,
                common: Common::default(),
                lambda: None,
                container: None,
                lambda_written: true,
                container_written: true,
                needs: Needs::default(),
            };
        };
        if let Err(message) = service_name(&name.value) {
            name.problem(fields.sink, message);
        }
        fields.choice(Choice::Any, &["lambda", "container"]);
        let mut common = Common::read(&mut fields);
        common.mode = fields.value("mode", scalar::MODE);
        let mut needs = Needs::default();
        for need in fields.values("needs", NEED) {
            match need.value {
                Need::Storage => needs.storage = true,
                Need::Affinity => needs.affinity = true,
            }
        }
        let spec = Self {
            lambda_written: fields.has("lambda"),
            container_written: fields.has("container"),
            lambda: fields.fields("lambda").and_then(LambdaSpec::read),
            container: fields.fields("container").and_then(ContainerSpec::read),
            common,
            needs,
            name,
        };
        fields.not_yet("budget");
        fields.misplaced("class", "belongs to a route; move it there");
        fields.misplaced("lanes", "belongs to a route; move it there");
        fields.reserved(&RESERVED);
        fields.done();
        spec
    }
}

impl LambdaSpec {
    fn read(mut fields: Fields<'_, '_>) -> Option<Self> {
        let function = fields.value("function", FUNCTION);
        if !fields.has("function") {
            fields.missing("function", "write its name or ARN, such as `recognise:live`");
        }
        let event = fields.value("event", scalar::EVENT);
        let invoke = fields.value("invoke", scalar::INVOKE);
        let cold_start = match fields.lists_all("cold_start", &["snapstart", "provisioned"]) {
            Some(place) => {
                fields.sink.add(place, fields.path_of("cold_start"), SNAPSTART_OR_PROVISIONED);
                fields.known("cold_start");
                None
            }
            None => fields.value("cold_start", scalar::COLD_START),
        };
        let max_in_flight = fields.value("max_in_flight", scalar::COUNT);
        let warm_pool = fields.fields("warm_pool").map(WarmPoolSpec::read);
        let (mut memory_mib, mut timeout, mut arch) = (None, None, None);
        if let Some(mut assume) = fields.fields("assume") {
            memory_mib = assume.value("memory", LAMBDA_MEMORY);
            timeout = assume.value("timeout", LAMBDA_TIMEOUT);
            arch = assume.value("arch", scalar::ARCH);
            assume.done();
        }
        for name in ["snapstart", "snap_start", "provisioned", "provisioned_concurrency"] {
            fields
                .misplaced(name, "is told by `cold_start: snapstart` or `cold_start: provisioned`");
        }
        // The likeliest slip of all, because AWS has these fields on the function itself.
        for name in ["memory", "timeout", "arch"] {
            fields
                .misplaced(name, &format!("belongs in `assume: {{ {name}: ... }}`; move it there"));
        }
        fields.reserved(&RESERVED);
        fields.done();
        Some(Self {
            function: function?,
            event,
            invoke,
            cold_start,
            max_in_flight,
            warm_pool,
            memory_mib,
            timeout,
            arch,
        })
    }
}

impl ContainerSpec {
    fn read(mut fields: Fields<'_, '_>) -> Option<Self> {
        let requests_per_task = fields.value("requests_per_task", scalar::COUNT);
        if !fields.has("requests_per_task") {
            fields.missing("requests_per_task", "write how many requests one task serves at once");
        }
        let discovery = discovery(&mut fields);
        let tasks = fields.fields("tasks").map(TasksSpec::read);
        let scale_by = fields.value("scale_by", capacity::SCALE_BY);
        if !fields.has("ecs") {
            for name in ["tasks", "scale_by"] {
                if fields.has("upstreams") {
                    fields.misplaced(name, capacity::NOT_BY_URL);
                }
            }
        }
        let (mut probe_path, mut probe_interval, mut probe_timeout) = (None, None, None);
        if let Some(mut probe) = fields.fields("probe") {
            probe_path = probe.value("path", scalar::PATH);
            probe_interval = probe.value("interval", scalar::SOME_TIME);
            probe_timeout = probe.value("timeout", scalar::SOME_TIME);
            probe.done();
        }
        let (mut vcpu, mut memory_mib, mut arch) = (None, None, None);
        if let Some(mut assume) = fields.fields("assume") {
            vcpu = assume.value("vcpu", scalar::POSITIVE);
            memory_mib = assume.value("memory", TASK_MEMORY);
            arch = assume.value("arch", scalar::ARCH);
            assume.done();
        }
        for name in ["vcpu", "memory", "arch"] {
            fields
                .misplaced(name, &format!("belongs in `assume: {{ {name}: ... }}`; move it there"));
        }
        fields.reserved(&RESERVED);
        let (place, path) = (fields.place.clone(), fields.path.clone());
        let tasks_written = fields.has_value("tasks");
        fields.done();
        let (discovery, requests_per_task) = (discovery?, requests_per_task?);
        Some(Self {
            place,
            path,
            discovery,
            requests_per_task,
            tasks,
            tasks_written,
            scale_by,
            probe_path,
            probe_interval,
            probe_timeout,
            vcpu,
            memory_mib,
            arch,
        })
    }
}

/// Reads `ecs` or `upstreams`: exactly one of them.
fn discovery(fields: &mut Fields<'_, '_>) -> Option<DiscoverySpec> {
    fields.choice(Choice::One, &["ecs", "upstreams"]);
    let upstreams = fields.values("upstreams", scalar::UPSTREAM);
    let ecs = fields.fields("ecs");
    match (ecs, fields.has("upstreams")) {
        (Some(ecs), true) => {
            ecs.sink.add(
                ecs.place.clone(),
                ecs.path.clone(),
                "`upstreams` is written too; keep one of them",
            );
            None
        }
        (Some(ecs), false) => ecs_service(ecs),
        (None, true) => {
            let any_written = !fields.list_is_empty("upstreams");
            if !any_written {
                fields.missing("upstreams", "write at least one URL");
            }
            Some(DiscoverySpec::Upstreams(upstreams)).filter(|_| any_written)
        }
        (None, false) => {
            if !fields.has("ecs") {
                fields.missing(
                    "ecs",
                    "write `ecs: { cluster, service, port }` or `upstreams: [URL]`",
                );
            }
            None
        }
    }
}

fn ecs_service(mut ecs: Fields<'_, '_>) -> Option<DiscoverySpec> {
    let cluster = ecs.value("cluster", scalar::TEXT);
    let service = ecs.value("service", scalar::TEXT);
    let port = ecs.value("port", scalar::PORT);
    let events = ecs.value("events", scalar::QUEUE);
    for name in ["cluster", "service", "port"] {
        if !ecs.has(name) {
            ecs.missing(name, "ecs needs `cluster`, `service` and `port`");
        }
    }
    ecs.done();
    let events = events.map(|queue| queue.value);
    Some(DiscoverySpec::Ecs {
        cluster: cluster?.value,
        service: service?.value,
        port: port?.value,
        events,
    })
}

const NEED: Scalar<Need> = scalar::scalar(need, Shape::Words(&["storage", "affinity"]));
const FUNCTION: Scalar<Function> = scalar::scalar(function, Shape::Form("^[A-Za-z0-9:$_-]+$"));
pub(crate) const LAMBDA_MEMORY: Scalar<u32> = scalar::scalar(lambda_memory, scalar::SIZE.shape);
pub(crate) const LAMBDA_TIMEOUT: Scalar<Duration> =
    scalar::scalar(lambda_timeout, scalar::DURATION.shape);
const TASK_MEMORY: Scalar<u32> = scalar::scalar(task_memory, scalar::SIZE.shape);

#[derive(Debug, Clone, Copy)]
enum Need {
    Storage,
    Affinity,
}

fn need(text: &str) -> Result<Need, String> {
    scalar::one_of(text, &[("storage", Need::Storage), ("affinity", Need::Affinity)])
}

/// A service's name is a metric label and part of a URL of the admin API.
pub(crate) fn service_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    if name.is_empty() || 64 < name.len() || !name.bytes().all(plain) {
        return Err(format!(
            "expected a name of at most 64 of the characters a-z, 0-9, `-` and `_`, got `{name}`; rename it"
        ));
    }
    Ok(())
}

/// Bounds of AWS Lambda quotas, "Function memory allocation", read November 2026.
fn lambda_memory(text: &str) -> Result<u32, String> {
    match units::mebibytes(text)? {
        mib @ 128..=10_240 => Ok(mib),
        _ => Err(format!("Lambda sells 128MiB to 10240MiB, got `{text}`")),
    }
}

/// Bounds of AWS Lambda quotas, "Function timeout", read November 2026.
fn lambda_timeout(text: &str) -> Result<Duration, String> {
    let timeout = scalar::some_time(text)?;
    if timeout < Duration::from_secs(1) || Duration::from_mins(15) < timeout {
        return Err(format!("a function's timeout is 1s to 900s, got `{text}`"));
    }
    Ok(timeout)
}

fn task_memory(text: &str) -> Result<u32, String> {
    match units::mebibytes(text)? {
        0 => Err(format!("expected more than no memory, got `{text}`")),
        mib => Ok(mib),
    }
}

/// Reads a function's name, partial ARN or ARN, each with or without a qualifier.
///
/// Forms of AWS Lambda API reference, Invoke, `FunctionName`: `name`, `account:function:name`,
/// `arn:aws:lambda:region:account:function:name`.
fn function(text: &str) -> Result<Function, String> {
    let expected = || {
        format!(
            "expected a function such as `recognise:live` or its ARN with an alias or version, got `{text}`"
        )
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (name_parts, region) = match parts[..] {
        ["arn", partition, "lambda", region, account, "function", ..]
            if is_word(partition) && is_account(account) =>
        {
            (7, Some(scalar::region(region).map_err(|_| expected())?))
        }
        ["arn", ..] => return Err(expected()),
        [account, "function", ..] if is_account(account) => (3, None),
        _ => (1, None),
    };
    let (name, qualifier) = match parts.len().checked_sub(name_parts) {
        Some(0) => (text, None),
        Some(1) => text
            .rsplit_once(':')
            .map(|(name, qualifier)| (name, Some(qualifier)))
            .ok_or_else(expected)?,
        _ => return Err(expected()),
    };
    let good_qualifier =
        qualifier.is_none_or(|qualifier| qualifier == "$LATEST" || is_word(qualifier));
    if !good_qualifier || !parts.get(name_parts - 1).is_some_and(|name| is_word(name)) {
        return Err(expected());
    }
    Ok(Function { name: name.into(), qualifier: qualifier.map(Into::into), region })
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_come_in_three_forms_with_or_without_a_qualifier() {
        let read = |text: &str| {
            let function = function(text)?;
            Ok::<_, String>((
                function.name.to_string(),
                function.qualifier.map(|text| text.to_string()),
            ))
        };
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:recognise";
        assert_eq!(read("f"), Ok(("f".to_owned(), None)));
        assert_eq!(read("f:$LATEST"), Ok(("f".to_owned(), Some("$LATEST".to_owned()))));
        assert_eq!(read(arn), Ok((arn.to_owned(), None)));
        assert_eq!(read(&format!("{arn}:live")), Ok((arn.to_owned(), Some("live".to_owned()))));
        let partial = "123456789012:function:f";
        assert_eq!(
            read("123456789012:function:f:7"),
            Ok((partial.to_owned(), Some("7".to_owned())))
        );
        for wrong in [
            "",
            "f:",
            ":live",
            "a:b:c",
            "arn:aws:s3:::bucket",
            "arn:aws:lambda:x:1:function:f",
            "f g",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
