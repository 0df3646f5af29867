//! The decoded form of a query: `queryStringParameters`.
//!
//! Kept for functions that read it. It cannot be turned back (`a=1,2` and `a=1&a=2` look alike), which is why the
//! adapter reads `rawQueryString`.

use std::borrow::Cow;

use crate::json;

/// Writes `"key":"value,…",…`: percent-decoded, `+` as a space, values of one key joined with `,`, keys in order.
///
/// Sorted rather than searched, so that a query of thousands of keys costs no quadratic time.
pub(crate) fn write_parameters(out: &mut Vec<u8>, query: &str) {
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> =
        query.split('&').filter(|pair| !pair.is_empty()).map(decode_pair).collect();
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    for group in pairs.chunk_by(|(a, _), (b, _)| a == b) {
        json::string(out, &group[0].0);
        out.extend_from_slice(br#":""#);
        for (index, (_, value)) in group.iter().enumerate() {
            if 0 < index {
                out.push(b',');
            }
            json::escape(out, value.as_bytes());
        }
        out.extend_from_slice(br#"","#);
    }
    if !pairs.is_empty() {
        out.pop();
    }
}

fn decode_pair(pair: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decode(key), decode(value))
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
    fn check(query: &str, expected: &str) {
        let mut out = Vec::new();
        super::write_parameters(&mut out, query);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{query}");
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
}
