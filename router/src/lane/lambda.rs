//! The Lambda lane: one HTTP request as one Invoke.
//!
//! Not by the SDK's client: it costs five times a plain exchange and sends timed-out POSTs again on its own. The request
//! is signed with AWS's own primitives and goes through the worker's pool. Everything that Invoke can answer is a row of
//! the table in [`error`]: whether the function ran decides whether the request may go elsewhere.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use lambda_event::Format;
use policies::{
    decide::Class,
    policy::{self, EventFormat, RouteId},
};
use predictor::outcome::{Spill, Usage};
use tokio::time::Instant;

use crate::{
    lane::{
        Endpoint, Execution, Failure,
        budget::Buffered,
        pool::{self, Connection, Target},
    },
    proxy::{Attempt, Outbound},
    serve::worker::Worker,
    world::LocalWorld,
};

mod answer;
mod breaker;
mod call;
mod error;
mod event;
mod finish;
mod frames;
mod offer;
mod sign;
mod streaming;
#[cfg(test)]
mod tests;
mod usage;

use breaker::{Breaker, Probe};
use call::Call;
use finish::FinishAnyway;
use offer::Offered;
use sign::{CallOption, CallPath};
use usage::Meter;

pub(crate) use error::LambdaError;
pub(crate) use offer::Offer;
pub(crate) use sign::SigningKeys;
pub(crate) use streaming::Streaming;

/// Bodies above this are converted, hashed and parsed off the worker's thread: at about 1 ns a byte for SHA-256 and
/// JSON together, this much holds up the other requests of a worker by a fourth of a millisecond at most.
const OFF_THREAD: usize = 256 * 1024;

/// How long after the function's own timeout its answer is waited for when nobody else does.
const GRACE: Duration = Duration::from_secs(5);

/// One function as the gateway calls it.
#[derive(Debug)]
pub(crate) struct Function {
    /// The Lambda API.
    pub(crate) endpoint: Endpoint,
    /// The format of its events.
    pub(crate) format: Format,
    /// Whether its answers are streamed.
    stream: bool,
    path: CallPath,
    /// Where a call goes that runs nothing.
    dry_run: CallPath,
    timeout: Duration,
    memory_mb: u32,
    max_in_flight: u32,
    state: Arc<State>,
}

/// What is going on at a function, whatever a policy says of it.
#[derive(Debug, Default)]
struct State {
    in_flight: AtomicU32,
    /// Requests that began.
    begun: AtomicU64,
    /// Of these, those that the planner was told of.
    taken: AtomicU64,
    /// Calls that Lambda refused, for too many or too fast.
    throttled: AtomicU64,
    /// Most in flight at once since then.
    most: AtomicU32,
    /// Calls that keep environments warm, beside `in_flight`.
    warming: AtomicU32,
    breaker: Breaker,
    offered: Offered,
    meter: Meter,
}

impl Function {
    /// Prepares what all calls of a function share.
    pub(crate) fn new(lambda: &policy::Lambda, endpoint: Endpoint) -> Self {
        let stream = lambda.invoke == policy::InvokeMode::Stream;
        let path = |stream| sign::call_path(&lambda.function, lambda.qualifier.as_deref(), stream);
        Self {
            endpoint,
            format: format(lambda.event),
            stream,
            path: path(stream),
            dry_run: path(false),
            timeout: lambda.timeout,
            memory_mb: lambda.memory_mib,
            max_in_flight: lambda.max_in_flight,
            state: Arc::default(),
        }
    }

    /// Prepares the calls of the same function by another policy: what is in flight counts on, connections are kept.
    pub(crate) fn follow(&self, lambda: &policy::Lambda) -> Self {
        Self { state: self.state.clone(), ..Self::new(lambda, self.endpoint.clone()) }
    }

    /// Returns how many requests are in flight, over all workers.
    pub(crate) fn in_flight(&self) -> u32 {
        self.state.in_flight.load(Relaxed)
    }

    /// Returns how many requests began since this was asked last, and how many of them were in flight at once at most. Only
    /// the control loop asks.
    pub(crate) fn take_asked(&self) -> (u64, u32) {
        let now = self.in_flight();
        let begun = self.began();
        let new = begun.saturating_sub(self.state.taken.swap(begun, Relaxed));
        (new, self.state.most.swap(now, Relaxed).max(now))
    }

