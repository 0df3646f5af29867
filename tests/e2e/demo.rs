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
