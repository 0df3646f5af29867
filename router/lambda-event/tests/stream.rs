//! Streamed responses: the prelude, wherever it is cut, and everything that may be wrong with it.

#![expect(clippy::unwrap_used, reason = "helpers of tests are not seen to be in tests")]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use lambda_event::stream::{
    CONTENT_TYPE, DELIMITER_BYTES, Head, PRELUDE_BYTES_MAX, Piece, Reader, StreamError,
    write_prelude,
};
use proptest::prelude::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn reader() -> Reader {
    Reader::new(Some(&HeaderValue::from_static(CONTENT_TYPE)))
}

/// Reads a stream that comes in these pieces.
fn read(pieces: &[&[u8]]) -> Result<(Head, Vec<u8>), StreamError> {
    let mut reader = reader();
    let (mut head, mut body) = (None, Vec::new());
    for piece in pieces {
        let Piece { head: found, body: more } = reader.push(Bytes::copy_from_slice(piece))?;
        assert!(found.is_none() || head.is_none(), "a head comes once");
        head = head.or(found);
        assert!(head.is_some() || more.is_empty(), "no body comes before the head");
        body.extend_from_slice(&more);
    }
    assert!(reader.finish()?.is_none());
    Ok((head.unwrap(), body))
}

const STREAM: &[u8] = b"{\"statusCode\":201,\"headers\":{\"X-A\":\"1\",\"b\":[\"2\",\"3\"],\"x-amzn-trace-id\":\"t\",\"content-length\":\"9\"},\"cookies\":[\"c=1\",\"d=2\"]}\0\0\0\0\0\0\0\0body\0\0";

fn check(head: &Head, body: &[u8]) {
    assert_eq!(head.status, StatusCode::CREATED);
    let expected =
        [("x-a", "1"), ("b", "2"), ("b", "3"), ("set-cookie", "c=1"), ("set-cookie", "d=2")];
    assert_eq!(head.headers, headers(&expected));
    assert_eq!(body, b"body\0\0");
}

#[test]
fn head_and_body_come_apart_wherever_the_stream_is_cut() {
    for first in 0..=STREAM.len() {
        let (head, body) = read(&[&STREAM[..first], &STREAM[first..]]).unwrap();
        check(&head, &body);
    }
    let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
    let (head, body) = read(&bytes).unwrap();
    check(&head, &body);
}

#[test]
fn a_body_is_handed_on_where_it_lies() {
    let mut reader = reader();
    let chunk = Bytes::from_static(STREAM);
    let piece = reader.push(chunk.clone()).unwrap();
    assert_eq!(piece.body.as_ptr(), chunk[chunk.len() - 6..].as_ptr());
    let more = Bytes::from(vec![b'x'; 100_000]);
    assert_eq!(reader.push(more.clone()).unwrap().body.as_ptr(), more.as_ptr());
}

#[test]
fn an_empty_body_is_legal() {
    let (head, body) =
        read(&[b"{\"statusCode\":302,\"headers\":{\"location\":\"/\"}}\0\0\0\0\0\0\0\0"]).unwrap();
    assert_eq!((head.status, body.len()), (StatusCode::FOUND, 0));
    assert_eq!(head.headers, headers(&[("location", "/")]));
}

#[test]
fn a_prelude_without_a_status_is_a_200() {
    let (head, body) = read(&[b"{}\0\0\0\0\0\0\0\0x"]).unwrap();
    assert_eq!((head.status, &body[..]), (StatusCode::OK, &b"x"[..]));
}

#[test]
fn without_a_prelude_all_bytes_are_the_body() {
    for (said, expected) in [
        (None, "application/octet-stream"),
        (Some("application/octet-stream"), "application/octet-stream"),
        (Some("text/event-stream"), "text/event-stream"),
    ] {
        let said = said.map(HeaderValue::from_static);
        let mut reader = Reader::new(said.as_ref());
        let piece = reader.push(Bytes::from_static(STREAM)).unwrap();
        let head = piece.head.unwrap();
        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.headers, headers(&[("content-type", expected)]));
        assert_eq!(piece.body, STREAM);
        assert!(reader.finish().unwrap().is_none());

        let empty = Reader::new(said.as_ref()).finish().unwrap();
        assert_eq!(empty.unwrap().status, StatusCode::OK);
    }
}

#[test]
fn the_content_type_may_have_parameters_and_capitals() {
    let said = HeaderValue::from_static(
        "Application/vnd.AWSLambda.http-integration-response ; charset=utf-8",
    );
    let mut reader = Reader::new(Some(&said));
    let piece = reader.push(Bytes::from_static(STREAM)).unwrap();
    check(&piece.head.unwrap(), &piece.body);
}

