//! Traces and metrics for a collector: OTLP over HTTP.
//!
//! A worker keeps what is recorded of a request in a batch of its own, and hands batches over without waiting; a task on
//! the control runtime makes spans of them and sends them. While the collector is away, so many wait and no more; what
//! does not fit is dropped and counted. Metrics are those of `/metrics`, read at their time. All of it goes by the policy
//! in force, so that another one takes over with the next batch.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
        trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    common::v1::InstrumentationScope,
    metrics::v1::{ResourceMetrics, ScopeMetrics},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans},
};
use policies::policy::Otlp;
use prost::Message;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tracing::{info, warn};

use super::exposition;
use crate::control::Shared;

mod collector;
pub(crate) mod context;
mod metrics;
mod span;
#[cfg(test)]
mod tests;

use collector::{Collector, Failure};

pub(crate) use span::Finished;

/// Requests that a worker keeps before it hands them over without being asked to.
pub(crate) const BATCH: usize = 128;

/// Batches on their way from the workers: more than come in a sweep of 32 of them.
pub(crate) const BATCHES: usize = 64;

/// Requests that wait to be sent: some 4 MB, 16 MB where each has the longest path and host.
const WAITING_MAX: usize = 8192;

/// Requests in one call: below a megabyte, where collectors take four and more.
const CALL_MAX: usize = 512;

/// How long what came first waits for company.
const GATHER: Duration = Duration::from_secs(1);

/// How often one batch is sent before it is dropped; with pauses of 1, 2, 4 and 8 seconds.
const SENDS_MAX: u32 = 5;

/// What became of telemetry since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
    /// Calls that failed, by [`Signal`].
    failures: [AtomicU64; 2],
}

/// What a collector is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
}

impl Signal {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Traces, Self::Metrics];

    /// Returns the name used in logs and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
        }
    }
}

impl Counts {
    /// Returns how many spans a collector took.
    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Relaxed)
    }

    /// Returns how many requests were recorded and not told of, but for those that their worker dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Returns how many calls failed.
    pub(crate) fn failures(&self, signal: Signal) -> u64 {
        self.failures[signal as usize].load(Relaxed)
    }
}

/// Sends what comes, and metrics at their time, until all workers have ended; then what is left.
pub(crate) async fn export(shared: Arc<Shared>, mut recorded: mpsc::Receiver<Vec<Finished>>) {
    let resource = resource(instance());
    let mut line = Line::new(Signal::Metrics);
    tokio::select! {
        () = traces(&shared, &mut recorded, &resource) => {}
        never = each_interval(&shared, &resource, &mut line) => match never {},
    }
    if let Some(otlp) = otlp(&shared).filter(|otlp| otlp.metrics.is_some()) {
        send_metrics(&shared, &otlp, &resource, &mut line).await;
    }
}

fn otlp(shared: &Shared) -> Option<Otlp> {
    shared.world().policy.otlp.clone()
}

async fn each_interval(
    shared: &Shared,
    resource: &Resource,
    line: &mut Line,
) -> std::convert::Infallible {
    /// How exact intervals are, and how soon another policy's holds.
    const LOOK: Duration = Duration::from_secs(1);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        let now = looks.tick().await;
        let Some(otlp) = otlp(shared) else { continue };
        if otlp.metrics.is_some_and(|every| last + every <= now) {
            last = now;
            send_metrics(shared, &otlp, resource, line).await;
        }
    }
}

/// Sends all metrics once. What fails is not sent again: the next export holds all that it held.
async fn send_metrics(shared: &Shared, otlp: &Otlp, resource: &Resource, line: &mut Line) {
    let body = {
        let families = exposition::families(shared);
        let metrics = metrics::translate(&families, shared.started(), SystemTime::now());
        let scope_metrics =
            vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
        let resource = Some(resource.clone());
        let all = ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() };
        ExportMetricsServiceRequest { resource_metrics: vec![all] }.encode_to_vec()
    };
    let sent = line.send(otlp, body.into(), shared.stats().otlp()).await;
    if let Ok(answer) = sent
        && let Ok(answer) = ExportMetricsServiceResponse::decode(answer)
        && let Some(partial) = answer.partial_success.filter(|some| 0 < some.rejected_data_points)
    {
        line.refused(partial.rejected_data_points.unsigned_abs(), shared.stats().otlp());
    }
}

async fn traces(
    shared: &Shared,
    recorded: &mut mpsc::Receiver<Vec<Finished>>,
    resource: &Resource,
) {
    let counts = shared.stats().otlp();
    let mut waiting = Waiting { recorded, queue: VecDeque::new(), ended: false, counts };
    let mut line = Line::new(Signal::Traces);
    while waiting.some().await {
        waiting.gather().await;
        let batch = waiting.take();
        let Some(otlp) = otlp(shared).filter(|otlp| otlp.traces.is_some()) else {
            counts.dropped.fetch_add(batch.len() as u64, Relaxed);
            continue;
        };
        let (body, spans) = encode(&batch, resource);
        let mut sends = 1;
        loop {
            let sent = waiting.meanwhile(line.send(&otlp, body.clone(), counts)).await;
            match sent {
                Ok(answer) => {
                    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
                    let refused = answer.partial_success.map_or(0, |some| some.rejected_spans);
                    let refused = (refused.max(0) as u64).min(spans);
                    if 0 < refused {
                        line.refused(refused, counts);
                    }
                    // A request has up to two spans, and which were refused is not told.
                    let refused = (refused * batch.len() as u64).div_ceil(spans.max(1));
                    counts.exported.fetch_add(batch.len() as u64 - refused, Relaxed);
                    counts.dropped.fetch_add(refused, Relaxed);
                    break;
                }
                Err(failure) if failure.again && sends < SENDS_MAX && !waiting.ended => {
                    let pause = Duration::from_secs(1 << (sends - 1));
                    sends += 1;
                    waiting.meanwhile(sleep(failure.after.unwrap_or(pause).max(pause))).await;
                }
                Err(_) => {
                    counts.dropped.fetch_add(batch.len() as u64, Relaxed);
                    break;
                }
            }
        }
    }
}

