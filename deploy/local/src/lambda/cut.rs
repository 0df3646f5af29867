//! A body that breaks off: its connection closes after the first bytes.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;

/// The body.
#[derive(Debug)]
pub(crate) struct Cut {
    first: Option<Bytes>,
    end: Break,
}

/// What ends it.
#[derive(Debug, thiserror::Error)]
#[error("a fault cut the answer")]
pub(crate) struct Ordered;

/// An end that waits once, so that what was sent before is written before the connection closes.
#[derive(Debug, Default)]
pub(crate) struct Break {
    waited: bool,
}

impl Break {
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ordered> {
        if std::mem::replace(&mut self.waited, true) {
            return Poll::Ready(Ordered);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Cut {
    /// Sends `first` and breaks off.
    pub(crate) fn after(first: Bytes) -> Self {
        Self { first: Some(first), end: Break::default() }
    }
}

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = Ordered;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Ordered>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => self.end.poll(context).map(|end| Some(Err(end))),
        }
    }
}
