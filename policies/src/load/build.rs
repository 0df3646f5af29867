//! A specification becomes a policy: inheritance resolved, names looked up, everything checked against everything else.

mod capacity;
mod events;
mod global;
mod routes;
mod services;

use crate::{
    decide::LAMBDA_EVENT_MAX,
    policy::Policy,
    spec::{Spec, fields::Sink, global::Global, service::ServiceSpec},
    units::show_size,
};

/// Builds the policy; `None` when something was noted that leaves none.
///
/// With `incomplete`, names that nobody defines are not noted: they may stand in a file that could not be read.
pub(super) fn build(
    spec: Spec,
    main: &str,
    incomplete: bool,
    sink: &Sink,
    warnings: &Sink,
) -> Option<Policy> {
    let Spec { global, defaults, services: written, routes, events, .. } = spec;
    let settings = global::settings(&global, sink, warnings);
    let services = services::build(&written, &defaults, &global, sink, warnings);
    let context = routes::Context {
        main,
        health: &settings.listen.health,
        defaults: &defaults,
        services: &written,
        incomplete,
        sink,
        warnings,
    };
    let events = events::build(&events, &written, incomplete, sink);
    warn_buffered(&global, &written, settings.limits.buffered, warnings);
    let (routes, table) = context.build(routes, settings.limits.buffered)?;
    Some(Policy {
        region: settings.region,
        endpoint_url: settings.endpoint_url,
        listen: settings.listen,
        metrics: settings.metrics,
        admin: settings.admin,
        access_log: settings.access_log,
        otlp: global.otlp.map(|otlp| otlp.value),
        limits: settings.limits,
        state: global.state.map(|state| state.value),
        gateways: global.gateways.map(|gateways| gateways.value),
        events,
        services: services?,
        routes,
        table,
    })
}

/// Warns of a bound on held bodies that Lambda's largest events do not fit under: an event and its answer are held whole.
fn warn_buffered(global: &Global, services: &[ServiceSpec], buffered: u64, warnings: &Sink) {
    let needed = 2 * LAMBDA_EVENT_MAX;
    if let Some(limit) = &global.buffered
        && buffered < needed
        && services.iter().any(|service| service.lambda_written)
    {
        let message = format!(
            "an event for Lambda may take {}, and its answer as much; below {} the largest never reach it",
            show_size(LAMBDA_EVENT_MAX),
            show_size(needed)
        );
        limit.problem(warnings, message);
    }
}
