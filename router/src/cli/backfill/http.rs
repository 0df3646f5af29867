//! One GET of a JSON document, over HTTP or HTTPS.
//!
//! By hand like the calls to SQS: hyper, rustls and the system's certificates are here already, and a client that also
//! follows redirects, keeps cookies and unpacks five encodings would have no use.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header::HOST};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::lane::{Endpoint, pool::tls_config};

/// How long an answer may take: a month of a heavy query takes Prometheus seconds.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

/// How long a connection may take to open.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of an answer: ten thousand points of a hundred series are 30 MB.
const ANSWER_MAX: usize = 128 * 1024 * 1024;

/// A server, and what it is asked with.
#[derive(Debug)]
pub(super) struct Server {
    endpoint: Endpoint,
    /// What every path begins with, without a `/` at its end.
    base: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Server {
    /// Takes apart `http://host:port/base`; a header is `name: value`, or `@FILE` with a header a line.
    pub(super) fn new(url: &str, headers: &[String]) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
        ensure!(uri.query().is_none(), "`{url}` must not have a query: that goes to --query");
        let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority());
        let authority = authority.map_or("", http::uri::Authority::as_str);
        ensure!(
            !authority.contains('@'),
            "a URL with a password is seen by everybody: give --header @FILE with `authorization: Basic ...`"
        );
        let endpoint = Endpoint::parse(&format!("{scheme}://{authority}"))
            .with_context(|| format!("`{url}` must be like http://localhost:9090"))?;
        let mut all = Vec::new();
        for header in headers {
            if let Some(file) = header.strip_prefix('@') {
                let text =
                    std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    all.push(read_header(line).with_context(|| format!("in {file}"))?);
                }
            } else {
                all.push(read_header(header)?);
            }
        }
        Ok(Self { endpoint, base: uri.path().trim_end_matches('/').to_owned(), headers: all })
    }

    /// Gets a document; `path` begins with `/`, and what is asked is encoded here.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let query: Vec<_> =
            query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let target = format!("{}{path}?{}", self.base, query.join("&"));
        let mut request = Request::get(&target).header(HOST, &self.endpoint.authority);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Empty::new())?;
        let (host, port) = (&*self.endpoint.host, self.endpoint.port);
        let to = || format!("asking {host}:{port}");
        let answer = timeout(ANSWER_WITHIN, async {
            let tcp = timeout(CONNECT_WITHIN, TcpStream::connect((host, port)));
            let tcp = tcp.await.context("no connection within ten seconds")??;
            if self.endpoint.tls {
                let name = ServerName::try_from(host.to_owned())?;
                exchange(TlsConnector::from(tls_config()).connect(name, tcp).await?, request).await
            } else {
                exchange(tcp, request).await
            }
        });
        answer
            .await
            .with_context(|| format!("{}: no answer within two minutes", to()))?
            .with_context(to)
    }
}

fn read_header(text: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let Some((name, value)) = text.split_once(':') else {
        bail!("a header is `name: value`");
    };
    let name = name.trim().parse().context("a header's name is not one")?;
    let mut value: HeaderValue = value.trim().parse().context("a header's value is not one")?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Sends `request` over `stream`, and reads the whole answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("reading its answer: {error}"))?;
        Ok((status, body.to_bytes()))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The answer may have come whole with the end of the connection; if not, it says what is wrong.
        _ = connection => answer.await,
    }
}

/// Encodes all but what RFC 3986, section 2.3, calls unreserved.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_url_with_a_base() {
        let server = Server::new("https://example.org/prometheus/", &[]).unwrap();
        assert_eq!((server.endpoint.port, server.endpoint.tls), (443, true));
        assert_eq!(server.base, "/prometheus");
        for wrong in ["localhost:9090", "ftp://x", "http://x?query=up", "http://me:secret@x"] {
            assert!(Server::new(wrong, &[]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_are_read_and_not_shown() {
        let headers = ["authorization: Bearer secret".to_owned()];
        let server = Server::new("http://x", &headers).unwrap();
        assert_eq!(server.headers[0].1, "Bearer secret");
        assert!(!format!("{server:?}").contains("secret"));
        assert!(Server::new("http://x", &["no header".to_owned()]).is_err());
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encoded("sum(x{a=\"ő\"}[1m])"), "sum%28x%7Ba%3D%22%C5%91%22%7D%5B1m%5D%29");
    }
}
