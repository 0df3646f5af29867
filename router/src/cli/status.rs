//! `pacer status`: what a person on call wants to know of a running gateway, on one screen.
//!
//! It asks the admin API and shows what that says; nothing is worked out here. Trouble stands in capitals.

mod ahead;

use std::{
    fmt::Write as _,
    net::{SocketAddr, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use serde_json::Value;

use super::admin::get;
use crate::admin::duration;

/// Lines of problems and of warnings that are shown; `/status` has them all.
const LINES_MAX: usize = 5;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the gateway's admin API is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9900")]
    admin: String,
}

/// Asks and shows.
///
/// # Errors
/// When no gateway answers there.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let admin = address(&args.admin)?;
    let ask = |path: &str| -> anyhow::Result<Value> {
        let answer = get(admin, path).context("no gateway answers; see `--admin`")?;
        serde_json::from_slice(&answer).context("its answer is not that of a gateway")
    };
    let (status, services, radar) = (ask("/status")?, ask("/services")?, ask("/radar")?);
    for line in lines(&status, &services, &radar) {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads `http://HOST:PORT`, or `HOST:PORT`.
pub(super) fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let authority = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let found = authority.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.with_context(|| {
        format!("`{url}` is no address of an admin API; write it as `http://127.0.0.1:9900`")
    })
}

fn lines(status: &Value, services: &Value, radar: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "pacer {}, up {}: {}, {} in flight, {} open",
        text(&status["version"]),
        duration(Duration::from_secs(status["uptime_seconds"].as_u64().unwrap_or(0))),
        counted(&status["workers"], "worker"),
        counted(&status["requests_in_flight"], "request"),
        counted(&status["connections_open"], "connection"),
    )];
    policy(&mut lines, &status["policy"]);
    let credentials = &status["credentials"];
    if let Some(error) = credentials["error"].as_str() {
        lines.push(format!("CREDENTIALS: {error}"));
    } else if let Some(expiry) = credentials["expiry"].as_str() {
        lines.push(format!("credentials good until {expiry}"));
    }
    if let Some(error) = status["history"]["error"].as_str() {
        lines.push(format!("HISTORY NOT KEPT in {}: {error}", text(&status["history"]["place"])));
    }
    for failed in list(&status["discovery"]).iter().filter(|one| one["ok"] == false) {
        let (service, error) = (text(&failed["service"]), text(&failed["error"]));
        lines.push(format!("TASKS OF {service} NOT LISTED: {error}"));
    }
    gateways(&mut lines, &status["gateways"]);
    if let Some(frozen) = status["frozen"].as_object() {
        let (since, by) = (text(&frozen["since"]), text(&frozen["by"]));
        let reason = frozen["reason"].as_str().filter(|reason| !reason.is_empty());
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!(
            "FROZEN since {since} by {by}{reason}; `pacer thaw` lets capacity follow plans again"
        ));
    }
    lines.push(String::new());
    lines.extend(table(list(services)));
    ahead::radar(&mut lines, list(&radar["services"]));
    ahead::done(&mut lines, list(&status["actions"]));
    plans(&mut lines, list(services));
    functions(&mut lines, list(services));
    some_of(&mut lines, "\nwarnings of the policy:", &texts(&status["policy"]["warnings"]));
    lines
}

fn policy(lines: &mut Vec<String>, policy: &Value) {
    let reloads = &policy["reloads"];
    lines.push(format!(
        "policy {} since {}: reloaded {}, refused {}",
        text(&policy["hash"]),
        text(&policy["loaded"]),
        times(&reloads["applied"]),
        times(&reloads["refused"]),
    ));
    if let Some(error) = policy["error"].as_object() {
        let problems = error["problems"].as_str().unwrap_or_default();
        let heading = format!("RELOAD REFUSED at {}, the policy above stays:", text(&error["at"]));
        some_of(lines, &heading, &problems.lines().collect::<Vec<_>>());
    }
}

/// Adds a line for each service that is planned for: what it should have, why, and whether that is done.
fn plans(lines: &mut Vec<String>, services: &[Value]) {
    let planned: Vec<_> = services.iter().filter(|service| service["plan"].is_object()).collect();
    if planned.is_empty() {
        return;
    }
    lines.push("\nplans:".to_owned());
    for service in planned {
        let (name, plan) = (text(&service["name"]), &service["plan"]);
        let done =
            if service["mode"] == "act" { "" } else { " (observed only: nothing is changed)" };
        lines.push(format!("  {name}: {}{done}", text(&plan["why"])));
        if let Some(trouble) = service["not_acted_on"].as_str() {
            lines.push(format!("  {name} LEFT AS IT IS: {trouble}"));
        }
        if let Some(command) = service["spot_proposed"]["command"].as_str() {
            let spot = &service["spot_proposed"];
            lines.push(format!(
                "  {name}: {} of {} on Spot, {} may be. Pacer does not set it, since that replaces every task; to do it:",
                spot["on_spot"],
                counted(&spot["tasks"], "task"),
                spot["wanted"],
            ));
            lines.push(format!("    {command}"));
        }
        // Without tasks the line above is of environments.
        if let Some(why) = plan["environments_why"].as_str().filter(|_| plan["tasks"].is_number()) {
            lines.push(format!("  {name}: {why}{done}"));
        }
    }
}

