//! Holding one service's environments: which call is due, and what came of it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use policies::{
    cost::{PicoUsd, PriceBook},
    policy::{ColdStart, Lambda, WarmPool},
};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Done, Surroundings, Target, WarmCall, Warmed,
    call::{self, Answer},
    decide::{Order, Situation, Spend, cost, hold, invokes, order},
    ours::{self, Ours},
};
use crate::{
    control::{
        act::Deed,
        capacity::{Environments, KEEP_ALIVE, WARM_UP_BILLED},
        pace::Pace,
    },
    history::Take,
    lane::lambda::Function,
};

/// Shortest time between two changes of provisioned concurrency: Lambda takes about a minute to allocate one.
const ORDER_EVERY: Duration = Duration::from_mins(1);

/// Time until it is seen again whether a round is due, when none was sent.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// First pause after a call that failed.
const RETRY: Duration = Duration::from_secs(2);

/// Time until a day's budget that had no more is asked again: who takes over may find what another gave back.
const ASK_AGAIN: Duration = Duration::from_mins(10);

/// Time between two tellings of rounds that went well.
const TELL_EVERY: Duration = Duration::from_mins(10);

const DAY_S: u64 = 86_400;

/// One service whose environments are held.
#[derive(Debug)]
pub(super) struct Warmer {
    name: Arc<str>,
    target: Target,
    lambda: Lambda,
    book: &'static PriceBook,
    scale: f64,
    /// Which policy it was left alone or found good under.
    generation: u32,
    orders: Pace,
    rounds: Pace,
    /// When the day's budget is taken from.
    takes: Pace,
    /// A round is under way, or the budget is being taken from: what is left of it is not known.
    staked: bool,
    /// What the last round was for.
    planned: u32,
    proven: bool,
    left_alone: bool,
    spend: Spend,
    /// Invokes that were answered since they were told of, and starts among them.
    untold: (u32, u32),
    told: Option<Instant>,
    why: String,
    /// What is wrong, as told last.
    trouble: Option<String>,
}

impl Warmer {
    pub(super) fn new(
        name: Arc<str>,
        lambda: &Lambda,
        book: &'static PriceBook,
        scale: f64,
        stored: bool,
        now: Instant,
    ) -> Self {
        let cold = lambda.cold_start == ColdStart::SnapStart;
        Self {
            name,
            target: Target {
                function: lambda.function.clone(),
                qualifier: lambda.qualifier.clone(),
            },
            lambda: lambda.clone(),
            book,
            scale,
            generation: 0,
            orders: Pace::new(true, now),
            rounds: Pace::new(true, now),
            takes: Pace::new(true, now),
            staked: false,
            planned: 0,
            proven: false,
            left_alone: false,
            spend: Spend::new(cost(book, lambda, WARM_UP_BILLED, cold), stored),
            untold: (0, 0),
            told: None,
            why: String::new(),
            trouble: None,
        }
    }

    /// Returns the function and its qualifier as one name.
    pub(super) fn function(&self) -> String {
        self.target.name()
    }

    /// Returns what was taken from the day's budget and is not spent, to be given back.
    pub(super) fn left(&self) -> Option<Take> {
        let limit = self.lambda.warm_pool?.spend?;
        let (day, back) = (self.spend.day(), self.spend.left());
        let take = || Take { name: self.name.clone(), day, ask: PicoUsd::ZERO, back, limit };
        (!self.staked && back != PicoUsd::ZERO).then(take)
    }

    /// Tells whether it calls the function of `lambda`.
    pub(super) fn calls(&self, lambda: &Lambda) -> bool {
        (&self.target.function, &self.target.qualifier) == (&lambda.function, &lambda.qualifier)
    }

    /// Goes on with what the policy says now, and what was read. Another policy has a function tried again.
    pub(super) fn follow(&mut self, lambda: &Lambda, generation: u32, now: Instant) {
        if self.lambda != *lambda {
            self.lambda = lambda.clone();
        }
        if self.generation != generation {
            self.generation = generation;
            self.trouble = None;
            if std::mem::take(&mut self.left_alone) {
                self.rounds.hasten(now);
            }
        }
    }

    pub(super) fn due(
        &mut self,
        planned: Environments,
        pool: &WarmPool,
        function: &Arc<Function>,
        ours: &Ours,
        around: &Surroundings<'_>,
    ) -> Option<WarmCall> {
        if self.lambda.cold_start == ColdStart::Provisioned {
            return self.order(planned, ours, around);
        }
        self.round(planned, pool, function, around)
    }

