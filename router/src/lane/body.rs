//! Request bodies on their way to a lane.
//!
//! Three shapes, because each lane and each retry needs another: nothing, bytes that can be sent again, and a stream
//! that can be sent once.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{lane::budget::Buffered, proxy::strip_trailers};

/// A request's body before it is sent.
#[derive(Debug)]
pub(crate) enum Payload {
    /// None.
    Empty,
    /// All of it, in memory: it can be sent any number of times.
    Whole {
        /// The body.
        bytes: Bytes,
        /// What it takes of the buffer budget; given back by drop.
        _held: Buffered,
    },
    /// The client's stream, with what was read ahead to decide: it can be sent once.
    Stream(Option<Ahead>, Incoming),
    /// It was a stream and has been sent.
    Spent,
}

/// What was read of a stream before it is sent on.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// The bytes.
    pub(crate) bytes: Bytes,
    /// What they take of the buffer budget; given back by drop.
    pub(crate) held: Buffered,
}

impl Payload {
    /// Tells whether it can be sent (again).
    pub(crate) const fn can_send(&self) -> bool {
        !matches!(self, Self::Spent)
    }

    /// Makes the body to send, and leaves behind what is needed to send it again.
    pub(crate) fn outgoing(&mut self, progress: Option<&Rc<Progress>>) -> Outgoing {
        match self {
            Self::Empty | Self::Spent => Outgoing::Empty,
            Self::Whole { bytes, .. } => Outgoing::Whole(bytes.clone()),
            Self::Stream(..) => {
                let Self::Stream(ahead, body) = std::mem::replace(self, Self::Spent) else {
                    return Outgoing::Empty;
                };
                let progress = progress.cloned().unwrap_or_default();
                progress.state.set(Sending::Since(Instant::now()));
                Outgoing::Stream(Box::new(Upload { ahead, body: Some(body), progress }))
            }
        }
    }

    /// Takes back a body that was not sent.
    pub(crate) fn give_back(&mut self, outgoing: Outgoing) {
        if let Outgoing::Stream(mut upload) = outgoing
            && let Some(body) = upload.body.take()
        {
            *self = Self::Stream(upload.ahead.take(), body);
        }
    }
}

/// Bytes of a whole body that are handed to hyper at a time: what it has been given is no longer ours to bound.
const PIECE: usize = 64 * 1024;

/// Takes the next piece off a whole body; `None` at its end.
pub(crate) fn next_piece(bytes: &mut Bytes) -> Option<Bytes> {
    (!bytes.is_empty()).then(|| bytes.split_to(bytes.len().min(PIECE)))
}

/// A body as hyper's client takes it.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// None.
    Empty,
    /// What is left of a whole body.
    Whole(Bytes),
    /// The client's stream.
    Stream(Box<Upload>),
}

/// The client's body, streamed on.
#[derive(Debug)]
pub(crate) struct Upload {
    ahead: Option<Ahead>,
    /// Taken out when it goes back unsent.
    body: Option<Incoming>,
    progress: Rc<Progress>,
}

/// How far an upload has come; read by the request's timeouts.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Where it stands.
    pub(crate) state: Cell<Sending>,
    /// Bytes taken from the client.
    pub(crate) bytes: Cell<u64>,
    /// The next piece was asked for and the client has not sent it: what is late is late by its doing.
    pub(crate) starved: Cell<bool>,
    /// The client broke off or sent what is not HTTP: its fault, not the lane's.
    pub(crate) client_failed: Cell<bool>,
}

impl Progress {
    /// Tells whether some of the upload is still to come.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state.get(), Sending::Since(_))
    }
}

/// Whether the request has been sent whole.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Sending {
    /// There is no body, or all of it has been handed over.
    #[default]
    Done,
    /// The last piece came at this moment.
    Since(Instant),
    /// The last piece was handed over at this moment.
    DoneAt(Instant),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                Poll::Ready(next_piece(bytes).map(|piece| Ok(Frame::data(piece))))
            }
            Self::Stream(upload) => upload.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(upload) => {
                upload.ahead.is_none() && upload.body.as_ref().is_none_or(Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(upload) => {
                let rest = upload.body.as_ref().map_or_else(SizeHint::default, Body::size_hint);
                let ahead = upload.ahead.as_ref().map_or(0, |ahead| ahead.bytes.len() as u64);
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower() + ahead);
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper + ahead);
                }
                hint
            }
        }
    }
}

impl Upload {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let progress = &self.progress;
        if let Some(ahead) = self.ahead.take() {
            progress.bytes.set(progress.bytes.get() + ahead.bytes.len() as u64);
            return Poll::Ready(Some(Ok(Frame::data(ahead.bytes))));
        }
        let polled = Pin::new(&mut *body).poll_frame(cx);
        progress.starved.set(polled.is_pending());
        let mut frame = std::task::ready!(polled);
        match &mut frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    // What may not stand in the head may not come behind the body either.
                    strip_trailers(trailers);
                }
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                progress.bytes.set(progress.bytes.get() + bytes);
                let now = Instant::now();
                let done = body.is_end_stream();
                progress.state.set(if done { Sending::DoneAt(now) } else { Sending::Since(now) });
            }
            Some(Err(_)) => progress.client_failed.set(true),
            None => progress.state.set(Sending::DoneAt(Instant::now())),
        }
        Poll::Ready(frame)
    }
}

impl Drop for Upload {
    /// Whoever took the request is done with it before all of it came: the client still gets to read the answer.
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !body.is_end_stream()
            && !self.progress.client_failed.get()
        {
            linger(body);
        }
    }
}

/// How much of an unwanted body is taken, and for how long, so that its sender gets to read why it was refused: a
/// connection closed with bytes unread is reset, and the answer is lost with it (RFC 9112 section 9.6).
const LINGER: (usize, Duration) = (16 * 1024 * 1024, Duration::from_secs(5));

/// Takes what a client is still sending after its request was answered, within bounds.
pub(crate) fn linger(mut body: Incoming) {
    let (limit, time) = LINGER;
    tokio::task::spawn_local(tokio::time::timeout(time, async move {
        let mut taken = 0;
        while let Some(Ok(frame)) = body.frame().await {
            taken += frame.data_ref().map_or(0, Bytes::len);
            if limit < taken {
                return;
            }
        }
    }));
}
