//! ONE PLANNING TICK: what each service will be asked, how many tasks that takes, and how many of Lambda's environments.
//!
//! Every ten seconds of the plans' [`Clock`]: count what was asked ([`Capacity::look`]), let forecasts learn it, weigh one
//! task more against Lambda, and say what should be held ready, and why ([`Capacity::plan`]). The planner is the one that
//! replays compare. Nothing is changed here: who sets counts is [`super::act`]. The two halves are apart because several
//! gateways plan for what all of them were asked.

mod clock;
mod demand;
mod service;
mod shape;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use policies::{
    cost::PriceBook,
    policy::{Mode, Policy, ServiceId},
};
use predictor::plan::{Event, Shape};

pub(crate) use self::{
    clock::{Clock, STEP_S},
    service::{Environments, PlanState},
    shape::{KEEP_ALIVE, WARM_UP_BILLED},
};
use self::{demand::Demand, service::Planned};
use super::{act::Wish, asked::Services, discover::Fleet, starts::Starts};
use crate::{history::Loaded, world::World};

/// How long requests are taken to run before any was asked: the policy's own prior, unless it says otherwise.
const MEAN_ASSUMED: Duration = Duration::from_millis(200);

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
    /// The plans as they are shown and acted on: worked out once a plan, and asked for five times a second.
    shown: Arc<BTreeMap<Arc<str>, PlanState>>,
    /// When the step that was looked at last ended.
    looked_s: Option<u64>,
    /// What was asked before this gateway started.
    past: Option<Arc<Loaded>>,
}

/// A service's planner, about to learn from its past: work of up to seconds, for a thread of its own.
#[derive(Debug)]
pub(crate) struct Recall {
    service: Arc<str>,
    shape: Shape,
    past: Arc<Loaded>,
}

/// A planner that has learned from its past.
#[derive(Debug)]
pub(crate) struct Recalled {
    service: Arc<str>,
    planned: Planned,
}

impl Recall {
    /// Learns.
    pub(crate) fn run(self) -> Recalled {
        let Self { service, shape, past } = self;
        let planned = Planned::recalling(&shape, past.steps(&service));
        Recalled { service, planned }
    }
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
            shown: Arc::default(),
            looked_s: None,
            past: None,
        }
    }

    /// Takes in what was asked before this gateway started: each service's planner learns from it at its next plan.
    pub(crate) fn remember(&mut self, past: Loaded) {
        self.past = Some(Arc::new(past));
        self.planned.values_mut().for_each(|planned| planned.remembers = false);
    }

    /// Takes over a planner that has learned from its past.
    pub(crate) fn recalled(&mut self, recalled: Recalled) {
        let Recalled { service, planned } = recalled;
        if let Some(now) = self.planned.get_mut(&service) {
            now.succeed(planned);
        }
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
        let mut old = std::mem::take(&mut self.demands);
        let policy = &world.policy;
        let mut asked = BTreeMap::new();
        for (id, service) in planned_for(policy) {
            let known = old.remove(&service.name);
            let is_known = known.is_some();
            let mut demand = known.unwrap_or_default();
            let step = {
                let function = world.endpoints(id).function.as_deref();
                demand.look(policy, id, &world.counters, function)
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

    /// Plans for each service, from what all gateways were asked. Returns the planners that have a past to learn from.
    pub(crate) fn plan<'a>(
        &mut self,
        look: &Look,
        world: &World,
        fleets: impl Iterator<Item = &'a Fleet>,
    ) -> Vec<Recall> {
        let mut recalls = Vec::new();
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
            let before = old.remove(&service.name);
            let step = look.asked.get(&service.name).copied().unwrap_or_default();
            let mean = step.mean_us().or_else(|| before.as_ref().and_then(Planned::mean_us));
            let mean = mean.map_or(MEAN_ASSUMED, |us| Duration::from_secs_f64(us / 1e6));
            let scale = self.clock.scale();
            let shape = shape::shape(policy, id, mean, starts, scale, self.book);
            let mut planned = before.unwrap_or_else(|| Planned::new(&shape));
            if let Some(past) = self.past.as_ref().filter(|_| !planned.remembers) {
                planned.remembers = true;
                if past.services().any(|known| *known == service.name) {
                    let (service, past) = (service.name.clone(), past.clone());
                    recalls.push(Recall { service, shape: shape.clone(), past });
                }
            }
            planned.announce(events(policy, id));
            let tasks = world.endpoints(id).tasks.as_deref();
            planned.look(look.end_s, step, mean.as_secs_f64() * 1e6, scale, shape, tasks);
            self.planned.insert(service.name.clone(), planned);
        }
        let shown =
            |(name, planned): (&Arc<str>, &Planned)| (name.clone(), planned.state(self.clock));
        self.shown = Arc::new(self.planned.iter().map(shown).collect());
        recalls
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
