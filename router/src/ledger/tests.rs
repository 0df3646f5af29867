use std::time::Duration;

use policies::{
    cost::PicoUsd,
    decide::{Class, Lane},
};

use super::{held::Life, statement::Statement, *};
use crate::{
    fixture,
    telemetry::{series::Series, shard::Shard},
};

/// Noon of a day, in seconds since 1970.
const NOON_S: u64 = 20_778 * DAY_S + 43_200;

fn noon_and(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOON_S + seconds)
}

struct Books {
    world: World,
    shard: Arc<Shard>,
    ledger: Ledger,
    now: SystemTime,
    leads: bool,
}

impl Books {
    fn new(text: &str) -> Self {
        let policy = fixture::policy(text);
        let ledger = Ledger::new(&policy, Clock::real());
        let world = fixture::world(&policy);
        let mut books =
            Self { world, shard: fixture::shard(0), ledger, now: noon_and(0), leads: true };
        books.look();
        books
    }

    fn request(&self, route: &str, lane: Lane, service_us: u32) {
        let route = fixture::route(&self.world.policy, route);
        let outcome = fixture::outcome(&self.world, route, lane, service_us);
        self.shard.count_asked(route, fixture::decision(&self.world, route), &self.world);
        self.shard.count(&outcome, &self.world);
    }

    fn look(&mut self) {
        let series = Series::of(&self.world);
        let functions = BTreeMap::new();
        let (world, leads) = (&self.world, self.leads);
        self.ledger.look(&View { world, series: &series, functions: &functions, leads }, self.now);
    }

    fn after(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.look();
    }

    fn statement(&self) -> Statement {
        Statement::of(self.ledger.total(), self.ledger.book())
    }

    fn row(&self, service: &str, part: Part) -> Row {
        self.ledger.total().get(&Key::new(service.into(), part)).copied().unwrap_or_default()
    }
}

fn near(amount: PicoUsd, usd: f64) {
    assert!(
        (amount.as_usd() - usd).abs() < usd.abs() * 1e-6 + 1e-12,
        "{} is not {usd}",
        amount.as_usd()
    );
}

#[test]
fn what_requests_used_is_booked_once_by_route_class_and_lane() {
    let mut books = Books::new(fixture::POLICY);
    books.request("/thumb", Lane::Lambda, 20_000);
    books.request("/thumb", Lane::Lambda, 40_000);
    books.request("/render", Lane::Container, 2_000_000);
    books.after(1);
    books.after(1);
    let routes: Vec<_> = books
        .ledger
        .total()
        .iter()
        .filter_map(|(key, row)| match &key.part {
            Part::Route { route, class, lane, .. } => {
                Some((route.split(' ').next_back().unwrap().to_owned(), *class, *lane, *row))
            }
            _ => None,
        })
        .collect();
    let [(render, _, Lane::Container, rendered), (thumb, Class::Sprinter, Lane::Lambda, thumbs)] =
        &routes[..]
    else {
        panic!("{routes:#?}")
    };
    assert!(render.ends_with("/render") && thumb.ends_with("/thumb"), "{routes:#?}");
    assert_eq!((thumbs.requests, thumbs.runs, thumbs.mb_ms), (2, 2, 60 * 1769));
    // Two seconds of one of four slots of a task of one vCPU and 2 GiB.
    assert_eq!((rendered.requests, rendered.task_us), (1, 500_000));
    assert_eq!((rendered.cpu_unit_ms, rendered.mib_ms), (500 * 1024, 500 * 2048));
}

#[test]
fn the_parts_of_a_bill_are_what_prices_make_of_its_usage() {
    let mut books = Books::new(fixture::POLICY);
    books.request("/thumb", Lane::Lambda, 1_000_000);
    books.request("/render", Lane::Container, 40_000_000);
    // One upstream of each service is held for a minute.
    for _ in 0..60 {
        books.after(1);
    }
    let statement = books.statement();
    let film = &statement.services["film"];
    // us-east-1, Arm: 0.0000133334 a GB-s and 0.20 a million requests; Fargate 0.03238 a vCPU-hour, 0.00356 a GB-hour.
    near(film.lambda, 1769.0 / 1024.0 * 0.000_013_333_4 + 0.000_000_2);
    let task_hour = 0.032_38 + 2.0 * 0.003_56;
    near(film.container, task_hour / 60.0);
    near(film.idle, task_hour * (60.0 - 10.0) / 3600.0);
    assert_eq!(film.utilisation(), Some(1.0 / 6.0));
    near(film.total(), film.lambda.as_usd() + film.container.as_usd());
    let items: PicoUsd = film.items.values().copied().sum();
    assert_eq!(items, film.total(), "no dollar without its line");
    // The gateway itself: a quarter of a vCPU and half a GB.
    near(statement.own, (0.25 * 0.032_38 + 0.5 * 0.003_56) / 60.0);
}

