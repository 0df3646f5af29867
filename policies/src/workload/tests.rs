//! Workload files, sound and otherwise.

use proptest::prelude::*;

use super::*;
use crate::{
    policy::ColdStart,
    spec::outline::{Drawing, Value},
};

const REFERENCE: &str = include_str!("../../../docs/replay.md");

/// Some of the loads that planning is judged by.
const LOADS: &str = "\
# Arrivals inside a step are Poisson, spread evenly.
version: 1
defaults:
  memory: 1769MiB
  task: { vcpu: 1, memory: 2GiB, arch: arm64 }
  task_start: { lognormal: { mean: 60s, cv: 0.25 } }
  requests_per_task: 1
  objective: { p99: 2s, success: 99.9% }
scenarios:
  - { name: worldcup-api,     trace: arrivals/wc98_1min_apr30_jun19.csv.gz, scale: 0.2,  service_time: { lognormal: { mean: 200ms, cv: 1 } },  cold_start: { plain: { lognormal: { mean: 400ms, cv: 0.3 } } } }
  - { name: worldcup-engine,  trace: arrivals/wc98_1min_apr30_jun19.csv.gz, scale: 0.05, service_time: { lognormal: { mean: 1500ms, cv: 0.5 } }, requests_per_task: 2, task_start: { lognormal: { mean: 120s, cv: 0.2 } }, cold_start: { snapstart: { lognormal: { mean: 700ms, cv: 0.4 } } }, objective: { p99: 6s, success: 99.9% } }
  - { name: taxi-smooth,      trace: arrivals/nab_nyc_taxi_30min.csv.gz, scale: 1, service_time: { lognormal: { mean: 250ms, cv: 1 } }, requests_per_task: 2, task_start: { lognormal: { mean: 1800s, cv: 0.05 } }, cold_start: { plain: { lognormal: { mean: 400ms, cv: 0.3 } } } }
  - { name: functions-mixed,  trace: requests/azure2019_invocations_1min.csv.gz, profiles: requests/azure2019_functions.csv.gz, scale: 1, cold_start: { plain: { lognormal: { mean: 700ms, cv: 0.5 } } }, objective: { p99: 30s, success: 99.9% } }
";

fn wrong(text: &str) -> String {
    load("w.yaml", text).expect_err("the test writes a mistake").to_string()
}

/// Returns the one scenario of `keys`, in block style.
fn one(keys: &str) -> Scenario {
    let loaded = load("w.yaml", &file_of(keys));
    let mut scenarios = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(scenarios.len(), 1);
    scenarios.remove(0)
}

fn wrong_one(keys: &str) -> String {
    wrong(&file_of(keys))
}

/// Returns a file whose one scenario has `keys`, the first of them on line 5.
fn file_of(keys: &str) -> String {
    let keys = keys.replace('\n', "\n    ");
    format!("version: 1\nscenarios:\n  - name: a\n    trace: t.csv\n    {keys}\n")
}

fn lognormal(mean_ms: u64, cv: f64) -> Distribution {
    Distribution::Lognormal { mean: Duration::from_millis(mean_ms), cv }
}

#[test]
fn loads_have_what_they_write_and_what_defaults_give() {
    let loads = load("w.yaml", LOADS).unwrap();
    let names: Vec<&str> = loads.iter().map(|load| &*load.name).collect();
    assert_eq!(names, ["worldcup-api", "worldcup-engine", "taxi-smooth", "functions-mixed"]);

    let api = &loads[0];
    assert_eq!(api.trace.as_ref().unwrap().path, "arrivals/wc98_1min_apr30_jun19.csv.gz");
    assert_eq!(
        api.trace.as_ref().unwrap().problem("not found").to_string(),
        "w.yaml:10:38 scenarios[0].trace: not found"
    );
    assert_eq!((api.place.line, api.place.column), (10, 5));
    assert_eq!(api.service_time, Some(lognormal(200, 1.0)));
    assert_eq!(api.task_start, lognormal(60_000, 0.25));
    assert_eq!(api.cold_start, Start { kind: ColdStart::Plain, time: lognormal(400, 0.3) });
    assert_eq!((api.memory_mib, api.requests_per_task), (1769, 1));
    assert_eq!(api.task, Task { vcpu: 1.0, memory_mib: 2048, arch: Arch::Arm64 });
    assert_eq!(api.objective.p99, Some(Duration::from_secs(2)));
    assert_eq!((api.objective.success, api.objective.window), (Some(0.999), None));
    assert_eq!(
        api.assumed,
        [
            "lambda_speed",
            "idle_lifetime",
            "timeout",
            "tasks.min",
            "tasks.max",
            "spot.up_to",
            "spot.interruptions_per_hour",
            "class"
        ]
    );

    let engine = &loads[1];
    assert_eq!((api.scale, engine.scale), (0.2, 0.05));
    assert_eq!(engine.task_start, lognormal(120_000, 0.2));
    assert_eq!(engine.cold_start, Start { kind: ColdStart::SnapStart, time: lognormal(700, 0.4) });
    assert_eq!((engine.memory_mib, engine.requests_per_task), (1769, 2));
    assert_eq!(engine.objective.p99, Some(Duration::from_secs(6)));

    assert_eq!(loads[2].task_start, lognormal(1_800_000, 0.05));

    let mixed = &loads[3];
    assert_eq!(mixed.service_time, None);
    assert_eq!(
        mixed.profiles.as_ref().map(|file| &*file.path),
        Some("requests/azure2019_functions.csv.gz")
    );
}

