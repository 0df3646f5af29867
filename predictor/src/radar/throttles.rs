//! Lambda refuses calls: for too many at once, or too many a second.
//!
//! A refused call has not run, and goes to containers where it may. So it is trouble only where they have no room for it.

use super::{Action, HORIZON_S, Inputs, Kind, Lambda, Warning, counted, number, plain};

/// Calls refused in a minute below which nothing is said: single ones come with every deployment.
const FEWEST: f64 = 5.0;

/// Share of all calls below which nothing is said.
const SHARE: f64 = 0.01;

pub(super) fn warning(inputs: &Inputs<'_>, lambda: &Lambda<'_>) -> Option<Warning> {
    let (calls, throttled) = (number(lambda.calls), number(lambda.throttled));
    let calls = calls.max(throttled);
    if throttled < FEWEST || throttled < calls * SHARE {
        return None;
    }
    let covered = lambda.is_covered(inputs);
    let share = throttled / calls;
    let of = counted(calls, "call");
    let says = format!("Lambda refused {} of {of} in the last minute", plain(throttled));
    let action = if covered {
        Action::Taken("requests go to containers instead".to_owned())
    } else {
        Action::Proposed(
            "see `pacer_lambda_errors_total` for the reason; raise reserved concurrency or the account's quota".to_owned(),
        )
    };
    let in_s = if covered { HORIZON_S } else { 0.0 };
    let evidence =
        [("throttled_last_minute", throttled), ("calls_last_minute", calls), ("share", share)];
    Some(Warning::new(Kind::Throttles, in_s, says).by(&evidence).act(action))
}
