//! The admin API: what runs, where requests go and why; and the brake that stops all scaling. Else it only reads.
//!
//! JSON for programs that a person can read too; errors are problem documents (RFC 9457). It is served on loopback unless
//! the policy says otherwise, by the control runtime, and sees snapshots only. Browsers get a page that shows it live.

mod access;
mod live;
mod page;
pub(crate) mod tls;
mod views;

#[cfg(test)]
mod tests;

use std::{io, net::TcpListener, sync::Arc, time::SystemTime};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, Uri, header::CONTENT_TYPE},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, from_slice, json};
use tokio_rustls::TlsAcceptor;

pub(crate) use self::views::{BeliefView, FREE, duration, lanes};
use self::{access::Caller, live::Live};
use crate::{
    control::{Shared, audit::Entry, freeze::Order},
    ledger::csv,
};

/// What the admin API reads.
pub(crate) type AdminState = Arc<Shared>;

/// Decisions shown when `limit` is not given.
const DECISIONS: usize = 50;

/// Days that `/ledger` tells of when `days` is not given.
const LEDGER_DAYS: usize = 7;

/// What `GET /` answers.
const INDEX: &str = "\
pacer admin API; a browser is shown a page instead of this list. Everything here only reads, but for the last two

/status            policy and its reloads, uptime, discovery, credentials
/services          lanes, tasks, slots, queues, the last minute
/radar             trouble ahead, by service, the worst first; what is done about it
/routes            routes in the order in which they win, and what is believed of each
/decisions?limit=50  the last requests, newest first, and why each went where it went
/policy            the policy in force
/ledger?days=7     what was used and what it cost, by day, service and route; and what it would have cost otherwise
/ledger.csv        the same as a table, a line for each part; ?from=2026-11-01&until=2026-11-30
/live              how it all is, once a second: server-sent events, each a line of JSON
/audit?limit=50    who changed what: policies, modes, capacity, the brake; newest first
/freeze            POST {\"reason\": \"...\"}: nothing changes capacity any more, at once, by no gateway of the group
/thaw              POST {\"reason\": \"...\"}: plans are acted on again
";

/// Serves the admin API on `listener`, until it is dropped.
///
/// # Errors
/// When `listener` cannot be used by the runtime.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    state: AdminState,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let live = Live::new(state.clone());
    let router = router(state, live.clone());
    let serving = async {
        match tls {
            None => axum::serve(listener, router).await,
            Some(tls) => {
                let service = router.into_make_service_with_connect_info::<tls::Peer>();
                axum::serve(tls::Listener::new(listener, tls), service).await
            }
        }
    };
    tokio::select! {
        served = serving => served,
        () = live.run() => Ok(()),
    }
}

fn router(state: AdminState, live: Arc<Live>) -> Router {
    Router::new()
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
            get(async |State(shared): State<AdminState>| {
                pretty(&views::routes(&shared.world(), &shared.plans()))
            }),
        )
        .route(
            "/policy",
            get(async |State(shared): State<AdminState>| {
                pretty(&views::policy::policy(&shared.world().policy))
            }),
        )
        .route(
            "/radar",
            get(async |State(shared): State<AdminState>| pretty(&views::radar::radar(&shared))),
        )
        .route("/decisions", get(decisions))
        .route("/audit", get(audit))
        .route("/freeze", post(freeze))
        .route("/thaw", post(thaw))
        .route("/ledger", get(ledger))
        .route("/ledger.csv", get(ledger_csv))
        .fallback(async |uri: Uri| {
            let detail = format!("nothing is served at `{}`; see /", uri.path());
            problem(StatusCode::NOT_FOUND, &detail)
        })
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "use GET, or POST for /freeze and /thaw")
        })
        .with_state(state.clone())
        .merge(live::router(live))
        .layer(from_fn_with_state(state, access::check))
        // The page itself tells nothing, and must come before it can ask for a token.
        .route("/", get(async |headers: HeaderMap| page::index(&headers, INDEX)))
        .merge(page::router())
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

async fn audit(
    State(shared): State<AdminState>,
    query: Result<Query<Decisions>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(Decisions { limit })) => {
            let audit = shared.audit();
            let entries = audit.last(limit.unwrap_or(DECISIONS)).map(Entry::shown);
            pretty(&entries.collect())
        }
        Err(error) => {
            let detail = format!("{}; write /audit?limit=50", error.body_text());
            problem(StatusCode::BAD_REQUEST, &detail)
        }
    }
}

/// What is sent with an order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    #[serde(default)]
    reason: String,
}

async fn freeze(
    State(shared): State<AdminState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    order(&shared, true, caller, &headers, &body)
}

async fn thaw(
    State(shared): State<AdminState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    order(&shared, false, caller, &headers, &body)
}

fn order(
    shared: &Shared,
    frozen: bool,
    caller: Caller,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    if !access::is_json(headers) {
        let detail = "send `content-type: application/json`: it keeps foreign pages from acting";
        return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
    }
    let reason =
        if body.trim_ascii().is_empty() { Ok(Reason::default()) } else { from_slice(body) };
    let reason = match reason {
        Ok(Reason { reason }) => reason,
        Err(error) => {
            let detail = format!("{error}; send {{\"reason\": \"...\"}}");
            return problem(StatusCode::BAD_REQUEST, &detail);
        }
    };
    let order = Order::new(frozen, &caller.to_string(), &reason, SystemTime::now());
    if shared.order(&order) {
        shared.audit().add(Entry::of_order(&order, "this gateway"));
    }
    pretty(&json!({ "frozen": views::frozen(shared) }))
}

/// Parameters of `/ledger`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Days {
    days: Option<usize>,
}

async fn ledger(
    State(shared): State<AdminState>,
    query: Result<Query<Days>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(Days { days })) => {
            pretty(&views::ledger::ledger(&shared.ledger(), days.unwrap_or(LEDGER_DAYS)))
        }
        Err(error) => {
            let detail = format!("{}; write /ledger?days=7", error.body_text());
            problem(StatusCode::BAD_REQUEST, &detail)
        }
    }
}

/// Parameters of `/ledger.csv`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    from: Option<String>,
    until: Option<String>,
}

async fn ledger_csv(
    State(shared): State<AdminState>,
    query: Result<Query<Span>, QueryRejection>,
) -> Response {
    const HOW: &str = "write /ledger.csv?from=2026-11-01&until=2026-11-30";
    let Query(Span { from, until }) = match query {
        Ok(span) => span,
        Err(error) => {
            return problem(StatusCode::BAD_REQUEST, &format!("{}; {HOW}", error.body_text()));
        }
    };
    // Dates sort as their text does; one that is none would compare with anything.
    let is_date = |text: &String| {
        let shape = |(at, byte): (usize, u8)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        };
        text.len() == 10 && text.bytes().enumerate().all(shape)
    };
    if let Some(odd) = [&from, &until].into_iter().flatten().find(|text| !is_date(text)) {
        return problem(StatusCode::BAD_REQUEST, &format!("`{odd}` is no date; {HOW}"));
    }
    let ledger = shared.ledger();
    let mut days = ledger.days();
    days.retain(|day, _| {
        let date = csv::date(*day);
        from.as_ref().is_none_or(|from| *from <= date)
            && until.as_ref().is_none_or(|until| date <= *until)
    });
    let table = csv::write(&days, ledger.book());
    ([(CONTENT_TYPE, "text/csv; charset=utf-8; header=present")], table).into_response()
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
