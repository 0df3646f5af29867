//! The two ways of replaying against each other, and what must hold of both.

use policies::{decide::Class, policy::InvokeMode};

use super::{
    super::{
        counts,
        lambda::answer_bytes_max,
        load::{Known, Load},
        scenario::believed,
        tally::Tally,
    },
    *,
};
use crate::plan::{
    Forecasts, Inputs, Knative, KnownAhead, Newsvendor, Pacer, Plan, TargetTracking, Why,
};

/// Six hours of quiet, a ramp and a crowd.
fn day() -> Load {
    let rate = |minute: u64| match minute {
        0..120 => 2.0,
        120..180 => 2.0 + (minute - 120) as f64 * 0.5,
        180..240 => 32.0,
        240..250 => 80.0,
        _ => 12.0,
    };
    let count = |minute| (rate(minute) * 60.0) as u64;
    let step = |minute| Step { at_us: minute * 60 * SECOND, us: 60 * SECOND, count: count(minute) };
    Load::new((0..360).map(step).collect())
}

#[test]
fn counts_agree_with_events() {
    type Make = fn() -> Box<dyn Planner>;
    let planners: [Make; 7] = [
        || Box::new(Pacer::new(Forecasts::new(&site(Distribution::Fixed(1.5e6)).shape))),
        || Box::new(LambdaOnly),
        || Box::new(Newsvendor::default()),
        || Box::new(Pacer::new(KnownAhead)),
        || Box::new(StaticTasks::given(12, Routing::Hybrid)),
        || Box::new(TargetTracking::new(0.7)),
        || Box::new(Knative::default()),
    ];
    let book = policies::cost::PriceBook::fallback();
    let cases = planners.into_iter().flat_map(|make| [(make, 0.0), (make, 0.2)]);
    for (make, patience) in cases {
        let load = day();
        let service_time = Distribution::lognormal(Duration::from_millis(1500), 1.0);
        let mut spec = site(service_time);
        spec.task.slots = 2;
        spec.shape.slots_per_task = 2;
        spec.shape.break_even = 0.24;
        spec.first_tasks = 3;
        spec.shape.patience = patience;
        spec.streams[0].route.timeouts.queue =
            Duration::from_secs_f64(patience * spec.service_time.mean_us() / 1e6);
        spec.streams[0].belief = believed(&spec.service_time);
        spec.streams[0].objective_us = 6 * SECOND;
        let known = Known::new(&load, spec.service_time.mean_us());
        let planned = || Planned { planner: make(), truth: Some(&known) };
        let span = load.span_us().unwrap();
        let spread =
            Spread::new(load.steps().iter().copied(), Random::new(7, 0, Purpose::Arrivals));
        let arrivals = spread.map(|at_us| Arrival::plain(at_us, 0));
        let sites = [spec];
        let account = Account { concurrency: 100_000 };
        let events = run(&[&sites[0]], vec![planned()], arrivals, span, account, 7).remove(0);
        events.tally.check().unwrap();
        let counts = counts::run(&sites[0], planned(), &load, span, account, 7);
        counts.tally.check().unwrap();
        let name = &format!("{}, {patience}", make().name());
        let span_us = span.1 - span.0;
        let terms = policies::cost::Terms::default();
        let cost = |outcome: &Outcome| book.bill(&outcome.usage, span_us, terms).total().as_usd();
        assert_close(cost(&counts) / cost(&events), 1.0, 0.03, name);
        let (a, b) = (&events.tally, &counts.tally);
        let share = |count: u64| count as f64 / a.requests as f64;
        assert_close(share(b.by_lane[0]), share(a.by_lane[0]), 0.025, name);
        assert_close(share(b.failures()), share(a.failures()), 0.01, name);
        assert_close(share(b.within_objective), share(a.within_objective), 0.02, name);
        let p99 = |outcome: &Outcome| outcome.tally.latencies.quantile_us(0.99);
        assert_close(p99(&counts) / p99(&events), 1.0, 0.06, name);
        assert_close(b.cold as f64, a.cold as f64, 80.0, name);
        let used = |tally: &Tally| tally.utilisation().unwrap_or_default();
        assert_close(used(b), used(a), 0.06, name);
    }
}

