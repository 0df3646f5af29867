//! A load as it comes: what another planner would have done with it, and what that would have cost so far.

use std::borrow::Cow;

use policies::cost::Usage;

use super::{Counts, Flow, SCALE};
use crate::{
    plan::Planner,
    replay::site::{Account, Planned, Site},
};

/// What a service was asked in a while.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// Requests whose home is a container.
    pub(super) at_home: Flow,
    /// Requests whose home is Lambda.
    pub(super) sprinters: Flow,
}

impl Asked {
    /// Requests whose home is a container and those whose home is Lambda; each as how many there were, and how long all of
    /// them take in a container, in microseconds. On Lambda they take `slowness` times as long.
    pub fn new(at_home: (f64, f64), sprinters: (f64, f64), slowness: f64) -> Self {
        let flow = |(requests, us): (f64, f64)| {
            let mean_us = if 0.0 < requests { us / requests } else { 0.0 };
            Flow { requests, container_us: mean_us, lambda_us: mean_us * slowness }
        };
        Self { at_home: flow(at_home), sprinters: flow(sprinters) }
    }

    fn and(self, other: Self) -> Self {
        Self {
            at_home: self.at_home.with(other.at_home),
            sprinters: self.sprinters.with(other.sprinters),
        }
    }
}

/// What became of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// All that arrived.
    pub asked: u64,
    /// Got no good answer.
    pub failed: u64,
    /// Waited for a slot for longer than their objective lets them take in all.
    pub late: u64,
}

/// A replay under way.
pub struct Running {
    counts: Counts<'static>,
    start_us: u64,
    now_us: u64,
    /// What was asked since `now_us`, and until when that is known.
    pending: (Asked, u64),
}

impl Running {
    /// Begins at `start_us` with the tasks that `site` has then.
    pub fn new(site: Site, planner: Box<dyn Planner>, start_us: u64, account: Account) -> Self {
        let planned = Planned { planner, truth: None };
        let span_us = (start_us, start_us + CENTURY_US);
        let counts = Counts::new(Cow::Owned(site), planned, span_us, account, SEED);
        Self { counts, start_us, now_us: start_us, pending: (Asked::default(), start_us) }
    }

    /// Goes on to `until_us`, when `asked` has come since it was told last. What lies before is passed over: clocks step.
    pub fn step(&mut self, until_us: u64, asked: Asked) {
        let (before, known_us) = self.pending;
        self.pending = (before.and(asked), known_us.max(until_us));
        let tick_us = self.counts.tick_us;
        let ticks = (self.pending.1 - self.now_us) / tick_us;
        if ticks == 0 {
            return;
        }
        // After a pause of several ticks each is taken to have been asked alike.
        let (asked, known_us) = std::mem::replace(&mut self.pending, (Asked::default(), until_us));
        self.pending.1 = known_us;
        if TICKS_MAX < ticks {
            self.counts.skip(self.now_us, self.now_us + (ticks - 1) * tick_us);
            self.now_us += (ticks - 1) * tick_us;
        }
        let ticks = if TICKS_MAX < ticks { 1 } else { ticks };
        let part = |flow: Flow| Flow { requests: flow.requests / ticks as f64, ..flow };
        let each = Asked { at_home: part(asked.at_home), sprinters: part(asked.sprinters) };
        for _ in 0..ticks {
            self.counts.plan(self.now_us);
            self.counts.step(self.now_us, self.now_us + tick_us, each);
            self.now_us += tick_us;
        }
    }

    /// Returns what was used until now, tasks that still run included.
    pub fn usage(&self) -> Usage {
        let mut usage = self.counts.usage(self.start_us, self.now_us);
        usage.fargate = self.counts.tasks.usage_until(self.now_us);
        usage
    }

    /// Returns what became of what was asked: all of it, what failed, and what waited for a slot for longer than its objective,
    /// all in whole requests.
    pub fn served(&self) -> Served {
        let counts = &self.counts;
        let sums = &counts.sums;
        let goal_us = counts.site.streams.first().map_or(u64::MAX, |stream| stream.objective_us);
        let beyond = |((from, _), _): &((f64, f64), u64)| goal_us as f64 <= *from;
        let late: u64 = counts.waits.buckets().filter(beyond).map(|(_, requests)| requests).sum();
        Served {
            asked: sums.arrived.round() as u64,
            failed: (sums.refused + sums.timed_out + sums.throttled).round() as u64,
            late: (late as f64 / SCALE).round() as u64,
        }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Running").field("now_us", &self.now_us).finish_non_exhaustive()
    }
}

