//! Environments are needed faster than Lambda starts them.
//!
//! A function's concurrency grows by 1,000 environments every ten seconds at most, refilled continuously; what is not used
//! does not add up ("Understanding Lambda function scaling", AWS Lambda developer guide, read 2026-11). What is needed is
//! what is in flight beyond all that was of late, and what containers will not be able to take.

use super::{
    Action, HORIZON_S, Inputs, Kind, Lambda, Warning,
    capacity::{crossing, room},
    counted, latest, number, plain,
};

/// Environments that a function starts in ten seconds at most.
const PER_TEN_SECONDS: f64 = 1000.0;

/// Share of it that is close.
const NEAR: f64 = 0.5;

pub(super) fn warning(inputs: &Inputs<'_>, lambda: &Lambda<'_>) -> Option<Warning> {
    let started = started(lambda.in_flight);
    let come = to_come(inputs, lambda);
    let in_s = if PER_TEN_SECONDS <= started {
        Some(0.0)
    } else if PER_TEN_SECONDS * NEAR <= started {
        // The next ten seconds that are twice as steep.
        Some(come.map_or(60.0, |(in_s, _)| in_s.min(60.0)))
    } else {
        come.map(|(in_s, _)| in_s)
    }?;
    let says = match come {
        Some((_, needed)) if started < PER_TEN_SECONDS * NEAR => format!(
            "{} will be needed on Lambda, {} run: more than its 1,000 new ones in ten seconds",
            counted(needed, "environment"),
            plain(latest(lambda.in_flight)),
        ),
        _ => format!(
            "{} started in ten seconds; Lambda starts 1,000 of a function at most",
            counted(started, "environment"),
        ),
    };
    let action = "hold more ready: `warm_pool`, or tasks for what is foreseen";
    let warning = Warning::new(Kind::LambdaLaunchRate, in_s, says).by(&[
        ("started_in_ten_seconds", started),
        ("limit_in_ten_seconds", PER_TEN_SECONDS),
        ("needed", come.map_or(0.0, |(_, needed)| needed)),
        ("in_flight", latest(lambda.in_flight)),
    ]);
    Some(warning.act(Action::Proposed(action.to_owned())))
}

/// Returns about how many environments started within the latest ten seconds: those beyond the most of the five minutes before.
fn started(in_flight: &[f64]) -> f64 {
    let Some((now, before)) = in_flight.split_last() else { return 0.0 };
    let most = |values: &[f64]| values.iter().copied().map(number).fold(0.0, f64::max);
    // Those under way may be a moment old: the rise of a ten seconds is seen whole in those before.
    let this = (number(*now) - most(before)).max(0.0);
    let last =
        before.split_last().map_or(0.0, |(now, before)| (number(*now) - most(before)).max(0.0));
    this.max(last)
}

/// Returns in how many seconds more is needed than can be started until then, and how many.
fn to_come(inputs: &Inputs<'_>, lambda: &Lambda<'_>) -> Option<(f64, f64)> {
    let tasks = inputs.tasks.as_ref()?;
    if tasks.demand.iter().all(|ahead| number(ahead.p90) <= PER_TEN_SECONDS) {
        return None;
    }
    // What can run by then grows as fast as Lambda lets it: a line, drawn as steps of ten seconds from what runs now.
    let now = latest(lambda.in_flight);
    let spare = (now - number(lambda.own)).max(0.0);
    let slots = room(tasks, spare, true);
    let last_s = tasks.demand.last().map(|ahead| number(ahead.in_s))?;
    let grown: Vec<_> = (0..=(HORIZON_S / 10.0) as u32)
        .map(|step| f64::from(step) * 10.0)
        .take_while(|in_s| *in_s <= last_s)
        .map(|in_s| {
            let there = slots.iter().rev().find(|(from_s, _)| *from_s <= in_s);
            (in_s, there.map_or(0.0, |(_, slots)| *slots) + PER_TEN_SECONDS * (in_s / 10.0 + 1.0))
        })
        .collect();
    let found = crossing(tasks.demand, 1.0 - number(tasks.only_here).min(1.0), &grown)?;
    Some((found.in_s, (found.peak - tasks.slots()).max(0.0)))
}
