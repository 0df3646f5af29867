//! Has environments of a function warm as planned: by provisioned concurrency, or by warm-up invokes that overlap.
//!
//! An invoke reaches one environment, so as many are sent at once as environments are to be warm, and the adapter holds each
//! for a moment. That is done again in half the time after which Lambda is taken to take an idle environment down. Only the
//! adapter knows a warm-up event: of a function that answers otherwise, nothing more is asked. Requests are never displaced:
//! a round that would pass the function's cap is not sent.

mod call;
mod decide;
mod warmer;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use policies::{
    cost::PriceBook,
    policy::{ColdStart, Lambda, Mode},
};
use tokio::time::Instant;

use self::{call::Answer, decide::Order, warmer::Warmer};
use super::{Allowed, Deed};
use crate::{
    control::{
        capacity::{Clock, Environments},
        functions::Functions,
    },
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
    pub(crate) now: Instant,
}

/// Those who hold environments, by service.
#[derive(Debug, Default)]
pub(crate) struct Warmers(BTreeMap<Arc<str>, Warmer>);

impl Warmers {
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
        let mut old = std::mem::take(&mut self.0);
        for (service, endpoints) in world.policy.services.iter().zip(&world.endpoints) {
            let Some(lambda) = service.lambda.as_ref().filter(|_| service.mode == Mode::Act) else {
                continue;
            };
            let (Some(pool), Some(function)) = (&lambda.warm_pool, &endpoints.function) else {
                continue;
            };
            let mut warmer = match old.remove(&service.name) {
                Some(warmer) if warmer.calls(lambda) => warmer,
                _ => {
                    let (book, scale) = (around.book, around.clock.scale());
                    Warmer::new(service.name.clone(), lambda, book, scale, around.now)
                }
            };
            warmer.follow(lambda, world.generation, around.now);
            if let Some(planned) = planned(&service.name) {
                calls.extend(warmer.due(planned, pool, function, around));
            }
            self.0.insert(service.name.clone(), warmer);
        }
        calls
    }

    /// Takes in what came of a call; returns what was done by it, if that is worth telling.
    pub(crate) fn heard(
        &mut self,
        warmed: Warmed,
        now: Instant,
        clock: SystemTime,
    ) -> Option<Deed> {
        let warmer = self.0.get_mut(&warmed.service)?;
        match warmed.done {
            Done::Ordered(order, result) => warmer.ordered(order, result, now, clock),
            Done::Round(answers) => warmer.heard(&answers, now, clock),
        }
    }
}
