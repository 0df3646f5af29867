//! What the tests run as functions and containers: `pacer-local-test-app MODE [ARGUMENT]`.
//!
//! By hand on blocking sockets, so that nothing here shares code with what is tested. A function does what its event's
//! `do` says; a container answers every request with its process id.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, exit},
    sync::mpsc,
    time::Duration,
};

use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["function"] => function(),
        // As an adapter has the application: the child's id is told to the child of the tests.
        ["parent"] => {
            let mut child = Command::new(env::current_exe()?).arg("wait").spawn()?;
            println!("started {}", child.id());
            function_with(&json!({ "child": child.id() }))?;
            child.wait()?;
            Ok(())
        }
        ["wait"] => {
            pause(Duration::from_mins(10));
            Ok(())
        }
        ["init-error"] => {
            let body = r#"{"errorType":"App.NoConfig","errorMessage":"no configuration"}"#;
            call("POST", "/2018-06-01/runtime/init/error", body)?;
            exit(1)
        }
        ["exit", code] => exit(code.parse()?),
        ["slow-init", ms] => {
            pause(Duration::from_millis(ms.parse()?));
            function()
        }
        // Slow the first time only: `file` remembers.
        ["slow-init-once", file] => {
            if !std::path::Path::new(file).exists() {
                std::fs::write(file, "")?;
                pause(Duration::from_mins(10));
            }
            function()
        }
        ["restore-error"] => {
            call("GET", "/2018-06-01/runtime/restore/next", "")?;
            let body = r#"{"errorType":"App.NoNetwork","errorMessage":"no network"}"#;
            call("POST", "/2018-06-01/runtime/restore/error", body)?;
            exit(1)
        }
        ["slow-restore"] => {
            call("GET", "/2018-06-01/runtime/restore/next", "")?;
            pause(Duration::from_mins(10));
            Ok(())
        }
        ["snap-start"] => {
            let (status, _, _) = call("GET", "/2018-06-01/runtime/restore/next", "")?;
            function_with(&json!({ "restore": status }))
        }
        ["http"] => http(),
        ["http-stubborn"] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let _context = runtime.enter();
            // A handler takes SIGTERM's default away, and this one does nothing.
            let _ignored =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            http()
        }
        _ => Err("usage: pacer-local-test-app MODE".into()),
    }
}

fn function() -> Result<()> {
    function_with(&json!({}))
}

/// Works on events for ever; answers carry `about`.
fn function_with(about: &Value) -> Result<()> {
    let mut state = 0;
    loop {
        let (status, headers, event) = call("GET", "/2018-06-01/runtime/invocation/next", "")?;
        if status != 200 {
            exit(3);
        }
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let id = header("lambda-runtime-aws-request-id").ok_or("no request id")?;
        let event: Value = serde_json::from_slice(&event)?;
        state += 1;
        let mut answer = json!({
            "pid": std::process::id(),
            "count": state,
            "event": event,
            "headers": headers.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "env": env::vars().collect::<std::collections::BTreeMap<_, _>>(),
            "about": about,
        });
        let path = |end: &str| format!("/2018-06-01/runtime/invocation/{id}/{end}");
        println!("working on {id}");
        match event["do"].as_str() {
            Some("pause") => pause(Duration::from_millis(event["ms"].as_u64().ok_or("no ms")?)),
            Some("write") => {
                let file = event["file"].as_str().ok_or("no file")?;
                std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(file)?
                    .write_all(b"x")?;
            }
            Some("fail") => {
                let body = r#"{"errorType":"App.Wrong","errorMessage":"it went wrong"}"#;
                if let Some(file) = event["file"].as_str() {
                    std::fs::OpenOptions::new()
                        .create(true)
                        .append(true)
                        .open(file)?
                        .write_all(b"x")?;
                }
                call("POST", &path("error"), body)?;
                continue;
            }
            Some("exit") => exit(7),
            Some("stream") => {
                stream(&id, &event)?;
                continue;
            }
            Some("spin") => spin(Duration::from_millis(event["ms"].as_u64().ok_or("no ms")?))?,
            Some("big") => answer["big"] = json!("x".repeat(7 * 1024 * 1024)),
            // Out of turn, twice: what the API says to it is the answer.
            Some("disorder") => {
                let (next, _, _) = call("GET", "/2018-06-01/runtime/invocation/next", "")?;
                let (other, _, _) =
                    call("POST", "/2018-06-01/runtime/invocation/other/response", "{}")?;
                let (restore, _, _) = call("GET", "/2018-06-01/runtime/restore/next", "")?;
                answer["statuses"] = json!([next, other, restore]);
            }
            _ => {}
        }
        let _ = call("POST", &path("response"), &answer.to_string());
    }
}

