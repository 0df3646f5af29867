//! Spot takes tasks back.
//!
//! As many more as in the last quarter of an hour, at the same pace, until those that are left are too few for what is asked
//! now. A single one of many is no pressure: it is replaced before the notice runs out.

use super::{Action, HORIZON_S, Kind, May, SPOT_WINDOW_S, Tasks, Warning, counted, number, plain};

pub(super) fn warning(tasks: &Tasks<'_>) -> Option<Warning> {
    if tasks.taken_back == 0 || tasks.on_spot == 0 {
        return None;
    }
    let needed = (tasks.now() / f64::from(tasks.slots_each.max(1))).ceil();
    let spare = (f64::from(tasks.ready) - needed).max(0.0);
    // With fewer on Spot than are spare, all of them may go.
    if f64::from(tasks.on_spot) < spare {
        return None;
    }
    let in_s = (spare + 1.0) * SPOT_WINDOW_S / f64::from(tasks.taken_back);
    if HORIZON_S < in_s {
        return None;
    }
    let says = format!(
        "Spot took {} back in the last 15 min; {} more would leave too few for {}",
        counted(tasks.taken_back.into(), "task"),
        plain(spare + 1.0),
        counted(number(tasks.now()), "busy slot"),
    );
    let action = match tasks.may {
        May::Act | May::Other => Action::Taken("each is replaced when its notice comes".to_owned()),
        May::Observe | May::Hindered(_) | May::Fixed => Action::Proposed(
            "have fewer on Spot (the capacity provider strategy), or ask for more tasks".to_owned(),
        ),
    };
    let warning = Warning::new(Kind::Spot, in_s, says).by(&[
        ("taken_back_tasks", f64::from(tasks.taken_back)),
        ("spot_tasks", f64::from(tasks.on_spot)),
        ("ready_tasks", f64::from(tasks.ready)),
        ("needed_tasks", needed),
    ]);
    Some(warning.act(action))
}
