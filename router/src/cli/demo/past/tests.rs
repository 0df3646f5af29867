//! What the past is for: with it tasks rise before the crowd, without it they rise with it.

use predictor::plan::{
    Forecasts, History as Looks, Inputs, OnLambda, Pacer, Plan, Planner as _, Shape, Why,
};

use super::{super::stage::built_in_policy, *};

/// What containers of the demo are asked: films, and large photos.
const HOME: Home = Home { share: 0.1, mean: 0.8 };
/// How much faster than real the recording is played.
const SCALE: f64 = 20.0;
/// How long a start takes, in seconds of the recording.
const START_S: u64 = 60;

fn recorded() -> Trace {
    Trace::read(pacer_demo::TRACE).unwrap()
}

fn shape() -> Shape {
    Shape {
        slots_per_task: 1,
        // A quarter of a vCPU beside 1,769 MiB of Lambda.
        break_even: 0.119,
        patience: 2.0 / HOME.mean,
        start_us: START_S * 1_000_000,
        paid_start_us: 40_000_000,
        least_paid_us: 60_000_000,
        min_tasks: 1,
        max_tasks: 8,
        warm: None,
        spot: None,
    }
}

/// Plays the recording; returns how many tasks are planned at the end of each ten seconds.
fn plans(past: &[(u64, Step)], seed: u64) -> Vec<(u64, u32)> {
    let (trace, shape) = (recorded(), shape());
    let mut forecasts = Forecasts::new(&shape);
    forecasts.recall(past.iter().map(|&(at_s, step)| (at_s, step.requests as f64)));
    let mut planner = Pacer::new(forecasts);
    let mut looks = Looks::new(10_000_000, 60);
    let mut plan = Plan::tasks(2, Why::Fixed);
    let mut draw = Draw::new(seed);
    let mean_service_us = HOME.mean * SCALE * 1e6;
    let ends = (trace.start + STEP_S..).step_by(STEP_S as usize);
    let step = |(end_s, counts): (u64, &[u32])| {
        let count: u32 = counts.iter().sum();
        let asked = (0..count).filter(|_| draw.unit() < HOME.share).count() as f64;
        let demand = asked * mean_service_us / 1e7;
        looks.push(demand, demand.min(plan.tasks.into()), plan.tasks.into());
        let inputs = Inputs {
            now_us: end_s * 1_000_000,
            history: &looks,
            asked,
            mean_service_us,
            ready: plan.tasks,
            starting: 0,
            busy: 0,
            waiting: 0,
            lambda: OnLambda::default(),
            shape: &shape,
            truth: None,
        };
        plan = planner.plan(&inputs, &plan);
        (end_s, plan.tasks)
    };
    ends.zip(trace.counts.chunks(STEP_S as usize)).map(step).collect()
}

/// Tasks that were planned last before a moment.
fn at(plans: &[(u64, u32)], moment: u64) -> u32 {
    plans.iter().rev().find(|(end_s, _)| *end_s < moment).unwrap().1
}

#[test]
fn with_the_past_tasks_rise_a_start_before_the_crowd_and_without_it_they_do_not() {
    let trace = recorded();
    let crowd = trace.start + trace.rise(60) as u64;
    let past = steps(&trace, HOME, 13);
    // Some tasks come and go by chance, where a few films come at once: so it is played twelve times.
    let (mut with, mut without) = ([0; 4], [0; 4]);
    for seed in 1..=12 {
        let moments = [crowd - 180, crowd - START_S, crowd, crowd + 60];
        let knows = plans(&past, seed);
        let knows_not = plans(&[], seed);
        assert!(at(&knows, moments[0]) < at(&knows, moments[1]), "seed {seed}: {knows:?}");
        assert!(4 <= at(&knows, crowd), "seed {seed}: {knows:?}");
        for (place, moment) in moments.into_iter().enumerate() {
            with[place] += at(&knows, moment);
            without[place] += at(&knows_not, moment);
        }
    }
    let told = format!("with {with:?}, without {without:?}");
    let [quiet, in_time, here, later] = without;
    // Ripples, and no more, until the crowd is there.
    assert!(in_time * 4 <= quiet * 5 && here * 4 <= quiet * 5, "{told}");
    assert!(here * 3 < later * 2, "{told}");
    assert!(with[0] * 3 < with[1] * 2 && here * 3 < with[2] * 2, "{told}");
}

#[test]
fn each_day_before_has_the_recorded_half_hour_thinned_anew() {
    let trace = recorded();
    let steps = steps(&trace, HOME, 13);
    assert_eq!(steps.len(), DAYS as usize * 180);
    let day = |number: usize| steps[number * 180..(number + 1) * 180].iter();
    let requests = |number: usize| day(number).map(|(_, step)| step.requests).sum::<u64>();
    let all: u64 = (0..DAYS as usize).map(requests).sum();
    let expected = 3_553.0 * HOME.share * DAYS as f64;
    assert!((all as f64 / expected - 1.0).abs() < 0.1, "{all} of {expected}");
    assert_ne!(requests(0), requests(1));
    assert_eq!(steps[0].0, trace.start - DAYS * DAY_S);
    assert_eq!(steps.last().unwrap().0, trace.start - DAY_S + 1790);
    let busy = day(0).find(|(_, step)| 0 < step.requests).unwrap().1;
    assert_eq!(busy.mean_us, 800_000);
}

#[tokio::test]
async fn a_gateway_that_starts_finds_the_past() {
    let folder = tempfile::tempdir().unwrap();
    let policy = built_in_policy();
    let costs = pacer_demo::load::mix::Costs {
        thumb: 0.001,
        resize_64: 0.005,
        resize_1024: 0.06,
        frame: 0.0005,
    };
    let pace =
        pacer_demo::load::calibrate::Pace { share: 1.0, films: 1.0, costs, crowd_rate: 70.0 };
    let asked = super::super::asked::asked(&policy, &pace, 1.0);
    let mut trace = recorded();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    trace.start = (now / DAY_S - 1) * DAY_S + trace.start % DAY_S;
    write(folder.path(), &policy, &asked, &trace, 13).await.unwrap();
    let state = State::Directory(folder.path().to_owned());
    let (history, mut loading) = History::open(Some(&state), None).unwrap();
    let loaded = loading.next().await.unwrap();
    assert_eq!(loaded.steps("photos").count(), DAYS as usize * 180);
    history.close().await;
    let again = write(folder.path(), &policy, &asked, &trace, 13).await.unwrap_err();
    assert!(again.to_string().contains("there is a history in"), "{again}");
}
