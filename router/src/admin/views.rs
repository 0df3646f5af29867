//! What each page of the admin API shows, as JSON.
//!
//! Written out by hand and not derived, so that no field of the policy becomes public by accident, and names and units
//! are those of the policy file and the access log.

pub(super) mod ledger;
pub(super) mod policy;
pub(crate) mod radar;

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::Arc,
    time::{Duration, SystemTime},
};

use policies::{
    cost::PicoUsd,
    decide::{Belief, Class, ContainerState, Facts, LambdaState, Lane, LaneStates},
    policy::{Arch, Lambda, Mode, Policy, Route, RouteId, Service, SizeBy},
};
use predictor::outcome::{Outcome, Spill};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    control::{
        DiscoveryState, FunctionState, Lately, Shared,
        act::{Deed, spot::Proposal},
        capacity::PlanState,
        functions::SnapStart,
        gateways::GatewaysState,
    },
    history::Health,
    lane::container::Tasks,
    telemetry::{access_log::rfc3339, exposition::state_name},
    world::{World, sizes},
};

/// Both lanes with room: shows what a route's requests are, not how busy it is just now.
pub(crate) const FREE: LaneStates = LaneStates {
    lambda: LambdaState { up: true, in_flight: 0 },
    container: ContainerState { up: true, slots: u32::MAX, slots_free: u32::MAX, waiting: 0 },
};

/// Actions that `/status` shows.
const ACTIONS_MAX: usize = 50;

/// What is believed of a route's requests of one size, as `/routes` shows it and `pacer explain` reads it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct BeliefView {
    /// Power of two of the size hint; 0 without one.
    pub(crate) size: u8,
    /// Requests seen.
    pub(crate) seen: u32,
    /// Mean time in service, in microseconds.
    pub(crate) mean_us: u32,
    /// Median, in microseconds.
    pub(crate) p50_us: u32,
    /// 95th percentile, in microseconds.
    pub(crate) p95_us: u32,
    /// Probability of taking longer than `auto.sprinter_up_to`.
    pub(crate) p_long: f32,
}

impl BeliefView {
    fn of(size: u8, belief: &Belief) -> Self {
        let Belief { seen, mean_us, p50_us, p95_us, p_long, .. } = *belief;
        Self { size, seen, mean_us, p50_us, p95_us, p_long }
    }

    /// Returns the belief itself; its costs are left at zero for the caller, who knows prices.
    pub(crate) fn belief(self) -> Belief {
        let Self { seen, mean_us, p50_us, p95_us, p_long, .. } = self;
        Belief { seen, mean_us, p50_us, p95_us, p_long, ..Belief::default() }
    }
}

/// Returns how the gateway is.
pub(super) fn status(shared: &Shared) -> Value {
    let (discovery, keys) = shared.stats().states();
    let services = |state: &DiscoveryState| json!({ "service": &*state.service, "ok": state.error.is_none(), "failures_in_a_row": state.failures, "error": state.error });
    let shards = shared.shards();
    let policy = shared.policy_state();
    json!({
        "policy": {
            "hash": policy.hash,
            "loaded": rfc3339(policy.since),
            "reloads": { "applied": policy.applied, "refused": policy.refused },
            "warnings": policy.warnings,
            "error": policy.error.map(|(at, problems)| json!({ "at": rfc3339(at), "problems": problems })),
        },
        "version": env!("CARGO_PKG_VERSION"),
        "started": rfc3339(shared.started()),
        "uptime_seconds": SystemTime::now().duration_since(shared.started()).unwrap_or_default().as_secs(),
        "workers": shards.len(),
        "worlds_published": shared.stats().worlds(),
        "requests_in_flight": shards.iter().map(|shard| shard.in_flight.get()).sum::<u64>(),
        "connections_open": shards.iter().map(|shard| shard.connections_open.get()).sum::<u64>(),
        "discovery": discovery.iter().map(services).collect::<Vec<_>>(),
        "actions": shared.deeds().latest().take(ACTIONS_MAX).map(action).collect::<Vec<_>>(),
        "gateways": shared.stats().gateways().map(|state| gateways(&state)),
        "frozen": frozen(shared),
        "history": history(&shared.stats().history()),
        "credentials": { "usable": keys.usable, "expiry": keys.expiry.map(rfc3339), "error": keys.error },
    })
}

