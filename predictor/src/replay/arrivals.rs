//! Counts by step as single requests.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{random::Random, site::Arrival};

/// Requests that arrive in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When it begins, in microseconds.
    pub at_us: u64,
    /// How long it is, in microseconds.
    pub us: u64,
    /// How many arrive in it.
    pub count: u64,
}

/// Times of arrival, in order: within a step as a Poisson process puts them that is known to have so many.
///
/// Given their number, a Poisson process's arrivals lie uniformly and independently. They are drawn in order: of `n` that are
/// left in the rest `r` of a step, the first comes after `r (1 - exp(-e / n))`, where `e` is exponential.
#[derive(Debug)]
pub struct Spread<I> {
    steps: I,
    random: Random,
    now_us: f64,
    end_us: f64,
    left: u64,
}

impl<I: Iterator<Item = Step>> Spread<I> {
    /// Spreads `steps`, which must not overlap.
    pub fn new(steps: I, random: Random) -> Self {
        Self { steps, random, now_us: 0.0, end_us: 0.0, left: 0 }
    }
}

impl<I: Iterator<Item = Step>> Iterator for Spread<I> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        while self.left == 0 {
            let step = self.steps.next()?;
            self.now_us = step.at_us as f64;
            self.end_us = (step.at_us + step.us) as f64;
            self.left = step.count;
        }
        let part = self.random.exponential() / self.left as f64;
        // For small steps a few terms of the series are the same to the last digit, and a third of the time.
        let gap = if part < 1e-3 {
            part * (1.0 - part * (0.5 - part * (1.0 / 6.0 - part / 24.0)))
        } else {
            -(-part).exp_m1()
        };
        self.now_us += (self.end_us - self.now_us) * gap;
        self.left -= 1;
        Some(self.now_us as u64)
    }
}

/// Steps whose counts are multiplied; what is left of a fraction goes over to the next, so that the sum is right.
#[derive(Debug)]
pub struct Scaled<I> {
    steps: I,
    factor: f64,
    carried: f64,
}

impl<I: Iterator<Item = Step>> Scaled<I> {
    /// Multiplies by `factor`, at least 0.
    pub fn new(steps: I, factor: f64) -> Self {
        Self { steps, factor, carried: 0.5 }
    }
}

impl<I: Iterator<Item = Step>> Iterator for Scaled<I> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let step = self.steps.next()?;
        let exact = (step.count as f64).mul_add(self.factor, self.carried);
        self.carried = exact.fract();
        Some(Step { count: exact as u64, ..step })
    }
}

/// The requests of several services in one order.
#[derive(Debug)]
pub struct Merged<I> {
    times: Vec<I>,
    /// The next of each service.
    next: BinaryHeap<Reverse<(u64, u16)>>,
}

impl<I: Iterator<Item = u64>> Merged<I> {
    /// Merges the times of each service, which come in order.
    pub fn new(mut times: Vec<I>) -> Self {
        let first = times.iter_mut().enumerate();
        let first = first.filter_map(|(site, times)| Some(Reverse((times.next()?, site as u16))));
        let next = first.collect();
        Self { times, next }
    }
}

impl<I: Iterator<Item = u64>> Iterator for Merged<I> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let mut least = self.next.peek_mut()?;
        let Reverse((at_us, site)) = *least;
        match self.times[usize::from(site)].next() {
            // Put in the place of the one that is taken: with one service, nothing moves.
            Some(next) => *least = Reverse((next, site)),
            None => drop(std::collections::binary_heap::PeekMut::pop(least)),
        }
        Some(Arrival::plain(at_us, site))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::random::Purpose, *};

    fn steps(counts: &[u64]) -> impl Iterator<Item = Step> {
        let step =
            |(n, &count): (usize, &u64)| Step { at_us: n as u64 * 1_000_000, us: 1_000_000, count };
        counts.iter().enumerate().map(step).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn every_request_arrives_in_its_step_and_in_order() {
        let counts = [3, 0, 0, 1, 5000, 0, 2];
        let random = Random::new(1, 0, Purpose::Arrivals);
        let times: Vec<_> = Spread::new(steps(&counts), random).collect();
        assert!(times.is_sorted());
        for (step, count) in counts.iter().enumerate() {
            let within = times.iter().filter(|&&at| at / 1_000_000 == step as u64).count();
            assert_eq!(within as u64, *count);
        }
    }

    #[test]
    fn within_a_step_they_lie_uniformly() {
        let random = Random::new(2, 0, Purpose::Arrivals);
        let times: Vec<_> =
            Spread::new(steps(&[100_000]), random).map(|at| at as f64 / 1e6).collect();
        // Kolmogorov and Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand seeds.
        let n = times.len() as f64;
        let furthest =
            times.iter().enumerate().map(|(i, at)| (at - i as f64 / n).abs()).fold(0.0, f64::max);
        assert!(furthest < 1.95 / n.sqrt(), "{furthest}");
    }

    #[test]
    fn scaling_loses_and_invents_nothing() {
        for factor in [0.02, 0.5, 1.0, 20.0] {
            let counts: Vec<_> = (0..1000).map(|n| n % 7).collect();
            let sum: u64 = Scaled::new(steps(&counts), factor).map(|step| step.count).sum();
            let exact = counts.iter().sum::<u64>() as f64 * factor;
            assert!((sum as f64 - exact).abs() <= 0.5 + 1e-6, "{factor}: {sum} and not {exact}");
        }
    }
}
