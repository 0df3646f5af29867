//! What one end writes, the other reads as it was, in every format as far as the format can say it.

#![expect(clippy::unwrap_used, reason = "helpers of tests are not seen to be in tests")]

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use lambda_event::Format::{self, Alb, AlbMultiValue, ApigwV1, ApigwV2};
use lambda_event::{Request, read_event};
use proptest::prelude::*;

fn formats() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::ALL.to_vec())
}

fn values() -> impl Strategy<Value = HeaderValue> {
    // Every byte that HTTP allows inside a value, but no space at its ends.
    prop::collection::vec(prop_oneof![Just(b'\t'), 0x21..=0x7e_u8, 0x80..=0xff_u8], 0..20)
        .prop_filter_map("spaces at the ends", |bytes| {
            (bytes.trim_ascii() == bytes).then(|| HeaderValue::from_bytes(&bytes).ok())?
        })
}

fn names() -> impl Strategy<Value = HeaderName> {
    // Some twice, so that values are joined.
    "x-[a-c]|accept|x-[!#$%&'*+.^_`|~0-9b-z-]{1,8}"
        .prop_map(|name| HeaderName::from_bytes(name.as_bytes()).unwrap())
        .prop_filter("the gateway's own", |name| !name.as_str().starts_with("x-pacer-"))
}

fn content_types() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "text/plain",
        "application/json; charset=utf-8",
        "image/png",
        "image/svg+xml",
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

/// What crosses of repeated headers: all joined with `,`, the last, or all.
fn crossing(format: Format, headers: &HeaderMap) -> HeaderMap {
    let mut crossing = HeaderMap::new();
    for name in headers.keys() {
        let values: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        match format {
            ApigwV2 => {
                let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
                let joined = HeaderValue::from_bytes(&values.join(&b","[..])).unwrap();
                crossing.insert(name, joined);
            }
            Alb => {
                crossing.insert(name, values[values.len() - 1].clone());
            }
            ApigwV1 | AlbMultiValue => values.into_iter().for_each(|value| {
                crossing.append(name, value.clone());
            }),
        }
    }
    crossing
}

/// The meaning of a query: decoded parameters, of which load balancers without lists know the last of each key.
fn parameters(format: Format, query: Option<&str>) -> Vec<(String, String)> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| match format {
            Alb | AlbMultiValue => (key.to_owned(), value.to_owned()),
            ApigwV1 | ApigwV2 => (decoded(key), decoded(value)),
        })
        .collect();
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    if format == Alb {
        pairs.reverse();
        pairs.dedup_by(|(a, _), (b, _)| a == b);
        pairs.reverse();
    }
    pairs
}

fn decoded(text: &str) -> String {
    let plus = text.replace('+', " ");
    percent_encoding::percent_decode_str(&plus).decode_utf8_lossy().into_owned()
}

proptest! {
    #[test]
    fn a_request_comes_back(
        format in formats(),
        method in "GET|POST|PATCH|X-[A-Z!#]{1,5}",
        path in "/[!$-;=@-\\[\\]_a-z|~]{0,30}",
        query in prop::option::of("[!$-;=?-_a-z|~]{1,40}|(&|[%+=a]|%22){1,40}|([ab]=[a-c+]{0,2}(%2[56b]|%c3%a9)?&){1,6}"),
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
        format.write_event(&mut event, &Request {
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

        let bound = format.event_size_max(&sent, path.len(), query.as_deref().map_or(0, str::len), body.len() as u64);
        prop_assert!(event.len() as u64 <= bound, "{} > {bound}", event.len());

        let mut expected = crossing(format, &headers);
        expected.insert(HOST, HeaderValue::from_static("a.example"));
        if !cookies.is_empty() {
            expected.insert(COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        }
        if !body.is_empty() {
            expected.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let (seen, request) = read_event(&event).unwrap();
        prop_assert_eq!(seen, format);
        prop_assert_eq!(request.method(), &method);
        prop_assert_eq!(request.uri().path(), &path);
        if format == ApigwV2 {
            prop_assert_eq!(request.uri().query(), query.as_deref());
        } else {
            prop_assert_eq!(
                parameters(format, request.uri().query()),
                parameters(format, query.as_deref())
            );
        }
        prop_assert_eq!(request.headers(), &expected);
        prop_assert_eq!(request.body(), &Bytes::from(body));
    }

    #[test]
    fn a_response_comes_back(
        format in formats(),
        method in prop::sample::select(vec![Method::GET, Method::HEAD]),
        status in 200..=599_u16,
        headers in headers(),
        cookies in prop::collection::vec("[a-z]=[!-~]{1,8}", 0..4),
        body in bodies(),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut sent = headers.clone();
        let mut expected = crossing(format, &headers);
        for cookie in &cookies {
            let cookie = HeaderValue::from_str(cookie).unwrap();
            sent.append(SET_COOKIE, cookie.clone());
            if format == Alb {
                expected.insert(SET_COOKIE, cookie);
            } else {
                expected.append(SET_COOKIE, cookie);
            }
        }
        let mut payload = Vec::new();
        format.write_response(&mut payload, status, &sent, &body);

        let response = format.read_response(&method, &Bytes::from(payload)).unwrap();
        prop_assert_eq!(response.status, status);
        let has_body = status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
        if method == Method::HEAD && has_body && !body.is_empty() {
            expected.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        prop_assert_eq!(response.headers, expected);
        let body = if has_body && method == Method::GET { body } else { Vec::new() };
        prop_assert_eq!(response.body, Bytes::from(body));
    }

    #[test]
    fn a_size_is_never_underestimated_when_everything_is_an_escape(
        format in formats(),
        quotes in 1..2000_usize,
        part in prop::sample::select(vec!["\"&", "%00&", "\"", "&=", "\"=\"&", "%ff=+&"]),
    ) {
        let text = "\"".repeat(quotes);
        let cookies = "a;".repeat(quotes);
        let query = part.repeat(quotes);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert("user-agent", HeaderValue::from_str(&text).unwrap());
        headers.insert(COOKIE, HeaderValue::from_str(&cookies).unwrap());
        for _ in 0..quotes.min(20) {
            headers.append("x", HeaderValue::from_static(""));
        }
        let method = Method::from_bytes(&[b'!'; 255]).unwrap();
        let mut event = Vec::new();
        format.write_event(&mut event, &Request {
            method: &method,
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
        let bound = format.event_size_max(&headers, text.len(), query.len(), text.len() as u64);
        prop_assert!(event.len() as u64 <= bound, "{format:?} {} > {bound}", event.len());
    }

    /// Distinct keys are the worst case of lists: each pays for its brackets.
    #[test]
    fn a_size_is_never_underestimated_when_every_key_is_another(format in formats(), keys in 1..3000_usize) {
        let query: Vec<String> = (0..keys)
            .map(|key| char::from_u32(0x21 + (key % 90) as u32).unwrap().to_string().repeat(1 + key / 90))
            .collect();
        let query = query.join("&");
        let headers = HeaderMap::new();
        let mut event = Vec::new();
        format.write_event(&mut event, &Request {
            method: &Method::GET,
            path: "/",
            query: Some(&query),
            headers: &headers,
            body: b"",
            source_ip: IpAddr::from([255; 16]),
            request_id: "",
            epoch_ms: 0,
            domain: "",
            protocol: Version::HTTP_11,
        });
        let bound = format.event_size_max(&headers, 1, query.len(), 0);
        prop_assert!(event.len() as u64 <= bound, "{format:?} {} > {bound}", event.len());
    }
}
