//! What one end writes, the other reads as it was.

#![expect(clippy::unwrap_used, reason = "helpers of tests are not seen to be in tests")]

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use lambda_event::{
    Request, event_size_max, read_event, read_response, write_event, write_response,
};
use proptest::prelude::*;

fn values() -> impl Strategy<Value = HeaderValue> {
    // Every byte that HTTP allows inside a value, but no space at its ends.
    prop::collection::vec(prop_oneof![Just(b'\t'), 0x21..=0x7e_u8, 0x80..=0xff_u8], 0..20)
        .prop_filter_map("spaces at the ends", |bytes| {
            (bytes.trim_ascii() == bytes).then(|| HeaderValue::from_bytes(&bytes).ok())?
        })
}

fn names() -> impl Strategy<Value = HeaderName> {
    // Some twice, so that values are joined.
    "x-[a-c]|accept|x-[!#$%&'*+.^_`|~0-9a-z-]{1,8}"
        .prop_map(|name| HeaderName::from_bytes(name.as_bytes()).unwrap())
}

fn content_types() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "text/plain",
        "application/json; charset=utf-8",
        "image/png",
        "application/x-www-form-urlencoded",
    ])
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..100),
        "[\"\\\\\n]{0,100}".prop_map(String::into_bytes),
        "\\PC{0,60}".prop_map(String::into_bytes),
    ]
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    (prop::collection::vec((names(), values()), 0..8), prop::option::of(content_types())).prop_map(
        |(pairs, content_type)| {
            let mut headers: HeaderMap = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name, value);
            }
            if let Some(content_type) = content_type {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
            headers
        },
    )
}

/// Values of one name joined with `,`, which is what crosses.
fn joined(headers: &HeaderMap) -> HeaderMap {
    let join = |name: &HeaderName| {
        let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        HeaderValue::from_bytes(&values.join(&b","[..])).unwrap()
    };
    headers.keys().map(|name| (name.clone(), join(name))).collect()
}

proptest! {
    #[test]
    fn a_request_comes_back(
        method in "GET|POST|PATCH|X-[A-Z!#]{1,5}",
        path in "/[!$-;=@-\\[\\]_a-z|~]{0,30}",
        query in prop::option::of("[!$-;=?-_a-z|~]{1,40}|(&|[%+=a]|%22){1,40}"),
        headers in headers(),
        cookies in prop::collection::vec("[a-z]{1,3}=[!#-+--:<-\\[\\]-~\"]{0,8}", 0..5),
        body in bodies(),
        source_ip in any::<IpAddr>(),
    ) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut sent = headers.clone();
        for cookies in cookies.chunks(2) {
            sent.append(COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        }
        let mut event = Vec::new();
        write_event(&mut event, &Request {
            method: &method,
            path: &path,
            query: query.as_deref(),
            headers: &sent,
            body: &body,
            source_ip,
            request_id: "id",
            epoch_ms: 0,
            domain: "a.example",
            protocol: Version::HTTP_11,
        });

        let bound = event_size_max(&sent, path.len(), query.as_deref().map_or(0, str::len), body.len() as u64);
        prop_assert!(event.len() as u64 <= bound, "{} > {bound}", event.len());

        let mut expected = joined(&headers);
        expected.insert(HOST, HeaderValue::from_static("a.example"));
        if !cookies.is_empty() {
            expected.insert(COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        }
        if !body.is_empty() {
            expected.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let request = read_event(&event).unwrap();
        prop_assert_eq!(request.method(), &method);
        prop_assert_eq!(request.uri().path(), &path);
        prop_assert_eq!(request.uri().query(), query.as_deref());
        prop_assert_eq!(request.headers(), &expected);
        prop_assert_eq!(request.body(), &Bytes::from(body));
    }

    #[test]
    fn a_response_comes_back(
        status in 200..=599_u16,
        headers in headers(),
        cookies in prop::collection::vec("[a-z]=[!-~]{1,8}", 0..4),
        body in bodies(),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut sent = headers.clone();
        let mut expected = joined(&headers);
        for cookie in &cookies {
            sent.append(SET_COOKIE, HeaderValue::from_str(cookie).unwrap());
            expected.append(SET_COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        let mut payload = Vec::new();
        write_response(&mut payload, status, &sent, &body);

        let response = read_response(&Bytes::from(payload)).unwrap();
        prop_assert_eq!(response.status, status);
        prop_assert_eq!(response.headers, expected);
        if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED {
            prop_assert_eq!(response.body, Bytes::from(body));
        }
    }

    #[test]
    fn a_size_is_never_underestimated_when_everything_is_an_escape(quotes in 1..2000_usize) {
        let text = "\"".repeat(quotes);
        let cookies = "a;".repeat(quotes);
        let query = "\"&".repeat(quotes);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert("user-agent", HeaderValue::from_str(&text).unwrap());
        headers.insert(COOKIE, HeaderValue::from_str(&cookies).unwrap());
        let mut event = Vec::new();
        write_event(&mut event, &Request {
            method: &Method::POST,
            path: &text,
            query: Some(&query),
            headers: &headers,
            body: text.as_bytes(),
            source_ip: IpAddr::from([255; 16]),
            request_id: &"\"".repeat(255),
            epoch_ms: u64::MAX,
            domain: &"\"".repeat(255),
            protocol: Version::HTTP_11,
        });
        let bound = event_size_max(&headers, text.len(), query.len(), text.len() as u64);
        prop_assert!(event.len() as u64 <= bound, "{} > {bound}", event.len());
    }
}
