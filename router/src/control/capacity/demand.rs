//! What a service is asked: of its containers, requests whose home they are; of Lambda, requests that began there, wherever
//! their home is; and how long such requests run.
//!
//! Counters never fall, so what was asked in a second is the difference between two counts, and what was asked in a step the
//! sum of its seconds. A route that was not there before begins with what its counters show. How long requests run is learned
//! by route: were it one mean of the service, a plan would follow every change of its mix a step late.

use std::{collections::BTreeMap, sync::Arc};

use policies::policy::{Policy, RouteId};

use super::routes::{RouteStep, Routes};
use crate::{
    control::asked::{OnLambda, Step},
    lane::lambda::Function,
    telemetry::{series::Table, shard::RouteLane},
};

/// What a look keeps of how long requests ran before it: a half-life of ten minutes, as profiles have.
const KEEP: f64 = 0.988_5;

/// Runs that make a mean one.
const ENOUGH: f64 = 20.0;

/// What one service's containers are asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Demand {
    /// By the route's name, which outlives a policy.
    routes: BTreeMap<Arc<str>, Counted>,
    /// How long requests of all routes ran on Lambda.
    lambda: Runs,
    /// What each route has of all.
    shares: Arc<Routes>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    seen: u64,
    /// Asked since the last look.
    new: u64,
    lambda: Runs,
    container: Runs,
}

/// How long requests ran on one lane.
#[derive(Debug, Clone, Copy, Default)]
struct Runs {
    seen: (u64, u64),
    /// Runs, and microseconds in all, of late.
    late: (f64, f64),
}

impl Demand {
    /// Returns what each route has of all.
    pub(super) fn shares(&self) -> &Arc<Routes> {
        &self.shares
    }
}

/// Returns what all workers together counted of a route.
fn sum(workers: &[Table], route: RouteId, of: impl Fn(&[RouteLane; 3]) -> u64) -> u64 {
    workers.iter().map(|table| of(&table.of(Some(route)).lanes)).sum()
}

impl Demand {
    /// Takes in what `workers` counted of a service's `routes` since this was called last, and returns how many requests
    /// its containers were asked.
    pub(super) fn count(&mut self, policy: &Policy, routes: &[RouteId], workers: &[Table]) -> u64 {
        let mut all = 0;
        for &id in routes {
            let counted = sum(workers, id, |lanes| lanes[1].asked.get());
            let name = &policy.route(id).name;
            if let Some(asked) = self.routes.get_mut(name) {
                let new = counted.saturating_sub(asked.seen);
                (asked.seen, asked.new) = (counted, asked.new + new);
                all += new;
            } else {
                let runs = Runs::default();
                let first = Counted { seen: counted, new: 0, lambda: runs, container: runs };
                self.routes.insert(name.clone(), first);
            }
        }
        all
    }

    /// Takes in what `workers` counted of a service's `routes` since the last look.
    pub(super) fn look(
        &mut self,
        policy: &Policy,
        routes: &[RouteId],
        workers: &[Table],
        function: Option<&Function>,
    ) -> Step {
        self.count(policy, routes, workers);
        let mut before = std::mem::take(&mut self.routes);
        let mut step = Step::default();
        let mut steps = Vec::with_capacity(routes.len());
        let (mut runs, mut priors_us) = ((0, 0), (0.0, 0.0));
        for &route_id in routes {
            let route = policy.route(route_id);
            let sum = |of: &dyn Fn(&[RouteLane; 3]) -> u64| sum(workers, route_id, of);
            let mut asked = before.remove(&route.name).unwrap_or_default();
            let new = std::mem::take(&mut asked.new);
            for (lane, runs) in [(0, &mut asked.lambda), (1, &mut asked.container)] {
                runs.look(
                    sum(&|lanes| lanes[lane].runs.get()),
                    sum(&|lanes| lanes[lane].run_us.get()),
                );
            }
            runs = (runs.0 + asked.lambda.seen.0, runs.1 + asked.lambda.seen.1);
            let prior_us = route.auto.prior.as_secs_f64() * 1e6;
            priors_us = (priors_us.0 + 1.0, priors_us.1 + prior_us);
            let mean_us = asked.container.mean_us().or(asked.lambda.mean_us());
            let mean_us = mean_us.unwrap_or(prior_us);
            step.asked += new;
            step.service_us += (new as f64 * mean_us) as u64;
            steps.push(RouteStep { route: route.name.clone(), asked: new, mean_us });
            self.routes.insert(route.name.clone(), asked);
        }
        Arc::make_mut(&mut self.shares).learn(&steps);
        self.lambda.look(runs.0, runs.1);
        let (asked, most) = function.map(Function::take_asked).unwrap_or_default();
        let mean_us = self.lambda.mean_us().unwrap_or(priors_us.1 / f64::max(priors_us.0, 1.0));
        step.lambda = OnLambda { asked, service_us: (asked as f64 * mean_us) as u64, most };
        step
    }
}

