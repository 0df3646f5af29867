//! One POST to a collector: OTLP over HTTP/1.1, protobuf, on a connection that is kept.
//!
//! With what is here already, hyper and rustls: the exporters of OpenTelemetry bring a second HTTP stack, and threads or a
//! runtime of their own.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use policies::policy::Otlp;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::lane::{Endpoint, pool::tls_config};

/// How long a call may take, connection and answer included: what SDKs of OpenTelemetry have.
const WITHIN: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read: one says how much was refused, and why.
const ANSWER_MAX: usize = 64 * 1024;

/// Longest time that a collector may ask to be left alone.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A collector as one kind of telemetry knows it.
#[derive(Debug, Default)]
pub(super) struct Collector {
    open: Option<Open>,
}

/// A connection, and where it goes.
#[derive(Debug)]
struct Open {
    to: Arc<str>,
    sender: SendRequest<Full<Bytes>>,
    /// Reads and writes the socket; ends with this.
    _driver: JoinSet<()>,
}

/// Why a collector took nothing.
#[derive(Debug)]
pub(super) struct Failure {
    /// The same may be taken a moment later.
    pub(super) again: bool,
    /// How long it asked to be left alone.
    pub(super) after: Option<Duration>,
    what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

impl Failure {
    fn of(what: impl fmt::Display) -> Self {
        Self { again: true, after: None, what: what.to_string() }
    }

    /// OTLP names the statuses after which the same may be sent again (specification 1.7, "Retryable Response Codes").
    fn refused(status: StatusCode, pause: Option<&HeaderValue>) -> Self {
        let again = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        let seconds = pause.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let after = seconds.map(|seconds| Duration::from_secs(seconds).min(PAUSE_MAX));
        Self { again, after, what: format!("it answers {status}") }
    }
}

impl Collector {
    /// Sends `body` to `path` below the endpoint. Returns what was answered: a response's message, or nothing of one that is
    /// too long to be one.
    pub(super) async fn post(
        &mut self,
        otlp: &Otlp,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        let done = timeout(WITHIN, self.send(otlp, path, body)).await;
        let done = done.unwrap_or_else(|_| Err(Failure::of("no answer within ten seconds")));
        if done.is_err() {
            self.open = None;
        }
        done
    }

    async fn send(&mut self, otlp: &Otlp, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let kept = self.open.take().filter(|open| open.to == otlp.endpoint);
        if let Some(mut open) = kept
            && open.sender.ready().await.is_ok()
            // An idle connection may be closed at any moment: that says nothing of the collector.
            && let Ok(answer) = open.sender.send_request(request(otlp, path, body.clone())?).await
        {
            return self.answered(open, answer).await;
        }
        let mut open = connect(otlp).await?;
        let answer = open.sender.send_request(request(otlp, path, body)?).await;
        self.answered(open, answer.map_err(Failure::of)?).await
    }

    async fn answered(
        &mut self,
        open: Open,
        answer: http::Response<hyper::body::Incoming>,
    ) -> Result<Bytes, Failure> {
        let (head, body) = answer.into_parts();
        let read = Limited::new(body, ANSWER_MAX).collect().await;
        // Of one that is longer, the rest is not waited for: its connection is not used again.
        let bytes = match read {
            Ok(whole) => {
                self.open = Some(open);
                whole.to_bytes()
            }
            Err(_) => Bytes::new(),
        };
        if head.status.is_success() {
            Ok(bytes)
        } else {
            Err(Failure::refused(head.status, head.headers.get(RETRY_AFTER)))
        }
    }
}

/// Makes a call. What the policy checked cannot fail here; if it did, nothing of it is told.
fn request(otlp: &Otlp, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
    let wrong =
        || Failure { again: false, after: None, what: "its URL or headers are none".into() };
    let uri: Uri = otlp.endpoint.parse().map_err(|_| wrong())?;
    let base = uri.path().trim_end_matches('/');
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::post(format!("{base}{path}"))
        .header(HOST, host)
        .header(USER_AGENT, concat!("pacer/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/x-protobuf")
        .body(Full::new(body))
        .map_err(|_| wrong())?;
    for (name, value) in &*otlp.headers {
        let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

async fn connect(otlp: &Otlp) -> Result<Open, Failure> {
    let uri: Uri = otlp.endpoint.parse().map_err(Failure::of)?;
    let (scheme, authority) = (uri.scheme_str(), uri.authority());
    let server = scheme.zip(authority).map(|(scheme, authority)| format!("{scheme}://{authority}"));
    let endpoint = Endpoint::parse(&server.unwrap_or_default()).map_err(Failure::of)?;
    let (host, port) = (&*endpoint.host, endpoint.port);
    let tcp = TcpStream::connect((host, port)).await.map_err(Failure::of)?;
    // A batch is written at once, and waits for nothing.
    tcp.set_nodelay(true).map_err(Failure::of)?;
    if endpoint.tls {
        let name = ServerName::try_from(host.to_owned()).map_err(Failure::of)?;
        let connecting = TlsConnector::from(tls_config()).connect(name, tcp);
        speak(otlp, connecting.await.map_err(Failure::of)?).await
    } else {
        speak(otlp, tcp).await
    }
}

async fn speak(
    otlp: &Otlp,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Open, Failure> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::of)?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // Its errors reach whoever sends.
        let _ = connection.await;
    });
    Ok(Open { to: otlp.endpoint.clone(), sender, _driver: driver })
}
