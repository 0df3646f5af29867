//! The Lambda lane: one HTTP request as one buffered Invoke.
//!
//! Not by the SDK's client: it costs five times a plain exchange and sends timed-out POSTs again on its own. The request
//! is signed with AWS's own primitives and goes through the worker's pool. Every answer that Invoke can give is typed in
//! [`answer`]: whether the function ran decides whether the request may go elsewhere.

use std::{
    future::poll_fn,
    net::IpAddr,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Uri, header::HOST, request::Parts};
use hyper::body::Incoming;
use predictor::outcome::Spill;
use tokio::time::Instant;

use crate::{
    lane::{
        Endpoint, Execution, Failure,
        body::Outgoing,
        budget::Buffered,
        pool::{self, Connection, Target},
    },
    proxy::{Attempt, Outbound, REQUEST_ID},
    serve::worker::Worker,
};

mod answer;
mod breaker;
mod finish;
mod sign;

use breaker::Breaker;
use finish::FinishAnyway;

pub(crate) use sign::SigningKeys;

/// Bytes of an answer that are read: Lambda's own limit of 6 MB for a buffered response, and room for its escapes.
const ANSWER_MAX: usize = 7 * 1024 * 1024;

/// Bodies above this are converted, hashed and parsed off the worker's thread: at about 1 ns a byte for SHA-256 and
/// JSON together, this much holds up the other requests of a worker by a fourth of a millisecond at most.
const OFF_THREAD: usize = 256 * 1024;

/// One function as the gateway calls it.
#[derive(Debug)]
pub(crate) struct Function {
    /// The Lambda API.
    pub(crate) endpoint: Endpoint,
    uri: Uri,
    /// Path and query as they are signed.
    canonical: String,
    timeout: Duration,
    memory_mb: u32,
    max_in_flight: u32,
    state: Arc<State>,
}

/// What is going on at a function, whatever a policy says of it.
#[derive(Debug, Default)]
struct State {
    in_flight: AtomicU32,
    breaker: Breaker,
}

impl Function {
    /// Prepares what all calls of a function share.
    pub(crate) fn new(lambda: &policies::policy::Lambda, endpoint: Endpoint) -> Self {
        let (uri, canonical) = sign::invoke_path(&lambda.function, lambda.qualifier.as_deref());
        Self {
            endpoint,
            uri,
            canonical,
            timeout: lambda.timeout,
            memory_mb: lambda.memory_mib,
            max_in_flight: lambda.max_in_flight,
            state: Arc::default(),
        }
    }

    /// Prepares the calls of the same function by another policy: what is in flight counts on, connections are kept.
    pub(crate) fn follow(&self, lambda: &policies::policy::Lambda) -> Self {
        Self { state: self.state.clone(), ..Self::new(lambda, self.endpoint.clone()) }
    }

    /// Returns how many invocations are in flight, over all workers.
    pub(crate) fn in_flight(&self) -> u32 {
        self.state.in_flight.load(Relaxed)
    }

    /// Returns the memory that policy assumes for it, in MB.
    pub(crate) fn memory_mb(&self) -> u32 {
        self.memory_mb
    }

    /// Tells whether calls are let through.
    pub(crate) fn is_up(&self) -> bool {
        self.state.breaker.is_closed()
    }

    fn enter(self: &Arc<Self>) -> Result<InFlight, Failure> {
        let resting = Failure::did_not_run(
            Spill::NotReady,
            StatusCode::SERVICE_UNAVAILABLE,
            "the function failed to start a moment ago",
        );
        if !self.state.breaker.lets_through() {
            return Err(resting);
        }
        let room = |now: u32| (now < self.max_in_flight).then_some(now + 1);
        let capped = Failure::did_not_run(
            Spill::Throttled,
            StatusCode::SERVICE_UNAVAILABLE,
            "the function is at its policy's max_in_flight",
        );
        self.state.in_flight.fetch_update(Relaxed, Relaxed, room).map_err(|_| capped)?;
        Ok(InFlight(self.clone()))
    }
}

/// One invocation in flight; ends when dropped.
#[derive(Debug)]
struct InFlight(Arc<Function>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state.in_flight.fetch_sub(1, Relaxed);
    }
}

