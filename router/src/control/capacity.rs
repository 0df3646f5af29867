//! ONE PLANNING TICK: what each service will be asked, how many tasks that takes, and how many of Lambda's environments.
//!
//! Every ten seconds of the plans' [`Clock`]: count what was asked ([`Capacity::look`]), let forecasts learn it, weigh one
//! task more against Lambda, and say what should be held ready, and why ([`Capacity::plan`]). The planner is the one that
//! replays compare. Nothing is changed here: who sets counts is [`super::act`]. The two halves are apart because several
//! gateways plan for what all of them were asked.
//!
//! In between, once a second, what this gateway alone was asked is held against the forecast ([`Capacity::second`]): a
//! service whose load leaves it is planned at once.

mod clock;
mod demand;
mod lessons;
mod routes;
mod service;
mod shape;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use policies::{
    cost::PriceBook,
    policy::{Mode, Policy, RouteId, ServiceId},
};
use predictor::plan::{Event, Second};

pub(crate) use self::{
    clock::{Clock, STEP_S},
    lessons::{Learned, Lesson},
    service::{Environments, PlanState},
    shape::{KEEP_ALIVE, WARM_UP_BILLED},
};
use self::{demand::Demand, lessons::Lessons, service::Planned};
use super::{act::Wish, asked::Services, discover::Fleet, starts::Starts};
use crate::{history::Loaded, world::World};

/// How long requests are taken to run before any was asked: the policy's own prior, unless it says otherwise.
const MEAN_ASSUMED: Duration = Duration::from_millis(200);

/// How long the planner of a service that has left the policy is kept, in seconds of the plans' clock: one that is back
/// after a mistaken reload knows what it knew.
const KEPT_S: u64 = 3_600;

/// What each service was asked in the step that ended at `end_s`.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// When the step ended, in seconds of the plans' clock since 1970.
    pub(crate) end_s: u64,
    /// By service, for those that are planned for.
    pub(crate) asked: Services,
}

impl Look {
    /// Returns the step's place since 1970.
    pub(crate) fn number(&self) -> u64 {
        self.end_s / STEP_S - 1
    }
}

/// Plans for all services.
#[derive(Debug)]
pub(crate) struct Capacity {
    clock: Clock,
    book: &'static PriceBook,
    demands: BTreeMap<Arc<str>, Demand>,
    planned: BTreeMap<Arc<str>, Planned>,
    /// Those of services that are not planned for any more.
    left: BTreeMap<Arc<str>, Planned>,
    /// The plans as they are shown and acted on: worked out once a plan, and asked for five times a second.
    shown: Arc<BTreeMap<Arc<str>, PlanState>>,
    /// When the step that was looked at last ended.
    looked_s: Option<u64>,
    /// When seconds were counted last, by the plans' clock.
    counted: Option<Duration>,
    /// The routes of each service, and the policy that they are of.
    routes: Vec<Vec<RouteId>>,
    routes_of: Option<Arc<Policy>>,
    /// How many gateways lived when it was last planned.
    live: u32,
    /// What was asked before this gateway started, of services that have not learned it yet.
    past: Loaded,
    lessons: Lessons,
}

impl Capacity {
    /// Knows nothing of what was asked before.
    pub(crate) fn new(policy: &Policy, clock: Clock) -> Self {
        let book = policy.region.as_deref().and_then(PriceBook::builtin);
        Self {
            clock,
            book: book.unwrap_or_else(PriceBook::fallback),
            demands: BTreeMap::new(),
            planned: BTreeMap::new(),
            left: BTreeMap::new(),
            shown: Arc::default(),
            looked_s: None,
            counted: None,
            routes: Vec::new(),
            routes_of: None,
            live: 1,
            past: Loaded::default(),
            lessons: Lessons::default(),
        }
    }

    /// Takes in what was asked before this gateway started: each service's planner learns from it at its next plan.
    pub(crate) fn remember(&mut self, past: Loaded) {
        self.past = past;
    }

    /// Returns something for a planner to learn, beside the loop; [`Capacity::learned`] must be told what came of it.
    pub(crate) fn lesson(&mut self) -> Option<Lesson> {
        self.lessons.next()
    }

