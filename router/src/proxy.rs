//! One request, from its head to the head of its response.
//!
//! [`handle`] is the story: check, route, prepare, decide, dispatch. Everything it learns ends in one [`Outcome`],
//! which is written when the response's body has ended ([`exchange`]). Nothing here takes a lock or waits for the
//! control runtime.
//!
//! [`Outcome`]: predictor::outcome::Outcome

use std::{cell::Cell, convert::Infallible, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use policies::{
    decide::{self, ContainerState, Decision, Facts, LambdaState, Lane, LaneStates, Refusal},
    policy::{Route, RouteId, Service, SizeBy},
    route,
};
use predictor::outcome::Spill;
use tokio::time::Instant;

use crate::{
    lane::{
        Execution, Failure,
        body::{Outgoing, Payload, Progress, Sending},
        container, lambda,
    },
    serve::{connection::Client, worker::Worker},
    world::{SIZES, World},
};

pub(crate) mod exchange;
mod head;
mod problem;
mod reply;
pub(crate) mod timer;

use exchange::Exchange;
pub(crate) use head::REQUEST_ID;
use problem::Problem;
use reply::Reply;
pub(crate) use reply::ResponseBody;
use timer::Timer;

/// How often one request is sent at most, over both lanes.
const SENDS_MAX: u8 = 3;

/// Answers one request. It cannot fail: whatever goes wrong becomes a response.
pub(crate) async fn handle(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let world = client.worker.world();
    if request.uri().path() == &*world.policy.listen.health {
        return Ok(reply::health(client.worker.draining.get()));
    }
    let mut exchange = Exchange::begin(&client, world, &request);
    let reply = serve(&client, &mut exchange, request).await;
    Ok(match reply {
        Ok(reply) => reply.into_response(exchange),
        Err(problem) => problem.into_response(exchange),
    })
}

async fn serve(
    client: &Rc<Client>,
    exchange: &mut Exchange,
    request: Request<Incoming>,
) -> Result<Reply, Problem> {
    let world = exchange.world.clone();
    let (mut parts, body) = request.into_parts();
    head::check(&parts)?;
    head::normalise_path(&mut parts.uri)?;

    let found = {
        let path = parts.uri.path();
        let wanted = route::Head {
            host: head::host(&parts.headers),
            path,
            query: parts.uri.query(),
            method: &parts.method,
            headers: &parts.headers,
        };
        world.policy.table.find(&wanted)
    };
    let id = found.ok_or_else(Problem::no_route)?;
    let route = world.policy.route(id);
    let service = world.policy.service(route.service);
    exchange.outcome.route = Some(id);
    client.ends_by(exchange.arrived + route.timeouts.total);
    exchange.outcome.size = size_of(&parts.headers, &parts.uri, route);

    let mut facts = head::facts(&parts, &body);
    head::prepare(&mut parts.headers, client, exchange.request_id.header());
    let attempt = Attempt {
        worker: &client.worker,
        world: &world,
        route,
        timer: &client.timer,
        arrived: exchange.arrived,
        peer: head::client_address(&parts.headers, client),
        draw: client.worker.random(),
        waited: Cell::default(),
        sent: Cell::default(),
    };
    let repeatable = head::may_repeat(&parts.method, &parts.headers, &route.retry);
    let mut outbound = Outbound {
        payload: if body.is_end_stream() { Payload::Empty } else { Payload::Stream(None, body) },
        head: Head { method: parts.method, uri: parts.uri, headers: parts.headers },
        progress: None,
        repeatable,
    };
    if facts.body == decide::Body::Streaming && route.lanes.lambda && service.lambda.is_some() {
        facts.body = read_ahead(&attempt, &mut outbound).await?;
    }

    let decision = decide_lane(&attempt, service, id, exchange.outcome.size, &facts);
    exchange.outcome.decision = Some(decision);
    let mut reply = dispatch(&attempt, decision, &mut outbound, exchange).await;
    if let (Err(problem), Payload::Stream(_, body)) =
        (&mut reply, std::mem::replace(&mut outbound.payload, Payload::Empty))
    {
        problem.unread = Some(body);
    }
    exchange.outcome.queue_wait_us = micros(attempt.waited.get());
    exchange.sent = attempt.sent.get();
    exchange.progress = outbound.progress.take();
    reply
}

/// Reads a body of unknown length as far as the route's `buffer`, to learn whether Lambda could take it.
async fn read_ahead(
    attempt: &Attempt<'_>,
    outbound: &mut Outbound,
) -> Result<decide::Body, Problem> {
    if collect(attempt, outbound, attempt.route.buffer).await? {
        let Payload::Whole { bytes, .. } = &outbound.payload else {
            return Ok(decide::Body::Empty);
        };
        return Ok(decide::Body::Encoded(outbound.event_size(bytes.len() as u64)));
    }
    Ok(decide::Body::Streaming)
}

/// Reads the body into memory, up to `limit` bytes. Returns false, and leaves a stream, when there is more.
async fn collect(
    attempt: &Attempt<'_>,
    outbound: &mut Outbound,
    limit: u64,
) -> Result<bool, Problem> {
    let Payload::Stream(ahead, mut body) = std::mem::replace(&mut outbound.payload, Payload::Spent)
    else {
        unreachable!("only a stream is collected");
    };
    let buffered = attempt.worker.budget.take(0).ok_or_else(Problem::buffers_full)?;
    let mut bytes = BytesMut::from(ahead.unwrap_or_default());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    loop {
        let deadline = (Instant::now() + attempt.route.timeouts.idle).min(attempt.total_deadline());
        let frame = attempt
            .timer
            .bound(|| deadline, body.frame())
            .await
            .map_err(|_| Problem::body_late())?;
        let Some(frame) = frame else {
            outbound.payload = Payload::Whole { bytes: bytes.freeze(), _held: buffered };
            return Ok(true);
        };
        // Trailers end here: Lambda has no place for them, and a request that announced some did not come here.
        let Ok(data) = frame.map_err(|_| Problem::body_broken())?.into_data() else { continue };
        let fits = bytes.len() + data.len() <= limit && buffered.grow(data.len() as u64);
        bytes.extend_from_slice(&data);
        if !fits {
            outbound.payload = Payload::Stream(Some(bytes.freeze()), body);
            return Ok(false);
        }
    }
}

fn decide_lane(
    attempt: &Attempt<'_>,
    service: &Service,
    id: RouteId,
    size: u8,
    facts: &Facts,
) -> Decision {
    let endpoints = attempt.world.endpoints(attempt.route.service);
    let (ready, free) = endpoints.tasks.as_ref().map_or((0, 0), |tasks| tasks.room());
    let waiting = endpoints.tasks.as_ref().map_or(0, |tasks| tasks.waiting());
    let states = LaneStates {
        lambda: LambdaState {
            up: attempt.world.keys.is_some()
                && endpoints.function.as_ref().is_some_and(|function| function.is_up()),
            in_flight: endpoints.function.as_ref().map_or(0, |function| function.in_flight()),
        },
        // Whoever waits has the next free slot: none is free for this one.
        container: ContainerState {
            up: 0 < ready,
            slots_free: if 0 < waiting { 0 } else { free },
            waiting,
        },
    };
    let belief = attempt.world.beliefs.of(id, size);
    decide::decide(facts, attempt.route, service, belief, &states, attempt.draw)
}

/// Sends the request to the lane that was decided; when that fails, wherever the failure's type allows.
async fn dispatch(
    attempt: &Attempt<'_>,
    decision: Decision,
    outbound: &mut Outbound,
    exchange: &mut Exchange,
) -> Result<Reply, Problem> {
    let Some(mut lane) = decision.lane else {
        return Err(Problem::refused(decision.refusal().unwrap_or(Refusal::Unavailable), decision));
    };
    attempt.worker.earn_retry(attempt.route);
    let mut failed_task = None;
    let mut sends = 1;
    loop {
        exchange.outcome.lane = Some(lane);
        let result = match lane {
            Lane::Container => to_container(attempt, outbound, exchange, &mut failed_task).await,
            Lane::Lambda => to_lambda(attempt, outbound, exchange).await,
        };
        let failure = match result {
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        };
        let next = next_lane(attempt, decision, lane, &failure, outbound, failed_task);
        let Some(next) = next.filter(|_| sends < SENDS_MAX) else {
            return Err(Problem::failed(&failure, lane));
        };
        tracing::debug!(
            from = lane.as_str(),
            to = next.as_str(),
            cause = failure.cause.as_str(),
            "sending again"
        );
        if next != lane && exchange.outcome.spill.is_none() {
            exchange.outcome.spill = Some(failure.cause);
        }
        exchange.outcome.retries += 1;
        sends += 1;
        lane = next;
    }
}

/// Returns where a request goes after `failure`; `None` when that is the end of it.
fn next_lane(
    attempt: &Attempt<'_>,
    decision: Decision,
    lane: Lane,
    failure: &Failure,
    outbound: &Outbound,
    failed_task: Option<u64>,
) -> Option<Lane> {
    let allowed = match failure.ran {
        Execution::DidNotRun => attempt.route.retry.did_not_run,
        Execution::Unknown => outbound.repeatable && !failure.timed_out,
        Execution::Ran => false,
    };
    if !allowed || !outbound.payload.can_send() || attempt.total_deadline() <= Instant::now() {
        return None;
    }
    // The other lane, unless it was the one that was left already.
    let other = decision.spill.filter(|spill| {
        *spill != lane && decision.lane == Some(lane) && attempt.route.lanes.has(*spill)
    });
    let tasks = attempt.world.endpoints(attempt.route.service).tasks.as_ref();
    let same_lane = match (lane, failure.cause) {
        (Lane::Container, Spill::Connect | Spill::Busy) => {
            tasks.is_some_and(|tasks| tasks.has_other_than(failed_task))
        }
        (Lane::Container, Spill::Failed) => tasks.is_some_and(|tasks| 0 < tasks.room().0),
        (Lane::Lambda, Spill::Failed) => true,
        _ => false,
    };
    if same_lane && attempt.worker.spend_retry(attempt.route) {
        return Some(lane);
    }
    // Leaving a lane adds no load to it, so a spill of what did not run needs no budget; a repetition does.
    other.filter(|_| {
        failure.ran == Execution::DidNotRun || attempt.worker.spend_retry(attempt.route)
    })
}

async fn to_container(
    attempt: &Attempt<'_>,
    outbound: &mut Outbound,
    exchange: &mut Exchange,
    failed_task: &mut Option<u64>,
) -> Result<Reply, Failure> {
    let unavailable = Failure::did_not_run(
        Spill::Connect,
        StatusCode::SERVICE_UNAVAILABLE,
        "the service has no tasks",
    );
    let tasks = attempt.world.endpoints(attempt.route.service).tasks.as_ref().ok_or(unavailable)?;
    let slot = container::acquire(attempt, tasks, *failed_task).await?;
    *failed_task = Some(slot.task().key);
    exchange.task(slot.task());
    let answer = container::send(attempt, outbound, slot).await?;
    Ok(Reply::from_task(answer, attempt))
}

async fn to_lambda(
    attempt: &Attempt<'_>,
    outbound: &mut Outbound,
    exchange: &mut Exchange,
) -> Result<Reply, Failure> {
    let misconfigured = || {
        Failure::did_not_run(
            Spill::Misconfigured,
            StatusCode::SERVICE_UNAVAILABLE,
            "there are no AWS credentials yet",
        )
    };
    let function = attempt
        .world
        .endpoints(attempt.route.service)
        .function
        .as_ref()
        .ok_or_else(misconfigured)?;
    let keys = attempt.world.keys.as_ref().ok_or_else(misconfigured)?;
    if matches!(outbound.payload, Payload::Stream(..)) {
        let full = || {
            Failure::did_not_run(
                Spill::TooLarge,
                StatusCode::SERVICE_UNAVAILABLE,
                "the gateway's buffers are full",
            )
        };
        let whole = collect(attempt, outbound, decide::LAMBDA_EVENT_MAX)
            .await
            .map_err(Problem::into_failure)?;
        whole.then_some(()).ok_or_else(full)?;
    }
    let body = match &outbound.payload {
        Payload::Whole { bytes, .. } => bytes.clone(),
        _ => Bytes::new(),
    };
    exchange.outcome.bytes_in = body.len() as u64;
    let mut invoked = lambda::invoke(attempt, outbound, &body, function, keys).await?;
    exchange.outcome.service_us = attempt.sent.get().map_or(0, |sent| micros(sent.elapsed()));
    exchange.outcome.usage = reply::usage(&mut invoked, attempt.sent.get());
    Ok(Reply::from_function(invoked, attempt))
}

/// What every step of dispatching one request reads.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) world: &'a Arc<World>,
    pub(crate) route: &'a Route,
    pub(crate) timer: &'a Timer,
    /// When the request's head had been read.
    pub(crate) arrived: Instant,
    /// The client's address, behind trusted proxies.
    pub(crate) peer: IpAddr,
    /// A random number for the choices of this request.
    pub(crate) draw: u64,
    /// How long it waited for a slot.
    pub(crate) waited: Cell<Duration>,
    /// When it was last handed to a lane.
    pub(crate) sent: Cell<Option<Instant>>,
}

