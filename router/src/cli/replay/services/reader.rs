//! Which service each record of a trace is for, and what was left out.

use anyhow::{bail, ensure};
use http::{HeaderMap, Method};
use policies::{
    policy::{Policy, RouteId, ServiceId, SizeBy},
    route::Head,
};
use predictor::{
    replay::{scenario::objective_us, site::Arrival},
    trace::{Format, Record, Request, Statistics},
};

use super::{
    super::{super::input::counts::Rows, gather::Gatherer, observed::Seen},
    Asked,
};
use crate::{
    lane::lambda,
    proxy::{query_value, size_class},
    world::SIZES,
};

/// Requests of one route and size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) route: RouteId,
    pub(super) size: u8,
}

/// A service that was asked for.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) id: ServiceId,
    pub(super) streams: Vec<Key>,
    pub(super) seen: Seen,
}

/// Records while they are read.
pub(super) struct Reader<'a> {
    asked: &'a Asked<'a>,
    /// Whose load it is when the trace does not say.
    only: Option<ServiceId>,
    pub(super) services: Vec<Service>,
    /// Site and stream of each route and size that has been asked for.
    places: Vec<Option<(u16, u16)>>,
    pub(super) gatherer: Gatherer,
    pub(super) rows: Rows,
    pub(super) statistics: Statistics,
    headers: HeaderMap,
    unmatched: Counted,
    refused: Counted,
    balancer: u64,
    upgraded: u64,
}

/// How many there were, and the first.
#[derive(Debug, Default)]
struct Counted {
    count: u64,
    first: String,
}

impl Counted {
    fn add(&mut self, what: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = what();
        }
        self.count += 1;
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(asked: &'a Asked<'a>) -> anyhow::Result<Self> {
        let policy = asked.policy;
        let only = match asked.service {
            Some(name) => match service_named(policy, name) {
                Some(id) => Some(id),
                None => bail!("the policy has no service `{name}`; it has {}", names(policy)),
            },
            None if policy.services.len() == 1 => Some(ServiceId(0)),
            None => None,
        };
        Ok(Self {
            asked,
            only,
            services: Vec::new(),
            places: vec![None; policy.routes.len() * SIZES],
            gatherer: Gatherer::default(),
            rows: Rows::default(),
            statistics: Statistics::default(),
            headers: HeaderMap::new(),
            unmatched: Counted::default(),
            refused: Counted::default(),
            balancer: 0,
            upgraded: 0,
        })
    }

    pub(super) fn take(&mut self, format: Format, record: &Record<'_>) -> anyhow::Result<()> {
        self.statistics.add(record);
        match record {
            Record::Count(count) => {
                let policy = self.asked.policy;
                let Some(id) = (match count.function {
                    Some(name) => service_named(policy, name),
                    None => self.only,
                }) else {
                    ensure!(
                        count.function.is_some(),
                        "counts do not say which service they are of; name it with --service: {}",
                        names(policy)
                    );
                    self.unmatched.count += count.count.saturating_sub(1);
                    self.unmatched.add(|| count.function.unwrap_or_default().to_owned());
                    return Ok(());
                };
                self.rows.push(&policy.service(id).name, count)
            }
            Record::Request(request) => self.request(format, request),
            Record::Profile(_) => {
                bail!(
                    "it tells of functions, not of requests; a workload file may name it under `profiles`"
                )
            }
        }
    }

    fn request(&mut self, format: Format, request: &Request<'_>) -> anyhow::Result<()> {
        if request.status == Some(101) {
            self.upgraded += 1;
            return Ok(());
        }
        let answered = request.duration_us.is_some() || request.target.is_some();
        if format == Format::Alb && !answered && request.status.is_some_and(|status| status < 500) {
            self.balancer += 1;
            return Ok(());
        }
        let Some(route) = self.route(request) else { return Ok(()) };
        let policy = self.asked.policy;
        let size = match &policy.route(route).auto.size_by {
            None | Some(SizeBy::Header(_)) => 0,
            Some(SizeBy::Query(name)) => {
                size_class(request.query.and_then(|query| query_value(query, name)))
            }
            Some(SizeBy::ContentLength) => {
                size_class(request.bytes_in.map(|bytes| bytes.to_string()).as_deref())
            }
        };
        let (site, stream) = self.place(Key { route, size })?;
        if format == Format::Alb {
            let goal_us = objective_us(policy.route(route).objective);
            self.services[usize::from(site)].seen.add(request, goal_us);
        }
        self.gatherer.add(Arrival {
            at_us: request.at_us,
            site,
            stream,
            service_us: request.duration_us,
            event_bytes: self.event_bytes(route, request),
            answer_bytes: clamped(request.bytes_out.unwrap_or_default()),
        })
    }

