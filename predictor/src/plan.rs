//! What to hold ready: how many tasks and environments a service should have.
//!
//! [`Planner`] is the one interface for Pacer's own planner and for every other that it is compared with, one a file. A
//! planner sees what anyone could see at that moment ([`Inputs`]), and never acts by itself: it answers with a [`Plan`].
//! Asked twice with the same inputs it answers the same.

pub mod erlang;

mod basis;
mod event;
mod hold;
mod knative;
mod lambda_only;
mod newsvendor;
mod pacer;
mod predictive;
mod spock;
pub mod spot;
mod static_tasks;
mod target_tracking;
pub mod warm;

pub use self::{
    basis::{Basis, utc, words},
    event::Event,
    knative::Knative,
    lambda_only::LambdaOnly,
    newsvendor::Newsvendor,
    pacer::{Demands, Forecasts, Pacer, Second, Sight, Truth as KnownAhead},
    predictive::Predictive,
    spock::Spock,
    spot::Spot,
    static_tasks::StaticTasks,
    target_tracking::TargetTracking,
    warm::{OnLambda, Provisioned, Warm},
};

use std::fmt;

/// Decides how much to hold ready.
pub trait Planner: Send {
    /// Returns what the service should have; `previous` is what was decided before.
    ///
    /// Called every [`Planner::every_us`] microseconds of the load's own time.
    fn plan(&mut self, inputs: &Inputs<'_>, previous: &Plan) -> Plan;

    /// How often it is asked, in microseconds.
    fn every_us(&self) -> u64 {
        10_000_000
    }

    /// How requests use what it holds ready.
    fn routing(&self) -> Routing {
        Routing::Hybrid
    }

    /// Whether it says which tasks may be on Spot ([`Plan::spot`]); else the operator's share of all of them is.
    fn places_spot(&self) -> bool {
        false
    }

    /// Returns the name that reports give it.
    fn name(&self) -> &'static str;
}

/// How requests are spread over the lanes under a planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// All of them to Lambda.
    LambdaOnly,
    /// All of them to containers, where they wait when all slots are busy: what a load balancer does.
    ContainerOnly,
    /// As Pacer decides: by class, and to the other lane when the first is full.
    Hybrid,
}

/// What a planner may know of a service at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The load's own time, in microseconds.
    pub now_us: u64,
    /// What was asked of the service until now.
    pub history: &'a History,
    /// Requests that containers were asked to serve first, since the last look; not a number when that is not known.
    pub asked: f64,
    /// How long those have taken on average, in microseconds.
    pub mean_service_us: f64,
    /// Tasks that take requests.
    pub ready: u32,
    /// Tasks that are starting.
    pub starting: u32,
    /// Requests in tasks at this moment.
    pub busy: u32,
    /// Requests that wait for a slot.
    pub waiting: u32,
    /// What was asked of Lambda since the last look, spills among it.
    pub lambda: OnLambda,
    /// What the service is made of.
    pub shape: &'a Shape,
    /// The demand to come, for those planners that are meant to know it: busy slots on average from one moment to another.
    pub truth: Option<&'a dyn Truth>,
}

/// Knows the demand to come.
pub trait Truth: fmt::Debug + Sync {
    /// Returns the busy slots on average between two moments, were there slots without end.
    fn demand(&self, from_us: u64, until_us: u64) -> f64;
}

/// What a service is made of, as planners need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Requests that a task serves at once.
    pub slots_per_task: u32,
    /// Share of its slots that a task must have busy to cost no more than Lambda would: above 1 when it never pays.
    pub break_even: f64,
    /// How long a request may wait for a slot before it goes to Lambda, in mean service times.
    pub patience: f64,
    /// Time from asking for a task until it takes requests: its 95th percentile, in microseconds.
    pub start_us: u64,
    /// How much of a start is paid for before the task serves anyone, on average, in microseconds.
    pub paid_start_us: u64,
    /// How long a task is paid for at least, in microseconds.
    pub least_paid_us: u64,
    /// Fewest tasks.
    pub min_tasks: u32,
    /// Most tasks.
    pub max_tasks: u32,
    /// Environments that may be held warm; `None` without a Lambda lane, or where the operator wants none.
    pub warm: Option<Warm>,
    /// Tasks that may be on Spot.
    pub spot: Option<Spot>,
}

