//! The routes of a policy as trees of path segments, one tree per host pattern.
//!
//! Matching walks down once, remembers nothing and allocates nothing: every node knows its nearest ancestor that carries a
//! prefix, so the longest prefix is found by climbing only to nodes that have one. A hostile path costs no more than its
//! length.

use std::collections::BTreeMap;

use super::{Head, HostPattern, Match, PathPattern, pattern::bare_host};
use crate::policy::RouteId;

/// The routes compiled for matching.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Roots of the trees for exact hosts, sorted by host.
    exact: Box<[(Box<str>, u32)]>,
    /// Roots of the trees for all hosts below a domain, sorted by domain.
    below: Box<[(Box<str>, u32)]>,
    /// Root of the tree for any host.
    any: Option<u32>,
    nodes: Box<[Node]>,
    /// What each route demands, indexed by `RouteId`.
    matches: Box<[Match]>,
}

/// One path segment under one host.
#[derive(Debug, Clone)]
struct Node {
    /// The segments below, sorted.
    children: Box<[(Box<str>, u32)]>,
    /// Routes for exactly this path.
    exact: Box<[RouteId]>,
    /// Routes whose prefix is this path with a final slash.
    below: Box<[RouteId]>,
    /// Routes whose prefix is this path.
    at: Box<[RouteId]>,
    /// The nearest ancestor with routes in `below` or `at`.
    up: Option<u32>,
}

/// The longest host name there is (RFC 1035, section 2.3.4: 255 octets on the wire, 253 as text).
const HOST_MAX: usize = 253;

impl Table {
    /// Compiles `matches`, whose places become the [`RouteId`]s. They stand in the order in which they win.
    ///
    /// # Panics
    ///
    /// With more than 65,536 matches; loading refuses such a policy.
    pub fn new(matches: Vec<Match>) -> Self {
        debug_assert!(
            matches.is_sorted_by_key(Match::specificity),
            "load sorts the routes by specificity"
        );
        let mut nodes = vec![];
        let mut exact = BTreeMap::new();
        let mut below = BTreeMap::new();
        let mut any = None;
        for (index, matched) in matches.iter().enumerate() {
            let id = RouteId(u16::try_from(index).expect("load bounds the number of routes"));
            let root = match &matched.host {
                Some(HostPattern::Exact(host)) => {
                    exact.entry(host.clone()).or_insert_with(|| grow(&mut nodes))
                }
                Some(HostPattern::Below(domain)) => {
                    below.entry(domain.clone()).or_insert_with(|| grow(&mut nodes))
                }
                None => any.get_or_insert_with(|| grow(&mut nodes)),
            };
            insert(&mut nodes, *root, &matched.path, id);
        }
        let roots = |roots: BTreeMap<std::sync::Arc<str>, u32>| {
            roots.into_iter().map(|(host, root)| (Box::from(&*host), root)).collect()
        };
        Self {
            exact: roots(exact),
            below: roots(below),
            any,
            nodes: finish(nodes),
            matches: matches.into_boxed_slice(),
        }
    }

    /// Returns the most specific route that matches `head`. Allocates nothing.
    pub fn find(&self, head: &Head<'_>) -> Option<RouteId> {
        if !(self.exact.is_empty() && self.below.is_empty()) {
            let mut buffer = [0; HOST_MAX];
            if let Some(host) = lower_case(bare_host(head.host), &mut buffer)
                && let Some(found) = self.find_by_host(host, head)
            {
                return Some(found);
            }
        }
        self.find_in(self.any?, head)
    }

    fn find_by_host(&self, host: &str, head: &Head<'_>) -> Option<RouteId> {
        if let Some(found) = lookup(&self.exact, host).and_then(|root| self.find_in(root, head)) {
            return Some(found);
        }
        if self.below.is_empty() {
            return None;
        }
        // From the longest domain to the shortest: a.b.example.com is below b.example.com, then example.com, then com.
        let mut rest = host;
        while let Some((label, domain)) = rest.split_once('.') {
            // An empty first label (".example.com") is no host below anything.
            let nothing_before = label.is_empty() && rest.len() == host.len();
            let root = if nothing_before { None } else { lookup(&self.below, domain) };
            if let Some(found) = root.and_then(|root| self.find_in(root, head)) {
                return Some(found);
            }
            rest = domain;
        }
        None
    }

