//! In front of an app in a container: so many requests at once, and no more.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::{APP, PATIENCE};

/// A container with the adapter in it, and the app behind it.
struct Container {
    adapter: Child,
    address: SocketAddr,
    /// Held apart, because waiting for a child closes its standard input, and the app ends with that.
    _stdin: ChildStdin,
}

impl Container {
    async fn start(slots: &str) -> Self {
        Self::start_at(slots, "127.0.0.1:0", "0").await
    }

    async fn start_at(slots: &str, listen: &str, port: &str) -> Self {
        let mut adapter = Command::new(env!("CARGO_BIN_EXE_pacer-adapter"))
            .args(["--listen", listen, "--port", port, "--ready-path", "/healthy"])
            .args(["--", APP])
            .env("PACER_SLOTS", slots)
            .env_remove("AWS_LAMBDA_RUNTIME_API")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = adapter.stdin.take().unwrap();
        let mut lines = BufReader::new(adapter.stderr.take().unwrap()).lines();
        let said = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it ended before it listened");
                if let Some(address) = line.strip_prefix("pacer-adapter listening on http://") {
                    break address.parse().unwrap();
                }
            }
        };
        let address = timeout(PATIENCE, said).await.unwrap();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { adapter, address, _stdin: stdin }
    }

    /// Sends the head of a request, and what of its body is given.
    async fn send(&self, head: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{head}\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        stream
    }

    /// Gets `path` on a connection of its own; returns all of the answer.
    async fn get(&self, path: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nconnection: close");
        let mut stream = self.send(&head, b"").await;
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    /// Asks until the answer begins with `status`.
    async fn get_until(&self, path: &str, status: &str) -> String {
        let asked = async {
            loop {
                let answer = self.get(path).await;
                if answer.starts_with(&format!("HTTP/1.1 {status}")) {
                    break answer;
                }
            }
        };
        timeout(PATIENCE, asked).await.unwrap()
    }

    fn terminate(&self) {
        let pid = i32::try_from(self.adapter.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
}

/// Begins a request that the app streams an answer to until the gate is opened.
async fn streaming(container: &Container) -> (TcpStream, TcpStream) {
    let gate = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let path = format!("/stream?gate={}", gate.local_addr().unwrap().port());
    let head = format!("GET {path} HTTP/1.1\r\nconnection: close");
    let mut stream = container.send(&head, b"").await;
    read_until(&mut stream, "first").await;
    let (opened, _) = timeout(PATIENCE, gate.accept()).await.unwrap().unwrap();
    (stream, opened)
}

/// Reads until `end` has come; returns all that came.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut said = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&said).contains(end) {
            assert_ne!(stream.read_buf(&mut said).await.unwrap(), 0, "it ended before `{end}`");
        }
    };
    timeout(PATIENCE, reading).await.unwrap();
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn what_is_too_much_is_refused_before_the_app_sees_it() {
    let container = Container::start("2").await;
    let (mut first, mut first_gate) = streaming(&container).await;
    let (second, _gate) = streaming(&container).await;
    // A body that never comes whole: it is refused without it.
    let head = "POST / HTTP/1.1\r\ncontent-length: 1000000";
    let mut refused = container.send(head, b"a part").await;
    let answer = read_until(&mut refused, "busy: ").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("x-pacer-busy: 1"), "{answer}");
    // Health checks are neither counted nor refused.
    assert!(container.get("/healthy").await.starts_with("HTTP/1.1 200"));
    // What was sent came as it was made, and the room comes back with the last byte.
    first_gate.write_all(b"x").await.unwrap();
    read_until(&mut first, "second").await;
    let answer = container.get_until("/a", "200").await;
    assert!(answer.contains("\"target\":\"/a\""), "{answer}");
    // A client that goes away gives its room back too: then there are two again.
    drop(second);
    let (_third, _gate) = streaming(&container).await;
    container.get_until("/b", "200").await;
}

#[tokio::test]
async fn a_body_is_passed_on_while_it_comes() {
    let container = Container::start("1").await;
    let head = "POST /echo HTTP/1.1\r\ncontent-length: 10\r\nconnection: close";
    let mut stream = container.send(head, b"01234").await;
    // The app has its head already, and waits: there is no room for another.
    container.get_until("/", "503").await;
    stream.write_all(b"56789").await.unwrap();
    let answer = read_until(&mut stream, "0123456789").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn sigterm_finishes_what_runs_takes_nothing_new_and_ends_the_app() {
    let mut container = Container::start("2").await;
    let seen = container.get("/").await;
    let pid = seen.split("\"pid\":").nth(1).unwrap();
    let pid: i32 = pid.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
    let (mut stream, mut gate) = streaming(&container).await;
    container.terminate();
    let refused = async {
        while TcpStream::connect(container.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
    gate.write_all(b"x").await.unwrap();
    read_until(&mut stream, "second").await;
    let status = timeout(PATIENCE, container.adapter.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "the app is still there");
}

#[tokio::test]
async fn an_app_that_ends_ends_the_container_and_one_that_breaks_off_is_told() {
    let mut container = Container::start("1").await;
    assert!(container.get("/drop").await.starts_with("HTTP/1.1 502"));
    assert!(container.get("/").await.starts_with("HTTP/1.1 200"), "the room came back");
    container.get("/exit").await;
    assert!(!timeout(PATIENCE, container.adapter.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn the_default_port_is_the_adapters_and_the_app_gets_another() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    drop(taken);
    let listen = format!("127.0.0.1:{port}");
    let container = Container::start_at("1", &listen, &port).await;
    assert_eq!(container.address.to_string(), listen);
    assert!(container.get("/").await.starts_with("HTTP/1.1 200"));
}
