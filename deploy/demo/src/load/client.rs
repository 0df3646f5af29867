//! Sends the load and checks each answer.
//!
//! Plain HTTP/1.1 over kept connections to one loopback address. Nothing is retried, with one exception that any client
//! makes: a request that never left, because the kept connection had ended, goes out on a new one.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use super::{
    mix::{Ask, Requests},
    tally::{End, Tally},
};
use crate::work;

/// Response header with the gateway's decision.
pub const DECISION: HeaderName = HeaderName::from_static("x-pacer-decision");

/// Requests in flight at once. At the demo's some hundred a second this is several seconds of a gateway that answers
/// nothing; what is due beyond it is counted as failed, not sent late.
const IN_FLIGHT_MAX: usize = 512;
/// How long one answer may take: a little over the gateway's own total of 30 s, so that the gateway's answer is seen.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);
/// Bytes of one answer; the largest, a photo of 1,600 pixels, has some 300 kB.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// Sends requests and keeps the tally.
#[derive(Debug)]
pub struct Client {
    target: SocketAddr,
    requests: Requests,
    kept: Mutex<Vec<Connection>>,
    tally: Mutex<Tally>,
}

impl Client {
    /// Makes a client of the gateway at `target`.
    ///
    /// # Errors
    /// When `target` is not a loopback address (this load is not for other people's machines), or the photo to post
    /// cannot be made.
    pub fn new(target: SocketAddr) -> io::Result<Self> {
        if !target.ip().is_loopback() {
            let message =
                format!("cannot send load to {target}: only a loopback address is allowed");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let requests = Requests::new(target.to_string())
            .map_err(|error: work::Error| io::Error::other(error.to_string()))?;
        Ok(Self { target, requests, kept: Mutex::default(), tally: Mutex::default() })
    }

    /// Returns the tally so far.
    pub fn tally(&self) -> Tally {
        self.noted().clone()
    }

    /// Sends each of the requests that are `due` (in order, from now) within `duration`, then waits for the last answers.
    /// Dropped, it gives up at once; what was in flight then is neither ok nor failed.
    pub async fn drive(
        self: &Arc<Self>,
        due: impl Iterator<Item = (Duration, Ask)>,
        duration: Duration,
    ) {
        let began = Instant::now();
        let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        let mut flying = JoinSet::new();
        for ((at, ask), id) in due.take_while(|(at, _)| *at < duration).zip(1..) {
            let due = began + at;
            sleep_until(due).await;
            self.noted().sent(ask.route());
            let Ok(room) = Arc::clone(&room).try_acquire_owned() else {
                let full = format!("not sent: {IN_FLIGHT_MAX} in flight already");
                self.noted().ended(ask.route(), End::Failed(full), None);
                continue;
            };
            let client = Arc::clone(self);
            flying.spawn(async move {
                client.one(ask, id, due).await;
                drop(room);
            });
            while flying.try_join_next().is_some() {}
        }
        while flying.join_next().await.is_some() {}
    }

    /// Sends one request and notes how it ended.
    async fn one(&self, ask: Ask, id: u64, due: Instant) {
        let mut decision = None;
        let end = match timeout(ANSWER_WITHIN, self.ask(ask, id, &mut decision)).await {
            Ok(Ok(())) => End::Ok(due.elapsed()),
            Ok(Err(why)) => End::Failed(why),
            Err(_) => End::Failed(format!("no answer in {} s", ANSWER_WITHIN.as_secs())),
        };
        self.noted().ended(ask.route(), end, decision.as_deref());
    }

    async fn ask(&self, ask: Ask, id: u64, decision: &mut Option<String>) -> Result<(), String> {
        let (response, connection) = self.send(self.requests.make(ask, id)).await?;
        let (head, body) = response.into_parts();
        *decision =
            head.headers.get(&DECISION).and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let body = Limited::new(body, ANSWER_MAX)
            .collect()
            .await
            .map_err(|error| format!("answer cut: {error}"))?;
        self.keep(connection);
        if head.status != StatusCode::OK {
            return Err(format!("{} status {}", ask.route().path(), head.status.as_u16()));
        }
        if !is_jpeg(&body.to_bytes()) {
            return Err(format!("{} answer is no JPEG", ask.route().path()));
        }
        Ok(())
    }

    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Connection), String> {
        while let Some(mut connection) = self.take() {
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, connection)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(format!("connection failed: {}", error.error())),
                },
            }
        }
        let mut connection = Connection::open(self.target)
            .await
            .map_err(|error| format!("cannot connect: {error}"))?;
        let response = connection
            .sender
            .send_request(request)
            .await
            .map_err(|error| format!("connection failed: {error}"))?;
        Ok((response, connection))
    }

    fn take(&self) -> Option<Connection> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, connection: Connection) {
        if !connection.sender.is_closed() {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }

    fn noted(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a status document; the local cloud's grow with its processes, of which one machine holds some hundred.
const DOCUMENT_MAX: usize = 1024 * 1024;
/// How long a status document may take; it is asked for again at the next look.
const DOCUMENT_WITHIN: Duration = Duration::from_secs(2);

/// Returns the document at `path` of the server at `target`, over a connection of its own.
///
/// # Errors
/// In words, when there is none: not connected, not answered in 2 s, not status 200, longer than 1 MiB.
pub async fn get(target: SocketAddr, path: &str) -> Result<Bytes, String> {
    let ask = async {
        let mut connection =
            Connection::open(target).await.map_err(|error| format!("cannot connect: {error}"))?;
        let request =
            Request::get(path).header(header::HOST, target.to_string()).body(Full::default());
        let request = request.map_err(|error| error.to_string())?;
        let response =
            connection.sender.send_request(request).await.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("status {}", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), DOCUMENT_MAX)
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        Ok(body.to_bytes())
    };
    let answer =
        timeout(DOCUMENT_WITHIN, ask).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
    answer.map_err(|why| format!("cannot get http://{target}{path}: {why}"))
}

/// One kept connection; ends when dropped.
#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Connection {
    async fn open(target: SocketAddr) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // The driver's own error reaches the request through `sender`.
        let driver = tokio::spawn(async move {
            let _ended = driver.await;
        });
        Ok(Self { sender, driver: driver.abort_handle() })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Tells whether `body` is a whole JPEG: its first and its last marker are there.
fn is_jpeg(body: &[u8]) -> bool {
    body.starts_with(&[0xFF, 0xD8, 0xFF]) && body.ends_with(&[0xFF, 0xD9])
}
