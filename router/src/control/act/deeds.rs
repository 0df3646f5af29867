//! What was done, for who asks afterwards.

use std::{collections::VecDeque, sync::Arc, time::SystemTime};

/// Deeds that are remembered: hours of them on a busy day.
const KEPT: usize = 200;

/// Every kind of deed: what the label of the counter can be. `read` and `warm-up` may be told only where they fail.
pub(crate) const KINDS: [&str; 8] =
    ["scale-out", "scale-in", "protect", "release", "fallback", "provision", "warm-up", "read"];

/// Something that was done to a service, or was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deed {
    /// When.
    pub(crate) at: SystemTime,
    /// To which service.
    pub(crate) service: Arc<str>,
    /// Its kind, one of [`KINDS`].
    pub(crate) kind: &'static str,
    /// What, in words.
    pub(crate) what: String,
    /// What it was done for.
    pub(crate) why: String,
    /// Why it failed, if it did.
    pub(crate) error: Option<String>,
}

/// The latest deeds, and how many there were.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deeds {
    latest: VecDeque<Deed>,
    /// By service, kind and whether it failed.
    counts: std::collections::BTreeMap<(Arc<str>, &'static str, bool), u64>,
}

impl Deeds {
    /// Remembers one.
    pub(crate) fn add(&mut self, deed: Deed) {
        debug_assert!(KINDS.contains(&deed.kind), "{}", deed.kind);
        let key = (deed.service.clone(), deed.kind, deed.error.is_some());
        *self.counts.entry(key).or_default() += 1;
        if self.latest.len() == KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back(deed);
    }

    /// Returns the latest, newest first.
    pub(crate) fn latest(&self) -> impl Iterator<Item = &Deed> {
        self.latest.iter().rev()
    }

    /// Returns how many there were, by service, kind and whether they failed.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&str, &'static str, bool, u64)> {
        self.counts.iter().map(|((service, kind, failed), n)| (&**service, *kind, *failed, *n))
    }
}
