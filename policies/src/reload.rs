//! Which changes of a policy a running gateway can take over.
//!
//! Most can: services, routes, defaults, events, bounds of capacity, how a connection is treated. What was settled at the
//! start (sockets that are open, files that are written to, memory that is shared out, who we are to AWS, where state is
//! kept and whom we plan with) cannot, and pretending would be a lie.

use crate::{
    load::Loaded,
    policy::{AccessLog, Admin, Policy, State},
    problem::Problem,
};

/// Returns what of `next` needs a restart of the gateway that runs by `now`: a problem for each such field, at its place.
/// Without any, `next` may take the place of `now`.
pub fn needs_restart(now: &Policy, next: &Loaded) -> Vec<Problem> {
    let policy = &next.policy;
    let fields = [
        ("region", or(now.region.as_deref(), "none"), or(policy.region.as_deref(), "none")),
        (
            "endpoint_url",
            or(now.endpoint_url.as_deref(), "none"),
            or(policy.endpoint_url.as_deref(), "none"),
        ),
        ("listen.http", now.listen.http.to_string(), policy.listen.http.to_string()),
        ("metrics", or(now.metrics, "off"), or(policy.metrics, "off")),
        ("admin", admin(now.admin.as_ref()), admin(policy.admin.as_ref())),
        ("access_log", log(&now.access_log), log(&policy.access_log)),
        (
            "limits.connections",
            now.limits.connections.to_string(),
            policy.limits.connections.to_string(),
        ),
        (
            "limits.buffered",
            crate::units::show_size(now.limits.buffered),
            crate::units::show_size(policy.limits.buffered),
        ),
        ("state", state(now), state(policy)),
        ("gateways", gateways(now), gateways(policy)),
    ];
    let changed = fields.into_iter().filter(|(_, now, next)| now != next);
    let problem = |(field, was, is): (&str, String, String)| Problem {
        place: next.place(field),
        field: field.to_owned(),
        message: format!(
            "cannot change while the gateway runs (`{was}` to `{is}`); restart it, or take this change back"
        ),
    };
    changed.map(problem).collect()
}

/// Where it listens and its files; tokens may change at any time.
fn admin(admin: Option<&Admin>) -> String {
    let Some(Admin { listen, tls, .. }) = admin else { return "off".to_owned() };
    let Some(tls) = tls else { return listen.to_string() };
    let clients = tls.clients.as_ref().map(|clients| format!(", {}", clients.display()));
    let (certificate, key) = (tls.certificate.display(), tls.key.display());
    format!("{listen} with {certificate}, {key}{}", clients.unwrap_or_default())
}

fn or(value: Option<impl ToString>, none: &str) -> String {
    value.map_or_else(|| none.to_owned(), |value| value.to_string())
}

fn log(log: &AccessLog) -> String {
    match log {
        AccessLog::Off => "off".to_owned(),
        AccessLog::Stdout => "stdout".to_owned(),
        AccessLog::File(path) => path.display().to_string(),
    }
}

fn state(policy: &Policy) -> String {
    match &policy.state {
        None => "none".to_owned(),
        Some(State::Directory(path)) => path.display().to_string(),
        Some(State::S3 { bucket, prefix }) => format!("s3://{bucket}/{prefix}"),
    }
}

fn gateways(policy: &Policy) -> String {
    let found = policy.gateways.as_ref();
    or(found.map(|gateways| format!("{}, {}", gateways.table, gateways.group)), "none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{load::MemorySource, sample::loaded};

    const SERVED: &str = "
services: { one: { container: { upstreams: [http://a], requests_per_task: 1 } } }
routes: [{ match: {}, service: one }]
";

    fn check(before: &str, after: &str) -> String {
        let load = |text: &str| {
            loaded(&MemorySource::file("policy.yaml", &format!("version: 1\n{text}{SERVED}")))
        };
        let problems = needs_restart(&load(before).policy, &load(after));
        problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_was_settled_at_the_start_is_refused_at_its_place() {
        let after = "
region: eu-west-1
endpoint_url: http://127.0.0.1:1
listen: { http: 127.0.0.1:1 }
metrics: 127.0.0.1:2
admin: off
access_log: stdout
limits: { connections: 5, buffered: 1MiB }
state: s3://bucket/prod
gateways: { table: pacer }
";
        insta::assert_snapshot!(check("", after), @"
        policy.yaml:3:9 region: cannot change while the gateway runs (`none` to `eu-west-1`); restart it, or take this change back
        policy.yaml:4:15 endpoint_url: cannot change while the gateway runs (`none` to `http://127.0.0.1:1`); restart it, or take this change back
        policy.yaml:5:17 listen.http: cannot change while the gateway runs (`0.0.0.0:8080` to `127.0.0.1:1`); restart it, or take this change back
        policy.yaml:6:10 metrics: cannot change while the gateway runs (`0.0.0.0:9901` to `127.0.0.1:2`); restart it, or take this change back
        policy.yaml:7:8 admin: cannot change while the gateway runs (`127.0.0.1:9900` to `off`); restart it, or take this change back
        policy.yaml:8:13 access_log: cannot change while the gateway runs (`off` to `stdout`); restart it, or take this change back
        policy.yaml:9:24 limits.connections: cannot change while the gateway runs (`20000` to `5`); restart it, or take this change back
        policy.yaml:9:37 limits.buffered: cannot change while the gateway runs (`256MiB` to `1MiB`); restart it, or take this change back
        policy.yaml:10:8 state: cannot change while the gateway runs (`none` to `s3://bucket/prod`); restart it, or take this change back
        policy.yaml:11:11 gateways: cannot change while the gateway runs (`none` to `pacer, default`); restart it, or take this change back
        ");
        insta::assert_snapshot!(check("admin: off\n", ""), @"policy.yaml admin: cannot change while the gateway runs (`off` to `127.0.0.1:9900`); restart it, or take this change back");
    }

    #[test]
    fn everything_else_can_be_taken_over() {
        let after = "
listen: { health: /up, trust_forwarded_from: [10.0.0.0/8], idle_timeout: 5s, drain: 1s }
limits: { request_head: 8KiB, queue: 5, shutdown: 1s }
defaults: { mode: off, timeouts: { total: 5m }, priority: high }
events: [{ service: one, from: '2026-11-27T08:00Z', until: '2026-11-27T20:00Z', expect: 4x forecast }]
";
        assert_eq!(check("", after), "");
    }
}
