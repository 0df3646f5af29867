//! The cloud's own interface, and the program around it.

use std::{io::Write, process::Stdio};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{alive, app, function, invoke, plain, with_function};

#[tokio::test]
async fn state_and_bill_are_served_as_json() {
    let cloud = with_function(function(&["function"])).await;
    let pid = invoke(&cloud, json!({})).await.json()["pid"].clone();
    let state = plain(&cloud, "GET", "/_local/state", "").await.json();
    let f = &state["functions"]["f"];
    assert_eq!(
        (&f["invocations"], &f["cold_starts"], &f["in_flight"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(
        (&f["environments"][0]["pid"], &f["environments"][0]["busy"]),
        (&pid, &json!(false))
    );
    let bill = plain(&cloud, "GET", "/_local/bill", "").await.json();
    assert_eq!(bill, serde_json::to_value(cloud.bill()).unwrap());
    assert_eq!(bill["functions"]["f"]["requests"], 1);
    cloud.stop().await;
}

#[tokio::test]
async fn a_wrong_order_of_faults_is_refused_and_names_the_field() {
    let cloud = with_function(function(&["function"])).await;
    for (order, field) in [
        ("{", "EOF"),
        ("{}", "the order is empty"),
        (r#"{"ec2": {}}"#, "ec2"),
        (r#"{"scheduler": {"down": {"status": 404}}}"#, "scheduler.down.status"),
        (r#"{"lambda": {"throttle": {"function": "f", "count": "two"}}}"#, "lambda.throttle.count"),
        (r#"{"lambda": {"throttle": {"function": "f", "times": 2}}}"#, "times"),
        (
            r#"{"lambda": {"throttle": {"function": "f", "reason": "Mood"}}}"#,
            "lambda.throttle.reason",
        ),
        (r#"{"lambda": {"throttle": {"function": "g"}}}"#, "lambda.throttle.function"),
        (
            r#"{"lambda": {"error": {"function": "f", "status": 200, "type": "x"}}}"#,
            "lambda.error.status",
        ),
        (r#"{"lambda": {"hang": {"function": "f", "count": 1000000}}}"#, "lambda.hang.count"),
        (r#"{"lambda": {"kill": {"environment": "e"}}}"#, "lambda.kill.environment"),
        (r#"{"ecs": {"down": {"status": 404}}}"#, "ecs.down.status"),
        (r#"{"ecs": {"kill": {"task": "t"}}}"#, "ecs.kill.task"),
        (
            r#"{"ecs": {"slow_start": {"cluster": "c", "service": "s", "extra": "1"}}}"#,
            "ecs.slow_start.extra",
        ),
    ] {
        let answer = plain(&cloud, "POST", "/_local/faults", order).await;
        assert_eq!(answer.status(), 400, "{order}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(field), "{order}: {error}");
    }
    cloud.stop().await;
}

#[tokio::test]
async fn a_dropped_cloud_leaves_no_process() {
    let cloud = with_function(function(&["parent"])).await;
    let answer = invoke(&cloud, json!({})).await.json();
    drop(cloud);
    crate::support::gone(answer["pid"].as_u64().unwrap()).await;
    crate::support::gone(answer["about"]["child"].as_u64().unwrap()).await;
}

#[tokio::test]
async fn the_program_says_where_it_listens_and_ends_its_processes() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let command = serde_json::to_string(&app(&["http"])).unwrap();
    let services = format!("web: {{ command: {command}, start_lag: 0s }}");
    write!(file, "version: 1\nclusters:\n  prod:\n    services:\n      {services}\n").unwrap();
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_pacer-local"))
        .args(["--listen", "127.0.0.1:0", "--time-scale", "100", "--config"])
        .arg(file.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let address = line.strip_prefix("pacer local listening on http://").unwrap().parse().unwrap();
    let request = || {
        http::Request::get("/_local/state")
            .header("host", "x")
            .body(http_body_util::Full::default())
            .unwrap()
    };
    let pid = crate::support::until("a task runs", async || {
        let state = crate::support::send(address, request()).await.unwrap().json();
        state["services"]["prod/web"]["tasks"][0]["pid"].as_u64()
    })
    .await;
    let own = rustix::process::Pid::from_raw(program.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
    assert!(program.wait().await.unwrap().success());
    assert!(!alive(pid));
}

#[tokio::test]
async fn the_program_refuses_a_wrong_file_with_its_place() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "version: 1\nfunction: {{}}\n").unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_pacer-local"))
        .arg("--config")
        .arg(file.path())
        .output()
        .await
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains("`function`") && error.contains("line 2"), "{error}");
}
