//! What the rest of the process sees of all gateways together: for planning, for people, for metrics.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use tokio::time::Instant;

use super::Lease;
use crate::control::{act::Names, asked::Services, freeze::Order};

/// What planning knows of all gateways together.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// This gateway had the lease when this was made. Before it acts it asks the [`Lease`].
    pub(crate) leader: bool,
    /// How many gateways live, this one among them.
    pub(crate) live: u32,
    /// Slots that the others have taken, by task.
    pub(crate) busy: BTreeMap<Arc<str>, u32>,
    /// Tasks that the leader is about to stop: nobody gives them anything new.
    pub(crate) retiring: Names,
    /// The latest order to freeze, or to go on, that any of them knows of.
    pub(crate) order: Option<Order>,
    /// When the table was read.
    pub(crate) since: Instant,
    /// By step: what was told of it, and by how many gateways.
    pub(super) asked: BTreeMap<u64, (Services, u32)>,
}

impl Group {
    pub(super) fn alone(now: Instant) -> Self {
        Self {
            leader: true,
            live: 1,
            busy: BTreeMap::new(),
            retiring: Names::new(),
            order: None,
            since: now,
            asked: BTreeMap::new(),
        }
    }

    /// Returns what all live gateways together were asked in a step; `None` until each of them has told it.
    pub(crate) fn asked(&self, step: u64) -> Option<&Services> {
        self.asked.get(&step).filter(|(_, told)| *told == self.live).map(|(services, _)| services)
    }

    /// Returns what was told of a step so far, and by how many gateways.
    pub(crate) fn asked_so_far(&self, step: u64) -> Option<(&Services, u32)> {
        self.asked.get(&step).map(|(services, told)| (services, *told))
    }
}

/// What the admin API and `/metrics` show.
#[derive(Debug, Clone)]
pub(crate) struct GatewaysState {
    pub(crate) table: Arc<str>,
    pub(crate) group: Arc<str>,
    pub(crate) id: Arc<str>,
    pub(crate) live: u32,
    /// Who has the lease, as the table said last.
    pub(crate) holder: Option<Arc<str>>,
    pub(crate) lease: Lease,
    /// Everybody divides slots in the same way.
    pub(crate) settled: bool,
    /// The others that live: name, machine, address.
    pub(crate) others: Vec<[Arc<str>; 3]>,
    /// Why the last round failed.
    pub(crate) error: Option<String>,
    /// Rounds that failed.
    pub(crate) errors: u64,
}

impl GatewaysState {
    /// Tells whether this gateway leads now.
    pub(crate) fn leads(&self) -> bool {
        self.lease.holds(Instant::now(), SystemTime::now())
    }
}
