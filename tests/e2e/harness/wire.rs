//! HTTP/1.1 by hand, from either end.
//!
//! Strict in what it reads: a message that is not framed as RFC 9112 says fails the test. What it sends is up to the
//! test.

use std::{fmt::Write as _, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::within;

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire(BufReader<TcpStream>);

/// The first line and the headers of a message, names in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// A message's body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// It broke off: the connection ended before the message did.
    pub(crate) cut: bool,
}

/// A whole response.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Body,
}

impl Head {
    /// The only value of a header; fails when there are more.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} is there {} times: {self:?}", all.len());
        all.first().copied()
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The names that begin with `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> Vec<&str> {
        let names = self.headers.iter().map(|(name, _)| name.as_str());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// The status of a response.
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        let status = self.line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.and_then(|digits| digits.parse().ok());
        status.unwrap_or_else(|| panic!("no status: {self:?}"))
    }

    /// Whether a response of this head to `method` has no body.
    fn is_bodiless(&self, method: &str) -> bool {
        method == "HEAD" || matches!(self.status(), 100..200 | 204 | 304)
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body.bytes).expect("the body is text")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless this is a problem document (RFC 9457) of `status` that blames `fault`; returns its code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, fault: &str) -> String {
        let problem = self.json();
        assert_eq!(self.status(), status, "{problem}");
        assert_eq!(self.head.get("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["fault"], fault, "{problem}");
        for field in ["type", "title", "detail", "code", "request_id"] {
            let is_said = problem[field].as_str().is_some_and(|text| !text.is_empty());
            assert!(is_said, "{field}: {problem}");
        }
        problem["code"].as_str().expect("looked at above").to_owned()
    }

    /// A word of the decision header: `lane`, `class`, `reason`, `spill` or `start`; empty when it is not said.
    #[track_caller]
    pub(crate) fn decision(&self, key: &str) -> &str {
        let header = self.head.get("x-pacer-decision");
        let header = header.unwrap_or_else(|| panic!("no decision: {self:?}"));
        let mut words = header.split(' ').filter_map(|word| word.split_once('='));
        words.find(|(name, _)| *name == key).map_or("", |(_, value)| value)
    }
}

impl Wire {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> impl Future<Output = Self> {
        within("a connection", async move {
            let stream = TcpStream::connect(address).await;
            Self::new(stream.unwrap_or_else(|error| panic!("no connection to {address}: {error}")))
        })
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        // An error means that the other end is gone already, which whoever reads will see.
        let _ = stream.set_nodelay(true);
        Self(BufReader::new(stream))
    }

    /// Sends bytes. An error is the other end's going away, which the test sees when it reads.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within("bytes are taken", self.0.write_all(bytes.as_ref())).await;
    }

    /// Closes, and waits until the other end has seen it.
    pub(crate) async fn close(mut self) {
        let _ = self.0.shutdown().await;
        self.closed().await;
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        self.0.into_inner().set_zero_linger().expect("the socket is open");
    }

    /// Reads a head; `None` when the connection ends before its first byte.
    #[track_caller]
    pub(crate) fn head(&mut self) -> impl Future<Output = Option<Head>> {
        within("a head", self.idle_head())
    }

    /// Reads a head that may be long in coming; `None` when the connection ends before it.
    pub(crate) async fn idle_head(&mut self) -> Option<Head> {
        let line = self.line().await?;
        Some(Head { line, headers: self.fields().await? })
    }

    /// Reads header or trailer fields up to the empty line; `None` when they are cut.
    async fn fields(&mut self) -> Option<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Some(fields);
            }
            let field = line.split_once(':');
            let (name, value) = field.unwrap_or_else(|| panic!("no field: {line:?}"));
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads a line that ends with CRLF; `None` when the connection ends.
    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let _ = self.0.read_until(b'\n', &mut line).await;
        let line = String::from_utf8(line).expect("heads are ASCII");
        line.strip_suffix("\r\n").map(str::to_owned)
    }

    /// Reads the body that `head` announces.
    #[track_caller]
    pub(crate) fn body<'a>(&'a mut self, head: &Head) -> impl Future<Output = Body> + use<'a> {
        let coding = head.get("transfer-encoding");
        assert!(coding.is_none_or(|coding| coding == "chunked"), "{head:?}");
        let length = head.get("content-length").map(str::to_owned);
        let length = length.map(|length| length.parse::<usize>().expect("a length is a number"));
        assert!(coding.is_none() || length.is_none(), "framed twice: {head:?}");
        let chunked = coding.is_some();
        // A request without either has no body; a response without either ends with its connection.
        let to_end = length.is_none() && !chunked && head.line.starts_with("HTTP/");
        within("a body", async move {
            let mut body = Body::default();
            if chunked {
                while let Some(chunk) = self.chunk_or_trailers(&mut body).await {
                    body.bytes.extend_from_slice(&chunk);
                }
            } else if to_end {
                body.cut = self.0.read_to_end(&mut body.bytes).await.is_err();
            } else {
                let length = length.unwrap_or(0);
                let _ = (&mut self.0).take(length as u64).read_to_end(&mut body.bytes).await;
                body.cut = body.bytes.len() < length;
            }
            body
        })
    }

    /// Reads one chunk of a chunked body; `None` when the body has ended or is cut.
    #[track_caller]
    pub(crate) fn chunk(&mut self) -> impl Future<Output = Option<Vec<u8>>> {
        within("a chunk", async { self.chunk_or_trailers(&mut Body::default()).await })
    }

    async fn chunk_or_trailers(&mut self, body: &mut Body) -> Option<Vec<u8>> {
        let Some(line) = self.line().await else {
            body.cut = true;
            return None;
        };
        let size = usize::from_str_radix(&line, 16);
        let size = size.unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
        if size == 0 {
            let trailers = self.fields().await;
            body.cut = trailers.is_none();
            body.trailers = trailers.unwrap_or_default();
            return None;
        }
        let mut chunk = vec![0; size];
        let whole = self.0.read_exact(&mut chunk).await.is_ok();
        if !whole || self.line().await.as_deref() != Some("") {
            body.cut = true;
            return None;
        }
        Some(chunk)
    }

    /// Waits until the other end closes or resets; fails when it sends something instead.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> impl Future<Output = ()> {
        within("the other end closes", async {
            let mut rest = Vec::new();
            let _ = self.0.read_to_end(&mut rest).await;
            assert!(rest.is_empty(), "instead of closing: {:?}", String::from_utf8_lossy(&rest));
        })
    }

    /// Reads a response to `method`, past any 1xx.
    #[track_caller]
    pub(crate) fn answer<'a>(&'a mut self, method: &str) -> impl Future<Output = Answer> + use<'a> {
        let method = method.to_owned();
        let place = std::panic::Location::caller();
        async move {
            loop {
                let head = self.head().await;
                let head = head.unwrap_or_else(|| panic!("closed without an answer, at {place}"));
                if head.status() < 200 {
                    continue;
                }
                let bodiless = head.is_bodiless(&method);
                let body = if bodiless { Body::default() } else { self.body(&head).await };
                return Answer { head, body };
            }
        }
    }

    /// Sends a request, with `content-length` when there is a body, and reads its response.
    #[track_caller]
    pub(crate) fn ask<'a>(
        &'a mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> impl Future<Output = Answer> + use<'a> {
        let request = request(method, target, headers, body);
        let method = method.to_owned();
        async move {
            self.send(request).await;
            self.answer(&method).await
        }
    }
}

/// Writes a request; `host` is `test` unless given.
pub(crate) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    let has = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    if !has("host") {
        text.push_str("host: test\r\n");
    }
    if !body.is_empty() && !has("transfer-encoding") {
        let _ = write!(text, "content-length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// Writes a response with `content-length`.
pub(crate) fn response(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// Writes one chunk; the empty one ends a body without trailers.
pub(crate) fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
