use std::time::Duration;

use policies::decide::Lane;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::oneshot,
};

use super::*;
use crate::{fixture, lane::container::TaskState};

/// Waits until `holds`, looking every 10 ms, for 20 s at most.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// A loop under test, and what it is watched through.
struct Running {
    shared: Arc<Shared>,
    recent: mpsc::Sender<Vec<Outcome>>,
    _stop: oneshot::Sender<()>,
}

/// What follows no files.
fn follower() -> Follower {
    Follower::new(Reading::default(), false, Arc::default())
}

async fn start(text: &str) -> Running {
    let policy = fixture::policy(text);
    let first = Control::first_world(&policy, 1).await.unwrap();
    let shards = vec![fixture::shard(0)];
    let (publish, _) = watch::channel(first.world.clone());
    let (recent, received) = mpsc::channel(8);
    let control = Control::new(policy, shards, publish, received, first, follower(), Clock::real());
    let shared = control.shared();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(control.run(stopped));
    Running { shared, recent, _stop: stop }
}

/// A task that answers probes with whatever `status` says, one connection at a time.
async fn task(status: &'static str) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            // A prober that went away is no concern of this task.
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n").as_bytes())
                .await;
        }
    });
    (url, server)
}

fn upstream(url: &str, other: &str) -> String {
    fixture::POLICY
        .replace("http://127.0.0.1:9000", url)
        .replace("http://127.0.0.1:9001", other)
        .replace(
            "requests_per_task: 4",
            "requests_per_task: 4\n      probe: { interval: 100ms, timeout: 1s }",
        )
}

#[tokio::test]
async fn a_task_is_proven_and_found_dead_again() {
    let (alive, server) = task("200 OK").await;
    let (ill, _server) = task("500 Internal Server Error").await;
    let running = start(&upstream(&alive, &ill)).await;
    let state = |service: usize| {
        running.shared.world().endpoints[service].tasks.as_ref().unwrap().list()[0].state()
    };
    until("the task is ready", || state(0) == TaskState::Ready).await;
    assert_eq!(state(1), TaskState::Unproven, "a server error proves nothing");
    server.abort();
    until("it stops answering", || state(0) == TaskState::Unproven).await;
}

#[tokio::test]
async fn what_workers_count_becomes_a_new_world() {
    let running = start(fixture::POLICY).await;
    let world = running.shared.world();
    let render = fixture::route(&world.policy, "/render");
    assert_eq!(world.beliefs.of(render, 3).seen, 0);
    let mut outcome = fixture::outcome(&world, render, Lane::Container, 2_000_000);
    outcome.size = 3;
    for _ in 0..30 {
        running.shared.shards()[0].count(&outcome, &world);
    }
    running.recent.send(vec![outcome; 2]).await.unwrap();
    until("it is learned", || running.shared.world().beliefs.of(render, 3).seen == 30).await;
    let world = running.shared.world();
    let belief = world.beliefs.of(render, 3);
    assert!((1_700_000..2_400_000).contains(&belief.p95_us) && 0.99 < belief.p_long, "{belief:?}");
    assert!(
        belief.cost_container < belief.cost_lambda && 0 < belief.cost_container.0,
        "{belief:?}"
    );
    assert_eq!(world.beliefs.of(render, 2).seen, 0, "another size is another profile");
    assert!(0 < running.shared.stats().worlds());
    until("outcomes are kept", || running.shared.recent(10).len() == 2).await;
}

#[tokio::test]
async fn an_ecs_that_is_down_is_counted_and_told_and_stops_nothing() {
    let ecs = "ecs: { cluster: prod, service: film, port: 8080 }";
    let (alive, _server) = task("204 No Content").await;
    let text =
        upstream("http://127.0.0.1:9", &alive).replace("upstreams: [\"http://127.0.0.1:9\"]", ecs);
    let running = start(&text).await;
    until("the listing fails", || 0 < running.shared.stats().discovery_errors("film")).await;
    until("it is told", || running.shared.stats().states().0[0].error.is_some()).await;
    let error = running.shared.stats().states().0[0].error.clone().unwrap();
    assert!(
        error.contains("ListTasks") && error.contains("`film`") && error.contains("`prod`"),
        "{error}"
    );
    let other = || running.shared.world().endpoints[1].tasks.as_ref().unwrap().list()[0].state();
    until("the other service is served", || other() == TaskState::Ready).await;
    assert!(running.shared.stats().states().0[1].error.is_none());
}
