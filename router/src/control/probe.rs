//! Asks one task whether it is alive: a GET over a new connection, answered with a status below 500.
//!
//! Written by hand on the socket, because a probe needs one status line and must share nothing with the data path: not
//! its connections, not its counters, not its mistakes.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use policies::policy;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::lane::{container::Task, pool::tls_config};

/// Bytes of an answer that are read before the connection is closed. A health page is small; reading it to its end lets
/// the task close in peace instead of logging a reset.
const ANSWER_MAX: u64 = 64 * 1024;

/// How long the rest of an answer is read: a task that keeps the connection open all the same must not hold the probe.
const PARTING: Duration = Duration::from_millis(100);

/// One probe to be sent.
#[derive(Debug)]
pub(crate) struct Probe {
    /// The task's key.
    pub(crate) key: u64,
    address: SocketAddr,
    tls: Option<Arc<str>>,
    path: Arc<str>,
    timeout: Duration,
}

impl Probe {
    /// Makes the probe of `task`.
    pub(crate) fn of(task: &Task, probe: &policy::Probe) -> Self {
        Self {
            key: task.key,
            address: task.address,
            tls: task.tls.clone(),
            path: probe.path.clone(),
            timeout: probe.timeout,
        }
    }

    /// Sends it.
    ///
    /// # Errors
    /// Why the task did not prove itself: not reachable, silent, not HTTP, or a server error.
    pub(crate) async fn run(&self) -> Result<(), String> {
        let asked = || format!("GET {} at {}", self.path, self.address);
        match timeout(self.timeout, self.status()).await {
            Ok(Ok(status)) if status < 500 => Ok(()),
            Ok(Ok(status)) => Err(format!("{}: status {status}", asked())),
            Ok(Err(error)) => Err(format!("{}: {error}", asked())),
            Err(_) => Err(format!(
                "{}: no answer within {:?}; see `container.probe`",
                asked(),
                self.timeout
            )),
        }
    }

    async fn status(&self) -> io::Result<u16> {
        let tcp = TcpStream::connect(self.address).await?;
        match &self.tls {
            None => self.exchange(tcp).await,
            Some(server) => {
                let name = ServerName::try_from(server.to_string()).map_err(io::Error::other)?;
                self.exchange(TlsConnector::from(tls_config()).connect(name, tcp).await?).await
            }
        }
    }

    async fn exchange(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<u16> {
        let host = self.tls.as_ref().map_or_else(|| self.address.to_string(), ToString::to_string);
        let agent = concat!("pacer/", env!("CARGO_PKG_VERSION"));
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {agent}\r\nconnection: close\r\n\r\n",
            self.path
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = stream.take(ANSWER_MAX);
        let mut line = [0; STATUS_LINE.len()];
        answer.read_exact(&mut line).await?;
        let status = status_of(line).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP/1")
        })?;
        // What follows says nothing more: whether it ends in time, or with an error, does not matter.
        let _ = timeout(PARTING, tokio::io::copy(&mut answer, &mut tokio::io::sink())).await;
        Ok(status)
    }
}

/// The shape of the shortest status line (RFC 9112 section 4), up to the status.
const STATUS_LINE: &[u8; 12] = b"HTTP/1.x xxx";

/// Returns the status of an answer that begins with `line`.
fn status_of(line: [u8; STATUS_LINE.len()]) -> Option<u16> {
    let (version, digits) = (line.strip_prefix(b"HTTP/1.")?, &line[9..]);
    let digits = std::str::from_utf8(digits).ok().filter(|_| version[1] == b' ')?;
    digits.parse().ok().filter(|status| (100..1000).contains(status))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn check(answer: &'static [u8]) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let n = stream.read(&mut request).await.unwrap();
            stream.write_all(answer).await.unwrap();
            String::from_utf8(request[..n].to_vec()).unwrap()
        });
        let probe = Probe {
            key: 1,
            address,
            tls: None,
            path: "/health".into(),
            timeout: Duration::from_secs(5),
        };
        let result = probe.run().await;
        let request = server.await.unwrap();
        assert!(
            request.starts_with("GET /health HTTP/1.1\r\n")
                && request.contains(&format!("host: {address}\r\n")),
            "{request}"
        );
        result
    }

    #[tokio::test]
    async fn any_answer_but_a_server_error_proves_a_task() {
        check(b"HTTP/1.1 200 OK\r\n\r\nfine").await.unwrap();
        check(b"HTTP/1.1 404 Not Found\r\n\r\n").await.unwrap();
        let error = check(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await.unwrap_err();
        assert!(error.contains("status 503"), "{error}");
        let error = check(b"SSH-2.0-OpenSSH_9.6\r\n").await.unwrap_err();
        assert!(error.contains("not HTTP/1"), "{error}");
    }

    #[tokio::test]
    async fn a_closed_port_and_a_silent_task_fail() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let probe = |millis| Probe {
            key: 1,
            address,
            tls: None,
            path: "/".into(),
            timeout: Duration::from_millis(millis),
        };
        // Nobody accepts: the kernel completes the connection, and nothing ever answers.
        let error = probe(20).run().await.unwrap_err();
        assert!(error.contains("no answer within 20ms"), "{error}");
        drop(listener);
        assert!(probe(5000).run().await.unwrap_err().contains("refused"));
    }
}
