//! One horizon of a series: what was said and has not come yet, how good each expert was, and what to say now.
//!
//! An expert's number becomes quantiles by the residuals it had lately, in one of two ways: plain, or in deviations
//! that are expected now (from residuals of late, and Poisson's own). Quantiles of these candidates are mixed, by
//! weights of each level's own: who is best in the middle need not be in the tail. The mixture of all experts' numbers
//! is a candidate itself, mostly the best one. What is issued is at last moved by how often it held.

use super::{
    LEVELS, PerLevel, Quantiles,
    aggregate::Aggregator,
    conformal::{Residuals, Tracker},
    elastic_net::{Model, Rows},
    experts::{EXPERTS, Expert, Now, Points},
    history::{count_of, log_of},
    regression::{Features, Regression},
};

/// Who a candidate's number is from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// The mixture of all experts.
    Mixture,
    One(Expert),
}

/// How its residuals are reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Residual {
    /// As they are: the load is a multiple of the forecast.
    Plain,
    /// In deviations expected at the time of the forecast.
    Scaled,
}

/// How many candidates there are.
const CANDIDATES: usize = 12;

/// The candidates and their weights before anything is known. Two fifths of these are the last value's, as no one
/// should lose against that, and two fifths the mixture's. Few experts' own quantiles help beside those of the mixture:
/// with those of all of them, plain and scaled, the mean loss on recorded traffic is lower by less than half a percent,
/// in three times the memory.
const LIST: [(Source, Residual, f32); CANDIDATES] = [
    (Source::Mixture, Residual::Plain, 16.0),
    (Source::Mixture, Residual::Scaled, 16.0),
    (Source::One(Expert::Last), Residual::Plain, 16.0),
    (Source::One(Expert::Last), Residual::Scaled, 16.0),
    (Source::One(Expert::Mean5), Residual::Plain, 4.0),
    (Source::One(Expert::Mean5), Residual::Scaled, 4.0),
    (Source::One(Expert::Highest), Residual::Plain, 1.0),
    (Source::One(Expert::Regression), Residual::Scaled, 1.0),
    (Source::One(Expert::ElasticNet), Residual::Scaled, 1.0),
    (Source::One(Expert::Day), Residual::Scaled, 1.0),
    (Source::One(Expert::Days), Residual::Scaled, 1.0),
    (Source::One(Expert::DayRatio), Residual::Scaled, 1.0),
];

/// The candidate that reacts: the last value, as it is.
const REACTIVE: usize = 2;
const _: () = assert!(matches!(LIST[REACTIVE], (Source::One(Expert::Last), Residual::Plain, _)));

/// Deviations of residuals are means over about so many of them: one follows a restless hour, the other is steady.
const FAST: f32 = 30.0;
const SLOW: f32 = 1_000.0;

/// Deviation of the logarithm that a forecast is taken to have before it is known: a third up or down. Scaled residuals
/// start from Poisson's.
const DEVIATION: f32 = 0.3;

/// Squared deviations that a residual counts as, at most.
const SQUARE_MAX: f32 = 16.0;

/// Quantiles of residuals are looked up every so many steps, as they move slowly; and at each step at first.
const LOOK_UP_EVERY: u64 = 4;

/// How fast a series forgets, for a step length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// What is left of a regret, of what the regression learned and (its inverse) of a residual when next is learned.
    regret: f32,
    regression: f64,
    residual_growth: f32,
    /// Ticks apart of the rows that an elastic net is fitted to.
    spacing: u64,
    /// How many ticks what is learned at once stands for, and which part of a step that is. Steps that overlap tell the same
    /// six times over, and are not six times as sure.
    ticks: u64,
    share: f32,
}

impl Memory {
    /// Half of what is known of experts' regret is 8 days old, of residuals 5 days, of the regression 4 days; and at
    /// least 100, 250 and 200 steps. Doubling any of these changes the mean loss on recorded traffic by half a percent.
    ///
    /// Steps begin `phases` times in a step, and each `ticks`th of these is learned from.
    pub(super) fn new(step_s: u64, phases: u64, ticks: u64) -> Self {
        let share = ticks as f64 / phases as f64;
        let half = |days: f64, least: f64| (days * 86_400.0 / step_s as f64).max(least);
        let keep = |steps: f64| 0.5_f64.powf(share / steps);
        Self {
            regret: keep(half(8.0, 100.0)) as f32,
            regression: keep(half(4.0, 200.0)),
            residual_growth: (1.0 / keep(half(5.0, 250.0))) as f32,
            spacing: Rows::spacing(8 * 86_400 / step_s) * phases,
            ticks,
            share: share as f32,
        }
    }
}