/// Makes a call's body. Returns it and how many spans are in it.
fn encode(batch: &[Finished], resource: &Resource) -> (Bytes, u64) {
    let spans: Vec<_> = batch.iter().flat_map(Finished::spans).collect();
    let count = spans.len() as u64;
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
    let resource = Some(resource.clone());
    let all = ResourceSpans { resource, scope_spans, ..ResourceSpans::default() };
    (ExportTraceServiceRequest { resource_spans: vec![all] }.encode_to_vec().into(), count)
}

/// What waits to be sent: it is taken in while something else goes on, and never more than there is room for.
struct Waiting<'a> {
    recorded: &'a mut mpsc::Receiver<Vec<Finished>>,
    queue: VecDeque<Finished>,
    /// Nothing will come any more.
    ended: bool,
    counts: &'a Counts,
}

impl Waiting<'_> {
    /// Waits until there is something; `false` when there never will be.
    async fn some(&mut self) -> bool {
        while self.queue.is_empty() && !self.ended {
            let batch = self.recorded.recv().await;
            self.hear(batch);
        }
        !self.queue.is_empty()
    }

    /// Waits a moment for more, unless there is enough for a call.
    async fn gather(&mut self) {
        let mut moment = pin!(sleep(GATHER));
        while self.queue.len() < CALL_MAX && !self.ended {
            tokio::select! {
                batch = self.recorded.recv() => self.hear(batch),
                () = &mut moment => return,
            }
        }
    }

    fn take(&mut self) -> Vec<Finished> {
        self.queue.drain(..self.queue.len().min(CALL_MAX)).collect()
    }

    /// Does `work`, and takes in what comes.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                batch = self.recorded.recv(), if !self.ended => self.hear(batch),
            }
        }
    }

    fn hear(&mut self, batch: Option<Vec<Finished>>) {
        let Some(batch) = batch else {
            self.ended = true;
            return;
        };
        let room = WAITING_MAX.saturating_sub(self.queue.len());
        let surplus = batch.len().saturating_sub(room);
        self.counts.dropped.fetch_add(surplus as u64, Relaxed);
        self.queue.extend(batch.into_iter().take(room));
    }
}

/// The way of one signal to the collector, and whether it works.
#[derive(Debug)]
struct Line {
    signal: Signal,
    collector: Collector,
    failing: bool,
    /// A part was refused, and that was told.
    refusing: bool,
}

impl Line {
    fn new(signal: Signal) -> Self {
        Self { signal, collector: Collector::default(), failing: false, refusing: false }
    }

    /// Makes one call. Each failure is counted; that it fails is told once, and that it works again.
    async fn send(&mut self, otlp: &Otlp, body: Bytes, counts: &Counts) -> Result<Bytes, Failure> {
        let signal = self.signal.as_str();
        let sent = self.collector.post(otlp, self.signal.path(), body).await;
        match &sent {
            Ok(_) if self.failing => {
                info!(endpoint = %otlp.endpoint, signal, "the collector takes telemetry again");
                self.failing = false;
            }
            Err(failure) => {
                counts.failures[self.signal as usize].fetch_add(1, Relaxed);
                if !self.failing {
                    warn!(
                        endpoint = %otlp.endpoint, signal, %failure,
                        "the collector takes no telemetry; what does not fit until it does is dropped and counted"
                    );
                }
                self.failing = true;
            }
            Ok(_) => {}
        }
        sent
    }

    /// Counts that a part was refused of a call that was taken. The collector's own words are not repeated: they may hold
    /// what was sent.
    fn refused(&mut self, refused: u64, counts: &Counts) {
        counts.failures[self.signal as usize].fetch_add(1, Relaxed);
        if !self.refusing {
            let signal = self.signal.as_str();
            warn!(
                signal,
                refused, "the collector refuses a part of what it is sent; this is told once"
            );
        }
        self.refusing = true;
    }
}

/// Returns who tells: `service.name`, and which process of it.
fn resource(instance: String) -> Resource {
    Resource {
        attributes: vec![
            span::text("service.name", "pacer"),
            span::text("service.version", env!("CARGO_PKG_VERSION")),
            span::text("service.instance.id", instance),
        ],
        ..Resource::default()
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "pacer".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// Makes an id of this process, in the form of a random UUID (RFC 9562, section 5.4).
fn instance() -> String {
    use std::hash::{BuildHasher, RandomState};
    // The standard library's own source of unpredictable keys.
    let half = |salt: u64| u128::from(RandomState::new().hash_one(salt));
    let bits = half(0) << 64 | half(1);
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let digits = format!("{bits:032x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

fn unix_nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}
