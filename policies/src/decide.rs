//! Chooses the lane for one request.
//!
//! Pure: no clock, no I/O, no randomness (`draw` is an argument). Equal inputs give equal decisions, so a decision seen
//! in production can be replayed from its log line, and the simulator decides exactly as the gateway does. Costs do not
//! choose a lane here: they stand in the belief so that [`crate::explain`] can show what the choice costs.

mod belief;
mod reason;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod rules;

pub use self::{
    belief::Belief,
    reason::{Cause, Reason, RuledOut},
};

use crate::policy::{Route, Service};

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Short, light, stateless: Lambda is its home.
    Sprinter,
    /// Long, heavy, steady: a warm container is its home.
    Marathon,
}

impl Class {
    /// Both classes.
    pub const ALL: [Self; 2] = [Self::Sprinter, Self::Marathon];

    /// Returns the name used in policies, labels and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sprinter => "sprinter",
            Self::Marathon => "marathon",
        }
    }

    /// Returns the lane that this class prefers.
    pub const fn home(self) -> Lane {
        match self {
            Self::Sprinter => Lane::Lambda,
            Self::Marathon => Lane::Container,
        }
    }
}

/// Where a request runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// AWS Lambda.
    Lambda,
    /// A container.
    Container,
}

impl Lane {
    /// Both lanes, in the order of [`Lane::index`].
    pub const ALL: [Self; 2] = [Self::Lambda, Self::Container];

    /// Returns the name used in policies, labels and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lambda => "lambda",
            Self::Container => "container",
        }
    }

    /// Returns the lane that is not this one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Lambda => Self::Container,
            Self::Container => Self::Lambda,
        }
    }

    /// Returns this lane's place in [`Lane::ALL`]: the index of its counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The largest event that a synchronous Invoke takes: 6 MB, by which AWS means 6,291,456 bytes.
///
/// Source: AWS Lambda quotas, "Invocation payload (request and response)", 6 MB each for request and response
/// (synchronous), read November 2026. A larger value here would only move the refusal from Pacer to AWS.
pub const LAMBDA_EVENT_MAX: u64 = 6 * 1024 * 1024;

/// Requests that must have been seen before the learned duration counts.
///
/// The 95th percentile of 20 values is the second largest: with fewer it is the largest, one outlier. Doubling it doubles
/// how long a new route runs on its prior.
pub const MIN_SEEN: u32 = 20;

/// Where the band around the sprinter bound begins and ends, as shares of the bound; 1.25 is the reciprocal of 0.8.
///
/// Inside it the share of marathons rises linearly from 0 to 1, so a route whose 95th percentile wavers around the bound
/// moves between the lanes a little at a time instead of flipping whole at each tick.
pub const BORDER: (f64, f64) = (0.8, 1.25);

/// What decides about a request before its cost does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its body.
    pub body: Body,
    /// It asks for another protocol, such as WebSocket.
    pub upgrade: bool,
    /// It is a gRPC call: its status stands in trailers, which Lambda cannot return.
    pub grpc: bool,
    /// It announces trailers after its body.
    pub trailers: bool,
}

impl Facts {
    /// A plain request without a body.
    pub const PLAIN: Self =
        Self { body: Body::Empty, upgrade: false, grpc: false, trailers: false };
}

/// A request's body, as far as it is known when deciding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    Empty,
    /// The bytes of the JSON event that the whole request would make.
    Encoded(u64),
    /// Of unknown length, and longer than the route's `buffer`.
    Streaming,
}

/// What each lane can take at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneStates {
    /// The Lambda lane.
    pub lambda: LambdaState,
    /// The container lane.
    pub container: ContainerState,
}

/// What Lambda can take at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LambdaState {
    /// The circuit breaker lets calls through.
    pub up: bool,
    /// Invocations in flight, over all workers.
    pub in_flight: u32,
}

/// What the containers can take at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerState {
    /// At least one task is ready.
    pub up: bool,
    /// Slots of all ready tasks, free or not.
    pub slots: u32,
    /// Free slots, over all ready tasks.
    pub slots_free: u32,
    /// Requests waiting for a slot.
    pub waiting: u32,
}

/// Where a request goes, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What the request is taken for.
    pub class: Class,
    /// Where it goes; `None` refuses it.
    pub lane: Option<Lane>,
    /// What decided.
    pub reason: Reason,
    /// What stood against each lane.
    pub ruled_out: RuledOut,
    /// Where it may go when `lane` turns out full or fails without having run it.
    pub spill: Option<Lane>,
}

