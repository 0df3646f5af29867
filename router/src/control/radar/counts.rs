//! What requests came to since the last look, by service: misses of objectives, and which of them have one lane alone.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use policies::{
    decide::Lane,
    policy::{Objective, Policy, Route, Service},
};
use predictor::radar::{Budget, Burns, WINDOWS_S};

use super::{BudgetState, worst};
use crate::telemetry::{
    series::{RouteSeries, Series},
    shard::{Counter, RouteLane},
};

/// Over how long objectives are judged where the policy does not say: what the policy's own examples have.
const WINDOW: Duration = Duration::from_hours(30 * 24);

/// Misses of a hundred requests that a p99 allows.
const LATE_ALLOWED: f64 = 0.01;

/// What is kept of earlier requests when new ones are counted, each look: a minute and a half or so.
const KEEP: f64 = 0.9;

/// A route's name, and its service's.
type Name = (Arc<str>, Arc<str>);

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// By route, also those that left the policy: their counters go on when they return.
    seen: HashMap<Name, Seen>,
    /// By service.
    services: BTreeMap<Arc<str>, Counted>,
}

/// A route's counters.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    finished: u64,
    late: u64,
    failed: u64,
    /// Of Lambda, and of containers.
    asked: [u64; 2],
    runs: u64,
    run_us: u64,
}

/// What was counted of a service.
#[derive(Debug, Default)]
struct Counted {
    latency: Option<Budget>,
    success: Option<Budget>,
    /// Busy slots asked of containers of late, and those that only they may serve, in no certain unit.
    slots: (f64, f64),
    /// Requests asked of Lambda of late that only it may serve.
    only_on_lambda: f64,
}

/// What a service missed since the last look.
#[derive(Debug, Default)]
struct Missed {
    late: (u64, f64),
    failed: (u64, f64),
}

impl Counts {
    /// Takes in what was counted since the last look.
    pub(super) fn look(&mut self, policy: &Policy, series: &Series, now_s: u64) {
        let routes: HashMap<_, _> =
            policy.routes.iter().map(|route| (name(policy, route), route)).collect();
        let mut before = std::mem::take(&mut self.seen);
        let mut missed: BTreeMap<Arc<str>, Missed> = BTreeMap::new();
        self.services.retain(|name, _| policy.services.iter().any(|service| service.name == *name));
        for counted in self.services.values_mut() {
            counted.slots = (counted.slots.0 * KEEP, counted.slots.1 * KEEP);
            counted.only_on_lambda *= KEEP;
        }
        for series in series.list() {
            let name = (series.route.clone(), series.service.clone());
            let now = Seen::of(series);
            let new = now.since(before.remove(&name).unwrap_or_default());
            self.seen.insert(name.clone(), now);
            let Some(route) = routes.get(&name) else { continue };
            let service = policy.service(route.service);
            missed.entry(name.1.clone()).or_default().add(&new, route.objective);
            let counted = self.services.entry(name.1).or_default();
            counted.learn(&new, now, route, service);
        }
        for service in &policy.services {
            let counted = self.services.entry(service.name.clone()).or_default();
            let routes = policy
                .routes
                .iter()
                .filter(|route| policy.service(route.service).name == service.name);
            let promises = routes.fold((false, false), |(latency, success), route| {
                let Objective { p99, success: promised, .. } = route.objective;
                (latency || p99.is_some(), success || promised.is_some())
            });
            let missed = missed.remove(&service.name).unwrap_or_default();
            let window_s = service.objective.window.unwrap_or(WINDOW).as_secs();
            tell(&mut counted.latency, promises.0, window_s, now_s, missed.late);
            tell(&mut counted.success, promises.1, window_s, now_s, missed.failed);
        }
    }

    /// Returns how the objectives of a service are kept.
    pub(super) fn burns(&self, service: &str) -> Vec<Burns> {
        let Some(counted) = self.services.get(service) else { return Vec::new() };
        let each = [("latency", &counted.latency), ("success", &counted.success)];
        each.into_iter()
            .filter_map(|(objective, budget)| Some(burns(objective, budget.as_ref()?)))
            .collect()
    }

