//! Decides whether a body crosses as text or as base64, and writes and reads it.
//!
//! AWS decides by the content type alone. Here a body must also give back the same bytes: it has to be UTF-8, and
//! free of control characters other than those JSON writes in two bytes, so that text at most doubles in size
//! and an event's size has a bound before its body was read. Base64 takes four bytes for three.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::json;

/// Writes padded base64 and reads it with or without padding: functions in the field send both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns whether a body with these headers may cross as text, as far as they tell.
///
/// True for `text/*`, JSON, JavaScript, XML (also `+json` and `+xml`) and URL-encoded forms, unless there is a
/// `content-encoding` other than `identity`. False without a content type.
#[must_use]
pub fn may_be_text(headers: &HeaderMap) -> bool {
    let encoded = |value: &http::HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().any(encoded) {
        return false;
    }
    headers.get(CONTENT_TYPE).is_some_and(|value| is_text_type(value.as_bytes()))
}

fn is_text_type(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    if starts_with(essence, b"text/") {
        return true;
    }
    if ends_with(essence, b"+json") || ends_with(essence, b"+xml") {
        return true;
    }
    [
        b"application/json".as_slice(),
        b"application/javascript",
        b"application/xml",
        b"application/x-www-form-urlencoded",
    ]
    .iter()
    .any(|known| essence.eq_ignore_ascii_case(known))
}

fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn ends_with(text: &[u8], end: &[u8]) -> bool {
    let head = text.len().saturating_sub(end.len());
    text[head..].eq_ignore_ascii_case(end)
}

/// Returns the most bytes that a body of `length` bytes takes, without its quotes.
pub(crate) fn encoded_size_max(length: u64, may_be_text: bool) -> u64 {
    if may_be_text {
        return length.saturating_mul(2).saturating_add(4);
    }
    length.div_ceil(3).saturating_mul(4)
}

/// Returns about how many bytes `length` bytes take: right for base64, and for text with one escape in four.
pub(crate) fn encoded_size_hint(length: usize, may_be_text: bool) -> usize {
    if may_be_text { length + length / 4 + 8 } else { length.div_ceil(3) * 4 }
}

/// Writes `"body":"…","isBase64Encoded":…`, or only the latter when there is no body.
pub(crate) fn write(out: &mut Vec<u8>, body: &[u8], may_be_text: bool) {
    if body.is_empty() {
        out.extend_from_slice(br#""isBase64Encoded":false"#);
        return;
    }
    out.extend_from_slice(br#""body":""#);
    if may_be_text && std::str::from_utf8(body).is_ok() && json::escape_text(out, body) {
        out.extend_from_slice(br#"","isBase64Encoded":false"#);
        return;
    }
    let start = out.len();
    out.resize(start + body.len().div_ceil(3) * 4, 0);
    BASE64
        .encode_slice(body, &mut out[start..])
        .expect("base64 takes four bytes for each three begun, which were made room for");
    out.extend_from_slice(br#"","isBase64Encoded":true"#);
}

/// Turns the text of a payload's body back into bytes, sharing those of `payload` where the text lies in it.
pub(crate) fn read(
    text: Cow<'_, str>,
    is_base64: bool,
    payload: Option<&Bytes>,
) -> Result<Bytes, base64::DecodeError> {
    if is_base64 {
        return BASE64.decode(text.as_bytes()).map(Bytes::from);
    }
    Ok(match (text, payload) {
        (Cow::Owned(text), _) => Bytes::from(text),
        (Cow::Borrowed(text), Some(payload)) => payload.slice_ref(text.as_bytes()),
        (Cow::Borrowed(text), None) => Bytes::copy_from_slice(text.as_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(content_type: &'static str, encoding: Option<&'static str>, text: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        assert_eq!(may_be_text(&headers), text, "{content_type} {encoding:?}");
    }

    #[test]
    fn text_is_known_by_its_type() {
        check("text/plain", None, true);
        check("TEXT/HTML; charset=utf-8", None, true);
        check("application/json", None, true);
        check("application/json;charset=UTF-8", None, true);
        check("application/problem+json ; a=b", None, true);
        check("image/svg+xml", None, true);
        check("application/x-www-form-urlencoded", None, true);
        check("application/jsonlines", None, false);
        check("application/octet-stream", None, false);
        check("multipart/form-data; boundary=text/plain", None, false);
        check("", None, false);
    }

    #[test]
    fn what_is_compressed_is_no_text() {
        check("text/plain", Some("gzip"), false);
        check("text/plain", Some("Identity"), true);
    }

    #[test]
    fn no_content_type_is_no_text() {
        assert!(!may_be_text(&HeaderMap::new()));
    }

    fn written(body: &[u8], may_be_text: bool) -> String {
        let mut out = Vec::new();
        write(&mut out, body, may_be_text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_would_not_come_back_as_it_was_is_base64() {
        assert_eq!(written(b"a\"b\n", true), r#""body":"a\"b\n","isBase64Encoded":false"#);
        assert_eq!(written(b"ab\xff", true), r#""body":"YWL/","isBase64Encoded":true"#);
        assert_eq!(written(b"a\0b", true), r#""body":"YQBi","isBase64Encoded":true"#);
        assert_eq!(written(b"ab", false), r#""body":"YWI=","isBase64Encoded":true"#);
        assert_eq!(written(b"", false), r#""isBase64Encoded":false"#);
    }
}
