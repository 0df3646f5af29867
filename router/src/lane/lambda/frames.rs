//! The frames in which a streamed answer comes: `application/vnd.amazon.eventstream`, decoded by AWS's own crate.

use aws_smithy_eventstream::{
    frame::{DecodedFrame, MessageFrameDecoder},
    smithy::parse_response_headers,
};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;

/// Bytes of one frame that are held to check it whole. Lambda cuts what a function writes into frames of some KiB to
/// 1 MiB; the format would allow 16 MiB.
pub(super) const FRAME_MAX: usize = 8 * 1024 * 1024;

/// One frame of a streamed answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A piece of what the function wrote.
    Chunk(Bytes),
    /// The end of the invocation.
    Complete(Complete),
    /// An error of the service, by its name.
    Exception(String),
}

/// What the last frame says.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Complete {
    /// Set when the function failed.
    pub(super) error_code: Option<String>,
    /// The function's own words; never passed on.
    pub(super) error_details: Option<String>,
    /// The end of the log, in base64, when it was asked for.
    pub(super) log_result: Option<String>,
}

/// The frames are damaged: a wrong checksum, an impossible length, an event that is none.
#[derive(Debug, thiserror::Error)]
#[error("the stream's frames are damaged: {0}")]
pub(super) struct Damaged(String);

/// Cuts bytes into frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    decoder: MessageFrameDecoder,
    bytes: BytesMut,
}

impl Frames {
    /// Adds bytes as they came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns how many bytes wait for the rest of their frame.
    pub(super) fn held(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the next frame; `None` until all of it has come.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Damaged> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let damaged = |error: aws_smithy_eventstream::error::Error| Damaged(error.to_string());
        let message = match self.decoder.decode_frame(&mut self.bytes).map_err(damaged)? {
            DecodedFrame::Complete(message) => message,
            DecodedFrame::Incomplete if FRAME_MAX < self.bytes.len() => {
                return Err(Damaged(format!("a frame of more than {FRAME_MAX} bytes")));
            }
            DecodedFrame::Incomplete => return Ok(None),
        };
        let headers = parse_response_headers(&message).map_err(damaged)?;
        let kind = headers.smithy_type.as_str();
        if headers.message_type.as_str() != "event" {
            return Ok(Some(Frame::Exception(kind.to_owned())));
        }
        let frame = match kind {
            "PayloadChunk" => Frame::Chunk(message.payload().clone()),
            "InvokeComplete" => {
                let complete = serde_json::from_slice(message.payload());
                Frame::Complete(complete.map_err(|error| Damaged(error.to_string()))?)
            }
            // A kind of event that is new to us is no part of the response.
            _ => Frame::Chunk(Bytes::new()),
        };
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};

    use super::*;

    fn event(kind: &'static str, payload: &'static [u8]) -> Vec<u8> {
        let text = |value: &'static str| HeaderValue::String(value.into());
        let message = Message::new(payload)
            .add_header(Header::new(":message-type", text("event")))
            .add_header(Header::new(":event-type", text(kind)));
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_come() {
        let mut bytes = event("PayloadChunk", b"hello");
        bytes.extend(event(
            "InvokeComplete",
            br#"{"ErrorCode":"Unhandled","ErrorDetails":"secret"}"#,
        ));
        for size in [1, 7, bytes.len()] {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                frames.push(piece);
                while let Some(frame) = frames.next().unwrap() {
                    found.push(frame);
                }
            }
            let [Frame::Chunk(chunk), Frame::Complete(complete)] = &found[..] else {
                panic!("{found:?}")
            };
            assert_eq!(&chunk[..], b"hello");
            assert_eq!(complete.error_code.as_deref(), Some("Unhandled"));
            assert_eq!(frames.held(), 0);
        }
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let mut bytes = event("PayloadChunk", b"hello");
        *bytes.last_mut().unwrap() ^= 1;
        let mut frames = Frames::default();
        frames.push(&bytes);
        frames.next().unwrap_err();
    }
}
