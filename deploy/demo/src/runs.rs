//! Counts how often each request really ran.
//!
//! Only the workload knows that it ran; its processes come and go, so each sends the number of a request, as one
//! datagram, to the demo that started it. Counting answers instead would miss the second run of a retried request.
//! Datagrams may be lost: the counts are "at least", and [`Seen::runs`] beside the answers shows whether any were.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Mutex, PoisonError},
};

/// Request header with the request's number in the load, in decimal.
pub const HEADER: &str = "x-demo-id";

/// Highest request number that is counted; two bits each, so 4 MiB at most.
const ID_MAX: u64 = 1 << 24;

/// Tells the counter that a request runs.
#[derive(Debug, Default)]
pub struct Reporter(Option<UdpSocket>);

impl Reporter {
    /// Reports to `counter`; to nobody when `None`.
    ///
    /// # Errors
    /// When `counter` is not a loopback address, or no socket can be had.
    pub fn new(counter: Option<SocketAddr>) -> io::Result<Self> {
        let Some(counter) = counter else { return Ok(Self(None)) };
        if !counter.ip().is_loopback() {
            let message =
                format!("cannot report runs to {counter}: only a loopback address is allowed");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(counter)?;
        socket.set_nonblocking(true)?;
        Ok(Self(Some(socket)))
    }

    /// Reports one run of request `id`. Never waits: a report that cannot go out is lost.
    pub fn ran(&self, id: u64) {
        if let Some(socket) = &self.0 {
            // A lost report must not fail the request; the sums show it.
            let _lost = socket.send(&id.to_be_bytes());
        }
    }
}

/// What was counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Requests that ran at least once.
    pub once: u64,
    /// Requests that ran at least twice.
    pub twice: u64,
    /// Runs in all.
    pub runs: u64,
}

/// Receives the reports.
#[derive(Debug)]
pub struct Counter {
    socket: tokio::net::UdpSocket,
    address: SocketAddr,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Bit 2n: request n ran; bit 2n + 1: it ran again.
    bits: Vec<u64>,
    seen: Seen,
}

impl Counter {
    /// Opens the counter on a free loopback port.
    ///
    /// # Errors
    /// When no socket can be had.
    pub async fn bind() -> io::Result<Self> {
        let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, table: Mutex::default() })
    }

    /// Returns where reports go.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Receives reports until dropped.
    ///
    /// # Errors
    /// When the socket breaks.
    pub async fn count(&self) -> io::Result<()> {
        let mut datagram = [0; 16];
        loop {
            let length = self.socket.recv(&mut datagram).await?;
            let Some(id) = datagram[..length].first_chunk::<8>().filter(|_| length == 8) else {
                continue;
            };
            self.table.lock().unwrap_or_else(PoisonError::into_inner).note(u64::from_be_bytes(*id));
        }
    }

    /// Returns what was counted so far.
    pub fn seen(&self) -> Seen {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).seen
    }
}

impl Table {
    fn note(&mut self, id: u64) {
        if ID_MAX < id {
            return;
        }
        let (word, shift) = ((id / 32) as usize, id % 32 * 2);
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        let word = &mut self.bits[word];
        let before = *word >> shift & 0b11;
        let after = if before == 0 { 0b01 } else { 0b11 };
        *word |= after << shift;
        self.seen.runs += 1;
        self.seen.once += u64::from(before == 0);
        self.seen.twice += u64::from(before == 0b01);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_run_is_a_run_but_no_second_request() {
        let mut table = Table::default();
        for id in [7, 8, 7, 7, 40, ID_MAX + 1] {
            table.note(id);
        }
        assert_eq!(table.seen, Seen { once: 3, twice: 1, runs: 5 });
    }

    #[tokio::test]
    async fn reports_reach_the_counter() {
        let counter = Counter::bind().await.unwrap();
        let reporter = Reporter::new(Some(counter.address())).unwrap();
        for id in [1, 2, 2] {
            reporter.ran(id);
        }
        let counted = async {
            while counter.seen().runs < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = counted => {}
            result = counter.count() => panic!("the counter ended: {result:?}"),
            () = tokio::time::sleep(std::time::Duration::from_secs(10)) => panic!("no report came"),
        }
        assert_eq!(counter.seen(), Seen { once: 2, twice: 1, runs: 3 });
    }

    #[test]
    fn reports_stay_on_this_machine() {
        let error = Reporter::new(Some("192.0.2.1:9".parse().unwrap())).unwrap_err();
        assert!(error.to_string().contains("loopback"), "{error}");
        Reporter::new(None).unwrap().ran(1);
    }
}
