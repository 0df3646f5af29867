//! Asks a running gateway's admin API.
//!
//! One GET, by hand: it is our own server, on loopback as a rule, and the answer is one JSON document.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, ensure};

/// How long the gateway may take to be reached, and to answer: on loopback it takes a millisecond.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of an answer: 1,000 routes of 16 sizes take some 5 MB.
const ANSWER_MAX: u64 = 64 * 1024 * 1024;

/// Gets a document.
pub(super) fn get(admin: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
    let address = reachable(admin);
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_MAX)
        .read_to_end(&mut answer)
        .with_context(|| format!("reading {path} from {address}"))?;
    ensure!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{address} does not answer {path} as a gateway does"
    );
    let head =
        answer.windows(4).position(|four| four == b"\r\n\r\n").context("its answer has no body")?;
    Ok(answer.split_off(head + 4))
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
