//! One snapshot: how everything is now.
//!
//! It is as large as what a person can look at, whatever the policy holds: totals, the services that matter most, and lists
//! with an end.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use policies::{
    decide::{Class, Lane, Reason},
    policy::{Objective, Service},
};
use predictor::outcome::{End, Spill};
use serde_json::{Map, Value, json};

use super::{
    decided::decided,
    rates::{Looks, Rates, RouteCount},
};
use crate::{
    admin::views,
    control::{FunctionState, Lately, Shared, capacity::PlanState},
    lane::container::{TaskState, Tasks},
    telemetry::access_log::rfc3339,
    world::{Endpoints, World},
};

/// Services that are told of: those with trouble, then the busiest.
const SERVICES: usize = 60;

/// How long what was done is told.
const DONE_WITHIN: Duration = Duration::from_mins(15);

/// Actions that are told, newest first.
const ACTIONS: usize = 40;

/// Characters of a warning or an error that are told.
const TEXT_MAX: usize = 600;

/// Warnings of the policy that are told.
const WARNINGS: usize = 5;

/// Returns how everything is now.
pub(super) fn snapshot(shared: &Shared, looks: &Looks) -> Value {
    let world = shared.world();
    let clock = SystemTime::now();
    let rates = looks.rates();
    let services = services(shared, &world, rates.as_ref());
    json!({
        "at": rfc3339(clock),
        "version": env!("CARGO_PKG_VERSION"),
        "started": rfc3339(shared.started()),
        "uptime_seconds": clock.duration_since(shared.started()).unwrap_or_default().as_secs(),
        "frozen": views::frozen(shared),
        "radar": views::radar::radar(shared),
        "policy": policy(shared, &world),
        "gateways": shared.stats().gateways().map(|state| views::gateways(&state)),
        "history": views::history(&shared.stats().history()),
        "credentials": credentials(shared, &world),
        "flow": rates.as_ref().map(|rates| flow(shared, rates)),
        "services_total": world.policy.services.len(),
        "services": services,
        "decided": decided(shared),
        "actions": actions(shared, clock),
    })
}

fn policy(shared: &Shared, world: &World) -> Value {
    let state = shared.policy_state();
    let warnings = state.warnings.iter().take(WARNINGS).map(cut);
    json!({
        "hash": state.hash,
        "loaded": rfc3339(state.since),
        "services": world.policy.services.len(),
        "routes": world.policy.routes.len(),
        "applied": state.applied,
        "refused": state.refused,
        "warnings": warnings.collect::<Vec<_>>(),
        "error": state.error.map(|(at, problems)| json!({ "at": rfc3339(at), "problems": cut(&problems) })),
    })
}

/// How the credentials are; nothing when no service needs any.
fn credentials(shared: &Shared, world: &World) -> Value {
    if !world.policy.services.iter().any(|service| service.lambda.is_some()) {
        return Value::Null;
    }
    let (_, keys) = shared.stats().states();
    json!({ "usable": keys.usable, "expiry": keys.expiry.map(rfc3339), "error": keys.error.as_deref().map(cut) })
}

/// How many requests a second go where.
fn flow(shared: &Shared, rates: &Rates<'_>) -> Value {
    let by_lane =
        |of: &dyn Fn(usize) -> f64| json!({ "lambda": of(0), "container": of(1), "none": of(2) });
    let mut spills = Vec::new();
    let mut spilled = |from: Lane, why: &str, rate: f64| {
        if 0.0 < rate {
            spills.push(json!({ "from": from.as_str(), "why": why, "rate": rate }));
        }
    };
    for reason in Reason::ALL.into_iter().filter(|reason| reason.is_spill()) {
        let from = match reason {
            Reason::SpillLambdaCapped | Reason::SpillLambdaDown => Lane::Lambda,
            _ => Lane::Container,
        };
        spilled(from, reason.as_str(), rates.of(|totals| totals.reasons[reason.index()]));
    }
    for from in Lane::ALL {
        for cause in Spill::ALL {
            let rate = rates.of(|totals| totals.spills[from.index()][cause.index()]);
            spilled(from, cause.as_str(), rate);
        }
    }
    let mut all = RouteCount::default();
    rates.routes().for_each(|(_, _, count)| all.add(&count));
    let classes: Map<String, Value> = Class::ALL
        .into_iter()
        .zip(&all.flows)
        .map(|(class, flow)| {
            (class.as_str().to_owned(), by_lane(&|lane| rates.a_second(flow[lane])))
        })
        .collect();
    let end = |end: End| rates.of(|totals| totals.ends[end.index()]);
    json!({
        "seconds": rates.seconds,
        "requests": rates.a_second(all.requests()),
        "classes": classes,
        // Refused before anything was decided: no such route, malformed.
        "ran": by_lane(&|lane| rates.a_second(all.ran[lane])),
        "asked": by_lane(&|lane| rates.a_second(all.asked[lane])),
        "failed": rates.a_second(all.failed),
        "cold": rates.a_second(all.cold),
        "retries": rates.of(|totals| totals.retries),
        "gone": end(End::ClientGone),
        "spills": spills,
        "in_flight": shared.shards().iter().map(|shard| shard.in_flight.get()).sum::<u64>(),
    })
}

