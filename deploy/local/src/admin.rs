//! The local cloud's own interface, `/_local/`: what runs, what it has used, and what should go wrong.
//!
//! Not signed: it is for a person with curl and for tests, and the cloud listens on loopback.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    sync::atomic::Ordering::Relaxed,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    response::{IntoResponse, Json, Response},
    routing::get,
};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    Shared,
    bill::{Bill, FunctionBill, ServiceBill},
    clock::timestamp,
    config::Provider,
    ecs::{cluster::Lifetimes, task::Task},
    faults::Order,
    lambda::{function::Function, usage},
};

mod place;
mod scaling;

pub(crate) use place::place;
pub use scaling::{ScalableTargetState, ScheduleState, ScheduledActionState};

/// Largest order of faults.
const ORDER_BYTES_MAX: usize = 64 * 1024;

/// The answer of `GET /_local/state`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// By function name.
    pub functions: BTreeMap<String, FunctionState>,
    /// By `cluster/service`.
    pub services: BTreeMap<String, ServiceState>,
    /// Tasks that belong to no service, by cluster, those that are over and kept included.
    pub tasks: BTreeMap<String, Vec<TaskState>>,
    /// How often each call of the ECS API was made, refused ones included.
    pub ecs_calls: BTreeMap<String, u64>,
    /// Availability zones that a fault has taken down.
    pub zones_down: BTreeSet<String>,
    /// Scalable targets of Application Auto Scaling by resource id, like `service/prod/web`.
    pub scalable_targets: BTreeMap<String, ScalableTargetState>,
    /// Schedules of EventBridge Scheduler, by `group/name`.
    pub schedules: BTreeMap<String, ScheduleState>,
}

/// One function, now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FunctionState {
    /// Environments that have asked for their first event and still live.
    pub environments: Vec<EnvironmentState>,
    /// Invocations in flight, cold starts included.
    pub in_flight: u32,
    /// Invocations that ran since the start.
    pub invocations: u64,
    /// Environments started since the start, failed ones included.
    pub cold_starts: u64,
    /// Invocations answered with 429.
    pub throttles: u64,
    /// Invocations that ended in a function error.
    pub function_errors: u64,
}

/// One environment, now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvironmentState {
    /// Unique id, to kill it with a fault.
    pub id: String,
    /// `$LATEST` or the number of its version.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Whether it is working on an event.
    pub busy: bool,
    /// Events it has been given.
    pub invocations: u64,
    /// CPU time of its processes so far in milliseconds, where it can be read.
    pub cpu_ms: Option<u64>,
    /// Memory its processes used at most in MiB, where it can be read.
    pub memory_mib: Option<u64>,
}

/// One service, now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceState {
    /// Desired count.
    pub desired: u32,
    /// Tasks running.
    pub running: usize,
    /// Tasks on their way.
    pub pending: usize,
    /// All tasks, those that are over and kept included.
    pub tasks: Vec<TaskState>,
}

/// One task, now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskState {
    /// ARN, to kill it with a fault.
    pub arn: String,
    /// `lastStatus`.
    pub status: &'static str,
    /// Where it serves, `address:port`, once it does.
    pub address: Option<String>,
    /// Process id while it runs.
    pub pid: Option<u32>,
    /// Availability zone.
    pub zone: String,
    /// `desiredStatus`.
    pub desired: &'static str,
    /// `healthStatus`.
    pub health: &'static str,
    /// `capacityProviderName`, if a strategy chose one.
    pub provider: Option<&'static str>,
    /// `family:revision` of its task definition.
    pub definition: String,
    /// Until when it is protected from scale-in and deployments, in UTC.
    pub protected_until: Option<String>,
    /// Why it is over.
    pub stopped_reason: Option<String>,
}

/// The routes under `/_local/`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/_local/state",
            get(|State(shared): State<Arc<Shared>>| async move { Json(state(&shared)) }),
        )
        .route(
            "/_local/calls",
            get(|State(shared): State<Arc<Shared>>| async move { Json(shared.calls.all()) }),
        )
        .route(
            "/_local/bill",
            get(|State(shared): State<Arc<Shared>>| async move { Json(bill(&shared)) }),
        )
        .route("/_local/faults", axum::routing::post(order).delete(clear))
}

async fn order(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let refuse =
        |error: String| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    let Ok(body) = to_bytes(body, ORDER_BYTES_MAX).await else {
        return refuse(format!("the order is above {ORDER_BYTES_MAX} bytes"));
    };
    // axum's reader names the path of the field that is wrong.
    let order = match Json::<Order>::from_bytes(&body) {
        Ok(Json(order)) => order,
        Err(error) => return refuse(error.body_text()),
    };
    match place(&shared, order) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refuse(error),
    }
}