/// Adds how it is with other gateways, where there may be any.
fn gateways(lines: &mut Vec<String>, gateways: &Value) {
    if !gateways.is_object() {
        return;
    }
    let leads = match (gateways["leader"] == true, gateways["lease"]["holder"].as_str()) {
        (true, _) => "this one leads".to_owned(),
        (false, Some(holder)) if gateways["id"] != holder => format!("{holder} leads"),
        (false, _) => "NOBODY LEADS".to_owned(),
    };
    let settled = if gateways["settled"] == true { "divided" } else { "being divided" };
    let live = counted(&gateways["live"], "gateway");
    lines.push(format!("{live} of group {}: {leads}, slots {settled}", text(&gateways["group"])));
    if let Some(error) = gateways["error"].as_str() {
        lines.push(format!("GATEWAYS: {error}"));
    }
}

/// Adds a line for each function: which version is called and how it is.
fn functions(lines: &mut Vec<String>, services: &[Value]) {
    let named = services.iter().map(|service| (text(&service["name"]), &service["lambda"]));
    let known: Vec<_> = named.filter(|(_, lambda)| lambda["version"].is_object()).collect();
    if known.is_empty() {
        return;
    }
    let mut warnings = Vec::new();
    let mut about = Vec::new();
    for (name, lambda) in known {
        about.push(format!("{name}: {}", function(lambda)));
        let told = texts(&lambda["version"]["warnings"]);
        warnings.extend(told.into_iter().map(|warning| format!("{name}: {warning}")));
    }
    lines.push("\nfunctions:".to_owned());
    lines.extend(about.into_iter().map(|line| format!("  {line}")));
    let warnings: Vec<&str> = warnings.iter().map(String::as_str).collect();
    some_of(lines, "\nwarnings of functions:", &warnings);
}

fn function(lambda: &Value) -> String {
    let version = &lambda["version"];
    let mut parts = vec![text(&lambda["function"]).to_owned()];
    let state = text(&version["state"]);
    if state != "unread" {
        let trouble = !["active", "absent"].contains(&state);
        let number = version["version"].as_str().unwrap_or("?");
        let state = if trouble { state.to_uppercase() } else { state.to_owned() };
        parts.push(match state.as_str() {
            "absent" => "ABSENT".to_owned(),
            state => format!("version {number} {state}"),
        });
    }
    let targets = version["targets"].as_object().filter(|targets| 1 < targets.len());
    for (number, share) in targets.into_iter().flatten() {
        parts.push(format!("{number} gets {:.0}%", share.as_f64().unwrap_or(0.0) * 100.0));
    }
    if let Some(update) = version["last_update"].as_str().filter(|update| *update != "successful") {
        parts.push(format!("update {update}"));
    }
    if let Some(snap_start) = version["snap_start"].as_str() {
        parts.push(format!("SnapStart {snap_start}"));
    }
    let assumed = texts(&version["assumed"]);
    let or_assumed = |what: &str, value: String| {
        if assumed.contains(&what) { format!("{value} assumed") } else { value }
    };
    parts.push(or_assumed("memory", format!("{}MiB", version["memory_mib"])));
    parts.push(or_assumed("timeout", text(&version["timeout"]).to_owned()));
    parts.push(format!("at most {} at once", lambda["max_in_flight"]));
    let provisioned = &version["provisioned"];
    if provisioned.is_object() {
        let (allocated, requested) = (&provisioned["allocated"], &provisioned["requested"]);
        parts.push(format!("{allocated} of {requested} provisioned"));
    }
    if let Some(error) = version["error"].as_str() {
        parts.push(format!("NOT READ: {error}"));
    }
    parts.join(", ")
}