    /// Returns how many requests began.
    pub(crate) fn began(&self) -> u64 {
        self.state.begun.load(Relaxed)
    }

    /// Returns how many calls Lambda refused, for too many or too fast.
    pub(crate) fn throttled(&self) -> u64 {
        self.state.throttled.load(Relaxed)
    }

    /// Takes places for `calls` that keep environments warm; `None` when they and what is in flight would pass the cap.
    ///
    /// Requests are not refused for them: they run nothing of the function's own, which is what the cap protects.
    pub(crate) fn warm_up(self: &Arc<Self>, calls: u32) -> Option<WarmingUp> {
        let room = self.max_in_flight.checked_sub(self.in_flight())?;
        let fits = |now: u32| now.checked_add(calls).filter(|sum| *sum <= room);
        self.state.warming.fetch_update(Relaxed, Relaxed, fits).ok()?;
        Some(WarmingUp { function: self.clone(), calls })
    }

    /// Tells whether calls are let through.
    pub(crate) fn is_up(&self) -> bool {
        self.is_up_for(false)
    }

    /// Tells whether calls of a request are let through; `alone` is one that has no other lane.
    pub(crate) fn is_up_for(&self, alone: bool) -> bool {
        (alone || self.state.offered.is_any()) && self.state.breaker.is_closed(alone)
    }

    /// Tells whether the version that is called runs, as far as is known.
    pub(crate) fn is_ready(&self) -> bool {
        self.state.offered.is_all()
    }

    /// Takes note of what requests may be sent that have another lane.
    pub(crate) fn offer(&self, offer: Offer) {
        self.state.offered.set(offer);
    }

    /// Sends a call that runs nothing when it is time to see whether a broken lane works again. No request waits for it.
    pub(crate) fn probe_if_due(
        self: &Arc<Self>,
        worker: &Rc<Worker>,
        keys: &Arc<SigningKeys>,
        connect: Duration,
    ) {
        if self.state.breaker.wants_dry_run() {
            let (worker, function, keys) = (worker.clone(), self.clone(), keys.clone());
            tokio::task::spawn_local(async move {
                let signature = keys.sign(
                    &function.dry_run.canonical,
                    &function.endpoint.authority,
                    b"{}",
                    Some(CallOption::DryRun),
                    SystemTime::now(),
                );
                call::dry_run(&worker, &function, signature, connect).await;
            });
        }
    }

    fn enter(self: &Arc<Self>, alone: bool) -> Result<InFlight, Failure> {
        let not_ready =
            |detail| Failure::did_not_run(Spill::NotReady, StatusCode::SERVICE_UNAVAILABLE, detail);
        if !self.state.breaker.lets_through(alone) {
            return Err(not_ready("the function failed to start a moment ago"));
        }
        if !alone && !self.state.offered.take() {
            return Err(not_ready("the function's version is not Active"));
        }
        let room = |now: u32| (now < self.max_in_flight).then_some(now + 1);
        let capped = Failure::did_not_run(
            Spill::Throttled,
            StatusCode::SERVICE_UNAVAILABLE,
            "the function is at its policy's max_in_flight",
        );
        let others = self.state.in_flight.fetch_update(Relaxed, Relaxed, room);
        let others = others.map_err(|_| capped)?;
        self.state.begun.fetch_add(1, Relaxed);
        self.state.most.fetch_max(others + 1, Relaxed);
        Ok(InFlight(self.clone()))
    }

    /// Takes note of an error: of one that would meet the next call too, the lane is left alone for a while.
    fn failed(&self, error: LambdaError) {
        if error.is_throttle() {
            self.state.throttled.fetch_add(1, Relaxed);
        }
        if !error.is_lasting() {
            // Whatever else it answers, a throttle too: the API is there, and so is the function.
            self.state.breaker.succeeded();
        } else if error.is_misconfigured() {
            self.state.breaker.failed(Probe::DryRun);
        } else {
            self.state.breaker.failed(Probe::Request);
        }
    }

    /// Returns what a call used that took `took` and reported nothing.
    pub(crate) fn estimate(&self, took: Duration) -> Usage {
        self.state.meter.estimate(took, self.memory_mb)
    }
}

