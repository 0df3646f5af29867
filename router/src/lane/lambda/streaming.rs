//! A response that a function streams.
//!
//! It is read as the client takes it, so that a slow client slows the function down and no more than a frame is held. A
//! client that goes away does not stop the function, nor its bill: the rest is read in the background and thrown away,
//! until Lambda says what became of it.

use std::{
    fmt,
    future::poll_fn,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use hyper::body::Incoming;
use lambda_event::{
    log_tail,
    stream::{Head, Reader},
};
use predictor::outcome::Usage;
use tokio::time::{Instant, timeout};

use super::{
    Account, Content, GRACE, InFlight, Invoked,
    error::LambdaError,
    frames::{Complete, Frame, Frames},
    usage,
};
use crate::lane::{Failure, budget::Buffered, pool::Connection};

/// Bytes of an unfinished frame that are held without being counted against `limits.buffered`: what one read brings.
const FREE: usize = 64 * 1024;

/// A streamed response whose rest is still to be read. Dropped before its end, it is finished in the background.
pub(crate) struct Streaming(Option<Box<Stream>>);

struct Stream {
    account: Account,
    /// Until it ends.
    _in_flight: InFlight,
    sent: Instant,
    connection: Option<Connection>,
    body: Incoming,
    frames: Frames,
    /// Taken when the function has written everything.
    reader: Option<Reader>,
    /// The piece of the body that came with the head.
    first: Bytes,
    /// What the frame that is coming takes of the buffer budget.
    held: Option<(usize, Buffered)>,
    /// What the adapter's prelude told of its start.
    cold_start: Option<bool>,
    usage: Option<Usage>,
}

/// What reading on brings.
enum Step {
    Head(Head, Bytes),
    Body(Bytes),
    /// The function has ended well, and all has been read.
    End,
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").finish_non_exhaustive()
    }
}

impl Streaming {
    /// Takes an answer whose status is 200 and whose headers are `answer`.
    pub(super) fn new(
        account: Account,
        in_flight: InFlight,
        sent: Instant,
        connection: Connection,
        body: Incoming,
        answer: &HeaderMap,
    ) -> Self {
        let stream = Stream {
            account,
            _in_flight: in_flight,
            sent,
            connection: Some(connection),
            body,
            frames: Frames::default(),
            reader: Some(Reader::new(content_type(answer))),
            first: Bytes::new(),
            held: None,
            cold_start: None,
            usage: None,
        };
        Self(Some(Box::new(stream)))
    }

    /// Reads as far as the head of the response.
    pub(super) async fn begin(mut self) -> Result<Invoked, Failure> {
        let stream = self.0.as_mut().expect("it has not ended");
        let step = poll_fn(|cx| stream.poll(cx)).await;
        match step {
            Ok(Step::Head(Head { status, headers }, first)) => {
                stream.first = first;
                Ok(Invoked { status, headers, content: Content::Streaming(Box::new(self)) })
            }
            Ok(Step::Body(_) | Step::End) => {
                self.end();
                Err(LambdaError::invalid_response().failure(None))
            }
            Err(error) => {
                self.end();
                Err(error.failure(None))
            }
        }
    }

    /// Reads the next piece of the body; an error means that the client must not take what it has for the whole.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ()>>> {
        let Some(stream) = &mut self.0 else { return Poll::Ready(None) };
        if !stream.first.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut stream.first))));
        }
        match ready!(stream.poll(cx)) {
            Ok(Step::Body(piece)) => Poll::Ready(Some(Ok(piece))),
            // A head after the head is no body; the reader never gives one.
            Ok(Step::Head(..) | Step::End) => Poll::Ready(None),
            Err(_) => Poll::Ready(Some(Err(()))),
        }
    }

    /// Returns what the call used once it has ended; else leaves that to be counted when it does.
    pub(crate) fn end(&mut self) -> Option<Usage> {
        let usage = self.0.as_ref()?.usage?;
        self.0 = None;
        Some(usage)
    }
}

/// Returns the type that the function gave its response. Lambda documents `Content-Type` for it, and was seen to answer
/// with that of the frames there and the function's own in a header of its own.
fn content_type(answer: &HeaderMap) -> Option<&HeaderValue> {
    const REMAPPED: &str = "x-amzn-remapped-content-type";
    const FRAMES: &[u8] = b"application/vnd.amazon.eventstream";
    answer
        .get(REMAPPED)
        .or_else(|| answer.get(CONTENT_TYPE).filter(|value| !value.as_bytes().starts_with(FRAMES)))
}

