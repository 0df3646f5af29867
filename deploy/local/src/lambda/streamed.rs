//! An answer that a process sends in chunks, on its way from the Runtime API to whoever waits for it.
//!
//! One chunk is held at a time: who reads slowly makes the process write slowly, whatever the answer's size.

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::lambda::function_error::FunctionError;

/// A part of the answer. A channel that closes without [`Chunk::End`] was cut: the process broke off.
#[derive(Debug)]
pub(crate) enum Chunk {
    Data(Bytes),
    /// The trailers told of an error; nothing comes after.
    Error(FunctionError),
    End,
}

/// The receiving end.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) chunks: mpsc::Receiver<Chunk>,
}

/// Nobody wants the rest.
#[derive(Debug)]
pub(crate) struct Unwanted;

/// A channel for one answer.
pub(crate) fn channel(content_type: Option<HeaderValue>) -> (mpsc::Sender<Chunk>, Streamed) {
    let (sender, chunks) = mpsc::channel(1);
    (sender, Streamed { content_type, chunks })
}

/// Passes a body on, chunk by chunk, and its trailers as the error they tell of.
///
/// # Errors
/// When the receiver has gone.
pub(crate) async fn pass_on(mut body: Body, chunks: mpsc::Sender<Chunk>) -> Result<(), Unwanted> {
    let mut last = Chunk::End;
    while let Some(frame) = body.frame().await {
        // The process broke off: the channel closes without an end.
        let Ok(frame) = frame else { return Ok(()) };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => chunks.send(Chunk::Data(data)).await.map_err(|_| Unwanted)?,
            Err(frame) => {
                if let Some(error) = frame.trailers_ref().and_then(trailers) {
                    last = Chunk::Error(error);
                }
            }
        }
    }
    chunks.send(last).await.map_err(|_| Unwanted)
}

/// The error in a response's trailers: its type, and its JSON in base64 (Lambda developer guide, "Building a custom
/// runtime", response streaming; read 2026-11).
fn trailers(trailers: &HeaderMap) -> Option<FunctionError> {
    let text = |name: &str| trailers.get(name)?.to_str().ok();
    let kind = text("lambda-runtime-function-error-type")?;
    let body = text("lambda-runtime-function-error-body").unwrap_or_default();
    let body = BASE64.decode(body).unwrap_or_else(|_| body.as_bytes().to_vec());
    Some(FunctionError::reported(Some(kind), &body))
}
