//! What the admin API and `/metrics` read of the control loop and the workers.
//!
//! Readers take a snapshot; nobody on the data path waits for them. The recent outcomes are a ring of fixed size.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use policies::policy::Policy;
use predictor::outcome::Outcome;
use tokio::{sync::watch, time::Instant};

use super::{
    act::{Deed, Deeds, spot::Proposal},
    audit::{Audit, Entry},
    capacity::{Clock, PlanState},
    credentials::Keys,
    discover::Fleet,
    freeze::{Brake, Freeze, Order},
    functions::FunctionState,
    gateways::GatewaysState,
    lately::{Lately, Looks},
    radar::RadarState,
};
use crate::{
    history::Health,
    ledger::Ledger,
    telemetry::{otlp, series::Series, shard::Shard},
    world::World,
};

/// Outcomes kept for `/decisions`: about 200 bytes each, and more than anybody reads.
pub(crate) const RECENT_MAX: usize = 1000;

/// Policies kept for the outcomes that name their routes by index: the one in force, and those that it replaced last.
const POLICIES_MAX: usize = 8;

/// The read side of a running gateway.
#[derive(Debug)]
pub(crate) struct Shared {
    world: watch::Receiver<Arc<World>>,
    shards: Vec<Arc<Shard>>,
    stats: ControlStats,
    recent: Mutex<VecDeque<Outcome>>,
    series: Mutex<Series>,
    policies: Mutex<VecDeque<(u32, Arc<Policy>)>>,
    state: Mutex<PolicyState>,
    plans: Mutex<Arc<BTreeMap<Arc<str>, PlanState>>>,
    deeds: Mutex<Deeds>,
    radar: Mutex<Arc<RadarState>>,
    looks: Mutex<Looks>,
    ledger: Mutex<Ledger>,
    freeze: Mutex<Freeze>,
    audit: Mutex<Audit>,
    started: SystemTime,
}

/// How the policy in force came to be, and what became of those that were to follow it.
#[derive(Debug, Clone)]
pub(crate) struct PolicyState {
    /// Over all its files.
    pub(crate) hash: String,
    /// When it took over.
    pub(crate) since: SystemTime,
    /// What is legal in it but probably not meant.
    pub(crate) warnings: Vec<String>,
    /// How many took over after the first.
    pub(crate) applied: u64,
    /// How many were refused.
    pub(crate) refused: u64,
    /// Why what the files hold now was refused, and when; `None` when it is in force.
    pub(crate) error: Option<(SystemTime, String)>,
}

impl Shared {
    pub(super) fn new(
        world: watch::Receiver<Arc<World>>,
        shards: Vec<Arc<Shard>>,
        hash: &str,
        clock: Clock,
    ) -> Self {
        let first = world.borrow().clone();
        let state = PolicyState {
            hash: hash.to_owned(),
            since: SystemTime::now(),
            warnings: Vec::new(),
            applied: 0,
            refused: 0,
            error: None,
        };
        Self {
            world,
            shards,
            stats: ControlStats::default(),
            recent: Mutex::default(),
            series: Mutex::new(Series::of(&first)),
            policies: Mutex::new([(first.generation, first.policy.clone())].into()),
            state: Mutex::new(state),
            plans: Mutex::default(),
            deeds: Mutex::default(),
            radar: Mutex::default(),
            looks: Mutex::default(),
            ledger: Mutex::new(Ledger::new(&first.policy, clock)),
            freeze: Mutex::default(),
            audit: Mutex::default(),
            started: SystemTime::now(),
        }
    }

    /// Takes in an order to freeze, or to go on, given here or to another gateway; it holds from this moment. Returns whether
    /// it is news.
    pub(crate) fn order(&self, order: &Order) -> bool {
        lock(&self.freeze).hear(order)
    }

    /// Returns the latest order to freeze, or to go on.
    pub(crate) fn latest_order(&self) -> Option<Order> {
        lock(&self.freeze).order().cloned()
    }

    /// Returns the order to freeze that is in force.
    pub(crate) fn frozen(&self) -> Option<Order> {
        lock(&self.freeze).frozen().cloned()
    }

    /// Returns what every call that changes capacity asks.
    pub(super) fn brake(&self) -> Brake {
        lock(&self.freeze).brake()
    }

