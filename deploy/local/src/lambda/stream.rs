//! InvokeWithResponseStream: `POST /2021-11-15/functions/{FunctionName}/response-streaming-invocations`.
//!
//! The answer is an event stream: a `PayloadChunk` for each chunk the function sends (one, when it does not stream), and
//! an `InvokeComplete` with the error and the log. As AWS was seen to do it: the HTTP content type is the event stream's,
//! and the function's own is `X-Amzn-Remapped-Content-Type`; the invocation type is ignored. An error that the function
//! has before it sends anything is in `InvokeComplete` alone; accounts were also seen to send it as payload, for which
//! there is a fault.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue as Value, Message};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, header::CONTENT_TYPE};
use http_body::Frame;
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    faults::{InvokeFault, StreamFault, When},
    lambda::{
        api::Asked,
        cut::{Break, Ordered},
        error::ServiceError,
        faulty,
        function_error::FunctionError,
        invoke::{self, PAYLOAD_BYTES_MAX, dropped, set},
        run::{Caller, End, Part, run},
    },
};

/// What an answer's content type is that names none.
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// What begins with a prelude: a status and headers.
const INTEGRATION: HeaderValue =
    HeaderValue::from_static("application/vnd.awslambda.http-integration-response");
/// A prelude that no reader should hold.
const PRELUDE_BYTES_OVERSIZED: usize = 1024 * 1024;

/// Answers one InvokeWithResponseStream.
pub(crate) async fn invoke(asked: Asked) -> Result<Response, ServiceError> {
    let job = invoke::job(&asked, PAYLOAD_BYTES_MAX)?;
    let version = job.version.name();
    let fault = asked.shared.faults.lambda.take(&job.function.name);
    let fault = match fault {
        None => None,
        Some(InvokeFault::Stream(fault)) => Some(fault),
        Some(InvokeFault::Drop(When::After)) => {
            invoke::whole(&asked.shared, job).await?;
            return Ok(dropped());
        }
        Some(InvokeFault::FunctionError { kind, message, handled }) => {
            let error = faulty::function_error(&kind, &message, handled);
            let mut frames = Frames::new(None, None, false);
            frames.complete(Some(&error), None);
            return Ok(respond(&version, OCTETS, frames));
        }
        Some(InvokeFault::Refuse(refusal)) => return Err(faulty::refused(&refusal, &job)),
        Some(InvokeFault::Hang) => return std::future::pending().await,
        Some(InvokeFault::Drop(When::Before)) => return Ok(dropped()),
        // No frames at all.
        Some(fault @ InvokeFault::Payload(_)) => {
            return faulty::instead(&fault, &job, &version).await;
        }
    };
    if fault == Some(StreamFault::OversizedPrelude) {
        let mut frames = Frames::new(None, None, false);
        let header = "x".repeat(PRELUDE_BYTES_OVERSIZED);
        frames.payload(format!("{{\"statusCode\":200,\"headers\":{{\"x\":\"{header}").into());
        frames.complete(None, None);
        return Ok(respond(&version, INTEGRATION, frames));
    }
    let seat = invoke::admit(&asked.shared, &job)?;
    // One chunk in the function's hands, one here, one in the socket: a slow caller slows the function.
    let (sender, mut parts) = mpsc::channel(1);
    asked.shared.work.spawn(run(asked.shared.clone(), job, seat, Caller::Stream(sender)));
    let first = parts.recv().await;
    let first = first.ok_or_else(|| ServiceError::service("the local cloud is stopping"))?;
    let mut frames = Frames::new(Some(parts), fault, asked.tail());
    let content_type = match first {
        Part::Head(content_type) => content_type,
        Part::Data(data) => {
            frames.data(&data);
            None
        }
        Part::End(end) => {
            let content_type = match end.as_ref() {
                Ok(outcome) => outcome.result.as_ref().ok().and_then(|a| a.content_type.clone()),
                Err(refusal) => return Err(refusal.clone()),
            };
            frames.end(*end);
            content_type
        }
    };
    Ok(respond(&version, content_type.unwrap_or(OCTETS), frames))
}

fn respond(version: &str, content_type: HeaderValue, frames: Frames) -> Response {
    let mut response = Body::new(frames).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.amazon.eventstream"));
    headers.insert("x-amzn-remapped-content-type", content_type);
    set(&mut response, "x-amz-executed-version", version);
    response
}

/// The body: parts of the answer as frames.
#[derive(Debug)]
struct Frames {
    /// None when there is nothing to come from a function.
    parts: Option<mpsc::Receiver<Part>>,
    ready: VecDeque<Bytes>,
    /// The connection breaks off after what is ready.
    cut: Option<Break>,
    /// Nothing comes after what is ready.
    over: bool,
    fault: Option<StreamFault>,
    /// Whether the log is wanted.
    tail: bool,
}

