//! `/metrics`: the counters of all workers, added up and written in Prometheus' text format.
//!
//! Nothing is kept between two scrapes. Combinations of labels that never occurred are left out: a policy of 1,000
//! routes would otherwise answer with 60,000 lines of zeros.

mod money;
mod objectives;
mod page;
mod process;
pub(crate) mod radar;

use std::{array, collections::BTreeMap, io, net::TcpListener, sync::Arc, time::UNIX_EPOCH};

use axum::{
    Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use policies::{
    decide::{Lane, Reason},
    policy::Mode,
};
use predictor::outcome::{End, Spill};

use self::page::Page;
pub(crate) use self::page::{Sample, Samples, Value};
use super::{
    Metric,
    otlp::{Counts, Signal},
    series::{NONE, RouteSeries, Series},
    shard::{Counter, LANES, LATENCY_BOUNDS_US, RouteLane, Shard},
};
use crate::{
    control::{
        ControlStats, FunctionState, PolicyState, Shared, VersionState,
        act::{Deeds, KINDS},
        capacity::PlanState,
        gateways::GatewaysState,
        radar::RadarState,
    },
    lane::{container::TaskState, lambda::LambdaError},
    ledger::statement::Statement,
    world::World,
};

/// Content type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Names of the status classes, as [`RouteLane::status`] counts them.
const CODES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Serves `GET /metrics` on `listener`, and nothing else, until it is dropped.
///
/// # Errors
/// When `listener` cannot be used by the runtime.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let router = Router::new().route("/metrics", get(scrape)).with_state(shared);
    axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await
}

async fn scrape(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let page = Page::new(shared.series().list().len());
    ([(CONTENT_TYPE, TEXT_FORMAT)], read(page, &shared).finish())
}

/// Returns all that `/metrics` shows, for who writes it in another form.
pub(crate) fn families(shared: &Shared) -> Vec<Samples> {
    read(Page::of_samples(), shared).families()
}

fn read(mut page: Page, shared: &Shared) -> Page {
    let world = shared.world();
    let state = shared.policy_state();
    // Before the series: who books holds both, in this order.
    let statement = {
        let ledger = shared.ledger();
        Statement::of(ledger.total(), ledger.book())
    };
    let series = shared.series();
    let (planned, deeds, frozen) = (shared.plans(), shared.deeds(), shared.frozen().is_some());
    let radar = shared.radar();
    let acting =
        Acting { planned: &planned, deeds: &deeds, radar: &radar, statement: &statement, frozen };
    fill(&mut page, &world, shared.shards(), shared.stats(), &series, &state, acting);
    page
}

/// What is planned, done and spent.
pub(crate) struct Acting<'a> {
    /// By service.
    pub(crate) planned: &'a BTreeMap<Arc<str>, PlanState>,
    /// What was done of late.
    pub(crate) deeds: &'a Deeds,
    /// What lies ahead.
    pub(crate) radar: &'a RadarState,
    /// What was spent since the start.
    pub(crate) statement: &'a Statement,
    /// Nothing changes capacity.
    pub(crate) frozen: bool,
}

