//! Turns what the workers counted into beliefs.
//!
//! One profile for each route and size, fed with the sum of all workers' histograms. Only those where something new came
//! are worked out again. What a route has taught outlives a restart as a memo, by its service and name ([`Learner::changed`],
//! [`Learner::recall`]).

use std::{collections::HashMap, sync::Arc, time::Duration};

use policies::{
    cost::Prices,
    decide::Belief,
    policy::{Policy, Route, RouteId, SizeBy},
};
use predictor::profile::{BUCKETS, HALF_LIFE, Profile};

use crate::{
    history::bytes::{self, Unread},
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
    /// Something was learned since it was kept.
    changed: bool,
}

/// How finely weights are kept: in thousandths of an observation.
const FINE: f64 = 1_000.0;

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
                    place.changed = true;
                    place.profile.update(counts.into_iter(), keep);
                    place.belief = Some(learned(policy, route, &place.profile, &self.prices));
                }
            }
        }
        anything.then(|| self.beliefs(policy))
    }

    /// Returns what is to be kept of the routes that have taught something since the last call: name and memo.
    pub(crate) fn changed(&mut self, policy: &Policy) -> Vec<(Arc<str>, Vec<u8>)> {
        let mut memos = Vec::new();
        for (route, places) in policy.routes.iter().zip(&mut self.places) {
            if places.iter().any(|place| place.changed) {
                places.iter_mut().for_each(|place| place.changed = false);
                memos.push((name(policy, route), memo(route, places)));
            }
        }
        memos
    }

    /// Takes in what was kept before a restart, by name, beside what was learned since. Of routes that are not there, or are
    /// sized by something else now, nothing is taken. Returns what is believed, and what could not be read.
    pub(crate) fn recall<'a>(
        &mut self,
        policy: &Policy,
        memos: impl Iterator<Item = (&'a Arc<str>, &'a [u8])>,
    ) -> (Option<Beliefs>, Vec<String>) {
        let memos: HashMap<&str, _> = memos.map(|(name, memo)| (&**name, memo)).collect();
        let (mut anything, mut unread) = (false, Vec::new());
        for (index, route) in policy.routes.iter().enumerate() {
            let Some(memo) = memos.get(&*name(policy, route)) else { continue };
            let known = match read(route, memo) {
                Ok(known) => known,
                Err(why) => {
                    unread.push(format!("what route {} has taught: {why}", route.name));
                    continue;
                }
            };
            for (place, (seen, weights)) in self.places[index].iter_mut().zip(known) {
                if seen != 0 {
                    anything = true;
                    place.profile.recall(seen, weights.into_iter());
                    let id = RouteId(index as u16);
                    place.belief = Some(learned(policy, id, &place.profile, &self.prices));
                }
            }
        }
        (anything.then(|| self.beliefs(policy)), unread)
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

/// Returns the name under which what a route has taught is kept.
fn name(policy: &Policy, route: &Route) -> Arc<str> {
    format!("{}\n{}", policy.service(route.service).name, route.name).into()
}

/// Writes what a route has taught: what it is sized by, and for each size how much was seen and what its buckets weigh.
fn memo(route: &Route, places: &[Place]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes::put_bytes(&mut out, sized_by(route).as_bytes());
    bytes::put(&mut out, places.len() as u64);
    for place in places {
        let (seen, weights) = place.profile.known();
        bytes::put(&mut out, seen);
        if seen == 0 {
            continue;
        }
        bytes::put(&mut out, weights.len() as u64);
        for weight in weights {
            bytes::put(&mut out, (weight * FINE).round() as u64);
        }
    }
    out
}

/// Reads it, by size. Nothing when the route is sized by something else now.
fn read(route: &Route, mut memo: &[u8]) -> Result<Vec<(u64, Vec<f64>)>, Unread> {
    let from = &mut memo;
    if bytes::take_counted(from)? != sized_by(route).as_bytes() {
        return Ok(Vec::new());
    }
    let mut known = Vec::new();
    for _ in 0..bytes::take(from)? {
        let seen = bytes::take(from)?;
        let mut weights = Vec::new();
        if seen != 0 {
            for _ in 0..bytes::take(from)? {
                weights.push(bytes::take(from)? as f64 / FINE);
            }
        }
        known.push((seen, weights));
    }
    if from.is_empty() { Ok(known) } else { Err(Unread::Damaged("it has more than its sizes")) }
}

fn sized_by(route: &Route) -> String {
    match &route.auto.size_by {
        None => String::new(),
        Some(SizeBy::Query(name)) => format!("query {name}"),
        Some(SizeBy::Header(name)) => format!("header {name}"),
        Some(SizeBy::ContentLength) => "content-length".to_owned(),
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

#[cfg(test)]
mod tests {
    use policies::decide::Lane;

    use super::*;
    use crate::{fixture, world::World};

    const SECOND: Duration = Duration::from_secs(1);

    fn serve(world: &World, route: &str, us: u32, times: u32) {
        let route = fixture::route(&world.policy, route);
        for _ in 0..times {
            fixture::shard(0).count(&fixture::outcome(world, route, Lane::Container, us), world);
        }
    }

    fn believed(beliefs: &Beliefs, policy: &Policy, route: &str) -> Belief {
        *beliefs.of(fixture::route(policy, route), 0)
    }

    #[test]
    fn what_routes_have_taught_is_believed_after_a_restart() {
        let policy = fixture::policy(fixture::POLICY);
        let world = fixture::world(&policy);
        let mut before = Learner::new(&policy);
        assert!(before.changed(&policy).is_empty(), "nothing was learned");
        serve(&world, "/thumb", 30_000, 50);
        let learned = before.learn(&policy, &world.counters, SECOND).unwrap();
        let kept = before.changed(&policy);
        assert_eq!(kept.len(), 1, "one route was asked");
        assert!(before.changed(&policy).is_empty(), "it is kept once");

        let mut after = Learner::new(&policy);
        let memos = || kept.iter().map(|(name, memo)| (name, &**memo));
        let (recalled, unread) = after.recall(&policy, memos());
        let recalled = recalled.expect("it is known again");
        assert_eq!(believed(&recalled, &policy, "/thumb"), believed(&learned, &policy, "/thumb"));
        assert!(unread.is_empty() && after.changed(&policy).is_empty());
        // What is asked from now on counts on.
        let world = fixture::world(&policy);
        serve(&world, "/thumb", 30_000, 1);
        let beliefs = after.learn(&policy, &world.counters, SECOND).unwrap();
        assert_eq!(believed(&beliefs, &policy, "/thumb").seen, 51);
    }

    #[test]
    fn what_cannot_be_read_or_is_of_another_route_is_left_out() {
        let policy = fixture::policy(fixture::POLICY);
        let world = fixture::world(&policy);
        let mut before = Learner::new(&policy);
        serve(&world, "/thumb", 30_000, 50);
        before.learn(&policy, &world.counters, SECOND);
        let (thumb, memo) = before.changed(&policy).pop().unwrap();
        let recall = |name: &Arc<str>, memo: &[u8]| {
            let mut after = Learner::new(&policy);
            let (beliefs, unread) = after.recall(&policy, std::iter::once((name, memo)));
            (beliefs.is_some(), unread.len())
        };
        assert_eq!(recall(&thumb, &memo), (true, 0));
        assert_eq!(recall(&thumb, &memo[..memo.len() - 1]), (false, 1), "it ends early");
        assert_eq!(recall(&thumb, &[&memo[..], &[0]].concat()), (false, 1), "it has more");
        assert_eq!(recall(&"app\n/gone".into(), &memo), (false, 0));
        let other = [&[12][..], b"query frames", &[0]].concat();
        assert_eq!(recall(&thumb, &other), (false, 0), "it is sized by something else");
    }
}
