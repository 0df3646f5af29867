//! The peer that Pacer's own cost is seen against: hyper on one thread, forwarding every request over a pool of its own.
//!
//! `bare-hyper LISTEN UPSTREAM`. No routes, no headers changed, no timeouts, no counters, no retries: what is left when
//! everything that makes a gateway is taken away. Benchmarks run it; nothing else does.

use std::{
    cell::RefCell,
    error::Error,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use http_body_util::{Either, Empty};
use hyper::{
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    client, server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
};

type Sender = client::conn::http1::SendRequest<Incoming>;
type Pool = Rc<RefCell<Vec<Sender>>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream] = &arguments[..] else {
        return Err(
            "usage: bare-hyper LISTEN UPSTREAM, such as 127.0.0.1:8080 127.0.0.1:9000".into()
        );
    };
    let (listen, upstream): (SocketAddr, SocketAddr) = (listen.parse()?, upstream.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(serve(listen, upstream)))
}

async fn serve(listen: SocketAddr, upstream: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(listen).await?;
    let pool = Pool::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let pool = pool.clone();
        spawn_local(async move {
            let service = service_fn(|request| forward(pool.clone(), upstream, request));
            let mut builder = server::conn::http1::Builder::new();
            // Head and body in one `send`, as Pacer gathers them.
            builder.writev(false);
            // A client that leaves is its own affair.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Answer = Response<Either<Returning, Empty<Bytes>>>;

async fn forward(
    pool: Pool,
    upstream: SocketAddr,
    request: Request<Incoming>,
) -> Result<Answer, hyper::Error> {
    let idle = pool.borrow_mut().pop();
    let sender = match idle {
        Some(sender) if !sender.is_closed() => Ok(sender),
        Some(_) | None => connect(upstream).await,
    };
    let Ok(mut sender) = sender else {
        let mut answer = Response::new(Either::Right(Empty::new()));
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
        return Ok(answer);
    };
    let response = sender.send_request(request).await?;
    Ok(response.map(|body| Either::Left(Returning { body, sender: Some(sender), pool })))
}

async fn connect(upstream: SocketAddr) -> Result<Sender, Box<dyn Error>> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let mut builder = client::conn::http1::Builder::new();
    let (sender, connection) = builder.writev(false).handshake(TokioIo::new(stream)).await?;
    spawn_local(connection);
    Ok(sender)
}

/// A body that gives its connection back when it has been read to its end.
struct Returning {
    body: Incoming,
    sender: Option<Sender>,
    pool: Pool,
}

impl Body for Returning {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take().filter(|_| self.body.is_end_stream()) {
            self.pool.borrow_mut().push(sender);
        }
    }
}
