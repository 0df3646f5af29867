//! The rules of deciding, one row each.

use std::time::Duration;

use super::{
    Belief, Body, Class, ContainerState, Decision, Facts, LambdaState, Lane, LaneStates, Reason,
    Refusal, decide,
};
use crate::{
    explain::{explain, header_value},
    policy::Policy,
    route::Head,
    sample,
};

pub(super) const READY: LaneStates = LaneStates {
    lambda: LambdaState { up: true, in_flight: 0 },
    container: ContainerState { up: true, slots: 4, slots_free: 4, waiting: 0 },
};
const NO_TASKS: LaneStates = LaneStates {
    container: ContainerState { up: false, slots: 0, slots_free: 0, waiting: 0 },
    ..READY
};
const FULL: LaneStates = LaneStates {
    // The next slot but four: 5 x 200 ms / 4 = 250 ms, longer than the 200 ms that anyone waits.
    container: ContainerState { up: true, slots: 4, slots_free: 0, waiting: 4 },
    ..READY
};
const FULL_FOR_A_MOMENT: LaneStates = LaneStates {
    container: ContainerState { up: true, slots: 4, slots_free: 0, waiting: 3 },
    ..READY
};
const CAPPED: LaneStates = LaneStates { lambda: LambdaState { up: true, in_flight: 10 }, ..READY };
const DOWN: LaneStates = LaneStates { lambda: LambdaState { up: false, in_flight: 0 }, ..READY };

pub(super) fn seen(p95: Duration) -> Belief {
    let us = u32::try_from(p95.as_micros()).unwrap();
    Belief {
        seen: 212,
        mean_us: us / 2,
        p50_us: us / 2,
        p95_us: us,
        p_long: 0.5,
        ..Belief::default()
    }
}

fn nothing_seen() -> Belief {
    Belief::default()
}

struct Asked<'p> {
    policy: &'p Policy,
    path: &'p str,
    facts: Facts,
    belief: Belief,
    lanes: LaneStates,
    draw: u64,
}

impl Asked<'_> {
    fn decide(&self) -> Decision {
        let route = self.route();
        let service = self.policy.service(route.service);
        decide(&self.facts, route, service, &self.belief, &self.lanes, self.draw)
    }

    fn route(&self) -> &crate::policy::Route {
        let head = Head {
            host: "",
            path: self.path,
            query: None,
            method: &http::Method::GET,
            headers: &http::HeaderMap::new(),
        };
        self.policy.route(self.policy.table.find(&head).expect("the test names a route"))
    }

    fn explain(&self) -> String {
        let decision = self.decide();
        let route = self.route();
        let service = self.policy.service(route.service);
        let lines = explain(&self.facts, route, service, &self.belief, &self.lanes, &decision);
        format!("{}\n{}", lines.join("\n"), header_value(&decision))
    }
}

fn ask<'p>(policy: &'p Policy, path: &'p str) -> Asked<'p> {
    Asked { policy, path, facts: Facts::PLAIN, belief: nothing_seen(), lanes: READY, draw: 0 }
}

const LAMBDA: Option<Lane> = Some(Lane::Lambda);
const CONTAINER: Option<Lane> = Some(Lane::Container);

/// What is shown, what is asked, and the lane, reason and spill that must come out.
type Row<'p> = (&'static str, Asked<'p>, Option<Lane>, Reason, Option<Lane>);

