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
mod outlook;
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

/// How long all steps are held where they overlap, in seconds: the hours before are looked at, six of them. Further back only
/// steps end to end are.
const FINE_S: u64 = 6 * 3_600 + 600;

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
///
/// Steps may begin more often than they are long: minutes that begin every ten seconds are forecast from as soon as each is
/// over. All of these are forecast by what was learned from any of them.
#[derive(Debug, Clone)]
pub struct Forecaster {
    step_s: u64,
    /// From the start of a step to that of the next one.
    every_s: u64,
    calendar: Calendar,
    elastic_net: bool,
    /// How fast it forgets when it learns from every step, and when it does from those of the first phase only.
    memory: Memory,
    coarse_memory: Memory,
    history: History,
    /// Of the steps of each phase.
    means: Box<[Means]>,
    trends: Box<[Trend]>,
    /// The largest value of late; it falls to 1/e of that in a day.
    top: f32,
    /// Reality has left the forecast, and has not come back.
    departed: bool,
    /// The newest tick whose time was doubted, and how many in a row were.
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
        Self::rolling(step_s, step_s, horizons, config)
    }

    /// Forecasts a series whose steps are `step_s` seconds long and begin every `every_s` seconds, at each of `horizons`, in
    /// steps.
    ///
    /// # Panics
    ///
    /// Like [`Forecaster::new`], and when a step is no multiple of `every_s`.
    pub fn rolling(step_s: u64, every_s: u64, horizons: &[u64], config: Config) -> Self {
        assert!((1..=STEP_S_MAX).contains(&step_s), "a step of {step_s} s");
        assert!(0 < every_s && step_s.is_multiple_of(every_s), "{step_s} s every {every_s} s");
        let phases = step_s / every_s;
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
            every_s,
            calendar: config.calendar,
            elastic_net: config.elastic_net,
            memory: Memory::new(step_s, phases, 1),
            coarse_memory: Memory::new(step_s, phases, phases),
            history: History::new(capacity + furthest, phases, FINE_S / every_s + phases),
            means: vec![Means::default(); phases as usize].into(),
            trends: vec![Trend::default(); phases as usize].into(),
            top: 0.0,
            departed: false,
            doubted: (0, 0),
            said: vec![Quantiles::default(); horizons.len()].into(),
            horizons: horizons.into_iter().map(|steps| Horizon::new(steps, phases)).collect(),
        }
    }

    /// Learns the count of the step that began at `at_s` (seconds since 1970), and forecasts from its end.
    ///
    /// `None` is a count that is not known; steps that are left out are not known either. A gap is filled with what the
    /// day before had, to look back on, and nothing is learned from that. After a gap longer than the history all of it
    /// is let go, and only what was learned about experts stays.
    pub fn observe(&mut self, at_s: u64, count: Option<u64>) -> Observed {
        self.take(at_s, count, true)
    }

    /// Like [`Forecaster::observe`], for what is long past: where steps overlap, only those of the first phase are learned
    /// from and forecast from, in a sixth of the time where there are six. What was forecast last stands until the next one
    /// of those.
    pub fn recall(&mut self, at_s: u64, count: Option<u64>) -> Observed {
        self.take(at_s, count, false)
    }

    fn take(&mut self, at_s: u64, count: Option<u64>, all: bool) -> Observed {
        let tick = at_s / self.every_s;
        if AT_S_MAX < at_s || self.doubt(tick) {
            return Observed::Doubted;
        }
        self.calendar.look_up(at_s);
        self.pass(tick);
        let memory = if all { self.memory } else { self.coarse_memory };
        let judged = all || tick.is_multiple_of(self.history.phases());
        match count {
            Some(count) => {
                let base = count.min(COUNT_MAX) as f32 / self.calendar.times(at_s);
                let log = log_of(base.min(COUNT_MAX as f32));
                if judged {
                    self.judge(tick, log, &memory);
                }
                self.learn(tick, log);
            }
            None => self.pass(tick + 1),
        }
        if judged {
            self.say(tick);
        }
        Observed::Learned
    }

    /// Makes one that looks at other horizons, and whose steps begin every `every_s` seconds: it has learned the counts that
    /// this one remembers, of some days or weeks. What was filled in for a gap counts as if it had come.
    ///
    /// # Panics
    ///
    /// Like [`Forecaster::rolling`].
    #[must_use]
    pub fn relearned(&self, every_s: u64, horizons: &[u64]) -> Self {
        let config = Config { calendar: self.calendar.clone(), elastic_net: self.elastic_net };
        let mut new = Self::rolling(self.step_s, every_s, horizons, config);
        let phases = self.history.phases();
        let each = self.history.held().filter_map(|(tick, log)| {
            let at_s = tick.saturating_mul(self.every_s);
            at_s.is_multiple_of(every_s).then_some((tick, at_s, log))
        });
        for (tick, at_s, log) in each {
            new.calendar.look_up(at_s);
            let count = count_of(log) * new.calendar.times(at_s);
            // Of what is long past only steps end to end are held.
            let past = tick + FINE_S / self.every_s < self.history.next();
            new.take(at_s, Some(count.round() as u64), phases == 1 || !past);
        }
        new
    }

    /// Returns when the step that was observed last began; nothing before the first.
    pub fn newest_s(&self) -> Option<u64> {
        (!self.history.is_empty()).then(|| self.history.newest().saturating_mul(self.every_s))
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

    /// Whether the time of `tick` is doubted. Where it is believed though it does not follow, history is made to end
    /// before it.
    fn doubt(&mut self, tick: u64) -> bool {
        let next = self.history.next();
        let follows = next <= tick && tick - next <= self.history.capacity();
        if self.history.is_empty() {
            self.history.restart(tick);
        } else if !follows {
            let (newest, row) = self.doubted;
            self.doubted = (tick, if newest < tick { row + 1 } else { 1 });
            if self.doubted.1 < BELIEVED_AFTER {
                return true;
            }
            self.history.rewind(tick);
        }
        self.doubted = (0, 0);
        false
    }

    /// Passes over what comes before `until`, whose counts are not known.
    fn pass(&mut self, until: u64) {
        let phases = self.history.phases();
        while self.history.next() < until {
            let next = self.history.next();
            let past =
                Past { history: &self.history, calendar: &self.calendar, step_s: self.step_s };
            let before = past.analogue(next, seasonal::Season::Day, 1, 0);
            let filled = before.or_else(|| past.history.get(next.checked_sub(phases)?));
            // Of a gap of days that is told by ticks, one in six would do.
            if next.is_multiple_of(phases) && phases < until - next {
                self.history.push_whole(filled.unwrap_or(0.0));
            } else {
                self.history.push(filled.unwrap_or(0.0));
            }
        }
    }

    /// Learns from how far what was forecast for `tick` was off.
    fn judge(&mut self, tick: u64, log: f32, memory: &Memory) {
        let top = self.top();
        if let Some(issued) = self.horizons[0].issued_for(tick) {
            let [.., median, upper, _, _, highest] = issued.map(log_of);
            if median + DEPARTURE * (highest - median) < log {
                self.departed = true;
            } else if log < upper {
                self.departed = false;
            }
        }
        for horizon in &mut self.horizons {
            horizon.learn(tick, log, top, memory, self.elastic_net);
        }
    }

    fn learn(&mut self, tick: u64, log: f32) {
        self.history.push(log);
        let phase = self.phase(tick);
        self.means[phase].learn(count_of(log));
        self.trends[phase].learn(log);
        self.top = log.max(self.top - self.every_s as f32 / STEP_S_MAX as f32);
    }

    fn phase(&self, tick: u64) -> usize {
        (tick % self.history.phases()) as usize
    }

    fn say(&mut self, tick: u64) {
        let top = self.top();
        let phase = self.phase(tick);
        let past = Past { history: &self.history, calendar: &self.calendar, step_s: self.step_s };
        let now = Now::new(past, &self.means[phase], &self.trends[phase]);
        let at_s = tick.saturating_mul(self.every_s);
        for (horizon, said) in self.horizons.iter_mut().zip(&mut self.said) {
            let issued = horizon.say(&now, tick, top, self.departed);
            let target_s = at_s.saturating_add(horizon.steps() * self.step_s);
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