#[test]
fn each_field_is_inherited_by_itself_and_a_distribution_is_one() {
    let loads = load(
        "w.yaml",
        "\
version: 1
defaults:
  trace: t.csv
  service_time: { lognormal: { mean: 1s, cv: 2 } }
  cold_start: { snapstart: { fixed: 1s } }
  task: { vcpu: 4, memory: 8GiB, arch: x86_64 }
  objective: { p99: 1s, success: 99% }
  tasks: { min: 2, max: 5 }
  spot: { up_to: 70% }
  reserved_concurrency: 50
  max_in_flight: 40
  class: sprinter
scenarios:
  - name: same
  - name: own
    trace: other.csv
    service_time: { exponential: { mean: 3s } }
    cold_start: { provisioned: { fixed: 2s } }
    task: { memory: 16GiB }
    objective: { p99: 9s }
    tasks: { min: 5 }
    spot: { interruptions_per_hour: 0 }
    reserved_concurrency: none
    class: auto
",
    )
    .unwrap();
    let [same, own] = &loads[..] else { panic!("two are written") };
    assert_eq!(same.trace.as_ref().unwrap().field, "defaults.trace");
    assert_eq!(same.task, Task { vcpu: 4.0, memory_mib: 8192, arch: Arch::X86_64 });
    assert_eq!(same.function_size().arch, Arch::X86_64);
    assert_eq!(
        same.task_size(),
        TaskSize { arch: Arch::X86_64, cpu_units: 4096, memory_mib: 8192 }
    );
    assert_eq!((same.reserved_concurrency, same.max_in_flight), (Some(50), Some(40)));
    assert_eq!(same.class, Some(Class::Sprinter));

    assert_eq!(own.trace.as_ref().unwrap().path, "other.csv");
    let mean = Duration::from_secs(3);
    assert_eq!(own.service_time, Some(Distribution::Exponential { mean }));
    let time = Distribution::Fixed(Duration::from_secs(2));
    assert_eq!(own.cold_start, Start { kind: ColdStart::Provisioned, time });
    assert_eq!(own.task, Task { memory_mib: 16_384, ..same.task });
    assert_eq!(own.objective.p99, Some(Duration::from_secs(9)));
    assert_eq!(own.objective.success, Some(0.99));
    assert_eq!(own.tasks, TaskRange { min: 5, max: 5 });
    assert_eq!(own.spot, Spot { up_to: 0.7, interruptions_per_hour: 0.0 });
    assert_eq!((own.reserved_concurrency, own.max_in_flight), (None, Some(40)));
    assert_eq!(own.class, None);
}

#[test]
fn defaults_that_contradict_themselves_are_sound_where_scenarios_mend_them() {
    // Each scenario writes the bound that `defaults` contradict.
    let text = "\
version: 1
defaults: { trace: t, service_time: { fixed: 0ms }, tasks: { min: 9, max: 5 } }
scenarios: [{ name: a, tasks: { max: 9 } }, { name: b, tasks: { min: 1 } }]
";
    assert_eq!(load("w.yaml", text).unwrap().len(), 2);
}