impl Attempt<'_> {
    /// Returns when the whole request must have ended.
    pub(crate) fn total_deadline(&self) -> Instant {
        self.arrived + self.route.timeouts.total
    }

    /// Returns when a request sent at `sent` must have been answered, as far as its body has come.
    pub(crate) fn head_deadline(&self, sent: Instant, progress: Option<&Progress>) -> Instant {
        let timeouts = &self.route.timeouts;
        let deadline = match progress.map(|progress| progress.state.get()) {
            None | Some(Sending::Done) => sent + timeouts.first_byte,
            // Looked at again within `first_byte`, which begins when the upload ends: the timer must not be late for that.
            Some(Sending::Since(last)) => {
                (last + timeouts.idle).min(Instant::now() + timeouts.first_byte)
            }
            Some(Sending::DoneAt(last)) => last + timeouts.first_byte,
        };
        deadline.min(self.total_deadline())
    }
}

/// A request's line and headers, as they are sent on.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

/// A request on its way to a lane.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) head: Head,
    pub(crate) payload: Payload,
    /// How far the upload has come; only of a stream.
    pub(crate) progress: Option<Rc<Progress>>,
    /// Whether running it twice does no harm.
    pub(crate) repeatable: bool,
}

impl Outbound {
    /// Makes the request to send. What may be sent again is copied, all else is moved.
    pub(crate) fn request(&mut self) -> Request<Outgoing> {
        let again = self.repeatable && !matches!(self.payload, Payload::Stream(..));
        let mut request = Request::new(Outgoing::Empty);
        if again {
            *request.headers_mut() = self.head.headers.clone();
            *request.uri_mut() = self.head.uri.clone();
        } else {
            std::mem::swap(request.headers_mut(), &mut self.head.headers);
            std::mem::swap(request.uri_mut(), &mut self.head.uri);
        }
        *request.method_mut() = self.head.method.clone();
        if matches!(self.payload, Payload::Stream(..)) {
            self.progress = Some(Rc::default());
        }
        *request.body_mut() = self.payload.outgoing(self.progress.as_ref());
        request
    }