#[test]
fn equal_inputs_give_equal_outcomes() {
    let run = || {
        let planner = Box::new(StaticTasks::given(3, Routing::Hybrid));
        let outcome = poisson(site(Distribution::Exponential(4e5)), planner, 20.0, 500);
        format!("{:?} {:?}", outcome.tally, outcome.usage)
    };
    assert_eq!(run(), run());
}

#[test]
fn tasks_become_ready_in_order_also_while_nothing_arrives() {
    // Minutes without a request, in which planners go on: in a debug build, time that runs backwards panics.
    let steps = [(0, 600), (60, 900), (1200, 600), (4000, 1)];
    let steps = steps.map(|(at, count)| Step { at_us: at * SECOND, us: 60 * SECOND, count });
    let load = Load::new(steps.to_vec());
    let makes: [fn() -> Box<dyn Planner>; 3] = [
        || Box::new(Pacer::new(KnownAhead)),
        || Box::new(Knative::default()),
        || Box::new(Newsvendor::default()),
    ];
    for make in makes {
        let mut spec = site(Distribution::Exponential(800_000.0));
        spec.task.start = Distribution::Exponential(60e6);
        let known = Known::new(&load, 800_000.0);
        let planned = Planned { planner: make(), truth: Some(&known) };
        let span = load.span_us().unwrap();
        let spread = Spread::new(steps.into_iter(), Random::new(3, 0, Purpose::Arrivals));
        let arrivals = spread.map(|at_us| Arrival::plain(at_us, 0));
        let outcome = run(&[&spec], vec![planned], arrivals, span, Account::default(), 7).remove(0);
        outcome.tally.check().unwrap();
        let paid = outcome.usage.fargate.on_demand.of(Arch::Arm64).cpu_unit_ms as f64 / 1.024;
        let ready = outcome.tally.slot_area as f64;
        assert!(ready <= paid * 1.001, "what is ready is paid for: {ready} and not {paid}");
    }
}

#[test]
fn steps_are_replayed_as_they_are() {
    let steps = [(0, 400), (60, 0), (120, 1500)];
    let steps = steps.map(|(at, count)| Step { at_us: at * SECOND, us: 60 * SECOND, count });
    let spread = Spread::new(steps.into_iter(), Random::new(3, 0, Purpose::Arrivals));
    let arrivals =
        spread.map(|at_us| Arrival { service_us: Some(50_000), ..Arrival::plain(at_us, 0) });
    let sites = [site(Distribution::Fixed(1.0))];
    let planners = vec![Planned { planner: Box::new(LambdaOnly), truth: None }];
    let outcome =
        run(&[&sites[0]], planners, arrivals, (0, 180 * SECOND), Account::default(), 7).remove(0);
    outcome.tally.check().unwrap();
    assert_eq!((outcome.tally.requests, outcome.tally.ok), (1900, 1900));
    assert_eq!(outcome.usage.lambda.requests, 1900);
    let name: Arc<str> = sites[0].service.name.clone();
    assert_eq!(&*name, "s");
}

/// A burst, and another one four months later.
fn rare() -> Load {
    let burst =
        |from| (0..60).map(move |n| Step { at_us: from + n * SECOND, us: SECOND, count: 20 });
    Load::new(burst(0).chain(burst(120 * 86_400 * SECOND)).collect())
}

