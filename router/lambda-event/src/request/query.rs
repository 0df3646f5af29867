//! The parameters of a query, taken apart.
//!
//! Kept for functions that read them. They cannot be turned back (`a=1,2` and `a=1&a=2` look alike when joined, `a` and
//! `a=` always), which is why payload format 2.0 also has `rawQueryString`.

use std::borrow::Cow;

use crate::headers::Repeated;
use crate::json;

/// Parameters in the order of their keys; those with the same key in the order they came.
pub(super) type Parameters<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Takes a query apart, percent-decoded and with `+` as a space.
pub(super) fn decoded(query: &str) -> Parameters<'_> {
    parameters(query, decode)
}

/// Takes a query apart as it was sent.
pub(super) fn undecoded(query: &str) -> Parameters<'_> {
    parameters(query, Cow::Borrowed)
}

/// Sorted rather than searched, so that a query of thousands of keys costs no quadratic time.
fn parameters<'a>(query: &'a str, text: fn(&'a str) -> Cow<'a, str>) -> Parameters<'a> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut parameters: Parameters<'a> = pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (text(key), text(value))
        })
        .collect();
    parameters.sort_by(|(a, _), (b, _)| a.cmp(b));
    parameters
}

/// Writes `"key":"value",…`, or `"key":["value",…],…`.
pub(super) fn write(out: &mut Vec<u8>, parameters: &Parameters<'_>, repeated: Repeated) {
    for (index, group) in parameters.chunk_by(|(a, _), (b, _)| a == b).enumerate() {
        if 0 < index {
            out.push(b',');
        }
        json::string(out, &group[0].0);
        out.push(b':');
        let values = group.iter().map(|(_, value)| value.as_bytes());
        match repeated {
            Repeated::Joined => {
                out.push(b'"');
                for (index, value) in values.enumerate() {
                    if 0 < index {
                        out.push(b',');
                    }
                    json::escape(out, value);
                }
                out.push(b'"');
            }
            Repeated::Last => json::string(out, &group[group.len() - 1].1),
            Repeated::Listed => {
                for (index, value) in values.enumerate() {
                    out.extend_from_slice(if index == 0 { br#"[""# } else { br#",""# });
                    json::escape(out, value);
                    out.push(b'"');
                }
                out.push(b']');
            }
        }
    }
}

/// Decodes `%41` and `+`; a `%` without two hex digits stands for itself, bytes that are not UTF-8 become U+FFFD.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        decoded.push(match (first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (byte, _) => *byte,
        });
    }
    Cow::Owned(match String::from_utf8_lossy(&decoded) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_as(parameters: &Parameters<'_>, repeated: Repeated, expected: &str) {
        let mut out = Vec::new();
        write(&mut out, parameters, repeated);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[track_caller]
    fn check(query: &str, expected: &str) {
        check_as(&decoded(query), Repeated::Joined, expected);
    }

    #[test]
    fn keys_are_decoded_and_their_values_joined() {
        check("a=1&b=2", r#""a":"1","b":"2""#);
        check("b=2&a=1&b=3", r#""a":"1","b":"2,3""#);
        check("%61=x%20y+z&a", r#""a":"x y z,""#);
        check("flag", r#""flag":"""#);
        check("a=b=c", r#""a":"b=c""#);
        check("&&", "");
    }

    #[test]
    fn what_cannot_be_decoded_stands_for_itself() {
        check("a=100%", r#""a":"100%""#);
        check("a=%zz%4", r#""a":"%zz%4""#);
        check("a=%ff", "\"a\":\"\u{fffd}\"");
        check("a=%00%22", r#""a":"\u0000\"""#);
    }

    #[test]
    fn each_format_has_its_values_as_it_says() {
        let query = "b=2&a=%31&b=%33&c&b";
        check_as(&decoded(query), Repeated::Last, r#""a":"1","b":"","c":"""#);
        check_as(&decoded(query), Repeated::Listed, r#""a":["1"],"b":["2","3",""],"c":[""]"#);
        check_as(&undecoded(query), Repeated::Last, r#""a":"%31","b":"","c":"""#);
        check_as(&undecoded("%61=+&a=1"), Repeated::Listed, r#""%61":["+"],"a":["1"]"#);
    }
}
