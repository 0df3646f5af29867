use std::sync::mpsc;

use policies::decide::Lane;
use serde_json::Value;

use super::*;
use crate::fixture;

fn line(request: &Request<'_>, change: impl FnOnce(&mut Outcome)) -> Value {
    let policy = fixture::policy(fixture::POLICY);
    let world = fixture::world(&policy);
    let mut outcome =
        fixture::outcome(&world, fixture::route(&policy, "/thumb"), Lane::Lambda, 20_345);
    change(&mut outcome);
    let mut out = Vec::new();
    write_line(&mut out, &world, &outcome, request);
    assert_eq!(out.iter().position(|byte| *byte == b'\n'), Some(out.len() - 1), "one line");
    serde_json::from_slice(&out)
        .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&out)))
}

const PLAIN: Request<'_> = Request {
    method: &http::Method::POST,
    path: "/thumb",
    id: "0a1b",
    peer: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    task: None,
};

#[test]
fn a_line_tells_what_was_decided_and_what_came_of_it() {
    let text = serde_json::to_string_pretty(&line(&PLAIN, |_| {})).unwrap();
    insta::assert_snapshot!(text, @r#"
    {
      "billed_ms": 20,
      "bytes_in": 100,
      "bytes_out": 2000,
      "class": "sprinter",
      "client": "127.0.0.1",
      "cold_start": true,
      "end": "complete",
      "lane": "lambda",
      "method": "POST",
      "path": "/thumb",
      "queue_ms": 1.5,
      "reason": "declared",
      "request_id": "0a1b",
      "retries": 0,
      "route": "POST /thumb",
      "ruled_out": [],
      "service": "film",
      "service_ms": 20.345,
      "spill": null,
      "status": 200,
      "task": null,
      "total_ms": 22.345,
      "ts": "2025-11-27T11:59:59.999Z"
    }
    "#);
}

#[test]
fn a_request_without_a_route_has_the_same_fields() {
    let with = line(&PLAIN, |_| {});
    let without = line(&PLAIN, |outcome| {
        (outcome.route, outcome.decision, outcome.lane, outcome.status) = (None, None, None, 404);
        outcome.usage = predictor::outcome::Usage::default();
    });
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&with), keys(&without));
    for field in ["route", "service", "class", "lane", "reason", "billed_ms", "cold_start", "task"]
    {
        assert_eq!(without[field], Value::Null, "{field}");
    }
    assert_eq!(without["ruled_out"], serde_json::json!([]));
}

#[test]
fn what_a_client_sends_cannot_forge_a_line() {
    let path = "/\",\"status\":500}\n{\"forged\":1,\"x\":\"\\";
    let request = Request { path, id: "\u{2028}\u{0}\"", task: Some("t\t"), ..PLAIN };
    let value = line(&request, |_| {});
    assert_eq!(value["path"], path);
    assert_eq!(value["request_id"], "\u{2028}\u{0}\"");
    assert_eq!(value["status"], 200);
}

/// A disk that is stuck until told otherwise.
struct Stuck {
    entered: mpsc::Sender<()>,
    go: mpsc::Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The test may have ended its side: then the disk is free.
        let _ = self.entered.send(());
        let _ = self.go.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_worker_never_waits_for_a_disk_and_counts_what_is_lost() {
    let policy = fixture::policy(fixture::POLICY);
    let world = fixture::world(&policy);
    let shard = fixture::shard(0);
    let outcome = fixture::outcome(&world, fixture::route(&policy, "/thumb"), Lane::Lambda, 20_000);
    let (entered, has_entered) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    let log = AccessLog::to(Stuck { entered, go: wait }).unwrap();
    let mut buffer = log.buffer(shard.clone());
    let mut write = |lines: u64| {
        for _ in 0..lines {
            buffer.line(
                &world,
                &outcome,
                PLAIN.method,
                PLAIN.path,
                PLAIN.id,
                PLAIN.peer,
                PLAIN.task,
            );
        }
        buffer.flush();
    };
    write(1);
    has_entered.recv().unwrap();
    for _ in 0..BUFFERS_WAITING {
        write(1);
    }
    assert_eq!(shard.log_dropped.get(), 0, "the channel holds as many as it says");
    write(3);
    assert_eq!(shard.log_dropped.get(), 3);
    drop(go);
    drop(buffer);
    log.finish();
}

#[test]
fn a_file_is_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let policy = fixture::policy(fixture::POLICY);
    let world = fixture::world(&policy);
    let outcome = fixture::outcome(&world, fixture::route(&policy, "/thumb"), Lane::Lambda, 20_000);
    for _ in 0..2 {
        let log = AccessLog::start(&policy::AccessLog::File(path.clone())).unwrap().unwrap();
        let mut buffer = log.buffer(fixture::shard(0));
        buffer.line(&world, &outcome, PLAIN.method, PLAIN.path, PLAIN.id, PLAIN.peer, PLAIN.task);
        drop(buffer);
        log.finish();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{text}");
    let nowhere = policy::AccessLog::File(directory.path().join("no/such/folder.log"));
    let error = AccessLog::start(&nowhere).unwrap_err().to_string();
    assert!(error.contains("folder.log") && error.contains("access_log.file"), "{error}");
}
