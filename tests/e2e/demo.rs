//! `pacer demo`, short: everything on this machine, from one command.

use crate::harness::{
    Wire,
    gateway::address,
    process::{Process, command},
};

#[tokio::test]
async fn the_demo_plays_and_sums_up() {
    let mut arguments = vec!["demo", "--duration", "5s", "--plain"];
    arguments.extend(["--port", "0", "--admin-port", "0", "--metrics-port", "0"]);
    let ended = Process::start(command(&arguments)).ended().await;
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    let first = ended.stdout.lines().next().unwrap_or_default();
    assert!(first.contains("http://127.0.0.1:") && first.contains("curl -i"), "{first}");
    for part in ["/thumb", "/resize", "/render", " sent = ", "0 failed", "0 run twice"] {
        assert!(ended.stdout.contains(part), "no `{part}` in:\n{}", ended.stdout);
    }
}

/// Percent of the films that there must be for tasks to rise: a third of them keeps two slots busy in the crowd, and in the
/// quiet a third of one, for which a single task is enough. Films mostly wait: only a hopeless machine sends fewer.
const FILMS_MIN: u32 = 33;

/// Seconds of the recording before the crowd. A machine on which a start takes nearly as long has nothing to be ahead with.
const QUIET_S: f64 = 344.0;

/// Tasks rise because the gateway knows what came at that time of day: nothing of the crowd is there yet.
///
/// Only the order of what happens is told: the demo looks at both by one clock. A slow machine makes starts longer, and the
/// gateway then looks as much further ahead.
#[tokio::test]
async fn tasks_rise_before_the_crowd_arrives() {
    let mut arguments = vec!["demo", "--duration", "22s", "--plain"];
    arguments.extend(["--port", "0", "--admin-port", "0", "--metrics-port", "0"]);
    let mut demo = Process::start(command(&arguments));
    let load = demo.line("load: ").await;
    demo.line("past: 14 days of it").await;
    // A line each five seconds; the crowd is there after seventeen.
    demo.line("demo  1").await;
    let ended = demo.ended().await;
    let said = format!("{}\n{}", ended.stdout, ended.stderr);
    let number = |text: &str, after: &str, before: &str| -> Option<f64> {
        text.split_once(after)?.1.split_once(before)?.0.trim().parse().ok()
    };
    let told = ended.stdout.lines().find(|line| line.contains(" in the quiet, "));
    let told = told.unwrap_or_else(|| panic!("nothing of tasks in:\n{said}"));
    assert!(ended.stdout.contains("same load, replayed (simulated): all on lambda $"), "{said}");
    let films = number(&load, "photos and ", "% of films").unwrap_or(100.0);
    let start_s = number(told, "a start takes ", "s)").unwrap_or_else(|| panic!("{told}"));
    if films < FILMS_MIN.into() || QUIET_S / 2.0 < start_s {
        eprintln!("too slow a machine to be ahead of the crowd: {films} % of films, {told}");
        return;
    }
    let ahead_s = number(told, "raised from ", "s before the crowd");
    let ahead_s = ahead_s.unwrap_or_else(|| panic!("not raised before the crowd: {said}"));
    let quiet = number(told, "tasks: ", " in the quiet");
    let ready = number(told, " on, ", " ready when it came");
    // The longest start is told: those of the first tasks that were asked for may have been as long.
    assert!(quiet < ready || ahead_s < start_s, "{said}");
}

#[tokio::test]
async fn without_load_the_demo_serves_until_it_is_told_to_stop() {
    let mut arguments = vec!["demo", "--no-load", "--plain"];
    arguments.extend(["--port", "0", "--admin-port", "0", "--metrics-port", "0"]);
    let mut demo = Process::start(command(&arguments));
    let rest = demo.line("pacer demo on ").await;
    let gateway = address(rest.split(' ').next().unwrap());
    let answer = Wire::connect(gateway).await.ask("GET", "/thumb?size=32", &[], b"").await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert!(answer.body.bytes.starts_with(&[0xFF, 0xD8, 0xFF]), "no JPEG");
    assert_eq!(answer.decision("lane"), "lambda");
    demo.terminate();
    let ended = demo.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut arguments = vec!["demo", "--no-load", "--plain", "--port", &port];
    arguments.extend(["--admin-port", "0", "--metrics-port", "0"]);
    let ended = Process::start(command(&arguments)).ended().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(&port) && ended.stderr.contains("in use"), "{}", ended.stderr);
}
