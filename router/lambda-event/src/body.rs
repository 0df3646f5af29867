//! Decides whether a body crosses as text or as base64, and writes and reads it.
//!
//! AWS decides by the content type alone, each of its front ends by another list. Here a body must also give back the same bytes: it has to be UTF-8, and
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

/// Which content types count as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextTypes {
    /// `text/*`, JSON, JavaScript and XML: the list of an Application Load Balancer ("Lambda functions as targets", AWS
    /// documentation).
    Listed,
    /// Also what is JSON or XML underneath (`+json`, `+xml`). HTTP APIs and function URLs send forms in base64, and there
    /// are functions that decode them without looking.
    WithoutForms,
    /// Also URL-encoded forms, which REST APIs pass on as they are.
    All,
}

/// Returns whether a body with these headers may cross as text, as far as they tell.
///
/// False without a content type, and with a `content-encoding` other than `identity`.
#[must_use]
pub(crate) fn may_be_text(headers: &HeaderMap, types: TextTypes) -> bool {
    let encoded = |value: &http::HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().any(encoded) {
        return false;
    }
    headers.get(CONTENT_TYPE).is_some_and(|value| is_text_type(value.as_bytes(), types))
}

fn is_text_type(content_type: &[u8], types: TextTypes) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let listed = [b"application/json".as_slice(), b"application/javascript", b"application/xml"];
    if starts_with(essence, b"text/")
        || listed.iter().any(|known| essence.eq_ignore_ascii_case(known))
    {
        return true;
    }
    if types == TextTypes::Listed {
        return false;
    }
    ends_with(essence, b"+json")
        || ends_with(essence, b"+xml")
        || (types == TextTypes::All
            && essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded"))
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

/// Writes `"…","isBase64Encoded":…`, or only `,"isBase64Encoded":false` when there is no body.
///
/// Formats differ in what stands for no body, so that and the field's name are the caller's.
pub(crate) fn write(out: &mut Vec<u8>, body: &[u8], may_be_text: bool) {
    if body.is_empty() {
        out.extend_from_slice(br#","isBase64Encoded":false"#);
        return;
    }
    out.push(b'"');
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

    #[track_caller]
    fn check(content_type: &str, encoding: Option<&'static str>, expected: [bool; 3]) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        let types = [TextTypes::Listed, TextTypes::WithoutForms, TextTypes::All];
        let texts = types.map(|types| may_be_text(&headers, types));
        assert_eq!(texts, expected, "{content_type} {encoding:?}");
    }

    #[test]
    fn text_is_known_by_its_type() {
        let (always, never) = ([true; 3], [false; 3]);
        check("text/plain", None, always);
        check("TEXT/HTML; charset=utf-8", None, always);
        check("application/json", None, always);
        check("application/json;charset=UTF-8", None, always);
        check("application/problem+json ; a=b", None, [false, true, true]);
        check("image/svg+xml", None, [false, true, true]);
        check("application/x-www-form-urlencoded; charset=utf-8", None, [false, false, true]);
        check("application/jsonlines", None, never);
        check("application/octet-stream", None, never);
        check("multipart/form-data; boundary=text/plain", None, never);
        check("", None, never);
    }

    #[test]
    fn what_is_compressed_is_no_text() {
        check("text/plain", Some("gzip"), [false; 3]);
        check("text/plain", Some("Identity"), [true; 3]);
    }

    #[test]
    fn no_content_type_is_no_text() {
        assert!(!may_be_text(&HeaderMap::new(), TextTypes::All));
    }

    fn written(body: &[u8], may_be_text: bool) -> String {
        let mut out = Vec::new();
        write(&mut out, body, may_be_text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_would_not_come_back_as_it_was_is_base64() {
        assert_eq!(written(b"a\"b\n", true), r#""a\"b\n","isBase64Encoded":false"#);
        assert_eq!(written(b"ab\xff", true), r#""YWL/","isBase64Encoded":true"#);
        assert_eq!(written(b"a\0b", true), r#""YQBi","isBase64Encoded":true"#);
        assert_eq!(written(b"ab", false), r#""YWI=","isBase64Encoded":true"#);
        assert_eq!(written(b"", false), r#","isBase64Encoded":false"#);
    }
}
