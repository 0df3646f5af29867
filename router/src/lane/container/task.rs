//! One task, as all workers see it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering::SeqCst},
    },
};

use http::HeaderValue;

/// One running container.
#[derive(Debug)]
pub(crate) struct Task {
    /// What it is called: a task ARN's last part, or the upstream's address.
    pub(crate) name: Arc<str>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The name in its certificate when it speaks TLS.
    pub(crate) tls: Option<Arc<str>>,
    /// Number by which workers find their connections to it; never used twice in a process.
    pub(crate) key: u64,
    slots: AtomicU32,
    busy: AtomicU32,
    state: AtomicU8,
}

/// Whether a task is given requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum TaskState {
    /// Known, not yet proven by a probe, or failed since.
    Unproven = 0,
    /// Answered its last probe.
    Ready = 1,
    /// Stopping: it finishes what it has.
    Draining = 2,
}

impl Task {
    /// Makes an unproven task.
    pub(crate) fn new(
        name: Arc<str>,
        address: SocketAddr,
        tls: Option<Arc<str>>,
        slots: u32,
        key: u64,
    ) -> Self {
        Self {
            name,
            address,
            tls,
            key,
            slots: AtomicU32::new(slots),
            busy: AtomicU32::new(0),
            state: AtomicU8::new(TaskState::Unproven as u8),
        }
    }

    /// Returns the `Host` of a request that came without one.
    pub(crate) fn authority(&self) -> HeaderValue {
        HeaderValue::from_str(&self.address.to_string())
            .expect("an address is made of header characters")
    }

    /// Returns whether it is given requests.
    pub(crate) fn state(&self) -> TaskState {
        match self.state.load(SeqCst) {
            0 => TaskState::Unproven,
            1 => TaskState::Ready,
            _ => TaskState::Draining,
        }
    }

    /// Sets whether it is given requests. [`Tasks::wake`](super::Tasks::wake) must follow when it became ready.
    pub(crate) fn set_state(&self, state: TaskState) {
        self.state.store(state as u8, SeqCst);
    }

    /// Stops giving it requests until a probe finds it alive: a connection to it failed. A draining task stays so.
    pub(crate) fn fail(&self) {
        let (from, to) = (TaskState::Ready as u8, TaskState::Unproven as u8);
        // Losing the exchange means that somebody else changed the state meanwhile, which then stands.
        let _ = self.state.compare_exchange(from, to, SeqCst, SeqCst);
    }

    /// Returns how many requests it serves at once.
    pub(crate) fn slots(&self) -> u32 {
        self.slots.load(SeqCst)
    }

    /// Sets how many requests it serves at once: a reload changed it. What runs beyond is finished.
    /// [`Tasks::wake`](super::Tasks::wake) must follow.
    pub(crate) fn set_slots(&self, slots: u32) {
        self.slots.store(slots, SeqCst);
    }

    /// Returns how many of its slots are taken.
    pub(crate) fn busy(&self) -> u32 {
        self.busy.load(SeqCst)
    }

    /// Takes a slot. Returns whether there was one.
    pub(super) fn take(&self) -> bool {
        self.state() == TaskState::Ready
            && self
                .busy
                .fetch_update(SeqCst, SeqCst, |busy| (busy < self.slots()).then_some(busy + 1))
                .is_ok()
    }

    /// Gives a slot back.
    pub(super) fn give(&self) {
        self.busy.fetch_sub(1, SeqCst);
    }

    /// Tells whether a slot could be taken now.
    pub(super) fn has_room(&self) -> bool {
        self.state() == TaskState::Ready && self.busy() < self.slots()
    }

    /// Returns the share of its slots that is taken, in 1/65536, so that tasks of unlike sizes compare.
    pub(super) fn load(&self) -> u64 {
        (u64::from(self.busy()) << 16) / u64::from(self.slots().max(1))
    }
}
