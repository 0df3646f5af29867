//! What the radar goes by: plain numbers of one service at one moment.

use super::{latest, number};

/// What Pacer may do about a service's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May<'a> {
    /// It sets their number.
    Act,
    /// It only plans.
    Observe,
    /// It would, and something is in the way.
    Hindered(&'a str),
    /// Another gateway does.
    Other,
    /// Nobody can: they are written in the policy.
    Fixed,
}

/// What is known of a service at one moment. What is no number, or below 0, counts as 0.
#[derive(Debug, Clone, Default)]
pub struct Inputs<'a> {
    /// This moment, in seconds of the plans' clock since 1970.
    pub now_s: u64,
    /// Its containers.
    pub tasks: Option<Tasks<'a>>,
    /// Its function.
    pub lambda: Option<Lambda<'a>>,
    /// What it promises, and how that is kept.
    pub burns: Vec<Burns>,
    /// Why its tasks cannot be listed, and how many times in a row they could not.
    pub not_listed: Option<(&'a str, u32)>,
    /// Why its function cannot be read.
    pub not_read: Option<&'a str>,
    /// Why what is asked is not kept.
    pub not_kept: Option<&'a str>,
}

/// A service's containers.
#[derive(Debug, Clone)]
pub struct Tasks<'a> {
    /// Requests that a task serves at once.
    pub slots_each: u32,
    /// Tasks that take requests.
    pub ready: u32,
    /// Of these, on Spot.
    pub on_spot: u32,
    /// Spot tasks that were taken back within [`SPOT_WINDOW_S`](super::SPOT_WINDOW_S).
    pub taken_back: u32,
    /// Tasks that are to come.
    pub coming: Vec<Coming>,
    /// Tasks that there may be at most; `None` where nobody says.
    pub most: Option<u32>,
    /// How long a task takes to start, as it is planned with, in seconds.
    pub start_s: f64,
    /// What is and will be asked, in order of time; the first is now.
    pub demand: &'a [Ahead],
    /// Share of it that only containers may serve, 0 to 1.
    pub only_here: f64,
    /// How many tasks are planned.
    pub planned: Option<u32>,
    /// What may be done.
    pub may: May<'a>,
}

/// Tasks that were asked for and do not take requests yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coming {
    /// How many.
    pub tasks: u32,
    /// How long ago they were asked for, in seconds.
    pub since_s: f64,
}

/// What is asked of containers at one moment, in busy slots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead {
    /// In so many seconds from now.
    pub in_s: f64,
    /// As expected.
    pub expected: f64,
    /// What nine chances in ten do not exceed.
    pub p90: f64,
}

/// A service's function.
#[derive(Debug, Clone)]
pub struct Lambda<'a> {
    /// Calls are let through.
    pub up: bool,
    /// Most that were in flight at once in each ten seconds, the latest last; those under way among them.
    pub in_flight: &'a [f64],
    /// Of the latest, those whose home Lambda is: not spilled from containers.
    pub own: f64,
    /// Most that may be in flight.
    pub cap: f64,
    /// Who says so.
    pub cap_of: &'a str,
    /// The same of all functions that share the account's concurrency, where it is known.
    pub shared: Option<Shared<'a>>,
    /// Calls of the last minute.
    pub calls: f64,
    /// Of these, refused by Lambda for too many or too fast.
    pub throttled: f64,
    /// Nothing else may serve some of its requests.
    pub alone: bool,
}

/// Concurrency that functions share.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'a> {
    /// As [`Lambda::in_flight`].
    pub in_flight: &'a [f64],
    /// Most that there may be.
    pub cap: f64,
}

/// How one objective is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burns {
    /// Its name: `latency` or `success`.
    pub objective: &'static str,
    /// Over how long it is judged, in seconds.
    pub window_s: f64,
    /// Share of the budget that is left, 0 to 1.
    pub left: f64,
    /// How many times faster than the promise allows it is spent, over each of [`WINDOWS_S`](super::WINDOWS_S).
    pub rates: [f64; 4],
    /// Requests that missed it in each.
    pub missed: [f64; 4],
}

impl Tasks<'_> {
    /// Returns slots that are ready.
    pub(super) fn slots(&self) -> f64 {
        f64::from(self.ready) * f64::from(self.slots_each)
    }

    /// Returns what is asked now.
    pub(super) fn now(&self) -> f64 {
        self.demand.first().map_or(0.0, |now| number(now.p90))
    }
}

impl Lambda<'_> {
    /// Returns the most that were in flight at once in the last minute.
    pub(super) fn latest(&self) -> f64 {
        latest(self.in_flight)
    }

    /// Returns how many requests it could take from containers, beside its own.
    pub(super) fn room(&self) -> f64 {
        if self.up { (number(self.cap) - number(self.own)).max(0.0) } else { 0.0 }
    }

    /// Tells whether containers have room for what it would refuse: a tenth of what it runs.
    pub(super) fn is_covered(&self, inputs: &Inputs<'_>) -> bool {
        let free = inputs.tasks.as_ref().map_or(0.0, |tasks| tasks.slots() - tasks.now());
        !self.alone && 1.0 <= free && 0.1 * self.latest() <= free
    }
}
