//! What one worker thread owns.
//!
//! A worker is one thread with its own runtime, connections, counters and timer: requests never leave it, so nothing
//! here is shared and nothing is locked. The world it serves by is replaced whole when the control runtime sends a new
//! one.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::BytesMut;
use http::HeaderValue;
use policies::policy::Route;
use predictor::outcome::Outcome;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    lane::{budget::BufferBudget, pool::Pool},
    proxy::HeaderList,
    serve::connection::Client,
    telemetry::{
        access_log::LogBuffer,
        otlp::{BATCH, Finished},
        shard::Shard,
    },
    world::{LocalWorld, World},
};

/// How often a worker sweeps: how exact idle timeouts are, and how old the access log may be on disk.
const SWEEP: Duration = Duration::from_millis(250);

/// How many outcomes a worker keeps between two sweeps for the admin API; more are counted but not shown.
const RECENT_MAX: usize = 64;

/// How many lists of headers a worker keeps for the requests to come: more would only be used by more requests at once.
const SPARE_LISTS: usize = 64;

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    world: RefCell<LocalWorld>,
    /// Connections to tasks and to Lambda.
    pub(crate) pool: Pool,
    /// Its counters.
    pub(crate) shard: Arc<Shard>,
    /// Bytes held for Lambda, over all workers.
    pub(crate) budget: Arc<BufferBudget>,
    /// Set when the gateway is going away.
    pub(crate) draining: Cell<bool>,
    /// Its part of the access log, when there is one.
    pub(crate) log: RefCell<Option<LogBuffer>>,
    /// Its clients' connections.
    pub(crate) clients: RefCell<BTreeMap<u64, Rc<Client>>>,
    recent: RefCell<Vec<Outcome>>,
    recent_sender: mpsc::Sender<Vec<Outcome>>,
    /// Recorded for traces, and not handed over yet.
    recorded: RefCell<Vec<Finished>>,
    recorded_sender: mpsc::Sender<Vec<Finished>>,
    spare_headers: RefCell<Vec<HeaderList>>,
    short_values: RefCell<BytesMut>,
    random: Cell<u64>,
    /// One moment on both clocks: Unix time of a request costs an addition.
    clocks: Cell<(Instant, u64)>,
}

impl Worker {
    /// Makes a worker that serves by `world`.
    pub(crate) fn new(
        world: Arc<World>,
        shard: Arc<Shard>,
        budget: Arc<BufferBudget>,
        log: Option<LogBuffer>,
        recent_sender: mpsc::Sender<Vec<Outcome>>,
        recorded_sender: mpsc::Sender<Vec<Finished>>,
    ) -> Self {
        Self {
            world: RefCell::new(Rc::new(world)),
            pool: Pool::default(),
            shard,
            budget,
            draining: Cell::new(false),
            log: RefCell::new(log),
            clients: RefCell::default(),
            recent: RefCell::default(),
            recent_sender,
            recorded: RefCell::default(),
            recorded_sender,
            spare_headers: RefCell::default(),
            short_values: RefCell::new(BytesMut::with_capacity(4096)),
            // The standard library's own source of unpredictable keys.
            random: Cell::new(RandomState::new().hash_one("worker")),
            clocks: Cell::new(clocks()),
        }
    }

    /// Returns the world that a request begins with.
    pub(crate) fn world(&self) -> LocalWorld {
        self.world.borrow().clone()
    }

    /// Serves by another world from the next request on.
    pub(crate) fn set_world(&self, world: Arc<World>) {
        *self.world.borrow_mut() = Rc::new(world);
    }

    /// Returns a random number: SplitMix64 (Steele, Lea, Flood, 2014), good enough to choose tasks and name requests.
    pub(crate) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns an empty list for the headers of one request, with the room that an earlier one needed.
    pub(crate) fn spare_headers(&self) -> HeaderList {
        self.spare_headers.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes the list back.
    pub(crate) fn spare_headers_back(&self, mut list: HeaderList) {
        list.clear();
        let mut spare = self.spare_headers.borrow_mut();
        if spare.len() < SPARE_LISTS {
            spare.push(list);
        }
    }

    /// Makes a header's value of a few bytes: a part of a block, not an allocation of its own.
    pub(crate) fn short_value(&self, text: &[u8]) -> HeaderValue {
        let mut block = self.short_values.borrow_mut();
        block.extend_from_slice(text);
        HeaderValue::from_maybe_shared(block.split().freeze())
            .expect("Pacer's own values are made of header characters")
    }

    /// Returns `at` as microseconds of Unix time.
    pub(crate) fn unix_us(&self, at: Instant) -> u64 {
        let (instant, unix_us) = self.clocks.get();
        unix_us + at.saturating_duration_since(instant).as_micros() as u64
    }

    /// Counts a request toward the retries that its service may spend.
    pub(crate) fn earn_retry(&self, world: &World, route: &Route) {
        world.endpoints(route.service).retries.earn(self.shard.worker, route.retry.budget);
    }

    /// Takes one retry from the service's budget. Returns whether there was one.
    pub(crate) fn spend_retry(&self, world: &World, route: &Route) -> bool {
        world.endpoints(route.service).retries.spend(self.shard.worker)
    }

    /// Keeps an outcome for the admin API.
    pub(crate) fn remember(&self, outcome: &Outcome) {
        let mut recent = self.recent.borrow_mut();
        if recent.len() < RECENT_MAX {
            recent.push(*outcome);
        }
    }

    /// Keeps a request for whoever tells of traces.
    pub(crate) fn record(&self, finished: Finished) {
        let mut recorded = self.recorded.borrow_mut();
        recorded.push(finished);
        if BATCH <= recorded.len() {
            self.hand_over(recorded.drain(..).collect());
        }
    }

    fn hand_over(&self, recorded: Vec<Finished>) {
        if let Err(TrySendError::Full(lost) | TrySendError::Closed(lost)) =
            self.recorded_sender.try_send(recorded)
        {
            self.shard.spans_dropped.add(lost.len() as u64);
        }
    }

    /// Runs what a worker does beside requests, for as long as it lives.
    pub(crate) async fn sweep(self: Rc<Self>) {
        let mut ticks = interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            self.clocks.set(clocks());
            self.pool.sweep(now);
            let idle_max = self.world().policy.listen.idle_timeout;
            for client in self.clients.borrow().values() {
                client.close_if_overdue(now, idle_max);
            }
            self.flush();
        }
    }

    /// Hands over what is kept for others.
    pub(crate) fn flush(&self) {
        if let Some(log) = self.log.borrow_mut().as_mut() {
            log.flush();
        }
        if !self.recorded.borrow().is_empty() {
            self.hand_over(self.recorded.take());
        }
        if !self.recent.borrow().is_empty() {
            // A control runtime that lags behind misses some: they are for looking at, not for counting.
            let _ = self.recent_sender.try_send(self.recent.take());
        }
    }
}

fn clocks() -> (Instant, u64) {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (Instant::now(), unix.as_micros() as u64)
}
