//! Services: their lanes resolved and checked.

use super::capacity;
use crate::{
    load::inherit::{Levels, or},
    policy::{
        ColdStart, Container, Discovery, EventFormat, InvokeMode, Lambda, Probe, ScaleBy, Service,
    },
    spec::{
        common::Common,
        defaults,
        fields::Sink,
        global::Global,
        service::{
            ContainerSpec, DiscoverySpec, LambdaSpec, SNAPSTART_OR_PROVISIONED, ServiceSpec,
        },
    },
    units::show_duration,
};

/// Services that one policy may hold: [`crate::policy::ServiceId`] has 16 bits.
const SERVICES_MAX: usize = 65_536;

/// Builds all services in their order; `None` when one cannot be built.
pub(super) fn build(
    written: &[ServiceSpec],
    defaults: &Common,
    global: &Global,
    sink: &Sink,
    warnings: &Sink,
) -> Option<Box<[Service]>> {
    if let Some(beyond) = written.get(SERVICES_MAX) {
        beyond.name.problem(sink, format!("more than {SERVICES_MAX} services; split the policy"));
        return None;
    }
    for (index, service) in written.iter().enumerate() {
        // Within one file YAML refuses a second key of the same name.
        if let Some(first) =
            written[..index].iter().find(|other| other.name.value == service.name.value)
        {
            let message = format!(
                "service `{}` is defined at {} already",
                first.name.value, first.name.place
            );
            service.name.problem(sink, format!("{message}; keep one, or rename this one"));
        }
    }
    check_cold_starts(written, sink);
    capacity::check(written, defaults, global, sink, warnings);
    // All of them, before giving up at the first that is missing: each tells its own problems.
    let services: Vec<Option<Service>> =
        written.iter().map(|spec| service(spec, defaults, global, sink, warnings)).collect();
    services.into_iter().collect()
}

/// Refuses two services that say of one version of a function what cannot both be.
fn check_cold_starts(written: &[ServiceSpec], sink: &Sink) {
    use ColdStart::{Provisioned, SnapStart};
    let told = |service: &ServiceSpec| {
        let lambda = service.lambda.as_ref()?;
        Some((lambda.function.value.clone(), lambda.cold_start.clone()?))
    };
    let told: Vec<_> = written.iter().filter_map(told).collect();
    for (index, (function, cold_start)) in told.iter().enumerate() {
        let clash = told[..index].iter().find(|(other, earlier)| {
            let both = [earlier.value, cold_start.value];
            other == function
                && (both == [SnapStart, Provisioned] || both == [Provisioned, SnapStart])
        });
        if let Some((_, earlier)) = clash {
            let message = format!("{SNAPSTART_OR_PROVISIONED} (the other is at {})", earlier.place);
            cold_start.problem(sink, message);
        }
    }
}

fn service(
    spec: &ServiceSpec,
    defaults: &Common,
    global: &Global,
    sink: &Sink,
    warnings: &Sink,
) -> Option<Service> {
    check(spec, global, sink, warnings);
    let unreadable = (spec.lambda_written && spec.lambda.is_none())
        || (spec.container_written && spec.container.is_none());
    if unreadable {
        return None;
    }
    let levels = [&spec.common, defaults];
    let levels = Levels(&levels);
    Some(Service {
        name: spec.name.value.as_str().into(),
        mode: levels.mode(),
        lambda: spec.lambda.as_ref().map(lambda),
        container: spec.container.as_ref().map(container),
        needs: spec.needs,
        objective: levels.objective(),
    })
}

fn lambda(spec: &LambdaSpec) -> Lambda {
    Lambda {
        function: spec.function.value.name.clone(),
        qualifier: spec.function.value.qualifier.clone(),
        event: or(spec.event.as_ref(), EventFormat::default()),
        invoke: or(spec.invoke.as_ref(), InvokeMode::default()),
        cold_start: or(spec.cold_start.as_ref(), ColdStart::default()),
        max_in_flight: or(spec.max_in_flight.as_ref(), defaults::MAX_IN_FLIGHT),
        warm_pool: spec.warm_pool.as_ref().and_then(capacity::warm_pool),
        memory_mib: or(spec.memory_mib.as_ref(), defaults::LAMBDA_MEMORY_MIB),
        timeout: or(spec.timeout.as_ref(), defaults::LAMBDA_TIMEOUT),
        arch: or(spec.arch.as_ref(), crate::policy::Arch::default()),
    }
}

