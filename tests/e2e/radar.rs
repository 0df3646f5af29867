//! The radar: trouble is told before it comes, with what is done about it; and where there is none, none is told.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::harness::{
    Cloud, Gateway, Upstream,
    cloud::{Hold, SCRIPTED},
    gateway::{Setup, containers_only},
    process::run,
    until,
};

/// How much faster than real plans and the cloud's lags pass here.
const SCALE: u32 = 20;

/// A cloud with the service `prod/web` of `desired` tasks that take `start_lag` to start.
async fn tasks(desired: u32, start_lag: &str) -> Cloud {
    let config = format!(
        "clusters:\n  prod:\n    services:\n      web: {{ command: ['{SCRIPTED}', task], desired: {desired}, \
         start_lag: {start_lag} }}\n"
    );
    Cloud::start(&config, SCALE).await
}

/// A cloud with the function `f`.
async fn function() -> Cloud {
    let config =
        format!("functions:\n  f: {{ command: ['{SCRIPTED}', function], qualifiers: [live] }}\n");
    Cloud::start(&config, SCALE).await
}

fn on_tasks(cloud: &Cloud, mode: &str, bounds: &str, more: &str) -> String {
    format!(
        "endpoint_url: {}\ndefaults: {{ mode: {mode} }}\nservices:\n  web:\n    container:\n      \
         ecs: {{ cluster: prod, service: web, port: 8080 }}\n      requests_per_task: 1\n      \
         probe: {{ path: /health, interval: 200ms }}\n      \
         tasks: {{ {bounds}, scheduler_role: arn:aws:iam::123456789012:role/pacer-fallback }}\n\
         routes: [{{ match: {{}}, service: web, timeouts: {{ queue: 5s }} }}]\n{more}",
        cloud.url()
    )
}

fn on_lambda(cloud: &Cloud, more: &str) -> String {
    format!(
        "endpoint_url: {}\nservices: {{ web: {{ lambda: {{ function: 'f:live'{more} }} }} }}\n\
         routes: [{{ match: {{}}, service: web }}]\n",
        cloud.url()
    )
}

async fn gateway(policy: &str, wait_ready: bool) -> Gateway {
    let arguments = vec!["--time-scale", "20"];
    Gateway::start_with(policy, Setup { arguments, wait_ready, ..Setup::default() }).await
}

/// Returns what the radar shows of the only service.
async fn shown(gateway: &Gateway) -> Value {
    gateway.admin("/radar").await["services"][0].clone()
}

/// Waits until it is warned of `kind` with something that `is_it`.
async fn warned(gateway: &Gateway, kind: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    until(&format!("it is warned of {kind}"), async || {
        let shown = shown(gateway).await;
        let warnings = shown["warnings"].as_array()?.clone();
        warnings.into_iter().find(|warning| warning["kind"] == kind && is_it(warning))
    })
    .await
}

/// Writes a moment so many minutes after this one: `2026-11-21T05:00Z`. Dates as H. Hinnant, "chrono-compatible low-level date
/// algorithms", reckons them.
fn in_minutes(minutes: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    let minute = now.as_secs() / 60 + minutes;
    let days = minute / 1_440 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, after) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + after;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}Z", minute / 60 % 24, minute % 60)
}

