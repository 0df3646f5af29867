//! What lies ahead of each service, by the radar, and what was done in the last quarter of an hour.

use serde_json::Value;

use super::{list, some_of, text};

/// How far back it is looked for what was done, in seconds.
const LATELY_S: u64 = 900;

/// Adds a line for each service that is warned of, the worst first, with what is done about it; and one for all others.
pub(super) fn radar(lines: &mut Vec<String>, services: &[Value]) {
    if services.is_empty() {
        return;
    }
    lines.push("\nradar:".to_owned());
    let (calm, warned): (Vec<_>, Vec<_>) =
        services.iter().partition(|service| list(&service["warnings"]).is_empty());
    for service in warned {
        let all = list(&service["warnings"]);
        let Some(first) = all.first() else { continue };
        let more = match all.len() {
            1 => String::new(),
            n => format!(" (and {} more: /radar)", n - 1),
        };
        let action = match (text(&first["action"]["state"]), text(&first["action"]["says"])) {
            ("none", "") => String::new(),
            ("proposed", says) => format!("; TO DO: {says}"),
            (_, says) => format!("; {says}"),
        };
        lines.push(format!(
            "  {}: {}: {}: {}{action}{more}",
            text(&service["service"]),
            when(first),
            text(&first["kind"]),
            text(&first["says"]),
        ));
    }
    let names: Vec<_> = calm.iter().map(|service| text(&service["service"])).collect();
    match names.len() {
        0 => {}
        n if n == services.len() => lines.push("  no trouble in sight".to_owned()),
        n if n <= 5 => lines.push(format!("  {}: no trouble in sight", names.join(", "))),
        n => lines.push(format!("  {n} other services: no trouble in sight")),
    }
    let burning = services.iter().filter(|service| service["error_budget"]["left"].is_number());
    for service in burning {
        let budget = &service["error_budget"];
        let (left, burn) = (&budget["left"], &budget["burn"]["1h"]);
        let (left, burn) = (left.as_f64().unwrap_or(0.0), burn.as_f64().unwrap_or(0.0));
        if 1.0 <= burn || left < 0.5 {
            lines.push(format!(
                "  {}: {:.0} % of the error budget of {} left, burning {burn:.1} times as fast as allowed in the last hour",
                text(&service["service"]),
                left * 100.0,
                text(&budget["window"]),
            ));
        }
    }
    let ready = services.iter().filter(|service| service["ready_to_act"]["ready"] == true);
    for service in ready {
        let says = text(&service["ready_to_act"]["says"]);
        lines.push(format!("  {} is ready for `mode: act`: {says}", text(&service["service"])));
    }
}

/// Returns how far trouble is, in words.
fn when(warning: &Value) -> String {
    let level = text(&warning["level"]);
    let minutes = warning["minutes"].as_f64().unwrap_or(0.0);
    match level {
        "now" if minutes < 1.0 => "NOW".to_owned(),
        "now" => "NOW, and lasting".to_owned(),
        "soon" => format!("SOON, in {minutes:.0} min"),
        level => level.to_owned(),
    }
}

/// Adds what was done within the last quarter of an hour, the newest first.
pub(super) fn done(lines: &mut Vec<String>, actions: &[Value]) {
    let is_late = |action: &&Value| action["ago_seconds"].as_u64().is_some_and(|s| s <= LATELY_S);
    let told: Vec<String> = actions.iter().filter(is_late).map(action).collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    if told.is_empty() {
        lines.push("\nlast 15 minutes: nothing was changed".to_owned());
        return;
    }
    some_of(lines, "\nlast 15 minutes:", &told);
}

fn action(action: &Value) -> String {
    let time = text(&action["at"]).get(11..19).unwrap_or("?");
    let failed = action["error"].as_str().map(|error| format!(" FAILED: {error}"));
    format!(
        "{time} {}: {} ({}){}",
        text(&action["service"]),
        text(&action["what"]),
        text(&action["why"]),
        failed.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(name: &str, warnings: &Value) -> Value {
        json!({ "service": name, "warnings": warnings, "error_budget": null, "ready_to_act": null })
    }

    #[test]
    fn the_worst_is_one_line_each_and_the_rest_another() {
        let mut services = vec![
            service(
                "film",
                &json!([
                    { "kind": "throttles", "level": "now", "minutes": 0.0, "says": "Lambda refused 12 of 300 calls in the last minute",
                      "action": { "state": "proposed", "says": "raise the quota" } },
                    { "kind": "state", "level": "watch", "minutes": 60.0, "says": "", "action": { "state": "none", "says": "" } },
                ]),
            ),
            service(
                "thumb",
                &json!([
                    { "kind": "capacity", "level": "soon", "minutes": 4.0, "says": "demand p90 reaches 14 slots at 18:29; 8 will be ready",
                      "action": { "state": "taken", "says": "4 tasks asked for at 18:24, ready by 18:26" } },
                ]),
            ),
            service("report", &json!([])),
        ];
        services[2]["error_budget"] =
            json!({ "left": 0.4, "burn": { "1h": 2.0 }, "window": "30d" });
        services[2]["ready_to_act"] = json!({ "ready": true, "says": "it would save 20 %" });
        let mut lines = Vec::new();
        radar(&mut lines, &services);
        insta::assert_snapshot!(lines.join("\n").trim_start(), @"
        radar:
          film: NOW: throttles: Lambda refused 12 of 300 calls in the last minute; TO DO: raise the quota (and 1 more: /radar)
          thumb: SOON, in 4 min: capacity: demand p90 reaches 14 slots at 18:29; 8 will be ready; 4 tasks asked for at 18:24, ready by 18:26
          report: no trouble in sight
          report: 40 % of the error budget of 30d left, burning 2.0 times as fast as allowed in the last hour
          report is ready for `mode: act`: it would save 20 %
        ");
    }

    #[test]
    fn what_was_done_longer_ago_than_a_quarter_of_an_hour_is_left_out() {
        let action = |at: &str, ago_seconds: u64, error: Value| json!({ "at": at, "ago_seconds": ago_seconds, "service": "film", "what": "tasks 2 -> 5", "why": "5 tasks: forecast", "error": error });
        let actions = [
            action("2026-11-21T08:11:30.000Z", 30, "UpdateService: throttled".into()),
            action("2026-11-21T07:57:00.000Z", 900, Value::Null),
            action("2026-11-21T07:56:59.000Z", 901, Value::Null),
        ];
        let mut lines = Vec::new();
        done(&mut lines, &actions);
        done(&mut lines, &actions[2..]);
        insta::assert_snapshot!(lines.join("\n").trim_start(), @"
        last 15 minutes:
          08:11:30 film: tasks 2 -> 5 (5 tasks: forecast) FAILED: UpdateService: throttled
          07:57:00 film: tasks 2 -> 5 (5 tasks: forecast)

        last 15 minutes: nothing was changed
        ");
    }
}