fn table(services: &[Value]) -> Vec<String> {
    let heads = ["service", "lambda", "tasks", "slots", "last minute"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(heads).chain(services.iter().map(row)).collect();
    aligned(&rows)
}

/// Returns a line for each row, columns under each other.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn row(service: &Value) -> [String; 5] {
    let lambda = &service["lambda"];
    let lambda = if lambda.is_null() {
        "-".to_owned()
    } else {
        let state = match (lambda["up"] == true, lambda["usable"] == true) {
            _ if lambda["ready"] == false => "NOT READY",
            (false, _) => "BROKEN",
            (true, false) => "NO KEYS",
            (true, true) => "up",
        };
        format!("{state} {}/{}", lambda["in_flight"], lambda["max_in_flight"])
    };
    let container = &service["container"];
    let (tasks, slots) = if container.is_null() {
        ("-".to_owned(), "-".to_owned())
    } else {
        let ready = container["tasks_ready"].as_u64().unwrap_or(0);
        let word = if ready == 0 { "NONE READY" } else { "ready" };
        let all = list(&container["tasks"]).len();
        let slots = container["slots"].as_u64().unwrap_or(0);
        let busy = slots.saturating_sub(container["slots_free"].as_u64().unwrap_or(0));
        let waiting = match container["waiting"].as_u64() {
            None | Some(0) => String::new(),
            Some(waiting) => format!(", {waiting} WAIT"),
        };
        (format!("{ready}/{all} {word}"), format!("{busy}/{slots} busy{waiting}"))
    };
    let lately = &service["lately"];
    let errors = lately["errors"].as_u64().unwrap_or(0);
    let word = match errors {
        0 => "errors",
        1 => "ERROR",
        _ => "ERRORS",
    };
    let p99 = lately["p99_at_most_ms"].as_f64();
    let p99 = p99.map_or_else(String::new, |ms| format!(", p99 below {ms}ms"));
    let lately = format!("{}, {errors} {word}{p99}", counted(&lately["requests"], "request"));
    [text(&service["name"]).to_owned(), lambda, tasks, slots, lately]
}

