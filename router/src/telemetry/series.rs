//! The counters of routes, which outlive the policies that the routes stand in.
//!
//! A reload replaces the policy and with it every index of a route; what was counted goes on under the route's name. So
//! the counters hang on names, and each world brings a table that leads from its own indices to them: counting a request
//! is an index into the table of the world that it was served by, and nothing is looked up.

use std::sync::Arc;

use policies::policy::{Policy, Route, RouteId};
use predictor::profile::Histogram;

use super::shard::{Counter, RouteLane};
use crate::world::{World, sizes};

/// Routes that are kept after they left the policy, so that their counters do not fall back to nothing at the next scrape
/// and go on when they return. One takes some 1.1 kB a worker; beyond, those that left first are forgotten.
const GONE_MAX: usize = 1000;

/// Label of requests without a route or service.
pub(crate) const NONE: &str = "none";

/// The counters of one route on each lane, in one worker, in the order of [`LANES`](super::shard::LANES).
pub(crate) type Lanes = [RouteLane; 3];

/// What one worker counts of one route.
#[derive(Debug, Clone)]
pub(crate) struct RouteCounters {
    /// By lane.
    pub(crate) lanes: Arc<Lanes>,
    /// Service times as learned from, by size.
    pub(crate) profiles: Arc<[Histogram<Counter>]>,
    /// What takes longer misses the objective of the route, in microseconds; the largest number without one. It stands here,
    /// so that each finished request costs one comparison.
    pub(crate) late_beyond_us: u32,
}

impl RouteCounters {
    fn new(lanes: Arc<Lanes>, route: Option<&Route>) -> Self {
        let profiles = (0..route.map_or(0, sizes)).map(|_| Histogram::default()).collect();
        Self { lanes, profiles, late_beyond_us: late_beyond_us(route) }
    }
}

/// Returns what a request of `route` may take, in microseconds.
fn late_beyond_us(route: Option<&Route>) -> u32 {
    let p99 = route.and_then(|route| route.objective.p99);
    p99.map_or(u32::MAX, |p99| u32::try_from(p99.as_micros()).unwrap_or(u32::MAX))
}

/// One worker's counters of the routes of one policy.
#[derive(Debug)]
pub(crate) struct Table(Box<[RouteCounters]>);

impl Table {
    /// Makes a table in which nothing was counted yet.
    pub(crate) fn new(policy: &Policy) -> Self {
        let routes = policy.routes.iter().map(Some).chain([None]);
        Self(routes.map(|route| RouteCounters::new(Arc::default(), route)).collect())
    }

    /// Returns the counters of a route; of requests without one when it is `None`.
    pub(crate) fn of(&self, route: Option<RouteId>) -> &RouteCounters {
        &self.0[route.map_or(self.0.len() - 1, |RouteId(index)| usize::from(index))]
    }
}

/// What all workers counted of one route.
#[derive(Debug)]
pub(crate) struct RouteSeries {
    /// Its name.
    pub(crate) route: Arc<str>,
    /// The service that it leads to, or led to when it left the policy.
    pub(crate) service: Arc<str>,
    /// By worker.
    pub(crate) workers: Box<[Arc<Lanes>]>,
}

/// The counters of all routes that are, and of those that were.
#[derive(Debug, Default)]
pub(crate) struct Series(Vec<RouteSeries>);

impl Series {
    /// Begins with what `world` counts.
    pub(crate) fn of(world: &World) -> Self {
        let mut series = Self::default();
        series.adopt(world);
        series
    }

    /// Returns them, those of the policy in force last.
    pub(crate) fn list(&self) -> &[RouteSeries] {
        &self.0
    }

    /// Lays out tables for the routes of `policy`, which follows that of `before`: who is known by name and service counts
    /// on.
    pub(crate) fn tables(&self, policy: &Policy, before: &World) -> Arc<[Table]> {
        let known = self.0.iter().map(|series| ((&*series.route, &*series.service), series));
        let known: std::collections::HashMap<_, _> = known.collect();
        let followed = followed(policy, &before.policy);
        let table = |(worker, old): (usize, &Table)| {
            let routes = policy.routes.iter().zip(&followed).map(|(route, followed)| {
                let name = (&*route.name, &*policy.service(route.service).name);
                let lanes = known.get(&name).map(|series| series.workers[worker].clone());
                match followed {
                    Some(id) => RouteCounters {
                        late_beyond_us: late_beyond_us(Some(route)),
                        ..old.of(Some(*id)).clone()
                    },
                    None => RouteCounters::new(lanes.unwrap_or_default(), Some(route)),
                }
            });
            Table(routes.chain([old.of(None).clone()]).collect())
        };
        before.counters.iter().enumerate().map(table).collect()
    }

    /// Takes in the routes of a world that is about to be published.
    pub(crate) fn adopt(&mut self, world: &World) {
        let policy = &world.policy;
        let mut names: Vec<_> = policy
            .routes
            .iter()
            .enumerate()
            .map(|(index, route)| {
                let service = policy.service(route.service).name.clone();
                (route.name.clone(), service, Some(RouteId(index as u16)))
            })
            .collect();
        names.push((NONE.into(), NONE.into(), None));
        let live: std::collections::HashSet<_> =
            names.iter().map(|(route, service, _)| (route.clone(), service.clone())).collect();
        self.0.retain(|series| !live.contains(&(series.route.clone(), series.service.clone())));
        self.0.drain(..self.0.len().saturating_sub(GONE_MAX));
        self.0.extend(names.into_iter().map(|(route, service, id)| RouteSeries {
            workers: world.counters.iter().map(|table| table.of(id).lanes.clone()).collect(),
            route,
            service,
        }));
    }
}

