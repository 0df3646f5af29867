//! Several gateways of one policy: they share the slots of tasks, one of them leads, and whatever happens to it, two never do.
//!
//! What the leader does is planning's; here it is asked who leads. Times are real: a lease holds eight seconds.

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Cloud, Gateway, Upstream, gateway::Setup, process::run, until};

/// Slots of the one task.
const SLOTS: u64 = 5;

/// A cloud with the table that docs/policy.md tells to create.
async fn cloud() -> Cloud {
    let cloud = Cloud::start("functions: {}\n", 1).await;
    let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
    let attribute = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
    let table = json!({
        "TableName": "pacer-gateways",
        "KeySchema": [key("group", "HASH"), key("item", "RANGE")],
        "AttributeDefinitions": [attribute("group"), attribute("item")],
        "BillingMode": "PAY_PER_REQUEST",
    });
    cloud.dynamodb("CreateTable", table).await;
    cloud
}

async fn gateway(cloud: &Cloud, upstream: &Upstream) -> Gateway {
    let policy = format!(
        "endpoint_url: {}\n\
         gateways: {{ table: pacer-gateways, group: prod }}\n\
         services:\n  web:\n    container: {{ upstreams: ['{}'], requests_per_task: {SLOTS} }}\n\
         routes: [{{ match: {{}}, service: web }}]\n",
        cloud.url(),
        upstream.url(),
    );
    Gateway::start_with(&policy, Setup::default()).await
}

async fn state(gateway: &Gateway) -> Value {
    gateway.admin("/status").await["gateways"].clone()
}

async fn leads(gateway: &Gateway) -> bool {
    let leads = state(gateway).await["leader"] == true;
    let shown = gateway.metrics().await.get("pacer_gateway_leads", &[]);
    assert!(!leads || shown <= 1.0);
    leads
}

async fn slots(gateway: &Gateway) -> u64 {
    let services = gateway.admin("/services").await;
    services[0]["container"]["slots"].as_u64().expect("it is a number")
}

/// Two gateways, of which the first leads.
async fn two(cloud: &Cloud, upstream: &Upstream) -> (Gateway, Gateway) {
    let first = gateway(cloud, upstream).await;
    until("the first leads", async || leads(&first).await.then_some(())).await;
    assert_eq!(slots(&first).await, SLOTS);
    let second = gateway(cloud, upstream).await;
    for gateway in [&first, &second] {
        gateway.until_metric("pacer_gateways_live", &[], 2.0).await;
    }
    until("all slots are divided", async || {
        let (a, b) = (slots(&first).await, slots(&second).await);
        assert!(a + b <= SLOTS || a == SLOTS, "{a} and {b} slots of {SLOTS}");
        (a + b == SLOTS && 0 < a && 0 < b).then_some(())
    })
    .await;
    assert!(leads(&first).await && !leads(&second).await);
    (first, second)
}

#[tokio::test]
async fn a_leader_that_is_killed_is_followed_and_its_slots_go_to_the_other() {
    let (cloud, upstream) = (cloud().await, Upstream::saying("ok").await);
    let (first, second) = two(&cloud, &upstream).await;
    first.signal(Signal::KILL);
    let killed = Instant::now();
    until("the other leads", async || leads(&second).await.then_some(())).await;
    println!("the other leads {:.1} s after the leader was killed", killed.elapsed().as_secs_f64());
    until("all slots are its own", async || (slots(&second).await == SLOTS).then_some(())).await;
    println!(
        "it has all slots {:.1} s after the leader was killed",
        killed.elapsed().as_secs_f64()
    );
    second.until_metric("pacer_gateways_live", &[], 1.0).await;
    assert_eq!(second.get("/").await.status(), 200);
    drop((first, second));
    cloud.stop().await;
}

#[tokio::test]
async fn a_leader_that_stops_is_followed_at_once() {
    let (cloud, upstream) = (cloud().await, Upstream::saying("ok").await);
    let (first, second) = two(&cloud, &upstream).await;
    let version = state(&first).await["id"].clone();
    first.terminate();
    let told = Instant::now();
    until("the other leads", async || leads(&second).await.then_some(())).await;
    println!(
        "the other leads {:.1} s after the leader was told to stop",
        told.elapsed().as_secs_f64()
    );
    assert_ne!(state(&second).await["lease"]["holder"], version);
    assert_eq!(first.ended().await.0.code, Some(0));
    until("all slots are its own", async || (slots(&second).await == SLOTS).then_some(())).await;
    println!(
        "it has all slots {:.1} s after the leader was told to stop",
        told.elapsed().as_secs_f64()
    );
    drop(second);
    cloud.stop().await;
}

