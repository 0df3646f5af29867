//! `pacer ledger`: what a running gateway has cost, day by day, and what it saved.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context;
use serde_json::Value;

use super::{
    admin::get,
    status::{address, aligned},
};

/// What `/ledger` is asked for at most.
const DAYS_MAX: u32 = 35;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the gateway's admin API is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9900")]
    admin: String,
    /// Days to tell of, today among them: 1 to 35.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
    days: u32,
    /// Write all rows that are kept as a table for spreadsheets: usage in integers, and dollars.
    #[arg(long, conflicts_with = "days")]
    csv: bool,
}

/// Asks and shows.
///
/// # Errors
/// When no gateway answers there.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let admin = address(&args.admin)?;
    let ask = |path: &str| get(admin, path).context("no gateway answers; see `--admin`");
    if args.csv {
        std::io::stdout().write_all(&ask("/ledger.csv")?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = ask(&format!("/ledger?days={}", args.days))?;
    let ledger: Value =
        serde_json::from_slice(&answer).context("its answer is not that of a gateway")?;
    for line in lines(&ledger) {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

const HEADS: [&str; 9] =
    ["day", "service", "requests", "lambda", "containers", "idle", "total", "instead", "saved"];

fn lines(ledger: &Value) -> Vec<String> {
    let mut rows = vec![HEADS.map(str::to_owned)];
    for day in ledger["days"].as_array().map_or(&[][..], Vec::as_slice) {
        let date = day["day"].as_str().unwrap_or_default();
        for service in day["services"].as_array().map_or(&[][..], Vec::as_slice) {
            rows.push(row(date, service));
        }
        let mut sum = HEADS.map(|_| String::new());
        (sum[0], sum[1]) = (date.to_owned(), "all, with pacer itself".to_owned());
        sum[6] = usd(&day["total"]);
        sum[8] = usd(&day["saved"]);
        rows.push(sum);
    }
    if rows.len() == 1 {
        return vec!["nothing is in the books yet".to_owned()];
    }
    let mut lines = aligned(&rows);
    lines.push(format!(
        "\n{} list prices; {}",
        ledger["prices"].as_str().unwrap_or_default(),
        ledger["method"].as_str().unwrap_or_default()
    ));
    lines
}

fn row(date: &str, service: &Value) -> [String; 9] {
    let cost = &service["cost"];
    let saved = &service["saved"];
    [
        date.to_owned(),
        service["service"].as_str().unwrap_or_default().to_owned(),
        service["requests"].to_string(),
        usd(&cost["lambda"]),
        usd(&cost["container"]),
        usd(&cost["idle"]),
        usd(&cost["total"]),
        saved["against"]
            .as_str()
            .map_or_else(String::new, |way| format!("{way} {}", usd(&service["instead"][way]))),
        usd(&saved["usd"]),
    ]
}

/// Returns dollars as people write them: more of them after the point the fewer there are.
fn usd(value: &Value) -> String {
    let Some(usd) = value.as_f64() else { return "-".to_owned() };
    let sign = if usd < 0.0 { "-" } else { "" };
    let usd = usd.abs();
    let places = if 1.0 <= usd || usd == 0.0 { 2 } else { 1 - (usd.log10().floor() as i32) };
    format!("{sign}${usd:.*}", usize::try_from(places).unwrap_or(2).min(9))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dollars_have_two_digits_that_count() {
        let shown = [12.345, 0.0, 0.012_34, -0.000_056_7, 1.0].map(|usd| super::usd(&json!(usd)));
        assert_eq!(shown, ["$12.35", "$0.00", "$0.012", "-$0.000057", "$1.00"]);
        assert_eq!(usd(&Value::Null), "-");
    }

    #[test]
    fn a_day_has_a_line_for_each_service_and_one_for_all() {
        let ledger = json!({
            "days": [{ "day": "2026-11-21", "total": 3.5, "saved": 1.5, "services": [{
                "service": "film", "requests": 1200,
                "cost": { "total": 3.0, "lambda": 1.0, "container": 2.0, "idle": 0.5 },
                "instead": { "all-lambda": 5.0, "target-tracking": 6.0 },
                "saved": { "usd": 2.0, "against": "all-lambda" },
            }]}],
            "prices": "us-east-1", "method": "simulated",
        });
        insta::assert_snapshot!(lines(&ledger).join("\n"), @r"
        day         service                 requests  lambda  containers  idle   total  instead           saved
        2026-11-21  film                    1200      $1.00   $2.00       $0.50  $3.00  all-lambda $5.00  $2.00
        2026-11-21  all, with pacer itself                                       $3.50                    $1.50

        us-east-1 list prices; simulated
        ");
        assert_eq!(lines(&json!({ "days": [] })), ["nothing is in the books yet"]);
    }
}
