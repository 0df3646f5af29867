//! One request, from its head to the head of its response.
//!
//! [`handle`] is the story: check, route, prepare, decide, dispatch. Everything it learns ends in one [`Outcome`],
//! which is written when the response's body has ended ([`exchange`]). Nothing here takes a lock or waits for the
//! control runtime.
//!
//! [`Outcome`]: predictor::outcome::Outcome

use std::{convert::Infallible, net::IpAddr, pin::Pin, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header::CONNECTION};
use hyper::body::Incoming;
use lambda_event::Format;
use policies::{
    decide::{
        self, Class, ContainerState, Decision, Facts, LambdaState, Lane, LaneStates, Refusal,
    },
    policy::{Route, RouteId, Service, SizeBy},
    route,
};
use predictor::outcome::Spill;
use tokio::time::Instant;

use crate::{
    lane::{
        Execution, Failure,
        body::{Payload, Progress, Sending, linger},
        container, lambda,
    },
    serve::{connection::Client, worker::Worker},
    world::{LocalWorld, SIZES},
};

mod collect;
pub(crate) mod exchange;
mod head;
mod outbound;
mod problem;
mod reply;
pub(crate) mod timer;
mod trace;

use exchange::Exchange;
use head::Seen;
use problem::Problem;
use reply::Reply;
use timer::Timer;
use trace::Trace;

pub(crate) use head::{REQUEST_ID, query_value, strip_trailers};
pub(crate) use outbound::{HeaderList, Outbound};
pub(crate) use reply::ResponseBody;
pub(crate) use trace::Traced;

/// How often one request is sent at most, over both lanes.
const SENDS_MAX: u8 = 3;

