//! Compiled route matching. SKELETON.

/// What a route matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {}

/// The routes compiled for matching.
#[derive(Debug, Default)]
pub struct Table {}