impl Shape {
    /// Returns the share of its slots that the next task must have busy to pay, which may be one on Spot.
    pub(crate) fn next_break_even(&self) -> f64 {
        self.break_even * self.spot.map_or(1.0, |spot| spot.next_price())
    }
}

/// What was asked of a service, by steps of equal length; the latest last.
#[derive(Debug, Clone)]
pub struct History {
    step_us: u64,
    /// Busy slots on average in each step: arrivals times how long they took.
    demand: std::collections::VecDeque<f64>,
    /// Slots that were busy, and slots that there were, on average in each step.
    used: std::collections::VecDeque<(f64, f64)>,
    keep: usize,
}

impl History {
    /// Makes a history of steps of `step_us`, of which the latest `keep` are kept.
    pub fn new(step_us: u64, keep: usize) -> Self {
        Self {
            step_us,
            demand: std::collections::VecDeque::with_capacity(keep),
            used: std::collections::VecDeque::with_capacity(keep),
            keep: keep.max(1),
        }
    }

    /// Adds a step: the demand, and how many slots were busy of how many.
    pub fn push(&mut self, demand: f64, busy: f64, slots: f64) {
        if self.demand.len() == self.keep {
            self.demand.pop_front();
            self.used.pop_front();
        }
        self.demand.push_back(demand);
        self.used.push_back((busy, slots));
    }

    /// Returns the length of a step, in microseconds.
    pub fn step_us(&self) -> u64 {
        self.step_us
    }

    /// Returns the demand of the latest step; 0 before the first.
    pub fn last(&self) -> f64 {
        self.demand.back().copied().unwrap_or_default()
    }

    /// Returns the demand on average over the latest `us` microseconds.
    pub fn demand_over(&self, us: u64) -> f64 {
        mean(self.demand.iter().rev().take(self.steps(us)).copied())
    }

    /// Returns the demand of all steps that are kept, the earliest first.
    pub fn demand(&self) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator + '_ {
        self.demand.iter().copied()
    }

    /// Returns the share of slots that were busy over `us` microseconds that ended `ago_us` ago; `None` when there were none.
    pub fn utilisation(&self, us: u64, ago_us: u64) -> Option<f64> {
        let skip = (ago_us / self.step_us) as usize;
        let steps = || self.used.iter().rev().skip(skip).take(self.steps(us));
        let slots: f64 = steps().map(|used| used.1).sum();
        (0.0 < slots).then(|| steps().map(|used| used.0).sum::<f64>() / slots)
    }

    fn steps(&self, us: u64) -> usize {
        (us.div_ceil(self.step_us) as usize).max(1)
    }
}

/// How much to hold ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Tasks.
    pub tasks: u32,
    /// Of these, how many may be on Spot.
    pub spot: u32,
    /// Environments to have warm, by warm-up invokes.
    pub warm: u32,
    /// Environments of provisioned concurrency.
    pub provisioned: u32,
    /// Why.
    pub why: Why,
}

impl Plan {
    /// Holds `tasks` and no environments.
    pub const fn tasks(tasks: u32, why: Why) -> Self {
        Self { tasks, spot: 0, warm: 0, provisioned: 0, why }
    }
}

/// Why a plan is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It never changes.
    Fixed,
    /// Utilisation is above the target.
    TooBusy,
    /// Utilisation is below the target, and has been.
    TooIdle,
    /// Demand rose so fast that nothing is taken back for a while.
    Panic,
    /// The forecast asks for it.
    Forecast,
    /// More comes than was forecast.
    Burst,
    /// What was announced asks for it.
    Event,
    /// More would be taken back if starting it again cost nothing.
    Held,
    /// Less will be needed, but is not yet.
    Needed,
    /// The operator's least is more than would pay.
    Least,
    /// The operator's most is less than would pay.
    Most,
    /// Nothing calls for another.
    Unchanged,
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Fixed => "fixed",
            Self::TooBusy => "above the target",
            Self::TooIdle => "below the target",
            Self::Panic => "panic",
            Self::Forecast => "forecast",
            Self::Burst => "burst",
            Self::Event => "event",
            Self::Held => "held",
            Self::Needed => "needed now",
            Self::Least => "at the least",
            Self::Most => "at the most",
            Self::Unchanged => "unchanged",
        })
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}
