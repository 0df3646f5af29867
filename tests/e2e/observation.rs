//! What the gateway tells of itself: metrics, access log, admin API; and what it keeps to itself.

use crate::harness::{
    Gateway, Upstream, Wire,
    gateway::{Setup, both_lanes, container, containers_only},
    wire::request,
};

#[tokio::test]
async fn metrics_count_what_was_done() {
    let app =
        Upstream::answering(|exchange, body| exchange.reply("201 Made", &[], body.bytes)).await;
    let container = container(&[&app], 4);
    let gateway = Gateway::start(&format!(
        "services: {{ app: {{ container: {container} }} }}\n\
         routes: [{{ match: {{ path: /a }}, service: app }}]\n"
    ))
    .await;
    let mut wire = gateway.connect().await;
    for _ in 0..5 {
        assert_eq!(wire.ask("POST", "/a", &[], b"12345").await.status(), 201);
    }
    assert_eq!(wire.ask("GET", "/b", &[], b"").await.status(), 404);
    let metrics = gateway.metrics().await;
    let is = |name: &str, labels: &[(&str, &str)], expected: f64| {
        let found = metrics.get(name, labels);
        assert!(
            (found - expected).abs() < 1e-9,
            "{name}{labels:?} is {found}, not {expected}:\n{}",
            metrics.0
        );
    };
    is("pacer_requests_total", &[("service", "app"), ("lane", "container"), ("code", "2xx")], 5.0);
    is("pacer_requests_total", &[("route", "none"), ("lane", "none"), ("code", "4xx")], 1.0);
    is("pacer_request_duration_seconds_count", &[("lane", "container")], 5.0);
    is("pacer_request_bytes_total", &[], 25.0);
    is("pacer_decisions_total", &[("lane", "container"), ("reason", "only-lane")], 5.0);
    is("pacer_ends_total", &[("end", "complete")], 5.0);
    is("pacer_ends_total", &[("end", "refused")], 1.0);
    is("pacer_connections_total", &[], 1.0);
    is("pacer_connections_open", &[], 1.0);
    is("pacer_upstream_connections_total", &[], 1.0);
    is("pacer_requests_in_flight", &[], 0.0);
    is("pacer_slots", &[("service", "app")], 4.0);
    is("pacer_slots_busy", &[("service", "app")], 0.0);
    is("pacer_tasks", &[("service", "app"), ("state", "ready")], 1.0);
    is("pacer_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    for process in
        ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"]
    {
        assert!(0.0 < metrics.get(process, &[]) || process.contains("cpu"), "{process}");
    }
    // The listener has metrics and nothing else.
    let mut wire = Wire::connect(gateway.metrics).await;
    assert_eq!(wire.ask("GET", "/policy", &[], b"").await.status(), 404);
}

#[tokio::test]
async fn buckets_of_a_histogram_grow_to_the_count() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    for _ in 0..7 {
        gateway.get("/").await;
    }
    let metrics = gateway.metrics().await.0;
    let buckets: Vec<f64> = metrics
        .lines()
        .filter(|line| line.starts_with("pacer_request_duration_seconds_bucket"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(5 < buckets.len() && buckets.is_sorted(), "{buckets:?}");
    assert_eq!(buckets.last().unwrap().to_bits(), 7.0_f64.to_bits());
    assert!(metrics.contains("le=\"+Inf\""), "{metrics}");
}

#[tokio::test]
async fn every_request_leaves_one_line_in_the_access_log() {
    let api =
        Upstream::answering(|exchange, _| exchange.returned(r#"{"statusCode":200,"body":"x"}"#))
            .await;
    let app = Upstream::start().await;
    let policy = both_lanes(&api, &[&app], 4, ", class: sprinter");
    let policy = policy + "  - { match: { path: /long }, service: app, class: marathon }\n";
    let gateway = Gateway::start(&policy).await;
    let id = gateway.get("/short").await.head.get("x-request-id").unwrap().to_owned();
    gateway.log(1).await;
    let mut wire = gateway.connect().await;
    wire.send(request("PUT", "/long?token=hidden", &[], b"1234567")).await;
    let mut exchange = app.next().await;
    exchange.body().await;
    exchange.reply("200 OK", &[], "four").await;
    wire.answer("PUT").await;
    gateway.log(2).await;
    let bad = gateway.ask("GET", "/a\\b\"c", &[], b"").await;
    assert_eq!(bad.status(), 400);
    let log = gateway.log(3).await;
    let line = &log[0];
    assert_eq!(line["request_id"], *id);
    for (field, value) in [
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("path", "/short"),
        ("service", "app"),
        ("class", "sprinter"),
        ("lane", "lambda"),
        ("reason", "declared"),
        ("end", "complete"),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    assert_eq!(
        (&line["status"], &line["bytes_out"], &line["retries"]),
        (&200.into(), &1.into(), &0.into())
    );
    assert!(line["task"].is_null() && line["spill"].is_null(), "{line}");
    let line = &log[1];
    assert_eq!((&line["path"], &line["lane"]), (&"/long".into(), &"container".into()));
    assert_eq!(line["task"], app.address.to_string());
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&7.into(), &4.into()));
    assert!(line["billed_ms"].is_null() && line["total_ms"].as_f64().is_some(), "{line}");
    let line = &log[2];
    assert_eq!((&line["status"], &line["end"]), (&400.into(), &"refused".into()));
    assert!(line["route"].is_null() && line["lane"].is_null(), "{line}");
    // Every line has every field, so that columns line up.
    let fields =
        |line: &serde_json::Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&log[0]), fields(&log[2]));
}

#[tokio::test]
async fn the_access_log_goes_to_standard_output_where_the_policy_says_so() {
    let app = Upstream::saying("app").await;
    let policy = containers_only(&[&app], 4, "");
    let mut gateway = Gateway::start(&format!("access_log: stdout\n{policy}")).await;
    gateway.get("/here").await;
    let line = gateway.line("{").await;
    let line: serde_json::Value = serde_json::from_str(&format!("{{{line}")).unwrap();
    assert_eq!((&line["path"], &line["status"]), (&"/here".into(), &200.into()));
}

#[tokio::test]
async fn the_admin_api_shows_what_runs() {
    let api = Upstream::start().await;
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&both_lanes(&api, &[&app], 4, ", class: marathon")).await;
    gateway.get("/seen").await;
    let status = gateway.admin("/status").await;
    assert_eq!((&status["workers"], &status["credentials"]["usable"]), (&1.into(), &true.into()));
    let services = gateway.admin("/services").await;
    let container = &services[0]["container"];
    assert_eq!((&container["tasks_ready"], &container["slots"]), (&1.into(), &4.into()));
    assert_eq!(container["tasks"][0]["address"], app.address.to_string());
    assert_eq!(services[0]["lambda"]["function"], "f:live");
    let routes = gateway.admin("/routes").await;
    assert_eq!((&routes[0]["class"], &routes[0]["service"]), (&"marathon".into(), &"app".into()));
    let policy = gateway.admin("/policy").await;
    assert_eq!(policy["routes"][0]["timeouts"]["first_byte"], "20s");
    let decisions = crate::harness::until("the decision is shown", async || {
        let decisions = gateway.admin("/decisions?limit=5").await;
        (!decisions.as_array()?.is_empty()).then_some(decisions)
    })
    .await;
    assert_eq!(decisions[0]["decided"], "container");
    assert_eq!(
        (&decisions[0]["reason"], &decisions[0]["end"]),
        (&"declared".into(), &"complete".into())
    );

    let mut wire = Wire::connect(gateway.admin).await;
    let local = [("host", "localhost")];
    assert!(wire.ask("GET", "/", &local, b"").await.text().contains("/decisions"));
    for (method, target, status) in
        [("GET", "/nothing", 404), ("POST", "/policy", 405), ("GET", "/decisions?limit=many", 400)]
    {
        let answer = wire.ask(method, target, &local, b"").await;
        assert_eq!(answer.status(), status, "{method} {target}");
        assert_eq!(answer.head.get("content-type"), Some("application/problem+json"), "{target}");
    }
}