/// Answers in chunks: `chunks` as they are, or `count` of `bytes` each; then ends as `then` says. Writes to `file` when
/// nobody takes what it sends, and goes on.
fn stream(id: &str, event: &Value) -> Result<()> {
    let api = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let mut socket = TcpStream::connect(&api)?;
    let kind = event["content_type"].as_str().unwrap_or("application/octet-stream");
    write!(
        socket,
        "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: {api}\r\nconnection: close\r\n\
        content-type: {kind}\r\nlambda-runtime-function-response-mode: streaming\r\ntransfer-encoding: chunked\r\n\
        trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n"
    )?;
    socket.set_write_timeout(Some(Duration::from_millis(200)))?;
    let mut send = |bytes: &[u8]| -> Result<()> {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend(bytes);
        chunk.extend(b"\r\n");
        let mut left = &chunk[..];
        while !left.is_empty() {
            match socket.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let file =
                        event["file"].as_str().ok_or("nobody reads, and there is no file")?;
                    std::fs::write(file, "stalled")?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    };
    for chunk in event["chunks"].as_array().into_iter().flatten() {
        send(chunk.as_str().ok_or("a chunk is no text")?.as_bytes())?;
    }
    let chunk = vec![b'x'; event["bytes"].as_u64().unwrap_or(0) as usize];
    for _ in 0..event["count"].as_u64().unwrap_or(0) {
        send(&chunk)?;
    }
    match event["then"].as_str() {
        Some("exit") => exit(7),
        Some("pause") => pause(Duration::from_mins(10)),
        // {"errorType":"App.Wrong","errorMessage":"it went wrong"}
        Some("error") => write!(
            socket,
            "0\r\nLambda-Runtime-Function-Error-Type: App.Wrong\r\nLambda-Runtime-Function-Error-Body: \
            eyJlcnJvclR5cGUiOiJBcHAuV3JvbmciLCJlcnJvck1lc3NhZ2UiOiJpdCB3ZW50IHdyb25nIn0=\r\n\r\n"
        )?,
        _ => socket.write_all(b"0\r\n\r\n")?,
    }
    socket.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Uses so much CPU time, however long that takes.
fn spin(time: Duration) -> Result<()> {
    loop {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let fields = stat.rsplit(") ").next().ok_or("no fields")?.split(' ');
        // User and system time, in hundredths of a second (proc(5), fields 14 and 15; the first here is the third).
        let ticks =
            fields.skip(11).take(2).map(str::parse::<u64>).sum::<std::result::Result<u64, _>>()?;
        if time <= Duration::from_millis(ticks * 10) {
            return Ok(());
        }
    }
}

/// Waits without work.
fn pause(duration: Duration) {
    let (_open, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(duration);
}

type Answer = (u16, Vec<(String, String)>, Vec<u8>);

/// Calls the Runtime API on a connection of its own.
fn call(method: &str, path: &str, body: &str) -> Result<Answer> {
    let api = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let mut stream = TcpStream::connect(&api)?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {api}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut reader = BufReader::new(stream);
    let (first, headers) = head(&mut reader)?;
    let status = first.split(' ').nth(1).ok_or("no status")?.parse()?;
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    Ok((status, headers, body))
}

/// Reads the first line and the headers, names in lower case.
fn head(reader: &mut impl BufRead) -> Result<(String, Vec<(String, String)>)> {
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok((first, headers))
}

/// Serves on `HOST`:`PORT`; `/exit` ends the process.
fn http() -> Result<()> {
    let listener =
        TcpListener::bind((env::var("HOST")?.as_str(), env::var("PORT")?.parse::<u16>()?))?;
    for stream in listener.incoming().flatten() {
        // A client that leaves is its own affair.
        let _ = answer(stream);
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> Result<()> {
    let (first, _) = head(&mut BufReader::new(stream.try_clone()?))?;
    if first.contains("/exit") {
        exit(1);
    }
    let body = std::process::id().to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    Ok(())
}
