use std::time::UNIX_EPOCH;

use policies::decide::Lane;

use super::*;
use crate::{
    control::discover::Fleet,
    fixture,
    lane::container::{Queue, Tasks},
};

/// A gateway whose clock the test turns.
struct Turned {
    world: World,
    capacity: Capacity,
    fleets: Vec<Fleet>,
    now: SystemTime,
}

impl Turned {
    fn new() -> Self {
        let policy = fixture::policy(fixture::POLICY);
        let fleet = |(index, service): (usize, &policies::policy::Service)| {
            let tasks = Arc::new(Tasks::new(Vec::new(), Queue::new()));
            let container = service.container.as_ref()?;
            let (id, now) = (ServiceId(index as u16), tokio::time::Instant::now());
            Some(Fleet::new(id, service.name.clone(), container, tasks, now))
        };
        Self {
            capacity: Capacity::new(&policy, Clock::real()),
            fleets: policy.services.iter().enumerate().filter_map(fleet).collect(),
            world: fixture::world(&policy),
            now: UNIX_EPOCH + Duration::from_secs(1_800_000_003),
        }
    }

    /// Serves `requests` that ran for half a second each, lets some time pass, and looks.
    fn pass(&mut self, seconds: f64, requests: u32) -> Option<Look> {
        self.serve(requests);
        self.now += Duration::from_secs_f64(seconds);
        self.capacity.second(self.now, &self.world, 1);
        let look = self.capacity.look(self.now, &self.world)?;
        self.capacity.plan(&look, &self.world, self.fleets.iter(), 1);
        Some(look)
    }

    fn serve(&self, requests: u32) {
        let (route, shard) = (fixture::route(&self.world.policy, "/reports/*"), fixture::shard(0));
        for _ in 0..requests {
            let outcome = fixture::outcome(&self.world, route, Lane::Container, 500_000);
            shard.count_asked(route, fixture::decision(&self.world, route), &self.world);
            shard.count(&outcome, &self.world);
        }
    }
}

#[test]
fn steps_end_at_whole_tens_and_the_first_is_not_one() {
    let mut gateway = Turned::new();
    assert!(gateway.pass(0.0, 0).is_none(), "nothing is known of the step that it started in");
    assert!(gateway.pass(5.0, 4).is_none(), "the step goes on");
    let look = gateway.pass(2.0, 6).unwrap();
    assert_eq!(look.end_s, 1_800_000_010);
    assert_eq!(look.asked["report"].asked, 10);
    assert_eq!(look.asked["film"].asked, 0);
    assert!(gateway.pass(9.9, 7).is_none());
    assert_eq!(gateway.pass(0.2, 0).unwrap().asked["report"].asked, 7);
}

#[test]
fn a_pause_of_several_steps_is_told_as_their_average() {
    let mut gateway = Turned::new();
    gateway.pass(0.0, 0);
    let look = gateway.pass(40.0, 80).unwrap();
    assert_eq!((look.end_s, look.asked["report"].asked), (1_800_000_040, 20));
}

#[test]
fn a_clock_that_is_set_back_or_far_ahead_stops_nothing() {
    let mut gateway = Turned::new();
    gateway.pass(0.0, 0);
    gateway.pass(10.0, 50);
    gateway.now -= Duration::from_hours(2);
    assert_eq!(gateway.pass(10.0, 50).unwrap().asked["report"].asked, 50);
    gateway.now += Duration::from_hours(9_600);
    gateway.pass(10.0, 50).unwrap();
    for _ in 0..30 {
        gateway.pass(10.0, 50).unwrap();
    }
    let plan = &gateway.capacity.states()["report"];
    assert!((1..50).contains(&plan.tasks.unwrap()), "{plan:?}");
}

#[test]
fn a_steady_load_is_planned_for_and_the_plan_tells_why() {
    let mut gateway = Turned::new();
    gateway.pass(0.0, 0);
    // 8 requests a second of half a second each: four slots busy on average, one a task.
    for _ in 0..60 {
        gateway.pass(10.0, 80);
    }
    let plans = gateway.capacity.states();
    let plan = &plans["report"];
    assert!((plan.demand - 4.0).abs() < 0.1, "{plan:?}");
    assert!((5..=14).contains(&plan.tasks.unwrap()), "four on average, and chance: {plan:?}");
    assert!(plan.why.starts_with(&format!("{} tasks: ", plan.tasks.unwrap())), "{plan:?}");
    assert_eq!(plans["film"].tasks, Some(0), "nothing is asked of it");
    assert_eq!(plan.at, UNIX_EPOCH + Duration::from_mins(30_000_010));
}

