//! The environments of one version, and who gets which.
//!
//! Warm environments are reused last in, first out, as Lambda is seen to do, so that the ones not needed go idle and
//! are reaped. Provisioned ones come first and are never reaped; none is used before all that were asked for are there.

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{lambda::environment::Environment, tasks::lock};

/// The environments of one version.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Environments>);

#[derive(Debug, Default)]
struct Environments {
    /// Idle environments and since when; the last one was used last.
    warm: Vec<(Arc<Environment>, Instant)>,
    /// Provisioned ones, idle or busy.
    provisioned: Vec<Arc<Environment>>,
    /// All that were asked for were there once, and so they may be used.
    provisioned_open: bool,
    /// Every environment that exists, to be listed.
    known: Vec<Weak<Environment>>,
}

impl Pool {
    /// A provisioned environment that is idle.
    pub(crate) fn take_provisioned(&self) -> Option<Arc<Environment>> {
        let pool = lock(&self.0);
        let idle = |e: &&Arc<Environment>| {
            !e.process.is_over() && e.busy.compare_exchange(false, true, AcqRel, Relaxed).is_ok()
        };
        pool.provisioned.iter().filter(|_| pool.provisioned_open).find(idle).cloned()
    }

    /// The environment that was used last and lives.
    pub(crate) fn take_warm(&self) -> Option<Arc<Environment>> {
        let mut pool = lock(&self.0);
        while let Some((environment, _)) = pool.warm.pop() {
            if !environment.process.is_over() {
                environment.busy.store(true, Release);
                return Some(environment);
            }
        }
        None
    }

    /// Makes a new environment known to those who list.
    pub(crate) fn add(&self, environment: &Arc<Environment>) {
        let mut pool = lock(&self.0);
        pool.known.retain(|e| 0 < e.strong_count());
        pool.known.push(Arc::downgrade(environment));
    }

    /// Adds an idle provisioned environment.
    pub(crate) fn add_provisioned(&self, environment: Arc<Environment>) {
        self.add(&environment);
        environment.busy.store(false, Release);
        lock(&self.0).provisioned.push(environment);
    }

    /// Puts an environment that waits for an event back. One that is no longer provisioned becomes warm.
    pub(crate) fn put(&self, environment: Arc<Environment>) {
        let mut pool = lock(&self.0);
        environment.busy.store(false, Release);
        if !pool.provisioned.iter().any(|e| Arc::ptr_eq(e, &environment)) {
            pool.warm.push((environment, Instant::now()));
        }
    }

    /// Drops dead provisioned environments and those beyond `target`, and says how many are missing.
    pub(crate) fn trim_provisioned(&self, target: usize) -> usize {
        let mut pool = lock(&self.0);
        pool.provisioned.retain(|e| !e.process.is_over());
        pool.provisioned.truncate(target);
        pool.provisioned_open &= 0 < target;
        target.saturating_sub(pool.provisioned.len())
    }

    /// Lets provisioned environments be used.
    pub(crate) fn open_provisioned(&self) {
        lock(&self.0).provisioned_open = true;
    }

    /// Provisioned environments that live, how many of them are idle and may be used, and whether they may be used.
    pub(crate) fn provisioned(&self) -> (usize, usize, bool) {
        let pool = lock(&self.0);
        let alive = || pool.provisioned.iter().filter(|e| !e.process.is_over());
        let idle = alive().filter(|e| pool.provisioned_open && !e.busy.load(Acquire)).count();
        (alive().count(), idle, pool.provisioned_open)
    }

    /// Every provisioned environment.
    pub(crate) fn all_provisioned(&self) -> Vec<Arc<Environment>> {
        lock(&self.0).provisioned.clone()
    }

    /// Every environment that lives.
    pub(crate) fn environments(&self) -> Vec<Arc<Environment>> {
        let pool = lock(&self.0);
        pool.known.iter().filter_map(Weak::upgrade).filter(|e| !e.process.is_over()).collect()
    }

    /// Drops all idle environments.
    pub(crate) fn clear(&self) {
        let mut pool = lock(&self.0);
        pool.warm.clear();
        pool.provisioned.clear();
    }

    /// Drops environments that have been idle for `idle_max`, and says when the next one will have been.
    pub(crate) fn reap(&self, idle_max: Duration, now: Instant) -> Option<Instant> {
        let mut pool = lock(&self.0);
        pool.warm.retain(|(_, since)| now < *since + idle_max);
        pool.warm.first().map(|(_, since)| *since + idle_max)
    }
}
