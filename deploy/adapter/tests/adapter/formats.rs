//! Each event is answered in its own format.

use http::HeaderMap;
use lambda_event::Format;
use serde_json::{Value, json};

use crate::event_of;
use crate::lambda::Lambda;

#[tokio::test]
async fn each_event_is_answered_in_its_own_format() {
    let mut lambda = Lambda::serving().await;
    for (format, single, listed) in [
        (Format::ApigwV2, json!("image/png"), Value::Null),
        (Format::ApigwV1, Value::Null, json!(["image/png"])),
        (Format::Alb, json!("image/png"), Value::Null),
        (Format::AlbMultiValue, Value::Null, json!(["image/png"])),
    ] {
        lambda.send("id-1", event_of(format, "/bytes", &HeaderMap::new(), b"")).await;
        let call = lambda.call().await;
        let answer: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(answer["statusCode"], 201, "{format:?}");
        assert_eq!(answer["headers"]["content-type"], single, "{format:?}");
        assert_eq!(answer["multiValueHeaders"]["content-type"], listed, "{format:?}");
        let is_alb = matches!(format, Format::Alb | Format::AlbMultiValue);
        let description = if is_alb { json!("201 Created") } else { Value::Null };
        assert_eq!(answer["statusDescription"], description, "{format:?}");

        let response = format.read_response(&http::Method::GET, &call.body).unwrap();
        assert_eq!(response.body, (0..=255).collect::<Vec<u8>>(), "{format:?}");
        let cookies: Vec<_> = response.headers.get_all("set-cookie").iter().collect();
        let expected: &[&str] = if format == Format::Alb { &["b=2"] } else { &["a=1", "b=2"] };
        assert_eq!(cookies, expected, "{format:?}");
        assert!(response.headers.contains_key("x-pacer-environment"), "{format:?}");
        assert!(!response.headers.contains_key("x-pacer-busy"), "the app cannot speak for us");
    }
    assert!(lambda.terminate().await.success());
}

#[tokio::test]
async fn the_app_sees_the_same_request_in_each_format() {
    let mut lambda = Lambda::serving().await;
    for format in Format::ALL {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        headers.append("cookie", "a=1; b=2".parse().unwrap());
        let path = "/a%20b/%C3%A9?x=1&y=%20%26";
        lambda.send("id-1", event_of(format, path, &headers, b"q=%20")).await;
        let answer: Value = serde_json::from_slice(&lambda.call().await.body).unwrap();
        let seen: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(seen["method"], "POST", "{format:?}");
        assert_eq!(seen["target"], path, "{format:?}");
        assert_eq!(seen["body"], "q=%20", "{format:?}");
        let headers = seen["headers"].as_array().unwrap();
        for expected in [
            json!(["cookie", "a=1; b=2"]),
            json!(["content-length", "5"]),
            json!(["host", "api.example.com"]),
        ] {
            assert!(headers.contains(&expected), "{format:?}: {expected} in {headers:?}");
        }
        let context = headers.iter().find(|header| header[0] == "x-amzn-request-context").unwrap();
        let context: Value = serde_json::from_str(context[1].as_str().unwrap()).unwrap();
        assert!(context.is_object(), "{format:?}");
    }
    assert!(lambda.terminate().await.success());
}
