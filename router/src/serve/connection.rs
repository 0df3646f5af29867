//! One client's connection.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, SocketAddr},
    pin::pin,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use http::HeaderValue;
use hyper::{server::conn::http1, service::service_fn};
use tokio::{net::TcpStream, time::Instant};

use crate::{
    proxy::{self, timer::Timer},
    serve::worker::Worker,
    socket::Socket,
};

/// How long after a request's total timeout its connection is cut: time for the timeout's own answer to get out.
const STUCK: Duration = Duration::from_secs(2);

/// A connected client.
#[derive(Debug)]
pub(crate) struct Client {
    /// The worker that serves it.
    pub(crate) worker: Rc<Worker>,
    /// Its address.
    pub(crate) address: IpAddr,
    /// Its address as a header value.
    pub(crate) address_text: HeaderValue,
    /// Whether what it says about where a request came from is believed.
    pub(crate) trusted: bool,
    /// The timer of its requests, one after another.
    pub(crate) timer: Timer,
    /// A request is being served.
    pub(crate) busy: Cell<bool>,
    /// When its last request ended, or when it connected.
    since: Cell<Instant>,
    /// When the request it is on must have ended; all waits but one are bounded by the request itself: a client that
    /// takes no more of its response is noticed only here.
    deadline: Cell<Option<Instant>>,
    /// How long the request it is on, or was on last, waited for a slot.
    pub(crate) waited: Cell<Duration>,
    /// When that request was last handed to a lane.
    pub(crate) sent: Cell<Option<Instant>>,
    closing: Cell<Closing>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// It stays.
    No,
    /// After the request that it is on.
    AfterRequest,
    /// Now.
    Now,
}

impl Client {
    fn new(worker: Rc<Worker>, peer: SocketAddr) -> Self {
        let address = peer.ip().to_canonical();
        let now = Instant::now();
        let trusted = worker
            .world()
            .policy
            .listen
            .trust_forwarded_from
            .iter()
            .any(|network| network.contains(address));
        Self {
            worker,
            address,
            address_text: HeaderValue::from_str(&address.to_string())
                .expect("an address is made of header characters"),
            trusted,
            timer: Timer::new(now),
            busy: Cell::new(false),
            since: Cell::new(now),
            deadline: Cell::new(None),
            waited: Cell::default(),
            sent: Cell::default(),
            closing: Cell::new(Closing::No),
            waker: RefCell::default(),
        }
    }

    /// Notes that a request began: until its route is known, it has as long as an idle connection.
    pub(crate) fn began(&self, now: Instant, idle_max: Duration) {
        self.busy.set(true);
        self.waited.set(Duration::ZERO);
        self.sent.set(None);
        self.deadline.set(Some(now + idle_max));
    }

    /// Notes by when the request that it is on must have ended.
    pub(crate) fn ends_by(&self, deadline: Instant) {
        self.deadline.set(Some(deadline));
    }

    /// Notes that a request ended.
    pub(crate) fn ended(&self, now: Instant) {
        self.busy.set(false);
        self.deadline.set(None);
        self.since.set(now);
    }

    /// Closes the connection when it has had no request, or no whole one, for `idle_max`, or is stuck on one.
    pub(super) fn close_if_overdue(&self, now: Instant, idle_max: Duration) {
        let idle = !self.busy.get() && idle_max <= now.saturating_duration_since(self.since.get());
        let stuck = self.deadline.get().is_some_and(|deadline| deadline + STUCK <= now);
        if idle || stuck {
            self.close(Closing::Now);
        }
    }

    /// Closes the connection after the request that it is on; at once when it is on none.
    pub(super) fn finish(&self) {
        self.close(Closing::AfterRequest);
    }

    fn close(&self, how: Closing) {
        self.closing.set(how);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// Serves a connection until one of its ends closes it.
pub(super) async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, number: u64) {
    let request_head = worker.world().policy.limits.request_head;
    let client = Rc::new(Client::new(worker.clone(), peer));
    let _listed = Listed::new(&worker, number, client.clone());

    let service = {
        let client = client.clone();
        service_fn(move |request| proxy::handle(client.clone(), request))
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(request_head);
    let mut connection = pin!(builder.serve_connection(Socket::new(stream), service));
    let mut told = false;
    // Its error is the client's: a reset, a malformed head (which hyper has answered), or a response cut on purpose.
    let _ = std::future::poll_fn(|cx| {
        if !client.waker.borrow().as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *client.waker.borrow_mut() = Some(cx.waker().clone());
        }
        match client.closing.get() {
            Closing::No => {}
            Closing::Now => return Poll::Ready(Ok(())),
            Closing::AfterRequest if told => {}
            Closing::AfterRequest => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
        }
        connection.as_mut().poll(cx)
    })
    .await;
}

/// A connection among its worker's clients; off the list again when dropped, whatever ended it.
struct Listed {
    worker: Rc<Worker>,
    number: u64,
}

impl Listed {
    fn new(worker: &Rc<Worker>, number: u64, client: Rc<Client>) -> Self {
        worker.clients.borrow_mut().insert(number, client);
        worker.shard.connections.add(1);
        worker.shard.connections_open.add(1);
        Self { worker: worker.clone(), number }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.worker.clients.borrow_mut().remove(&self.number);
        self.worker.shard.connections_open.sub(1);
    }
}
