//! The control loop's part in the books and in the brake: what was used is booked, orders to freeze are passed on, and both are
//! kept.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Control, act::warm::Warmed, audit::Entry};
use crate::{history::Kind, ledger};

/// Time between two looks at what was used: what the books lose when the gateway is killed.
const BOOK_EVERY: Duration = Duration::from_secs(1);

impl Control {
    /// Tells other gateways of an order to freeze, or to go on, and takes theirs in.
    pub(super) fn obey(&mut self, now: Instant) {
        if let Some(theirs) = &self.gateways.group().order
            && self.shared.order(theirs)
        {
            self.shared.audit().add(Entry::of_order(theirs, "another gateway"));
        }
        if let Some(order) = self.shared.latest_order()
            && self.gateways.orders(&order, now)
            && let Ok(kept) = serde_json::to_vec(&order)
        {
            self.history.remember(Kind::Order, [("latest".into(), kept)]);
            self.history.hasten();
        }
    }

    /// Books what was used, once a second.
    pub(super) fn book(&mut self, now: Instant, clock: SystemTime) {
        if now.duration_since(self.booked) < BOOK_EVERY {
            return;
        }
        self.booked = now;
        self.book_now(clock);
        self.keep_books();
    }

    /// Books what was used until now.
    pub(super) fn book_now(&mut self, clock: SystemTime) {
        let leads = self.gateways.lease().holds(Instant::now(), clock);
        let functions = self.shared.stats().functions();
        let mut ledger = self.shared.ledger();
        for (service, lives) in self.clusters.take_lives() {
            ledger.tasks(&service, lives);
        }
        let series = self.shared.series();
        let view =
            ledger::View { world: &self.world, series: &series, functions: &functions, leads };
        ledger.look(&view, clock);
    }

    /// Books a round of warm-up invokes.
    pub(super) fn book_warmed(&self, warmed: &Warmed, clock: SystemTime) {
        let service = self.policy.services.iter().find(|service| service.name == warmed.service);
        let Some(lambda) = service.and_then(|service| service.lambda.as_ref()) else { return };
        if let Some(used) = warmed.used(lambda) {
            self.shared.ledger().warmed(&warmed.service, lambda.arch, used, clock);
        }
    }
}
