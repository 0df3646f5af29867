//! What of the requests that have another lane may be sent to a function, by the state of its version.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Which requests a function may get of those that have another lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Offer {
    /// All.
    All,
    /// One, to wake it.
    One,
    /// None.
    None,
}

/// An [`Offer`], as control makes it and workers take it.
#[derive(Debug, Default)]
pub(super) struct Offered(AtomicU8);

impl Offered {
    pub(super) fn set(&self, offer: Offer) {
        self.0.store(offer as u8, Relaxed);
    }

    /// Tells whether all requests may be sent.
    pub(super) fn is_all(&self) -> bool {
        self.0.load(Relaxed) == Offer::All as u8
    }

    /// Tells whether a request may be sent.
    pub(super) fn is_any(&self) -> bool {
        self.0.load(Relaxed) != Offer::None as u8
    }

    /// Takes what is offered for one request; `false` when there is nothing.
    pub(super) fn take(&self) -> bool {
        let (one, none) = (Offer::One as u8, Offer::None as u8);
        self.is_all() || self.0.compare_exchange(one, none, Relaxed, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_wakes_and_the_others_keep_away() {
        let offered = Offered::default();
        assert!(offered.is_all() && offered.take() && offered.take(), "nothing is known yet");
        offered.set(Offer::One);
        assert!(offered.is_any() && !offered.is_all());
        assert!(offered.take() && !offered.take() && !offered.is_any());
        offered.set(Offer::None);
        assert!(!offered.is_any() && !offered.take());
        offered.set(Offer::All);
        assert!(offered.take() && offered.is_all());
    }
}
