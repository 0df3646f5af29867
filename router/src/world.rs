//! What a worker reads to serve requests: one immutable value, published whole.
//!
//! The control runtime makes a new `World` when anything changes and sends it to each worker; a request in flight keeps
//! the one it began with. Only counters inside it change (slots taken, invocations in flight), and those are atomics.

use std::{rc::Rc, sync::Arc};

use policies::{
    decide::Belief,
    policy::{Policy, Route, RouteId, ServiceId},
};

use crate::{
    lane::{
        container::Tasks,
        lambda::{Function, SigningKeys},
    },
    serve::retries::Retries,
    telemetry::series::Table,
};

/// Everything that routing, deciding and dispatching reads.
#[derive(Debug)]
pub(crate) struct World {
    /// What the operator wants.
    pub(crate) policy: Arc<Policy>,
    /// What is expected of the requests to come.
    pub(crate) beliefs: Arc<Beliefs>,
    /// Where each service runs, indexed by `ServiceId`.
    pub(crate) endpoints: Box<[Endpoints]>,
    /// What signs calls of Lambda; `None` until there are credentials.
    pub(crate) keys: Option<Arc<SigningKeys>>,
    /// Where requests are counted by route, by worker.
    pub(crate) counters: Arc<[Table]>,
    /// Which policy this is, counted from 0: each reload brings another.
    pub(crate) generation: u32,
}

impl World {
    /// Returns where the service of `id` runs.
    pub(crate) fn endpoints(&self, id: ServiceId) -> &Endpoints {
        &self.endpoints[usize::from(id.0)]
    }
}

/// A world as the requests of one worker hold it. References are counted on the worker's thread: an `Arc` alone would make
/// every request of every worker write to the same cache line.
pub(crate) type LocalWorld = Rc<Arc<World>>;

/// Where one service runs.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    /// Its function, when it has a Lambda lane.
    pub(crate) function: Option<Arc<Function>>,
    /// Its tasks, when it has a container lane.
    pub(crate) tasks: Option<Arc<Tasks>>,
    /// What may be spent on sending its requests again.
    pub(crate) retries: Retries,
}

/// How many powers of two a size hint is sorted into; sizes beyond the last share it.
pub(crate) const SIZES: usize = 16;

/// Returns how many profiles a route is learned in.
pub(crate) fn sizes(route: &Route) -> usize {
    if route.auto.size_by.is_some() { SIZES } else { 1 }
}

/// What is expected, by route and size.
#[derive(Debug)]
pub(crate) struct Beliefs {
    /// Place of each route's first belief in `beliefs`.
    starts: Box<[u32]>,
    beliefs: Box<[Belief]>,
}

impl Beliefs {
    /// Lays out a belief for each profile of `policy`: [`SIZES`] for a route with `auto.size_by`, one for others.
    pub(crate) fn new(policy: &Policy, mut belief: impl FnMut(RouteId, u8) -> Belief) -> Self {
        let mut starts = Vec::with_capacity(policy.routes.len());
        let mut beliefs = Vec::new();
        for (index, route) in policy.routes.iter().enumerate() {
            starts.push(u32::try_from(beliefs.len()).expect("at most 65,536 routes of 16 sizes"));
            for size in 0..sizes(route) {
                beliefs.push(belief(RouteId(index as u16), size as u8));
            }
        }
        Self { starts: starts.into(), beliefs: beliefs.into() }
    }

    /// Returns the belief about a request of `route` and `size`.
    pub(crate) fn of(&self, route: RouteId, size: u8) -> &Belief {
        &self.beliefs[self.place(route, size)]
    }

    /// Returns the index of the profile of `route` and `size` among all of the policy.
    fn place(&self, route: RouteId, size: u8) -> usize {
        self.starts[usize::from(route.0)] as usize + usize::from(size)
    }
}
