//! AWS's own parsers, `lambda_http` and `aws_lambda_events`, against what Pacer reads and writes.

#![expect(clippy::unwrap_used, reason = "helpers of tests are not seen to be in tests")]

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use lambda_event::Format::{self, Alb, AlbMultiValue, ApigwV1, ApigwV2};
use lambda_event::stream::{self, Reader};
use lambda_http::aws_lambda_events::alb::AlbTargetGroupResponse;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use lambda_http::lambda_runtime::MetadataPrelude;
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, RequestExt as _};
use proptest::prelude::*;

fn formats() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::ALL.to_vec())
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let name = "x-[a-c]|accept|x-[!#$%&'*+.^_`|~0-9b-z-]{1,8}"
        .prop_filter("the gateway's own", |name| !name.starts_with("x-pacer-"));
    let value = "|[!-~]([ -~]{0,12}[!-~])?";
    let content_type = prop::sample::select(vec![
        "text/plain",
        "application/json; charset=utf-8",
        "image/png",
        "application/x-www-form-urlencoded",
    ]);
    (prop::collection::vec((name, value), 0..8), prop::option::of(content_type)).prop_map(
        |(pairs, content_type)| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                headers.append(name, HeaderValue::from_str(&value).unwrap());
            }
            if let Some(content_type) = content_type {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
            headers
        },
    )
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..100),
        "\\PC{0,60}".prop_map(String::into_bytes),
    ]
}

fn decoded(text: &str) -> String {
    let plus = text.replace('+', " ");
    percent_encoding::percent_decode_str(&plus).decode_utf8_lossy().into_owned()
}

/// The parameters of a query, decoded.
fn parameters(query: &str) -> BTreeMap<String, Vec<String>> {
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.entry(decoded(key)).or_default().push(decoded(value));
    }
    parameters
}

/// The values of a header as the reference shows them, as one list.
fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let texts = headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned());
    texts.collect()
}

