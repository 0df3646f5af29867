//! Reads task state change events from an SQS queue: one long poll at a time.
//!
//! Two calls of the API's JSON protocol, signed with AWS's `aws-sigv4` and sent over hyper: what an SDK for SQS would do
//! beyond that (retries, checksums, thirty more operations) has no use here, and a lost event costs only time.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use bytes::Bytes;
use http::{
    Request,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use policies::policy::Queue;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::events::Event;
use crate::{
    control::{aws::Aws, pace::Pace},
    lane::Endpoint,
    lane::pool::tls_config,
};

/// How long a call waits for a message: the longest that SQS allows (API reference, ReceiveMessage, `WaitTimeSeconds`).
const WAIT: Duration = Duration::from_secs(20);

/// How long a call may take beyond that.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Messages of one call: the most that SQS gives and deletes at once (API reference).
const BATCH: usize = 10;

/// Bytes of an answer that are read: ten messages of 256 KiB each, and what surrounds them.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// A queue that answers without a message sooner than this does not wait as it was asked to; it is given a pause then.
const HURRY: Duration = Duration::from_secs(1);

/// One queue, as the control loop knows it.
#[derive(Debug)]
pub(super) struct QueueState {
    pub(super) pace: Pace,
    heard: Instant,
}

impl QueueState {
    pub(super) fn new(now: Instant) -> Self {
        Self { pace: Pace::new(true, now), heard: now }
    }

    /// Notes a call that succeeded; the next follows at once.
    pub(super) fn heard(&mut self, now: Instant) {
        let hurried = now.duration_since(self.heard) < HURRY;
        self.heard = now;
        self.pace.succeeded(if hurried { HURRY / 5 } else { Duration::ZERO }, now);
    }
}

/// A reading of a queue to be made.
#[derive(Debug)]
pub(crate) struct Listen {
    pub(crate) queue: Queue,
    aws: Arc<Aws>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Received {
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    receipt_handle: String,
    #[serde(default)]
    body: String,
}

impl Listen {
    pub(super) fn new(queue: Queue, aws: Arc<Aws>) -> Self {
        Self { queue, aws }
    }

    /// Waits for messages, deletes them, and returns what they say. Those that say nothing of use are deleted, too: they
    /// would come again and again.
    pub(crate) async fn run(self) -> (Queue, Result<Vec<Event>, String>) {
        let events = self.read().await.map_err(|error| format!("{error:#}"));
        (self.queue, events)
    }

    async fn read(&self) -> anyhow::Result<Vec<Event>> {
        let ask = json!({
            "QueueUrl": &*self.queue.url,
            "MaxNumberOfMessages": BATCH,
            "WaitTimeSeconds": WAIT.as_secs(),
        });
        let received = self.call("ReceiveMessage", &ask, WAIT + CALL_TIMEOUT).await?;
        let received: Received = serde_json::from_slice(&received)
            .context("the answer to ReceiveMessage is not what SQS's API says")?;
        if received.messages.is_empty() {
            return Ok(Vec::new());
        }
        let entries = received.messages.iter().enumerate().map(
            |(n, message)| json!({ "Id": n.to_string(), "ReceiptHandle": message.receipt_handle }),
        );
        let delete = json!({ "QueueUrl": &*self.queue.url, "Entries": entries.collect::<Value>() });
        let deleted = self.call("DeleteMessageBatch", &delete, CALL_TIMEOUT).await;
        if let Err(error) = deleted {
            // What was read is good all the same; it will be read once more.
            tracing::debug!(
                queue = &*self.queue.url,
                error = format!("{error:#}"),
                "messages were not deleted"
            );
        }
        Ok(received.messages.iter().filter_map(|message| Event::read(&message.body)).collect())
    }

    /// Makes one call. Errors tell what was called and what the API said, and no secret.
    async fn call(&self, call: &str, ask: &Value, limit: Duration) -> anyhow::Result<Bytes> {
        let url = self.aws.sqs_endpoint(&self.queue);
        let endpoint = Endpoint::parse(&url)?;
        let request = self.request(call, &url, &endpoint, ask.to_string()).await?;
        let answer = timeout(limit, async {
            let address = (&*endpoint.host, endpoint.port);
            let tcp = timeout(CALL_TIMEOUT, TcpStream::connect(address)).await??;
            if endpoint.tls {
                let name = ServerName::try_from(endpoint.host.to_string())?;
                exchange(TlsConnector::from(tls_config()).connect(name, tcp).await?, request).await
            } else {
                exchange(tcp, request).await
            }
        });
        let said = || format!("SQS {call} at {url} for `{}`", self.queue.url);
        let (status, body) = answer.await.with_context(said)?.with_context(said)?;
        if !status.is_success() {
            let error: Value = serde_json::from_slice(&body).unwrap_or_default();
            let kind = error["__type"].as_str().unwrap_or("no error that SQS's API knows");
            bail!("{}: {status}, {}", said(), kind.rsplit('#').next().unwrap_or(kind));
        }
        Ok(body)
    }

    async fn request(
        &self,
        call: &str,
        url: &str,
        endpoint: &Endpoint,
        body: String,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let credentials = self.aws.credentials().await.map_err(anyhow::Error::msg)?;
        let target = format!("AmazonSQS.{call}");
        let headers =
            [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target.as_str())];
        let identity = credentials.into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.aws.region())
            .name("sqs")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let whole = format!("{}/", url.trim_end_matches('/'));
        let body_bytes = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new("POST", &whole, headers.into_iter(), body_bytes)?;
        let (signature, _) = sign(signable, &params)?.into_parts();
        let mut request = Request::post("/")
            .header(HOST, &endpoint.authority)
            .header(CONTENT_TYPE, headers[0].1)
            .header(headers[1].0, &target)
            .body(Full::from(body))?;
        signature.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// Sends `request` over `stream`, and reads the whole answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(http::StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("reading its answer: {error}"))?;
        Ok((status, body.to_bytes()))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The answer may have come whole with the end of the connection; if not, it says what is wrong.
        _ = connection => answer.await,
    }
}
