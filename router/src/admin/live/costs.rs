//! What the ledger says, as much of it as the page shows.
//!
//! The books are by route, and to add them up takes longer than a snapshot: so they are read every ten seconds, and what is
//! shown is totals of days, with today's services.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{admin::views, control::Shared};

/// Days that are shown: a week before today.
const DAYS: usize = 8;

/// Services that are shown of today.
const SERVICES: usize = 60;

/// Time between two readings.
const EVERY: Duration = Duration::from_secs(10);

/// What is shown of a service.
const PARTS: [&str; 5] = ["service", "cost", "instead", "saved", "estimated"];

/// What was read last, and when.
#[derive(Debug, Default)]
pub(super) struct Costs(Option<(Instant, Value)>);

impl Costs {
    /// Returns what the ledger says, read anew when that is due.
    pub(super) fn show(&mut self, shared: &Shared, now: Instant) -> &Value {
        let is_due = self.0.as_ref().is_none_or(|(at, _)| EVERY <= now.duration_since(*at));
        if is_due {
            self.0 = None;
        }
        &self.0.get_or_insert_with(|| (now, read(shared))).1
    }
}

fn read(shared: &Shared) -> Value {
    let mut ledger = views::ledger::ledger(&shared.ledger(), DAYS);
    let days = ledger["days"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let days = days.into_iter().enumerate().map(|(place, day)| {
        let services = day["services"].as_array().filter(|_| place == 0);
        let services = services.into_iter().flatten().take(SERVICES).map(shown);
        json!({
            "day": day["day"],
            "total": day["total"],
            "saved": day["saved"],
            "own": day["own"],
            "services": services.collect::<Vec<_>>(),
        })
    });
    json!({ "days": days.collect::<Vec<_>>(), "method": ledger["method"] })
}

fn shown(service: &Value) -> Value {
    PARTS
        .iter()
        .map(|part| ((*part).to_owned(), service[*part].clone()))
        .collect::<Map<_, _>>()
        .into()
}
