//! Whether a request is traced, and what its trace looks like to others.
//!
//! A trace that a request brings goes on, and whoever began it has decided whether it is recorded; for a request without
//! one a share is drawn. What is recorded gets a span here, and the lane is told that span's id; what is not passes on as
//! it came. A `traceparent` that is none is taken off, and so is a `tracestate` that belongs to no trace: both would only
//! lead astray.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, request::Parts};
use policies::policy::Otlp;

use crate::{
    serve::worker::Worker,
    telemetry::otlp::context::{Context, RANDOM, SAMPLED},
};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Bytes of a path that are kept: what is longer is no path that a person looks for.
const PATH_MAX: usize = 1024;
/// Bytes of a host that are kept: names in DNS have no more.
const HOST_MAX: usize = 255;
/// Bytes of a `tracestate` that are kept: those that every hop must be able to carry (W3C Trace Context, section 3.3.1.5).
const STATE_MAX: usize = 512;

/// What becomes of a request's trace.
#[derive(Debug, Default)]
pub(super) enum Trace {
    /// Its headers pass as they came.
    #[default]
    Unrecorded,
    /// They are no trace: they are taken off.
    Broken,
    /// It is recorded.
    Recorded(Box<Traced>),
}

/// What is kept of a request that is recorded. Neither its query nor any of its headers but the two of its trace, and what
/// is of bounded length.
#[derive(Debug)]
pub(crate) struct Traced {
    /// The trace, and the span of this request.
    pub(crate) own: Context,
    /// The span of its way to a lane, which is what the lane is told.
    pub(crate) lane: u64,
    /// The span that it is a child of.
    pub(crate) parent: Option<u64>,
    /// What other tracing systems say along with it.
    pub(crate) state: Box<str>,
    /// The request's method.
    pub(crate) method: Method,
    /// Its path, without the query.
    pub(crate) path: Box<str>,
    /// The host that it asked for, with a port if it named one.
    pub(crate) host: Box<str>,
    /// The task that it was sent to.
    pub(crate) task: Option<Arc<str>>,
}

impl Trace {
    /// Decides about a request; `seen` says whether it has a header of a trace.
    pub(super) fn begin(otlp: &Otlp, head: &Parts, seen: bool, worker: &Worker) -> Self {
        let Some(share) = otlp.traces else { return Self::Unrecorded };
        let given = if seen { given(&head.headers) } else { Given::Nothing };
        let recorded = match given {
            Given::Trace(context) => context.is_sampled(),
            Given::Nothing | Given::Broken => is_drawn(worker.random(), share),
        };
        match (recorded, given) {
            (false, Given::Broken) => Self::Broken,
            (false, _) => Self::Unrecorded,
            (true, Given::Trace(context)) => {
                let state = state(&head.headers);
                Self::Recorded(Traced::new(head, Some(context), state, worker))
            }
            (true, _) => Self::Recorded(Traced::new(head, None, Box::default(), worker)),
        }
    }

    /// Makes the headers that go to a lane say so.
    pub(super) fn pass_on(&self, headers: &mut HeaderMap, worker: &Worker) {
        match self {
            Self::Unrecorded => {}
            Self::Broken => {
                headers.remove(TRACEPARENT);
                headers.remove(TRACESTATE);
            }
            Self::Recorded(traced) => {
                let context = Context { span: traced.lane, ..traced.own };
                headers.insert(TRACEPARENT, worker.short_value(&context.text()));
                if traced.parent.is_none() {
                    headers.remove(TRACESTATE);
                }
            }
        }
    }
}

impl Traced {
    fn new(head: &Parts, parent: Option<Context>, state: Box<str>, worker: &Worker) -> Box<Self> {
        let begun = || {
            let high = u128::from(worker.random()) << 64;
            (high | u128::from(id(worker)), SAMPLED | RANDOM)
        };
        let (trace, flags) = parent.map_or_else(begun, |parent| (parent.trace, parent.flags));
        Box::new(Self {
            own: Context { trace, span: id(worker), flags },
            lane: id(worker),
            parent: parent.map(|parent| parent.span),
            state,
            method: head.method.clone(),
            path: path(&head.uri),
            host: host(&head.headers),
            task: None,
        })
    }
}

/// What the headers of a request say about its trace.
#[derive(Clone, Copy)]
enum Given {
    Nothing,
    Broken,
    Trace(Context),
}

fn given(headers: &HeaderMap) -> Given {
    let mut parents = headers.get_all(TRACEPARENT).into_iter();
    match (parents.next(), parents.next()) {
        (Some(value), None) => Context::parse(value.as_bytes()).map_or(Given::Broken, Given::Trace),
        // Two of them, or the state of no trace.
        _ => Given::Broken,
    }
}

/// Returns whether a request of `share` of all is recorded, by a number drawn from all of 64 bits.
fn is_drawn(draw: u64, share: f64) -> bool {
    // 53 bits are what a double holds: a share of 1 takes all, one of 0 none.
    ((draw >> 11) as f64) < share * (1_u64 << 53) as f64
}

/// Returns a random id; 0 is none.
fn id(worker: &Worker) -> u64 {
    worker.random().max(1)
}

