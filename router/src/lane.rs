//! Where a request runs, and what may go wrong there.
//!
//! Each lane is one file and one function: [`container::send`] and [`lambda::invoke`]. They share the connections of
//! [`pool`] and the way in which failures are told: whether the request ran, and whose fault it was.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use anyhow::{Context, bail};
use http::{HeaderValue, StatusCode, Uri};
use predictor::outcome::Spill;

pub(crate) mod body;
pub(crate) mod budget;
pub(crate) mod container;
pub(crate) mod lambda;
pub(crate) mod pool;

/// Why a lane gave no response.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whether the request may have run.
    pub(crate) ran: Execution,
    /// What happened, for metrics and logs.
    pub(crate) cause: Spill,
    /// What the client is told when nothing else can be tried.
    pub(crate) status: StatusCode,
    /// One sentence for the client: says whose fault it is and leaks nothing of the backend's answer.
    pub(crate) detail: &'static str,
    /// Whether a timeout of the policy ended it.
    pub(crate) timed_out: bool,
    /// In how many seconds the lane asked to be tried again.
    pub(crate) retry_after: Option<u32>,
}

/// Whether a request that failed may have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Execution {
    /// It provably did not: it may be sent again, on any lane, whatever its method.
    DidNotRun,
    /// Nobody knows: only what may be repeated is sent again.
    Unknown,
    /// It did, and it failed: sending it again would run it twice.
    Ran,
}

impl Failure {
    /// A failure that left no trace in the backend.
    pub(crate) const fn did_not_run(
        cause: Spill,
        status: StatusCode,
        detail: &'static str,
    ) -> Self {
        Self {
            ran: Execution::DidNotRun,
            cause,
            status,
            detail,
            timed_out: false,
            retry_after: None,
        }
    }

    /// A failure of which nobody knows how far it got.
    pub(crate) const fn unknown(status: StatusCode, detail: &'static str) -> Self {
        Self {
            ran: Execution::Unknown,
            cause: Spill::Failed,
            status,
            detail,
            timed_out: false,
            retry_after: None,
        }
    }

    /// A failure of a request that ran.
    pub(crate) const fn ran(status: StatusCode, detail: &'static str) -> Self {
        Self {
            ran: Execution::Ran,
            cause: Spill::Failed,
            status,
            detail,
            timed_out: false,
            retry_after: None,
        }
    }

    /// Marks it as the end of a timeout.
    pub(crate) const fn timed_out(mut self) -> Self {
        self.timed_out = true;
        self
    }
}

/// Something that connections are opened to by name: the Lambda API, or any HTTP server.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Host name or address, without brackets.
    pub(crate) host: Arc<str>,
    /// Port.
    pub(crate) port: u16,
    /// Whether it speaks TLS.
    pub(crate) tls: bool,
    /// Value of the `Host` header.
    pub(crate) authority: HeaderValue,
    /// Number by which workers find their connections to it.
    pub(crate) key: u64,
}

impl Endpoint {
    /// Parses `http://host:port` or `https://host`; a path is refused.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => bail!("`{url}` must begin with http:// or https://"),
        };
        let authority = uri.authority().with_context(|| format!("`{url}` names no host"))?;
        if !matches!(uri.path(), "" | "/") {
            bail!("`{url}` must not have a path");
        }
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).into(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            tls,
            authority: HeaderValue::from_str(authority.as_str())
                .with_context(|| format!("`{url}` has a host that no header can carry"))?,
            key: next_key(),
        })
    }
}

/// Returns a number that no other endpoint or task of this process has.
pub(crate) fn next_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_without_a_path() {
        let endpoint = Endpoint::parse("https://lambda.eu-west-1.amazonaws.com").unwrap();
        assert_eq!(
            (&*endpoint.host, endpoint.port, endpoint.tls),
            ("lambda.eu-west-1.amazonaws.com", 443, true)
        );
        let endpoint = Endpoint::parse("http://[::1]:4566/").unwrap();
        assert_eq!((&*endpoint.host, endpoint.port, endpoint.tls), ("::1", 4566, false));
        assert_eq!(endpoint.authority, "[::1]:4566");
        for bad in ["lambda", "ftp://x", "http://x/path", "http://"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}
