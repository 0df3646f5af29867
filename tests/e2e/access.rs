//! Who may use the admin API, and the brake that an operator may pull.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::PrivateKeyDer},
};

use crate::harness::{
    Gateway, Upstream,
    gateway::{Setup, containers_only},
    process::run,
    wire::{Answer, Wire},
};

const READ: &str = "0123456789abcdef-read";
const OPERATE: &str = "0123456789abcdef-operate";

async fn ask(
    gateway: &Gateway,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let named = headers.iter().any(|(name, _)| *name == "host");
    let own = if named { None } else { Some(("host", "localhost")) };
    let headers: Vec<_> = headers.iter().copied().chain(own).collect();
    Wire::connect(gateway.admin).await.ask(method, path, &headers, body.as_bytes()).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn on_loopback_nobody_is_asked_but_no_foreign_page_gets_through() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 1, "")).await;
    // A page of elsewhere whose name was led to this machine.
    let foreign = [("host", "attacker.example:9900")];
    assert_eq!(ask(&gateway, "GET", "/policy", &foreign, "").await.status(), 421);
    // A page of elsewhere that sends a form: JSON would take a permission that nobody gives.
    let form = [("content-type", "text/plain")];
    let refused = ask(&gateway, "POST", "/freeze", &form, "{}").await;
    assert_eq!(refused.status(), 415, "{refused:?}");
    assert_eq!(gateway.admin("/status").await["frozen"], Value::Null);
    assert_eq!(ask(&gateway, "POST", "/freeze", &[JSON], "{\"reson\":1}").await.status(), 400);

    let admin = format!("http://{}", gateway.admin);
    let ended = run(["freeze", "--admin", &admin, "a", "strange", "load"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("frozen since "), "{}", ended.stdout);
    let frozen = gateway.admin("/status").await["frozen"].clone();
    assert_eq!(
        (&frozen["by"], &frozen["reason"]),
        (&json!("operator (local)"), &json!("a strange load"))
    );
    let metric = gateway.metrics().await.get("pacer_frozen", &[]);
    assert!((metric - 1.0).abs() < f64::EPSILON);
    let status = run(["status", "--admin", &admin]).await.stdout;
    assert!(status.contains("by operator (local): a strange load; `pacer thaw`"), "{status}");
    let ended = run(["thaw", "--admin", &admin]).await;
    assert_eq!(ended.stdout, "not frozen: plans are acted on\n");
    let audit = gateway.admin("/audit?limit=2").await;
    let kinds: Vec<_> = audit.as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["thaw", "freeze"], "{audit}");
}

#[tokio::test]
async fn who_shows_a_token_may_look_or_act_and_nobody_else_may() {
    let app = Upstream::start().await;
    let admin = "admin: { listen: '127.0.0.1:0', tokens: { read: '${READ_TOKEN}', operator: '${OPERATOR_TOKEN}' } }\n";
    let env = vec![("READ_TOKEN", READ), ("OPERATOR_TOKEN", OPERATE)];
    let policy = format!("{admin}{}", containers_only(&[&app], 1, ""));
    let gateway =
        Gateway::start_with(&policy, Setup { env, wait_ready: false, ..Setup::default() }).await;
    let status = async |method: &str, path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        ask(&gateway, method, path, &[JSON, ("authorization", &bearer)], "").await.status()
    };
    let none = ask(&gateway, "GET", "/status", &[], "").await;
    assert_eq!(none.status(), 401);
    assert_eq!(none.head.get("www-authenticate"), Some("Bearer"));
    // The page itself holds nothing: it is there that a person types the token.
    for path in ["/status", "/services", "/policy", "/live", "/ledger", "/audit", "/nothing"] {
        assert_eq!(status("GET", path, "0123456789abcdef").await, 401, "{path}");
    }
    assert_eq!(status("GET", "/status", READ).await, 200);
    assert_eq!(status("POST", "/freeze", READ).await, 403);
    assert_eq!(status("POST", "/freeze", OPERATE).await, 200);
    let log = gateway.errors();
    assert!(log.contains("operator (token)") && !log.contains("abcdef-"), "{log}");

    // Pacer's own commands show the token of their environment.
    let url = format!("http://{}", gateway.admin);
    let without = run(["status", "--admin", &url]).await;
    assert_eq!(without.code, Some(1));
    assert!(without.stderr.contains("PACER_ADMIN_TOKEN"), "{}", without.stderr);
}

