//! Another policy while the gateway runs: taken over whole or not at all, and nobody's request notices.

use std::{
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{
    Gateway, Upstream, Wire,
    gateway::{Setup, both_lanes, container, containers_only},
    until,
    wire::request,
};

/// Waits until `count` policies took over after the first.
async fn applied(gateway: &Gateway, count: f64) {
    gateway.until_metric("pacer_reload_total", &[("result", "applied")], count).await;
}

async fn refused(gateway: &Gateway, count: f64) {
    gateway.until_metric("pacer_reload_total", &[("result", "refused")], count).await;
}

async fn hash(gateway: &Gateway) -> Value {
    gateway.admin("/status").await["policy"]["hash"].clone()
}

/// A policy whose one route leads to `app`.
fn to(app: &Upstream) -> String {
    containers_only(&[app], 4, "")
}

#[tokio::test]
async fn a_changed_file_takes_over_by_itself() {
    let (old, new) = (Upstream::saying("old").await, Upstream::saying("new").await);
    let gateway = Gateway::start(&to(&old)).await;
    let first = hash(&gateway).await;
    assert_eq!(gateway.get("/").await.text(), "old");
    gateway.write_policy(&to(&new));
    applied(&gateway, 1.0).await;
    // The task that is no longer named goes with the next listing, a second later.
    gateway.until_metric("pacer_tasks", &[], 1.0).await;
    assert_eq!(gateway.get("/").await.text(), "new");
    assert_ne!(hash(&gateway).await, first);
    gateway.until_told("the policy is reloaded").await;
}

#[tokio::test]
async fn files_that_are_renamed_or_stand_behind_links_are_followed() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&to(&app)).await;
    let at = |name: &str| gateway.directory().join(name);
    let with = |more: &str| format!("include: [data/*.yaml]\n{}{more}", to(&app));
    for (version, path) in [("v1", "/one"), ("v2", "/two")] {
        std::fs::create_dir(at(version)).unwrap();
        let route = format!("routes: [{{ match: {{ path: {path} }}, service: app }}]\n");
        std::fs::write(at(version).join("a.yaml"), route).unwrap();
    }
    symlink("v1", at("data")).unwrap();
    // As an editor saves: another file, then its name.
    std::fs::write(at("policy.yaml~"), gateway.filled(&with(""))).unwrap();
    std::fs::rename(at("policy.yaml~"), at("policy.yaml")).unwrap();
    applied(&gateway, 1.0).await;
    let names = async || {
        let routes = gateway.admin("/routes").await;
        let names = routes.as_array().unwrap().iter().map(|route| route["name"].clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["/one", "/*"]);
    // As Kubernetes updates a ConfigMap: a link is put in the place of another.
    symlink("v2", at("..data")).unwrap();
    std::fs::rename(at("..data"), at("data")).unwrap();
    applied(&gateway, 2.0).await;
    assert_eq!(names().await, ["/two", "/*"]);
    // Written again as it is: nothing to take over, nothing to tell.
    let routes = std::fs::read(at("v2/a.yaml")).unwrap();
    std::fs::write(at("v2/a.yaml"), routes).unwrap();
    std::fs::write(at("v2/b.yaml"), "routes: [{ match: { path: /b }, service: app }]\n").unwrap();
    applied(&gateway, 3.0).await;
    assert_eq!(names().await, ["/two", "/b", "/*"]);
}

#[tokio::test]
async fn a_bad_policy_changes_nothing_and_is_told_with_its_place() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&to(&app)).await;
    let first = hash(&gateway).await;
    gateway.write_policy(&to(&app).replace("service: app", "service: ap"));
    refused(&gateway, 1.0).await;
    assert_eq!(gateway.get("/").await.text(), "app");
    let problem = "routes[0].service: no service is named `ap`; did you mean `app`?";
    let status = gateway.admin("/status").await;
    let error = status["policy"]["error"]["problems"].as_str().unwrap();
    assert!(error.contains(problem) && error.contains("policy.yaml:"), "{error}");
    gateway.until_told(problem).await;
    assert!((gateway.metrics().await.get("pacer_reload_failed", &[]) - 1.0).abs() < 0.1);
    assert_eq!(hash(&gateway).await, first);
    // Put back as it was, nothing is wrong any more.
    gateway.write_policy(&to(&app));
    gateway.until_metric("pacer_reload_failed", &[], 0.0).await;
    assert_eq!(gateway.admin("/status").await["policy"]["error"], Value::Null);
    assert_eq!(hash(&gateway).await, first);
}

