//! The fields that services inherit from `defaults`, and routes from their service.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method};

use super::{
    fields::{Fields, WordOrFields, Written},
    outline::Choice,
    scalar::{self, Idempotent},
};
use crate::policy::{Mode, Priority, SizeBy};

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
            buffer: fields.value("buffer", scalar::SIZE),
            priority: fields.value("priority", scalar::PRIORITY),
            decision_header: fields.value("decision_header", scalar::BOOLEAN),
            ..Self::default()
        };
        if let Some(mut timeouts) = fields.fields("timeouts") {
            common.connect = timeouts.value("connect", scalar::SOME_TIME);
            // None is fine here: a request that finds no slot does not wait.
            common.queue = timeouts.value("queue", scalar::DURATION);
            common.first_byte = timeouts.value("first_byte", scalar::SOME_TIME);
            common.idle = timeouts.value("idle", scalar::SOME_TIME);
            common.total = timeouts.value("total", scalar::SOME_TIME);
            timeouts.done();
        }
        if let Some(mut retry) = fields.fields("retry") {
            let on = retry.values("on", scalar::DID_NOT_RUN);
            common.did_not_run = retry.has_value("on").then_some(!on.is_empty());
            common.retry_budget = retry.value("budget", scalar::PERCENT);
            let idempotent = idempotent_by(&mut retry);
            common.idempotent_by = retry.has_value("idempotent_by").then_some(idempotent);
            retry.done();
        }
        if let Some(mut auto) = fields.fields("auto") {
            common.sprinter_up_to = auto.value("sprinter_up_to", scalar::SOME_TIME);
            common.prior = auto.value("prior", scalar::SOME_TIME);
            common.size_by = size_by(&mut auto);
            auto.done();
        }
        if let Some(mut objective) = fields.fields("objective") {
            common.p99 = objective.value("p99", scalar::SOME_TIME);
            common.success = objective.value("success", scalar::PERCENT);
            common.window = objective.value("window", scalar::SOME_TIME);
            objective.done();
        }
        common
    }
}

fn idempotent_by(retry: &mut Fields<'_, '_>) -> (Vec<Method>, Vec<HeaderName>) {
    let (mut methods, mut headers) = (vec![], vec![]);
    for says in retry.values("idempotent_by", scalar::IDEMPOTENT) {
        match says.value {
            Idempotent::Method(method) => methods.push(method),
            Idempotent::Header(name) => headers.push(name),
        }
    }
    (methods, headers)
}

/// Reads `{ query: NAME }`, `{ header: NAME }` or `content_length`.
fn size_by(auto: &mut Fields<'_, '_>) -> Option<SizeBy> {
    let mut fields = match auto.word_or_fields("size_by", scalar::CONTENT_LENGTH) {
        WordOrFields::Nothing => return None,
        WordOrFields::Word(_) => return Some(SizeBy::ContentLength),
        WordOrFields::Fields(fields) => fields,
    };
    fields.choice(Choice::One, &["query", "header"]);
    let query: Option<Written<Arc<str>>> = fields.value("query", scalar::TEXT);
    let header = fields.value("header", scalar::HEADER);
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
