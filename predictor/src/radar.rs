//! The Crisis Prevention Radar: how many minutes are left until a service is in trouble, from what, and what is done about it.
//!
//! Plain numbers in, [`Warning`]s out; one kind of trouble a file. A warning has to be worth waking somebody: each says when,
//! shows the numbers that it goes by, and names what was done or is to be done. Where nothing is lost yet and nobody can say
//! when it would be, the level is [`Level::Watch`] and the time is [`HORIZON_S`], as far as the radar sees.
//!
//! Two laws hold, and are tested: more of what serves never brings trouble nearer, and more of what is asked never delays it.

mod burn;
mod capacity;
mod concurrency;
mod inputs;
mod launches;
mod ready;
mod spot;
mod standing;
mod starts;
mod sums;
#[cfg(test)]
mod tests;
mod throttles;

use std::fmt;

pub use self::{
    inputs::{Ahead, Burns, Coming, Inputs, Lambda, May, Shared, Tasks},
    ready::{Readiness, Ready, readiness},
    sums::{Budget, WINDOWS_S},
};

/// As far as the radar sees, in seconds: an hour.
pub const HORIZON_S: f64 = 3600.0;

/// What is nearer than this is soon, in seconds: ten minutes, time for a person to do something about it.
pub const SOON_S: f64 = 600.0;

/// How far back it is looked for tasks that Spot took back, in seconds.
pub const SPOT_WINDOW_S: f64 = 900.0;

/// What is nearer than this is now, in seconds: one look of the planner.
const NOW_S: f64 = 10.0;

/// The largest number that is reckoned with: more than all there is of anything.
const MOST: f64 = 1e12;

/// What a warning is about: a closed set, for labels of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// More will be asked than can be served.
    Capacity,
    /// As many run on Lambda at once as may.
    LambdaConcurrency,
    /// Environments are needed faster than Lambda starts them.
    LambdaLaunchRate,
    /// More is late or fails than was promised, and lasts.
    ErrorBudget,
    /// Spot takes tasks back.
    Spot,
    /// Lambda refuses calls.
    Throttles,
    /// Tasks take longer to start than is planned with.
    StartLag,
    /// Tasks or functions cannot be read.
    Discovery,
    /// What was asked is not kept.
    State,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Capacity,
        Self::LambdaConcurrency,
        Self::LambdaLaunchRate,
        Self::ErrorBudget,
        Self::Spot,
        Self::Throttles,
        Self::StartLag,
        Self::Discovery,
        Self::State,
    ];

    /// Returns the name used in metrics and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::LambdaConcurrency => "lambda-concurrency",
            Self::LambdaLaunchRate => "lambda-launch-rate",
            Self::ErrorBudget => "error-budget",
            Self::Spot => "spot",
            Self::Throttles => "throttles",
            Self::StartLag => "start-lag",
            Self::Discovery => "discovery",
            Self::State => "state",
        }
    }
}

/// How urgent it is. Later ones are more so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is wrong.
    Ok,
    /// Worth knowing on a working day.
    Watch,
    /// Somebody has minutes.
    Soon,
    /// Requests are late or lost.
    Now,
}

impl Level {
    /// Returns the name used in pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Watch => "watch",
            Self::Soon => "soon",
            Self::Now => "now",
        }
    }

    /// Returns how urgent trouble is that begins in so many seconds.
    fn of(seconds: f64) -> Self {
        if seconds < NOW_S {
            Self::Now
        } else if seconds <= SOON_S {
            Self::Soon
        } else {
            Self::Watch
        }
    }
}

/// Trouble to come, or here.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// What it is about.
    pub kind: Kind,
    /// How urgent it is.
    pub level: Level,
    /// Seconds until requests are late or lost: finite, 0 or more; of an error budget, until it is spent.
    pub seconds: f64,
    /// What comes, in one sentence.
    pub says: String,
    /// The numbers that it goes by: finite, each with its unit in its name.
    pub evidence: Vec<(&'static str, f64)>,
    /// What is done about it.
    pub action: Action,
}

impl Warning {
    /// Trouble that begins in so many seconds.
    fn new(kind: Kind, seconds: f64, says: String) -> Self {
        let seconds = number(seconds).min(HORIZON_S);
        let level = Level::of(seconds);
        Self { kind, level, seconds, says, evidence: Vec::new(), action: Action::none() }
    }

    /// Shows these numbers.
    fn by(mut self, evidence: &[(&'static str, f64)]) -> Self {
        self.evidence = evidence.iter().map(|(name, value)| (*name, number(*value))).collect();
        self
    }

    fn act(self, action: Action) -> Self {
        Self { action, ..self }
    }
}

/// What is done about a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Pacer has done this.
    Taken(String),
    /// Somebody else would have to do this.
    Proposed(String),
    /// Nothing, and nobody needs to.
    None(String),
}

impl Action {
    fn none() -> Self {
        Self::None(String::new())
    }

    /// Returns whether it was done, as pages say it, and what in words.
    pub fn told(&self) -> (&'static str, &str) {
        match self {
            Self::Taken(says) => ("taken", says),
            Self::Proposed(says) => ("proposed", says),
            Self::None(says) => ("none", says),
        }
    }
}

/// Returns what is wrong or will be, the most urgent first. `clock` writes a moment in seconds since 1970 for people.
pub fn warnings(inputs: &Inputs<'_>, clock: &dyn Fn(u64) -> String) -> Vec<Warning> {
    let mut all: Vec<Warning> = Vec::new();
    if let Some(tasks) = &inputs.tasks {
        all.extend(capacity::warning(inputs, tasks, clock));
        all.extend(spot::warning(tasks));
        all.extend(starts::warning(inputs, tasks));
    } else {
        all.extend(capacity::without_containers(inputs));
    }
    if let Some(lambda) = &inputs.lambda {
        all.extend(concurrency::warning(inputs, lambda));
        all.extend(launches::warning(inputs, lambda));
        all.extend(throttles::warning(inputs, lambda));
    }
    all.extend(burn::warning(&inputs.burns));
    all.extend(standing::warnings(inputs));
    all.sort_by(|a, b| b.level.cmp(&a.level).then(a.seconds.total_cmp(&b.seconds)));
    all
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Returns the most of the last minute: of six times ten seconds and those under way.
fn latest(in_flight: &[f64]) -> f64 {
    in_flight.iter().rev().take(7).copied().map(number).fold(0.0, f64::max)
}

/// Returns a number to reckon with: 0 for what is none.
fn number(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, MOST) }
}

/// Writes a number for people: whole from ten on.
fn plain(value: f64) -> String {
    if value < 10.0 && 0.05 <= (value - value.round()).abs() {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// Writes so many of something.
fn counted(n: f64, noun: &str) -> String {
    let n = plain(n);
    let plural = if n == "1" { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// Writes a duration in seconds for people, in its largest unit.
fn lasting(seconds: f64) -> String {
    let (value, unit) = if seconds < 120.0 {
        (seconds, "s")
    } else if seconds < 7_200.0 {
        (seconds / 60.0, "min")
    } else if seconds < 172_800.0 {
        (seconds / 3_600.0, "h")
    } else {
        (seconds / 86_400.0, "days")
    };
    format!("{} {unit}", plain(value))
}
