//! Finds the end of the prelude in a stream that comes in pieces, wherever they are cut.

use bytes::Bytes;
use http::header::CONTENT_TYPE as CONTENT_TYPE_HEADER;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{CONTENT_TYPE, DELIMITER_BYTES, Head, PRELUDE_BYTES_MAX, Piece, StreamError};
use crate::response;

/// Takes a function's streamed response apart.
#[derive(Debug)]
pub struct Reader {
    state: State,
}

#[derive(Debug)]
enum State {
    /// There is no prelude; the head is this one, and goes out with the first piece.
    Ready(Head),
    /// Within the prelude, or within the zero bytes after it.
    Prelude {
        held: Vec<u8>,
        zeros: usize,
    },
    Body,
    /// It failed before; nothing more is read.
    Failed,
}

impl Reader {
    /// Begins with a stream's content type: that of InvokeWithResponseStream's answer.
    ///
    /// With any other than [`CONTENT_TYPE`] all bytes are the body of a 200 with that type, or with
    /// `application/octet-stream` if there is none.
    #[must_use]
    pub fn new(content_type: Option<&HeaderValue>) -> Self {
        let has_prelude = content_type.is_some_and(|value| {
            let essence = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(CONTENT_TYPE.as_bytes())
        });
        if has_prelude {
            return Reader { state: State::Prelude { held: Vec::new(), zeros: 0 } };
        }
        let content_type = content_type.cloned();
        let content_type =
            content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let headers = HeaderMap::from_iter([(CONTENT_TYPE_HEADER, content_type)]);
        Reader { state: State::Ready(Head { status: StatusCode::OK, headers }) }
    }

    /// Takes the next piece of the stream, of any length.
    ///
    /// # Errors
    ///
    /// When there is no head to be had from this stream. What comes later is then ignored.
    pub fn push(&mut self, chunk: Bytes) -> Result<Piece, StreamError> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Body => {
                self.state = State::Body;
                Ok(Piece { head: None, body: chunk })
            }
            State::Ready(head) => {
                self.state = State::Body;
                Ok(Piece { head: Some(head), body: chunk })
            }
            State::Prelude { held, zeros } => self.push_prelude(held, zeros, chunk),
            State::Failed => Ok(Piece::default()),
        }
    }

    /// Tells that the stream ended well, and returns the head if no piece brought it: a body may be empty.
    ///
    /// # Errors
    ///
    /// When the stream ended within the prelude.
    pub fn finish(self) -> Result<Option<Head>, StreamError> {
        match self.state {
            State::Ready(head) => Ok(Some(head)),
            State::Prelude { held, zeros } => Err(StreamError::Truncated(held.len() + zeros)),
            State::Body | State::Failed => Ok(None),
        }
    }

    fn push_prelude(
        &mut self,
        mut held: Vec<u8>,
        mut zeros: usize,
        mut chunk: Bytes,
    ) -> Result<Piece, StreamError> {
        if zeros == 0 {
            // JSON has no zero bytes, so the first one ends the prelude.
            let length = chunk.iter().position(|&byte| byte == 0).unwrap_or(chunk.len());
            if PRELUDE_BYTES_MAX < held.len() + length {
                return Err(StreamError::TooLong);
            }
            let prelude = chunk.split_to(length);
            if held.is_empty() && DELIMITER_BYTES <= zeros_at_start(&chunk) {
                // The common case: all of it in one piece, which needs no copy.
                return self.complete(&prelude, chunk.split_off(DELIMITER_BYTES));
            }
            held.extend_from_slice(&prelude);
        }
        let more = zeros_at_start(&chunk).min(DELIMITER_BYTES - zeros);
        zeros += more;
        let rest = chunk.split_off(more);
        if zeros == DELIMITER_BYTES {
            return self.complete(&Bytes::from(held), rest);
        }
        if !rest.is_empty() {
            return Err(StreamError::Delimiter(zeros));
        }
        self.state = State::Prelude { held, zeros };
        Ok(Piece::default())
    }

    fn complete(&mut self, prelude: &Bytes, body: Bytes) -> Result<Piece, StreamError> {
        let (status, headers) = response::read_prelude(prelude)?;
        self.state = State::Body;
        Ok(Piece { head: Some(Head { status, headers }), body })
    }
}

fn zeros_at_start(bytes: &[u8]) -> usize {
    bytes.iter().take(DELIMITER_BYTES).take_while(|&&byte| byte == 0).count()
}
