//! Events and responses against the shape that AWS documents for payload format 2.0.
//!
//! The field names and rules are those of "Working with AWS Lambda proxy integrations for HTTP APIs" and of "Invoking
//! Lambda function URLs" (AWS documentation, read November 2026); the values are ours.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use lambda_event::Format::ApigwV2;
use lambda_event::{RequestContext, ResponseError, read_event};
use serde_json::{Value, json};

use super::{event, headers, written};

#[test]
fn a_whole_event_has_the_documented_shape() {
    let headers = headers(&[
        ("host", "api.example.com"),
        ("content-type", "application/json"),
        ("user-agent", "curl/8 \"x\""),
        ("accept", "text/html"),
        ("x-two", "1"),
        ("accept", "text/plain"),
        ("cookie", "a=1; b=2"),
        ("cookie", "c=3"),
        ("connection", "close, X-One-Hop"),
        ("x-one-hop", "gone"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
    ]);
    let query = "p1=v1&p1=v2&p2=a%20b";
    let body = br#"{"say":"hello"}"#;
    assert_eq!(
        event(ApigwV2, "/path/to%20resource", Some(query), &headers, body),
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/path/to%20resource",
            "rawQueryString": "p1=v1&p1=v2&p2=a%20b",
            "cookies": ["a=1", "b=2", "c=3"],
            "headers": {
                "host": "api.example.com",
                "content-type": "application/json",
                "content-length": "15",
                "user-agent": "curl/8 \"x\"",
                "accept": "text/html,text/plain",
                "x-two": "1",
            },
            "queryStringParameters": {"p1": "v1,v2", "p2": "a b"},
            "requestContext": {
                "accountId": "anonymous",
                "apiId": "api",
                "domainName": "api.example.com",
                "domainPrefix": "api",
                "http": {
                    "method": "POST",
                    "path": "/path/to%20resource",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "curl/8 \"x\"",
                },
                "requestId": "id-1",
                "routeKey": "$default",
                "stage": "$default",
                "time": "04/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_u64,
            },
            "body": "{\"say\":\"hello\"}",
            "isBase64Encoded": false,
        })
    );
}

#[test]
fn what_a_request_lacks_its_event_lacks() {
    let event = event(ApigwV2, "/", None, &HeaderMap::new(), b"");
    for absent in ["cookies", "queryStringParameters", "body"] {
        assert!(event.get(absent).is_none(), "{absent}");
    }
    assert_eq!(event["rawQueryString"], "");
    assert_eq!(event["headers"], json!({"host": "api.example.com"}));
    assert_eq!(event["isBase64Encoded"], false);
}

#[test]
fn bytes_are_base64_and_bytes_of_headers_are_characters() {
    let mut headers = headers(&[("content-type", "image/png")]);
    headers.insert("x-name", HeaderValue::from_bytes(b"Andr\xe9").unwrap());
    let event = event(ApigwV2, "/", None, &headers, b"\x89PNG");
    assert_eq!(event["body"], "iVBORw==");
    assert_eq!(event["isBase64Encoded"], true);
    assert_eq!(event["headers"]["x-name"], "Andr\u{e9}");
}

#[test]
fn an_event_of_api_gateway_is_read() {
    // Decoded path, cookies in both places, nulls, capitals, fields that are not ours.
    let event = json!({
        "version": "2.0",
        "routeKey": "ANY /nodejs",
        "rawPath": "/a b/\u{e9}?#",
        "rawQueryString": "x=1&y=%20",
        "cookies": ["s=1", "t=2"],
        "headers": {"Host": "h", "cookie": "s=1; t=2", "Content-Length": "99", "x-forwarded-for": "192.0.2.1", "x-nil": null},
        "queryStringParameters": {"x": "1"},
        "pathParameters": null,
        "stageVariables": null,
        "requestContext": {"accountId": "1", "authorizer": {"jwt": {"claims": {}}}, "http": {"method": "PUT", "path": "/"}},
        "body": "aGk",
        "isBase64Encoded": true,
    });
    let (format, request) = read_event(event.to_string().as_bytes()).unwrap();
    assert_eq!(format, ApigwV2);
    assert_eq!(request.method(), Method::PUT);
    assert_eq!(request.uri(), "/a%20b/%C3%A9%3F%23?x=1&y=%20");
    assert_eq!(request.body(), &Bytes::from_static(b"hi"));
    assert_eq!(
        request.headers(),
        &headers(&[
            ("host", "h"),
            ("cookie", "s=1; t=2"),
            ("content-length", "2"),
            ("x-forwarded-for", "192.0.2.1"),
        ])
    );
    let context: &RequestContext = request.extensions().get().unwrap();
    let context: Value = serde_json::from_slice(&context.0).unwrap();
    assert_eq!(context, event["requestContext"]);
}