impl Drop for Streaming {
    fn drop(&mut self) {
        let Some(mut stream) = self.0.take() else { return };
        if stream.usage.is_some() {
            return;
        }
        let grace = stream.account.function.timeout + GRACE;
        tokio::task::spawn_local(async move {
            let rest = async {
                while !matches!(poll_fn(|cx| stream.poll(cx)).await, Ok(Step::End) | Err(_)) {}
            };
            let _ = timeout(grace, rest).await;
            let usage = stream.usage.unwrap_or_else(|| stream.estimate());
            stream.account.count_late(usage);
        });
    }
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, LambdaError>> {
        loop {
            match self.frames.next() {
                Ok(Some(Frame::Chunk(bytes))) => {
                    self.held = None;
                    if let Some(step) = self.read(bytes)? {
                        return Poll::Ready(Ok(step));
                    }
                }
                Ok(Some(Frame::Complete(complete))) => {
                    if let Some(head) = self.complete(&complete)? {
                        return Poll::Ready(Ok(Step::Head(head, Bytes::new())));
                    }
                }
                Ok(Some(Frame::Exception(name))) => {
                    let status = StatusCode::INTERNAL_SERVER_ERROR;
                    return self.fail(LambdaError::of_service(status, &name, ""));
                }
                Ok(None) => match ready!(self.poll_bytes(cx)) {
                    Some(Ok(())) => {}
                    None if self.reader.is_none() => {
                        if let Some(connection) = self.connection.take() {
                            self.account.worker.pool.put(connection, Instant::now());
                        }
                        return Poll::Ready(Ok(Step::End));
                    }
                    None | Some(Err(())) => return self.fail(LambdaError::broken_stream()),
                },
                Err(damaged) => {
                    tracing::debug!(%damaged, "a streamed answer is damaged");
                    return self.fail(LambdaError::broken_stream());
                }
            }
        }
    }

    /// Reads what has come; `None` at the end of the answer.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), ()>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        let Some(frame) = ready!(connection.poll_frame(&mut self.body, cx)) else {
            return Poll::Ready(None);
        };
        let Ok(frame) = frame else { return Poll::Ready(Some(Err(()))) };
        if let Some(bytes) = frame.data_ref() {
            self.frames.push(bytes);
        }
        Poll::Ready(Some(self.hold()))
    }

    /// Counts a large frame against the buffer budget while it comes.
    fn hold(&mut self) -> Result<(), ()> {
        let coming = self.frames.held();
        if coming <= FREE {
            return Ok(());
        }
        let (counted, share) = match self.held.take() {
            Some(held) => held,
            None => (0, self.account.worker.budget.take(0).ok_or(())?),
        };
        let fits = share.grow(coming.saturating_sub(counted) as u64);
        self.held = Some((coming.max(counted), share));
        if fits { Ok(()) } else { Err(()) }
    }

    fn read(&mut self, bytes: Bytes) -> Result<Option<Step>, LambdaError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let piece = reader.push(bytes).map_err(|error| {
            tracing::debug!(%error, "the function's stream is not an HTTP response");
            self.failed(LambdaError::invalid_response())
        })?;
        Ok(match piece.head {
            Some(head) => {
                self.cold_start = usage::cold_start(&head.headers);
                Some(Step::Head(head, piece.body))
            }
            None if piece.body.is_empty() => None,
            None => Some(Step::Body(piece.body)),
        })
    }

    /// Takes the end of the invocation. Returns the head of a response that has no body.
    fn complete(&mut self, complete: &Complete) -> Result<Option<Head>, LambdaError> {
        let function = &self.account.function;
        let took = self.sent.elapsed();
        let log = complete.log_result.as_ref().and_then(|log| log_tail::read(log.as_bytes()));
        self.usage = Some(match log {
            Some(report) => function.state.meter.reported(&report, took),
            None => self.estimate(),
        });
        if let Some(code) = complete.error_code.as_deref().filter(|code| !code.is_empty()) {
            let details = complete.error_details.as_deref().unwrap_or_default();
            let error = LambdaError::of_function(code, code, details);
            return Err(self.failed(error));
        }
        function.state.breaker.succeeded();
        let Some(reader) = self.reader.take() else { return Ok(None) };
        reader.finish().map_err(|error| {
            tracing::debug!(%error, "the function's stream is not an HTTP response");
            self.failed(LambdaError::invalid_response())
        })
    }

    /// Returns what it used, as far as nothing was reported.
    fn estimate(&self) -> Usage {
        let usage = self.account.function.estimate(self.sent.elapsed());
        Usage { cold_start: self.cold_start, ..usage }
    }

    fn fail<T>(&mut self, error: LambdaError) -> Poll<Result<T, LambdaError>> {
        Poll::Ready(Err(self.failed(error)))
    }

    /// Notes that nothing more will come of it.
    fn failed(&mut self, error: LambdaError) -> LambdaError {
        self.account.error(error);
        self.connection = None;
        if self.usage.is_none() {
            self.usage = Some(self.estimate());
        }
        error
    }
}
