//! What is known of a service, brought together for the radar.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use policies::policy::{Container, Discovery, Mode, Service};
use predictor::radar::{
    Ahead, Burns, Inputs, Lambda, May, Readiness, Ready, SPOT_WINDOW_S, Shared, Tasks, readiness,
};
use tokio::time::Instant;

use super::{Watched, coming::Coming, counts::Counts, flights::Flights, steadiness::Planned};
use crate::{
    control::{
        FunctionState,
        act::Actuators,
        capacity::{Capacity, PlanState},
        discover::Fleet,
    },
    lane::container::TaskState,
    world::World,
};

/// MiB of a GB, as Fargate bills memory.
const MIB_PER_GB: f64 = 1024.0;

/// What the control loop knows.
#[derive(Debug)]
pub(crate) struct Around<'a> {
    pub(crate) world: &'a World,
    pub(crate) capacity: &'a Capacity,
    pub(crate) fleets: BTreeMap<&'a str, &'a Fleet>,
    pub(crate) functions: &'a BTreeMap<Arc<str>, FunctionState>,
    pub(crate) actuators: &'a Actuators,
    /// What readings of services that observe found, by service: whether they could be acted on.
    pub(crate) checks: &'a BTreeMap<Arc<str>, Result<(), String>>,
    /// This gateway changes capacity.
    pub(crate) leads: bool,
    /// Nothing changes capacity, until it is let again.
    pub(crate) frozen: bool,
    /// Gateways that live, this one among them.
    pub(crate) live: u32,
    /// Why what is asked is not kept.
    pub(crate) not_kept: Option<&'a str>,
    /// The plans' time, in seconds since 1970.
    pub(crate) shown_s: f64,
    /// This moment.
    pub(crate) now: Instant,
}

impl Around<'_> {
    /// Returns how long so many seconds of the plans' clock are.
    fn real(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds / self.capacity.clock().scale().max(1e-3))
    }
}

/// What is known of a service since the last plan.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    tasks: Option<OfTasks>,
    burns: Vec<Burns>,
    not_listed: Option<(String, u32)>,
    not_read: Option<String>,
    not_kept: Option<String>,
    /// In flight on Lambda that containers would have served.
    spilled: f64,
    alone: bool,
    pub(super) ready: Option<Ready>,
}

#[derive(Debug)]
struct OfTasks {
    slots_each: u32,
    ready: u32,
    on_spot: u32,
    taken_back: u32,
    most: Option<u32>,
    start_s: f64,
    demand: Vec<Ahead>,
    only_here: f64,
    planned: Option<u32>,
    may: Can,
}

/// As [`May`], with words of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Can {
    Act,
    Observe,
    Hindered(String),
    Other,
    Fixed,
}

/// What is going on at a function.
#[derive(Debug)]
pub(super) struct Aloft {
    up: bool,
    in_flight: Vec<f64>,
    own: f64,
    cap: f64,
    cap_of: &'static str,
    shared: Option<(Vec<f64>, f64)>,
    calls: f64,
    throttled: f64,
    alone: bool,
}

/// What functions have in flight that share the account's concurrency, and how much that is.
pub(super) type OfAccount = Option<(Vec<f64>, f64)>;

/// Gathers what is known of the `index`th service.
pub(super) fn gather(
    around: &Around<'_>,
    index: usize,
    watched: &mut Watched,
    counts: &Counts,
) -> Gathered {
    let service = &around.world.policy.services[index];
    let name = &*service.name;
    let plans = around.capacity.states();
    let plan = plans.get(name);
    let fleet = around.fleets.get(name).copied();
    let tasks = service.container.as_ref().map(|container| {
        let limits = container.tasks.as_ref();
        OfTasks {
            slots_each: container.requests_per_task,
            ready: 0,
            on_spot: 0,
            taken_back: fleet
                .map_or(0, |fleet| fleet.taken_back(around.real(SPOT_WINDOW_S), around.now)),
            most: limits.map(|limits| limits.max),
            start_s: plan.map_or(0.0, |plan| plan.start.as_secs_f64()),
            demand: plan.map(|plan| plan.outlook.clone()).unwrap_or_default(),
            only_here: if service.lambda.is_none() { 1.0 } else { counts.only_in_containers(name) },
            planned: plan.and_then(|plan| plan.tasks),
            may: can(around, service, container),
        }
    });
    let state = fleet.map(Fleet::state);
    let not_listed = state.and_then(|state| Some((state.error?, state.failures)));
    let function = around.functions.get(name);
    // What is not permitted is assumed, and no news.
    let not_read = function.and_then(|function| function.broken.clone());
    let learns = service.container.is_some() && service.mode.learns();
    let spilled = tasks.as_ref().zip(plan).map_or(0.0, |(_, plan)| {
        let tasks = around.world.endpoints[index].tasks.as_deref();
        let room = tasks.map(crate::lane::container::Tasks::room).unwrap_or_default();
        (plan.demand - f64::from(room.slots.saturating_sub(room.free))).max(0.0)
    });
    let ready = tasks.as_ref().and_then(|_| {
        let trouble = not_listed.as_ref().map(|(why, _)| why.as_str()).or(not_read.as_deref());
        is_ready(around, service, plan?, watched, trouble)
    });
    Gathered {
        tasks,
        burns: counts.burns(name),
        not_listed,
        not_read,
        not_kept: around.not_kept.filter(|_| learns).map(str::to_owned),
        spilled,
        alone: service.container.is_none() || counts.some_only_on_lambda(name),
        ready,
    }
}

