//! The one normal form of a request's path: what routes match and what is forwarded.
//!
//! Matching one spelling and forwarding another is how rules are walked around, so there is only this one. Nothing is
//! guessed: `%2F` is no separator, `//` stays, and what no honest client sends is refused instead of mended.

use std::borrow::Cow;

use crate::route::hex_digit;

/// Why a path has no normal form. All of them are the client's doing: 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// It holds a byte that no path may hold: a control character, a space, a backslash, `?` or `#`.
    #[error("the path holds byte {0:#04x} unescaped")]
    Forbidden(u8),
    /// It holds `%` without two hexadecimal digits behind it.
    #[error("the path holds a broken percent escape")]
    BrokenEscape,
    /// It holds `%00`: many programs end the path there.
    #[error("the path holds an escaped NUL")]
    EscapedNul,
    /// Its `..` segments climb above the root.
    #[error("the path climbs above its root")]
    AboveRoot,
}

/// Returns the normal form of `path` (without its query), as RFC 3986, section 6.2.2 has it: escapes of unreserved
/// characters decoded, other escapes in upper case, dot segments removed; bytes beyond ASCII and those that RFC 3986
/// leaves out (such as `"` and `|`) escaped.
///
/// A path that is normal already, as nearly all are, is returned as it is. `*`, the path of `OPTIONS *`, is normal.
pub fn normal(path: &str) -> Result<Cow<'_, str>, PathError> {
    if path == "*" {
        return Ok(Cow::Borrowed(path));
    }
    if !path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path)?;
    let normal = without_dot_segments(&decoded)?;
    Ok(if normal == path { Cow::Borrowed(path) } else { Cow::Owned(normal) })
}

/// Tells at a glance that a path is normal: no escape, nothing odd, no segment that begins with a dot.
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    for &byte in path {
        if !allowed(byte) || (byte == b'.' && before == b'/') {
            return false;
        }
        before = byte;
    }
    true
}

/// `pchar` of RFC 3986 without escapes, and the slash.
const fn allowed(byte: u8) -> bool {
    unreserved(byte)
        || matches!(
            byte,
            b'/' | b':'
                | b'@'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

const fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Brings every byte into its one spelling.
fn decode(path: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let (Some(high), Some(low)) =
                    (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit))
                else {
                    return Err(PathError::BrokenEscape);
                };
                match high << 4 | low {
                    0 => return Err(PathError::EscapedNul),
                    plain if unreserved(plain) => out.push(char::from(plain)),
                    other => escape(&mut out, other),
                }
            }
            0..=0x20 | 0x7F | b'\\' | b'?' | b'#' => return Err(PathError::Forbidden(byte)),
            plain if allowed(plain) => out.push(char::from(plain)),
            other => escape(&mut out, other),
        }
    }
    Ok(out)
}

fn escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// Removes `.` and `..` segments (RFC 3986, section 5.2.4), refusing what climbs above the root.
fn without_dot_segments(path: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => {
                let parent = out.rfind('/').ok_or(PathError::AboveRoot)?;
                out.truncate(parent);
            }
            other => {
                out.push('/');
                out.push_str(other);
                continue;
            }
        }
        // A dot segment at the end leaves the slash before it: `/a/.` is `/a/`.
        if segments.peek().is_none() {
            out.push('/');
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_spelling_has_one_normal_form() {
        let cases = [
            ("/", "/"),
            ("*", "*"),
            ("/a/b", "/a/b"),
            ("/a//b", "/a//b"),
            ("//", "//"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/.", "/"),
            ("/a/..", "/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/%2E/b", "/a/b"),
            ("/%61%7e", "/a~"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%2Fb", "/a%2Fb"),
            ("/..a/.b", "/..a/.b"),
            ("/a//../b", "/a/b"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a|b\"c", "/a%7Cb%22c"),
            ("/a;v=1,2:3@x!$&'()*+", "/a;v=1,2:3@x!$&'()*+"),
            ("/%25", "/%25"),
        ];
        for (path, expected) in cases {
            assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_no_honest_client_sends_is_refused() {
        let cases = [
            ("", PathError::NotAbsolute),
            ("a/b", PathError::NotAbsolute),
            ("/a b", PathError::Forbidden(b' ')),
            ("/a\u{1}", PathError::Forbidden(1)),
            ("/a\u{7f}", PathError::Forbidden(0x7F)),
            ("/a\\..\\b", PathError::Forbidden(b'\\')),
            ("/a?b", PathError::Forbidden(b'?')),
            ("/a#b", PathError::Forbidden(b'#')),
            ("/a%", PathError::BrokenEscape),
            ("/a%2", PathError::BrokenEscape),
            ("/a%zz", PathError::BrokenEscape),
            ("/a%+1", PathError::BrokenEscape),
            ("/a%00", PathError::EscapedNul),
            ("/..", PathError::AboveRoot),
            ("/a/../../b", PathError::AboveRoot),
            ("/%2e%2e/etc", PathError::AboveRoot),
        ];
        for (path, expected) in cases {
            assert_eq!(normal(path), Err(expected), "{path}");
        }
    }

    #[test]
    fn a_normal_path_is_borrowed() {
        for path in ["/", "/v1/reports/7", "/a%2Fb", "/.well-known/x"] {
            assert!(matches!(normal(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn normal_is_idempotent(path in "/[a-c./%2eEfF0-9|é]{0,24}") {
            if let Ok(once) = normal(&path) {
                let twice = normal(&once);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
            }
        }

        #[test]
        fn no_dot_segment_and_no_odd_byte_survives(path in "/[a-c./%2eEfF0-9|é]{0,24}") {
            if let Ok(normal) = normal(&path) {
                prop_assert!(normal.split('/').all(|segment| segment != "." && segment != ".."));
                prop_assert!(normal.bytes().all(|byte| allowed(byte) || byte == b'%'));
            }
        }

        #[test]
        fn no_input_panics(path in ".*") {
            let _ = normal(&path);
        }
    }
}
