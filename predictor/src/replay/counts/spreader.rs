//! Latencies of fractions of requests, made whole at the end.

use super::super::latency::Latencies;

/// Latencies of fractions of requests.
#[derive(Debug, Default)]
pub(super) struct Spreader(Vec<(f64, f64)>);

impl Spreader {
    pub(super) fn add(&mut self, us: f64, requests: f64) {
        if 0.0 < requests {
            self.0.push((us, requests));
        }
    }

    pub(super) fn within(&self, us: f64) -> f64 {
        self.0.iter().filter(|(latency, _)| *latency <= us).map(|(_, requests)| requests).sum()
    }

    /// Makes whole requests of them, `count` in all.
    pub(super) fn counted(mut self, count: u64) -> Latencies {
        self.0.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let all = self.0.iter().map(|(_, requests)| requests).sum::<f64>().max(1e-9);
        let mut latencies = Latencies::default();
        let (mut below, mut counted) = (0.0, 0_u64);
        for (us, requests) in self.0 {
            below += requests;
            let until = ((below / all * count as f64).round() as u64).min(count);
            latencies.add_many(us.round() as u64, until - counted);
            counted = until;
        }
        latencies
    }
}