proptest! {
    #[test]
    fn the_reference_reads_every_event_as_it_was_meant(
        format in formats(),
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::PATCH]),
        path in "(/[A-Za-z0-9._~!$'()*+,;=:@-]{1,6}|/%20|/%C3%A9|/%2F){1,4}",
        // What is decoded twice is left out: the reference decodes a load balancer's query once more when it is asked for.
        query in prop::option::of("([a-c]|d%20e|%C3%A9)=([a-z0-9]{0,4}|x%26y|a\\+b|%C3%A9)(&([a-c]|d%20e)=([a-z0-9]{0,4}|x%3Dy)){0,4}"),
        headers in headers(),
        cookies in prop::collection::vec("[a-z]{1,3}=[a-zA-Z0-9]{0,8}", 0..4),
        body in bodies(),
        source_ip in any::<IpAddr>(),
    ) {
        let mut sent = headers.clone();
        if !cookies.is_empty() {
            sent.insert(COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        }
        let mut event = Vec::new();
        format.write_event(&mut event, &lambda_event::Request {
            method: &method,
            path: &path,
            query: query.as_deref(),
            headers: &sent,
            body: &body,
            source_ip,
            request_id: "id-1",
            epoch_ms: 1_583_348_638_390,
            domain: "a.example",
            protocol: Version::HTTP_11,
        });

        let parsed: LambdaRequest = serde_json::from_slice(&event).unwrap();
        let seen = match &parsed {
            LambdaRequest::ApiGatewayV2(event) => {
                let context = &event.request_context;
                prop_assert_eq!(context.http.source_ip.as_deref(), Some(&*source_ip.to_string()));
                prop_assert_eq!(context.request_id.as_deref(), Some("id-1"));
                prop_assert_eq!(context.time_epoch, 1_583_348_638_390);
                prop_assert_eq!(context.stage.as_deref(), Some("$default"));
                ApigwV2
            }
            LambdaRequest::ApiGatewayV1(event) => {
                let context = &event.request_context;
                prop_assert_eq!(context.identity.source_ip.as_deref(), Some(&*source_ip.to_string()));
                prop_assert_eq!(context.request_id.as_deref(), Some("id-1"));
                prop_assert_eq!(context.request_time_epoch, 1_583_348_638_390);
                prop_assert_eq!(context.request_time.as_deref(), Some("04/Mar/2020:19:03:58 +0000"));
                prop_assert_eq!(event.path_parameters.get("proxy").map(String::as_str), path.strip_prefix('/'));
                ApigwV1
            }
            LambdaRequest::Alb(event) => {
                prop_assert!(event.request_context.elb.target_group_arn.is_some());
                prop_assert!(event.body.is_some(), "a load balancer always sends a body");
                if event.multi_value_headers.is_empty() { Alb } else { AlbMultiValue }
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        prop_assert_eq!(seen, format);

        let request: lambda_http::Request = parsed.into();
        prop_assert_eq!(request.method(), &method);
        prop_assert_eq!(request.raw_http_path(), &path);
        prop_assert_eq!(request.body().as_ref(), &body[..]);
        let mut expected = parameters(query.as_deref().unwrap_or_default());
        if format == Alb {
            for values in expected.values_mut() {
                values.drain(..values.len() - 1);
            }
        }
        for (key, values) in expected {
            let seen = request.query_string_parameters();
            prop_assert_eq!(seen.all(&key).unwrap_or_default(), values, "{}", key);
        }
        if !cookies.is_empty() {
            let seen = values(request.headers(), &COOKIE).join("; ").replace("; ", ";");
            prop_assert_eq!(seen, cookies.join(";"));
        }
        for name in headers.keys() {
            let sent = values(&headers, name);
            let seen = values(request.headers(), name);
            match format {
                ApigwV2 => prop_assert_eq!(seen, [sent.join(",")], "{}", name),
                Alb => prop_assert_eq!(seen.last(), sent.last(), "{}", name),
                AlbMultiValue => prop_assert_eq!(seen, sent, "{}", name),
                // It adds `headers` to `multiValueHeaders`: whatever it makes of the two, the last value is right.
                ApigwV1 => prop_assert_eq!(seen.last(), sent.last(), "{}", name),
            }
        }
    }

    #[test]
    fn what_the_reference_answers_is_read(
        format in formats(),
        status in 200..=599_u16,
        headers in headers(),
        cookies in prop::collection::vec("[a-z]=[!-~]{1,8}", 0..4),
        body in bodies(),
    ) {
        // As lambda_http 1.3 fills the types of aws_lambda_events.
        let is_base64_encoded = std::str::from_utf8(&body).is_err();
        let body_text = if is_base64_encoded {
            Body::Binary(body.clone())
        } else {
            Body::Text(String::from_utf8(body.clone()).unwrap())
        };
        let cookies_in = |headers: &HeaderMap| {
            let mut headers = headers.clone();
            for cookie in &cookies {
                headers.append(SET_COOKIE, HeaderValue::from_str(cookie).unwrap());
            }
            headers
        };
        let all = cookies_in(&headers);
        let payload = match format {
            ApigwV2 => {
                let mut answer = ApiGatewayV2httpResponse::default();
                answer.status_code = status.into();
                answer.headers = headers.clone();
                answer.cookies = cookies.clone();
                answer.is_base64_encoded = is_base64_encoded;
                answer.body = Some(body_text);
                serde_json::to_vec(&answer)
            }
            ApigwV1 => {
                let mut answer = ApiGatewayProxyResponse::default();
                answer.status_code = status.into();
                answer.multi_value_headers = all.clone();
                answer.is_base64_encoded = is_base64_encoded;
                answer.body = Some(body_text);
                serde_json::to_vec(&answer)
            }
            Alb | AlbMultiValue => {
                let mut answer = AlbTargetGroupResponse::default();
                answer.status_code = status.into();
                answer.headers = all.clone();
                answer.multi_value_headers = all.clone();
                answer.is_base64_encoded = is_base64_encoded;
                answer.body = Some(body_text);
                serde_json::to_vec(&answer)
            }
        };
        let response = format.read_response(&Method::GET, &Bytes::from(payload.unwrap())).unwrap();
        prop_assert_eq!(response.status.as_u16(), status);
        if status != 204 && status != 304 {
            prop_assert_eq!(&response.body[..], &body[..]);
        }
        for name in all.keys() {
            let (sent, read) = (values(&all, name), values(&response.headers, name));
            match format {
                ApigwV1 | AlbMultiValue => prop_assert_eq!(read, sent, "{}", name),
                // Its `headers` has one value of each name; which, is its own affair.
                ApigwV2 if name != SET_COOKIE => prop_assert!(sent.contains(&read[0]), "{}", name),
                ApigwV2 => prop_assert_eq!(read, sent),
                Alb => prop_assert!(read.len() == 1 && sent.contains(&read[0]), "{}", name),
            }
        }
    }

    #[test]
    fn what_the_adapter_answers_the_reference_reads(
        format in formats(),
        status in 200..=599_u16,
        headers in headers(),
        body in bodies(),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut payload = Vec::new();
        format.write_response(&mut payload, status, &headers, &body);
        let (code, seen) = match format {
            ApigwV2 => {
                // The reference has no default for what AWS lets a function leave out.
                let mut value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                value.as_object_mut().unwrap().entry("cookies").or_insert_with(|| serde_json::json!([]));
                let answer: ApiGatewayV2httpResponse = serde_json::from_value(value).unwrap();
                (answer.status_code, answer.headers)
            }
            ApigwV1 => {
                let answer: ApiGatewayProxyResponse = serde_json::from_slice(&payload).unwrap();
                (answer.status_code, answer.multi_value_headers)
            }
            Alb | AlbMultiValue => {
                let answer: AlbTargetGroupResponse = serde_json::from_slice(&payload).unwrap();
                let description = answer.status_description.unwrap();
                let (code, reason) = description.split_once(' ').unwrap();
                prop_assert_eq!(code, status.as_str());
                prop_assert!(!reason.is_empty());
                let headers = if format == Alb { answer.headers } else { answer.multi_value_headers };
                (answer.status_code, headers)
            }
        };
        prop_assert_eq!(code, i64::from(status.as_u16()));
        prop_assert_eq!(seen.keys_len(), headers.keys_len());
    }

    #[test]
    fn the_prelude_of_the_reference_is_read(
        status in 200..=599_u16,
        headers in headers(),
        cookies in prop::collection::vec("[a-z]=[!-~]{1,8}", 0..4),
    ) {
        let prelude = MetadataPrelude {
            status_code: StatusCode::from_u16(status).unwrap(),
            headers: headers.clone(),
            cookies: cookies.clone(),
        };
        let mut streamed = serde_json::to_vec(&prelude).unwrap();
        streamed.extend_from_slice(&[0; stream::DELIMITER_BYTES]);
        streamed.extend_from_slice(b"body");
        let mut reader = Reader::new(Some(&HeaderValue::from_static(stream::CONTENT_TYPE)));
        let piece = reader.push(Bytes::from(streamed)).unwrap();
        let head = piece.head.unwrap();
        prop_assert_eq!(head.status.as_u16(), status);
        prop_assert_eq!(values(&head.headers, &SET_COOKIE), cookies);
        for name in headers.keys() {
            prop_assert_eq!(values(&head.headers, name), values(&headers, name), "{}", name);
        }
        prop_assert_eq!(piece.body, "body");
    }
}
