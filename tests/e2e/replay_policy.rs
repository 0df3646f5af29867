//! `pacer replay` of access logs under a policy: which service each request is for, and what is said of the rest.

use std::{fmt::Write as _, io::Write as _, path::Path, process::Command};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::process::{Ended, Process, pacer, run};

const POLICY: &str = "\
version: 1
region: us-east-1
services:
  film:
    lambda: { function: film, assume: { memory: 1769MiB, timeout: 30s, arch: arm64 } }
    container: { upstreams: [http://127.0.0.1:9], requests_per_task: 4 }
    objective: { p99: 6s }
  reports:
    container: { upstreams: [http://127.0.0.1:9], requests_per_task: 2 }
  idle:
    lambda: { function: idle }
routes:
  - { match: { path_prefix: /thumb/ }, service: film, class: sprinter }
  - { match: { path: /render }, service: film, auto: { size_by: { query: frames } } }
  - { match: { path_prefix: /reports/ }, service: reports }
  - { match: { path: /idle }, service: idle }
";

/// Seconds since midnight as a load balancer writes them.
fn time(seconds: f64) -> String {
    let whole = seconds as u64;
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    format!("2026-10-01T{hours:02}:{minutes:02}:{:09.6}Z", seconds % 60.0)
}

/// A line of a load balancer's log: a request that came at `at` seconds and took so long at `target`.
fn line(at: f64, path: &str, target: &str, took: Option<f64>, status: u16) -> String {
    let took_text = took.map_or("-1".to_owned(), |seconds| format!("{seconds:.3}"));
    let ended = time(at + took.unwrap_or_default());
    let created = time(at);
    format!(
        "https {ended} app/web/50dc6c495c0c9188 192.0.2.9:2817 {target} 0.001 {took_text} 0.000 {status} {status} 300 900 \
         \"GET https://api.example.com:443{path} HTTP/1.1\" \"curl/8\" - - \
         arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/t/73e2d6bc24d8a067 \"Root=1\" \"-\" \"-\" 0 {created} \
         \"forward\" \"-\" \"-\" \"-\" \"-\" \"-\" \"-\" TID_1\n"
    )
}

/// Half an hour: thumbnails each second, films of two sizes each four, a report each minute, and what is for nobody.
fn log() -> Vec<String> {
    let mut lines = Vec::new();
    for second in 0..1800 {
        let at = f64::from(second);
        lines.push(line(at + 0.1, "/thumb/7", "10.0.0.1:80", Some(0.05), 200));
        if second % 4 == 0 {
            let (frames, took) = if second % 8 == 0 { (24, 0.4) } else { (2400, 4.0) };
            let path = format!("/render?frames={frames}");
            lines.push(line(at + 0.2, &path, "10.0.0.2:80", Some(took), 200));
        }
        if second % 60 == 0 {
            lines.push(line(at + 0.3, "/reports/1", "10.0.0.3:80", Some(9.0), 200));
            lines.push(line(at + 0.4, "/nowhere?token=secret", "10.0.0.3:80", Some(0.1), 200));
            lines.push(line(at + 0.5, "/", "-", None, 301));
        }
    }
    lines.push(line(1799.5, "/thumb/7", "-", None, 503));
    lines.push(line(1799.6, "/socket", "10.0.0.1:80", Some(0.001), 101));
    lines
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory is there");
    encoder.finish().expect("memory is there")
}

/// A folder with the policy and the log, as a bucket has it: two load balancers' files, one zipped, by day.
fn bucket() -> TempDir {
    let folder = TempDir::new().expect("there is room for temporary files");
    std::fs::write(folder.path().join("policy.yaml"), POLICY).expect("the folder is ours");
    let day = folder.path().join("logs/2026/10/01");
    std::fs::create_dir_all(&day).expect("the folder is ours");
    let lines = log();
    let (begin, end) = lines.split_at(lines.len() / 2);
    std::fs::write(day.join("app.z_0000Z.log.gz"), gzip(&begin.concat())).expect("ours");
    std::fs::write(day.join("app.a_0015Z.log"), end.concat()).expect("ours");
    std::fs::write(day.join(".hidden"), "no log").expect("ours");
    std::fs::write(day.join("readme"), "no log either").expect("ours");
    folder
}

async fn replay(folder: &Path, more: &[&str]) -> Ended {
    let policy = folder.join("policy.yaml").display().to_string();
    let logs = folder.join("logs").display().to_string();
    let arguments = ["replay", &logs, "--policy", &policy];
    run(arguments.into_iter().chain(more.iter().copied())).await
}

async fn scenario(folder: &Path, more: &[&str]) -> (Value, String) {
    let json = folder.join("report.json").display().to_string();
    let more: Vec<_> = ["--json", &json].into_iter().chain(more.iter().copied()).collect();
    let ended = replay(folder, &more).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = std::fs::read_to_string(&json).expect("the report is written");
    let mut value: Value = serde_json::from_str(&text).expect("it is JSON");
    (value["scenarios"][0].take(), ended.stdout)
}

fn run_of<'a>(scenario: &'a Value, name: &str) -> &'a Value {
    let runs = scenario["runs"].as_array().expect("there are runs");
    runs.iter().find(|run| run["name"] == name).unwrap_or_else(|| panic!("{name}: {scenario:#}"))
}

#[tokio::test]
async fn every_request_finds_its_service_and_the_rest_is_counted() {
    let folder = bucket();
    let (scenario, told) = scenario(folder.path(), &[]).await;
    // 1,800 thumbnails and one that failed, 450 films, 30 reports.
    assert_eq!(scenario["requests"], 1801 + 450 + 30);
    let services = &run_of(&scenario, "target-tracking")["services"];
    let counts: Vec<_> = services
        .as_array()
        .unwrap()
        .iter()
        .map(|service| (service["name"].as_str().unwrap(), service["requests"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts, [("film", 2251), ("reports", 30)]);
    for said in [
        "left out: 30 requests that no route matches; the first: GET api.example.com/nowhere",
        "left out: 30 requests that the load balancer answered itself",
        "left out: 1 connections that were upgraded",
        "without a request in the trace, left out: idle",
        "1 requests have durations drawn from those of others of their route",
        "readme",
        "NOT SURE: durations end at the first byte",
        "as you ran it: ",
    ] {
        assert!(told.contains(said), "{said}\n{told}");
    }
    assert!(!told.contains("secret") && !told.contains(".hidden"), "{told}");
}

#[tokio::test]
async fn classes_are_obeyed_and_learned() {
    let folder = bucket();
    let (scenario, _) = scenario(folder.path(), &["--planner", "best-static"]).await;
    let run = run_of(&scenario, "best-static");
    // Thumbnails and small films are sprinters, large films are marathons once it is learned; reports have one lane.
    let lambda = run["requests_by_lane"]["lambda"].as_u64().unwrap();
    assert!((1801 + 225..1801 + 225 + 60).contains(&lambda), "{run:#}");
}

#[tokio::test]
async fn it_is_told_how_the_log_says_it_was_run() {
    let folder = bucket();
    let (scenario, _) = scenario(folder.path(), &[]).await;
    let observed = &scenario["observed"];
    assert_eq!((&observed["requests"], &observed["failures"]), (&2281.into(), &1.into()));
    // Three servers for half an hour, of 1 vCPU and 2 GiB on Arm: 3 x 0.5 h x (0.03238 + 2 x 0.00356) dollars.
    let cost = observed["cost_usd"].as_f64().unwrap();
    assert!((cost / (1.5 * (0.032_38 + 2.0 * 0.003_56)) - 1.0).abs() < 0.02, "{cost}");
    let p99 = observed["latency_ms"]["p99"].as_f64().unwrap();
    assert!((p99 / 9000.0 - 1.0).abs() < 0.02, "{p99}");
}

#[tokio::test]
async fn a_page_is_written_that_asks_for_nothing_else() {
    let folder = bucket();
    let page = |name: &str| folder.path().join(name).display().to_string();
    let [first, second] = ["a.html", "b.html"].map(page);
    for file in [&first, &second] {
        let ended = replay(folder.path(), &["--html", file]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let [first, second] =
        [first, second].map(|file| std::fs::read_to_string(file).expect("it is written"));
    assert_eq!(first, second, "the same inputs and seed, the same bytes");
    for part in [
        "Cost by item",
        "Load and capacity over time",
        "How long requests took",
        "Where requests ran",
        "fewer, or more, requests at once",
    ] {
        assert!(first.contains(part), "{part}");
    }
    let fetched = first.replace("http://www.w3.org/2000/svg", "");
    assert!(
        !fetched.contains("http://")
            && !fetched.contains("https://")
            && !fetched.contains("<script")
    );
}

#[tokio::test]
async fn a_log_may_come_through_a_pipe_and_out_of_order() {
    let folder = bucket();
    let (expected, _) = scenario(folder.path(), &["--planner", "all-lambda"]).await;
    let mut lines = log();
    // A day's clock that was set back in between: what came earlier stands at the end.
    lines.rotate_left(700);
    let trace = folder.path().join("turned.log");
    std::fs::write(&trace, lines.concat()).expect("the folder is ours");
    let json = folder.path().join("piped.json");
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "cat \"$1\" | \"$0\" replay - --policy \"$2\" --planner all-lambda --json \"$3\"",
        ])
        .arg(pacer())
        .args([&trace, &folder.path().join("policy.yaml"), &json]);
    let ended = Process::start(command).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("were put where they belong"), "{ended:?}");
    let text = std::fs::read_to_string(&json).expect("the report is written");
    let piped: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(piped["scenarios"][0]["runs"][0]["cost_usd"], expected["runs"][0]["cost_usd"]);
}

#[tokio::test]
async fn assumptions_are_taken_from_a_workload_file_by_the_services_name() {
    let folder = bucket();
    let workload = folder.path().join("w.yaml").display().to_string();
    std::fs::write(&workload, "version: 1\nscenarios:\n  - { name: film, lambda_speed: 3, task_start: { fixed: 20s }, cold_start: { plain: { fixed: 1s } } }\n").unwrap();
    let (plain, _) = scenario(folder.path(), &["--planner", "all-lambda"]).await;
    let (slow, told) =
        scenario(folder.path(), &["--planner", "all-lambda", "--workload", &workload]).await;
    let lambda = |scenario: &Value| {
        run_of(scenario, "all-lambda")["cost_by_item_usd"]["lambda_duration"].as_f64().unwrap()
    };
    let ratio = lambda(&slow) / lambda(&plain);
    assert!((2.8..3.2).contains(&ratio), "{ratio}");
    assert!(!told.contains("as fast as a task"), "{told}");
    std::fs::write(&workload, "version: 1\nscenarios:\n  - { name: flim, lambda_speed: 3 }\n")
        .unwrap();
    let ended = replay(folder.path(), &["--workload", &workload]).await;
    assert!(ended.stderr.contains("scenario `flim` is named like no service"), "{ended:?}");
    assert!(ended.stderr.contains("w.yaml:3:"), "the place is told: {ended:?}");
}

#[tokio::test]
async fn counts_are_of_one_service_and_mistakes_are_told() {
    let folder = bucket();
    let counts = folder.path().join("counts.csv").display().to_string();
    let mut text = "timestamp,count\n".to_owned();
    for minute in 0..30 {
        let _ = writeln!(text, "{},60", 60 * minute);
    }
    std::fs::write(&counts, text).unwrap();
    let policy = folder.path().join("policy.yaml").display().to_string();
    let of = async |more: &[&str]| {
        let begin = ["replay", "--policy", &policy];
        run(begin.into_iter().chain(more.iter().copied())).await
    };
    let ended = of(&[&counts, "--service", "film"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("are taken to last the prior of"), "{ended:?}");
    for (arguments, said) in [
        (&[&counts[..]][..], "name it with --service: film, reports, idle"),
        (
            &[&counts, "--service", "flim"],
            "the policy has no service `flim`; it has film, reports, idle",
        ),
        (&[&counts, "--planner", "oracle"], "there is no such planner; there are all-lambda"),
        (&[&counts, "--scenario", "film"], "--workload"),
        (&[], "name the traces"),
        (&["/nowhere.log"], "cannot open /nowhere.log"),
        (&["-", "-"], "standard input can be read once"),
        (&[&policy], "policy.yaml"),
    ] {
        let ended = of(arguments).await;
        assert!(!matches!(ended.code, Some(0) | None), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(said), "{said}: {ended:?}");
    }
    let log = folder.path().join("logs").display().to_string();
    let ended = of(&[&log, &counts, "--service", "film"]).await;
    assert!(ended.stderr.contains("replay them apart"), "{ended:?}");
    let ended = of(&[&log, "--mode", "counts"]).await;
    assert!(ended.stderr.contains("followed one by one"), "{ended:?}");
    let ended = run(["replay", &counts]).await;
    assert!(
        ended.stderr.contains("--policy FILE") && ended.stderr.contains("--workload FILE"),
        "{ended:?}"
    );
}
