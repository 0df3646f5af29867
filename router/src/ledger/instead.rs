//! What the same requests would have cost otherwise: other planners, run beside the gateway on the same load.
//!
//! By the model that `pacer replay` goes by ([`predictor::replay::counts`]): each step of ten seconds, what was asked and how
//! long such requests run is told to a replay under way. How long requests run is measured by route on either lane; on Lambda
//! and in a container they are taken to run equally long. Each begins with the tasks that are there when the gateway starts.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::SystemTime,
};

use policies::{
    cost::{PriceBook, Terms},
    policy::{Container, Lambda, RouteId, ServiceId, TaskLimits},
    workload::Assumptions,
};
use predictor::{
    plan::{LambdaOnly, Newsvendor, Planner, TargetTracking},
    replay::{
        counts::{Asked, Running},
        distribution::Distribution,
        load::Load,
        scenario::{believed, objective_us, of_service},
        site::{Account, Site, Stream},
    },
};

use super::{Instead, Key, Part, Row, View};
use crate::{
    control::capacity::{Clock, STEP_S},
    lane::container::TaskState,
    telemetry::shard::RouteLane,
};

/// Most tasks of a fleet that has no Lambda behind it: what ECS allows a service (Amazon ECS service quotas).
const MOST: u32 = 5_000;

/// Busy share of its slots that target tracking holds: what AWS's own examples take.
const TARGET: f64 = 0.7;

/// The alternatives of all services.
#[derive(Debug)]
pub(super) struct Alternatives {
    clock: Clock,
    services: BTreeMap<Arc<str>, Alternative>,
    /// When the last step ended that was looked at, in seconds of the clock.
    looked_s: Option<u64>,
}

/// One service, run otherwise.
#[derive(Debug)]
struct Alternative {
    /// Its lanes when it began: with others it begins anew.
    lanes: (Lambda, Container),
    routes: HashMap<Arc<str>, Counters>,
    /// Who plans, and what was told of it.
    running: Vec<(Instead, Running, Row)>,
}

/// What a route's counters showed, and how long its requests run.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    /// Requests whose home is Lambda, and a container.
    asked: [u64; 2],
    runs: u64,
    run_us: u64,
    mean_us: Option<f64>,
}

impl Alternatives {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, services: BTreeMap::new(), looked_s: None }
    }

    /// Tells `book` of what would have been used since the last step.
    pub(super) fn look(
        &mut self,
        view: &View<'_>,
        book: &PriceBook,
        now: SystemTime,
        mut enter: impl FnMut(Key, Row),
    ) {
        let end_s = self.clock.shows(now).as_secs() / STEP_S * STEP_S;
        if self.looked_s.replace(end_s) == Some(end_s) {
            return;
        }
        let (end_us, scale) = (end_s * 1_000_000, self.clock.scale());
        let policy = &view.world.policy;
        let mut before = std::mem::take(&mut self.services);
        for (index, service) in policy.services.iter().enumerate() {
            // With one lane there is nothing to choose.
            let (Some(lambda), Some(container)) = (&service.lambda, &service.container) else {
                continue;
            };
            let id = ServiceId(index as u16);
            let same =
                |known: &Alternative| known.lanes.0 == *lambda && known.lanes.1 == *container;
            let mut alternative = match before.remove(&service.name).filter(same) {
                Some(known) => known,
                None => {
                    match Alternative::begin(view, id, (lambda, container), book, (scale, end_us)) {
                        Some(begun) => begun,
                        None => continue,
                    }
                }
            };
            let asked = alternative.asked(view, id, scale);
            for (instead, running, told) in &mut alternative.running {
                running.step(end_us, asked);
                // Sums, not differences, are rounded: none adds up errors.
                let used = Row::of(&running.usage(), lambda.arch, container.arch);
                let served = running.served();
                let (requests, failed, late) = (served.asked, served.failed, served.late);
                let used = Row { requests, failed, late, ..real(used, scale) };
                let row = used.since(told);
                *told = used;
                if view.leads {
                    enter(Key::new(service.name.clone(), Part::Instead(*instead)), row);
                }
            }
            self.services.insert(service.name.clone(), alternative);
        }
    }
}

