//! TLS for the admin API: connections are taken whole, so that one which dallies with its handshake keeps nobody waiting.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{extract::connect_info::Connected, serve::IncomingStream};
use policies::policy::AdminTls;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

/// How long a handshake may take: a round trip or two, and the client's own doing.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Handshakes at a time: people and a few programs.
const HANDSHAKES: usize = 64;

/// Pause after a connection could not be accepted: the process has no more files to open, say.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// It showed a certificate that one of the policy's authorities signed.
    pub(super) certified: bool,
}

/// Reads the files that the policy names.
///
/// # Errors
/// When one cannot be read or used; the message names it.
pub(crate) fn acceptor(files: &AdminTls) -> anyhow::Result<TlsAcceptor> {
    let chain = certificates(&files.certificate)?;
    let key = read(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|error| anyhow::anyhow!("{}: {error}", files.key.display()))?;
    let config = ServerConfig::builder();
    let config = match &files.clients {
        None => config.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(authorities)? {
                roots.add(authority).with_context(|| authorities.display().to_string())?;
            }
            // Who shows none may still show a token: that is decided by request.
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated();
            let verifier = verifier.build().with_context(|| authorities.display().to_string())?;
            config.with_client_cert_verifier(verifier)
        }
    };
    let mut config = config
        .with_single_cert(chain, key)
        .with_context(|| format!("{} with {}", files.certificate.display(), files.key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let pem = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    anyhow::ensure!(!chain.is_empty(), "{}: there is no certificate in it", path.display());
    Ok(chain)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// Hands out connections whose handshake is done.
#[derive(Debug)]
pub(super) struct Listener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, Peer)>,
}

impl Listener {
    pub(super) fn new(listener: TcpListener, tls: TlsAcceptor) -> Self {
        let (sender, ready) = mpsc::channel(1);
        let room = Arc::new(Semaphore::new(HANDSHAKES));
        tokio::spawn(async move {
            while !sender.is_closed() {
                let Ok(permit) = room.clone().acquire_owned().await else { return };
                let Ok((stream, _)) = listener.accept().await else {
                    sleep(PAUSE).await;
                    continue;
                };
                let (tls, sender) = (tls.clone(), sender.clone());
                tokio::spawn(async move {
                    let _permit = permit;
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
                        let certified = stream.get_ref().1.peer_certificates().is_some();
                        let _ = sender.send((stream, Peer { certified })).await;
                    }
                });
            }
        });
        Self { ready }
    }
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // The task that accepts ends after this listener does.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        // Nobody asks a listener who it is itself.
        Ok(Peer { certified: false })
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        *stream.remote_addr()
    }
}
