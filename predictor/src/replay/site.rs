//! What is replayed, and what it comes to: the two ways of replaying share these.

use policies::{
    cost::Usage,
    decide::Belief,
    policy::{Route, Service},
};

use super::{
    distribution::Distribution, fargate::TaskModel, lambda::FunctionModel, series::Series,
    tally::Tally,
};
use crate::plan::{Planner, Shape, Truth};

/// How long a container's client waits without Pacer: an Application Load Balancer gives up an idle connection after 60 s.
pub(super) const BALANCER_WAIT_US: u64 = 60_000_000;

/// How much of its past a planner may look at: an hour, and a bit.
pub(super) const HISTORY_US: u64 = 3_700_000_000;

/// A service to replay.
#[derive(Debug)]
pub struct Site {
    /// As the policy has it; lanes that the routing leaves out are taken out.
    pub service: Service,
    /// The route that its requests match.
    pub route: Route,
    /// What is believed of them.
    pub belief: Belief,
    /// How long they take in a container, when they do not say.
    pub service_time: Distribution,
    /// Its function.
    pub function: FunctionModel,
    /// Its tasks.
    pub task: TaskModel,
    /// What planners need to know.
    pub shape: Shape,
    /// How many tasks are ready when the load begins.
    pub first_tasks: u32,
    /// Latency that counts as within the objective, in microseconds.
    pub objective_us: u64,
}

/// A site's planner.
pub struct Planned<'a> {
    /// The planner.
    pub planner: Box<dyn Planner + 'a>,
    /// The demand to come, for a planner that is meant to know it.
    pub truth: Option<&'a dyn Truth>,
}

impl std::fmt::Debug for Planned<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.planner.name())
    }
}

/// A request that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at_us: u64,
    /// Of which service.
    pub site: u16,
    /// How long it takes in a container, when that is known.
    pub service_us: Option<u64>,
}

/// What one service's replay came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its counts.
    pub tally: Tally,
    /// What it used.
    pub usage: Usage,
    /// How load and capacity went.
    pub series: Series,
}

impl Outcome {
    /// Adds what another service's replay came to, over the same time.
    pub fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.usage += other.usage;
        self.series.add(&other.series);
    }
}

/// Limits of the account.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// Concurrency of all functions together; 1,000 unless raised (AWS Lambda quotas).
    pub concurrency: u32,
}

impl Default for Account {
    fn default() -> Self {
        Self { concurrency: 1000 }
    }
}