/// How the store is that keeps what was asked; nothing without one.
pub(super) fn history(health: &Health) -> Value {
    if health.place.is_empty() {
        return Value::Null;
    }
    json!({
        "place": health.place,
        "saved": health.saved.map(rfc3339),
        "error": health.error,
        "failures": health.failures,
        "steps_lost": health.lost,
        "records_damaged": health.damaged,
    })
}

/// Something that was done to a service's capacity, or was tried.
pub(super) fn action(deed: &Deed) -> Value {
    json!({
        "at": rfc3339(deed.at),
        "ago_seconds": SystemTime::now().duration_since(deed.at).unwrap_or_default().as_secs(),
        "service": &*deed.service,
        "kind": deed.kind,
        "what": deed.what,
        "why": deed.why,
        "error": deed.error,
    })
}

/// How it is with the other gateways of the policy.
pub(super) fn gateways(state: &GatewaysState) -> Value {
    let (now, clock) = (Instant::now(), SystemTime::now());
    let age = state.lease.age(now, clock);
    let others = state.others.iter();
    json!({
        "table": &*state.table,
        "group": &*state.group,
        "id": &*state.id,
        "live": state.live,
        "leader": state.lease.holds(now, clock),
        "lease": { "holder": state.holder.as_deref(), "age_seconds": age.map(|age| age.as_secs_f64()) },
        "settled": state.settled,
        "others": others.map(|[id, host, address]| json!({ "id": &**id, "host": &**host, "address": &**address })).collect::<Vec<_>>(),
        "errors": state.errors,
        "error": state.error,
    })
}

/// Returns the order to freeze that is in force, if one is.
pub(crate) fn frozen(shared: &Shared) -> Value {
    shared.frozen().map_or(
        Value::Null,
        |order| json!({ "since": rfc3339(order.at()), "by": order.by, "reason": order.reason }),
    )
}

/// Returns each service's lanes as they are now.
pub(super) fn services(shared: &Shared) -> Value {
    let world = shared.world();
    let functions = shared.stats().functions();
    let plans = shared.plans();
    let counted = shared.lately();
    let services = world.policy.services.iter().zip(&world.endpoints);
    let services = services.map(|(service, endpoints)| {
        let lambda =
            service.lambda.as_ref().zip(endpoints.function.as_ref()).map(|(lambda, function)| {
                json!({
                    "function": name_of(lambda),
                    "up": function.is_up(),
                    "ready": function.is_ready(),
                    "usable": function.is_up() && world.keys.is_some(),
                    "in_flight": function.in_flight(),
                    "max_in_flight": lambda.max_in_flight,
                    "version": functions.get(&service.name).map(version),
                })
            });
        json!({
            "name": &*service.name,
            "mode": mode(service.mode),
            "lambda": lambda,
            "container": endpoints.tasks.as_deref().map(container),
            "plan": plans.get(&service.name).map(plan),
            "not_acted_on": shared.stats().trouble(&service.name),
            "spot_proposed": shared.stats().spot(&service.name).as_ref().map(spot),
            "lately": lately(counted.get(&service.name).unwrap_or(&Lately::default())),
        })
    });
    services.collect()
}

/// What is called, as Lambda's API tells it; what it does not tell is as the policy assumes.
fn version(state: &FunctionState) -> Value {
    let (known, real) = (&state.known, &state.real);
    let read = &known.configuration;
    let provisioned = known.provisioned.map(|provisioned| json!({ "requested": provisioned.requested, "allocated": provisioned.allocated, "available": provisioned.available }));
    let last_update = read.version.as_ref().map(|_| match (read.updating, read.update_failed) {
        (true, _) => "in-progress",
        (false, true) => "failed",
        (false, false) => "successful",
    });
    let mut assumed = Vec::new();
    for (what, read) in [
        ("memory", read.memory_mib.is_some()),
        ("timeout", read.timeout.is_some()),
        ("arch", read.arch.is_some()),
        ("concurrency", state.concurrency.is_some()),
    ] {
        assumed.extend((!read).then_some(what));
    }
    json!({
        "state": read.state.as_str(),
        "version": read.version,
        "targets": known.targets,
        "last_update": last_update,
        "snap_start": read.snap_start.map(SnapStart::as_str),
        "memory_mib": real.memory_mib,
        "timeout": duration(real.timeout),
        "arch": match real.arch { Arch::Arm64 => "arm64", Arch::X86_64 => "x86_64" },
        "provisioned": provisioned,
        "concurrency": state.concurrency,
        "assumed": assumed,
        "error": state.error,
        "warnings": state.warnings,
    })
}

