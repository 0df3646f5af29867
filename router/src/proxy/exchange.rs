//! The record of one request while it is served.
//!
//! It begins with the head and ends with the last byte of the response, or when either side goes away: whatever happens,
//! dropping it writes the [`Outcome`] once. Nobody has to remember to.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use predictor::outcome::{End, Outcome, Usage};
use tokio::time::Instant;

use super::{head::REQUEST_ID, micros, reply::Stream, trace::Trace};
use crate::{
    lane::{
        body::{Progress, Sending},
        container::Task,
    },
    serve::{connection::Client, worker::Worker},
    telemetry::otlp::Finished,
    world::LocalWorld,
};

/// Bytes of a trusted hop's request id that are kept; longer ones are replaced.
const REQUEST_ID_MAX: usize = 128;

/// One request being served.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Who asked.
    pub(super) client: Rc<Client>,
    /// What it is served by.
    pub(super) world: LocalWorld,
    /// What will be left of it.
    pub(crate) outcome: Outcome,
    /// When its head had been read.
    pub(super) arrived: Instant,
    /// The client's address, behind trusted hops.
    pub(super) address: IpAddr,
    /// How far its upload came.
    pub(super) progress: Option<Rc<Progress>>,
    /// The response of a task while it comes.
    pub(super) stream: Option<Stream>,
    /// How it ended; as long as nobody says, its client went away.
    pub(super) end: Option<End>,
    /// When it ended, when somebody looked at the clock already.
    pub(super) ended: Option<Instant>,
    /// Its name.
    pub(super) request_id: RequestId,
    /// What others are told of it.
    pub(super) trace: Trace,
    log: Option<Box<Logged>>,
}

/// The name of a request. One of our own stays a number until somebody reads it.
#[derive(Debug)]
pub(super) enum RequestId {
    /// 128 random bits, written as hex.
    Own(u128),
    /// What a trusted hop called it.
    Given(HeaderValue),
}

impl RequestId {
    fn random(worker: &Worker) -> Self {
        Self::Own(u128::from(worker.random()) << 64 | u128::from(worker.random()))
    }

    /// Returns it as a header's value.
    pub(super) fn header(&self, worker: &Worker) -> HeaderValue {
        match self {
            Self::Own(bits) => worker.short_value(&hex(*bits)),
            Self::Given(value) => value.clone(),
        }
    }

    /// Returns it as text.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Own(bits) => hex(*bits).iter().copied().map(char::from).collect(),
            Self::Given(value) => value.to_str().unwrap_or_default().to_owned(),
        }
    }
}

fn hex(bits: u128) -> [u8; 32] {
    /// Two digits of each byte.
    const DIGITS: [[u8; 2]; 256] = {
        let digits = b"0123456789abcdef";
        let mut pairs = [[0; 2]; 256];
        let mut byte = 0;
        while byte < 256 {
            pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
            byte += 1;
        }
        pairs
    };
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bits.to_be_bytes()) {
        pair.copy_from_slice(&DIGITS[usize::from(byte)]);
    }
    text
}

/// What only the access log wants; not kept when there is none.
#[derive(Debug)]
struct Logged {
    method: Method,
    path: String,
    task: Option<Arc<str>>,
}

impl Exchange {
    /// Begins the record of `request`.
    pub(super) fn begin(
        client: &Rc<Client>,
        world: LocalWorld,
        request: &Request<Incoming>,
    ) -> Box<Self> {
        let worker = &client.worker;
        let arrived = Instant::now();
        worker.shard.in_flight.add(1);
        client.began(arrived, world.policy.listen.idle_timeout);
        let given = client.trusted.then(|| request.headers().get(REQUEST_ID)).flatten();
        let given = given.filter(|id| id.len() <= REQUEST_ID_MAX && id.to_str().is_ok());
        let logged = || Logged {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            task: None,
        };
        Box::new(Self {
            request_id: given.cloned().map_or_else(|| RequestId::random(worker), RequestId::Given),
            log: worker.log.borrow().is_some().then(|| Box::new(logged())),
            outcome: Outcome {
                policy: world.generation,
                route: None,
                decision: None,
                lane: None,
                spill: None,
                arrived_us: worker.unix_us(arrived),
                queue_wait_us: 0,
                service_us: 0,
                total_us: 0,
                status: 0,
                bytes_in: 0,
                bytes_out: 0,
                end: End::ClientGone,
                retries: 0,
                size: 0,
                usage: Usage::default(),
            },
            trace: Trace::Unrecorded,
            client: client.clone(),
            world,
            arrived,
            address: client.address,
            progress: None,
            stream: None,
            end: None,
            ended: None,
        })
    }

    /// Notes the task that it was sent to.
    pub(super) fn task(&mut self, task: &Task) {
        if let Some(log) = &mut self.log {
            log.task = Some(task.name.clone());
        }
        if let Trace::Recorded(traced) = &mut self.trace {
            traced.task = Some(task.name.clone());
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let worker = &self.client.worker;
        let now = self.ended.unwrap_or_else(Instant::now);
        self.client.ended(now);
        let outcome = &mut self.outcome;
        outcome.end = self.end.unwrap_or(End::ClientGone);
        outcome.total_us = micros(now.duration_since(self.arrived));
        outcome.queue_wait_us = micros(self.client.waited.get());
        let mut sent = self.client.sent.get();
        if let Some(progress) = &self.progress {
            outcome.bytes_in = progress.bytes.get();
            // A slow upload is the client's time, not the service's.
            if let Sending::DoneAt(done) = progress.state.get() {
                sent = sent.max(Some(done));
            }
        }
        if let Some(sent) = sent.filter(|_| outcome.service_us == 0) {
            outcome.service_us = micros(now.saturating_duration_since(sent));
        }
        worker.shard.in_flight.sub(1);
        worker.shard.count(outcome, &self.world);
        worker.remember(outcome);
        if let Trace::Recorded(traced) = std::mem::take(&mut self.trace) {
            worker.record(Finished {
                traced,
                outcome: *outcome,
                sent_us: sent.map(|sent| worker.unix_us(sent)),
                request_id: self.request_id.text(),
                policy: self.world.policy.clone(),
            });
        }
        if let (Some(logged), Some(log)) = (&self.log, worker.log.borrow_mut().as_mut()) {
            let id = &*self.request_id.text();
            log.line(
                &self.world,
                outcome,
                &logged.method,
                &logged.path,
                id,
                self.address,
                logged.task.as_deref(),
            );
        }
    }
}
