//! A body that breaks off: its connection closes after the first bytes.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;

/// The body.
#[derive(Debug)]
pub(crate) struct Cut(Option<Bytes>);

/// What ends it.
#[derive(Debug, thiserror::Error)]
#[error("a fault cut the answer")]
pub(crate) struct Ordered;

impl Cut {
    /// Sends `first` and breaks off.
    pub(crate) fn after(first: Bytes) -> Self {
        Self(Some(first))
    }
}

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = Ordered;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Ordered>>> {
        Poll::Ready(Some(self.0.take().map(Frame::data).ok_or(Ordered)))
    }
}
