//! A server that a test plays by hand: what the gateway forwards comes to [`Upstream::next`] as an [`Exchange`], which
//! the test answers, leaves, cuts or resets.
//!
//! It is a task of the container lane, or Lambda's API, as the test likes. Probes of the gateway (path [`PROBE`]) are
//! answered by themselves and not counted; that functions be read is refused the same way.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc, watch},
    task::{JoinHandle, JoinSet},
};

use super::{
    wire::{Body, Head, Wire, response},
    within,
};

/// The path of probes in the policies of these tests.
pub(crate) const PROBE: &str = "/.probe";

/// A scripted server. What it keeps open closes with it.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    incoming: Mutex<mpsc::UnboundedReceiver<Exchange>>,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    answering: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    requests: AtomicUsize,
    connections: AtomicUsize,
    unwell: AtomicBool,
    sender: mpsc::UnboundedSender<Exchange>,
    /// Connections on which a request may come; a task each.
    kept: Mutex<JoinSet<()>>,
    /// Changes when they are to be closed.
    closing: watch::Sender<()>,
}

/// A request that came, and the connection to answer on. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: Head,
    pub(crate) wire: Wire,
    /// Which of the upstream's connections it came on, from 1.
    pub(crate) connection: usize,
    shared: Arc<Shared>,
}

impl Upstream {
    /// An upstream on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the system has a port");
        let address = listener.local_addr().expect("it is bound");
        let (sender, incoming) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            unwell: AtomicBool::new(false),
            sender,
            kept: Mutex::default(),
            closing: watch::Sender::default(),
        });
        let accepting = tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let serving = serve(Wire::new(stream), shared.clone(), 0);
                    shared.kept.lock().await.spawn(serving);
                }
            }
        });
        Self { address, incoming: Mutex::new(incoming), shared, accepting, answering: None }
    }

    /// An upstream that answers every request with `answer`, which gets the request and its body.
    pub(crate) async fn answering<F>(
        answer: impl Fn(Exchange, Body) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut upstream = Self::start().await;
        let (_, nothing) = mpsc::unbounded_channel();
        let mut incoming = std::mem::replace(upstream.incoming.get_mut(), nothing);
        upstream.answering = Some(tokio::spawn(async move {
            let mut answers = JoinSet::new();
            let answer = Arc::new(answer);
            while let Some(mut exchange) = incoming.recv().await {
                let answer = answer.clone();
                answers.spawn(async move {
                    let body = exchange.body().await;
                    answer(exchange, body).await;
                });
            }
        }));
        upstream
    }

    /// An upstream that answers 200 with `text`.
    pub(crate) async fn saying(text: &'static str) -> Self {
        Self::answering(move |exchange, _| exchange.reply("200 OK", &[], text)).await
    }

    /// Waits for the next request.
    #[track_caller]
    pub(crate) fn next(&self) -> impl Future<Output = Exchange> {
        within("a request at the upstream", async {
            let next = self.incoming.lock().await.recv().await;
            next.expect("an upstream keeps a sender of its own")
        })
    }

    /// How many requests have come.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(SeqCst)
    }

    /// How many connections carried requests.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// Answers probes with 200, or with 503 from now on.
    pub(crate) fn set_well(&self, well: bool) {
        self.shared.unwell.store(!well, SeqCst);
    }

    /// Stops listening, closes the connections on which no request is, and waits until their other ends have seen it.
    pub(crate) async fn close(&self) {
        self.accepting.abort();
        self.close_kept().await;
    }

    /// Closes the connections on which no request is, and waits until their other ends have seen it.
    pub(crate) async fn close_kept(&self) {
        self.shared.closing.send_replace(());
        while self.shared.kept.lock().await.join_next().await.is_some() {}
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Some(answering) = &self.answering {
            answering.abort();
        }
    }
}

/// Reads one request and hands it over; the connection is then the test's.
async fn serve(mut wire: Wire, shared: Arc<Shared>, mut connection: usize) {
    let mut closing = shared.closing.subscribe();
    // The gateway may keep a connection open without a request for as long as it likes.
    let head = tokio::select! {
        head = wire.idle_head() => head,
        _ = closing.changed() => return wire.close().await,
    };
    let Some(head) = head else { return };
    let mut words = head.line.split(' ').map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    if target == PROBE {
        let unwell = shared.unwell.load(SeqCst);
        let status = if unwell { "503 Unwell" } else { "200 OK" };
        wire.send(response(status, &[("connection", "close")], b"")).await;
        return;
    }
    let reads = ["/configuration", "/aliases/", "concurrency", "/account-settings"];
    if method == "GET"
        && target.starts_with("/20")
        && reads.iter().any(|read| target.contains(read))
    {
        let headers = [("x-amzn-errortype", "AccessDeniedException"), ("connection", "close")];
        wire.send(response("403 Forbidden", &headers, b"{}")).await;
        return;
    }
    if connection == 0 {
        connection = shared.connections.fetch_add(1, SeqCst) + 1;
    }
    shared.requests.fetch_add(1, SeqCst);
    let exchange = Exchange { method, target, head, wire, connection, shared: shared.clone() };
    // An upstream that is gone takes its requests with it.
    let _ = shared.sender.send(exchange);
}

impl Exchange {
    /// Reads the request's body.
    #[track_caller]
    pub(crate) fn body(&mut self) -> impl Future<Output = Body> {
        let head = self.head.clone();
        self.wire.body(&head)
    }

    /// Reads the event of an invoke.
    pub(crate) async fn event(&mut self) -> Value {
        let body = self.body().await;
        serde_json::from_slice(&body.bytes).expect("an event is JSON")
    }

    /// Answers, and keeps the connection for the next request. The request's body must have been read.
    pub(crate) async fn reply(
        mut self,
        status: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) {
        let mut answer = response(status, headers, body.as_ref());
        if self.method == "HEAD" {
            answer.truncate(answer.len() - body.as_ref().len());
        }
        self.wire.send(answer).await;
        self.keep().await;
    }

    /// Keeps the connection for the next request.
    pub(crate) async fn keep(self) {
        let Self { wire, shared, connection, .. } = self;
        let serving = serve(wire, shared.clone(), connection);
        shared.kept.lock().await.spawn(serving);
    }

    /// Answers as Lambda does when a function returned `payload`.
    pub(crate) async fn returned(self, payload: impl AsRef<[u8]>) {
        let headers = [("content-type", "application/json"), ("x-amz-executed-version", "7")];
        self.reply("200 OK", &headers, payload).await;
    }

    /// Answers as Lambda does when a function threw: status 200, and what went wrong in the body.
    pub(crate) async fn threw(self, error: impl AsRef<[u8]>) {
        self.reply("200 OK", &[("x-amz-function-error", "Unhandled")], error).await;
    }

    /// Answers as Lambda does when it refuses a call.
    pub(crate) async fn refused(self, status: &str, exception: &str) {
        let body = r#"{"Type":"User","Message":"a secret of the account"}"#;
        self.reply(status, &[("x-amzn-errortype", exception)], body).await;
    }
}

/// The body of an event, decoded when it is base64.
pub(crate) fn event_body(event: &Value) -> Vec<u8> {
    let body = event["body"].as_str().expect("the event has a body");
    if event["isBase64Encoded"] == true {
        return BASE64.decode(body).expect("it says that it is base64");
    }
    body.as_bytes().to_vec()
}