fn check(rows: &[Row<'_>]) {
    for (what, asked, lane, reason, spill) in rows {
        let decision = asked.decide();
        assert_eq!(
            (decision.lane, decision.reason, decision.spill),
            (*lane, *reason, *spill),
            "{what}: {decision:?}"
        );
    }
}

#[test]
fn hard_rules_beat_everything() {
    let policy = sample::policy(sample::HYBRID);
    let short = || ask(&policy, "/short");
    let with = |facts: Facts| Asked { facts, ..short() };
    let plain = Facts::PLAIN;
    check(&[
        ("upgrade", with(Facts { upgrade: true, ..plain }), CONTAINER, Reason::HardRule, None),
        ("grpc", with(Facts { grpc: true, ..plain }), CONTAINER, Reason::HardRule, None),
        ("trailers", with(Facts { trailers: true, ..plain }), CONTAINER, Reason::HardRule, None),
        (
            "streaming",
            with(Facts { body: Body::Streaming, ..plain }),
            CONTAINER,
            Reason::HardRule,
            None,
        ),
        (
            "6 MB and a byte",
            with(Facts { body: Body::Encoded(6_291_457), ..plain }),
            CONTAINER,
            Reason::HardRule,
            None,
        ),
        (
            "6 MB",
            with(Facts { body: Body::Encoded(6_291_456), ..plain }),
            LAMBDA,
            Reason::Declared,
            CONTAINER,
        ),
        ("route's lanes", ask(&policy, "/only-container"), CONTAINER, Reason::HardRule, None),
        ("route's lanes", ask(&policy, "/only-lambda"), LAMBDA, Reason::HardRule, None),
        (
            "as long as the function may run",
            Asked { belief: seen(Duration::from_secs(30)), ..short() },
            CONTAINER,
            Reason::HardRule,
            None,
        ),
        (
            "a little shorter",
            Asked { belief: seen(Duration::from_millis(29_999)), ..short() },
            LAMBDA,
            Reason::Declared,
            CONTAINER,
        ),
    ]);
}

#[test]
fn needs_and_priors_beyond_the_timeout_leave_the_container() {
    for (what, from, to) in [
        ("storage", "    container:", "    needs: [storage]\n    container:"),
        ("affinity", "    container:", "    needs: [affinity]\n    container:"),
        ("prior", "    container:", "    auto: { prior: 31s }\n    container:"),
    ] {
        let policy = sample::policy(
            &sample::HYBRID
                .replacen(from, to, 1)
                .replace("lanes: [lambda]", "lanes: [lambda, container]"),
        );
        check(&[(what, ask(&policy, "/short"), CONTAINER, Reason::HardRule, None)]);
    }
}

#[test]
fn a_declared_class_goes_home() {
    let policy = sample::policy(sample::HYBRID);
    let belief = seen(Duration::from_secs(4));
    check(&[
        ("sprinter", ask(&policy, "/short"), LAMBDA, Reason::Declared, CONTAINER),
        (
            "whatever was seen",
            Asked { belief, ..ask(&policy, "/short") },
            LAMBDA,
            Reason::Declared,
            CONTAINER,
        ),
        ("marathon", ask(&policy, "/long"), CONTAINER, Reason::Declared, LAMBDA),
    ]);
}

#[test]
fn auto_learns_from_enough_requests() {
    let policy = sample::policy(sample::HYBRID);
    let few = Belief { seen: 19, ..seen(Duration::from_secs(4)) };
    let enough = Belief { seen: 20, ..few };
    let auto = |belief| Asked { belief, ..ask(&policy, "/auto") };
    check(&[
        ("nothing seen", auto(nothing_seen()), LAMBDA, Reason::Prior, CONTAINER),
        ("few seen", auto(few), LAMBDA, Reason::Prior, CONTAINER),
        ("enough seen", auto(enough), CONTAINER, Reason::Learned, LAMBDA),
        ("short", auto(seen(Duration::from_millis(800))), LAMBDA, Reason::Learned, CONTAINER),
        ("long", auto(seen(Duration::from_millis(1250))), CONTAINER, Reason::Learned, LAMBDA),
    ]);
    let off =
        sample::policy(&sample::HYBRID.replacen("    lambda:", "    mode: off\n    lambda:", 1));
    let long = Asked { belief: seen(Duration::from_secs(99)), ..ask(&off, "/auto") };
    check(&[("mode off", long, LAMBDA, Reason::Prior, CONTAINER)]);
    let marathon = sample::policy(&sample::HYBRID.replacen(
        "    lambda:",
        "    auto: { prior: 2s }\n    lambda:",
        1,
    ));
    check(&[("a long prior", ask(&marathon, "/auto"), CONTAINER, Reason::Prior, LAMBDA)]);
}

#[test]
fn near_the_bound_a_share_goes_each_way() {
    let policy = sample::policy(sample::HYBRID);
    // (0.98 - 0.8) / 0.45 = 0.4
    let marathons = (0..1000_u64)
        .map(|n| n * (u64::MAX / 1000))
        .map(|draw| {
            Asked { belief: seen(Duration::from_millis(980)), draw, ..ask(&policy, "/auto") }
                .decide()
        })
        .inspect(|decision| assert_eq!(decision.reason, Reason::Borderline))
        .filter(|decision| decision.class == Class::Marathon)
        .count();
    assert_eq!(marathons, 400);
}

#[test]
fn a_full_or_broken_lane_spills_while_the_other_can_take_it() {
    let policy = sample::policy(sample::HYBRID);
    let at = |path, lanes| Asked { lanes, ..ask(&policy, path) };
    let full_and_capped = LaneStates { lambda: CAPPED.lambda, ..FULL };
    let none_and_capped = LaneStates { lambda: CAPPED.lambda, ..NO_TASKS };
    let full_and_down = LaneStates { lambda: DOWN.lambda, ..FULL };
    check(&[
        ("slots full", at("/long", FULL), LAMBDA, Reason::SpillSlotsFull, CONTAINER),
        (
            "slots full, one is expected in time: wait, then spill",
            at("/long", FULL_FOR_A_MOMENT),
            CONTAINER,
            Reason::Declared,
            LAMBDA,
        ),
        (
            "slots full of longer requests than expected",
            Asked { belief: seen(Duration::from_millis(500)), ..at("/long", FULL_FOR_A_MOMENT) },
            LAMBDA,
            Reason::SpillSlotsFull,
            CONTAINER,
        ),
        ("no tasks", at("/long", NO_TASKS), LAMBDA, Reason::SpillNoTasks, None),
        ("capped", at("/short", CAPPED), CONTAINER, Reason::SpillLambdaCapped, None),
        ("down", at("/short", DOWN), CONTAINER, Reason::SpillLambdaDown, None),
        (
            "slots full, lambda too: wait",
            at("/long", full_and_capped),
            CONTAINER,
            Reason::Declared,
            None,
        ),
        (
            "capped, slots full: wait",
            at("/short", full_and_capped),
            CONTAINER,
            Reason::SpillLambdaCapped,
            None,
        ),
        (
            "down, slots full: wait",
            at("/short", full_and_down),
            CONTAINER,
            Reason::SpillLambdaDown,
            None,
        ),
        ("nothing left", at("/short", none_and_capped), None, Reason::Refused, None),
        ("nothing left", at("/long", none_and_capped), None, Reason::Refused, None),
        ("no tasks, lambda is home", at("/short", NO_TASKS), LAMBDA, Reason::Declared, None),
        ("full, lambda is home", at("/short", FULL), LAMBDA, Reason::Declared, CONTAINER),
    ]);
}

#[test]
fn the_last_lane_waits_or_refuses_but_never_spills() {
    let policy = sample::policy(sample::HYBRID);
    let at = |path, lanes| Asked { lanes, ..ask(&policy, path) };
    check(&[
        ("slots full: wait", at("/only-container", FULL), CONTAINER, Reason::HardRule, None),
        ("no tasks", at("/only-container", NO_TASKS), None, Reason::Refused, None),
        ("capped", at("/only-lambda", CAPPED), None, Reason::Refused, None),
        ("down", at("/only-lambda", DOWN), None, Reason::Refused, None),
    ]);
    let text = "
version: 1
services: { one: { lambda: { function: f } } }
routes: [{ match: {}, service: one, class: marathon }]
";
    let lambda_only = sample::policy(text);
    check(&[("one lane", ask(&lambda_only, "/x"), LAMBDA, Reason::OnlyLane, None)]);
}

#[test]
fn a_refusal_says_whose_fault_it_is() {
    let policy = sample::policy(sample::HYBRID);
    let refusal =
        |path, facts, lanes| Asked { facts, lanes, ..ask(&policy, path) }.decide().refusal();
    let plain = Facts::PLAIN;
    let large = Facts { body: Body::Encoded(7_000_000), ..plain };
    let both = Facts { upgrade: true, ..large };
    assert_eq!(refusal("/only-lambda", large, READY), Some(Refusal::TooLarge));
    assert_eq!(refusal("/only-lambda", large, DOWN), Some(Refusal::TooLarge));
    assert_eq!(refusal("/only-lambda", both, READY), Some(Refusal::NotPossible));
    assert_eq!(
        refusal("/only-lambda", Facts { upgrade: true, ..plain }, READY),
        Some(Refusal::NotPossible)
    );
    assert_eq!(refusal("/only-lambda", plain, CAPPED), Some(Refusal::Unavailable));
    assert_eq!(refusal("/short", large, NO_TASKS), Some(Refusal::Unavailable));
    assert_eq!(refusal("/short", plain, READY), None);
}

#[test]
fn an_explanation_reads_in_one_breath() {
    let policy = sample::policy(sample::HYBRID);
    let prices = crate::cost::Prices::fallback();
    let route = ask(&policy, "/auto");
    let service = policy.service(route.route().service);
    let belief = seen(Duration::from_millis(4100)).with_costs(service, &prices);
    let asked =
        |belief, lanes, facts| Asked { facts, belief, lanes, ..ask(&policy, "/auto") }.explain();
    insta::assert_snapshot!(asked(belief, READY, Facts::PLAIN), @"
    route /auto (policy.yaml:14) -> service thumb
    marathon: p95 4.1s of 212 seen (sprinter up to 1s)
    container: home of marathons; container $0.0000056 against lambda $0.000047
    may spill to lambda when container is full or fails without having run it
    lane=container class=marathon reason=learned
    ");
    insta::assert_snapshot!(asked(belief, FULL, Facts::PLAIN), @"
    route /auto (policy.yaml:14) -> service thumb
    marathon: p95 4.1s of 212 seen (sprinter up to 1s)
    lambda: spilled, all slots are busy; lambda $0.000047 against container $0.0000056
    against container: all slots are busy, 4 waiting
    may spill to container when lambda is full or fails without having run it
    lane=lambda class=marathon reason=spill-slots-full
    ");
    let large = Facts { body: Body::Encoded(7_000_000), grpc: true, ..Facts::PLAIN };
    insta::assert_snapshot!(asked(nothing_seen(), FULL, large), @"
    route /auto (policy.yaml:14) -> service thumb
    sprinter: prior 200ms (sprinter up to 1s); 0 of 20 seen
    container: lambda is ruled out
    against lambda: cannot carry gRPC; the event would be 7000000 bytes, above 6MiB
    against container: all slots are busy, 4 waiting
    may not spill: it waits for a slot behind 4 others
    lane=container class=sprinter reason=hard-rule
    ");
    insta::assert_snapshot!(asked(seen(Duration::from_millis(980)), NO_TASKS, large), @"
    route /auto (policy.yaml:14) -> service thumb
    marathon: p95 980ms of 212 seen, near 1s: 40 of 100 such requests are marathons
    refused: 503, no lane can take it now
    against lambda: cannot carry gRPC; the event would be 7000000 bytes, above 6MiB
    against container: no task is ready
    lane=none class=marathon reason=refused
    ");
    let only = Asked { lanes: CAPPED, ..ask(&policy, "/only-lambda") };
    insta::assert_snapshot!(only.explain(), @"
    route /only-lambda (policy.yaml:18) -> service thumb
    marathon: declared by the route
    refused: 503, no lane can take it now
    against lambda: 10 in flight of at most 10
    against container: not among the route's lanes
    lane=none class=marathon reason=refused
    ");
}
