//! Asks a running gateway's admin API.
//!
//! One request, by hand: it is our own server, on loopback as a rule, and the answer is one JSON document. Where the policy
//! asks for a token it is taken from `PACER_ADMIN_TOKEN`. A gateway whose admin API speaks TLS is asked with curl.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::Value;

/// How long the gateway may take to be reached, and to answer: on loopback it takes a millisecond.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of an answer: 1,000 routes of 16 sizes take some 5 MB.
const ANSWER_MAX: u64 = 64 * 1024 * 1024;

/// The variable with the token to show.
const TOKEN: &str = "PACER_ADMIN_TOKEN";

/// Gets a document.
pub(super) fn get(admin: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
    ask(admin, "GET", path, None)
}

/// Has something done.
pub(super) fn post(admin: SocketAddr, path: &str, body: &Value) -> anyhow::Result<Vec<u8>> {
    ask(admin, "POST", path, Some(body))
}

fn ask(
    admin: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Vec<u8>> {
    let address = reachable(admin);
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    // Writing to a String cannot fail.
    if let Some(token) = token()? {
        let _ = write!(request, "authorization: Bearer {token}\r\n");
    }
    let body = body.map(ToString::to_string).unwrap_or_default();
    if !body.is_empty() {
        let length = body.len();
        let _ = write!(request, "content-type: application/json\r\ncontent-length: {length}\r\n");
    }
    write!(stream, "{request}\r\n{body}")?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_MAX)
        .read_to_end(&mut answer)
        .with_context(|| format!("reading {path} from {address}"))?;
    let head =
        answer.windows(4).position(|four| four == b"\r\n\r\n").context("its answer has no body")?;
    let body = answer.split_off(head + 4);
    if answer.starts_with(b"HTTP/1.1 200 ") {
        return Ok(body);
    }
    // A gateway says what is wrong and what to do about it.
    let problem = serde_json::from_slice::<Value>(&body).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
    match detail {
        Some(detail) => bail!("{address} refuses {path}: {detail}"),
        None => bail!("{address} does not answer {path} as a gateway does"),
    }
}

/// Returns the token to show, if there is one.
fn token() -> anyhow::Result<Option<String>> {
    let Some(token) = std::env::var_os(TOKEN).filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let token =
        token.into_string().ok().filter(|token| token.bytes().all(|b| b.is_ascii_graphic()));
    token.map(Some).with_context(|| format!("{TOKEN} holds what no token is made of"))
}

/// Returns where to connect to a server that listens on `admin`: one that listens on every address is on loopback too.
fn reachable(admin: SocketAddr) -> SocketAddr {
    let ip = match admin.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, admin.port())
}