/// A step that is rare, or costly anyway. Its state lies on the heap while it runs: inside the request's own it would be
/// part of every connection's memory, and be moved with every request.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Answers one request. It cannot fail: whatever goes wrong becomes a response.
pub(crate) async fn handle(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let world = client.worker.world();
    let mut response = if request.uri().path() == &*world.policy.listen.health {
        client.ended(Instant::now());
        reply::health(client.worker.draining.get())
    } else {
        let mut exchange = Exchange::begin(&client, world, &request);
        let mut outbound = Outbound::new(request, client.worker.spare_headers());
        let reply = serve(&client, &mut exchange, &mut outbound).await;
        client.worker.spare_headers_back(outbound.copied);
        match reply {
            Ok(reply) => reply.into_response(exchange),
            Err(problem) => {
                if let Payload::Stream(_, unread) = outbound.payload {
                    linger(unread);
                }
                problem.into_response(exchange)
            }
        }
    };
    if client.worker.draining.get() {
        // The client's next request finds its way to another gateway.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Takes a request through check, route, prepare, decide and dispatch.
async fn serve(
    client: &Rc<Client>,
    exchange: &mut Exchange,
    outbound: &mut Outbound,
) -> Result<Reply, Problem> {
    let world = exchange.world.clone();
    let head = &mut outbound.head;
    let (seen, host) = Seen::of(&head.headers);
    if let Some(otlp) = &world.policy.otlp {
        exchange.trace = Trace::begin(otlp, head, seen.trace, &client.worker);
    }
    let host = head::check(head, &seen, host)?;
    head::normalise_path(&mut head.uri)?;

    let wanted = route::Head {
        host,
        path: head.uri.path(),
        query: head.uri.query(),
        method: &head.method,
        headers: &head.headers,
    };
    let id = world.policy.table.find(&wanted).ok_or_else(Problem::no_route)?;
    let route = world.policy.route(id);
    let service = world.policy.service(route.service);
    exchange.outcome.route = Some(id);
    exchange.outcome.size = size_of(&head.headers, &head.uri, route);
    client.ends_by(exchange.arrived + route.timeouts.total);

    let endpoints = world.endpoints(route.service);
    let format = endpoints.function.as_ref().map_or(Format::ApigwV2, |function| function.format);
    let mut facts = head::facts(head, &seen, &outbound.payload, format);
    outbound.format = format;
    let request_id = exchange.request_id.header(&client.worker);
    head::prepare(&mut head.headers, &seen, client, request_id);
    exchange.trace.pass_on(&mut head.headers, &client.worker);
    exchange.address = head::client_address(&head.headers, client);
    outbound.repeatable = head::may_repeat(&head.method, &head.headers, &route.retry);
    outbound.hostless = seen.hosts == 0;
    let attempt = Attempt {
        worker: &client.worker,
        client,
        world: &world,
        id,
        route,
        timer: &client.timer,
        arrived: exchange.arrived,
        peer: exchange.address,
        draw: client.worker.random(),
    };
    if facts.body == decide::Body::Streaming {
        facts.body = collect::read_ahead(&attempt, service, facts, outbound).await?;
    }

    let decision = decide_lane(&attempt, service, exchange.outcome.size, &facts);
    exchange.outcome.decision = Some(decision);
    client.worker.shard.count_asked(id, decision, &world);
    dispatch(&attempt, decision, outbound, exchange).await
}

fn decide_lane(attempt: &Attempt<'_>, service: &Service, size: u8, facts: &Facts) -> Decision {
    let endpoints = attempt.world.endpoints(attempt.route.service);
    let (function, keys) = (endpoints.function.as_ref(), attempt.world.keys.as_ref());
    if let (Some(function), Some(keys)) = (function, keys) {
        function.probe_if_due(attempt.worker, keys, attempt.route.timeouts.connect);
    }
    let room = endpoints.tasks.as_ref().map(|tasks| tasks.room()).unwrap_or_default();
    let waiting = endpoints.tasks.as_ref().map_or(0, |tasks| tasks.waiting());
    let states = LaneStates {
        lambda: LambdaState {
            up: keys.is_some()
                && function.is_some_and(|function| function.is_up_for(attempt.has_only_lambda())),
            in_flight: function.map_or(0, |function| function.in_flight()),
        },
        // Whoever waits has the next free slot: none is free for this one.
        container: ContainerState {
            up: 0 < room.ready,
            slots: room.slots,
            slots_free: if 0 < waiting { 0 } else { room.free },
            waiting,
        },
    };
    let belief = attempt.world.beliefs.of(attempt.id, size);
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
        return Err(Problem::refused(decision.refusal().unwrap_or(Refusal::Unavailable)));
    };
    attempt.worker.earn_retry(attempt.world, attempt.route);
    let mut failed_task = None;
    let mut sends = 1;
    loop {
        exchange.outcome.lane = Some(lane);
        let result = match lane {
            Lane::Container => to_container(attempt, outbound, exchange, &mut failed_task).await,
            Lane::Lambda => boxed_to_lambda(attempt, outbound, exchange).await,
        };
        let failure = match result {
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        };
        let next = next_lane(attempt, decision, lane, &failure, sends, outbound, failed_task);
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
        outbound.restore();
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
    sends: u8,
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
        (Lane::Container, Spill::Failed) => tasks.is_some_and(|tasks| 0 < tasks.room().ready),
        // Another environment may answer; when that failed too, it is Lambda itself.
        (Lane::Lambda, Spill::Failed) => sends == 1 || other.is_none(),
        _ => false,
    };
    // A lane that failed twice may be gone as a whole: the last send goes to the other one, where there is one.
    let last = sends + 1 == SENDS_MAX && other.is_some();
    if same_lane && !last && attempt.worker.spend_retry(attempt.world, attempt.route) {
        return Some(lane);
    }
    // Leaving a lane adds no load to it, so a spill of what did not run needs no budget; a repetition does.
    other.filter(|_| {
        failure.ran == Execution::DidNotRun
            || attempt.worker.spend_retry(attempt.world, attempt.route)
    })
}

async fn to_container(
    attempt: &Attempt<'_>,
    outbound: &mut Outbound,
    exchange: &mut Exchange,
    failed_task: &mut Option<u64>,
) -> Result<Reply, Failure> {
    let none = "the service has no tasks";
    let none = Failure::did_not_run(Spill::Connect, StatusCode::SERVICE_UNAVAILABLE, none);
    let tasks = attempt.world.endpoints(attempt.route.service).tasks.as_ref().ok_or(none)?;
    if collect::is_small(outbound) {
        collect::keep(attempt, outbound).await.map_err(Problem::into_failure)?;
    }
    let slot = container::acquire(attempt, tasks, *failed_task).await?;
    *failed_task = Some(slot.task().key);
    exchange.task(slot.task());
    let sent = container::send(attempt, outbound, slot).await;
    exchange.progress.clone_from(&outbound.progress);
    if let Payload::Whole { bytes, .. } = &outbound.payload {
        exchange.outcome.bytes_in = bytes.len() as u64;
    }
    Ok(Reply::from_task(sent?, attempt, exchange))
}

fn boxed_to_lambda<'a>(
    attempt: &'a Attempt<'_>,
    outbound: &'a mut Outbound,
    exchange: &'a mut Exchange,
) -> Boxed<'a, Result<Reply, Failure>> {
    Box::pin(to_lambda(attempt, outbound, exchange))
}