impl Frames {
    fn new(parts: Option<mpsc::Receiver<Part>>, fault: Option<StreamFault>, tail: bool) -> Self {
        Self { over: parts.is_none(), parts, ready: VecDeque::new(), cut: None, fault, tail }
    }

    /// Frames a chunk of the function's, or does to it what was ordered.
    fn data(&mut self, data: &Bytes) {
        let half = data.slice(..data.len() / 2);
        match self.fault {
            None | Some(StreamFault::ErrorAsPayload | StreamFault::NoComplete) => {
                self.payload(data.clone());
            }
            Some(StreamFault::Cut) => {
                self.payload(half);
                self.cut = Some(Break::default());
            }
            Some(StreamFault::Truncated) => {
                self.payload(half);
                self.complete(None, None);
                self.over = true;
            }
            Some(StreamFault::BadChecksum) => {
                self.payload(data.clone());
                if let Some(frame) = self.ready.back_mut() {
                    let mut bytes = frame.to_vec();
                    // The last byte is the checksum's.
                    if let Some(last) = bytes.last_mut() {
                        *last ^= 0xff;
                    }
                    *frame = bytes.into();
                }
            }
            Some(StreamFault::ErrorAfterPrelude) => {
                let prelude = data.windows(8).position(|eight| eight == [0; 8]);
                self.payload(data.slice(..prelude.map_or(data.len(), |at| at + 8)));
                let error = FunctionError::exited("", "exit status 1");
                self.complete(Some(&error), None);
                self.over = true;
            }
            Some(StreamFault::SplitPrelude) => {
                // So that prelude and delimiter straddle frames; three bytes divide neither evenly.
                let end = data.len().min(4096);
                for at in (0..end).step_by(3) {
                    self.payload(data.slice(at..(at + 3).min(end)));
                }
                if end < data.len() {
                    self.payload(data.slice(end..));
                }
                self.fault = None;
            }
            Some(StreamFault::UnknownEvent) => {
                self.event("PayloadMood", "application/json", Bytes::from_static(b"{}"));
                self.payload(data.clone());
            }
            Some(StreamFault::OversizedPrelude) => {}
        }
    }

    /// Frames the end, with the whole answer if the function did not stream.
    fn end(&mut self, end: End) {
        match end {
            Ok(outcome) => {
                let log = self.tail.then(|| outcome.report.tail());
                match outcome.result {
                    Ok(answer) => {
                        if !answer.body.is_empty() {
                            self.data(&answer.body);
                        }
                        if !self.over && self.fault != Some(StreamFault::NoComplete) {
                            self.complete(None, log);
                        }
                    }
                    Err(error) if self.fault == Some(StreamFault::ErrorAsPayload) => {
                        self.payload(error.body.to_string().into());
                        self.complete(None, log);
                    }
                    Err(error) => self.complete(Some(&error), log),
                }
            }
            Err(refusal) => {
                let error = FunctionError::of_runtime(&refusal.kind, &refusal.message);
                self.complete(Some(&error), None);
            }
        }
        self.over = true;
    }

    fn payload(&mut self, data: Bytes) {
        self.event("PayloadChunk", "application/octet-stream", data);
    }

    fn complete(&mut self, error: Option<&FunctionError>, log: Option<String>) {
        let mut complete = json!({});
        if let Some(error) = error {
            complete["ErrorCode"] = error.kind().into();
            complete["ErrorDetails"] = error.body.to_string().into();
        }
        if let Some(log) = log {
            complete["LogResult"] = log.into();
        }
        self.event("InvokeComplete", "application/json", complete.to_string().into());
    }

    fn event(&mut self, kind: &'static str, content_type: &'static str, payload: Bytes) {
        let header = |name: &'static str, value: &'static str| {
            Header::new(name, Value::String(value.into()))
        };
        let message = Message::new(payload)
            .add_header(header(":message-type", "event"))
            .add_header(header(":event-type", kind))
            .add_header(header(":content-type", content_type));
        let mut frame = Vec::new();
        // Fails for what no frame can hold; chunks are far smaller.
        match write_message_to(&message, &mut frame) {
            Ok(()) => self.ready.push_back(frame.into()),
            Err(_) => self.cut = Some(Break::default()),
        }
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Ordered;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Ordered>>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(ready))));
            }
            if let Some(cut) = &mut self.cut {
                return cut.poll(context).map(|cut| Some(Err(cut)));
            }
            if self.over {
                return Poll::Ready(None);
            }
            let Some(parts) = &mut self.parts else { return Poll::Ready(None) };
            match ready!(parts.poll_recv(context)) {
                Some(Part::Head(_)) => {}
                Some(Part::Data(data)) => self.data(&data),
                Some(Part::End(end)) => self.end(*end),
                // The cloud is stopping.
                None => self.cut = Some(Break::default()),
            }
        }
    }
}