#[test]
fn a_flood_is_planned_for_in_the_seconds_that_it_takes_to_see_it() {
    let mut gateway = Turned::new();
    gateway.pass(0.0, 0);
    for _ in 0..60 {
        gateway.pass(10.0, 80);
    }
    // It is known what a second has.
    let tasks = |gateway: &Turned| gateway.capacity.states()["report"].tasks.unwrap();
    let before = tasks(&gateway);
    for _ in 0..6 {
        assert!(gateway.pass(1.0, 8).is_none());
    }
    assert_eq!(tasks(&gateway), before, "nothing is the matter");
    gateway.pass(1.0, 8).expect("the step is over");
    let floods = (1..=3).find(|_| {
        assert!(gateway.pass(1.0, 64).is_none(), "no step is over");
        before + 10 < tasks(&gateway)
    });
    assert!(floods.is_some(), "{:?} after {before}", gateway.capacity.states()["report"]);
    let plan = gateway.capacity.states()["report"].clone();
    assert!(
        plan.why.contains("burst") && gateway.now - Duration::from_secs(1) < plan.at,
        "{plan:?}"
    );
    // The step in which it came is told, and the plan stays.
    for _ in 0..9 {
        gateway.pass(1.0, 64);
    }
    assert!(before + 10 < tasks(&gateway), "{:?}", gateway.capacity.states()["report"]);
}

#[test]
fn where_time_runs_fast_a_tick_is_some_seconds() {
    let mut gateway = Turned::new();
    gateway.capacity =
        Capacity::new(&gateway.world.policy, Clock::scaled(20.0, gateway.now, gateway.now));
    gateway.pass(0.0, 0);
    // Each tick of 200 ms is four seconds, of 8 requests each.
    for _ in 0..200 {
        gateway.pass(0.2, 32);
    }
    let before = gateway.capacity.states()["report"].clone();
    assert!(!before.why.contains("burst"), "{before:?}");
    // Eight times as many: two ticks later there are tasks for it, whether a step was over between or not.
    gateway.pass(0.2, 256);
    gateway.pass(0.2, 256);
    let plan = gateway.capacity.states()["report"].clone();
    assert!(before.tasks.unwrap() * 3 < plan.tasks.unwrap(), "{before:?} {plan:?}");
}

#[test]
fn when_gateways_come_or_go_their_shares_are_no_floods() {
    let mut gateway = Turned::new();
    gateway.pass(0.0, 0);
    for _ in 0..60 {
        gateway.pass(10.0, 80);
    }
    for _ in 0..4 {
        gateway.now += Duration::from_secs(1);
        gateway.serve(64);
        let anew = gateway.capacity.second(gateway.now, &gateway.world, 2);
        assert!(!anew, "it may be that the other one has left");
    }
}

#[test]
fn a_past_is_learned_once_and_let_go() {
    let mut gateway = Turned::new();
    gateway.capacity.remember(Loaded::default());
    gateway.pass(0.0, 0);
    gateway.pass(10.0, 80);
    assert!(gateway.capacity.lesson().is_none(), "there is nothing to learn");
}

#[test]
fn where_tasks_take_minutes_forecasts_come_to_cover_it() {
    let mut gateway = Turned::new();
    gateway.pass(0.0, 0);
    for _ in 0..60 {
        gateway.pass(10.0, 80);
    }
    let start = |gateway: &Turned| gateway.capacity.states()["report"].start;
    assert_eq!(start(&gateway), Duration::from_secs(80));
    assert!(gateway.capacity.lesson().is_none());
    let report = gateway.fleets.iter_mut().find(|fleet| &**fleet.name() == "report").unwrap();
    report.started_after(Duration::from_secs(200));
    gateway.pass(10.0, 80);
    assert_eq!(start(&gateway), Duration::from_secs(200));
    let lesson = gateway.capacity.lesson().expect("its horizons are of 80 s");
    gateway.pass(10.0, 80);
    assert!(gateway.capacity.lesson().is_none(), "it learns already");
    gateway.capacity.learned(lesson.run());
    gateway.pass(10.0, 80);
    assert!(gateway.capacity.lesson().is_none(), "it fits");
    let plan = gateway.capacity.states()["report"].clone();
    assert!((3.5..4.5).contains(&plan.expected.0), "as much as ever is expected: {plan:?}");
    assert!(!plan.why.contains("nothing is forecast"), "{plan:?}");
}
