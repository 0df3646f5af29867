//! One HTTP/1 connection that is kept and opened anew when it must be.
//!
//! An environment does one thing at a time, so a pool would be a pool of one. Dropping a request that is under way closes
//! the connection: the other side sees that nobody waits any more.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A connection that rested longer is not used again.
///
/// Servers close idle ones (gunicorn after 2 s, Node after 5 s), and an environment may freeze for minutes between two
/// requests; a request that crosses with the close is lost. A new one costs some 50 us.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// Nobody listens, or the connection was refused.
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    /// The connection broke, or what came back is not HTTP.
    #[error("{address} gave no answer: {source}")]
    Exchange { address: String, source: hyper::Error },
}

/// Opens a connection to one address when there is something to send.
#[derive(Debug)]
pub(crate) struct Connection<B> {
    address: String,
    open: Option<Open<B>>,
}

#[derive(Debug)]
struct Open<B> {
    sender: SendRequest<B>,
    used: Instant,
    /// Owns the task that moves the bytes, and ends it when dropped.
    _driver: JoinSet<()>,
}

impl<B> Connection<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    /// To `address`, `host:port`.
    pub(crate) fn new(address: String) -> Self {
        Connection { address, open: None }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn close(&mut self) {
        self.open = None;
    }

    /// Sends a request; sends it again only if the kept connection turned out closed before it took it.
    pub(crate) async fn send(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut request = request;
        if let Some(mut open) = self.open.take().filter(|open| open.used.elapsed() < IDLE_MAX)
            && open.sender.ready().await.is_ok()
        {
            match open.sender.try_send_request(request).await {
                Ok(response) => return Ok(self.keep(open, response)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.exchange_error(error.into_error())),
                },
            }
        }
        let mut open = self.connect().await?;
        match open.sender.send_request(request).await {
            Ok(response) => Ok(self.keep(open, response)),
            Err(source) => Err(self.exchange_error(source)),
        }
    }

    fn keep(&mut self, open: Open<B>, response: Response<Incoming>) -> Response<Incoming> {
        self.open = Some(Open { used: Instant::now(), ..open });
        response
    }

    async fn connect(&self) -> Result<Open<B>, SendError> {
        let address = || self.address.clone();
        let failed = |source| SendError::Connect { address: address(), source };
        let stream = TcpStream::connect(&self.address).await.map_err(failed)?;
        // Head and body are two writes; Nagle's algorithm would hold back the second for the first's acknowledgement.
        stream.set_nodelay(true).map_err(failed)?;
        let (sender, driver) = handshake(TokioIo::new(stream))
            .await
            .map_err(|source| SendError::Exchange { address: address(), source })?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Whoever waits for the answer is told of the same error.
            let _ = driver.await;
        });
        Ok(Open { sender, used: Instant::now(), _driver: tasks })
    }

    fn exchange_error(&self, source: hyper::Error) -> SendError {
        SendError::Exchange { address: self.address.clone(), source }
    }
}
