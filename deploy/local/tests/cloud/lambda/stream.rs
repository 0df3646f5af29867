//! InvokeWithResponseStream, read with AWS's own decoder.

use std::time::Duration;

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use pacer_local::{Cloud, Config};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet};

use crate::support::{fault, function, gone, invoke_as, send, signed, start, until, with_function};

const PRELUDE: &str =
    "{\"statusCode\":201,\"headers\":{\"x\":\"y\"},\"cookies\":[]}\0\0\0\0\0\0\0\0";
const INTEGRATION: &str = "application/vnd.awslambda.http-integration-response";

/// A stream as it comes.
struct Stream {
    status: u16,
    headers: http::HeaderMap,
    body: Incoming,
    buffer: BytesMut,
    decoder: MessageFrameDecoder,
    /// Ends with the stream.
    _connection: JoinSet<()>,
}

#[derive(Debug, PartialEq)]
enum Event {
    Chunk(Bytes),
    Complete(Value),
    Other(String),
    Broken(&'static str),
}

impl Event {
    fn name(&self) -> String {
        match self {
            Self::Chunk(_) => "chunk".into(),
            Self::Complete(end) => match end["ErrorCode"].as_str() {
                Some(error) => format!("complete: {error}"),
                None => "complete".into(),
            },
            Self::Other(kind) => kind.clone(),
            Self::Broken(what) => format!("broken: {what}"),
        }
    }
}

impl Stream {
    async fn open(cloud: &Cloud, headers: &[(&'static str, &str)], event: &Value) -> Self {
        let path = "/2021-11-15/functions/f/response-streaming-invocations";
        let request = signed(cloud, "lambda", path, headers, event.to_string());
        let socket = TcpStream::connect(cloud.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async {
            let _ = connection.await;
        });
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            buffer: BytesMut::new(),
            decoder: MessageFrameDecoder::new(),
            _connection: tasks,
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            match self.decoder.decode_frame(&mut self.buffer) {
                Ok(DecodedFrame::Complete(message)) => {
                    let kind =
                        message.headers().iter().find(|h| h.name().as_str() == ":event-type");
                    let kind = kind.unwrap().value().as_string().unwrap().as_str().to_owned();
                    let payload = message.payload().clone();
                    return Some(match kind.as_str() {
                        "PayloadChunk" => Event::Chunk(payload),
                        "InvokeComplete" => {
                            Event::Complete(serde_json::from_slice(&payload).unwrap())
                        }
                        _ => Event::Other(kind),
                    });
                }
                Ok(DecodedFrame::Incomplete) => {}
                Err(_) => return Some(Event::Broken("checksum")),
            }
            match self.body.frame().await? {
                Ok(frame) => self.buffer.extend_from_slice(&frame.into_data().unwrap()),
                Err(_) => return Some(Event::Broken("connection")),
            }
        }
    }

    /// Everything: the payload, and what was not.
    async fn rest(mut self) -> (Vec<u8>, Vec<Event>) {
        let (mut payload, mut others) = (Vec::new(), Vec::new());
        while let Some(event) = self.next().await {
            match event {
                Event::Chunk(data) => payload.extend(data),
                Event::Broken(_) => {
                    others.push(event);
                    break;
                }
                other => others.push(other),
            }
        }
        (payload, others)
    }
}

fn streaming(mut more: Value) -> Value {
    more["do"] = "stream".into();
    more
}

#[tokio::test]
async fn chunks_pass_as_they_come_before_the_function_ends() {
    let cloud = with_function(function(&["function"])).await;
    let event = streaming(
        json!({ "content_type": INTEGRATION, "chunks": [PRELUDE, "one"], "then": "pause" }),
    );
    let mut stream = Stream::open(&cloud, &[], &event).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.headers["content-type"], "application/vnd.amazon.eventstream");
    assert_eq!(stream.headers["x-amzn-remapped-content-type"], INTEGRATION);
    assert_eq!(stream.headers["x-amz-executed-version"], "$LATEST");
    assert_eq!(stream.headers["x-amzn-requestid"].len(), 36);
    // The function is still at work: it pauses for longer than any test.
    let mut payload = Vec::new();
    while payload.len() < PRELUDE.len() + 3 {
        let Some(Event::Chunk(data)) = stream.next().await else { panic!("no chunk") };
        payload.extend(data);
    }
    assert_eq!(payload, format!("{PRELUDE}one").into_bytes());
    let environment = cloud.state().functions["f"].environments[0].clone();
    assert!(environment.busy);
    fault(&cloud, json!({ "lambda": { "kill": { "environment": environment.id } } })).await;
    let Some(Event::Complete(complete)) = stream.next().await else { panic!("no end") };
    assert_eq!(complete["ErrorCode"], "Runtime.ExitError");
    assert!(complete["ErrorDetails"].as_str().unwrap().contains("signal: killed"), "{complete}");
    assert_eq!(stream.next().await, None);
    cloud.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_log_or_with_the_functions_error() {
    let cloud = with_function(function(&["function"])).await;
    let event = streaming(json!({ "chunks": ["one", "two"] }));
    let tail = [("x-amz-log-type", "Tail")];
    let (payload, end) = Stream::open(&cloud, &tail, &event).await.rest().await;
    assert_eq!(payload, b"onetwo");
    let [Event::Complete(complete)] = &end[..] else { panic!("{end:?}") };
    let log = BASE64.decode(complete["LogResult"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(log).unwrap().contains("REPORT RequestId: "));
    assert_eq!(complete["ErrorCode"], Value::Null);

    let event = streaming(json!({ "chunks": ["one"], "then": "error" }));
    let (payload, end) = Stream::open(&cloud, &[], &event).await.rest().await;
    assert_eq!(payload, b"one");
    let [Event::Complete(complete)] = &end[..] else { panic!("{end:?}") };
    assert_eq!(complete["ErrorCode"], "App.Wrong");
    let details: Value = serde_json::from_str(complete["ErrorDetails"].as_str().unwrap()).unwrap();
    assert_eq!(details["errorMessage"], "it went wrong");
    assert_eq!(cloud.state().functions["f"].function_errors, 1);

    let event = streaming(json!({ "chunks": ["one"], "then": "exit" }));
    let (_, end) = Stream::open(&cloud, &[], &event).await.rest().await;
    let [Event::Complete(complete)] = &end[..] else { panic!("{end:?}") };
    assert!(complete["ErrorDetails"].as_str().unwrap().contains("exit status 7"), "{complete}");
    cloud.stop().await;
}

#[tokio::test]
async fn a_stream_that_takes_too_long_is_cut_with_the_timeout() {
    let mut f = function(&["function"]);
    f.timeout = Duration::from_millis(300);
    let cloud = with_function(f).await;
    let event = streaming(json!({ "chunks": ["one"], "then": "pause" }));
    let (payload, end) = Stream::open(&cloud, &[], &event).await.rest().await;
    assert_eq!(payload, b"one");
    let [Event::Complete(complete)] = &end[..] else { panic!("{end:?}") };
    assert_eq!(complete["ErrorCode"], "Sandbox.Timedout");
    cloud.stop().await;
}

#[tokio::test]
async fn a_slow_caller_slows_the_function_and_gets_all() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let mut config = Config::new();
    config.functions.insert("f".into(), function(&["function"]));
    // Beyond the first 6 MB a stream has 2 MB a second; the clock is fast.
    let cloud = start(config, 10_000.0).await;
    // More than the sockets on the way hold.
    let event = streaming(json!({ "bytes": 65_536, "count": 1024, "file": file }));
    let stream = Stream::open(&cloud, &[], &event).await;
    until("the function waits for its reader", async || file.exists().then_some(())).await;
    assert_eq!(cloud.state().functions["f"].in_flight, 1);
    let (payload, end) = stream.rest().await;
    assert_eq!((payload.len(), end.len()), (1024 * 65_536, 1));
    cloud.stop().await;
}

#[tokio::test]
async fn a_function_runs_on_when_the_reader_of_its_stream_goes_away() {
    let cloud = with_function(function(&["function"])).await;
    let event = streaming(json!({ "bytes": 65_536, "count": 64 }));
    drop(Stream::open(&cloud, &[], &event).await);
    until("it ended", async || (cloud.state().functions["f"].invocations == 1).then_some(())).await;
    assert_eq!(cloud.state().functions["f"].function_errors, 0);
    cloud.stop().await;
}

#[tokio::test]
async fn whole_and_streamed_answers_pass_through_either_call() {
    let cloud = with_function(function(&["function"])).await;
    // A function that does not stream gives one chunk, through the call that does.
    let mut stream = Stream::open(&cloud, &[], &json!({ "n": 1 })).await;
    let Some(Event::Chunk(data)) = stream.next().await else { panic!("no chunk") };
    assert_eq!(serde_json::from_slice::<Value>(&data).unwrap()["event"]["n"], 1);
    assert_eq!(stream.next().await, Some(Event::Complete(json!({}))));
    assert_eq!(stream.next().await, None);
    // Its error is in the end alone.
    let (payload, end) = Stream::open(&cloud, &[], &json!({ "do": "fail" })).await.rest().await;
    assert_eq!(payload, b"");
    let [Event::Complete(complete)] = &end[..] else { panic!("{end:?}") };
    assert_eq!(complete["ErrorCode"], "App.Wrong");
    // A function that streams gives all at once, through the call that does not.
    let event = streaming(json!({ "content_type": INTEGRATION, "chunks": [PRELUDE, "body"] }));
    let answer = invoke_as(&cloud, "f", &[], &event).await;
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.body, format!("{PRELUDE}body"));
    let event = streaming(json!({ "bytes": 1_048_576, "count": 7 }));
    let answer = invoke_as(&cloud, "f", &[], &event).await;
    assert_eq!(answer.json()["errorType"], "Function.ResponseSizeTooLarge");
    cloud.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_refused_before_the_stream() {
    let cloud = with_function(function(&["function"])).await;
    let path = "/2021-11-15/functions/g/response-streaming-invocations";
    let answer = send(cloud.address, signed(&cloud, "lambda", path, &[], "{}")).await.unwrap();
    assert_eq!(
        (answer.status(), answer.header("x-amzn-errortype")),
        (404, "ResourceNotFoundException")
    );
    fault(&cloud, json!({ "lambda": { "throttle": { "function": "f" } } })).await;
    let stream = Stream::open(&cloud, &[], &json!({})).await;
    assert_eq!((stream.status, stream.headers["retry-after"].to_str().unwrap()), (429, "1"));
    cloud.stop().await;
}

#[tokio::test]
async fn streams_go_wrong_as_ordered() {
    let cloud = with_function(function(&["function"])).await;
    let whole =
        format!("{PRELUDE}a body that is longer than its prelude is, by quite a bit, so there");
    let event = streaming(json!({ "content_type": INTEGRATION, "chunks": [whole] }));
    let (half, prelude) = (&whole.as_bytes()[..whole.len() / 2], PRELUDE.as_bytes());
    let (clean, exited) = ("complete", "complete: Runtime.ExitError");
    for (kind, payload, ends) in [
        ("cut", half, &["broken: connection"] as &[&str]),
        ("truncated", half, &[clean]),
        ("bad-checksum", b"", &["broken: checksum"]),
        ("error-after-prelude", prelude, &[exited]),
        ("split-prelude", whole.as_bytes(), &[clean]),
        ("error-as-payload", whole.as_bytes(), &[clean]),
        ("no-complete", whole.as_bytes(), &[]),
        ("unknown-event", whole.as_bytes(), &["PayloadMood", clean]),
    ] {
        fault(&cloud, json!({ "lambda": { "stream": { "function": "f", "kind": kind } } })).await;
        let (got, end) = Stream::open(&cloud, &[], &event).await.rest().await;
        assert_eq!(got, payload, "{kind}");
        assert_eq!(end.iter().map(Event::name).collect::<Vec<_>>(), ends, "{kind}");
    }
    let order = json!({ "function": "f", "kind": "oversized-prelude" });
    fault(&cloud, json!({ "lambda": { "stream": order } })).await;
    let stream = Stream::open(&cloud, &[], &event).await;
    assert_eq!(stream.headers["x-amzn-remapped-content-type"], INTEGRATION);
    let (got, _) = stream.rest().await;
    assert!(1024 * 1024 < got.len() && !got.contains(&0));
    // Of a function that fails before it streams.
    fault(
        &cloud,
        json!({ "lambda": { "stream": { "function": "f", "kind": "error-as-payload" } } }),
    )
    .await;
    let (got, end) = Stream::open(&cloud, &[], &json!({ "do": "fail" })).await.rest().await;
    assert_eq!(serde_json::from_slice::<Value>(&got).unwrap()["errorType"], "App.Wrong");
    assert_eq!(end, [Event::Complete(json!({}))]);
    cloud.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_running_ends_with_the_cloud() {
    let cloud = with_function(function(&["function"])).await;
    let event = streaming(json!({ "chunks": ["one"], "then": "pause" }));
    let mut stream = Stream::open(&cloud, &[], &event).await;
    assert!(matches!(stream.next().await, Some(Event::Chunk(_))));
    let pid = cloud.state().functions["f"].environments[0].pid;
    cloud.stop().await;
    assert_eq!(stream.next().await, Some(Event::Broken("connection")));
    gone(pid.into()).await;
}
