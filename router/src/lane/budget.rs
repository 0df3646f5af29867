//! The bound on all bodies that are held in memory.
//!
//! One number for all workers: `limits.buffered`. Whoever holds bytes holds a share of it, which is given back by drop.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Bytes held in memory for Lambda, over all workers, under one limit.
#[derive(Debug)]
pub(crate) struct BufferBudget {
    used: AtomicU64,
    limit: u64,
}

/// A share of the buffer budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Buffered {
    budget: Arc<BufferBudget>,
    bytes: AtomicU64,
}

impl BufferBudget {
    /// Makes a budget of `limit` bytes.
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), limit })
    }

    /// Takes `bytes`; `None` when the limit would be passed.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Option<Buffered> {
        let share = Buffered { budget: self.clone(), bytes: AtomicU64::new(0) };
        share.grow(bytes).then_some(share)
    }
}

impl Buffered {
    /// Takes `bytes` more. Returns whether the limit allowed it.
    pub(crate) fn grow(&self, bytes: u64) -> bool {
        let fits = self
            .budget
            .used
            .fetch_update(Relaxed, Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= self.budget.limit)
            })
            .is_ok();
        if fits {
            self.bytes.fetch_add(bytes, Relaxed);
        }
        fits
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes.load(Relaxed), Relaxed);
    }
}
