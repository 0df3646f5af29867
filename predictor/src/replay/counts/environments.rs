//! How many requests find a cold environment, when only counts are known.

use std::collections::VecDeque;

use super::super::distribution::normal_share;

/// Environments by the number of requests at which each is needed.
#[derive(Debug)]
pub(super) struct Environments {
    /// Crossings of each level within the idle lifetime, and those of each step.
    crossings: Vec<f64>,
    steps: VecDeque<Vec<f64>>,
    keep: usize,
}

impl Environments {
    pub(super) fn new(idle_us: u64, tick_us: u64) -> Self {
        let keep = (idle_us / tick_us).max(1) as usize;
        Self { crossings: Vec::new(), steps: VecDeque::new(), keep }
    }

    /// Forgets all of them: each has been idle for longer than it lives.
    pub(super) fn clear(&mut self) {
        self.crossings.clear();
        self.steps.clear();
    }

    /// Has `requests` run, `mean` at a time with `variance`; returns how many of them find a cold environment.
    pub(super) fn step(&mut self, requests: f64, mean: f64, variance: f64) -> f64 {
        if self.steps.len() == self.keep
            && let Some(gone) = self.steps.pop_front()
        {
            for (level, crossings) in gone.into_iter().enumerate() {
                self.crossings[level] = (self.crossings[level] - crossings).max(0.0);
            }
        }
        let chances = chances(mean, variance);
        if self.crossings.len() < chances.len() {
            self.crossings.resize(chances.len(), 0.0);
        }
        let mut cold = 0.0;
        let mut step = Vec::with_capacity(chances.len());
        for (level, chance) in chances.into_iter().enumerate() {
            let crossings = requests * chance;
            let known = self.crossings[level];
            // Of the crossings of this step, only the first can find it cold.
            cold += (-known).exp() * -(-crossings).exp_m1();
            self.crossings[level] += crossings;
            step.push(crossings);
        }
        self.steps.push_back(step);
        cold
    }
}

/// Returns how likely an arrival finds 0, 1, 2 ... requests running.
fn chances(mean: f64, variance: f64) -> Vec<f64> {
    if mean <= 0.0 {
        return vec![1.0];
    }
    if mean < 20.0 && variance <= mean * 1.01 {
        // Poisson.
        let mut chance = (-mean).exp();
        let most = (mean + 8.0 * mean.sqrt() + 4.0) as usize;
        return (0..most)
            .map(|n| {
                let now = chance;
                chance *= mean / (n + 1) as f64;
                now
            })
            .collect();
    }
    let deviation = variance.sqrt().max(0.1);
    let most = (mean + 6.0 * deviation + 2.0) as usize;
    let below = |n: f64| normal_share((n - mean) / deviation);
    let mut before = 0.0;
    (0..most)
        .map(|n| {
            let until = below(n as f64 + 0.5);
            let chance = until - before;
            before = until;
            chance
        })
        .collect()
}
