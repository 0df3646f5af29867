//! Writes JSON strings straight into a buffer.
//!
//! serde_json would build the same text, but through a map of owned strings; the gateway writes one event
//! per request, from bytes it already holds. Eight bytes are looked at together, because most text needs no escape.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Writes `text` with its quotes.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text.as_bytes());
    out.push(b'"');
}

/// Writes the inside of a JSON string from UTF-8 `bytes`.
pub(crate) fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let run = run_length(rest);
        out.extend_from_slice(&rest[..run]);
        let Some(&byte) = rest.get(run) else { return };
        if let Some(letter) = short_escape(byte) {
            out.extend_from_slice(&[b'\\', letter]);
        } else {
            let hex = b"0123456789abcdef";
            let (high, low) = (hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
        rest = &rest[run + 1..];
    }
}

/// Like [`escape`], but writes nothing and returns false when a byte would need six (`\u0001`).
///
/// So what it writes is never more than twice as long, which is what [`event_size_max`](crate::Format::event_size_max) needs.
pub(crate) fn escape_text(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let start = out.len();
    let mut rest = bytes;
    loop {
        let run = run_length(rest);
        out.extend_from_slice(&rest[..run]);
        let Some(&byte) = rest.get(run) else { return true };
        let Some(letter) = short_escape(byte) else {
            out.truncate(start);
            return false;
        };
        out.extend_from_slice(&[b'\\', letter]);
        rest = &rest[run + 1..];
    }
}

/// Writes the inside of a JSON string, one character for each byte of ISO 8859-1.
pub(crate) fn escape_latin1(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_ascii() {
        return escape(out, bytes);
    }
    for &byte in bytes {
        let mut utf8 = [0; 2];
        escape(out, char::from(byte).encode_utf8(&mut utf8).as_bytes());
    }
}

/// Returns how many bytes at the start of `bytes` need no escape.
#[inline]
fn run_length(bytes: &[u8]) -> usize {
    let mut words = bytes.chunks_exact(8);
    let mut at = 0;
    for word in words.by_ref() {
        let word = u64::from_le_bytes(word.try_into().expect("a chunk of eight is eight bytes"));
        let found = zero_bytes(word ^ (ONES * u64::from(b'"')))
            | zero_bytes(word ^ (ONES * u64::from(b'\\')))
            | (word.wrapping_sub(ONES * 0x20) & !word & HIGH_BITS);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let needs_escape = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    at + words.remainder().iter().position(needs_escape).unwrap_or(words.remainder().len())
}

/// Sets the high bit of the lowest byte that is zero; of higher bytes it may set too many, never of lower ones.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH_BITS
}

fn short_escape(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        0x08 => Some(b'b'),
        0x0c => Some(b'f'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_reads_back(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}|.{0,40}") {
            let mut out = Vec::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn text_at_most_doubles_or_is_refused_whole(bytes in "[\\x00-\\x7f]{0,40}") {
            let mut out = b"kept".to_vec();
            if escape_text(&mut out, bytes.as_bytes()) {
                prop_assert!(out.len() - 4 <= 2 * bytes.len());
            } else {
                prop_assert_eq!(out, b"kept");
            }
        }

        #[test]
        fn each_latin1_byte_is_one_character(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut out = vec![b'"'];
            escape_latin1(&mut out, &bytes);
            out.push(b'"');
            let text: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(text.chars().map(|c| u8::try_from(c).unwrap()).collect::<Vec<_>>(), bytes);
        }
    }
}