#[test]
fn a_task_is_paid_from_the_pull_of_its_image_to_its_end_and_a_minute_at_least() {
    let text = fixture::POLICY.replace(
        "      upstreams: [\"http://127.0.0.1:9001\"]",
        "      ecs: { cluster: prod, service: report, port: 80 }",
    );
    let mut books = Books::new(&text);
    let life = |name: &str, from: Option<u64>, until: Option<u64>| Life {
        name: name.into(),
        from: from.map(noon_and),
        until: until.map(noon_and),
        spot: false,
        size: Some((512, 1024)),
        arch: Some(Arch::Arm64),
    };
    let report: Arc<str> = "report".into();
    let held = |books: &Books| books.row("report", Part::Held).task_us / 1_000_000;
    // It is seen while it starts, and nothing is paid before the pull.
    books.ledger.tasks(&report, vec![life("a", None, None)]);
    books.after(10);
    assert_eq!(held(&books), 0);
    books.now += Duration::from_secs(10);
    books.ledger.tasks(&report, vec![life("a", Some(5), None)]);
    books.look();
    assert_eq!(held(&books), 15);
    // Nobody says whether it still runs: nothing is booked that might have to be taken back.
    books.after(80);
    assert_eq!(held(&books), 15);
    books.ledger.tasks(&report, vec![life("a", Some(5), Some(90))]);
    books.after(1);
    assert_eq!(held(&books), 85);
    books.after(30);
    assert_eq!(held(&books), 85, "it is over");
    // One that lived for ten seconds is paid for a minute.
    books.ledger.tasks(&report, vec![life("b", Some(131), None)]);
    books.after(5);
    books.ledger.tasks(&report, vec![life("b", Some(131), Some(141))]);
    books.after(5);
    assert_eq!(held(&books), 85 + 60);
    assert_eq!(books.row("report", Part::Held).cpu_unit_ms, 145_000 * 512);
    // What a task had cost for hours before this gateway came is in the books of another.
    books.ledger.tasks(&report, vec![life("c", Some(0), None)]);
    books.now += Duration::from_hours(2);
    books.look();
    let before = held(&books);
    books.now += Duration::from_secs(20);
    books.ledger.tasks(&report, vec![life("c", Some(0), None)]);
    books.look();
    assert_eq!(held(&books), before + 20);
}

#[test]
fn of_several_gateways_one_books_what_is_the_services() {
    let mut books = Books::new(fixture::POLICY);
    books.leads = false;
    books.request("/thumb", Lane::Lambda, 20_000);
    books.request("/render", Lane::Container, 20_000);
    for _ in 0..30 {
        books.after(1);
    }
    let parts: Vec<_> = books.ledger.total().keys().map(|key| key.part.clone()).collect();
    assert!(
        parts.iter().all(|part| matches!(part, Part::Route { .. } | Part::Own)),
        "each its own requests, and itself: {parts:?}"
    );
    assert_eq!(parts.len(), 3);
}

#[test]
fn other_ways_to_run_the_load_are_reckoned_beside_it() {
    let mut books = Books::new(fixture::POLICY);
    for _ in 0..300 {
        for _ in 0..20 {
            books.request("/render", Lane::Container, 100_000);
        }
        books.after(1);
    }
    let statement = books.statement();
    let film = &statement.services["film"];
    let ways: Vec<_> = film.instead.keys().copied().collect();
    assert_eq!(ways, Instead::ALL);
    // 6,000 requests of 100 ms (and half a millisecond of rounding up) on 1,769 MB; the last step is not over yet.
    let gb_s = 0.100_5 * 1769.0 / 1024.0 * 0.000_013_333_4;
    let all_lambda = film.instead[&Instead::AllLambda].cost.as_usd();
    assert!((all_lambda / (6_000.0 * (gb_s + 2e-7)) - 1.0).abs() < 0.05, "{all_lambda}");
    // Two busy slots of four: a task all the time is the least, and no more than three.
    let tracking = film.instead[&Instead::TargetTracking].cost.as_usd();
    let task = (0.032_38 + 2.0 * 0.003_56) * 300.0 / 3600.0;
    assert!((0.8 * task..3.0 * task).contains(&tracking), "{tracking} of {task}");
    let (way, cost) = film.cheapest_other().unwrap();
    assert_eq!(cost, film.instead[&way].cost);
    let saved = cost.as_usd() - film.total().as_usd();
    assert!((film.saved_usd().unwrap() - saved).abs() < 1e-12);
    assert!(statement.saved_usd().unwrap() < saved, "the gateway's own cost is taken off");
    // With one lane there is nothing to choose.
    assert_eq!(statement.services["report"].instead.len(), 0);
    assert_eq!(statement.services["report"].saved_usd(), None);
}