impl Alternative {
    fn begin(
        view: &View<'_>,
        id: ServiceId,
        (lambda, container): (&Lambda, &Container),
        book: &PriceBook,
        (scale, start_us): (f64, u64),
    ) -> Option<Self> {
        let policy = &view.world.policy;
        let service = policy.service(id);
        let route = policy.routes.iter().find(|route| route.service == id)?;
        let ready = view.world.endpoints(id).tasks.as_ref().map_or(0, |tasks| {
            tasks.list().iter().filter(|task| task.state() == TaskState::Ready).count()
        });
        let ready = u32::try_from(ready).unwrap_or(u32::MAX);
        // How long requests take is told with each step; this is only what a tail and a wait look like.
        let time = Distribution::Exponential(route.auto.prior.as_secs_f64() * 1e6 * scale);
        let stream = Stream {
            route: route.clone(),
            belief: believed(&time),
            service_time: time.clone(),
            // In the time of the plans, as all that it is compared with.
            objective_us: (objective_us(route.objective) as f64 * scale) as u64,
        };
        let assumptions = Assumptions::default();
        let assumed = assumptions.of(&service.name);
        let load = Load::new(Vec::new());
        let site = of_service(service, vec![stream], time, assumed, &load, book, Terms::default());
        let limits = container.tasks.as_ref();
        let running = Instead::ALL.map(|instead| {
            let site = Site { first_tasks: ready, ..site.clone() };
            let (site, planner) = otherwise(instead, site, limits, scale);
            (instead, Running::new(site, planner, start_us, Account::default()), Row::default())
        });
        let mut alternative = Self {
            lanes: (lambda.clone(), container.clone()),
            routes: HashMap::new(),
            running: running.into(),
        };
        // What was counted before it began is not its load.
        alternative.asked(view, id, scale);
        Some(alternative)
    }

    /// Returns what was asked since the last step.
    fn asked(&mut self, view: &View<'_>, id: ServiceId, scale: f64) -> Asked {
        let policy = &view.world.policy;
        let (mut at_home, mut sprinters) = ((0.0, 0.0), (0.0, 0.0));
        for (index, route) in policy.routes.iter().enumerate() {
            if route.service != id {
                continue;
            }
            let counters = self.routes.entry(route.name.clone()).or_default();
            let lanes = |of: fn(&RouteLane) -> u64, lane: usize| -> u64 {
                let tables = view.world.counters.iter();
                tables.map(|table| of(&table.of(Some(RouteId(index as u16))).lanes[lane])).sum()
            };
            let asked = [0, 1].map(|lane| lanes(|lane| lane.asked.get(), lane));
            let both = |of: fn(&RouteLane) -> u64| lanes(of, 0) + lanes(of, 1);
            let (runs, run_us) = (both(|lane| lane.runs.get()), both(|lane| lane.run_us.get()));
            let new = |now: u64, before: u64| now.saturating_sub(before) as f64;
            let ran = new(runs, counters.runs);
            if 0.0 < ran {
                counters.mean_us = Some(new(run_us, counters.run_us) / ran);
            }
            let mean_us = counters.mean_us.unwrap_or(route.auto.prior.as_secs_f64() * 1e6) * scale;
            let [on_lambda, in_containers] =
                [0, 1].map(|lane| new(asked[lane], counters.asked[lane]));
            at_home = (at_home.0 + in_containers, at_home.1 + in_containers * mean_us);
            sprinters = (sprinters.0 + on_lambda, sprinters.1 + on_lambda * mean_us);
            *counters = Counters { asked, runs, run_us, mean_us: counters.mean_us };
        }
        Asked::new(at_home, sprinters, 1.0)
    }
}

/// Returns the service as it is run otherwise, and who plans for it.
fn otherwise(
    instead: Instead,
    mut site: Site,
    limits: Option<&TaskLimits>,
    scale: f64,
) -> (Site, Box<dyn Planner>) {
    let (least, most) = limits.map_or((0, MOST), |limits| (limits.min, limits.max));
    (site.shape.min_tasks, site.shape.max_tasks) = (least, most);
    if 1.0 < scale {
        // A minute at least of each task is real time: at twenty times the speed it would be most of the bill.
        site.shape.least_paid_us = 0;
        site.task.least_paid_us = 0;
    }
    match instead {
        Instead::AllLambda => (site, Box::new(LambdaOnly)),
        Instead::TargetTracking => {
            // Nothing else can serve what finds no slot: a task at least, and as many as it takes.
            (site.shape.min_tasks, site.shape.max_tasks) = (least.max(1), MOST);
            site.first_tasks = site.first_tasks.max(1);
            (site, Box::new(TargetTracking::new(TARGET)))
        }
        Instead::LastValue => (site, Box::new(Newsvendor::default())),
    }
}

/// Returns what was used, in real time: the planners' time passes `scale` times as fast.
fn real(row: Row, scale: f64) -> Row {
    let real = |n: u64| (n as f64 / scale).round() as u64;
    Row {
        mb_ms: real(row.mb_ms),
        cache_mb_ms: real(row.cache_mb_ms),
        cpu_unit_ms: real(row.cpu_unit_ms),
        mib_ms: real(row.mib_ms),
        spot_cpu_unit_ms: real(row.spot_cpu_unit_ms),
        spot_mib_ms: real(row.spot_mib_ms),
        ..row
    }
}