    /// Returns the most specific match of the tree at `root`.
    fn find_in(&self, root: u32, head: &Head<'_>) -> Option<RouteId> {
        let first = |routes: &[RouteId]| {
            routes.iter().copied().find(|id| self.matches[usize::from(id.0)].conditions_hold(head))
        };
        let mut node = self.node(root);
        // `*`, the path of OPTIONS for the server as a whole, lies below nothing.
        let mut rest = head.path.strip_prefix('/');
        let rooted = rest.is_some();
        while let Some(segments) = rest {
            let (segment, after) = match segments.split_once('/') {
                Some((segment, after)) => (segment, Some(after)),
                None => (segments, None),
            };
            let Some(child) = lookup(&node.children, segment) else { break };
            node = self.node(child);
            rest = after;
        }
        let whole = rest.is_none() && rooted;
        if whole && let Some(found) = first(&node.exact) {
            return Some(found);
        }
        // Whatever was not walked begins with the slash that `below` asks for.
        let mut slash_follows = rest.is_some();
        loop {
            if slash_follows && let Some(found) = first(&node.below) {
                return Some(found);
            }
            if let Some(found) = first(&node.at) {
                return Some(found);
            }
            node = self.node(node.up?);
            slash_follows = rooted;
        }
    }

    fn node(&self, index: u32) -> &Node {
        &self.nodes[index as usize]
    }
}

/// Returns `host` in lower case; `None` when it is longer than any host name.
fn lower_case<'a>(host: &'a str, buffer: &'a mut [u8; HOST_MAX]) -> Option<&'a str> {
    if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(host);
    }
    let lower = buffer.get_mut(..host.len())?;
    lower.copy_from_slice(host.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}

fn lookup(sorted: &[(Box<str>, u32)], key: &str) -> Option<u32> {
    let index = sorted.binary_search_by(|(name, _)| (**name).cmp(key)).ok()?;
    Some(sorted[index].1)
}

/// A node while the tree grows.
#[derive(Default)]
struct Growing {
    children: BTreeMap<Box<str>, u32>,
    exact: Vec<RouteId>,
    below: Vec<RouteId>,
    at: Vec<RouteId>,
    parent: Option<u32>,
}

fn grow(nodes: &mut Vec<Growing>) -> u32 {
    nodes.push(Growing::default());
    u32::try_from(nodes.len() - 1).expect("a policy file is smaller than 4 GiB")
}

fn insert(nodes: &mut Vec<Growing>, root: u32, path: &PathPattern, id: RouteId) {
    let at = |nodes: &mut Vec<Growing>, path: &str| {
        let segments = path.strip_prefix('/').map(|path| path.split('/'));
        let mut node = root;
        for segment in segments.into_iter().flatten() {
            let known = nodes[node as usize].children.get(segment).copied();
            node = known.unwrap_or_else(|| {
                let child = grow(nodes);
                nodes[child as usize].parent = Some(node);
                nodes[node as usize].children.insert(segment.into(), child);
                child
            });
        }
        node as usize
    };
    match path {
        PathPattern::Any => nodes[root as usize].at.push(id),
        PathPattern::Exact(path) => {
            let node = at(nodes, path);
            nodes[node].exact.push(id);
        }
        PathPattern::Prefix(prefix) => {
            if let Some(parent) = prefix.strip_suffix('/') {
                let node = at(nodes, parent);
                nodes[node].below.push(id);
            } else {
                let node = at(nodes, prefix);
                nodes[node].at.push(id);
            }
        }
    }
}

fn finish(nodes: Vec<Growing>) -> Box<[Node]> {
    let carries: Vec<bool> =
        nodes.iter().map(|node| !(node.below.is_empty() && node.at.is_empty())).collect();
    let parents: Vec<Option<u32>> = nodes.iter().map(|node| node.parent).collect();
    let up = |mut node: Option<u32>| {
        while let Some(index) = node
            && !carries[index as usize]
        {
            node = parents[index as usize];
        }
        node
    };
    nodes
        .into_iter()
        .map(|node| Node {
            children: node.children.into_iter().collect(),
            exact: node.exact.into(),
            below: node.below.into(),
            at: node.at.into(),
            up: up(node.parent),
        })
        .collect()
}
