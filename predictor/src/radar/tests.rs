//! Each kind of warning: where it is due, and where it is not; and the laws that all of them keep.

use proptest::prelude::*;

use super::*;

fn clock(at_s: u64) -> String {
    format!("{:02}:{:02}", at_s / 3_600 % 24, at_s / 60 % 60)
}

/// 18:00 on the first day.
const NOW_S: u64 = 18 * 3_600;

fn told(inputs: &Inputs<'_>) -> Vec<Warning> {
    warnings(inputs, &clock)
}

fn only(inputs: &Inputs<'_>, kind: Kind) -> Warning {
    let all = told(inputs);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(all[0].kind, kind);
    all[0].clone()
}

fn calm(inputs: &Inputs<'_>) {
    assert_eq!(told(inputs), []);
}

/// Demand that rises from 4 busy slots to 16 in half an hour.
const RISES: [Ahead; 3] = [
    Ahead { in_s: 0.0, expected: 4.0, p90: 4.0 },
    Ahead { in_s: 600.0, expected: 6.0, p90: 8.0 },
    Ahead { in_s: 1_800.0, expected: 12.0, p90: 16.0 },
];

const EVEN: [Ahead; 2] = [
    Ahead { in_s: 0.0, expected: 4.0, p90: 4.0 },
    Ahead { in_s: 3_600.0, expected: 4.0, p90: 6.0 },
];

fn tasks(ready: u32, demand: &[Ahead]) -> Tasks<'_> {
    Tasks {
        slots_each: 2,
        ready,
        on_spot: 0,
        taken_back: 0,
        coming: Vec::new(),
        most: Some(20),
        start_s: 80.0,
        demand,
        only_here: 0.0,
        planned: None,
        may: May::Observe,
    }
}

fn lambda(in_flight: &[f64]) -> Lambda<'_> {
    Lambda {
        up: true,
        in_flight,
        own: in_flight.last().copied().unwrap_or(0.0),
        cap: 100.0,
        cap_of: "`max_in_flight`",
        shared: None,
        calls: 1_000.0,
        throttled: 0.0,
        alone: false,
    }
}

fn with<'a>(tasks: Option<Tasks<'a>>, lambda: Option<Lambda<'a>>) -> Inputs<'a> {
    Inputs { now_s: NOW_S, tasks, lambda, ..Inputs::default() }
}

#[test]
fn demand_above_what_will_be_ready_is_told_with_the_minute_in_which_it_is() {
    // Six slots are reached half way to the eight of 18:10.
    let warning = only(&with(Some(tasks(3, &RISES)), None), Kind::Capacity);
    assert!((warning.seconds - 300.0).abs() < 1.0, "{warning:?}");
    assert_eq!(warning.level, Level::Soon);
    assert_eq!(
        warning.says,
        "demand p90 reaches 6 slots at 18:05, up to 16 within the hour; 6 will be ready"
    );
    let action = "ask for 8 tasks; with `mode: act` Pacer does so in time";
    assert_eq!(warning.action, Action::Proposed(action.to_owned()));
    calm(&with(Some(tasks(8, &RISES)), None));
    calm(&with(Some(tasks(3, &EVEN)), None));
}

#[test]
fn what_is_coming_counts_from_when_it_is_ready() {
    let coming = |since_s| Tasks { coming: vec![Coming { tasks: 5, since_s }], ..tasks(3, &RISES) };
    calm(&with(Some(coming(20.0)), None));
    // Too late to be there in time: 400 s late, and taken to be as late again.
    let all = told(&with(Some(coming(480.0)), None));
    let short = all.iter().find(|warning| warning.kind == Kind::Capacity);
    assert_eq!(short.map(|warning| warning.level), Some(Level::Soon));
}

#[test]
fn who_acts_is_warned_of_what_it_may_not_ask_for() {
    let acts = |most| Tasks { may: May::Act, most: Some(most), ..tasks(3, &RISES) };
    calm(&with(Some(acts(8)), None));
    let warning = only(&with(Some(acts(5)), None), Kind::Capacity);
    // Ten slots at 18:15.
    assert!((warning.seconds - 900.0).abs() < 1.0, "{warning:?}");
    assert_eq!(warning.level, Level::Watch);
    // A flood within a start's length: nothing asked for now comes in time.
    let flood = [
        Ahead { in_s: 0.0, expected: 4.0, p90: 4.0 },
        Ahead { in_s: 40.0, expected: 20.0, p90: 24.0 },
    ];
    let acts = Tasks {
        may: May::Act,
        coming: vec![Coming { tasks: 9, since_s: 10.0 }],
        ..tasks(3, &flood)
    };
    let warning = only(&with(Some(acts), None), Kind::Capacity);
    assert!(warning.seconds < 10.0, "{warning:?}");
    let action = "9 tasks asked for at 17:59, ready by 18:01";
    assert_eq!(warning.action, Action::Taken(action.to_owned()));
}