    /// Returns the route of a request, or counts it among those that have none.
    fn route(&mut self, request: &Request<'_>) -> Option<RouteId> {
        let policy = self.asked.policy;
        let Some(path) = request.path else {
            // Without a URL: whoever it is for is told by a name, or there is one service only.
            let id = match request.function {
                Some(name) => service_named(policy, name),
                None => self.only,
            };
            let route =
                id.and_then(|id| policy.routes.iter().position(|route| route.service == id));
            if route.is_none() {
                self.unmatched.add(|| request.function.unwrap_or("a request without a URL").into());
            }
            return route.map(|index| RouteId(index as u16));
        };
        let path = match policies::path::normal(path) {
            Ok(path) => path,
            Err(why) => {
                self.refused.add(|| why.to_string());
                return None;
            }
        };
        let method = request.method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let method = method.unwrap_or(Method::GET);
        let host = request.host.unwrap_or_default();
        let headers = &self.headers;
        let head = Head { host, path: &path, query: request.query, method: &method, headers };
        let found = policy.table.find(&head);
        if found.is_none() {
            // Without its query, which may hold what is not for everybody.
            self.unmatched.add(|| format!("{method} {host}{path}"));
        }
        found
    }

    /// Returns which service and which of its streams a request is of.
    fn place(&mut self, key: Key) -> anyhow::Result<(u16, u16)> {
        let index = usize::from(key.route.0) * SIZES + usize::from(key.size);
        if let Some(place) = self.places[index] {
            return Ok(place);
        }
        let id = self.asked.policy.route(key.route).service;
        let known = self.services.iter().position(|service| service.id == id);
        let site = known.unwrap_or_else(|| {
            self.services.push(Service { id, streams: Vec::new(), seen: Seen::default() });
            self.services.len() - 1
        });
        let streams = &mut self.services[site].streams;
        streams.push(key);
        let place = (u16::try_from(site)?, u16::try_from(streams.len() - 1)?);
        self.places[index] = Some(place);
        Ok(place)
    }

    /// Returns the bytes of the event that a request would make for Lambda, as the gateway reckons before it has the body.
    fn event_bytes(&self, route: RouteId, request: &Request<'_>) -> u32 {
        let bodiless = ["GET", "HEAD", "OPTIONS", "TRACE"];
        let bodiless = request.method.is_none_or(|method| bodiless.contains(&method));
        let bytes = request.bytes_in.unwrap_or_default();
        let policy = self.asked.policy;
        let Some(function) = &policy.service(policy.route(route).service).lambda else { return 0 };
        if bodiless || bytes == 0 {
            return 0;
        }
        let length = |text: Option<&str>| text.map_or(0, str::len);
        let (path, query) = (length(request.path), length(request.query));
        clamped(lambda::format(function.event).event_size_max(&self.headers, path, query, bytes))
    }
    /// Returns what a reader of the report should know of what was left out, and of what was not asked for.
    pub(super) fn left_out(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let Counted { count, first } = &self.unmatched;
        if *count != 0 {
            notes.push(format!(
                "left out: {count} requests that no route matches; the first: {first}"
            ));
        }
        let Counted { count, first } = &self.refused;
        if *count != 0 {
            notes.push(format!("left out: {count} requests that every gateway refuses: {first}"));
        }
        if self.balancer != 0 {
            notes.push(format!(
                "left out: {} requests that the load balancer answered itself (redirects, fixed answers, refusals)",
                self.balancer
            ));
        }
        if self.upgraded != 0 {
            notes.push(format!(
                "left out: {} connections that were upgraded (WebSockets): the log tells when they began, not when they ended",
                self.upgraded
            ));
        }
        let policy = self.asked.policy;
        if self.statistics.requests != 0
            && let Some(route) =
                policy.routes.iter().find(|route| !route.matches.headers.is_empty())
        {
            notes.push(format!(
                "route {} looks at headers, which logs do not have: no request matches it",
                route.name
            ));
        }
        notes
    }
}

/// Returns the service of that name.
pub(super) fn service_named(policy: &Policy, name: &str) -> Option<ServiceId> {
    let place = policy.services.iter().position(|service| *service.name == *name)?;
    Some(ServiceId(place as u16))
}

fn names(policy: &Policy) -> String {
    policy.services.iter().map(|service| &*service.name).collect::<Vec<_>>().join(", ")
}

fn clamped(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