#[tokio::test]
async fn a_leader_that_slept_does_not_lead_when_it_wakes() {
    let (cloud, upstream) = (cloud().await, Upstream::saying("ok").await);
    let (first, second) = two(&cloud, &upstream).await;
    first.signal(Signal::STOP);
    let slept = Instant::now();
    until("the other leads", async || leads(&second).await.then_some(())).await;
    println!("the other leads {:.1} s after the leader was stopped", slept.elapsed().as_secs_f64());
    first.signal(Signal::CONT);
    // Asked from the first moment on, and until it knows better: it never says that it leads.
    let holder = state(&second).await["id"].clone();
    until("the first knows who leads", async || {
        assert!(!leads(&first).await, "two lead");
        (state(&first).await["lease"]["holder"] == holder).then_some(())
    })
    .await;
    until("all slots are divided again", async || {
        assert!(!leads(&first).await && leads(&second).await, "the lease stays where it is");
        (slots(&first).await + slots(&second).await == SLOTS).then_some(())
    })
    .await;
    drop((first, second));
    cloud.stop().await;
}

#[tokio::test]
async fn while_the_table_is_down_both_serve_and_nobody_leads() {
    let (cloud, upstream) = (cloud().await, Upstream::saying("ok").await);
    let (first, second) = two(&cloud, &upstream).await;
    let before = (slots(&first).await, slots(&second).await);
    cloud.fault(json!({ "dynamodb": { "down": {} } })).await;
    until("nobody leads", async || {
        for gateway in [&first, &second] {
            assert_eq!(gateway.get("/").await.status(), 200);
        }
        (!leads(&first).await && !leads(&second).await).then_some(())
    })
    .await;
    for gateway in [&first, &second] {
        gateway.until_told("cannot reach the table of gateways").await;
        let told = gateway.errors().matches("cannot reach the table of gateways").count();
        assert_eq!(told, 1, "{}", gateway.errors());
        assert!(0.0 < gateway.metrics().await.get("pacer_gateway_errors_total", &[]));
    }
    assert_eq!((slots(&first).await, slots(&second).await), before);
    // One that starts now cannot know of the others; it serves all the same.
    let third = gateway(&cloud, &upstream).await;
    assert_eq!((third.get("/").await.status(), leads(&third).await), (200, false));
    drop(third);

    cloud.clear_faults().await;
    let back = Instant::now();
    until("one leads again", async || {
        let leading = (leads(&first).await, leads(&second).await);
        assert_ne!(leading, (true, true), "two lead");
        (leading.0 || leading.1).then_some(())
    })
    .await;
    println!("one leads {:.1} s after the table was back", back.elapsed().as_secs_f64());
    until("slots are as before", async || {
        ((slots(&first).await, slots(&second).await) == before).then_some(())
    })
    .await;
    drop((first, second));
    cloud.stop().await;
}

#[tokio::test]
async fn an_order_to_freeze_reaches_every_gateway_whoever_is_told() {
    let (cloud, upstream) = (cloud().await, Upstream::saying("app").await);
    let (first, second) = two(&cloud, &upstream).await;
    let follower = if leads(&first).await { &second } else { &first };
    let admin = format!("http://{}", follower.admin);
    assert_eq!(run(["freeze", "--admin", &admin, "we think"]).await.code, Some(0));
    for gateway in [&first, &second] {
        until("it is frozen", async || {
            let frozen = gateway.admin("/status").await["frozen"].clone();
            (frozen["reason"] == "we think").then_some(())
        })
        .await;
    }
    assert_eq!(run(["thaw", "--admin", &admin]).await.code, Some(0));
    for gateway in [&first, &second] {
        until("it goes on", async || {
            gateway.admin("/status").await["frozen"].is_null().then_some(())
        })
        .await;
    }
    drop((first, second));
    cloud.stop().await;
}
