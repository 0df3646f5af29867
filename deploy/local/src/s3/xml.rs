//! The little XML that S3 answers with.

use std::fmt::Write as _;

/// Text within an element. Control characters are written as references, as S3 does although XML 1.0 has no such ones:
/// callers who must read them ask for `encoding-type=url`.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            char if char.is_control() => {
                let _ = write!(escaped, "&#x{:x};", u32::from(char));
            }
            char => escaped.push(char),
        }
    }
    escaped
}

/// An element with text in it.
pub(crate) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_end_its_element() {
        assert_eq!(element("Key", "a</Key>&\"\n"), "<Key>a&lt;/Key&gt;&amp;&quot;&#xa;</Key>");
    }
}
