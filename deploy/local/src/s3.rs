//! S3: buckets of objects, in memory.
//!
//! What a gateway keeps its history in, and no more: objects are put and read whole; no versions, no parts, no ranges.
//! Requests are path-style, and known by the scope of their signature: any path may name an object.

use std::{collections::BTreeMap, sync::Mutex};

use crate::config::Config;

pub(crate) mod api;
mod body;
mod checksum;
mod error;
mod object;
mod xml;

use object::Buckets;

/// All buckets of the account.
#[derive(Debug)]
pub(crate) struct S3 {
    buckets: Mutex<Buckets>,
}

impl S3 {
    pub(crate) fn new(config: &Config) -> Self {
        let buckets = config.buckets.iter().map(|name| (name.clone(), BTreeMap::new())).collect();
        Self { buckets: Mutex::new(Buckets { buckets, bytes: 0 }) }
    }
}