#[tokio::test]
async fn no_secret_gets_out() {
    let api =
        Upstream::answering(|exchange, _| exchange.returned(r#"{"statusCode":200,"body":"x"}"#))
            .await;
    let app = Upstream::saying("app").await;
    let setup = Setup {
        env: vec![
            ("AWS_ACCESS_KEY_ID", "AKIAHIDDENKEYID"),
            ("AWS_SECRET_ACCESS_KEY", "hidden-secret-key"),
            ("AWS_SESSION_TOKEN", "hidden-session-token"),
            ("PACER_LOG", "debug"),
        ],
        ..Setup::default()
    };
    let policy = both_lanes(&api, &[&app], 4, ", class: sprinter");
    let gateway = Gateway::start_with(&policy, setup).await;
    let secret = [("authorization", "Bearer hidden-bearer"), ("cookie", "session=hidden-cookie")];
    let answer = gateway.ask("GET", "/path?token=hidden-query", &secret, b"").await;
    assert_eq!(answer.decision("lane"), "lambda");
    let lost = gateway.ask("POST", "/path?token=hidden-query", &secret, b"hidden-body").await;
    assert_eq!(lost.status(), 200);
    gateway.log(2).await;
    let mut told = vec![
        ("access log", gateway.log_text()),
        ("metrics", gateway.metrics().await.0),
        ("standard error", gateway.errors()),
        ("a response", format!("{answer:?}")),
    ];
    for path in ["/status", "/services", "/routes", "/decisions", "/policy"] {
        told.push((path, gateway.admin(path).await.to_string()));
    }
    for (place, text) in told {
        let text = text.to_lowercase();
        assert!(!text.contains("hidden"), "{place}: {text}");
    }
}
