//! Looks up the names of static upstreams: each address is a task.

use std::{net::SocketAddr, time::Duration};

use policies::policy::Upstream;
use tokio::time::timeout;

use super::{Found, Placed};

/// How long a lookup may take: the resolver's own default of 5 s for one try.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks up all upstreams; each address of a name is a task.
pub(super) async fn resolve(upstreams: Box<[Upstream]>) -> Result<Vec<Found>, String> {
    let mut all: Vec<Found> = Vec::new();
    for upstream in &upstreams {
        let (host, port) = (&*upstream.host, upstream.port);
        let failed = |why: &dyn std::fmt::Display| {
            format!("looking up `{host}`: {why}; mend `upstreams` or the name service")
        };
        let addresses = match address(upstream) {
            Some(address) => vec![address],
            None => match timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((host, port))).await {
                Ok(Ok(addresses)) => one_family(addresses.collect()),
                Ok(Err(error)) => return Err(failed(&error)),
                Err(_) => return Err(failed(&format_args!("no answer within {LOOKUP_TIMEOUT:?}"))),
            },
        };
        if addresses.is_empty() {
            return Err(failed(&"it has no address"));
        }
        for address in addresses {
            let found = found(upstream, address);
            if !all.iter().any(|other| other.address == found.address) {
                all.push(found);
            }
        }
    }
    Ok(all)
}

/// Keeps the IPv4 addresses when there are any: a name with both families is one server with two addresses, and must not
/// count as two tasks.
fn one_family(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if addresses.iter().any(SocketAddr::is_ipv4) {
        addresses.retain(SocketAddr::is_ipv4);
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Returns the task at an address of an upstream.
pub(super) fn found(upstream: &Upstream, address: SocketAddr) -> Found {
    let tls = upstream.tls.then(|| upstream.host.clone());
    Found {
        name: address.to_string().into(),
        address,
        tls,
        unhealthy: false,
        placed: Placed::default(),
    }
}

/// Returns the address of an upstream that is written as one.
pub(super) fn address(upstream: &Upstream) -> Option<SocketAddr> {
    Some(SocketAddr::new(upstream.host.parse().ok()?, upstream.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_looked_up_and_one_server_is_one_task() {
        let upstream = |host: &str| Upstream { tls: false, host: host.into(), port: 9000 };
        let all = resolve([upstream("localhost"), upstream("127.0.0.1")].into()).await.unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        // RFC 6761 section 6.4: `invalid` never resolves.
        let error = resolve([upstream("no.such.name.invalid")].into()).await.unwrap_err();
        assert!(error.contains("no.such.name.invalid") && error.contains("upstreams"), "{error}");
    }
}
