//! S3: objects, lists, and bodies in chunks with a checksum behind them.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use http::Request;
use http_body_util::Full;
use pacer_local::{Cloud, Config};
use serde_json::json;

use crate::support::{Answer, fault, plain, send, start};

/// A request signed by S3's rules.
async fn s3(
    cloud: &Cloud,
    (method, path): (&str, &str),
    headers: &[(&'static str, &str)],
    body: SignableBody<'_>,
    sent: &[u8],
) -> Answer {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = Credentials::new("local", "local", None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("s3")
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let url = format!("http://{}{path}", cloud.address);
    let signable = SignableRequest::new(method, &url, headers.iter().copied(), body).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request =
        Request::builder().method(method).uri(path).header("host", cloud.address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::from(sent.to_vec())).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    send(cloud.address, request).await.unwrap()
}

async fn ask(cloud: &Cloud, method: &str, path: &str, body: &[u8]) -> Answer {
    s3(cloud, (method, path), &[], SignableBody::Bytes(body), body).await
}

async fn cloud() -> Cloud {
    start(Config { buckets: vec!["history".into()], ..Config::new() }, 1.0).await
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[tokio::test]
async fn an_object_is_put_read_and_deleted() {
    let cloud = cloud().await;
    // Paths that would be other APIs' if S3 were not meant.
    for path in ["/history/a%20b/%C5%91%3D1", "/history/2015-03-31/functions", "/history/_local//x"]
    {
        let put = ask(&cloud, "PUT", path, b"hello").await;
        assert_eq!(
            (put.status(), put.header("etag")),
            (200, "\"5d41402abc4b2a76b9719d911017c592\"")
        );
        let got = ask(&cloud, "GET", path, b"").await;
        assert_eq!((got.status(), &got.body[..]), (200, &b"hello"[..]), "{path}");
        assert_eq!(got.header("etag"), put.header("etag"));
        let head = ask(&cloud, "HEAD", path, b"").await;
        assert_eq!((head.status(), head.header("content-length")), (200, "5"));
        assert!(head.body.is_empty() && head.header("last-modified").ends_with("GMT"));
        assert_eq!(ask(&cloud, "DELETE", path, b"").await.status(), 204);
        let gone = ask(&cloud, "GET", path, b"").await;
        assert!(gone.status() == 404 && text(&gone).contains("<Code>NoSuchKey</Code>"), "{gone:?}");
        assert_eq!(ask(&cloud, "HEAD", path, b"").await.status(), 404);
        assert_eq!(ask(&cloud, "DELETE", path, b"").await.status(), 204, "as good as deleted");
    }
    for (method, path) in [("GET", "/gone/a"), ("PUT", "/gone/a"), ("GET", "/gone?list-type=2")] {
        let answer = ask(&cloud, method, path, b"").await;
        assert!(answer.status() == 404 && text(&answer).contains("NoSuchBucket"), "{answer:?}");
    }
    assert_eq!(ask(&cloud, "PUT", "/made-here", b"").await.status(), 200);
    assert_eq!(ask(&cloud, "PUT", "/made-here", b"").await.status(), 409);
    assert_eq!(ask(&cloud, "PUT", "/made-here/a", b"").await.status(), 200);
    for (method, path) in [("PUT", "/history/a?acl"), ("POST", "/history/a?uploads"), ("GET", "/")]
    {
        assert_eq!(ask(&cloud, method, path, b"").await.status(), 501, "{path}");
    }
    cloud.stop().await;
}

#[tokio::test]
async fn keys_are_listed_by_prefix_in_pages() {
    let cloud = cloud().await;
    for key in ["a/1", "a/2", "a/3", "a&<", "b/1"] {
        let path = format!("/history/{}", key.replace('&', "%26").replace('<', "%3C"));
        assert_eq!(ask(&cloud, "PUT", &path, key.as_bytes()).await.status(), 200);
    }
    let mut keys = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/history?{token}list-type=2&max-keys=2&prefix=a%2F");
        let page = ask(&cloud, "GET", &path, b"").await;
        let between = |open: &str, close: &str| -> Vec<String> {
            let rest = text(&page).split(open).skip(1);
            rest.map(|rest| rest.split(close).next().unwrap().to_owned()).collect()
        };
        keys.push(between("<Key>", "</Key>"));
        match between("<NextContinuationToken>", "</Next").pop() {
            Some(next) => token = format!("continuation-token={next}&"),
            None => break,
        }
    }
    assert_eq!(keys, [vec!["a/1", "a/2"], vec!["a/3"]]);
    let plain = ask(&cloud, "GET", "/history?list-type=2&prefix=a%26", b"").await;
    assert!(text(&plain).contains("<Key>a&amp;&lt;</Key>"), "{plain:?}");
    let coded = ask(&cloud, "GET", "/history?encoding-type=url&list-type=2&prefix=a%26", b"").await;
    assert!(text(&coded).contains("<Key>a%26%3C</Key>"), "{coded:?}");
    cloud.stop().await;
}

#[tokio::test]
async fn a_checksum_in_the_trailer_is_checked() {
    let cloud = cloud().await;
    let put = async |sent: &[u8], length: &str| {
        let headers = [
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", length),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ];
        let body = SignableBody::StreamingUnsignedPayloadTrailer;
        s3(&cloud, ("PUT", "/history/chunked"), &headers, body, sent).await
    };
    // The check value of CRC-32, of 123456789.
    let good = b"4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
    let stored = put(good, "9").await;
    assert_eq!((stored.status(), stored.header("x-amz-checksum-crc32")), (200, "y/Q5Jg=="));
    let enabled = [("x-amz-checksum-mode", "ENABLED")];
    let get =
        s3(&cloud, ("GET", "/history/chunked"), &enabled, SignableBody::Bytes(b""), b"").await;
    assert_eq!(
        (&get.body[..], get.header("x-amz-checksum-crc32")),
        (&b"123456789"[..], "y/Q5Jg==")
    );
    assert_eq!(get.header("content-encoding"), "", "the coding was of the request");
    let spoilt = String::from_utf8(good.to_vec()).unwrap().replace("1234", "1243");
    for (sent, length, code) in [
        (spoilt.as_bytes(), "9", "BadDigest"),
        (good, "8", "IncompleteBody"),
        (b"0\r\n\r\n", "0", "MalformedTrailerError"),
        (b"9\r\n1234", "9", "InvalidChunkSizeError"),
    ] {
        let refused = put(sent, length).await;
        assert!(refused.status() == 400 && text(&refused).contains(code), "{code}: {refused:?}");
    }
    cloud.stop().await;
}

#[tokio::test]
async fn what_was_not_meant_or_not_signed_is_refused() {
    let cloud = cloud().await;
    let body = SignableBody::Bytes(b"one");
    let other = s3(&cloud, ("PUT", "/history/a"), &[], body, b"two").await;
    assert!(other.status() == 403 && text(&other).contains("SignatureDoesNotMatch"), "{other:?}");
    let none = [("if-none-match", "*")];
    for status in [200, 412] {
        let body = SignableBody::UnsignedPayload;
        let put = s3(&cloud, ("PUT", "/history/once"), &none, body, b"x").await;
        assert_eq!(put.status(), status, "written once");
    }
    assert_eq!(plain(&cloud, "GET", "/history/once", "").await.status(), 404, "unsigned");
    for (order, status, code) in [
        (json!({ "throttle": {} }), 503, "SlowDown"),
        (json!({ "down": { "status": 500 } }), 500, "InternalError"),
    ] {
        fault(&cloud, json!({ "s3": order })).await;
        let answer = ask(&cloud, "GET", "/history/once", b"").await;
        assert!(answer.status() == status && text(&answer).contains(code), "{answer:?}");
        plain(&cloud, "DELETE", "/_local/faults", "").await;
    }
    cloud.stop().await;
}