    /// Takes over a planner that has learned.
    pub(crate) fn learned(&mut self, learned: Learned) {
        self.lessons.ended();
        if let Some(now) = self.planned.get_mut(&learned.service) {
            now.succeed(learned);
        }
    }

    /// Finds the routes of each service, when the policy is another one.
    fn follow(&mut self, policy: &Arc<Policy>) {
        if self.routes_of.as_ref().is_some_and(|known| Arc::ptr_eq(known, policy)) {
            return;
        }
        self.routes = vec![Vec::new(); policy.services.len()];
        for (index, route) in policy.routes.iter().enumerate() {
            self.routes[usize::from(route.service.0)].push(RouteId(index as u16));
        }
        self.routes_of = Some(policy.clone());
    }

    /// Counts what this gateway was asked since it was counted last, when another second of the plans' clock has passed, and
    /// plans anew for services whose load has left its forecast just now: `live` gateways are asked. To be called before
    /// [`Capacity::look`]. Returns whether anything was planned.
    ///
    /// Where the clock runs fast, a tick of the loop is some seconds, and each count of as many.
    pub(crate) fn second(&mut self, now: SystemTime, world: &World, live: u32) -> bool {
        let shows = self.clock.shows(now);
        let since = match self.counted {
            // A clock that is set back or far ahead: what was asked meanwhile counts for the look, not for the guard.
            Some(before) if shows < before || before + Duration::from_secs(STEP_S) < shows => None,
            Some(before) if shows.as_secs() == before.as_secs() => return false,
            Some(before) => Some(shows.saturating_sub(before)),
            None => None,
        };
        self.counted = Some(shows);
        self.follow(&world.policy);
        let policy = &world.policy;
        if live != self.live {
            self.planned.values_mut().for_each(Planned::forget_share);
        }
        let us = |time: Duration| time.as_micros() as u64;
        let mut anew = false;
        for (id, service) in planned_for(policy) {
            let Some(demand) = self.demands.get_mut(&service.name) else { continue };
            let routes = &self.routes[usize::from(id.0)];
            let count = demand.count(policy, routes, &world.counters);
            let (Some(since), Some(looked_s)) = (since, self.looked_s) else { continue };
            let Some(planned) = self.planned.get_mut(&service.name) else { continue };
            let look_us = (looked_s + STEP_S) * 1_000_000;
            let second = Second { until_us: us(shows), long_us: us(since), count, look_us };
            let tasks = world.endpoints(id).tasks.as_deref();
            anew |= planned.second(second, tasks);
        }
        if anew {
            self.show();
        }
        anew
    }

    /// Counts what was asked in the step that has ended by `now`, if it was not counted yet.
    ///
    /// The step in which the gateway starts is not a whole one and counts for nothing. After a pause of several steps what
    /// was asked in all of them is told as of one that was asked the average.
    pub(crate) fn look(&mut self, now: SystemTime, world: &World) -> Option<Look> {
        let end_s = self.clock.shows(now).as_secs() / STEP_S * STEP_S;
        let before = self.looked_s.replace(end_s);
        if before == Some(end_s) {
            return None;
        }
        self.follow(&world.policy);
        let mut old = std::mem::take(&mut self.demands);
        let policy = &world.policy;
        let mut asked = BTreeMap::new();
        for (id, service) in planned_for(policy) {
            let known = old.remove(&service.name);
            let is_known = known.is_some();
            let mut demand = known.unwrap_or_default();
            let step = {
                let function = world.endpoints(id).function.as_deref();
                demand.look(policy, &self.routes[usize::from(id.0)], &world.counters, function)
            };
            self.demands.insert(service.name.clone(), demand);
            if is_known {
                asked.insert(service.name.clone(), step);
            }
        }
        // A clock that was set back shows a step that was there already: it is told, and forecasts drop it.
        let steps = before.map_or(1, |before| end_s.saturating_sub(before) / STEP_S).max(1);
        for step in asked.values_mut() {
            *step = step.one_of(steps);
        }
        before.map(|_| Look { end_s, asked })
    }