/// What a function answered, as HTTP.
#[derive(Debug)]
pub(crate) struct Invoked {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers, with the adapter's report still among them.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Bytes,
    /// What the body takes of the buffer budget.
    pub(crate) buffered: Option<Buffered>,
    /// Memory that policy assumes for the function, in MB.
    pub(crate) memory_mb: u32,
}

/// Invokes the function with the request as its event and returns its response.
///
/// When the client goes away, or a timeout of the policy ends the wait, the call is finished in the background: Lambda
/// neither stops nor stops billing it, so it must go on counting as in flight, and its connection stays good.
pub(crate) async fn invoke(
    attempt: &Attempt<'_>,
    outbound: &Outbound,
    body: &Bytes,
    function: &Arc<Function>,
    keys: &Arc<SigningKeys>,
) -> Result<Invoked, Failure> {
    let in_flight = function.enter()?;
    let (event, signature) = sign_event(attempt, outbound, body, function, keys).await;
    let held = attempt.worker.budget.take(event.len() as u64).ok_or_else(buffers_full)?;
    let (connection, fresh) = match attempt.worker.pool.take(function.endpoint.key) {
        Some(connection) => (connection, false),
        None => (connect(attempt, function).await?, true),
    };
    let sent = Instant::now();
    attempt.client.sent.set(Some(sent));
    let call = Call {
        worker: attempt.worker.clone(),
        in_flight,
        connect: attempt.route.timeouts.connect,
        _held: held,
    };
    let mut call = FinishAnyway::new(
        call.run(connection, fresh, event, signature),
        function.timeout + Duration::from_secs(5),
    );
    let deadline = || attempt.head_deadline(sent, None);
    let late = || {
        Failure::unknown(StatusCode::GATEWAY_TIMEOUT, "the function did not answer in time")
            .timed_out()
    };
    attempt.timer.bound(deadline, &mut call).await.map_err(|_| late())?
}

fn buffers_full() -> Failure {
    let detail = "the bodies that the gateway holds have reached limits.buffered";
    Failure::did_not_run(Spill::TooLarge, StatusCode::SERVICE_UNAVAILABLE, detail)
}

fn no_connection() -> Failure {
    let detail = "no connection to Lambda could be opened";
    Failure::did_not_run(Spill::Connect, StatusCode::BAD_GATEWAY, detail)
}

/// Makes the event and its signature: on this thread when it is small.
async fn sign_event(
    attempt: &Attempt<'_>,
    outbound: &Outbound,
    body: &Bytes,
    function: &Arc<Function>,
    keys: &Arc<SigningKeys>,
) -> (Bytes, sign::Signature) {
    let (now, peer) = (SystemTime::now(), attempt.peer);
    if body.len() <= OFF_THREAD {
        return make_event(&outbound.head, body, function, keys, now, peer);
    }
    let (head, body) = (outbound.head.clone(), body.clone());
    let (function, keys) = (function.clone(), keys.clone());
    tokio::task::spawn_blocking(move || make_event(&head, &body, &function, &keys, now, peer))
        .await
        .expect("making an event neither panics nor is aborted")
}

