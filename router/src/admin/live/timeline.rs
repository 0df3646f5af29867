//! What was planned, ready and asked of each service lately, and what had been forecast for then.
//!
//! A point each ten seconds, so many for each service: half an hour. Places are taken once, and
//! what leaves the policy is forgotten.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{
    control::{Shared, capacity::PlanState},
    lane::container::{TaskState, Tasks},
};

/// Points that are kept of a service: 30 minutes of plans, 56 bytes each.
const POINTS: usize = 180;

/// How it was when a plan was made. All but tasks are slots.
#[derive(Debug, Clone, Copy)]
struct Point {
    at: SystemTime,
    /// The moment that `expected` and `p90` are forecast for.
    due: SystemTime,
    demand: f32,
    expected: f32,
    p90: f32,
    planned_tasks: u32,
    ready_tasks: u32,
    starting_tasks: u32,
    slots: u32,
}

/// The names of a point's numbers, in the order in which they are written.
const COLUMNS: [&str; 9] = [
    "at_ms",
    "due_ms",
    "demand",
    "expected",
    "p90",
    "planned_tasks",
    "ready_tasks",
    "starting_tasks",
    "slots",
];

/// The points of all services.
#[derive(Debug, Default)]
pub(super) struct Timelines(BTreeMap<Arc<str>, VecDeque<Point>>);

impl Timelines {
    /// Adds a point for each service whose last one is old enough.
    pub(super) fn note(&mut self, shared: &Shared) {
        let (plans, world) = (shared.plans(), shared.world());
        self.0.retain(|service, _| plans.contains_key(service));
        for (service, endpoints) in world.policy.services.iter().zip(&world.endpoints) {
            let Some(plan) = plans.get(&service.name).filter(|plan| plan.tasks.is_some()) else {
                continue;
            };
            let points = self.0.entry(service.name.clone()).or_default();
            if points.back().is_some_and(|last| plan.at < last.at + step(plan)) {
                continue;
            }
            if points.len() == POINTS {
                points.pop_front();
            }
            points.push_back(Point::of(plan, endpoints.tasks.as_deref()));
        }
    }

    /// Returns what is known of a service, with what was done to it meanwhile; `None` when nothing is planned for it.
    pub(super) fn show(&self, service: &str, shared: &Shared) -> Option<Value> {
        let points = self.0.get(service)?;
        let world = shared.world();
        let policy = world.policy.services.iter().find(|known| *known.name == *service);
        let container = policy.and_then(|service| service.container.as_ref());
        let since = points.front().map_or(UNIX_EPOCH, |first| first.at);
        let deeds = shared.deeds();
        let actions = deeds.latest().filter(|deed| *deed.service == *service && since <= deed.at);
        let actions = actions.map(|deed| {
            json!({ "at_ms": unix_ms(deed.at), "kind": deed.kind, "what": deed.what, "failed": deed.error.is_some() })
        });
        Some(json!({
            "service": service,
            "slots_per_task": container.map(|container| container.requests_per_task),
            "now_ms": unix_ms(SystemTime::now()),
            "columns": COLUMNS,
            "points": points.iter().map(Point::row).collect::<Vec<_>>(),
            "actions": actions.collect::<Vec<_>>(),
        }))
    }
}

impl Point {
    fn of(plan: &PlanState, tasks: Option<&Tasks>) -> Self {
        let room = tasks.map(Tasks::room).unwrap_or_default();
        let list = tasks.into_iter().flat_map(Tasks::list);
        let starting = list.filter(|task| task.state() == TaskState::Unproven).count();
        Self {
            at: plan.at,
            due: plan.due,
            demand: plan.demand as f32,
            expected: plan.expected.0 as f32,
            p90: plan.expected.1 as f32,
            planned_tasks: plan.tasks.unwrap_or_default(),
            ready_tasks: room.ready,
            starting_tasks: starting as u32,
            slots: room.slots,
        }
    }

    /// In the order of [`COLUMNS`].
    fn row(&self) -> Value {
        json!([
            unix_ms(self.at),
            unix_ms(self.due),
            rounded(self.demand),
            rounded(self.expected),
            rounded(self.p90),
            self.planned_tasks,
            self.ready_tasks,
            self.starting_tasks,
            self.slots,
        ])
    }
}

/// Time between two points: nearly ten seconds of the plans' clock, however often plans are made.
fn step(plan: &PlanState) -> Duration {
    Duration::from_millis(9_500).div_f64(plan.scale)
}

fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Rounds to hundredths of a slot: more is not drawn.
fn rounded(slots: f32) -> f64 {
    (f64::from(slots) * 100.0).round() / 100.0
}
