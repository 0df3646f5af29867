//! How often something may begin: a bucket of tokens that fills by itself.

/// A token bucket in the load's own time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    burst: f64,
    per_us: f64,
    tokens: f64,
    at_us: u64,
}

impl Bucket {
    /// Makes a full bucket of `burst` that `per_second` fill again.
    pub(super) fn new(burst: u32, per_second: f64) -> Self {
        Self {
            burst: f64::from(burst),
            per_us: per_second / 1e6,
            tokens: f64::from(burst),
            at_us: 0,
        }
    }

    fn fill(&mut self, now_us: u64) {
        let since = now_us.saturating_sub(self.at_us) as f64;
        self.tokens = since.mul_add(self.per_us, self.tokens).min(self.burst);
        self.at_us = self.at_us.max(now_us);
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now_us: u64) -> bool {
        self.fill(now_us);
        let there = 1.0 <= self.tokens;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    /// Takes one now or promises one; returns when it is there.
    pub(super) fn book(&mut self, now_us: u64) -> u64 {
        self.fill(now_us);
        self.tokens -= 1.0;
        now_us + (-self.tokens / self.per_us).max(0.0).ceil() as u64
    }
}