    /// Plans for each service, from what all `live` gateways were asked.
    pub(crate) fn plan<'a>(
        &mut self,
        look: &Look,
        world: &World,
        fleets: impl Iterator<Item = &'a Fleet>,
        live: u32,
    ) {
        self.live = live;
        let policy = &world.policy;
        let fleets: BTreeMap<_, _> = fleets.map(|fleet| (fleet.name().clone(), fleet)).collect();
        let mut old = std::mem::take(&mut self.planned);
        for (id, service) in planned_for(policy) {
            let none = Starts::default();
            let starts = match fleets.get(&service.name) {
                Some(fleet) => fleet.starts(),
                None if service.container.is_none() => &none,
                None => continue,
            };
            let before = old.remove(&service.name).or_else(|| self.left.remove(&service.name));
            let step = look.asked.get(&service.name).copied().unwrap_or_default();
            let mean = step.mean_us().or_else(|| before.as_ref().and_then(Planned::mean_us));
            let mean = mean.map_or(MEAN_ASSUMED, |us| Duration::from_secs_f64(us / 1e6));
            let scale = self.clock.scale();
            let shape = shape::shape(policy, id, mean, starts, scale, self.book);
            let mut planned = before.unwrap_or_else(|| Planned::new(&shape));
            if let Some(past) = self.past.take(&service.name) {
                planned.learning = true;
                self.lessons.recall(service.name.clone(), shape.clone(), past);
            } else if !planned.learning && !planned.planner().fits(&shape) {
                planned.learning = true;
                self.lessons.relearn(service.name.clone(), shape.clone(), planned.planner());
            }
            planned.announce(events(policy, id));
            let tasks = world.endpoints(id).tasks.as_deref();
            planned.look(look.end_s, step, mean.as_secs_f64() * 1e6, scale, shape, tasks);
            self.planned.insert(service.name.clone(), planned);
        }
        self.left.append(&mut old);
        self.left.retain(|_, planned| look.end_s.abs_diff(planned.end_s()) < KEPT_S);
        self.show();
    }

    /// Works out what is shown of the plans.
    fn show(&mut self) {
        let shown = |(name, planned): (&Arc<str>, &Planned)| {
            let routes = self.demands.get(name).map(Demand::shares).cloned().unwrap_or_default();
            (name.clone(), planned.state(self.clock, routes))
        };
        self.shown = Arc::new(self.planned.iter().map(shown).collect());
    }

    /// Returns how many tasks a service should have, and why.
    pub(crate) fn planned(&self, service: &str) -> Option<Wish> {
        let PlanState { tasks, why, .. } = self.shown.get(service)?;
        let may_take_back = self.planned.get(service)?.may_take_back();
        Some(Wish { tasks: (*tasks)?, why: why.clone(), may_take_back })
    }

    /// Returns how many environments a service's function should have, and why.
    pub(crate) fn environments(&self, service: &str) -> Option<Environments> {
        self.shown.get(service)?.environments.clone()
    }

    /// Returns the prices that plans go by.
    pub(crate) fn book(&self) -> &'static PriceBook {
        self.book
    }

    /// Returns the clock that plans go by.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Returns the plans, by service.
    pub(crate) fn states(&self) -> Arc<BTreeMap<Arc<str>, PlanState>> {
        self.shown.clone()
    }
}

/// Returns what was announced of a service.
fn events(policy: &Policy, id: ServiceId) -> Vec<Event> {
    let of_it = policy.events.iter().filter(|event| event.service == id);
    let event = |event: &policies::policy::Event| Event {
        from_us: event.from_s * 1_000_000,
        until_us: event.until_s * 1_000_000,
        expect: event.expect,
    };
    of_it.map(event).collect()
}

/// Returns the services that plans are made for: those with containers, or environments to hold warm, that may learn.
fn planned_for(policy: &Policy) -> impl Iterator<Item = (ServiceId, &policies::policy::Service)> {
    let services = policy.services.iter().enumerate();
    services
        .filter(|(_, service)| {
            let warm = service.lambda.as_ref().is_some_and(|lambda| lambda.warm_pool.is_some());
            (warm || service.container.is_some()) && service.mode != Mode::Off
        })
        .map(|(index, service)| (ServiceId(index as u16), service))
}

#[cfg(test)]
mod tests;
