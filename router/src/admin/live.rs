//! What the built-in page shows, once a second.
//!
//! One snapshot is made a second, for all who look, and none while nobody does. What takes many bytes is not in it: a
//! timeline and a page of routes are asked for by those who show them. Timelines are kept all the time, so that who comes
//! late sees what was.

mod costs;
mod decided;
mod listed;
mod rates;
mod snapshot;
mod timeline;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use http_body::Frame;
use serde::Deserialize;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, MissedTickBehavior, interval},
};

use self::{costs::Costs, listed::Wanted, rates::Looks, timeline::Timelines};
use super::{access::Caller, problem};
use crate::control::Shared;

/// Time between two snapshots. More often nobody can read; each costs the control thread about a millisecond with a
/// thousand routes.
const EVERY: Duration = Duration::from_secs(1);

/// How many may look at once. Each holds a connection and one snapshot that it has not taken yet, up to some 100 kB.
const VIEWERS: usize = 32;

/// Makes snapshots, and keeps what they need of the past.
#[derive(Debug)]
pub(super) struct Live {
    shared: Arc<Shared>,
    kept: Mutex<Kept>,
    sent: watch::Sender<Sent>,
    seats: Arc<Semaphore>,
    /// Somebody came.
    came: Notify,
}

/// What is remembered from one second to the next.
#[derive(Debug, Default)]
struct Kept {
    costs: Costs,
    looks: Looks,
    timelines: Timelines,
}

/// A snapshot as it goes out, and when it was made.
#[derive(Debug, Clone, Default)]
struct Sent {
    at: Option<Instant>,
    /// For who may only look.
    reader: Bytes,
    /// For who may act, too.
    operator: Bytes,
}

impl Sent {
    fn is_fresh(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| now.duration_since(at) < EVERY)
    }
}

impl Live {
    pub(super) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            shared,
            kept: Mutex::default(),
            sent: watch::Sender::default(),
            seats: Arc::new(Semaphore::new(VIEWERS)),
            came: Notify::new(),
        })
    }

    /// Looks once a second, and sends who is there what it saw. Never ends.
    pub(super) async fn run(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // Who comes first waits for nobody's second.
                () = self.came.notified() => {
                    if self.sent.borrow().is_fresh(Instant::now()) {
                        continue;
                    }
                    ticks.reset();
                }
            }
            self.look(Instant::now());
        }
    }

    /// Remembers how it is now, and sends a snapshot of it when anybody looks.
    fn look(&self, now: Instant) {
        let is_watched = 0 < self.sent.receiver_count();
        let mut kept = self.kept();
        kept.timelines.note(&self.shared);
        kept.looks.look(&self.shared, is_watched, now);
        if is_watched {
            let mut snapshot = snapshot::snapshot(&self.shared, &kept.looks);
            snapshot["ledger"] = kept.costs.show(&self.shared, now).clone();
            drop(kept);
            let mut event = |may_act: bool| {
                snapshot["can_freeze"] = may_act.into();
                Bytes::from(format!("data: {snapshot}\n\n"))
            };
            let (reader, operator) = (event(false), event(true));
            self.sent.send_replace(Sent { at: Some(now), reader, operator });
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers what the page asks for.
pub(super) fn router(live: Arc<Live>) -> Router {
    Router::new()
        .route("/live", get(watch))
        .route("/live/routes", get(routes))
        .route("/live/timeline", get(timeline))
        .with_state(live)
}

async fn watch(State(live): State<Arc<Live>>, caller: Option<Extension<Caller>>) -> Response {
    let Ok(seat) = live.seats.clone().try_acquire_owned() else {
        let detail = format!("{VIEWERS} are looking already, which is the most; close one");
        let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, &detail);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        return response;
    };
    let mut sent = live.sent.subscribe();
    if sent.borrow().is_fresh(Instant::now()) {
        sent.mark_changed();
    } else {
        live.came.notify_one();
    }
    let may_act = matches!(caller, Some(Extension(Caller::Operator(_))));
    let body = Body::new(Viewer { next: Box::pin(next(sent)), may_act, _seat: seat });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

/// One who looks: a body that gets each snapshot that it has time for. What it misses while it is slow is left out.
struct Viewer {
    next: Pin<Box<dyn Future<Output = Option<watch::Receiver<Sent>>> + Send>>,
    may_act: bool,
    _seat: OwnedSemaphorePermit,
}

async fn next(mut sent: watch::Receiver<Sent>) -> Option<watch::Receiver<Sent>> {
    sent.changed().await.ok()?;
    Some(sent)
}

impl http_body::Body for Viewer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(mut sent) = std::task::ready!(self.next.as_mut().poll(context)) else {
            return Poll::Ready(None);
        };
        let Sent { reader, operator, .. } = sent.borrow_and_update().clone();
        let event = if self.may_act { operator } else { reader };
        self.next = Box::pin(next(sent));
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

async fn routes(
    State(live): State<Arc<Live>>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(wanted)) => json(&listed::list(&live.shared, &live.kept().looks, &wanted)),
        Err(error) => problem(
            StatusCode::BAD_REQUEST,
            &format!("{}; write /live/routes?find=text&sort=rate&page=0", error.body_text()),
        ),
    }
}

/// Parameters of `/live/timeline`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Timeline {
    service: String,
}

async fn timeline(
    State(live): State<Arc<Live>>,
    query: Result<Query<Timeline>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(Timeline { service })) => {
            match live.kept().timelines.show(&service, &live.shared) {
                Some(timeline) => json(&timeline),
                None => problem(StatusCode::NOT_FOUND, "nothing is planned for such a service"),
            }
        }
        Err(error) => problem(
            StatusCode::BAD_REQUEST,
            &format!("{}; write /live/timeline?service=name", error.body_text()),
        ),
    }
}

fn json(value: &serde_json::Value) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], value.to_string())
        .into_response()
}

#[cfg(test)]
mod tests;
