//! A bucket that is slow, down, written by others or spoilt: what is in it is never lost.
//!
//! Against the calls of S3's API that are made, on a socket, with ETags and conditions as S3 has them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, RawQuery, State as AxumState},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use policies::policy::State;

use super::{
    super::{HOUR_S, History, Step},
    *,
};

/// Some day of 2026.
const DAY: u64 = 20_700;

/// The bucket `own`.
#[derive(Debug, Default)]
struct Objects {
    /// Bytes, and how often they were written.
    keys: BTreeMap<String, (Vec<u8>, u64)>,
    down: bool,
    denies_deletes: bool,
    puts: u64,
    /// Written by somebody else just before the next PUT.
    rival: Option<(String, Vec<u8>)>,
}

type S3 = Arc<Mutex<Objects>>;

fn error(status: StatusCode, code: &str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>as S3 says</Message></Error>");
    (status, [("content-type", "application/xml")], body).into_response()
}

async fn list(AxumState(s3): AxumState<S3>, RawQuery(query): RawQuery) -> Response {
    let s3 = s3.lock().unwrap();
    if s3.down {
        return error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
    }
    let query = query.unwrap_or_default();
    assert!(
        query.contains("list-type=2") && query.contains("prefix=pacer%2Fhistory%2F"),
        "{query}"
    );
    // Two a page.
    let after = query.split('&').find_map(|pair| pair.strip_prefix("continuation-token="));
    let after: usize = after.map_or(0, |token| token.parse().unwrap());
    let keys = s3.keys.keys().skip(after).take(2);
    let contents: Vec<_> =
        keys.map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
    let contents = contents.concat();
    let more = after + 2 < s3.keys.len();
    let next = if more {
        format!("<NextContinuationToken>{}</NextContinuationToken>", after + 2)
    } else {
        String::new()
    };
    let body = format!(
        "<ListBucketResult><IsTruncated>{more}</IsTruncated>{next}{contents}</ListBucketResult>"
    );
    ([("content-type", "application/xml")], body).into_response()
}

async fn read(AxumState(s3): AxumState<S3>, Path(key): Path<String>) -> Response {
    let s3 = s3.lock().unwrap();
    match s3.keys.get(&key) {
        _ if s3.down => error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        None => error(StatusCode::NOT_FOUND, "NoSuchKey"),
        Some((bytes, version)) => {
            ([("etag", format!("\"{version}\""))], bytes.clone()).into_response()
        }
    }
}

