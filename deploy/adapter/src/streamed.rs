//! An answer that goes out as the app sends it.
//!
//! At most a piece or two are held: the app is read as fast as Lambda takes it. What goes wrong once it has begun cannot
//! change its status any more, and is told in trailers.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use lambda_event::stream::{self, DELIMITER_BYTES, PRELUDE_BYTES_MAX};
use tokio::time::{Instant, timeout, timeout_at};

use crate::app::App;
use crate::invoke::{Failure, give_up};
use crate::runtime_api::{self, Pieces};

/// How long to wait for room for the trailers: half of what is kept from the deadline for them.
const TRAILERS_TAKEN_MAX: Duration = Duration::from_millis(10);

/// When an invoke must have ended, and how long that was from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) time_left: Duration,
}

/// A response whose head is there.
#[derive(Debug)]
pub(crate) struct Streamed {
    /// With its delimiter.
    prelude: Bytes,
    body: Incoming,
    deadline: Deadline,
}

impl Streamed {
    pub(crate) fn begin(
        status: StatusCode,
        headers: &HeaderMap,
        body: Incoming,
        deadline: Deadline,
    ) -> Result<Self, Failure> {
        let mut prelude = Vec::with_capacity(512);
        stream::write_prelude(&mut prelude, status, headers);
        if PRELUDE_BYTES_MAX + DELIMITER_BYTES < prelude.len() {
            return Err(Failure::PreludeTooLarge);
        }
        Ok(Streamed { prelude: prelude.into(), body, deadline })
    }

    /// Sends it to where the Runtime API's call takes it from, and returns what it broke off with.
    pub(crate) async fn send(self, app: &mut App, mut pieces: Pieces) -> Option<Failure> {
        let Streamed { prelude, mut body, deadline } = self;
        let sent = timeout_at(deadline.at, async {
            if pieces.send_data(prelude).await.is_err() {
                return Ok(());
            }
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| Failure::Body(error.into()))?;
                // An app's own trailers have no place in the format.
                if let Ok(data) = frame.into_data()
                    && pieces.send_data(data).await.is_err()
                {
                    // The call has ended, and says how itself.
                    break;
                }
            }
            Ok(())
        });
        let sent = sent.await.unwrap_or(Err(Failure::Overrun(deadline.time_left)));
        let failure = give_up(app, sent.err()?).await;
        let trailers = runtime_api::failure(failure.error_type(), &failure.to_string());
        // Lambda may take nothing any more: a stream that breaks off then says as much as its trailers.
        if timeout(TRAILERS_TAKEN_MAX, pieces.send_trailers(trailers)).await.is_err() {
            pieces.abort(io::ErrorKind::TimedOut.into());
        }
        Some(failure)
    }
}