fn make_event(
    head: &Parts,
    body: &[u8],
    function: &Function,
    keys: &SigningKeys,
    now: SystemTime,
    source_ip: IpAddr,
) -> (Bytes, sign::Signature) {
    let text = |name: &HeaderName| {
        head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let host = text(&HOST);
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let domain =
        host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let mut event = Vec::new();
    lambda_event::write_event(
        &mut event,
        &lambda_event::Request {
            method: &head.method,
            path: head.uri.path(),
            query: head.uri.query(),
            headers: &head.headers,
            body,
            source_ip,
            request_id: text(&REQUEST_ID),
            epoch_ms: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
            domain,
            protocol: http::Version::HTTP_11,
        },
    );
    let signature = keys.sign(&function.canonical, &function.endpoint.authority, &event, now);
    (Bytes::from(event), signature)
}

async fn connect(attempt: &Attempt<'_>, function: &Function) -> Result<Connection, Failure> {
    attempt.worker.shard.upstream_connections.add(1);
    let deadline = (Instant::now() + attempt.route.timeouts.connect).min(attempt.total_deadline());
    match attempt.timer.bound(|| deadline, open(&function.endpoint)).await {
        Ok(Ok(connection)) => Ok(connection),
        refused_or_late => {
            if !pool::ours(&refused_or_late, attempt) {
                function.state.breaker.failed();
            }
            tracing::debug!(host = %function.endpoint.host, ?refused_or_late, "no connection to Lambda");
            Err(no_connection())
        }
    }
}

async fn open(endpoint: &Endpoint) -> std::io::Result<Connection> {
    let tls = endpoint.tls.then_some(&*endpoint.host);
    pool::connect(endpoint.key, Target::Name(&endpoint.host, endpoint.port), tls).await
}

/// One call, with all that it needs to go on without its client.
struct Call {
    worker: Rc<Worker>,
    in_flight: InFlight,
    connect: Duration,
    /// What the event takes of the buffer budget.
    _held: Buffered,
}

impl Call {
    async fn run(
        self,
        mut connection: Connection,
        mut fresh: bool,
        event: Bytes,
        signature: sign::Signature,
    ) -> Result<Invoked, Failure> {
        let function = &self.in_flight.0;
        let mut request = self.request(event, signature);
        let response = loop {
            let mut response = pin!(connection.start(request));
            match poll_fn(|cx| connection.poll_response(cx, response.as_mut())).await {
                Ok(response) => break response,
                Err(unsent) => match unsent {
                    // Nothing of it left this process: the connection had been closed by its other end.
                    Some(unsent) => {
                        request = *unsent;
                        let opened = if fresh {
                            None // it takes connections and closes them
                        } else {
                            tokio::time::timeout(self.connect, open(&function.endpoint)).await.ok()
                        };
                        connection = opened.and_then(Result::ok).ok_or_else(|| {
                            function.state.breaker.failed();
                            no_connection()
                        })?;
                        fresh = true;
                    }
                    None => {
                        return Err(Failure::unknown(
                            StatusCode::BAD_GATEWAY,
                            "Lambda closed the connection before it answered",
                        ));
                    }
                },
            }
        };
        let (head, body) = response.into_parts();
        let (answer, buffered) = self.read(&mut connection, body).await?;
        self.worker.pool.put(connection, Instant::now());
        let outcome = parse(head.status, &head.headers, answer).await;
        match &outcome {
            Err(failure)
                if failure.ran == Execution::DidNotRun && failure.cause == Spill::Misconfigured =>
            {
                function.state.breaker.failed();
            }
            // Whatever else it answers, a throttle too: the API is there, and so is the function.
            Ok(_) | Err(_) => function.state.breaker.succeeded(),
        }
        let response = outcome?;
        let lambda_event::Response { status, headers, body, .. } = response;
        Ok(Invoked {
            status,
            headers,
            body,
            buffered: Some(buffered),
            memory_mb: function.memory_mb,
        })
    }

    fn request(&self, event: Bytes, signature: sign::Signature) -> Request<Outgoing> {
        let function = &self.in_flight.0;
        let mut request = Request::new(Outgoing::Whole(event));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = function.uri.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, function.endpoint.authority.clone());
        signature.write(headers);
        request
    }

    async fn read(
        &self,
        connection: &mut Connection,
        mut body: Incoming,
    ) -> Result<(Bytes, Buffered), Failure> {
        let broken = || Failure::unknown(StatusCode::BAD_GATEWAY, "Lambda's answer broke off");
        let full =
            || Failure::ran(StatusCode::SERVICE_UNAVAILABLE, "the gateway's buffers are full");
        let buffered = self.worker.budget.take(0).ok_or_else(full)?;
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| connection.poll_frame(&mut body, cx)).await {
            let Ok(data) = frame.map_err(|_| broken())?.into_data() else { continue };
            if ANSWER_MAX < first.len() + rest.len() + data.len() {
                return Err(Failure::ran(
                    StatusCode::BAD_GATEWAY,
                    "the function's response is larger than Lambda's limit",
                ));
            }
            if !buffered.grow(data.len() as u64) {
                return Err(full());
            }
            if first.is_empty() {
                first = data;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&first);
                }
                rest.extend_from_slice(&data);
            }
        }
        Ok((if rest.is_empty() { first } else { rest.freeze() }, buffered))
    }
}

async fn parse(
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<lambda_event::Response, Failure> {
    if body.len() <= OFF_THREAD {
        return answer::read(status, headers, &body);
    }
    let headers = headers.clone();
    tokio::task::spawn_blocking(move || answer::read(status, &headers, &body))
        .await
        .expect("reading an answer neither panics nor is aborted")
}
