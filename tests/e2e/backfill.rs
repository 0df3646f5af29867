//! `pacer backfill`: what it makes of each source, what it leaves as it is, and what it refuses with its place.

use std::{
    fmt::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::SystemTime,
};

use tempfile::TempDir;

use crate::harness::{
    Cloud, Upstream,
    process::{Ended, Process, command, run},
    until,
};

/// Two services, and a directory to keep their history in.
const POLICY: &str = "version: 1
state: ${DIR}/state
services:
  film: { container: { upstreams: ['http://127.0.0.1:9'], requests_per_task: 1 } }
  thumb: { container: { upstreams: ['http://127.0.0.1:9'], requests_per_task: 1 } }
routes:
  - { match: { path_prefix: /film }, service: film, auto: { prior: 300ms } }
  - { match: { path_prefix: /thumb }, service: thumb, class: sprinter }
";

/// The start of the last whole hour.
fn hour_s() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    now.as_secs() / 3_600 * 3_600
}

fn folder() -> TempDir {
    let folder = TempDir::new().expect("there is room for temporary files");
    let policy = POLICY.replace("${DIR}", &folder.path().display().to_string());
    std::fs::write(folder.path().join("policy.yaml"), policy).expect("the folder is ours");
    folder
}

fn arguments(folder: &Path, more: &[&str]) -> Vec<String> {
    let policy = folder.join("policy.yaml").display().to_string();
    let own = ["backfill".to_owned(), "--policy".to_owned(), policy].into_iter();
    own.chain(more.iter().map(|text| (*text).to_owned())).collect()
}

async fn backfill(folder: &Path, more: &[&str]) -> Ended {
    run(arguments(folder, more)).await
}