    /// Takes away what Pacer has set, which the policy does not ask for any more.
    pub(super) fn take_back(&mut self, ours: &Ours, around: &Surroundings<'_>) -> Option<WarmCall> {
        let why = "the policy does not ask for it any more, and Pacer set it".to_owned();
        self.order(Environments { warm: 0, provisioned: 0, why }, ours, around)
    }

    fn order(
        &mut self,
        planned: Environments,
        ours: &Ours,
        around: &Surroundings<'_>,
    ) -> Option<WarmCall> {
        let known = around.functions.known(&self.name)?;
        let order = match order(planned.provisioned, &self.lambda, known) {
            Ok(order) => order?,
            Err(trouble) => {
                self.tell(trouble);
                return None;
            }
        };
        if !self.orders.is_due(around.now) {
            return None;
        }
        self.why = planned.why;
        let (allowed, target) = (around.allowed.clone(), self.target.clone());
        let (service, function) = (self.name.clone(), self.target.name());
        let (notary, before) = (around.notary.cloned(), ours.set(&function));
        Some(Box::pin(async move {
            // Written down first: what was set by a gateway that died over it is ours, too.
            if let Order::Set { to, .. } = order {
                ours::note(notary.as_ref(), &function, to).await;
            }
            let result = allowed.while_leading(call::provision(&allowed, &target, order)).await;
            match (order, &result) {
                (Order::Set { .. }, Err(_)) => {
                    ours::note(notary.as_ref(), &function, before).await;
                }
                (Order::Remove { .. }, Ok(())) => ours::note(notary.as_ref(), &function, 0).await,
                _ => {}
            }
            Warmed { service, done: Done::Ordered(order, result) }
        }))
    }

    fn round(
        &mut self,
        planned: Environments,
        pool: &WarmPool,
        function: &Arc<Function>,
        around: &Surroundings<'_>,
    ) -> Option<WarmCall> {
        if self.left_alone || planned.warm == 0 || !function.is_up() {
            return None;
        }
        if self.planned < planned.warm {
            self.rounds.hasten(around.now);
        }
        if !self.rounds.is_due(around.now) {
            return None;
        }
        self.planned = planned.warm;
        if self.spend.on(around.clock.shows(SystemTime::now()).as_secs() / DAY_S) {
            self.takes.hasten(around.now);
        }
        let situation = Situation {
            planned: planned.warm,
            in_use: function.in_flight(),
            proven: self.proven,
            affordable: self.spend.affordable(pool.spend),
        };
        let wanted = invokes(Situation { affordable: u32::MAX, ..situation });
        if let (Some(limit), Some(notary)) = (pool.spend, around.notary)
            && let Some(ask) = self.spend.missing(wanted, limit)
            && self.takes.is_due(around.now)
        {
            self.staked = true;
            let (name, day, notary) = (self.name.clone(), self.spend.day(), notary.clone());
            return Some(Box::pin(async move {
                let take = Take { name: name.clone(), day, ask, back: PicoUsd::ZERO, limit };
                Warmed { service: name, done: Done::Given(day, notary.take(take).await) }
            }));
        }
        if situation.affordable == 0 && 0 < wanted {
            self.tell("what `warm_pool.spend` allows for the day (UTC) is spent");
        }
        let invokes = invokes(situation);
        let Some(places) = function.warm_up(invokes).filter(|_| 0 < invokes) else {
            self.rounds.succeeded(self.real(LOOK_AGAIN), around.now);
            return None;
        };
        self.why = planned.why;
        self.staked = true;
        let (allowed, target) = (around.allowed.clone(), self.target.clone());
        let service = self.name.clone();
        Some(Box::pin(async move {
            let answers = call::round(&allowed, &target, invokes, hold(invokes)).await;
            drop(places);
            Warmed { service, done: Done::Round(answers) }
        }))
    }

    pub(super) fn ordered(
        &mut self,
        order: Order,
        result: Result<(), String>,
        now: Instant,
        clock: SystemTime,
    ) -> Option<Deed> {
        let what = match order {
            Order::Set { from, to } => format!("provisioned concurrency {from} -> {to}"),
            Order::Remove { from } => format!("provisioned concurrency {from} -> none"),
        };
        match result {
            Ok(()) => {
                self.orders.succeeded(self.real(ORDER_EVERY), now);
                self.trouble = None;
                info!(service = %self.name, why = self.why, "{what}");
                Some(self.deed("provision", what, None, clock))
            }
            Err(error) => {
                self.orders.failed(RETRY, now);
                let news = self.tell(&error);
                news.then(|| self.deed("provision", what, Some(error), clock))
            }
        }
    }

