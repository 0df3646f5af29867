//! The books: what was used, held against the local cloud's own bill.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{
    Cloud, Gateway,
    gateway::Setup,
    process::{pacer, run},
    until,
};

/// A row of the table, by column.
type Columns = BTreeMap<String, String>;

/// Requests of each kind, and how many at once. Films take a quarter of a second, so that a thousandth of all is more than
/// what a busy machine adds to a call now and then.
const REQUESTS: usize = 240;
const AT_ONCE: usize = 6;

/// A cloud with the demo's app as a function behind the adapter, and as two tasks.
async fn cloud() -> Cloud {
    let pacer = pacer().display().to_string();
    let app = format!("'{pacer}', demo-app]");
    let function = format!("['{pacer}', adapter, --port, '0', --ready-path, /health, '--', {app}");
    let task = format!("['{pacer}', demo-app]");
    let config = format!(
        "functions:\n  f: {{ command: {function}, qualifiers: [live], memory: 512MiB }}\n\
         clusters:\n  prod:\n    services:\n      web: {{ command: {task}, desired: 2, \
         vcpu: 0.5, memory: 1GiB }}\n"
    );
    Cloud::start(&config, 20).await
}

fn policy(cloud: &Cloud, state: &str) -> String {
    format!(
        "endpoint_url: {}\n{state}services:\n  app:\n    lambda: {{ function: 'f:live' }}\n    container:\n      \
         ecs: {{ cluster: prod, service: web, port: 8080 }}\n      requests_per_task: 2\n      \
         probe: {{ path: /health }}\n      assume: {{ vcpu: 0.5, memory: 1GiB }}\n\
         routes:\n  - {{ match: {{ path: /render }}, service: app, lanes: [lambda] }}\n  \
         - {{ match: {{ path: /thumb }}, service: app, lanes: [container] }}\n",
        cloud.url()
    )
}

async fn gateway(policy: &str) -> Gateway {
    Gateway::start_with(policy, Setup { wait_ready: false, ..Setup::default() }).await
}

/// Today's rows of a part, as the table has them: by column.
async fn rows(gateway: &Gateway, part: &str) -> Vec<Columns> {
    let table = gateway.admin_answer("/ledger.csv").await;
    let mut lines = table.text().lines();
    let head: Vec<_> = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
    let row = |line: &str| head.iter().cloned().zip(line.split(',').map(str::to_owned)).collect();
    let rows = lines.map(row);
    rows.filter(|row: &Columns| row["part"] == part).collect()
}

fn number(row: &Columns, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} of {row:?}"))
}

/// Waits until the books have so many requests on a lane, and returns that row.
async fn booked(gateway: &Gateway, lane: &str, requests: usize) -> Columns {
    until(&format!("{requests} requests on {lane} are booked"), async || {
        let rows = rows(gateway, "requests").await;
        rows.into_iter().find(|row| row["lane"] == lane && row["requests"] == requests.to_string())
    })
    .await
}

fn within(share: f64, what: &str, booked: f64, billed: f64) {
    let off = (booked / billed - 1.0).abs();
    assert!(
        off <= share,
        "{what}: {booked} in the books, {billed} on the bill: {:.3} % off",
        off * 100.0
    );
}

#[tokio::test]
async fn the_books_agree_with_the_clouds_own_bill() {
    let cloud = cloud().await;
    let gateway = gateway(&policy(&cloud, "")).await;
    until("both tasks are ready", async || {
        let services = gateway.admin("/services").await;
        (services[0]["container"]["tasks_ready"] == 2).then_some(())
    })
    .await;
    for _ in 0..REQUESTS / AT_ONCE {
        let films: Vec<_> =
            (0..AT_ONCE).map(|_| tokio::spawn(gateway.get("/render?frames=24"))).collect();
        for film in films {
            assert_eq!(film.await.expect("it does not panic").status(), 200);
        }
    }
    for _ in 0..REQUESTS {
        assert_eq!(gateway.get("/thumb?size=64").await.status(), 200);
    }
    let lambda = booked(&gateway, "lambda", REQUESTS).await;
    let bill = cloud.bill().await;
    let function = &bill["functions"]["f"];
    assert_eq!(function["requests"], REQUESTS);
    assert_eq!(lambda["invocations"], REQUESTS.to_string());
    // The first invokes are read from Lambda's log; what the adapter's reports lack was learned from them.
    within(0.001, "Lambda", number(&lambda, "lambda_mb_ms"), function["mb_ms"].as_f64().unwrap());
    assert_eq!(lambda["estimated_mb_ms"], "0");

    // Tasks are billed from the pull of their image to their end, and by AWS's rule, which the cloud's own clock does not know,
    // for a minute at least.
    cloud.scale(0).await;
    let row = until("the end of both tasks is booked", async || {
        let row = rows(&gateway, "tasks").await.into_iter().next()?;
        (120_000.0 <= number(&row, "task_ms")).then_some(row)
    })
    .await;
    let lived = cloud.bill().await["services"]["prod/web"]["task_ms"].as_f64().unwrap();
    assert!(lived < 120_000.0, "the test took longer than a minute: {lived}");
    assert!((number(&row, "task_ms") - 120_000.0).abs() < 1.0, "{row:?}");
    // Of half a vCPU and a gigabyte each.
    within(1e-9, "vCPU", number(&row, "cpu_unit_ms"), number(&row, "task_ms") * 512.0);
    within(1e-9, "memory", number(&row, "mib_ms"), number(&row, "task_ms") * 1024.0);
    cloud.stop().await;
}

