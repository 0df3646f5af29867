//! The admin API: what runs, where requests go and why. It reads, and changes nothing.
//!
//! JSON for programs that a person can read too; errors are problem documents (RFC 9457). It is served on loopback unless
//! the policy says otherwise, by the control runtime, and sees snapshots only.

mod views;

#[cfg(test)]
mod tests;

use std::{io, net::TcpListener, sync::Arc};

use axum::{
    Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use self::views::{BeliefView, FREE, duration, lanes};
use crate::control::Shared;

/// What the admin API reads.
pub(crate) type AdminState = Arc<Shared>;

/// Decisions shown when `limit` is not given.
const DECISIONS: usize = 50;

/// What `GET /` answers.
const INDEX: &str = "\
pacer admin API; everything here only reads

/status            policy and its reloads, uptime, discovery, credentials
/services          lanes, tasks, slots, queues, the last minute
/routes            routes in the order in which they win, and what is believed of each
/decisions?limit=50  the last requests, newest first, and why each went where it went
/policy            the policy in force
";

/// Serves the admin API on `listener`, until it is dropped.
///
/// # Errors
/// When `listener` cannot be used by the runtime.
pub(crate) async fn serve(listener: TcpListener, state: AdminState) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    axum::serve(tokio::net::TcpListener::from_std(listener)?, router(state)).await
}

fn router(state: AdminState) -> Router {
    Router::new()
        .route("/", get(async || INDEX))
        .route(
            "/status",
            get(async |State(shared): State<AdminState>| pretty(&views::status(&shared))),
        )
        .route(
            "/services",
            get(async |State(shared): State<AdminState>| pretty(&views::services(&shared))),
        )
        .route(
            "/routes",
            get(async |State(shared): State<AdminState>| pretty(&views::routes(&shared.world()))),
        )
        .route(
            "/policy",
            get(async |State(shared): State<AdminState>| {
                pretty(&views::policy::policy(&shared.world().policy))
            }),
        )
        .route("/decisions", get(decisions))
        .fallback(async |uri: Uri| {
            let detail = format!("nothing is served at `{}`; see /", uri.path());
            problem(StatusCode::NOT_FOUND, &detail)
        })
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "the admin API only reads: use GET")
        })
        .with_state(state)
}

/// Parameters of `/decisions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decisions {
    limit: Option<usize>,
}

async fn decisions(
    State(shared): State<AdminState>,
    query: Result<Query<Decisions>, QueryRejection>,
) -> Response {
    let limit = match query {
        Ok(Query(Decisions { limit })) => limit.unwrap_or(DECISIONS),
        Err(error) => {
            return problem(
                StatusCode::BAD_REQUEST,
                &format!("{}; write /decisions?limit=50", error.body_text()),
            );
        }
    };
    pretty(&views::decisions(&shared, limit))
}

/// Answers with JSON laid out for people: these answers are small, and read in terminals.
fn pretty(value: &Value) -> Response {
    let mut text = format!("{value:#}");
    text.push('\n');
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    (status, [(CONTENT_TYPE, "application/problem+json")], Json(body).into_response().into_body())
        .into_response()
}
