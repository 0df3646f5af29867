//! Lambda: functions, their pools of environments, and who gets which.
//!
//! Warm environments are reused last in, first out, as Lambda is seen to do, so that the ones not needed go idle and
//! are reaped. Nothing is ever queued: an invocation has a warm environment, starts one, or is throttled.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    bill::FunctionUsage,
    clock::Scale,
    config::{self, Config},
    faults::ThrottleReason,
    tasks::lock,
};

pub(crate) mod environment;
pub(crate) mod invoke;
pub(crate) mod limits;
pub(crate) mod runtime_api;

use environment::Environment;
use limits::{Limit, Slot, StartRate};

/// All functions of the account.
#[derive(Debug)]
pub(crate) struct Lambda {
    pub(crate) functions: BTreeMap<String, Arc<Function>>,
    /// Asynchronous events that have not been worked on yet.
    pub(crate) events_waiting: Arc<AtomicUsize>,
}

/// One function and its environments.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) config: config::Function,
    pub(crate) usage: FunctionUsage,
    limit: Arc<Limit>,
    running: Arc<AtomicU32>,
    start_rate: StartRate,
    pool: Mutex<Pool>,
    warmed: Notify,
}

#[derive(Debug, Default)]
struct Pool {
    /// Idle environments and since when; the last one was used last.
    warm: Vec<(Arc<Environment>, Instant)>,
    /// Every environment that exists, to be listed.
    known: Vec<Weak<Environment>>,
}

/// What an admitted invocation holds: its place under the limits, and a warm environment if there is one.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) slot: Slot,
    pub(crate) warm: Option<Arc<Environment>>,
}

impl Lambda {
    pub(crate) fn new(config: &Config, scale: Scale) -> Self {
        let reserved: u32 = config.functions.values().filter_map(|f| f.reserved_concurrency).sum();
        let shared =
            Arc::new(Limit::unreserved(config.account_concurrency.saturating_sub(reserved)));
        let function = |(name, function): (&String, &config::Function)| {
            let limit = function
                .reserved_concurrency
                .map_or_else(|| shared.clone(), |n| Arc::new(Limit::reserved(n)));
            let function = Function {
                name: name.clone(),
                arn: format!("arn:aws:lambda:{}:{}:function:{name}", config.region, config.account),
                config: function.clone(),
                usage: FunctionUsage::default(),
                limit,
                running: Arc::default(),
                start_rate: StartRate::new(scale, Instant::now()),
                pool: Mutex::default(),
                warmed: Notify::new(),
            };
            (name.clone(), Arc::new(function))
        };
        Self {
            functions: config.functions.iter().map(function).collect(),
            events_waiting: Arc::default(),
        }
    }

    /// Kills environment `id` and returns whether there is one.
    pub(crate) fn kill(&self, id: &str) -> bool {
        let environment =
            self.functions.values().flat_map(|f| f.environments()).find(|e| e.id == id);
        environment.inspect(|e| e.process.kill()).is_some()
    }
}

impl Function {
    /// The version whose code runs: the first published one where there are aliases, else `$LATEST`.
    pub(crate) fn version(&self) -> &'static str {
        if self.config.qualifiers.is_empty() { "$LATEST" } else { "1" }
    }

    /// Admits an invocation.
    ///
    /// # Errors
    /// Why it is throttled.
    pub(crate) fn seat(&self) -> Result<Seat, ThrottleReason> {
        let slot = self.limit.enter(&self.running)?;
        let warm = self.take_warm();
        if warm.is_none() && !self.start_rate.take(Instant::now()) {
            return Err(ThrottleReason::ConcurrentInvocationLimitExceeded);
        }
        Ok(Seat { slot, warm })
    }

    fn take_warm(&self) -> Option<Arc<Environment>> {
        let mut pool = lock(&self.pool);
        while let Some((environment, _)) = pool.warm.pop() {
            if !environment.process.is_over() {
                environment.busy.store(true, Relaxed);
                return Some(environment);
            }
        }
        None
    }

    /// Makes a new environment known to those who list.
    fn add(&self, environment: &Arc<Environment>) {
        let mut pool = lock(&self.pool);
        pool.known.retain(|e| 0 < e.strong_count());
        pool.known.push(Arc::downgrade(environment));
    }

    /// Puts an environment that waits for an event back.
    fn put_warm(&self, environment: Arc<Environment>) {
        environment.busy.store(false, Relaxed);
        lock(&self.pool).warm.push((environment, Instant::now()));
        self.warmed.notify_one();
    }

    /// Every environment that exists.
    pub(crate) fn environments(&self) -> Vec<Arc<Environment>> {
        lock(&self.pool)
            .known
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|e| !e.process.is_over())
            .collect()
    }

    /// Invocations in flight.
    pub(crate) fn running(&self) -> u32 {
        self.running.load(Relaxed)
    }

    /// Drops all idle environments.
    pub(crate) fn clear(&self) {
        lock(&self.pool).warm.clear();
    }

    /// Drops environments once they have been idle for too long; runs as long as the cloud does.
    pub(crate) async fn reap(self: Arc<Self>, scale: Scale) {
        let idle_max = scale.shrink(self.config.idle);
        loop {
            let oldest = lock(&self.pool).warm.first().map(|(_, since)| *since);
            let Some(oldest) = oldest else {
                self.warmed.notified().await;
                continue;
            };
            tokio::time::sleep_until(oldest + idle_max).await;
            let now = Instant::now();
            lock(&self.pool).warm.retain(|(_, since)| now < *since + idle_max);
        }
    }
}
