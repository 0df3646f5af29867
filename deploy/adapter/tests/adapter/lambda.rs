//! One execution environment with the real adapter in it: a Runtime API on loopback, by script.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::{APP, PATIENCE, event};

/// What the adapter told the Runtime API.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What came after the body; none if there were no trailers.
    pub(crate) trailers: Option<HeaderMap>,
}

impl Call {
    pub(crate) fn error_type(&self) -> Option<&str> {
        header(&self.headers, "lambda-runtime-function-error-type")
    }
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

struct Event {
    id: &'static str,
    payload: Vec<u8>,
    time_left: Duration,
}

/// One execution environment as the adapter sees it, and the adapter in it.
pub(crate) struct Lambda {
    adapter: Child,
    /// Held apart, because waiting for a child closes its standard input, and the app ends with that.
    _stdin: ChildStdin,
    events: mpsc::Sender<Event>,
    calls: mpsc::Receiver<Call>,
    /// What of a body has come, as it comes.
    pieces: mpsc::UnboundedReceiver<Bytes>,
    _server: JoinSet<()>,
}

impl Lambda {
    pub(crate) async fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (events, waiting) = mpsc::channel(8);
        let (tell, calls) = mpsc::channel(64);
        let (piece, pieces) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (waiting, tell, piece) = (Arc::clone(&waiting), tell.clone(), piece.clone());
                let service = service_fn(move |request| {
                    runtime_api(request, Arc::clone(&waiting), tell.clone(), piece.clone())
                });
                connections.spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    // It breaks off when the adapter ends while it waits for an event.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        let mut adapter = Command::new(env!("CARGO_BIN_EXE_pacer-adapter"))
            .args(["--port", "0"])
            .args(arguments)
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "thumb")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[$LATEST]abc")
            .env_remove("AWS_LAMBDA_INITIALIZATION_TYPE")
            .env_remove("AWS_LWA_INVOKE_MODE")
            .env_remove("PACER_ADAPTER_INVOKE_MODE")
            .envs(variables.iter().copied())
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = adapter.stdin.take().unwrap();
        Lambda { adapter, _stdin: stdin, events, calls, pieces, _server: server }
    }

    pub(crate) async fn serving() -> Self {
        Self::start(&["--", APP], &[]).await
    }

    pub(crate) async fn send(&self, id: &'static str, payload: Vec<u8>) {
        self.send_for(id, payload, Duration::from_secs(30)).await;
    }

    pub(crate) async fn send_for(&self, id: &'static str, payload: Vec<u8>, time_left: Duration) {
        self.events.send(Event { id, payload, time_left }).await.unwrap();
    }

    pub(crate) async fn call(&mut self) -> Call {
        timeout(PATIENCE, self.calls.recv()).await.expect("the adapter calls in time").unwrap()
    }

    /// Waits for the next piece of a body that is on its way.
    pub(crate) async fn piece(&mut self) -> Bytes {
        timeout(PATIENCE, self.pieces.recv()).await.expect("a piece comes in time").unwrap()
    }

    /// Sends a request, and returns the answer's head and JSON body.
    pub(crate) async fn ask(&mut self, path: &str) -> (Value, Value) {
        self.send("id-1", event(path, &HeaderMap::new(), b"")).await;
        let call = self.call().await;
        assert_eq!(call.path, "invocation/id-1/response", "{call:?}");
        let answer: Value = serde_json::from_slice(&call.body).unwrap();
        let body =
            serde_json::from_str(answer["body"].as_str().unwrap_or("null")).unwrap_or_default();
        (answer, body)
    }

    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let adapter = timeout(PATIENCE, self.adapter.wait());
        adapter.await.expect("the adapter ends in time").unwrap()
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(self.adapter.id().unwrap().cast_signed()).unwrap()
    }

    /// Ends the adapter as Lambda does.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        let pid = self.pid();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.exit().await
    }
}

async fn runtime_api(
    request: Request<Incoming>,
    waiting: Arc<Mutex<mpsc::Receiver<Event>>>,
    tell: mpsc::Sender<Call>,
    pieces: mpsc::UnboundedSender<Bytes>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().strip_prefix("/2018-06-01/runtime/").unwrap().to_owned();
    if path == "invocation/next" {
        let Some(event) = waiting.lock().await.recv().await else {
            return Ok(Response::builder().status(500).body(Full::default()).unwrap());
        };
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + event.time_left;
        let response = Response::builder()
            .header("Lambda-Runtime-Aws-Request-Id", event.id)
            .header("Lambda-Runtime-Deadline-Ms", deadline.as_millis().to_string())
            .header(
                "Lambda-Runtime-Invoked-Function-Arn",
                "arn:aws:lambda:eu-west-1:1:function:thumb",
            );
        return Ok(response.body(Full::from(event.payload)).unwrap());
    }
    let (head, mut incoming) = request.into_parts();
    let (mut body, mut trailers) = (Vec::new(), None);
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { break };
        match frame.into_data() {
            Ok(data) => {
                body.extend_from_slice(&data);
                let _ = pieces.send(data);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let status = if path == "restore/next" { 200 } else { 202 };
    // Nobody listens any more once a test has seen what it wanted.
    let _ = tell.send(Call { path, headers: head.headers, body: body.into(), trailers }).await;
    Ok(Response::builder().status(status).body(Full::default()).unwrap())
}
