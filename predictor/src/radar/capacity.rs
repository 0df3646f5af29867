//! More will be asked than can be served.
//!
//! What is ready, and what was asked for and will be, makes a line that rises by steps; what is asked, its p90, another one.
//! Trouble begins where they cross. What containers cannot take goes to Lambda, as far as it may and has room. Where Pacer
//! acts, whatever is needed after a start's length can still be asked for: up to `tasks.max`.

use super::{Action, Ahead, Inputs, Kind, Level, May, Tasks, Warning, counted, number, plain};

/// What serves, from a moment on: `(in_s, slots)`, in order of time.
pub(super) type Room = Vec<(f64, f64)>;

/// Where demand first exceeds what there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Crossing {
    pub(super) in_s: f64,
    /// The most that is asked from then on, and what there is when it begins.
    pub(super) peak: f64,
    pub(super) room: f64,
}

pub(super) fn warning(
    inputs: &Inputs<'_>,
    tasks: &Tasks<'_>,
    clock: &dyn Fn(u64) -> String,
) -> Option<Warning> {
    let on_lambda = inputs.lambda.as_ref().map_or(0.0, super::Lambda::room);
    let only_here = number(tasks.only_here).min(1.0);
    // What may go to Lambda has both; what may not, containers alone.
    let all = crossing(tasks.demand, 1.0, &room(tasks, on_lambda, true));
    let bound = crossing(tasks.demand, only_here, &room(tasks, 0.0, true));
    let first = [all, bound].into_iter().flatten().min_by(|a, b| a.in_s.total_cmp(&b.in_s))?;
    let when = match Level::of(first.in_s) {
        Level::Now => "now".to_owned(),
        _ => format!("at {}", clock(inputs.now_s.saturating_add(first.in_s as u64))),
    };
    let of_lambda = match &inputs.lambda {
        None => String::new(),
        Some(_) if bound == Some(first) && all.is_none_or(|all| first.in_s < all.in_s) => {
            ", and Lambda may not take them".to_owned()
        }
        Some(lambda) if !lambda.up => ", and Lambda is down".to_owned(),
        Some(_) => format!(", with {} on Lambda", plain(on_lambda)),
    };
    let demand = at(tasks.demand, first.in_s) * if bound == Some(first) { only_here } else { 1.0 };
    let says = format!(
        "demand p90 reaches {} {when}, up to {} within the hour; {} will be ready{of_lambda}",
        counted(demand, "slot"),
        plain(first.peak),
        plain(first.room),
    );
    let each = f64::from(tasks.slots_each.max(1));
    let coming: u32 = tasks.coming.iter().map(|coming| coming.tasks).sum();
    let needed = ((first.peak - if bound == Some(first) { 0.0 } else { on_lambda }) / each).ceil();
    let warning = Warning::new(Kind::Capacity, first.in_s, says).by(&[
        ("demand_slots", demand),
        ("demand_now_slots", tasks.now()),
        ("peak_slots", first.peak),
        ("ready_slots", tasks.slots()),
        ("room_slots", first.room),
        ("lambda_room", on_lambda),
        ("coming_tasks", f64::from(coming)),
        ("needed_tasks", needed),
        ("start_seconds", tasks.start_s),
    ]);
    Some(warning.act(action(inputs, tasks, needed, clock)))
}

/// Tells of a service of Lambda alone whose function is not called: nothing serves it.
pub(super) fn without_containers(inputs: &Inputs<'_>) -> Option<Warning> {
    let lambda = inputs.lambda.as_ref().filter(|lambda| !lambda.up)?;
    if number(lambda.calls) <= 0.0 {
        return None;
    }
    let says = "its function is not called, and it has no other lane".to_owned();
    let action = "see the function's state in `pacer status`: the lane is tried again by itself";
    let warning =
        Warning::new(Kind::Capacity, 0.0, says).by(&[("calls_last_minute", lambda.calls)]);
    Some(warning.act(Action::Proposed(action.to_owned())))
}

fn action(
    inputs: &Inputs<'_>,
    tasks: &Tasks<'_>,
    needed: f64,
    clock: &dyn Fn(u64) -> String,
) -> Action {
    let coming: u32 = tasks.coming.iter().map(|coming| coming.tasks).sum();
    let asked_for = asked_for(inputs, tasks, clock);
    let would_do = counted(needed.max(1.0), "task");
    let most = tasks.most.map_or(f64::INFINITY, f64::from);
    match tasks.may {
        May::Fixed => Action::Proposed(format!("add upstreams: {would_do} would do")),
        May::Hindered(why) => Action::Proposed(format!("no task can be asked for: {why}")),
        _ if most < needed => {
            let asked_for =
                asked_for.map_or_else(String::new, |asked_for| format!("{asked_for}; "));
            let raise = format!("raise `tasks.max` above {most}: {would_do} would do");
            Action::Proposed(format!("{asked_for}{raise}"))
        }
        May::Observe => {
            Action::Proposed(format!("ask for {would_do}; with `mode: act` Pacer does so in time"))
        }
        May::Other => Action::Taken("the gateway that leads asks for tasks".to_owned()),
        May::Act => match (asked_for, tasks.planned) {
            (Some(asked_for), _) => Action::Taken(asked_for),
            (None, Some(planned)) if tasks.ready + coming < planned => {
                Action::Taken(format!("{} are being asked for", counted(planned.into(), "task")))
            }
            (None, _) => Action::None("more are asked for once they would pay".to_owned()),
        },
    }
}

