//! The brake: while it is on, no capacity is changed by this gateway, nor by any other of its group.
//!
//! It is pulled by hand, when somebody wants to think. It takes effect at once: each call asks for it right before it is
//! made. Other gateways learn of it from this one's beat; of two orders the later one counts, whoever gave it. What keeps
//! capacity as it is goes on: tasks stay protected from scale-in, and the schedule for when Pacer is gone is pushed forward.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// Most characters that are kept of a reason.
const REASON_MAX: usize = 200;

/// To freeze, or to go on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Order {
    /// When it was given, in microseconds of Unix time: the latest counts.
    at_us: u64,
    /// Nothing is to be changed from then on.
    pub(crate) frozen: bool,
    /// Who gave it, as far as that is known.
    pub(crate) by: Arc<str>,
    /// Why, in that person's words.
    pub(crate) reason: Arc<str>,
}

impl Order {
    /// An order that is given now.
    pub(crate) fn new(frozen: bool, by: &str, reason: &str, now: SystemTime) -> Self {
        let at = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let printable = reason.chars().filter(|letter| !letter.is_control());
        Self {
            at_us: u64::try_from(at.as_micros()).unwrap_or(u64::MAX),
            frozen,
            by: by.into(),
            reason: printable.take(REASON_MAX).collect::<String>().into(),
        }
    }

    /// Returns when it was given.
    pub(crate) fn at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.at_us)
    }
}

/// What every call asks right before it is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Brake(Arc<AtomicBool>);

impl Brake {
    /// Tells whether it is on.
    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Relaxed)
    }

    pub(super) fn set(&self, on: bool) {
        self.0.store(on, Relaxed);
    }
}

/// The order that counts, and the brake that follows it.
#[derive(Debug, Default)]
pub(crate) struct Freeze {
    order: Option<Order>,
    brake: Brake,
}

impl Freeze {
    /// Takes in an order; returns whether it is news.
    pub(crate) fn hear(&mut self, order: &Order) -> bool {
        if self.order.as_ref().is_some_and(|own| order <= own) {
            return false;
        }
        self.brake.set(order.frozen);
        self.order = Some(order.clone());
        true
    }

    /// Returns the order that counts, if there ever was one.
    pub(crate) fn order(&self) -> Option<&Order> {
        self.order.as_ref()
    }

    /// Returns the order to freeze that is in force.
    pub(crate) fn frozen(&self) -> Option<&Order> {
        self.order().filter(|order| order.frozen)
    }

    /// Returns what calls ask.
    pub(crate) fn brake(&self) -> Brake {
        self.brake.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn the_later_order_counts_in_whatever_order_they_are_heard() {
        let freeze = Order::new(true, "operator", "odd\nload", at(10));
        let thaw = Order::new(false, "operator", "", at(20));
        assert_eq!(&*freeze.reason, "oddload");
        let orders = [&freeze, &thaw];
        for (first, second) in [(0, 1), (1, 0)] {
            let mut own = Freeze::default();
            assert!(own.hear(orders[first]));
            own.hear(orders[second]);
            assert_eq!(own.order(), Some(&thaw));
            assert!(!own.brake().is_on() && own.frozen().is_none());
        }
        let mut own = Freeze::default();
        let brake = own.brake();
        assert!(!brake.is_on());
        assert!(own.hear(&freeze) && !own.hear(&freeze), "once it is no news");
        assert!(brake.is_on() && own.frozen() == Some(&freeze));
    }
}