fn container(spec: &ContainerSpec) -> Container {
    let default = defaults::probe();
    Container {
        discovery: match &spec.discovery {
            DiscoverySpec::Ecs { cluster, service, port, events } => Discovery::Ecs {
                cluster: cluster.clone(),
                service: service.clone(),
                port: *port,
                events: events.clone(),
            },
            DiscoverySpec::Upstreams(upstreams) => Discovery::Upstreams(
                upstreams.iter().map(|upstream| upstream.value.clone()).collect(),
            ),
        },
        requests_per_task: spec.requests_per_task.value,
        tasks: spec.tasks.as_ref().and_then(capacity::tasks),
        scale_by: or(spec.scale_by.as_ref(), ScaleBy::default()),
        probe: Probe {
            path: or(spec.probe_path.as_ref(), default.path),
            interval: or(spec.probe_interval.as_ref(), default.interval),
            timeout: or(spec.probe_timeout.as_ref(), default.timeout),
        },
        vcpu: or(spec.vcpu.as_ref(), defaults::TASK_VCPU),
        memory_mib: or(spec.memory_mib.as_ref(), defaults::TASK_MEMORY_MIB),
        arch: or(spec.arch.as_ref(), crate::policy::Arch::default()),
    }
}

fn check(spec: &ServiceSpec, global: &Global, sink: &Sink, warnings: &Sink) {
    if !spec.lambda_written && !spec.container_written {
        spec.name.problem(sink, "has no lane; give it `lambda`, `container` or both");
    }
    let needs = [(spec.needs.storage, "storage"), (spec.needs.affinity, "affinity")];
    for (needed, name) in needs {
        if needed && !spec.container_written {
            let message = format!(
                "needs `{name}`, which Lambda cannot give; add a `container` or remove the need"
            );
            spec.name.problem(sink, message);
        }
    }
    if let Some(lambda) = &spec.lambda {
        check_lambda(lambda, global, sink, warnings);
    }
    if let Some(container) = &spec.container {
        check_container(container, sink, warnings);
    }
}

fn check_lambda(spec: &LambdaSpec, global: &Global, sink: &Sink, warnings: &Sink) {
    let function = &spec.function.value;
    if let (Some(its), Some(ours)) = (&function.region, &global.region)
        && **its != *ours.value
    {
        let message =
            format!("is in {its}, but `region` is {}; calls go to one region", ours.value);
        spec.function.problem(sink, format!("{message}: change one of them"));
    }
    let published = function.qualifier.as_deref().is_some_and(|qualifier| qualifier != "$LATEST");
    if let Some(cold_start) = &spec.cold_start
        && cold_start.value != ColdStart::Plain
        && !published
    {
        let message = "only works on a published version; name an alias or version in `function`, such as `name:live`";
        cold_start.problem(sink, message);
    }
    if spec.memory_mib.is_none() || spec.timeout.is_none() {
        let memory = or(spec.memory_mib.as_ref(), defaults::LAMBDA_MEMORY_MIB);
        let timeout = show_duration(or(spec.timeout.as_ref(), defaults::LAMBDA_TIMEOUT));
        spec.function.problem(
            warnings,
            format!(
                "its memory and timeout are guessed as {memory}MiB and {timeout}; write `assume: {{ memory, timeout }}`"
            ),
        );
    }
}

fn check_container(spec: &ContainerSpec, sink: &Sink, warnings: &Sink) {
    if let DiscoverySpec::Upstreams(upstreams) = &spec.discovery {
        for (index, upstream) in upstreams.iter().enumerate() {
            if let Some(first) =
                upstreams[..index].iter().find(|other| other.value == upstream.value)
            {
                upstream.problem(sink, format!("is written at {} already; remove it", first.place));
            }
        }
    }
    if let Some(timeout) = &spec.probe_timeout {
        let interval = or(spec.probe_interval.as_ref(), defaults::probe().interval);
        if interval < timeout.value {
            timeout.problem(
                warnings,
                format!(
                    "is longer than the interval of {}: probes will overlap",
                    show_duration(interval)
                ),
            );
        }
    }
}