#[test]
fn a_response_has_the_documented_shape() {
    let headers = headers(&[
        ("content-type", "text/html"),
        ("set-cookie", "a=1; Path=/"),
        ("set-cookie", "b=2; Expires=Thu, 1 Jan 1970 00:00:00 GMT"),
        ("vary", "a"),
        ("vary", "b"),
        ("content-length", "9"),
        ("keep-alive", "timeout=5"),
    ]);
    assert_eq!(
        written(ApigwV2, StatusCode::CREATED, &headers, "<p>\u{e9}</p>"),
        json!({
            "statusCode": 201,
            "headers": {"content-type": "text/html", "vary": "a,b"},
            "cookies": ["a=1; Path=/", "b=2; Expires=Thu, 1 Jan 1970 00:00:00 GMT"],
            "body": "<p>\u{e9}</p>",
            "isBase64Encoded": false,
        })
    );
}

fn read(payload: &str) -> Result<(u16, HeaderMap, Vec<u8>), ResponseError> {
    let response = super::read(ApigwV2, payload)?;
    Ok((response.status.as_u16(), response.headers, response.body.to_vec()))
}

#[test]
fn an_explicit_response_is_taken_apart() {
    let (status, read_headers, body) = read(
        r#"{"statusCode":"201","headers":{"X-A":"1","n":2,"Content-Length":"77","connection":"close","x-m":"old","nil":null},
            "multiValueHeaders":{"X-M":["1","2"]},"cookies":["a=1","b=2"],"body":"aGk=","isBase64Encoded":true,"extra":[{}]}"#,
    )
    .unwrap();
    assert_eq!(status, 201);
    assert_eq!(body, b"hi");
    assert_eq!(
        read_headers,
        headers(&[
            ("x-a", "1"),
            ("n", "2"),
            ("x-m", "1"),
            ("x-m", "2"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ])
    );
}

#[test]
fn json_without_a_status_is_the_body() {
    let json = headers(&[("content-type", "application/json")]);
    for (payload, body) in [
        (r#"{"hello": [1, 2]}"#, r#"{"hello": [1, 2]}"#),
        (
            r#"{"headers":5,"body":{"x":1},"cookies":"c"}"#,
            r#"{"headers":5,"body":{"x":1},"cookies":"c"}"#,
        ),
        ("[1e400]", "[1e400]"),
        ("null", "null"),
        ("true", "true"),
        ("-1.5", "-1.5"),
        (r#""plain""#, "plain"),
        (r#""a \"b\"""#, "a \"b\""),
    ] {
        assert_eq!(
            read(payload).unwrap(),
            (200, json.clone(), body.as_bytes().to_vec()),
            "{payload}"
        );
    }
}

#[test]
fn statuses_that_are_none_are_refused() {
    for status in [
        "100",
        "101",
        "199",
        "600",
        "0",
        "-200",
        "2000",
        "200.5",
        "true",
        "null",
        "[]",
        "{}",
        "\"\"",
        "\"20x\"",
        "\"+20\"",
        "18446744073709551616",
    ] {
        let error = read(&format!(r#"{{"statusCode":{status}}}"#)).unwrap_err();
        assert!(matches!(error, ResponseError::Status(_)), "{status}: {error}");
    }
    assert_eq!(read(r#"{"statusCode":599}"#).unwrap().0, 599);
}

#[test]
fn a_204_has_no_body() {
    assert_eq!(read(r#"{"statusCode":204,"body":"x"}"#).unwrap().2, b"");
    assert_eq!(read(r#"{"statusCode":304,"body":"x"}"#).unwrap().2, b"");
}

#[test]
fn a_broken_answer_says_which_part() {
    for (payload, expected) in [
        ("", "is not JSON"),
        ("<html>", "is not JSON"),
        (r#"{"statusCode":200"#, "is not JSON"),
        (r#"{"statusCode":200} x"#, "is not JSON"),
        (r#"{"statusCode":200,"body":{"a":1}}"#, "body that is not a string"),
        (r#"{"statusCode":200,"body":"%","isBase64Encoded":true}"#, "not base64"),
        (r#"{"statusCode":200,"headers":[]}"#, "a headers of the wrong type"),
        (r#"{"statusCode":200,"cookies":{}}"#, "a cookies of the wrong type"),
        (r#"{"statusCode":200,"headers":{"a b":"c"}}"#, "header name \"a b\""),
        (r#"{"statusCode":200,"headers":{"":"c"}}"#, "header name \"\""),
        (r#"{"statusCode":200,"headers":{"a":"b\r\nc: d"}}"#, "value of header a"),
        (r#"{"statusCode":200,"cookies":["a\u0000"]}"#, "value of header set-cookie"),
    ] {
        let error = read(payload).unwrap_err().to_string();
        assert!(error.contains(expected), "{payload}: {error}");
    }
}
