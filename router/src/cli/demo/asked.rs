//! What the demo's load asks of the policy's services: which part of it is for containers first, and how long it runs.
//!
//! Worked out from the mix, from what requests cost on this machine, and from the gateway's own rules; nothing is sent for
//! it. What the gateway learns in the demo's first seconds is known here from the start.

use std::collections::BTreeMap;

use http::{HeaderMap, Method};
use pacer_demo::load::{
    calibrate::Pace,
    mix::{Ask, Route},
};
use policies::{
    policy::{Policy, RouteId, ServiceId, SizeBy},
    route::Head,
};
use predictor::replay::{
    distribution::Distribution,
    latency::Latencies,
    scenario::{believed, objective_us},
    site::Stream,
};

use crate::proxy::{query_value, size_class};

/// Parts that a share is counted by, when durations are: a hundred thousandth is less than any request of the mix has.
const PARTS: f64 = 1e5;

/// What is asked of one service.
#[derive(Debug)]
pub(super) struct Asked {
    /// The service.
    pub(super) service: ServiceId,
    /// What it is asked, by what is decided about together.
    pub(super) kinds: Vec<Kind>,
}

/// Requests of one route and size.
#[derive(Debug)]
pub(super) struct Kind {
    /// How they are told apart.
    key: (u16, u8),
    /// Which they are, and how many of each are sent for an arrival of the trace.
    pub(super) asks: Vec<(Ask, f64)>,
    /// What is decided about them, once it is learned.
    pub(super) stream: Stream,
}

/// Requests by their route and size, each with how many are sent.
type Kinds = BTreeMap<(u16, u8), Vec<(Ask, f64)>>;

/// What containers are asked first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Home {
    /// So many for each arrival of the trace, 0 to 1.
    pub(super) share: f64,
    /// How long such a request runs on average, in seconds.
    pub(super) mean: f64,
}

/// Returns what the mix asks of each service at a `pace`, when a request takes `scale` times as long as its costs say: a replay in
/// the recording's time needs that, and the bounds of the policy as much longer.
pub(super) fn asked(policy: &Policy, pace: &Pace, scale: f64) -> Vec<Asked> {
    let mut found: BTreeMap<u16, Kinds> = BTreeMap::new();
    for (ask, share) in Ask::all() {
        let Some(key) = place(policy, ask) else { continue };
        let service = policy.route(RouteId(key.0)).service;
        let sent = share * if ask.route() == Route::Render { pace.films } else { pace.share };
        found.entry(service.0).or_default().entry(key).or_default().push((ask, sent));
    }
    let kind = |(key, asks): ((u16, u8), Vec<(Ask, f64)>)| {
        let mut durations = Latencies::default();
        for (ask, share) in &asks {
            let us = pace.costs.duration(*ask) * scale * 1e6;
            durations.add_many(us as u64, (share * PARTS).round().max(1.0) as u64);
        }
        let service_time = Distribution::from(&durations);
        let mut route = policy.route(RouteId(key.0)).clone();
        let auto = &mut route.auto;
        for bound in [&mut auto.sprinter_up_to, &mut auto.prior, &mut route.timeouts.queue] {
            *bound = bound.mul_f64(scale);
        }
        let objective_us = (objective_us(route.objective) as f64 * scale) as u64;
        let belief = believed(&service_time);
        Kind { key, asks, stream: Stream { route, belief, service_time, objective_us } }
    };
    let of_service = |(service, kinds): (u16, Kinds)| Asked {
        service: ServiceId(service),
        kinds: kinds.into_iter().map(kind).collect(),
    };
    found.into_iter().map(of_service).collect()
}

/// Returns the route that answers a request, and the size by which it is learned; `None` when no route does.
fn place(policy: &Policy, ask: Ask) -> Option<(u16, u8)> {
    let target = ask.target();
    let (path, query) =
        target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
    let method = if ask.route() == Route::Thumb { Method::POST } else { Method::GET };
    let headers = HeaderMap::new();
    let head = Head { host: "127.0.0.1", path, query, method: &method, headers: &headers };
    let route = policy.table.find(&head)?;
    let size = match &policy.route(route).auto.size_by {
        Some(SizeBy::Query(name)) => size_class(query.and_then(|query| query_value(query, name))),
        // All that is posted is the same photo.
        Some(SizeBy::Header(_) | SizeBy::ContentLength) | None => 0,
    };
    Some((route.0, size))
}

impl Asked {
    /// Returns what its containers are asked first.
    pub(super) fn home(&self, policy: &Policy) -> Home {
        let service = policy.service(self.service);
        let (mut share, mut busy) = (0.0, 0.0);
        for kind in &self.kinds {
            let home = kind.stream.home_share(service)
                * kind.asks.iter().map(|(_, share)| share).sum::<f64>();
            share += home;
            busy += home * kind.stream.service_time.mean_us() / 1e6;
        }
        Home { share, mean: if 0.0 < share { busy / share } else { 0.0 } }
    }

    /// Returns which of its kinds a request is of.
    pub(super) fn kind(&self, policy: &Policy, ask: Ask) -> Option<usize> {
        let key = place(policy, ask)?;
        self.kinds.iter().position(|kind| kind.key == key)
    }
}

#[cfg(test)]
mod tests {
    use pacer_demo::load::mix::Costs;

    use super::{super::stage::built_in_policy, *};

    fn pace(share: f64) -> Pace {
        let costs = Costs { thumb: 0.001, resize_64: 0.005, resize_1024: 0.06, frame: 0.0005 };
        Pace { share, films: 1.0, costs, crowd_rate: 70.0 }
    }

    #[test]
    fn films_and_large_photos_are_for_containers() {
        let policy = built_in_policy();
        let asked = asked(&policy, &pace(1.0), 1.0);
        assert_eq!(asked.len(), 1);
        let home = asked[0].home(&policy);
        // All films, and photos of 1,024 and of 1,440 pixels, which are of one size in two classes.
        let resizes = Route::Resize.share() / 6.0;
        let least = Route::Render.share() + resizes;
        assert!((least - 1e-9..least + resizes + 1e-9).contains(&home.share), "{home:?}");
        assert!((0.5..1.0).contains(&home.mean), "films take 0.8 s on average: {home:?}");
        let spared = super::asked(&policy, &pace(0.1), 1.0)[0].home(&policy);
        assert!((Route::Render.share()..home.share).contains(&spared.share), "{spared:?}");
    }

    #[test]
    fn in_slower_time_all_stays_as_it_is() {
        let policy = built_in_policy();
        let (real, slow) = (asked(&policy, &pace(1.0), 1.0), asked(&policy, &pace(1.0), 20.0));
        let (real, slow) = (real[0].home(&policy), slow[0].home(&policy));
        assert!((real.share - slow.share).abs() < 0.002, "{real:?} {slow:?}");
        assert!((slow.mean / real.mean / 20.0 - 1.0).abs() < 0.05, "{real:?} {slow:?}");
    }
}
