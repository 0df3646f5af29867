//! What one route matches, and how specific that is.
//!
//! This is the meaning of a match in one place: [`Match::matches`] is what the compiled table is tested against.

use std::{cmp::Reverse, fmt, sync::Arc};

use http::{HeaderMap, HeaderName, Method};

/// What a route matches. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    /// The host; `None` matches any.
    pub host: Option<HostPattern>,
    /// The path.
    pub path: PathPattern,
    /// The methods; empty matches any.
    pub methods: Vec<Method>,
    /// Headers that must be there, with this value when one is given. Of a repeated header the first counts.
    pub headers: Vec<(HeaderName, Option<Arc<str>>)>,
    /// Query parameters that must be there, with this value when one is given. Of a repeated parameter the first counts.
    pub query: Vec<(Arc<str>, Option<Arc<str>>)>,
}

/// Which hosts match. Lower case, without port and without a final dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(Arc<str>),
    /// Every host below this domain, at any depth: `*.example.com` (kept as `example.com`) matches `a.example.com` and
    /// `a.b.example.com`, not `example.com`.
    Below(Arc<str>),
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => out.write_str(host),
            Self::Below(domain) => write!(out, "*.{domain}"),
        }
    }
}

/// Which paths match, in the normal form of [`crate::path::normal`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// Every path.
    #[default]
    Any,
    /// This path.
    Exact(Arc<str>),
    /// This path and what lies below it, cut at a `/`: `/v1/reports` matches itself, `/v1/reports/` and `/v1/reports/7`,
    /// not `/v1/reportsx`. With a final slash only what lies below: `/v1/reports/` matches `/v1/reports/` and
    /// `/v1/reports/7`, not `/v1/reports`.
    Prefix(Arc<str>),
}

/// The part of a request that routes look at.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The authority's host, as the client wrote it: any case, with or without a port.
    pub host: &'a str,
    /// The path in the normal form of [`crate::path::normal`].
    pub path: &'a str,
    /// The query without its `?`, as the client wrote it.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// How specific a match is: the smaller, the sooner it wins.
pub(crate) type Specificity = (u8, Reverse<usize>, u8, Reverse<usize>, Reverse<usize>);

impl Match {
    /// Tells whether all conditions hold for `head`. For tests and explanations: the gateway asks the compiled table.
    pub fn matches(&self, head: &Head<'_>) -> bool {
        let host = bare_host(head.host).to_ascii_lowercase();
        let host_matches = match &self.host {
            None => true,
            Some(HostPattern::Exact(exact)) => **exact == *host,
            Some(HostPattern::Below(domain)) => host
                .strip_suffix(&**domain)
                .is_some_and(|rest| 1 < rest.len() && rest.ends_with('.')),
        };
        let path_matches = match &self.path {
            PathPattern::Any => true,
            PathPattern::Exact(exact) => **exact == *head.path,
            PathPattern::Prefix(prefix) => head.path.strip_prefix(&**prefix).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
            }),
        };
        host_matches && path_matches && self.conditions_hold(head)
    }

    /// Tells whether the conditions beside host and path hold.
    pub(crate) fn conditions_hold(&self, head: &Head<'_>) -> bool {
        (self.methods.is_empty() || self.methods.contains(head.method))
            && self.headers.iter().all(|(name, value)| match (head.headers.get(name), value) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(found), Some(value)) => found.as_bytes() == value.as_bytes(),
            })
            && self.query.iter().all(|(name, value)| match (parameter(head.query, name), value) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(found), Some(value)) => decodes_to(found, value),
            })
    }

    /// How many conditions stand beside host and path: a set of methods counts once.
    pub fn conditions(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.headers.len() + self.query.len()
    }

    pub(crate) fn specificity(&self) -> Specificity {
        let (host, host_len) = match &self.host {
            Some(HostPattern::Exact(_)) => (0, 0),
            Some(HostPattern::Below(domain)) => (1, domain.len()),
            None => (2, 0),
        };
        let (path, path_len) = match &self.path {
            PathPattern::Exact(_) => (0, 0),
            PathPattern::Prefix(prefix) => (1, prefix.len()),
            PathPattern::Any => (2, 0),
        };
        (host, Reverse(host_len), path, Reverse(path_len), Reverse(self.conditions()))
    }

    /// Tells whether this takes all that its host is asked for of `other`, which has the more specific path: because a host
    /// wins before any path.
    pub(crate) fn shadows(&self, other: &Self) -> bool {
        let Some(HostPattern::Exact(mine) | HostPattern::Below(mine)) = &self.host else {
            return false;
        };
        let wider_host = match &other.host {
            None => true,
            Some(HostPattern::Exact(_)) => false,
            Some(HostPattern::Below(theirs)) => mine
                .strip_suffix(&**theirs)
                .is_some_and(|rest| 1 < rest.len() && rest.ends_with('.')),
        };
        let narrower_path = match (&self.path, &other.path) {
            (_, PathPattern::Any) | (PathPattern::Exact(_), _) => false,
            (PathPattern::Any, _) => true,
            (PathPattern::Prefix(mine), PathPattern::Exact(path) | PathPattern::Prefix(path)) => {
                mine != path
                    && path
                        .strip_prefix(&**mine)
                        .is_some_and(|rest| rest.starts_with('/') || mine.ends_with('/'))
            }
        };
        wider_host && narrower_path && self.conditions() == 0
    }

    /// Tells whether one request can match both, and neither is more specific: then the outcome would hang on the order
    /// of the file.
    pub fn ties_with(&self, other: &Self) -> bool {
        let disjoint_methods = !self.methods.is_empty()
            && !other.methods.is_empty()
            && !self.methods.iter().any(|method| other.methods.contains(method));
        let disjoint_headers =
            self.headers.iter().any(|(name, value)| differs(name, value.as_ref(), &other.headers));
        let disjoint_query =
            self.query.iter().any(|(name, value)| differs(name, value.as_ref(), &other.query));
        self.host == other.host
            && self.path == other.path
            && self.conditions() == other.conditions()
            && !disjoint_methods
            && !disjoint_headers
            && !disjoint_query
    }
}

