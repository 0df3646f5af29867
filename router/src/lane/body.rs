//! Request bodies on their way to a lane.
//!
//! Three shapes, because each lane and each retry needs another: nothing, bytes that can be sent again, and a stream
//! that can be sent once.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

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
    Stream(Option<Bytes>, Incoming),
    /// It was a stream and has been sent.
    Spent,
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
            Self::Whole { bytes, .. } => Outgoing::Whole(Some(bytes.clone())),
            Self::Stream(..) => {
                let Self::Stream(ahead, body) = std::mem::replace(self, Self::Spent) else {
                    return Outgoing::Empty;
                };
                let progress = progress.cloned().unwrap_or_default();
                progress.state.set(Sending::Since(Instant::now()));
                Outgoing::Stream(Upload { ahead, body, progress })
            }
        }
    }

    /// Takes back a body that was not sent.
    pub(crate) fn give_back(&mut self, outgoing: Outgoing) {
        if let Outgoing::Stream(Upload { ahead, body, .. }) = outgoing {
            *self = Self::Stream(ahead, body);
        }
    }
}

/// A body as hyper's client takes it.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// None.
    Empty,
    /// All of it.
    Whole(Option<Bytes>),
    /// The client's stream.
    Stream(Upload),
}

/// The client's body, streamed on.
#[derive(Debug)]
pub(crate) struct Upload {
    ahead: Option<Bytes>,
    body: Incoming,
    progress: Rc<Progress>,
}

/// How far an upload has come; read by the request's timeouts.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Where it stands.
    pub(crate) state: Cell<Sending>,
    /// Bytes taken from the client.
    pub(crate) bytes: Cell<u64>,
    /// The client broke off or sent what is not HTTP: its fault, not the lane's.
    pub(crate) client_failed: Cell<bool>,
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
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(upload) => upload.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(upload) => upload.ahead.is_none() && upload.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(upload) => {
                let rest = upload.body.size_hint();
                let ahead = upload.ahead.as_ref().map_or(0, |bytes| bytes.len() as u64);
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
        if let Some(bytes) = self.ahead.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.progress.bytes.set(self.progress.bytes.get() + bytes);
                let now = Instant::now();
                self.progress.state.set(if self.body.is_end_stream() {
                    Sending::DoneAt(now)
                } else {
                    Sending::Since(now)
                });
            }
            Some(Err(_)) => self.progress.client_failed.set(true),
            None => self.progress.state.set(Sending::DoneAt(Instant::now())),
        }
        Poll::Ready(frame)
    }
}

/// Bytes held in memory for Lambda, over all workers, under one limit.
#[derive(Debug)]
pub(crate) struct BufferBudget {
    used: AtomicU64,
    limit: u64,
}

/// A share of the buffer budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Buffered {
    budget: Arc<BufferBudget>,
    bytes: AtomicU64,
}

impl BufferBudget {
    /// Makes a budget of `limit` bytes.
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), limit })
    }

    /// Takes `bytes`; `None` when the limit would be passed.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Option<Buffered> {
        let share = Buffered { budget: self.clone(), bytes: AtomicU64::new(0) };
        share.grow(bytes).then_some(share)
    }
}

impl Buffered {
    /// Takes `bytes` more. Returns whether the limit allowed it.
    pub(crate) fn grow(&self, bytes: u64) -> bool {
        let fits = self
            .budget
            .used
            .fetch_update(Relaxed, Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= self.budget.limit)
            })
            .is_ok();
        if fits {
            self.bytes.fetch_add(bytes, Relaxed);
        }
        fits
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes.load(Relaxed), Relaxed);
    }
}
