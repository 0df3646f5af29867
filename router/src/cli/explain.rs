//! `pacer explain`: tells where a request would go, and why.
//!
//! It decides by the same function as the gateway. What is believed of such requests comes from the running gateway of
//! the policy when it can be asked, from the command line when given there, and from the policy's priors otherwise; the
//! last line says which. Both lanes are taken to have room.

mod ask;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use lambda_event::Format;
use policies::{
    decide::{Belief, Body, Facts, decide},
    policy::{Policy, RouteId},
    route::Head,
    units,
};

use crate::{
    admin::FREE,
    control::learn::{prices, priors},
    lane::lambda,
    proxy::size_of,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy's main file.
    #[arg(value_name = "FILE")]
    file: String,
    /// The request's method.
    #[arg(long, default_value = "GET")]
    method: Method,
    /// Path and query, or a whole URL.
    #[arg(long)]
    url: Uri,
    /// The host asked for; that of the URL unless given.
    #[arg(long)]
    host: Option<String>,
    /// A header of the request; may be given often.
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Bytes of the request's body.
    #[arg(long, value_name = "N", default_value_t = 0)]
    body_size: u64,
    /// 95th percentile of how long such requests take, such as 4.1s, instead of what the gateway has learned.
    #[arg(long, value_name = "DURATION", value_parser = units::duration, requires = "seen")]
    seen_p95: Option<Duration>,
    /// How many such requests that rests on.
    #[arg(long, value_name = "N", requires = "seen_p95")]
    seen: Option<u32>,
}

/// Explains one request.
///
/// # Errors
/// When the policy has problems, the request is malformed, or no route matches it.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let policy = super::load_policy(&args.file)?.loaded.policy;
    let request = Request::of(args)?;
    let id = request.route(&policy)?;
    let (belief, source) = belief(args, &policy, id, &request);
    for line in lines(&policy, id, &request, &belief) {
        println!("{line}");
    }
    println!("believed: {source}");
    Ok(ExitCode::SUCCESS)
}

/// The request in question.
#[derive(Debug)]
struct Request {
    method: Method,
    host: String,
    uri: Uri,
    path: String,
    headers: HeaderMap,
    body_size: u64,
}

impl Request {
    fn of(args: &Args) -> anyhow::Result<Self> {
        let mut headers: HeaderMap = args.headers.iter().cloned().collect();
        if 0 < args.body_size {
            headers.insert(http::header::CONTENT_LENGTH, args.body_size.into());
        }
        let path = args.url.path();
        // `foo` is read as a host: what was meant begins with a slash.
        if args.url.scheme().is_none() && path.is_empty() {
            bail!("`{0}` is no path: write `/{0}`, or a whole URL such as `http://{0}/`", args.url);
        }
        let path = policies::path::normal(path)
            .with_context(|| format!("no gateway takes the path `{path}`"))?;
        let named = args.host.as_deref().or(args.url.authority().map(http::uri::Authority::as_str));
        let header = headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        Ok(Self {
            method: args.method.clone(),
            host: named.or(header).unwrap_or_default().to_owned(),
            uri: args.url.clone(),
            path: path.into_owned(),
            body_size: args.body_size,
            headers,
        })
    }

    /// Returns the route that wins.
    fn route(&self, policy: &Policy) -> anyhow::Result<RouteId> {
        let Self { method, host, path, .. } = self;
        let head = Head { host, path, query: self.uri.query(), method, headers: &self.headers };
        match policy.table.find(&head) {
            Some(id) => Ok(id),
            None => bail!(
                "no route matches {method} {host}{path}: the gateway would answer 404; see the routes with `pacer check --routes`"
            ),
        }
    }

    /// Returns what the gateway would know of it before deciding.
    fn facts(&self, format: Format) -> Facts {
        let query = self.uri.query().map_or(0, str::len);
        let has = |name: HeaderName| self.headers.contains_key(name);
        let content_type = self.headers.get(http::header::CONTENT_TYPE);
        Facts {
            body: match self.body_size {
                0 => Body::Empty,
                size => Body::Encoded(format.event_size_max(
                    &self.headers,
                    self.path.len(),
                    query,
                    size,
                )),
            },
            upgrade: has(http::header::UPGRADE),
            grpc: content_type
                .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")),
            trailers: has(http::header::TRAILER),
        }
    }
}

/// Returns the lines that explain where `request` goes.
fn lines(policy: &Policy, id: RouteId, request: &Request, belief: &Belief) -> Vec<String> {
    let route = policy.route(id);
    let service = policy.service(route.service);
    let event = service.lambda.as_ref().map(|lambda| lambda.event).unwrap_or_default();
    let facts = request.facts(lambda::format(event));
    // Half of all draws lie below: near the bound the likelier class is shown, and the line says how likely.
    let decision = decide(&facts, route, service, belief, &FREE, u64::MAX / 2);
    policies::explain::explain(&facts, route, service, belief, &FREE, &decision)
}

/// Returns what is believed of such requests, and where that comes from.
fn belief(args: &Args, policy: &Policy, id: RouteId, request: &Request) -> (Belief, String) {
    let route = policy.route(id);
    let service = policy.service(route.service);
    let priced = |belief: Belief| belief.with_costs(service, &prices(policy));
    if let (Some(p95), Some(seen)) = (args.seen_p95, args.seen) {
        let us = u32::try_from(p95.as_micros()).unwrap_or(u32::MAX);
        let p_long = if route.auto.sprinter_up_to < p95 { 1.0 } else { 0.0 };
        // One number was given: it stands for all, so the cost is that of a request at the 95th percentile.
        let given =
            Belief { seen, mean_us: us, p50_us: us, p95_us: us, p_long, ..Belief::default() };
        return (priced(given), "as given on the command line".to_owned());
    }
    let size = size_of(&request.headers, &request.uri, route);
    let prior = *priors(policy).of(id, size);
    let Some(admin) = policy.admin.as_ref().map(|admin| admin.listen) else {
        return (
            prior,
            "the policy's prior; it turns the admin API off, so no gateway was asked".to_owned(),
        );
    };
    match ask::belief(admin, &route.name, size) {
        Ok(Some(view)) => {
            (priced(view.belief()), format!("as the gateway at {admin} has learned it"))
        }
        Ok(None) => {
            (prior, format!("the policy's prior; the gateway at {admin} has seen no such request"))
        }
        Err(error) => (prior, format!("the policy's prior; no gateway could be asked: {error:#}")),
    }
}

/// Reads `Name: value`.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) =
        text.split_once(':').ok_or_else(|| format!("expected NAME:VALUE, got `{text}`"))?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is not a header's name"))?;
    let value = value.trim().parse().map_err(|_| format!("`{value}` cannot stand in a header"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests;
