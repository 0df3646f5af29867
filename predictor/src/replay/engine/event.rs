//! What happens in a replay, and when.

use super::super::fargate::{Change, TaskId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Event {
    pub(super) at_us: u64,
    /// What, of which site, of which task: packed, because millions of them are moved about.
    pub(super) token: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    OnLambda,
    OnProvisioned,
    WarmUp,
    InContainer,
    TaskReady,
    SpotNotice,
    TaskKilled,
    Deadline,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::OnLambda,
        Self::OnProvisioned,
        Self::WarmUp,
        Self::InContainer,
        Self::TaskReady,
        Self::SpotNotice,
        Self::TaskKilled,
        Self::Deadline,
    ];
}

const ID_BITS: u32 = 48;
const SITE_BITS: u32 = 12;

/// Most services of one run.
pub const SITES_MAX: usize = 1 << SITE_BITS;

pub(super) fn token(kind: Kind, site: usize, id: u64) -> u64 {
    (kind as u64) << (ID_BITS + SITE_BITS) | (site as u64) << ID_BITS | id & ((1 << ID_BITS) - 1)
}

pub(super) fn of_task(change: Change, site: usize, id: TaskId) -> u64 {
    let kind = match change {
        Change::Ready => Kind::TaskReady,
        Change::Notice => Kind::SpotNotice,
        Change::Kill => Kind::TaskKilled,
    };
    token(kind, site, id.0)
}

impl Event {
    /// Returns what happens, to which site, and the rest of its token: a task, or a place in a queue.
    pub(super) fn what(self) -> (Kind, usize, u64) {
        let kind = Kind::ALL[(self.token >> (ID_BITS + SITE_BITS)) as usize];
        let site = (self.token >> ID_BITS) as usize & (SITES_MAX - 1);
        (kind, site, self.token & ID_MASK)
    }
}

/// The bits of a token that are not what happens, nor to which site.
pub(super) const ID_MASK: u64 = (1 << ID_BITS) - 1;