    /// Returns who changed what.
    pub(crate) fn audit(&self) -> MutexGuard<'_, Audit> {
        lock(&self.audit)
    }

    /// Returns the world that was published last.
    pub(crate) fn world(&self) -> Arc<World> {
        self.world.borrow().clone()
    }

    /// Returns the counters of all workers.
    pub(crate) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// Returns the counters of all routes.
    pub(crate) fn series(&self) -> MutexGuard<'_, Series> {
        lock(&self.series)
    }

    /// Returns the policy of a generation, unless it is long gone.
    pub(crate) fn policy(&self, generation: u32) -> Option<Arc<Policy>> {
        let policies = lock(&self.policies);
        policies.iter().find(|(number, _)| *number == generation).map(|(_, policy)| policy.clone())
    }

    /// Returns what became of each service's requests in the last minute.
    pub(crate) fn lately(&self) -> BTreeMap<Arc<str>, Lately> {
        lock(&self.looks).lately(&self.series(), Instant::now())
    }

    /// Looks at the counters when that is due, for [`Shared::lately`].
    pub(super) fn look(&self, now: Instant) {
        lock(&self.looks).look(&self.series(), now);
    }

    /// Returns what is planned, by service.
    pub(crate) fn plans(&self) -> Arc<BTreeMap<Arc<str>, PlanState>> {
        lock(&self.plans).clone()
    }

    /// Returns the books.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// Returns what the radar shows.
    pub(crate) fn radar(&self) -> Arc<RadarState> {
        lock(&self.radar).clone()
    }

    /// Notes what the radar shows.
    pub(super) fn tell_radar(&self, radar: Arc<RadarState>) {
        *lock(&self.radar) = radar;
    }

    /// Returns what was done of late.
    pub(crate) fn deeds(&self) -> Deeds {
        lock(&self.deeds).clone()
    }

    /// Notes what was done.
    pub(super) fn did(&self, deed: Deed) {
        self.audit().add(Entry {
            at: deed.at,
            who: "pacer".to_owned(),
            kind: deed.kind,
            service: Some(deed.service.to_string()),
            what: format!("{}: {}", deed.what, deed.why),
            error: deed.error.clone(),
        });
        lock(&self.deeds).add(deed);
    }

    /// Notes what is planned.
    pub(super) fn tell_plans(&self, plans: Arc<BTreeMap<Arc<str>, PlanState>>) {
        *lock(&self.plans) = plans;
    }

    /// Returns how the policy in force came to be.
    pub(crate) fn policy_state(&self) -> PolicyState {
        lock(&self.state).clone()
    }

    /// Notes the warnings of the first policy.
    pub(crate) fn warned(&self, warnings: Vec<String>) {
        lock(&self.state).warnings = warnings;
    }

    /// Notes that the files hold the policy in force.
    pub(super) fn policy_same(&self) {
        lock(&self.state).error = None;
    }

    /// Notes that the policy with this hash took over.
    pub(super) fn policy_applied(&self, hash: String, warnings: Vec<String>) {
        let mut state = lock(&self.state);
        let applied = state.applied + 1;
        *state = PolicyState {
            hash,
            since: SystemTime::now(),
            warnings,
            applied,
            refused: state.refused,
            error: None,
        };
    }

    /// Notes why what the files hold was refused.
    pub(super) fn policy_refused(&self, problems: String) {
        let mut state = lock(&self.state);
        state.refused += 1;
        state.error = Some((SystemTime::now(), problems));
    }

    /// Takes in a world with another policy, which is about to be published.
    pub(super) fn adopt(&self, world: &World) {
        self.series().adopt(world);
        let mut policies = lock(&self.policies);
        policies.push_back((world.generation, world.policy.clone()));
        let surplus = policies.len().saturating_sub(POLICIES_MAX);
        policies.drain(..surplus);
    }

    /// Returns what the control loop counts.
    pub(crate) fn stats(&self) -> &ControlStats {
        &self.stats
    }

    /// Returns when the gateway started.
    pub(crate) fn started(&self) -> SystemTime {
        self.started
    }

    /// Returns up to `limit` of the outcomes that came last, newest first.
    pub(crate) fn recent(&self, limit: usize) -> Vec<Outcome> {
        lock(&self.recent).iter().rev().take(limit).copied().collect()
    }

    /// Keeps `outcomes` for [`Shared::recent`].
    pub(crate) fn remember(&self, outcomes: Vec<Outcome>) {
        let mut recent = lock(&self.recent);
        recent.extend(outcomes);
        let surplus = recent.len().saturating_sub(RECENT_MAX);
        recent.drain(..surplus);
    }
}

