//! Responses on their way to the client.
//!
//! A task's response streams through with its slot and connection attached, so that both come back at its last byte; a
//! function's response is whole. Either way the [`Exchange`] rides on the body and ends with it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use policies::policy::Timeouts;
use predictor::outcome::End;
use tokio::time::Instant;

use super::{
    Attempt,
    exchange::Exchange,
    head::{self, REQUEST_ID, Seen},
};
use crate::lane::{
    body,
    budget::Buffered,
    container::{self, Slot},
    lambda::{self, Invoked, Streaming},
    pool::Connection,
};

/// The response header that shows the decision, where policy asks for it.
const DECISION: HeaderName = HeaderName::from_static("x-pacer-decision");

/// A lane's response.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Nothing, or nothing more.
    None,
    /// All of it, and what it takes of the buffer budget.
    Whole(Bytes, Option<Buffered>),
    /// A task's response, still coming: the exchange's [`Stream`].
    Stream,
}

/// A response that is still coming.
#[derive(Debug)]
pub(super) struct Stream {
    source: Source,
    /// Its last piece has been taken. Of a body without a length, `is_end_stream` does not tell.
    ended: bool,
    timeouts: Timeouts,
    /// When the next piece must have come; set while waiting for it.
    deadline: Option<Instant>,
    /// It broke off; the client is told when it has been sent what came before.
    broken: Option<Broken>,
}

