//! What Pacer goes by cannot be read or kept.
//!
//! It serves on with what it knew last, so nothing is lost by that alone: only a service of which no task is ready, and
//! nothing else serves, is in trouble.

use super::{Action, HORIZON_S, Inputs, Kind, Warning, counted};

/// Listings that fail in a row before it is told: one that is throttled is no news.
const FAILURES: u32 = 3;

pub(super) fn warnings(inputs: &Inputs<'_>) -> impl Iterator<Item = Warning> {
    let not_listed = inputs.not_listed.filter(|(_, failures)| FAILURES <= *failures);
    let not_listed = not_listed.map(|(why, failures)| {
        let serves = inputs.tasks.as_ref().is_some_and(|tasks| 0 < tasks.ready)
            || inputs.lambda.as_ref().is_some_and(|lambda| lambda.up);
        let times = counted(failures.into(), "time");
        let says = format!("its tasks could not be listed {times} in a row: {why}");
        let in_s = if serves { HORIZON_S } else { 0.0 };
        let action = "mend what the error names; the tasks known last are used until then";
        let warning = Warning::new(Kind::Discovery, in_s, says);
        let warning = warning.by(&[("failures_in_a_row", failures.into())]);
        warning.act(Action::Proposed(action.to_owned()))
    });
    let not_read = inputs.not_read.filter(|_| not_listed.is_none()).map(|why| {
        let says = format!("its function could not be read: {why}");
        let action = "mend what the error names; what was read last holds until then";
        Warning::new(Kind::Discovery, HORIZON_S, says).act(Action::Proposed(action.to_owned()))
    });
    let not_kept = inputs.not_kept.map(|why| {
        let says = format!("what is asked is not kept, and a restart would forget it: {why}");
        let action = "mend `state`; traffic is served all the same";
        Warning::new(Kind::State, HORIZON_S, says).act(Action::Proposed(action.to_owned()))
    });
    [not_listed, not_read, not_kept].into_iter().flatten()
}