/// Returns for each route of `policy` the one of `before` whose learned times are its own: of the same name, leading to
/// the same service, learned by the same size.
pub(crate) fn followed(policy: &Policy, before: &Policy) -> Vec<Option<RouteId>> {
    let name = |policy: &Policy, route: &Route| {
        (route.name.clone(), policy.service(route.service).name.clone())
    };
    let places = before.routes.iter().enumerate();
    let places: std::collections::HashMap<_, _> =
        places.map(|(index, route)| (name(before, route), RouteId(index as u16))).collect();
    let follows = |route: &Route| {
        let id = places.get(&name(policy, route)).copied()?;
        (before.route(id).auto.size_by == route.auto.size_by).then_some(id)
    };
    policy.routes.iter().map(follows).collect()
}

#[cfg(test)]
mod tests {
    use policies::decide::Lane;

    use super::*;
    use crate::fixture;

    fn follow(before: &World, text: &str) -> World {
        let policy = fixture::policy(text);
        let tables = Series::of(before).tables(&policy, before);
        World { counters: tables, ..fixture::world(&policy) }
    }

    fn count(world: &World, name: &str) {
        let route = fixture::route(&world.policy, name);
        fixture::shard(0).count(&fixture::outcome(world, route, Lane::Container, 5_000), world);
    }

    /// How many answers, and how many service times, the route of that name has seen.
    fn seen(world: &World, name: &str) -> (u64, u64) {
        let counters = world.counters[0].of(Some(fixture::route(&world.policy, name)));
        let times =
            |profile: &Histogram<Counter>| profile.counters().map(Counter::get).sum::<u64>();
        (counters.lanes[1].status[2].get(), counters.profiles.iter().map(times).sum())
    }

    #[test]
    fn a_route_counts_on_under_its_name_wherever_it_stands() {
        let world = fixture::world(&fixture::policy(fixture::POLICY));
        count(&world, "/render");
        let first = "  - { match: { path: /a }, service: film }\n";
        let text = fixture::POLICY.replace("routes:\n", &format!("routes:\n{first}"));
        let next = follow(&world, &text);
        assert_eq!(seen(&next, "/render"), (1, 1));
        assert_eq!(seen(&next, "/a"), (0, 0));
        // A request of the old world ends after the reload: it is counted all the same.
        count(&world, "/render");
        assert_eq!(seen(&next, "/render"), (2, 2));
    }

    #[test]
    fn what_is_late_is_judged_by_the_policy_that_the_request_came_under() {
        let promise = |p99: &str| {
            let film = "  film:\n    objective: { p99: 10ms }\n";
            fixture::POLICY.replace("  film:\n", &film.replace("10ms", p99))
        };
        let late = |world: &World| {
            let counters = world.counters[0].of(Some(fixture::route(&world.policy, "/render")));
            counters.lanes[1].late.get()
        };
        // Each takes 5 ms and 2 ms of overhead.
        let world = fixture::world(&fixture::policy(&promise("7ms")));
        count(&world, "/render");
        assert_eq!(late(&world), 0, "the bound itself is kept");
        let next = follow(&world, &promise("6ms"));
        count(&next, "/render");
        count(&world, "/render");
        assert_eq!((late(&next), late(&world)), (1, 1), "one counter, two bounds");
        let without = follow(&next, fixture::POLICY);
        count(&without, "/render");
        assert_eq!(late(&without), 1);
    }

    #[test]
    fn another_service_or_size_is_learned_anew() {
        let world = fixture::world(&fixture::policy(fixture::POLICY));
        count(&world, "/render");
        let resized = follow(&world, &fixture::POLICY.replace("query: frames", "query: pixels"));
        assert_eq!(seen(&resized, "/render"), (1, 0));
        let moved = "match: { path: /render }, service: report";
        let moved = fixture::POLICY.replace("match: { path: /render }, service: film", moved);
        assert_eq!(seen(&follow(&world, &moved), "/render"), (0, 0));
    }

    #[test]
    fn a_route_that_left_is_still_told_and_counts_on_when_it_returns() {
        let world = fixture::world(&fixture::policy(fixture::POLICY));
        count(&world, "/render");
        let mut series = Series::of(&world);
        let text = fixture::POLICY.replace("path: /render", "path: /draw");
        let without = follow(&world, &text);
        series.adopt(&without);
        let told = series.list().iter().find(|series| &*series.route == "/render");
        assert_eq!(told.map(|series| series.workers[0][1].status[2].get()), Some(1));
        let policy = fixture::policy(fixture::POLICY);
        let counters = series.tables(&policy, &without);
        let back = World { counters, ..fixture::world(&policy) };
        assert_eq!(seen(&back, "/render"), (1, 0));
        series.adopt(&back);
        let names = |name: &str| series.list().iter().filter(|s| &*s.route == name).count();
        assert_eq!((names("/render"), names("/draw"), names(NONE)), (1, 1, 1));
    }
}