#[test]
fn what_lambda_has_room_for_is_no_trouble_and_what_it_may_not_take_is() {
    let flat = [10.0; 30];
    let hybrid = |tasks| with(Some(tasks), Some(lambda(&flat)));
    calm(&hybrid(tasks(3, &RISES)));
    let bound = Tasks { only_here: 0.5, ..tasks(3, &RISES) };
    let warning = only(&hybrid(bound), Kind::Capacity);
    assert!(warning.says.ends_with("and Lambda may not take them"), "{}", warning.says);
    let mut down = hybrid(tasks(3, &RISES));
    down.lambda.as_mut().unwrap().up = false;
    let warning = only(&down, Kind::Capacity);
    assert!(warning.says.ends_with("and Lambda is down"), "{}", warning.says);
    // Of Lambda alone, and nobody calls it.
    let mut alone = with(None, Some(Lambda { up: false, ..lambda(&flat) }));
    assert_eq!(only(&alone, Kind::Capacity).level, Level::Now);
    alone.lambda.as_mut().unwrap().calls = 0.0;
    calm(&alone);
}

#[test]
fn a_rise_towards_a_cap_is_drawn_on_and_chance_is_not() {
    let line: Vec<f64> = (0..30).map(|step| 50.0 + f64::from(step)).collect();
    let warning = only(&with(None, Some(lambda(&line))), Kind::LambdaConcurrency);
    // A tenth more each second would be 0.1: one more in ten seconds, 21 to go.
    assert!((warning.seconds - 210.0).abs() < 1.0, "{warning:?}");
    assert_eq!(warning.level, Level::Soon);
    let noise: Vec<f64> = (0..30).map(|step| 60.0 + f64::from(step * 7 % 11)).collect();
    calm(&with(None, Some(lambda(&noise))));
    let low: Vec<f64> = line.iter().map(|n| n / 3.0).collect();
    calm(&with(None, Some(lambda(&low))));
}

#[test]
fn the_cap_is_trouble_unless_containers_have_room() {
    let flat = [100.0; 30];
    let warning = only(&with(None, Some(lambda(&flat))), Kind::LambdaConcurrency);
    assert_eq!((warning.level, warning.seconds), (Level::Now, 0.0));
    // As many as may be, for a moment.
    let touched = [vec![60.0; 29], vec![100.0]].concat();
    assert_eq!(told(&with(None, Some(lambda(&touched))))[0].level, Level::Soon);
    assert!(matches!(warning.action, Action::Proposed(_)));
    // Ten slots are free.
    let hybrid = with(Some(tasks(8, &EVEN)), Some(lambda(&flat)));
    let warning = only(&hybrid, Kind::LambdaConcurrency);
    assert_eq!((warning.level, warning.seconds), (Level::Watch, HORIZON_S));
    assert!(matches!(warning.action, Action::Taken(_)));
    let near = [91.0; 30];
    let warning = only(&with(None, Some(lambda(&near))), Kind::LambdaConcurrency);
    assert_eq!((warning.level, warning.seconds), (Level::Soon, SOON_S));
    calm(&with(None, Some(lambda(&[89.0; 30]))));
    // What all functions share may be nearer than the function's own.
    let shared = Some(Shared { in_flight: &near, cap: 91.0 });
    let warning =
        only(&with(None, Some(Lambda { shared, ..lambda(&[5.0; 30]) })), Kind::LambdaConcurrency);
    assert!(warning.says.contains("the account's"), "{}", warning.says);
}