    /// Returns how the objectives of a service are kept, all of them together.
    pub(super) fn budget(&self, service: &str) -> Option<BudgetState> {
        let counted = self.services.get(service)?;
        let seen_s = [&counted.latency, &counted.success].into_iter().flatten().map(Budget::seen_s);
        worst(&self.burns(service), seen_s.max().unwrap_or_default())
    }

    /// Returns the share of what containers are asked that only they may serve.
    pub(super) fn only_in_containers(&self, service: &str) -> f64 {
        let slots = self.services.get(service).map(|counted| counted.slots);
        slots.filter(|(all, _)| 0.0 < *all).map_or(0.0, |(all, only)| only / all)
    }

    /// Tells whether some of what Lambda was asked of late only it may serve.
    pub(super) fn some_only_on_lambda(&self, service: &str) -> bool {
        self.services.get(service).is_some_and(|counted| 0.5 < counted.only_on_lambda)
    }
}

impl Seen {
    fn of(series: &RouteSeries) -> Self {
        let sum = |lane: Option<usize>, of: &dyn Fn(&RouteLane) -> &Counter| -> u64 {
            let lanes = series.workers.iter().flat_map(|lanes| lanes.iter().enumerate());
            let lanes = lanes.filter(|(at, _)| lane.is_none_or(|lane| lane == *at));
            lanes.map(|(_, counters)| of(counters).get()).sum()
        };
        Self {
            finished: (0..6).map(|class| sum(None, &|lane| &lane.status[class])).sum(),
            late: sum(None, &|lane| &lane.late),
            failed: sum(None, &|lane| &lane.failed),
            asked: [0, 1].map(|lane| sum(Some(lane), &|lane| &lane.asked)),
            runs: sum(None, &|lane| &lane.runs),
            run_us: sum(None, &|lane| &lane.run_us),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            finished: self.finished.saturating_sub(before.finished),
            late: self.late.saturating_sub(before.late),
            failed: self.failed.saturating_sub(before.failed),
            asked: [0, 1].map(|lane| self.asked[lane].saturating_sub(before.asked[lane])),
            runs: self.runs.saturating_sub(before.runs),
            run_us: self.run_us.saturating_sub(before.run_us),
        }
    }
}

impl Counted {
    /// Learns which of the `new` requests had one lane alone; `all` are those since the start.
    fn learn(&mut self, new: &Seen, all: Seen, route: &Route, service: &Service) {
        let has = |lane: Lane| match lane {
            Lane::Lambda => {
                service.lambda.is_some() && !service.needs.storage && !service.needs.affinity
            }
            Lane::Container => service.container.is_some(),
        };
        let may = |lane: Lane| route.lanes.has(lane) && has(lane);
        let mean_us = if all.runs == 0 { 0.0 } else { all.run_us as f64 / all.runs as f64 };
        let slots = new.asked[1] as f64 * mean_us.max(1.0);
        self.slots.0 += slots;
        if !may(Lane::Lambda) {
            self.slots.1 += slots;
        }
        if !may(Lane::Container) {
            self.only_on_lambda += new.asked[0] as f64;
        }
    }
}

impl Missed {
    fn add(&mut self, new: &Seen, objective: Objective) {
        let finished = new.finished as f64;
        if objective.p99.is_some() {
            self.late = (self.late.0 + new.late, self.late.1 + finished * LATE_ALLOWED);
        }
        if let Some(success) = objective.success {
            let allowed = finished * (1.0 - success).max(0.0);
            self.failed = (self.failed.0 + new.failed, self.failed.1 + allowed);
        }
    }
}

fn name(policy: &Policy, route: &Route) -> Name {
    (route.name.clone(), policy.service(route.service).name.clone())
}

/// Tells `budget` what was missed and allowed; there is one where something is promised.
fn tell(
    budget: &mut Option<Budget>,
    promised: bool,
    window_s: u64,
    now_s: u64,
    (missed, allowed): (u64, f64),
) {
    if !promised {
        *budget = None;
        return;
    }
    let wanted = Budget::new(window_s);
    let budget = match budget {
        Some(budget) if budget.window_s() == wanted.window_s() => budget,
        other => other.insert(wanted),
    };
    budget.add(now_s, missed, allowed);
}