#[test]
fn distributions_have_four_forms() {
    let time = |text| one(&format!("service_time: {text}")).service_time.expect("one is written");
    let ms = Duration::from_millis;
    assert_eq!(time("{ fixed: 0ms }"), Distribution::Fixed(Duration::ZERO));
    assert_eq!(time("{ fixed: 1d }"), Distribution::Fixed(Duration::from_hours(24)));
    assert_eq!(
        time("{ exponential: { mean: 1.5ms } }"),
        Distribution::Exponential { mean: Duration::from_micros(1_500) }
    );
    assert_eq!(time("{ lognormal: { mean: 200ms, cv: 0 } }"), lognormal(200, 0.0));
    assert_eq!(time("{ lognormal: { mean: 200ms, cv: 100 } }"), lognormal(200, 100.0));
    assert_eq!(
        time("{ quantiles: { p99.9: 2s, p0: 0ms, p50: 100ms, p99: 2s, p100: 1m } }"),
        Distribution::Quantiles(vec![
            (0.0, ms(0)),
            (0.5, ms(100)),
            (0.99, ms(2_000)),
            (0.999, ms(2_000)),
            (1.0, ms(60_000))
        ])
    );
}

#[test]
fn distributions_that_are_none_name_their_fix() {
    let wrong = |text: &str| wrong_one(&format!("service_time: {text}"));
    insta::assert_snapshot!(wrong("200ms"), @"w.yaml:5:19 scenarios[0].service_time: expected a distribution such as `{ lognormal: { mean: 200ms, cv: 1 } }`, got `200ms`; write `{ fixed: 200ms }`");
    insta::assert_snapshot!(wrong("fast"), @"w.yaml:5:19 scenarios[0].service_time: expected a distribution such as `{ lognormal: { mean: 200ms, cv: 1 } }`, got `fast`");
    insta::assert_snapshot!(wrong("[200ms]"), @"w.yaml:5:19 scenarios[0].service_time: expected fields (`key: value`), got a list");
    insta::assert_snapshot!(wrong("{}"), @"w.yaml:5:19 scenarios[0].service_time: missing; write one of `fixed`, `exponential`, `lognormal` and `quantiles`, such as `fixed: 200ms` or `lognormal: { mean: 200ms, cv: 1 }`");
    insta::assert_snapshot!(wrong("{ fixed: }"), @"w.yaml:5:19 scenarios[0].service_time: missing; write one of `fixed`, `exponential`, `lognormal` and `quantiles`, such as `fixed: 200ms` or `lognormal: { mean: 200ms, cv: 1 }`");
    insta::assert_snapshot!(wrong("{ lognorml: { mean: 1s, cv: 1 } }"), @"w.yaml:5:21 scenarios[0].service_time.lognorml: unknown field `lognorml`; did you mean `lognormal`?");
    insta::assert_snapshot!(wrong("{ fixed: 1s, lognormal: { mean: 1s, cv: 1 } }"), @"w.yaml:5:19 scenarios[0].service_time: `fixed` and `lognormal` exclude each other; keep one of them");
    insta::assert_snapshot!(wrong("{ fixed: -1ms }"), @"w.yaml:5:28 scenarios[0].service_time.fixed: expected a duration such as `250ms`, `1.5s` or `1m30s`, got `-1ms`");
    insta::assert_snapshot!(wrong("{ fixed: 200 }"), @"w.yaml:5:28 scenarios[0].service_time.fixed: expected a duration such as `250ms`, `1.5s` or `1m30s`, got `200`; did you mean `200s` or `200ms`?");
    insta::assert_snapshot!(wrong("{ fixed: 25h }"), @"w.yaml:5:28 scenarios[0].service_time.fixed: expected a time from `0s` to `1d`, got `25h`");
    insta::assert_snapshot!(wrong("{ exponential: 200ms }"), @"w.yaml:5:34 scenarios[0].service_time.exponential: expected its mean such as `{ mean: 200ms }`, got `200ms`");
    insta::assert_snapshot!(wrong("{ exponential: { mean: 0ms } }"), @"w.yaml:5:42 scenarios[0].service_time.exponential.mean: expected more than no time, got `0ms`; for no time write `fixed: 0ms` instead");
    insta::assert_snapshot!(wrong("{ lognormal: 200ms }"), @"w.yaml:5:32 scenarios[0].service_time.lognormal: expected its mean and its coefficient of variation such as `{ mean: 200ms, cv: 1 }`, got `200ms`");
    insta::assert_snapshot!(wrong("{ lognormal: { cv: -1 } }"), @"
    w.yaml:5:32 scenarios[0].service_time.lognormal.mean: missing; write `mean: 200ms`
    w.yaml:5:38 scenarios[0].service_time.lognormal.cv: expected a number from 0 to 100, got `-1`
    ");
    insta::assert_snapshot!(wrong("{ lognormal: { mean: 1s, cv: 101 } }"), @"w.yaml:5:48 scenarios[0].service_time.lognormal.cv: expected a number from 0 to 100, got `101`");
    insta::assert_snapshot!(wrong("{ lognormal: { mean: 1s, sd: 1s } }"), @"
    w.yaml:5:32 scenarios[0].service_time.lognormal.cv: missing; write standard deviation / mean, such as `cv: 1`
    w.yaml:5:44 scenarios[0].service_time.lognormal.sd: unknown field `sd`; known here: cv, mean
    ");
    insta::assert_snapshot!(wrong("{ quantiles: { p50: 1s } }"), @"w.yaml:5:19 scenarios[0].service_time.quantiles: expected at least two, such as `{ p50: 100ms, p99: 2s }`; one time for all requests is `fixed: 200ms`");
    insta::assert_snapshot!(wrong("{ quantiles: { p50: 1s, p90: 500ms, p99: 2s } }"), @"w.yaml:5:43 scenarios[0].service_time.quantiles.p90: times must not fall: `p50` is 1s and `p90` 500ms; swap or correct them");
    insta::assert_snapshot!(wrong("{ quantiles: { p50: 1s, p50.0: 2s } }"), @"w.yaml:5:43 scenarios[0].service_time.quantiles.p50.0: `p50` is the same quantile; keep one of them");
    insta::assert_snapshot!(wrong("{ quantiles: { p101: 1s, median: 2s, p99: , p90: soon } }"), @"
    w.yaml:5:34 scenarios[0].service_time.quantiles.p101: expected a quantile from `p0` to `p100`, such as `p50` or `p99.9`, got `p101`
    w.yaml:5:44 scenarios[0].service_time.quantiles.median: expected a quantile from `p0` to `p100`, such as `p50` or `p99.9`, got `median`
    w.yaml:5:56 scenarios[0].service_time.quantiles.p99: missing; write a duration such as `200ms`
    w.yaml:5:68 scenarios[0].service_time.quantiles.p90: expected a duration such as `250ms`, `1.5s` or `1m30s`, got `soon`
    ");
    insta::assert_snapshot!(wrong("{ quantiles: [1s] }"), @"w.yaml:5:32 scenarios[0].service_time.quantiles: expected fields (`key: value`), got a list");
}

#[test]
fn starts_are_of_one_kind() {
    let wrong =
        |text: &str| wrong_one(&format!("service_time: {{ fixed: 1s }}\ncold_start: {text}"));
    insta::assert_snapshot!(wrong("snapstart"), @"w.yaml:6:17 scenarios[0].cold_start: expected how environments start and how long that takes, got `snapstart`; write `{ snapstart: { lognormal: { mean: 400ms, cv: 0.3 } } }`");
    insta::assert_snapshot!(wrong("400ms"), @"w.yaml:6:17 scenarios[0].cold_start: expected how environments start and how long that takes, got `400ms`; write `{ plain: { fixed: 400ms } }`");
    insta::assert_snapshot!(wrong("{ lognormal: { mean: 400ms, cv: 1 } }"), @"w.yaml:6:19 scenarios[0].cold_start.lognormal: belongs below `plain`, `snapstart` or `provisioned`; write `plain: { lognormal: ... }`");
    insta::assert_snapshot!(wrong("{ snapstart: { fixed: 1s }, provisioned: { fixed: 1s } }"), @"w.yaml:6:17 scenarios[0].cold_start: SnapStart and provisioned concurrency exclude each other: AWS refuses provisioned concurrency on a version with SnapStart; keep one of them");
    insta::assert_snapshot!(wrong("{ plain: { fixed: 1s }, snapstart: { fixed: 1s } }"), @"w.yaml:6:17 scenarios[0].cold_start: `plain` and `snapstart` exclude each other; keep one of them");
    insta::assert_snapshot!(wrong("{ plain: 1s }"), @"w.yaml:6:26 scenarios[0].cold_start.plain: expected a distribution such as `{ lognormal: { mean: 200ms, cv: 1 } }`, got `1s`; write `{ fixed: 1s }`");
    insta::assert_snapshot!(wrong("{ warm: { fixed: 1s } }"), @"w.yaml:6:19 scenarios[0].cold_start.warm: unknown field `warm`; known here: plain, provisioned, snapstart");
    insta::assert_snapshot!(wrong("{}"), @"w.yaml:6:17 scenarios[0].cold_start: missing; write one of `plain`, `snapstart` and `provisioned`, such as `plain: { lognormal: { mean: 400ms, cv: 0.3 } }`");
}

#[test]
fn mistakes_are_told_all_at_once_with_line_field_and_fix() {
    insta::assert_snapshot!(wrong("\
version: 2
default: {}
memory: 1GiB
defaults:
  name: all
  memry: 1GiB
  arch: arm64
  timeout: 20m
scenarios:
  - name: A
  - trace: t.csv
    scale: 0
    memory: 64MiB
    service_time: { fixed: 1s }
    task: { vcpu: 1000, memory: 1GB, arch: arm }
    requests_per_task: 0
    objective: { p99: 0s, success: 100 }
    lambda_speed: 1e3
    idle_lifetime: 2d
    reserved_concurrency: 0
    max_in_flight: many
    tasks: { min: 5, max: 3 }
    spot: { up_to: 0.7, interruptions_per_hour: 61 }
    class: marathn
    service_tim: 5
"), @"
    w.yaml:1:10 version: this Pacer reads version 1, not `2`; write `version: 1`
    w.yaml:2:1 default: unknown field `default`; did you mean `defaults`?
    w.yaml:3:1 memory: belongs in `defaults` or a scenario; move it there
    w.yaml:5:3 defaults.name: belongs to a scenario; move it there
    w.yaml:6:3 defaults.memry: unknown field `memry`; did you mean `memory`?
    w.yaml:7:3 defaults.arch: belongs in `task: { arch: ... }`, and holds for the function too; move it there
    w.yaml:8:12 defaults.timeout: a function's timeout is 1s to 900s, got `20m`
    w.yaml:10:5 scenarios[0].service_time: missing; write how long requests take, such as `{ lognormal: { mean: 200ms, cv: 1 } }`, or `profiles`
    w.yaml:10:5 scenarios[0].trace: missing; write the path of a trace of arrivals
    w.yaml:10:11 scenarios[0].name: expected a name of at most 64 of the characters a-z, 0-9, `-` and `_`, got `A`; rename it
    w.yaml:11:5 scenarios[1].name: missing; write one, for reports and for `--scenario`
    w.yaml:12:12 scenarios[1].scale: expected a number from 0.000001 to 1000000, got `0`
    w.yaml:13:13 scenarios[1].memory: Lambda sells 128MiB to 10240MiB, got `64MiB`
    w.yaml:15:19 scenarios[1].task.vcpu: expected a number from 0.125 to 256, got `1000`
    w.yaml:15:33 scenarios[1].task.memory: expected whole MiB such as `1769MiB` or `2GiB`, got `1GB`
    w.yaml:15:44 scenarios[1].task.arch: expected `arm64` or `x86_64`, got `arm`
    w.yaml:16:24 scenarios[1].requests_per_task: expected a whole number from 1 to 100000, got `0`
    w.yaml:17:23 scenarios[1].objective.p99: expected more than no time, got `0s`
    w.yaml:17:36 scenarios[1].objective.success: expected a share between `0%` and `100%`, got `100`
    w.yaml:18:19 scenarios[1].lambda_speed: expected a number from 0.01 to 100, got `1e3`
    w.yaml:19:20 scenarios[1].idle_lifetime: expected more than `0s` and at most `1d`, got `2d`
    w.yaml:20:27 scenarios[1].reserved_concurrency: expected a whole number from 1 to 1000000, got `0` (or write `none`)
    w.yaml:21:20 scenarios[1].max_in_flight: expected a whole number from 1 to 1000000, got `many` (or write `none`)
    w.yaml:22:19 scenarios[1].tasks.min: `min` is 5 and `max` is 3; lower the one or raise the other
    w.yaml:23:20 scenarios[1].spot.up_to: expected a share between `0%` and `100%`, got `0.7`
    w.yaml:23:49 scenarios[1].spot.interruptions_per_hour: expected a number from 0 to 60, got `61`
    w.yaml:24:12 scenarios[1].class: expected `sprinter`, `marathon` or `auto`, got `marathn`; did you mean `marathon`?
    w.yaml:25:5 scenarios[1].service_tim: unknown field `service_tim`; did you mean `service_time`?
    ");
    insta::assert_snapshot!(wrong("version: 1\nscenarios: [{ name: a, trace: t.csv }, { name: b, service_time: { fixed: 1s } }]"), @"
    w.yaml:2:13 scenarios[0].service_time: missing; write how long requests take, such as `{ lognormal: { mean: 200ms, cv: 1 } }`, or `profiles`
    w.yaml:2:40 scenarios[1].trace: missing; write the path of a trace of arrivals
    ");
    insta::assert_snapshot!(wrong("\
version: 1
defaults: { trace: t, service_time: { fixed: 1s } }
scenarios:
  - { name: a }
  - { name: b }
  - { name: a, scale: 2 }
"), @"w.yaml:6:13 scenarios[2].name: the scenario at w.yaml:4:13 is called `a` too; rename one of them");
    insta::assert_snapshot!(wrong("version: 1\ndefaults: { tasks: { max: 3 } }\nscenarios: [{ name: a, trace: t, service_time: { fixed: 1s }, tasks: { min: 4 } }]"), @"w.yaml:3:77 scenarios[0].tasks.min: `min` is 4 and `max` is 3; lower the one or raise the other");
    insta::assert_snapshot!(wrong(""), @"
    w.yaml:1:1 scenarios: missing; write at least one, such as `- { name: api, trace: api.csv, service_time: { fixed: 200ms } }`
    w.yaml:1:1 version: missing; write `version: 1` first
    ");
    insta::assert_snapshot!(wrong("version: 1\nscenarios: []"), @"w.yaml:1:1 scenarios: missing; write at least one, such as `- { name: api, trace: api.csv, service_time: { fixed: 200ms } }`");
    insta::assert_snapshot!(wrong("version: 1\nscenarios: { a: 1 }"), @"w.yaml:2:12 scenarios: expected a list (`- item`)");
    insta::assert_snapshot!(wrong("version: 1\nscenarios: [5]"), @"w.yaml:2:13 scenarios[0]: expected fields (`key: value`), got `5`");
    // What defaults hold is not known: no scenario lacks anything.
    insta::assert_snapshot!(wrong("version: 1\ndefaults: all\nscenarios: [{ name: a }]"), @"w.yaml:2:11 defaults: expected fields (`key: value`), got `all`");
    insta::assert_snapshot!(wrong("a: 1\na: 2"), @"w.yaml:2:1 `a` is written twice; keep one of them");
}

#[test]
fn absurd_scales_are_refused_with_their_range() {
    for text in ["0", "-1", "1000001", "1e6", "nan", "inf", "0.0000001", "10%", "1_000", ""] {
        let error = wrong_one(&format!("service_time: {{ fixed: 1s }}\nscale: '{text}'"));
        assert!(error.contains("expected a number from 0.000001 to 1000000, got"), "{error}");
    }
    let most = one("service_time: { fixed: 1s }\nscale: 1000000");
    assert_eq!(most.scale.to_bits(), 1e6_f64.to_bits());
}

/// Returns the paths of all keys in `drawing`.
fn keys(drawing: &Drawing, path: &str) -> Vec<String> {
    let outline = drawing.borrow();
    let paths = outline.fields.iter().flat_map(|(name, value)| {
        let path = format!("{path}{name}");
        match value {
            // Distributions have a table of their own.
            Value::Fields(child) => keys(child, &format!("{path}.")),
            _ => vec![path],
        }
    });
    paths.collect()
}

#[test]
fn the_reference_has_every_key() {
    let (drawing, sink) = (Drawing::default(), Sink::default());
    Level::read(&mut Fields::draw(drawing.clone(), &sink));
    let read: Vec<&str> = drawing.borrow().fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(read, KEYS);
    for key in keys(&drawing, "") {
        assert!(REFERENCE.contains(&format!("\n| `{key}` |")), "`{key}` is not in docs/replay.md");
    }
}

/// Returns the YAML that the reference shows, block by block.
fn shown() -> Vec<&'static str> {
    let blocks = REFERENCE.split("```yaml\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    blocks.filter(|block| block.contains("scenarios:")).collect()
}

#[test]
fn the_reference_shows_files_that_load_and_defaults_that_hold() {
    let blocks = shown();
    for block in &blocks {
        load("docs/replay.md", block).unwrap_or_else(|problems| panic!("{problems}"));
    }
    let written = blocks.iter().find(|block| block.contains("idle_lifetime")).unwrap();
    let written = load("w.yaml", written).unwrap().remove(0);
    assert_eq!(written.assumed, [""; 0]);
    let bare = one("service_time: { fixed: 200ms }");
    let (name, place, trace) = (bare.name.clone(), bare.place.clone(), bare.trace.clone());
    let service_time = bare.service_time.clone();
    assert_eq!(
        Scenario { assumed: vec![], ..bare },
        Scenario { name, place, trace, service_time, ..written }
    );
}

#[test]
fn deep_nesting_is_a_problem() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        assert!(load("w.yaml", &text).is_err());
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".*") {
        let _ = load("w.yaml", &text);
    }

    /// Whatever a key holds, there are scenarios that are sound, or problems.
    #[test]
    fn any_value_is_sound_or_a_problem(
        key in proptest::sample::select(&KEYS[..]),
        inner in "fixed|exponential|lognormal|quantiles|plain|snapstart|min|max|mean|cv|vcpu|memory|p99|p0|up_to|x",
        value in proptest::sample::select(&[
            "", "0", "1.5", "-1", "1e9", "~", "a", "[]", "{}", "[1]", "0ms", "3s", "99999d", "50%", "2GiB",
            "{mean: 1s, cv: 1}", "{p1: 1s, p2: 0s}", "{p1: 1s, p2: 2s}", "{fixed: 0s}", "{fixed: , lognormal: }",
        ][..]),
        nested: bool,
        inherited: bool,
    ) {
        let written = if nested { format!("{key}: {{ {inner}: {value} }}") } else { format!("{key}: {value}") };
        let (above, own) = if inherited { (&*written, "") } else { ("", &*written) };
        let text = format!(
            "version: 1\ndefaults:\n  {above}\nscenarios:\n  - name: a\n    {own}\n  - {{ name: b, trace: t, service_time: {{ fixed: 1s }} }}\n"
        );
        match load("w.yaml", &text) {
            Ok(scenarios) => {
                prop_assert_eq!(scenarios.len(), 2);
                for scenario in scenarios {
                    prop_assert!(scenario.service_time.is_some() || scenario.profiles.is_some());
                    prop_assert!(scenario.tasks.min <= scenario.tasks.max);
                    prop_assert!((1e-6..=1e6).contains(&scenario.scale));
                }
            }
            Err(problems) => {
                prop_assert!(!problems.0.is_empty());
                prop_assert!(problems.0.iter().all(|problem| 0 < problem.place.line));
            }
        }
    }
}

#[test]
fn a_policys_services_have_what_is_written_for_them_and_the_rest_what_defaults_say() {
    let text = "version: 1
defaults: { lambda_speed: 1.5 }
scenarios:
  - { name: api, task_start: { fixed: 40s } }
";
    let assumptions = load_assumptions("w.yaml", text).unwrap();
    let (api, other) = (assumptions.of("api"), assumptions.of("other"));
    assert_eq!((api.lambda_speed, other.lambda_speed), (1.5, 1.5));
    assert_eq!(api.task_start, Distribution::Fixed(Duration::from_secs(40)));
    assert!(other.assumed.contains(&"task_start") && !api.assumed.contains(&"task_start"));
    assert_eq!(api.trace, None);
    assert_eq!(Assumptions::default().of("any").service_time, None);
    // The same file is none to replay by itself.
    assert!(wrong(text).contains("scenarios[0].trace: missing"), "{}", wrong(text));
}

#[test]
fn slots_of_all_tasks_together_are_bounded() {
    let told =
        wrong_one("service_time: { fixed: 1s }\nrequests_per_task: 100000\ntasks: { max: 100000 }");
    assert!(told.contains("more than 10000000 slots") && told.contains("at most 100"), "{told}");
    let clamped = one("service_time: { fixed: 1s }\nrequests_per_task: 100000");
    assert_eq!(clamped.tasks.max, 100);
}

#[test]
fn a_policy_in_the_place_of_a_workload_file_is_told_for_what_it_is() {
    let told = wrong("version: 1\nservices: {}\nroutes: []\n");
    assert!(
        told.contains("services: belongs in a policy; give that file with `--policy`"),
        "{told}"
    );
}
