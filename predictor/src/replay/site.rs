//! What is replayed, and what it comes to: the two ways of replaying share these.

use policies::{
    cost::{LambdaUsage, Usage},
    decide::{Belief, Class, marathon_share},
    policy::{Mode, Route, Service, WarmPool},
};

use super::{
    distribution::Distribution,
    fargate::TaskModel,
    lambda::{FunctionModel, WarmUps},
    series::Series,
    tally::Tally,
};
use crate::plan::{Planner, Shape, Truth};

/// How long a container's client waits without Pacer: an Application Load Balancer gives up an idle connection after 60 s.
pub(super) const BALANCER_WAIT_US: u64 = 60_000_000;

/// How much of its past a planner may look at: an hour, and a bit.
pub(super) const HISTORY_US: u64 = 3_700_000_000;

/// After so long without anything, planners are not asked again until something comes: longer than the 14 days that any of
/// them looks back. A trace with an empty year in it need not be ticked through.
pub(super) const IDLE_US: u64 = 15 * 86_400_000_000;

/// A service to replay.
#[derive(Debug, Clone)]
pub struct Site {
    /// As the policy has it; lanes that the routing leaves out are taken out.
    pub service: Service,
    /// Its requests by what is decided about them together: at least one, and at most [`STREAMS_MAX`].
    pub streams: Vec<Stream>,
    /// How long its requests take in a container, all streams together.
    pub service_time: Distribution,
    /// Its function.
    pub function: FunctionModel,
    /// Its tasks.
    pub task: TaskModel,
    /// What planners need to know.
    pub shape: Shape,
    /// What may be held warm, and whether latency is promised: that is worth provisioned concurrency beyond what pays.
    pub warm_pool: Option<(WarmPool, bool)>,
    /// How that is held by invokes.
    pub warm_ups: WarmUps,
    /// How many tasks are ready when the load begins.
    pub first_tasks: u32,
}

/// Most streams of one site.
pub const STREAMS_MAX: usize = 1 << 16;

/// Requests of one route and, where the route tells them apart by it, of one size: what the gateway learns about together.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The route that they match.
    pub route: Route,
    /// What is believed of them before any was seen.
    pub belief: Belief,
    /// How long they take in a container, when they do not say.
    pub service_time: Distribution,
    /// Latency that counts as within the objective, in microseconds.
    pub objective_us: u64,
}

impl Site {
    /// Returns the share of its requests that go to containers first when both lanes have room: that of its first stream,
    /// once what it takes is learned.
    pub fn home_share(&self) -> f64 {
        self.streams.first().map_or(1.0, |stream| stream.home_share(&self.service))
    }
}

impl Stream {
    /// Returns the share of its requests that go to containers first when both lanes have room, once it is learned what
    /// they take.
    pub fn home_share(&self, service: &Service) -> f64 {
        let lanes = self.route.lanes;
        if service.lambda.is_none() || !lanes.lambda {
            return 1.0;
        }
        if service.container.is_none() || !lanes.container {
            return 0.0;
        }
        if service.needs.storage || service.needs.affinity {
            return 1.0;
        }
        let auto = &self.route.auto;
        match (self.route.class, service.mode) {
            (Some(Class::Marathon), _) => 1.0,
            (Some(Class::Sprinter), _) => 0.0,
            (None, Mode::Off) => f64::from(u8::from(auto.sprinter_up_to < auto.prior)),
            (None, Mode::Observe | Mode::Act) => {
                marathon_share(self.service_time.quantile_us(0.95) as u32, auto.sprinter_up_to)
            }
        }
    }
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
    /// Which of its streams.
    pub stream: u16,
    /// How long it takes in a container, when that is known.
    pub service_us: Option<u32>,
    /// Bytes of the event that it would make for Lambda; 0 without a body, or where nobody tells.
    pub event_bytes: u32,
    /// Bytes of its answer's body; 0 where nobody tells.
    pub answer_bytes: u32,
}

impl Arrival {
    /// A request of a site's first stream, of which nothing else is known.
    pub const fn plain(at_us: u64, site: u16) -> Self {
        Self { at_us, site, stream: 0, service_us: None, event_bytes: 0, answer_bytes: 0 }
    }
}

/// What one service's replay came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its counts.
    pub tally: Tally,
    /// What it used.
    pub usage: Usage,
    /// What warm-up invokes used, of that.
    pub warm_usage: LambdaUsage,
    /// How load and capacity went.
    pub series: Series,
}

impl Outcome {
    /// Adds what another service's replay came to, over the same time.
    pub fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.usage += other.usage;
        self.warm_usage += other.warm_usage;
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
