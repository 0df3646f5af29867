//! Access logs of AWS Application Load Balancers.
//!
//! Fields are told apart by spaces, some quoted. AWS adds new ones at the end (docs.aws.amazon.com/elasticloadbalancing/
//! latest/application/load-balancer-access-logs.html, 2026-09), so a line is read up to the last field that is needed.
//!
//! | # | field | read as |
//! | --- | --- | --- |
//! | 1-4 | type, time, elb, client:port | a sign of the format |
//! | 5 | target:port | target; `-` is none, or a Lambda function |
//! | 7 | target_processing_time | duration: until the response head; -1 is no response |
//! | 9 | elb_status_code | status |
//! | 11, 12 | received_bytes, sent_bytes | with headers, as the load balancer counts |
//! | 13 | "request" | method, host, path, query; percent-encoded as the client sent it |
//! | 22 | request_creation_time | arrival |

use super::{
    Reason, Request, duration,
    text::{Fields, find, text},
    time::{rfc3339, scaled},
};

/// Reads one line.
pub(super) fn read<'a>(
    line: &'a [u8],
    scratch: &'a mut String,
    capped: &mut u64,
) -> Result<Request<'a>, Reason> {
    let mut fields = Fields(line);
    let cut = |name| Reason::Cut { before: name };
    fields.skip(4).ok_or(cut("target_processing_time"))?;
    let target = fields.next().ok_or(cut("target_processing_time"))?;
    fields.skip(1).ok_or(cut("target_processing_time"))?;
    let target_time = fields.next().ok_or(cut("target_processing_time"))?;
    fields.skip(1).ok_or(cut("elb_status_code"))?;
    let status = fields.next().ok_or(cut("elb_status_code"))?;
    fields.skip(1).ok_or(cut("received_bytes"))?;
    let received = fields.next().ok_or(cut("received_bytes"))?;
    let sent = fields.next().ok_or(cut("sent_bytes"))?;
    let request_line = fields.next().ok_or(cut("request"))?;
    fields.skip(8).ok_or(cut("request_creation_time"))?;
    // A line that ends here may have lost digits: the field is whole when a space follows.
    let created = fields.next().ok_or(cut("request_creation_time"))?;

    let mut request = Request {
        at_us: rfc3339(created).map_err(|why| Reason::field("request_creation_time", why))?,
        duration_us: match target_time {
            b"-1" | b"-" => None,
            seconds => Some(
                duration(seconds, 6, capped)
                    .map_err(|why| Reason::field("target_processing_time", why))?,
            ),
        },
        status: super::status(status).map_err(|why| Reason::field("elb_status_code", why))?,
        // A Lambda function has no address, nor has a request that the load balancer answered itself.
        target: std::str::from_utf8(target).ok().filter(|target| *target != "-"),
        bytes_in: bytes(received, "received_bytes")?,
        bytes_out: bytes(sent, "sent_bytes")?,
        ..Request::default()
    };
    request.set_request_line(text(request_line, scratch));
    Ok(request)
}

/// Reads a number of bytes: there is none in `-`, nor in the -1 of an answer that was not sent.
fn bytes(text: &[u8], name: &'static str) -> Result<Option<u64>, Reason> {
    match text {
        b"-" | b"-1" => Ok(None),
        digits => match scaled(digits, 0) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(Reason::field(name, super::NOT_A_NUMBER)),
        },
    }
}

