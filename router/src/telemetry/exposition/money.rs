//! What was spent since the gateway started, and what would have been.

use std::collections::BTreeMap;

use policies::cost::{Item, PicoUsd};

use super::Page;
use crate::{
    ledger::statement::{ServiceCost, Statement},
    telemetry,
};

/// Adds dollars, from the ledger's sums since the start.
pub(super) fn money(page: &mut Page, statement: &Statement) {
    page.family(&telemetry::COST, |family| {
        for (service, cost) in &statement.services {
            for ((lane, part), amount) in parts(cost) {
                family.add(&[service, lane, part], amount.as_usd());
            }
        }
    });
    page.family(&telemetry::ROUTE_COST, |family| {
        // A route that was led to another service by a reload has a sum under each.
        let mut routes = BTreeMap::new();
        for ((route, lane), amount) in statement.services.values().flat_map(|cost| &cost.routes) {
            let sum = routes.entry((&**route, lane.as_str())).or_insert(PicoUsd::ZERO);
            *sum = *sum + *amount;
        }
        for ((route, lane), amount) in routes {
            family.add_counted(&[route, lane], amount.as_usd());
        }
    });
    page.family(&telemetry::COUNTERFACTUAL_COST, |family| {
        for (service, cost) in &statement.services {
            for (way, other) in &cost.instead {
                family.add(&[service, way.as_str()], other.cost.as_usd());
            }
        }
    });
    page.family(&telemetry::COUNTERFACTUAL_UNSERVED, |family| {
        for (service, cost) in &statement.services {
            for (way, other) in cost.instead.iter().filter(|(_, other)| 0 < other.asked) {
                let unserved = (other.failed + other.late) as f64 / other.asked as f64;
                family.add(&[service, way.as_str()], unserved.min(1.0));
            }
        }
    });
    page.one(&telemetry::OWN_COST, &[], statement.own.as_usd());
    page.family(&telemetry::COST_ESTIMATED, |family| {
        for (service, cost) in &statement.services {
            let (billed, estimated) = cost.billed_mb_ms;
            if 0 < billed {
                family.add(&[service], estimated as f64 / billed as f64);
            }
        }
    });
}

/// Returns the parts of a service's bill, which add up to it.
fn parts(cost: &ServiceCost) -> BTreeMap<(&'static str, &'static str), PicoUsd> {
    let mut parts = BTreeMap::new();
    let mut add = |lane, part, amount: PicoUsd| {
        let sum = parts.entry((lane, part)).or_insert(PicoUsd::ZERO);
        *sum = *sum + amount;
    };
    let of = |item: Item| cost.items.get(&item).copied().unwrap_or_default();
    let lambda = [
        ("requests", of(Item::LambdaRequests)),
        ("duration", of(Item::LambdaDuration) + of(Item::LambdaProvisionedDuration)),
        ("restore", of(Item::SnapstartRestore)),
        ("cache", of(Item::SnapstartCache)),
        ("provisioned", of(Item::LambdaProvisionedIdle)),
        ("streaming", of(Item::LambdaStreaming)),
    ];
    for (part, amount) in lambda {
        if amount != PicoUsd::ZERO {
            add("lambda", part, amount);
        }
    }
    if cost.container != PicoUsd::ZERO {
        add("container", "busy", cost.container - cost.idle);
        add("container", "idle", cost.idle);
    }
    if cost.warm != PicoUsd::ZERO {
        add("lambda", "warm", cost.warm);
    }
    parts
}
