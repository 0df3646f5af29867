use policies::load::MemorySource;

use super::*;
use crate::fixture;

#[test]
fn a_good_policy_is_counted_and_its_routes_shown_in_order() {
    let (text, ok) =
        report("policy.yaml", &MemorySource::file("policy.yaml", fixture::POLICY), true);
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
    let (text, ok) = report("policy.yaml", &MemorySource::file("policy.yaml", &bad), true);
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
    let (text, ok) = report("policy.yaml", &MemorySource::default(), false);
    assert!(!ok && text.starts_with("policy.yaml") && text.ends_with("1 problem\n"), "{text}");
}