fn state(headers: &HeaderMap) -> Box<str> {
    let mut state = String::new();
    for value in headers.get_all(TRACESTATE) {
        let Ok(text) = value.to_str() else { return Box::default() };
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(text);
        if STATE_MAX < state.len() {
            return Box::default();
        }
    }
    state.into()
}

fn path(uri: &Uri) -> Box<str> {
    let path = uri.path();
    path[..path.floor_char_boundary(PATH_MAX)].into()
}

/// Returns the host as the client named it; nothing if it is no name, so that what else may stand there is not told.
fn host(headers: &HeaderMap) -> Box<str> {
    let plain = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    let host = headers.get(http::header::HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    if HOST_MAX < host.len() || !host.iter().all(plain) {
        return Box::default();
    }
    std::str::from_utf8(host).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use allocation_counter::measure;
    use http::Request;
    use policies::policy::Policy;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{fixture, lane::budget::BufferBudget};

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn worker() -> Worker {
        let world = Arc::new(fixture::world(&fixture::policy(fixture::POLICY)));
        let (recent, recorded) = (mpsc::channel(1).0, mpsc::channel(1).0);
        let budget = BufferBudget::new(1);
        Worker::new(world, fixture::shard(0), budget, None, recent, recorded)
    }

    fn policy(traces: &str) -> Arc<Policy> {
        let telemetry =
            format!("telemetry: {{ otlp: {{ endpoint: 'http://c', traces: {traces} }} }}\n");
        fixture::policy(&(fixture::POLICY.to_owned() + &telemetry))
    }

    fn head(headers: &[(&'static str, &str)]) -> Parts {
        let mut request = Request::get("/a?b=secret");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn sampled() -> String {
        GOOD.strip_suffix("0").map(|rest| format!("{rest}1")).unwrap()
    }

    fn traced(trace: Trace) -> Traced {
        match trace {
            Trace::Recorded(traced) => *traced,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_on_the_path_of_a_request_that_is_not_recorded_allocates() {
        let worker = worker();
        let (none, off) = (policy("0%"), policy("off"));
        let heads = [
            head(&[("host", "a")]),
            head(&[("host", "a"), ("traceparent", GOOD), ("tracestate", "a=1")]),
        ];
        let counted = measure(|| {
            for policy in [&none, &off] {
                for head in &heads {
                    let trace = Trace::begin(policy.otlp.as_ref().unwrap(), head, true, &worker);
                    assert!(!matches!(trace, Trace::Recorded(_)));
                }
            }
        });
        assert_eq!(counted.count_total, 0, "{counted:?}");
        let mut broken = head(&[("traceparent", "nonsense"), ("tracestate", "a=1")]);
        let counted = measure(|| {
            let otlp = none.otlp.as_ref().unwrap();
            Trace::begin(otlp, &broken, true, &worker).pass_on(&mut broken.headers, &worker);
        });
        assert_eq!((counted.count_total, broken.headers.len()), (0, 0));
        let control = measure(|| drop(std::hint::black_box(Box::new(1))));
        assert_eq!(control.count_total, 1, "the counter counts");
    }

    #[test]
    fn who_began_a_trace_decides_and_a_share_is_drawn_of_the_others() {
        let worker = worker();
        let (none, all) = (policy("0%"), policy("100%"));
        let begin = |policy: &Policy, head: &Parts| {
            Trace::begin(policy.otlp.as_ref().unwrap(), head, true, &worker)
        };
        let left = head(&[("traceparent", GOOD)]);
        assert!(matches!(begin(&all, &left), Trace::Unrecorded));
        let taken = head(&[("traceparent", &sampled()), ("tracestate", "a=1")]);
        let traced = traced(begin(&none, &taken));
        assert_eq!((traced.own.flags, &*traced.state, &*traced.path), (SAMPLED, "a=1", "/a"));
        let some = policy("25%");
        let drawn = (0..40_000).filter(|_| matches!(begin(&some, &head(&[])), Trace::Recorded(_)));
        // Four standard deviations of 10,000.
        let drawn = drawn.count();
        assert!((9_650..10_350).contains(&drawn), "{drawn}");
    }

    #[test]
    fn what_is_kept_is_bounded_and_names_are_names() {
        let worker = worker();
        let all = policy("100%");
        let sampled = sampled();
        let long = "x".repeat(STATE_MAX + 1);
        let head = |host: &str| {
            let mut head =
                head(&[("traceparent", &sampled), ("tracestate", &long), ("host", host)]);
            head.uri = format!("/{}?secret", "é".repeat(PATH_MAX)).parse().unwrap();
            head
        };
        let keep = |host: &str| {
            traced(Trace::begin(all.otlp.as_ref().unwrap(), &head(host), true, &worker))
        };
        let kept = keep("[::1]:80");
        assert_eq!((&*kept.host, &*kept.state), ("[::1]:80", ""));
        assert!((PATH_MAX - 3..=PATH_MAX).contains(&kept.path.len()), "{}", kept.path.len());
        for odd in ["me:secret@host", "a b", &"a".repeat(HOST_MAX + 1)] {
            assert_eq!(&*keep(odd).host, "", "{odd}");
        }
    }
}