/// Adds all metrics.
fn fill(
    page: &mut Page,
    world: &World,
    shards: &[Arc<Shard>],
    control: &ControlStats,
    series: &Series,
    state: &PolicyState,
    Acting { planned, deeds, radar, statement, frozen }: Acting<'_>,
) {
    routes(page, series.list());
    objectives::add(page, series.list(), &world.policy);
    policy(page, state);
    workers(page, shards);
    lanes(page, world);
    versions(page, &control.functions());
    plans(page, planned);
    radar::add(page, radar);
    money::money(page, statement);
    page.one(&super::HISTORY_FAILURES, &[], control.history().failures as f64);
    actions(page, world, deeds);
    page.one(&super::FROZEN, &[], if frozen { 1.0 } else { 0.0 });
    page.family(&super::DISCOVERY_ERRORS, |family| {
        for service in &world.policy.services {
            if service.container.is_some() {
                family.add(&[&service.name], control.discovery_errors(&service.name) as f64);
            }
        }
    });
    gateways(page, control);
    if world.policy.otlp.is_some() {
        otlp(page, control.otlp(), shards);
    }
    page.one(&super::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
    if let Some(process) = process::Process::read() {
        page.one(&super::PROCESS_CPU, &[], process.cpu_seconds);
        page.one(&super::PROCESS_RESIDENT, &[], process.resident_bytes);
        page.one(&super::PROCESS_FDS, &[], process.open_fds);
        page.one(&super::PROCESS_START, &[], process.start_time_seconds);
        page.one(&super::PROCESS_THREADS, &[], process.threads);
    }
}

/// Adds what was done. A rate misses the event with which a series appears: what may be done is there before it is.
fn actions(page: &mut Page, world: &World, deeds: &Deeds) {
    let acting = world.policy.services.iter().filter(|service| service.mode == Mode::Act);
    let mut counts: BTreeMap<(&str, &str, bool), u64> = acting
        .flat_map(|service| KINDS.map(|kind| (&*service.name, kind)))
        .flat_map(|(service, kind)| [false, true].map(|failed| ((service, kind, failed), 0)))
        .collect();
    counts.extend(deeds.counts().map(|(service, kind, failed, n)| ((service, kind, failed), n)));
    page.family(&super::ACTIONS, |family| {
        for ((service, kind, failed), n) in counts {
            family.add(&[service, kind, if failed { "failed" } else { "done" }], n as f64);
        }
    });
}

/// Adds what became of what a collector was sent.
fn otlp(page: &mut Page, counts: &Counts, shards: &[Arc<Shard>]) {
    let lost: u64 = shards.iter().map(|shard| shard.spans_dropped.get()).sum();
    page.one(&super::OTLP_SPANS, &[], counts.exported() as f64);
    page.one(&super::OTLP_DROPPED, &[], (counts.dropped() + lost) as f64);
    page.family(&super::OTLP_FAILURES, |family| {
        for signal in Signal::ALL {
            family.add(&[signal.as_str()], counts.failures(signal) as f64);
        }
    });
}

/// Adds how it is with other gateways. One that is alone leads.
fn gateways(page: &mut Page, control: &ControlStats) {
    let state = control.gateways();
    let state = state.as_ref();
    let leads = state.is_none_or(GatewaysState::leads);
    page.one(&super::GATEWAYS_LIVE, &[], state.map_or(1.0, |state| f64::from(state.live)));
    page.one(&super::GATEWAY_LEADS, &[], if leads { 1.0 } else { 0.0 });
    page.one(&super::GATEWAY_ERRORS, &[], state.map_or(0.0, |state| state.errors as f64));
}

/// Adds what is counted by route and lane.
fn routes(page: &mut Page, series: &[RouteSeries]) {
    let sum = |all: &[&RouteSeries], lane: usize, of: &dyn Fn(&RouteLane) -> &Counter| -> u64 {
        let workers = all.iter().flat_map(|series| &series.workers);
        workers.map(|lanes| of(&lanes[lane]).get()).sum()
    };
    page.family(&super::REQUESTS, |family| {
        for series in series {
            for (lane, of) in LANES.iter().enumerate() {
                let counts: [u64; CODES.len()] = array::from_fn(|class| {
                    sum(&[series], lane, &|counters| &counters.status[class])
                });
                let any = counts.iter().any(|n| 0 < *n);
                for (code, n) in CODES.iter().zip(counts) {
                    // Failures are there before the first: a rate misses the one with which a series appears.
                    if 0 < n || any && *code == "5xx" {
                        let labels = [&*series.route, &*series.service, lane_name(*of), code];
                        family.add(&labels, n as f64);
                    }
                }
            }
        }
    });
    page.family(&super::ASKED, |family| {
        for series in series {
            for (lane, of) in LANES.iter().enumerate() {
                let n = sum(&[series], lane, &|counters| &counters.asked);
                family.add_counted(&[&series.route, &series.service, lane_name(*of)], n as f64);
            }
        }
    });
    // A route that was led to another service by a reload has a series for each.
    let mut by_name: BTreeMap<&str, Vec<&RouteSeries>> = BTreeMap::new();
    for series in series {
        by_name.entry(&series.route).or_default().push(series);
    }
    page.family(&super::REQUEST_DURATION, |family| {
        for (name, all) in &by_name {
            for (lane, of) in LANES.iter().enumerate() {
                let buckets: Vec<u64> = (0..=LATENCY_BOUNDS_US.len())
                    .map(|bucket| sum(all, lane, &|counters| &counters.latency.buckets[bucket]))
                    .collect();
                let seconds = sum(all, lane, &|counters| &counters.latency.sum_us) as f64 / 1e6;
                family.add_latency(&[name, lane_name(*of)], &buckets, seconds);
            }
        }
    });
    let mut by_route = |metric: &Metric, scale: f64, of: &[&dyn Fn(&RouteLane) -> &Counter]| {
        page.family(metric, |family| {
            for (name, all) in &by_name {
                let sums = of.iter().flat_map(|of| (0..LANES.len()).map(|lane| sum(all, lane, of)));
                family.add_counted(&[name], sums.sum::<u64>() as f64 * scale);
            }
        });
    };
    by_route(&super::REQUEST_BYTES, 1.0, &[&|counters| &counters.bytes_in]);
    by_route(&super::RESPONSE_BYTES, 1.0, &[&|counters| &counters.bytes_out]);
    // MB-ms to GB-s: 1024 MB to the GB, 1000 ms to the second.
    let gb_s = 1.0 / (1024.0 * 1000.0);
    by_route(
        &super::LAMBDA_BILLED,
        gb_s,
        &[&|lane| &lane.used[0].mb_ms, &|lane| &lane.used[1].mb_ms],
    );
    let cold: [&dyn Fn(&RouteLane) -> &Counter; 2] =
        [&|lane| &lane.used[0].cold_starts, &|lane| &lane.used[1].cold_starts];
    by_route(&super::LAMBDA_COLD_STARTS, 1.0, &cold);
}

/// Adds which policy is in force, and what became of others.
fn policy(page: &mut Page, state: &PolicyState) {
    page.one(&super::POLICY_INFO, &[&state.hash], 1.0);
    let since = state.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    page.one(&super::POLICY_SINCE, &[], since.as_secs_f64());
    page.family(&super::RELOADS, |family| {
        family.add(&["applied"], state.applied as f64);
        family.add(&["refused"], state.refused as f64);
    });
    page.one(&super::RELOAD_FAILED, &[], if state.error.is_some() { 1.0 } else { 0.0 });
}

/// Adds what is counted by worker alone.
fn workers(page: &mut Page, shards: &[Arc<Shard>]) {
    let sum = |of: &dyn Fn(&Shard) -> &Counter| -> f64 {
        shards.iter().map(|shard| of(shard).get()).sum::<u64>() as f64
    };
    page.family(&super::DECISIONS, |family| {
        for (lane, of) in LANES.iter().enumerate() {
            for reason in Reason::ALL {
                family.add_counted(
                    &[lane_name(*of), reason.as_str()],
                    sum(&|shard| &shard.reasons[lane][reason.index()]),
                );
            }
        }
    });
    page.family(&super::SPILLS, |family| {
        for from in Lane::ALL {
            for cause in Spill::ALL {
                family.add_counted(
                    &[from.as_str(), cause.as_str()],
                    sum(&|shard| &shard.spills[from.index()][cause.index()]),
                );
            }
        }
    });
    page.family(&super::LAMBDA_ERRORS, |family| {
        for error in 0..LambdaError::COUNT {
            family.add_counted(
                &[LambdaError::name_at(error)],
                sum(&|shard| shard.lambda_errors.at(error)),
            );
        }
    });
    page.family(&super::ENDS, |family| {
        // Six at most, and rates over a series that appears with its first event miss that event: zeros are shown.
        for end in End::ALL {
            family.add(&[end.as_str()], sum(&|shard| &shard.ends[end.index()]));
        }
    });
    page.one(&super::RETRIES, &[], sum(&|shard| &shard.retries));
    page.one(&super::IN_FLIGHT, &[], sum(&|shard| &shard.in_flight));
    page.one(&super::CONNECTIONS, &[], sum(&|shard| &shard.connections));
    page.one(&super::CONNECTIONS_REFUSED, &[], sum(&|shard| &shard.connections_refused));
    page.one(&super::CONNECTIONS_OPEN, &[], sum(&|shard| &shard.connections_open));
    page.one(&super::UPSTREAM_CONNECTIONS, &[], sum(&|shard| &shard.upstream_connections));
    page.one(&super::ACCESS_LOG_DROPPED, &[], sum(&|shard| &shard.log_dropped));
}

/// Adds the state of each service's lanes.
fn lanes(page: &mut Page, world: &World) {
    let functions = || {
        let functions = world.policy.services.iter().zip(&world.endpoints);
        functions
            .filter_map(|(service, endpoints)| Some((&*service.name, endpoints.function.as_ref()?)))
    };
    let containers = || {
        let containers = world.policy.services.iter().zip(&world.endpoints);
        containers
            .filter_map(|(service, endpoints)| Some((&*service.name, endpoints.tasks.as_ref()?)))
    };
    page.family(&super::LAMBDA_IN_FLIGHT, |family| {
        functions().for_each(|(service, function)| {
            family.add(&[service], f64::from(function.in_flight()));
        });
    });
    page.family(&super::LAMBDA_UP, |family| {
        functions().for_each(|(service, function)| {
            family.add(&[service], if function.is_up() { 1.0 } else { 0.0 });
        });
    });
    page.family(&super::TASKS, |family| {
        for (service, tasks) in containers() {
            for state in [TaskState::Unproven, TaskState::Ready, TaskState::Draining] {
                let n = tasks.list().iter().filter(|task| task.state() == state).count();
                family.add(&[service, state_name(state)], n as f64);
            }
        }
    });
    page.family(&super::SLOTS, |family| {
        for (service, tasks) in containers() {
            let ready = tasks.list().iter().filter(|task| task.state() == TaskState::Ready);
            family.add(&[service], ready.map(|task| f64::from(task.slots())).sum());
        }
    });
    page.family(&super::SLOTS_BUSY, |family| {
        for (service, tasks) in containers() {
            family.add(&[service], tasks.list().iter().map(|task| f64::from(task.busy())).sum());
        }
    });
    page.family(&super::QUEUE_WAITING, |family| {
        containers()
            .for_each(|(service, tasks)| family.add(&[service], f64::from(tasks.waiting())));
    });
}

/// Adds what is planned for each service.
fn plans(page: &mut Page, plans: &BTreeMap<Arc<str>, PlanState>) {
    page.family(&super::PLANNED_ENVIRONMENTS, |family| {
        for (service, plan) in plans {
            let Some(environments) = &plan.environments else { continue };
            family.add(&[service, "warm"], f64::from(environments.warm));
            family.add(&[service, "provisioned"], f64::from(environments.provisioned));
        }
    });
    let mut each = |metric: &Metric, of: &dyn Fn(&PlanState) -> f64| {
        page.family(metric, |family| {
            for (service, plan) in plans.iter().filter(|(_, plan)| plan.tasks.is_some()) {
                family.add(&[service], of(plan));
            }
        });
    };
    each(&super::PLANNED_TASKS, &|plan| f64::from(plan.tasks.unwrap_or_default()));
    each(&super::DEMAND_SLOTS, &|plan| plan.demand);
    each(&super::BREAK_EVEN, &|plan| plan.break_even);
    each(&super::START_SECONDS, &|plan| plan.start.as_secs_f64());
    page.family(&super::FORECAST_SLOTS, |family| {
        for (service, plan) in plans.iter().filter(|(_, plan)| plan.tasks.is_some()) {
            family.add(&[service, "expected"], plan.expected.0);
            family.add(&[service, "p90"], plan.expected.1);
        }
    });
}

/// Adds what Lambda's API says of each service's function.
fn versions(page: &mut Page, functions: &BTreeMap<Arc<str>, FunctionState>) {
    page.family(&super::LAMBDA_STATE, |family| {
        for (service, function) in functions {
            for state in VersionState::ALL {
                let is = state == function.known.configuration.state;
                family.add(&[service, state.as_str()], if is { 1.0 } else { 0.0 });
            }
        }
    });
    page.family(&super::LAMBDA_CONCURRENCY_LIMIT, |family| {
        for (service, function) in functions {
            family.add(&[service], f64::from(function.real.max_in_flight));
        }
    });
    page.family(&super::LAMBDA_PROVISIONED, |family| {
        for (service, function) in functions {
            let Some(provisioned) = function.known.provisioned else { continue };
            family.add(&[service, "requested"], f64::from(provisioned.requested));
            family.add(&[service, "allocated"], f64::from(provisioned.allocated));
            family.add(&[service, "available"], f64::from(provisioned.available));
        }
    });
}

/// Returns the label value of a lane.
fn lane_name(lane: Option<Lane>) -> &'static str {
    lane.map_or(NONE, Lane::as_str)
}

/// Returns the label value of a task's state.
pub(crate) fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Unproven => "unproven",
        TaskState::Ready => "ready",
        TaskState::Draining => "draining",
    }
}

#[cfg(test)]
mod tests;