/// Where a response comes from, and what it holds there.
#[derive(Debug)]
enum Source {
    /// A task: its slot is given back by drop, its connection when all has been read.
    Task { body: Incoming, connection: Option<Connection>, _slot: Slot },
    /// A function.
    Function(Box<Streaming>),
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self {
            Self::Task { body, connection: Some(connection), .. } => {
                connection.poll_frame(body, cx).map_err(|_| Broken::Lane)
            }
            Self::Task { connection: None, .. } => Poll::Ready(None),
            Self::Function(streaming) => {
                let piece = std::task::ready!(streaming.poll_piece(cx));
                Poll::Ready(piece.map(|piece| piece.map(Frame::data).map_err(|()| Broken::Lane)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Task { body, .. } => body.is_end_stream(),
            Self::Function(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Task { body, .. } => body.size_hint(),
            Self::Function(_) => SizeHint::default(),
        }
    }
}

impl Reply {
    /// A task's response.
    pub(super) fn from_task(
        answer: container::Answer,
        attempt: &Attempt<'_>,
        exchange: &mut Exchange,
    ) -> Self {
        let (mut parts, body) = answer.response.into_parts();
        let (seen, _) = Seen::of(&parts.headers);
        // RFC 9112 section 6.3: with both, the transfer coding counts, and the length must not be passed on.
        if seen.transfer_encoding {
            parts.headers.remove(CONTENT_LENGTH);
        }
        head::strip_seen(&mut parts.headers, &seen);
        let (connection, slot) = (Some(answer.connection), answer.slot);
        exchange.stream = Some(Stream {
            source: Source::Task { body, connection, _slot: slot },
            ended: false,
            timeouts: attempt.route.timeouts,
            deadline: None,
            broken: None,
        });
        Self { status: parts.status, headers: parts.headers, content: Content::Stream }
    }

    /// A function's response.
    pub(super) fn from_function(
        invoked: Invoked,
        method: &Method,
        attempt: &Attempt<'_>,
        exchange: &mut Exchange,
    ) -> Self {
        let bodiless = *method == Method::HEAD
            || matches!(invoked.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let mut headers = invoked.headers;
        head::strip(&mut headers);
        let content = match invoked.content {
            lambda::Content::Whole(bytes, buffered, _) => Content::Whole(bytes, Some(buffered)),
            // What the function writes all the same is read, and counted, in the background.
            lambda::Content::Streaming(_) if bodiless => {
                exchange.end = Some(End::Complete);
                Content::None
            }
            lambda::Content::Streaming(streaming) => {
                exchange.stream = Some(Stream {
                    source: Source::Function(streaming),
                    ended: false,
                    timeouts: attempt.route.timeouts,
                    deadline: None,
                    broken: None,
                });
                Content::Stream
            }
        };
        Self { status: invoked.status, headers, content }
    }

    /// Makes the response that the client is sent.
    pub(super) fn into_response(mut self, mut exchange: Box<Exchange>) -> Response<ResponseBody> {
        exchange.outcome.status = self.status.as_u16();
        explain(&mut self.headers, &exchange);
        let body = match self.content {
            Content::Whole(bytes, buffered) => {
                exchange.outcome.bytes_out = bytes.len() as u64;
                exchange.end = Some(End::Complete);
                ResponseBody {
                    content: Content::Whole(bytes, buffered),
                    polled: false,
                    exchange: Some(exchange),
                }
            }
            content => ResponseBody { content, polled: false, exchange: Some(exchange) },
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Adds the headers that show the decision, where the route's policy asks for them.
pub(super) fn explain(headers: &mut HeaderMap, exchange: &Exchange) {
    let Some(route) = exchange
        .outcome
        .route
        .map(|id| exchange.world.policy.route(id))
        .filter(|route| route.decision_header)
    else {
        return;
    };
    headers.insert(REQUEST_ID, exchange.request_id.header(&exchange.client.worker));
    let Some(decision) = exchange.outcome.decision else { return };
    let lane = exchange.outcome.lane.map_or("none", |lane| lane.as_str());
    let mut text = format!(
        "lane={lane} class={} reason={} route=\"{}\"",
        decision.class.as_str(),
        decision.reason.as_str(),
        route.name
    );
    if let Some(spill) = exchange.outcome.spill {
        text.push_str(" spill=");
        text.push_str(spill.as_str());
    }
    if let Some(cold) = exchange.outcome.usage.cold_start {
        text.push_str(if cold { " start=cold" } else { " start=warm" });
    }
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(DECISION, value);
    }
}

/// Answers the health path: 200 while the gateway takes traffic, 503 while it drains.
pub(super) fn health(draining: bool) -> Response<ResponseBody> {
    let (status, text) = if draining {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    };
    let mut response = Response::new(ResponseBody {
        content: Content::Whole(Bytes::from_static(text.as_bytes()), None),
        polled: false,
        exchange: None,
    });
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// The body of a response, with everything that ends when it ends.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    content: Content,
    /// A piece of it was asked for.
    polled: bool,
    exchange: Option<Box<Exchange>>,
}

impl ResponseBody {
    /// No body, and no record.
    pub(super) const fn empty() -> Self {
        Self { content: Content::None, polled: false, exchange: None }
    }

    /// A whole body.
    pub(super) const fn whole(bytes: Bytes, exchange: Box<Exchange>) -> Self {
        Self { content: Content::Whole(bytes, None), polled: false, exchange: Some(exchange) }
    }

    fn stream(&self) -> Option<&Stream> {
        self.exchange.as_ref()?.stream.as_ref()
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Some(exchange) = self.exchange.as_deref_mut() else { return Poll::Ready(None) };
        let Some(stream) = &mut exchange.stream else { return Poll::Ready(None) };
        if let Some(broken) = stream.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        match stream.source.poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                stream.deadline = None;
                if let Some(trailers) = frame.trailers_mut() {
                    head::strip(trailers);
                }
                // Nothing follows trailers, and nobody asks again after them.
                stream.ended = frame.is_trailers();
                exchange.outcome.bytes_out += frame.data_ref().map_or(0, Bytes::len) as u64;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                stream.ended = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(broken))) => {
                exchange.end = Some(End::LaneFailed);
                // hyper drops what it has not written yet when a body fails: the head, often.
                stream.broken = Some(broken);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => {
                let total = exchange.arrived + stream.timeouts.total;
                let timer = &exchange.client.timer;
                let idle = stream.timeouts.idle;
                let deadline =
                    *stream.deadline.get_or_insert_with(|| (Instant::now() + idle).min(total));
                std::task::ready!(timer.poll(|| deadline, cx));
                exchange.end = Some(End::TimedOut);
                Poll::Ready(Some(Err(Broken::Late)))
            }
        }
    }
}

/// Why a response broke off after its head: the client's connection is cut, so that it cannot take the part for the
/// whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The lane broke off.
    #[error("the lane broke off in the middle of its response")]
    Lane,
    /// A timeout of the policy ran out.
    #[error("the rest of the response did not come in time")]
    Late,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        match &mut this.content {
            Content::None => Poll::Ready(None),
            Content::Whole(bytes, _) => {
                this.polled = true;
                Poll::Ready(body::next_piece(bytes).map(|piece| Ok(Frame::data(piece))))
            }
            Content::Stream => this.poll_stream(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::None => true,
            Content::Whole(bytes, _) => bytes.is_empty(),
            Content::Stream => self.stream().is_none_or(|stream| stream.source.is_end_stream()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::None => SizeHint::with_exact(0),
            Content::Whole(bytes, _) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream => {
                self.stream().map_or_else(SizeHint::default, |stream| stream.source.size_hint())
            }
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let Some(exchange) = &mut self.exchange else { return };
        let now = Instant::now();
        exchange.ended = Some(now);
        match &mut self.content {
            Content::None => return,
            Content::Whole(rest, _) => {
                // Not taken at all is a HEAD, or a client that was gone already: neither is told from the other here.
                exchange.outcome.bytes_out -= rest.len() as u64;
                if self.polled && !rest.is_empty() {
                    exchange.end = Some(End::ClientGone);
                }
                return;
            }
            Content::Stream => {}
        }
        let Some(stream) = &mut exchange.stream else { return };
        let complete = exchange.end.is_none() && (stream.ended || stream.source.is_end_stream());
        if complete {
            exchange.end = Some(End::Complete);
        }
        match &mut stream.source {
            // Only a response that was read to its end leaves a connection that the next request can use.
            Source::Task { connection, .. } => {
                if let Some(connection) = connection.take().filter(|_| complete) {
                    exchange.client.worker.pool.put(connection, now);
                }
            }
            Source::Function(streaming) => {
                if let Some(usage) = streaming.end() {
                    exchange.outcome.usage += usage;
                }
            }
        }
    }
}