/// The services, those that somebody should look at first.
fn services(shared: &Shared, world: &World, rates: Option<&Rates<'_>>) -> Value {
    let (plans, functions, lately) = (shared.plans(), shared.stats().functions(), shared.lately());
    let mut counts: BTreeMap<&str, RouteCount> = BTreeMap::new();
    for (_, service, count) in rates.into_iter().flat_map(Rates::routes) {
        counts.entry(service).or_default().add(&count);
    }
    let (discovery, _) = shared.stats().states();
    let discovery: BTreeMap<&str, &str> = discovery
        .iter()
        .filter_map(|state| Some((&*state.service, state.error.as_deref()?)))
        .collect();
    let mut all: Vec<(bool, u64, Value)> = Vec::new();
    let places = world.policy.services.iter().zip(&world.endpoints);
    for ((service, endpoints), promise) in places.zip(promises(world)) {
        let name = &service.name;
        let count = counts.get(&**name).copied().unwrap_or_default();
        let trouble = shared.stats().trouble(name);
        let missing = discovery.get(&**name).copied();
        let container = endpoints.tasks.as_deref().map(container);
        let lambda = lambda(service, endpoints, functions.get(name), world);
        let is_down = container.as_ref().is_some_and(|container| container["ready"] == 0)
            || lambda.as_ref().is_some_and(|lambda| lambda["up"] == false);
        let matters = is_down || trouble.is_some() || missing.is_some() || 0 < count.failed;
        let a_second = |counted: u64| rates.map(|rates| rates.a_second(counted));
        let shown = json!({
            "name": &**name,
            "mode": views::mode(service.mode),
            "rate": a_second(count.requests()),
            "failed": a_second(count.failed),
            "lambda_rate": a_second(count.ran[0]),
            "container_rate": a_second(count.ran[1]),
            "lambda": lambda,
            "container": container,
            "plan": plans.get(name).map(plan),
            "not_acted_on": trouble.as_deref().map(cut),
            "discovery_error": missing.map(cut),
            "minute": minute(lately.get(name)),
            "objective": promise.show(),
        });
        all.push((matters, count.requests(), shown));
    }
    all.sort_by_key(|(matters, requests, _)| (!*matters, std::cmp::Reverse(*requests)));
    all.into_iter().take(SERVICES).map(|(_, _, shown)| shown).collect()
}

fn lambda(
    service: &Service,
    endpoints: &Endpoints,
    state: Option<&FunctionState>,
    world: &World,
) -> Option<Value> {
    let (lambda, function) = (service.lambda.as_ref()?, endpoints.function.as_ref()?);
    let most = state.map_or(lambda.max_in_flight, |state| state.real.max_in_flight);
    Some(json!({
        "function": views::name_of(lambda),
        "up": function.is_up(),
        "ready": function.is_ready(),
        "usable": function.is_up() && world.keys.is_some(),
        "in_flight": function.in_flight(),
        "max_in_flight": most,
        "error": state.and_then(|state| state.error.as_deref()).map(cut),
    }))
}

fn container(tasks: &Tasks) -> Value {
    let room = tasks.room();
    let count = |wanted| tasks.list().iter().filter(|task| task.state() == wanted).count();
    json!({
        "ready": room.ready,
        "starting": count(TaskState::Unproven),
        "draining": count(TaskState::Draining),
        "slots": room.slots,
        "busy": room.slots.saturating_sub(room.free),
        "waiting": tasks.waiting(),
    })
}

fn plan(plan: &PlanState) -> Value {
    let environments = plan.environments.as_ref();
    json!({
        "tasks": plan.tasks,
        "warm": environments.map(|environments| environments.warm),
        "provisioned": environments.map(|environments| environments.provisioned),
        "why": plan.why,
        "at": rfc3339(plan.at),
        "due": rfc3339(plan.due),
        "start_seconds": plan.start.as_secs_f64(),
        // How many times as fast as real the plans' clock passes: more than 1 in the demo alone.
        "time_scale": plan.scale,
        "demand": plan.demand,
        "expected": plan.expected.0,
        "p90": plan.expected.1,
        "break_even": plan.break_even,
    })
}

/// What became of a service's requests in the last minute.
fn minute(lately: Option<&Lately>) -> Value {
    let Some(lately) = lately else { return Value::Null };
    json!({
        "seconds": lately.over.as_secs(),
        "requests": lately.counted.requests,
        "failed": lately.counted.failed,
        "late": lately.counted.late,
        "p99_at_most_ms": lately.counted.quantile_at_most_us(0.99).map(views::milliseconds),
    })
}

/// What is promised of a service's routes together.
#[derive(Debug, Default)]
struct Promise {
    /// The lowest and the highest bound of their 99th percentiles.
    p99: Option<(Duration, Duration)>,
    /// The strictest share of requests that may not fail.
    success: Option<f64>,
}

impl Promise {
    fn add(&mut self, objective: &Objective) {
        if let Some(p99) = objective.p99 {
            let (low, high) = self.p99.unwrap_or((p99, p99));
            self.p99 = Some((low.min(p99), high.max(p99)));
        }
        self.success = match (self.success, objective.success) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
    }

    fn show(&self) -> Value {
        let ms = |bound: Duration| bound.as_secs_f64() * 1e3;
        json!({ "p99_ms": self.p99.map(|(low, high)| [ms(low), ms(high)]), "success": self.success })
    }
}

/// Returns what is promised, by service.
fn promises(world: &World) -> Vec<Promise> {
    let mut all: Vec<Promise> = world.policy.services.iter().map(|_| Promise::default()).collect();
    for route in &world.policy.routes {
        all[usize::from(route.service.0)].add(&route.objective);
    }
    all
}

/// What was done lately, newest first.
fn actions(shared: &Shared, clock: SystemTime) -> Value {
    let deeds = shared.deeds();
    let is_late = |at: SystemTime| clock.duration_since(at).unwrap_or_default() <= DONE_WITHIN;
    let actions = deeds.latest().take_while(|deed| is_late(deed.at)).take(ACTIONS);
    actions.map(views::action).collect()
}

/// Cuts what may be long: an answer of AWS, a list of problems.
fn cut(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
