//! Tasks that die, refuse or vanish: what can be saved is saved, and no unsafe request runs twice.

use crate::harness::{
    Gateway, Upstream,
    gateway::{Setup, both_lanes, containers_only},
    until,
    wire::{request, response},
};

#[tokio::test]
async fn a_get_whose_task_dies_before_the_head_runs_elsewhere() {
    let (a, b) = (Upstream::start().await, Upstream::start().await);
    let gateway = Gateway::start(&containers_only(&[&a, &b], 4, "")).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let (died, other) = tokio::select! {
        exchange = a.next() => (exchange, &b),
        exchange = b.next() => (exchange, &a),
    };
    drop(died);
    other.next().await.reply("200 OK", &[], "saved").await;
    assert_eq!(wire.answer("GET").await.text(), "saved");
    gateway.until_metric("pacer_retries_total", &[], 1.0).await;
}

#[tokio::test]
async fn a_post_whose_task_dies_is_not_run_twice() {
    let (a, b) = (Upstream::start().await, Upstream::start().await);
    let gateway = Gateway::start(&containers_only(&[&a, &b], 4, "")).await;
    for how in ["close", "reset", "half a head"] {
        let mut wire = gateway.connect().await;
        wire.send(request("POST", "/", &[], b"body")).await;
        let mut died = tokio::select! { it = a.next() => it, it = b.next() => it };
        assert_eq!(died.body().await.bytes, b"body");
        match how {
            "reset" => died.wire.reset(),
            "close" => drop(died),
            _ => {
                died.wire.send("HTTP/1.1 200 OK\r\ncontent-").await;
                drop(died);
            }
        }
        assert_eq!(wire.answer("POST").await.problem(502, "backend"), "container-failed", "{how}");
    }
    assert_eq!(a.requests() + b.requests(), 3);
    gateway.until_metric("pacer_retries_total", &[], 0.0).await;
}

#[tokio::test]
async fn a_post_that_says_it_may_be_repeated_is() {
    let (a, b) = (Upstream::start().await, Upstream::start().await);
    let gateway = Gateway::start(&containers_only(&[&a, &b], 4, "")).await;
    let mut wire = gateway.connect().await;
    let key = [("idempotency-key", "7")];
    // Small: a body that streams through can be sent once.
    wire.send(request("POST", "/", &key, b"small body")).await;
    let (died, other) = tokio::select! {
        exchange = a.next() => (exchange, &b),
        exchange = b.next() => (exchange, &a),
    };
    drop(died);
    let mut again = other.next().await;
    assert_eq!(again.body().await.bytes, b"small body");
    again.reply("200 OK", &[], "saved").await;
    assert_eq!(wire.answer("POST").await.text(), "saved");
}

#[tokio::test]
async fn a_policy_can_forbid_repeating() {
    let (a, b) = (Upstream::start().await, Upstream::start().await);
    let more = ", retry: { idempotent_by: [] }";
    let gateway = Gateway::start(&containers_only(&[&a, &b], 4, more)).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    drop(tokio::select! { it = a.next() => it, it = b.next() => it });
    assert_eq!(wire.answer("GET").await.problem(502, "backend"), "container-failed");
    assert_eq!(a.requests() + b.requests(), 1);
}

#[tokio::test]
async fn a_task_that_always_dies_is_given_up() {
    let app = Upstream::answering(async |exchange, _| drop(exchange)).await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    assert_eq!(gateway.get("/").await.problem(502, "backend"), "container-failed");
    assert!((2..=3).contains(&app.requests()), "{}", app.requests());
}

#[tokio::test]
async fn retries_have_a_budget() {
    let app = Upstream::answering(async |exchange, _| drop(exchange)).await;
    let more = ", retry: { budget: 10% }";
    let gateway = Gateway::start(&containers_only(&[&app], 4, more)).await;
    for _ in 0..50 {
        assert_eq!(gateway.get("/").await.status(), 502);
    }
    // Ten saved up, and one for every ten requests.
    let retries = app.requests() - 50;
    assert!((10..=15).contains(&retries), "{retries} retries of 50 requests");
}

#[tokio::test]
async fn a_response_that_breaks_off_is_cut_and_not_ended() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 1, "")).await;
    for (begun, seen) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart", "part"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n", "part"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\nnonsense\r\n", "part"),
    ] {
        let mut wire = gateway.connect().await;
        wire.send(request("GET", "/", &[], b"")).await;
        let mut exchange = app.next().await;
        exchange.wire.send(begun).await;
        let head = wire.head().await.unwrap();
        drop(exchange);
        let body = wire.body(&head).await;
        assert_eq!((&*body.bytes, body.cut), (seen.as_bytes(), true), "{begun:?}");
    }
    assert_eq!(app.requests(), 3);
    gateway.until_metric("pacer_ends_total", &[("end", "lane-failed")], 3.0).await;
    gateway.until_metric("pacer_slots_busy", &[("service", "app")], 0.0).await;
}

