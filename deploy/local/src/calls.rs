//! Which calls were made: for tests that hold a caller to its permissions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use crate::Shared;

/// Different calls that are remembered; functions and operations are few, so more means something odd.
const CALLS_MAX: usize = 1000;

/// How often each call was made: `METHOD PATH?QUERY`, or what `X-Amz-Target` names.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<BTreeMap<String, u64>>);

impl Calls {
    fn count(&self, call: String) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.contains_key(&call) || calls.len() < CALLS_MAX {
            *calls.entry(call).or_default() += 1;
        }
    }

    /// Returns the content of `GET /_local/calls`.
    pub(crate) fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts a call of AWS's APIs, whatever becomes of it.
pub(crate) async fn record(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    if !request.uri().path().starts_with("/_local/") {
        let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
        // With its query: the version or alias of a function stands there.
        let call = || format!("{} {}", request.method(), request.uri());
        shared.calls.count(target.map_or_else(call, str::to_owned));
    }
    next.run(request).await
}
