//! What strangers may send: neither a panic, nor a stack overflow, nor quadratic time.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use lambda_event::{EventError, Format, Request, Response, ResponseError, read_event};
use proptest::prelude::*;
use serde_json::Value;

/// All formats read what is malformed alike.
fn read_response(payload: &Bytes) -> Result<Response, ResponseError> {
    Format::ApigwV2.read_response(&Method::GET, payload)
}

fn payload(text: impl Into<Vec<u8>>) -> Bytes {
    Bytes::from(text.into())
}

#[test]
fn depth_costs_no_stack() {
    let deep = |text: &str| payload([text, &"[".repeat(1 << 20), &"]".repeat(1 << 20)].concat());
    assert_eq!(read_response(&deep("")).unwrap().body.len(), 2 << 20);
    let inside = |key: &str| {
        payload(format!(
            "{{\"statusCode\":200,\"{key}\":{}{}}}",
            "[".repeat(1 << 20),
            "]".repeat(1 << 20)
        ))
    };
    assert!(matches!(read_response(&inside("body")), Err(ResponseError::Body)));
    assert!(read_response(&inside("other")).is_ok());
    assert!(matches!(read_response(&inside("headers")), Err(ResponseError::Part { .. })));
    assert!(read_event(&deep("")).is_err());
}

#[test]
fn the_last_of_equal_keys_counts() {
    let response = read_response(&payload(
        r#"{"statusCode":200,"statusCode":404,"headers":{"a":"1"},"headers":{"b":"1","B":"2"},"body":"x","body":"y"}"#,
    ))
    .unwrap();
    assert_eq!(response.status, 404);
    assert_eq!(response.headers.len(), 1);
    assert_eq!(response.headers["b"], "2");
    assert_eq!(response.body, "y");
}

#[test]
fn zero_bytes_pass_in_a_body_and_nowhere_else() {
    let nul = read_response(&payload(r#"{"statusCode":200,"body":"a\u0000b"}"#)).unwrap();
    assert_eq!(nul.body, "a\0b");
    assert!(read_response(&payload("\0")).is_err());
    assert!(read_response(&payload("{\"statusCode\":200,\"body\":\"a\0b\"}")).is_err());
    assert!(read_response(&payload(vec![b'"', 0xff, b'"'])).is_err());
}

#[test]
fn more_headers_than_a_map_holds_are_an_error() {
    let headers: Vec<String> = (0..40_000).map(|number| format!("\"h{number}\":\"\"")).collect();
    let text = format!(r#"{{"statusCode":200,"headers":{{{}}}}}"#, headers.join(","));
    assert!(matches!(read_response(&payload(text)), Err(ResponseError::Header(_))));
    for count in [24_575, 24_576, 24_577, 32_768, 40_000] {
        let event = format!(
            r#"{{"rawPath":"/","requestContext":{{"http":{{"method":"PUT"}}}},"headers":{{{}}},"body":"x"}}"#,
            headers[..count].join(",")
        );
        match read_event(event.as_bytes()) {
            Ok((_, request)) => assert_eq!(request.headers().len(), count + 1),
            Err(error) => assert!(matches!(error, EventError::Header(_)), "{error}"),
        }
    }
}

#[test]
fn a_query_of_many_keys_takes_no_quadratic_time() {
    // Comparing each of 200,000 keys with each other would take minutes in a debug build.
    let query: Vec<String> = (0..200_000).map(|number| format!("{number}")).collect();
    let query = query.join("&");
    let mut out = Vec::new();
    Format::ApigwV2.write_event(
        &mut out,
        &Request {
            method: &Method::GET,
            path: "/",
            query: Some(&query),
            headers: &HeaderMap::new(),
            body: b"",
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            request_id: "",
            epoch_ms: u64::MAX,
            domain: "",
            protocol: Version::HTTP_2,
        },
    );
    let event: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(event["queryStringParameters"].as_object().unwrap().len(), 200_000);
}

#[test]
fn an_event_that_is_no_request_says_why() {
    let event = |path: &str, version: &str, method: &str, rest: &str| {
        let text = format!(
            r#"{{"version":"{version}","rawPath":"{path}","requestContext":{{"http":{{"method":"{method}"}}}}{rest}}}"#
        );
        read_event(text.as_bytes())
    };
    assert!(event("/", "2.0", "GET", "").is_ok());
    assert_eq!(event("*", "2.0", "OPTIONS", "").unwrap().1.uri(), "*");
    assert!(matches!(event("/", "1.0", "GET", ""), Err(EventError::Version(_))));
    assert!(matches!(event("/", "2.0", "G T", ""), Err(EventError::Method(_))));
    assert!(matches!(event("x", "2.0", "GET", ""), Err(EventError::Path(_))));
    assert!(matches!(event("", "2.0", "GET", ""), Err(EventError::Path(_))));
    assert!(matches!(event("http://x/", "2.0", "GET", ""), Err(EventError::Path(_))));
    assert!(matches!(
        event("/", "2.0", "GET", r#","headers":{"a\n":""}"#),
        Err(EventError::Header(_))
    ));
    let bad = r#","body":"!","isBase64Encoded":true"#;
    assert!(matches!(event("/", "2.0", "GET", bad), Err(EventError::Base64(_))));
    for other in [&br#"{"Records":[]}"#[..], b"{}", br#"{"requestContext":{}}"#] {
        assert!(matches!(read_event(other), Err(EventError::Unknown)));
    }
    for other in [&b"[]"[..], b"1", b"", b"null", br#"{"requestContext":1,"httpMethod":"GET"}"#] {
        assert!(matches!(read_event(other), Err(EventError::Shape(_))), "{other:?}");
    }
    assert!(matches!(event("/", "2.0", "GET", r#","rawPath":"/b""#), Err(EventError::Shape(_))));
    let long = format!("/{}", "a".repeat(70_000));
    assert!(matches!(event(&long, "2.0", "GET", ""), Err(EventError::Path(_))));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_response(&Bytes::from(bytes.clone()));
        let _ = read_event(&bytes);
    }

    #[test]
    fn no_half_right_answer_panics(
        status in "[0-9\"-]{0,5}", key in "headers|multiValueHeaders|cookies|body|isBase64Encoded|x",
        value in r#"null|true|-?[0-9]{1,40}|"[\PC]{0,6}"|\["a",1\]|\{"a":("b"|1|\["c"\])\}"#,
    ) {
        let text = format!(r#"{{"statusCode":{status},"{key}":{value}}}"#);
        if let Ok(response) = read_response(&payload(text)) {
            prop_assert!((200..=599).contains(&response.status.as_u16()));
        }
    }
}
