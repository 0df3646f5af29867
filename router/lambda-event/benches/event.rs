//! What the conversion of one request costs the gateway's worker: `cargo bench -p lambda-event`.
//!
//! nginx forwards 1 KiB with some 12 us of CPU, so both directions together should stay within a third of that even
//! for JSON, where every fifth byte is an escape. Measured on 21 November 2026 on a shared AMD EPYC core:
//! writing 1.4 us, reading 2.3 us; prose 0.6 and 0.9 us.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot prepare its input should stop")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use lambda_event::Format::{ApigwV1, ApigwV2};
use lambda_event::{Request, read_event};

/// JSON as services send it: a quote every five bytes or so.
fn json(bytes: usize) -> Vec<u8> {
    let item = br#"{"id":184467,"name":"Ada Lovelace","tags":["a","bc"],"price":12.5},"#;
    let mut out = b"[".to_vec();
    while out.len() + item.len() < bytes {
        out.extend_from_slice(item);
    }
    out.extend(std::iter::repeat_n(b' ', bytes - out.len() - 1));
    out[bytes - 2] = b' ';
    let last = out.iter().rposition(|&byte| byte == b',').unwrap();
    out[last] = b']';
    out.push(b' ');
    out
}

fn prose(bytes: usize) -> Vec<u8> {
    b"It was a bright cold day in April, and the clocks were striking thirteen. "
        .iter()
        .copied()
        .cycle()
        .take(bytes)
        .collect()
}

fn headers(content_type: &'static str) -> HeaderMap {
    let pairs = [
        ("host", "api.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json, text/plain, */*"),
        ("accept-encoding", "gzip, deflate, br"),
        ("content-type", content_type),
        ("content-length", "1024"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-request-id", "0193b2c8-8d7e-7cc1-a2a5-9d3c6d1f0b42"),
    ];
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect()
}

fn request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Request<'a> {
    Request {
        method: &Method::POST,
        path: "/v1/recognise",
        query: Some("lang=en&detail=high"),
        headers,
        body,
        source_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        request_id: "0193b2c8-8d7e-7cc1-a2a5-9d3c6d1f0b42",
        epoch_ms: 1_795_219_200_123,
        domain: "api.example.com",
        protocol: Version::HTTP_11,
    }
}

fn events(c: &mut Criterion) {
    let mut group = c.benchmark_group("write_event");
    group.throughput(Throughput::Bytes(1024));
    for (name, content_type, body) in [
        ("json 1 KiB", "application/json", json(1024)),
        ("prose 1 KiB", "text/plain", prose(1024)),
        ("binary 1 KiB", "image/png", prose(1024)),
    ] {
        let headers = headers(content_type);
        let request = request(&headers, &body);
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut out = Vec::new();
                ApigwV2.write_event(&mut out, black_box(&request));
                out
            });
        });
    }
    group.finish();

    let headers = headers("application/json");
    c.bench_function("write_event/json 1 KiB, payload format 1.0", |b| {
        let body = json(1024);
        let request = request(&headers, &body);
        b.iter(|| {
            let mut out = Vec::new();
            ApigwV1.write_event(&mut out, black_box(&request));
            out
        });
    });
    c.bench_function("event_size_max", |b| {
        b.iter(|| ApigwV2.event_size_max(black_box(&headers), 13, 19, 1024));
    });
    let mut event = Vec::new();
    ApigwV2.write_event(&mut event, &request(&headers, &json(1024)));
    c.bench_function("read_event/json 1 KiB", |b| {
        b.iter(|| read_event(black_box(&event)).unwrap());
    });
}

fn responses(c: &mut Criterion) {
    let mut group = c.benchmark_group("read_response");
    group.throughput(Throughput::Bytes(1024));
    for (name, content_type, body) in [
        ("json 1 KiB", "application/json", json(1024)),
        ("prose 1 KiB", "text/plain", prose(1024)),
        ("binary 1 KiB", "image/png", prose(1024)),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", content_type),
            ("date", "Sat, 21 Nov 2026 01:15:33 GMT"),
            ("x-pacer-billed-ms", "12"),
            ("x-pacer-memory-mb", "1769"),
            ("x-pacer-environment", "2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef"),
            ("x-pacer-cold-start", "0"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let mut payload = Vec::new();
        ApigwV2.write_response(&mut payload, StatusCode::OK, &headers, &body);
        let payload = Bytes::from(payload);
        group.bench_function(name, |b| {
            b.iter(|| ApigwV2.read_response(&Method::GET, black_box(&payload)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, events, responses);
criterion_main!(benches);
