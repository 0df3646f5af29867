//! The pieces that log lines are made of: words, quoted strings, request lines and URLs.

use super::Request;

/// What is left of a line, read field by field from the left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// Takes the next field: a quoted string without its quotes, or all until the next space.
    ///
    /// `None` when the line ends first: also when it ends *with* the field, as nothing tells then that the field is
    /// whole.
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        let (field, rest) = if let Some(text) = self.0.strip_prefix(b"\"") {
            let end = closing_quote(text)?;
            (&text[..end], text.get(end + 1..)?.strip_prefix(b" ")?)
        } else {
            let end = find(b' ', self.0)?;
            (&self.0[..end], &self.0[end + 1..])
        };
        self.0 = rest;
        Some(field)
    }

    /// Passes over `count` fields.
    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.next().map(|_| ()))
    }
}

pub(super) fn find(byte: u8, text: &[u8]) -> Option<usize> {
    text.iter().position(|other| *other == byte)
}

/// Returns where the quote is that closes a string: one without a backslash, before a space or the end of the line.
///
/// Servers write a quote within a string as `\"` or `\x22`; those of long ago did not, hence the look at what follows.
pub(super) fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + find(b'"', &text[from..])?;
        let backslashes = text[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 && matches!(text.get(at + 1), None | Some(b' ')) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Returns the bytes as text; what is no UTF-8 becomes U+FFFD, in `scratch`.
pub(super) fn text<'a>(bytes: &'a [u8], scratch: &'a mut String) -> &'a str {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text;
    }
    scratch.clear();
    for chunk in bytes.utf8_chunks() {
        scratch.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            scratch.push(char::REPLACEMENT_CHARACTER);
        }
    }
    scratch
}

impl<'a> Request<'a> {
    /// Takes method and URL from `GET http://host:80/path?query HTTP/1.1`.
    ///
    /// What is no such line (`-`, the handshake of another protocol) is a request all the same: one without a method.
    pub(super) fn set_request_line(&mut self, line: &'a str) {
        let Some((method, rest)) = line.split_once(' ') else { return };
        if method.is_empty()
            || !method.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
        {
            return;
        }
        // The URL may have spaces in it, as sent. HTTP/0.9 has no version.
        let url = match rest.rsplit_once(' ') {
            Some((url, version))
                if version.starts_with("HTTP/") || version == "-" || version.is_empty() =>
            {
                url
            }
            _ => rest,
        };
        self.method = (method != "-").then_some(method);
        // A load balancer that could not read the method may still have read the host.
        if self.method.is_some() || url.contains("://") {
            self.set_url(url);
        }
    }

    /// Takes host, path and query from a URL, or from its part behind the host.
    pub(super) fn set_url(&mut self, url: &'a str) {
        let mut url = url;
        if !url.starts_with('/')
            && let Some((_, rest)) = url.split_once("://")
        {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            self.host = host_of(&rest[..end]);
            url = &rest[end..];
        }
        let (path, query) = match url.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (url, None),
        };
        self.path = (!path.is_empty() && path != "-").then_some(path);
        self.query = query;
    }
}

/// Returns the host of `host:port`; an IPv6 address keeps its brackets.
pub(super) fn host_of(authority: &str) -> Option<&str> {
    let host = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    };
    (!host.is_empty() && host != "-").then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        line: &str,
        method: Option<&str>,
        host: Option<&str>,
        path: Option<&str>,
        query: Option<&str>,
    ) {
        let mut request = Request::default();
        request.set_request_line(line);
        let found = (request.method, request.host, request.path, request.query);
        assert_eq!(found, (method, host, path, query), "{line}");
    }

    #[test]
    fn request_lines_come_apart() {
        let get = Some("GET");
        check("GET / HTTP/1.1", get, None, Some("/"), None);
        check("GET /a%20b?c=d%26e HTTP/1.0", get, None, Some("/a%20b"), Some("c=d%26e"));
        check("GET /a? HTTP/1.0", get, None, Some("/a"), Some(""));
        check(
            "GET http://a.example:80/b?c HTTP/1.1",
            get,
            Some("a.example"),
            Some("/b"),
            Some("c"),
        );
        check("GET https://a.example?c HTTP/2.0", get, Some("a.example"), None, Some("c"));
        check(
            "GET https://[2001:db8::1]:443/ HTTP/2.0",
            get,
            Some("[2001:db8::1]"),
            Some("/"),
            None,
        );
        check("GET https://[2001:db8::1]/ HTTP/2.0", get, Some("[2001:db8::1]"), Some("/"), None);
        check("GET /old server HTTP/1.0", get, None, Some("/old server"), None);
        check("GET /ninety-one", get, None, Some("/ninety-one"), None);
        check(
            "GET /to?http://b.example/ HTTP/1.1",
            get,
            None,
            Some("/to"),
            Some("http://b.example/"),
        );
        check("M-SEARCH * HTTP/1.1", Some("M-SEARCH"), None, Some("*"), None);
    }

    #[test]
    fn what_is_no_request_line_has_no_method() {
        check("-", None, None, None, None);
        check("- - - ", None, None, None, None);
        check("- http://a.example:80- -", None, Some("a.example"), None, None);
        check("\\x16\\x03\\x01", None, None, None, None);
        check("\\x16\\x03 \\x01", None, None, None, None);
        check("", None, None, None, None);
    }

    #[test]
    fn a_string_ends_at_its_own_quote() {
        for (text, end) in [
            (r#"a" b"#, Some(1)),
            (r#"a""#, Some(1)),
            (r#"" b"#, Some(0)),
            (r#"a\" b" c"#, Some(5)),
            (r#"a\\" b" c"#, Some(3)),
            (r#"a"b" c"#, Some(3)),
            (r"a\x22", None),
            ("", None),
        ] {
            assert_eq!(closing_quote(text.as_bytes()), end, "{text}");
        }
    }
}
