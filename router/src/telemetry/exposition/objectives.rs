//! What the policy promises of its routes, and how often that was missed.

use std::collections::BTreeMap;

use policies::policy::{Policy, Route};

use super::{
    super::{OBJECTIVE_MISSED, OBJECTIVE_SECONDS, OBJECTIVE_SUCCESS},
    Page,
};
use crate::telemetry::{
    series::RouteSeries,
    shard::{Counter, RouteLane},
};

/// Adds objectives and misses. Of a route that promises something the zeros are shown, too: a rate over a series that appears
/// with its first miss would miss that one. Of others there is nothing to tell, but what was missed before a reload.
pub(super) fn add(page: &mut Page, series: &[RouteSeries], policy: &Policy) {
    let name = |route: &Route| (route.name.clone(), policy.service(route.service).name.clone());
    let routes: BTreeMap<_, _> =
        policy.routes.iter().map(|route| (name(route), route.objective)).collect();
    page.family(&OBJECTIVE_MISSED, |family| {
        for series in series {
            let objective = routes.get(&(series.route.clone(), series.service.clone()));
            let promises = objective.copied().unwrap_or_default();
            let mut tell = |which: &str, n: u64, promised: bool| {
                if promised || n != 0 {
                    family.add(&[&series.route, &series.service, which], n as f64);
                }
            };
            tell("latency", sum(series, |lane| &lane.late), promises.p99.is_some());
            // Server errors are counted of every route; they miss nothing where nothing is promised.
            if promises.success.is_some() {
                tell("success", sum(series, |lane| &lane.failed), true);
            }
        }
    });
    page.family(&OBJECTIVE_SECONDS, |family| {
        for route in &policy.routes {
            if let Some(p99) = route.objective.p99 {
                let service = &policy.service(route.service).name;
                family.add(&[&route.name, service], p99.as_secs_f64());
            }
        }
    });
    page.family(&OBJECTIVE_SUCCESS, |family| {
        for service in &policy.services {
            if let Some(success) = service.objective.success {
                family.add(&[&service.name], success);
            }
        }
    });
}

fn sum(series: &RouteSeries, of: impl Fn(&RouteLane) -> &Counter) -> u64 {
    series.workers.iter().flat_map(|lanes| lanes.iter()).map(|lane| of(lane).get()).sum()
}
