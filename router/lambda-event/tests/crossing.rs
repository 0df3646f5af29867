//! What crosses in no format and in neither direction, and what becomes of the answer to HEAD.

#![expect(clippy::unwrap_used, reason = "helpers of tests are not seen to be in tests")]

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use lambda_event::{
    Format, HeaderError, Request, Response, ResponseError, is_hop_by_hop, read_event,
};

/// What a client may not say: of one connection, of AWS, of the gateway.
const NEVER: [&str; 21] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-nominated",
    "expect",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-cf-id",
    "x-amzn-requestid",
    "x-amzn-oidc-data",
    "x-amzn-request-context",
    "x-pacer-billed-ms",
    "x-pacer-duration-us",
    "x-pacer-provisioned",
    "x-pacer-busy",
];

fn request_of(format: Format, headers: &HeaderMap, body: &[u8]) -> http::Request<Bytes> {
    let mut event = Vec::new();
    format.write_event(
        &mut event,
        &Request {
            method: &Method::POST,
            path: "/",
            query: None,
            headers,
            body,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            request_id: "id",
            epoch_ms: 0,
            domain: "a.example",
            protocol: Version::HTTP_11,
        },
    );
    let text = String::from_utf8(event.clone()).unwrap();
    assert!(!text.contains("secret"), "{format:?}: {text}");
    read_event(&event).unwrap().1
}

#[test]
fn what_is_not_the_clients_to_say_reaches_no_function() {
    let mut headers = HeaderMap::new();
    for name in NEVER {
        headers.append(name, HeaderValue::from_static("secret"));
        headers.append(name, HeaderValue::from_static("secret 2"));
    }
    headers.append("connection", HeaderValue::from_static("X-Nominated"));
    headers.insert("content-length", HeaderValue::from_static("77"));
    headers.insert("x-amzn-trace-id", HeaderValue::from_static("Root=1-2-3"));
    headers.insert("x-amazing", HeaderValue::from_static("yes"));
    for format in Format::ALL {
        let request = request_of(format, &headers, b"abc");
        let mut names: Vec<&str> = request.headers().keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "host", "x-amazing", "x-amzn-trace-id"], "{format:?}");
        assert_eq!(request.headers()["content-length"], "3");
    }
}

fn answer(format: Format, method: &Method, payload: &str) -> Result<Response, ResponseError> {
    format.read_response(method, &Bytes::copy_from_slice(payload.as_bytes()))
}

