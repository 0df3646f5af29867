//! TLS to upstreams and to Lambda's API: what production speaks, with a certificate that only this test's authority signed.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use crate::harness::{
    Gateway, Upstream,
    gateway::{Setup, address},
};

/// Takes TLS off in front of an upstream. Its certificate is for `localhost`.
struct Terminator {
    url: String,
    /// The authority's certificate, for `SSL_CERT_FILE`.
    authority: &'static str,
    /// Removed with the authority's certificate in it.
    _directory: TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Terminator {
    async fn start(upstream: &Upstream) -> Self {
        let mut params =
            CertificateParams::new(vec![]).expect("a certificate, a file and a port of its own");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(
            params,
            KeyPair::generate().expect("a certificate, a file and a port of its own"),
        )
        .expect("a certificate, a file and a port of its own");
        let key = KeyPair::generate().expect("a certificate, a file and a port of its own");
        let params = CertificateParams::new(vec!["localhost".to_owned()])
            .expect("a certificate, a file and a port of its own");
        let certificate = params
            .signed_by(&key, &authority)
            .expect("a certificate, a file and a port of its own");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der())
                    .expect("a certificate, a file and a port of its own"),
            )
            .expect("a certificate, a file and a port of its own");
        let directory = TempDir::new().expect("a certificate, a file and a port of its own");
        let file = directory.path().join("authority.pem");
        std::fs::write(&file, authority.pem())
            .expect("a certificate, a file and a port of its own");

        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a certificate, a file and a port of its own");
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().expect("a certificate, a file and a port of its own").port()
        );
        let behind = address(&upstream.url());
        let task = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), behind));
        let authority = Box::leak(file.display().to_string().into_boxed_str());
        Self { url, authority, _directory: directory, task }
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that does not trust the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let Ok(mut upstream) = TcpStream::connect(behind).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
        });
    }
}

fn upstream_policy(url: &str) -> String {
    format!(
        "services:\n  s:\n    container: {{ upstreams: ['{url}'], requests_per_task: 4, probe: {{ interval: 100ms }} }}\n\
         routes:\n  - {{ match: {{}}, service: s }}\n"
    )
}

#[tokio::test]
async fn an_upstream_is_reached_over_tls() {
    let upstream = Upstream::saying("through TLS").await;
    let terminator = Terminator::start(&upstream).await;
    let env = vec![("SSL_CERT_FILE", terminator.authority)];
    let setup = Setup { env, ..Setup::default() };
    let gateway = Gateway::start_with(&upstream_policy(&terminator.url), setup).await;
    for _ in 0..2 {
        let answer = gateway.get("/").await;
        assert_eq!((answer.status(), answer.text()), (200, "through TLS"));
    }
}

#[tokio::test]
async fn an_upstream_with_a_certificate_of_nobody_knows_whom_is_never_ready() {
    let upstream = Upstream::saying("never").await;
    let terminator = Terminator::start(&upstream).await;
    let setup = Setup { wait_ready: false, ..Setup::default() };
    let gateway = Gateway::start_with(&upstream_policy(&terminator.url), setup).await;
    gateway.until_told("certificate").await;
    gateway.get("/").await.problem(503, "gateway");
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn lambda_is_called_over_tls() {
    let api = Upstream::start().await;
    let terminator = Terminator::start(&api).await;
    let policy = format!(
        "endpoint_url: '{}'\nservices:\n  s:\n    lambda: {{ function: 'f:live', assume: {{ memory: 128MiB, timeout: 30s }} }}\n\
         routes:\n  - {{ match: {{}}, service: s }}\n",
        terminator.url
    );
    let env = vec![
        ("SSL_CERT_FILE", terminator.authority),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ];
    let gateway = Gateway::start_with(&policy, Setup { env, ..Setup::default() }).await;
    let asked = tokio::spawn(gateway.get("/"));
    let exchange = api.next().await;
    assert_eq!(exchange.target, "/2015-03-31/functions/f/invocations?Qualifier=live");
    exchange.returned(r#"{"statusCode":200,"body":"lambda"}"#).await;
    assert_eq!(asked.await.unwrap().text(), "lambda");
}
