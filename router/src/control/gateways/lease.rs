//! The lease: which of several gateways changes capacity.
//!
//! One item of the table. Whoever has written it last holds it for [`LENGTH`], and writes it anew every two seconds. Each
//! write asks that the item still be at the version that was seen, so that of two contenders one fails. A contender waits
//! until a version has stood for its whole length by the contender's own clock: it saw it after it was written, so the
//! holder, who reckons from before the write, has given up by then. Clocks of hosts are never compared.
//!
//! What it cannot do: fence a call that was already on its way when the lease ran out. AWS's APIs take no such token, so
//! [`MARGIN`] keeps room for it, and [`Lease::left`] bounds the call.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

/// How long a lease holds: three tries at renewing it before the margin begins. Doubled, a gateway that dies is missed for
/// twice as long.
pub(super) const LENGTH: Duration = Duration::from_secs(8);

/// What is left of a lease when its holder stops acting: a call that was made just before is done by then.
const MARGIN: Duration = Duration::from_secs(2);

/// Shows whether this gateway may change capacity. A handle: clones show the same.
#[derive(Debug, Clone)]
pub(crate) struct Lease(Arc<Mutex<Held>>);

#[derive(Debug, Clone, Copy)]
enum Held {
    /// There is no other gateway to agree with.
    Alone,
    /// Another gateway has it, or nobody.
    No,
    /// Since just before the write that took or renewed it, by both clocks.
    Since(Instant, SystemTime),
}

impl Lease {
    /// Makes the lease of a gateway that has no others beside it: it always holds.
    pub(crate) fn alone() -> Self {
        Self::new(Held::Alone)
    }

    fn new(held: Held) -> Self {
        Self(Arc::new(Mutex::new(held)))
    }

    /// Tells whether this gateway may act now. To be asked right before each call that changes something.
    pub(crate) fn holds(&self, now: Instant, clock: SystemTime) -> bool {
        self.left(now, clock).is_some()
    }

    /// Returns how long a call may take that is made now: after that another gateway may act. `None`: it may not be made.
    pub(crate) fn left(&self, now: Instant, clock: SystemTime) -> Option<Duration> {
        match *self.lock() {
            Held::Alone => Some(Duration::MAX),
            Held::No => None,
            Held::Since(at, wall) => {
                // A suspended machine's monotonic clock may stand still, a wall clock may be set: the later one counts. One
                // that was set back hides how much time has passed, so that the lease is renewed first.
                let passed =
                    now.saturating_duration_since(at).max(clock.duration_since(wall).ok()?);
                let left = LENGTH.checked_sub(passed)?;
                (MARGIN < left).then_some(left)
            }
        }
    }

    /// Returns how long ago it was granted or renewed; `None` when it is not held.
    pub(crate) fn age(&self, now: Instant, clock: SystemTime) -> Option<Duration> {
        let held = *self.lock();
        match held {
            Held::Since(at, _) if self.holds(now, clock) => Some(now.saturating_duration_since(at)),
            _ => None,
        }
    }

    fn set(&self, held: Held) {
        *self.lock() = held;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        // A panic while it was locked cannot leave it half changed: each change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lease's item, as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The gateway that wrote it.
    pub(super) holder: Arc<str>,
    /// Never used twice, by any gateway: `HOLDER-NUMBER`.
    pub(super) version: Arc<str>,
    /// How long its holder may hold it.
    pub(super) length: Duration,
}

/// A write of the item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    /// What is written; `None` deletes it.
    pub(super) item: Option<Item>,
    /// The version that must be there; `None`: there must be no item.
    pub(super) over: Option<Arc<str>>,
}

/// How a write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// It is in the table.
    Yes,
    /// The table had another version.
    Refused,
    /// Nobody knows: it may be in the table.
    Unknown(String),
}

/// Takes, renews and gives up the lease.
#[derive(Debug)]
pub(super) struct Keeper {
    id: Arc<str>,
    writes: u64,
    seen: Option<Seen>,
    /// The write whose end is not known, and when it was sent.
    open: Option<(Arc<str>, Instant, SystemTime)>,
    lease: Lease,
    /// It is given up for good: the gateway stops.
    over: bool,
}

/// What the table had when it was read last.
#[derive(Debug)]
struct Seen {
    item: Option<Item>,
    /// When its version was seen first.
    since: Instant,
}

impl Keeper {
    pub(super) fn new(id: Arc<str>) -> Self {
        let lease = Lease::new(Held::No);
        Self { id, writes: 0, seen: None, open: None, lease, over: false }
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Returns who holds it, as the table said last.
    pub(super) fn holder(&self) -> Option<&Arc<str>> {
        Some(&self.seen.as_ref()?.item.as_ref()?.holder)
    }

    /// Returns the write that takes or renews the lease, when it may be tried now; or lets others have it, when this
    /// gateway stops.
    pub(super) fn next(&mut self, now: Instant) -> Option<Write> {
        if self.over {
            return self.way_out();
        }
        let seen = self.seen.as_ref()?;
        let over = match &seen.item {
            None => None,
            Some(item) => {
                let free = item.holder == self.id || item.length <= now.duration_since(seen.since);
                Some(free.then(|| item.version.clone())?)
            }
        };
        self.writes += 1;
        let version = format!("{}-{}", self.id, self.writes).into();
        let item = Item { holder: self.id.clone(), version, length: LENGTH };
        Some(Write { item: Some(item), over })
    }

    /// Takes in how a write ended that was sent at `sent`: at a moment before it.
    pub(super) fn written(&mut self, write: &Write, how: &Written, sent: (Instant, SystemTime)) {
        let Some(item) = &write.item else {
            if *how == Written::Yes {
                self.seen = Some(Seen { item: None, since: sent.0 });
            }
            return;
        };
        match how {
            Written::Yes => {
                self.open = None;
                self.seen = Some(Seen { item: Some(item.clone()), since: sent.0 });
                self.grant(sent);
            }
            Written::Refused => {
                self.open = None;
                self.lease.set(Held::No);
            }
            Written::Unknown(_) => self.open = Some((item.version.clone(), sent.0, sent.1)),
        }
    }

    /// Takes in what the table had, read at `now`: at a moment after it was read.
    pub(super) fn read(&mut self, item: Option<Item>, now: Instant) {
        if item.as_ref().is_none_or(|item| item.holder != self.id) {
            self.lease.set(Held::No);
        }
        if let (Some(item), Some((version, at, clock))) = (&item, &self.open)
            && item.version == *version
        {
            let sent = (*at, *clock);
            self.open = None;
            self.grant(sent);
        }
        let version = |item: &Option<Item>| item.as_ref().map(|item| item.version.clone());
        let same = self.seen.as_ref().is_some_and(|seen| version(&seen.item) == version(&item));
        if !same {
            self.seen = Some(Seen { item, since: now });
        }
    }

    fn grant(&self, (at, clock): (Instant, SystemTime)) {
        if !self.over {
            self.lease.set(Held::Since(at, clock));
        }
    }

    /// Gives the lease up for good: from here on this gateway does not act.
    pub(super) fn give_up(&mut self) {
        self.over = true;
        self.lease.set(Held::No);
    }

    /// Returns the write that lets others have the lease at once, when it is given up and still this gateway's.
    pub(super) fn way_out(&self) -> Option<Write> {
        let item = self.seen.as_ref()?.item.as_ref()?;
        let ours = self.over && item.holder == self.id;
        ours.then(|| Write { item: None, over: Some(item.version.clone()) })
    }
}

#[cfg(test)]
mod tests;
