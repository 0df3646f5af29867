//! Checksums that clients declare of what they send: CRC32, SHA-256 and MD5.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::HeaderMap;
use md5::{Digest, Md5};
use sha2::Sha256;

use super::error::Error;
use crate::signature::text;

/// How headers and trailers that declare one begin.
const PREFIX: &str = "x-amz-checksum-";
/// Those of the family that are no checksum.
const OTHERS: [&str; 2] = ["x-amz-checksum-mode", "x-amz-checksum-type"];

/// A checksum of a whole body, as it was declared and is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    /// The header's name.
    pub(crate) name: &'static str,
    /// Base64.
    pub(crate) value: String,
}

/// Checks a declared checksum.
pub(crate) fn check(name: &str, declared: &str, body: &[u8]) -> Result<Checksum, Error> {
    let (name, called, value) = match name {
        "x-amz-checksum-crc32" => {
            let sum = crc32fast::hash(body).to_be_bytes();
            ("x-amz-checksum-crc32", "CRC32", BASE64.encode(sum))
        }
        "x-amz-checksum-sha256" => {
            ("x-amz-checksum-sha256", "SHA256", BASE64.encode(Sha256::digest(body)))
        }
        other => {
            let message = format!(
                "checksum `{other}`; declare x-amz-checksum-crc32 or x-amz-checksum-sha256"
            );
            return Err(Error::missing(&message));
        }
    };
    if declared.trim() == value {
        return Ok(Checksum { name, value });
    }
    let message = format!("The {called} you specified did not match the calculated checksum.");
    Err(Error::bad("BadDigest", message))
}

/// Checks what headers declare of `body`; returns the checksum that is kept with the object.
pub(crate) fn check_headers(headers: &HeaderMap, body: &[u8]) -> Result<Option<Checksum>, Error> {
    if let Some(declared) = text(headers, "content-md5")
        && declared != BASE64.encode(Md5::digest(body))
    {
        let message = "The Content-MD5 you specified did not match what we received.";
        return Err(Error::bad("BadDigest", message));
    }
    let names = headers.keys().map(http::HeaderName::as_str);
    let mut names = names.filter(|name| name.starts_with(PREFIX) && !OTHERS.contains(name));
    let Some(name) = names.next() else { return Ok(None) };
    if names.next().is_some() {
        return Err(Error::bad("InvalidRequest", "Expecting a single x-amz-checksum- header"));
    }
    check(name, text(headers, name).unwrap_or_default(), body).map(Some)
}

/// The ETag of an object that was put whole: its MD5, in quotes.
pub(crate) fn etag(body: &[u8]) -> String {
    format!("\"{}\"", crate::signature::hex(&Md5::digest(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_everybody_else() {
        // The check value of CRC-32/ISO-HDLC, and SHA-256 and MD5 of nothing (RFC 6234, RFC 1321).
        assert!(check("x-amz-checksum-crc32", "y/Q5Jg==", b"123456789").is_ok());
        let sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert!(check("x-amz-checksum-sha256", sha256, b"").is_ok());
        assert_eq!(etag(b""), "\"d41d8cd98f00b204e9800998ecf8427e\"");
        let wrong = check("x-amz-checksum-crc32", "y/Q5Jg==", b"12345678").unwrap_err();
        assert_eq!(wrong.code, "BadDigest");
        let missing = check("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=", b"").unwrap_err();
        assert_eq!(missing.code, "NotImplemented");
    }
}
