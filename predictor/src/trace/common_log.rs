//! The Common Log Format of Apache and nginx, and Combined, which adds referer and user agent.
//!
//! `host ident user [time] "request" status bytes`: what follows is not read, as nothing says what it is; hence no
//! durations. What comes before the time is not read either, so a virtual host in front is no obstacle.

use super::{
    Reason, Request,
    text::{closing_quote, find, text},
    time::{self, scaled},
};

/// How long `10/Oct/2000:13:55:36 -0700` is.
const TIME_LEN: usize = 26;

/// Reads one line.
pub(super) fn read<'a>(line: &'a [u8], scratch: &'a mut String) -> Result<Request<'a>, Reason> {
    let (at_us, rest) = time_and_rest(line)?;
    let rest = rest.strip_prefix(b" \"").ok_or(Reason::Cut { before: "request" })?;
    let [request_line, status, bytes] = request_status_bytes(rest)?;
    let mut request = Request {
        at_us,
        status: super::status(status).map_err(|why| Reason::field("status", why))?,
        // Apache writes 0 as `-`.
        bytes_out: match bytes {
            b"-" => Some(0),
            digits => Some(scaled(digits, 0).ok_or(Reason::field("bytes", super::NOT_A_NUMBER))?),
        },
        ..Request::default()
    };
    request.set_request_line(text(request_line, scratch));
    Ok(request)
}

/// Finds the time; a user's name may have brackets too, so the first that holds a time is it.
fn time_and_rest(line: &[u8]) -> Result<(u64, &[u8]), Reason> {
    let mut refused = Reason::Cut { before: "time" };
    let mut from = 0;
    while let Some(at) = find(b'[', &line[from..]) {
        from += at + 1;
        let Some(inside) = line.get(from..from + TIME_LEN) else { break };
        if line.get(from + TIME_LEN) != Some(&b']') {
            continue;
        }
        match time::common_log(inside) {
            Ok(at_us) => return Ok((at_us, &line[from + TIME_LEN + 1..])),
            Err(why) => refused = Reason::field("time", why),
        }
    }
    Err(refused)
}

/// Splits `GET / HTTP/1.0" 200 2326 ...`.
///
/// Old servers wrote quotes within the request as they came: its end is the first quote behind which a status stands.
fn request_status_bytes(text: &[u8]) -> Result<[&[u8]; 3], Reason> {
    let mut from = 0;
    let mut first = None;
    while let Some(at) = closing_quote(&text[from..]) {
        let end = from + at;
        let mut words = text.get(end + 2..).unwrap_or_default().split(|byte| *byte == b' ');
        let (status, bytes) = (words.next().unwrap_or_default(), words.next());
        if let Some(bytes) = bytes {
            if super::status(status).is_ok() {
                return Ok([&text[..end], status, bytes]);
            }
            first.get_or_insert(Reason::field("status", super::NOT_A_STATUS));
        }
        from = end + 1;
    }
    Err(first.unwrap_or(Reason::Cut { before: "bytes" }))
}

/// Tells whether a line has the shape of these logs: a time in brackets, and a quoted request behind it.
pub(super) fn is_like(line: &[u8]) -> bool {
    time_and_rest(line).is_ok_and(|(_, rest)| rest.starts_with(b" \""))
}

#[cfg(test)]
mod tests {
    use crate::trace::{
        Format, Request,
        tests::{malformed, one},
    };

    fn check(line: &[u8], expected: &Request<'_>) {
        one(Format::CommonLog, line, |found| {
            assert_eq!(found, expected, "{}", line.escape_ascii());
        });
    }

    /// Apache's own example.
    fn apache() -> Request<'static> {
        Request {
            at_us: 971_211_336_000_000,
            status: Some(200),
            method: Some("GET"),
            path: Some("/apache_pb.gif"),
            bytes_out: Some(2326),
            ..Request::default()
        }
    }

    #[test]
    fn common_and_combined_are_read() {
        let line = b"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /apache_pb.gif HTTP/1.0\" 200 2326";
        check(line, &apache());
        check(&[&line[..], b"\r\n"].concat(), &apache());
        check(
            &[
                &line[..],
                b" \"http://www.example.com/start.html\" \"Mozilla/4.08 [en] (Win98; I)\"",
            ]
            .concat(),
            &apache(),
        );
        check(&[&line[..], b" \"-\" \"a \\\"b\\\"\" 0.123 extra"].concat(), &apache());
        check(&[b"www.example.com:80 2001:db8::1 - [a] b", &line[17..]].concat(), &apache());
    }

    #[test]
    fn what_was_sent_badly_is_still_a_request() {
        let head = b"host - - [01/Aug/1995:00:00:01 -0400] ";
        let check = |rest: &[u8], expected: Request<'_>| {
            let at_us = 807_249_601_000_000;
            check(&[&head[..], rest].concat(), &Request { at_us, ..expected });
        };
        let none = Request::default();
        check(b"\"-\" 408 -", Request { status: Some(408), bytes_out: Some(0), ..none });
        check(b"\"\" - 0", Request { bytes_out: Some(0), ..none });
        check(
            b"\"\\x16\\x03\\x01\\x02\" 400 166 \"-\" \"-\"",
            Request { status: Some(400), bytes_out: Some(166), ..none },
        );
        check(
            b"\"GET /a\"b\" c\" HTTP/1.0\" 404 -",
            Request {
                method: Some("GET"),
                path: Some("/a\"b\" c\""),
                status: Some(404),
                bytes_out: Some(0),
                ..none
            },
        );
        check(
            b"\"GET /\xff\0 HTTP/1.0\" 200 5",
            Request {
                method: Some("GET"),
                path: Some("/\u{fffd}\0"),
                status: Some(200),
                bytes_out: Some(5),
                ..none
            },
        );
    }

    #[test]
    fn a_malformed_line_says_what_is_wrong() {
        for (line, why) in [
            ("garbage", "it ends before its time"),
            ("host - - [01/Aug/1995:00:00:01", "it ends before its time"),
            ("host - - [01/Aug/1995 00:00:01 -0400] \"GET /\" 200 1", "its time is not a time"),
            ("host - - [01/Aug/1895:00:00:01 -0400] \"GET /\" 200 1", "its time is before 1970"),
            ("host - - [01/Aug/1995:00:00:01 -0400]", "it ends before its request"),
            ("host - - [01/Aug/1995:00:00:01 -0400] \"GET / HTTP", "it ends before its bytes"),
            (
                "host - - [01/Aug/1995:00:00:01 -0400] \"GET / HTTP/1.0\" 200",
                "it ends before its bytes",
            ),
            (
                "host - - [01/Aug/1995:00:00:01 -0400] \"GET / HTTP/1.0\" ok 1",
                "its status is not a status",
            ),
            (
                "host - - [01/Aug/1995:00:00:01 -0400] \"GET / HTTP/1.0\" 200 x",
                "its bytes is not a number",
            ),
        ] {
            assert_eq!(malformed(Format::CommonLog, line.as_bytes()), why, "{line}");
        }
    }
}
