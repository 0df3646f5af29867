//! The access log: one JSON object a line for each finished request.
//!
//! A worker formats into its own buffer and never waits: buffers travel to the writer's thread through a bounded channel,
//! and when the writer is behind, lines are dropped and counted. Neither the query nor any header is written, because
//! they may hold secrets. Every line has every field; what is not known is `null`.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    net::IpAddr,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{SystemTime, UNIX_EPOCH},
};

use policies::{decide::Lane, policy};
use predictor::outcome::Outcome;
use tracing::{error, info};

use super::shard::Shard;
use crate::world::World;

mod text;

use text::{decimal_ms, escaped, timestamp};

/// Bytes after which a worker hands its buffer over before being asked to: one write call then carries about a hundred
/// lines. Doubling it doubles what one dropped buffer loses.
const BUFFER_BYTES: usize = 32 * 1024;

/// Buffers that may wait for the writer: 8 MiB at most, some 30,000 lines, so that a disk may stall for a second at
/// 30,000 requests a second before lines are lost.
const BUFFERS_WAITING: usize = 256;

/// The writer of the access log and its thread.
#[derive(Debug)]
pub(crate) struct AccessLog {
    sender: SyncSender<Vec<u8>>,
    writer: JoinHandle<()>,
}

impl AccessLog {
    /// Starts the writer; `None` when the policy turns the log off.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread can be started.
    pub(crate) fn start(to: &policy::AccessLog) -> io::Result<Option<Self>> {
        match to {
            policy::AccessLog::Off => Ok(None),
            policy::AccessLog::Stdout => Self::to(io::stdout()).map(Some),
            policy::AccessLog::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                let file = file.map_err(|error| {
                    let what = format!(
                        "cannot append to the access log `{}`: {error}; mend `access_log.file`",
                        path.display()
                    );
                    io::Error::new(error.kind(), what)
                })?;
                Self::to(file).map(Some)
            }
        }
    }

    fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(BUFFERS_WAITING);
        let writer = thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write_all(out, &receiver))?;
        Ok(Self { sender, writer })
    }

    /// Returns a buffer for the worker that counts into `shard`.
    pub(crate) fn buffer(&self, shard: Arc<Shard>) -> LogBuffer {
        LogBuffer {
            lines: Vec::with_capacity(BUFFER_BYTES),
            count: 0,
            sender: self.sender.clone(),
            shard,
        }
    }

    /// Waits until all that was handed over is written. Every [`LogBuffer`] must have been dropped before, or this waits
    /// for it.
    pub(crate) fn finish(self) {
        drop(self.sender);
        if self.writer.join().is_err() {
            error!("the access log's writer panicked");
        }
    }
}

/// Writes what comes until every sender is gone.
fn write_all(mut out: impl Write, buffers: &Receiver<Vec<u8>>) {
    let mut failing = false;
    while let Ok(lines) = buffers.recv() {
        // Once per change of state: a full disk must not fill the other log as well.
        match out.write_all(&lines).and_then(|()| out.flush()) {
            Ok(()) if failing => {
                info!("the access log is written again");
                failing = false;
            }
            Err(error) if !failing => {
                error!(%error, "the access log cannot be written; lines are lost until it can");
                failing = true;
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// One worker's lines that have not been handed to the writer yet.
#[derive(Debug)]
pub(crate) struct LogBuffer {
    lines: Vec<u8>,
    count: u64,
    sender: SyncSender<Vec<u8>>,
    shard: Arc<Shard>,
}

impl LogBuffer {
    /// Adds the line of one finished request; `peer` is the client's address, `task` the task that served it.
    #[expect(
        clippy::too_many_arguments,
        reason = "a line is made of what a request was, and there is one caller"
    )]
    pub(crate) fn line(
        &mut self,
        world: &World,
        outcome: &Outcome,
        method: &http::Method,
        path: &str,
        request_id: &str,
        peer: IpAddr,
        task: Option<&str>,
    ) {
        write_line(
            &mut self.lines,
            world,
            outcome,
            &Request { method, path, id: request_id, peer, task },
        );
        self.count += 1;
        if BUFFER_BYTES <= self.lines.len() {
            self.flush();
        }
    }

    /// Hands the lines to the writer, or drops and counts them when it is behind. Never waits.
    pub(crate) fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::replace(&mut self.lines, Vec::with_capacity(BUFFER_BYTES));
        if let Err(TrySendError::Full(lines) | TrySendError::Disconnected(lines)) =
            self.sender.try_send(lines)
        {
            self.shard.log_dropped.add(self.count);
            self.lines = lines;
            self.lines.clear();
        }
        self.count = 0;
    }
}

impl Drop for LogBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Returns `time` in RFC 3339 with milliseconds, in UTC; times before 1970 are shown as its beginning.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let us = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    let mut out = Vec::with_capacity("1970-01-01T00:00:00.000Z".len());
    timestamp(&mut out, u64::try_from(us).unwrap_or(u64::MAX));
    String::from_utf8(out).expect("digits and separators are ASCII")
}

