//! A stream as hyper reads and writes it.
//!
//! hyper hands over a head and a body as separate pieces. Writing them with `writev` takes a longer path
//! through the kernel than copying a few KiB into one `send`; letting hyper copy them keeps a buffer as large as the
//! largest body for the life of each connection. So small writes are gathered here, in a buffer of the thread, and large
//! ones go out as they are.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Up to how many bytes are gathered: a head and a small body. Doubled, the copy of larger bodies begins to show.
const GATHER_MAX: usize = 8 * 1024;

thread_local! {
    static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHER_MAX));
}

/// A stream that gathers small writes.
#[derive(Debug)]
pub(crate) struct Socket<S>(TokioIo<S>);

impl<S> Socket<S> {
    /// Wraps a stream.
    pub(crate) fn new(stream: S) -> Self {
        Self(TokioIo::new(stream))
    }
}

impl<S: AsyncRead + Unpin> Read for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> Write for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        if let [only] = pieces {
            return Pin::new(&mut self.0).poll_write(cx, only);
        }
        if GATHER_MAX < total {
            return Pin::new(&mut self.0).poll_write_vectored(cx, pieces);
        }
        GATHERED.with_borrow_mut(|gathered| {
            gathered.clear();
            for piece in pieces {
                gathered.extend_from_slice(piece);
            }
            Pin::new(&mut self.0).poll_write(cx, gathered)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn pieces_arrive_in_order_whatever_their_size() {
        for size in [1, GATHER_MAX / 2, GATHER_MAX, 3 * GATHER_MAX] {
            let (near, mut far) = tokio::io::duplex(16 * GATHER_MAX);
            let mut socket = Socket::new(near);
            let (head, body) = (vec![b'h'; 10], vec![b'b'; size]);
            let pieces = [IoSlice::new(&head), IoSlice::new(&body)];
            let written =
                std::future::poll_fn(|cx| Pin::new(&mut socket).poll_write_vectored(cx, &pieces))
                    .await
                    .unwrap();
            // A stream that does not take several pieces at once takes the first.
            assert!(written == 10 || written == 10 + size, "{written}");
            let mut read = vec![0; written];
            far.read_exact(&mut read).await.unwrap();
            assert!(read.starts_with(&head) && read[10..].iter().all(|byte| *byte == b'b'));
        }
    }
}