async fn to_lambda(
    attempt: &Attempt<'_>,
    outbound: &mut Outbound,
    exchange: &mut Exchange,
) -> Result<Reply, Failure> {
    let refuse =
        |cause, detail| Failure::did_not_run(cause, StatusCode::SERVICE_UNAVAILABLE, detail);
    let none = || refuse(Spill::Misconfigured, "there are no AWS credentials yet");
    let endpoints = attempt.world.endpoints(attempt.route.service);
    let function = endpoints.function.as_ref().ok_or_else(none)?;
    let keys = attempt.world.keys.as_ref().ok_or_else(none)?;
    let whole = collect::collect(attempt, outbound, decide::LAMBDA_EVENT_MAX).await;
    if !whole.map_err(Problem::into_failure)? {
        return Err(refuse(Spill::TooLarge, "the gateway's buffers are full"));
    }
    let body = match &outbound.payload {
        Payload::Whole { bytes, .. } => bytes.clone(),
        _ => Bytes::new(),
    };
    exchange.outcome.bytes_in = body.len() as u64;
    attempt.client.sent.set(None);
    let class = exchange.outcome.decision.map_or(Class::Sprinter, |decision| decision.class);
    let invoked = lambda::invoke(attempt, class, outbound, &body, function, keys).await;
    let sent = attempt.client.sent.get();
    let took = sent.map_or(Duration::ZERO, |sent| sent.elapsed());
    match invoked {
        Ok(invoked) => {
            if let lambda::Content::Whole(_, _, usage) = &invoked.content {
                exchange.outcome.service_us = micros(took);
                exchange.outcome.usage += *usage;
            }
            Ok(Reply::from_function(invoked, &outbound.head.method, attempt, exchange))
        }
        Err(failure) => {
            // A run that fails is billed like any other. One that the policy gave up on goes on, and is counted when it ends.
            let goes_on = failure.ran == Execution::Unknown && failure.timed_out;
            if failure.ran != Execution::DidNotRun && !goes_on {
                exchange.outcome.usage += function.estimate(took);
            }
            Err(failure)
        }
    }
}

/// What every step of dispatching one request reads.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) client: &'a Client,
    pub(crate) world: &'a LocalWorld,
    pub(crate) id: RouteId,
    pub(crate) route: &'a Route,
    pub(crate) timer: &'a Timer,
    /// When the request's head had been read.
    pub(crate) arrived: Instant,
    /// The client's address, behind trusted proxies.
    pub(crate) peer: IpAddr,
    /// A random number for the choices of this request.
    pub(crate) draw: u64,
}

impl Attempt<'_> {
    /// Returns when the whole request must have ended.
    pub(crate) fn total_deadline(&self) -> Instant {
        self.arrived + self.route.timeouts.total
    }

    /// Tells whether the request can go nowhere but to Lambda.
    pub(crate) fn has_only_lambda(&self) -> bool {
        !self.route.lanes.container || self.world.endpoints(self.route.service).tasks.is_none()
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
    size_class(number)
}

/// Returns the power of two of a number as a request has it; 0 when it has none.
pub(crate) fn size_class(number: Option<&str>) -> u8 {
    let number = number.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    number.checked_ilog2().map_or(0, |log| (log as u8 + 1).min(SIZES as u8 - 1))
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
