//! The app that the adapter's tests run: HTTP/1.1 by hand, one thread a connection, a path for each way to behave.
//!
//! It ends when its standard input does, so that none is left over when a test is.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
static PROBES: AtomicUsize = AtomicUsize::new(0);

fn main() -> std::io::Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    if let Some(code) = std::env::args().nth(1) {
        std::process::exit(code.parse().expect("the argument is an exit code"));
    }
    let listener = TcpListener::bind(format!("{}:{}", variable("HOST"), variable("PORT")))?;
    for stream in listener.incoming() {
        let stream = stream?;
        CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || serve(&stream));
    }
    Ok(())
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("the adapter sets HOST and PORT")
}

/// Answers requests until the other side closes, or a path asks for the end.
fn serve(stream: &TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let mut words = head[0].split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let headers: Vec<(&str, &str)> =
            head[1..].iter().filter_map(|line| line.split_once(": ")).collect();
        let length = headers.iter().find(|(name, _)| *name == "content-length");
        let mut body =
            vec![0; length.map_or(0, |(_, value)| value.parse().expect("a length is a number"))];
        lines.read_exact(&mut body).ok()?;
        let path = target.split('?').next()?;
        let mut writer = stream;
        if let Some(how) = path.strip_prefix("/stream") {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ntransfer-encoding: chunked\r\n\r\n";
            writer.write_all(format!("{head}5\r\nfirst\r\n").as_bytes()).ok()?;
            match how {
                "-drop" => return None,
                "-exit" => std::process::exit(7),
                "-hang" => {
                    let _ = lines.read(&mut [0]);
                    return None;
                }
                _ => {
                    // Whoever asked says when to go on, on the port that the query names.
                    let port = target.split("gate=").nth(1)?.parse::<u16>().ok()?;
                    let mut gate = TcpStream::connect((variable("HOST").as_str(), port)).ok()?;
                    gate.read_exact(&mut [0]).ok()?;
                    writer.write_all(b"6\r\nsecond\r\n0\r\nx-trailer: gone\r\n\r\n").ok()?;
                    continue;
                }
            }
        }
        let wide = format!("200 OK\r\nx-wide: {}", "x".repeat(20_000));
        let (head, body) = match path {
            "/ready" if PROBES.fetch_add(1, Ordering::Relaxed) < 2 => ("503 Not Yet", Vec::new()),
            "/never" => ("500 Never", Vec::new()),
            "/exit" => std::process::exit(7),
            "/drop" => return None,
            "/hang" => {
                // Until the other side gives up.
                let _ = lines.read(&mut [0]);
                return None;
            }
            "/bytes" => (
                "201 Created\r\ncontent-type: image/png\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-pacer-billed-ms: 0\r\nx-pacer-busy: 1",
                (0..=255).collect(),
            ),
            "/large" => ("200 OK", vec![b'x'; 7_000_000]),
            "/wide" => (wide.as_str(), Vec::new()),
            "/empty" => ("302 Found\r\nlocation: /", Vec::new()),
            _ => {
                let seen = json!({
                    "method": method,
                    "target": target,
                    "headers": headers,
                    "body": String::from_utf8_lossy(&body),
                    "connections": CONNECTIONS.load(Ordering::Relaxed),
                    "pid": std::process::id(),
                });
                ("200 OK\r\ncontent-type: application/json", seen.to_string().into_bytes())
            }
        };
        let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
        writer.write_all(&[head.as_bytes(), &body].concat()).ok()?;
    }
}
