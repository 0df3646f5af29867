//! `REPORT RequestId: … <tab> Duration: 12.34 ms <tab> …`: the text log format, which is the default.

use std::time::Duration;

use super::Report;

/// Reads one line; `None` if it is no report, or lacks a field that every report has.
pub(super) fn read(line: &str) -> Option<Report> {
    let fields = line.trim_start().strip_prefix("REPORT ")?;
    let field = |name: &str| {
        let values = fields.split('\t').filter_map(|field| field.trim().split_once(": "));
        values.filter(|(key, _)| *key == name).map(|(_, value)| value).next_back()
    };
    let time = |name| field(name).and_then(milliseconds);
    let memory = |name| field(name)?.strip_suffix(" MB")?.parse().ok();
    Some(Report {
        request_id: field("RequestId")?.to_owned(),
        duration: time("Duration")?,
        billed: time("Billed Duration")?,
        memory_mb: memory("Memory Size")?,
        memory_used_mb: memory("Max Memory Used")?,
        init: time("Init Duration"),
        restore: time("Restore Duration"),
        billed_restore: time("Billed Restore Duration"),
    })
}

/// Reads `12.34 ms`, down to the microsecond.
fn milliseconds(text: &str) -> Option<Duration> {
    let number = text.strip_suffix(" ms")?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let us =
        whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths.parse().ok()?)?;
    Some(Duration::from_micros(us))
}
