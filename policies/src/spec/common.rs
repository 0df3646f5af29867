//! The fields that services inherit from `defaults`, and routes from their service.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method};

use super::{
    fields::{Fields, Written},
    scalar::{self, Idempotent},
};
use crate::{
    policy::{Mode, Priority, SizeBy},
    units,
};

/// What may be written at each level; `None` inherits.
#[derive(Debug, Default)]
pub(crate) struct Common {
    /// Read by `defaults` and services only.
    pub(crate) mode: Option<Written<Mode>>,
    pub(crate) connect: Option<Written<Duration>>,
    pub(crate) queue: Option<Written<Duration>>,
    pub(crate) first_byte: Option<Written<Duration>>,
    pub(crate) idle: Option<Written<Duration>>,
    pub(crate) total: Option<Written<Duration>>,
    pub(crate) did_not_run: Option<bool>,
    pub(crate) retry_budget: Option<Written<f64>>,
    pub(crate) idempotent_by: Option<(Vec<Method>, Vec<HeaderName>)>,
    pub(crate) buffer: Option<Written<u64>>,
    pub(crate) sprinter_up_to: Option<Written<Duration>>,
    pub(crate) prior: Option<Written<Duration>>,
    pub(crate) size_by: Option<SizeBy>,
    pub(crate) priority: Option<Written<Priority>>,
    pub(crate) decision_header: Option<Written<bool>>,
    pub(crate) p99: Option<Written<Duration>>,
    pub(crate) success: Option<Written<f64>>,
    pub(crate) window: Option<Written<Duration>>,
}

impl Common {
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let mut common = Self {
            buffer: fields.value("buffer", units::size),
            priority: fields.value("priority", scalar::priority),
            decision_header: fields.value("decision_header", scalar::boolean),
            ..Self::default()
        };
        if let Some(mut timeouts) = fields.fields("timeouts") {
            common.connect = timeouts.value("connect", scalar::some_time);
            // None is fine here: a request that finds no slot does not wait.
            common.queue = timeouts.value("queue", units::duration);
            common.first_byte = timeouts.value("first_byte", scalar::some_time);
            common.idle = timeouts.value("idle", scalar::some_time);
            common.total = timeouts.value("total", scalar::some_time);
            timeouts.done();
        }
        if let Some(mut retry) = fields.fields("retry") {
            let written = retry.item("on").is_some();
            let on = retry.values("on", |text| scalar::one_of(text, &[("did-not-run", ())]));
            common.did_not_run = written.then_some(!on.is_empty());
            common.retry_budget = retry.value("budget", units::percent);
            if retry.item("idempotent_by").is_some() {
                common.idempotent_by = Some(idempotent_by(&mut retry));
            }
            retry.done();
        }
        if let Some(mut auto) = fields.fields("auto") {
            common.sprinter_up_to = auto.value("sprinter_up_to", scalar::some_time);
            common.prior = auto.value("prior", scalar::some_time);
            common.size_by = size_by(&mut auto);
            auto.done();
        }
        if let Some(mut objective) = fields.fields("objective") {
            common.p99 = objective.value("p99", scalar::some_time);
            common.success = objective.value("success", units::percent);
            common.window = objective.value("window", scalar::some_time);
            objective.done();
        }
        common
    }
}

fn idempotent_by(retry: &mut Fields<'_, '_>) -> (Vec<Method>, Vec<HeaderName>) {
    let (mut methods, mut headers) = (vec![], vec![]);
    for says in retry.values("idempotent_by", scalar::idempotent) {
        match says.value {
            Idempotent::Method(method) => methods.push(method),
            Idempotent::Header(name) => headers.push(name),
        }
    }
    (methods, headers)
}

/// Reads `{ query: NAME }`, `{ header: NAME }` or `content_length`.
fn size_by(auto: &mut Fields<'_, '_>) -> Option<SizeBy> {
    let item = auto.item("size_by")?;
    if let crate::node::Kind::Text(_) = item.node.kind {
        let content_length = |text: &str| {
            scalar::one_of(text, &[("content_length", ())])
                .map_err(|error| format!("{error} (or `query: NAME`, or `header: NAME`)"))
        };
        return item.value(auto.sink, content_length).map(|_| SizeBy::ContentLength);
    }
    let mut fields = auto.fields("size_by")?;
    let query: Option<Written<Arc<str>>> = fields.value("query", scalar::text);
    let header = fields.value("header", scalar::header);
    let found = match (query, header) {
        (Some(query), Some(header)) => {
            header.problem(
                fields.sink,
                format!("`query: {}` is written too; keep one of them", query.value),
            );
            None
        }
        (Some(query), None) => Some(SizeBy::Query(query.value)),
        (None, Some(header)) => Some(SizeBy::Header(header.value)),
        (None, None) => None,
    };
    fields.done();
    found
}
