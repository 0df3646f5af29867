//! `pacer replay`: what it says of a load, and of what is no load.

use std::{fmt::Write as _, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::process::{Ended, run};

const WORKLOAD: &str = "\
version: 1
scenarios:
  - name: crowd
    trace: crowd.csv
    service_time: { lognormal: { mean: 500ms, cv: 1 } }
    requests_per_task: 2
";

/// An hour by the minute: quiet, and a crowd in the middle.
fn crowd() -> String {
    let mut text = "timestamp,count\n".to_owned();
    for minute in 0..60 {
        let count = if (20..40).contains(&minute) { 1800 } else { 120 };
        let _ = writeln!(text, "{},{count}", 1_700_000_000 + 60 * minute);
    }
    text
}

/// Puts files into a folder.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().expect("there is room for temporary files");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("the folder is ours");
    }
    folder
}

async fn replay(folder: &Path, more: &[&str]) -> Ended {
    let workload = folder.join("workload.yaml").display().to_string();
    let arguments = ["replay", "--workload", &workload];
    run(arguments.into_iter().chain(more.iter().copied())).await
}

async fn report(folder: &Path, more: &[&str]) -> (String, Value) {
    let json = folder.join("report.json").display().to_string();
    let more: Vec<_> = ["--json", &json].into_iter().chain(more.iter().copied()).collect();
    let ended = replay(folder, &more).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = std::fs::read_to_string(&json).expect("the report is written");
    let value = serde_json::from_str(&text).expect("it is JSON");
    (ended.stdout + &text, value)
}

#[tokio::test]
async fn a_load_is_replayed_under_every_planner_and_every_dollar_has_an_item() {
    let folder =
        folder(&[("workload.yaml", WORKLOAD.as_bytes()), ("crowd.csv", crowd().as_bytes())]);
    let (text, value) = report(folder.path(), &[]).await;
    let scenario = &value["scenarios"][0];
    assert_eq!((&scenario["name"], &scenario["requests"]), (&"crowd".into(), &40_800.into()));
    let bound = scenario["lower_bound_usd"].as_f64().unwrap();
    let runs = scenario["runs"].as_array().unwrap();
    let mut names = Vec::new();
    for run in runs {
        let number = |name: &str| run[name].as_f64().unwrap();
        names.push(run["name"].as_str().unwrap());
        let items = run["cost_by_item_usd"].as_object().unwrap().values();
        let sum: f64 = items.map(|amount| amount.as_f64().unwrap()).sum();
        assert!((sum - number("cost_usd")).abs() < 1e-9, "{run}");
        assert!(bound <= number("cost_usd"), "{run}");
        let lanes =
            ["lambda", "container"].map(|lane| run["requests_by_lane"][lane].as_u64().unwrap());
        let unserved = ["refused", "queue-timeout", "throttled"]
            .map(|why| run["failures_by_reason"][why].as_u64().unwrap());
        assert_eq!(lanes.iter().chain(&unserved).sum::<u64>(), 40_800, "{run}");
    }
    for name in
        ["all-lambda", "target-tracking", "last-value-newsvendor", "pacer", "perfect-forecast"]
    {
        assert!(names.contains(&name) && text.contains(name), "{name} of {names:?}");
    }
    let (again, _) = report(folder.path(), &[]).await;
    assert_eq!(again, text, "the same inputs and seed, the same bytes");
    let (other, _) = report(folder.path(), &["--seed", "8"]).await;
    assert_ne!(other, text);
}

#[tokio::test]
async fn steps_reckoned_as_a_whole_come_to_the_same() {
    let folder =
        folder(&[("workload.yaml", WORKLOAD.as_bytes()), ("crowd.csv", crowd().as_bytes())]);
    let (_, events) = report(folder.path(), &["--mode", "events"]).await;
    let (_, counts) = report(folder.path(), &["--mode", "counts"]).await;
    let cost = |report: &Value, name: &str| {
        let runs = report["scenarios"][0]["runs"].as_array().unwrap();
        let run = runs.iter().find(|run| run["name"] == name);
        run.unwrap_or_else(|| panic!("{name}: {report:#}"))["cost_usd"].as_f64().unwrap()
    };
    for name in ["all-lambda", "best-static", "perfect-forecast"] {
        let ratio = cost(&counts, name) / cost(&events, name);
        assert!((ratio - 1.0).abs() < 0.05, "{name}: {ratio}");
    }
}

#[tokio::test]
async fn what_is_no_load_is_told_with_its_place() {
    let crowd = crowd();
    let half = &crowd.as_bytes()[..crowd.len() / 2];
    for (trace, said) in [
        (None, "cannot open"),
        (Some(&b""[..]), "crowd.csv"),
        (Some(b"timestamp,count\n"), "has no requests to replay"),
        (Some(b"timestamp,count\n60,0\n"), "has no requests to replay"),
        (Some(b"when,many\n1,2\n"), "crowd.csv"),
        (Some(b"\x1f\x8b\x08\x00cut"), "crowd.csv"),
    ] {
        let folder = folder(&[("workload.yaml", WORKLOAD.as_bytes())]);
        if let Some(trace) = trace {
            std::fs::write(folder.path().join("crowd.csv"), trace).expect("the folder is ours");
        }
        let ended = replay(folder.path(), &[]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(said), "{said}: {ended:?}");
        assert!(ended.stderr.contains("workload.yaml:4:"), "the place is told: {ended:?}");
    }
    // What can be read is replayed, and what cannot is counted.
    let bad = [half, b"\nyesterday,many\n1700003660,5\n"].concat();
    let folder = folder(&[("workload.yaml", WORKLOAD.as_bytes()), ("crowd.csv", &bad)]);
    let ended = replay(folder.path(), &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("lines cannot be read; the first: "), "{ended:?}");
    let ended = replay(folder.path(), &["--scenario", "crwod"]).await;
    assert!(ended.stderr.contains("has no scenario `crwod`; it has crowd"), "{ended:?}");
}