fn burns(objective: &'static str, budget: &Budget) -> Burns {
    let each = WINDOWS_S.map(|window_s| budget.burn(window_s));
    Burns {
        objective,
        window_s: budget.window_s() as f64,
        left: budget.left(),
        rates: each.map(|(rate, _)| rate),
        missed: each.map(|(_, missed)| missed as f64),
    }
}

#[cfg(test)]
mod tests {
    use predictor::outcome::{End, Outcome};

    use super::*;
    use crate::{fixture, world::World};

    fn world(objective: &str) -> World {
        let film = format!("  film:\n    objective: {objective}\n");
        fixture::world(&fixture::policy(&fixture::POLICY.replace("  film:\n", &film)))
    }

    fn count(world: &World, path: &str, us: u32, status: u16, times: usize) {
        let route = fixture::route(&world.policy, path);
        let outcome = fixture::outcome(world, route, Lane::Container, us);
        let shard = fixture::shard(0);
        (0..times).for_each(|_| {
            shard.count(&Outcome { status, end: End::Complete, ..outcome }, world);
            shard.count_asked(route, fixture::decision(world, route), world);
        });
    }

    #[test]
    fn misses_are_held_against_what_the_routes_own_objectives_allow() {
        let world = world("{ p99: 50ms, success: 99%, window: 1d }");
        let series = Series::of(&world);
        let mut counts = Counts::default();
        counts.look(&world.policy, &series, 1_000);
        assert_eq!(counts.budget("film").map(|budget| budget.left), Some(1.0));
        assert_eq!(counts.budget("report"), None, "it promises nothing");
        // A day as allowed, then an hour of three times as many errors.
        for hour in 1..=24_u64 {
            count(&world, "/thumb", 10_000, 200, 99);
            count(&world, "/thumb", 10_000, 500, 1);
            counts.look(&world.policy, &series, 1_000 + hour * 3_600);
        }
        count(&world, "/thumb", 10_000, 200, 97);
        count(&world, "/thumb", 60_000, 503, 3);
        counts.look(&world.policy, &series, 1_000 + 24 * 3_600 + 3_660);
        let all = counts.burns("film");
        assert_eq!([all[0].objective, all[1].objective], ["latency", "success"]);
        assert_eq!([all[0].missed[2], all[1].missed[2]].map(|missed| missed as u64), [3, 3]);
        assert!((all[0].rates[2] - 3.0).abs() < 1e-9, "{all:?}");
        assert!((all[1].rates[2] - 3.0).abs() < 1e-9, "{all:?}");
        assert!(all[1].rates[3] < all[1].rates[2] && 1.0 < all[1].rates[3], "{all:?}");
        let budget = counts.budget("film").unwrap();
        assert!(budget.left < 0.05, "{budget:?}");
        assert_eq!(budget.window_s, 86_400);
    }

    #[test]
    fn what_was_counted_under_one_policy_goes_on_under_the_next() {
        let before = world("{ success: 99% }");
        let mut series = Series::of(&before);
        let mut counts = Counts::default();
        counts.look(&before.policy, &series, 0);
        count(&before, "/thumb", 10_000, 500, 20);
        counts.look(&before.policy, &series, 60);
        let text = "{ success: 99% }";
        let next = fixture::policy(
            &fixture::POLICY
                .replace("  film:\n", &format!("  film:\n    objective: {text}\n"))
                .replace("path: /render", "path: /draw"),
        );
        let counters = series.tables(&next, &before);
        let next = World { counters, ..fixture::world(&next) };
        series.adopt(&next);
        counts.look(&next.policy, &series, 120);
        assert_eq!(counts.burns("film")[0].missed[0] as u64, 20, "counted once");
    }

    #[test]
    fn what_has_one_lane_alone_is_known_by_what_was_asked() {
        let world = world("{ p99: 1s }");
        let series = Series::of(&world);
        let mut counts = Counts::default();
        counts.look(&world.policy, &series, 0);
        count(&world, "/reports/*", 10_000, 200, 5);
        count(&world, "/render", 10_000, 200, 5);
        counts.look(&world.policy, &series, 10);
        assert!((counts.only_in_containers("report") - 1.0).abs() < 1e-9);
        assert!(counts.only_in_containers("film").abs() < 1e-9);
        assert!(!counts.some_only_on_lambda("film"));
    }
}
