//! A decision in words: what `pacer explain` prints.
//!
//! Text for people, one fact a line. Nothing is decided here: the lines say what [`crate::decide::decide`] decided from
//! the same inputs.

use std::time::Duration;

use crate::{
    cost::PicoUsd,
    decide::{
        Belief, Body, Cause, Class, Decision, Facts, LAMBDA_EVENT_MAX, Lane, LaneStates, MIN_SEEN,
        Reason, Refusal, marathon_share,
    },
    policy::{Mode, Route, Service},
    units::{show_duration, show_size},
};

/// Explains `decision`, which was made from the other arguments.
///
/// The lines say, in this order: route and service; class and why; lane and why, with what the other would cost; what was
/// ruled out and why; whether the request may spill.
pub fn explain(
    facts: &Facts,
    route: &Route,
    service: &Service,
    belief: &Belief,
    lanes: &LaneStates,
    decision: &Decision,
) -> Vec<String> {
    let mut lines =
        vec![format!("route {} ({}) -> service {}", route.name, route.place, service.name)];
    lines.push(class_line(route, service, belief, *decision));
    lines.push(lane_line(route, belief, *decision));
    for lane in Lane::ALL {
        let against: Vec<String> = decision
            .ruled_out
            .of(lane)
            .map(|cause| cause_text(cause, facts, route, service, belief, lanes))
            .collect();
        if !against.is_empty() {
            lines.push(format!("against {}: {}", lane.as_str(), against.join("; ")));
        }
    }
    if let Some(lane) = decision.lane {
        lines.push(spill_line(lane, decision.spill, lanes));
    }
    lines
}

/// Says what the request is taken for: `marathon: p95 4.1s of 212 seen (sprinter up to 1s)`.
fn class_line(route: &Route, service: &Service, belief: &Belief, decision: Decision) -> String {
    let class = decision.class.as_str();
    let bound = show_duration(route.auto.sprinter_up_to);
    if route.class.is_some() {
        return format!("{class}: declared by the route");
    }
    let p95 = show_duration(Duration::from_micros(u64::from(belief.p95_us)));
    let prior = show_duration(route.auto.prior);
    match service.mode {
        Mode::Off => {
            format!("{class}: prior {prior} (sprinter up to {bound}); mode off learns nothing")
        }
        Mode::Observe | Mode::Act if belief.seen < MIN_SEEN => {
            format!(
                "{class}: prior {prior} (sprinter up to {bound}); {} of {MIN_SEEN} seen",
                belief.seen
            )
        }
        Mode::Observe | Mode::Act => {
            let share = marathon_share(belief.p95_us, route.auto.sprinter_up_to);
            let seen = belief.seen;
            if share <= 0.0 || 1.0 <= share {
                return format!("{class}: p95 {p95} of {seen} seen (sprinter up to {bound})");
            }
            let percent = (share * 100.0).round();
            format!(
                "{class}: p95 {p95} of {seen} seen, near {bound}: {percent} of 100 such requests are marathons"
            )
        }
    }
}

/// Says where it goes: `container: home of marathons, $0.00012 against $0.00031 on lambda`.
fn lane_line(route: &Route, belief: &Belief, decision: Decision) -> String {
    let Some(lane) = decision.lane else {
        let why = match decision.refusal() {
            Some(Refusal::TooLarge) => {
                "413, its body is too large for the one lane that could take it"
            }
            Some(Refusal::NotPossible) => "501, no lane of this route can ever take it",
            Some(Refusal::Unavailable) | None => "503, no lane can take it now",
        };
        return format!("refused: {why}");
    };
    let other = lane.other();
    let why = match decision.reason {
        Reason::OnlyLane => "the service has no other lane".to_owned(),
        Reason::HardRule => format!("{} is ruled out", other.as_str()),
        Reason::Declared | Reason::Learned | Reason::Prior | Reason::Borderline => {
            format!("home of {}s", decision.class.as_str())
        }
        Reason::SpillSlotsFull => "spilled, all slots are busy".to_owned(),
        Reason::SpillNoTasks => "spilled, no task is ready".to_owned(),
        Reason::SpillLambdaCapped => "spilled, lambda has its cap in flight".to_owned(),
        Reason::SpillLambdaDown => "spilled, lambda's circuit breaker is open".to_owned(),
        Reason::Refused => "refused".to_owned(),
    };
    let cost = cost_text(lane, belief);
    let against = match cost_of(other, belief) {
        PicoUsd::ZERO => String::new(),
        amount if route.lanes.has(other) => format!(" against {} {amount}", other.as_str()),
        _ => String::new(),
    };
    format!("{}: {why}{cost}{against}", lane.as_str())
}

