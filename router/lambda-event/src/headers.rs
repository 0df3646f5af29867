//! Headers as they stand in a payload: which cross, how they are written, how they are read back.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONNECTION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::json;
use crate::report::PREFIX;

/// Returns whether a header belongs to one connection only, so that it must not be forwarded.
///
/// The list is RFC 9110 section 7.6.1 with the proxy fields of RFC 9110 section 11.7 and `proxy-connection`, which
/// was never standard and is still sent. Headers that a `connection` header names are hop-by-hop as well; the
/// functions that write payloads leave those out too.
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Returns whether a client may not send a header to a function: it is AWS's or the gateway's to say.
///
/// `x-amzn-trace-id` is the exception: AWS's own front ends take a client's, which lets traces begin before them.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    is_aws(name) && name.as_str() != "x-amzn-trace-id" || name.as_str().starts_with(PREFIX)
}

/// Returns whether a header is AWS's own: of Invoke's answer, of a signature, of a load balancer.
fn is_aws(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-amz-") || name.starts_with("x-amzn-")
}

/// What becomes of a header or query parameter that is there several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    /// One text, the values separated by `,`.
    Joined,
    /// The last value only. Cookies are joined all the same: several `cookie` headers are one list (RFC 9113 section
    /// 8.2.3).
    Last,
    /// A list of all values.
    Listed,
}

/// Writes `"name":"value",…` for every header that crosses and that `skip` does not take out; ends with a comma if any.
pub(crate) fn write(
    out: &mut Vec<u8>,
    headers: &HeaderMap,
    repeated: Repeated,
    skip: impl Fn(&HeaderName) -> bool,
) {
    let nominates = headers.contains_key(CONNECTION);
    let (open, close): (&[u8], &[u8]) = match repeated {
        Repeated::Joined | Repeated::Last => (br#"":""#, br#"","#),
        Repeated::Listed => (br#"":[""#, br#""],"#),
    };
    let mut last: Option<&HeaderName> = None;
    let mut value_at = 0;
    for (name, value) in headers {
        if last == Some(name) {
            // The values of one name follow each other; what was closed is opened again for the next.
            let closed = out.len() - 2;
            match repeated {
                Repeated::Last if *name != COOKIE => out.truncate(value_at),
                Repeated::Joined | Repeated::Last => {
                    out.truncate(closed);
                    out.extend_from_slice(if *name == COOKIE { b"; " } else { b"," });
                }
                Repeated::Listed => {
                    out.truncate(closed);
                    out.extend_from_slice(br#",""#);
                }
            }
        } else {
            if is_hop_by_hop(name) || skip(name) || (nominates && nominated(headers, name)) {
                continue;
            }
            last = Some(name);
            out.push(b'"');
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(open);
            value_at = out.len();
        }
        json::escape_latin1(out, value.as_bytes());
        out.extend_from_slice(close);
    }
}

fn nominated(headers: &HeaderMap, name: &HeaderName) -> bool {
    let tokens = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    tokens
        .into_iter()
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// Writes the values of `name` as the inside of a JSON array, each cut at `separator` if there is one.
pub(crate) fn write_list(
    out: &mut Vec<u8>,
    headers: &HeaderMap,
    name: &HeaderName,
    separator: Option<u8>,
) {
    let start = out.len();
    for value in headers.get_all(name) {
        let cut = |&byte: &u8| separator == Some(byte);
        for item in
            value.as_bytes().split(cut).map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
        {
            out.push(b'"');
            json::escape_latin1(out, item);
            out.extend_from_slice(br#"","#);
        }
    }
    if start < out.len() {
        out.pop();
    }
}

/// A header of a payload that HTTP does not allow.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The name is empty or has characters outside RFC 9110's `token`.
    #[error("header name {0:?} is not a token; use letters, digits and -")]
    Name(String),
    /// The value has a line break or another control character.
    #[error("value of header {0} has a control character; take it out or encode it")]
    Value(HeaderName),
    /// More headers than a header map holds.
    #[error("more than 32768 headers; send fewer")]
    TooMany,
}

/// Returns an empty map with room for `count` headers, and for no more than a sane payload has.
///
/// The count is the sender's word, and a map that is asked for more than 32768 panics.
pub(crate) fn map_for(count: usize) -> HeaderMap {
    HeaderMap::with_capacity(count.min(64) + 4)
}

/// Sets one header of a payload, in the place of those of the same name.
pub(crate) fn insert(
    headers: &mut HeaderMap,
    name: HeaderName,
    value: &str,
    payload: Option<&Bytes>,
) -> Result<(), HeaderError> {
    let Some(value) = to_value(value, payload) else { return Err(HeaderError::Value(name)) };
    headers.try_insert(name, value).map_err(|_| HeaderError::TooMany)?;
    Ok(())
}

/// Adds one header of a payload, after those of the same name.
pub(crate) fn append(
    headers: &mut HeaderMap,
    name: &HeaderName,
    value: &str,
    payload: Option<&Bytes>,
) -> Result<(), HeaderError> {
    let value = to_value(value, payload).ok_or_else(|| HeaderError::Value(name.clone()))?;
    headers.try_append(name, value).map_err(|_| HeaderError::TooMany)?;
    Ok(())
}

/// Reads a name, and returns `None` for those that belong to one connection.
pub(crate) fn to_name(name: &str) -> Result<Option<HeaderName>, HeaderError> {
    let name =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name(name.into()))?;
    Ok((!is_hop_by_hop(&name)).then_some(name))
}

/// Reads a name of a function's answer, and returns `None` for those that do not reach a client.
pub(crate) fn to_answer_name(name: &str) -> Result<Option<HeaderName>, HeaderError> {
    let name = to_name(name)?;
    Ok(name.filter(|name| !is_aws(name)))
}

/// Characters up to U+00FF are bytes; text with any above is not from HTTP, and goes out as UTF-8.
fn to_value(text: &str, payload: Option<&Bytes>) -> Option<HeaderValue> {
    if !text.is_ascii() {
        let latin1: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
        return HeaderValue::from_bytes(latin1.as_deref().unwrap_or(text.as_bytes())).ok();
    }
    let inside = |payload: &&Bytes| payload.as_ptr_range().contains(&text.as_ptr());
    match payload.filter(inside) {
        Some(payload) => HeaderValue::from_maybe_shared(payload.slice_ref(text.as_bytes())).ok(),
        None => HeaderValue::from_str(text).ok(),
    }
}

/// Text of a payload, borrowed unless it had escapes. A number or a boolean counts as its text.
#[derive(Debug)]
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string, a number or a boolean")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// The value of a header in any of the forms that formats have: a text, a list of texts, or `null` for none.
#[derive(Debug)]
pub(crate) enum OneOrMany<'de> {
    None,
    One(Text<'de>),
    Many(Vec<Text<'de>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for OneOrMany<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor;
        impl<'de> Visitor<'de> for OneOrManyVisitor {
            type Value = OneOrMany<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(OneOrMany::None)
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Text(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Text(Cow::Owned(text.to_owned()))))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Text(Cow::Owned(value.to_string()))))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Text(Cow::Owned(value.to_string()))))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Text(Cow::Owned(value.to_string()))))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Text(Cow::Owned(value.to_string()))))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(OneOrMany::Many(values))
            }
        }
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

/// The entries of a JSON object in the order they stand; `null` has none.
#[derive(Debug)]
pub(crate) struct Entries<'de, T>(pub(crate) Vec<(Text<'de>, T)>);

impl<T> Default for Entries<'_, T> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Entries<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<'de, T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object or null")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Entries::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(16);
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_any(EntriesVisitor(std::marker::PhantomData))
    }
}
