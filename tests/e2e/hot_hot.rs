//! Both lanes hot: with tasks in two zones and a function beside them, losing a zone, all tasks or Lambda costs no request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use serde_json::{Value, json};

use crate::harness::{Cloud, Gateway, cloud::SCRIPTED, gateway::Setup, until, wire::request};

/// A cloud with the service `prod/web` of two tasks, and the function `f`.
async fn cloud() -> Cloud {
    Cloud::start(
        &format!(
            "functions:\n  f: {{ command: ['{SCRIPTED}', function], qualifiers: [live] }}\n\
             clusters:\n  prod:\n    services:\n      web: {{ command: ['{SCRIPTED}', task], desired: 2, start_lag: 2s }}\n"
        ),
        20,
    )
    .await
}

/// A service on both lanes, whose marathons live in containers and whose sprinters live on Lambda.
async fn gateway(cloud: &Cloud) -> Gateway {
    let policy = format!(
        "endpoint_url: {}\ndefaults: {{ mode: act, decision_header: true }}\nservices:\n  web:\n    \
         lambda: {{ function: 'f:live' }}\n    container:\n      \
         ecs: {{ cluster: prod, service: web, port: 8080 }}\n      requests_per_task: 4\n      \
         probe: {{ path: /health, interval: 200ms }}\n      \
         tasks: {{ min: 2, max: 4, fallback: 2, scheduler_role: arn:aws:iam::123456789012:role/pacer-fallback }}\n\
         routes:\n  - {{ match: {{ path_prefix: /long }}, service: web, class: marathon }}\n  \
         - {{ match: {{}}, service: web, class: sprinter }}\n",
        cloud.url()
    );
    let arguments = vec!["--time-scale", "20"];
    let setup = Setup { wait_ready: false, arguments, ..Setup::default() };
    let gateway = Gateway::start_with(&policy, setup).await;
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 2.0).await;
    gateway
}

/// Clients that ask without a pause, each on a connection of its own, until they are dropped.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn begin(gateway: &Gateway) -> Self {
        let (stop, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let clients = ["/long", "/", "/long", "/"].map(|path| {
            let (stop, answers) = (stop.clone(), answers.clone());
            let connecting = gateway.connect();
            tokio::spawn(async move {
                let mut wire = connecting.await;
                while !stop.load(SeqCst) {
                    wire.send(request("GET", path, &[], b"")).await;
                    let answer = wire.answer("GET").await;
                    assert_eq!(answer.status(), 200, "{path}: {answer:?}");
                    answers.fetch_add(1, SeqCst);
                }
            })
        });
        Self { stop, answers, clients: clients.into() }
    }

    /// Waits until so many more were answered.
    async fn more(&self, count: u64) {
        let wanted = self.answers.load(SeqCst) + count;
        until(&format!("{count} more answers"), async || {
            (wanted <= self.answers.load(SeqCst)).then_some(())
        })
        .await;
    }

    /// Ends it; fails when any request failed.
    async fn end(self) {
        self.stop.store(true, SeqCst);
        for client in self.clients {
            client.await.expect("every request is answered with 200");
        }
    }
}

async fn running(cloud: &Cloud) -> Vec<Value> {
    let state = cloud.state().await;
    let tasks = state["services"]["prod/web"]["tasks"].as_array().cloned().unwrap_or_default();
    tasks.into_iter().filter(|task| task["status"] == "RUNNING").collect()
}

#[tokio::test]
async fn losing_a_zone_all_tasks_or_lambda_costs_no_request() {
    let cloud = cloud().await;
    let gateway = gateway(&cloud).await;
    let zones: std::collections::BTreeSet<_> =
        running(&cloud).await.iter().map(|task| task["zone"].to_string()).collect();
    assert_eq!(zones.len(), 2, "a zone each");
    let load = Load::begin(&gateway);
    load.more(100).await;

    let zone = running(&cloud).await[0]["zone"].clone();
    cloud.fault(json!({ "ecs": { "zone_down": { "zone": zone } } })).await;
    load.more(200).await;
    cloud.clear_faults().await;
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 2.0).await;

    for task in running(&cloud).await {
        cloud.fault(json!({ "ecs": { "kill": { "task": task["arn"] } } })).await;
    }
    load.more(200).await;
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 2.0).await;

    cloud.fault(json!({ "lambda": { "storm": { "percent": 100 } } })).await;
    load.more(200).await;
    cloud.clear_faults().await;
    load.more(100).await;

    load.end().await;
    drop(gateway);
    cloud.stop().await;
}
