//! Who may use the admin API: callers show a token, or a certificate on their connection; on loopback, where neither is
//! asked for, whoever is on this machine may do everything.
//!
//! Two roles: readers look, operators act. A foreign page that a browser on this machine has open can do neither: where no
//! token is asked for, only names of this machine are answered (a name that an attacker leads to 127.0.0.1 is not one of
//! them), and what acts asks for JSON, which no page may send to another origin without being permitted.

use std::net::IpAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE},
        uri::Authority,
    },
    middleware::Next,
    response::Response,
};
use policies::policy::Admin;

use super::{AdminState, problem, tls::Peer};

/// What a caller may do, and what the audit log calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// May look.
    Reader,
    /// May act, having shown what of these.
    Operator(&'static str),
}

impl std::fmt::Display for Caller {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reader => out.write_str("reader"),
            Self::Operator(by) => write!(out, "operator ({by})"),
        }
    }
}

/// Why a caller may do nothing.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    detail: &'static str,
}

impl Refused {
    fn answer(&self) -> Response {
        let mut answer = problem(self.status, self.detail);
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

/// Lets a request through whose caller may make it, and notes who that is.
pub(super) async fn check(
    State(shared): State<AdminState>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let policy = shared.world().policy.clone();
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let certified = peer.is_some_and(|ConnectInfo(peer)| peer.certified);
    // A reload may turn it off; the listener stays until the restart.
    let asked = policy.admin.as_ref();
    let caller = match caller(asked, request.headers(), certified) {
        Ok(caller) => caller,
        Err(refused) => return refused.answer(),
    };
    let acts = !matches!(*request.method(), Method::GET | Method::HEAD);
    if acts && caller == Caller::Reader {
        let detail = "this token only reads; acting takes the operator's";
        return problem(StatusCode::FORBIDDEN, detail);
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn caller(admin: Option<&Admin>, headers: &HeaderMap, certified: bool) -> Result<Caller, Refused> {
    if certified {
        return Ok(Caller::Operator("certificate"));
    }
    let Some(admin) = admin.filter(|admin| admin.asks()) else {
        return if is_of_this_machine(headers.get(HOST)) {
            Ok(Caller::Operator("local"))
        } else {
            let detail = "call it by its address or as localhost: other names may be led here by others; or set `admin.tokens`";
            Err(Refused { status: StatusCode::MISDIRECTED_REQUEST, detail })
        };
    };
    let shown = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let tokens = &admin.tokens;
    match shown {
        Some(token) if tokens.operator.as_ref().is_some_and(|own| own.is(token)) => {
            Ok(Caller::Operator("token"))
        }
        Some(token) if tokens.read.as_ref().is_some_and(|own| own.is(token)) => Ok(Caller::Reader),
        _ => {
            let detail = "show a token of the policy's `admin.tokens`: `Authorization: Bearer ...`, PACER_ADMIN_TOKEN for pacer's commands";
            Err(Refused { status: StatusCode::UNAUTHORIZED, detail })
        }
    }
}

/// Returns the token of `Bearer TOKEN`; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Tells whether a Host is an address, or a name that always leads to this machine (RFC 6761, section 6.3).
fn is_of_this_machine(host: Option<&HeaderValue>) -> bool {
    let Some(host) = host.and_then(|host| host.to_str().ok()) else { return true };
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok()
}

/// Tells whether a body is called JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use policies::policy::{Secret, Tokens};

    use super::*;

    fn admin(tokens: Tokens) -> Admin {
        Admin { tokens, ..Admin::at("127.0.0.1:9900".parse().unwrap()) }
    }

    fn who(admin: &Admin, headers: &[(axum::http::HeaderName, &str)]) -> Result<Caller, u16> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        caller(Some(admin), &headers.collect(), false).map_err(|refused| refused.status.as_u16())
    }

    #[test]
    fn on_loopback_a_foreign_name_is_not_answered() {
        let open = admin(Tokens::default());
        for host in
            ["127.0.0.1:9900", "localhost:9900", "[::1]:9900", "pacer.localhost", "10.0.0.7:1"]
        {
            assert_eq!(who(&open, &[(HOST, host)]), Ok(Caller::Operator("local")), "{host}");
        }
        for host in
            ["attacker.example:9900", "localhost.attacker.example", "a b", "127.0.0.1.nip.io"]
        {
            assert_eq!(who(&open, &[(HOST, host)]), Err(421), "{host}");
        }
    }

    #[test]
    fn a_token_says_what_its_holder_may() {
        let asking = admin(Tokens {
            read: Some(Secret::new("0123456789abcdef")),
            operator: Some(Secret::new("fedcba9876543210")),
        });
        let shows = |value: &str| who(&asking, &[(HOST, "pacer.internal"), (AUTHORIZATION, value)]);
        assert_eq!(shows("Bearer 0123456789abcdef"), Ok(Caller::Reader));
        assert_eq!(shows("bearer fedcba9876543210"), Ok(Caller::Operator("token")));
        for wrong in [
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert_eq!(shows(wrong), Err(401), "{wrong}");
        }
        assert_eq!(who(&asking, &[(HOST, "127.0.0.1")]), Err(401));
        let certified = caller(Some(&asking), &HeaderMap::new(), true);
        assert_eq!(certified.ok(), Some(Caller::Operator("certificate")));
    }
}
