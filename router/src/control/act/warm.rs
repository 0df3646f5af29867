//! Has environments of a function warm as planned: by provisioned concurrency, or by warm-up invokes that overlap.
//!
//! An invoke reaches one environment, so as many are sent at once as environments are to be warm, and the adapter holds each
//! for a moment. That is done again in half the time after which Lambda is taken to take an idle environment down. Only the
//! adapter knows a warm-up event: of a function that answers otherwise, nothing more is asked. Requests are never displaced:
//! a round that would pass the function's cap is not sent.
//!
//! What is set, and what is spent of a day's budget, is written to the store before it is done ([`Notary`]).

mod call;
mod decide;
mod ours;
mod warmer;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use policies::{
    cost::{PicoUsd, PriceBook},
    policy::{ColdStart, Lambda, Mode},
};
use tokio::time::Instant;

use self::{
    call::Answer,
    decide::Order,
    ours::{Ours, Stands},
    warmer::Warmer,
};
use super::{Allowed, Deed};
use crate::{
    control::{
        capacity::{Clock, Environments},
        functions::{Functions, name_of},
    },
    history::{Loaded, Notary, Take},
    ledger::Row,
    world::World,
};

/// A call or a round of them, under way.
pub(crate) type WarmCall = Pin<Box<dyn Future<Output = Warmed> + Send>>;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Warmed {
    pub(crate) service: Arc<str>,
    done: Done,
}

#[derive(Debug)]
enum Done {
    Ordered(Order, Result<(), String>),
    Round(Vec<(Answer, Duration)>),
    /// So much was given from a day's budget.
    Given(u64, Result<PicoUsd, String>),
    /// What is not ours any more is not remembered as ours.
    Forgotten,
}

impl Warmed {
    /// Returns what a round of warm-up invokes used, as far as it can be told from outside; `None` when it was none.
    pub(crate) fn used(&self, lambda: &Lambda) -> Option<Row> {
        let Done::Round(answers) = &self.done else { return None };
        let snapshots = lambda.cold_start == ColdStart::SnapStart;
        let mut used = Row::default();
        for (answer, took) in answers {
            let Some(cold) = answer.ran() else { continue };
            let ms = u64::try_from(took.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
            let mb_ms = ms.saturating_mul(u64::from(lambda.memory_mib));
            let restored = if cold && snapshots { lambda.memory_mib } else { 0 };
            used += &Row {
                runs: 1,
                mb_ms,
                estimated_mb_ms: mb_ms,
                restored_mb: u64::from(restored),
                ..Row::default()
            };
        }
        Some(used)
    }

    /// Tells whether provisioned concurrency is not what was read of it any more.
    pub(crate) fn changed_function(&self) -> bool {
        matches!(self.done, Done::Ordered(_, Ok(())))
    }
}

/// The function that is called, as AWS names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    function: Arc<str>,
    qualifier: Option<Arc<str>>,
}

impl Target {
    fn name(&self) -> String {
        let qualifier = self.qualifier.as_deref();
        qualifier.map_or_else(|| self.function.to_string(), |q| format!("{}:{q}", self.function))
    }
}

/// What is the same for all services at one moment.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) world: &'a World,
    pub(crate) functions: &'a Functions,
    pub(crate) allowed: &'a Allowed,
    pub(crate) book: &'static PriceBook,
    /// The plans' clock: a faster cloud takes environments down sooner.
    pub(crate) clock: Clock,
    /// Writes to the store, where there is one.
    pub(crate) notary: Option<&'a Notary>,
    pub(crate) now: Instant,
}

/// Those who hold environments, by service.
#[derive(Debug, Default)]
pub(crate) struct Warmers {
    holders: BTreeMap<Arc<str>, Warmer>,
    ours: Ours,
    /// What those who hold none any more had left of their budgets.
    left: Vec<Take>,
}

impl Warmers {
    /// Takes in what was set before this gateway started.
    pub(crate) fn recall(&mut self, past: &Loaded) {
        self.ours.recall(past);
    }

    /// Returns what is left of the budgets of a day that were taken from.
    pub(crate) fn left(&mut self) -> Vec<Take> {
        let left = self.holders.values().filter_map(Warmer::left);
        std::mem::take(&mut self.left).into_iter().chain(left).collect()
    }

    /// Returns the calls that are due, where `planned` tells how many environments a service should have.
    pub(crate) fn due(
        &mut self,
        around: &Surroundings<'_>,
        planned: impl Fn(&str) -> Option<Environments>,
    ) -> Vec<WarmCall> {
        let world = around.world;
        if around.allowed.brake.is_on() {
            return Vec::new();
        }
        let mut calls = Vec::new();
        let mut old = std::mem::take(&mut self.holders);
        for (service, endpoints) in world.policy.services.iter().zip(&world.endpoints) {
            let Some(lambda) = service.lambda.as_ref().filter(|_| service.mode == Mode::Act) else {
                continue;
            };
            let Some(function) = &endpoints.function else { continue };
            let back = self.ours.stands(service, lambda, around.functions);
            if lambda.warm_pool.is_none() && back == Stands::Nothing {
                continue;
            }
            let mut warmer = match old.remove(&service.name) {
                Some(warmer) if warmer.calls(lambda) => warmer,
                _ => {
                    let (book, scale) = (around.book, around.clock.scale());
                    let stored = around.notary.is_some();
                    Warmer::new(service.name.clone(), lambda, book, scale, stored, around.now)
                }
            };
            warmer.follow(lambda, world.generation, around.now);
            match (back, &lambda.warm_pool, planned(&service.name)) {
                (Stands::Ours, ..) => calls.extend(warmer.take_back(&self.ours, around)),
                (Stands::Others, ..) => {
                    calls.extend(self.ours.forget(&name_of(lambda), around.notary.cloned()));
                }
                (Stands::Nothing, Some(pool), Some(planned)) => {
                    calls.extend(warmer.due(planned, pool, function, &self.ours, around));
                }
                (Stands::Unread | Stands::Nothing, ..) => {}
            }
            self.holders.insert(service.name.clone(), warmer);
        }
        self.left.extend(old.values().filter_map(Warmer::left));
        self.ours.tell_of_what_stays(world);
        calls
    }

    /// Takes in what came of a call; returns what was done by it, if that is worth telling.
    pub(crate) fn heard(
        &mut self,
        warmed: Warmed,
        now: Instant,
        clock: SystemTime,
    ) -> Option<Deed> {
        let warmer = self.holders.get_mut(&warmed.service)?;
        match warmed.done {
            Done::Ordered(order, result) => {
                if result.is_ok() {
                    self.ours.ordered(&warmer.function(), order);
                }
                warmer.ordered(order, result, now, clock)
            }
            Done::Round(answers) => warmer.heard(&answers, now, clock),
            Done::Given(day, given) => warmer.given(day, given, now, clock),
            Done::Forgotten => None,
        }
    }
}
