//! A route as written.

use std::sync::Arc;

use http::Method;

use super::{
    RESERVED,
    common::Common,
    fields::{Fields, Written},
    outline::Choice,
    scalar::{self, Scalar, Shape},
};
use crate::{
    decide::{Class, Lane},
    problem::Place,
    route::{HostPattern, Match, PathPattern},
};

/// One route.
#[derive(Debug)]
pub(crate) struct RouteSpec {
    pub(crate) place: Place,
    pub(crate) field: String,
    pub(crate) matches: Match,
    /// All of `matches` could be read: else it may look like another route's.
    pub(crate) sound: bool,
    pub(crate) service: Option<Written<Arc<str>>>,
    pub(crate) class: Option<Written<Option<Class>>>,
    /// `None` when nothing is written: all lanes of the service.
    pub(crate) lanes: Option<Vec<Written<Lane>>>,
    pub(crate) common: Common,
}

impl RouteSpec {
    pub(crate) fn read(mut fields: Fields<'_, '_>) -> Self {
        let before = fields.sink.count();
        if !fields.has("match") {
            fields.missing("match", "write what it matches; `match: {}` matches every request");
        }
        let matches = fields.fields("match").map(read_match).unwrap_or_default();
        let sound = fields.sink.count() == before;
        let service = fields.value("service", scalar::TEXT);
        if !fields.has("service") {
            fields.missing("service", "name the service that answers");
        }
        let class = fields.value("class", scalar::CLASS);
        let lanes = fields.values("lanes", scalar::LANE);
        let lanes = fields.has_value("lanes").then_some(lanes);
        if lanes.as_ref().is_some_and(Vec::is_empty) && fields.list_is_empty("lanes") {
            fields.missing("lanes", "name at least one of `lambda` and `container`, or remove it");
        }
        let common = Common::read(&mut fields);
        fields.misplaced("mode", "belongs to a service; move it there");
        fields.reserved(&RESERVED);
        let (place, field) = (fields.place.clone(), fields.path.clone());
        fields.done();
        Self { place, field, matches, sound, service, class, lanes, common }
    }
}

fn read_match(mut fields: Fields<'_, '_>) -> Match {
    fields.choice(Choice::NotAll, &["path", "path_prefix"]);
    let host = fields.value("host", HOST).map(|host| host.value);
    let exact = fields.value("path", scalar::PATH);
    let prefix = fields.value("path_prefix", scalar::PATH);
    if let (Some(_), Some(prefix)) = (&exact, &prefix) {
        prefix.problem(fields.sink, "`path` is written too; keep one of them");
    }
    let path = match (exact, prefix) {
        (Some(path), _) => PathPattern::Exact(path.value),
        // Every path begins with `/`.
        (None, Some(prefix)) if *prefix.value == *"/" => PathPattern::Any,
        (None, Some(prefix)) => PathPattern::Prefix(prefix.value),
        (None, None) => PathPattern::Any,
    };
    let mut methods: Vec<Method> =
        fields.values("method", scalar::METHOD).into_iter().map(|method| method.value).collect();
    methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    methods.dedup();
    let headers = fields
        .conditions("headers", scalar::VALUE)
        .into_iter()
        .filter_map(|(name, value)| match scalar::header(&name.value) {
            Ok(header) => Some((header, value)),
            Err(message) => {
                name.problem(fields.sink, message);
                None
            }
        })
        .collect();
    let query = fields
        .conditions("query", scalar::VALUE)
        .into_iter()
        .map(|(name, value)| (name.value.into(), value))
        .collect();
    fields.done();
    Match { host, path, methods, headers, query }
}

const HOST: Scalar<HostPattern> =
    scalar::scalar(host, Shape::Form(r"^(\*\.)?[A-Za-z0-9._-]+$|^\[[0-9A-Fa-f:.]+\]$"));

/// Reads a host name, an address, or `*.` and a domain.
fn host(text: &str) -> Result<HostPattern, String> {
    let expected =
        || format!("expected a host such as `api.example.com` or `*.example.com`, got `{text}`");
    let lower = text.to_ascii_lowercase();
    if lower.parse::<std::net::Ipv4Addr>().is_ok() {
        return Ok(HostPattern::Exact(lower.into()));
    }
    if let Some(address) = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(HostPattern::Exact(lower.into())),
            Err(_) => Err(expected()),
        };
    }
    if lower.contains(':') {
        return Err(format!("{}; a route matches any port, so write the host alone", expected()));
    }
    let (name, below) = match lower.strip_prefix("*.") {
        Some(domain) => (domain, true),
        None => (&*lower, false),
    };
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(plain)
    };
    if 253 < name.len() || !name.split('.').all(label) {
        return Err(expected());
    }
    Ok(if below { HostPattern::Below(name.into()) } else { HostPattern::Exact(name.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_addresses_or_domains() {
        assert_eq!(host("API.example.com"), Ok(HostPattern::Exact("api.example.com".into())));
        assert_eq!(host("*.example.com"), Ok(HostPattern::Below("example.com".into())));
        assert_eq!(host("127.0.0.1"), Ok(HostPattern::Exact("127.0.0.1".into())));
        assert_eq!(host("[::1]"), Ok(HostPattern::Exact("[::1]".into())));
        for wrong in
            ["", "*", "a.*.com", "a..b", "a b", "a.com.", "http://a", "a:80", "[::1", "*.", "ä.com"]
        {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }
}
