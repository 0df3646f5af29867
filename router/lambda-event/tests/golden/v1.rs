//! Events and responses against the shape that AWS documents for payload format 1.0.
//!
//! Fields and rules are those of "Lambda proxy integrations in API Gateway" (REST APIs) and "Create AWS Lambda proxy
//! integrations for HTTP APIs" (AWS documentation, read November 2026); the values are ours.

use http::{HeaderMap, Method, StatusCode};
use lambda_event::Format::ApigwV1;
use lambda_event::{RequestContext, ResponseError, read_event};
use serde_json::{Value, json};

use super::{event, headers, read, written};

#[test]
fn a_whole_event_has_the_documented_shape() {
    let headers = headers(&[
        ("host", "api.example.com"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("user-agent", "curl/8"),
        ("accept", "text/html"),
        ("accept", "text/plain"),
        ("cookie", "a=1; b=2"),
        ("cookie", "c=3"),
        ("te", "trailers"),
    ]);
    let query = "p1=v1&p2=a%20b&p1=v+2&flag";
    assert_eq!(
        event(ApigwV1, "/path/to%20resource", Some(query), &headers, b"a=1"),
        json!({
            "version": "1.0",
            "resource": "/{proxy+}",
            "path": "/path/to%20resource",
            "httpMethod": "POST",
            "headers": {
                "host": "api.example.com",
                "content-type": "application/x-www-form-urlencoded",
                "content-length": "3",
                "user-agent": "curl/8",
                "accept": "text/plain",
                "cookie": "a=1; b=2; c=3",
            },
            "multiValueHeaders": {
                "host": ["api.example.com"],
                "content-type": ["application/x-www-form-urlencoded"],
                "content-length": ["3"],
                "user-agent": ["curl/8"],
                "accept": ["text/html", "text/plain"],
                "cookie": ["a=1; b=2", "c=3"],
            },
            "queryStringParameters": {"p1": "v 2", "p2": "a b", "flag": ""},
            "multiValueQueryStringParameters": {"p1": ["v1", "v 2"], "p2": ["a b"], "flag": [""]},
            "requestContext": {
                "accountId": "anonymous",
                "apiId": "api",
                "domainName": "api.example.com",
                "domainPrefix": "api",
                "extendedRequestId": "id-1",
                "httpMethod": "POST",
                "identity": {
                    "accessKey": null,
                    "accountId": null,
                    "caller": null,
                    "cognitoAuthenticationProvider": null,
                    "cognitoAuthenticationType": null,
                    "cognitoIdentityId": null,
                    "cognitoIdentityPoolId": null,
                    "principalOrgId": null,
                    "sourceIp": "192.0.2.1",
                    "user": null,
                    "userAgent": "curl/8",
                    "userArn": null,
                },
                "path": "/path/to%20resource",
                "protocol": "HTTP/1.1",
                "requestId": "id-1",
                "requestTime": "04/Mar/2020:19:03:58 +0000",
                "requestTimeEpoch": 1_583_348_638_390_u64,
                "resourceId": null,
                "resourcePath": "/{proxy+}",
                "stage": "$default",
            },
            "pathParameters": {"proxy": "path/to%20resource"},
            "stageVariables": null,
            "body": "a=1",
            "isBase64Encoded": false,
        })
    );
}

#[test]
fn what_a_request_lacks_is_null() {
    let event = event(ApigwV1, "/", Some(""), &HeaderMap::new(), b"");
    for null in
        ["queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "body"]
    {
        assert_eq!(event[null], Value::Null, "{null}");
        assert!(event.get(null).is_some(), "{null}");
    }
    assert_eq!(event["resource"], "/");
    assert_eq!(event["multiValueHeaders"], json!({"host": ["api.example.com"]}));
    assert_eq!(event["isBase64Encoded"], false);
}

#[test]
fn bytes_are_base64() {
    let event = event(ApigwV1, "/", None, &headers(&[("content-type", "image/png")]), b"\x89PNG");
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("iVBORw=="), &json!(true)));
}

