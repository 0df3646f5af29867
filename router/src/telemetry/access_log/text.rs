//! The pieces of a log line: escaped strings, times, durations.
//!
//! Written straight into the buffer, because a line is written for every request.

use lambda_event::time::Utc;

/// Appends `text` as a JSON string (RFC 8259 section 7: quote, backslash and U+0000 to U+001F are escaped).
///
/// DEL and the line separators U+2028 and U+2029 are escaped too: they are legal JSON, but move a terminal's cursor or
/// split the line in tools that read it as JavaScript.
pub(super) fn escaped(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        if !matches!(character, '"' | '\\' | '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}')
        {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + character.len_utf8();
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            other => {
                out.extend_from_slice(b"\\u");
                let code = u32::from(other);
                out.extend(
                    [12, 8, 4, 0].map(|shift| b"0123456789abcdef"[(code >> shift & 0xf) as usize]),
                );
            }
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

/// Appends microseconds as milliseconds with three decimals: 1,234 us is `1.234`.
pub(super) fn decimal_ms(out: &mut Vec<u8>, us: u32) {
    out.extend_from_slice(itoa::Buffer::new().format(us / 1000).as_bytes());
    out.push(b'.');
    digits::<3>(out, us % 1000);
}

/// Appends microseconds of Unix time in RFC 3339 with milliseconds, in UTC.
pub(crate) fn timestamp(out: &mut Vec<u8>, unix_us: u64) {
    let Utc { year, month, day, hour, minute, second } = Utc::from_unix(unix_us / 1_000_000);
    digits::<4>(out, year as u32);
    out.push(b'-');
    digits::<2>(out, month.into());
    out.push(b'-');
    digits::<2>(out, day.into());
    out.push(b'T');
    digits::<2>(out, hour.into());
    out.push(b':');
    digits::<2>(out, minute.into());
    out.push(b':');
    digits::<2>(out, second.into());
    out.push(b'.');
    digits::<3>(out, (unix_us / 1000 % 1000) as u32);
    out.push(b'Z');
}

fn digits<const N: usize>(out: &mut Vec<u8>, mut value: u32) {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_character_survives_a_json_parser() {
        let all: String =
            (0..=0x2100).filter_map(char::from_u32).chain(['\u{1f600}', '"', '\\']).collect();
        let json = text(|out| escaped(out, &all));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), all);
        assert!(
            !json.chars().any(|c| c.is_control() || c == '\u{2028}'),
            "nothing may break the line or the terminal"
        );
    }

    #[test]
    fn times_are_rfc_3339() {
        // Checked with `date -u -d @SECONDS`.
        for (us, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (1_764_244_799_999_999, "2025-11-27T11:59:59.999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(text(|out| timestamp(out, us)), expected);
        }
    }

    #[test]
    fn durations_keep_their_microseconds() {
        assert_eq!(text(|out| decimal_ms(out, 0)), "0.000");
        assert_eq!(text(|out| decimal_ms(out, 1_023_045)), "1023.045");
    }
}
