//! What was decided lately, alike decisions together.
//!
//! A list of the last requests runs past the eye a hundred times a second. Requests of one route that went the same way for
//! the same reason are one line with a number; what went wrong stands first.

use std::{collections::BTreeMap, sync::Arc};

use policies::{decide::Lane, policy::Policy};
use predictor::outcome::{Outcome, Spill};
use serde_json::{Value, json};

use crate::{admin::views, control::Shared};

/// Requests that are looked at.
const LATEST: usize = 500;

/// Lines that are told.
const LINES: usize = 12;

/// What makes two decisions alike.
type Key =
    (u32, Option<u16>, &'static str, Option<&'static str>, &'static str, Option<&'static str>, u16);

/// Returns the lines, and of how many requests they are.
pub(super) fn decided(shared: &Shared) -> Value {
    let outcomes = shared.recent(LATEST);
    let mut lines: BTreeMap<Key, (usize, &Outcome, Vec<u32>)> = BTreeMap::new();
    for outcome in &outcomes {
        // Newest first: the first of a kind is shown.
        let line = lines.entry(key(outcome)).or_insert_with(|| (0, outcome, Vec::new()));
        line.0 += 1;
        line.2.push(outcome.total_us);
    }
    let mut lines: Vec<_> = lines.into_values().collect();
    lines.sort_by_key(|(count, outcome, _)| (!is_trouble(outcome), usize::MAX - count));
    lines.truncate(LINES);
    let policies: BTreeMap<u32, Option<Arc<Policy>>> = lines
        .iter()
        .map(|(_, outcome, _)| (outcome.policy, shared.policy(outcome.policy)))
        .collect();
    let shown = lines.iter_mut().filter_map(|(count, outcome, totals)| {
        let policy = policies.get(&outcome.policy)?.as_ref()?;
        let middle = totals.len() / 2;
        let (_, median, _) = totals.select_nth_unstable(middle);
        let mut line = views::decision(policy, outcome);
        line["count"] = json!(count);
        line["median_ms"] = views::milliseconds(*median).into();
        Some(line)
    });
    json!({ "of": outcomes.len(), "lines": shown.collect::<Vec<_>>() })
}

fn key(outcome: &Outcome) -> Key {
    let decision = outcome.decision.as_ref();
    (
        outcome.policy,
        outcome.route.map(|route| route.0),
        decision.map_or("", |decision| decision.class.as_str()),
        outcome.lane.map(Lane::as_str),
        decision.map_or("", |decision| decision.reason.as_str()),
        outcome.spill.map(Spill::as_str),
        outcome.status / 100,
    )
}

/// Tells whether somebody should see it: it failed, or did not run where it was meant to.
fn is_trouble(outcome: &Outcome) -> bool {
    let spilled = outcome.decision.as_ref().is_some_and(|decision| decision.reason.is_spill());
    500 <= outcome.status || outcome.spill.is_some() || spilled
}