fn lately(lately: &Lately) -> Value {
    json!({
        "seconds": lately.over.as_secs(),
        "requests": lately.counted.requests,
        "errors": lately.counted.errors,
        "p99_at_most_ms": lately.counted.quantile_at_most_us(0.99).map(milliseconds),
    })
}

/// What is planned for a service.
fn plan(plan: &PlanState) -> Value {
    json!({
        "tasks": plan.tasks,
        "spot": plan.tasks.map(|_| plan.spot),
        "warm": plan.environments.as_ref().map(|environments| environments.warm),
        "provisioned": plan.environments.as_ref().map(|environments| environments.provisioned),
        "why": plan.why,
        "environments_why": plan.environments.as_ref().map(|environments| &environments.why),
        "at": rfc3339(plan.at),
        "demand_slots": plan.demand,
        "break_even": plan.break_even,
        "start_seconds": plan.start.as_secs_f64(),
        "forecast_slots": { "expected": plan.expected.0, "p90": plan.expected.1 },
    })
}

/// Which share of a service's tasks is on Spot, and what would have it as the policy wants.
fn spot(proposal: &Proposal) -> Value {
    let Proposal { tasks, on_spot, wanted, command } = proposal;
    json!({ "tasks": tasks, "on_spot": on_spot, "wanted": wanted, "command": command })
}

fn container(tasks: &Tasks) -> Value {
    let room = tasks.room();
    let list = tasks.list().iter().map(|task| {
        json!({
            "name": &*task.name,
            "address": task.address.to_string(),
            "state": state_name(task.state()),
            "slots": task.slots(),
            "busy": task.busy(),
        })
    });
    json!({
        "tasks_ready": room.ready,
        "slots": room.slots,
        "slots_free": room.free,
        "waiting": tasks.waiting(),
        "tasks": list.collect::<Vec<_>>(),
    })
}

/// Returns the routes in the order in which they win.
pub(super) fn routes(world: &World, plans: &BTreeMap<Arc<str>, PlanState>) -> Value {
    let routes = 0..world.policy.routes.len();
    routes.map(|index| route(world, plans, RouteId(index as u16))).collect()
}

/// Returns what is known of a route.
pub(super) fn route(world: &World, plans: &BTreeMap<Arc<str>, PlanState>, id: RouteId) -> Value {
    let route = world.policy.route(id);
    let service = world.policy.service(route.service);
    let seen = |size: &u8| *size == 0 || 0 < world.beliefs.of(id, *size).seen;
    let beliefs = (0..sizes(route) as u8)
        .filter(seen)
        .map(|size| belief(route, service, size, world.beliefs.of(id, size)));
    json!({
        "name": &*route.name,
        "place": &*route.place,
        "service": &*service.name,
        "class": route.class.map_or("auto", Class::as_str),
        "lanes": lanes(route, service),
        "size_by": route.auto.size_by.as_ref().map(size_by),
        "beliefs": beliefs.collect::<Vec<_>>(),
        "forecast": plans.get(&service.name).and_then(|plan| route_forecast(plan, &route.name)),
    })
}

/// What is forecast of a route's requests whose home is a container, for when a task asked for now could serve.
fn route_forecast(plan: &PlanState, route: &str) -> Option<Value> {
    let forecast = plan.route(route)?;
    Some(json!({
        "in_s": plan.start.as_secs_f64(),
        "expected_per_s": forecast.expected_per_s,
        "p90_per_s": forecast.p90_per_s,
        "expected_slots": forecast.expected_slots,
    }))
}

