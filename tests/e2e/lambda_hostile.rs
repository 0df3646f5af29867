//! What strangers write into headers, both ways through the Lambda lane: a client to a function, a function to a client,
//! and an API that is not what it says. One table each; every row with every event format, buffered and streamed.

use std::fmt::Write as _;

use serde_json::Value;

use crate::harness::{
    Gateway, Upstream, Wire,
    upstream::Exchange,
    wire::{Answer, chunk, request},
};

const FORMATS: [&str; 4] = ["apigw-v2", "apigw-v1", "alb", "alb-multi-value"];
const MODES: [&str; 2] = ["buffered", "stream"];

/// A gateway with a service for each format and mode, at `/FORMAT/MODE/`.
async fn start(api: &Upstream) -> Gateway {
    let (mut services, mut routes) = (String::new(), String::new());
    for format in FORMATS {
        for mode in MODES {
            let lambda = format!("function: f, event: {format}, invoke: {mode}");
            let lambda = format!("{lambda}, assume: {{ timeout: 30s }}");
            let _ = writeln!(services, "  {format}-{mode}: {{ lambda: {{ {lambda} }} }}");
            let path = format!("match: {{ path_prefix: /{format}/{mode}/ }}");
            let _ = writeln!(routes, "  - {{ {path}, service: {format}-{mode} }}");
        }
    }
    let policy = format!(
        "endpoint_url: {}\ndefaults: {{ decision_header: true }}\nservices:\n{services}routes:\n{routes}",
        api.url()
    );
    Gateway::start(&policy).await
}

/// A frame of `application/vnd.amazon.eventstream`.
fn frame(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(":message-type", "event"), (":event-type", kind)] {
        headers.push(u8::try_from(name.len()).expect("names are short"));
        headers.extend(name.bytes());
        headers.push(7);
        headers.extend(u16::try_from(value.len()).expect("values are short").to_be_bytes());
        headers.extend(value.bytes());
    }
    let mut bytes = Vec::new();
    for length in [16 + headers.len() + payload.len(), headers.len()] {
        bytes.extend(u32::try_from(length).expect("frames are short").to_be_bytes());
    }
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes.extend(headers);
    bytes.extend(payload);
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

/// Answers as Lambda when the function returned `payload`, or began its stream with it and wrote `body` then.
async fn returned(mut exchange: Exchange, payload: &str, body: &str) {
    if exchange.target.starts_with("/2015") {
        return exchange.returned(payload).await;
    }
    let answer = [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/vnd.amazon.eventstream\r\n\
          x-amzn-remapped-content-type: application/vnd.awslambda.http-integration-response\r\n\r\n".to_vec(),
        chunk(frame("PayloadChunk", &[payload.as_bytes(), &[0; 8], body.as_bytes()].concat())),
        chunk(frame("InvokeComplete", b"{}")),
        chunk(""),
    ];
    exchange.wire.send(answer.concat()).await;
    exchange.keep().await;
}

/// What becomes of a request.
enum Request {
    /// The function gets these headers with these values; with none, the header is not there.
    Runs(&'static [(&'static str, &'static [&'static str])]),
    /// The client gets this status, and no function runs.
    Refused(u16),
}

use Request::{Refused, Runs};