#[tokio::test]
async fn a_post_meets_a_connection_that_was_closed_and_is_not_lost() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let mut wire = gateway.connect().await;
    for _ in 0..10 {
        wire.send(request("GET", "/", &[], b"")).await;
        let exchange = app.next().await;
        let before = exchange.connection;
        // No `connection: close`: the gateway has to find out by itself.
        exchange.reply("200 OK", &[], b"").await;
        assert_eq!(wire.answer("GET").await.status(), 200);
        app.close_kept().await;
        wire.send(request("POST", "/", &[], b"body")).await;
        let mut exchange = app.next().await;
        assert_ne!(exchange.connection, before);
        assert_eq!(exchange.body().await.bytes, b"body");
        exchange.reply("200 OK", &[], "saved").await;
        assert_eq!(wire.answer("POST").await.text(), "saved");
    }
    assert_eq!(app.requests(), 20);
}

#[tokio::test]
async fn a_post_that_races_with_a_close_runs_at_most_once() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let mut saved = 0;
    for round in 0..60 {
        let mut wire = gateway.connect().await;
        wire.send(request("GET", "/warm", &[], b"")).await;
        let mut exchange = app.next().await;
        exchange.wire.send(response("200 OK", &[], b"")).await;
        assert_eq!(wire.answer("GET").await.status(), 200);
        let before = app.requests();
        // Closing and sending at once: what the gateway sees first differs from round to round.
        let closing = tokio::spawn(async move {
            if round % 2 == 0 {
                tokio::task::yield_now().await;
            }
            drop(exchange);
        });
        wire.send(request("POST", "/", &[], b"body")).await;
        let answer = tokio::select! {
            answer = wire.answer("POST") => answer,
            mut exchange = app.next() => {
                assert_eq!(exchange.body().await.bytes, b"body");
                exchange.reply("200 OK", &[], "saved").await;
                wire.answer("POST").await
            }
        };
        closing.await.unwrap();
        // On the closed connection nobody read it. Either it was sent anew and ran once, or nobody knows and it did not.
        match answer.status() {
            200 => saved += 1,
            _ => assert_eq!(answer.problem(502, "backend"), "container-failed"),
        }
        let runs = app.requests() - before;
        assert!(runs <= 1 && (answer.status() == 200) == (runs == 1), "{runs} runs, {answer:?}");
        app.close_kept().await;
    }
    assert!(0 < saved, "not one of 60 was saved");
}

#[tokio::test]
async fn a_task_that_refuses_connections_is_passed_over() {
    let (a, b) = (Upstream::saying("a").await, Upstream::saying("b").await);
    let gateway = Gateway::start(&containers_only(&[&a, &b], 4, "")).await;
    a.close().await;
    for _ in 0..10 {
        let answer = gateway.post("/", b"body").await;
        assert_eq!(answer.text(), "b");
    }
    assert_eq!((a.requests(), b.requests()), (0, 10));
    // At most one request was sent there; then the task was known to be gone.
    let spills = gateway.metrics().await.get("pacer_retries_total", &[]);
    assert!(spills <= 1.0, "{spills}");
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 1.0).await;
}

