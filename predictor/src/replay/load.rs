//! A load as counts by step, and what can be asked of it.

use super::arrivals::Step;
use crate::plan::Truth;

/// Arrivals of one service, by steps in order; steps that are not there have none.
#[derive(Debug, Clone, Default)]
pub struct Load {
    steps: Vec<Step>,
    /// Arrivals before each step.
    before: Vec<u64>,
    total: u64,
}

impl Load {
    /// Takes steps in order of time, of which none overlap. A sum beyond what 64 bits hold stays there.
    pub fn new(steps: Vec<Step>) -> Self {
        let mut total = 0;
        let before = steps.iter().map(|step| {
            let before = total;
            total = u64::saturating_add(total, step.count);
            before
        });
        Self { before: before.collect(), total, steps }
    }

    /// Returns the steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns how many arrive in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns when the first step begins and the last one ends; `None` without any.
    pub fn span_us(&self) -> Option<(u64, u64)> {
        let (first, last) = (self.steps.first()?, self.steps.last()?);
        Some((first.at_us, last.at_us + last.us))
    }

    /// Returns how many arrive before `at_us`, on average, if each step's are spread evenly.
    pub fn before(&self, at_us: u64) -> f64 {
        let Some(last) = self.step_at(at_us) else { return 0.0 };
        let step = self.steps[last];
        let part = (at_us - step.at_us).min(step.us) as f64 / step.us.max(1) as f64;
        (step.count as f64).mul_add(part, self.before[last] as f64)
    }

    /// Returns the last step that begins at `at_us` or before.
    fn step_at(&self, at_us: u64) -> Option<usize> {
        let first = self.steps.first()?;
        // Where no step is missing it is known where to look: planners ask millions of times.
        let guess = at_us.checked_sub(first.at_us)? / first.us.max(1);
        let guess = usize::try_from(guess).unwrap_or(usize::MAX).min(self.steps.len() - 1);
        let begins = |step: usize| self.steps[step].at_us <= at_us;
        if begins(guess) && (guess + 1 == self.steps.len() || !begins(guess + 1)) {
            return Some(guess);
        }
        self.steps.partition_point(|step| step.at_us <= at_us).checked_sub(1)
    }

    /// Returns when the first step with arrivals begins that does so at `at_us` or later.
    pub fn next_us(&self, at_us: u64) -> Option<u64> {
        let from = self.steps.partition_point(|step| step.at_us < at_us);
        self.steps[from..].iter().find(|step| step.count != 0).map(|step| step.at_us)
    }

    /// Returns the most that arrive in one step, per second.
    pub fn peak_per_second(&self) -> f64 {
        let rate = |step: &Step| step.count as f64 * 1e6 / step.us.max(1) as f64;
        self.steps.iter().map(rate).fold(0.0, f64::max)
    }
}

/// The demand of a load, known ahead of time.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    load: &'a Load,
    /// What one of its counts stands for, in slot-microseconds.
    us: f64,
}

impl<'a> Known<'a> {
    /// Knows `load`, whose requests take `mean_service_us` on average.
    pub fn new(load: &'a Load, mean_service_us: f64) -> Self {
        Self { load, us: mean_service_us }
    }

    /// Knows a load whose counts are the service times of its requests, in microseconds.
    pub fn work(work: &'a Load) -> Self {
        Self { load: work, us: 1.0 }
    }
}

impl Truth for Known<'_> {
    fn demand(&self, from_us: u64, until_us: u64) -> f64 {
        let us = until_us.saturating_sub(from_us).max(1) as f64;
        (self.load.before(until_us) - self.load.before(from_us)) * self.us / us
    }
}

/// Counts single requests, which come in order, by steps: of a second, or of twice, four times ... as long when there would
/// be too many of them.
#[derive(Debug)]
pub struct Collector {
    step_us: u64,
    arrivals: Vec<Step>,
    work: Vec<Step>,
    home: Vec<Step>,
}

/// What a [`Collector`] counted; of `work` and `home`, counts are microseconds.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// Requests.
    pub arrivals: Load,
    /// Their service times.
    pub work: Load,
    /// The part of those that is for containers first.
    pub home: Load,
}

impl Default for Collector {
    fn default() -> Self {
        Self { step_us: 1_000_000, arrivals: Vec::new(), work: Vec::new(), home: Vec::new() }
    }
}

impl Collector {
    /// Most steps that are kept, of 96 bytes each: three days by the second, a month by 16 seconds.
    const STEPS_MAX: usize = 1 << 18;

    /// Counts a request that arrives at `at_us`, not before the one before, and takes `service_us`, of which `home_us` are
    /// for containers first.
    pub fn add(&mut self, at_us: u64, service_us: u64, home_us: u64) {
        let begin_us = at_us - at_us % self.step_us;
        let new = self.arrivals.last().is_none_or(|last| last.at_us != begin_us);
        if new {
            if self.arrivals.len() == Self::STEPS_MAX {
                self.coarsen();
                return self.add(at_us, service_us, home_us);
            }
            let empty = Step { at_us: begin_us, us: self.step_us, count: 0 };
            self.arrivals.push(empty);
            self.work.push(empty);
            self.home.push(empty);
        }
        let steps = [&mut self.arrivals, &mut self.work, &mut self.home];
        for (steps, count) in steps.into_iter().zip([1, service_us, home_us]) {
            if let Some(last) = steps.last_mut() {
                last.count = last.count.saturating_add(count);
            }
        }
    }

    fn coarsen(&mut self) {
        self.step_us *= 2;
        for steps in [&mut self.arrivals, &mut self.work, &mut self.home] {
            let mut coarse: Vec<Step> = Vec::with_capacity(Self::STEPS_MAX);
            for step in steps.drain(..) {
                let at_us = step.at_us - step.at_us % self.step_us;
                match coarse.last_mut() {
                    Some(last) if last.at_us == at_us => {
                        last.count = last.count.saturating_add(step.count);
                    }
                    _ => coarse.push(Step { at_us, us: self.step_us, count: step.count }),
                }
            }
            *steps = coarse;
        }
    }

    /// Returns what was counted.
    pub fn finish(self) -> Collected {
        let Self { arrivals, work, home, .. } = self;
        let [arrivals, work, home] = [arrivals, work, home].map(Load::new);
        Collected { arrivals, work, home }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_requests_are_counted_by_steps_that_stay_few() {
        let mut collector = Collector::default();
        let seconds = 2 * Collector::STEPS_MAX as u64 + 7;
        for second in 0..seconds {
            collector.add(second * 1_000_000 + 5, 20, 20);
            collector.add(second * 1_000_000 + 999_999, 30, 0);
        }
        let Collected { arrivals, work, home } = collector.finish();
        let totals = [&arrivals, &work, &home].map(Load::total);
        assert_eq!(totals, [2 * seconds, 50 * seconds, 20 * seconds]);
        assert!(arrivals.steps().len() <= Collector::STEPS_MAX);
        assert_eq!(arrivals.steps()[1], Step { at_us: 4_000_000, us: 4_000_000, count: 8 });
        assert!((Known::work(&work).demand(0, 4_000_000) - 200.0 / 4e6).abs() < 1e-12);
    }

    #[test]
    fn what_arrives_before_a_moment_is_its_share_of_the_step() {
        let step = |at_us, count| Step { at_us, us: 10, count };
        let load = Load::new(vec![step(100, 10), step(120, 20)]);
        let before: Vec<_> = [0, 100, 105, 110, 119, 125, 500].map(|at| load.before(at)).into();
        assert_eq!(before, [0.0, 0.0, 5.0, 10.0, 10.0, 20.0, 30.0]);
    }
}