/// What was said for one step to come.
#[derive(Debug, Clone)]
struct Said {
    /// The tick it is said of.
    target: u64,
    points: Points,
    /// The mixture of those.
    mixture: f32,
    /// The expected deviation of each candidate.
    deviations: [f32; CANDIDATES],
    features: Features,
    /// The last value then.
    base: f32,
    issued: PerLevel,
}

/// One horizon.
#[derive(Debug, Clone)]
pub(super) struct Horizon {
    steps: u64,
    /// How many ticks a step is long.
    phases: u64,
    /// What is said of the ticks to come, a ring; `None` where nothing is.
    said: Box<[Option<Said>]>,
    mixture: Aggregator<EXPERTS>,
    residuals: [Residuals; CANDIDATES],
    /// Quantiles of those residuals.
    spreads: [PerLevel; CANDIDATES],
    /// Mean squared residuals beyond Poisson's, over a short and a long time.
    fast: [f32; CANDIDATES],
    slow: [f32; CANDIDATES],
    levels: [Aggregator<CANDIDATES>; LEVELS.len()],
    tracker: Tracker,
    regression: Regression,
    rows: Rows,
    model: Option<Model>,
    /// Ticks that were learned from.
    learned: u64,
}

impl Horizon {
    /// Looks `steps` (1 or more) ahead, each `phases` ticks long.
    pub(super) fn new(steps: u64, phases: u64) -> Self {
        let prior = LIST.map(|(_, _, prior)| prior);
        let residuals = LIST.map(|(_, kind, _)| {
            Residuals::new(if kind == Residual::Plain { DEVIATION } else { 1.0 })
        });
        Self {
            steps,
            phases,
            said: vec![None; (steps * phases) as usize].into(),
            mixture: Aggregator::new(&[1.0; EXPERTS]),
            spreads: std::array::from_fn(|i| residuals[i].quantiles()),
            residuals,
            fast: [0.0; CANDIDATES],
            slow: [0.0; CANDIDATES],
            levels: std::array::from_fn(|_| Aggregator::new(&prior)),
            tracker: Tracker::default(),
            regression: Regression::default(),
            rows: Rows::default(),
            model: None,
            learned: 0,
        }
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns what was issued for `tick`, if anything was.
    pub(super) fn issued_for(&self, tick: u64) -> Option<&PerLevel> {
        let said = self.said[self.slot(tick)].as_ref();
        said.filter(|said| said.target == tick).map(|said| &said.issued)
    }

    fn slot(&self, tick: u64) -> usize {
        (tick % self.said.len() as u64) as usize
    }

    /// Learns what came at `tick`, as a logarithm. `top` is the largest that anyone may say.
    pub(super) fn learn(
        &mut self,
        tick: u64,
        log: f32,
        top: f32,
        memory: &Memory,
        elastic_net: bool,
    ) {
        let slot = self.slot(tick);
        // Taken out and not put back: the slot is for the tick that this horizon is at next.
        let Some(said) = self.said[slot].take().filter(|said| said.target == tick) else { return };
        let before = self.learned;
        self.learned += memory.ticks;
        let passed = |every: u64| before / every != (before + memory.ticks) / every;
        let numbers = numbers(&said.points, said.mixture);
        let share = memory.share;

        for (level, aggregator) in self.levels.iter_mut().enumerate() {
            let values = quantiles(&self.spreads, &numbers, &said.deviations, level, top);
            let mix = aggregator.mix(&values);
            // The slope of the pinball loss.
            let slope = if log < log_of(mix) { 1.0 } else { 0.0 } - LEVELS[level];
            aggregator.learn(&values, mix, slope, memory.regret, share);
            self.tracker.learn(level, log <= log_of(said.issued[level]), share);
        }
        let mix = self.mixture.mix(&said.points);
        let slope = if log < mix { 0.5 } else { -0.5 };
        self.mixture.learn(&said.points, mix, slope, memory.regret, share);

        let n = self.learned as f32 / self.phases as f32;
        for (i, (_, kind, _)) in LIST.iter().enumerate() {
            let residual = log - numbers[i];
            let scale = if *kind == Residual::Plain { 1.0 } else { said.deviations[i] };
            self.residuals[i].add(residual / scale, memory.residual_growth, share);
            let poisson = poisson(numbers[i]);
            let square = (residual * residual).min(SQUARE_MAX * (self.slow[i].max(0.0) + poisson));
            self.fast[i] += (square - poisson - self.fast[i]) * share / n.min(FAST);
            self.slow[i] += (square - poisson - self.slow[i]) * share / n.min(SLOW);
        }
        if self.learned < 100 * self.phases || passed(LOOK_UP_EVERY * self.phases) {
            for (spread, residuals) in self.spreads.iter_mut().zip(&self.residuals) {
                *spread = residuals.quantiles();
            }
        }

        let change = log - said.base;
        self.regression.learn(&said.features, change, memory.regression, f64::from(share));
        if elastic_net && passed(memory.spacing) {
            self.rows.add(&said.features, change);
        }
    }

    /// Says what will come, and remembers it until it has. `reactive` says no less than the last value would from the
    /// median on.
    pub(super) fn say(&mut self, now: &Now<'_>, tick: u64, top: f32, reactive: bool) -> Quantiles {
        let (mut points, features) = now.ask(self.steps);
        let change = self.regression.predict(&features);
        let other = self.model.as_ref().map_or(change, |model| model.predict(&features));
        points[Expert::Regression as usize] = now.last() + change;
        points[Expert::ElasticNet as usize] = now.last() + other;
        for point in &mut points {
            // Not a number is no one's to say: `clamp` would let it pass.
            *point = if point.is_finite() { point.clamp(0.0, top) } else { now.last() };
        }
        let mixture = self.mixture.mix(&points);
        let numbers = numbers(&points, mixture);
        let deviations = std::array::from_fn(|i| {
            (f32::midpoint(self.fast[i], self.slow[i]).max(0.0) + poisson(numbers[i])).sqrt()
        });

        let mut issued = [0.0; LEVELS.len()];
        for (level, quantile) in issued.iter_mut().enumerate() {
            let values = quantiles(&self.spreads, &numbers, &deviations, level, top);
            let mut mix = self.levels[level].mix(&values);
            if reactive && 0.5 <= LEVELS[level] {
                mix = mix.max(values[REACTIVE]);
            }
            // The deviation is that of the mixture, the first candidate.
            *quantile = count_of(log_of(mix) + self.tracker.offset(level) * deviations[0]);
        }
        // Levels are learned apart from each other, so that quantiles may cross by a little.
        issued.sort_by(f32::total_cmp);
        // The mean of the series may lie between two counts, but no quantile of it does.
        let mean = Quantiles::new(issued).mean;
        let issued = issued.map(f32::round);
        let target = tick + self.steps * self.phases;
        self.said[self.slot(target)] =
            Some(Said { target, points, mixture, deviations, features, base: now.last(), issued });
        Quantiles { counts: issued, mean }
    }

    /// Returns the steps that an elastic net is fitted to.
    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Goes by a fitted elastic net from now on.
    pub(super) fn install(&mut self, model: Model) {
        self.model = Some(model);
    }
}

/// Returns the number of each candidate.
fn numbers(points: &Points, mixture: f32) -> [f32; CANDIDATES] {
    LIST.map(|(source, _, _)| match source {
        Source::Mixture => mixture,
        Source::One(expert) => points[expert as usize],
    })
}

/// Returns the quantile of each candidate at one level, as counts.
fn quantiles(
    spreads: &[PerLevel; CANDIDATES],
    numbers: &[f32; CANDIDATES],
    deviations: &[f32; CANDIDATES],
    level: usize,
    top: f32,
) -> [f32; CANDIDATES] {
    std::array::from_fn(|i| {
        let scale = if LIST[i].1 == Residual::Plain { 1.0 } else { deviations[i] };
        count_of((numbers[i] + spreads[i][level] * scale).min(top))
    })
}

/// Returns the variance of `ln(1 + count)` that chance alone causes, about 1 / (1 + mean).
fn poisson(log: f32) -> f32 {
    (-log).exp()
}
