//! What Lambda logs of one invocation, as text or JSON, and its tail in an answer.
//!
//! The lines are those of the developer guide ("Viewing CloudWatch logs for Lambda functions" and "Log formats", read
//! 2026-11) and of samples from accounts.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::{
    bill::ceil_ms,
    clock,
    config::LogFormat,
    lambda::{function_error::FunctionError, version::Version},
};

/// How much of the log an answer carries: 4 KB, before base64.
const TAIL_BYTES_MAX: usize = 4096;

/// How the environment came to be that an invocation ran in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// It was there.
    Warm,
    /// It was started, which took so long.
    Init(Duration),
    /// It was restored from a snapshot; billed is the part after that.
    Restore { whole: Duration, billed: Duration },
}

/// What is known of an invocation once it is over.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) request_id: String,
    pub(crate) version: String,
    pub(crate) format: LogFormat,
    /// Configured.
    pub(crate) memory_mib: u32,
    /// Of the invocation alone.
    pub(crate) duration: Duration,
    pub(crate) beginning: Beginning,
    /// Used at most, where it could be read.
    pub(crate) memory_used_mib: Option<u64>,
    /// The type of the error it ended in.
    pub(crate) error: Option<String>,
    /// The last the process wrote.
    pub(crate) output: Vec<u8>,
}

impl Report {
    /// The report of an invocation whose environment could not be started.
    pub(crate) fn failed(
        request_id: &str,
        version: &Version,
        beginning: Beginning,
        error: &FunctionError,
    ) -> Self {
        Self {
            request_id: request_id.to_owned(),
            version: version.name(),
            format: version.settings.log_format,
            memory_mib: version.settings.memory,
            duration: Duration::ZERO,
            beginning,
            memory_used_mib: None,
            error: Some(error.kind().to_owned()),
            output: Vec::new(),
        }
    }

    /// Billed milliseconds: the invocation with what is billed of its beginning.
    pub(crate) fn billed_ms(&self) -> u64 {
        match self.beginning {
            Beginning::Warm => ceil_ms(self.duration),
            Beginning::Init(init) => ceil_ms(self.duration + init),
            Beginning::Restore { billed, .. } => ceil_ms(self.duration) + ceil_ms(billed),
        }
    }

    /// The last 4 KB of the log in base64: `X-Amz-Log-Result`.
    pub(crate) fn tail(&self) -> String {
        let (before, after) = match self.format {
            LogFormat::Text => self.text(),
            LogFormat::Json => self.json(),
        };
        let mut log = before.into_bytes();
        log.extend(&self.output);
        if log.last() != Some(&b'\n') {
            log.push(b'\n');
        }
        log.extend(after.into_bytes());
        BASE64.encode(&log[log.len().saturating_sub(TAIL_BYTES_MAX)..])
    }

    /// The lines before and after the function's own.
    fn text(&self) -> (String, String) {
        let Self { request_id, version, .. } = self;
        let (first, beginning) = match self.beginning {
            Beginning::Warm => (String::new(), String::new()),
            Beginning::Init(init) => (
                "INIT_START Runtime Version: local\tRuntime Version ARN: arn:aws:lambda:::runtime:local\n".into(),
                format!("Init Duration: {:.2} ms\t", ms(init)),
            ),
            Beginning::Restore { whole, billed } => (
                format!(
                    "RESTORE_START Runtime Version: local\tRuntime Version ARN: arn:aws:lambda:::runtime:local\nRESTORE_REPORT Restore Duration: {:.2} ms\n",
                    ms(whole)
                ),
                format!(
                    "Restore Duration: {:.2} ms\tBilled Restore Duration: {} ms\t",
                    ms(whole),
                    ceil_ms(billed)
                ),
            ),
        };
        let status = match self.status() {
            "success" => String::new(),
            "timeout" => "Status: timeout".into(),
            status => {
                let kind = self.error.as_deref().unwrap_or_default();
                format!("Status: {status}\tError Type: {kind}")
            }
        };
        let used = self.memory_used_mib.map(|mib| format!("Max Memory Used: {mib} MB\t"));
        let report = format!(
            "REPORT RequestId: {request_id}\tDuration: {:.2} ms\tBilled Duration: {} ms\tMemory Size: {} MB\t{}{beginning}{status}\n",
            ms(self.duration),
            self.billed_ms(),
            self.memory_mib,
            used.unwrap_or_default(),
        );
        (
            format!("{first}START RequestId: {request_id} Version: {version}\n"),
            format!("END RequestId: {request_id}\n{report}"),
        )
    }

