//! Text that others chose, made safe to stand in a page; and how much room it takes.

use std::fmt;

/// Writes text so that it is text wherever it stands: between tags, or in an attribute in double quotes.
///
/// Control characters, and those that turn the direction of what follows, become U+FFFD: the former are not allowed in HTML,
/// with the latter a name could make the number beside it read otherwise. Line ends and tabs become spaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;

        for letter in self.0.chars() {
            match letter {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&quot;")?,
                '\'' => out.write_str("&#39;")?,
                '\n' | '\r' | '\t' => out.write_char(' ')?,
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    out.write_char('\u{fffd}')?;
                }
                letter if letter.is_control() => out.write_char('\u{fffd}')?,
                letter => out.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// Returns about how wide text is in the page's font, in pixels at `size` pixels.
///
/// The font is the reader's own, so this errs on the wide side.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    let em = |letter: char| match letter {
        'i' | 'j' | 'l' | 'f' | 't' | 'r' | '.' | ',' | ':' | '\'' | '|' | ' ' | '(' | ')'
        | '-' => 0.38,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.92,
        'A'..='Z' | '<' | '>' | '+' | '=' => 0.7,
        '\0'..='\u{24f}' | '–' | '−' => 0.59,
        _ => 1.05,
    };
    text.chars().map(em).sum::<f64>() * size
}

/// Cuts text that is wider than `most` pixels, and marks the cut.
pub(crate) fn shortened(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = width("…", size);
    for letter in text.chars() {
        used += width(letter.encode_utf8(&mut [0; 4]), size);
        if most < used {
            break;
        }
        out.push(letter);
    }
    format!("{}…", out.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markup() {
        let cases = [
            ("plain", "plain"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload=\"x", "&quot; onload=&quot;x"),
            ("' a & b '", "&#39; a &amp; b &#39;"),
            ("&lt;", "&amp;lt;"),
            ("a\0b\u{1b}[31m\u{7f}\u{85}", "a\u{fffd}b\u{fffd}[31m\u{fffd}\u{fffd}"),
            ("two\r\nlines\t", "two  lines "),
            ("\u{202e}evil", "\u{fffd}evil"),
            ("\u{e9}\u{4e2d}", "\u{e9}\u{4e2d}"),
        ];
        for (text, expected) in cases {
            assert_eq!(Escaped(text).to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_where_it_no_longer_fits() {
        assert_eq!(shortened("short", 13.0, 100.0), "short");
        let cut = shortened(&"name".repeat(50), 13.0, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 13.0) <= 100.0, "{cut}");
        assert_eq!(shortened("中中中", 13.0, 5.0), "…");
    }
}
