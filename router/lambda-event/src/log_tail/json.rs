//! `{"time":"…","type":"platform.report","record":{…}}`: the JSON log format.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::Report;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    record: Record<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    metrics: Metrics,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    duration_ms: f64,
    billed_duration_ms: f64,
    #[serde(rename = "memorySizeMB")]
    memory_mb: u32,
    #[serde(rename = "maxMemoryUsedMB")]
    memory_used_mb: u32,
    init_duration_ms: Option<f64>,
    restore_duration_ms: Option<f64>,
    billed_restore_duration_ms: Option<f64>,
}

/// Reads one line; `None` if it is no report.
pub(super) fn read(line: &str) -> Option<Report> {
    // Most lines of a log are something else, and need not be parsed to see that.
    if !line.contains("platform.report") {
        return None;
    }
    let Line { kind, record } = serde_json::from_str(line).ok()?;
    let metrics = record.metrics;
    if kind != "platform.report" {
        return None;
    }
    Some(Report {
        request_id: record.request_id.into_owned(),
        duration: milliseconds(metrics.duration_ms)?,
        billed: milliseconds(metrics.billed_duration_ms)?,
        memory_mb: metrics.memory_mb,
        memory_used_mb: metrics.memory_used_mb,
        init: metrics.init_duration_ms.and_then(milliseconds),
        restore: metrics.restore_duration_ms.and_then(milliseconds),
        billed_restore: metrics.billed_restore_duration_ms.and_then(milliseconds),
    })
}

/// To the microsecond; `None` for what is no time.
fn milliseconds(number: f64) -> Option<Duration> {
    // A year and more is none: Lambda ends after 15 minutes.
    (0.0..1e11).contains(&number).then(|| Duration::from_micros((number * 1000.0).round() as u64))
}