/// What the control loop counts and knows about itself.
#[derive(Debug, Default)]
pub(crate) struct ControlStats {
    worlds: AtomicU64,
    /// By service.
    discovery_errors: Mutex<BTreeMap<Arc<str>, u64>>,
    states: Mutex<(Vec<DiscoveryState>, KeysState)>,
    history: Mutex<Health>,
    /// By service.
    troubles: Mutex<BTreeMap<Arc<str>, String>>,
    /// By service.
    spot: Mutex<BTreeMap<Arc<str>, Proposal>>,
    /// By service.
    functions: Mutex<Arc<BTreeMap<Arc<str>, FunctionState>>>,
    gateways: Mutex<Option<GatewaysState>>,
    otlp: otlp::Counts,
}

/// How the discovery of one service's tasks goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiscoveryState {
    /// The service.
    pub(crate) service: Arc<str>,
    /// Why its last listing failed; `None` when it succeeded, or was not needed.
    pub(crate) error: Option<String>,
    /// Listings that failed in a row.
    pub(crate) failures: u32,
}

/// How the credentials for AWS are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeysState {
    /// Calls to Lambda can be signed.
    pub(crate) usable: bool,
    /// When they expire.
    pub(crate) expiry: Option<SystemTime>,
    /// Why they could not be had or renewed.
    pub(crate) error: Option<String>,
}

impl ControlStats {
    /// Returns how many worlds were published.
    pub(crate) fn worlds(&self) -> u64 {
        self.worlds.load(Relaxed)
    }

    /// Returns how many listings failed of the service called `service`.
    pub(crate) fn discovery_errors(&self, service: &str) -> u64 {
        lock(&self.discovery_errors).get(service).copied().unwrap_or(0)
    }

    /// Returns how discovery and credentials are.
    pub(crate) fn states(&self) -> (Vec<DiscoveryState>, KeysState) {
        lock(&self.states).clone()
    }

    /// Returns what is known of functions, by service.
    pub(crate) fn functions(&self) -> Arc<BTreeMap<Arc<str>, FunctionState>> {
        lock(&self.functions).clone()
    }

    pub(super) fn tell_functions(&self, functions: BTreeMap<Arc<str>, FunctionState>) {
        *lock(&self.functions) = Arc::new(functions);
    }

    /// Returns how it is with other gateways; `None` when there are none to be.
    pub(crate) fn gateways(&self) -> Option<GatewaysState> {
        lock(&self.gateways).clone()
    }

    pub(super) fn tell_gateways(&self, state: Option<GatewaysState>) {
        *lock(&self.gateways) = state;
    }

    /// Returns why a service's tasks are left as they are.
    pub(crate) fn trouble(&self, service: &str) -> Option<String> {
        lock(&self.troubles).get(service).cloned()
    }

    pub(super) fn tell_troubles(&self, troubles: BTreeMap<Arc<str>, String>) {
        *lock(&self.troubles) = troubles;
    }

    /// Returns which strategy is proposed for a service, for another share of its tasks on Spot.
    pub(crate) fn spot(&self, service: &str) -> Option<Proposal> {
        lock(&self.spot).get(service).cloned()
    }

    pub(super) fn tell_spot(&self, proposals: BTreeMap<Arc<str>, Proposal>) {
        *lock(&self.spot) = proposals;
    }

    /// Returns how the store is that keeps what was asked.
    pub(crate) fn history(&self) -> Health {
        lock(&self.history).clone()
    }

    pub(super) fn tell_history(&self, health: Health) {
        *lock(&self.history) = health;
    }

    /// Returns what became of what a collector was sent.
    pub(crate) fn otlp(&self) -> &otlp::Counts {
        &self.otlp
    }

    pub(super) fn count_world(&self) {
        self.worlds.fetch_add(1, Relaxed);
    }

    pub(super) fn count_discovery_error(&self, service: &Arc<str>) {
        *lock(&self.discovery_errors).entry(service.clone()).or_default() += 1;
    }

    pub(super) fn tell<'a>(&self, fleets: impl Iterator<Item = &'a Fleet>, keys: &Keys) {
        let mut states = lock(&self.states);
        states.0.clear();
        states.0.extend(fleets.map(Fleet::state));
        states.1 = keys.state();
    }
}

/// Locks for a moment. What a panic left behind is whole: every change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