async fn write(
    AxumState(s3): AxumState<S3>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut s3 = s3.lock().unwrap();
    if s3.down {
        return error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
    }
    if let Some((key, bytes)) = s3.rival.take() {
        s3.put(key, bytes);
    }
    let etag = s3.keys.get(&key).map(|(_, version)| format!("\"{version}\""));
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let holds = match (header("if-none-match"), header("if-match")) {
        (Some(none), _) => none == "*" && etag.is_none(),
        (None, Some(tag)) => etag == Some(tag),
        (None, None) => true,
    };
    if !holds {
        return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    s3.put(key, body.to_vec());
    StatusCode::OK.into_response()
}

async fn delete(AxumState(s3): AxumState<S3>, Path(key): Path<String>) -> Response {
    let mut s3 = s3.lock().unwrap();
    if s3.denies_deletes {
        return error(StatusCode::FORBIDDEN, "AccessDenied");
    }
    s3.keys.remove(&key);
    StatusCode::NO_CONTENT.into_response()
}

impl Objects {
    fn put(&mut self, key: String, bytes: Vec<u8>) {
        self.puts += 1;
        let version = self.puts;
        self.keys.insert(key, (bytes, version));
    }
}

/// Starts S3, and returns it with what clients need to know of it.
async fn start() -> (S3, SdkConfig) {
    let s3 = S3::default();
    let router = Router::new()
        .route("/own", get(list))
        .route("/own/", get(list))
        .route("/own/{*key}", get(read).put(write).delete(delete))
        .with_state(s3.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let credentials = Credentials::new("local", "local", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .build();
    (s3, config)
}

fn batch(steps: &[(&str, u64, u64)]) -> Batch {
    let mut batch = Batch::default();
    for &(service, at_s, requests) in steps {
        batch.set(service, DAY * 86_400 + at_s, Step::new(requests, 0));
    }
    batch
}

async fn steps(bucket: &Bucket, service: &str) -> Vec<(u64, u64)> {
    let loaded = bucket.load(DAY - 2..=DAY + 40).await.unwrap();
    loaded.steps(service).map(|(at_s, step)| (at_s - DAY * 86_400, step.requests)).collect()
}

#[tokio::test]
async fn days_are_objects_that_are_merged_into() {
    let (s3, config) = start().await;
    let bucket = Bucket::new(&config, "own", "pacer");
    assert_eq!(bucket.name(), "s3://own/pacer/history/");
    let merged =
        bucket.merge(DAY, &batch(&[("film", 0, 1), ("film", 10, 2)]), Merge::Fill, 0).await;
    assert_eq!(merged, Ok(Merged { steps: 2, had: 0, damaged: 0 }));
    let more = batch(&[("film", 10, 9), ("thumb", 3_600, 3)]);
    let merged = bucket.merge(DAY, &more, Merge::Fill, 0).await;
    assert_eq!(merged, Ok(Merged { steps: 2, had: 1, damaged: 0 }));
    assert_eq!(s3.lock().unwrap().keys.keys().collect::<Vec<_>>(), ["pacer/history/2026-09-04"]);
    assert_eq!(steps(&bucket, "film").await, [(0, 1), (10, 2)]);
    assert_eq!(steps(&bucket, "thumb").await, [(3_600, 3)]);
    // What changes nothing is not written.
    let puts = s3.lock().unwrap().puts;
    bucket.merge(DAY, &more, Merge::Fill, 0).await.unwrap();
    assert_eq!(s3.lock().unwrap().puts, puts);
    // More days than a page of the list has.
    for day in 1..35 {
        let mut batch = Batch::default();
        batch.set("film", (DAY + day) * 86_400, Step::new(day, 0));
        bucket.merge(DAY + day, &batch, Merge::Replace, 0).await.unwrap();
    }
    assert_eq!(steps(&bucket, "film").await.len(), 36);
}

#[tokio::test]
async fn what_somebody_else_wrote_meanwhile_is_merged_and_not_overwritten() {
    let (s3, config) = start().await;
    let bucket = Bucket::new(&config, "own", "pacer");
    let theirs = |steps: &[(&str, u64, u64)]| {
        let mut day = Day::default();
        day.merge(&batch(steps), Merge::Replace).unwrap();
        Some((bucket.key(DAY), day.encode()))
    };
    // The first of the day, and one that is there already.
    s3.lock().unwrap().rival = theirs(&[("film", 0, 1)]);
    bucket.merge(DAY, &batch(&[("film", 10, 2)]), Merge::Replace, 0).await.unwrap();
    assert_eq!(steps(&bucket, "film").await, [(0, 1), (10, 2)]);
    s3.lock().unwrap().rival = theirs(&[("film", 0, 1), ("film", 10, 2), ("film", 20, 3)]);
    bucket.merge(DAY, &batch(&[("film", 30, 4)]), Merge::Replace, 0).await.unwrap();
    assert_eq!(steps(&bucket, "film").await, [(0, 1), (10, 2), (20, 3), (30, 4)]);
}

#[tokio::test]
async fn a_day_that_is_damaged_is_set_aside_and_one_of_a_newer_pacer_left_alone() {
    let (s3, config) = start().await;
    let bucket = Bucket::new(&config, "own", "pacer");
    s3.lock().unwrap().put(bucket.key(DAY), b"<html>".to_vec());
    let newer = b"pacer-history\n\x07more".to_vec();
    s3.lock().unwrap().put(bucket.key(DAY + 1), newer.clone());
    let loaded = bucket.load(DAY..=DAY + 1).await.unwrap();
    assert_eq!(loaded.notes.len(), 2, "{:?}", loaded.notes);
    assert!(loaded.notes[0].contains("2026-09-0"), "{:?}", loaded.notes);
    bucket.merge(DAY, &batch(&[("film", 0, 1)]), Merge::Replace, 77).await.unwrap();
    let mut ahead = Batch::default();
    ahead.set("film", (DAY + 1) * 86_400, Step::new(1, 0));
    let refused = bucket.merge(DAY + 1, &ahead, Merge::Replace, 77).await.unwrap_err();
    assert!(refused.contains("version 7, which a newer pacer wrote"), "{refused}");
    let s3 = s3.lock().unwrap();
    assert_eq!(s3.keys["pacer/history/2026-09-04.damaged-77"].0, b"<html>");
    assert_eq!(s3.keys["pacer/history/2026-09-05"].0, newer);
}

#[tokio::test]
async fn a_gateway_starts_while_s3_is_down_and_keeps_what_was_there() {
    let (s3, config) = start().await;
    let now_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let state = State::S3 { bucket: "own".into(), prefix: "pacer".into() };
    let open = || History::open(Some(&state), Some(&config)).unwrap();
    let (mut before, mut loading) = open();
    assert!(loading.next().await.is_some_and(|loaded| loaded.complete));
    before.append("film", now_s - HOUR_S, Step::new(5, 0));
    before.close().await;
    assert_eq!(s3.lock().unwrap().puts, 1, "what is left is written at the end");

    s3.lock().unwrap().down = true;
    let (mut history, mut loading) = open();
    let loaded = loading.next().await.expect("it always comes");
    assert!(!loaded.complete && loaded.services().next().is_none());
    let health = history.health();
    assert!(health.failures == 1 && health.error.is_some_and(|why| why.contains("SlowDown")));
    history.append("film", now_s, Step::new(6, 0));
    s3.lock().unwrap().down = false;
    // It asks again by itself, after some seconds.
    let loaded = loading.next().await.expect("S3 is up again");
    assert_eq!((loaded.complete, loaded.steps("film").count()), (true, 1));
    history.close().await;
    let (_, mut loading) = open();
    let loaded = loading.next().await.unwrap();
    let requests: Vec<_> = loaded.steps("film").map(|(_, step)| step.requests).collect();
    assert_eq!(requests, [5, 6]);
}

#[tokio::test]
async fn days_that_are_too_old_are_deleted_some_at_a_time_and_nothing_else_is() {
    let (s3, config) = start().await;
    let bucket = Bucket::new(&config, "own", "pacer");
    let foreign = [
        "pacer/history/notes.txt",
        "pacer/history/2020-01-01.bak",
        "pacer/history/deep/2020-01-01",
        "pacer/memory/profile",
        "pacer/2020-01-01",
    ];
    for key in foreign {
        s3.lock().unwrap().put(key.to_owned(), b"theirs".to_vec());
    }
    let old = DELETED_MAX as u64 + 3;
    for day in DAY - old..DAY + 2 {
        s3.lock().unwrap().put(bucket.key(day), b"a day".to_vec());
    }
    s3.lock().unwrap().put(format!("{}.damaged-77", bucket.key(DAY - 1)), b"<html>".to_vec());
    s3.lock().unwrap().denies_deletes = true;
    let denied = bucket.prune(DAY).await.unwrap_err();
    assert!(denied.contains("DeleteObject pacer/history/2026-") && denied.contains("AccessDenied"));
    s3.lock().unwrap().denies_deletes = false;
    assert_eq!(bucket.prune(DAY).await, Ok(DELETED_MAX));
    assert!(!s3.lock().unwrap().keys.contains_key(&bucket.key(DAY - old)), "the oldest first");
    assert_eq!(bucket.prune(DAY).await, Ok(4), "with the one that was set aside");
    assert_eq!(bucket.prune(DAY).await, Ok(0));
    let mut left: Vec<_> = foreign.map(str::to_owned).into();
    left.extend([bucket.key(DAY), bucket.key(DAY + 1)]);
    left.sort();
    assert_eq!(s3.lock().unwrap().keys.keys().cloned().collect::<Vec<_>>(), left);
}

fn memos(memos: &[(Kind, &str, &[u8])]) -> Memos {
    memos.iter().map(|(kind, name, memo)| ((*kind, (*name).into()), memo.to_vec())).collect()
}

#[tokio::test]
async fn memos_are_merged_and_what_is_damaged_or_newer_is_told() {
    let (s3, config) = start().await;
    let bucket = Bucket::new(&config, "own", "pacer");
    bucket
        .keep(&memos(&[(Kind::Profile, "a", b"1"), (Kind::Provisioned, "f", b"2")]), DAY)
        .await
        .unwrap();
    bucket.keep(&memos(&[(Kind::Profile, "b", b"3")]), DAY + 1).await.unwrap();
    let of = async |kind| {
        let loaded = bucket.load(DAY..=DAY).await.unwrap();
        let memos = loaded.memos(kind).map(|(name, memo)| (name.to_string(), memo.to_vec()));
        (memos.collect::<Vec<_>>(), loaded.notes.len())
    };
    let memo = |name: &str, memo: &[u8]| (name.to_owned(), memo.to_vec());
    assert_eq!(of(Kind::Profile).await, (vec![memo("a", b"1"), memo("b", b"3")], 0));
    assert_eq!(of(Kind::Provisioned).await, (vec![memo("f", b"2")], 0));
    // What is not written any more is forgotten in the end.
    bucket.keep(&memos(&[(Kind::Profile, "b", b"4")]), DAY + 36).await.unwrap();
    assert_eq!(of(Kind::Profile).await, (vec![memo("b", b"4")], 0));
    let newer = b"pacer-memory\n\x07more".to_vec();
    s3.lock().unwrap().put("pacer/memory/profile".to_owned(), newer.clone());
    assert_eq!(of(Kind::Profile).await, (vec![], 1));
    let refused = bucket.keep(&memos(&[(Kind::Profile, "b", b"5")]), DAY).await.unwrap_err();
    assert!(refused.contains("version 7, which a newer pacer wrote"), "{refused}");
    assert_eq!(s3.lock().unwrap().keys["pacer/memory/profile"].0, newer);
}

#[tokio::test]
async fn a_budget_in_a_bucket_is_given_out_once_whoever_asks() {
    let (s3, config) = start().await;
    let bucket = Bucket::new(&config, "own", "pacer");
    let take = |ask, back| Take {
        name: "film".into(),
        day: DAY,
        ask: PicoUsd(ask),
        back: PicoUsd(back),
        limit: PicoUsd(100),
    };
    assert_eq!(bucket.take(&take(70, 0), DAY).await, Ok(PicoUsd(70)));
    // Another gateway takes at the same time: the write is refused, and it is read again.
    let mut theirs = Records::new();
    let (memo, given) = take(25, 0).from(Some(&memo::encode(DAY, &spent(70)))).unwrap();
    theirs.insert((0, "film".into()), memo::encode(DAY, &memo));
    assert_eq!(given, PicoUsd(25));
    let rival = ("pacer/memory/spend".to_owned(), records::encode(MEMORY, &theirs));
    s3.lock().unwrap().rival = Some(rival);
    assert_eq!(bucket.take(&take(70, 0), DAY).await, Ok(PicoUsd(5)));
    assert_eq!(bucket.take(&take(0, 30), DAY).await, Ok(PicoUsd::ZERO));
    assert_eq!(bucket.take(&take(70, 0), DAY).await, Ok(PicoUsd(30)));
    s3.lock().unwrap().down = true;
    assert!(bucket.take(&take(1, 0), DAY).await.is_err());
}

/// What is remembered when so much of the budget of [`DAY`] was taken.
fn spent(taken: u64) -> Vec<u8> {
    let mut memo = Vec::new();
    super::super::bytes::put(&mut memo, DAY);
    super::super::bytes::put(&mut memo, taken);
    memo
}
