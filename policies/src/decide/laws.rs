//! Laws that every decision obeys, whatever the request, the policy's lanes and the moment.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    Belief, Body, Cause, ContainerState, Decision, Facts, LambdaState, Lane, LaneStates, decide,
};
use crate::{
    policy::{Policy, RouteId},
    sample,
};

fn facts() -> impl Strategy<Value = Facts> {
    let body = prop_oneof![
        Just(Body::Empty),
        Just(Body::Streaming),
        (0_u64..13_000_000).prop_map(Body::Encoded),
    ];
    // Mostly plain requests: else nearly all are ruled out of Lambda, and the softer rules go untested.
    let rarely = || prop::bool::weighted(0.1);
    (body, rarely(), rarely(), rarely()).prop_map(|(body, upgrade, grpc, trailers)| Facts {
        body,
        upgrade,
        grpc,
        trailers,
    })
}

fn belief() -> impl Strategy<Value = Belief> {
    (0_u32..60, 0_u32..40_000_000).prop_map(|(seen, p95_us)| Belief {
        seen,
        p95_us,
        ..Belief::default()
    })
}

fn lanes() -> impl Strategy<Value = LaneStates> {
    (any::<bool>(), 0_u32..20, any::<bool>(), 0_u32..4, 0_u32..8, 0_u32..6).prop_map(
        |(up, in_flight, ready, slots_free, busy, waiting)| LaneStates {
            lambda: LambdaState { up, in_flight },
            container: ContainerState {
                up: ready,
                slots: if ready { slots_free + busy } else { 0 },
                slots_free: if ready { slots_free } else { 0 },
                waiting: if slots_free == 0 { waiting } else { 0 },
            },
        },
    )
}

fn policies() -> Vec<Policy> {
    let text = sample::HYBRID;
    let lambda_only = "
version: 1
services: { one: { lambda: { function: f, max_in_flight: 10 } } }
routes: [{ match: {}, service: one }]
";
    let container_only = "
version: 1
services: { one: { container: { upstreams: [http://127.0.0.1:1], requests_per_task: 1 } } }
routes: [{ match: {}, service: one }]
";
    vec![
        sample::policy(text),
        sample::policy(&text.replacen("    lambda:", "    mode: off\n    lambda:", 1)),
        sample::policy(lambda_only),
        sample::policy(container_only),
    ]
}

fn ask(
    policy: &Policy,
    route: usize,
    facts: &Facts,
    belief: &Belief,
    lanes: &LaneStates,
    draw: u64,
) -> Decision {
    let route = policy.route(RouteId(u16::try_from(route % policy.routes.len()).unwrap()));
    decide(facts, route, policy.service(route.service), belief, lanes, draw)
}

proptest! {
    #[test]
    fn decisions_are_lawful(
        which in 0_usize..4,
        route in 0_usize..5,
        facts in facts(),
        belief in belief(),
        lanes in lanes(),
        draw: u64,
    ) {
        thread_local!(static POLICIES: Vec<Policy> = policies());
        POLICIES.with(|policies| {
            let policy = &policies[which];
            let decision = ask(policy, route, &facts, &belief, &lanes, draw);
            prop_assert_eq!(decision, ask(policy, route, &facts, &belief, &lanes, draw), "equal inputs, equal decisions");

            let chosen = [decision.lane, decision.spill].into_iter().flatten();
            for lane in chosen {
                let blocks = |cause: Cause| cause != Cause::SlotsFull;
                prop_assert!(!decision.ruled_out.of(lane).any(blocks), "a ruled-out lane is never chosen");
            }
            prop_assert_ne!(Some(decision.lane), decision.spill.map(Some), "a spill goes elsewhere");
            prop_assert_eq!(decision.lane.is_none(), decision.refusal().is_some());

            let free = LaneStates {
                lambda: LambdaState { up: true, in_flight: 0 },
                container: ContainerState { up: true, slots: 1, slots_free: 1, waiting: 0 },
            };
            let unhindered = ask(policy, route, &facts, &belief, &free, draw);
            prop_assert_eq!(decision.home(), unhindered.lane, "home is where it goes when nothing is in the way");

            let declared = policy.route(RouteId(u16::try_from(route % policy.routes.len()).unwrap()));
            if let Some(lane) = decision.lane {
                prop_assert!(declared.lanes.has(lane), "the route's lanes are obeyed");
            }
            if let Some(class) = declared.class {
                prop_assert_eq!(decision.class, class, "a declared class is kept");
                let free = decision.ruled_out.of(class.home()).next().is_none();
                prop_assert!(!free || decision.lane == Some(class.home()), "a free home takes its class");
            }

            let mut more = lanes;
            more.container = ContainerState {
                up: true,
                slots: lanes.container.slots + 1,
                slots_free: lanes.container.slots_free + 1,
                waiting: 0,
            };
            let with_more = ask(policy, route, &facts, &belief, &more, draw);
            prop_assert!(decision.lane.is_none() || with_more.lane.is_some(), "more slots never refuse");
            if decision.lane == Some(Lane::Container) {
                prop_assert_eq!(with_more.lane, Some(Lane::Container), "more slots never drive a request away");
            }
            Ok(())
        })?;
    }

    #[test]
    fn longer_never_means_fewer_marathons(a in 0_u32..3_000_000, b in 0_u32..3_000_000) {
        let bound = Duration::from_secs(1);
        let share = |us: u32| super::marathon_share(us, bound);
        prop_assert!(share(a.min(b)) <= share(a.max(b)));
    }
}