/// What a client sends: something to add to the path, the lines of its head, and what becomes of it.
const REQUESTS: &[(&[u8], &[u8], Request)] = &[
    (b"", b"x-twice: b\r\nx-twice: a\r\nX-TWICE: b\r\n", Runs(&[("x-twice", &["b", "a", "b"])])),
    // AWS's own, to a function and to Invoke.
    (
        b"",
        b"X-Amz-Date: 1\r\nx-amz-security-token: 1\r\nx-amz-cf-id: 1\r\nx-amzn-oidc-identity: admin\r\nx-amzn-requestid: 1\r\n",
        Runs(&[
            ("x-amz-date", &[]),
            ("x-amz-security-token", &[]),
            ("x-amz-cf-id", &[]),
            ("x-amzn-oidc-identity", &[]),
            ("x-amzn-requestid", &[]),
        ]),
    ),
    (
        b"",
        b"x-amz-invocation-type: Event\r\nx-amz-log-type: Tail\r\nx-amz-client-context: e30=\r\nx-amz-tenant-id: 1\r\n",
        Runs(&[("x-amz-invocation-type", &[]), ("x-amz-tenant-id", &[])]),
    ),
    (b"", b"x-amzn-trace-id: Root=1-2-3\r\n", Runs(&[("x-amzn-trace-id", &["Root=1-2-3"])])),
    // The client's own authorisation is the function's, and does not sign anything.
    (b"", b"authorization: AWS4-HMAC-SHA256 forged\r\n", Runs(&[("authorization", &["AWS4-HMAC-SHA256 forged"])])),
    (
        b"",
        b"x-pacer-billed-ms: 1\r\nX-Pacer-Decision: lane=none\r\nx-pacer-: 1\r\nx-pacerlike: 1\r\n",
        Runs(&[
            ("x-pacer-billed-ms", &[]),
            ("x-pacer-decision", &[]),
            ("x-pacer-", &[]),
            ("x-pacerlike", &["1"]),
        ]),
    ),
    (
        b"",
        b"connection: x-hop, close-not\r\nx-hop: 1\r\nkeep-alive: 1\r\nte: gzip\r\nproxy-authorization: 1\r\n",
        Runs(&[
            ("connection", &[]),
            ("x-hop", &[]),
            ("keep-alive", &[]),
            ("te", &[]),
            ("proxy-authorization", &[]),
        ]),
    ),
    // Where it came from is the gateway's to say.
    (
        b"",
        b"x-forwarded-for: 10.0.0.1\r\nx-real-ip: 10.0.0.1\r\nforwarded: for=10.0.0.1\r\nx-forwarded-host: admin\r\n",
        Runs(&[
            ("x-forwarded-for", &["127.0.0.1"]),
            ("x-real-ip", &[]),
            ("forwarded", &[]),
            ("x-forwarded-host", &[]),
        ]),
    ),
    // JSON within a header stays within it, and so do names that mean something to some languages.
    (
        b"",
        b"x-json: \",\"admin\":\"1\\\r\n__proto__: 1\r\nconstructor: 2\r\n",
        Runs(&[("x-json", &["\",\"admin\":\"1\\"]), ("__proto__", &["1"]), ("constructor", &["2"]), ("admin", &[])]),
    ),
    // Bytes beyond ASCII are ISO 8859-1, so that none is lost whatever they were.
    (b"", b"x-bytes: caf\xe9\r\n", Runs(&[("x-bytes", &["caf\u{e9}"])])),
    (b"", b"x-bytes: \xff\xfe\xc3\xa9\r\n", Runs(&[("x-bytes", &["\u{ff}\u{fe}\u{c3}\u{a9}"])])),
    (b"", b"x-empty:\r\nx-tab: \ta\tb \r\n", Runs(&[("x-empty", &[""]), ("x-tab", &["a\tb"])])),
    // RFC 9112 section 2.2: a lone LF may end a line. It makes two headers, never one with a break in it.
    (b"", b"x-a: 1\nx-b: 2\r\n", Runs(&[("x-a", &["1"]), ("x-b", &["2"])])),
    (b"?a=%00%ff&%22=1&a=%5C%22", b"", Runs(&[])),
    (b"?a=\"", b"", Refused(400)),
    // An event has no place for trailers; it is not guessed that the function can do without.
    (b"", b"trailer: x-sum\r\n", Refused(501)),
    // Pseudo-headers are no headers.
    (b"", b":path: /admin\r\n", Refused(400)),
    (b"", b":authority: admin\r\n", Refused(400)),
    // RFC 9112 section 5.2: folded lines.
    (b"", b"x-a: 1\r\n folded: 2\r\n", Refused(400)),
    (b"", b"x-a: 1\r\n\tfolded\r\n", Refused(400)),
    (b"", b"x-a: 1\x00\r\n", Refused(400)),
    (b"", b"x-a\x00: 1\r\n", Refused(400)),
    (b"", b"x-a: 1\rx-b: 2\r\n", Refused(400)),
    (b"", b"x-a: 1\x7f\r\n", Refused(400)),
    (b"", b"x-a: 1\x01\r\n", Refused(400)),
    // RFC 9112 section 5.1: no space before the colon.
    (b"", b"x-a : 1\r\n", Refused(400)),
    (b"", b": 1\r\n", Refused(400)),
    (b"", b"x-\xc3\xa9: 1\r\n", Refused(400)),
    (b"", b"no colon\r\n", Refused(400)),
    (b"", b"host: other\r\n", Refused(400)),
    (b"", b"content-length: 1\r\ncontent-length: 2\r\n", Refused(400)),
    (b"", b"content-length: -1\r\n", Refused(400)),
    (b"", b"content-length: +1\r\n", Refused(400)),
    (b"", b"content-length: 99999999999999999999\r\n", Refused(400)),
    (b"", b"transfer-encoding: gzip\r\n", Refused(400)),
    (b"", b"transfer-encoding: chunked, gzip\r\n", Refused(400)),
    (b"%00", b"", Refused(400)),
    (b"%zz", b"", Refused(400)),
    (b"../../../etc/passwd", b"", Refused(400)),
    (b"a\\b", b"", Refused(400)),
    (b"\xff\xfe", b"", Refused(400)),
    (b"a\x00b", b"", Refused(400)),
    (b"a\x01b", b"", Refused(400)),
];