#[test]
fn months_without_a_request_are_skipped_and_cost_what_they_cost() {
    let load = rare();
    let span = load.span_us().unwrap();
    let kept = Site { first_tasks: 3, ..site(Distribution::Fixed(2e5)) };
    let planner =
        || Planned { planner: Box::new(StaticTasks::given(3, Routing::Hybrid)), truth: None };
    let account = Account { concurrency: 1000 };
    let arrivals = Spread::new(load.steps().iter().copied(), Random::new(1, 0, Purpose::Arrivals));
    let followed = run(
        &[&kept],
        vec![planner()],
        arrivals.map(|at_us| Arrival::plain(at_us, 0)),
        span,
        account,
        7,
    );
    let counted = counts::run(&kept, planner(), &load, span, account, 7);
    for outcome in [&followed[0], &counted] {
        outcome.tally.check().unwrap();
        let slots = outcome.tally.slot_area as f64 / (span.1 - span.0) as f64;
        assert_close(slots, 3.0, 1e-6, "slots");
        let points: Vec<_> = outcome.series.points().collect();
        assert!(points.iter().all(|(_, point)| (point.slots() - 3.0).abs() < 1e-9));
    }
}

/// Replays `load` on `spec` both ways under last value and newsvendor.
fn both_ways(spec: &Site, load: &Load) -> [Outcome; 2] {
    let planned =
        || Planned { planner: Box::new(Newsvendor::default()) as Box<dyn Planner>, truth: None };
    let span = load.span_us().unwrap();
    let account = Account { concurrency: 100_000 };
    let spread = Spread::new(load.steps().iter().copied(), Random::new(7, 0, Purpose::Arrivals));
    let arrivals = spread.map(|at_us| Arrival::plain(at_us, 0));
    let followed = run(&[spec], vec![planned()], arrivals, span, account, 7).remove(0);
    let counted = counts::run(spec, planned(), load, span, account, 7);
    followed.tally.check().unwrap();
    counted.tally.check().unwrap();
    [followed, counted]
}

fn with_class(mut spec: Site, class: Option<Class>) -> Site {
    spec.streams[0].route.class = class;
    spec
}

#[test]
fn sprinters_ask_for_no_tasks() {
    let spec = with_class(site(Distribution::Exponential(2e5)), Some(Class::Sprinter));
    for outcome in both_ways(&spec, &day()) {
        assert_eq!((outcome.tally.by_lane[1], outcome.tally.most_tasks), (0, 0));
    }
}

#[test]
fn a_class_is_learned_from_what_has_ended() {
    // The prior says sprinter; each takes two seconds, twice the bound. All but the first ones go to containers.
    let spec = with_class(site(Distribution::Fixed(2e6)), None);
    let [followed, counted] = both_ways(&spec, &day());
    let lambda =
        |outcome: &Outcome| outcome.tally.by_lane[0] as f64 / outcome.tally.requests as f64;
    assert_close(lambda(&followed), lambda(&counted), 0.03, "share on Lambda");
    let declared = with_class(spec, Some(Class::Marathon));
    assert_close(lambda(&followed), lambda(&both_ways(&declared, &day())[0]), 0.01, "learned");
}

#[test]
fn what_lambda_cannot_carry_fails_there_and_nowhere_else() {
    let plain = |at_us| Arrival::plain(at_us, 0);
    let arrivals = [
        Arrival { event_bytes: 7 << 20, ..plain(1) },
        Arrival { answer_bytes: 5 << 20, ..plain(2) },
        Arrival { service_us: Some(900_000_000), ..plain(3) },
        plain(4),
    ];
    let mut spec = site(Distribution::Fixed(1e5));
    spec.function.answer_bytes_max = answer_bytes_max(InvokeMode::Buffered);
    spec.task.slots = 4;
    spec.first_tasks = 1;
    let failed = |planner: Box<dyn Planner>| {
        let planned = Planned { planner, truth: None };
        let span = (0, 2_000 * SECOND);
        let arrivals = arrivals.into_iter();
        let outcome = run(&[&spec], vec![planned], arrivals, span, Account::default(), 7).remove(0);
        outcome.tally.check().unwrap();
        Failed::ALL.into_iter().filter(|why| outcome.tally.failed[why.index()] == 1).collect()
    };
    let on_lambda: Vec<_> = failed(Box::new(LambdaOnly));
    assert_eq!(on_lambda, [Failed::FunctionTimeout, Failed::NotPossible, Failed::AnswerTooLarge]);
    let in_containers: Vec<_> = failed(Box::new(StaticTasks::given(1, Routing::ContainerOnly)));
    assert_eq!(in_containers, []);
}

