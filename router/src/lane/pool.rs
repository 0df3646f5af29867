//! One worker's connections to tasks and to Lambda.
//!
//! hyper-util's pooled client costs a quarter of nginx's whole request (measured, see ARCHITECTURE.md); this pool is a
//! vector per endpoint on one thread, without a lock. The last one used is used next, so that a falling load lets the
//! others go.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use crate::{
    proxy::{Attempt, timer::Elapsed},
    socket::Socket,
};

mod connection;

pub(crate) use connection::{Connection, Unsent};

/// How long a connection is kept without a request. Below the shortest common idle timeout of upstreams (Node.js: 5 s),
/// so that a request rarely meets a connection that its other end is closing.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// How many idle connections to one endpoint a worker keeps; more are closed. nginx's `keepalive` is set alike in practice.
const IDLE_PER_ENDPOINT: usize = 1024;

/// One worker's idle connections.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<u64, Vec<Idle>, BuildHasherDefault<KeyHasher>>>,
}

/// Keys are numbers that Pacer counts up itself: nobody can choose them, so they need no defence and no mixing.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64");
    }

    fn write_u64(&mut self, key: u64) {
        // The map takes its place from the low bits and its tag from the high ones.
        self.0 = key | key << 57;
    }
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// Where a connection goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    /// An address that is known.
    Address(SocketAddr),
    /// A name that is looked up for each new connection.
    Name(&'a str, u16),
}

impl Pool {
    /// Takes an idle connection to the endpoint of `key`.
    pub(crate) fn take(&self, key: u64) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&key)?;
        while let Some(Idle { mut connection, .. }) = list.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    /// Puts a connection back after a whole response was read from it; closes one that is not done with its request.
    pub(crate) fn put(&self, mut connection: Connection, now: Instant) {
        if !connection.is_ready() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let list = idle.entry(connection.key()).or_default();
        if list.len() < IDLE_PER_ENDPOINT {
            list.push(Idle { connection, since: now });
        }
    }

    /// Closes what has been idle for too long or was closed by its other end, and forgets endpoints that have gone.
    pub(crate) fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain(|_, list| {
            list.retain_mut(|idle| {
                now.duration_since(idle.since) < IDLE_MAX && idle.connection.is_open()
            });
            !list.is_empty()
        });
    }
}

/// Opens a connection for the endpoint of `key`, with TLS when `tls` names the server.
pub(crate) async fn connect(
    key: u64,
    target: Target<'_>,
    tls: Option<&str>,
) -> std::io::Result<Connection> {
    let tcp = match target {
        Target::Address(address) => TcpStream::connect(address).await?,
        Target::Name(host, port) => TcpStream::connect((host, port)).await?,
    };
    tcp.set_nodelay(true)?;
    let connection = match tls {
        None => Connection::new(Socket::new(tcp), key).await,
        Some(server) => {
            let name = ServerName::try_from(server.to_owned()).map_err(std::io::Error::other)?;
            let stream = TlsConnector::from(tls_config()).connect(name, tcp).await?;
            Connection::new(Socket::new(stream), key).await
        }
    };
    connection.map_err(std::io::Error::other)
}

/// Tells whether it was this process that kept a connection from being opened: the request had no time left, or the
/// process no file descriptors or ports. That says nothing of the other end.
pub(crate) fn ours<T>(
    opening: &Result<std::io::Result<T>, Elapsed>,
    attempt: &Attempt<'_>,
) -> bool {
    /// `ENFILE`, `EMFILE`, `EADDRNOTAVAIL` and `ENOBUFS` on Linux and, where they differ, on macOS.
    const SHORTAGES: [i32; 6] = [23, 24, 99, 105, 49, 55];
    match opening {
        Ok(Ok(_)) => false,
        Ok(Err(error)) => error.raw_os_error().is_some_and(|code| SHORTAGES.contains(&code)),
        Err(Elapsed) => attempt.total_deadline() <= Instant::now(),
    }
}

/// Returns the TLS settings of this process: the system's trusted roots, read once, on the first TLS connection.
pub(crate) fn tls_config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    CONFIG
        .get_or_init(|| {
            let mut roots = RootCertStore::empty();
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "reading the system's trusted certificates");
            }
            roots.add_parsable_certificates(found.certs);
            Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
        })
        .clone()
}