/// The values of a header in an event; fails when the event's two forms of it disagree.
fn values(event: &Value, format: &str, name: &str) -> Vec<String> {
    let texts = |list: &Value| -> Vec<String> {
        let texts = list.as_array().into_iter().flatten();
        texts.map(|text| text.as_str().expect("values are text").to_owned()).collect()
    };
    let single: Vec<_> = event["headers"][name].as_str().map(str::to_owned).into_iter().collect();
    let listed = texts(&event["multiValueHeaders"][name]);
    if format == "apigw-v1" {
        assert_eq!(listed.last(), single.last(), "{event}");
    }
    if listed.is_empty() { single } else { listed }
}

#[tokio::test]
async fn what_clients_send() {
    let api = Upstream::answering(async |mut exchange: Exchange, body| {
        assert!(
            exchange.head.get("authorization").expect("it is signed").contains("Credential=local/")
        );
        for name in ["x-amz-invocation-type", "x-amz-client-context", "x-amz-tenant-id"] {
            assert_eq!(exchange.head.get(name), None);
        }
        exchange.head.headers.clear();
        // The function returns the event.
        let body = String::from_utf8(body.bytes).expect("an event is UTF-8");
        let payload = serde_json::json!({ "statusCode": 200, "body": body }).to_string();
        returned(exchange, &payload, &body).await;
    })
    .await;
    let gateway = start(&api).await;
    for format in FORMATS {
        for mode in MODES {
            let mut kept = gateway.connect().await;
            for (path, lines, becomes) in REQUESTS {
                let what = format!("{format} {mode} {path:?} {:?}", String::from_utf8_lossy(lines));
                let start = format!("GET /{format}/{mode}/");
                let head = [start.as_bytes(), path, b" HTTP/1.1\r\nhost: test\r\n", lines, b"\r\n"];
                let before = api.requests();
                match becomes {
                    Runs(headers) => {
                        kept.send(head.concat()).await;
                        let answer = kept.answer("GET").await;
                        assert_eq!(answer.status(), 200, "{what}: {answer:?}");
                        let event = answer.json();
                        for (name, expected) in *headers {
                            let found = values(&event, format, name);
                            let expected = match format {
                                "apigw-v2" if 1 < expected.len() => vec![expected.join(",")],
                                "alb" => expected
                                    .last()
                                    .map(|last| (*last).to_owned())
                                    .into_iter()
                                    .collect(),
                                _ => expected.iter().map(|&text| text.to_owned()).collect(),
                            };
                            assert_eq!(found, expected, "{what}: {name}");
                        }
                        assert_eq!(api.requests(), before + 1, "{what}");
                    }
                    Refused(status) => {
                        let mut wire = gateway.connect().await;
                        wire.send(head.concat()).await;
                        let answer = wire.answer("GET").await;
                        assert_eq!(answer.status(), *status, "{what}: {answer:?}");
                        assert_eq!(api.requests(), before, "{what}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_refused_path_leaves_its_connection_usable() {
    let api = Upstream::answering(async |exchange: Exchange, _| {
        returned(exchange, r#"{"statusCode":200,"body":"hi"}"#, "hi").await;
    })
    .await;
    let gateway = start(&api).await;
    let mut wire = gateway.connect().await;
    for target in ["/alb/buffered/%00", "/apigw-v2/stream/%zz", "/apigw-v1/stream/../../.."] {
        let refused = wire.ask("GET", target, &[], b"").await;
        assert_eq!(refused.problem(400, "client"), "bad-request", "{target}");
        assert_eq!(wire.ask("GET", "/alb/stream/", &[], b"").await.text(), "hi");
    }
}

/// What becomes of a function's answer.
enum Response {
    /// The client gets this status and these headers.
    Passes(u16, &'static [(&'static str, &'static [&'static str])]),
    /// The client gets a 502 that tells nothing of it.
    Fails,
    /// It fails in this mode, and passes as it is in the other.
    FailsOnly(&'static str),
}

use Response::{Fails, FailsOnly, Passes};

/// What a function returns, or begins its stream with; its body is `hi` where it passes.
const RESPONSES: &[(&str, Response)] = &[
    // AWS's own and Pacer's own are not the function's to say.
    (
        r#"{"statusCode":200,"headers":{"X-Amz-Function-Error":"secret","x-amzn-RequestId":"secret","x-amz-id-2":"secret","x-pacer-decision":"lane=secret","X-Pacer-Environment":"secret","x-ours":"1"},"body":"hi"}"#,
        Passes(200, &[("x-ours", &["1"])]),
    ),
    // Nor how the client's connection is framed and how long it lives; it has none that could carry a header of its own.
    (
        r#"{"statusCode":200,"headers":{"connection":"close, x-hop","x-hop":"1","keep-alive":"timeout=1","transfer-encoding":"gzip","te":"trailers","trailer":"x-secret","upgrade":"h2c","proxy-authenticate":"Basic","proxy-connection":"close"},"body":"hi"}"#,
        Passes(200, &[("x-hop", &["1"])]),
    ),
    (r#"{"statusCode":200,"headers":{"content-length":"999"},"body":"hi"}"#, Passes(200, &[])),
    (r#"{"statusCode":200,"headers":{"Content-Length":"1"},"body":"hi"}"#, Passes(200, &[])),
    (r#"{"statusCode":200,"headers":{"content-length":"-1"},"body":"hi"}"#, Passes(200, &[])),
    (
        r#"{"statusCode":200,"headers":{"content-length":"1","transfer-encoding":"chunked"},"multiValueHeaders":{"content-length":["1","3"]},"body":"hi"}"#,
        Passes(200, &[]),
    ),
    (
        r#"{"statusCode":204,"headers":{"content-length":"2","x-a":"1"},"body":"hi"}"#,
        Passes(204, &[("x-a", &["1"])]),
    ),
    (
        r#"{"statusCode":304,"headers":{"content-length":"2","etag":"\"1\""},"body":"hi"}"#,
        Passes(304, &[("etag", &["\"1\""])]),
    ),
    // The last of equal names, whatever their spelling.
    (
        r#"{"statusCode":200,"headers":{"x-a":"1","X-A":"2"},"body":"hi"}"#,
        Passes(200, &[("x-a", &["2"])]),
    ),
    (
        r#"{"statusCode":200,"headers":{"x-a":["1","2"]},"body":"hi"}"#,
        Passes(200, &[("x-a", &["1", "2"])]),
    ),
    (
        r#"{"statusCode":200,"multiValueHeaders":{"x-a":["1","2"]},"body":"hi"}"#,
        Passes(200, &[("x-a", &["1", "2"])]),
    ),
    (
        r#"{"statusCode":200,"headers":{"x-a":1,"x-b":true,"x-c":null},"body":"hi"}"#,
        Passes(200, &[("x-a", &["1"]), ("x-b", &["true"]), ("x-c", &[])]),
    ),
    (
        r#"{"statusCode":200,"headers":{"x-a":"日本"},"body":"hi"}"#,
        Passes(200, &[("x-a", &["日本"])]),
    ),
    (
        r#"{"statusCode":"201","headers":null,"multiValueHeaders":null,"body":"hi"}"#,
        Passes(201, &[]),
    ),
    // What would end a header and begin another, or end the head.
    (r#"{"statusCode":200,"headers":{"x-a":"1\r\nx-b: secret"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"x-a":"1\r\n\r\nsecret"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"x-a":"1\nsecret"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"x-a":"1\rsecret"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"x-a":"secret\u0000"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"x-a":"secret\u007f"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"multiValueHeaders":{"x-a":["1","2\r\nsecret: 1"]},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"set-cookie":"a=1\r\nx: secret"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"x-a: 1\r\nx-b":"secret"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"x a":"secret"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"":"secret"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"é":"secret"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{":status":"204"},"body":"hi"}"#, Fails),
    // Statuses that are none, or promise another answer.
    (r#"{"statusCode":99,"body":"hi"}"#, Fails),
    (r#"{"statusCode":100,"body":"hi"}"#, Fails),
    (r#"{"statusCode":101,"headers":{"upgrade":"websocket"},"body":"hi"}"#, Fails),
    (r#"{"statusCode":103,"body":"hi"}"#, Fails),
    (r#"{"statusCode":600,"body":"hi"}"#, Fails),
    (r#"{"statusCode":99999999999999999999,"body":"hi"}"#, Fails),
    (r#"{"statusCode":-200,"body":"hi"}"#, Fails),
    (r#"{"statusCode":200.5,"body":"hi"}"#, Fails),
    (r#"{"statusCode":"2xx","body":"hi"}"#, Fails),
    (r#"{"statusCode":"200 OK\r\nx-a: secret","body":"hi"}"#, Fails),
    (r#"{"statusCode":true,"body":"hi"}"#, Fails),
    (r#"{"statusCode":[200],"body":"hi"}"#, Fails),
    // Parts of the wrong type.
    (r#"{"statusCode":200,"headers":"secret","body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":["secret"],"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"x-a":{"secret":1}},"body":"hi"}"#, Fails),
    (r#"{"statusCode":200,"headers":{"x-a":[["secret"]]},"body":"hi"}"#, Fails),
    ("secret", Fails),
    (r#"{"statusCode":200,"body":"hi"#, Fails),
    // A stream's body follows its head, whatever that says of one.
    (r#"{"statusCode":200,"body":"%%secret","isBase64Encoded":true}"#, FailsOnly("buffered")),
    (r#"{"statusCode":200,"body":"aGk","isBase64Encoded":true}"#, Passes(200, &[])),
    (r#"{"statusCode":200,"body":{"secret":1}}"#, FailsOnly("buffered")),
];

/// Fails unless a client gets what every client may get, whatever a function says.
#[track_caller]
fn is_clean(answer: &Answer, what: &str) {
    for name in [
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "proxy-authenticate",
        "proxy-connection",
    ] {
        assert_eq!(answer.head.get(name), None, "{what}: {answer:?}");
    }
    assert!(answer.head.names("x-amz").is_empty(), "{what}: {answer:?}");
    assert_eq!(answer.head.names("x-pacer-"), ["x-pacer-decision"], "{what}: {answer:?}");
    assert_eq!(answer.decision("lane"), "lambda", "{what}");
    assert!(!format!("{answer:?}").contains("secret"), "{what}: {answer:?}");
    assert!(!answer.body.cut, "{what}: {answer:?}");
}

/// Asks once; the function returns `payload`.
async fn ask(api: &Upstream, wire: &mut Wire, target: &str, payload: &str) -> Answer {
    wire.send(request("POST", target, &[], b"body")).await;
    let mut exchange = api.next().await;
    exchange.event().await;
    returned(exchange, payload, "hi").await;
    wire.answer("POST").await
}

#[tokio::test]
async fn what_functions_answer() {
    let api = Upstream::start().await;
    let gateway = start(&api).await;
    // One connection for all of it: none of them can harm the next.
    let mut wire = gateway.connect().await;
    for format in FORMATS {
        for mode in MODES {
            let target = format!("/{format}/{mode}/");
            for (payload, becomes) in RESPONSES {
                let what = format!("{format} {mode} {payload}");
                let answer = ask(&api, &mut wire, &target, payload).await;
                is_clean(&answer, &what);
                match becomes {
                    Passes(status, headers) => {
                        assert_eq!(answer.status(), *status, "{what}: {answer:?}");
                        for (name, values) in *headers {
                            assert_eq!(answer.head.all(name), *values, "{what}: {name}");
                        }
                        let body = if matches!(status, 204 | 304) { "" } else { "hi" };
                        assert_eq!(answer.text(), body, "{what}");
                    }
                    FailsOnly(only) if *only != mode => {
                        assert_eq!((answer.status(), answer.text()), (200, "hi"), "{what}");
                    }
                    Fails | FailsOnly(_) => {
                        assert_eq!(answer.status(), 502, "{what}: {answer:?}");
                        assert_eq!(answer.problem(502, "backend"), "lambda-failed", "{what}");
                    }
                }
            }
        }
    }
    // No buffered answer costs a connection to Lambda. A stream that fails is left with its rest unread, and the body
    // that no client of a 204 or 304 wants is read while the next request comes.
    let left = |becomes: &Response| matches!(becomes, Fails | Passes(204 | 304, _));
    let left = RESPONSES.iter().filter(|(_, becomes)| left(becomes)).count();
    let most = 1 + left * FORMATS.len();
    assert!(api.connections() <= most, "{} of {most}", api.connections());
    assert_eq!(api.requests(), RESPONSES.len() * FORMATS.len() * MODES.len());
}

#[tokio::test]
async fn functions_that_answer_very_many_headers() {
    let api = Upstream::start().await;
    let gateway = start(&api).await;
    let mut wire = gateway.connect().await;
    // Of a stream 16 KiB of head are held, of a buffered answer what the type of headers holds.
    for (count, buffered, stream) in [(200, 200, 200), (2000, 200, 502), (40_000, 502, 502)] {
        let headers: Vec<String> = (0..count).map(|n| format!(r#""x-{n}":"{n}""#)).collect();
        let payload =
            format!(r#"{{"statusCode":200,"headers":{{{}}},"body":"hi"}}"#, headers.join(","));
        for format in FORMATS {
            for (mode, status) in [("buffered", buffered), ("stream", stream)] {
                let target = format!("/{format}/{mode}/");
                let answer = ask(&api, &mut wire, &target, &payload).await;
                assert_eq!(answer.status(), status, "{count} {format} {mode}");
                if status == 200 {
                    let last = format!("x-{}", count - 1);
                    assert_eq!(answer.head.get(&last), Some(&last[2..]), "{format} {mode}");
                }
            }
        }
    }
}

/// What Lambda's API, or something in its place, answers; none of it is HTTP.
const APIS: &[&[u8]] = &[
    b"NONSENSE\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx-a: secret\x00\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: secret\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\ncontent-length: secret\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\nsecret",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsecret\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: secret\r\nconnection: upgrade\r\n\r\n",
];

#[tokio::test]
async fn what_an_api_answers_that_is_none() {
    let api = Upstream::start().await;
    for mode in MODES {
        for bytes in APIS {
            let what = format!("{mode} {:?}", String::from_utf8_lossy(bytes));
            let gateway = start(&api).await;
            let target = format!("/apigw-v2/{mode}/");
            let mut wire = gateway.connect().await;
            wire.send(request("POST", &target, &[], b"body")).await;
            let mut exchange = api.next().await;
            exchange.event().await;
            exchange.wire.send(bytes).await;
            drop(exchange);
            let answer = wire.answer("POST").await;
            is_clean(&answer, &what);
            assert_eq!(answer.problem(502, "backend"), "lambda-failed", "{what}");
            // Neither the client's connection nor the lane is lost by it.
            let payload = r#"{"statusCode":200,"body":"hi"}"#;
            let answer = ask(&api, &mut wire, &target, payload).await;
            assert_eq!((answer.status(), answer.text()), (200, "hi"), "{what}");
        }
    }
}