#[tokio::test]
async fn without_a_task_the_backend_is_to_blame() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    app.close().await;
    assert_eq!(gateway.get("/").await.problem(502, "backend"), "container-failed");
    // Now it is known that there is none.
    let answer = gateway.get("/").await;
    assert_eq!(answer.problem(503, "gateway"), "unavailable");
    assert_eq!(answer.head.get("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_lost_task_spills_to_lambda_with_its_post() {
    let api = Upstream::answering(|exchange, _| {
        exchange.returned(r#"{"statusCode":200,"body":"lambda"}"#)
    })
    .await;
    let app = Upstream::saying("container").await;
    let gateway = Gateway::start(&both_lanes(&api, &[&app], 4, ", class: marathon")).await;
    assert_eq!(gateway.post("/", b"body").await.text(), "container");
    app.close().await;
    let spilled = gateway.post("/", b"body").await;
    assert_eq!((spilled.text(), spilled.decision("spill")), ("lambda", "connect"));
    let decided = gateway.post("/", b"body").await;
    assert_eq!((decided.text(), decided.decision("reason")), ("lambda", "spill-no-tasks"));
    gateway
        .until_metric("pacer_spills_total", &[("from", "container"), ("cause", "connect")], 1.0)
        .await;
}

#[tokio::test]
async fn a_task_comes_back_by_its_probe() {
    let app = Upstream::saying("app").await;
    app.set_well(false);
    let setup = Setup { wait_ready: false, ..Setup::default() };
    let gateway = Gateway::start_with(&containers_only(&[&app], 4, ""), setup).await;
    // It listens, and says that it is not ready.
    assert_eq!(gateway.get("/").await.problem(503, "gateway"), "unavailable");
    assert_eq!(app.requests(), 0);
    app.set_well(true);
    until("the task is used", async || (gateway.get("/").await.status() == 200).then_some(()))
        .await;
}

#[tokio::test]
async fn a_task_that_fails_its_probes_is_given_no_more() {
    let app = Upstream::saying("app").await;
    let policy = containers_only(&[&app], 4, "").replace("/.probe", "/.probe, interval: 100ms");
    let gateway = Gateway::start(&policy).await;
    assert_eq!(gateway.get("/").await.text(), "app");
    app.set_well(false);
    until("it is given no more", async || (gateway.get("/").await.status() == 503).then_some(()))
        .await;
    app.set_well(true);
    until("it is used again", async || (gateway.get("/").await.status() == 200).then_some(()))
        .await;
}

#[tokio::test]
async fn a_busy_task_sends_a_post_elsewhere() {
    let busy = Upstream::answering(|exchange, _| {
        exchange.reply("503 Busy", &[("x-pacer-busy", "1")], "busy")
    })
    .await;
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&busy, &app], 4, "")).await;
    // A request that stays at the other task makes the busy one the less loaded: it is always tried first.
    let mut held = gateway.connect().await;
    held.send(request("GET", "/held", &[], b"")).await;
    let held_there = app.next().await;
    for sent in 1..=3 {
        let before = busy.requests();
        let mut wire = gateway.connect().await;
        wire.send(request("POST", "/path?query", &[], b"body")).await;
        let mut exchange = app.next().await;
        assert_eq!((&*exchange.method, &*exchange.target), ("POST", "/path?query"));
        assert_eq!(exchange.body().await.bytes, b"body");
        exchange.reply("200 OK", &[], "saved").await;
        assert_eq!(wire.answer("POST").await.text(), "saved");
        assert_eq!((busy.requests() - before, app.requests()), (1, 1 + sent));
    }
    held_there.reply("200 OK", &[], "held").await;
    assert_eq!(held.answer("GET").await.text(), "held");
}

#[tokio::test]
async fn a_busy_task_alone_is_told_as_a_problem() {
    let busy = Upstream::answering(|exchange, _| {
        exchange.reply("503 Busy", &[("x-pacer-busy", "1")], "secret")
    })
    .await;
    let gateway = Gateway::start(&containers_only(&[&busy], 4, "")).await;
    let answer = gateway.post("/", b"").await;
    assert_eq!(answer.problem(503, "backend"), "container-failed");
    assert_eq!(answer.head.get("x-pacer-busy"), None);
    assert_eq!(busy.requests(), 1);
}

#[tokio::test]
async fn an_apps_own_errors_are_passed_on_as_they_are() {
    let app = Upstream::answering(|exchange, _| {
        exchange.reply("503 Mine", &[("x-why", "maintenance")], "later")
    })
    .await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status(), answer.text()), (503, "later"));
    assert_eq!(answer.head.get("x-why"), Some("maintenance"));
    assert_eq!(app.requests(), 1);
}

#[tokio::test]
async fn garbage_instead_of_http_is_a_502() {
    let app = Upstream::answering(async |mut exchange, _| {
        exchange.wire.send("SSH-2.0-OpenSSH_9.6\r\n").await;
    })
    .await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    assert_eq!(gateway.post("/", b"body").await.problem(502, "backend"), "container-failed");
    assert_eq!(app.requests(), 1);
}

#[tokio::test]
async fn an_answer_before_the_upload_has_ended_reaches_the_client() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 1, "")).await;
    let mut wire = gateway.connect().await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\npart").await;
    let mut exchange = app.next().await;
    exchange.wire.send(response("413 Too Large", &[("connection", "close")], b"no")).await;
    drop(exchange);
    let answer = wire.answer("POST").await;
    assert_eq!((answer.status(), answer.text()), (413, "no"));
    gateway.until_metric("pacer_slots_busy", &[("service", "app")], 0.0).await;
}