#[test]
fn launches_are_told_when_they_near_what_lambda_starts() {
    let leap = |to: f64| [vec![100.0; 29], vec![to]].concat();
    let wide = |in_flight| Lambda { cap: 1e5, ..lambda(in_flight) };
    let fast = leap(1_200.0);
    let warning = only(&with(None, Some(wide(&fast))), Kind::LambdaLaunchRate);
    assert_eq!(warning.level, Level::Now);
    let near = leap(700.0);
    assert_eq!(only(&with(None, Some(wide(&near))), Kind::LambdaLaunchRate).level, Level::Soon);
    let slow = leap(500.0);
    calm(&with(None, Some(wide(&slow))));
    // A crowd of 5,000 in a quarter of a minute that containers have no room for.
    let crowd = [
        Ahead { in_s: 0.0, expected: 4.0, p90: 4.0 },
        Ahead { in_s: 290.0, expected: 4.0, p90: 4.0 },
        Ahead { in_s: 300.0, expected: 40_000.0, p90: 50_000.0 },
    ];
    let steady = [100.0; 30];
    let hybrid = with(Some(tasks(8, &crowd)), Some(wide(&steady)));
    let warning = only(&hybrid, Kind::LambdaLaunchRate);
    assert!((290.0..300.0).contains(&warning.seconds), "{warning:?}");
    // The same number in half an hour is started in time.
    let slowly = [
        Ahead { in_s: 0.0, expected: 4.0, p90: 4.0 },
        Ahead { in_s: 1_800.0, expected: 40_000.0, p90: 50_000.0 },
    ];
    calm(&with(Some(tasks(8, &slowly)), Some(wide(&steady))));
}

#[test]
fn calls_that_lambda_refuses_are_told_unless_they_are_few() {
    let flat = [10.0; 30];
    let throttled = |throttled| Lambda { throttled, ..lambda(&flat) };
    let warning = only(&with(None, Some(throttled(12.0))), Kind::Throttles);
    assert_eq!(warning.level, Level::Now);
    assert_eq!(warning.says, "Lambda refused 12 of 1000 calls in the last minute");
    calm(&with(None, Some(throttled(4.0))));
    calm(&with(None, Some(Lambda { calls: 1e6, ..throttled(12.0) })));
    let covered = with(Some(tasks(8, &EVEN)), Some(throttled(12.0)));
    assert_eq!(only(&covered, Kind::Throttles).level, Level::Watch);
    let bound = Lambda { alone: true, ..throttled(12.0) };
    assert_eq!(only(&with(Some(tasks(8, &EVEN)), Some(bound)), Kind::Throttles).level, Level::Now);
}

#[test]
fn spot_is_told_when_what_it_leaves_would_be_too_few() {
    let spot = |ready, taken_back| Tasks { on_spot: ready, taken_back, ..tasks(ready, &EVEN) };
    // Three of four busy slots are to stay; two tasks are needed: one is spare, and four went in 15 minutes.
    let warning = only(&with(Some(spot(3, 4)), None), Kind::Spot);
    assert!((warning.seconds - 450.0).abs() < 1.0, "{warning:?}");
    calm(&with(Some(spot(10, 1)), None));
    calm(&with(Some(spot(3, 0)), None));
    // One on Spot, and two spare.
    calm(&with(Some(Tasks { on_spot: 1, ..spot(5, 9) }), None));
}

#[test]
fn tasks_that_do_not_come_are_late_at_half_as_much_again() {
    let coming = |since_s| Tasks { coming: vec![Coming { tasks: 2, since_s }], ..tasks(3, &EVEN) };
    let warning = only(&with(Some(coming(130.0)), None), Kind::StartLag);
    assert_eq!((warning.level, warning.seconds), (Level::Watch, HORIZON_S));
    assert_eq!(warning.says, "2 tasks not ready 2.2 min after being asked for; planned with 80 s");
    calm(&with(Some(coming(110.0)), None));
    // Without them there is too little.
    let short = Tasks { ready: 1, ..coming(130.0) };
    let all = told(&with(Some(short), None));
    let late = all.iter().find(|warning| warning.kind == Kind::StartLag);
    assert_eq!(late.map(|warning| warning.level), Some(Level::Now));
}

fn burns(rates: [f64; 4], missed: f64) -> Inputs<'static> {
    let burns = Burns {
        objective: "success",
        window_s: 30.0 * 86_400.0,
        left: 0.9,
        rates,
        missed: [missed; 4],
    };
    Inputs { burns: vec![burns], ..Inputs::default() }
}

