//! What may still be spent on sending a service's requests again.
//!
//! Each worker saves up for itself, so that nothing is contended. The savings belong to the service and not to a policy:
//! a reload must not give a broken backend a fresh budget.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// How many retries a worker may save up for a service: enough for a task that dies with its connections, too few to
/// double a broken backend's load.
const SAVED_MAX: f64 = 10.0;

/// The savings for one service, by worker.
#[derive(Debug, Clone)]
pub(crate) struct Retries(Arc<[AtomicU64]>);

impl Retries {
    /// Begins with all that may be saved.
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicU64::new(SAVED_MAX.to_bits())).collect())
    }

    /// Adds what one request earns, `budget` of a retry. Only the worker itself may call it.
    pub(crate) fn earn(&self, worker: usize, budget: f64) {
        self.set(worker, (self.saved(worker) + budget).min(SAVED_MAX));
    }

    /// Takes one retry. Returns whether there was one. Only the worker itself may call it.
    pub(crate) fn spend(&self, worker: usize) -> bool {
        let saved = self.saved(worker);
        let enough = 1.0 <= saved;
        if enough {
            self.set(worker, saved - 1.0);
        }
        enough
    }

    fn saved(&self, worker: usize) -> f64 {
        f64::from_bits(self.0[worker].load(Relaxed))
    }

    fn set(&self, worker: usize, saved: f64) {
        self.0[worker].store(saved.to_bits(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_spends_what_it_saved_and_no_more() {
        let retries = Retries::new(2);
        assert_eq!((0..20).filter(|_| retries.spend(0)).count(), 10);
        assert!(retries.spend(1), "another worker's savings are its own");
        (0..9).for_each(|_| retries.earn(0, 0.1));
        assert!(!retries.spend(0));
        (0..2).for_each(|_| retries.earn(0, 0.1));
        assert!(retries.spend(0) && !retries.spend(0));
    }
}
