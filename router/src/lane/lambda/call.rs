//! One call of Lambda: sent, answered, and read as far as it must be to answer the client.

use std::{future::poll_fn, pin::pin, rc::Rc, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, header::HOST};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use super::{
    Account, Content, Function, InFlight, Invoked, OFF_THREAD,
    answer::{self, Refused},
    error::LambdaError,
    no_connection, open,
    sign::{CallPath, Signature},
    streaming::Streaming,
};
use crate::{
    lane::{
        Failure,
        body::Outgoing,
        budget::Buffered,
        pool::{Connection, Unsent},
    },
    serve::worker::Worker,
};

/// Bytes of an answer that are read: Lambda's own limit of 6 MB for a buffered response, and room for its escapes.
const ANSWER_MAX: usize = 7 * 1024 * 1024;

/// One call, with all that it needs to go on without its client.
pub(super) struct Call {
    pub(super) account: Account,
    pub(super) in_flight: InFlight,
    /// When it was sent.
    pub(super) sent: Instant,
    /// How long a connection may take.
    pub(super) connect: Duration,
    /// The method of the client's request.
    pub(super) method: Method,
    /// What the event takes of the buffer budget.
    pub(super) _held: Buffered,
}

impl Call {
    /// Sends the event and reads the answer: whole, or as far as its head when it is streamed.
    pub(super) async fn run(
        self,
        connection: Connection,
        fresh: bool,
        event: Bytes,
        signature: Signature,
    ) -> Result<Invoked, Failure> {
        let function = self.account.function.clone();
        let request = request(&function, &function.path, event, signature);
        let (mut connection, response) = self.send(connection, fresh, request).await?;
        let (head, mut body) = response.into_parts();
        if function.stream && head.status == StatusCode::OK {
            let streaming = Streaming::new(
                self.account,
                self.in_flight,
                self.sent,
                connection,
                body,
                &head.headers,
            );
            return streaming.begin().await;
        }
        let (answer, buffered) = self.read(&mut connection, &mut body).await?;
        self.account.worker.pool.put(connection, Instant::now());
        let parsed = parse(&function, &self.method, head.status, &head.headers, answer).await;
        let response = parsed.map_err(|(error, retry_after)| {
            self.account.error(error);
            error.failure(retry_after)
        })?;
        function.state.breaker.succeeded();
        let lambda_event::Response { status, headers, body, .. } = response;
        let took = self.sent.elapsed();
        let usage = function.state.meter.usage(&headers, &head.headers, took, function.memory_mb);
        Ok(Invoked { status, headers, content: Content::Whole(body, buffered, usage) })
    }

    /// Sends the request on `connection`, or on a new one when that had been closed by its other end.
    async fn send(
        &self,
        mut connection: Connection,
        mut fresh: bool,
        mut request: Request<Outgoing>,
    ) -> Result<(Connection, Response<Incoming>), Failure> {
        let function = &self.account.function;
        loop {
            match exchange(&mut connection, request).await {
                Ok(response) => return Ok((connection, response)),
                // Nothing of it left this process.
                Err(Some(unsent)) => {
                    request = *unsent;
                    let opened = if fresh {
                        None // it takes connections and closes them
                    } else {
                        timeout(self.connect, open(&function.endpoint)).await.ok()
                    };
                    connection = opened.and_then(Result::ok).ok_or_else(|| {
                        function.state.breaker.failed(super::Probe::DryRun);
                        no_connection()
                    })?;
                    fresh = true;
                }
                Err(None) => {
                    self.account.error(LambdaError::transport());
                    let detail = "Lambda closed the connection before it answered";
                    return Err(Failure::unknown(StatusCode::BAD_GATEWAY, detail));
                }
            }
        }
    }

    async fn read(
        &self,
        connection: &mut Connection,
        body: &mut Incoming,
    ) -> Result<(Bytes, Buffered), Failure> {
        let full =
            || Failure::ran(StatusCode::SERVICE_UNAVAILABLE, "the gateway's buffers are full");
        let buffered = self.account.worker.budget.take(0).ok_or_else(full)?;
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| connection.poll_frame(body, cx)).await {
            let frame = frame.map_err(|_| {
                self.account.error(LambdaError::transport());
                Failure::unknown(StatusCode::BAD_GATEWAY, "Lambda's answer broke off")
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if ANSWER_MAX < first.len() + rest.len() + data.len() {
                let error = LambdaError::response_too_large();
                self.account.error(error);
                return Err(error.failure(None));
            }
            if !buffered.grow(data.len() as u64) {
                return Err(full());
            }
            if first.is_empty() {
                first = data;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&first);
                }
                rest.extend_from_slice(&data);
            }
        }
        Ok((if rest.is_empty() { first } else { rest.freeze() }, buffered))
    }
}

/// Asks Lambda whether it would run the function, and tells the breaker.
pub(super) async fn dry_run(
    worker: &Rc<Worker>,
    function: &Arc<Function>,
    signature: Signature,
    connect: Duration,
) {
    let request = request(function, &function.dry_run, Bytes::from_static(b"{}"), signature);
    let answered = timeout(connect * 2, async {
        let mut connection = open(&function.endpoint).await.ok()?;
        let response = exchange(&mut connection, request).await.ok()?;
        worker.pool.put(connection, Instant::now());
        Some(response.status())
    });
    match answered.await {
        Ok(Some(status)) if status.is_success() => function.state.breaker.succeeded(),
        _ => function.state.breaker.failed(super::Probe::DryRun),
    }
}

async fn exchange(
    connection: &mut Connection,
    request: Request<Outgoing>,
) -> Result<Response<Incoming>, Unsent> {
    let mut response = pin!(connection.start(request));
    poll_fn(|cx| connection.poll_response(cx, response.as_mut())).await
}

fn request(
    function: &Function,
    path: &CallPath,
    event: Bytes,
    signature: Signature,
) -> Request<Outgoing> {
    let mut request = Request::new(Outgoing::Whole(event));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.uri.clone();
    let headers = request.headers_mut();
    headers.insert(HOST, function.endpoint.authority.clone());
    signature.write(headers);
    request
}

async fn parse(
    function: &Arc<Function>,
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<lambda_event::Response, Refused> {
    if status != StatusCode::OK {
        return Err(answer::service_error(status, headers, &body));
    }
    let format = function.format;
    if body.len() <= OFF_THREAD {
        return answer::read(format, method, headers, &body).map_err(|error| (error, None));
    }
    let (headers, method) = (headers.clone(), method.clone());
    tokio::task::spawn_blocking(move || answer::read(format, &method, &headers, &body))
        .await
        .expect("reading an answer neither panics nor is aborted")
        .map_err(|error| (error, None))
}