/// What a line tells about the request itself.
struct Request<'a> {
    method: &'a http::Method,
    path: &'a str,
    id: &'a str,
    peer: IpAddr,
    task: Option<&'a str>,
}

/// Appends one line.
fn write_line(out: &mut Vec<u8>, world: &World, outcome: &Outcome, request: &Request<'_>) {
    let route = outcome.route.map(|id| world.policy.route(id));
    let decision = outcome.decision.as_ref();
    out.extend_from_slice(b"{\"ts\":\"");
    timestamp(out, outcome.arrived_us);
    out.extend_from_slice(b"\",\"request_id\":");
    escaped(out, request.id);
    // Writing to a Vec cannot fail, and an address has no character that JSON escapes.
    let _ = write!(out, ",\"client\":\"{}\"", request.peer);
    text_or_null(out, "method", Some(request.method.as_str()));
    text_or_null(out, "path", Some(request.path));
    integer(out, "status", u64::from(outcome.status));
    text_or_null(out, "route", route.map(|route| &*route.name));
    text_or_null(out, "service", route.map(|route| &*world.policy.service(route.service).name));
    text_or_null(out, "class", decision.map(|decision| decision.class.as_str()));
    text_or_null(out, "lane", outcome.lane.map(Lane::as_str));
    text_or_null(out, "reason", decision.map(|decision| decision.reason.as_str()));
    out.extend_from_slice(b",\"ruled_out\":[");
    for (index, (lane, cause)) in
        decision.into_iter().flat_map(|decision| decision.ruled_out.iter()).enumerate()
    {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(out, "{comma}\"{}:{}\"", lane.as_str(), cause.as_str());
    }
    out.push(b']');
    text_or_null(out, "spill", outcome.spill.map(predictor::outcome::Spill::as_str));
    text_or_null(out, "task", request.task);
    milliseconds(out, "queue_ms", outcome.queue_wait_us);
    milliseconds(out, "service_ms", outcome.service_us);
    milliseconds(out, "total_ms", outcome.total_us);
    integer(out, "bytes_in", outcome.bytes_in);
    integer(out, "bytes_out", outcome.bytes_out);
    text_or_null(out, "end", Some(outcome.end.as_str()));
    integer(out, "retries", u64::from(outcome.retries));
    let cold_start = match outcome.usage.cold_start {
        None => "null",
        Some(true) => "true",
        Some(false) => "false",
    };
    let _ = write!(out, ",\"cold_start\":{cold_start}");
    if outcome.usage.memory_mb == 0 {
        out.extend_from_slice(b",\"billed_ms\":null");
    } else {
        integer(out, "billed_ms", u64::from(outcome.usage.billed_ms));
    }
    out.extend_from_slice(b"}\n");
}

fn field(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn text_or_null(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    field(out, name);
    match value {
        Some(value) => escaped(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

fn integer(out: &mut Vec<u8>, name: &str, value: u64) {
    field(out, name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn milliseconds(out: &mut Vec<u8>, name: &str, us: u32) {
    field(out, name);
    decimal_ms(out, us);
}

#[cfg(test)]
mod tests;
