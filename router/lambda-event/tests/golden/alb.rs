//! Events and responses against the shape that AWS documents for Application Load Balancers.
//!
//! Fields and rules are those of "Use Lambda functions as targets of an Application Load Balancer" (AWS documentation, read
//! November 2026); the values are ours.

use http::{HeaderMap, HeaderValue, StatusCode};
use lambda_event::Format::{Alb, AlbMultiValue};
use lambda_event::{ResponseError, read_event};
use serde_json::json;

use super::{event, headers, read, written};

const ARN: &str = "arn:aws:elasticloadbalancing:::targetgroup/pacer/0000000000000000";

#[test]
fn a_whole_event_has_the_documented_shape() {
    let headers = headers(&[
        ("content-type", "text/plain"),
        ("accept", "text/html"),
        ("accept", "text/plain"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x-forwarded-for", "192.0.2.1"),
        ("connection", "close"),
    ]);
    let query = "k=1&k=%3Fshow%3D1&a+b=c&flag";
    assert_eq!(
        event(Alb, "/a%20b", Some(query), &headers, b"hello"),
        json!({
            "requestContext": {"elb": {"targetGroupArn": ARN}},
            "httpMethod": "POST",
            "path": "/a%20b",
            "queryStringParameters": {"k": "%3Fshow%3D1", "a+b": "c", "flag": ""},
            "headers": {
                "host": "api.example.com",
                "content-type": "text/plain",
                "content-length": "5",
                "accept": "text/plain",
                "cookie": "a=1; b=2",
                "x-forwarded-for": "192.0.2.1",
            },
            "body": "hello",
            "isBase64Encoded": false,
        })
    );
    assert_eq!(
        event(AlbMultiValue, "/a%20b", Some(query), &headers, b"hello"),
        json!({
            "requestContext": {"elb": {"targetGroupArn": ARN}},
            "httpMethod": "POST",
            "path": "/a%20b",
            "multiValueQueryStringParameters": {"k": ["1", "%3Fshow%3D1"], "a+b": ["c"], "flag": [""]},
            "multiValueHeaders": {
                "host": ["api.example.com"],
                "content-type": ["text/plain"],
                "content-length": ["5"],
                "accept": ["text/html", "text/plain"],
                "cookie": ["a=1", "b=2"],
                "x-forwarded-for": ["192.0.2.1"],
            },
            "body": "hello",
            "isBase64Encoded": false,
        })
    );
}

#[test]
fn body_and_parameters_are_always_there() {
    let event = event(Alb, "/", None, &HeaderMap::new(), b"");
    assert_eq!(event["body"], "");
    assert_eq!(event["isBase64Encoded"], false);
    assert_eq!(event["queryStringParameters"], json!({}));
}

#[test]
fn only_the_listed_types_are_text() {
    for (content_type, encoding, is_base64) in [
        ("text/css; charset=utf-8", None, false),
        ("application/json", None, false),
        ("application/javascript", None, false),
        ("application/xml", None, false),
        ("application/xml", Some("gzip"), true),
        ("application/problem+json", None, true),
        ("application/x-www-form-urlencoded", None, true),
        ("image/png", None, true),
    ] {
        let mut headers = headers(&[("content-type", content_type)]);
        if let Some(encoding) = encoding {
            headers.insert("content-encoding", HeaderValue::from_static(encoding));
        }
        let event = event(Alb, "/", None, &headers, b"ab");
        assert_eq!(event["isBase64Encoded"], is_base64, "{content_type} {encoding:?}");
        assert_eq!(event["body"], if is_base64 { "YWI=" } else { "ab" });
    }
}

#[test]
fn events_of_a_load_balancer_are_read() {
    let single = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/t/1"}},
        "httpMethod": "GET",
        "path": "/a%2Fb",
        "queryStringParameters": {"k": "%3Fshow%3D1", "e": ""},
        "headers": {"accept": "*/*", "host": "h", "x-amzn-trace-id": "Root=1", "x-forwarded-for": "192.0.2.1"},
        "body": "",
        "isBase64Encoded": false,
    });
    let (format, request) = read_event(single.to_string().as_bytes()).unwrap();
    assert_eq!(format, Alb);
    assert_eq!(request.uri(), "/a%2Fb?e=&k=%3Fshow%3D1");
    assert_eq!(request.headers()["x-amzn-trace-id"], "Root=1");
    assert!(request.body().is_empty());

    let mut listed = single;
    let fields = listed.as_object_mut().unwrap();
    fields.remove("headers");
    fields.remove("queryStringParameters");
    fields.insert(
        "multiValueHeaders".into(),
        json!({"accept": ["a", "b"], "cookie": ["a=1", "b=2"]}),
    );
    fields.insert("multiValueQueryStringParameters".into(), json!({"k": ["1", "%20"]}));
    fields.insert("body".into(), json!("aGk="));
    fields.insert("isBase64Encoded".into(), json!(true));
    let (format, request) = read_event(listed.to_string().as_bytes()).unwrap();
    assert_eq!(format, AlbMultiValue);
    assert_eq!(request.uri(), "/a%2Fb?k=1&k=%20");
    assert_eq!(request.body(), "hi");
    assert_eq!(
        request.headers(),
        &headers(&[
            ("accept", "a"),
            ("accept", "b"),
            ("cookie", "a=1; b=2"),
            ("content-length", "2")
        ])
    );
}