/// Draws the starts of tasks: the same ones each time.
const SEED: u64 = 7;

/// An end that never comes: nobody asks for a picture of a load that has none.
const CENTURY_US: u64 = 100 * 365 * 86_400_000_000;

/// Ticks that are made up for after a pause, an hour of ten seconds each; of a longer one nothing is known.
const TICKS_MAX: u64 = 360;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{LambdaOnly, Newsvendor, TargetTracking},
        replay::{
            arrivals::Step, counts, distribution::Distribution, laws, load::Load, site::Outcome,
        },
    };

    const START_US: u64 = 1_764_288_000_000_000;
    const STEP_US: u64 = 10_000_000;

    /// Half an hour of a step of each ten seconds, which rises and falls.
    fn asked() -> impl Iterator<Item = u64> {
        (0..180_u64).map(|step| 200 + 150 * (step / 20 % 3))
    }

    fn load() -> Load {
        let steps = asked().enumerate().map(|(step, count)| {
            let at_us = START_US + step as u64 * STEP_US;
            Step { at_us, us: STEP_US, count }
        });
        Load::new(steps.collect())
    }

    fn at_once(site: &Site, planner: Box<dyn Planner>) -> Outcome {
        let load = load();
        let planned = Planned { planner, truth: None };
        let (start_us, end_us) = (START_US, START_US + 180 * STEP_US);
        counts::run(site, planned, &load, (start_us, end_us), Account::default(), SEED)
    }

    #[test]
    fn a_load_that_is_told_step_by_step_comes_to_what_it_comes_to_at_once() {
        let planners: [fn() -> Box<dyn Planner>; 3] = [
            || Box::new(LambdaOnly),
            || Box::new(TargetTracking::new(0.7)),
            || Box::new(Newsvendor::default()),
        ];
        for planner in planners {
            let site = laws::site(Distribution::Exponential(100_000.0));
            let outcome = at_once(&site, planner());
            let home = site.home_share();
            let mean_us = site.service_time.mean_us();
            let slowness = site.function.slowness;
            let mut running = Running::new(site, planner(), START_US, Account::default());
            for (step, count) in asked().enumerate() {
                let (own, rest) = (count as f64 * home, count as f64 * (1.0 - home));
                let asked = Asked::new((own, own * mean_us), (rest, rest * mean_us), slowness);
                running.step(START_US + (step as u64 + 1) * STEP_US, asked);
            }
            let usage = running.usage();
            let name = planner().name();
            let close = |a: u128, b: u128| a.abs_diff(b) * 500 <= a.max(b).max(500);
            let sum = |by: policies::cost::ByArch<u128>| by.arm64 + by.x86_64;
            let (a, b) = (sum(usage.lambda.mb_ms), sum(outcome.usage.lambda.mb_ms));
            assert!(close(a, b), "{name}: {a} MB-ms, at once {b}");
            assert!(close(usage.lambda.requests, outcome.usage.lambda.requests), "{name}");
            let ms = |usage: &Usage| {
                usage.fargate.on_demand.arm64.mib_ms + usage.fargate.on_demand.x86_64.mib_ms
            };
            assert!(
                close(ms(&usage), ms(&outcome.usage)),
                "{name}: {} {}",
                ms(&usage),
                ms(&outcome.usage)
            );
        }
    }

    #[test]
    fn a_clock_that_stands_leaps_or_goes_back_neither_panics_nor_loses_what_was_asked() {
        let site = laws::site(Distribution::Exponential(100_000.0));
        let mut running =
            Running::new(site, Box::new(TargetTracking::new(0.7)), START_US, Account::default());
        let asked = |n: f64| Asked::new((n, n * 1e5), (0.0, 0.0), 1.0);
        running.step(START_US, asked(10.0));
        running.step(START_US - 86_400_000_000, asked(10.0));
        running.step(START_US + 60_000_000, asked(10.0));
        assert!((running.counts.sums.arrived - 30.0).abs() < 1e-6, "{running:?}");
        // A week later: the load of one tick, and tasks that were paid for all the while.
        running.step(START_US + 7 * 86_400_000_000, asked(30.0));
        assert!((running.counts.sums.arrived - 60.0).abs() < 1e-6, "{running:?}");
        let used = running.usage().fargate;
        assert!(0 < used.on_demand.arm64.cpu_unit_ms + used.on_demand.x86_64.cpu_unit_ms);
    }
}
