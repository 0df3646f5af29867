//! The Lambda lane, with Lambda's API played by the test: what is sent to it, and what each of its answers becomes.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use crate::harness::{
    Gateway, Upstream,
    gateway::{Setup, both_lanes, lambda_only},
    upstream::event_body,
    wire::{chunk, request},
};

/// What a function of these tests returns; no container answers so.
const OK: &str = r#"{"statusCode":200,"body":"lambda"}"#;

#[tokio::test]
async fn a_request_becomes_a_signed_event() {
    let api = Upstream::start().await;
    let gateway = Gateway::start(&lambda_only(&api, "")).await;
    let mut wire = gateway.connect().await;
    let headers = [
        ("host", "shop.example.com:8080"),
        ("x-list", "b"),
        ("x-list", "a"),
        ("cookie", "a=1; b=2"),
        ("content-type", "text/plain"),
        ("user-agent", "test/1"),
        ("x-pacer-billed-ms", "7"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
    ];
    let target = "/a/../path%7e?one=1&two=a%20b&one=2";
    wire.send(request("POST", target, &headers, "körper".as_bytes())).await;
    let mut exchange = api.next().await;
    assert_eq!(exchange.method, "POST");
    assert_eq!(exchange.target, "/2015-03-31/functions/f/invocations?Qualifier=live");
    let signature = exchange.head.get("authorization").unwrap().to_owned();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=local/"), "{signature}");
    assert!(
        signature.contains(
            "/eu-west-1/lambda/aws4_request, SignedHeaders=host;x-amz-date;x-amz-log-type, "
        ),
        "{signature}"
    );
    // The first call asks for the log, to learn what the function costs.
    assert_eq!(exchange.head.get("x-amz-log-type"), Some("Tail"));
    let event = exchange.event().await;
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "$default");
    assert_eq!(event["rawPath"], "/path~");
    assert_eq!(event["rawQueryString"], "one=1&two=a%20b&one=2");
    assert_eq!(event["queryStringParameters"]["one"], "1,2");
    assert_eq!(event["cookies"], serde_json::json!(["a=1", "b=2"]));
    assert_eq!(event["headers"]["x-list"], "b,a");
    assert_eq!(event["headers"]["host"], "shop.example.com:8080");
    assert_eq!(event["headers"]["x-forwarded-for"], "127.0.0.1");
    for gone in ["x-pacer-billed-ms", "x-hop", "connection"] {
        assert!(event["headers"].get(gone).is_none(), "{gone}: {event}");
    }
    let context = &event["requestContext"];
    assert_eq!(context["http"]["method"], "POST");
    assert_eq!(context["http"]["path"], "/path~");
    assert_eq!(context["http"]["sourceIp"], "127.0.0.1");
    assert_eq!(context["http"]["userAgent"], "test/1");
    assert_eq!(context["domainName"], "shop.example.com");
    let id = context["requestId"].as_str().unwrap().to_owned();
    assert_eq!(event["headers"]["x-request-id"], *id);
    assert_eq!(event_body(&event), "körper".as_bytes());
    exchange.returned(OK).await;
    let answer = wire.answer("POST").await;
    assert_eq!(answer.head.get("x-request-id"), Some(&*id));
    assert_eq!((answer.text(), answer.decision("lane")), ("lambda", "lambda"));
}

