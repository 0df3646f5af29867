//! Bodies: plain, or `aws-chunked` with a checksum in the trailer, as SDKs send what they stream.
//!
//! ```text
//! 5;an=extension\r\n
//! hello\r\n
//! 0\r\n
//! x-amz-checksum-crc32:NhCmhg==\r\n
//! \r\n
//! ```

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_ENCODING};
use sha2::{Digest, Sha256};

use super::{
    checksum::{self, Checksum},
    error::Error,
    object::OBJECT_BYTES_MAX,
};
use crate::signature::{UNSIGNED, UNSIGNED_TRAILER, hex, text};

/// The content coding of bodies in chunks.
const CODING: &str = "aws-chunked";
/// What is read of a request: an object, and what chunks of 8 KiB (the least that S3 takes) add to it.
pub(crate) const REQUEST_BYTES_MAX: usize = OBJECT_BYTES_MAX + OBJECT_BYTES_MAX / 64;

/// Reads what was sent, and checks it against what was declared of it.
pub(crate) fn read(headers: &HeaderMap, body: Bytes) -> Result<(Bytes, Option<Checksum>), Error> {
    let declared = text(headers, "x-amz-content-sha256").unwrap_or_default();
    let (body, trailer) = match declared {
        UNSIGNED_TRAILER => {
            let chunked = decode(&body)?;
            let length = text(headers, "x-amz-decoded-content-length");
            let length = length.and_then(|length| length.parse::<usize>().ok());
            if length != Some(chunked.body.len()) {
                let message = "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header.";
                return Err(Error::bad("IncompleteBody", message));
            }
            let promised = text(headers, "x-amz-trailer");
            let sent = chunked.trailer.as_ref().map(|(name, _)| name.as_str());
            if promised != sent {
                let message = "The trailer that was sent is not the one that x-amz-trailer names.";
                return Err(Error::bad("MalformedTrailerError", message));
            }
            (Bytes::from(chunked.body), chunked.trailer)
        }
        UNSIGNED => (body, None),
        streaming if streaming.starts_with("STREAMING-") => {
            return Err(Error::missing(&format!("bodies that are {streaming}")));
        }
        hash if hash == hex(&Sha256::digest(&body)) => (body, None),
        _ => {
            let message =
                "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(Error::bad("XAmzContentSHA256Mismatch", message));
        }
    };
    if OBJECT_BYTES_MAX < body.len() {
        return Err(Error::too_large(OBJECT_BYTES_MAX));
    }
    let by_header = checksum::check_headers(headers, &body)?;
    let by_trailer = trailer.map(|(name, value)| checksum::check(&name, &value, &body));
    Ok((body, by_trailer.transpose()?.or(by_header)))
}

/// The content coding that the object itself has.
pub(crate) fn content_encoding(headers: &HeaderMap) -> Option<String> {
    let codings = text(headers, CONTENT_ENCODING.as_str())?.split(',').map(str::trim);
    let codings: Vec<&str> = codings.filter(|coding| *coding != CODING).collect();
    (!codings.is_empty()).then(|| codings.join(","))
}

#[derive(Debug, PartialEq, Eq)]
struct Chunked {
    body: Vec<u8>,
    /// Its name in lower case, and its value.
    trailer: Option<(String, String)>,
}

fn decode(mut rest: &[u8]) -> Result<Chunked, Error> {
    let mut body = Vec::with_capacity(rest.len());
    loop {
        let head = line(&mut rest)?;
        let size = head.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(|_| broken())?;
        if size == 0 {
            break;
        }
        let data = rest.get(..size).ok_or_else(broken)?;
        body.extend_from_slice(data);
        rest = &rest[size..];
        if !line(&mut rest)?.is_empty() {
            return Err(broken());
        }
    }
    let mut trailer = None;
    // Some clients leave out the empty line after the last trailer.
    while !rest.is_empty() {
        let field = line(&mut rest)?;
        if field.is_empty() {
            break;
        }
        let (name, value) = field.split_once(':').ok_or_else(broken)?;
        if trailer.is_some() {
            return Err(broken());
        }
        trailer = Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    if rest.is_empty() { Ok(Chunked { body, trailer }) } else { Err(broken()) }
}

/// Takes a line without its end.
fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Error> {
    let end = rest.windows(2).position(|two| two == b"\r\n").ok_or_else(broken)?;
    let line = std::str::from_utf8(&rest[..end]).map_err(|_| broken())?;
    *rest = &rest[end + 2..];
    Ok(line)
}

fn broken() -> Error {
    let message = "The request body is not properly chunked (aws-chunked).";
    Error::bad("InvalidChunkSizeError", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAILED: &[u8] =
        b"5;chunk-extension=x\r\nhello\r\n1\r\n\n\r\n0\r\nX-Amz-Checksum-Crc32: abc=\r\n\r\n";

    #[test]
    fn chunks_are_put_together() {
        let decoded = decode(TRAILED).unwrap();
        assert_eq!(decoded.body, b"hello\n");
        assert_eq!(decoded.trailer, Some(("x-amz-checksum-crc32".into(), "abc=".into())));
        let none = decode(b"0\r\n\r\n").unwrap();
        assert_eq!(none, Chunked { body: Vec::new(), trailer: None });
    }

    #[test]
    fn every_cut_is_seen() {
        // But for the empty line at the end, which some clients leave out.
        for cut in 0..TRAILED.len() - 2 {
            let whole_lines = TRAILED[..cut].ends_with(b"0\r\n");
            assert_eq!(decode(&TRAILED[..cut]).is_ok(), whole_lines, "cut at {cut}");
        }
        for wrong in [
            &b"5\r\nhello!\r\n0\r\n\r\n"[..],
            b"-1\r\n\r\n",
            b"ffffffffffffffffff\r\n",
            b"ffffffffffffffff\r\n",
            b"0\r\n\r\nmore",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\na:b\r\nc:d\r\n\r\n",
        ] {
            assert!(decode(wrong).is_err(), "{wrong:?}");
        }
    }
}
