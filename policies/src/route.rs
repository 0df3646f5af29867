//! Routes compiled for matching: which route answers a request.
//!
//! The most specific route wins, whatever the order in the file: an exact host before the longest wildcard before any;
//! then an exact path before the longest prefix; then more conditions on method, headers and query. Compiled once at load
//! into a tree of path segments per host, so that matching costs by the length of the path and not by the number of
//! routes; only routes with equal host and equal path are tried one after the other.

#[cfg(test)]
mod laws;
mod pattern;
mod table;

pub(crate) use self::pattern::hex_digit;
pub use self::{
    pattern::{Head, HostPattern, Match, PathPattern},
    table::Table,
};
