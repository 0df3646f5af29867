//! Owns spawned work, so that nothing runs on after the cloud has stopped.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

/// Locks `mutex`; a holder that panicked left values that are still whole, since no holder stops half way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Spawned tasks with an owner: dropping it aborts them all.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    /// Runs `task` until it ends or the owner stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.0);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Aborts everything without waiting: for owners that are dropped.
    pub(crate) fn abort_all(&self) {
        lock(&self.0).abort_all();
    }

    /// Aborts everything and waits until it is dropped.
    pub(crate) async fn abort(&self) {
        loop {
            let mut tasks = std::mem::take(&mut *lock(&self.0));
            if tasks.is_empty() {
                return;
            }
            tasks.shutdown().await;
        }
    }

    /// Waits until everything has ended by itself.
    pub(crate) async fn join(&self) {
        loop {
            let mut tasks = std::mem::take(&mut *lock(&self.0));
            if tasks.is_empty() {
                return;
            }
            while tasks.join_next().await.is_some() {}
        }
    }
}
