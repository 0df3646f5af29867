use std::{collections::BTreeMap, time::Duration};

use policies::{cost::PicoUsd, decide::Lane};
use predictor::outcome::{End, Outcome, Spill};

use super::*;
use predictor::radar::{Action, Kind as RadarKind, Level, Ready, Warning};

use crate::{
    control::{
        act::Deed,
        capacity::Clock,
        radar::{BudgetState, ServiceState},
    },
    fixture,
    ledger::{Ledger, View, statement::ServiceCost},
};

/// Reads Prometheus' text format strictly: every sample must belong to a family with HELP and TYPE before it.
fn parse(page: &[u8]) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let (mut family, mut kind) = (String::new(), String::new());
    for line in std::str::from_utf8(page).unwrap().lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().to_owned();
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, of) = typed.split_once(' ').unwrap();
            assert_eq!(name, family, "TYPE follows HELP");
            of.clone_into(&mut kind);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let suffixes: &[&str] =
                if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(
                suffixes.iter().any(|suffix| name == format!("{family}{suffix}")),
                "{line} outside its family {family}"
            );
            assert!(
                samples.insert(series.to_owned(), value.parse().unwrap()).is_none(),
                "{series} twice"
            );
        }
    }
    samples
}

fn sample() -> (World, Vec<Arc<Shard>>) {
    let policy = fixture::policy(fixture::POLICY);
    let world = fixture::world(&policy);
    let shards = vec![fixture::shard(0), fixture::shard(1)];
    let thumb = fixture::route(&policy, "/thumb");
    shards[0].count(&fixture::outcome(&world, thumb, Lane::Lambda, 20_000), &world);
    shards[1].count(&fixture::outcome(&world, thumb, Lane::Lambda, 40_000), &world);
    shards[0].count_asked(thumb, fixture::decision(&world, thumb), &world);
    let mut gone = fixture::outcome(&world, thumb, Lane::Container, 300_000_000);
    (gone.status, gone.end, gone.spill) = (0, End::ClientGone, Some(Spill::Throttled));
    shards[1].count(&gone, &world);
    (world, shards)
}

fn page(world: &World, shards: &[Arc<Shard>]) -> Vec<u8> {
    let state = PolicyState {
        hash: "0123456789ab".to_owned(),
        since: UNIX_EPOCH,
        warnings: Vec::new(),
        applied: 2,
        refused: 1,
        error: Some((UNIX_EPOCH, "no".to_owned())),
    };
    let plan = PlanState {
        tasks: Some(7),
        spot: 2,
        environments: Some(crate::control::capacity::Environments {
            warm: 3,
            provisioned: 0,
            why: String::new(),
        }),
        why: "7 tasks: forecast".to_owned(),
        at: UNIX_EPOCH,
        demand: 23.5,
        break_even: 0.119,
        start: Duration::from_secs(80),
        due: UNIX_EPOCH + Duration::from_secs(80),
        expected: (20.0, 31.5),
        requests: None,
        routes: std::sync::Arc::default(),
        scale: 1.0,
        outlook: Vec::new(),
        recalled: false,
    };
    let plans = [("film".into(), plan)].into();
    let mut deeds = Deeds::default();
    deeds.add(Deed {
        at: UNIX_EPOCH,
        service: "film".into(),
        kind: "scale-out",
        what: "tasks 5 -> 7".to_owned(),
        why: "7 tasks: forecast".to_owned(),
        error: None,
    });
    let series = Series::of(world);
    let mut ledger = Ledger::new(&world.policy, Clock::real());
    let functions = BTreeMap::new();
    let view = View { world, series: &series, functions: &functions, leads: true };
    ledger.look(&view, UNIX_EPOCH);
    ledger.look(&view, UNIX_EPOCH + Duration::from_mins(1));
    let statement = Statement::of(ledger.total(), ledger.book());
    let acting = Acting {
        planned: &plans,
        deeds: &deeds,
        radar: &radar(),
        statement: &statement,
        frozen: false,
    };
    let mut page = Page::new(series.list().len());
    fill(&mut page, world, shards, &ControlStats::default(), &series, &state, acting);
    page.finish()
}