#[test]
fn a_budget_that_burns_is_told_by_both_windows() {
    let warning = only(&burns([20.0, 20.0, 20.0, 5.0], 50.0), Kind::ErrorBudget);
    assert_eq!(warning.level, Level::Now);
    // Nine tenths of 30 days, twenty times as fast.
    assert!((warning.seconds - 0.9 * 30.0 * 86_400.0 / 20.0).abs() < 1.0, "{warning:?}");
    assert_eq!(
        warning.says,
        "50 requests fail in 1 h: 20 times as fast as the objective allows; 90 % of the budget is left, for 32 h like this"
    );
    assert_eq!(told(&burns([7.0, 7.0, 7.0, 7.0], 50.0))[0].level, Level::Soon);
    assert_eq!(told(&burns([4.0, 4.0, 4.0, 4.0], 50.0))[0].level, Level::Watch);
    // It is over; it has not lasted; it is as promised; it is five requests.
    calm(&burns([0.0, 2.0, 20.0, 5.0], 50.0));
    calm(&burns([40.0, 2.9, 2.0, 1.0], 50.0));
    calm(&burns([1.0; 4], 50.0));
    calm(&burns([40.0; 4], 5.0));
}

#[test]
fn what_cannot_be_read_or_kept_is_told_and_is_trouble_only_where_nothing_serves() {
    let failing = |ready, failures| Inputs {
        not_listed: Some(("ECS ListTasks: access denied", failures)),
        ..with(Some(tasks(ready, &[])), None)
    };
    let warning = only(&failing(2, 3), Kind::Discovery);
    assert_eq!(warning.level, Level::Watch);
    calm(&failing(2, 2));
    assert_eq!(only(&failing(0, 3), Kind::Discovery).level, Level::Now);
    let not_read = Inputs { not_read: Some("no answer"), ..Inputs::default() };
    assert_eq!(only(&not_read, Kind::Discovery).level, Level::Watch);
    let not_kept = Inputs { not_kept: Some("no space left"), ..Inputs::default() };
    assert_eq!(only(&not_kept, Kind::State).level, Level::Watch);
}

#[test]
fn the_worst_comes_first() {
    let flat = [100.0; 30];
    let all = told(&Inputs {
        not_kept: Some("no space left"),
        ..with(None, Some(Lambda { throttled: 50.0, ..lambda(&flat) }))
    });
    let kinds: Vec<_> = all.iter().map(|warning| warning.kind).collect();
    assert_eq!(kinds, [Kind::LambdaConcurrency, Kind::Throttles, Kind::State]);
}

#[test]
fn who_observes_is_ready_when_everything_holds_and_else_told_what_does_not() {
    let good = Readiness {
        checked: true,
        seen_s: 100_000.0,
        costs_usd: 0.2,
        planned_usd: 0.15,
        ..Readiness::default()
    };
    let ready = readiness(&good);
    assert!(ready.ready && ready.says.contains("would save 25 % of $0.2000 an hour"), "{ready:?}");
    assert!(readiness(&Readiness { recalled: true, seen_s: 4_000.0, ..good.clone() }).ready);
    for (known, says) in [
        (Readiness { trouble: Some("denied"), ..good.clone() }, "denied"),
        (Readiness { hindered: Some("two would fight"), ..good.clone() }, "two would fight"),
        (Readiness { checked: false, ..good.clone() }, "was not read yet"),
        (Readiness { seen_s: 7_200.0, ..good.clone() }, "seen for 2 h of 24 h"),
        (Readiness { recalled: true, seen_s: 60.0, ..good.clone() }, "seen for 60 s of 60 min"),
        (Readiness { turns: 5, ..good.clone() }, "turned round 5 times"),
        (Readiness { planned_usd: 0.2, ..good.clone() }, "would save nothing"),
        (Readiness { costs_usd: f64::NAN, ..good }, "would save nothing"),
    ] {
        let ready = readiness(&known);
        assert!(!ready.ready && ready.says.contains(says), "{ready:?}");
    }
}

/// Numbers, absurd ones among them.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => 0.0..200.0,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(-1.0),
        1 => Just(f64::MAX),
    ]
}

prop_compose! {
    fn any_demand()(
        first in any_number(),
        later in prop::collection::vec((1.0..900.0, any_number()), 0..6),
    ) -> Vec<Ahead> {
        let mut in_s = 0.0;
        let ahead = |in_s, p90: f64| Ahead { in_s, expected: p90 * 0.7, p90 };
        let mut all = vec![ahead(0.0, first)];
        for (after_s, p90) in later {
            in_s += after_s;
            all.push(ahead(in_s, p90));
        }
        all
    }
}

#[derive(Debug, Clone)]
struct Case {
    demand: Vec<Ahead>,
    in_flight: Vec<f64>,
    ready: u32,
    on_spot: u32,
    taken_back: u32,
    coming: Vec<Coming>,
    most: Option<u32>,
    only_here: f64,
    cap: f64,
    has_lambda: bool,
    acts: bool,
    throttled: f64,
    rates: [f64; 4],
}

