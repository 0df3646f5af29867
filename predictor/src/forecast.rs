//! What will come: the counts of a series, at horizons from a step to an hour, as calibrated quantiles.
//!
//! No single method forecasts every load best. So each of some fifteen simple experts says one number for each horizon
//! (`experts`); how far off each was lately makes quantiles of it (`conformal`); and what each would have lost weighs
//! them, for each horizon and each quantile apart (`aggregate`, `horizon`). All of it is learned online, step by step, in
//! microseconds and a bounded memory; the one costly expert (`elastic_net`) is refitted where and when the caller likes.
//!
//! What was left out: in a comparison on three series of minutes, seasonal-trend decomposition with exponential
//! smoothing (MSTL and ETS) took milliseconds a forecast where an expert here takes microseconds, and lost to the
//! online regression or to the raw day before on each of them; so did gradient-boosted trees.
//!
//! Around a forecaster: [`rollup`] makes steps of seconds, [`pool`] shares a group's forecast among its sparse routes,
//! [`burst`] sees within seconds that reality has left the forecast, [`backtest`] tells how good all this would have
//! been.
//!
//! Counts are integers; there is nothing else to refuse. Missing steps are `None`; a clock that jumps is doubted at
//! first.

mod aggregate;
pub mod backtest;
pub mod burst;
pub mod calendar;
mod conformal;
mod elastic_net;
mod experts;
mod history;
mod horizon;
mod last;
pub mod pool;
mod quantiles;
mod ratio;
mod regression;
pub mod rollup;
mod seasonal;
mod trend;

use calendar::Calendar;
use elastic_net::{Model, Rows};
use experts::Now;
use history::{COUNT_MAX, History, count_of, log_of};
use horizon::{Horizon, Memory};
use last::Means;
pub use quantiles::{LEVELS, MASSES, Quantiles};
use seasonal::Past;
use trend::Trend;

/// A number for each of [`LEVELS`].
type PerLevel = [f32; LEVELS.len()];

/// Longest step of a series, and the furthest horizon, in seconds.
pub const STEP_S_MAX: u64 = 86_400;

/// Steps of history that are held at most where a week is shorter than that, and the days that are held at least and at
/// most: a week ago, and the hour before that, are looked at; four weeks make a profile.
const HISTORY_STEPS: u64 = 12_000;
const HISTORY_DAYS: std::ops::RangeInclusive<u64> = 8..=35;

/// How many times the largest count of late anyone may forecast. Exponential growth, extrapolated, has no bound of its
/// own.
const TOP_TIMES: f32 = 10.0;

/// Reality has left the forecast when a count is this many times as far above the median as the highest quantile is: by
/// chance one step in thousands. At 1, loads that are merely uneven trip it and the median loss on recorded traffic is
/// 2 % higher; at 3, the loss in bursts is up to 10 % higher.
const DEPARTURE: f32 = 2.0;

/// What may be chosen about a forecaster.
#[derive(Debug, Clone)]
pub struct Config {
    /// Local time and events.
    pub calendar: Calendar,
    /// Whether rows for an elastic net are kept: 100 kB a horizon, and 5 ms for each fit.
    pub elastic_net: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { calendar: Calendar::default(), elastic_net: true }
    }
}

/// How many steps in a row, each later than the one before it, make a time believed that was doubted: a clock that was
/// really set, an outage that was really as long. One more would cost one more step without a forecast.
const BELIEVED_AFTER: u32 = 3;

/// The end of the year 9999, in seconds since 1970. Later times are no one's clock.
const AT_S_MAX: u64 = 253_402_300_799;

/// What became of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// It was learned from, or known to be missing.
    Learned,
    /// Its time does not follow: its step was observed before, or comes after more steps than are remembered. Nothing
    /// was learned; the third one in a row is believed, and what was observed of its future is forgotten.
    Doubted,
}

/// Forecasts one series at one step length.
#[derive(Debug, Clone)]
pub struct Forecaster {
    step_s: u64,
    calendar: Calendar,
    elastic_net: bool,
    memory: Memory,
    history: History,
    means: Means,
    trend: Trend,
    /// The largest value of late; it falls to 1/e of that in a day.
    top: f32,
    /// Reality has left the forecast, and has not come back.
    departed: bool,
    /// The newest step whose time was doubted, and how many in a row were.
    doubted: (u64, u32),
    horizons: Box<[Horizon]>,
    /// What was said last, for each horizon.
    said: Box<[Quantiles]>,
}

impl Forecaster {
    /// Forecasts a series whose steps are `step_s` seconds long, at each of `horizons`, in steps.
    ///
    /// # Panics
    ///
    /// When the step is 0 or longer than [`STEP_S_MAX`], when there is no horizon, or when one is 0 or further than that.
    pub fn new(step_s: u64, horizons: &[u64], config: Config) -> Self {
        assert!((1..=STEP_S_MAX).contains(&step_s), "a step of {step_s} s");
        let mut horizons = horizons.to_vec();
        horizons.sort_unstable();
        horizons.dedup();
        let range = 1..=(STEP_S_MAX / step_s).max(1);
        assert!(
            !horizons.is_empty() && horizons.iter().all(|steps| range.contains(steps)),
            "horizons {horizons:?}"
        );
        let day = STEP_S_MAX / step_s;
        let furthest = horizons.last().copied().unwrap_or(1);
        let capacity = HISTORY_STEPS.clamp(HISTORY_DAYS.start() * day, HISTORY_DAYS.end() * day);
        Self {
            step_s,
            calendar: config.calendar,
            elastic_net: config.elastic_net,
            memory: Memory::new(step_s),
            history: History::new(capacity + furthest),
            means: Means::default(),
            trend: Trend::default(),
            top: 0.0,
            departed: false,
            doubted: (0, 0),
            said: vec![Quantiles::default(); horizons.len()].into(),
            horizons: horizons.into_iter().map(Horizon::new).collect(),
        }
    }

