//! Places the faults that were ordered, or says what is wrong with the order.

use http::StatusCode;

use crate::{
    Shared,
    faults::{Api, ApiOrder, EcsOrder, InvokeFault, LambdaOrder, Order, Refusal},
};

/// Places an order of faults.
pub(crate) fn place(shared: &Shared, order: Order) -> Result<(), String> {
    if order == Order::default() {
        return Err("the order is empty; write {\"lambda\": {...}} or {\"ecs\": {...}}".into());
    }
    if let Some(order) = order.lambda {
        place_lambda(shared, order)?;
    }
    if let Some(order) = order.ecs {
        place_ecs(shared, order)?;
    }
    for (api, order) in [
        (Api::Autoscaling, order.autoscaling),
        (Api::Scheduler, order.scheduler),
        (Api::Dynamodb, order.dynamodb),
        (Api::S3, order.s3),
        (Api::Cloudwatch, order.cloudwatch),
    ] {
        if let Some(order) = order {
            shared.faults.api.place(api, order)?;
        }
    }
    Ok(())
}

fn place_lambda(shared: &Shared, order: LambdaOrder) -> Result<(), String> {
    let faults = &shared.faults.lambda;
    // What concerns one function's next invocations; the rest is placed at once.
    let (name, function, fault, count) = match order {
        LambdaOrder::Throttle { function, reason, count } => {
            ("throttle", function, Ok(InvokeFault::Refuse(Refusal::Throttle(reason))), count)
        }
        LambdaOrder::Error { function, status, kind, count } => {
            ("error", function, Refusal::exception(kind, status).map(InvokeFault::Refuse), count)
        }
        LambdaOrder::FunctionError { function, kind, count } => {
            ("function_error", function, InvokeFault::function_error(&kind), count)
        }
        LambdaOrder::Payload { function, kind, count } => {
            ("payload", function, Ok(InvokeFault::Payload(kind)), count)
        }
        LambdaOrder::Stream { function, kind, count } => {
            ("stream", function, Ok(InvokeFault::Stream(kind)), count)
        }
        LambdaOrder::Hang { function, count } => ("hang", function, Ok(InvokeFault::Hang), count),
        LambdaOrder::Drop { function, when, count } => {
            ("drop", function, Ok(InvokeFault::Drop(when)), count)
        }
        LambdaOrder::Kill { environment } => {
            let killed = shared.lambda.kill(&environment);
            let missing = format!("lambda.kill.environment: there is no `{environment}`");
            return killed.then_some(()).ok_or(missing);
        }
        LambdaOrder::Inactive { function, version } => {
            let placed = shared.lambda.deactivate(&function, version);
            return placed.map_err(|error| format!("lambda.inactive.{error}"));
        }
        LambdaOrder::Api { status, kind, count } => {
            let refusal = Refusal::exception(kind, status);
            let placed = refusal.and_then(|refusal| faults.on_call(refusal, count));
            return placed.map_err(|error| format!("lambda.api.{error}"));
        }
        LambdaOrder::Storm { reason, percent: percent @ 1..=100 } => {
            faults.set_storm(reason, percent);
            return Ok(());
        }
        LambdaOrder::Storm { percent, .. } => {
            return Err(format!("lambda.storm.percent: {percent} is not within 1 to 100"));
        }
        LambdaOrder::Down { status } => {
            faults.set_down(down_status(status)?);
            return Ok(());
        }
        LambdaOrder::ClockSkew { ahead } => {
            faults.set_clock_ahead(ahead);
            return Ok(());
        }
    };
    if !shared.lambda.functions.contains_key(&function) {
        return Err(format!("lambda.{name}.function: there is no `{function}`"));
    }
    let placed = fault.and_then(|fault| faults.on_invoke(&function, fault, count));
    placed.map_err(|error| format!("lambda.{name}.{error}"))
}

/// The status of a Lambda that is down.
fn down_status(status: u16) -> Result<StatusCode, String> {
    match status {
        500 => Ok(StatusCode::INTERNAL_SERVER_ERROR),
        503 => Ok(StatusCode::SERVICE_UNAVAILABLE),
        status => Err(format!("lambda.down.status: {status} is not 500 or 503")),
    }
}

fn place_ecs(shared: &Shared, order: EcsOrder) -> Result<(), String> {
    match order {
        EcsOrder::Down { status } => {
            shared.faults.api.place(Api::Ecs, ApiOrder::Down { status })?;
        }
        EcsOrder::SlowStart { cluster, service, extra } => {
            let services = shared.ecs.clusters.get(&cluster);
            let services =
                services.ok_or(format!("ecs.slow_start.cluster: there is no `{cluster}`"))?;
            if !services.services.contains_key(&service) {
                return Err(format!("ecs.slow_start.service: there is no `{service}`"));
            }
            shared.faults.slow_start(&cluster, &service, extra);
        }
        EcsOrder::Kill { task } => {
            if !shared.ecs.task(&task).is_some_and(|task| task.kill()) {
                return Err(format!("ecs.kill.task: no process runs for `{task}`"));
            }
        }
        EcsOrder::SpotInterruption { task } => {
            if !shared.ecs.task(&task).is_some_and(|task| task.interrupt()) {
                return Err(format!(
                    "ecs.spot_interruption.task: `{task}` is no task on FARGATE_SPOT that is meant to run"
                ));
            }
        }
        EcsOrder::ZoneDown { zone } => {
            if !shared.ecs.clusters.values().any(|cluster| cluster.has_zone(&zone)) {
                return Err(format!("ecs.zone_down.zone: there is no `{zone}`"));
            }
            // First, so that no task starts there meanwhile.
            shared.faults.zone_down(&zone);
            let tasks = shared.ecs.clusters.values().flat_map(|cluster| cluster.tasks());
            tasks.filter(|task| task.place.zone == zone).for_each(|task| task.lose());
        }
        EcsOrder::Throttle {} => shared.faults.api.place(Api::Ecs, ApiOrder::Throttle {})?,
        EcsOrder::Hang {} => shared.faults.api.place(Api::Ecs, ApiOrder::Hang {})?,
    }
    Ok(())
}
