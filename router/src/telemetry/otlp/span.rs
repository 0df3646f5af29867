//! A finished request as spans: one of the gateway, and below it one of the lane that answered.
//!
//! Names and attributes are OpenTelemetry's for HTTP where it has some, and `pacer.*` where it has none. What may be
//! secret is not here to be left out: no query, no header, no address of a client, no body.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, SpanFlags, Status, span::SpanKind, status::StatusCode},
};
use policies::{
    decide::Lane,
    policy::{Policy, Route},
    route::PathPattern,
};
use predictor::outcome::{End, Outcome};

use super::context::Context;
use crate::proxy::Traced;

/// A request that has ended and is to be told of.
#[derive(Debug)]
pub(crate) struct Finished {
    /// What was kept of it.
    pub(crate) traced: Box<Traced>,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// When it was handed to its lane last, in microseconds of Unix time; `None` when it came to none.
    pub(crate) sent_us: Option<u64>,
    /// What it was called.
    pub(crate) request_id: String,
    /// The policy that it was served by.
    pub(crate) policy: Arc<Policy>,
}

impl Finished {
    /// Returns its spans.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        [Some(self.server()), self.lane()].into_iter().flatten()
    }

    fn server(&self) -> Span {
        let Self { traced, outcome, .. } = self;
        let route = self.route();
        let pattern = route.map(pattern);
        let method = known(traced.method.as_str());
        let name = match (&pattern, method) {
            (Some(pattern), Some(method)) => format!("{method} {pattern}"),
            (Some(pattern), None) => format!("HTTP {pattern}"),
            (None, method) => method.unwrap_or("HTTP").to_owned(),
        };
        let mut attributes = vec![
            text("http.request.method", method.unwrap_or("_OTHER")),
            text("url.scheme", "http"),
            text("url.path", &*traced.path),
            text("pacer.request_id", &*self.request_id),
            text("pacer.end", outcome.end.as_str()),
        ];
        attributes.extend(pattern.map(|pattern| text("http.route", pattern)));
        attributes.extend(host(&traced.host));
        if outcome.status != 0 {
            attributes.push(number("http.response.status_code", outcome.status));
        }
        attributes.extend(route.map(|route| text("pacer.route", &*route.name)));
        attributes.extend(self.service().map(|service| text("pacer.service", service)));
        attributes.extend(outcome.lane.map(|lane| text("pacer.lane", lane.as_str())));
        if let Some(decision) = &outcome.decision {
            attributes.push(text("pacer.class", decision.class.as_str()));
            attributes.push(text("pacer.reason", decision.reason.as_str()));
        }
        attributes.extend(outcome.spill.map(|spill| text("pacer.spill", spill.as_str())));
        attributes.extend(outcome.usage.cold_start.map(|cold| flag("pacer.cold_start", cold)));
        attributes.push(real("pacer.queue_wait_ms", f64::from(outcome.queue_wait_us) / 1e3));
        attributes.push(number("pacer.retries", outcome.retries));
        let failed = error(outcome);
        attributes.extend(failed.as_ref().map(|error| text("error.type", &**error)));
        Span {
            trace_state: traced.state.to_string(),
            parent_span_id: traced.parent.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
            flags: flags(traced.own, traced.parent.is_some()),
            end_time_unix_nano: nanos(outcome.arrived_us + u64::from(outcome.total_us)),
            status: failed.map(|_| failure()),
            ..span(traced.own, name, SpanKind::Server, outcome.arrived_us, attributes)
        }
    }

    /// The way to the lane and back; of a request that was sent again, the last time.
    fn lane(&self) -> Option<Span> {
        let Self { traced, outcome, .. } = self;
        let (lane, sent_us) = (outcome.lane?, self.sent_us?);
        let service = self.service().unwrap_or_default();
        let mut attributes =
            vec![text("pacer.lane", lane.as_str()), text("pacer.service", service)];
        attributes.extend(traced.task.as_ref().map(|task| text("pacer.task", &**task)));
        if lane == Lane::Lambda {
            attributes.push(text("faas.invoked_provider", "aws"));
            attributes.extend(outcome.usage.cold_start.map(|cold| flag("pacer.cold_start", cold)));
        }
        let failed = error(outcome).filter(|_| outcome.end != End::Refused);
        attributes.extend(failed.as_ref().map(|error| text("error.type", &**error)));
        let own = Context { span: traced.lane, ..traced.own };
        let name = format!("{} {service}", lane.as_str());
        let end_us = outcome.arrived_us + u64::from(outcome.total_us);
        Some(Span {
            trace_state: traced.state.to_string(),
            parent_span_id: traced.own.span.to_be_bytes().to_vec(),
            flags: flags(own, false),
            end_time_unix_nano: nanos(end_us.min(sent_us + u64::from(outcome.service_us))),
            status: failed.map(|_| failure()),
            ..span(own, name, SpanKind::Client, sent_us, attributes)
        })
    }

    fn route(&self) -> Option<&Route> {
        Some(self.policy.route(self.outcome.route?))
    }

    fn service(&self) -> Option<&str> {
        Some(&self.policy.service(self.route()?.service).name)
    }
}