/// Says which tasks were asked for, and until when all of them should be ready.
fn asked_for(
    inputs: &Inputs<'_>,
    tasks: &Tasks<'_>,
    clock: &dyn Fn(u64) -> String,
) -> Option<String> {
    let coming: u32 = tasks.coming.iter().map(|coming| coming.tasks).sum();
    let since_s = tasks.coming.iter().map(|coming| number(coming.since_s)).fold(0.0, f64::max);
    let due_s = tasks.coming.iter().map(|coming| due_in(coming, tasks)).fold(0.0, f64::max);
    let asked = clock(inputs.now_s.saturating_sub(since_s as u64));
    let ready = clock(inputs.now_s.saturating_add(due_s as u64));
    let tasks = counted(coming.into(), "task");
    (0 < coming).then(|| format!("{tasks} asked for at {asked}, ready by {ready}"))
}

/// Returns in how many seconds tasks that are coming are taken to be ready. Late ones as much later again: nobody knows.
pub(super) fn due_in(coming: &super::Coming, tasks: &Tasks<'_>) -> f64 {
    (number(tasks.start_s) - number(coming.since_s)).abs()
}

/// Returns the slots that there will be, with `beside` in another lane; without what is late unless `late` is expected, too.
pub(super) fn room(tasks: &Tasks<'_>, beside: f64, late: bool) -> Room {
    let each = f64::from(tasks.slots_each);
    let is_late = |coming: &super::Coming| number(tasks.start_s) < number(coming.since_s);
    let expected = tasks.coming.iter().filter(|coming| late || !is_late(coming));
    let mut steps: Vec<_> =
        expected.map(|coming| (due_in(coming, tasks), f64::from(coming.tasks) * each)).collect();
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut slots = tasks.slots() + beside;
    let mut room = vec![(0.0, slots)];
    for (in_s, more) in steps {
        slots += more;
        room.push((in_s, slots));
    }
    if let (May::Act | May::Other, Some(most)) = (tasks.may, tasks.most) {
        let most = f64::from(most) * each + beside;
        // From then on there is what is asked for now, as far as that may be.
        let asked_now_s = number(tasks.start_s);
        let (before, after): (Vec<_>, Vec<_>) =
            room.into_iter().partition(|(in_s, _)| *in_s < asked_now_s);
        let there = before.last().map_or(0.0, |(_, slots)| *slots).max(most);
        let after = after.into_iter().map(|(in_s, slots)| (in_s, slots.max(most)));
        room = before.into_iter().chain([(asked_now_s, there)]).chain(after).collect();
    }
    room
}

/// Returns where `share` of the demand first exceeds `room`. Between two moments demand is on the line between them; beyond
/// the last one nothing is known.
pub(super) fn crossing(demand: &[Ahead], share: f64, room: &Room) -> Option<Crossing> {
    let share = number(share);
    let peak_from = |in_s: f64| {
        let later = demand.iter().filter(|ahead| in_s <= number(ahead.in_s));
        later.map(|ahead| number(ahead.p90) * share).fold(at(demand, in_s) * share, f64::max)
    };
    let found = |in_s: f64, room: f64| Crossing { in_s, peak: peak_from(in_s), room };
    let last_s = demand.last().map(|ahead| number(ahead.in_s))?;
    for (place, &(from_s, slots)) in room.iter().enumerate() {
        let until_s = room.get(place + 1).map_or(last_s, |next| next.0.min(last_s));
        if until_s < from_s {
            continue;
        }
        if slots < at(demand, from_s) * share {
            return Some(found(from_s, slots));
        }
        for pair in demand.windows(2) {
            let (a, b) = (number(pair[0].in_s).max(from_s), number(pair[1].in_s).min(until_s));
            if b < a {
                continue;
            }
            if slots < at(demand, b) * share {
                // Where the whole line crosses: the same wherever it is cut into pieces.
                let (low, high) = (number(pair[0].p90) * share, number(pair[1].p90) * share);
                let part = if low < high { (slots - low) / (high - low) } else { 0.0 };
                let (from, until) = (number(pair[0].in_s), number(pair[1].in_s));
                return Some(found((from + part * (until - from)).clamp(a, b), slots));
            }
        }
    }
    None
}

/// Returns the demand at a moment: before the first that is known like that one, after the last like that.
fn at(demand: &[Ahead], in_s: f64) -> f64 {
    let after = demand.partition_point(|ahead| number(ahead.in_s) <= in_s);
    let value = |place: usize| number(demand[place].p90);
    match (after.checked_sub(1), demand.get(after)) {
        (None, None) => 0.0,
        (None, Some(_)) => value(0),
        (Some(before), None) => value(before),
        (Some(before), Some(next)) => {
            let (from, until) = (number(demand[before].in_s), number(next.in_s));
            let part = if from < until { (in_s - from) / (until - from) } else { 1.0 };
            value(before) + part * (value(after) - value(before))
        }
    }
}
