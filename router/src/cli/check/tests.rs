use policies::load::MemorySource;

use clap::Parser;

use super::*;
use crate::fixture;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn args(more: &[&str]) -> Args {
    let arguments = ["check", "policy.yaml"].iter().chain(more);
    Command::try_parse_from(arguments).expect("the test writes a command").args
}

fn check(text: &str, more: &[&str]) -> (String, bool) {
    report(&args(more), &MemorySource::file("policy.yaml", text))
}

/// A good policy with two warnings.
fn warned() -> String {
    fixture::POLICY.replace("timeout: 30s, ", "timeout: 10s, ")
        + "  - { match: { path: /.pacer/ready }, service: film }\n"
}

#[test]
fn a_good_policy_is_counted_and_its_routes_shown_in_order() {
    let (text, ok) = check(fixture::POLICY, &["--routes"]);
    assert!(ok);
    insta::assert_snapshot!(text, @r#"
       1  POST /thumb  -> film  sprinter  lambda+container  policy.yaml:24
       2  /render      -> film  auto  lambda+container  policy.yaml:23
       3  /reports/*   -> report  marathon  container  policy.yaml:25
    ok: 2 services, 3 routes
    "#);
}

#[test]
fn all_problems_are_told_and_counted() {
    let bad = fixture::POLICY
        .replace("service: film, class", "service: flim, class")
        .replace("requests_per_task: 1\n", "requests_per_tsk: 1\n");
    let (text, ok) = check(&bad, &["--routes"]);
    assert!(!ok);
    insta::assert_snapshot!(text, @r#"
    policy.yaml:19:7 services.report.container.requests_per_task: missing; write how many requests one task serves at once
    policy.yaml:20:7 services.report.container.requests_per_tsk: unknown field `requests_per_tsk`; did you mean `requests_per_task`?
    policy.yaml:24:55 routes[1].service: no service is named `flim`; did you mean `film`?
    3 problems
    "#);
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let (text, ok) = report(&args(&[]), &MemorySource::default());
    assert!(!ok && text.starts_with("policy.yaml") && text.ends_with("1 problem\n"), "{text}");
}

#[test]
fn warnings_are_told_and_fail_only_when_they_shall() {
    let (text, ok) = check(&warned(), &[]);
    assert!(ok);
    insta::assert_snapshot!(text, @"
    warning: policy.yaml:12:43 services.film.lambda.assume.timeout: requests may take 30s (timeouts.total), but the function ends them after 10s; align them
    warning: policy.yaml:26:5 routes[3].match: is never reached: `listen.health` is answered by the gateway itself; move one of them
    ok: 2 services, 4 routes, 2 warnings
    ");
    let (text, ok) = check(&warned(), &["--strict"]);
    assert!(!ok);
    insta::assert_snapshot!(text.lines().last().unwrap_or_default(), @"not ok (--strict): 2 services, 4 routes, 2 warnings");
    assert!(check(fixture::POLICY, &["--strict"]).1, "nothing to warn of");
}

#[test]
fn programs_read_json() {
    let (text, ok) = check(&warned(), &["--format", "json", "--routes", "--strict"]);
    assert!(!ok);
    insta::assert_snapshot!(text, @r#"
    {
      "files": [
        "policy.yaml"
      ],
      "ok": false,
      "problems": [],
      "routes": [
        {
          "class": "sprinter",
          "lanes": [
            "lambda",
            "container"
          ],
          "name": "POST /thumb",
          "place": "policy.yaml:24",
          "service": "film"
        },
        {
          "class": "auto",
          "lanes": [
            "lambda",
            "container"
          ],
          "name": "/render",
          "place": "policy.yaml:23",
          "service": "film"
        },
        {
          "class": "auto",
          "lanes": [
            "lambda",
            "container"
          ],
          "name": "/.pacer/ready",
          "place": "policy.yaml:26",
          "service": "film"
        },
        {
          "class": "marathon",
          "lanes": [
            "container"
          ],
          "name": "/reports/*",
          "place": "policy.yaml:25",
          "service": "report"
        }
      ],
      "services": [
        "film",
        "report"
      ],
      "warnings": [
        {
          "column": 43,
          "field": "services.film.lambda.assume.timeout",
          "file": "policy.yaml",
          "line": 12,
          "message": "requests may take 30s (timeouts.total), but the function ends them after 10s; align them"
        },
        {
          "column": 5,
          "field": "routes[3].match",
          "file": "policy.yaml",
          "line": 26,
          "message": "is never reached: `listen.health` is answered by the gateway itself; move one of them"
        }
      ]
    }
    "#);
    let (text, ok) = check("version: 1\nroute: []\n", &["--format", "json"]);
    assert!(!ok);
    insta::assert_snapshot!(text, @r#"
    {
      "ok": false,
      "problems": [
        {
          "column": 1,
          "field": "route",
          "file": "policy.yaml",
          "line": 2,
          "message": "unknown field `route`; did you mean `routes`?"
        }
      ],
      "warnings": []
    }
    "#);
}
