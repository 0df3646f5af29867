//! Operations on one object.

use std::{collections::BTreeMap, sync::MutexGuard, time::SystemTime};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::CONTENT_LENGTH};

use super::{Asked, set};
use crate::{
    Shared, clock,
    s3::{
        body,
        checksum::etag,
        error::Error,
        object::{Buckets, Object},
    },
    signature::text,
    tasks::lock,
};

/// Longest metadata of the user (S3 user guide, "Working with object metadata", read 2026-11).
const METADATA_BYTES_MAX: usize = 2048;

pub(super) fn locked(shared: &Shared) -> MutexGuard<'_, Buckets> {
    lock(&shared.s3.buckets)
}

/// GetObject, and HeadObject, which has no body.
pub(super) fn get(asked: &Asked, key: &str, whole: bool) -> Result<Response, Error> {
    asked.only(&[])?;
    let conditions = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
    asked.without(&conditions)?;
    asked.without(&["range"])?;
    let object = locked(asked.shared).get(&asked.bucket, key)?.clone();
    let length = object.body.len();
    let body = if whole { Body::from(object.body) } else { Body::empty() };
    let mut response = (StatusCode::OK, body).into_response();
    set(&mut response, CONTENT_LENGTH.as_str(), &length.to_string());
    set(&mut response, "etag", &object.etag);
    set(&mut response, "last-modified", &clock::http_date(object.modified));
    if let Some(checksum) = object.checksum
        && text(&asked.headers, "x-amz-checksum-mode") == Some("ENABLED")
    {
        set(&mut response, checksum.name, &checksum.value);
        set(&mut response, "x-amz-checksum-type", "FULL_OBJECT");
    }
    for (name, value) in &object.headers {
        set(&mut response, name, value);
    }
    Ok(response)
}

/// PutObject.
pub(super) fn put(asked: Asked, key: &str) -> Result<Response, Error> {
    asked.only(&[])?;
    asked.without(&["x-amz-copy-source", "x-amz-tagging", "x-amz-write-offset-bytes"])?;
    let headers = kept_headers(&asked)?;
    let (body, checksum) = body::read(&asked.headers, asked.body)?;
    let etag = etag(&body);
    let object = Object {
        body,
        etag: etag.clone(),
        modified: SystemTime::now(),
        checksum: checksum.clone(),
        headers,
    };
    let condition = |name| text(&asked.headers, name);
    let (matches, none) = (condition("if-match"), condition("if-none-match"));
    if none.is_some_and(|none| none != "*") {
        return Err(Error::missing("If-None-Match of a PUT but `*`"));
    }
    let unquoted = |etag: &str| etag.trim_matches('"').to_owned();
    locked(asked.shared).put(&asked.bucket, key, object, |before| match (before, matches) {
        (Some(_), _) if none.is_some() => Err(Error::precondition_failed()),
        (Some(before), Some(wanted)) if unquoted(&before.etag) != unquoted(wanted) => {
            Err(Error::precondition_failed())
        }
        (None, Some(_)) => Err(Error::no_key()),
        _ => Ok(()),
    })?;
    let mut response = StatusCode::OK.into_response();
    set(&mut response, "etag", &etag);
    if let Some(checksum) = checksum {
        set(&mut response, checksum.name, &checksum.value);
        set(&mut response, "x-amz-checksum-type", "FULL_OBJECT");
    }
    Ok(response)
}

/// What is told again with the object.
fn kept_headers(asked: &Asked) -> Result<BTreeMap<String, String>, Error> {
    let mut kept = BTreeMap::new();
    let mut metadata = 0;
    for (name, value) in &asked.headers {
        let name = name.as_str();
        let is_metadata = name.starts_with("x-amz-meta-");
        if is_metadata || ["content-type", "cache-control", "content-disposition"].contains(&name) {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            metadata += if is_metadata { name.len() + value.len() } else { 0 };
            kept.insert(name.to_owned(), value);
        }
    }
    if METADATA_BYTES_MAX < metadata {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(Error::bad("MetadataTooLarge", message));
    }
    if let Some(encoding) = body::content_encoding(&asked.headers) {
        kept.insert("content-encoding".into(), encoding);
    }
    let unknown = || "binary/octet-stream".to_owned();
    kept.entry("content-type".into()).or_insert_with(unknown);
    Ok(kept)
}

/// DeleteObject.
pub(super) fn delete(asked: &Asked, key: &str) -> Result<Response, Error> {
    asked.only(&[])?;
    asked.without(&["if-match"])?;
    locked(asked.shared).delete(&asked.bucket, key)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
