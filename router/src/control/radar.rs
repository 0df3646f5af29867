//! The control loop's part in the radar: gathers what is known of each service, and tells of trouble ahead.
//!
//! Most of it changes with plans, and is gathered once a plan. What changes fast, calls in flight and refused, is looked at
//! with every tick and judged once a second, for those services that call Lambda or are warned of already. What is concluded
//! from the numbers is [`predictor::radar`]'s; nothing is decided or done here.

mod coming;
mod counts;
mod flights;
mod gather;
mod steadiness;

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use policies::policy::Policy;
use predictor::{
    plan::utc,
    radar::{Burns, Level, Ready, WINDOWS_S, Warning},
};

pub(crate) use self::gather::Around;
use self::{
    coming::Coming, counts::Counts, flights::Flights, gather::Gathered, steadiness::Steadiness,
};
use crate::{telemetry::series::Series, world::World};

/// What the radar shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct RadarState {
    /// When, in real time.
    pub(crate) at: Option<SystemTime>,
    /// By service.
    pub(crate) services: BTreeMap<Arc<str>, Arc<ServiceState>>,
}

/// What it shows of a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ServiceState {
    /// What is wrong or will be, the most urgent first.
    pub(crate) warnings: Vec<Warning>,
    /// How its objectives are kept.
    pub(crate) budget: Option<BudgetState>,
    /// Whether it is ready to act, where it only observes.
    pub(crate) ready: Option<Ready>,
}

/// How a service's objectives are kept: of several the one that is kept worst.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BudgetState {
    /// Share of the budget that is left, 0 to 1.
    pub(crate) left: f64,
    /// How many times faster than allowed it is spent, over each of [`WINDOWS_S`].
    pub(crate) burn: [f64; WINDOWS_S.len()],
    /// Over how long it is judged, in seconds of the plans' clock.
    pub(crate) window_s: u64,
    /// For how long it was counted, in the same seconds.
    pub(crate) seen_s: u64,
}

impl ServiceState {
    /// Returns how urgent it is.
    pub(crate) fn level(&self) -> Level {
        self.warnings.first().map_or(Level::Ok, |warning| warning.level)
    }

    /// Returns the seconds until the first trouble.
    pub(crate) fn seconds(&self) -> Option<f64> {
        self.warnings.iter().map(|warning| warning.seconds).reduce(f64::min)
    }
}

/// The radar of all services.
#[derive(Debug, Default)]
pub(crate) struct Radar {
    counts: Counts,
    /// By service.
    watched: BTreeMap<Arc<str>, Watched>,
    shown: Arc<RadarState>,
}

/// What is remembered of a service.
#[derive(Debug, Default)]
struct Watched {
    flights: Flights,
    coming: Coming,
    steadiness: Steadiness,
    /// Nothing before the first plan.
    gathered: Option<Gathered>,
}

impl Radar {
    /// Looks at what changes fast. `shown_s` is the plans' time.
    pub(crate) fn sample(&mut self, world: &World, shown_s: f64) {
        for (service, endpoints) in world.policy.services.iter().zip(&world.endpoints) {
            let Some(function) = &endpoints.function else { continue };
            let watched = self.watched.entry(service.name.clone()).or_default();
            watched.flights.look(function, shown_s);
        }
    }

    /// Gathers all that is known after a plan, and judges it.
    pub(crate) fn plan(&mut self, around: &Around<'_>, series: &Series) {
        let policy = &around.world.policy;
        self.forget(policy);
        self.counts.look(policy, series, around.shown_s as u64);
        for (index, service) in policy.services.iter().enumerate() {
            let watched = self.watched.entry(service.name.clone()).or_default();
            watched.gathered = Some(gather::gather(around, index, watched, &self.counts));
        }
        self.judge(around, |_, _| true);
    }

    /// Judges anew what changes fast, where that matters.
    pub(crate) fn second(&mut self, around: &Around<'_>) {
        let matters = |watched: &Watched, state: Option<&Arc<ServiceState>>| {
            watched.flights.are_any() || state.is_some_and(|state| !state.warnings.is_empty())
        };
        self.judge(around, matters);
    }

    /// Returns what it shows.
    pub(crate) fn state(&self) -> Arc<RadarState> {
        self.shown.clone()
    }

    fn judge(
        &mut self,
        around: &Around<'_>,
        matters: impl Fn(&Watched, Option<&Arc<ServiceState>>) -> bool,
    ) {
        let now_s = around.shown_s as u64;
        let shared = gather::shared(around, &self.watched);
        let clock = |at_s: u64| utc(at_s.saturating_mul(1_000_000));
        let mut services = BTreeMap::new();
        for (index, service) in around.world.policy.services.iter().enumerate() {
            let Some(watched) = self.watched.get_mut(&service.name) else { continue };
            let before = self.shown.services.get(&service.name);
            let matters = matters(watched, before);
            gather::follow(around, index, watched);
            let Some(gathered) = watched.gathered.as_ref() else { continue };
            let state = match before {
                Some(before) if !matters => before.clone(),
                _ => {
                    let aloft = gathered.lambda(around, index, &watched.flights, &shared);
                    let inputs = gathered.inputs(now_s, &watched.coming, aloft.as_ref());
                    let warnings = predictor::radar::warnings(&inputs, &clock);
                    let budget = self.counts.budget(&service.name);
                    Arc::new(ServiceState { warnings, budget, ready: gathered.ready.clone() })
                }
            };
            services.insert(service.name.clone(), state);
        }
        self.shown = Arc::new(RadarState { at: Some(SystemTime::now()), services });
    }

    /// Forgets services that another policy has not.
    fn forget(&mut self, policy: &Policy) {
        self.watched.retain(|name, _| policy.services.iter().any(|service| service.name == *name));
    }
}

/// Returns what several objectives come to: the one that is kept worst.
fn worst(burns: &[Burns], seen_s: u64) -> Option<BudgetState> {
    let least = burns.iter().min_by(|a, b| a.left.total_cmp(&b.left))?;
    let mut burn = [0.0; WINDOWS_S.len()];
    for rates in burns.iter().map(|burns| burns.rates) {
        burn.iter_mut().zip(rates).for_each(|(burn, rate)| *burn = f64::max(*burn, rate));
    }
    Some(BudgetState { left: least.left, burn, window_s: least.window_s as u64, seen_s })
}

#[cfg(test)]
mod tests;