#[tokio::test]
async fn a_crowd_that_outgrows_the_ready_tasks_is_told_before_it_comes() {
    let cloud = tasks(1, "2s").await;
    // Plans' time begins now and passes twenty times as fast: three minutes of the test.
    let crowd = format!(
        "events: [{{ service: web, from: \"{}\", until: \"{}\", expect: 5/s }}]\n",
        in_minutes(58),
        in_minutes(240)
    );
    let four = "min: 1, max: 4, fallback: 1";
    let gateway = gateway(&on_tasks(&cloud, "observe", four, &crowd), false).await;
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 1.0).await;
    let warning =
        warned(&gateway, "capacity", |warning| warning["evidence"]["ready_slots"] == 1.0).await;
    let minutes = warning["minutes"].as_f64().unwrap();
    assert!(0.0 < minutes && minutes <= 58.0, "{warning}");
    // Five a second that take 200 ms each: four seconds of the plans' time.
    assert_eq!(warning["evidence"]["needed_tasks"], 20.0, "{warning}");
    assert!(warning["says"].as_str().unwrap().contains("demand p90 reaches"), "{warning}");
    assert_eq!(warning["action"]["state"], "proposed", "{warning}");
    let labels = [("service", "web"), ("warning", "capacity")];
    let seconds = gateway.metrics().await.get("pacer_radar_seconds", &labels);
    assert!(0.0 < seconds && seconds <= 3_600.0, "{seconds}");
    let status = run(["status", "--admin", &format!("http://{}", gateway.admin)]).await.stdout;
    for part in ["\nradar:\n  web: ", "capacity: demand p90", "; TO DO: ", "nothing was changed"] {
        assert!(status.contains(part), "no `{part}` in:\n{status}");
    }
    // To act is no help while four tasks are the most.
    gateway.write_policy(&on_tasks(&cloud, "act", four, &crowd));
    let limited = |warning: &Value| {
        warning["action"]["says"].as_str().is_some_and(|says| says.contains("raise `tasks.max`"))
    };
    warned(&gateway, "capacity", limited).await;
    // With room for all of it there is nothing to warn of: it is asked for in time.
    gateway.write_policy(&on_tasks(&cloud, "act", "min: 1, max: 30, fallback: 1", &crowd));
    until("it is calm", async || (shown(&gateway).await["level"] == "ok").then_some(())).await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn tasks_that_do_not_start_are_told() {
    let cloud = tasks(1, "2000s").await;
    let policy = on_tasks(&cloud, "act", "min: 3, max: 4, fallback: 3", "");
    let gateway = gateway(&policy, false).await;
    let warning = warned(&gateway, "start-lag", |_| true).await;
    let evidence = &warning["evidence"];
    assert!(120.0 <= evidence["oldest_seconds"].as_f64().unwrap(), "{warning}");
    assert_eq!(evidence["planned_seconds"], 80.0, "{warning}");
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn calls_that_lambda_refuses_are_told() {
    let cloud = function().await;
    let gateway = gateway(&on_lambda(&cloud, ""), false).await;
    assert_eq!(gateway.get("/").await.status(), 200);
    assert_eq!(shown(&gateway).await["level"], "ok");
    cloud.fault(json!({ "lambda": { "storm": {} } })).await;
    for _ in 0..10 {
        assert_eq!(gateway.get("/").await.status(), 503);
    }
    let warning = warned(&gateway, "throttles", |_| true).await;
    assert_eq!((&warning["level"], &warning["minutes"]), (&json!("now"), &json!(0.0)));
    // A minute of the plans' time after the last one it is over.
    until("it is calm", async || (shown(&gateway).await["level"] == "ok").then_some(())).await;
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn as_many_in_flight_as_may_be_are_told() {
    let cloud = function().await;
    let gateway = gateway(&on_lambda(&cloud, ", max_in_flight: 2"), false).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let hold = Hold::new().await;
        let asked = tokio::spawn(gateway.get(&hold.path()));
        held.push((hold.begun().await, asked));
    }
    let warning = warned(&gateway, "lambda-concurrency", |warning| warning["level"] == "now").await;
    let says = "2 in flight on Lambda, all that `max_in_flight` allows";
    assert_eq!((&warning["says"], &warning["minutes"]), (&json!(says), &json!(0.0)));
    for (working, asked) in held {
        drop(working);
        assert_eq!(asked.await.unwrap().status(), 200);
    }
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn errors_that_last_burn_the_budget_and_each_is_counted() {
    let app = Upstream::answering(async |exchange, _| {
        exchange.reply("500 Internal Server Error", &[], "no").await;
    })
    .await;
    let policy =
        containers_only(&[&app], 4, ", objective: { p99: 30s, success: 99.9%, window: 1d }");
    let gateway = gateway(&policy, true).await;
    for _ in 0..25 {
        assert_eq!(gateway.get("/").await.status(), 500);
    }
    let missed = |objective| [("service", "app"), ("objective", objective)];
    gateway.until_metric("pacer_objective_missed_total", &missed("success"), 25.0).await;
    let metrics = gateway.metrics().await;
    assert!(metrics.get("pacer_objective_missed_total", &missed("latency")) < 0.5);
    let app = [("service", "app")];
    // What the route promises is the route's; the service itself promises nothing.
    assert!((metrics.get("pacer_objective_seconds", &app) - 30.0).abs() < 1e-9);
    let warning = warned(&gateway, "error-budget", |warning| warning["level"] == "now").await;
    assert_eq!(warning["evidence"]["missed"], 25.0, "{warning}");
    let metrics = gateway.metrics().await;
    assert!(
        14.4 <= metrics
            .get("pacer_error_budget_burn_ratio", &[("service", "app"), ("window", "1h")])
    );
    assert!(metrics.get("pacer_error_budget_left_ratio", &app) < 1.0);
    drop(gateway);
}

#[tokio::test]
async fn calm_load_is_told_as_calm() {
    let app = Upstream::saying("app").await;
    let policy = containers_only(&[&app], 4, ", objective: { p99: 30s, success: 99.9% }");
    let gateway = gateway(&policy, true).await;
    for _ in 0..40 {
        assert_eq!(gateway.get("/").await.status(), 200);
        let shown = shown(&gateway).await;
        assert_eq!((&shown["level"], &shown["minutes"]), (&json!("ok"), &Value::Null), "{shown}");
    }
    let budget = until("five minutes were seen", async || {
        let shown = shown(&gateway).await;
        assert_eq!(shown["warnings"], json!([]), "{shown}");
        let budget = shown["error_budget"].clone();
        (300 <= budget["seen_seconds"].as_u64()?).then_some(budget)
    })
    .await;
    assert_eq!((&budget["left"], &budget["burn"]["1h"]), (&json!(1.0), &json!(0.0)), "{budget}");
    assert_eq!(budget["window"], "30d", "{budget}");
    drop(gateway);
}

#[tokio::test]
async fn who_observes_is_told_what_is_missing_to_act() {
    let cloud = tasks(1, "2s").await;
    let gateway =
        gateway(&on_tasks(&cloud, "observe", "min: 1, max: 4, fallback: 1", ""), false).await;
    let ready = until("what would be changed was read", async || {
        let ready = shown(&gateway).await["ready_to_act"].clone();
        let says = ready["says"].as_str()?;
        says.contains("its load was seen for").then_some(ready)
    })
    .await;
    assert_eq!(ready["ready"], false, "{ready}");
    // Somebody else scales it.
    let target = json!({
        "ServiceNamespace": "ecs", "ResourceId": "service/prod/web",
        "ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": 1, "MaxCapacity": 4,
    });
    cloud.autoscaling("RegisterScalableTarget", target).await;
    drop(gateway);
    let gateway =
        self::gateway(&on_tasks(&cloud, "observe", "min: 1, max: 4, fallback: 1", ""), false).await;
    until("two would fight", async || {
        let ready = shown(&gateway).await["ready_to_act"].clone();
        ready["says"].as_str()?.contains("scaled by Application Auto Scaling").then_some(())
    })
    .await;
    drop(gateway);
    cloud.stop().await;
}
