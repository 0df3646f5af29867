//! What Pacer may do to capacity: bounds checked against each other, and against what `mode: act` asks for.

use crate::{
    load::inherit::or,
    policy::{ColdStart, Mode, ScaleBy, TaskLimits, WarmPool},
    problem::Place,
    spec::{
        capacity::{TasksSpec, WarmPoolSpec},
        common::Common,
        defaults,
        fields::{Sink, Written},
        global::Global,
        service::{ContainerSpec, DiscoverySpec, Function, LambdaSpec, ServiceSpec},
    },
};

/// Returns the bounds of a service's tasks; `None` also when its most could not be read, which was noted.
pub(super) fn tasks(spec: &TasksSpec) -> Option<TaskLimits> {
    Some(TaskLimits {
        min: or(spec.min.as_ref(), 0),
        max: spec.max.as_ref()?.value,
        fallback: spec.fallback.as_ref().map(|fallback| fallback.value),
        spot: or(spec.spot.as_ref(), 0.0),
        scheduler_role: spec.scheduler_role.as_ref().map(|role| role.value.clone()),
    })
}

/// Returns the bounds of a function's warm environments; `None` also when their most could not be read.
pub(super) fn warm_pool(spec: &WarmPoolSpec) -> Option<WarmPool> {
    Some(WarmPool {
        min: or(spec.min.as_ref(), 0),
        max: spec.max.as_ref()?.value,
        spend: spec.spend.as_ref().map(|spend| spend.value),
    })
}

/// Holds all services to what can be done to their capacity.
pub(super) fn check(
    written: &[ServiceSpec],
    defaults: &Common,
    global: &Global,
    sink: &Sink,
    warnings: &Sink,
) {
    let mut acting = vec![];
    for spec in written {
        if let Some(lambda) = &spec.lambda {
            check_warm_pool(lambda, sink, warnings);
        }
        if let Some(container) = &spec.container {
            check_tasks(container, sink);
        }
        let mode = spec.common.mode.as_ref().or(defaults.mode.as_ref());
        if let Some(mode) = mode.filter(|mode| mode.value == Mode::Act) {
            check_acting(spec, sink, warnings);
            acting.push((spec, mode));
        }
    }
    check_one_plan(&acting, sink);
    if let (Some((_, mode)), None) = (acting.first(), &global.state) {
        let message = "what was asked so far is forgotten at each restart, and forecasts begin anew; write `state`, such as `state: /var/lib/pacer` or `state: s3://bucket/prefix`";
        mode.problem(warnings, message);
    }
}

fn check_tasks(container: &ContainerSpec, sink: &Sink) {
    let scale_by = or(container.scale_by.as_ref(), ScaleBy::default());
    let Some(tasks) = &container.tasks else { return };
    if let (Some(min), Some(max)) = (&tasks.min, &tasks.max)
        && max.value < min.value
    {
        let message = format!("is more than `max` ({}); lower it, or raise `max`", max.value);
        min.problem(sink, message);
    }
    if let Some(fallback) = &tasks.fallback {
        if let Some(min) = tasks.min.as_ref().filter(|min| fallback.value < min.value) {
            let message = format!("is less than `min` ({}); raise it, or lower `min`", min.value);
            fallback.problem(sink, message);
        }
        if let Some(max) = tasks.max.as_ref().filter(|max| max.value < fallback.value) {
            let message = format!("is more than `max` ({}); lower it, or raise `max`", max.value);
            fallback.problem(sink, message);
        }
    }
    if let Some(role) = &tasks.scheduler_role
        && scale_by == ScaleBy::AutoscalingFloor
    {
        let message = "belongs to `scale_by: desired-count`; the floor falls back by a scheduled action of Application Auto Scaling, which needs no role: remove it";
        role.problem(sink, message);
    }
}

fn check_warm_pool(lambda: &LambdaSpec, sink: &Sink, warnings: &Sink) {
    let Some(pool) = &lambda.warm_pool else { return };
    let Some(max) = &pool.max else { return };
    if let Some(min) = pool.min.as_ref().filter(|min| max.value < min.value) {
        let message = format!("is more than `max` ({}); lower it, or raise `max`", max.value);
        min.problem(sink, message);
    }
    let cold_start = or(lambda.cold_start.as_ref(), ColdStart::default());
    if cold_start == ColdStart::Provisioned && max.value == 0 {
        let message = "with `cold_start: provisioned`, provisioned concurrency is at least 1; raise it, or write another `cold_start`";
        max.problem(sink, message);
    }
    let most = or(lambda.max_in_flight.as_ref(), defaults::MAX_IN_FLIGHT);
    if most < max.value {
        let message = format!(
            "is more than `max_in_flight` ({most}): the rest is warm in vain; lower it, or raise `max_in_flight`"
        );
        max.problem(warnings, message);
    }
}