fn span(
    own: Context,
    name: String,
    kind: SpanKind,
    start_us: u64,
    attributes: Vec<KeyValue>,
) -> Span {
    Span {
        trace_id: own.trace.to_be_bytes().to_vec(),
        span_id: own.span.to_be_bytes().to_vec(),
        name,
        kind: kind.into(),
        start_time_unix_nano: nanos(start_us),
        attributes,
        ..Span::default()
    }
}

fn failure() -> Status {
    // The sentence that the client got says no more than the status does.
    Status { message: String::new(), code: StatusCode::Error.into() }
}

/// Returns the flags of a trace, and whether the parent is another process's.
fn flags(own: Context, remote: bool) -> u32 {
    let known = SpanFlags::ContextHasIsRemoteMask as u32;
    let remote = if remote { SpanFlags::ContextIsRemoteMask as u32 } else { 0 };
    u32::from(own.flags) | known | remote
}

const fn nanos(us: u64) -> u64 {
    us.saturating_mul(1000)
}

/// Returns what went wrong, if anything did: by the status, or by how it ended without a whole one. A client that went
/// away had nothing broken.
fn error(outcome: &Outcome) -> Option<String> {
    match outcome.end {
        _ if 500 <= outcome.status => Some(outcome.status.to_string()),
        End::LaneFailed | End::TimedOut if outcome.status < 400 => {
            Some(outcome.end.as_str().into())
        }
        _ => None,
    }
}

/// Returns a method that everybody knows: others are made up by clients.
fn known(method: &str) -> Option<&'static str> {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method)
}

/// Returns the path of a route as a template: of few values, however many paths match.
fn pattern(route: &Route) -> String {
    match &route.matches.path {
        PathPattern::Any => "/*".to_owned(),
        PathPattern::Exact(path) => path.to_string(),
        PathPattern::Prefix(prefix) => format!("{}/*", prefix.trim_end_matches('/')),
    }
}

/// Returns a host and its port as two attributes.
fn host(host: &str) -> impl Iterator<Item = KeyValue> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => match port.parse::<u16>() {
            Ok(port) => (name, Some(port)),
            // An IPv6 address without a port.
            Err(_) => (host, None),
        },
        None => (host, None),
    };
    let name = Some(name).filter(|name| !name.is_empty());
    let name = name.map(|name| text("server.address", name));
    name.into_iter().chain(port.map(|port| number("server.port", port)))
}

/// Makes an attribute.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: impl Into<i64>) -> KeyValue {
    attribute(key, Value::IntValue(value.into()))
}

fn real(key: &str, value: f64) -> KeyValue {
    attribute(key, Value::DoubleValue(value))
}

fn flag(key: &str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
