//! What the commands say about a policy, and how they end.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::harness::process::{Ended, run};

/// Writes `text` as `policy.yaml` and runs `command FILE ARGUMENTS` on it; `FILE` is cut from what it says.
async fn on_policy(text: &str, command: &[&str], more: &[&str]) -> Ended {
    let directory = TempDir::new().expect("there is room for temporary files");
    let file = directory.path().join("policy.yaml");
    std::fs::write(&file, text).expect("the directory is ours");
    let file = file.display().to_string();
    let arguments = command.iter().copied().chain([&*file]).chain(more.iter().copied());
    let mut ended = run(arguments).await;
    let path = format!("{}/", directory.path().display());
    ended.stdout = ended.stdout.replace(&path, "");
    ended.stderr = ended.stderr.replace(&path, "");
    ended
}

const GOOD: &str = "\
version: 1
region: eu-west-1
admin: off
services:
  app:
    lambda: { function: 'f:live', assume: { timeout: 30s } }
    container: { upstreams: [http://127.0.0.1:1], requests_per_task: 4 }
routes:
  - { match: { path: /render }, service: app, auto: { sprinter_up_to: 1s, prior: 200ms } }
  - { match: { path_prefix: /files }, service: app, lanes: [container] }
";

const BAD: &str = "\
version: 1
services:
  app:
    lambda: { function: 'f:live', memry: 512MiB }
routes:
  - { match: { path: /a }, service: ap }
  - { match: { path: /b }, service: app, timeouts: { total: 30 } }
";

#[tokio::test]
async fn a_good_policy_is_summed_up() {
    let ended = on_policy(GOOD, &["check"], &["--routes"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("ok: 1 service, 2 routes"), "{}", ended.stdout);
    assert!(ended.stdout.contains("/render"), "{}", ended.stdout);
}

#[tokio::test]
async fn a_malformed_policy_is_refused_with_every_place() {
    let ended = on_policy(BAD, &["check"], &[]).await;
    assert_eq!(ended.code, Some(1));
    for line in [
        "policy.yaml:4:35 services.app.lambda.memry: ",
        "policy.yaml:6:37 routes[0].service: no service is named `ap`; did you mean `app`?",
        "policy.yaml:7:61 routes[1].timeouts.total: ",
        "3 problems",
    ] {
        assert!(ended.stdout.contains(line), "no `{line}` in:\n{}", ended.stdout);
    }
    let broken = on_policy("version: 1\nservices: [\n", &["check"], &[]).await;
    assert_eq!(broken.code, Some(1));
    assert!(broken.stdout.contains("policy.yaml:"), "{}", broken.stdout);
}

#[tokio::test]
async fn serve_refuses_what_check_refuses() {
    let ended = on_policy(BAD, &["serve", "--policy"], &[]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("policy.yaml:4:35 services.app.lambda.memry"),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    let missing = run(["serve", "--policy", "/nowhere/policy.yaml"]).await;
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("/nowhere/policy.yaml"), "{}", missing.stderr);
}

#[tokio::test]
async fn a_port_in_use_is_told_with_the_field_to_change() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let policy = format!("{GOOD}listen: {{ http: '{address}' }}\nmetrics: off\n");
    let ended = on_policy(&policy, &["serve", "--policy"], &[]).await;
    assert_eq!(ended.code, Some(1));
    for part in [&address.to_string(), "`listen.http`", "something else listens there"] {
        assert!(ended.stderr.contains(part), "no `{part}` in {}", ended.stderr);
    }
}

#[tokio::test]
async fn explain_tells_where_a_request_would_go() {
    let explain = async |more: &[&str]| {
        let ended = on_policy(GOOD, &["explain"], more).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let text = explain(&["--url", "/render?frames=240"]).await;
    assert!(text.contains("sprinter: prior 200ms") && text.contains("\nlambda: "), "{text}");
    let text = explain(&["--url", "/render", "--seen-p95", "4.1s", "--seen", "212"]).await;
    assert!(text.contains("marathon") && text.contains("4.1") && text.contains("212"), "{text}");
    let text = explain(&["--url", "/files/a"]).await;
    assert!(text.contains("\ncontainer: "), "{text}");
    let text = explain(&["--url", "/render", "--method", "POST", "--body-size", "9000000"]).await;
    assert!(text.contains("container: ") && text.contains("above 6MiB"), "{text}");

    let ended = on_policy(GOOD, &["explain"], &["--url", "/nothing"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("no route matches GET /nothing"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_command_that_is_not_understood_ends_with_2() {
    for arguments in
        [&["srve"][..], &["serve"], &["check"], &["serve", "--workers", "0", "--policy", "x"]]
    {
        let ended = run(arguments.iter().copied()).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(
            ended.stderr.contains("Usage") || ended.stderr.contains("--help"),
            "{}",
            ended.stderr
        );
    }
    let version = run(["--version"]).await;
    assert_eq!(version.code, Some(0));
    assert!(version.stdout.starts_with("pacer "), "{}", version.stdout);
}

#[tokio::test]
async fn every_example_is_a_good_policy() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/examples");
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(&examples).unwrap() {
        let path = entry.unwrap().path();
        files.extend(if path.is_dir() { Some(path.join("policy.yaml")) } else { Some(path) });
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    assert!(4 <= files.len(), "{files:?}");
    for file in files {
        let ended = run(["check".as_ref(), file.as_os_str()]).await;
        assert_eq!(ended.code, Some(0), "{}: {}", file.display(), ended.stdout);
    }
}
