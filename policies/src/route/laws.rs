//! The compiled table against a list walked from its most specific match: they must agree on every request.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{Head, HostPattern, Match, PathPattern, Table};
use crate::policy::RouteId;

/// Few words, so that requests and routes meet often.
const HOSTS: [&str; 6] =
    ["example.com", "a.example.com", "b.a.example.com", "com", "127.0.0.1", "[::1]"];
const PATHS: [&str; 9] = ["/", "/a", "/a/", "/a/b", "/a/b/", "/ab", "/a//b", "/b", "/a/b/c"];

fn matched() -> impl Strategy<Value = Match> {
    let host = prop_oneof![
        3 => Just(None),
        2 => select(&HOSTS[..]).prop_map(|host| Some(HostPattern::Exact(host.into()))),
        2 => select(&HOSTS[..4]).prop_map(|host| Some(HostPattern::Below(host.into()))),
    ];
    let path = prop_oneof![
        1 => Just(PathPattern::Any),
        2 => select(&PATHS[..]).prop_map(|path| PathPattern::Exact(path.into())),
        3 => select(&PATHS[1..]).prop_map(|path| PathPattern::Prefix(path.into())),
    ];
    let methods = prop_oneof![
        2 => Just(vec![]),
        1 => Just(vec![Method::GET]),
        1 => Just(vec![Method::GET, Method::POST]),
    ];
    let header = option::weighted(0.2, option::of(select(&["gold", "tin"][..])));
    let query = option::weighted(0.2, option::of(select(&["1", "2"][..])));
    (host, path, methods, header, query).prop_map(|(host, path, methods, header, query)| Match {
        host,
        path,
        methods,
        headers: header
            .map(|value| (HeaderName::from_static("x-tier"), value.map(Into::into)))
            .into_iter()
            .collect(),
        query: query.map(|value| ("n".into(), value.map(Into::into))).into_iter().collect(),
    })
}

/// Puts matches in the order in which they win, without those that tie: what loading hands on.
fn ordered(mut matches: Vec<Match>) -> Vec<Match> {
    matches.sort_by_key(Match::specificity);
    let mut kept: Vec<Match> = vec![];
    for candidate in matches {
        if !kept.iter().any(|other| other.ties_with(&candidate)) {
            kept.push(candidate);
        }
    }
    kept
}

fn find(matches: Vec<Match>, host: &str, path: &str) -> Option<String> {
    let matches = ordered(matches);
    let table = Table::new(matches.clone());
    let headers = HeaderMap::new();
    let head = Head { host, path, query: None, method: &Method::GET, headers: &headers };
    table.find(&head).map(|id| matches[usize::from(id.0)].to_string())
}

fn on(host: Option<HostPattern>, path: PathPattern) -> Match {
    Match { host, path, ..Match::default() }
}

#[test]
fn the_most_specific_match_wins() {
    let exact = |text: &str| PathPattern::Exact(text.into());
    let prefix = |text: &str| PathPattern::Prefix(text.into());
    let host = |text: &str| Some(HostPattern::Exact(text.into()));
    let below = |text: &str| Some(HostPattern::Below(text.into()));
    let all = vec![
        on(None, PathPattern::Any),
        on(None, prefix("/v1/")),
        on(None, prefix("/v1/reports")),
        on(None, exact("/v1/reports/7")),
        on(below("example.com"), prefix("/v1")),
        on(below("eu.example.com"), prefix("/v1")),
        on(host("api.example.com"), prefix("/v2")),
    ];
    let cases = [
        ("x", "/", "/*"),
        ("x", "/v1", "/*"),
        ("x", "/v1/", "/v1/*"),
        ("x", "/v1/x/y", "/v1/*"),
        ("x", "/v1/reports", "/v1/reports[/*]"),
        ("x", "/v1/reports/", "/v1/reports[/*]"),
        ("x", "/v1/reportsx", "/v1/*"),
        ("x", "/v1/reports/7", "/v1/reports/7"),
        ("x", "/v1/reports/7/", "/v1/reports[/*]"),
        ("A.Example.COM:8080", "/v1", "*.example.com/v1[/*]"),
        ("a.eu.example.com.", "/v1", "*.eu.example.com/v1[/*]"),
        ("eu.example.com", "/v1", "*.example.com/v1[/*]"),
        ("example.com", "/v1", "/*"),
        ("api.example.com", "/v2/x", "api.example.com/v2[/*]"),
        // A host that is known but has no such path falls through to the wider ones.
        ("api.example.com", "/v1/x", "*.example.com/v1[/*]"),
        ("api.example.com", "/x", "/*"),
        (".example.com", "/v1", "/*"),
        ("", "*", "/*"),
    ];
    for (host, path, expected) in cases {
        assert_eq!(find(all.clone(), host, path).as_deref(), Some(expected), "{host} {path}");
    }
    let long = format!("{}.example.com", "A".repeat(300));
    assert_eq!(find(all, &long, "/v1").as_deref(), Some("/*"), "no host name is that long");
    assert_eq!(find(vec![], "x", "/"), None);
    assert_eq!(find(vec![on(None, exact("/a"))], "x", "/b"), None);
    assert_eq!(find(vec![on(None, prefix("/"))], "x", "*"), None);
}

#[test]
fn a_deep_path_costs_its_length_and_not_its_square() {
    let table = Table::new(ordered(vec![on(None, PathPattern::Prefix("/a".into()))]));
    let headers = HeaderMap::new();
    let path = "/a".repeat(1_000_000);
    let head =
        Head { host: "x", path: &path, query: None, method: &Method::GET, headers: &headers };
    // Quadratic work here would take hours.
    assert_eq!(table.find(&head), Some(RouteId(0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_table_finds_what_walking_the_list_finds(
        matches in vec(matched(), 0..12),
        host in select(&["example.com", "A.example.com:80", "b.a.example.com", "x.com", "[::1]:80", "other", ""][..]),
        path in select(&["/", "/a", "/a/", "/a/b", "/a/b/", "/a//b", "/ab", "/a/b/c/d", "/c", "*"][..]),
        method in select(&[Method::GET, Method::POST, Method::PUT][..]),
        tier in option::of(select(&["gold", "tin", "lead"][..])),
        query in option::of(select(&["n=1", "m=1&n=2", "n", "%6e=1", "m=1"][..])),
    ) {
        let matches = ordered(matches);
        let mut headers = HeaderMap::new();
        if let Some(tier) = tier {
            headers.insert("x-tier", HeaderValue::from_static(tier));
        }
        let head = Head { host, path, query, method: &method, headers: &headers };
        let walked = matches.iter().position(|matched| matched.matches(&head));
        let found = Table::new(matches.clone()).find(&head).map(|id| usize::from(id.0));
        prop_assert_eq!(found, walked, "{:?}", matches.iter().map(ToString::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn what_does_not_tie_has_one_winner(
        a in matched(),
        b in matched(),
        host in select(&HOSTS[..]),
        path in select(&PATHS[..]),
        tier in option::of(select(&["gold", "tin"][..])),
        query in option::of(select(&["n=1", "n=2"][..])),
    ) {
        let mut headers = HeaderMap::new();
        if let Some(tier) = tier {
            headers.insert("x-tier", HeaderValue::from_static(tier));
        }
        let head = Head { host, path, query, method: &Method::GET, headers: &headers };
        if a.matches(&head) && b.matches(&head) && a.specificity() == b.specificity() {
            prop_assert!(a.ties_with(&b) && b.ties_with(&a), "{} | {}", a, b);
        }
    }
}
