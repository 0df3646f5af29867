//! Bodies read into memory.
//!
//! Three reasons to: Lambda takes a request whole; a body of unknown length must be known to decide; and a small body that
//! is kept can be sent again, and holds no slot while it trickles in. Everything read counts against `limits.buffered`.

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Body;
use policies::{
    decide::{self, Facts},
    policy::Service,
};
use tokio::time::Instant;

use super::{Attempt, Boxed, Outbound, Problem};
use crate::lane::body::{Ahead, Payload};

/// A body up to this size is read before a task is taken: one that arrives with its head costs a copy of some KiB, and
/// lets a refused POST go to another task.
const KEEP: u64 = 16 * 1024;

/// Reads a body of unknown length as far as the route's `buffer`, where that can tell whether Lambda could take it.
pub(super) fn read_ahead<'a>(
    attempt: &'a Attempt<'_>,
    service: &'a Service,
    facts: Facts,
    outbound: &'a mut Outbound,
) -> Boxed<'a, Result<decide::Body, Problem>> {
    Box::pin(read_as_far_as_buffer(attempt, service, facts, outbound))
}

async fn read_as_far_as_buffer(
    attempt: &Attempt<'_>,
    service: &Service,
    facts: Facts,
    outbound: &mut Outbound,
) -> Result<decide::Body, Problem> {
    let Facts { upgrade, grpc, trailers, .. } = facts;
    let never = upgrade || grpc || trailers || service.needs.storage || service.needs.affinity;
    let lambda = service.lambda.is_some() && attempt.route.lanes.lambda && !never;
    if facts.body != decide::Body::Streaming || !lambda {
        return Ok(facts.body);
    }
    if !collect(attempt, outbound, attempt.route.buffer).await? {
        return Ok(decide::Body::Streaming);
    }
    let Payload::Whole { bytes, .. } = &outbound.payload else { return Ok(decide::Body::Empty) };
    Ok(decide::Body::Encoded(outbound.event_size(bytes.len() as u64)))
}

/// Tells whether the body is a stream that is worth keeping.
pub(super) fn is_small(outbound: &Outbound) -> bool {
    let Payload::Stream(None, body) = &outbound.payload else { return false };
    body.size_hint().exact().is_some_and(|length| length <= KEEP)
}

/// Reads a small body whole, so that it can be sent again.
pub(super) fn keep<'a>(
    attempt: &'a Attempt<'_>,
    outbound: &'a mut Outbound,
) -> Boxed<'a, Result<bool, Problem>> {
    Box::pin(collect(attempt, outbound, KEEP))
}

/// Reads the body into memory, up to `limit` bytes. Returns false, and leaves a stream, when there is more.
pub(super) async fn collect(
    attempt: &Attempt<'_>,
    outbound: &mut Outbound,
    limit: u64,
) -> Result<bool, Problem> {
    let taken = std::mem::replace(&mut outbound.payload, Payload::Spent);
    let Payload::Stream(ahead, mut body) = taken else {
        outbound.payload = taken;
        return Ok(true);
    };
    let (mut bytes, held) = match ahead {
        Some(Ahead { bytes, held }) => (BytesMut::from(bytes), Some(held)),
        None => (BytesMut::new(), attempt.worker.budget.take(0)),
    };
    let Some(held) = held else {
        outbound.payload = Payload::Stream(None, body);
        return Err(Problem::buffers_full());
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    loop {
        let deadline = (Instant::now() + attempt.route.timeouts.idle).min(attempt.total_deadline());
        let frame = match attempt.timer.bound(|| deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => {
                outbound.payload = Payload::Whole { bytes: bytes.freeze(), _held: held };
                return Ok(true);
            }
            Ok(Some(Err(_))) => return Err(Problem::body_broken()),
            Err(_elapsed) => return Err(Problem::body_late()),
        };
        // Trailers end here: a request that announced some is not collected, and others are free to be dropped
        // (RFC 9110 section 6.5.1).
        let Ok(data) = frame.into_data() else { continue };
        let fits = bytes.len() + data.len() <= limit && held.grow(data.len() as u64);
        bytes.extend_from_slice(&data);
        if !fits {
            outbound.payload = Payload::Stream(Some(Ahead { bytes: bytes.freeze(), held }), body);
            return Ok(false);
        }
    }
}