#[test]
fn an_event_of_a_rest_api_is_read() {
    // Capitals, no version, nulls, parameters that need encoding, names only in one of the two maps.
    let event = json!({
        "resource": "/{proxy+}",
        "path": "/hello/w%20orld",
        "httpMethod": "PUT",
        "headers": {"Accept": "b", "Host": "h", "Content-Length": "99", "X-Only": "1"},
        "multiValueHeaders": {"Accept": ["a", "b"], "Host": ["h"], "Cookie": ["a=1", "b=2"], "x-nil": null},
        "queryStringParameters": {"name": "me"},
        "multiValueQueryStringParameters": {"name": ["you & I", "é"], "e": [""]},
        "pathParameters": {"proxy": "hello/w%20orld"},
        "stageVariables": null,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "192.0.2.1"}},
        "body": "hi",
        "isBase64Encoded": false,
    });
    let (format, request) = read_event(event.to_string().as_bytes()).unwrap();
    assert_eq!(format, ApigwV1);
    assert_eq!(request.method(), Method::PUT);
    assert_eq!(request.uri(), "/hello/w%20orld?e=&name=you%20%26%20I&name=%C3%A9");
    assert_eq!(request.body(), "hi");
    assert_eq!(
        request.headers(),
        &headers(&[
            ("accept", "a"),
            ("accept", "b"),
            ("host", "h"),
            ("cookie", "a=1; b=2"),
            ("x-only", "1"),
            ("content-length", "2"),
        ])
    );
    let context: &RequestContext = request.extensions().get().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&context.0).unwrap(), event["requestContext"]);
}

#[test]
fn an_event_with_single_values_only_is_read() {
    let event = json!({
        "version": "1.0", "path": "/x", "httpMethod": "GET", "headers": {"a": "1"},
        "multiValueHeaders": null, "multiValueQueryStringParameters": null,
        "queryStringParameters": {"k": "v", "n": null}, "requestContext": {}, "body": null,
    });
    let (_, request) = read_event(event.to_string().as_bytes()).unwrap();
    assert_eq!(request.uri(), "/x?k=v&n=");
    assert_eq!(request.headers(), &headers(&[("a", "1")]));
}

#[test]
fn a_response_has_the_documented_shape() {
    let headers = headers(&[
        ("content-type", "text/html"),
        ("set-cookie", "a=1; Path=/"),
        ("set-cookie", "b=2"),
        ("content-length", "9"),
        ("keep-alive", "timeout=5"),
    ]);
    assert_eq!(
        written(ApigwV1, StatusCode::CREATED, &headers, "<p>"),
        json!({
            "statusCode": 201,
            "multiValueHeaders": {"content-type": ["text/html"], "set-cookie": ["a=1; Path=/", "b=2"]},
            "body": "<p>",
            "isBase64Encoded": false,
        })
    );
}

#[test]
fn both_maps_are_merged_and_a_value_in_both_counts_once() {
    let read = read(
        ApigwV1,
        r#"{"statusCode":200,"headers":{"a":"1","b":"2","only":"x"},"multiValueHeaders":{"A":["1","3"],"b":["4"],"nil":null},"cookies":["ignored=1"]}"#,
    );
    assert_eq!(
        read.unwrap().headers,
        headers(&[("a", "1"), ("a", "3"), ("b", "4"), ("b", "2"), ("only", "x")])
    );
}

#[test]
fn cookies_in_several_spellings_are_several_cookies() {
    let read =
        read(ApigwV1, r#"{"statusCode":200,"headers":{"set-cookie":"a=1","Set-Cookie":"b=2"}}"#);
    assert_eq!(read.unwrap().headers, headers(&[("set-cookie", "a=1"), ("set-cookie", "b=2")]));
}

#[test]
fn nothing_is_inferred() {
    for payload in [r#"{"hello":1}"#, "[]", "null", "\"text\"", "1"] {
        assert!(matches!(read(ApigwV1, payload), Err(ResponseError::NoStatus)), "{payload}");
    }
    assert!(matches!(read(ApigwV1, r#"{"statusCode":null}"#), Err(ResponseError::Status(_))));
    assert!(matches!(read(ApigwV1, "no json"), Err(ResponseError::Json(_))));
}
