use clap::Parser;

use super::*;
use crate::fixture;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn check(arguments: &[&str]) -> anyhow::Result<String> {
    let policy = fixture::policy(fixture::POLICY);
    let args = Command::try_parse_from(["explain", "policy.yaml"].iter().chain(arguments))?.args;
    let request = Request::of(&args)?;
    let id = request.route(&policy)?;
    let (belief, source) = belief(&args, &policy, id, &request);
    Ok(format!("{}\nbelieved: {source}", lines(&policy, id, &request, &belief).join("\n")))
}

#[test]
fn a_marathon_is_explained_with_its_price() {
    let text =
        check(&["--url", "/render?frames=240", "--seen-p95", "4.1s", "--seen", "212"]).unwrap();
    insta::assert_snapshot!(text, @r#"
    route /render (policy.yaml:23) -> service film
    marathon: p95 4.1s of 212 seen (sprinter up to 1s)
    container: home of marathons; container $0.000011 against lambda $0.000095
    may spill to lambda when container is full or fails without having run it
    believed: as given on the command line
    "#);
}

#[test]
fn a_large_body_rules_lambda_out() {
    let text = check(&[
        "--method",
        "POST",
        "--url",
        "https://films.example/./thumb",
        "--body-size",
        "7000000",
    ])
    .unwrap();
    assert!(
        text.contains("-> service film") && text.contains("against lambda: the event would be"),
        "{text}"
    );
}

#[test]
fn without_a_gateway_the_prior_is_used_and_said_so() {
    // The policy's admin API is at port 1 of loopback, where nothing listens.
    let text = check(&["--url", "/render?frames=2"]).unwrap();
    assert!(
        text.contains("0 of 20 seen")
            && text.contains("the policy's prior; no gateway could be asked"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_explained_says_why() {
    for (arguments, expected) in [
        (["--url", "/nothing"].as_slice(), "no route matches GET /nothing"),
        (&["--url", "foo"], "`foo` is no path: write `/foo`"),
        (&["--url", "/thumb"], "no route matches GET /thumb"),
        (&["--url", "/a/../../b"], "/a/../../b"),
        (&["--url", "/render", "--header", "no-colon"], "NAME:VALUE"),
        (&["--url", "/render", "--seen", "5"], "--seen-p95"),
    ] {
        let error = format!("{:#}", check(arguments).unwrap_err());
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}