/// Follows what changes between two plans: tasks that come.
pub(super) fn follow(around: &Around<'_>, index: usize, watched: &mut Watched) {
    let service = &around.world.policy.services[index];
    let Some(tasks) = watched.gathered.as_mut().and_then(|known| known.tasks.as_mut()) else {
        return;
    };
    let Some(fleet) = around.fleets.get(&*service.name) else { return };
    let (mut ready, mut starting, mut draining, mut on_spot) = (0, 0, 0, 0);
    for (task, placed) in fleet.present() {
        match task.state() {
            TaskState::Ready => {
                ready += 1;
                on_spot += u32::from(placed.spot);
            }
            TaskState::Unproven => starting += 1,
            TaskState::Draining => draining += 1,
        }
    }
    let asked = around.actuators.asked(&service.name);
    // Of those that are to be, some are on their way out: they are wanted until they are done.
    let missing = match tasks.may {
        Can::Fixed => 0,
        _ => asked.map_or(starting, |asked| asked.saturating_sub(ready + draining)),
    };
    watched.coming.follow(missing, around.shown_s);
    (tasks.ready, tasks.on_spot) = (ready, on_spot);
}

/// Returns what all functions have in flight that share the account's concurrency.
pub(super) fn shared(around: &Around<'_>, watched: &BTreeMap<Arc<str>, Watched>) -> OfAccount {
    let sharing = around.functions.iter().filter(|(_, function)| function.shares());
    let mut sum: Option<(Vec<f64>, f64)> = None;
    for (name, function) in sharing {
        let (Some(cap), Some(watched)) = (function.concurrency, watched.get(name)) else {
            continue;
        };
        let (all, _) = sum.get_or_insert_with(|| (Vec::new(), f64::from(cap)));
        let most: Vec<f64> = watched.flights.most().collect();
        if all.len() < most.len() {
            let missing = most.len() - all.len();
            all.splice(0..0, std::iter::repeat_n(0.0, missing));
        }
        all.iter_mut().rev().zip(most.iter().rev()).for_each(|(sum, most)| *sum += most);
    }
    // Others of this policy are taken to have as much.
    sum.map(|(all, cap)| {
        (all.into_iter().map(|n| n * f64::from(around.live.max(1))).collect(), cap)
    })
}

fn can(around: &Around<'_>, service: &Service, container: &Container) -> Can {
    let trouble = || around.actuators.trouble(&service.name).map(str::to_owned);
    match (&container.discovery, service.mode) {
        (Discovery::Upstreams(_), _) => Can::Fixed,
        (Discovery::Ecs { .. }, Mode::Off | Mode::Observe) => Can::Observe,
        (Discovery::Ecs { .. }, Mode::Act) if around.frozen => {
            Can::Hindered("it is frozen; `pacer thaw` lets it act again".to_owned())
        }
        (Discovery::Ecs { .. }, Mode::Act) if !around.leads => Can::Other,
        (Discovery::Ecs { .. }, Mode::Act) => trouble().map_or(Can::Act, Can::Hindered),
    }
}