impl Decision {
    /// Returns the lane that would have taken the request had both been free, idle and whole: what it is asked of first.
    /// `None` when neither could ever take it.
    pub const fn home(&self) -> Option<Lane> {
        match (
            self.ruled_out.is_hard_for(Lane::Lambda),
            self.ruled_out.is_hard_for(Lane::Container),
        ) {
            (false, false) => Some(self.class.home()),
            (false, true) => Some(Lane::Lambda),
            (true, false) => Some(Lane::Container),
            (true, true) => None,
        }
    }

    /// Returns why the request is refused; `None` when it is not.
    pub fn refusal(&self) -> Option<Refusal> {
        if self.lane.is_some() {
            return None;
        }
        if self.home().is_some() {
            return Some(Refusal::Unavailable);
        }
        // Only its size keeps it from Lambda: a smaller one would have been taken.
        let size = |cause: Cause| matches!(cause, Cause::BodyTooLarge | Cause::BodyStreaming);
        let mut hard = self.ruled_out.of(Lane::Lambda).filter(|cause| cause.is_hard());
        if hard.all(size) { Some(Refusal::TooLarge) } else { Some(Refusal::NotPossible) }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Its body is too large for the one lane that could take it: 413, the client's doing.
    TooLarge,
    /// A lane could take it, but not now: 503.
    Unavailable,
    /// No lane of this route can ever take such a request: 501, the policy's doing.
    NotPossible,
}

/// Decides where one request goes.
///
/// The order of the rules is the promise made to the operator. Hard rules come first: a lane that cannot serve the
/// request is never chosen. Then the class: declared by policy, or learned once [`MIN_SEEN`] requests were seen, or by the
/// prior. The class's lane takes the request; when it is full or broken and the other lane is not, that one does. A
/// container lane is full when all slots are busy and none is expected to come free within the route's `timeouts.queue`:
/// a slot that is about to be free is already paid for. The last lane left is used even when it is full: the request
/// waits there, for as long as the route allows.
///
/// `draw` is a uniformly random number: it only picks within the band of [`BORDER`].
pub fn decide(
    facts: &Facts,
    route: &Route,
    service: &Service,
    belief: &Belief,
    lanes: &LaneStates,
    draw: u64,
) -> Decision {
    let mut ruled_out = hard_rules(facts, route, service, belief);
    let lambda = !ruled_out.has_lane(Lane::Lambda);
    let container = !ruled_out.has_lane(Lane::Container);
    soft_rules(&mut ruled_out, service, lanes);
    let (class, why) = classify(route, service, belief, draw);

    let usable = |lane: Lane| match lane {
        Lane::Lambda => lambda && !ruled_out.has(Cause::Capped) && !ruled_out.has(Cause::Down),
        // A full lane is usable: the request waits.
        Lane::Container => container && !ruled_out.has(Cause::NoTasks),
    };
    let go = |lane: Lane, reason: Reason| {
        let spill = if usable(lane.other()) { Some(lane.other()) } else { None };
        Decision { class, lane: Some(lane), reason, ruled_out, spill }
    };
    let refuse = Decision { class, lane: None, reason: Reason::Refused, ruled_out, spill: None };

    let home = match (lambda, container) {
        (false, false) => return refuse,
        (true, true) => class.home(),
        (only_lambda, _) => {
            let lane = if only_lambda { Lane::Lambda } else { Lane::Container };
            let one_lane = ruled_out.of(lane.other()).any(Cause::is_absent);
            let reason = if one_lane { Reason::OnlyLane } else { Reason::HardRule };
            return if usable(lane) { go(lane, reason) } else { refuse };
        }
    };

    let full = home == Lane::Container
        && ruled_out.has(Cause::SlotsFull)
        && !wait_fits(route, service, belief, lanes.container);
    if usable(home) && !full {
        return go(home, why);
    }
    if usable(home.other()) {
        return go(home.other(), spill_reason(home, ruled_out));
    }
    if usable(home) { go(home, why) } else { refuse }
}

/// Collects what makes a lane impossible for this request, whatever the lane's state.
fn hard_rules(facts: &Facts, route: &Route, service: &Service, belief: &Belief) -> RuledOut {
    let mut out = RuledOut::default();
    out.set_if(service.container.is_none(), Cause::ContainerAbsent);
    out.set_if(!route.lanes.container, Cause::ContainerNotInRoute);
    out.set_if(!route.lanes.lambda, Cause::LambdaNotInRoute);
    out.set_if(facts.upgrade, Cause::Upgrade);
    out.set_if(facts.grpc, Cause::Grpc);
    out.set_if(facts.trailers, Cause::Trailers);
    match facts.body {
        Body::Empty => {}
        Body::Encoded(bytes) => out.set_if(LAMBDA_EVENT_MAX < bytes, Cause::BodyTooLarge),
        Body::Streaming => out.set(Cause::BodyStreaming),
    }
    out.set_if(service.needs.storage, Cause::NeedsStorage);
    out.set_if(service.needs.affinity, Cause::NeedsAffinity);
    match &service.lambda {
        None => out.set(Cause::LambdaAbsent),
        // `>=`, because Lambda cuts a run off at its timeout: a duration seen there has reached it, never passed it.
        Some(lambda) => out.set_if(
            u64::try_from(lambda.timeout.as_micros()).unwrap_or(u64::MAX)
                <= expected_us(route, service, belief),
            Cause::TooLong,
        ),
    }
    out
}

/// Adds what keeps a lane from taking a request at this moment.
fn soft_rules(out: &mut RuledOut, service: &Service, lanes: &LaneStates) {
    if let Some(lambda) = &service.lambda {
        out.set_if(lambda.max_in_flight <= lanes.lambda.in_flight, Cause::Capped);
        out.set_if(!lanes.lambda.up, Cause::Down);
    }
    if service.container.is_some() {
        out.set_if(!lanes.container.up, Cause::NoTasks);
        out.set_if(lanes.container.up && lanes.container.slots_free == 0, Cause::SlotsFull);
    }
}

/// Tells whether a slot is expected within the route's `timeouts.queue`: `(waiting + 1) x mean service time / slots`.
///
/// With 3 waiting for 20 slots of requests that take 200 ms: 4 x 200 ms / 20 = 40 ms.
fn wait_fits(
    route: &Route,
    service: &Service,
    belief: &Belief,
    containers: ContainerState,
) -> bool {
    let mean_us = if learned(service, belief) {
        u128::from(belief.mean_us)
    } else {
        route.auto.prior.as_micros()
    };
    let ahead = u128::from(containers.waiting) + 1;
    ahead * mean_us <= route.timeouts.queue.as_micros() * u128::from(containers.slots)
}

/// Tells whether what was observed counts: it is learned at all, and from enough requests.
fn learned(service: &Service, belief: &Belief) -> bool {
    service.mode.learns() && MIN_SEEN <= belief.seen
}

/// Returns how long such a request is expected to run at its 95th percentile, in microseconds.
fn expected_us(route: &Route, service: &Service, belief: &Belief) -> u64 {
    if learned(service, belief) {
        return u64::from(belief.p95_us);
    }
    u64::try_from(route.auto.prior.as_micros()).unwrap_or(u64::MAX)
}

/// Returns the request's class and what it was told by.
fn classify(route: &Route, service: &Service, belief: &Belief, draw: u64) -> (Class, Reason) {
    if let Some(class) = route.class {
        return (class, Reason::Declared);
    }
    if !learned(service, belief) {
        let class = if route.auto.prior <= route.auto.sprinter_up_to {
            Class::Sprinter
        } else {
            Class::Marathon
        };
        return (class, Reason::Prior);
    }
    let share = marathon_share(belief.p95_us, route.auto.sprinter_up_to);
    if share <= 0.0 {
        return (Class::Sprinter, Reason::Learned);
    }
    if 1.0 <= share {
        return (Class::Marathon, Reason::Learned);
    }
    // The upper 53 bits fill a double's mantissa: uniform in [0, 1).
    let uniform = (draw >> 11) as f64 / (1_u64 << 53) as f64;
    let class = if uniform < share { Class::Marathon } else { Class::Sprinter };
    (class, Reason::Borderline)
}

/// Returns the share of requests that count as marathons: `(p95 / bound - 0.8) / (1.25 - 0.8)`, at most 1, at least 0.
///
/// With a bound of 1 s and a 95th percentile of 980 ms: (0.98 - 0.8) / 0.45 = 0.4, so 40 of 100 requests.
pub fn marathon_share(p95_us: u32, bound: std::time::Duration) -> f64 {
    let (low, high) = BORDER;
    let ratio = f64::from(p95_us) / (bound.as_secs_f64() * 1e6);
    ((ratio - low) / (high - low)).clamp(0.0, 1.0)
}

/// Names the spill away from `home`; the graver cause wins.
fn spill_reason(home: Lane, ruled_out: RuledOut) -> Reason {
    match home {
        Lane::Lambda if ruled_out.has(Cause::Down) => Reason::SpillLambdaDown,
        Lane::Lambda => Reason::SpillLambdaCapped,
        Lane::Container if ruled_out.has(Cause::NoTasks) => Reason::SpillNoTasks,
        Lane::Container => Reason::SpillSlotsFull,
    }
}
