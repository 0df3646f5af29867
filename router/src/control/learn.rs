//! Turns what the workers counted into beliefs.
//!
//! One profile for each route and size, fed with the sum of all workers' histograms. Only those where something new came
//! are worked out again.

use std::time::Duration;

use policies::{
    cost::Prices,
    decide::Belief,
    policy::{Policy, Route, RouteId},
};
use predictor::profile::{BUCKETS, HALF_LIFE, Profile};

use crate::{
    telemetry::series::{Table, followed},
    world::{Beliefs, sizes},
};

/// What has been learned so far.
#[derive(Debug)]
pub(crate) struct Learner {
    prices: Prices,
    /// By route, then by size.
    places: Vec<Box<[Place]>>,
}

#[derive(Debug, Default)]
struct Place {
    profile: Profile,
    /// Observations of all workers when last looked at.
    total: u64,
    belief: Option<Belief>,
}

impl Learner {
    /// Knows nothing yet of the routes of `policy`.
    pub(crate) fn new(policy: &Policy) -> Self {
        Self { prices: prices(policy), places: policy.routes.iter().map(empty).collect() }
    }

    /// Takes in what `workers` counted since the last call, `elapsed` ago. `None` when nothing new came.
    pub(crate) fn learn(
        &mut self,
        policy: &Policy,
        workers: &[Table],
        elapsed: Duration,
    ) -> Option<Beliefs> {
        let keep = 0.5_f64.powf(elapsed.as_secs_f64() / HALF_LIFE.as_secs_f64());
        let mut anything = false;
        for (index, places) in self.places.iter_mut().enumerate() {
            let route = RouteId(index as u16);
            for (size, place) in places.iter_mut().enumerate() {
                let mut counts = [0_u64; BUCKETS];
                for worker in workers {
                    let counters = worker.of(Some(route)).profiles[size].counters();
                    counts.iter_mut().zip(counters).for_each(|(sum, one)| *sum += one.get());
                }
                let total = counts.iter().sum();
                if total != place.total {
                    anything = true;
                    place.total = total;
                    place.profile.update(counts.into_iter(), keep);
                    place.belief = Some(learned(policy, route, &place.profile, &self.prices));
                }
            }
        }
        anything.then(|| self.beliefs(policy))
    }

    /// Goes on with `policy`, which follows `before`: what was learned of a route that is still there is kept, and judged
    /// by what the route and its service now say. Returns what is believed.
    pub(crate) fn follow(&mut self, policy: &Policy, before: &Policy) -> Beliefs {
        let mut old: Vec<_> = std::mem::take(&mut self.places).into_iter().map(Some).collect();
        let places = policy.routes.iter().zip(followed(policy, before)).map(|(route, from)| {
            let kept = from.and_then(|id| old[usize::from(id.0)].take());
            kept.unwrap_or_else(|| empty(route))
        });
        self.places = places.collect();
        for (index, places) in self.places.iter_mut().enumerate() {
            for place in places.iter_mut().filter(|place| place.belief.is_some()) {
                let route = RouteId(index as u16);
                place.belief = Some(learned(policy, route, &place.profile, &self.prices));
            }
        }
        self.beliefs(policy)
    }

    fn beliefs(&self, policy: &Policy) -> Beliefs {
        Beliefs::new(policy, |route, size| {
            let place = &self.places[usize::from(route.0)][usize::from(size)];
            place.belief.unwrap_or_else(|| prior(policy, route, &self.prices))
        })
    }
}

fn empty(route: &Route) -> Box<[Place]> {
    (0..sizes(route)).map(|_| Place::default()).collect()
}

/// Returns what is believed before anything was seen.
pub(crate) fn priors(policy: &Policy) -> Beliefs {
    let prices = prices(policy);
    Beliefs::new(policy, |route, _size| prior(policy, route, &prices))
}

/// Returns the list prices that hold for `policy`.
pub(crate) fn prices(policy: &Policy) -> Prices {
    policy.region.as_deref().and_then(Prices::builtin).unwrap_or_else(Prices::fallback)
}

fn prior(policy: &Policy, route: RouteId, prices: &Prices) -> Belief {
    let route = policy.route(route);
    Belief::prior(&route.auto, policy.service(route.service), prices)
}

fn learned(policy: &Policy, route: RouteId, profile: &Profile, prices: &Prices) -> Belief {
    let route = policy.route(route);
    let bound_us = u32::try_from(route.auto.sprinter_up_to.as_micros()).unwrap_or(u32::MAX);
    profile.belief(bound_us).with_costs(policy.service(route.service), prices)
}
