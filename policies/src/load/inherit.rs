//! Inheritance: what a service or a route uses when it writes nothing itself.
//!
//! Field by field, the nearest level wins: route, service, `defaults`, and at last what [`defaults`] says. So a route
//! that writes `timeouts: { total: 2m }` keeps the other four of its service.

use std::sync::Arc;

use crate::{
    policy::{Auto, Mode, Objective, Priority, Retry, Timeouts},
    spec::{common::Common, defaults, fields::Written},
};

/// The levels that apply, the nearest first.
#[derive(Clone, Copy)]
pub(super) struct Levels<'a>(pub(super) &'a [&'a Common]);

impl<'a> Levels<'a> {
    /// Returns the value of the nearest level that writes one.
    pub(super) fn nearest<T>(self, get: impl Fn(&'a Common) -> Option<&'a T>) -> Option<&'a T> {
        self.0.iter().copied().find_map(get)
    }

    fn or<T: Clone + 'a>(
        self,
        get: impl Fn(&'a Common) -> Option<&'a Written<T>>,
        default: T,
    ) -> T {
        self.nearest(get).map_or(default, |written| written.value.clone())
    }

    pub(super) fn mode(self) -> Mode {
        self.or(|level| level.mode.as_ref(), defaults::MODE)
    }

    pub(super) fn timeouts(self) -> Timeouts {
        let default = defaults::TIMEOUTS;
        Timeouts {
            connect: self.or(|level| level.connect.as_ref(), default.connect),
            queue: self.or(|level| level.queue.as_ref(), default.queue),
            first_byte: self.or(|level| level.first_byte.as_ref(), default.first_byte),
            idle: self.or(|level| level.idle.as_ref(), default.idle),
            total: self.or(|level| level.total.as_ref(), default.total),
        }
    }

    pub(super) fn retry(self) -> Retry {
        let default = defaults::retry();
        let did_not_run = self.nearest(|level| level.did_not_run.as_ref()).copied();
        let (methods, headers) = match self.nearest(|level| level.idempotent_by.as_ref()) {
            Some((methods, headers)) => (methods.clone().into(), headers.clone().into()),
            None => (default.idempotent_methods, default.idempotent_headers),
        };
        Retry {
            did_not_run: did_not_run.unwrap_or(default.did_not_run),
            budget: self.or(|level| level.retry_budget.as_ref(), default.budget),
            idempotent_methods: methods,
            idempotent_headers: headers,
        }
    }

    pub(super) fn auto(self) -> Auto {
        let default = defaults::AUTO;
        Auto {
            sprinter_up_to: self.or(|level| level.sprinter_up_to.as_ref(), default.sprinter_up_to),
            prior: self.or(|level| level.prior.as_ref(), default.prior),
            size_by: self.nearest(|level| level.size_by.as_ref()).cloned(),
        }
    }

    pub(super) fn objective(self) -> Objective {
        let default = defaults::OBJECTIVE;
        Objective {
            p99: self.or_none(|level| level.p99.as_ref(), default.p99),
            success: self.or_none(|level| level.success.as_ref(), default.success),
            window: self.or_none(|level| level.window.as_ref(), default.window),
        }
    }

    fn or_none<T: Copy + 'a>(
        self,
        get: impl Fn(&'a Common) -> Option<&'a Written<T>>,
        default: Option<T>,
    ) -> Option<T> {
        self.nearest(get).map(|written| written.value).or(default)
    }

    pub(super) fn buffer(self) -> u64 {
        self.or(|level| level.buffer.as_ref(), defaults::BUFFER)
    }

    pub(super) fn priority(self) -> Priority {
        self.or(|level| level.priority.as_ref(), defaults::PRIORITY)
    }

    pub(super) fn decision_header(self) -> bool {
        self.or(|level| level.decision_header.as_ref(), defaults::DECISION_HEADER)
    }
}

/// Returns the value written, or the default.
pub(super) fn or<T: Clone>(written: Option<&Written<T>>, default: T) -> T {
    written.map_or(default, |written| written.value.clone())
}

/// Returns `text` shared.
pub(super) fn shared(text: &str) -> Arc<str> {
    text.into()
}