fn cost_text(lane: Lane, belief: &Belief) -> String {
    match cost_of(lane, belief) {
        PicoUsd::ZERO => String::new(),
        amount => format!("; {} {amount}", lane.as_str()),
    }
}

fn cost_of(lane: Lane, belief: &Belief) -> PicoUsd {
    match lane {
        Lane::Lambda => belief.cost_lambda,
        Lane::Container => belief.cost_container,
    }
}

fn spill_line(lane: Lane, spill: Option<Lane>, lanes: &LaneStates) -> String {
    match spill {
        Some(other) => {
            format!(
                "may spill to {} when {} is full or fails without having run it",
                other.as_str(),
                lane.as_str()
            )
        }
        None if lane == Lane::Container && lanes.container.slots_free == 0 => {
            format!("may not spill: it waits for a slot behind {} others", lanes.container.waiting)
        }
        None => "may not spill".to_owned(),
    }
}

fn cause_text(
    cause: Cause,
    facts: &Facts,
    route: &Route,
    service: &Service,
    belief: &Belief,
    lanes: &LaneStates,
) -> String {
    match cause {
        Cause::LambdaAbsent | Cause::ContainerAbsent => {
            format!("service {} has no such lane", service.name)
        }
        Cause::LambdaNotInRoute | Cause::ContainerNotInRoute => {
            "not among the route's lanes".to_owned()
        }
        Cause::Upgrade => "cannot carry an upgraded connection".to_owned(),
        Cause::Grpc => "cannot carry gRPC".to_owned(),
        Cause::Trailers => "cannot carry trailers".to_owned(),
        Cause::BodyTooLarge => {
            let size = match facts.body {
                Body::Encoded(bytes) => bytes,
                Body::Empty | Body::Streaming => 0,
            };
            format!("the event would be {size} bytes, above {}", show_size(LAMBDA_EVENT_MAX))
        }
        Cause::BodyStreaming => {
            format!("the body is of unknown length and above {}", show_size(route.buffer))
        }
        Cause::TooLong => {
            let timeout = service.lambda.as_ref().map_or(Duration::ZERO, |lambda| lambda.timeout);
            let expected = if service.mode.learns() && MIN_SEEN <= belief.seen {
                Duration::from_micros(u64::from(belief.p95_us))
            } else {
                route.auto.prior
            };
            format!(
                "{} reaches the function's timeout of {}",
                show_duration(expected),
                show_duration(timeout)
            )
        }
        Cause::NeedsStorage => "the service needs local storage".to_owned(),
        Cause::NeedsAffinity => "the service needs one client's requests on one task".to_owned(),
        Cause::Capped => {
            let cap = service.lambda.as_ref().map_or(0, |lambda| lambda.max_in_flight);
            format!("{} in flight of at most {cap}", lanes.lambda.in_flight)
        }
        Cause::Down => "its circuit breaker is open".to_owned(),
        Cause::NoTasks => "no task is ready".to_owned(),
        Cause::SlotsFull => format!("all slots are busy, {} waiting", lanes.container.waiting),
    }
}

/// Returns the one word and number that stand in the decision header: `lane=lambda class=sprinter reason=learned`.
pub fn header_value(decision: &Decision) -> String {
    let lane = decision.lane.map_or("none", Lane::as_str);
    let class: Class = decision.class;
    format!("lane={lane} class={} reason={}", class.as_str(), decision.reason.as_str())
}
