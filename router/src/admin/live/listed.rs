//! A page of routes: found by text, in an order of choice, with what is known of each and how much it is asked.
//!
//! A policy may have thousands. Who looks sees a screenful, so that is what is sent.

use std::{collections::BTreeMap, sync::Arc};

use policies::policy::{RouteId, Service};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rates::{Looks, Rates, RouteCount};
use crate::{
    admin::views,
    control::Shared,
    world::{World, sizes},
};

/// Routes on a page.
const PAGE: usize = 20;

/// The longest text that is looked for, in characters.
const FIND_MAX: usize = 200;

/// Which routes are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    /// Part of the name of the route or its service; upper and lower case are alike.
    pub(super) find: String,
    pub(super) sort: Order,
    /// From 0.
    pub(super) page: usize,
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// What is asked most.
    #[default]
    Rate,
    /// What takes longest.
    P95,
    /// What fails most.
    Failed,
    Name,
    /// As the routes win.
    Policy,
}

/// Returns the page.
pub(super) fn list(shared: &Shared, looks: &Looks, wanted: &Wanted) -> Value {
    let world = shared.world();
    let policy = &world.policy;
    let (rates, plans) = (looks.rates(), shared.plans());
    let counts: BTreeMap<(&str, &str), RouteCount> = rates
        .iter()
        .flat_map(Rates::routes)
        .map(|(route, service, count)| ((&**route, &**service), count))
        .collect();
    let find: String = wanted.find.chars().take(FIND_MAX).collect::<String>().to_lowercase();
    let mut found: Vec<(RouteId, &Service, RouteCount)> = Vec::new();
    for (index, route) in policy.routes.iter().enumerate() {
        let service = policy.service(route.service);
        let has = |name: &Arc<str>| name.to_lowercase().contains(&find);
        if find.is_empty() || has(&route.name) || has(&service.name) {
            let count = counts.get(&(&*route.name, &*service.name)).copied();
            found.push((RouteId(index as u16), service, count.unwrap_or_default()));
        }
    }
    let name = |id: &RouteId| &policy.route(*id).name;
    match wanted.sort {
        Order::Policy => {}
        Order::Name => found.sort_by(|(one, ..), (other, ..)| name(one).cmp(name(other))),
        Order::Rate => found.sort_by_key(|(_, _, count)| std::cmp::Reverse(count.requests())),
        Order::Failed => found.sort_by_key(|(_, _, count)| std::cmp::Reverse(count.failed)),
        Order::P95 => found.sort_by_cached_key(|(id, ..)| std::cmp::Reverse(p95_us(&world, *id))),
    }
    let pages = found.len().div_ceil(PAGE).max(1);
    let page = wanted.page.min(pages - 1);
    let a_second = |counted: u64| rates.as_ref().map(|rates| rates.a_second(counted));
    let rows = found.iter().skip(page * PAGE).take(PAGE).map(|(id, _, count)| {
        let mut row = views::route(&world, &plans, *id);
        row["rate"] = json!(a_second(count.requests()));
        row["failed"] = json!(a_second(count.failed));
        row["lambda"] = json!(a_second(count.ran[0]));
        row["container"] = json!(a_second(count.ran[1]));
        row
    });
    json!({
        "total": policy.routes.len(),
        "found": found.len(),
        "page": page,
        "pages": pages,
        "rows": rows.collect::<Vec<_>>(),
    })
}

/// The longest that is known of a route, over all sizes that were seen.
fn p95_us(world: &World, id: RouteId) -> u32 {
    let sizes = 0..sizes(world.policy.route(id)) as u8;
    let beliefs = sizes.map(|size| world.beliefs.of(id, size)).filter(|belief| 0 < belief.seen);
    beliefs.map(|belief| belief.p95_us).max().unwrap_or_default()
}