async fn clear(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.faults.clear();
    // A zone may be there again.
    shared.ecs.services().for_each(|service| service.wake());
    StatusCode::NO_CONTENT
}

/// What runs now.
pub(crate) fn state(shared: &Shared) -> Snapshot {
    let functions = shared.lambda.functions.iter().map(|(name, function)| {
        let environments = function.environments().into_iter().map(|(version, e)| {
            let used = usage::of(e.process.pid);
            EnvironmentState {
                id: e.id.clone(),
                version: version.name(),
                pid: e.process.pid,
                busy: e.busy.load(Relaxed),
                invocations: e.invocations.load(Relaxed),
                cpu_ms: used.map(|u| u.cpu_ms),
                memory_mib: used.map(|u| u.memory_mib),
            }
        });
        let usage = &function.usage;
        let state = FunctionState {
            environments: environments.collect(),
            in_flight: function.in_flight(),
            invocations: usage.requests.load(Relaxed),
            cold_starts: usage.cold_starts.load(Relaxed),
            throttles: usage.throttles.load(Relaxed),
            function_errors: usage.function_errors.load(Relaxed),
        };
        (name.clone(), state)
    });
    let services = shared.ecs.services().map(|service| {
        let tasks = service.tasks();
        let tasks = tasks.iter().map(|task| task_state(task));
        let (running, pending) = service.counts();
        let state =
            ServiceState { desired: service.desired().0, running, pending, tasks: tasks.collect() };
        (format!("{}/{}", service.cluster, service.name), state)
    });
    let clusters = shared.ecs.clusters.values();
    let tasks = clusters.map(|cluster| {
        let tasks = cluster.standalone();
        (cluster.name.clone(), tasks.iter().map(|task| task_state(task)).collect())
    });
    Snapshot {
        functions: functions.collect(),
        services: services.collect(),
        tasks: tasks.collect(),
        ecs_calls: shared.ecs.calls(),
        zones_down: shared.faults.zones_down(),
        scalable_targets: scaling::targets(shared),
        schedules: scaling::schedules(shared),
    }
}

fn task_state(task: &Task) -> TaskState {
    let state = task.state();
    let definition = &task.definition;
    TaskState {
        arn: task.arn.clone(),
        status: state.status.name(),
        address: state.address.map(|a| a.to_string()),
        pid: state.pid,
        zone: task.place.zone.clone(),
        desired: if state.wanted { "RUNNING" } else { "STOPPED" },
        health: state.health.name(),
        provider: task.place.provider.map(Provider::name),
        definition: format!("{}:{}", definition.family, definition.revision),
        protected_until: task.protected_until(Instant::now()).map(|(_, at)| timestamp(at)),
        stopped_reason: state.stopped_reason,
    }
}

/// What has been used so far.
pub(crate) fn bill(shared: &Shared) -> Bill {
    let functions = shared
        .lambda
        .functions
        .iter()
        .map(|(name, function)| (name.clone(), function_bill(function)));
    let services = shared.ecs.services().map(|service| {
        let size = (service.config.vcpu_milli, service.config.memory);
        (format!("{}/{}", service.cluster, service.name), service_bill(service.lifetimes(), size))
    });
    let standalone = shared.ecs.clusters.values().flat_map(|cluster| {
        let groups = cluster.standalone_lifetimes().into_iter();
        groups.map(|(group, lived)| {
            (format!("{}/{group}", cluster.name), service_bill(lived, (0, 0)))
        })
    });
    Bill { functions: functions.collect(), services: services.chain(standalone).collect() }
}

fn service_bill(lived: Lifetimes, (vcpu_milli, memory_mib): (u32, u32)) -> ServiceBill {
    ServiceBill {
        task_ms: lived.tasks,
        spot_task_ms: lived.spot_tasks,
        vcpu_milli_ms: lived.vcpu_milli,
        memory_mib_ms: lived.memory_mib,
        vcpu_milli,
        memory_mib,
    }
}

fn function_bill(function: &Function) -> FunctionBill {
    let usage = &function.usage;
    let published = function.published();
    let running = published.provisioned.iter().map(|(q, order)| order.mb_ms(&published, q));
    FunctionBill {
        requests: usage.requests.load(Relaxed),
        billed_ms: usage.billed_ms.load(Relaxed),
        mb_ms: usage.mb_ms.load(Relaxed),
        init_ms: usage.init_ms.load(Relaxed),
        restores: usage.restores.load(Relaxed),
        restored_mib: usage.restored_mib.load(Relaxed),
        provisioned_mb_ms: usage.provisioned_mb_ms.load(Relaxed) + running.sum::<u64>(),
        memory_mib: published.latest.settings.memory,
    }
}
