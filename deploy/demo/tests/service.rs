//! The workload as a real process, asked over HTTP; and the load, sent to it directly.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use pacer_demo::{
    load::{
        arrivals::{Arrivals, Trace},
        client,
        client::Client,
        draw::Draw,
        mix::{Ask, Route},
    },
    runs::{Counter, Seen},
};

/// A running workload; killed when dropped.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    fn start(args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pacer-demo"))
            .args(args)
            .env_remove("HOST")
            .env("PORT", "0")
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("pacer-demo listening on http://")
            .unwrap_or_else(|| panic!("{line}"));
        Self { address: address.parse().unwrap(), child }
    }

    fn ask(&self, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        )
        .unwrap();
        // The service may answer, and close, before it has taken all of a body that it refuses.
        let _refused = stream.write_all(body);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        let head_end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, answer.split_off(head_end))
    }

    fn signal(&self, name: &str) {
        assert!(
            Command::new("kill")
                .args([name, &self.child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _dead_already = self.child.kill();
        let _waited_already = self.child.wait();
    }
}

/// Thumbnails and photos, and a film now and then, at the times of a trace.
fn due(trace: &Trace, speed: f64) -> impl Iterator<Item = (Duration, Ask)> {
    let mut draw = Draw::new(5);
    let asks = (0_u32..).map(move |n| match n % 30 {
        29 => Ask::film(&mut draw),
        _ => Ask::other(&mut draw),
    });
    Arrivals::new(trace, speed, 1.0, Duration::ZERO, 5).zip(asks)
}

#[test]
fn each_route_answers_with_its_image() {
    let service = Service::start(&[], &[]);
    assert_eq!(service.ask("GET /health", b""), (200, b"ok\n".to_vec()));
    let photo = pacer_demo::work::photo().unwrap();
    for (head, body, size) in [
        ("GET /thumb", &b""[..], (96, 72)),
        ("POST /thumb?size=32", &photo[..], (32, 24)),
        ("GET /resize?width=200", b"", (200, 150)),
        ("GET /render?frames=2", b"", (128, 48)),
    ] {
        let (status, jpeg) = service.ask(head, body);
        assert_eq!(status, 200, "{head}: {}", String::from_utf8_lossy(&jpeg));
        let image = image::load_from_memory(&jpeg).unwrap();
        assert_eq!((image.width(), image.height()), size, "{head}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_the_limit() {
    let service = Service::start(&[], &[]);
    for (head, body, status, says) in [
        ("GET /render?frames=0", &b""[..], 400, "between 1 and 600"),
        ("GET /render?frames=many", b"", 400, "cannot read the query"),
        ("GET /resize?width=5000", b"", 400, "between 16 and 2048"),
        ("GET /thumb?size=1", b"", 400, "between 16 and 512"),
        ("POST /thumb", b"no image", 422, "post a JPEG or PNG"),
        ("POST /resize", &vec![0; 4 * 1024 * 1024 + 1], 413, "larger than 4194304 bytes"),
        ("GET /nowhere", b"", 404, ""),
        ("DELETE /thumb", b"", 405, ""),
    ] {
        let (found, text) = service.ask(head, body);
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(found == status && text.contains(says), "{head}: {found} {text}");
    }
}

#[test]
fn what_is_begun_is_finished_after_sigterm() {
    let mut service = Service::start(&[], &[]);
    let mut slow = TcpStream::connect(service.address).unwrap();
    slow.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    // The head has been read once the service answers `100 Continue`: then the request is surely in its hands.
    write!(
        slow,
        "POST /thumb HTTP/1.1\r\nhost: demo\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
    )
    .unwrap();
    let mut interim = [0; 25];
    slow.read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"));
    service.signal("-TERM");
    let patience = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(service.address).is_ok() {
        assert!(Instant::now() < patience, "still takes connections");
        std::thread::yield_now();
    }
    slow.write_all(b"abc").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    assert!(service.wait().success());
}

#[test]
fn a_full_service_says_that_it_did_not_begin() {
    let service = Service::start(&["--at-once", "1"], &[]);
    let mut long = TcpStream::connect(service.address).unwrap();
    write!(long, "GET /render?frames=600 HTTP/1.1\r\nhost: demo\r\n\r\n").unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let mut stream = TcpStream::connect(service.address).unwrap();
        write!(stream, "GET /render?frames=1 HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        if answer.starts_with("http/1.1 503") {
            assert!(answer.contains("x-pacer-busy: 1"), "{answer}");
            break;
        }
        assert!(Instant::now() < patience, "never full");
    }
    // The client of the film goes away: its place is free again long before 600 frames are done.
    drop(long);
    while service.ask("GET /render?frames=1", b"").0 != 200 {
        assert!(Instant::now() < patience, "still full");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let service = Service::start(&[], &[]);
    let port = service.address.port().to_string();
    let second = Command::new(env!("CARGO_BIN_EXE_pacer-demo"))
        .args(["--port", &port])
        .env_remove("HOST")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        !second.status.success() && error.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{error}"
    );
}

#[tokio::test]
async fn the_load_is_sent_answered_and_counted() {
    let counter = Counter::bind().await.unwrap();
    let address = counter.address().to_string();
    let service = Service::start(&["--at-once", "512"], &[("PACER_DEMO_RUNS", &address)]);
    let trace = Trace { start: 0, counts: vec![60] };
    let client = Arc::new(Client::new(service.address).unwrap());
    // 60 arrivals in a second, whatever the machine: all must be answered, however late.
    let drive = client.drive(due(&trace, 1.0), Duration::from_secs(1));
    tokio::select! {
        () = drive => {}
        ended = counter.count() => panic!("the counter ended: {ended:?}"),
    }
    let tally = client.tally();
    assert_eq!(tally.totals(), (60, 60, 0), "{:?}", tally.failures());
    assert!(tally.route(Route::Thumb).latency.quantile(0.5).is_some());
    let all = async {
        while counter.seen().runs < 60 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = all => {}
        ended = counter.count() => panic!("the counter ended: {ended:?}"),
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("{:?}", counter.seen()),
    }
    assert_eq!(counter.seen(), Seen { once: 60, twice: 0, runs: 60 });
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_counted_not_hidden() {
    // Bound and dropped: nobody listens there now.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let trace = Trace { start: 0, counts: vec![10] };
    let client = Arc::new(Client::new(nobody).unwrap());
    client.drive(due(&trace, 10.0), Duration::from_millis(100)).await;
    let tally = client.tally();
    assert_eq!(tally.totals(), (10, 0, 10));
    assert!(tally.failures()[0].0.starts_with("cannot connect"), "{:?}", tally.failures());
}

#[test]
fn the_load_stays_on_this_machine() {
    let error = Client::new("192.0.2.1:80".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("loopback"), "{error}");
}

#[tokio::test]
async fn a_document_is_had_or_its_absence_explained() {
    let service = Service::start(&[], &[]);
    assert_eq!(client::get(service.address, "/health").await.unwrap(), "ok\n");
    let error = client::get(service.address, "/nowhere").await.unwrap_err();
    assert_eq!(error, format!("cannot get http://{}/nowhere: status 404", service.address));
}
