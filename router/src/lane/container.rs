//! The container lane: one HTTP request to one task.

use std::{future::poll_fn, pin::pin, sync::Arc};

use http::{Response, StatusCode};
use hyper::body::Incoming;
use predictor::outcome::Spill;
use tokio::time::Instant;

use crate::{
    lane::{
        Failure,
        body::Sending,
        pool::{self, Connection, Target, ours},
    },
    proxy::{Attempt, Boxed, Outbound},
};

pub(crate) mod slots;
mod task;

pub(crate) use slots::{Queue, Slot, Tasks};
pub(crate) use task::{Task, TaskState};

/// A response whose body is still to be read, with what it holds.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The task's response.
    pub(crate) response: Response<Incoming>,
    /// Its slot: kept until the body has ended.
    pub(crate) slot: Slot,
    /// Its connection: back to the pool when the body has ended.
    pub(crate) connection: Connection,
}

const FULL: &str = "every task of the service is busy";

/// Takes a slot, waiting for one as long as the route allows.
pub(crate) async fn acquire(
    attempt: &Attempt<'_>,
    tasks: &Arc<Tasks>,
    not: Option<u64>,
) -> Result<Slot, Failure> {
    if let Some(slot) = tasks.take(attempt.draw, not) {
        return Ok(slot);
    }
    wait(attempt, tasks).await
}

fn wait<'a>(attempt: &'a Attempt<'_>, tasks: &'a Arc<Tasks>) -> Boxed<'a, Result<Slot, Failure>> {
    Box::pin(join_queue(attempt, tasks))
}

async fn join_queue(attempt: &Attempt<'_>, tasks: &Arc<Tasks>) -> Result<Slot, Failure> {
    let queue_full = Failure::did_not_run(Spill::QueueFull, StatusCode::SERVICE_UNAVAILABLE, FULL);
    let route = attempt.route;
    let waiting =
        tasks.join(route.priority, attempt.world.policy.limits.queue).ok_or(queue_full)?;
    let started = Instant::now();
    let deadline = (started + route.timeouts.queue).min(attempt.total_deadline());
    let slot = attempt.timer.bound(|| deadline, waiting).await;
    attempt.client.waited.set(attempt.client.waited.get() + started.elapsed());
    match slot {
        Ok(Ok(slot)) => Ok(slot),
        Ok(Err(_)) | Err(_) => {
            Err(Failure::did_not_run(Spill::QueueTimeout, StatusCode::SERVICE_UNAVAILABLE, FULL))
        }
    }
}

/// Sends the request to the slot's task and returns its response's head.
pub(crate) async fn send(
    attempt: &Attempt<'_>,
    outbound: &mut Outbound,
    slot: Slot,
) -> Result<Answer, Failure> {
    let task = slot.task();
    let (mut connection, mut fresh) = match attempt.worker.pool.take(task.key) {
        Some(connection) => (connection, false),
        None => (connect(attempt, task).await?, true),
    };
    loop {
        let mut response = pin!(connection.start(outbound.request(|| task.authority())));
        let sent = Instant::now();
        attempt.client.sent.set(Some(sent));
        let deadline = || attempt.head_deadline(sent, outbound.progress.as_deref());
        let head = poll_fn(|cx| connection.poll_response(cx, response.as_mut()));
        match attempt.timer.bound(deadline, head).await {
            Ok(Ok(response))
                if response.status() == StatusCode::SERVICE_UNAVAILABLE
                    && response.headers().contains_key(lambda_event::report::BUSY) =>
            {
                return Err(Failure::did_not_run(
                    Spill::Busy,
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the task refused: it is busy",
                ));
            }
            // Nobody asked for another protocol: `Upgrade` does not cross.
            Ok(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                return Err(Failure::ran(
                    StatusCode::BAD_GATEWAY,
                    "the task changed the protocol without being asked",
                ));
            }
            Ok(Ok(response)) => {
                if outbound.progress.as_ref().is_some_and(|progress| progress.is_running()) {
                    connection.detach();
                }
                return Ok(Answer { response, slot, connection });
            }
            Ok(Err(unsent)) => match unsent {
                // Nothing of it left this process: the connection had been closed by its other end.
                Some(request) => {
                    outbound.give_back(*request);
                    if fresh {
                        // It takes connections and closes them: a balancer with nothing behind it does.
                        task.fail();
                        return Err(no_connection());
                    }
                    connection = connect(attempt, task).await?;
                    fresh = true;
                }
                None => return Err(broken(outbound)),
            },
            Err(_elapsed) => return Err(late(outbound)),
        }
    }
}

fn connect<'a>(attempt: &'a Attempt<'_>, task: &'a Task) -> Boxed<'a, Result<Connection, Failure>> {
    Box::pin(open(attempt, task))
}

async fn open(attempt: &Attempt<'_>, task: &Task) -> Result<Connection, Failure> {
    attempt.worker.shard.upstream_connections.add(1);
    let deadline = (Instant::now() + attempt.route.timeouts.connect).min(attempt.total_deadline());
    let opening = pool::connect(task.key, Target::Address(task.address), task.tls.as_deref());
    match attempt.timer.bound(|| deadline, opening).await {
        Ok(Ok(connection)) => Ok(connection),
        refused_or_late => {
            // Nobody is sent there until a probe finds it alive again; unless the fault was on this side.
            if !ours(&refused_or_late, attempt) {
                task.fail();
            }
            tracing::debug!(task = %task.name, address = %task.address, ?refused_or_late, "no connection to a task");
            Err(no_connection())
        }
    }
}

const fn no_connection() -> Failure {
    let detail = "no connection to the task could be opened";
    Failure::did_not_run(Spill::Connect, StatusCode::BAD_GATEWAY, detail)
}

fn broken(outbound: &Outbound) -> Failure {
    if outbound.progress.as_ref().is_some_and(|progress| progress.client_failed.get()) {
        return Failure::ran(
            StatusCode::BAD_REQUEST,
            "the request's body broke off or is malformed",
        );
    }
    Failure::unknown(StatusCode::BAD_GATEWAY, "the task closed the connection before it answered")
}

fn late(outbound: &Outbound) -> Failure {
    match outbound.progress.as_ref().map(|progress| progress.state.get()) {
        Some(Sending::Since(_)) if outbound.progress.as_ref().is_some_and(|p| p.starved.get()) => {
            Failure::ran(StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive in time")
                .timed_out()
        }
        _ => Failure::unknown(StatusCode::GATEWAY_TIMEOUT, "the task did not answer in time")
            .timed_out(),
    }
}