fn radar() -> RadarState {
    let warning = |kind, seconds| Warning {
        kind,
        level: Level::Soon,
        seconds,
        says: String::new(),
        evidence: Vec::new(),
        action: Action::None(String::new()),
    };
    let state = ServiceState {
        warnings: vec![
            warning(RadarKind::Capacity, 240.0),
            warning(RadarKind::Discovery, 3_600.0),
            warning(RadarKind::Discovery, 600.0),
        ],
        budget: Some(BudgetState {
            left: 0.87,
            burn: [0.1, 0.2, 0.3, 0.4],
            window_s: 86_400,
            seen_s: 60,
        }),
        ready: Some(Ready { ready: true, says: String::new() }),
    };
    RadarState { at: None, services: [("film".into(), Arc::new(state))].into() }
}

#[test]
fn the_page_adds_up_all_workers() {
    let (world, shards) = sample();
    let page = parse(&page(&world, &shards));
    let name = &world.policy.route(fixture::route(&world.policy, "/thumb")).name;
    let at = |series: &str| *page.get(series).unwrap_or_else(|| panic!("no {series} in {page:#?}"));
    let check = |series: &str, expected: f64| {
        assert!((at(series) - expected).abs() < 1e-9, "{series} is {}", at(series));
    };

    check(
        &format!(
            "pacer_requests_total{{route=\"{name}\",service=\"film\",lane=\"lambda\",code=\"2xx\"}}"
        ),
        2.0,
    );
    check(
        &format!(
            "pacer_requests_total{{route=\"{name}\",service=\"film\",lane=\"container\",code=\"none\"}}"
        ),
        1.0,
    );
    check(&format!("pacer_asked_total{{route=\"{name}\",service=\"film\",lane=\"lambda\"}}"), 1.0);
    check("pacer_decisions_total{lane=\"lambda\",reason=\"declared\"}", 3.0);
    check("pacer_spills_total{from=\"lambda\",cause=\"throttled\"}", 1.0);
    check("pacer_ends_total{end=\"complete\"}", 2.0);
    check("pacer_ends_total{end=\"refused\"}", 0.0);
    // 20 ms and 40 ms at 1769 MB: 60 x 1769 / (1024 x 1000)
    check(
        &format!("pacer_lambda_billed_gb_seconds_total{{route=\"{name}\"}}"),
        60.0 * 1769.0 / 1_024_000.0,
    );
    check(&format!("pacer_lambda_cold_starts_total{{route=\"{name}\"}}"), 2.0);
    check("pacer_policy_info{hash=\"0123456789ab\"}", 1.0);
    check("pacer_reload_total{result=\"applied\"}", 2.0);
    check("pacer_reload_failed", 1.0);
    check("pacer_planned_environments{service=\"film\",kind=\"warm\"}", 3.0);
    check("pacer_planned_tasks{service=\"film\"}", 7.0);
    check("pacer_forecast_slots{service=\"film\",level=\"p90\"}", 31.5);
    check("pacer_actions_total{service=\"film\",kind=\"scale-out\",result=\"done\"}", 1.0);
    check("pacer_tasks{service=\"film\",state=\"ready\"}", 1.0);
    check("pacer_slots{service=\"film\"}", 4.0);
    check("pacer_radar_seconds{service=\"film\",warning=\"capacity\"}", 240.0);
    check("pacer_radar_seconds{service=\"film\",warning=\"discovery\"}", 600.0);
    check("pacer_error_budget_left_ratio{service=\"film\"}", 0.87);
    check("pacer_error_budget_burn_ratio{service=\"film\",window=\"6h\"}", 0.4);
    check("pacer_ready_to_act{service=\"film\"}", 1.0);
    check("pacer_lambda_up{service=\"film\"}", 1.0);
    check("pacer_discovery_errors_total{service=\"report\"}", 0.0);
    check(&format!("pacer_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0);
}

#[test]
fn a_histogram_is_cumulative_and_its_bounds_are_seconds() {
    let (world, shards) = sample();
    let page = parse(&page(&world, &shards));
    let name = &world.policy.route(fixture::route(&world.policy, "/thumb")).name;
    let bucket = |lane: &str, le: &str| {
        page[&format!(
            "pacer_request_duration_seconds_bucket{{route=\"{name}\",lane=\"{lane}\",le=\"{le}\"}}"
        )]
    };
    // 22 ms and 42 ms as the client saw them.
    for (le, expected) in [("0.01", 0.0), ("0.025", 1.0), ("0.05", 2.0), ("60", 2.0), ("+Inf", 2.0)]
    {
        assert!((bucket("lambda", le) - expected).abs() < 1e-9, "{le}");
    }
    assert!(
        bucket("container", "60") < 0.5 && 0.5 < bucket("container", "+Inf"),
        "five minutes lie above the last bound"
    );
    let sum =
        page[&format!("pacer_request_duration_seconds_sum{{route=\"{name}\",lane=\"lambda\"}}")];
    assert!((sum - 0.064).abs() < 1e-9, "{sum}");
}

#[test]
fn what_never_happened_takes_no_line() {
    let (world, shards) = sample();
    let page = parse(&page(&world, &shards));
    assert!(!page.keys().any(|series| series.contains("/reports/")), "{page:#?}");
    assert!(!page.keys().any(|series| series.contains("code=\"4xx\"")), "{page:#?}");
}

/// A rate misses the event with which a series appears: what somebody is to be woken by is there before it happens.
#[test]
fn what_may_fail_is_counted_from_zero() {
    let (world, shards) = sample();
    let page = parse(&page(&world, &shards));
    let failed = |lane: &str| {
        page.iter().find(|(series, _)| {
            series.contains("code=\"5xx\"") && series.contains(&format!("lane=\"{lane}\""))
        })
    };
    assert_eq!(failed("lambda").map(|(_, n)| *n), Some(0.0), "{page:#?}");
    assert_eq!(failed("none"), None, "no request was without a lane");

    let acting = fixture::POLICY.replacen("  report:\n", "  report:\n    mode: act\n", 1);
    let world = fixture::world(&fixture::policy(&acting));
    let page = parse(&super::tests::page(&world, &shards));
    let actions = |service: &str, result: &str| {
        page.get(&format!(
            "pacer_actions_total{{service=\"{service}\",kind=\"scale-in\",result=\"{result}\"}}"
        ))
    };
    assert_eq!(actions("report", "failed"), Some(&0.0), "{page:#?}");
    assert_eq!(actions("film", "failed"), None, "nothing is done in observe");
}

/// A world of 1,000 routes that were asked for a million times each: answered by their own lane in every way, and by the
/// other lane when there was no room.
fn a_thousand_routes() -> World {
    let text: Vec<_> = (0..1000)
        .map(|n| {
            format!("  - {{ match: {{ path: /api/v1/teams/{n:03}/reports }}, service: film }}\n")
        })
        .collect();
    let (head, _) = fixture::POLICY.split_once("routes:\n").unwrap();
    let head =
        head.replacen("  film:\n", "  film:\n    objective: { p99: 250ms, success: 99.9% }\n", 1);
    let world = fixture::world(&fixture::policy(&format!("{head}routes:\n{}", text.concat())));
    for series in Series::of(&world).list() {
        for lanes in &series.workers {
            let [lambda, container, _] = &**lanes;
            for (lane, codes) in [(lambda, &[2, 4, 5][..]), (container, &[2])] {
                for code in codes {
                    lane.status[*code].add(456_789);
                }
                for bucket in &lane.latency.buckets {
                    bucket.add(78_901);
                }
                lane.latency.sum_us.add(987_654_321_012);
                lane.asked.add(456_789);
                lane.bytes_in.add(123_456_789_012);
                lane.bytes_out.add(123_456_789_012);
            }
            lambda.used[0].mb_ms.add(987_654_321_012);
            lambda.used[0].cold_starts.add(1_234);
            lambda.late.add(5_678);
            lambda.failed.add(456);
        }
    }
    world
}

#[test]
fn a_thousand_routes_take_less_than_five_megabytes() {
    let world = a_thousand_routes();
    let mut page = page(&world, &[fixture::shard(0)]);
    // What the ledger knows of them: it has not seen these counters rise.
    let mut cost = ServiceCost::default();
    for route in &world.policy.routes {
        for lane in Lane::ALL {
            cost.routes.insert((route.name.clone(), lane), PicoUsd(1_234_567_890_123));
        }
    }
    let statement = Statement { services: [("film".into(), cost)].into(), ..Statement::default() };
    let mut spent = Page::new(0);
    money::money(&mut spent, &statement);
    page.extend(spent.finish());
    println!("{} bytes", page.len());
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
}

/// `cargo test --release -p pacer --bin pacer -- --ignored --nocapture a_scrape`: nothing that a debug build could say.
#[test]
#[ignore = "a measurement"]
fn a_scrape_of_a_thousand_routes_is_timed() {
    let (world, shards) = (a_thousand_routes(), [fixture::shard(0)]);
    let mut times: Vec<_> = (0..51)
        .map(|_| {
            let begun = std::time::Instant::now();
            let page = page(&world, &shards);
            (begun.elapsed(), page.len())
        })
        .collect();
    times.sort_unstable();
    println!("median {:?}, slowest {:?} for {} bytes", times[25].0, times[50].0, times[50].1);
    assert!(times[25].0 < Duration::from_millis(50), "{:?}", times[25].0);
}

#[test]
fn what_is_promised_is_told_and_each_miss_of_it_counted() {
    let objective = "  film:\n    objective: { p99: 25ms, success: 99.5% }\n";
    let policy = fixture::policy(&fixture::POLICY.replace("  film:\n", objective));
    let world = fixture::world(&policy);
    let shards = vec![fixture::shard(0), fixture::shard(1)];
    let route = fixture::route(&policy, "/thumb");
    let count = |worker: usize, us: u32, status: u16, end: End| {
        let outcome = fixture::outcome(&world, route, Lane::Container, us);
        shards[worker].count(&Outcome { status, end, ..outcome }, &world);
    };
    // With 2 ms of overhead each: the bound itself is kept.
    count(0, 23_000, 200, End::Complete);
    count(1, 23_001, 200, End::Complete);
    count(0, 1_000, 404, End::Complete);
    count(1, 1_000, 503, End::Unavailable);
    count(0, 1_000, 200, End::LaneFailed);
    count(1, 40_000, 504, End::TimedOut);
    count(0, 1_000, 408, End::TimedOut);
    count(1, 40_000, 0, End::ClientGone);
    let page = parse(&page(&world, &shards));
    let at = |metric: &str, path: &str, more: &str| {
        let name = &world.policy.route(fixture::route(&world.policy, path)).name;
        let labels = format!("{{route=\"{name}\",service=\"film\"{more}}}");
        page.get(&format!("{metric}{labels}")).copied()
    };
    let missed = |path: &str, which: &str| {
        at("pacer_objective_missed_total", path, &format!(",objective=\"{which}\""))
    };
    assert_eq!(missed("/thumb", "latency"), Some(3.0), "{page:#?}");
    assert_eq!(missed("/thumb", "success"), Some(3.0), "{page:#?}");
    assert_eq!(missed("/render", "success"), Some(0.0), "what is promised has its zero");
    assert_eq!(at("pacer_objective_seconds", "/thumb", ""), Some(0.025));
    assert_eq!(page.get("pacer_objective_success_ratio{service=\"film\"}"), Some(&0.995));
    let of_report = |series: &&String| series.contains("objective") && series.contains("report");
    assert_eq!(page.keys().find(of_report), None, "where nothing is promised, nothing is missed");
}

#[test]
fn every_family_on_the_page_is_declared() {
    let (world, shards) = sample();
    let page = String::from_utf8(page(&world, &shards)).unwrap();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let declared = crate::telemetry::ALL.iter().find(|metric| metric.name == name);
        let kind_of = declared.map(|metric| format!("{:?}", metric.kind).to_lowercase());
        assert_eq!(kind_of.as_deref(), Some(kind), "{name}");
    }
}
