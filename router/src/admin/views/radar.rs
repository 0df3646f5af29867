//! What `GET /radar` shows: how far trouble is, service by service, the worst first.

use std::time::SystemTime;

use policies::policy::Service;
use predictor::radar::{Ready, Warning};
use serde_json::{Map, Value, json};

use crate::{
    control::{
        Shared,
        radar::{BudgetState, ServiceState},
    },
    telemetry::{access_log::rfc3339, exposition::radar::WINDOWS},
};

/// Returns what the radar shows.
pub(crate) fn radar(shared: &Shared) -> Value {
    let state = shared.radar();
    let world = shared.world();
    let none = ServiceState::default();
    let mut services: Vec<(&Service, &ServiceState)> = world
        .policy
        .services
        .iter()
        .map(|service| (service, state.services.get(&service.name).map_or(&none, |state| state)))
        .collect();
    let seconds = |state: &ServiceState| state.seconds().unwrap_or(f64::INFINITY);
    services.sort_by(|(_, a), (_, b)| {
        b.level().cmp(&a.level()).then(seconds(a).total_cmp(&seconds(b)))
    });
    json!({
        "at": rfc3339(state.at.unwrap_or_else(SystemTime::now)),
        "frozen": super::frozen(shared),
        "services": services.into_iter().map(|(of, state)| service(of, state)).collect::<Vec<_>>(),
    })
}

fn service(service: &Service, state: &ServiceState) -> Value {
    json!({
        "service": &*service.name,
        "level": state.level().as_str(),
        "minutes": state.seconds().map(minutes),
        "warnings": state.warnings.iter().map(warning).collect::<Vec<_>>(),
        "error_budget": state.budget.as_ref().map(budget),
        "ready_to_act": state.ready.as_ref().map(|Ready { ready, says }| json!({ "ready": ready, "says": says })),
    })
}

fn warning(warning: &Warning) -> Value {
    let evidence: Map<String, Value> =
        warning.evidence.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let (state, says) = warning.action.told();
    json!({
        "kind": warning.kind.as_str(),
        "level": warning.level.as_str(),
        "minutes": minutes(warning.seconds),
        "says": warning.says,
        "evidence": evidence,
        "action": { "state": state, "says": says },
    })
}

fn budget(budget: &BudgetState) -> Value {
    let burn: Map<String, Value> = WINDOWS
        .into_iter()
        .zip(budget.burn)
        .map(|(window, rate)| (window.to_owned(), json!(rate)))
        .collect();
    let window = crate::admin::duration(std::time::Duration::from_secs(budget.window_s));
    json!({ "left": budget.left, "burn": burn, "window": window, "seen_seconds": budget.seen_s })
}

/// Returns minutes to the tenth.
fn minutes(seconds: f64) -> f64 {
    (seconds / 6.0).round() / 10.0
}
