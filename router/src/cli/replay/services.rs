//! A policy's services with the load that its routes find in a trace.

mod reader;

use policies::{
    cost::{PriceBook, Terms},
    policy::{Policy, RouteId},
    units::show_duration,
    workload::Assumptions,
};
use predictor::{
    replay::{
        compare::{Mode, Part},
        distribution::Distribution,
        load::Load,
        scenario::{believed, objective_us, of_service},
        site::{Site, Stream},
    },
    trace::Format,
};

use self::reader::{Key, Reader, Service, service_named};
use super::{
    super::input::{
        counts::{Gaps, Loads, check_span},
        traces::{self, Place},
    },
    gather::{ENOUGH, Gathered, part},
    loaded::Loaded,
    observed::{Observed, Seen},
};
use crate::control::learn::priors;

/// What a policy is replayed with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    pub(super) policy: &'a Policy,
    pub(super) assumptions: &'a Assumptions,
    /// The service whose load a trace is that does not say it.
    pub(super) service: Option<&'a str>,
    pub(super) book: &'a PriceBook,
    pub(super) terms: Terms,
}

/// Reads the traces, and gives each service its part of them.
pub(super) fn load(asked: &Asked<'_>, places: &[Place]) -> anyhow::Result<Loaded> {
    let mut reader = Reader::new(asked)?;
    let summary = traces::read(places, |format, record| reader.take(format, &record))?;
    let mut loaded = Loaded::named(asked.name);
    loaded.notes = summary.notes();
    for format in &summary.formats {
        for note in reader.statistics.notes(*format) {
            if !loaded.notes.contains(&note) {
                loaded.notes.push(note);
            }
        }
    }
    loaded.notes.extend(reader.left_out());
    if summary.formats.contains(&Format::Alb) {
        loaded
            .unsure
            .push("durations end at the first byte, and include any waiting at the target".into());
    }
    let with_url = reader.statistics.requests != 0;
    let Reader { services, gatherer, rows, .. } = reader;
    if rows.is_empty() {
        requests(asked, &services, gatherer.finish()?, &mut loaded)?;
    } else {
        anyhow::ensure!(
            !with_url,
            "some of the traces have requests and others counts of them: replay them apart"
        );
        counts(asked, rows.finish(1.0, Gaps::Empty)?, &mut loaded)?;
    }
    let idle = asked.policy.services.iter().map(|service| &service.name);
    let idle = idle.filter(|name| loaded.parts.iter().all(|part| part.site.service.name != **name));
    let idle: Vec<&str> = idle.map(|name| &**name).collect();
    if !idle.is_empty() && !loaded.parts.is_empty() {
        loaded.notes.push(format!("without a request in the trace, left out: {}", idle.join(", ")));
    }
    Ok(loaded)
}

/// Gives each service its requests.
fn requests(
    asked: &Asked<'_>,
    services: &[Service],
    gathered: Gathered,
    loaded: &mut Loaded,
) -> anyhow::Result<()> {
    if gathered.late != 0 {
        loaded.notes.push(format!(
            "{} requests stood more than ten minutes out of order, and were put where they belong",
            gathered.late
        ));
    }
    let mut sources = Sources::default();
    let mut streams = Vec::with_capacity(services.len());
    for (site, service) in services.iter().enumerate() {
        let assumed = asked.assumptions.of(&asked.policy.service(service.id).name);
        let of_service = gathered.durations(site);
        let of_service = (ENOUGH <= of_service.count()).then(|| Distribution::from(&of_service));
        let stream = |(number, key): (usize, &Key)| {
            let known = &gathered.known[site][number];
            let prior = asked.policy.route(key.route).auto.prior;
            let (silent, own) = (known.silent(), known.service_time());
            let written = || assumed.service_time.as_ref().map(Distribution::from);
            let (source, time) = match own.or_else(written).or_else(|| of_service.clone()) {
                Some(time) if ENOUGH <= known.durations.count() => (&mut sources.route, time),
                Some(time) if assumed.service_time.is_some() => (&mut sources.workload, time),
                Some(time) => (&mut sources.service, time),
                None => (&mut sources.prior, Distribution::Fixed(prior.as_secs_f64() * 1e6)),
            };
            *source += silent;
            stream_of(asked.policy, *key, time)
        };
        streams.push(service.streams.iter().enumerate().map(stream).collect::<Vec<_>>());
    }
    sources.tell(asked.policy, loaded);
    let shares = streams.iter().zip(services).map(|(streams, service)| {
        let service = asked.policy.service(service.id);
        let share = |stream: &Stream| (stream.service_time.mean_us(), stream.home_share(service));
        streams.iter().map(share).collect()
    });
    let shares: Vec<Vec<_>> = shares.collect();
    let collected = gathered.collect(&shares)?;
    for (site, ((collected, streams), service)) in
        collected.into_iter().zip(streams).zip(services).enumerate()
    {
        let durations = gathered.durations(site);
        let all = match durations.count() {
            0 => streams[0].service_time.clone(),
            _ => Distribution::from(&durations),
        };
        let load = &collected.arrivals;
        if let Some((first, last)) = load.span_us() {
            check_span(first, last)?;
        }
        let site = site_of(asked, service, streams, all, load, loaded);
        loaded.parts.push(part(site, collected));
    }
    let seen = services.iter().map(|service| &service.seen);
    loaded.observed = Observed::of(seen.zip(loaded.parts.iter().map(|part| &part.site)));
    loaded.mode = Mode::Events;
    loaded.requests = Some(gathered.kept);
    Ok(())
}