/// An authority and what it signed, as PEM files in a directory.
struct Signed {
    authority: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Signed {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).expect("no name is no odd name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("there is randomness");
        let authority = CertifiedIssuer::self_signed(params, key).expect("it signs itself");
        let directory = TempDir::new().expect("there is room for temporary files");
        std::fs::write(directory.path().join("authority.pem"), authority.pem())
            .expect("it is ours");
        Self { authority, directory }
    }

    /// Signs a certificate for `localhost`.
    fn sign(&self) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("there is randomness");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("it is a name");
        (params.signed_by(&key, &self.authority).expect("it is signed"), key)
    }

    /// Returns a client of what it signs that shows a certificate which `by` signed, if given.
    fn client(&self, by: Option<&Self>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).expect("it is an authority");
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match by {
            None => config.with_no_client_auth(),
            Some(by) => {
                let (certificate, key) = by.sign();
                let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it is a key");
                let chain = vec![certificate.der().clone()];
                config.with_client_auth_cert(chain, key).expect("they belong together")
            }
        };
        TlsConnector::from(Arc::new(config))
    }
}

/// Asks over TLS; returns the answer's first line, or nothing when there is none.
async fn asked(gateway: &Gateway, client: &TlsConnector, request: &str) -> String {
    let stream = TcpStream::connect(gateway.admin).await.expect("it listens");
    let name = "localhost".try_into().expect("it is a name");
    let Ok(mut stream) = client.connect(name, stream).await else { return String::new() };
    let request = format!("{request}\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    if stream.write_all(request.as_bytes()).await.is_err() {
        return String::new();
    }
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_certificate_of_the_policys_authority_may_act() {
    let app = Upstream::start().await;
    let (signed, other) = (Signed::new(), Signed::new());
    let (certificate, key) = signed.sign();
    let file = |name: &str| signed.directory.path().join(name).display().to_string();
    std::fs::write(file("chain.pem"), certificate.pem()).expect("it is ours");
    std::fs::write(file("key.pem"), key.serialize_pem()).expect("it is ours");
    let admin = format!(
        "admin: {{ listen: '127.0.0.1:0', tls: {{ certificate: '{}', key: '{}', clients: '{}' }} }}\n",
        file("chain.pem"),
        file("key.pem"),
        file("authority.pem")
    );
    let policy = format!("{admin}{}", containers_only(&[&app], 1, ""));
    let gateway =
        Gateway::start_with(&policy, Setup { wait_ready: false, ..Setup::default() }).await;
    // One that dallies keeps nobody waiting.
    let _dallies = TcpStream::connect(gateway.admin).await.expect("it listens");
    let freeze = "POST /freeze HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 0";
    let own = signed.client(Some(&signed));
    assert_eq!(asked(&gateway, &own, freeze).await, "HTTP/1.1 200 OK");
    let none = signed.client(None);
    assert_eq!(asked(&gateway, &none, "GET /status HTTP/1.1").await, "HTTP/1.1 401 Unauthorized");
    let foreign = signed.client(Some(&other));
    assert_eq!(asked(&gateway, &foreign, "GET /status HTTP/1.1").await, "", "it is not let in");
    let mut clear = TcpStream::connect(gateway.admin).await.expect("it listens");
    clear.write_all(b"GET /status HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("it is sent");
    let mut answer = Vec::new();
    let _ = clear.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is answered in clear");
    assert!(gateway.errors().contains("operator (certificate)"));
}

#[tokio::test]
async fn files_of_tls_that_are_none_are_told_by_name() {
    let directory = TempDir::new().expect("there is room for temporary files");
    let file = directory.path().join("policy.yaml");
    let odd = directory.path().join("odd.pem");
    std::fs::write(&odd, "no certificate").expect("it is ours");
    let text = format!(
        "version: 1\nlisten: {{ http: '127.0.0.1:0' }}\nmetrics: off\n\
         admin: {{ listen: '127.0.0.1:0', tls: {{ certificate: '{0}', key: '{0}' }} }}\n\
         services: {{ a: {{ container: {{ upstreams: ['http://127.0.0.1:9'], requests_per_task: 1 }} }} }}\n\
         routes: [{{ match: {{}}, service: a }}]\n",
        odd.display()
    );
    std::fs::write(&file, text).expect("it is ours");
    let ended = run(["serve", "--policy", &file.display().to_string()]).await;
    assert_eq!(ended.code, Some(1));
    let told = format!("admin.tls: {}: there is no certificate in it", odd.display());
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
}
