//! `/ledger`: what was used and what it cost, day by day.

use policies::cost::PicoUsd;
use serde_json::{Map, Value, json};

use crate::ledger::{
    Ledger, csv,
    statement::{METHOD, Otherwise, ServiceCost, Statement},
};

/// Returns the last `days` days of the books, today first.
pub(crate) fn ledger(ledger: &Ledger, days: usize) -> Value {
    let book = ledger.book();
    let days = ledger.days().into_iter().rev().take(days).map(|(day, rows)| {
        let mut value = statement(&Statement::of(&rows, book));
        value["day"] = csv::date(day).into();
        value
    });
    json!({
        "days": days.collect::<Vec<_>>(),
        "prices": book.region,
        "method": METHOD,
    })
}

fn statement(statement: &Statement) -> Value {
    let services: Vec<_> =
        statement.services.iter().map(|(name, cost)| service(name, cost)).collect();
    json!({
        "total": usd(statement.total()),
        "own": usd(statement.own),
        "saved": statement.saved_usd(),
        "services": services,
    })
}

fn service(name: &str, cost: &ServiceCost) -> Value {
    let items: Map<_, _> =
        cost.items.iter().map(|(item, amount)| (item.name().to_owned(), usd(*amount))).collect();
    let instead: Map<_, _> = cost
        .instead
        .iter()
        .map(|(way, other)| (way.as_str().to_owned(), usd(other.cost)))
        .collect();
    let unserved = cost.instead.iter().filter(|(_, other)| !other.serves_well());
    let unserved: Map<_, _> = unserved
        .map(|(way, Otherwise { asked, failed, late, .. })| {
            (way.as_str().to_owned(), json!({ "asked": asked, "failed": failed, "late": late }))
        })
        .collect();
    let routes: Vec<_> = cost
        .routes
        .iter()
        .map(|((route, lane), amount)| {
            json!({ "route": route, "lane": lane.as_str(), "cost": usd(*amount) })
        })
        .collect();
    let (billed, estimated) = cost.billed_mb_ms;
    json!({
        "service": name,
        "requests": cost.requests,
        "cost": {
            "total": usd(cost.total()),
            "lambda": usd(cost.lambda),
            "warm_up": usd(cost.warm),
            "container": usd(cost.container),
            "idle": usd(cost.idle),
        },
        "items": items,
        "routes": routes,
        "instead": instead,
        "instead_unserved": unserved,
        "saved": cost.saved_usd().map(|usd| json!({
            "usd": usd,
            "against": cost.cheapest_other().map(|(way, _)| way.as_str()),
        })),
        "utilisation": cost.utilisation(),
        "estimated": (0 < billed).then(|| estimated as f64 / billed as f64),
    })
}

fn usd(amount: PicoUsd) -> Value {
    amount.as_usd().into()
}