#[tokio::test]
async fn every_form_of_answer_is_understood_as_aws_does() {
    let api = Upstream::start().await;
    let gateway = Gateway::start(&lambda_only(&api, "")).await;
    let mut wire = gateway.connect().await;
    let binary = BASE64.encode([0_u8, 255, 10, 13]);
    for (payload, status, content_type, body) in [
        (
            r#"{"statusCode":201,"headers":{"content-type":"text/plain"},"body":"made"}"#
                .to_owned(),
            201,
            Some("text/plain"),
            &b"made"[..],
        ),
        (r#"{"statusCode":"404","body":"none"}"#.to_owned(), 404, None, b"none"),
        (r#"{"answer":42}"#.to_owned(), 200, Some("application/json"), br#"{"answer":42}"#),
        (r#""text""#.to_owned(), 200, Some("application/json"), b"text"),
        ("[1,2]".to_owned(), 200, Some("application/json"), b"[1,2]"),
        (
            format!(r#"{{"statusCode":200,"body":"{binary}","isBase64Encoded":true}}"#),
            200,
            None,
            &[0, 255, 10, 13],
        ),
    ] {
        wire.send(request("GET", "/", &[], b"")).await;
        let mut exchange = api.next().await;
        exchange.event().await;
        exchange.returned(&payload).await;
        let answer = wire.answer("GET").await;
        assert_eq!((answer.status(), &*answer.body.bytes), (status, body), "{payload}");
        if content_type.is_some() {
            assert_eq!(answer.head.get("content-type"), content_type, "{payload}");
        }
        assert!(answer.head.names("x-amz").is_empty(), "{answer:?}");
    }
    // One connection to Lambda served them all.
    assert_eq!((api.requests(), api.connections()), (6, 1));
}

#[tokio::test]
async fn cookies_and_reports_of_an_answer() {
    let api = Upstream::answering(|exchange, _| {
        exchange.returned(
            r#"{"statusCode":200,"cookies":["a=1; Path=/","b=2"],"body":"",
                "headers":{"x-pacer-billed-ms":"1500","x-pacer-memory-mb":"2048","x-pacer-cold-start":"1",
                           "x-pacer-environment":"e","x-pacer-init-ms":"300","x-pacer-decision":"lane=forged",
                           "connection":"close","transfer-encoding":"chunked"}}"#,
        )
    })
    .await;
    let gateway = Gateway::start(&lambda_only(&api, "")).await;
    let mut wire = gateway.connect().await;
    let answer = wire.ask("GET", "/", &[], b"").await;
    assert_eq!(answer.head.all("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!(answer.head.names("x-pacer-"), ["x-pacer-decision"]);
    assert_eq!((answer.decision("lane"), answer.decision("start")), ("lambda", "cold"));
    // The function cannot close the client's connection, nor frame its response.
    assert_eq!(wire.ask("GET", "/", &[], b"").await.status(), 200);
    // Two answers of 1.5 s in 2 GB.
    let metrics = gateway.metrics().await;
    assert_eq!(
        metrics.get("pacer_lambda_billed_gb_seconds_total", &[]).to_bits(),
        6.0_f64.to_bits()
    );
    assert_eq!(metrics.get("pacer_lambda_cold_starts_total", &[]).to_bits(), 2.0_f64.to_bits());
    let log = gateway.log(2).await;
    assert_eq!((&log[0]["billed_ms"], &log[0]["cold_start"]), (&1500.into(), &true.into()));
}

#[tokio::test]
async fn what_is_no_http_response_is_a_502() {
    let api = Upstream::start().await;
    let gateway = Gateway::start(&lambda_only(&api, "")).await;
    let mut wire = gateway.connect().await;
    for payload in [
        "secret garbage",
        r#"{"statusCode":99,"body":"secret"}"#,
        r#"{"statusCode":101,"body":"secret"}"#,
        r#"{"statusCode":200,"body":{"secret":1}}"#,
        r#"{"statusCode":200,"body":"%%secret","isBase64Encoded":true}"#,
        r#"{"statusCode":200,"headers":{"x\r\nsecret":"1"},"body":""}"#,
        "",
    ] {
        wire.send(request("GET", "/", &[], b"")).await;
        let mut exchange = api.next().await;
        exchange.event().await;
        exchange.returned(payload).await;
        let answer = wire.answer("GET").await;
        assert_eq!(answer.problem(502, "backend"), "lambda-failed", "{payload}");
        assert!(!answer.text().contains("secret"), "{answer:?}");
    }
    // It ran: nothing is sent again, whatever the method.
    assert_eq!(api.requests(), 7);
}

#[tokio::test]
async fn function_errors_become_502_or_504_and_leak_nothing() {
    let api = Upstream::start().await;
    let gateway = Gateway::start(&lambda_only(&api, "")).await;
    let mut wire = gateway.connect().await;
    for (error, status) in [
        (r#"{"errorMessage":"secret","errorType":"Runtime.ExitError"}"#, 502),
        (r#"{"errorMessage":"secret","errorType":"KeyError","stackTrace":["secret"]}"#, 502),
        (
            r#"{"errorMessage":"2026-11-21T00:00:00Z secret Task timed out after 3.00 seconds"}"#,
            504,
        ),
        (r#"{"errorMessage":"secret","errorType":"Sandbox.Timedout"}"#, 504),
        ("secret", 502),
    ] {
        wire.send(request("GET", "/", &[], b"")).await;
        let mut exchange = api.next().await;
        exchange.event().await;
        exchange.threw(error).await;
        let answer = wire.answer("GET").await;
        assert_eq!(answer.problem(status, "backend"), "lambda-failed", "{error}");
        assert!(!answer.text().contains("secret"), "{answer:?}");
    }
    assert_eq!(api.requests(), 5);
}

#[tokio::test]
async fn a_throttled_post_runs_in_a_container() {
    let api = Upstream::answering(|exchange, _| {
        exchange.refused("429 Too Many Requests", "TooManyRequestsException")
    })
    .await;
    let app = Upstream::answering(|exchange, body| exchange.reply("200 OK", &[], body.bytes)).await;
    let gateway = Gateway::start(&both_lanes(&api, &[&app], 4, ", class: sprinter")).await;
    let answer = gateway.post("/", b"the body goes with it").await;
    assert_eq!(answer.text(), "the body goes with it");
    assert_eq!((answer.decision("lane"), answer.decision("spill")), ("container", "throttled"));
    assert_eq!((api.requests(), app.requests()), (1, 1));
    let labels = [("from", "lambda"), ("cause", "throttled")];
    gateway.until_metric("pacer_spills_total", &labels, 1.0).await;
}

#[tokio::test]
async fn every_refusal_of_lambda_that_did_not_run_goes_elsewhere() {
    for (status, exception, cause) in [
        ("409 Conflict", "SnapStartNotReadyException", "not-ready"),
        ("408 Timeout", "SnapStartTimeoutException", "not-ready"),
        ("502 Bad Gateway", "EC2ThrottledException", "not-ready"),
        ("413 Too Large", "RequestTooLargeException", "too-large"),
        ("404 Not Found", "ResourceNotFoundException", "misconfigured"),
        ("403 Forbidden", "AccessDeniedException", "misconfigured"),
    ] {
        let api = Upstream::answering(move |exchange, _| exchange.refused(status, exception)).await;
        let app = Upstream::saying("container").await;
        let gateway = Gateway::start(&both_lanes(&api, &[&app], 4, ", class: sprinter")).await;
        let answer = gateway.post("/", b"body").await;
        assert_eq!((answer.text(), answer.decision("spill")), ("container", cause), "{exception}");
    }
}

#[tokio::test]
async fn a_function_that_is_not_there_is_left_alone_for_a_while() {
    let api = Upstream::answering(|exchange, _| {
        exchange.refused("404 Not Found", "ResourceNotFoundException")
    })
    .await;
    let gateway = Gateway::start(&lambda_only(&api, "")).await;
    let answer = gateway.get("/").await;
    assert_eq!(answer.problem(502, "backend"), "lambda-failed");
    assert!(!answer.text().contains("secret"), "{answer:?}");
    assert_eq!(gateway.get("/").await.problem(503, "gateway"), "unavailable");
    assert_eq!(api.requests(), 1);
    gateway.until_metric("pacer_lambda_up", &[("service", "app")], 0.0).await;
    gateway.until_told("ResourceNotFoundException").await;
}

#[tokio::test]
async fn a_throttled_function_alone_is_unavailable() {
    let api = Upstream::answering(|exchange, _| {
        exchange.refused("429 Too Many Requests", "TooManyRequestsException")
    })
    .await;
    let gateway = Gateway::start(&lambda_only(&api, "")).await;
    for _ in 0..3 {
        let answer = gateway.get("/").await;
        assert_eq!(answer.problem(503, "backend"), "lambda-failed");
        assert_eq!(answer.head.get("retry-after"), Some("1"));
        assert!(!answer.text().contains("secret"), "{answer:?}");
    }
    // A throttle says nothing of whether the lane works.
    gateway.until_metric("pacer_lambda_up", &[("service", "app")], 1.0).await;
}

#[tokio::test]
async fn what_may_have_run_is_repeated_only_when_that_is_safe() {
    let api = Upstream::start().await;
    let app = Upstream::saying("container").await;
    let gateway = Gateway::start(&both_lanes(&api, &[&app], 4, ", class: sprinter")).await;
    for how in ["internal error", "close", "reset", "half an answer"] {
        let fail = async |method: &str| {
            let mut exchange = api.next().await;
            assert_eq!(exchange.event().await["requestContext"]["http"]["method"], *method);
            match how {
                "internal error" => exchange.refused("500 Error", "ServiceException").await,
                "close" => drop(exchange),
                "reset" => exchange.wire.reset(),
                _ => exchange.wire.send("HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{").await,
            }
        };
        let before = (api.requests(), app.requests());
        let mut wire = gateway.connect().await;
        wire.send(request("POST", "/", &[], b"body")).await;
        fail("POST").await;
        assert_eq!(wire.answer("POST").await.problem(502, "backend"), "lambda-failed", "{how}");
        assert_eq!((api.requests(), app.requests()), (before.0 + 1, before.1), "{how}");

        let mut wire = gateway.connect().await;
        wire.send(request("GET", "/", &[], b"")).await;
        fail("GET").await;
        // Lambda once more: another environment answers.
        let mut exchange = api.next().await;
        exchange.event().await;
        exchange.returned(OK).await;
        assert_eq!(wire.answer("GET").await.text(), "lambda", "{how}");
    }
}

#[tokio::test]
async fn a_function_that_hangs_is_given_up() {
    let api = Upstream::start().await;
    let more = ", timeouts: { first_byte: 200ms }";
    let gateway = Gateway::start(&lambda_only(&api, more)).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let mut exchange = api.next().await;
    exchange.event().await;
    assert_eq!(wire.answer("GET").await.problem(504, "backend"), "lambda-failed");
    // It is billed and runs all the same: it counts as in flight until it ends.
    gateway.until_metric("pacer_lambda_in_flight", &[("service", "app")], 1.0).await;
    let billed = async || gateway.metrics().await.get("pacer_lambda_billed_gb_seconds_total", &[]);
    assert!(billed().await <= 0.0, "its bill is not known yet");
    exchange.returned(OK).await;
    gateway.until_metric("pacer_lambda_in_flight", &[("service", "app")], 0.0).await;
    assert!(0.0 < billed().await);
    assert_eq!(api.requests(), 1);
}

#[tokio::test]
async fn the_cap_holds_even_when_clients_go_away() {
    let api = Upstream::start().await;
    let policy = lambda_only(&api, "").replace("'f:live',", "'f:live', max_in_flight: 1,");
    let gateway = Gateway::start(&policy).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let mut exchange = api.next().await;
    exchange.event().await;
    let refused = gateway.get("/").await;
    assert_eq!(refused.problem(503, "gateway"), "unavailable");
    drop(wire);
    gateway.until_metric("pacer_ends_total", &[("end", "client-gone")], 1.0).await;
    // Nobody waits for it any more; Lambda runs it to its end.
    assert_eq!(gateway.get("/").await.problem(503, "gateway"), "unavailable");
    exchange.returned(OK).await;
    gateway.until_metric("pacer_lambda_in_flight", &[("service", "app")], 0.0).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let mut exchange = api.next().await;
    exchange.event().await;
    exchange.returned(OK).await;
    assert_eq!(wire.answer("GET").await.text(), "lambda");
}

#[tokio::test]
async fn beyond_the_cap_a_container_helps() {
    let api = Upstream::start().await;
    let app = Upstream::saying("container").await;
    let policy = both_lanes(&api, &[&app], 4, ", class: sprinter");
    let policy = policy.replace("'f:live',", "'f:live', max_in_flight: 1,");
    let gateway = Gateway::start(&policy).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[], b"")).await;
    let mut exchange = api.next().await;
    exchange.event().await;
    let spilled = gateway.post("/", b"body").await;
    assert_eq!((spilled.text(), spilled.decision("reason")), ("container", "spill-lambda-capped"));
    exchange.returned(OK).await;
    assert_eq!(wire.answer("GET").await.decision("reason"), "declared");
}

#[tokio::test]
async fn what_no_event_can_hold_is_refused_or_goes_to_a_container() {
    // 5 MB of bytes are 6.7 MB of base64, and 6 MiB is all that Invoke takes.
    let large = vec![0xFF_u8; 5_000_000];
    let api = Upstream::answering(|exchange, _| exchange.returned(OK)).await;
    let gateway = Gateway::start(&lambda_only(&api, "")).await;
    let mut wire = gateway.connect().await;
    let answer = wire.ask("POST", "/", &[], &large).await;
    assert_eq!(answer.problem(413, "client"), "too-large");
    assert_eq!(api.requests(), 0);
    assert_eq!(gateway.post("/", &large[..4_000_000]).await.text(), "lambda");

    let app = Upstream::answering(|exchange, body| {
        let length = body.bytes.len().to_string();
        exchange.reply("200 OK", &[], length)
    })
    .await;
    let gateway = Gateway::start(&both_lanes(&api, &[&app], 4, ", class: sprinter")).await;
    let answer = gateway.post("/", &large).await;
    assert_eq!((answer.text(), answer.decision("reason")), ("5000000", "hard-rule"));
    let log = gateway.log(1).await;
    assert_eq!(log[0]["ruled_out"], serde_json::json!(["lambda:body-too-large"]));
}

#[tokio::test]
async fn a_body_of_unknown_size_is_read_as_far_as_the_buffer() {
    let api = Upstream::answering(|exchange, body| {
        let event: serde_json::Value = serde_json::from_slice(&body.bytes).expect("an event");
        let length = event_body(&event).len();
        exchange.returned(format!(r#"{{"statusCode":200,"body":"lambda {length}"}}"#))
    })
    .await;
    let app = Upstream::answering(|exchange, body| {
        let text = format!("container {}", body.bytes.len());
        exchange.reply("200 OK", &[], text)
    })
    .await;
    let more = ", class: sprinter, buffer: 64KiB";
    let both = Gateway::start(&both_lanes(&api, &[&app], 4, more)).await;
    let alone = Gateway::start(&lambda_only(&api, ", buffer: 64KiB")).await;
    let chunked = [("transfer-encoding", "chunked")];
    let body = |length: usize| {
        let mut body = Vec::new();
        let bytes = vec![b'x'; length];
        bytes.chunks(10_000).for_each(|piece| body.extend(chunk(piece)));
        body.extend(chunk(""));
        body
    };
    let within = both.ask("POST", "/", &chunked, &body(60_000)).await;
    assert_eq!((within.text(), within.decision("reason")), ("lambda 60000", "declared"));
    let beyond = both.ask("POST", "/", &chunked, &body(70_000)).await;
    assert_eq!((beyond.text(), beyond.decision("reason")), ("container 70000", "hard-rule"));
    let empty = both.ask("POST", "/", &chunked, &body(0)).await;
    assert_eq!(empty.decision("lane"), "lambda", "{empty:?}");
    assert_eq!(alone.ask("POST", "/", &chunked, &body(60_000)).await.text(), "lambda 60000");
    let refused = alone.ask("POST", "/", &chunked, &body(70_000)).await;
    assert_eq!(refused.problem(413, "client"), "too-large");
}

#[tokio::test]
async fn all_that_is_held_for_lambda_has_a_limit() {
    let api = Upstream::answering(|exchange, _| exchange.returned(OK)).await;
    let policy = lambda_only(&api, "");
    let gateway = Gateway::start(&format!("limits: {{ buffered: 100KiB }}\n{policy}")).await;
    let answer = gateway.post("/", &vec![b'x'; 200_000]).await;
    assert_eq!(answer.problem(503, "gateway"), "buffers-full");
    assert_eq!(answer.head.get("retry-after"), Some("1"));
    assert_eq!(api.requests(), 0);
    assert_eq!(gateway.post("/", &vec![b'x'; 20_000]).await.text(), "lambda");
}

#[tokio::test]
async fn what_lambda_cannot_do_goes_to_a_container_whatever_the_class() {
    let api = Upstream::answering(|exchange, _| exchange.returned(OK)).await;
    let app = Upstream::saying("container").await;
    let both = Gateway::start(&both_lanes(&api, &[&app], 4, ", class: sprinter")).await;
    let alone = Gateway::start(&lambda_only(&api, "")).await;
    for header in [("content-type", "application/grpc+proto"), ("upgrade", "websocket")] {
        let answer = both.ask("POST", "/", &[header], b"x").await;
        assert_eq!((answer.text(), answer.decision("reason")), ("container", "hard-rule"));
        let refused = alone.ask("POST", "/", &[header], b"x").await;
        assert_eq!(refused.problem(501, "gateway"), "not-possible", "{header:?}");
    }
    assert_eq!(api.requests(), 0);
}

#[tokio::test]
async fn head_and_empty_statuses_have_no_body() {
    let api = Upstream::start().await;
    let gateway = Gateway::start(&lambda_only(&api, "")).await;
    let mut wire = gateway.connect().await;
    for (method, payload) in [
        ("HEAD", OK),
        ("GET", r#"{"statusCode":204,"body":"none of this"}"#),
        ("GET", r#"{"statusCode":304,"body":"none of this"}"#),
        ("GET", OK),
    ] {
        wire.send(request(method, "/", &[], b"")).await;
        let mut exchange = api.next().await;
        exchange.event().await;
        exchange.returned(payload).await;
        let answer = wire.answer(method).await;
        let expected = if method == "GET" && payload == OK { "lambda" } else { "" };
        assert_eq!(answer.text(), expected, "{method} {payload}");
    }
}

#[tokio::test]
async fn without_credentials_the_lane_is_down_and_containers_serve() {
    let api = Upstream::answering(|exchange, _| exchange.returned(OK)).await;
    let app = Upstream::saying("container").await;
    let setup = Setup {
        env: vec![("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")],
        ..Setup::default()
    };
    let policy = both_lanes(&api, &[&app], 4, ", class: sprinter");
    let gateway = Gateway::start_with(&policy, setup).await;
    let answer = gateway.post("/", b"body").await;
    assert_eq!((answer.text(), answer.decision("reason")), ("container", "spill-lambda-down"));
    assert_eq!(api.requests(), 0);
    assert_eq!(gateway.admin("/status").await["credentials"]["usable"], false);
}
