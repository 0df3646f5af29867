//! One connection to a task or to Lambda.
//!
//! hyper's client comes in two halves: a handle that takes requests, and a future that reads and writes the socket. That
//! future usually gets a task of its own, and each request then wakes three tasks more than it must: the future's to send,
//! the request's when the head is there, the future's again when the body is taken. Here it is polled by whoever waits
//! for the response. Nobody polls it while it is idle: what its other end did meanwhile is seen when it is taken.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};

use crate::lane::body::Outgoing;

/// Bytes of a response's head that are accepted from a backend.
const RESPONSE_HEAD_MAX: usize = 64 * 1024;

/// A connection that carries one request at a time; closed when dropped.
pub(crate) struct Connection(Box<Open>);

struct Open {
    sender: SendRequest<Outgoing>,
    /// Reads and writes the socket; `None` when it has ended, or when a task of its own polls it.
    driver: Option<Driver>,
    bell: Arc<Bell>,
    /// Rings `bell`.
    waker: Waker,
    key: u64,
}

/// What hyper says of a request that got no response.
pub(crate) type Error = TrySendError<Request<Outgoing>>;

/// A request of which nothing was sent; `None` when some of it was.
pub(crate) type Unsent = Option<Box<Request<Outgoing>>>;

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// Passes on the wake-ups of a connection to the task that waits for it, and only while it waits.
///
/// Whoever uses a connection also wakes it: by handing over a request, by taking a piece of a body. The task that does so
/// polls it next anyway, and must not be woken by its own doing. All of it happens on one worker's thread; only the type
/// of wakers asks for atomics.
#[derive(Debug, Default)]
struct Bell {
    task: AtomicWaker,
    waiting: AtomicBool,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Relaxed);
        if self.waiting.load(Relaxed) {
            self.waiting.store(false, Relaxed);
            self.task.wake();
        }
    }
}

impl Connection {
    /// Begins to speak HTTP/1.1 on a socket; `key` says to which endpoint it goes.
    pub(super) async fn new<I>(io: I, key: u64) -> hyper::Result<Self>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(RESPONSE_HEAD_MAX)
            // Most requests are a head and little more: one buffer for both is cheaper than a list of pieces. It grows to
            // the largest piece of a body, and goes with the connection a few seconds after its last request.
            .writev(false)
            .handshake(io)
            .await?;
        let bell = Arc::<Bell>::default();
        let waker = Waker::from(bell.clone());
        Ok(Self(Box::new(Open { sender, driver: Some(Box::pin(driver)), bell, waker, key })))
    }

    /// Returns the key of the endpoint that it goes to.
    pub(super) fn key(&self) -> u64 {
        self.0.key
    }

    /// Tells whether it can still be used, as far as is known without asking the system.
    pub(super) fn is_open(&mut self) -> bool {
        let open = &mut *self.0;
        if open.bell.rung.load(Relaxed) {
            open.drive();
        }
        !open.sender.is_closed()
    }

    /// Tells whether it has finished its last request and can take another.
    pub(super) fn is_ready(&mut self) -> bool {
        let open = &mut *self.0;
        if !open.sender.is_ready() {
            open.drive();
        }
        // Taking the last piece rang: there is nothing left to do about that.
        open.bell.rung.store(false, Relaxed);
        open.sender.is_ready()
    }

    /// Hands over a request; what comes of it is told by [`poll_response`](Self::poll_response).
    pub(crate) fn start(
        &mut self,
        request: Request<Outgoing>,
    ) -> impl Future<Output = Result<Response<Incoming>, Error>> + use<> {
        self.0.sender.try_send_request(request)
    }

    /// Waits for the response's head. An error has the request in it when nothing of it was sent.
    ///
    /// `response` stays where it is pinned, and is not part of the future that waits: it is large, and futures are moved.
    pub(crate) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        mut response: Pin<&mut impl Future<Output = Result<Response<Incoming>, Error>>>,
    ) -> Poll<Result<Response<Incoming>, Unsent>> {
        let unsent = |mut error: Error| error.take_message().map(Box::new);
        self.0.poll(cx, |cx| response.as_mut().poll(cx)).map_err(unsent)
    }

    /// Reads the next piece of the response's body.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        // Small bodies came with the head.
        if self.0.driver.is_some()
            && let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut noop())
        {
            return Poll::Ready(frame);
        }
        self.0.poll(cx, |cx| Pin::new(&mut *body).poll_frame(cx))
    }

    /// Lets it go on by itself: for an upload that is still on its way when its response has begun, and must not wait for
    /// somebody to read that.
    pub(crate) fn detach(&mut self) {
        if let Some(driver) = self.0.driver.take() {
            // It ends when the connection is dropped or the other end closes; its errors reach the request that is on it.
            tokio::task::spawn_local(driver);
        }
    }
}

impl Open {
    /// Polls `what`, which depends on the connection, after the connection itself.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut what: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.bell.waiting.store(false, Relaxed);
        self.drive();
        if self.driver.is_none() {
            return what(cx);
        }
        // Only the driver brings it on, and that is polled here: it needs no wake-up of its own.
        let polled = what(&mut noop());
        if polled.is_pending() {
            self.bell.task.register(cx.waker());
            self.bell.waiting.store(true, Relaxed);
            if self.bell.rung.load(Relaxed) {
                // It has more to do than its turn allowed.
                cx.waker().wake_by_ref();
            }
        }
        polled
    }

    /// Reads and writes what can be read and written now.
    fn drive(&mut self) {
        if let Some(driver) = &mut self.driver {
            self.bell.rung.store(false, Relaxed);
            if driver.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
                self.driver = None;
            }
        }
    }
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("key", &self.0.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, sync::atomic::AtomicUsize};

    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::socket::Socket;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_request_is_woken_by_its_response_and_by_nothing_else() {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let mut connection = Connection::new(Socket::new(near), 1).await.unwrap();
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(wakes.clone());
        let mut cx = Context::from_waker(&waker);
        for round in 1..3 {
            let mut response = pin!(connection.start(Request::new(Outgoing::Empty)));
            assert!(connection.poll_response(&mut cx, response.as_mut()).is_pending());
            assert_eq!(wakes.0.load(Relaxed), round - 1, "sending woke the sender");
            far.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            assert_eq!(wakes.0.load(Relaxed), round);
            let Poll::Ready(Ok(response)) = connection.poll_response(&mut cx, response.as_mut())
            else {
                panic!("the response is there")
            };
            let mut body = response.into_body();
            let mut next = || connection.poll_frame(&mut body, &mut cx);
            let Poll::Ready(Some(Ok(frame))) = next() else { panic!("so is its body") };
            assert_eq!(frame.into_data().unwrap(), "ok");
            assert!(matches!(next(), Poll::Ready(None)));
            assert_eq!(wakes.0.load(Relaxed), round, "taking the body woke its taker");
            assert!(connection.is_ready() && connection.is_open());
        }
        // Nobody polls it now; what happened meanwhile is seen all the same.
        drop(far);
        assert!(!connection.is_open());
        assert_eq!(wakes.0.load(Relaxed), 2);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_request_that_met_a_closed_connection_comes_back_unsent() {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let mut connection = Connection::new(Socket::new(near), 1).await.unwrap();
        drop(far);
        let mut response = pin!(connection.start(Request::new(Outgoing::Empty)));
        let sent = std::future::poll_fn(|cx| connection.poll_response(cx, response.as_mut())).await;
        assert!(matches!(sent, Err(Some(_))));
    }
}
