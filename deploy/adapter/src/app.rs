//! The app: a child process that serves HTTP on loopback.
//!
//! Its output is this process's, so it lands in the function's log as it is.

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::Args;
use crate::connection::{Connection, SendError};

/// How often the app is asked whether it is ready: what Lambda Web Adapter takes; on average half of it is waited for nothing.
const READY_POLL: Duration = Duration::from_millis(10);

/// How long the app may take to stop before it is killed. Lambda gives a runtime 2 s at the most between SIGTERM and
/// SIGKILL ("Lambda execution environment lifecycle", AWS documentation), so a killed app leaves room to say so.
const STOP_MAX: Duration = Duration::from_millis(1500);

/// How long to wait for a sign of the app's death after its connection broke: the kernel closes a dying process's
/// sockets just before its parent can see it.
const DEATH_SEEN_MAX: Duration = Duration::from_millis(100);

/// Why the app cannot serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot run {command}: {source}")]
    Spawn { command: String, source: std::io::Error },
    #[error("cannot find a free port on 127.0.0.1: {0}")]
    Port(std::io::Error),
    #[error("the app ended with {0} before it was ready")]
    Exited(ExitStatus),
    #[error(
        "the app did not answer {url} with a status below 500 within {timeout:?} (last: {last}); it must listen on $PORT, or raise --ready-timeout"
    )]
    NotReady { url: String, timeout: Duration, last: String },
}

/// A running app.
#[derive(Debug)]
pub(crate) struct App {
    child: Child,
    connection: Connection<Full<Bytes>>,
}

impl App {
    /// Starts the app with PORT and HOST in its environment.
    pub(crate) fn start(args: &Args) -> Result<Self, StartError> {
        let port = match args.port {
            0 => free_port().map_err(StartError::Port)?,
            port => port,
        };
        let child = Command::new(&args.command[0])
            .args(&args.command[1..])
            .env("PORT", port.to_string())
            .env("HOST", "127.0.0.1")
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| StartError::Spawn {
                command: args.command[0].display().to_string(),
                source,
            })?;
        Ok(App { child, connection: Connection::new(format!("127.0.0.1:{port}")) })
    }

    /// Waits until the app answers `path` with a status below 500.
    pub(crate) async fn ready(&mut self, path: &str, within: Duration) -> Result<(), StartError> {
        let mut last = String::from("no answer");
        let asked = async {
            loop {
                match self.connection.send(probe(path, self.connection.address())).await {
                    Ok(response) if response.status() < StatusCode::INTERNAL_SERVER_ERROR => return,
                    Ok(response) => last = response.status().to_string(),
                    Err(error) => last = error.to_string(),
                }
                sleep(READY_POLL).await;
            }
        };
        let asked = tokio::select! {
            asked = timeout(within, asked) => asked,
            status = self.child.wait() => return Err(StartError::Exited(known(status))),
        };
        asked.map_err(|_| StartError::NotReady {
            url: format!("http://{}{path}", self.connection.address()),
            timeout: within,
            last,
        })
    }

    /// Sends a request to the app.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        self.connection.send(request).await
    }

    /// Gives up whatever is under way.
    pub(crate) fn close_connection(&mut self) {
        self.connection.close();
    }

    /// Waits until the app has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        known(self.child.wait().await)
    }

    /// Returns how the app ended, if it has: asked after its connection broke.
    pub(crate) async fn has_ended(&mut self) -> Option<ExitStatus> {
        timeout(DEATH_SEEN_MAX, self.ended()).await.ok()
    }

    /// Returns where the app listens, `host:port`.
    pub(crate) fn address(&self) -> &str {
        self.connection.address()
    }

    /// Asks the app to stop, and kills it when it does not, in the time that Lambda gives.
    pub(crate) async fn stop(self) {
        self.stop_within(STOP_MAX).await;
    }

    /// Asks the app to stop, and kills it when it does not within `most`.
    pub(crate) async fn stop_within(mut self, most: Duration) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let pid = rustix::process::Pid::from_raw(pid).expect("a process id is not zero");
            // It fails only when the app has ended meanwhile, which is what is wanted.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if timeout(most, self.child.wait()).await.is_err() {
            tracing::warn!("the app did not stop on SIGTERM and is killed");
            let _ = self.child.kill().await;
        }
    }
}

/// Waiting for a child of our own cannot fail (ECHILD and EINVAL are for others'), and there is no other reaper.
fn known(status: std::io::Result<ExitStatus>) -> ExitStatus {
    status.expect("a child of this process can be waited for")
}

fn probe(path: &str, address: &str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = path.parse().expect("the path was checked when it was read");
    let host = HeaderValue::from_str(address).expect("an address and a port are visible ASCII");
    request.headers_mut().insert(http::header::HOST, host);
    request
}

/// A port that was free a moment ago; another process may take it before the app does, and the app then fails to start.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
