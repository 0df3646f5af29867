//! Who may use the admin API.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

/// Where the admin API is served, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Address and port.
    pub listen: SocketAddr,
    /// What callers must show; without any, who reaches it may do everything.
    pub tokens: Tokens,
    /// How it is encrypted; in clear when absent.
    pub tls: Option<AdminTls>,
}

/// What callers of the admin API show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Lets look.
    pub read: Option<Secret>,
    /// Lets act, too.
    pub operator: Option<Secret>,
}

/// Files of the admin API's TLS, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminTls {
    /// The certificate and those that lead to its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signs clients' certificates: whoever shows one may act. Nobody is asked for one when absent.
    pub clients: Option<PathBuf>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the text, for whom it is meant and nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Tells whether `other` is the same, in a time that does not tell how much of it is.
    pub fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differing = own.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
        own.len() == other.len() && std::hint::black_box(differing) == 0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(..)")
    }
}

impl Admin {
    /// At `listen`, in clear and for everybody who reaches it.
    pub fn at(listen: SocketAddr) -> Self {
        Self { listen, tokens: Tokens::default(), tls: None }
    }

    /// Tells whether callers have to show who they are.
    pub fn asks(&self) -> bool {
        let clients = self.tls.as_ref().is_some_and(|tls| tls.clients.is_some());
        clients || self.tokens != Tokens::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_itself_alone_and_never_shown() {
        let secret = Secret::new("correct-horse-battery");
        assert!(secret.is(b"correct-horse-battery"));
        for other in ["", "correct-horse", "correct-horse-batterz", "correct-horse-battery-"] {
            assert!(!secret.is(other.as_bytes()), "{other}");
        }
        let tokens = Tokens { read: Some(secret), operator: None };
        assert!(!format!("{tokens:?}").contains("horse"));
    }
}
