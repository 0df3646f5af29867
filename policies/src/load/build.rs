//! A specification becomes a policy: inheritance resolved, names looked up, everything checked against everything else.

mod global;
mod routes;
mod services;

use crate::{
    policy::Policy,
    spec::{Spec, fields::Sink},
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
    let Spec { global, defaults, services: written, routes, .. } = spec;
    let settings = global::settings(&global, sink);
    let services = services::build(&written, &defaults, &global, sink, warnings);
    let context = routes::Context {
        main,
        defaults: &defaults,
        services: &written,
        incomplete,
        sink,
        warnings,
    };
    let (routes, table) = context.build(routes, settings.limits.buffered)?;
    Some(Policy {
        region: settings.region,
        endpoint_url: settings.endpoint_url,
        listen: settings.listen,
        metrics: settings.metrics,
        admin: settings.admin,
        access_log: settings.access_log,
        limits: settings.limits,
        services: services?,
        routes,
        table,
    })
}