prop_compose! {
    fn any_case()(
        demand in any_demand(),
        in_flight in prop::collection::vec(any_number(), 0..32),
        (ready, on_spot, taken_back) in (0_u32..40, 0_u32..40, 0_u32..10),
        coming in prop::collection::vec((0_u32..20, any_number()), 0..4),
        most in prop::option::of(0_u32..60),
        (only_here, cap, throttled) in (any_number(), any_number(), any_number()),
        (has_lambda, acts) in any::<(bool, bool)>(),
        rates in prop::array::uniform4(any_number()),
    ) -> Case {
        let coming = coming.into_iter().map(|(tasks, since_s)| Coming { tasks, since_s }).collect();
        Case { demand, in_flight, ready, on_spot, taken_back, coming, most, only_here, cap, has_lambda, acts, throttled, rates }
    }
}

impl Case {
    fn warnings(&self) -> Vec<Warning> {
        let tasks = Tasks {
            on_spot: self.on_spot,
            taken_back: self.taken_back,
            coming: self.coming.clone(),
            most: self.most,
            only_here: self.only_here,
            may: if self.acts { May::Act } else { May::Observe },
            ..tasks(self.ready, &self.demand)
        };
        let own = 3.0;
        let lambda =
            Lambda { cap: self.cap, own, throttled: self.throttled, ..lambda(&self.in_flight) };
        let burns = Burns {
            objective: "latency",
            window_s: 86_400.0,
            left: self.only_here,
            rates: self.rates,
            missed: self.rates,
        };
        told(&Inputs { burns: vec![burns], ..with(Some(tasks), self.has_lambda.then_some(lambda)) })
    }

    /// Seconds until trouble with capacity; none is infinitely far.
    fn seconds(&self, kind: Kind) -> f64 {
        let all = self.warnings();
        let found = all.iter().find(|warning| warning.kind == kind);
        found.map_or(f64::INFINITY, |warning| warning.seconds)
    }
}

/// Tells whether trouble is not nearer than before, but for what rounding comes to.
fn no_nearer(before: f64, after: f64) -> bool {
    before <= after + 1e-6
}

proptest! {
    #[test]
    fn every_number_is_finite_and_no_time_is_past(case in any_case()) {
        for warning in case.warnings() {
            prop_assert!(warning.seconds.is_finite() && 0.0 <= warning.seconds, "{warning:?}");
            prop_assert!(warning.evidence.iter().all(|(_, value)| value.is_finite()), "{warning:?}");
            prop_assert!(!warning.says.contains("NaN") && !warning.says.contains("inf "), "{warning:?}");
            prop_assert!(warning.level != Level::Ok);
        }
    }

    #[test]
    fn more_that_serves_never_brings_trouble_nearer(case in any_case(), more in 1_u32..10) {
        let before = case.seconds(Kind::Capacity);
        let ready = Case { ready: case.ready + more, ..case.clone() };
        prop_assert!(no_nearer(before, ready.seconds(Kind::Capacity)));
        let mut coming = case.clone();
        coming.coming.push(Coming { tasks: more, since_s: 30.0 });
        prop_assert!(no_nearer(before, coming.seconds(Kind::Capacity)));
        let cap = Case { cap: number(case.cap) + f64::from(more), ..case.clone() };
        prop_assert!(no_nearer(before, cap.seconds(Kind::Capacity)));
        let concurrency = |case: &Case| Case { ready: 0, ..case.clone() }.seconds(Kind::LambdaConcurrency);
        prop_assert!(no_nearer(concurrency(&case), concurrency(&cap)));
        prop_assert!(no_nearer(case.seconds(Kind::Spot), ready.seconds(Kind::Spot)));
    }

    #[test]
    fn more_that_is_asked_never_delays_trouble(case in any_case(), times in 1.0..4.0_f64, more in 0.0..20.0_f64) {
        let asked = |ahead: &Ahead| Ahead { p90: number(ahead.p90) * times + more, ..*ahead };
        let demand: Vec<_> = case.demand.iter().map(asked).collect();
        let busier = Case { demand, ..case.clone() };
        prop_assert!(no_nearer(busier.seconds(Kind::Capacity), case.seconds(Kind::Capacity)));
        let in_flight = case.in_flight.iter().map(|n| number(*n) * times).collect();
        let alone = Case { ready: 0, ..case };
        let busier = Case { in_flight, ..alone.clone() };
        let kind = Kind::LambdaConcurrency;
        prop_assert!(no_nearer(busier.seconds(kind), alone.seconds(kind)));
    }
}
