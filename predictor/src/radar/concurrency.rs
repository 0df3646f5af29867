//! As many requests run on Lambda at once as may: by the policy, by reserved concurrency, or by the account's.
//!
//! The rise of the last five minutes is drawn on, if it is more than chance: the later half is above the earlier by three
//! standard errors. From nine tenths of a cap on any burst reaches it, so that is told as ten minutes. A cap that was
//! reached all of a minute is trouble: requests are turned away. Where containers have room for them, nothing is lost.

use super::{
    Action, HORIZON_S, Inputs, Kind, Lambda, Level, SOON_S, Warning, counted, latest, number, plain,
};

/// Share of a cap from which on any burst reaches it.
const NEAR: f64 = 0.9;

/// Steps that make a minute.
const MINUTE: usize = 6;

/// Share of a cap below which no rise is drawn on.
const FAR: f64 = 0.5;

/// Length of the steps of `in_flight`, in seconds.
const STEP_S: f64 = 10.0;

/// Steps in a half of what is looked back on; fewer tell no rise.
const HALF: usize = 15;

/// Standard errors by which the halves differ where it rises.
const ERRORS: f64 = 3.0;

pub(super) fn warning(inputs: &Inputs<'_>, lambda: &Lambda<'_>) -> Option<Warning> {
    let own = (reaches(lambda.in_flight, lambda.cap), lambda.in_flight, lambda.cap, lambda.cap_of);
    let shared = lambda.shared.map(|shared| {
        let of = "the account's unreserved concurrency";
        (reaches(shared.in_flight, shared.cap), shared.in_flight, shared.cap, of)
    });
    let all = [Some(own), shared].into_iter().flatten();
    let found = all.filter_map(|(in_s, in_flight, cap, of)| Some((in_s?, in_flight, cap, of)));
    let (in_s, in_flight, cap, of) = found.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let (now, cap) = (latest(in_flight), number(cap));
    let covered = lambda.is_covered(inputs);
    let says = if in_s <= 0.0 {
        let lost = if covered { "; containers have room for the rest" } else { "" };
        format!("{} in flight on Lambda, all that {of} allows{lost}", plain(now))
    } else {
        let in_flight = counted(now, "request");
        format!("{in_flight} in flight on Lambda of {} that {of} allows", plain(cap))
    };
    let in_s = if covered { HORIZON_S } else { in_s };
    let warning = Warning::new(Kind::LambdaConcurrency, in_s, says);
    let action = if covered {
        Action::Taken("requests go to containers instead".to_owned())
    } else {
        Action::Proposed(match of {
            "the account's unreserved concurrency" => {
                "ask AWS for a higher concurrency quota, or shed load from other functions"
                    .to_owned()
            }
            of => {
                format!("raise {of} above {}, if what is behind the function bears it", plain(cap))
            }
        })
    };
    let level = if covered { Level::Watch } else { warning.level };
    let evidence = [("in_flight", now), ("cap", cap), ("rise_per_minute", rise(in_flight) * 60.0)];
    Some(Warning { level, ..warning }.by(&evidence).act(action))
}

/// Returns in how many seconds `cap` is reached, if it is within sight.
fn reaches(in_flight: &[f64], cap: f64) -> Option<f64> {
    let (now, cap) = (latest(in_flight), number(cap));
    if now <= 0.0 {
        return None;
    }
    if MINUTE <= in_flight.iter().rev().take(MINUTE + 1).filter(|n| cap <= number(**n)).count() {
        return Some(0.0);
    }
    if now < cap * FAR {
        return None;
    }
    let rise = rise(in_flight);
    let left = (cap - now).max(0.0);
    let by_rise = (0.0 < rise).then(|| left / rise).filter(|in_s| *in_s <= HORIZON_S);
    let near = (cap * NEAR <= now).then_some(SOON_S);
    by_rise.into_iter().chain(near).reduce(f64::min)
}

/// Returns how much more is in flight each second, over the last five minutes; 0 where it does not rise beyond chance.
fn rise(in_flight: &[f64]) -> f64 {
    if in_flight.len() < 2 * HALF {
        return 0.0;
    }
    let recent = &in_flight[in_flight.len() - 2 * HALF..];
    let ((before, vary_before), (after, vary_after)) =
        (about(&recent[..HALF]), about(&recent[HALF..]));
    let error = ((vary_before + vary_after) / HALF as f64).sqrt();
    let difference = after - before;
    if difference <= ERRORS * error { 0.0 } else { difference / (HALF as f64 * STEP_S) }
}

/// Returns mean and variance.
fn about(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().copied().map(number).sum::<f64>() / n;
    let squares = values.iter().map(|value| (number(*value) - mean).powi(2)).sum::<f64>();
    (mean, squares / (n - 1.0))
}
