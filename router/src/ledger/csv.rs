//! The books as a table for spreadsheets: a line a row, usage and what it costs.
//!
//! RFC 4180. A name that a spreadsheet would take for a formula is put behind an apostrophe: routes and tenants may be
//! called what others want (OWASP, "CSV Injection").

use std::{collections::BTreeMap, fmt::Write};

use policies::cost::PriceBook;

use super::{Day, Key, Part, Row};
use crate::telemetry::access_log::rfc3339;

/// The columns.
const HEAD: &str = "day,service,part,route,tenant,class,lane,requests,invocations,lambda_mb_ms,estimated_mb_ms,\
provisioned_mb_ms,provisioned_run_mb_ms,restored_mb,snapshot_cache_mb_ms,streamed_bytes,task_ms,cpu_unit_ms,mib_ms,\
spot_cpu_unit_ms,spot_mib_ms,usd\r\n";

/// Writes days as a table.
pub(crate) fn write(days: &BTreeMap<u64, Day>, book: &PriceBook) -> String {
    let mut out = HEAD.to_owned();
    for (day, rows) in days {
        let date = date(*day);
        for (key, row) in rows {
            line(&mut out, &date, key, row, book);
        }
    }
    out
}

/// Returns a day since 1970 as `2026-11-21`.
pub(crate) fn date(day: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(day * super::DAY_S);
    rfc3339(time).chars().take(10).collect()
}

fn line(out: &mut String, date: &str, key: &Key, row: &Row, book: &PriceBook) {
    let (part, route, tenant, class, lane) = match &key.part {
        Part::Route { route, tenant, class, lane } => {
            ("requests", &**route, &**tenant, class.as_str(), lane.as_str())
        }
        Part::Held => ("tasks", "", "", "", "container"),
        Part::Warm => ("warm-up", "", "", "", "lambda"),
        Part::Provisioned => ("provisioned", "", "", "", "lambda"),
        Part::Cache => ("snapshots", "", "", "", "lambda"),
        Part::Instead(way) => (way.as_str(), "", "", "", ""),
        Part::Own => ("pacer", "", "", "", ""),
    };
    out.push_str(date);
    for text in [&*key.service, part, route, tenant, class, lane] {
        out.push(',');
        field(out, text);
    }
    let numbers = [
        row.requests,
        row.runs,
        row.mb_ms,
        row.estimated_mb_ms,
        row.provisioned_mb_ms,
        row.provisioned_run_mb_ms,
        row.restored_mb,
        row.cache_mb_ms,
        row.streamed,
        row.task_us / 1000,
        row.cpu_unit_ms,
        row.mib_ms,
        row.spot_cpu_unit_ms,
        row.spot_mib_ms,
    ];
    for number in numbers {
        let _ = write!(out, ",{number}");
    }
    let _ = write!(out, ",{:.12}\r\n", row.cost(book).as_usd());
}

/// Writes one field, quoted where it must be.
fn field(out: &mut String, text: &str) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let quoted = formula || text.contains([',', '"', '\r', '\n']);
    if !quoted {
        out.push_str(text);
        return;
    }
    out.push('"');
    if formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        field(&mut out, text);
        out
    }

    #[test]
    fn no_name_ends_its_field_or_is_run_by_a_spreadsheet() {
        assert_eq!(written("/thumb"), "/thumb");
        assert_eq!(written("a,b"), "\"a,b\"");
        assert_eq!(written("say \"hi\"\r\n1,2"), "\"say \"\"hi\"\"\r\n1,2\"");
        assert_eq!(written("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        for start in ["+1", "-1", "@x", "\tx"] {
            assert!(written(start).starts_with("\"'"), "{start}");
        }
    }

    #[test]
    fn dates_are_those_of_utc() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(20_778), "2026-11-21");
    }
}