/// Returns the format that events of a service have.
pub(crate) const fn format(event: EventFormat) -> Format {
    match event {
        EventFormat::ApigwV2 => Format::ApigwV2,
        EventFormat::ApigwV1 => Format::ApigwV1,
        EventFormat::Alb => Format::Alb,
        EventFormat::AlbMultiValue => Format::AlbMultiValue,
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

/// Calls that keep environments warm; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct WarmingUp {
    function: Arc<Function>,
    calls: u32,
}

impl Drop for WarmingUp {
    fn drop(&mut self) {
        self.function.state.warming.fetch_sub(self.calls, Relaxed);
    }
}

/// On whose account a call is, also when its client has gone.
#[derive(Clone)]
struct Account {
    worker: Rc<Worker>,
    world: LocalWorld,
    route: RouteId,
    class: Class,
    function: Arc<Function>,
}

impl Account {
    fn error(&self, error: LambdaError) {
        self.worker.shard.lambda_errors.of(error).add(1);
        self.function.failed(error);
    }

    /// Counts what a call used of which no outcome tells.
    fn count_late(&self, usage: Usage) {
        self.worker.shard.count_usage(self.route, self.class, &usage, &self.world);
    }
}

/// What a function answered, as HTTP.
#[derive(Debug)]
pub(crate) struct Invoked {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) content: Content,
}

/// The body of a function's answer.
#[derive(Debug)]
pub(crate) enum Content {
    /// All of it, what it takes of the buffer budget, and what the call used.
    Whole(Bytes, Buffered, Usage),
    /// It is still coming.
    Streaming(Box<Streaming>),
}

/// Invokes the function with the request as its event and returns its response.
///
/// When the client goes away, or a timeout of the policy ends the wait, the call is finished in the background: Lambda
/// neither stops nor stops billing it, so it must go on counting as in flight, and its connection stays good.
pub(crate) async fn invoke(
    attempt: &Attempt<'_>,
    class: Class,
    outbound: &Outbound,
    body: &Bytes,
    function: &Arc<Function>,
    keys: &Arc<SigningKeys>,
) -> Result<Invoked, Failure> {
    let in_flight = function.enter(attempt.has_only_lambda())?;
    let (event, signature) = event::sign(attempt, outbound, body, function, keys).await;
    let held = attempt.worker.budget.take(event.len() as u64).ok_or_else(buffers_full)?;
    let (connection, fresh) = match attempt.worker.pool.take(function.endpoint.key) {
        Some(connection) => (connection, false),
        None => (connect(attempt, function).await?, true),
    };
    let sent = Instant::now();
    attempt.client.sent.set(Some(sent));
    let account = Account {
        worker: attempt.worker.clone(),
        world: attempt.world.clone(),
        route: attempt.id,
        class,
        function: function.clone(),
    };
    let call = Call {
        account: account.clone(),
        in_flight,
        sent,
        connect: attempt.route.timeouts.connect,
        method: outbound.head.method.clone(),
        _held: held,
    };
    let late = move |result: Option<Result<Invoked, Failure>>| {
        account.count_late(match result {
            Some(Ok(Invoked { content: Content::Whole(_, _, usage), .. })) => usage,
            // It counts itself when it ends.
            Some(Ok(Invoked { content: Content::Streaming(_), .. })) => return,
            Some(Err(failure)) if failure.ran == Execution::DidNotRun => return,
            Some(Err(_)) | None => account.function.estimate(sent.elapsed()),
        });
    };
    let work = call.run(connection, fresh, event, signature);
    let mut call = FinishAnyway::new(work, function.timeout + GRACE, late);
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

async fn connect(attempt: &Attempt<'_>, function: &Function) -> Result<Connection, Failure> {
    attempt.worker.shard.upstream_connections.add(1);
    let deadline = (Instant::now() + attempt.route.timeouts.connect).min(attempt.total_deadline());
    match attempt.timer.bound(|| deadline, open(&function.endpoint)).await {
        Ok(Ok(connection)) => Ok(connection),
        refused_or_late => {
            if !pool::ours(&refused_or_late, attempt) {
                function.state.breaker.failed(Probe::DryRun);
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
