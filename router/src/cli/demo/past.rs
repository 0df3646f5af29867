//! What the demo's gateway was asked before: the fortnight before the recording, made from the recording itself.
//!
//! A rhythm is what forecasts live on, and half an hour has none. So each of the days before is given the same half hour,
//! thinned at random anew, a little more on one day than on another. That is said on the screen: nobody recorded those days.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use pacer_demo::load::{arrivals::Trace, draw::Draw};
use policies::policy::{Policy, State};

use super::asked::{Asked, Home};
use crate::history::{History, STEP_S, Step};

/// Days before the recording: what forecasts of a rhythm of days and weeks ask for.
pub(super) const DAYS: u64 = 14;

/// By how much a day may be busier or calmer than the recorded one.
const LEVELS: std::ops::Range<f64> = 0.9..1.1;

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// Returns what containers were asked first in each ten seconds of those days: when these began, and how many requests of
/// which mean.
pub(super) fn steps(trace: &Trace, home: Home, seed: u64) -> Vec<(u64, Step)> {
    let mut draw = Draw::new(seed);
    let mut steps = Vec::new();
    for day in (1..=DAYS).rev() {
        let level = LEVELS.start + (LEVELS.end - LEVELS.start) * draw.unit();
        let keep = home.share * level;
        let begins = trace.start.saturating_sub(day * DAY_S);
        // Steps begin at whole tens, wherever the recording does.
        let mut asked: BTreeMap<u64, u64> = BTreeMap::new();
        for (at_s, &count) in (begins..).zip(&trace.counts) {
            let kept = (0..count).filter(|_| draw.unit() < keep).count() as u64;
            *asked.entry(at_s / STEP_S * STEP_S).or_default() += kept;
        }
        let step = |(at_s, requests)| {
            (at_s, Step::new(requests, (requests as f64 * home.mean * 1e6) as u64))
        };
        steps.extend(asked.into_iter().map(step));
    }
    steps
}

/// Writes that past of each service to the history in `directory`.
///
/// # Errors
/// When it cannot be written.
pub(super) async fn write(
    directory: &Path,
    policy: &Policy,
    asked: &[Asked],
    trace: &Trace,
    seed: u64,
) -> anyhow::Result<()> {
    let told = || format!("cannot write what was asked before to {}", directory.display());
    let state = State::Directory(directory.to_owned());
    let (mut history, mut loading) = History::open(Some(&state), None).with_context(told)?;
    // Opened when it was read: it is empty.
    let loaded = loading.next().await.with_context(told)?;
    if let Some(error) = history.health().error {
        return Err(anyhow::anyhow!(error).context(told()));
    }
    ensure!(
        loaded.services().next().is_none(),
        "there is a history in {} already",
        directory.display()
    );
    for asked in asked {
        let name: Arc<str> = policy.service(asked.service).name.clone();
        for (at_s, step) in steps(trace, asked.home(policy), seed) {
            history.append(&name, at_s, step);
        }
    }
    history.close().await;
    Ok(())
}

#[cfg(test)]
mod tests;