fn differs<K: PartialEq>(
    name: &K,
    value: Option<&Arc<str>>,
    others: &[(K, Option<Arc<str>>)],
) -> bool {
    others.iter().any(|(other, wanted)| {
        other == name && value.is_some() && wanted.is_some() && wanted.as_ref() != value
    })
}

/// Writes the match as a person would: `POST api.example.com/v1/reports/* ?frames x-tier=gold`.
impl fmt::Display for Match {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.methods.iter().enumerate() {
            write!(out, "{}{method}", if index == 0 { "" } else { "," })?;
        }
        if !self.methods.is_empty() {
            out.write_str(" ")?;
        }
        if let Some(host) = &self.host {
            write!(out, "{host}")?;
        }
        match &self.path {
            PathPattern::Any => out.write_str("/*")?,
            PathPattern::Exact(path) => out.write_str(path)?,
            PathPattern::Prefix(prefix) if prefix.ends_with('/') => write!(out, "{prefix}*")?,
            PathPattern::Prefix(prefix) => write!(out, "{prefix}[/*]")?,
        }
        for (name, value) in &self.query {
            write!(
                out,
                " ?{name}{}",
                value.as_ref().map_or(String::new(), |value| format!("={value}"))
            )?;
        }
        for (name, value) in &self.headers {
            write!(out, " {name}:{}", value.as_ref().map_or("*", |value| value))?;
        }
        Ok(())
    }
}

/// Returns the host without its port and without a final dot.
pub(crate) fn bare_host(host: &str) -> &str {
    let without_port = if host.starts_with('[') {
        // An IPv6 literal: its own colons stand inside the brackets.
        host.find(']').map_or(host, |end| &host[..=end])
    } else {
        host.split_once(':').map_or(host, |(name, _)| name)
    };
    without_port.strip_suffix('.').unwrap_or(without_port)
}

/// Returns the raw value of the first parameter of that name; empty when it has none.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        decodes_to(key, name).then_some(value)
    })
}

/// Tells whether `raw` is `text` once `%` escapes and `+` are decoded, without decoding it into memory.
fn decodes_to(raw: &str, text: &str) -> bool {
    let mut raw = raw.bytes();
    let mut text = text.bytes();
    while let Some(byte) = raw.next() {
        let decoded = match byte {
            b'+' => b' ',
            b'%' => {
                let mut ahead = raw.clone();
                match (ahead.next().and_then(hex_digit), ahead.next().and_then(hex_digit)) {
                    (Some(high), Some(low)) => {
                        raw = ahead;
                        high << 4 | low
                    }
                    // A broken escape stands for itself, as in the URL standard.
                    _ => byte,
                }
            }
            other => other,
        };
        if text.next() != Some(decoded) {
            return false;
        }
    }
    text.next().is_none()
}

/// Returns the value of a hexadecimal digit.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_loses_port_and_final_dot_and_nothing_else() {
        assert_eq!(bare_host("a.example.com:8080"), "a.example.com");
        assert_eq!(bare_host("a.example.com."), "a.example.com");
        assert_eq!(bare_host("[::1]:8080"), "[::1]");
        assert_eq!(bare_host("[::1]"), "[::1]");
        assert_eq!(bare_host(""), "");
    }

    #[test]
    fn query_values_are_compared_decoded() {
        assert!(decodes_to("a%20b+c", "a b c"));
        assert!(decodes_to("100%", "100%"));
        assert!(!decodes_to("a%2", "a"));
        assert_eq!(parameter(Some("x=1&fr%61mes=240&frames=9"), "frames"), Some("240"));
        assert_eq!(parameter(Some("flag"), "flag"), Some(""));
        assert_eq!(parameter(None, "flag"), None);
    }

    #[test]
    fn a_match_reads_like_a_request() {
        let matched = Match {
            host: Some(HostPattern::Below("example.com".into())),
            path: PathPattern::Prefix("/v1/reports/".into()),
            methods: vec![Method::GET, Method::HEAD],
            headers: vec![(HeaderName::from_static("x-tier"), Some("gold".into()))],
            query: vec![("frames".into(), None)],
        };
        assert_eq!(matched.to_string(), "GET,HEAD *.example.com/v1/reports/* ?frames x-tier:gold");
        assert_eq!(Match::default().to_string(), "/*");
    }
}