    /// Learns the count of the step that began at `at_s` (seconds since 1970), and forecasts from its end.
    ///
    /// `None` is a count that is not known; steps that are left out are not known either. A gap is filled with what the
    /// day before had, to look back on, and nothing is learned from that. After a gap longer than the history all of it
    /// is let go, and only what was learned about experts stays.
    pub fn observe(&mut self, at_s: u64, count: Option<u64>) -> Observed {
        let step = at_s / self.step_s;
        if AT_S_MAX < at_s || self.doubt(step) {
            return Observed::Doubted;
        }
        self.calendar.look_up(at_s);
        while self.history.next() < step {
            self.skip();
        }
        match count {
            Some(count) => {
                let base = count.min(COUNT_MAX) as f32 / self.calendar.times(at_s);
                self.learn(step, log_of(base.min(COUNT_MAX as f32)));
            }
            None => self.skip(),
        }
        self.say(step);
        Observed::Learned
    }

    /// Returns what comes in the step `ahead_s` seconds after the one observed last; between horizons in proportion,
    /// before the first and after the last one like those. Before anything was observed, zeros.
    pub fn forecast(&self, ahead_s: u64) -> Quantiles {
        let after =
            self.horizons.partition_point(|horizon| horizon.steps() * self.step_s < ahead_s);
        let Some(next) = self.horizons.get(after) else {
            return self.said[self.said.len() - 1];
        };
        let until_s = next.steps() * self.step_s;
        if after == 0 || until_s == ahead_s {
            return self.said[after];
        }
        let from_s = self.horizons[after - 1].steps() * self.step_s;
        let part = (ahead_s - from_s) as f32 / (until_s - from_s) as f32;
        self.said[after - 1].towards(&self.said[after], part)
    }

    /// Whether reality has left the forecast and has not come back: then no less is forecast than the last value would.
    pub fn departed(&self) -> bool {
        self.departed
    }

    /// Returns what the elastic nets are to be fitted to. Once a day is enough; see [`Refit::run`].
    pub fn refit(&self) -> Refit {
        Refit(self.horizons.iter().map(|horizon| horizon.rows().clone()).collect())
    }

    /// Goes by what was fitted. Fits for other horizons than this forecaster's are left out.
    pub fn install(&mut self, refitted: Refitted) {
        for (horizon, model) in self.horizons.iter_mut().zip(refitted.0) {
            if let Some(model) = model {
                horizon.install(model);
            }
        }
    }

    /// Whether the time of `step` is doubted. Where it is believed though it does not follow, history is made to end
    /// before it.
    fn doubt(&mut self, step: u64) -> bool {
        let next = self.history.next();
        let follows = next <= step && step - next <= self.history.capacity();
        if self.history.is_empty() {
            self.history.restart(step);
        } else if !follows {
            let (newest, row) = self.doubted;
            self.doubted = (step, if newest < step { row + 1 } else { 1 });
            if self.doubted.1 < BELIEVED_AFTER {
                return true;
            }
            self.history.rewind(step);
        }
        self.doubted = (0, 0);
        false
    }

    /// Passes over the next step, whose count is not known.
    fn skip(&mut self) {
        let step = self.history.next();
        let past = Past { history: &self.history, calendar: &self.calendar, step_s: self.step_s };
        let before = past.analogue(step, seasonal::Season::Day, 1, 0);
        let filled = before.or_else(|| self.history.get(step.checked_sub(1)?)).unwrap_or(0.0);
        self.history.push(filled);
    }

    fn learn(&mut self, step: u64, log: f32) {
        let top = self.top();
        if let Some(issued) = self.horizons[0].issued_for(step) {
            let [.., median, upper, _, _, highest] = issued.map(log_of);
            if median + DEPARTURE * (highest - median) < log {
                self.departed = true;
            } else if log < upper {
                self.departed = false;
            }
        }
        for horizon in &mut self.horizons {
            horizon.learn(step, log, top, &self.memory, self.elastic_net);
        }
        self.history.push(log);
        self.means.learn(count_of(log));
        self.trend.learn(log);
        self.top = log.max(self.top - self.step_s as f32 / STEP_S_MAX as f32);
    }

    fn say(&mut self, step: u64) {
        let top = self.top();
        let past = Past { history: &self.history, calendar: &self.calendar, step_s: self.step_s };
        let now = Now::new(past, &self.means, &self.trend);
        for (horizon, said) in self.horizons.iter_mut().zip(&mut self.said) {
            let issued = horizon.say(&now, step, top, self.departed);
            let target_s = (step + horizon.steps()).saturating_mul(self.step_s);
            *said = issued.times(self.calendar.times(target_s));
        }
    }

    /// The largest logarithm that anyone may say.
    fn top(&self) -> f32 {
        self.top.max(0.0) + TOP_TIMES.ln()
    }
}

/// The steps that elastic nets are to be fitted to.
#[derive(Debug, Clone)]
pub struct Refit(Box<[Rows]>);

impl Refit {
    /// Fits them: tens of milliseconds for each horizon, not to be spent where requests are served.
    pub fn run(&self) -> Refitted {
        Refitted(self.0.iter().map(Rows::fit).collect())
    }
}

/// Fitted elastic nets.
#[derive(Debug, Clone)]
pub struct Refitted(Box<[Option<Model>]>);

#[cfg(test)]
mod tests;
