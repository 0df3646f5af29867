//! A stream as hyper reads and writes it.
//!
//! hyper hands over a head and a body as separate pieces. Writing them with `writev` takes a longer path
//! through the kernel than copying a few KiB into one `send`; letting hyper copy them keeps a buffer as large as the
//! largest body for the life of each connection. So small writes are gathered here, in a buffer of the thread, and large
//! ones go out as they are.
//!
//! A large body whose bytes are all there already could keep its worker for as long as it takes to move them: the runtime
//! looks for what came on other connections only when no task is ready, or after many turns. So a connection that has moved
//! [`TURN`] bytes without ever having to wait lets the others go first.

use std::{
    cell::RefCell,
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Up to how many bytes are gathered: a head and a small body. Doubled, the copy of larger bodies begins to show.
const GATHER_MAX: usize = 8 * 1024;

/// How many bytes a connection moves at most before the worker looks at its other connections: some 100 µs of work.
const TURN: usize = 256 * 1024;

thread_local! {
    static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHER_MAX));
}

/// A stream that gathers small writes, and takes turns with others.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: TokioIo<S>,
    /// Bytes moved since it last had to wait, as if each read and write had been as large as it could be.
    moved: usize,
}

impl<S> Socket<S> {
    /// Wraps a stream.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream: TokioIo::new(stream), moved: 0 }
    }

    /// Tells whether its turn is over; if so, the next begins when the others have had theirs.
    fn is_turn_over(&mut self, cx: &mut Context<'_>) -> bool {
        if self.moved < TURN {
            return false;
        }
        self.moved = 0;
        // The first poll of this hands the waker to the runtime, which rings it after it has looked at all sockets. Waking
        // oneself is not enough: the same task would be polled again before that.
        pin!(tokio::task::yield_now()).poll(cx).is_pending()
    }

    /// Counts what was moved; having to wait ends a turn, too.
    fn count<T>(&mut self, polled: &Poll<T>, bytes: usize) {
        self.moved = if polled.is_ready() { self.moved + bytes } else { 0 };
    }
}

impl<S: AsyncRead + Unpin> Read for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_turn_over(cx) {
            return Poll::Pending;
        }
        let most = buf.remaining();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.count(&polled, most);
        polled
    }
}

impl<S: AsyncWrite + Unpin> Write for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_turn_over(cx) {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(&polled, bytes.len());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_turn_over(cx) {
            return Poll::Pending;
        }
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let stream = Pin::new(&mut self.stream);
        let polled = if let [only] = pieces {
            stream.poll_write(cx, only)
        } else if GATHER_MAX < total {
            stream.poll_write_vectored(cx, pieces)
        } else {
            GATHERED.with_borrow_mut(|gathered| {
                gathered.clear();
                for piece in pieces {
                    gathered.extend_from_slice(piece);
                }
                stream.poll_write(cx, gathered)
            })
        };
        self.count(&polled, total);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
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

    #[tokio::test(flavor = "current_thread")]
    async fn who_moves_much_without_waiting_lets_others_go_first() {
        let (near, _far) = tokio::io::duplex(4 * TURN);
        let mut socket = Socket::new(near);
        let mut turns = Vec::new();
        let others = std::rc::Rc::new(std::cell::Cell::new(0));
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let seen = others.clone();
                tokio::task::spawn_local(async move {
                    loop {
                        seen.set(seen.get() + 1);
                        tokio::task::yield_now().await;
                    }
                });
                let bytes = vec![0; GATHER_MAX];
                for _ in 0..3 * TURN / GATHER_MAX {
                    let write =
                        std::future::poll_fn(|cx| Pin::new(&mut socket).poll_write(cx, &bytes));
                    assert_eq!(write.await.unwrap(), GATHER_MAX);
                    turns.push(others.get());
                }
            })
            .await;
        let (first, rest) = turns.split_at(TURN / GATHER_MAX);
        assert!(
            first.iter().all(|others| *others == first[0]),
            "the first turn was interrupted: {turns:?}"
        );
        assert!(first[0] < rest[0], "nobody else came in between: {turns:?}");
    }
}