    /// The same as JSON: the platform events of system log level INFO.
    fn json(&self) -> (String, String) {
        let Self { request_id, version, .. } = self;
        let now = clock::timestamp(SystemTime::now());
        let line = |kind: &str, record: Value| {
            format!(
                "{}\n",
                json!({ "time": now, "type": format!("platform.{kind}"), "record": record })
            )
        };
        let mut metrics = json!({
            "durationMs": rounded(self.duration),
            "billedDurationMs": self.billed_ms(),
            "memorySizeMB": self.memory_mib,
        });
        if let Some(used) = self.memory_used_mib {
            metrics["maxMemoryUsedMB"] = used.into();
        }
        let mut first = String::new();
        match self.beginning {
            Beginning::Warm => {}
            Beginning::Init(init) => {
                metrics["initDurationMs"] = rounded(init);
                let start = json!({ "initializationType": "on-demand", "phase": "init" });
                first = line("initStart", start);
            }
            Beginning::Restore { whole, billed } => {
                metrics["restoreDurationMs"] = rounded(whole);
                metrics["billedRestoreDurationMs"] = ceil_ms(billed).into();
                let report =
                    json!({ "status": "success", "metrics": { "durationMs": rounded(whole) } });
                first = line("restoreStart", json!({})) + &line("restoreReport", report);
            }
        }
        let mut report =
            json!({ "requestId": request_id, "metrics": metrics, "status": self.status() });
        if let Some(kind) = self.error.as_deref().filter(|_| self.status() == "error") {
            report["errorType"] = kind.into();
        }
        let start = line("start", json!({ "requestId": request_id, "version": version }));
        (first + &start, line("report", report))
    }

    /// How it ended. An error that the function reported is a success of the platform's.
    fn status(&self) -> &'static str {
        match self.error.as_deref() {
            Some("Sandbox.Timedout") => "timeout",
            Some(kind) if kind.starts_with("Runtime.") => "error",
            _ => "success",
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Milliseconds with two or three decimals, as the JSON lines have them.
fn rounded(duration: Duration) -> Value {
    Value::from((ms(duration) * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(format: LogFormat, beginning: Beginning) -> Report {
        Report {
            request_id: "1f2e".into(),
            version: "3".into(),
            format,
            memory_mib: 512,
            duration: Duration::from_micros(2_338_660),
            beginning,
            memory_used_mib: Some(100),
            error: None,
            output: b"hello".to_vec(),
        }
    }

    fn tail(report: &Report) -> String {
        String::from_utf8(BASE64.decode(report.tail()).unwrap()).unwrap()
    }

    #[test]
    fn text_is_as_in_an_accounts_log() {
        // A sample of an account: billed restore is part of billed duration.
        let restore = Beginning::Restore {
            whole: Duration::from_micros(398_970),
            billed: Duration::from_millis(182),
        };
        let mut report = report(LogFormat::Text, restore);
        let log = tail(&report);
        let (first, last) = log.split_once("hello\n").unwrap();
        assert!(first.starts_with("RESTORE_START Runtime Version: "), "{first}");
        assert!(
            first.ends_with(
                "RESTORE_REPORT Restore Duration: 398.97 ms\nSTART RequestId: 1f2e Version: 3\n"
            ),
            "{first}"
        );
        assert_eq!(
            last,
            "END RequestId: 1f2e\nREPORT RequestId: 1f2e\tDuration: 2338.66 ms\tBilled Duration: 2521 ms\tMemory Size: 512 MB\tMax Memory Used: 100 MB\tRestore Duration: 398.97 ms\tBilled Restore Duration: 182 ms\t\n"
        );
        (report.beginning, report.error) = (Beginning::Warm, Some("Sandbox.Timedout".into()));
        assert!(tail(&report).ends_with("Max Memory Used: 100 MB\tStatus: timeout\n"));
        report.error = Some("Runtime.ExitError".into());
        assert!(tail(&report).ends_with("\tStatus: error\tError Type: Runtime.ExitError\n"));
    }

    #[test]
    fn json_has_the_platforms_events() {
        let report = report(LogFormat::Json, Beginning::Init(Duration::from_millis(20)));
        let log = tail(&report);
        let lines: Vec<Value> =
            log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["platform.initStart", "platform.start", "platform.report"]);
        assert_eq!(
            lines[2]["record"],
            json!({
                "requestId": "1f2e",
                "status": "success",
                "metrics": {
                    "durationMs": 2338.66, "billedDurationMs": 2359, "memorySizeMB": 512,
                    "maxMemoryUsedMB": 100, "initDurationMs": 20.0,
                },
            })
        );
    }

    #[test]
    fn the_tail_is_the_last_four_kilobytes() {
        let mut report = report(LogFormat::Text, Beginning::Warm);
        report.output = vec![b'x'; 4096];
        let log = tail(&report);
        assert_eq!(log.len(), 4096);
        assert!(log.starts_with('x') && log.ends_with("\t\n"));
    }
}