    /// Takes back a request of which nothing was sent.
    pub(crate) fn give_back(&mut self, request: Request<Outgoing>) {
        let (parts, body) = request.into_parts();
        self.head = Head { method: parts.method, uri: parts.uri, headers: parts.headers };
        self.payload.give_back(body);
    }

    /// Returns at most how large the event of this request with a body of `length` bytes would be.
    fn event_size(&self, length: u64) -> u64 {
        let uri = &self.head.uri;
        lambda_event::event_size_max(
            &self.head.headers,
            uri.path().len(),
            uri.query().map_or(0, str::len),
            length,
        )
    }
}

/// Returns the power of two of the number that the route's cost grows with, as the index of its profile.
pub(crate) fn size_of(headers: &HeaderMap, uri: &Uri, route: &Route) -> u8 {
    let number = match &route.auto.size_by {
        None => return 0,
        Some(SizeBy::Query(name)) => uri.query().and_then(|query| head::query_value(query, name)),
        Some(SizeBy::Header(name)) => headers.get(name).and_then(|value| value.to_str().ok()),
        Some(SizeBy::ContentLength) => {
            headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok())
        }
    };
    let number = number.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    number.checked_ilog2().map_or(0, |log| (log as u8 + 1).min(SIZES as u8 - 1))
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
