//! ListObjectsV2.

use axum::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use http::{HeaderValue, header::CONTENT_TYPE};

use super::{Asked, objects::locked};
use crate::{
    clock,
    s3::{error::Error, object::Listing, xml::element},
    signature::encode,
};

/// Most keys of a page (S3 API reference, `ListObjectsV2`).
const KEYS_MAX: usize = 1000;
const KNOWN: [&str; 7] = [
    "list-type",
    "prefix",
    "max-keys",
    "continuation-token",
    "start-after",
    "encoding-type",
    "fetch-owner",
];

pub(super) fn list(asked: &Asked) -> Result<Response, Error> {
    asked.only(&KNOWN)?;
    let parameter = |name: &str| asked.query.get(name).map(String::as_str);
    if parameter("list-type") != Some("2") {
        return Err(Error::missing("list but ListObjectsV2 (list-type=2)"));
    }
    if parameter("fetch-owner").is_some_and(|fetch| fetch != "false") {
        return Err(Error::missing("owner to fetch"));
    }
    let asked_max = parameter("max-keys").map_or(Ok(KEYS_MAX), str::parse);
    let asked_max = asked_max.map_err(|_| {
        Error::bad("InvalidArgument", "Provided max-keys not an integer or within integer range")
    })?;
    let by_url = parameter("encoding-type").is_some_and(|kind| kind == "url");
    let told = |text: &str| {
        if by_url { encode(text.as_bytes(), b"/") } else { text.to_owned() }
    };
    let token = parameter("continuation-token");
    let after = match token {
        // The key after which the page begins: all that the next page needs to know.
        Some(token) => {
            let key = BASE64.decode(token).ok().and_then(|key| String::from_utf8(key).ok());
            let wrong = "The continuation token provided is incorrect";
            key.ok_or_else(|| Error::bad("InvalidArgument", wrong))?
        }
        None => parameter("start-after").unwrap_or_default().to_owned(),
    };
    let prefix = parameter("prefix").unwrap_or_default();
    let listing = Listing { prefix: prefix.to_owned(), after, keys_max: KEYS_MAX.min(asked_max) };
    let buckets = locked(asked.shared);
    let (page, more) = buckets.list(&asked.bucket, &listing)?;
    let mut body = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
    );
    body += &element("Name", &asked.bucket);
    body += &element("Prefix", &told(prefix));
    body += &element("MaxKeys", &listing.keys_max.to_string());
    body += &element("KeyCount", &page.len().to_string());
    body += &element("IsTruncated", if more { "true" } else { "false" });
    if by_url {
        body += &element("EncodingType", "url");
    }
    if let Some(after) = parameter("start-after") {
        body += &element("StartAfter", &told(after));
    }
    if let Some(token) = token {
        body += &element("ContinuationToken", token);
    }
    if let Some((key, _)) = page.last().filter(|_| more) {
        body += &element("NextContinuationToken", &BASE64.encode(key.as_bytes()));
    }
    for (key, object) in page {
        body += "<Contents>";
        body += &element("Key", &told(key));
        body += &element("LastModified", &clock::timestamp(object.modified));
        body += &element("ETag", &object.etag);
        body += &element("Size", &object.body.len().to_string());
        body += "<StorageClass>STANDARD</StorageClass></Contents>";
    }
    body += "</ListBucketResult>";
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/xml"))], body).into_response())
}
