//! What a collector is sent.

use std::{sync::Arc, time::Duration};

use http::HeaderName;

use super::Secret;

/// A collector of OTLP over HTTP, and what it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// Its URL without a `/` at the end: `/v1/traces` and `/v1/metrics` are below it.
    pub endpoint: Arc<str>,
    /// What every call of it carries.
    pub headers: Arc<[(HeaderName, Secret)]>,
    /// Share of the requests without a trace of their own for which one is begun, 0 to 1; `None` sends no traces.
    pub traces: Option<f64>,
    /// Time between two exports of all metrics; `None` sends none.
    pub metrics: Option<Duration>,
}