#[test]
fn what_is_not_a_functions_to_say_reaches_no_client() {
    for format in Format::ALL {
        for name in [
            "Connection",
            "Keep-Alive",
            "Proxy-Authenticate",
            "Transfer-Encoding",
            "Trailer",
            "Upgrade",
            "Content-Length",
            "X-Amz-Executed-Version",
            "X-Amz-Log-Result",
            "X-Amzn-RequestId",
            "x-amzn-trace-id",
        ] {
            for headers in [
                format!(r#""headers":{{"{name}":"7"}}"#),
                format!(r#""multiValueHeaders":{{"{name}":["7","8"]}}"#),
                format!(r#""headers":{{"{name}":"7"}},"multiValueHeaders":{{"{name}":["7","8"]}}"#),
            ] {
                let payload = format!(r#"{{"statusCode":200,{headers},"body":"abc"}}"#);
                let response = answer(format, &Method::GET, &payload).unwrap();
                assert!(response.headers.is_empty(), "{format:?} {payload}");
            }
        }
        // The gateway's own are for the gateway, which takes them off.
        let report = r#"{"statusCode":200,"headers":{"x-pacer-billed-ms":"7"}}"#;
        assert_eq!(answer(format, &Method::GET, report).unwrap().headers["x-pacer-billed-ms"], "7");
    }
}

#[test]
fn what_http_does_not_allow_is_an_error() {
    for format in Format::ALL {
        for (name, value) in [
            (":status", "200"),
            (":path", "/"),
            ("a b", ""),
            ("", ""),
            ("a:", ""),
            ("a\\r\\nb", ""),
            ("a\\u0000", ""),
            ("\u{e9}", ""),
        ] {
            for headers in [
                format!(r#""headers":{{"{name}":"{value}"}}"#),
                format!(r#""multiValueHeaders":{{"{name}":["{value}"]}}"#),
            ] {
                let payload = format!(r#"{{"statusCode":200,{headers}}}"#);
                let error = answer(format, &Method::GET, &payload).unwrap_err();
                assert!(matches!(error, ResponseError::Header(HeaderError::Name(_))), "{payload}");
                let event =
                    format!(r#"{{"httpMethod":"GET","path":"/","requestContext":{{}},{headers}}}"#);
                assert!(read_event(event.as_bytes()).is_err(), "{event}");
            }
        }
        for value in ["a\\r\\nset-cookie: x", "a\\n", "a\\u0000b", "\\u007f", "\\u0001"] {
            for headers in [
                format!(r#""headers":{{"a":"{value}"}}"#),
                format!(r#""multiValueHeaders":{{"a":["ok","{value}"]}}"#),
            ] {
                let payload = format!(r#"{{"statusCode":200,{headers}}}"#);
                let error = answer(format, &Method::GET, &payload).unwrap_err();
                assert!(matches!(error, ResponseError::Header(HeaderError::Value(_))), "{payload}");
                let event =
                    format!(r#"{{"httpMethod":"GET","path":"/","requestContext":{{}},{headers}}}"#);
                assert!(read_event(event.as_bytes()).is_err(), "{event}");
            }
        }
    }
}

#[test]
fn broken_bytes_are_an_error_in_each_format() {
    for format in Format::ALL {
        let bad = |payload: &[u8]| {
            format.read_response(&Method::GET, &Bytes::copy_from_slice(payload)).unwrap_err()
        };
        assert!(matches!(bad(b"{\"statusCode\":200,\"body\":\"\xff\"}"), ResponseError::Json(_)));
        assert!(matches!(
            bad(b"{\"statusCode\":200,\"headers\":{\"a\":\"\xff\"}}"),
            ResponseError::Json(_) | ResponseError::Part { .. }
        ));
        let base64 = |text: &str| {
            bad(format!(r#"{{"statusCode":200,"body":"{text}","isBase64Encoded":true}}"#)
                .as_bytes())
        };
        for text in ["%", "a", "YWI=x", "YW I=", "YWI==", "\\u0000"] {
            assert!(matches!(base64(text), ResponseError::Base64(_)), "{text}");
        }
        for status in ["99", "199", "600", "null", "\"ok\"", "200.5", "-1", "[200]"] {
            let error = bad(format!(r#"{{"statusCode":{status}}}"#).as_bytes());
            assert!(matches!(error, ResponseError::Status(_)), "{status}");
        }
    }
}

#[test]
fn the_answer_to_head_has_a_length_and_no_body() {
    for format in Format::ALL {
        let head = |payload: &str| {
            let response = answer(format, &Method::HEAD, payload).unwrap();
            assert!(response.body.is_empty(), "{payload}");
            response.headers.get("content-length").map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(head(r#"{"statusCode":200,"body":"abc"}"#).as_deref(), Some("3"));
        assert_eq!(
            head(r#"{"statusCode":200,"headers":{"Content-Length":"9"},"body":"abc"}"#).as_deref(),
            Some("3")
        );
        assert_eq!(
            head(r#"{"statusCode":200,"multiValueHeaders":{"Content-Length":["9"]}}"#).as_deref(),
            Some("9")
        );
        assert_eq!(head(r#"{"statusCode":200,"headers":{"Content-Length":"x"}}"#), None);
        assert_eq!(head(r#"{"statusCode":200}"#), None);
        for status in [204, 304] {
            let payload = format!(
                r#"{{"statusCode":{status},"headers":{{"Content-Length":"9"}},"body":"abc"}}"#
            );
            assert_eq!(head(&payload), None, "{status}");
            let response = answer(format, &Method::GET, &payload).unwrap();
            assert!(response.body.is_empty() && response.headers.is_empty(), "{status}");
        }
    }
}

#[test]
fn an_apps_length_crosses_where_there_is_no_body_to_count() {
    let headers: HeaderMap =
        [("content-length".parse().unwrap(), HeaderValue::from_static("1234"))]
            .into_iter()
            .collect();
    for format in Format::ALL {
        let mut payload = Vec::new();
        format.write_response(&mut payload, StatusCode::OK, &headers, b"");
        let payload = Bytes::from(payload);
        let response = format.read_response(&Method::HEAD, &payload).unwrap();
        assert_eq!(response.headers["content-length"], "1234", "{format:?}");
        let response = format.read_response(&Method::GET, &payload).unwrap();
        assert!(response.headers.is_empty(), "{format:?}");
    }
}

#[test]
fn hop_by_hop_headers_are_known() {
    assert!(NEVER[..9].iter().all(|name| is_hop_by_hop(&name.parse().unwrap())));
    assert!(!is_hop_by_hop(&http::header::CONTENT_TYPE));
}
