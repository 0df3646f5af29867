//! Addresses of this machine's loopback, one for each task.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use crate::config::Network;

/// Addresses tried before a task is given up for want of a free one.
const ADDRESS_TRIES_MAX: u32 = 100;
/// Addresses given out by this process so far, so that an address is not soon given out again.
static ADDRESSES_USED: AtomicU32 = AtomicU32::new(0);

/// Finds a free address for a container that listens on `port`.
pub(super) fn free(network: Network, port: u16) -> io::Result<SocketAddr> {
    match network {
        Network::Awsvpc => own(port),
        Network::Bridge => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr(),
    }
}

/// Finds an address of 127.0.0.0/8 on which `port` is free, other than 127.0.0.x.
///
/// The second octet comes from our process id, so that two local clouds on one machine rarely meet; where they do, or
/// something listens on 0.0.0.0, the address is passed over.
fn own(port: u16) -> io::Result<SocketAddr> {
    let mut last = None;
    for _ in 0..ADDRESS_TRIES_MAX {
        let n = ADDRESSES_USED.fetch_add(1, Relaxed);
        let octet = |value: u32| (value % 254 + 1) as u8;
        let second = (std::process::id() % 223 + 32) as u8;
        let address =
            SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, second, octet(n / 254), octet(n))), port);
        match TcpListener::bind(address) {
            Ok(_) => return Ok(address),
            Err(error) => last = Some((address, error)),
        }
    }
    let (address, error) =
        last.unwrap_or((SocketAddr::from(([127, 0, 0, 1], port)), io::Error::other("none tried")));
    let fix = "free the port, or use `network: bridge` where loopback has no aliases";
    Err(io::Error::new(
        error.kind(),
        format!("no free 127.x.y.z address; the last, {address}: {error}; {fix}"),
    ))
}