/// Tells whether a service that observes is ready to act; `None` where there is nothing to act on.
fn is_ready(
    around: &Around<'_>,
    service: &Service,
    plan: &PlanState,
    watched: &mut Watched,
    trouble: Option<&str>,
) -> Option<Ready> {
    let container = service.container.as_ref()?;
    let is_ecs = matches!(container.discovery, Discovery::Ecs { .. });
    if service.mode != Mode::Observe || !is_ecs {
        return None;
    }
    if container.tasks.is_none() {
        let says = "not yet: `mode: act` needs `container.tasks` (min, max, fallback)".to_owned();
        return Some(Ready { ready: false, says });
    }
    let planned = Planned {
        ready: around.fleets.get(&*service.name).map_or(0, |fleet| ready(fleet)),
        tasks: plan.tasks?,
        demand: plan.demand,
        slots_each: container.requests_per_task,
        break_even: service.lambda.as_ref().map(|_| plan.break_even),
    };
    watched.steadiness.look(&planned, around.shown_s);
    let prices = &around.capacity.book().fargate;
    let hour_usd = container.vcpu * prices.vcpu_hour.of(container.arch).as_usd()
        + f64::from(container.memory_mib) / MIB_PER_GB * prices.gb_hour.of(container.arch).as_usd();
    let (ran, would) = watched.steadiness.tasks();
    let check = around.checks.get(&service.name);
    Some(readiness(&Readiness {
        trouble,
        hindered: check.and_then(|check| check.as_ref().err()).map(String::as_str),
        checked: check.is_some(),
        seen_s: watched.steadiness.seen_s(around.shown_s),
        recalled: plan.recalled,
        turns: watched.steadiness.turns(),
        costs_usd: ran * hour_usd,
        planned_usd: would * hour_usd,
    }))
}

/// Returns how many tasks take requests.
fn ready(fleet: &Fleet) -> u32 {
    fleet.present().filter(|(task, _)| task.state() == TaskState::Ready).count() as u32
}

impl Gathered {
    /// Returns what is going on at the function of the `index`th service.
    pub(super) fn lambda(
        &self,
        around: &Around<'_>,
        index: usize,
        flights: &Flights,
        shared: &OfAccount,
    ) -> Option<Aloft> {
        let service = &around.world.policy.services[index];
        let function = around.world.endpoints[index].function.as_ref()?;
        let known = around.functions.get(&service.name);
        let cap = service.lambda.as_ref()?.max_in_flight;
        let by_aws = known.filter(|known| known.concurrency.is_some_and(|limit| limit <= cap));
        let cap_of = match by_aws {
            Some(known) if known.shares() => "the account's unreserved concurrency",
            Some(_) => "its reserved concurrency",
            None => "`max_in_flight`",
        };
        let in_flight: Vec<f64> = flights.most().collect();
        let latest = in_flight.iter().rev().take(2).copied().fold(0.0, f64::max);
        let counted = flights.last_minute();
        let shares = known.is_some_and(FunctionState::shares);
        Some(Aloft {
            up: function.is_up() && around.world.keys.is_some(),
            own: (latest - self.spilled).max(0.0),
            in_flight,
            cap: f64::from(cap),
            cap_of,
            shared: shared.clone().filter(|_| shares),
            calls: counted.began as f64,
            throttled: counted.throttled as f64,
            alone: self.alone,
        })
    }

    /// Returns what the radar goes by.
    pub(super) fn inputs<'a>(
        &'a self,
        now_s: u64,
        coming: &Coming,
        lambda: Option<&'a Aloft>,
    ) -> Inputs<'a> {
        let tasks = self.tasks.as_ref().map(|tasks| Tasks {
            slots_each: tasks.slots_each,
            ready: tasks.ready,
            on_spot: tasks.on_spot,
            taken_back: tasks.taken_back,
            coming: coming.at(now_s as f64),
            most: tasks.most,
            start_s: tasks.start_s,
            demand: &tasks.demand,
            only_here: tasks.only_here,
            planned: tasks.planned,
            may: match &tasks.may {
                Can::Act => May::Act,
                Can::Observe => May::Observe,
                Can::Hindered(why) => May::Hindered(why),
                Can::Other => May::Other,
                Can::Fixed => May::Fixed,
            },
        });
        let lambda = lambda.map(|aloft| Lambda {
            up: aloft.up,
            in_flight: &aloft.in_flight,
            own: aloft.own,
            cap: aloft.cap,
            cap_of: aloft.cap_of,
            shared: aloft.shared.as_ref().map(|(all, cap)| Shared { in_flight: all, cap: *cap }),
            calls: aloft.calls,
            throttled: aloft.throttled,
            alone: aloft.alone,
        });
        Inputs {
            now_s,
            tasks,
            lambda,
            burns: self.burns.clone(),
            not_listed: self.not_listed.as_ref().map(|(why, failures)| (why.as_str(), *failures)),
            not_read: self.not_read.as_deref(),
            not_kept: self.not_kept.as_deref(),
        }
    }
}