impl Runs {
    fn look(&mut self, runs: u64, run_us: u64) {
        let (runs_before, us_before) = self.seen;
        self.seen = (runs, run_us);
        self.late.0 = self.late.0.mul_add(KEEP, runs.saturating_sub(runs_before) as f64);
        self.late.1 = self.late.1.mul_add(KEEP, run_us.saturating_sub(us_before) as f64);
    }

    fn mean_us(&self) -> Option<f64> {
        (ENOUGH <= self.late.0).then(|| self.late.1 / self.late.0)
    }
}

#[cfg(test)]
mod tests {
    use policies::decide::Lane;

    use super::*;
    use crate::{fixture, world::World};

    fn serve(world: &World, name: &str, us: u32, times: u32) {
        let (route, shard) = (fixture::route(&world.policy, name), fixture::shard(0));
        for _ in 0..times {
            let outcome = fixture::outcome(world, route, Lane::Container, us);
            shard.count_asked(route, fixture::decision(world, route), world);
            shard.count(&outcome, world);
        }
    }

    fn routes(world: &World, names: &[&str]) -> Vec<RouteId> {
        names.iter().map(|name| fixture::route(&world.policy, name)).collect()
    }

    #[test]
    fn what_is_asked_is_counted_once_and_its_length_learned_by_route() {
        let world = fixture::world(&fixture::policy(fixture::POLICY));
        let routes = routes(&world, &["/reports/*"]);
        let prior = world.policy.route(routes[0]).auto.prior;
        let look = |demand: &mut Demand| demand.look(&world.policy, &routes, &world.counters, None);
        let mut demand = Demand::default();
        assert_eq!(look(&mut demand), Step::default());
        serve(&world, "/reports/*", 40_000, 10);
        serve(&world, "/thumb", 1_000, 10);
        let few = look(&mut demand);
        assert_eq!((few.asked, few.mean_us()), (10, Some(prior.as_secs_f64() * 1e6)));
        serve(&world, "/reports/*", 40_000, 30);
        let enough = look(&mut demand);
        assert_eq!((enough.asked, enough.mean_us().map(f64::round)), (30, Some(40_000.0)));
        assert_eq!(look(&mut demand).mean_us(), None, "nothing was asked since");
    }

    #[test]
    fn what_goes_to_lambda_is_not_asked_of_containers() {
        let world = fixture::world(&fixture::policy(fixture::POLICY));
        let routes = routes(&world, &["/thumb"]);
        let mut demand = Demand::default();
        demand.look(&world.policy, &routes, &world.counters, None);
        serve(&world, "/thumb", 1_000, 10);
        assert_eq!(demand.look(&world.policy, &routes, &world.counters, None).asked, 0);
    }

    #[test]
    fn a_step_has_what_its_seconds_had_and_a_route_that_returns_only_what_is_new() {
        let world = fixture::world(&fixture::policy(fixture::POLICY));
        let (both, one) = (routes(&world, &["/reports/*", "/thumb"]), routes(&world, &["/thumb"]));
        let mut demand = Demand::default();
        let (policy, counters) = (&world.policy, &world.counters);
        demand.look(policy, &both, counters, None);
        for asked in [3, 0, 4] {
            serve(&world, "/reports/*", 40_000, asked);
            assert_eq!(demand.count(policy, &both, counters), u64::from(asked));
        }
        serve(&world, "/reports/*", 40_000, 2);
        assert_eq!(demand.look(policy, &both, counters, None).asked, 9);
        assert_eq!(demand.look(policy, &one, counters, None).asked, 0, "a route has left");
        assert_eq!(demand.look(policy, &both, counters, None).asked, 0, "and is back");
        serve(&world, "/reports/*", 40_000, 5);
        assert_eq!(demand.look(policy, &both, counters, None).asked, 5);
    }
}