async fn filled(folder: &Path, more: &[&str]) -> String {
    let ended = backfill(folder, more).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

async fn refused(folder: &Path, more: &[&str], said: &[&str]) {
    let ended = backfill(folder, more).await;
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    for said in said {
        assert!(ended.stderr.contains(said), "{said}: {ended:?}");
    }
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
}

/// The value of a query's parameter, when it is a number.
fn number(target: &str, name: &str) -> u64 {
    let value = target.split(['?', '&']).find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {target}"))
}

/// A Prometheus that has a series of each service, of what `value` says at each time; `None` is a gap.
async fn prometheus(value: fn(u64) -> Option<String>) -> (Upstream, Arc<AtomicUsize>) {
    let pages = Arc::<AtomicUsize>::default();
    let counted = pages.clone();
    let upstream = Upstream::answering(move |exchange, _| {
        counted.fetch_add(1, SeqCst);
        async move {
            let target = exchange.target.clone();
            assert!(target.starts_with("/base/api/v1/query_range?query=sum%28x%29&"), "{target}");
            let step = number(&target, "step");
            let times = (number(&target, "start")..=number(&target, "end")).step_by(step as usize);
            let values: Vec<_> = times
                .clone()
                .filter_map(|at_s| value(at_s).map(|value| format!("[{at_s},\"{value}\"]")))
                .collect();
            if 11_000 < times.count() {
                let error = r#"{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per timeseries"}"#;
                return exchange.reply("400 Bad Request", &[], error).await;
            }
            let values = values.join(",");
            let series = |service: &str| {
                format!(r#"{{"metric":{{"service":"{service}"}},"values":[{values}]}}"#)
            };
            let result = ["film", "thumb", "other"].map(series).join(",");
            let body = format!(
                r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#
            );
            exchange.reply("200 OK", &[("content-type", "application/json")], body).await;
        }
    })
    .await;
    (upstream, pages)
}

#[tokio::test]
async fn four_weeks_of_prometheus_fill_the_history() {
    // A hundred a minute, but for one hour a day.
    let (server, pages) =
        prometheus(|at_s| (at_s % 86_400 >= 3_600).then(|| "100".to_owned())).await;
    let folder = folder();
    let url = format!("{}/base", server.url());
    let until = hour_s() / 86_400 * 86_400;
    let (from, until) = ((until - 28 * 86_400).to_string(), until.to_string());
    let source = ["--prometheus", &url, "--query", "sum(x)", "--from", &from, "--until", &until];

    let told = filled(folder.path(), &[&source[..], &["--dry-run"]].concat()).await;
    says(&told, &["nothing is written: --dry-run"]);
    assert!(!folder.path().join("state").exists(), "a dry run leaves no trace");

    let told = filled(folder.path(), &source).await;
    // 40,320 points, ten thousand a page, and the dry run before.
    assert_eq!(pages.load(SeqCst), 10);
    let (points, steps) = (28 * 23 * 60, 28 * 23 * 360);
    says(
        &told,
        &[
            "note: left out: requests of `other`, which is no service of the policy",
            "film: ",
            "thumb: ",
            &format!("{} requests in {steps} steps of 10 s; at most 17 in one", points * 100),
            // A point is of the minute that ends at its time.
            "27 gaps",
            "the longest 1h from",
            "service time: 300ms (the prior of its route",
            &format!("{steps} steps written\n"),
            &format!("{} steps written\n", 2 * steps),
        ],
    );
    assert!(!told.contains("other: "), "{told}");

    // Run again, it changes nothing.
    let told = filled(folder.path(), &source).await;
    says(&told, &[&format!("0 steps written; {steps} were there already and stay as they are")]);
    // What is missing is zero when that is said.
    let told = filled(folder.path(), &[&source[..], &["--missing", "zero"]].concat()).await;
    says(&told, &["no gaps", &format!("{} steps written", 27 * 360)]);
    let told =
        filled(folder.path(), &[&source[..], &["--replace", "--service-time", "2s"]].concat())
            .await;
    says(
        &told,
        &["service time: 2s (--service-time)", &format!("{steps} of them replace what was there")],
    );
}

/// Fills from a server with these points, which is refused.
async fn check(folder: &Path, value: fn(u64) -> Option<String>, range: [&str; 2], why: &str) {
    let (server, _) = prometheus(value).await;
    let url = format!("{}/base", server.url());
    let [from, until] = range;
    let source = ["--prometheus", &url, "--query", "sum(x)", "--from", from, "--until", until];
    refused(folder, &source, &["series {service=\"film\"} at 20", ":05:00Z", why]).await;
}

#[tokio::test]
async fn what_is_no_count_is_refused_with_its_place_and_nothing_is_written() {
    let folder = folder();
    let at_s = hour_s() - 3_600;
    let (from, until) = (at_s.to_string(), (at_s + 600).to_string());
    let range = [from.as_str(), until.as_str()];
    let path = folder.path();
    check(
        path,
        |at| Some(if at % 3_600 == 300 { "NaN" } else { "1" }.into()),
        range,
        "not a number",
    )
    .await;
    check(path, |at| Some(if at % 3_600 == 300 { "+Inf" } else { "1" }.into()), range, "infinite")
        .await;
    check(path, |at| Some(if at % 3_600 == 300 { "-3" } else { "1" }.into()), range, "negative")
        .await;
    check(
        path,
        |at| Some(if at % 3_600 == 300 { "7e10" } else { "1" }.into()),
        range,
        "a billion a second",
    )
    .await;

    // Nothing of them is there.
    let (server, _) = prometheus(|_| Some("6".to_owned())).await;
    let url = format!("{}/base", server.url());
    let source = ["--prometheus", &url, "--query", "sum(x)", "--from", &from, "--until", &until];
    says(&filled(path, &source).await, &["60 steps written\n", "120 steps written\n"]);
}

#[tokio::test]
async fn a_store_that_is_held_open_is_refused_before_anything_is_asked() {
    let folder = folder();
    let server = Upstream::start().await;
    let url = server.url();
    let source = ["--prometheus", url.as_str(), "--query", "x"];
    let first = Process::start(command(arguments(folder.path(), &source)));
    // The first has opened the store, and waits for its answer.
    let asked = server.next().await;
    refused(
        folder.path(),
        &source,
        &["history.redb is held open by another pacer", "stop it, backfill, and start it again"],
    )
    .await;
    assert_eq!(server.requests(), 1, "the second asked, for nothing");
    let error = r#"{"status":"error","errorType":"bad_data","error":"no such metric"}"#;
    asked.reply("400 Bad Request", &[], error).await;
    let ended = first.ended().await;
    assert_eq!(ended.code, Some(1));
    says(&ended.stderr, &["Prometheus at http://127.0.0.1", "400 Bad Request: no such metric"]);
}

#[tokio::test]
async fn logs_fill_the_services_that_their_routes_lead_to() {
    let folder = folder();
    let start_s = hour_s() - 7_200;
    let mut log = "timestamp,method,path,duration_ms\n".to_owned();
    for second in 0..600 {
        let _ = writeln!(log, "{},GET,/film/{second}?key=secret,150", start_s + second);
        if second % 100 == 0 {
            let _ = writeln!(log, "{},POST,/thumb,", start_s + second);
            let _ = writeln!(log, "{},GET,/elsewhere?key=secret,5", start_s + second);
        }
    }
    let file = folder.path().join("requests.csv");
    std::fs::write(&file, log).expect("the folder is ours");
    let told = filled(folder.path(), &["--trace", &file.display().to_string()]).await;
    says(
        &told,
        &[
            "left out: 6 requests of no service of the policy; the first: GET /elsewhere\n",
            // Without the first and the last step, which may not be whole.
            "580 requests in 58 steps of 10 s; at most 10 in one",
            "service time: 150ms on average (the trace's durations)",
            "5 requests in 58 steps of 10 s; at most 1 in one",
            "116 steps written\n",
        ],
    );
    assert!(!told.contains("secret"), "{told}");
}

#[tokio::test]
async fn counts_are_of_the_service_that_is_named() {
    let folder = folder();
    let start_s = hour_s() - 7_200;
    let mut counts = "timestamp,count\n".to_owned();
    for minute in (0..60).filter(|minute| !(20..30).contains(minute)) {
        let _ = writeln!(counts, "{},{}", start_s + minute * 60, 6 * minute);
    }
    let file = folder.path().join("counts.csv");
    std::fs::write(&file, counts).expect("the folder is ours");
    let file = file.display().to_string();
    refused(folder.path(), &["--trace", &file], &["--service: film, thumb"]).await;
    refused(folder.path(), &["--trace", &file, "--service", "fim"], &["no service `fim`"]).await;
    let told = filled(folder.path(), &["--trace", &file, "--service", "film"]).await;
    let place = "1 gaps, 10m in all; the longest 10m from";
    says(&told, &["300 steps of 10 s; at most 59 in one", place, "300 steps written"]);
    let old = ["--trace", &file, "--service", "film", "--until", "30d", "--from", "31d"];
    refused(folder.path(), &old, &["there is nothing between", "what was read is from"]).await;
}

#[tokio::test]
async fn a_bucket_is_merged_into_and_never_overwritten_blindly() {
    let cloud = Cloud::start("buckets: [own-history]", 1).await;
    let folder = folder();
    let state =
        format!("region: eu-west-1\nendpoint_url: {}\nstate: s3://own-history/pacer", cloud.url());
    let policy = POLICY.replace("state: ${DIR}/state", &state);
    std::fs::write(folder.path().join("policy.yaml"), policy).expect("the folder is ours");
    // Two days, so that there are two objects at least.
    let start_s = hour_s() - 2 * 86_400;
    let counts = |minutes: std::ops::Range<u64>| {
        let rows = minutes.map(|minute| format!("{},60\n", start_s + minute * 60));
        let file = folder.path().join("counts.csv");
        std::fs::write(&file, "timestamp,count\n".to_owned() + &rows.collect::<String>())
            .expect("the folder is ours");
        file.display().to_string()
    };
    let file = counts(0..1_000);
    let source = ["--trace", &file, "--service", "film"];
    let told = filled(folder.path(), &source).await;
    says(&told, &["6000 steps written\n", "s3://own-history/pacer/history/: 6000 steps written"]);
    counts(500..2_000);
    let told = filled(folder.path(), &source).await;
    says(&told, &["6000 steps written; 3000 were there already"]);
    // Another service of the same days leaves this one's alone.
    let told = filled(folder.path(), &["--trace", &file, "--service", "thumb"]).await;
    says(&told, &["9000 steps written\n"]);
    counts(0..2_000);
    says(&filled(folder.path(), &source).await, &["0 steps written; 12000 were there already"]);

    let missing =
        POLICY.replace("state: ${DIR}/state", &state.replace("own-history", "no-such-bucket"));
    std::fs::write(folder.path().join("policy.yaml"), missing).expect("the folder is ours");
    refused(folder.path(), &source, &["S3 ", "bucket no-such-bucket", "NoSuchBucket"]).await;
    cloud.stop().await;
}

#[tokio::test]
async fn cloudwatch_fills_the_history_by_minutes_and_further_back_by_five() {
    let cloud = Cloud::start("functions: {}", 1).await;
    let folder = folder();
    let aws = format!("region: eu-west-1\nendpoint_url: {}\nstate:", cloud.url());
    let dir = folder.path().display().to_string();
    let policy = POLICY.replace("state:", &aws).replace("${DIR}", &dir);
    std::fs::write(folder.path().join("policy.yaml"), policy).expect("the folder is ours");
    // Two hours of this day, sixty a minute, with ten minutes of silence; and an hour of twenty days ago.
    let (start_s, old_s) = (hour_s() - 7_200, hour_s() - 20 * 86_400);
    let minutes = (0..120).filter(|minute| !(30..40).contains(minute));
    cloud.requests(minutes.map(|minute| (start_s + minute * 60, 60))).await;
    cloud.requests((0..60).map(|minute| (old_s + minute * 60, 30))).await;
    let metric = ["--cloudwatch", "AWS/ApplicationELB/RequestCount", "--service", "film"];
    let (from, until) = (start_s.to_string(), (start_s + 7_200).to_string());
    let range = ["--dimension", "LoadBalancer=app/web/1", "--from", &from, "--until", &until];
    let source = [&metric[..], &range].concat();

    let told = filled(folder.path(), &[&source[..], &["--dry-run"]].concat()).await;
    says(&told, &["nothing is written: --dry-run"]);
    // A load balancer that was asked nothing reports nothing.
    let told = filled(folder.path(), &source).await;
    says(&told, &["6600 requests in 720 steps of 10 s; at most 10 in one", "no gaps"]);
    says(&told, &["service time: 300ms (the prior of its route", "720 steps written"]);
    let told = filled(folder.path(), &source).await;
    says(&told, &["0 steps written; 720 were there already and stay as they are"]);
    let unknown = [&source[..], &["--missing", "unknown", "--replace"]].concat();
    let told = filled(folder.path(), &unknown).await;
    says(&told, &["6600 requests in 660 steps of 10 s", "1 gaps, 10m in all; the longest 10m"]);

    let (from, until) = (old_s.to_string(), (old_s + 3_600).to_string());
    let range = ["--dimension", "LoadBalancer=app/web/1", "--from", &from, "--until", &until];
    let told = filled(folder.path(), &[&metric[..], &range].concat()).await;
    says(&told, &["1800 requests in 360 steps of 10 s; at most 5 in one", "360 steps written"]);

    // What is not there is most likely a slip.
    let range = ["--dimension", "LoadBalancer=app/other/1", "--from", &from, "--until", &until];
    let none = "CloudWatch has no points of AWS/ApplicationELB/RequestCount between";
    refused(folder.path(), &[&metric[..], &range].concat(), &[none, "every dimension"]).await;
    cloud.fault(serde_json::json!({ "cloudwatch": { "down": { "status": 500 } } })).await;
    refused(folder.path(), &source, &["CloudWatch GetMetricData: "]).await;
    cloud.clear_faults().await;
    // A metric that is no count is refused with its place, and nothing of it is written.
    let absurd_s = start_s - 7_200;
    cloud.requests((0..20).map(|_| (absurd_s, u32::MAX))).await;
    let (from, until) = (absurd_s.to_string(), start_s.to_string());
    let range = ["--dimension", "LoadBalancer=app/web/1", "--from", &from, "--until", &until];
    let absurd = [&metric[..], &range, &["--step", "60s"]].concat();
    let place = "AWS/ApplicationELB/RequestCount at 20";
    refused(folder.path(), &absurd, &[place, "a billion a second"]).await;
    cloud.stop().await;
}

#[tokio::test]
async fn slips_are_told_with_what_to_write() {
    let folder = folder();
    let path = folder.path();
    refused(path, &[], &["--prometheus", "--cloudwatch", "--trace"]).await;
    refused(path, &["--prometheus", "http://x"], &["--query"]).await;
    let source = ["--prometheus", "http://127.0.0.1:1", "--query", "x"];
    refused(path, &source, &["asking 127.0.0.1:1"]).await;
    refused(path, &[&source[..], &["--from", "yesterday"]].concat(), &["--from: expected a time"])
        .await;
    refused(path, &[&source[..], &["--until", "2999-01-01"]].concat(), &["still to come"]).await;
    refused(
        path,
        &[&source[..], &["--from", "1d", "--until", "2d"]].concat(),
        &["nothing lies between"],
    )
    .await;
    refused(path, &["--cloudwatch", "RequestCount"], &["region"]).await;
    let none = POLICY.replace("state: ${DIR}/state\n", "");
    std::fs::write(path.join("policy.yaml"), none).expect("the folder is ours");
    refused(path, &source, &["has no `state`", "add `state: DIRECTORY`"]).await;
}

#[tokio::test]
async fn a_real_prometheus_is_read() {
    let there = |program: &str| {
        Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !there("prometheus") || !there("promtool") {
        eprintln!("SKIPPED: there is no prometheus and promtool (Debian package prometheus)");
        return;
    }
    let folder = folder();
    let file = |name: &str| folder.path().join(name).display().to_string();
    // A counter that is read every fifteen seconds for two hours, and grows by thirty each time.
    let (start_s, mut text) = (hour_s() - 4 * 3_600, "# TYPE asked counter\n".to_owned());
    for scrape in 0..480 {
        let _ = writeln!(
            text,
            "asked_total{{service=\"film\"}} {} {}",
            scrape * 30,
            start_s + scrape * 15
        );
    }
    text.push_str("# EOF\n");
    std::fs::write(file("asked.txt"), text).expect("the folder is ours");
    std::fs::write(file("prometheus.yml"), "").expect("the folder is ours");
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics", &file("asked.txt"), &file("data")])
        .output()
        .expect("promtool runs");
    assert!(made.status.success(), "{made:?}");
    let mut server = Command::new("prometheus");
    server.arg(format!("--config.file={}", file("prometheus.yml")));
    server.arg(format!("--storage.tsdb.path={}", file("data")));
    server.arg("--web.listen-address=127.0.0.1:0");
    let server = Process::start(server);
    let address = until("Prometheus listens", async || {
        let log = server.errors();
        let line = log.lines().find(|line| line.contains("Listening on"))?.to_owned();
        let address = line.split("address=").nth(1)?;
        Some(address.trim().trim_matches('"').to_owned())
    })
    .await;
    let url = format!("http://{address}");
    let query = "sum by (service) (increase(asked_total[1m]))";
    // Not before its own scrapes began: of a minute without two of them nothing is known.
    let (from, to) = ((start_s + 300).to_string(), (start_s + 6_900).to_string());
    let source = ["--prometheus", &url, "--query", query, "--from", &from, "--until", &to];
    let told = until("Prometheus answers", async || {
        let ended = backfill(folder.path(), &source).await;
        (ended.code == Some(0)).then_some(ended.stdout)
    })
    .await;
    // 120 a minute: twenty a step.
    says(
        &told,
        &["13200 requests in 660 steps of 10 s; at most 20 in one", "no gaps", "660 steps written"],
    );
}