#[test]
fn a_broken_prelude_says_what_is_wrong() {
    let fails = |pieces: &[&[u8]], expected: &str| {
        let error = read(pieces).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    fails(&[], "within the prelude, after 0 bytes");
    fails(&[b"{}"], "within the prelude, after 2 bytes");
    fails(&[b"{}\0\0\0"], "within the prelude, after 5 bytes");
    fails(&[b"{}\0\0\0x"], "3 zero bytes");
    fails(&[b"{}\0", b"\0\0", b"x"], "3 zero bytes");
    fails(&[b"{\"a\":\"\0\"}\0\0\0\0\0\0\0\0"], "1 zero bytes");
    fails(&[b"\0\0\0\0\0\0\0\0"], "not JSON");
    fails(&[b"{]\0\0\0\0\0\0\0\0"], "not JSON");
    fails(&[b"[]\0\0\0\0\0\0\0\0"], "without a statusCode");
    fails(&[b"{\"statusCode\":\"x\"}\0\0\0\0\0\0\0\0"], "statusCode");
    fails(&[b"{\"statusCode\":101}\0\0\0\0\0\0\0\0"], "statusCode");
    fails(&[b"{\"headers\":{\"a\":\"b\\r\\nc: d\"}}\0\0\0\0\0\0\0\0"], "value of header a");
    fails(&[b"{\"headers\":{\":status\":\"200\"}}\0\0\0\0\0\0\0\0"], "header name");
    fails(&[b"{\"headers\":{\"a\":{}}}\0\0\0\0\0\0\0\0"], "headers of the wrong type");
}

#[test]
fn a_prelude_has_a_limit() {
    let prelude = |bytes: usize| {
        let mut text =
            format!("{{\"headers\":{{\"a\":\"{}\"}}}}", "x".repeat(bytes - 20)).into_bytes();
        text.resize(bytes, b' ');
        text.extend_from_slice(&[0; DELIMITER_BYTES]);
        text
    };
    let fits = prelude(PRELUDE_BYTES_MAX);
    assert!(read(&[&fits]).is_ok());
    assert!(read(&[&fits[..100], &fits[100..]]).is_ok());
    let over = prelude(PRELUDE_BYTES_MAX + 1);
    assert!(matches!(read(&[&over]), Err(StreamError::TooLong)));
    assert!(matches!(read(&[&over[..100], &over[100..]]), Err(StreamError::TooLong)));
    // It is noticed while it comes, not at its end.
    let mut reader = reader();
    let mut pushed = 0;
    while reader.push(Bytes::from_static(&[b'x'; 1000])).is_ok() {
        pushed += 1000;
        assert!(pushed <= PRELUDE_BYTES_MAX);
    }
    // What comes after a failure is ignored.
    assert!(reader.push(Bytes::from_static(STREAM)).unwrap().head.is_none());
    assert!(reader.finish().unwrap().is_none());
}

proptest! {
    #[test]
    fn what_the_adapter_writes_the_gateway_reads(
        status in 200..=599_u16,
        values in prop::collection::vec(prop::collection::vec(prop_oneof![0x21..=0x7e_u8, 0x80..=0xff_u8], 1..20), 0..5),
        cookies in prop::collection::vec("[a-z]=[!-~]{1,8}", 0..4),
        body in prop::collection::vec(any::<u8>(), 0..50),
        cuts in prop::collection::vec(0..30_usize, 0..8),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut sent = HeaderMap::new();
        let mut expected = HeaderMap::new();
        for (number, value) in values.iter().enumerate() {
            let name: http::HeaderName = format!("x-{number}").parse().unwrap();
            sent.insert(name.clone(), HeaderValue::from_bytes(value).unwrap());
            expected.insert(name, HeaderValue::from_bytes(value).unwrap());
        }
        sent.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        sent.insert("content-length", HeaderValue::from_static("5"));
        for cookie in &cookies {
            sent.append("set-cookie", HeaderValue::from_str(cookie).unwrap());
            expected.append("set-cookie", HeaderValue::from_str(cookie).unwrap());
        }
        let mut stream = Vec::new();
        write_prelude(&mut stream, status, &sent);
        stream.extend_from_slice(&body);

        let mut rest = &stream[..];
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let (head, read_body) = read(&pieces).unwrap();
        prop_assert_eq!(head.status, status);
        prop_assert_eq!(head.headers, expected);
        prop_assert_eq!(read_body, body);
    }
}
