//! Reports as Lambda logs them, in both log formats.

use std::time::Duration;

use base64::Engine as _;
use lambda_event::log_tail::{Report, read, read_log};

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

fn plain() -> Report {
    Report {
        request_id: "8f507cfc-xmpl-4697-b07a-ac58fc914c95".into(),
        duration: us(12_340),
        billed: us(13_000),
        memory_mb: 128,
        memory_used_mb: 66,
        init: None,
        restore: None,
        billed_restore: None,
    }
}

const WARM: &str = "REPORT RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 66 MB\t";

#[test]
fn a_warm_invoke() {
    let log = format!(
        "START RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95 Version: $LATEST\nhello\nEND RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95\n{WARM}\n"
    );
    let report = read_log(log.as_bytes()).unwrap();
    assert_eq!(report, plain());
    assert!(!report.is_cold());
    let header = base64::engine::general_purpose::STANDARD.encode(&log);
    assert_eq!(read(header.as_bytes()), Some(plain()));
}

#[test]
fn a_cold_start_a_restore_and_what_else_a_report_may_say() {
    let cold = read_log(
        format!(
            "{WARM}Init Duration: 123.4 ms\t\nXRAY TraceId: 1-5\tSegmentId: 2\tSampled: true\t\n"
        )
        .as_bytes(),
    );
    let cold = cold.unwrap();
    assert_eq!(cold, Report { init: Some(us(123_400)), ..plain() });
    assert!(cold.is_cold());

    let restored = read_log(
        format!("{WARM}Restore Duration: 530.07 ms\tBilled Restore Duration: 121 ms\t\n")
            .as_bytes(),
    );
    let restored = restored.unwrap();
    assert_eq!(
        restored,
        Report { restore: Some(us(530_070)), billed_restore: Some(us(121_000)), ..plain() }
    );
    assert!(restored.is_cold());

    let failed = format!("{WARM}Status: error\tError Type: Runtime.ExitError\n");
    assert_eq!(read_log(failed.as_bytes()), Some(plain()));
    let windows = format!("\r\n{WARM}\r\n");
    assert_eq!(read_log(windows.as_bytes()), Some(plain()));
}

#[test]
fn the_json_format() {
    let line = r#"{"time":"2026-11-21T01:15:33.170Z","type":"platform.report","record":{"requestId":"8f507cfc-xmpl-4697-b07a-ac58fc914c95","metrics":{"durationMs":12.340,"billedDurationMs":13,"memorySizeMB":128,"maxMemoryUsedMB":66},"status":"success","spans":[]}}"#;
    let log = format!("{{\"level\":\"INFO\",\"message\":\"platform.report\"}}\n{line}\n");
    assert_eq!(read_log(log.as_bytes()), Some(plain()));

    let restored = line.replace(
        r#""maxMemoryUsedMB":66"#,
        r#""maxMemoryUsedMB":66,"initDurationMs":9.5,"restoreDurationMs":530.07,"billedRestoreDurationMs":121"#,
    );
    assert_eq!(
        read_log(restored.as_bytes()),
        Some(Report {
            init: Some(us(9500)),
            restore: Some(us(530_070)),
            billed_restore: Some(us(121_000)),
            ..plain()
        })
    );
}

#[test]
fn the_last_report_is_the_platforms() {
    let forged = WARM.replace("12.34", "0.01");
    assert_eq!(read_log(format!("{forged}\n{WARM}\n").as_bytes()), Some(plain()));
}

#[test]
fn a_tail_may_begin_within_a_character() {
    let mut log = b"\xa9 rest of a line\n".to_vec();
    log.extend_from_slice(WARM.as_bytes());
    assert_eq!(read_log(&log), Some(plain()));
}

#[test]
fn what_is_no_whole_report_is_none() {
    for log in [
        "",
        "REPORT",
        "REPORT ",
        "REPORT RequestId: 1\tDuration: 1 ms",
        "RT RequestId: 1\tDuration: 1 ms\tBilled Duration: 1 ms\tMemory Size: 1 MB\tMax Memory Used: 1 MB",
        "REPORT RequestId: 1\tDuration: 1\tBilled Duration: 1 ms\tMemory Size: 1 MB\tMax Memory Used: 1 MB",
        "REPORT RequestId: 1\tDuration: -1 ms\tBilled Duration: 1 ms\tMemory Size: 1 MB\tMax Memory Used: 1 MB",
        "REPORT RequestId: 1\tDuration: 1. ms\tBilled Duration: 1 ms\tMemory Size: 1 MB\tMax Memory Used: 1 MB",
        "REPORT RequestId: 1\tDuration: 99999999999999999999 ms\tBilled Duration: 1 ms\tMemory Size: 1 MB\tMax Memory Used: 1 MB",
        r#"{"type":"platform.report","record":{"requestId":"1","metrics":{"durationMs":-1,"billedDurationMs":1,"memorySizeMB":1,"maxMemoryUsedMB":1}}}"#,
        r#"{"type":"platform.start","record":{"requestId":"platform.report","metrics":{"durationMs":1,"billedDurationMs":1,"memorySizeMB":1,"maxMemoryUsedMB":1}}}"#,
        r#"{"type":"platform.report","record":{}}"#,
    ] {
        assert_eq!(read_log(log.as_bytes()), None, "{log}");
    }
    assert_eq!(read(b"not base64!"), None);
    assert_eq!(read(b""), None);
}