#[tokio::test]
async fn a_bill_is_shown_by_day_and_its_parts_add_up() {
    let cloud = cloud().await;
    let gateway = gateway(&policy(&cloud, "")).await;
    assert_eq!(gateway.get("/render?frames=1").await.status(), 200);
    booked(&gateway, "lambda", 1).await;
    let (ledger, service) = until("the service is in the books", async || {
        let ledger = gateway.admin("/ledger?days=1").await;
        let service = ledger["days"][0]["services"][0].clone();
        // Tasks are held from the first poll on.
        (service["cost"]["container"].as_f64()? > 0.0).then_some((ledger, service))
    })
    .await;
    let cost = |name: &str| service["cost"][name].as_f64().unwrap_or_else(|| panic!("{service}"));
    assert_eq!(ledger["days"].as_array().unwrap().len(), 1);
    assert!((cost("total") - cost("lambda") - cost("container")).abs() < 1e-12, "{service}");
    let items: f64 = service["items"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
    assert!((items - cost("total")).abs() < 1e-12, "{service}");
    let total = ledger["days"][0]["total"].as_f64().unwrap();
    let own = ledger["days"][0]["own"].as_f64().unwrap();
    assert!((total - cost("total") - own).abs() < 1e-12 && own > 0.0, "{ledger}");

    let refused = gateway.admin_answer("/ledger?days=many").await;
    assert_eq!(refused.status(), 400);
    let refused = gateway.admin_answer("/ledger.csv?from=yesterday").await;
    let said = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("`yesterday` is no date; write /ledger.csv?from=2026-11-01"), "{said}");

    let url = format!("http://{}", gateway.admin);
    let ended = run(["ledger", "--admin", &url]).await;
    let shown = ended.stdout;
    assert!(shown.contains("app") && shown.contains("all, with pacer itself"), "{shown}");
}

#[tokio::test]
async fn the_books_outlive_a_gateway_that_is_killed() {
    let cloud = cloud().await;
    let folder = TempDir::new().expect("there is room for temporary files");
    let policy = policy(&cloud, &format!("state: '{}'\n", folder.path().display()));
    let first = gateway(&policy).await;
    for _ in 0..3 {
        assert_eq!(first.get("/render?frames=1").await.status(), 200);
    }
    booked(&first, "lambda", 3).await;
    // What was booked is written within a second; two writes after it was seen, it is.
    for _ in 0..2 {
        let saved = async || first.admin("/status").await["history"]["saved"].clone();
        let before = saved().await;
        until("it is written", async || (saved().await != before).then_some(())).await;
    }
    first.signal(Signal::KILL);
    first.ended().await;

    let second = gateway(&policy).await;
    booked(&second, "lambda", 3).await;
    assert_eq!(second.get("/render?frames=1").await.status(), 200);
    let row = booked(&second, "lambda", 4).await;
    assert_eq!(row["invocations"], "4", "each is there once: {row:?}");
    // A counter begins with its process.
    let cost = second
        .metrics()
        .await
        .get("pacer_cost_dollars_total", &[("lane", "lambda"), ("part", "requests")]);
    assert!((cost - 0.000_000_2).abs() < 1e-12, "{cost}");
    // An order to freeze outlives it too.
    let admin = format!("http://{}", second.admin);
    assert_eq!(run(["freeze", "--admin", &admin, "overnight"]).await.code, Some(0));
    second.terminate();
    second.ended().await;
    let third = gateway(&policy).await;
    until("it is frozen still", async || {
        let frozen = third.admin("/status").await["frozen"].clone();
        (frozen["reason"] == "overnight").then_some(())
    })
    .await;
    let audit = std::fs::read_to_string(folder.path().join("audit.jsonl")).expect("it was written");
    assert!(audit.contains("\"kind\":\"freeze\""), "{audit}");
    drop(third);
    cloud.stop().await;
}
