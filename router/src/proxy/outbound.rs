//! A request on its way to a lane.
//!
//! It may be sent more than once: to a second task, or to the other lane. What that needs is kept as long as it can be
//! needed; a body that streams can be sent only once.

use std::rc::Rc;

use http::{
    HeaderName, HeaderValue, Request,
    header::{HOST, TRANSFER_ENCODING},
    request::Parts,
};
use http_body::Body;
use hyper::body::Incoming;
use lambda_event::Format;

use crate::lane::body::{Outgoing, Payload, Progress};

/// A request on its way to a lane.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Its line and headers, as they came and then as they are sent on.
    pub(crate) head: Parts,
    pub(crate) payload: Payload,
    /// How far the upload has come; only of a stream.
    pub(crate) progress: Option<Rc<Progress>>,
    /// Whether running it twice does no harm.
    pub(crate) repeatable: bool,
    /// The format of its event, if it became one.
    pub(crate) format: Format,
    /// It came without a `Host`.
    pub(crate) hostless: bool,
    /// Its headers while they are on their way, when it can be sent again: a list is copied in a third of the time of a
    /// map.
    pub(crate) copied: HeaderList,
}

/// Headers in order.
pub(crate) type HeaderList = Vec<(HeaderName, HeaderValue)>;

impl Outbound {
    /// Takes a request as it came; `copied` is an empty list.
    pub(super) fn new(request: Request<Incoming>, copied: HeaderList) -> Self {
        let (head, body) = request.into_parts();
        let payload =
            if body.is_end_stream() { Payload::Empty } else { Payload::Stream(None, body) };
        Self {
            head,
            payload,
            progress: None,
            repeatable: false,
            format: Format::ApigwV2,
            hostless: false,
            copied,
        }
    }

    /// Makes the request to send. Of what may have to be sent again a copy is kept: a task that was busy did not run it,
    /// whatever its method. One that came without a `Host` gets `authority`.
    pub(crate) fn request(&mut self, authority: impl FnOnce() -> HeaderValue) -> Request<Outgoing> {
        let mut request = Request::new(Outgoing::Empty);
        *request.method_mut() = self.head.method.clone();
        if matches!(self.payload, Payload::Stream(..)) {
            std::mem::swap(request.uri_mut(), &mut self.head.uri);
            self.progress = Some(Rc::default());
        } else {
            let headers = self.head.headers.iter();
            self.copied.extend(headers.map(|(name, value)| (name.clone(), value.clone())));
            request.uri_mut().clone_from(&self.head.uri);
        }
        std::mem::swap(request.headers_mut(), &mut self.head.headers);
        if self.hostless {
            request.headers_mut().insert(HOST, authority());
        }
        let body = self.payload.outgoing(self.progress.as_ref());
        if matches!(body, Outgoing::Stream(_)) && body.size_hint().exact().is_none() {
            // hyper takes a GET of unknown length for one without a body.
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        *request.body_mut() = body;
        request
    }

    /// Makes it ready to be sent again.
    pub(crate) fn restore(&mut self) {
        self.head.headers.extend(self.copied.drain(..));
    }

    /// Takes back a request of which nothing was sent.
    pub(crate) fn give_back(&mut self, request: Request<Outgoing>) {
        self.copied.clear();
        let (head, body) = request.into_parts();
        self.head = head;
        self.payload.give_back(body);
    }

    /// Returns at most how large the event of this request with a body of `length` bytes would be.
    pub(super) fn event_size(&self, length: u64) -> u64 {
        let uri = &self.head.uri;
        let query = uri.query().map_or(0, str::len);
        self.format.event_size_max(&self.head.headers, uri.path().len(), query, length)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Method;

    use super::*;
    use crate::lane::budget::BufferBudget;

    fn outbound(payload: Payload) -> Outbound {
        let request = Request::delete("/orders/7?force=1")
            .header("authorization", "Bearer b")
            .header("x-twice", "1")
            .header("x-twice", "2");
        let (head, ()) = request.body(()).unwrap().into_parts();
        Outbound {
            head,
            payload,
            progress: None,
            repeatable: false,
            format: Format::ApigwV2,
            hostless: false,
            copied: Vec::new(),
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
                let request = outbound.request(|| unreachable!());
                assert_eq!(request.method(), Method::DELETE);
                assert_eq!(*request.uri(), "/orders/7?force=1");
                assert_eq!(request.headers()["authorization"], "Bearer b");
                assert!(request.headers().get_all("x-twice").iter().eq(["1", "2"]));
                assert_eq!(request.body().size_hint().exact(), Some(length));
                outbound.restore();
            }
        }
    }
}
