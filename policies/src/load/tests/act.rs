//! What `mode: act` asks for and may do, announced events, state and gateways.

use super::warnings;
use crate::{
    cost::PicoUsd,
    policy::{
        Event, Expect, Gateways, Mode, Policy, ScaleBy, ServiceId, State, TaskLimits, WarmPool,
    },
    sample::{policy, problems},
};

/// The second since 1970 at which a time of UTC lies.
fn utc(text: &str) -> u64 {
    let at: jiff::Timestamp = text.parse().unwrap();
    u64::try_from(at.as_second()).unwrap()
}

/// A policy of a service `one` with `events`.
fn with_events(events: &str) -> String {
    format!(
        "
version: 1
services: {{ one: {{ container: {{ upstreams: [http://a], requests_per_task: 1 }} }} }}
routes: [{{ match: {{}}, service: one }}]
events:
{events}"
    )
}

/// The events' times, from and until.
fn times(policy: &Policy) -> Vec<(u64, u64)> {
    policy.events.iter().map(|event| (event.from_s, event.until_s)).collect()
}

#[test]
fn every_key_of_acting_is_read() {
    let policy = policy(
        "
version: 1
state: s3://bucket/prod/
gateways: { table: pacer-gateways, group: eu }
defaults: { mode: act }
services:
  one:
    lambda:
      function: f:live
      cold_start: snapstart
      warm_pool: { min: 1, max: 20, spend: $5/day }
    container:
      ecs: { cluster: c, service: s, port: 80 }
      requests_per_task: 4
      tasks: { min: 1, max: 40, fallback: 2, spot: { up_to: 70% }, scheduler_role: 'arn:aws:iam::123456789012:role/pacer' }
  two:
    lambda: { function: g, warm_pool: { max: 0 } }
    container:
      ecs: { cluster: c, service: t, port: 80 }
      requests_per_task: 4
      scale_by: autoscaling-floor
      tasks: { max: 5000, fallback: 0 }
routes: [{ match: {}, service: one }, { match: { path: /two }, service: two }]
events:
  - { service: two, from: '2026-11-28T00:00Z', until: '2026-11-28T01:00Z', expect: 0.5x forecast }
  - { service: two, from: '2026-11-27T08:00:30+01:00', until: '2026-11-28T00:00Z', expect: 300/s }
",
    );
    let prefix = State::S3 { bucket: "bucket".into(), prefix: "prod".into() };
    assert_eq!(policy.state, Some(prefix));
    let gateways = Gateways { table: "pacer-gateways".into(), group: "eu".into() };
    assert_eq!(policy.gateways, Some(gateways));
    let [one, two] = &*policy.services else { panic!("two services are written") };
    assert_eq!((one.mode, two.mode), (Mode::Act, Mode::Act));
    assert!(one.mode.learns());
    let pool = |service: &crate::policy::Service| service.lambda.as_ref().unwrap().warm_pool;
    let spend = Some(PicoUsd(5_000_000_000_000));
    assert_eq!(pool(one), Some(WarmPool { min: 1, max: 20, spend }));
    assert_eq!(pool(two), Some(WarmPool { min: 0, max: 0, spend: None }));
    let [first, second] = [one, two].map(|service| service.container.as_ref().unwrap());
    let limits = TaskLimits {
        min: 1,
        max: 40,
        fallback: Some(2),
        spot: 0.7,
        scheduler_role: Some("arn:aws:iam::123456789012:role/pacer".into()),
    };
    assert_eq!(first.tasks, Some(limits));
    assert_eq!(first.scale_by, ScaleBy::DesiredCount);
    let limits =
        TaskLimits { min: 0, max: 5_000, fallback: Some(0), spot: 0.0, scheduler_role: None };
    assert_eq!(second.tasks, Some(limits));
    assert_eq!(second.scale_by, ScaleBy::AutoscalingFloor);
    // In order of time, whatever the order in the file.
    let event = |from: &str, until: &str, expect, line: u32| Event {
        service: ServiceId(1),
        from_s: utc(from),
        until_s: utc(until),
        expect,
        place: format!("policy.yaml:{line}").into(),
    };
    let events = [
        event("2026-11-27T07:00:30Z", "2026-11-28T00:00:00Z", Expect::PerSecond(300.0), 26),
        event("2026-11-28T00:00:00Z", "2026-11-28T01:00:00Z", Expect::Times(0.5), 25),
    ];
    assert_eq!(*policy.events, events);
}

#[test]
fn bounds_are_held_against_each_other() {
    insta::assert_snapshot!(problems("
version: 1
services:
  one:
    lambda: { function: 'f:live', cold_start: provisioned, warm_pool: { max: 0, spend: $5 } }
    container:
      ecs: { cluster: c, service: s, port: 80 }
      requests_per_task: 4
      tasks: { min: 5, max: 4, fallback: 3, spot: { up_to: 101% }, scheduler_role: pacer }
  two:
    lambda: { function: g, warm_pool: { min: 3, max: 2, spend: $0/day } }
    container:
      ecs: { cluster: c, service: t, port: 80 }
      requests_per_task: 4
      scale_by: floor
      tasks: { max: 5001, fallback: 9, spot: {} }
  three:
    lambda: { function: h, warm_pool: { min: -1 } }
    container:
      ecs: { cluster: c, service: u, port: 80 }
      requests_per_task: 4
      scale_by: autoscaling-floor
      tasks: { max: 4, fallback: 9, scheduler_role: 'arn:aws:iam::123456789012:role/pacer' }
  four:
    container:
      upstreams: [http://a]
      requests_per_task: 4
      scale_by: desired-count
      tasks: { max: 4 }
routes: [{ match: {}, service: one }]
"), @"
    policy.yaml:5:78 services.one.lambda.warm_pool.max: with `cold_start: provisioned`, provisioned concurrency is at least 1; raise it, or write another `cold_start`
    policy.yaml:5:88 services.one.lambda.warm_pool.spend: expected money over a time such as `$5/day`, got `$5`; did you mean `$5/day`?
    policy.yaml:9:21 services.one.container.tasks.min: is more than `max` (4); lower it, or raise `max`
    policy.yaml:9:42 services.one.container.tasks.fallback: is less than `min` (5); raise it, or lower `min`
    policy.yaml:9:60 services.one.container.tasks.spot.up_to: expected a share between `0%` and `100%`, got `101%`
    policy.yaml:9:84 services.one.container.tasks.scheduler_role: expected the ARN of an IAM role such as `arn:aws:iam::123456789012:role/pacer-fallback`, got `pacer`
    policy.yaml:11:46 services.two.lambda.warm_pool.min: is more than `max` (2); lower it, or raise `max`
    policy.yaml:11:64 services.two.lambda.warm_pool.spend: expected more than no money, got `$0/day`
    policy.yaml:15:17 services.two.container.scale_by: expected `desired-count` or `autoscaling-floor`, got `floor`
    policy.yaml:16:21 services.two.container.tasks.max: expected a whole number from 1 to 5000, the most tasks that ECS gives a service, got `5001`
    policy.yaml:16:46 services.two.container.tasks.spot.up_to: missing; write a share, such as `up_to: 70%`
    policy.yaml:18:39 services.three.lambda.warm_pool.max: missing; write the most environments to hold warm, such as `max: 20`
    policy.yaml:18:46 services.three.lambda.warm_pool.min: expected a whole number from 0, got `-1`
    policy.yaml:23:34 services.three.container.tasks.fallback: is more than `max` (4); lower it, or raise `max`
    policy.yaml:23:53 services.three.container.tasks.scheduler_role: belongs to `scale_by: desired-count`; the floor falls back by a scheduled action of Application Auto Scaling, which needs no role: remove it
    policy.yaml:28:7 services.four.container.scale_by: goes with `ecs` only: no task can be started that is only known by its URL; remove it
    policy.yaml:29:7 services.four.container.tasks: goes with `ecs` only: no task can be started that is only known by its URL; remove it
    ");
}

#[test]
fn what_acting_asks_for_is_missed_by_name() {
    insta::assert_snapshot!(problems("
version: 1
defaults: { mode: act }
services:
  one: { container: { ecs: { cluster: c, service: s, port: 80 }, requests_per_task: 4 } }
  two: { container: { ecs: { cluster: c, service: t, port: 80 }, requests_per_task: 4, tasks: { min: 1 } } }
  three: { container: { ecs: { cluster: c, service: u, port: 80 }, requests_per_task: 4, scale_by: autoscaling-floor, tasks: { max: 9 } } }
  observing: { mode: observe, container: { ecs: { cluster: c, service: v, port: 80 }, requests_per_task: 4 } }
  by_url: { container: { upstreams: [http://a], requests_per_task: 1 } }
routes: [{ match: {}, service: one }]
"), @"
    policy.yaml:5:21 services.one.container.tasks: missing; `mode: act` sets the count of tasks: write its bounds, such as `tasks: { min: 0, max: 40, fallback: 2, scheduler_role: ARN }`
    policy.yaml:6:95 services.two.container.tasks.fallback: missing; `mode: act` needs the count of tasks to go back to when no gateway is left to plan, such as `fallback: 2`
    policy.yaml:6:95 services.two.container.tasks.max: missing; write the most tasks that it may ever have, such as `max: 40`
    policy.yaml:6:95 services.two.container.tasks.scheduler_role: missing; in `mode: act` EventBridge Scheduler sets `fallback` by a role: write its ARN, or `scale_by: autoscaling-floor`
    policy.yaml:7:126 services.three.container.tasks.fallback: missing; `mode: act` needs the count of tasks to go back to when no gateway is left to plan, such as `fallback: 2`
    ");
}

#[test]
fn two_plans_for_one_count_are_refused() {
    insta::assert_snapshot!(problems("
version: 1
state: /var/lib/pacer
defaults: { mode: act }
services:
  one:
    lambda: { function: 'f:live', cold_start: provisioned, warm_pool: { max: 5 } }
    container: { ecs: { cluster: c, service: s, port: 80 }, requests_per_task: 4, scale_by: autoscaling-floor, tasks: { max: 4, fallback: 1 } }
  two:
    lambda: { function: 'f:live', cold_start: provisioned, warm_pool: { max: 5 } }
    container:
      ecs: { cluster: 'arn:aws:ecs:eu-west-1:123456789012:cluster/c', service: s, port: 81 }
      requests_per_task: 4
      scale_by: autoscaling-floor
      tasks: { max: 4, fallback: 1 }
  observing:
    mode: observe
    container: { ecs: { cluster: c, service: s, port: 80 }, requests_per_task: 4, tasks: { max: 4 } }
routes: [{ match: {}, service: one }]
"), @"
    policy.yaml:10:78 services.two.lambda.warm_pool.max: service `one` sets the provisioned concurrency of this version too: two plans for one count; keep one `warm_pool`
    policy.yaml:12:7 services.two.container.ecs: service `one` sets the tasks of `c/s` too: two plans for one count; let one of them act, and write `mode: observe` for the other
    ");
}

#[test]
fn acting_without_a_memory_or_on_nothing_is_a_warning() {
    let text = "
version: 1
services:
  one:
    mode: act
    lambda: { function: f, max_in_flight: 10, warm_pool: { max: 11 }, assume: { memory: 1GiB, timeout: 30s } }
  two: { mode: act, container: { upstreams: [http://a], requests_per_task: 1 } }
routes: [{ match: {}, service: one }, { match: { path: /two }, service: two }]
";
    insta::assert_snapshot!(warnings(text), @"
    policy.yaml:5:11 services.one.mode: what was asked so far is forgotten at each restart, and forecasts begin anew; write `state`, such as `state: /var/lib/pacer` or `state: s3://bucket/prefix`
    policy.yaml:6:65 services.one.lambda.warm_pool.max: is more than `max_in_flight` (10): the rest is warm in vain; lower it, or raise `max_in_flight`
    policy.yaml:7:16 services.two.mode: there is nothing to act on: neither tasks of ECS nor a `warm_pool`; add one, or write `mode: observe`
    ");
}

#[test]
fn state_and_gateways_are_of_the_main_file_and_named_by_their_rules() {
    insta::assert_snapshot!(problems("
version: 1
state: s3://My_Bucket/prod
gateways: { tabel: a/b, group: Prod }
services: { one: { container: { upstreams: [http://a], requests_per_task: 1 } } }
routes: [{ match: {}, service: one }]
"), @"
    policy.yaml:3:8 state: no bucket can be named `My_Bucket`: names are made of a-z, 0-9, `.` and `-`
    policy.yaml:4:11 gateways.table: missing; write the name of a DynamoDB table, such as `pacer-gateways`
    policy.yaml:4:13 gateways.tabel: unknown field `tabel`; did you mean `table`?
    policy.yaml:4:32 gateways.group: expected a name of at most 64 of the characters a-z, 0-9, `-`, `_` and `.`, got `Prod`
    ");
}

#[test]
fn events_are_refused_at_their_place() {
    let text = with_events(
        "
  - { service: oen, from: '2026-11-27T08:00Z', until: '2026-11-27T08:00Z', expect: 4x }
  - { service: one, from: 2026-11-27, until: 2026-11-27T08:00, zone: Europe/Budapst, expect: 0/s }
  - { service: one, from: 2026-11-27T08:00, until: '2026-11-27T09:00Z', expect: 101x forecast }
  - {}
  - { service: one, from: 2026-11-27T10:00Z, until: 2026-11-27T13:00Z, expect: 2x forecast }
  - { service: one, from: 2026-11-27T11:00Z, until: 2026-11-27T11:30Z, expect: 2x forecast }
  - { service: one, from: 2026-11-27T12:00+01:00, until: 2026-11-27T15:00+01:00, expect: 9/s }
  - { service: one, from: 1969-11-27T10:00Z, until: 1970-11-27T13:00Z, expect: 2x forecast, name: sale }
  - { service: one, from: 2026-13-27T10:00, until: 2026-11-27T10:00:00.5, zone: UTC, expect: many }
",
    );
    insta::assert_snapshot!(problems(&text), @"
    policy.yaml:7:16 events[0].service: no service is named `oen`; did you mean `one`?
    policy.yaml:7:55 events[0].until: is not after `from`; swap them, or mend one
    policy.yaml:7:84 events[0].expect: expected `4x forecast` or `300/s`, got `4x`; did you mean `4x forecast`?
    policy.yaml:8:27 events[1].from: expected a time such as `2026-11-27T08:00` (with a `zone`) or `2026-11-27T08:00Z`, got `2026-11-27`
    policy.yaml:8:70 events[1].zone: expected the IANA name of a time zone such as `Europe/Budapest`, got `Europe/Budapst`; did you mean `Europe/Budapest`?
    policy.yaml:8:94 events[1].expect: expected more than 0 and at most 10000000 requests a second, got `0/s`
    policy.yaml:9:27 events[2].from: a local time needs its zone; write `zone: Europe/Budapest` or the like, or a time in UTC such as `2026-11-27T08:00:00Z`
    policy.yaml:9:81 events[2].expect: expected 0.01 to 100 times the forecast, got `101x forecast`
    policy.yaml:10:5 events[3].expect: missing; write what is expected: `4x forecast` or `300/s`
    policy.yaml:10:5 events[3].from: missing; write when it begins, such as `2026-11-27T08:00`
    policy.yaml:10:5 events[3].service: missing; write the service of which it is announced
    policy.yaml:10:5 events[3].until: missing; write when it is over, such as `2026-11-27T20:00`
    policy.yaml:12:5 events[5]: overlaps the event of the same service at policy.yaml:11:5; let one end before the other begins
    policy.yaml:13:5 events[6]: overlaps the event of the same service at policy.yaml:11:5; let one end before the other begins
    policy.yaml:14:27 events[7].from: is before 1970; write a time to come
    policy.yaml:14:93 events[7].name: unknown field `name`; known here: expect, from, service, until, zone
    policy.yaml:15:27 events[8].from: expected a time such as `2026-11-27T08:00` (with a `zone`) or `2026-11-27T08:00Z`, got `2026-13-27T10:00`
    policy.yaml:15:52 events[8].until: expected a time such as `2026-11-27T08:00` (with a `zone`) or `2026-11-27T08:00Z`, got `2026-11-27T10:00:00.5`
    policy.yaml:15:94 events[8].expect: expected `4x forecast` or `300/s`, got `many`
    ");
}

#[test]
fn local_times_go_by_the_clocks_of_their_zone() {
    let summer_and_winter = with_events(
        "
  - { service: one, from: 2026-07-01T08:00, until: 2026-07-01T09:00, zone: Europe/Budapest, expect: 2x forecast }
  - { service: one, from: 2026-11-27T08:00, until: 2026-11-27T20:00, zone: Europe/Budapest, expect: 2x forecast }
",
    );
    let expected = [
        (utc("2026-07-01T06:00:00Z"), utc("2026-07-01T07:00:00Z")),
        (utc("2026-11-27T07:00:00Z"), utc("2026-11-27T19:00:00Z")),
    ];
    assert_eq!(times(&policy(&summer_and_winter)), expected);
}

#[test]
fn a_time_that_is_there_twice_is_covered_whole_and_one_that_is_skipped_is_refused() {
    // Budapest's clocks went from 03:00 back to 02:00 on 25 October 2026 (01:00 UTC).
    let twice = with_events(
        "
  - { service: one, from: 2026-10-25T02:30, until: 2026-10-25T02:45, zone: Europe/Budapest, expect: 2x forecast }
",
    );
    let covered = (utc("2026-10-25T00:30:00Z"), utc("2026-10-25T01:45:00Z"));
    assert_eq!(times(&policy(&twice)), [covered]);
    // And from 02:00 to 03:00 on 28 March 2027.
    let skipped = with_events(
        "
  - { service: one, from: 2027-03-28T02:30, until: 2027-03-28T04:00, zone: Europe/Budapest, expect: 2x forecast }
",
    );
    insta::assert_snapshot!(problems(&skipped), @"policy.yaml:7:27 events[0].from: the clocks of Europe/Budapest skip 2027-03-28T02:30:00; write `2027-03-28T03:30:00`");
}

#[test]
fn events_may_stand_beside_the_services_of_an_included_file() {
    let main = "
version: 1
include: [a.yaml]
services: { one: { container: { upstreams: [http://a], requests_per_task: 1 } } }
routes: [{ match: {}, service: one }]
";
    let event = |zulu: &str| {
        format!(
            "events: [{{ service: one, from: {zulu}, until: '2026-11-28T00:00Z', expect: 9/s }}]\n"
        )
    };
    let source = crate::load::MemorySource::file("policy.yaml", main)
        .with_file("a.yaml", &event("'2026-11-27T00:00Z'"));
    let policy = crate::sample::loaded(&source).policy;
    assert_eq!(policy.events.len(), 1);
    assert_eq!(&*policy.events[0].place, "a.yaml:1");
}
