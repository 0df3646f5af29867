//! `pacer status` beside a running gateway.

use rustix::process::Signal;

use crate::harness::{Gateway, Upstream, gateway::containers_only, process::run, until};

#[tokio::test]
async fn a_person_sees_the_policy_the_lanes_and_what_is_wrong() {
    let app = Upstream::saying("app").await;
    let policy = containers_only(&[&app], 4, "");
    let gateway = Gateway::start(&policy).await;
    let admin = format!("http://{}", gateway.admin);
    let status = async || {
        let ended = run(["status", "--admin", &admin]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    for _ in 0..5 {
        gateway.get("/").await;
    }
    let text = until("the requests are counted", async || {
        Some(status().await).filter(|text| text.contains("5 requests, 0 errors, p99 below "))
    })
    .await;
    for part in ["pacer 0.", "reloaded never", "app      -       1/1 ready  0/4 busy"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    gateway.write_policy("services: { app: { lambda: {} } }");
    gateway.signal(Signal::HUP);
    gateway.until_metric("pacer_reload_failed", &[], 1.0).await;
    let text = status().await;
    for part in ["RELOAD REFUSED at 20", "policy.yaml:", "services.app.lambda.function: missing"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(text.lines().count() <= 20, "{text}");
}

#[tokio::test]
async fn without_a_gateway_it_says_so() {
    let ended = run(["status", "--admin", "127.0.0.1:1"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("no gateway answers"), "{}", ended.stderr);
}