#[test]
fn a_day_ends_at_midnight_utc_and_old_ones_are_forgotten() {
    let mut books = Books::new(fixture::POLICY);
    books.request("/thumb", Lane::Lambda, 20_000);
    books.after(1);
    books.now += Duration::from_hours(12);
    books.request("/thumb", Lane::Lambda, 20_000);
    books.look();
    let today = day_of(books.now);
    let days: Vec<_> = books.ledger.days().into_keys().collect();
    assert_eq!(days, [today - 1, today]);
    books.now += Duration::from_hours(24) * DAYS as u32;
    books.request("/thumb", Lane::Lambda, 20_000);
    books.look();
    assert_eq!(books.ledger.days().len(), 1);
}

#[test]
fn a_clock_that_steps_books_no_time_twice_and_none_that_nobody_saw() {
    let mut books = Books::new(fixture::POLICY);
    books.after(10);
    let held = |books: &Books| books.row("film", Part::Held).task_us / 1_000_000;
    assert_eq!(held(&books), 10);
    books.now -= Duration::from_hours(1);
    books.look();
    assert_eq!(held(&books), 10);
    books.after(10);
    assert_eq!(held(&books), 20);
    books.now += Duration::from_hours(8);
    books.look();
    assert_eq!(held(&books), 20);
}

#[test]
fn a_row_is_what_its_numbers_say() {
    let row = Row { requests: 3, arch: Arch::X86_64, mib_ms: 7, spot_mib_ms: 9, ..Row::default() };
    assert_eq!(Row::from_numbers(&row.numbers()), row);
    // A row that was kept by an older gateway has fewer of them.
    assert_eq!(Row::from_numbers(&row.numbers()[..4]), Row { mib_ms: 0, spot_mib_ms: 0, ..row });
    let mut sum = row;
    sum += &row;
    assert_eq!((sum.requests, sum.arch, sum.mib_ms), (6, Arch::X86_64, 14));
    assert_eq!(sum.since(&row), row);
}

#[test]
fn what_was_kept_goes_on_after_a_restart_and_is_counted_once() {
    let mut before = Books::new(fixture::POLICY);
    assert_eq!(before.ledger.recall(std::iter::empty(), true), 0);
    before.request("/thumb", Lane::Lambda, 20_000);
    before.after(10);
    let first: BTreeMap<_, _> = before.ledger.take_changed().into_iter().collect();
    before.request("/thumb", Lane::Lambda, 20_000);
    before.after(10);
    // What is kept later takes the place of what was kept of the same row.
    let mut kept = first.clone();
    kept.extend(before.ledger.take_changed());
    assert!(before.ledger.take_changed().is_empty(), "nothing changed since");
    let of = |books: &Books| {
        let day = day_of(books.now);
        let days = books.ledger.days();
        let requests = |(key, row): (&Key, &Row)| match key.part {
            Part::Route { .. } => row.requests,
            _ => 0,
        };
        (days[&day].iter().map(requests).sum::<u64>(), days[&day][&Key::own()].task_us)
    };
    assert_eq!(of(&before), (2, 20_000_000));

    let mut after = Books::new(fixture::POLICY);
    after.ledger.looked = None;
    after.now = before.now;
    after.look();
    after.request("/thumb", Lane::Lambda, 20_000);
    after.after(5);
    assert!(after.ledger.take_changed().is_empty(), "it does not know yet what was before");
    kept.insert("no row".into(), vec![1]);
    let rows = || kept.iter().map(|(name, row)| (name, &**row));
    assert_eq!(after.ledger.recall(rows(), false), 0, "a part of it would be taken for all");
    assert_eq!(after.ledger.recall(rows(), true), 1, "one could not be read");
    assert_eq!(after.ledger.recall(rows(), true), 0, "and once is enough");
    assert_eq!(of(&after), (3, 25_000_000));
    let again: BTreeMap<_, _> = after.ledger.take_changed().into_iter().collect();
    let mut third = Books::new(fixture::POLICY);
    third.now = after.now;
    third.ledger.recall(again.iter().map(|(name, row)| (name, &**row)), true);
    assert_eq!(of(&third), (3, 25_000_000));
}

#[test]
fn who_leaves_requests_unserved_is_no_alternative() {
    let other = |usd: u128, failed: u64, late: u64| statement::Otherwise {
        cost: PicoUsd(usd),
        asked: 10_000,
        failed,
        late,
    };
    let cheapest = |lambda, tracking| {
        let instead = [(Instead::AllLambda, lambda), (Instead::TargetTracking, tracking)].into();
        statement::ServiceCost { instead, ..statement::ServiceCost::default() }.cheapest_other()
    };
    let (lambda, tracking) = (Instead::AllLambda, Instead::TargetTracking);
    assert_eq!(cheapest(other(9, 0, 0), other(5, 10, 90)), Some((tracking, PicoUsd(5))));
    assert_eq!(cheapest(other(9, 0, 0), other(5, 11, 0)), Some((lambda, PicoUsd(9))));
    assert_eq!(cheapest(other(9, 0, 0), other(5, 0, 101)), Some((lambda, PicoUsd(9))));
    assert_eq!(cheapest(other(9, 50, 0), other(5, 50, 0)), Some((lambda, PicoUsd(9))));
}
