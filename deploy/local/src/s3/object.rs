//! Buckets and objects.

use std::{collections::BTreeMap, ops::Bound, time::SystemTime};

use bytes::Bytes;

use super::{checksum::Checksum, error::Error};

/// Largest object. S3 takes 5 GiB at once; this cloud keeps them in memory.
pub(crate) const OBJECT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What all objects together may be.
const ALL_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Most buckets of an account (S3 user guide, "Quotas", read 2026-11: 10,000; a test that makes more than these has an
/// endless loop).
const BUCKETS_MAX: usize = 1000;

/// An object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) body: Bytes,
    pub(crate) etag: String,
    pub(crate) modified: SystemTime,
    pub(crate) checksum: Option<Checksum>,
    /// What it was put with and is told again: content type and encoding, metadata of the user.
    pub(crate) headers: BTreeMap<String, String>,
}

/// What a list asks.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) prefix: String,
    /// The key after which it goes on.
    pub(crate) after: String,
    pub(crate) keys_max: usize,
}

/// A key and its object.
type Entry<'a> = (&'a String, &'a Object);

/// All buckets, their objects by key.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    pub(crate) buckets: BTreeMap<String, BTreeMap<String, Object>>,
    pub(crate) bytes: usize,
}

impl Buckets {
    pub(crate) fn create(&mut self, name: &str) -> Result<(), Error> {
        if self.buckets.contains_key(name) {
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            let conflict = http::StatusCode::CONFLICT;
            return Err(Error::new(conflict, "BucketAlreadyOwnedByYou", message));
        }
        if BUCKETS_MAX <= self.buckets.len() {
            let message = "You have attempted to create more buckets than allowed";
            return Err(Error::bad("TooManyBuckets", message));
        }
        self.buckets.insert(name.to_owned(), BTreeMap::new());
        Ok(())
    }

    pub(crate) fn bucket(&self, name: &str) -> Result<&BTreeMap<String, Object>, Error> {
        self.buckets.get(name).ok_or_else(Error::no_bucket)
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> Result<&Object, Error> {
        self.bucket(bucket)?.get(key).ok_or_else(Error::no_key)
    }

    /// Puts an object, if `allowed` by what is there.
    pub(crate) fn put(
        &mut self,
        bucket: &str,
        key: &str,
        object: Object,
        allowed: impl FnOnce(Option<&Object>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let objects = self.buckets.get_mut(bucket).ok_or_else(Error::no_bucket)?;
        let before = objects.get(key);
        allowed(before)?;
        let bytes = self.bytes - before.map_or(0, |before| before.body.len()) + object.body.len();
        if ALL_BYTES_MAX < bytes {
            return Err(Error::too_large(ALL_BYTES_MAX));
        }
        self.bytes = bytes;
        objects.insert(key.to_owned(), object);
        Ok(())
    }

    /// Deletes an object; one that is not there is as good as deleted.
    pub(crate) fn delete(&mut self, bucket: &str, key: &str) -> Result<(), Error> {
        let objects = self.buckets.get_mut(bucket).ok_or_else(Error::no_bucket)?;
        if let Some(object) = objects.remove(key) {
            self.bytes -= object.body.len();
        }
        Ok(())
    }

    /// Objects in the order of their keys, and whether there are more.
    pub(crate) fn list(
        &self,
        bucket: &str,
        listing: &Listing,
    ) -> Result<(Vec<Entry<'_>>, bool), Error> {
        let Listing { prefix, after, keys_max } = listing;
        let from = match after {
            after if after < prefix => Bound::Included(prefix.as_str()),
            after => Bound::Excluded(after.as_str()),
        };
        let objects = self.bucket(bucket)?.range::<str, _>((from, Bound::Unbounded));
        let mut found = objects.take_while(|(key, _)| key.starts_with(prefix.as_str()));
        let page: Vec<_> = found.by_ref().take(*keys_max).collect();
        // A page of no keys is the last one.
        let more = 0 < *keys_max && found.next().is_some();
        Ok((page, more))
    }
}