#[tokio::test]
async fn what_needs_a_restart_is_refused_by_name() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&to(&app)).await;
    let changed = "limits: { connections: 7 }\naccess_log: stdout\n";
    gateway.write_policy(&format!("{changed}{}", to(&app)));
    refused(&gateway, 1.0).await;
    let status = gateway.admin("/status").await;
    let error = status["policy"]["error"]["problems"].as_str().unwrap();
    for part in [
        "limits.connections: cannot change while the gateway runs (`20000` to `7`); restart it",
        "access_log: cannot change while the gateway runs",
    ] {
        assert!(error.contains(part), "no `{part}` in {error}");
    }
    assert_eq!(gateway.get("/").await.text(), "app");
}

#[tokio::test]
async fn sighup_reads_at_once_and_is_all_there_is_without_watching() {
    let (old, new) = (Upstream::saying("old").await, Upstream::saying("new").await);
    let setup = Setup { arguments: vec!["--no-watch"], ..Setup::default() };
    let gateway = Gateway::start_with(&to(&old), setup).await;
    gateway.write_policy(&to(&new));
    gateway.signal(Signal::HUP);
    applied(&gateway, 1.0).await;
    gateway.until_metric("pacer_tasks", &[], 1.0).await;
    assert_eq!(gateway.get("/").await.text(), "new");
    // A signal without a change is heard, and changes nothing.
    gateway.write_policy("services: [");
    gateway.signal(Signal::HUP);
    refused(&gateway, 1.0).await;
    gateway.write_policy(&to(&new));
    gateway.signal(Signal::HUP);
    gateway.until_metric("pacer_reload_failed", &[], 0.0).await;
    assert!((gateway.metrics().await.get("pacer_reload_total", &[]) - 2.0).abs() < 0.1);
}

#[tokio::test]
async fn a_request_in_flight_ends_as_it_began() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&to(&app)).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/slow", &[], b"")).await;
    let exchange = app.next().await;
    let other = Upstream::saying("other").await;
    // The service that it runs on leaves the policy.
    gateway.write_policy(&to(&other).replace("app", "other"));
    gateway.signal(Signal::HUP);
    applied(&gateway, 1.0).await;
    assert_eq!(gateway.get("/").await.text(), "other");
    exchange.reply("200 OK", &[], "done").await;
    assert_eq!(wire.answer("GET").await.text(), "done");
    // The connection is kept, and the next request on it goes by the new policy.
    assert_eq!(wire.ask("GET", "/", &[], b"").await.text(), "other");
    let log = gateway.log(3).await;
    let slow = log.iter().find(|line| line["path"] == "/slow").unwrap();
    assert_eq!((&slow["service"], &slow["end"]), (&"app".into(), &"complete".into()));
    let decisions = gateway.admin("/decisions").await;
    let services = decisions.as_array().unwrap().iter().map(|one| &one["service"]);
    assert_eq!(services.filter(|service| **service == "app").count(), 1, "{decisions}");
    let metrics = gateway.metrics().await;
    for (service, count) in [("app", 1.0), ("other", 2.0)] {
        let found = metrics.get("pacer_requests_total", &[("service", service)]);
        assert!((found - count).abs() < 0.1, "{service}: {found}");
    }
}

