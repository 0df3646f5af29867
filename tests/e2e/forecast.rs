//! `pacer forecast`: what it says of a load to come, how it is held to what came, and what is no load.

use std::{f64::consts::TAU, fmt::Write as _, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::process::{Ended, run};

/// Midnight, some day.
const START_S: u64 = 1_700_006_400;

/// What comes in the five minutes of a number: a wave a day, and a little chance.
fn count(step: u64) -> u64 {
    let wave = (step as f64 / 288.0 * TAU).sin();
    (500.0 + 400.0 * wave) as u64 + step * 7_919 % 31
}

/// Days of five minutes, a row a step.
fn days(days: u64) -> String {
    let mut text = "timestamp,count\n".to_owned();
    for step in 0..days * 288 {
        let _ = writeln!(text, "{},{}", START_S + step * 300, count(step));
    }
    text
}

/// Puts a file into a folder.
fn folder(text: &str) -> TempDir {
    let folder = TempDir::new().expect("there is room for temporary files");
    std::fs::write(folder.path().join("load.csv"), text).expect("the folder is ours");
    folder
}

async fn forecast(folder: &Path, more: &[&str]) -> Ended {
    let file = folder.join("load.csv").display().to_string();
    run(["forecast", &file].into_iter().chain(more.iter().copied())).await
}

/// Runs it, and returns what it says, then the text of a file that it writes.
async fn written(folder: &Path, option: &str, more: &[&str]) -> (String, String) {
    let file = folder.join("out").display().to_string();
    let more: Vec<_> = [option, &file].into_iter().chain(more.iter().copied()).collect();
    let ended = forecast(folder, &more).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    (ended.stdout, std::fs::read_to_string(&file).expect("it is written"))
}

async fn refused(text: &str, more: &[&str], said: &str) {
    let ended = forecast(folder(text).path(), more).await;
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    assert!(ended.stderr.contains(said), "{said}: {ended:?}");
}

#[tokio::test]
async fn a_rhythm_goes_on_as_it_did() {
    let folder = folder(&days(10));
    let (told, json) = written(folder.path(), "--json", &["--horizons", "300s,1h"]).await;
    let report: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(report["step_s"], 300);
    assert_eq!(report["origin"], START_S + (10 * 288 - 1) * 300);
    for (forecast, steps) in report["forecast"].as_array().unwrap().iter().zip([1, 12]) {
        let truth = count(10 * 288 - 1 + steps) as f64;
        let said = |name: &str| forecast[name].as_f64().unwrap();
        assert!((said("q50") / truth - 1.0).abs() < 0.1, "{truth}: {forecast}");
        assert!(said("q05") <= truth && truth <= said("q99") * 1.02, "{truth}: {forecast}");
        assert!(told.contains(&format!("{:.0}", said("q50"))), "{told}");
    }
    let (again, same) = written(folder.path(), "--json", &["--horizons", "300s,1h"]).await;
    assert_eq!((again, same), (told, json), "the same inputs, the same bytes");
}

#[tokio::test]
async fn every_forecast_of_a_backtest_stands_beside_what_came() {
    let folder = folder(&days(6));
    let (told, rows) = written(folder.path(), "--out", &["--backtest", "--every", "15m"]).await;
    let mut rows = rows.lines();
    let header = "origin,target,horizon_s,actual,q05,q25,q50,q75,q90,q95,q99,mean";
    assert_eq!(rows.next(), Some(header));
    let mut forecasts = 0;
    for row in rows {
        let row: Vec<f64> = row.split(',').map(|cell| cell.parse().expect("a number")).collect();
        let [origin, target, horizon_s, actual, quantiles @ .., _] = &row[..] else {
            panic!("{row:?}")
        };
        assert_eq!((quantiles.len(), *target), (7, origin + horizon_s));
        assert_eq!(*actual as u64, count((*target as u64 - START_S) / 300));
        assert!(quantiles.is_sorted() && START_S + 3 * 86_400 <= *origin as u64, "{row:?}");
        forecasts += 1;
    }
    // Three days of quarters of an hour, three horizons; the last targets are not known.
    assert!((3 * 288 - 5..=3 * 288).contains(&forecasts), "{forecasts}");
    assert!(
        told.contains(" forecasts from 288 origins, 15m apart, after the first 50 %"),
        "{told}"
    );
    assert!(told.contains("left out, no multiples of the step of 5m: horizons of 1m"), "{told}");
}

#[tokio::test]
async fn a_page_asks_for_nothing() {
    let folder = folder(&days(6));
    for (more, pictures) in [(&[][..], 2), (&["--backtest"], 3)] {
        let (_, page) = written(folder.path(), "--html", more).await;
        assert!(page.starts_with("<!doctype html>") && page.contains("default-src 'none'"));
        assert_eq!(page.matches("<figure").count(), pictures, "{more:?}");
        for asks in ["<script", "src=", "url(", "@import"] {
            assert!(!page.contains(asks), "{asks}");
        }
        assert!(page.contains("what came") && page.contains("p5 to p95"), "{more:?}");
    }
}

#[tokio::test]
async fn requests_are_counted_and_functions_told_apart() {
    let mut text = "timestamp_s,function\n".to_owned();
    for minute in 0..3 * 60 {
        for second in [1, 20, 40] {
            let _ = writeln!(text, "{}.5,thumb", START_S + minute * 60 + second);
        }
        let _ = writeln!(text, "{}.5,resize", START_S + minute * 60 + 30);
    }
    let folder = folder(&text);
    let median = |json: &str| {
        let report: Value = serde_json::from_str(json).expect("it is JSON");
        report["forecast"][0]["q50"].as_f64().unwrap()
    };
    let by_minute = ["--step", "60s", "--function", "thumb"];
    let (told, json) = written(folder.path(), "--json", &by_minute[..2]).await;
    assert!((median(&json) - 4.0).abs() < 0.5, "{json}");
    assert!(told.contains("of 2 functions are added up; --function NAME takes one"), "{told}");
    let (_, json) = written(folder.path(), "--json", &by_minute).await;
    assert!((median(&json) - 3.0).abs() < 0.5, "{json}");
    let ended = forecast(folder.path(), &["--function", "thumbs"]).await;
    assert!(
        ended.stderr.contains("no function `thumbs`; the busiest are thumb, resize"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn mistakes_are_told_with_their_fix() {
    let load = days(2);
    refused(
        &load,
        &["--horizons", "60s"],
        "shorter than the step of 5m; give others: --horizons 300s",
    )
    .await;
    refused(&load, &["--horizons", "2d"], "longer than a day").await;
    refused(&load, &["--horizons", "0.5s"], "whole seconds").await;
    refused(&load, &["--step", "60s"], "--step is for single requests").await;
    refused(&load, &["--function", "a"], "leave --function out").await;
    refused(&load, &["--out", "rows.csv"], "--backtest").await;
    refused(&load, &["--backtest", "--warm-up", "100%"], "lower --warm-up").await;
    refused(&load, &["--json", "/nowhere/at/all"], "cannot write /nowhere/at/all").await;
    refused("", &[], "load.csv").await;
    refused("when,many\n1,2\n", &[], "load.csv").await;
    refused("timestamp,count\n", &[], "there are no requests in it").await;
    refused("timestamp,count\n60,0\n", &[], "not one step of 1m is over").await;
    refused("timestamp,count\nx,y\n", &[], "load.csv:2: ").await;
    refused("timestamp,count\n0,1\n90000000000,1\n", &[], "are its timestamps right?").await;
    // What can be read is forecast, and what cannot is counted.
    let bad = format!("{load}yesterday,many\n");
    let ended = forecast(folder(&bad).path(), &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("1 of 578 lines cannot be read; the first: "), "{ended:?}");
}
