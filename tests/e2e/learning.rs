//! `class: auto`: what requests turn out to take decides where the next ones go.

use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{Gateway, Upstream, gateway::both_lanes, process::run, until};

/// How long the work of these tests takes when it is long: the bound is far below, the sockets' own time far below that.
const LONG: Duration = Duration::from_millis(300);

/// Lambda and a container that both need [`LONG`] for targets that hold `slow` or `frames=512`.
async fn lanes() -> (Upstream, Upstream) {
    let api = Upstream::answering(async |exchange, body| {
        let event = String::from_utf8(body.bytes).expect("an event is text");
        if event.contains("slow") || event.contains("frames=512") {
            // This is the work, not a wait for something.
            tokio::time::sleep(LONG).await;
        }
        exchange.returned(r#"{"statusCode":200,"body":"lambda"}"#).await;
    })
    .await;
    let app = Upstream::answering(async |exchange, _| {
        if exchange.target.contains("slow") || exchange.target.contains("frames=512") {
            tokio::time::sleep(LONG).await;
        }
        exchange.reply("200 OK", &[], "container").await;
    })
    .await;
    (api, app)
}

/// Asks until the decision is `class` for `reason`.
async fn until_decided(gateway: &Gateway, target: &str, class: &str, reason: &str) {
    until(&format!("{target} is {class}, {reason}"), async || {
        let answer = gateway.get(target).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        let is = (answer.decision("class"), answer.decision("reason"));
        let lane = if class == "sprinter" { "lambda" } else { "container" };
        (is == (class, reason)).then(|| assert_eq!(answer.decision("lane"), lane))
    })
    .await;
}

#[tokio::test]
async fn a_route_learns_what_its_requests_take() {
    let (api, app) = lanes().await;
    let policy = both_lanes(&api, &[&app], 8, ", auto: { sprinter_up_to: 150ms, prior: 10ms }");
    let policy = policy.replace("match: {}", "match: { path: /fast }")
        + "  - { match: { path: /slow }, service: app, auto: { sprinter_up_to: 150ms, prior: 10ms } }\n"
        + "  - { match: { path: /guess }, service: app, auto: { sprinter_up_to: 150ms, prior: 1s } }\n";
    let gateway = Gateway::start(&policy).await;
    // Until 20 were seen, the prior holds.
    for (target, class) in [("/fast", "sprinter"), ("/slow", "sprinter"), ("/guess", "marathon")] {
        let answer = gateway.get(target).await;
        assert_eq!((answer.decision("class"), answer.decision("reason")), (class, "prior"));
    }
    until_decided(&gateway, "/fast", "sprinter", "learned").await;
    until_decided(&gateway, "/slow", "marathon", "learned").await;
    until_decided(&gateway, "/guess", "sprinter", "learned").await;
    let routes = gateway.admin("/routes").await;
    let slow =
        routes.as_array().unwrap().iter().find(|route| route["beliefs"][0]["class"] == "marathon");
    let belief = &slow.unwrap()["beliefs"][0];
    assert!(20 <= belief["seen"].as_u64().unwrap(), "{belief}");
    let p95 = belief["p95_us"].as_u64().unwrap();
    assert!(LONG.as_micros() as u64 <= p95 * 11 / 10, "{belief}");
    explain_asks_the_gateway(&gateway, &policy).await;
}

/// `pacer explain` beside a running gateway answers by what that one has learned.
async fn explain_asks_the_gateway(gateway: &Gateway, policy: &str) {
    let directory = TempDir::new().expect("there is room for temporary files");
    let file = directory.path().join("policy.yaml");
    let admin = gateway.admin;
    std::fs::write(&file, format!("version: 1\nregion: eu-west-1\nadmin: '{admin}'\n{policy}"))
        .expect("the directory is ours");
    let explain = ["explain".into(), file.into_os_string(), "--url".into(), "/slow".into()];
    let ended = run(explain).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in ["marathon", &format!("as the gateway at {admin} has learned it")] {
        assert!(ended.stdout.contains(part), "no `{part}` in:\n{}", ended.stdout);
    }
}

#[tokio::test]
async fn sizes_are_learned_apart() {
    let (api, app) = lanes().await;
    let more = ", auto: { sprinter_up_to: 150ms, prior: 10ms, size_by: { query: frames } }";
    let gateway = Gateway::start(&both_lanes(&api, &[&app], 8, more)).await;
    until_decided(&gateway, "/?frames=512", "marathon", "learned").await;
    until_decided(&gateway, "/?frames=4", "sprinter", "learned").await;
    // One route, two answers: the second has not unlearned the first.
    let answer = gateway.get("/?frames=600").await;
    assert_eq!((answer.decision("class"), answer.decision("lane")), ("marathon", "container"));
    // A size that was never seen begins with the prior.
    assert_eq!(gateway.get("/?frames=64").await.decision("reason"), "prior");
}

#[tokio::test]
async fn mode_off_learns_nothing() {
    let (api, app) = lanes().await;
    let more = ", auto: { sprinter_up_to: 150ms, prior: 10ms }";
    let policy = both_lanes(&api, &[&app], 8, more);
    let policy = policy.replace("  app:\n", "  app:\n    mode: off\n");
    let gateway = Gateway::start(&policy).await;
    for _ in 0..25 {
        assert_eq!(gateway.get("/slow").await.decision("reason"), "prior");
    }
    // Seen, and shown, and not acted upon.
    until("it was seen", async || {
        let routes = gateway.admin("/routes").await;
        (25 <= routes[0]["beliefs"][0]["seen"].as_u64()?).then_some(())
    })
    .await;
    assert_eq!(gateway.get("/slow").await.decision("reason"), "prior");
}

#[tokio::test]
async fn what_routes_have_taught_is_known_after_a_restart() {
    let (api, app) = lanes().await;
    let state = TempDir::new().expect("there is room for temporary files");
    let more = ", auto: { sprinter_up_to: 150ms, prior: 10ms }";
    let policy = both_lanes(&api, &[&app], 8, more);
    let policy = format!("state: '{}'\n{policy}", state.path().display());
    let gateway = Gateway::start(&policy).await;
    until_decided(&gateway, "/slow", "marathon", "learned").await;
    gateway.terminate();
    gateway.ended().await;

    let gateway = Gateway::start(&policy).await;
    let seen = async || gateway.admin("/routes").await[0]["beliefs"][0]["seen"].as_u64();
    until("it is known", async || seen().await.filter(|seen| 20 <= *seen)).await;
    // Of the first request that it is asked.
    let answer = gateway.get("/slow").await;
    let is = (answer.decision("class"), answer.decision("reason"), answer.decision("lane"));
    assert_eq!(is, ("marathon", "learned", "container"));
}
