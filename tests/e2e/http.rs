//! HTTP/1.1 as RFC 9112 has it, through the container lane: framing, streaming, connections.

use crate::harness::{
    Gateway, Upstream, Wire,
    gateway::containers_only,
    wire::{chunk, request, response},
};

async fn start(app: &Upstream) -> Gateway {
    Gateway::start(&containers_only(&[app], 8, "")).await
}

#[tokio::test]
async fn one_connection_carries_many_requests_on_both_sides() {
    let app = Upstream::saying("app").await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    for _ in 0..20 {
        assert_eq!(wire.ask("POST", "/", &[], b"body").await.text(), "app");
    }
    assert_eq!((app.requests(), app.connections()), (20, 1));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let app = Upstream::answering(|exchange, _| {
        let target = exchange.target.clone();
        exchange.reply("200 OK", &[], target)
    })
    .await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    let requests = ["/1", "/2", "/3"].map(|target| request("GET", target, &[], b""));
    wire.send(requests.concat()).await;
    for target in ["/1", "/2", "/3"] {
        assert_eq!(wire.answer("GET").await.text(), target);
    }
}

#[tokio::test]
async fn a_client_that_says_close_is_closed() {
    let app = Upstream::saying("app").await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    let answer = wire.ask("GET", "/", &[("connection", "close")], b"").await;
    assert_eq!(answer.head.get("connection"), Some("close"));
    wire.closed().await;
    // The client's wish is not the task's: its connection goes on.
    assert_eq!(gateway.get("/").await.text(), "app");
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let app = Upstream::saying("hello").await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    let answer = wire.ask("HEAD", "/", &[], b"").await;
    assert_eq!((answer.status(), answer.head.get("content-length")), (200, Some("5")));
    // Nothing of a body follows: the next response begins where the head ended.
    assert_eq!(wire.ask("GET", "/", &[], b"").await.text(), "hello");
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn responses_without_a_body_leave_the_connection_usable() {
    let app = Upstream::start().await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    for status in ["204 No Content", "304 Not Modified"] {
        wire.send(request("GET", "/", &[], b"")).await;
        let mut exchange = app.next().await;
        exchange.wire.send(format!("HTTP/1.1 {status}\r\netag: \"1\"\r\n\r\n")).await;
        exchange.keep().await;
        let answer = wire.answer("GET").await;
        assert_eq!(answer.status().to_string(), status[..3]);
        assert_eq!(answer.head.get("etag"), Some("\"1\""));
    }
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn expect_100_continue_is_answered_by_the_gateway() {
    let app = Upstream::start().await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(wire.head().await.unwrap().status(), 100);
    wire.send("body").await;
    let mut exchange = app.next().await;
    assert_eq!(exchange.head.get("expect"), None);
    assert_eq!(exchange.body().await.bytes, b"body");
    exchange.reply("200 OK", &[], "done").await;
    assert_eq!(wire.answer("POST").await.text(), "done");
}

#[tokio::test]
async fn a_refused_upload_is_not_asked_for() {
    let app = Upstream::start().await;
    let policy = containers_only(&[&app], 8, "").replace("match: {}", "match: { path: /known }");
    let gateway = Gateway::start(&policy).await;
    let mut wire = gateway.connect().await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
        .await;
    // The first thing said is the final answer, not 100.
    let head = wire.head().await.unwrap();
    assert_eq!(head.status(), 404);
    assert_eq!(app.requests(), 0);
}

#[tokio::test]
async fn chunks_and_trailers_cross_both_ways() {
    let app = Upstream::start().await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    wire.send(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nte: trailers\r\n\r\n\
         3\r\nabc\r\n4;extension=1\r\ndefg\r\n0\r\nx-sum: 7\r\n\r\n",
    )
    .await;
    let mut exchange = app.next().await;
    assert_eq!(exchange.head.get("te"), Some("trailers"));
    let body = exchange.body().await;
    assert_eq!(body.bytes, b"abcdefg");
    assert_eq!(body.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    exchange
        .wire
        .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-total\r\n\r\n5\r\nhello\r\n0\r\nx-total: 5\r\n\r\n")
        .await;
    exchange.keep().await;
    let answer = wire.answer("POST").await;
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.body.trailers, [("x-total".to_owned(), "5".to_owned())]);
    // Both connections are at a message's end.
    wire.send(request("GET", "/", &[], b"")).await;
    app.next().await.reply("200 OK", &[], "next").await;
    assert_eq!(wire.answer("GET").await.text(), "next");
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn a_response_streams_before_it_is_whole() {
    let app = Upstream::start().await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let mut exchange = app.next().await;
    exchange.wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let head = wire.head().await.unwrap();
    assert_eq!(head.get("transfer-encoding"), Some("chunked"));
    for piece in ["first", "second", "third"] {
        exchange.wire.send(chunk(piece)).await;
        assert_eq!(wire.chunk().await.unwrap(), piece.as_bytes());
    }
    exchange.wire.send(chunk("")).await;
    assert_eq!(wire.chunk().await, None);
}

#[tokio::test]
async fn a_request_streams_before_it_is_whole() {
    let app = Upstream::start().await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let mut exchange = app.next().await;
    for piece in ["first", "second", "third"] {
        wire.send(chunk(piece)).await;
        assert_eq!(exchange.wire.chunk().await.unwrap(), piece.as_bytes());
    }
    wire.send(chunk("")).await;
    assert_eq!(exchange.wire.chunk().await, None);
    exchange.reply("200 OK", &[], "done").await;
    assert_eq!(wire.answer("POST").await.text(), "done");
}

#[tokio::test]
async fn a_conversation_crosses_in_both_directions_at_once() {
    let app = Upstream::start().await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let mut exchange = app.next().await;
    exchange.wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    wire.head().await.unwrap();
    for turn in ["one", "two", "three"] {
        wire.send(chunk(turn)).await;
        assert_eq!(exchange.wire.chunk().await.unwrap(), turn.as_bytes());
        exchange.wire.send(chunk(turn)).await;
        assert_eq!(wire.chunk().await.unwrap(), turn.as_bytes());
    }
}

#[tokio::test]
async fn a_large_body_crosses_whole_both_ways() {
    let app = Upstream::answering(|exchange, body| exchange.reply("200 OK", &[], body.bytes)).await;
    let gateway = start(&app).await;
    // Beyond every buffer on the way, and no byte like its neighbours.
    let body: Vec<u8> =
        (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let answer = gateway.post("/", &body).await;
    assert!(answer.body.bytes == body, "{} bytes came back", answer.body.bytes.len());
}

#[tokio::test]
async fn a_response_that_ends_with_its_connection_is_passed_on_whole() {
    let app = Upstream::start().await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let mut exchange = app.next().await;
    exchange.wire.send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nold style").await;
    drop(exchange);
    let answer = wire.answer("GET").await;
    assert_eq!((answer.text(), answer.body.cut), ("old style", false));
}

#[tokio::test]
async fn interim_responses_of_a_task_are_skipped() {
    let app = Upstream::start().await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let mut exchange = app.next().await;
    exchange.wire.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
    exchange.wire.send(response("200 OK", &[], b"final")).await;
    assert_eq!(wire.answer("GET").await.text(), "final");
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_never_forwarded() {
    let app = Upstream::saying("app").await;
    let gateway = start(&app).await;
    for wrong in [
        "NONSENSE\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nbad header: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n folded: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut wire = gateway.connect().await;
        wire.send(wrong).await;
        let head = wire.head().await.unwrap_or_else(|| panic!("no answer to {wrong:?}"));
        assert!(head.line.contains(" 400 "), "{wrong:?}: {head:?}");
    }
    assert_eq!(app.requests(), 0);
}

#[tokio::test]
async fn two_framings_at_once_never_become_two_requests() {
    let app = Upstream::start().await;
    let gateway = start(&app).await;
    let mut wire = gateway.connect().await;
    wire.send(
        "POST /outer HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n\
         GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    )
    .await;
    // RFC 9112 section 6.3: chunked wins, one framing is forwarded, and the connection ends after the answer.
    let mut exchange = app.next().await;
    assert_eq!(exchange.target, "/outer");
    assert_eq!(exchange.body().await.bytes, b"");
    exchange.reply("200 OK", &[], "outer").await;
    assert_eq!(wire.answer("POST").await.text(), "outer");
    wire.closed().await;
    assert_eq!(app.requests(), 1);
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused() {
    let app = Upstream::saying("app").await;
    let policy = containers_only(&[&app], 4, "");
    let gateway = Gateway::start(&format!("limits: {{ request_head: 16KiB }}\n{policy}")).await;
    let large = "x".repeat(20_000);
    let mut wire = Wire::connect(gateway.http).await;
    wire.send(request("GET", "/", &[("x-large", &large)], b"")).await;
    let head = wire.head().await.unwrap();
    assert_eq!(head.status(), 431, "{head:?}");
    let fitting = "x".repeat(10_000);
    assert_eq!(gateway.ask("GET", "/", &[("x-large", &fitting)], b"").await.text(), "app");
    assert_eq!(app.requests(), 1);
}

#[tokio::test]
async fn a_client_without_a_request_is_closed_in_time() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&format!(
        "listen: {{ http: '127.0.0.1:0', drain: 0s, idle_timeout: 300ms }}\n{}",
        containers_only(&[&app], 4, "")
    ))
    .await;
    let mut silent = gateway.connect().await;
    let mut half = gateway.connect().await;
    half.send("GET / HTTP/1.1\r\nhost").await;
    let mut used = gateway.connect().await;
    assert_eq!(used.ask("GET", "/", &[], b"").await.text(), "app");
    used.closed().await;
    silent.closed().await;
    half.closed().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let app = Upstream::saying("app").await;
    let policy = containers_only(&[&app], 4, "");
    let gateway = Gateway::start(&format!("limits: {{ connections: 2 }}\n{policy}")).await;
    let mut first = gateway.connect().await;
    let mut second = gateway.connect().await;
    assert_eq!(first.ask("GET", "/", &[], b"").await.text(), "app");
    assert_eq!(second.ask("GET", "/", &[], b"").await.text(), "app");
    gateway.connect().await.closed().await;
    assert_eq!(first.ask("GET", "/", &[], b"").await.text(), "app");
}

#[tokio::test]
async fn connections_are_spread_over_the_workers() {
    use crate::harness::gateway::Setup;
    let app = Upstream::start().await;
    let setup = Setup { workers: 4, ..Setup::default() };
    let gateway = Gateway::start_with(&containers_only(&[&app], 8, ""), setup).await;
    // Pools belong to workers: with six clients on four workers, no worker's connection to the task is reused while
    // another one waits, so all six requests are at the task at once.
    let mut clients = Vec::new();
    let mut exchanges = Vec::new();
    for _ in 0..6 {
        let mut wire = gateway.connect().await;
        wire.send(request("GET", "/", &[], b"")).await;
        clients.push(wire);
    }
    for _ in 0..6 {
        exchanges.push(app.next().await);
    }
    for exchange in exchanges {
        exchange.reply("200 OK", &[], "app").await;
    }
    for mut client in clients {
        assert_eq!(client.answer("GET").await.text(), "app");
    }
}
