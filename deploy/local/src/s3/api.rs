//! The S3 API: the operations on objects and buckets, as path-style requests.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use axum::{
    body::to_bytes,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH},
    request::Parts,
};

use super::{body, error::Error, object::OBJECT_BYTES_MAX};
use crate::{
    Shared, clock,
    config::is_bucket_name,
    faults::{Api, ApiFault},
    signature::{self, decode, text},
};

mod list;
mod objects;

/// Longest key (S3 user guide, "Object key names", read 2026-11).
const KEY_BYTES_MAX: usize = 1024;
/// Parameters that change nothing: SDKs write the operation's name there.
const IGNORED: [&str; 1] = ["x-id"];

/// Answers what is meant for S3; the rest goes on.
///
/// Any path may be an object's. What is meant is told by the service for which a request is signed, as on AWS by its
/// host.
pub(crate) async fn divert(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let signed = text(request.headers(), AUTHORIZATION.as_str()).unwrap_or_default();
    if !signed.contains("/s3/aws4_request") {
        return next.run(request).await;
    }
    let (resource, is_head) = (request.uri().path().to_owned(), request.method() == Method::HEAD);
    let answer = answer(&shared, request).await;
    let mut response = answer.unwrap_or_else(|error| error.response(&resource, is_head));
    set(&mut response, "x-amz-request-id", &clock::request_id());
    response
}

/// A request that was read and checked.
#[derive(Debug)]
struct Asked<'a> {
    shared: &'a Shared,
    headers: HeaderMap,
    query: BTreeMap<String, String>,
    bucket: String,
    body: Bytes,
}

async fn answer(shared: &Shared, request: Request) -> Result<Response, Error> {
    match shared.faults.api.meet(Api::S3).await {
        None => {}
        Some(ApiFault::Throttled) => {
            let message = "Please reduce your request rate.";
            return Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", message));
        }
        Some(ApiFault::Down(status)) => {
            let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
            let code = if unavailable { "ServiceUnavailable" } else { "InternalError" };
            return Err(Error::new(status, code, "ordered by a fault of the local cloud"));
        }
    }
    let (parts, body) = request.into_parts();
    let declared = text(&parts.headers, CONTENT_LENGTH.as_str()).and_then(|n| n.parse().ok());
    if declared.is_some_and(|length: usize| body::REQUEST_BYTES_MAX < length) {
        return Err(Error::too_large(OBJECT_BYTES_MAX));
    }
    let body = to_bytes(body, body::REQUEST_BYTES_MAX).await;
    let body = body.map_err(|_| Error::too_large(OBJECT_BYTES_MAX))?;
    signature::verify(&parts, &body, &shared.config.region, "s3", SystemTime::now())?;
    let (bucket, key) = place(parts.uri.path())?;
    let query = query(&parts)?;
    let asked = Asked { shared, headers: parts.headers, query, bucket, body };
    match (&parts.method, key) {
        (&Method::GET, Some(key)) => objects::get(&asked, &key, true),
        (&Method::HEAD, Some(key)) => objects::get(&asked, &key, false),
        (&Method::PUT, Some(key)) => objects::put(asked, &key),
        (&Method::DELETE, Some(key)) => objects::delete(&asked, &key),
        (&Method::GET, None) => list::list(&asked),
        (&Method::HEAD, None) => {
            asked.only(&[])?;
            objects::locked(shared).bucket(&asked.bucket)?;
            Ok(StatusCode::OK.into_response())
        }
        (&Method::PUT, None) => {
            asked.only(&[])?;
            if !is_bucket_name(&asked.bucket) {
                return Err(Error::bad("InvalidBucketName", "The specified bucket is not valid."));
            }
            objects::locked(shared).create(&asked.bucket)?;
            let mut response = StatusCode::OK.into_response();
            set(&mut response, "location", &format!("/{}", asked.bucket));
            Ok(response)
        }
        (method, _) => Err(Error::missing(&format!("{method} of that"))),
    }
}

impl Asked<'_> {
    /// Refuses parameters that the operation does not know.
    fn only(&self, known: &[&str]) -> Result<(), Error> {
        let mut names = self.query.keys().map(String::as_str);
        match names.find(|name| !known.contains(name) && !IGNORED.contains(name)) {
            None => Ok(()),
            Some(unknown) => Err(Error::missing(&format!("parameter `{unknown}` here"))),
        }
    }

    /// Refuses headers that would change what the operation does, and would be ignored.
    fn without(&self, names: &[&str]) -> Result<(), Error> {
        match names.iter().find(|name| self.headers.contains_key(**name)) {
            None => Ok(()),
            Some(name) => Err(Error::missing(&format!("header `{name}` here"))),
        }
    }
}

/// The bucket and key of a path.
fn place(path: &str) -> Result<(String, Option<String>), Error> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() {
        return Err(Error::missing("list of buckets"));
    }
    let read = |text: &str| {
        let invalid = || Error::bad("InvalidURI", "Couldn't parse the specified URI.");
        String::from_utf8(decode(text)).map_err(|_| invalid())
    };
    let key = read(key)?;
    if KEY_BYTES_MAX < key.len() {
        return Err(Error::bad("KeyTooLongError", "Your key is too long"));
    }
    Ok((read(bucket)?, Some(key).filter(|key| !key.is_empty())))
}

fn query(parts: &Parts) -> Result<BTreeMap<String, String>, Error> {
    let pairs = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((String::from_utf8(decode(name)).ok()?, String::from_utf8(decode(value)).ok()?))
    });
    let pairs: Option<_> = pairs.collect();
    pairs.ok_or_else(|| Error::bad("InvalidURI", "Couldn't parse the specified URI."))
}

/// Sets a header, if its value can be one.
fn set(response: &mut Response, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        response.headers_mut().insert(name, value);
    }
}