#[test]
fn a_health_check_is_a_request() {
    let event = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn"}},
        "httpMethod": "GET", "path": "/", "queryStringParameters": {},
        "headers": {"user-agent": "ELB-HealthChecker/2.0"}, "body": "", "isBase64Encoded": false,
    });
    let (format, request) = read_event(event.to_string().as_bytes()).unwrap();
    assert_eq!((format, request.uri().to_string()), (Alb, "/".to_owned()));
}

#[test]
fn a_response_has_the_documented_shape() {
    let headers = headers(&[
        ("content-type", "text/html"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("content-length", "3"),
    ]);
    assert_eq!(
        written(Alb, StatusCode::OK, &headers, "<p>"),
        json!({
            "statusCode": 200,
            "statusDescription": "200 OK",
            "headers": {"content-type": "text/html", "set-cookie": "b=2"},
            "body": "<p>",
            "isBase64Encoded": false,
        })
    );
    assert_eq!(
        written(AlbMultiValue, StatusCode::from_u16(599).unwrap(), &headers, "<p>"),
        json!({
            "statusCode": 599,
            "statusDescription": "599 Unknown",
            "multiValueHeaders": {"content-type": ["text/html"], "set-cookie": ["a=1", "b=2"]},
            "body": "<p>",
            "isBase64Encoded": false,
        })
    );
}

#[test]
fn the_modes_own_form_counts_and_nothing_is_lost_that_only_the_other_has() {
    let payload = r#"{"statusCode":200,"statusDescription":"200 OK",
        "headers":{"a":"1","A":"2","single":"x"},
        "multiValueHeaders":{"a":["3","4"],"set-cookie":["a=1","b=2"]}}"#;
    let cookies = [("set-cookie", "a=1"), ("set-cookie", "b=2")];
    assert_eq!(
        read(Alb, payload).unwrap().headers,
        headers(&[&[("a", "2"), ("single", "x")][..], &cookies].concat())
    );
    assert_eq!(
        read(AlbMultiValue, payload).unwrap().headers,
        headers(&[&[("a", "3"), ("a", "4"), ("single", "x")][..], &cookies].concat())
    );
}

#[test]
fn nothing_is_inferred() {
    for payload in [r#"{"hello":1}"#, "[]", "null", "\"text\""] {
        assert!(matches!(read(Alb, payload), Err(ResponseError::NoStatus)), "{payload}");
    }
}