/// Makes loads of counts: each service's first route has them all.
fn counts(asked: &Asked<'_>, loads: Loads, loaded: &mut Loaded) -> anyhow::Result<()> {
    loaded.notes.extend(loads.notes);
    let mut sources = Sources::default();
    for (name, load) in loads.by_name {
        let policy = asked.policy;
        let Some(id) = service_named(policy, &name) else { continue };
        let Some(index) = policy.routes.iter().position(|route| route.service == id) else {
            anyhow::bail!("service {name} has no route, so nothing reaches it");
        };
        let key = Key { route: RouteId(index as u16), size: 0 };
        let assumed = asked.assumptions.of(&name);
        let time = if let Some(written) = &assumed.service_time {
            sources.workload += load.total();
            Distribution::from(written)
        } else {
            sources.prior += load.total();
            let prior = policy.routes[index].auto.prior;
            Distribution::Exponential(prior.as_secs_f64() * 1e6)
        };
        let stream = stream_of(policy, key, time.clone());
        let service = Service { id, streams: vec![key], seen: Seen::default() };
        let site = site_of(asked, &service, vec![stream], time, &load, loaded);
        loaded.parts.push(Part { load: load.into(), work: None, site });
    }
    sources.tell(asked.policy, loaded);
    loaded.mode_by_requests();
    Ok(())
}

/// Where the durations of requests come from that do not tell their own.
#[derive(Debug, Default)]
struct Sources {
    route: u64,
    workload: u64,
    service: u64,
    prior: u64,
}

impl Sources {
    fn tell(&self, policy: &Policy, loaded: &mut Loaded) {
        for (count, source) in [
            (self.route, "of others of their route"),
            (self.workload, "of the workload file"),
            (self.service, "of others of their service"),
        ] {
            if count != 0 {
                loaded
                    .notes
                    .push(format!("{count} requests have durations drawn from those {source}"));
            }
        }
        if self.prior != 0 {
            let routes = &policy.routes;
            let same = routes.iter().all(|route| route.auto.prior == routes[0].auto.prior);
            let prior = if same {
                format!("the prior of {}", show_duration(routes[0].auto.prior))
            } else {
                "their route's prior".to_owned()
            };
            loaded.unsure.push(format!(
                "{} requests are taken to last {prior}: nobody tells how long they take (`service_time` in a --workload file does)",
                self.prior
            ));
        }
    }
}

fn stream_of(policy: &Policy, key: Key, service_time: Distribution) -> Stream {
    let route = policy.route(key.route).clone();
    // A class that is declared needs no learning; how long requests take is learned of them all the same.
    let belief = match route.class {
        Some(_) if policy.service(route.service).mode.learns() => believed(&service_time),
        _ => *priors(policy).of(key.route, key.size),
    };
    let objective_us = objective_us(route.objective);
    Stream { route, belief, service_time, objective_us }
}

/// Makes a service of the policy one to replay, and notes what is assumed of it.
fn site_of(
    asked: &Asked<'_>,
    service: &Service,
    streams: Vec<Stream>,
    service_time: Distribution,
    load: &Load,
    loaded: &mut Loaded,
) -> Site {
    let service = asked.policy.service(service.id);
    let assumed = asked.assumptions.of(&service.name);
    let site = of_service(service, streams, service_time, assumed, load, asked.book, asked.terms);
    loaded.assume(&site, assumed);
    site
}