/// Returns a belief with the class that it gives: that of a plain request while both lanes are free.
fn belief(route: &Route, service: &Service, size: u8, belief: &Belief) -> Value {
    let decision =
        policies::decide::decide(&Facts::PLAIN, route, service, belief, &FREE, u64::MAX / 2);
    let mut view =
        serde_json::to_value(BeliefView::of(size, belief)).expect("numbers and names only");
    view["class"] = decision.class.as_str().into();
    view["lane"] = decision.lane.map(Lane::as_str).into();
    view["reason"] = decision.reason.as_str().into();
    view["cost_lambda"] = dollars(service.lambda.is_some(), belief.cost_lambda);
    view["cost_container"] = dollars(service.container.is_some(), belief.cost_container);
    view
}

fn dollars(has_lane: bool, cost: PicoUsd) -> Value {
    if has_lane { cost.to_string().into() } else { Value::Null }
}

/// Returns what became of the last requests, up to `limit` and newest first, in the fields of the access log. Those of a
/// policy that was replaced long ago are left out.
pub(super) fn decisions(shared: &Shared, limit: usize) -> Value {
    let outcomes = shared.recent(limit);
    let outcomes = outcomes
        .iter()
        .filter_map(|outcome| Some(decision(&*shared.policy(outcome.policy)?, outcome)));
    outcomes.collect()
}

pub(super) fn decision(policy: &Policy, outcome: &Outcome) -> Value {
    let route = outcome.route.map(|id| policy.route(id));
    let decision = outcome.decision.as_ref();
    let ruled_out = decision.into_iter().flat_map(|decision| decision.ruled_out.iter());
    json!({
        "ts": rfc3339(SystemTime::UNIX_EPOCH + Duration::from_micros(outcome.arrived_us)),
        "route": route.map(|route| &*route.name),
        "service": route.map(|route| &*policy.service(route.service).name),
        "class": decision.map(|decision| decision.class.as_str()),
        "decided": decision.map(|decision| decision.lane.map_or("refuse", Lane::as_str)),
        "reason": decision.map(|decision| decision.reason.as_str()),
        "ruled_out": ruled_out.map(|(lane, cause)| format!("{}:{}", lane.as_str(), cause.as_str())).collect::<Vec<_>>(),
        "lane": outcome.lane.map(Lane::as_str),
        "spill": outcome.spill.map(Spill::as_str),
        "status": outcome.status,
        "end": outcome.end.as_str(),
        "queue_ms": milliseconds(outcome.queue_wait_us),
        "service_ms": milliseconds(outcome.service_us),
        "total_ms": milliseconds(outcome.total_us),
        "retries": outcome.retries,
        "cold_start": outcome.usage.cold_start,
    })
}

pub(super) fn name_of(lambda: &Lambda) -> String {
    let qualifier =
        lambda.qualifier.as_ref().map_or_else(String::new, |qualifier| format!(":{qualifier}"));
    format!("{}{qualifier}", lambda.function)
}

pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Observe => "observe",
        Mode::Act => "act",
    }
}

/// Returns the lanes that requests of `route` can take: those that it allows and its service has.
pub(crate) fn lanes(route: &Route, service: &Service) -> Vec<&'static str> {
    let has = |lane: &Lane| match lane {
        Lane::Lambda => service.lambda.is_some(),
        Lane::Container => service.container.is_some(),
    };
    Lane::ALL
        .into_iter()
        .filter(|lane| route.lanes.has(*lane) && has(lane))
        .map(Lane::as_str)
        .collect()
}

fn size_by(by: &SizeBy) -> Value {
    match by {
        SizeBy::Query(name) => json!({ "query": &**name }),
        SizeBy::Header(name) => json!({ "header": name.as_str() }),
        SizeBy::ContentLength => json!("content_length"),
    }
}

pub(super) fn milliseconds(us: u32) -> f64 {
    f64::from(us) / 1000.0
}

/// Returns a duration as the policy file writes it: `1m30s`, `250ms`.
pub(crate) fn duration(duration: Duration) -> String {
    let (millis, mut left) = (duration.as_millis(), duration.as_secs());
    if millis == 0 || !millis.is_multiple_of(1000) {
        return format!("{millis}ms");
    }
    let mut text = String::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
        if seconds <= left {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{unit}", left / seconds);
            left %= seconds;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_the_policy() {
        for (millis, text) in [
            (0, "0ms"),
            (250, "250ms"),
            (1000, "1s"),
            (1500, "1500ms"),
            (90_000, "1m30s"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