/// Adds a heading and the first of some lines below it; nothing when there are none.
fn some_of(lines: &mut Vec<String>, heading: &str, some: &[&str]) {
    if some.is_empty() {
        return;
    }
    lines.extend(heading.split('\n').map(str::to_owned));
    lines.extend(some.iter().take(LINES_MAX).map(|line| format!("  {line}")));
    if LINES_MAX < some.len() {
        lines.push(format!("  and {} more; see /status", some.len() - LINES_MAX));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

fn counted(number: &Value, noun: &str) -> String {
    super::check::counted(number.as_u64().unwrap_or(0) as usize, noun)
}

fn times(number: &Value) -> String {
    match number.as_u64().unwrap_or(0) {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        times => format!("{times} times"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Value {
        json!({
            "version": "0.1.0", "uptime_seconds": 11_520, "workers": 2,
            "requests_in_flight": 5, "connections_open": 1,
            "policy": {
                "hash": "0123456789ab", "loaded": "2026-11-21T05:00:00.000Z",
                "reloads": { "applied": 1, "refused": 0 }, "warnings": [], "error": null,
            },
            "discovery": [{ "service": "film", "ok": true, "error": null }],
            "credentials": { "usable": true, "expiry": "2026-11-21T11:00:00.000Z", "error": null },
        })
    }

    fn services() -> Value {
        json!([
            {
                "name": "film",
                "lambda": {
                    "function": "film:live", "up": true, "ready": true, "usable": true, "in_flight": 3, "max_in_flight": 10,
                    "version": {
                        "state": "active", "version": "3", "targets": { "3": 0.9, "4": 0.1 }, "last_update": "successful",
                        "snap_start": "off", "memory_mib": 1769, "timeout": "30s", "arch": "arm64",
                        "provisioned": { "requested": 4, "allocated": 2, "available": 1 }, "concurrency": 10,
                        "assumed": [], "error": null, "warnings": [],
                    },
                },
                "container": { "tasks_ready": 2, "tasks": [0, 1, 2], "slots": 8, "slots_free": 3, "waiting": 0 },
                "lately": { "seconds": 60, "requests": 1234, "errors": 0, "p99_at_most_ms": 250.0 },
            },
            {
                "name": "report",
                "lambda": null,
                "container": { "tasks_ready": 0, "tasks": [0], "slots": 0, "slots_free": 0, "waiting": 4 },
                "lately": { "seconds": 60, "requests": 1, "errors": 1, "p99_at_most_ms": null },
            },
        ])
    }

    fn radar() -> Value {
        let service = |name: &str| json!({ "service": name, "level": "ok", "minutes": null, "warnings": [], "error_budget": null, "ready_to_act": null });
        json!({ "at": "2026-11-21T08:12:00.000Z", "frozen": null, "services": [service("film"), service("report")] })
    }

    #[test]
    fn all_is_well() {
        insta::assert_snapshot!(lines(&status(), &services(), &radar()).join("\n"), @"
        pacer 0.1.0, up 3h12m: 2 workers, 5 requests in flight, 1 connection open
        policy 0123456789ab since 2026-11-21T05:00:00.000Z: reloaded once, refused never
        credentials good until 2026-11-21T11:00:00.000Z

        service  lambda   tasks           slots             last minute
        film     up 3/10  2/3 ready       5/8 busy          1234 requests, 0 errors, p99 below 250ms
        report   -        0/1 NONE READY  0/0 busy, 4 WAIT  1 request, 1 ERROR

        radar:
          no trouble in sight

        last 15 minutes: nothing was changed

        functions:
          film: film:live, version 3 active, 3 gets 90%, 4 gets 10%, SnapStart off, 1769MiB, 30s, at most 10 at once, 2 of 4 provisioned
        ");
    }

    #[test]
    fn gateways_are_one_line_and_their_trouble_another() {
        let mut lines = Vec::new();
        let mut state = json!({
            "group": "prod", "id": "a", "live": 2, "leader": false, "settled": true, "error": null,
            "lease": { "holder": "b", "age_seconds": null },
        });
        gateways(&mut lines, &Value::Null);
        gateways(&mut lines, &state);
        state["leader"] = true.into();
        state["settled"] = false.into();
        gateways(&mut lines, &state);
        state["leader"] = false.into();
        state["lease"]["holder"] = "a".into();
        state["error"] = "DynamoDB Query: no answer".into();
        gateways(&mut lines, &state);
        insta::assert_snapshot!(lines.join("\n"), @"
        2 gateways of group prod: b leads, slots divided
        2 gateways of group prod: this one leads, slots being divided
        2 gateways of group prod: NOBODY LEADS, slots being divided
        GATEWAYS: DynamoDB Query: no answer
        ");
    }

    #[test]
    fn trouble_is_told_in_capitals_and_kept_short() {
        let mut status = status();
        let problems: Vec<String> =
            (1..=7).map(|line| format!("policy.yaml:{line}:1 field: wrong; mend it")).collect();
        status["policy"]["error"] =
            json!({ "at": "2026-11-21T06:00:00.000Z", "problems": problems.join("\n") });
        status["policy"]["reloads"]["refused"] = 3.into();
        status["policy"]["warnings"] =
            json!(["policy.yaml:9:3 services.old: no route leads to it"]);
        status["discovery"][0]["ok"] = false.into();
        status["discovery"][0]["error"] = "ECS ListTasks: access denied".into();
        status["credentials"]["error"] = "no provider; give a role".into();
        let mut services = services();
        services[0]["lambda"]["up"] = false.into();
        let version = &mut services[0]["lambda"]["version"];
        *version = json!({
            "state": "unread", "version": null, "targets": {}, "last_update": "successful", "snap_start": null,
            "memory_mib": 1769, "timeout": "30s", "arch": "arm64", "provisioned": null, "concurrency": null,
            "assumed": ["memory", "timeout"], "error": "not permitted: lambda:GetAlias", "warnings": [],
        });
        let lines = lines(&status, &services, &radar());
        assert!(lines.len() <= 24, "{}", lines.len());
        insta::assert_snapshot!(lines.join("\n"), @"
        pacer 0.1.0, up 3h12m: 2 workers, 5 requests in flight, 1 connection open
        policy 0123456789ab since 2026-11-21T05:00:00.000Z: reloaded once, refused 3 times
        RELOAD REFUSED at 2026-11-21T06:00:00.000Z, the policy above stays:
          policy.yaml:1:1 field: wrong; mend it
          policy.yaml:2:1 field: wrong; mend it
          policy.yaml:3:1 field: wrong; mend it
          policy.yaml:4:1 field: wrong; mend it
          policy.yaml:5:1 field: wrong; mend it
          and 2 more; see /status
        CREDENTIALS: no provider; give a role
        TASKS OF film NOT LISTED: ECS ListTasks: access denied

        service  lambda       tasks           slots             last minute
        film     BROKEN 3/10  2/3 ready       5/8 busy          1234 requests, 0 errors, p99 below 250ms
        report   -            0/1 NONE READY  0/0 busy, 4 WAIT  1 request, 1 ERROR

        radar:
          no trouble in sight

        last 15 minutes: nothing was changed

        functions:
          film: film:live, 1769MiB assumed, 30s assumed, at most 10 at once, NOT READ: not permitted: lambda:GetAlias

        warnings of the policy:
          policy.yaml:9:3 services.old: no route leads to it
        ");
    }

    #[test]
    fn an_address_may_be_a_url() {
        let expected: SocketAddr = "127.0.0.1:9900".parse().unwrap();
        for text in ["http://127.0.0.1:9900/", "127.0.0.1:9900"] {
            assert_eq!(address(text).unwrap(), expected);
        }
        assert!(address("nowhere").unwrap_err().to_string().contains("http://127.0.0.1:9900"));
    }
}
