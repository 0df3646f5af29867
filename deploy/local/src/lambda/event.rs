//! Asynchronous invocations: events that wait for room, and are tried again when the function fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tokio::sync::oneshot;

use crate::{
    Shared,
    bill::FunctionUsage,
    faults::ThrottleReason,
    lambda::{
        error::ServiceError,
        run::{Caller, Job, run},
    },
};

/// Asynchronous events that may wait; Lambda's queue is far longer, a laptop's memory is not.
const EVENTS_WAITING_MAX: usize = 1000;
/// Waits before an asynchronous event that failed is tried again: Lambda does it after one and two minutes.
const EVENT_RETRIES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];
/// How often an asynchronous event that was throttled looks for room, and how often at most (6 h in all, as Lambda's
/// maximum event age).
const EVENT_POLL: Duration = Duration::from_secs(1);
const EVENT_POLLS_MAX: usize = 6 * 3600;

/// Accepts an event.
///
/// # Errors
/// 429 when too many wait.
pub(crate) fn accept(shared: &Arc<Shared>, job: Job) -> Result<Response, ServiceError> {
    let waiting = &shared.lambda.events_waiting;
    let room = |n: usize| (n < EVENTS_WAITING_MAX).then_some(n + 1);
    waiting
        .fetch_update(Relaxed, Relaxed, room)
        .map_err(|_| ServiceError::throttled(ThrottleReason::CallerRateLimitExceeded))?;
    let place = Waiting(waiting.clone());
    shared.work.spawn(work(shared.clone(), job, place));
    Ok(StatusCode::ACCEPTED.into_response())
}

/// A place among the waiting events; given back on drop.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Works on an event: waits for room, and tries again twice when the function fails.
async fn work(shared: Arc<Shared>, job: Job, place: Waiting) {
    let function = &job.function;
    let mut polls = 0;
    for pause in EVENT_RETRIES.map(Some).into_iter().chain([None]) {
        let seat = loop {
            match function.seat(&job.version) {
                Ok(seat) => break seat,
                Err(reason) if polls == EVENT_POLLS_MAX => {
                    tracing::warn!(
                        function = function.name,
                        reason = reason.name(),
                        "an event expired"
                    );
                    return;
                }
                Err(_) => polls += 1,
            }
            FunctionUsage::count(&function.usage.throttles, 1);
            tokio::time::sleep(shared.scale.shrink(EVENT_POLL)).await;
        };
        let (sender, end) = oneshot::channel();
        shared.work.spawn(run(shared.clone(), job.clone(), seat, Caller::Whole(sender)));
        let error = match end.await {
            Ok(Ok(outcome)) => outcome.result.err().map(|error| error.body.to_string()),
            Ok(Err(refusal)) => Some(refusal.message),
            Err(_) => None,
        };
        let Some(error) = error else { break };
        let Some(pause) = pause else {
            tracing::warn!(function = function.name, %error, "an event failed for the last time");
            break;
        };
        tracing::info!(function = function.name, %error, "an event failed and is tried again");
        tokio::time::sleep(shared.scale.shrink(pause)).await;
    }
    drop(place);
}