#[test]
fn a_functions_timeout_is_reckoned_both_ways() {
    let mut spec = with_class(site(Distribution::Exponential(4e6)), Some(Class::Sprinter));
    spec.function.timeout_us = 6 * SECOND;
    let [followed, counted] = both_ways(&spec, &day());
    let share = |outcome: &Outcome| {
        let cut_off = outcome.tally.failed[Failed::FunctionTimeout.index()];
        cut_off as f64 / outcome.tally.requests as f64
    };
    assert_close(share(&followed), (-1.5_f64).exp(), 0.01, "cut off");
    assert_close(share(&counted), (-1.5_f64).exp(), 0.001, "cut off");
    let billed = |outcome: &Outcome| *outcome.usage.lambda.mb_ms.of(Arch::Arm64) as f64;
    assert_close(billed(&counted) / billed(&followed), 1.0, 0.01, "billed");
}

/// Everything on Lambda, with environments held ready.
#[derive(Debug)]
struct Ready {
    warm: u32,
    provisioned: u32,
}

impl Planner for Ready {
    fn plan(&mut self, _: &Inputs<'_>, _: &Plan) -> Plan {
        let Self { warm, provisioned } = *self;
        Plan { warm, provisioned, ..Plan::tasks(0, Why::Fixed) }
    }

    fn routing(&self) -> Routing {
        Routing::LambdaOnly
    }

    fn name(&self) -> &'static str {
        "ready"
    }
}

#[test]
fn environments_held_ready_start_no_request_cold_and_are_billed() {
    // A request every twenty minutes, of environments that live for ten: each of them would be cold.
    let (every_us, count) = (1_200 * SECOND, 50);
    let span = (0, count * every_us);
    let replayed = |warm, provisioned| {
        let spec = site(Distribution::Fixed(2e5));
        let planned = Planned { planner: Box::new(Ready { warm, provisioned }), truth: None };
        let arrivals = (0..count).map(|n| Arrival::plain(n * every_us + 60 * SECOND, 0));
        let outcome = run(&[&spec], vec![planned], arrivals, span, Account::default(), 7).remove(0);
        outcome.tally.check().unwrap();
        outcome
    };
    assert_eq!(replayed(0, 0).tally.cold, count);

    let warmed = replayed(1, 0);
    assert_eq!(warmed.tally.cold, 0);
    // Started once, and found there by an invoke every two and a half minutes, eight between two requests, until the last one
    // is through.
    assert_eq!(warmed.tally.warm_ups, 1);
    let invokes = warmed.warm_usage.requests;
    assert!((u128::from(8 * (count - 1))..=u128::from(8 * count)).contains(&invokes), "{invokes}");
    let lambda = &warmed.usage.lambda;
    assert_eq!(lambda.requests, u128::from(count) + invokes, "invokes to warm are billed");
    let (start_ms, hold_ms) = (400, 150);
    let billed_ms = 200 * count + start_ms + hold_ms * invokes as u64;
    assert_eq!(*lambda.mb_ms.of(Arch::Arm64), u128::from(1769 * billed_ms));

    let provisioned = replayed(0, 2);
    assert_eq!((provisioned.tally.cold, provisioned.tally.warm_ups), (0, 0));
    let lambda = &provisioned.usage.lambda;
    let held = *lambda.provisioned_idle_mb_ms.of(Arch::Arm64);
    assert_eq!(held, u128::from(2 * 1769 * (span.1 / 1000)), "paid for whether used or not");
    assert_eq!(*lambda.provisioned_duration_mb_ms.of(Arch::Arm64), u128::from(1769 * 200 * count));
}