/// Holds a service in `mode: act` to what that asks for.
fn check_acting(spec: &ServiceSpec, sink: &Sink, warnings: &Sink) {
    let ecs = spec
        .container
        .as_ref()
        .filter(|container| matches!(container.discovery, DiscoverySpec::Ecs { .. }));
    if let Some(container) = ecs {
        match &container.tasks {
            Some(tasks) => check_acting_tasks(tasks, container, sink),
            // Written, but no fields: that is told already.
            None if container.tasks_written => {}
            None => {
                let message = "missing; `mode: act` sets the count of tasks: write its bounds, such as `tasks: { min: 0, max: 40, fallback: 2, scheduler_role: ARN }`";
                sink.add(container.place.clone(), format!("{}.tasks", container.path), message);
            }
        }
    }
    let nothing =
        ecs.is_none() && spec.lambda.as_ref().is_none_or(|lambda| lambda.warm_pool.is_none());
    if let Some(mode) = &spec.common.mode
        && nothing
    {
        mode.problem(warnings, "there is nothing to act on: neither tasks of ECS nor a `warm_pool`; add one, or write `mode: observe`");
    }
}

fn check_acting_tasks(tasks: &TasksSpec, container: &ContainerSpec, sink: &Sink) {
    let missing = |name: &str, fix: &str| {
        sink.add(tasks.place.clone(), format!("{}.{name}", tasks.field), format!("missing; {fix}"));
    };
    if !tasks.fallback_written {
        missing(
            "fallback",
            "`mode: act` needs the count of tasks to go back to when no gateway is left to plan, such as `fallback: 2`",
        );
    }
    let scale_by = or(container.scale_by.as_ref(), ScaleBy::default());
    if scale_by == ScaleBy::DesiredCount && !tasks.scheduler_role_written {
        missing(
            "scheduler_role",
            "in `mode: act` EventBridge Scheduler sets `fallback` by a role: write its ARN, or `scale_by: autoscaling-floor`",
        );
    }
}

/// Refuses two services that plan for one count.
fn check_one_plan(acting: &[(&ServiceSpec, &Written<Mode>)], sink: &Sink) {
    for (index, (spec, _)) in acting.iter().enumerate() {
        let earlier = || acting[..index].iter().map(|(earlier, _)| *earlier);
        if let Some((cluster, service)) = ecs_of(spec)
            && let Some(other) =
                earlier().find(|earlier| ecs_of(earlier) == Some((cluster, service)))
            && let Some(container) = &spec.container
        {
            let message = format!(
                "service `{}` sets the tasks of `{cluster}/{service}` too: two plans for one count; let one of them act, and write `mode: observe` for the other",
                other.name.value
            );
            sink.add(container.place.clone(), format!("{}.ecs", container.path), message);
        }
        if let Some((function, place, field)) = provisioned_of(spec)
            && let Some(other) = earlier().find(|earlier| {
                provisioned_of(earlier).is_some_and(|(other, ..)| other == function)
            })
        {
            let message = format!(
                "service `{}` sets the provisioned concurrency of this version too: two plans for one count; keep one `warm_pool`",
                other.name.value
            );
            sink.add(place.clone(), field.to_owned(), message);
        }
    }
}

/// Returns the names of the cluster and service that it is in ECS, whether as names or ARNs: all are in one account and
/// region.
fn ecs_of(spec: &ServiceSpec) -> Option<(&str, &str)> {
    let DiscoverySpec::Ecs { cluster, service, .. } = &spec.container.as_ref()?.discovery else {
        return None;
    };
    Some((last_part(cluster), last_part(service)))
}

/// Returns what follows the last `/`: `arn:aws:ecs:eu-west-1:123456789012:service/prod/web` is `web`.
fn last_part(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

/// Returns the version whose provisioned concurrency it sets, and where that is written.
fn provisioned_of(spec: &ServiceSpec) -> Option<(&Function, &Place, &str)> {
    let lambda = spec.lambda.as_ref()?;
    let max = lambda.warm_pool.as_ref()?.max.as_ref()?;
    let provisioned =
        or(lambda.cold_start.as_ref(), ColdStart::default()) == ColdStart::Provisioned;
    provisioned.then_some((&lambda.function.value, &max.place, &*max.field))
}