#[tokio::test]
async fn slots_connections_and_what_is_in_flight_outlive_the_policy() {
    let (api, app) = (Upstream::start().await, Upstream::start().await);
    let routes = |lanes: &str, slots: u32, cap: u32| {
        both_lanes(&api, &[&app], slots, &format!(", lanes: [{lanes}], timeouts: {{ queue: 0s }}"))
            .replace(
                "assume: { timeout: 30s }",
                &format!("max_in_flight: {cap}, assume: {{ timeout: 30s }}"),
            )
    };
    let gateway = Gateway::start(&routes("container", 2, 1)).await;
    // The connection to the task is kept.
    let (answer, exchange) = tokio::join!(gateway.get("/"), async {
        let mut exchange = app.next().await;
        exchange.body().await;
        exchange.reply("200 OK", &[], "kept").await;
    });
    let ((), "kept") = (exchange, answer.text()) else { panic!("{answer:?}") };
    let held = tokio::spawn(gateway.get("/held"));
    let holding = app.next().await;
    assert_eq!(holding.connection, 1);
    // One slot from now on, and it is taken: by a request of the policy before.
    gateway.write_policy(&routes("container", 1, 1));
    gateway.signal(Signal::HUP);
    applied(&gateway, 1.0).await;
    assert_eq!(gateway.get("/").await.status(), 503);
    holding.reply("200 OK", &[], "done").await;
    assert_eq!(held.await.unwrap().text(), "done");

    // The same for Lambda's cap.
    gateway.write_policy(&routes("lambda", 1, 1));
    gateway.signal(Signal::HUP);
    applied(&gateway, 2.0).await;
    let invoked = tokio::spawn(gateway.get("/"));
    let invoking = api.next().await;
    gateway.write_policy(&routes("lambda", 1, 1).replace("timeout: 30s", "timeout: 40s"));
    gateway.signal(Signal::HUP);
    applied(&gateway, 3.0).await;
    assert_eq!(gateway.get("/").await.status(), 503);
    invoking.returned(r#"{"statusCode":200,"body":"lambda"}"#).await;
    assert_eq!(invoked.await.unwrap().text(), "lambda");
}

#[tokio::test]
async fn what_was_learned_is_kept() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&to(&app)).await;
    for _ in 0..25 {
        gateway.get("/").await;
    }
    let seen = async |route: &str| {
        let routes = gateway.admin("/routes").await;
        let mut routes = routes.as_array().cloned().unwrap().into_iter();
        let found = routes.find(|found| found["name"] == route)?;
        found["beliefs"][0]["seen"].as_u64()
    };
    until("it is learned", async || (seen("/*").await == Some(25)).then_some(())).await;
    gateway
        .write_policy(&format!("{}  - {{ match: {{ path: /first }}, service: app }}\n", to(&app)));
    gateway.signal(Signal::HUP);
    applied(&gateway, 1.0).await;
    assert_eq!((seen("/*").await, seen("/first").await), (Some(25), Some(0)));
    gateway.get("/").await;
    until("it goes on", async || (seen("/*").await == Some(26)).then_some(())).await;
}

#[tokio::test]
async fn reloading_under_load_fails_no_request_and_loses_no_count() {
    const CLIENTS: usize = 8;
    let (one, two) = (Upstream::saying("ok").await, Upstream::saying("ok").await);
    // Each policy finds the service elsewhere, under other names of routes and services, and in another order.
    let policies = [
        containers_only(&[&one], 16, ""),
        containers_only(&[&two], 16, "") + "  - { match: { path: /a }, service: app }\n",
        format!(
            "services:\n  other:\n    container: {}\n  app:\n    container: {}\n\
             routes:\n  - {{ match: {{ path: /a }}, service: other }}\n  - {{ match: {{}}, service: app }}\n",
            container(&[&two], 16),
            container(&[&one, &two], 4),
        ),
    ];
    let setup = Setup { workers: 2, ..Setup::default() };
    let gateway = Gateway::start_with(&policies[0], setup).await;
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (stop, sent, address) = (stop.clone(), sent.clone(), gateway.http);
            tokio::spawn(async move {
                let mut wire = Wire::connect(address).await;
                while !stop.load(SeqCst) {
                    let path = if client % 2 == 0 { "/a" } else { "/b" };
                    let answer = wire.ask("GET", path, &[], b"").await;
                    assert_eq!((answer.status(), answer.text()), (200, "ok"), "{answer:?}");
                    sent.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    let total = async || gateway.metrics().await.get("pacer_requests_total", &[("code", "2xx")]);
    let mut counted = 0.0;
    for round in 1..=9_usize {
        gateway.write_policy(&policies[round % policies.len()]);
        gateway.signal(Signal::HUP);
        applied(&gateway, round as f64).await;
        let now = total().await;
        assert!(counted <= now, "{now} after {counted}");
        counted = now;
        // Each policy serves some.
        let before = sent.load(SeqCst);
        until("requests go on", async || (before + 50 < sent.load(SeqCst)).then_some(())).await;
    }
    stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let all = sent.load(SeqCst) as f64;
    until("all are counted", async || ((total().await - all).abs() < 0.1).then_some(())).await;
}