    /// Takes in what was given from the budget of `day`: the round that it is for is due at once.
    pub(super) fn given(
        &mut self,
        day: u64,
        given: Result<PicoUsd, String>,
        now: Instant,
        clock: SystemTime,
    ) -> Option<Deed> {
        self.staked = false;
        match given {
            Ok(given) => {
                self.spend.take(day, given);
                let none = given == PicoUsd::ZERO;
                self.takes.succeeded(if none { ASK_AGAIN } else { Duration::ZERO }, now);
                self.rounds.succeeded(Duration::ZERO, now);
                None
            }
            Err(error) => {
                self.takes.failed(RETRY, now);
                self.rounds.failed(RETRY, now);
                let error =
                    format!("nothing is spent that is not written to `state` first: {error}");
                let what = "have environments warm".to_owned();
                let news = self.tell(&error);
                news.then(|| self.deed("warm-up", what, Some(error), clock))
            }
        }
    }

    /// Takes in what came of a round.
    pub(super) fn heard(
        &mut self,
        answers: &[(Answer, Duration)],
        now: Instant,
        clock: SystemTime,
    ) -> Option<Deed> {
        self.staked = false;
        let (mut warm, mut foreign, mut failed) = (0, None, None);
        for (answer, took) in answers {
            let cold = match answer {
                Answer::Warm { cold } => {
                    warm += 1;
                    self.untold = (self.untold.0 + 1, self.untold.1 + u32::from(*cold));
                    *cold
                }
                Answer::Foreign => {
                    foreign = Some("it answered a warm-up event as one of its own".to_owned());
                    false
                }
                // Whatever failed may have started an environment and is paid for.
                Answer::Broken(why) if !self.proven => {
                    foreign = Some(format!("it failed at a warm-up event: {why}"));
                    true
                }
                Answer::Broken(why) | Answer::Failed(why) => {
                    failed = Some(format!("Invoke for `{}`: {why}", self.target.name()));
                    true
                }
                Answer::Throttled(why) | Answer::NotSent(why) => {
                    failed = Some(format!("Invoke for `{}`: {why}", self.target.name()));
                    continue;
                }
            };
            self.spend.add(cost(self.book, &self.lambda, *took, cold));
        }
        let what = "have environments warm".to_owned();
        if let Some(why) = foreign {
            self.left_alone = true;
            self.rounds.succeeded(self.real(KEEP_ALIVE), now);
            let error = format!(
                "function `{}` is not behind the adapter: {why}; run it behind pacer-adapter and reload the policy, or remove `warm_pool`",
                self.target.name()
            );
            let news = self.tell(&error);
            return news.then(|| self.deed("warm-up", what, Some(error), clock));
        }
        if let Some(error) = failed {
            self.rounds.failed(RETRY, now);
            let news = self.tell(&error);
            return news.then(|| self.deed("warm-up", what, Some(error), clock));
        }
        self.trouble = None;
        // The first told only that the adapter answers; the others come at once.
        let pause = if self.proven { self.real(KEEP_ALIVE / 2) } else { Duration::ZERO };
        self.proven = true;
        self.rounds.succeeded(pause, now);
        if pause.is_zero() && 1 < self.planned {
            return None;
        }
        let pause = self.real(TELL_EVERY);
        if self.told.is_some_and(|told| now.duration_since(told) < pause) {
            return None;
        }
        self.told = Some(now);
        let (invokes, cold) = std::mem::take(&mut self.untold);
        let what = format!(
            "{warm} warm; {invokes} invokes since told last started {cold} environments, {} spent today",
            self.spend.spent()
        );
        info!(service = %self.name, why = self.why, "{what}");
        Some(self.deed("warm-up", what, None, clock))
    }

    /// Returns how long a time of the plans' clock takes.
    fn real(&self, time: Duration) -> Duration {
        time.div_f64(self.scale)
    }

    /// Says what is wrong, once; returns whether it was news.
    fn tell(&mut self, trouble: &str) -> bool {
        if self.trouble.as_deref() == Some(trouble) {
            return false;
        }
        warn!(service = %self.name, error = trouble, "its environments are left as they are");
        self.trouble = Some(trouble.to_owned());
        true
    }

    fn deed(
        &self,
        kind: &'static str,
        what: String,
        error: Option<String>,
        at: SystemTime,
    ) -> Deed {
        Deed { at, service: self.name.clone(), kind, what, why: self.why.clone(), error }
    }
}

#[cfg(test)]
mod tests;
