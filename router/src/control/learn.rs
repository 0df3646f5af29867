//! Turns what the workers counted into beliefs.
//!
//! One profile for each place of [`Beliefs`], fed with the sum of all workers' histograms. Only places where something new
//! came are worked out again.

use std::time::Duration;

use policies::{
    cost::Prices,
    decide::Belief,
    policy::{Policy, RouteId},
};
use predictor::profile::{BUCKETS, Profile};

use crate::{telemetry::shard::Shard, world::Beliefs};

/// After how long an observation weighs half, in time during which its profile was in use: a deployment that changes how
/// long requests take is mostly learned after two half-lives. Doubling it halves how much a belief wavers.
const HALF_LIFE: Duration = Duration::from_mins(10);

/// What has been learned so far.
#[derive(Debug)]
pub(crate) struct Learner {
    prices: Prices,
    places: Vec<Place>,
}

#[derive(Debug, Default)]
struct Place {
    profile: Profile,
    /// Observations of all workers when last looked at.
    total: u64,
    belief: Option<Belief>,
}

impl Learner {
    /// Knows nothing yet of `places` profiles.
    pub(crate) fn new(policy: &Policy, places: usize) -> Self {
        Self { prices: prices(policy), places: (0..places).map(|_| Place::default()).collect() }
    }

    /// Takes in what `shards` counted since the last call, `elapsed` ago. `None` when nothing new came.
    pub(crate) fn learn<S: AsRef<Shard>>(
        &mut self,
        policy: &Policy,
        shards: &[S],
        elapsed: Duration,
    ) -> Option<Beliefs> {
        let keep = 0.5_f64.powf(elapsed.as_secs_f64() / HALF_LIFE.as_secs_f64());
        let mut fresh = Vec::with_capacity(self.places.len());
        for (index, place) in self.places.iter_mut().enumerate() {
            let mut counts = [0_u64; BUCKETS];
            for shard in shards {
                counts
                    .iter_mut()
                    .zip(shard.as_ref().profiles[index].counters())
                    .for_each(|(sum, counter)| *sum += counter.get());
            }
            let total = counts.iter().sum();
            fresh.push(total != place.total);
            if total != place.total {
                place.total = total;
                place.profile.update(counts.into_iter(), keep);
            }
        }
        if !fresh.contains(&true) {
            return None;
        }
        let mut index = 0;
        Some(Beliefs::new(policy, |route, _size| {
            let (place, fresh) = (&mut self.places[index], fresh[index]);
            index += 1;
            if fresh {
                place.belief = Some(learned(policy, route, &place.profile, &self.prices));
            }
            place.belief.unwrap_or_else(|| prior(policy, route, &self.prices))
        }))
    }
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
