//! A request on its way to a lane.
//!
//! It may be sent more than once: to a second task, or to the other lane. What that needs is kept as long as it can be
//! needed; a body that streams can be sent only once.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Method, Request, Uri, header::TRANSFER_ENCODING};
use http_body::Body;

use crate::lane::body::{Outgoing, Payload, Progress};

/// A request's line and headers, as they are sent on.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

/// A request on its way to a lane.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) head: Head,
    pub(crate) payload: Payload,
    /// How far the upload has come; only of a stream.
    pub(crate) progress: Option<Rc<Progress>>,
    /// Whether running it twice does no harm.
    pub(crate) repeatable: bool,
}

impl Outbound {
    /// Makes the request to send. Of what may have to be sent again a copy is kept: a task that was busy did not run it,
    /// whatever its method.
    pub(crate) fn request(&mut self) -> Request<Outgoing> {
        let mut request = Request::new(Outgoing::Empty);
        *request.method_mut() = self.head.method.clone();
        if matches!(self.payload, Payload::Stream(..)) {
            std::mem::swap(request.headers_mut(), &mut self.head.headers);
            std::mem::swap(request.uri_mut(), &mut self.head.uri);
            self.progress = Some(Rc::default());
        } else {
            request.headers_mut().clone_from(&self.head.headers);
            request.uri_mut().clone_from(&self.head.uri);
        }
        let body = self.payload.outgoing(self.progress.as_ref());
        if matches!(body, Outgoing::Stream(_)) && body.size_hint().exact().is_none() {
            // hyper takes a GET of unknown length for one without a body.
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        *request.body_mut() = body;
        request
    }

    /// Takes back a request of which nothing was sent.
    pub(crate) fn give_back(&mut self, request: Request<Outgoing>) {
        let (parts, body) = request.into_parts();
        self.head = Head { method: parts.method, uri: parts.uri, headers: parts.headers };
        self.payload.give_back(body);
    }

    /// Returns at most how large the event of this request with a body of `length` bytes would be.
    pub(super) fn event_size(&self, length: u64) -> u64 {
        let uri = &self.head.uri;
        let query = uri.query().map_or(0, str::len);
        lambda_event::event_size_max(&self.head.headers, uri.path().len(), query, length)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::lane::budget::BufferBudget;

    fn outbound(payload: Payload) -> Outbound {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer b"));
        let uri = Uri::from_static("/orders/7?force=1");
        Outbound {
            head: Head { method: Method::DELETE, uri, headers },
            payload,
            progress: None,
            repeatable: false,
        }
    }

    #[test]
    fn what_may_have_to_be_sent_again_goes_out_whole_each_time() {
        let held = BufferBudget::new(100).take(4).unwrap();
        let whole = Payload::Whole { bytes: Bytes::from_static(b"body"), _held: held };
        for payload in [Payload::Empty, whole] {
            let length = if matches!(payload, Payload::Empty) { 0 } else { 4 };
            let mut outbound = outbound(payload);
            for _ in 0..2 {
                assert!(outbound.payload.can_send());
                let request = outbound.request();
                assert_eq!(request.method(), Method::DELETE);
                assert_eq!(*request.uri(), "/orders/7?force=1");
                assert_eq!(request.headers()["authorization"], "Bearer b");
                assert_eq!(request.body().size_hint().exact(), Some(length));
            }
        }
    }
}
