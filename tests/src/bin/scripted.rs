//! What the tests run on the local cloud: `scripted function` speaks Lambda's Runtime API by hand, `scripted task` serves
//! HTTP where `HOST` and `PORT` say.
//!
//! Paths say how to behave. `/hold/N` waits until the test closes the connection that this program opens to port N of
//! loopback: that is how a test knows that a request is being worked on, and decides when it ends.

use std::{
    env,
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::exit,
};

use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    match env::args().nth(1).as_deref() {
        Some("function") => function(),
        Some("task") => task(),
        _ => Err("usage: scripted function|task".into()),
    }
}

/// A message: first line, headers with names in lower case, body.
struct Message {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Reads a message with `content-length`, or without a body; `None` at the end of the connection.
fn read(reader: &mut impl BufRead) -> Result<Option<Message>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field)?;
        let Some((name, value)) = field.trim().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(Ok(0), |(_, length)| length.parse())?];
    reader.read_exact(&mut body)?;
    Ok(Some(Message { line: line.trim().to_owned(), headers, body }))
}

/// Works on events for ever.
fn function() -> Result<()> {
    let mut count = 0;
    loop {
        let next = call("GET", "/2018-06-01/runtime/invocation/next", b"")?;
        let id = next.headers.iter().find(|(name, _)| name == "lambda-runtime-aws-request-id");
        let id = &id.ok_or("an event without a request id")?.1;
        let event: Value = serde_json::from_slice(&next.body)?;
        let path = event["rawPath"].as_str().unwrap_or_default();
        count += 1;
        let post = |end: &str, body: &[u8]| {
            call("POST", &format!("/2018-06-01/runtime/invocation/{id}/{end}"), body)
        };
        match path {
            "/throw" => {
                let error = json!({ "errorType": "App.Secret", "errorMessage": "a secret of the app", "stackTrace": ["secret.rs:7"] });
                post("error", error.to_string().as_bytes())?;
            }
            "/exit" => exit(7),
            _ if path.starts_with("/stream/") => stream(id, path.trim_start_matches("/stream/"))?,
            "/garbage" => {
                post("response", b"not JSON at all")?;
            }
            "/large" => {
                let body = json!({ "statusCode": 200, "body": "x".repeat(7 * 1024 * 1024) });
                post("response", body.to_string().as_bytes())?;
            }
            _ => {
                if let Some(port) = path.strip_prefix("/hold/") {
                    hold(port)?;
                }
                let about = json!({ "pid": std::process::id(), "count": count, "event": event });
                let answer = json!({
                    "statusCode": 200,
                    "headers": { "content-type": "application/json" },
                    "body": about.to_string(),
                });
                post("response", answer.to_string().as_bytes())?;
            }
        }
    }
}

/// Streams a response: a prelude, and a body that `how` tells.
fn stream(id: &str, how: &str) -> Result<()> {
    let api = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let mut stream = TcpStream::connect(&api)?;
    let content_type = match how {
        "plain" => "text/plain",
        _ => "application/vnd.awslambda.http-integration-response",
    };
    write!(
        stream,
        "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: {api}\r\n\
         lambda-runtime-function-response-mode: streaming\r\ncontent-type: {content_type}\r\n\
         transfer-encoding: chunked\r\n\
         trailer: lambda-runtime-function-error-type, lambda-runtime-function-error-body\r\n\r\n"
    )?;
    let mut piece = |bytes: &[u8]| -> Result<()> {
        write!(stream, "{:x}\r\n", bytes.len())?;
        stream.write_all(bytes)?;
        Ok(stream.write_all(b"\r\n")?)
    };
    if how != "plain" {
        let status = if how == "empty" { 302 } else { 201 };
        let prelude = json!({
            "statusCode": status,
            "headers": { "x-kind": how, "location": "/elsewhere", "connection": "close" },
            "cookies": ["a=1", "b=2"],
        });
        piece(&[prelude.to_string().as_bytes(), &[0; 8]].concat())?;
    }
    let mut trailers = "";
    if let Some(port) = how.strip_prefix("hold/") {
        piece(b"first")?;
        hold(port)?;
        piece(b"last")?;
    } else if let Some(mib) = how.strip_prefix("large/") {
        let some = vec![b'x'; 64 * 1024];
        for _ in 0..16 * mib.parse::<u32>()? {
            piece(&some)?;
        }
    } else if how == "fail" {
        piece(b"first")?;
        trailers = "lambda-runtime-function-error-type: App.Secret\r\n\
                    lambda-runtime-function-error-body: eyJlcnJvck1lc3NhZ2UiOiJhIHNlY3JldCJ9\r\n";
    } else if how != "empty" {
        piece(b"whole")?;
    }
    write!(stream, "0\r\n{trailers}\r\n")?;
    read(&mut BufReader::new(stream))?.ok_or("the Runtime API closed the connection")?;
    Ok(())
}

/// Calls the Runtime API on a connection of its own.
fn call(method: &str, path: &str, body: &[u8]) -> Result<Message> {
    let api = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let mut stream = TcpStream::connect(&api)?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {api}\r\ncontent-length: {length}\r\n\r\n")?;
    stream.write_all(body)?;
    Ok(read(&mut BufReader::new(stream))?.ok_or("the Runtime API closed the connection")?)
}

/// Serves every connection on a thread of its own, and lives on after SIGTERM. `/health` is 503 as long as the file that `UNREADY` names exists.
fn task() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = runtime.enter();
    // A handler takes SIGTERM's default away; this one does nothing.
    let _ignored = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let port: u16 = env::var("PORT")?.parse()?;
    let listener = TcpListener::bind((env::var("HOST")?.as_str(), port))?;
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            // A client that leaves is its own affair.
            let _ = serve(stream);
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read(&mut reader)? {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let unready =
            env::var_os("UNREADY").is_some_and(|file| std::path::Path::new(&file).exists());
        let status = if path == "/health" && unready { "503 Unready" } else { "200 OK" };
        if let Some(port) = path.strip_prefix("/hold/") {
            hold(port)?;
        }
        if path == "/exit" {
            exit(7);
        }
        let body = std::process::id().to_string();
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
        if request.headers.iter().any(|(name, value)| name == "connection" && value == "close") {
            break;
        }
    }
    Ok(())
}

/// Tells the test that this request is being worked on, and waits until it lets go.
fn hold(port: &str) -> Result<()> {
    let mut test = TcpStream::connect(("127.0.0.1", port.parse::<u16>()?))?;
    let mut rest = Vec::new();
    test.read_to_end(&mut rest)?;
    Ok(())
}