/// Tells whether a line has the shape of these logs: a protocol, a time, and the id of a load balancer, with its slashes.
pub(super) fn is_like(line: &[u8]) -> bool {
    let mut fields = Fields(line);
    let (Some(protocol), Some(time), Some(id)) = (fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    !protocol.is_empty()
        && protocol.iter().all(u8::is_ascii_alphanumeric)
        && rfc3339(time).is_ok()
        && find(b'/', id).is_some()
}

#[cfg(test)]
mod tests {
    use crate::trace::{
        Format, Request,
        tests::{malformed, one},
    };

    /// The part of AWS's examples that all have in common, from the target group to the arrival.
    const MIDDLE: &str = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 \
                          \"Root=1-58337262-36d228ad5d99923122bbe354\" \"-\" \"-\" 0 2018-07-02T22:22:48.364000Z";

    /// And the end of them.
    const END: &str = "\"forward\" \"-\" \"-\" \"10.0.0.1:80\" \"200\" \"-\" \"-\" TID_1234abcd5678ef90 \"-\" \"-\" \"-\"";

    fn check(head: &str, expected: &Request<'_>) {
        for line in [
            format!("{head} {MIDDLE} {END}"),
            format!("{head} {MIDDLE} \"forward\""),
            format!("{head} {MIDDLE} {END} new-field \"x y\""),
        ] {
            one(Format::Alb, line.as_bytes(), |found| assert_eq!(found, expected, "{line}"));
        }
    }

    fn expected() -> Request<'static> {
        Request {
            at_us: 1_530_570_168_364_000,
            duration_us: Some(1_000),
            status: Some(200),
            target: Some("10.0.0.1:80"),
            method: Some("GET"),
            host: Some("www.example.com"),
            path: Some("/"),
            bytes_in: Some(34),
            bytes_out: Some(366),
            ..Request::default()
        }
    }

    #[test]
    fn the_documented_examples_are_read() {
        check(
            "http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 \
             0.000 0.001 0.000 200 200 34 366 \"GET http://www.example.com:80/ HTTP/1.1\" \"curl/7.46.0\" - -",
            &expected(),
        );
        check(
            "https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 \
             0.086 0.048 0.037 200 200 0 57 \"GET https://www.example.com:443/ HTTP/1.1\" \"curl/7.46.0\" \
             ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2",
            &Request {
                duration_us: Some(48_000),
                bytes_in: Some(0),
                bytes_out: Some(57),
                ..expected()
            },
        );
        check(
            "h2 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 10.0.1.252:48160 10.0.0.66:9000 \
             0.000 0.002 0.000 200 200 5 257 \"GET https://10.0.2.105:773/ HTTP/2.0\" \"curl/7.46.0\" \
             ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2",
            &Request {
                target: Some("10.0.0.66:9000"),
                duration_us: Some(2_000),
                host: Some("10.0.2.105"),
                bytes_in: Some(5),
                bytes_out: Some(257),
                ..expected()
            },
        );
        let socket = Request {
            duration_us: Some(3_000),
            target: Some("10.0.1.192:8010"),
            status: Some(101),
            host: Some("10.0.0.30"),
            bytes_in: Some(218),
            bytes_out: Some(587),
            ..expected()
        };
        check(
            "ws 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 10.0.0.140:40914 10.0.1.192:8010 \
             0.001 0.003 0.000 101 101 218 587 \"GET http://10.0.0.30:80/ HTTP/1.1\" \"-\" - -",
            &socket,
        );
        check(
            "wss 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 10.0.0.140:44244 10.0.0.171:8010 \
             0.000 0.001 0.000 101 101 218 786 \"GET https://10.0.0.30:443/ HTTP/1.1\" \"-\" \
             ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2",
            &Request {
                duration_us: Some(1_000),
                target: Some("10.0.0.171:8010"),
                bytes_out: Some(786),
                ..socket
            },
        );
        // A Lambda function as the target, well and failing.
        check(
            "http 2018-11-30T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 - \
             0.000 0.001 0.000 200 200 34 366 \"GET http://www.example.com:80/ HTTP/1.1\" \"curl/7.46.0\" - -",
            &Request { target: None, ..expected() },
        );
        check(
            "http 2018-11-30T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 - \
             0.000 0.001 0.000 502 - 34 366 \"GET http://www.example.com:80/ HTTP/1.1\" \"curl/7.46.0\" - -",
            &Request { status: Some(502), target: None, ..expected() },
        );
    }

    #[test]
    fn what_no_target_answered_has_no_duration() {
        check(
            "http 2018-07-02T22:23:00.186641Z app/lb/50dc6c495c0c9188 [2001:db8::1]:2817 - -1 -1 -1 460 - 34 0 \
             \"GET http://[2001:db8::2]:80/a?b=c HTTP/1.1\" \"a \\\"quoted\\\" agent \\x22too\\x22\" - -",
            &Request {
                duration_us: None,
                target: None,
                status: Some(460),
                host: Some("[2001:db8::2]"),
                path: Some("/a"),
                query: Some("b=c"),
                bytes_out: Some(0),
                ..expected()
            },
        );
        check(
            "https 2018-07-02T22:23:00.186641Z app/lb/50dc6c495c0c9188 198.51.100.9:40000 - -1 -1 -1 400 - 0 272 \
             \"- - - \" \"-\" - -",
            &Request {
                duration_us: None,
                target: None,
                status: Some(400),
                method: None,
                host: None,
                path: None,
                bytes_in: Some(0),
                bytes_out: Some(272),
                ..expected()
            },
        );
        check(
            "http 2018-07-02T22:23:00.186641Z app/lb/50dc6c495c0c9188 - - - - - - - - - \"-\" \"-\" - -",
            &Request { at_us: expected().at_us, ..Request::default() },
        );
    }

    #[test]
    fn a_line_cut_anywhere_before_its_arrival_ends_is_malformed() {
        let line = format!(
            "http 2018-07-02T22:23:00.186641Z app/lb/50dc6c495c0c9188 192.0.2.1:2817 10.0.0.1:80 0.000 0.001 0.000 200 \
             200 34 366 \"GET http://www.example.com:80/ HTTP/1.1\" \"curl/7.46.0\" - - {MIDDLE}"
        );
        for end in 1..=line.len() {
            let why = malformed(Format::Alb, &line.as_bytes()[..end]);
            assert!(why.starts_with("it ends before its "), "{end}: {why}");
        }
        one(Format::Alb, format!("{line} ").as_bytes(), |found| assert_eq!(*found, expected()));
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        let line = |time: &str, status: &str, sent: &str, created: &str| {
            let middle = MIDDLE.replace("2018-07-02T22:22:48.364000Z", created);
            let line = format!(
                "http 2018-07-02T22:23:00.186641Z app/lb/1 192.0.2.1:1 - 0 {time} 0 {status} - 1 {sent} \"-\" \"-\" - - \
                 {middle} {END}"
            );
            malformed(Format::Alb, line.as_bytes())
        };
        let good = "2018-07-02T22:22:48.364000Z";
        assert_eq!(line("x", "200", "1", good), "its target_processing_time is not a number");
        assert_eq!(line("-2", "200", "1", good), "its target_processing_time is negative");
        assert_eq!(line("1", "2000", "1", good), "its elb_status_code is not a status");
        assert_eq!(line("1", "200", "1.x", good), "its sent_bytes is not a number");
        assert_eq!(line("1", "200", "1", "-"), "its request_creation_time is not a time");
    }

    #[test]
    fn bytes_that_are_no_text_stay_a_request() {
        let head = b"http 2018-07-02T22:23:00.186641Z app/lb/50dc6c495c0c9188 192.0.2.1:2817 10.0.0.1:80 0.000 0.001 \
                     0.000 200 200 34 366 \"GET http://www.example.com:80/\xff\0?\xfe HTTP/1.1\" \"\xff\0\" - - ";
        let line = [head, MIDDLE.as_bytes(), b" ", END.as_bytes(), b"\r\n"].concat();
        one(Format::Alb, &line, |found| {
            assert_eq!(
                *found,
                Request { path: Some("/\u{fffd}\0"), query: Some("\u{fffd}"), ..expected() }
            );
        });
    }
}
