//! What reading a line of recorded traffic costs. Goal: a million lines of a load balancer's log a second on one core.

use std::{fmt::Write, hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use predictor::trace::{Format, Reader, Sorter, Statistics};

/// Lines of a benchmark: enough of them that no branch is learned by heart.
const LINES: u64 = 10_000;

const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
                     Safari/537.36";

/// A log as a site with a handful of services writes it: 600 bytes a line.
fn alb() -> String {
    let mut text = String::new();
    for n in 0..LINES {
        writeln!(
            text,
            "https 2026-07-02T22:{:02}:{:02}.{:06}Z app/my-loadbalancer/50dc6c495c0c9188 192.0.2.{}:{} 10.0.0.{}:8080 \
             0.00{} 0.{:03} 0.000 200 200 {} {} \"GET https://www.example.com:443/v1/items/{n}?page={} HTTP/2.0\" \
             \"{AGENT}\" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 \
             arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 \
             \"Root=1-58337281-1d84f3d73c47ec4e58577259\" \"www.example.com\" \
             \"arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012\" 1 \
             2026-07-02T22:{:02}:{:02}.{:06}Z \"forward\" \"-\" \"-\" \"10.0.0.1:8080\" \"200\" \"-\" \"-\" \
             TID_1234abcd5678ef90 \"-\" \"-\" \"-\"",
            n / 600 % 60,
            n / 10 % 60,
            n * 7919 % 1_000_000,
            n % 250,
            1024 + n * 31 % 60_000,
            n % 8,
            n % 10,
            n * 17 % 1000,
            n * 13 % 2000,
            n * 101 % 90_000,
            n % 9,
            n / 600 % 60,
            n / 10 % 60,
            n * 7919 % 1_000_000,
        )
        .expect("text grows");
    }
    text
}

fn combined() -> String {
    let mut text = String::new();
    for n in 0..LINES {
        writeln!(
            text,
            "192.0.2.{} - - [02/Jul/2026:22:{:02}:{:02} +0000] \"GET /v1/items/{n} HTTP/1.1\" 200 {} \
             \"https://www.example.com/\" \"{AGENT}\"",
            n % 250,
            n / 600 % 60,
            n / 10 % 60,
            n * 101 % 90_000,
        )
        .expect("text grows");
    }
    text
}

fn counts() -> String {
    let mut text = "timestamp,count\n".to_owned();
    for n in 0..LINES {
        writeln!(text, "{},{}", 893_971_800 + n * 60, n * 7919 % 150_000).expect("text grows");
    }
    text
}

fn requests() -> String {
    let mut text = "timestamp_s,method,url,status,response_bytes,duration_ms\n".to_owned();
    for n in 0..LINES {
        let ms = n * 17 % 1000;
        writeln!(
            text,
            "{},GET,/images/{n}.gif,200,{},{ms}.25",
            807_256_800 + n / 3,
            n * 101 % 90_000
        )
        .expect("text grows");
    }
    text
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("trace");
    group.throughput(Throughput::Elements(LINES)).measurement_time(Duration::from_secs(3));
    for (name, format, text) in [
        ("alb", Format::Alb, alb()),
        ("combined", Format::CommonLog, combined()),
        ("counts", Format::Counts, counts()),
        ("requests", Format::Requests, requests()),
    ] {
        let lines: Vec<&[u8]> = text.as_bytes().split_inclusive(|byte| *byte == b'\n').collect();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut reader = Reader::new(format);
                let mut statistics = Statistics::default();
                for line in &lines {
                    if let Some(record) = reader.line(black_box(line)) {
                        statistics.add(&record);
                    }
                }
                assert_eq!(statistics.requests + statistics.counts, LINES);
            });
        });
    }

    // In order, and out of order by up to a quarter of a second, as a log that is written when requests end.
    for (name, jitter_us) in [("sorted", 0), ("nearly_sorted", 250_000)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut sorter = Sorter::new(1_000_000, 1 << 20);
                let mut taken = 0;
                for n in 0..LINES {
                    sorter.push(
                        1_000_000
                            + n * 1000
                            + if jitter_us == 0 { 0 } else { n * 7919 % jitter_us },
                        n,
                    );
                    while sorter.pop().is_some() {
                        taken += 1;
                    }
                }
                sorter.finish();
                while sorter.pop().is_some() {
                    taken += 1;
                }
                assert_eq!(taken, LINES);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
