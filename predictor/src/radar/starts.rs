//! Tasks take longer to start than is planned with.
//!
//! A plan asks for tasks as far ahead as 95 of 100 starts take. One that is not ready at half as much again, and by half a
//! minute more, is late: an image that does not come, a health check that fails, no capacity in the zone.

use super::{
    Action, HORIZON_S, Inputs, Kind, Tasks, Warning,
    capacity::{crossing, room},
    counted, lasting, number,
};

/// How many times as long as planned a start takes that is late, and by how many seconds.
const TIMES: f64 = 1.5;
const BEYOND_S: f64 = 30.0;

pub(super) fn warning(inputs: &Inputs<'_>, tasks: &Tasks<'_>) -> Option<Warning> {
    let planned_s = number(tasks.start_s);
    let from_s = (planned_s * TIMES).max(planned_s + BEYOND_S);
    let late = tasks.coming.iter().filter(|coming| from_s < number(coming.since_s));
    let (count, oldest_s) = late.fold((0, 0.0), |(count, oldest_s), coming| {
        (count + coming.tasks, f64::max(oldest_s, number(coming.since_s)))
    });
    // Where nothing is planned, nothing is late.
    if count == 0 || planned_s <= 0.0 {
        return None;
    }
    // Until what is asked exceeds what there is without them.
    let on_lambda = inputs.lambda.as_ref().map_or(0.0, super::Lambda::room);
    let only_here = number(tasks.only_here).min(1.0);
    let crossings = [
        crossing(tasks.demand, 1.0, &room(tasks, on_lambda, false)),
        crossing(tasks.demand, only_here, &room(tasks, 0.0, false)),
    ];
    let in_s = crossings.into_iter().flatten().map(|found| found.in_s).fold(HORIZON_S, f64::min);
    let says = format!(
        "{} not ready {} after being asked for; planned with {}",
        counted(count.into(), "task"),
        lasting(oldest_s),
        lasting(planned_s),
    );
    let action = "look at why they do not start: stopped tasks in ECS (image, health check, capacity of the zone)";
    let evidence = [
        ("late_tasks", f64::from(count)),
        ("oldest_seconds", oldest_s),
        ("planned_seconds", planned_s),
        ("ready_tasks", f64::from(tasks.ready)),
    ];
    let warning = Warning::new(Kind::StartLag, in_s, says).by(&evidence);
    Some(warning.act(Action::Proposed(action.to_owned())))
}
