//! In front of an app in a container: admits as many requests at once as the app has room for, and refuses more.
//!
//! A refusal is `503` with `x-pacer-busy: 1`, said before the app sees a byte: whoever asked knows that the request did not
//! run, and may send it anywhere. So a task is never overrun when several gateways, or a gateway and somebody else, send to
//! it. Bodies stream both ways. Requests for the ready path are health checks, and neither counted nor refused; not so where
//! it is `/`, which is the app's as likely as not. HTTP/1.1 without upgrades, as the gateway speaks it.

use std::convert::Infallible;
use std::error::Error;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::app::App;
use crate::connection::Connection;
use crate::{Args, ended};

/// How long requests under way may take when the task is told to stop. ECS kills what still runs 30 s after SIGTERM
/// (`stopTimeout`'s default); what is left is the app's own.
const DRAIN_MAX: Duration = Duration::from_secs(25);

/// How long the app may take to stop after that.
const STOP_MAX: Duration = Duration::from_secs(4);

/// How long the acceptor rests when the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Headers that are one connection's (RFC 9110, section 7.6.1), and what they did before it.
const ONE_CONNECTIONS: [HeaderName; 6] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// What all connections share.
#[derive(Debug)]
struct Shared {
    /// Where the app listens.
    app: String,
    room: Arc<Semaphore>,
    /// What is asked by health checks.
    health: Option<String>,
}

/// Runs the app with a guard in front of it, until it ends or `told_to_stop`.
///
/// # Errors
///
/// When the app cannot be started, is not ready in time or ends; when the address cannot be listened on.
pub(crate) async fn run(
    args: &Args,
    slots: usize,
    told_to_stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let listen = args.listen;
    // Both on one port would be one too many: the app then gets another.
    let port = if args.port == listen.port() { 0 } else { args.port };
    let mut app = App::start(&Args { port, ..args.clone() })?;
    let shared = Arc::new(Shared {
        app: app.address().to_owned(),
        room: Arc::new(Semaphore::new(slots)),
        health: Some(args.ready_path.clone()).filter(|path| path != "/"),
    });
    let mut told_to_stop = pin!(told_to_stop);
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let result = tokio::select! {
        result = async {
            app.ready(&args.ready_path, args.ready_timeout).await?;
            app.close_connection();
            // Nobody reaches a port before there is something behind it.
            let listener = TcpListener::bind(listen)
                .await
                .with_context(|| format!("cannot listen on {listen}; choose another address with --listen"))?;
            eprintln!("pacer-adapter listening on http://{}", listener.local_addr()?);
            tokio::select! {
                never = accept(&listener, &shared, &stopped, &mut connections) => match never {},
                status = app.ended() => Err(ended(status)),
            }
        } => result,
        () = &mut told_to_stop => Ok(()),
    };
    drop(stop);
    let all = async { while connections.join_next().await.is_some() {} };
    if result.is_ok() && timeout(DRAIN_MAX, all).await.is_err() {
        tracing::warn!(
            left = connections.len(),
            "requests under way are cut off: they took too long"
        );
    }
    app.stop_within(STOP_MAX).await;
    result
}

async fn accept(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    stopped: &watch::Receiver<()>,
    connections: &mut JoinSet<()>,
) -> Infallible {
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, shared.clone(), stopped.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Serves one client's connection. Its requests come one after the other, and share a connection to the app.
async fn serve(stream: TcpStream, shared: Arc<Shared>, mut stopped: watch::Receiver<()>) {
    // Head and body are two writes; without this the second may wait for the first's acknowledgement.
    let _ = stream.set_nodelay(true);
    let kept = Arc::new(Mutex::new(Some(Connection::new(shared.app.clone()))));
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, kept) = (shared.clone(), kept.clone());
        async move { Ok::<_, Infallible>(admit(&shared, &kept, request).await) }
    });
    // No timer: whoever keeps a connection decides how long, as it would with the app.
    let mut connection =
        pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // A client that breaks its connection is no news.
        _ = connection.as_mut() => return,
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Passes a request on when there is room for it.
async fn admit(
    shared: &Shared,
    kept: &Mutex<Option<Connection<Incoming>>>,
    request: Request<Incoming>,
) -> Response<Body> {
    let is_health = shared.health.as_ref().is_some_and(|health| health == request.uri().path());
    let room = if is_health {
        None
    } else {
        match shared.room.clone().try_acquire_owned() {
            Ok(room) => Some(room),
            Err(_) => return busy(),
        }
    };
    let lock = || kept.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = lock().take();
    let mut connection = taken.unwrap_or_else(|| Connection::new(shared.app.clone()));
    let answer = connection.send(outbound(request, connection_host(shared))).await;
    *lock() = Some(connection);
    match answer {
        Ok(response) => {
            let (mut head, body) = response.into_parts();
            strip(&mut head.headers);
            head.version = Version::HTTP_11;
            // The room is given back with the body: at its last byte, or when either side goes away.
            let body = body.map_frame(move |frame| {
                let _ = &room;
                frame
            });
            Response::from_parts(head, body.map_err(Into::into).boxed_unsync())
        }
        Err(error) => {
            tracing::warn!(%error, "the app gave no answer");
            refusal(StatusCode::BAD_GATEWAY, "the app gave no answer\n")
        }
    }
}

fn connection_host(shared: &Shared) -> HeaderValue {
    HeaderValue::from_str(&shared.app).expect("an address and a port are visible ASCII")
}

fn outbound(mut request: Request<Incoming>, host: HeaderValue) -> Request<Incoming> {
    *request.version_mut() = Version::HTTP_11;
    strip(request.headers_mut());
    // The body is on its way already: hyper asks for it when it is first read.
    request.headers_mut().remove(EXPECT);
    request.headers_mut().entry(HOST).or_insert(host);
    request
}

/// Takes off what is one connection's.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in ONE_CONNECTIONS.iter().chain(&named) {
        headers.remove(name);
    }
}

fn busy() -> Response<Body> {
    let message = "busy: this request was not begun; send it elsewhere or later\n";
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, message);
    response.headers_mut().insert(lambda_event::report::BUSY, HeaderValue::from_static("1"));
    response
}

fn refusal(status: StatusCode, message: &'static str) -> Response<Body> {
    let body = Full::from(message).map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one_connections_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("content-length", "3"),
            ("trailer", "x-sum"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "trailer"]);
    }

    #[test]
    fn a_refusal_says_that_nothing_ran() {
        let busy = busy();
        assert_eq!(
            (busy.status().as_u16(), &busy.headers()["x-pacer-busy"]),
            (503, &HeaderValue::from_static("1"))
        );
    }
}
