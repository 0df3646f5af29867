//! The policy in force, with everything inherited written out.

use policies::{
    decide::Class,
    policy::{AccessLog, Discovery, Objective, Policy, Priority, Route, Service, Upstream},
};
use serde_json::{Value, json};

use super::{duration, lanes, mode, name_of, size_by};

/// Returns the policy in force, with everything inherited written out.
pub(in crate::admin) fn policy(policy: &Policy) -> Value {
    json!({
        "region": policy.region.as_deref(),
        "endpoint_url": policy.endpoint_url.as_deref().map(without_userinfo),
        "listen": {
            "http": policy.listen.http.to_string(),
            "health": &*policy.listen.health,
            "trust_forwarded_from": policy.listen.trust_forwarded_from.iter().map(|net| format!("{}/{}", net.address, net.prefix)).collect::<Vec<_>>(),
            "idle_timeout": duration(policy.listen.idle_timeout),
        },
        "metrics": policy.metrics.map(|address| address.to_string()),
        "admin": policy.admin.as_ref().map(|admin| admin.listen.to_string()),
        "access_log": match &policy.access_log {
            AccessLog::Off => json!("off"),
            AccessLog::Stdout => json!("stdout"),
            AccessLog::File(path) => json!({ "file": path.display().to_string() }),
        },
        "limits": {
            "connections": policy.limits.connections,
            "request_head_bytes": policy.limits.request_head,
            "buffered_bytes": policy.limits.buffered,
            "queue": policy.limits.queue,
            "shutdown": duration(policy.limits.shutdown),
        },
        "services": policy.services.iter().map(service).collect::<Vec<_>>(),
        "routes": policy.routes.iter().map(|one| route(policy, one)).collect::<Vec<_>>(),
    })
}

fn service(service: &Service) -> Value {
    json!({
        "name": &*service.name,
        "mode": mode(service.mode),
        "lambda": service.lambda.as_ref().map(|lambda| json!({
            "function": name_of(lambda),
            "max_in_flight": lambda.max_in_flight,
            "memory_mib": lambda.memory_mib,
            "timeout": duration(lambda.timeout),
        })),
        "container": service.container.as_ref().map(|container| json!({
            "discovery": match &container.discovery {
                Discovery::Ecs { cluster, service, port, events } => json!({ "ecs": {
                    "cluster": &**cluster,
                    "service": &**service,
                    "port": port,
                    "events": events.as_ref().map(|queue| &*queue.url),
                } }),
                Discovery::Upstreams(upstreams) => {
                    let url = |upstream: &Upstream| {
                        let scheme = if upstream.tls { "https" } else { "http" };
                        let host = if upstream.host.contains(':') { format!("[{}]", upstream.host) } else { upstream.host.to_string() };
                        format!("{scheme}://{host}:{}", upstream.port)
                    };
                    json!({ "upstreams": upstreams.iter().map(url).collect::<Vec<_>>() })
                }
            },
            "requests_per_task": container.requests_per_task,
            "probe": {
                "path": &*container.probe.path,
                "interval": duration(container.probe.interval),
                "timeout": duration(container.probe.timeout),
            },
            "vcpu": container.vcpu,
            "memory_mib": container.memory_mib,
        })),
        "needs": { "storage": service.needs.storage, "affinity": service.needs.affinity },
        "objective": objective(service.objective),
    })
}

fn route(policy: &Policy, route: &Route) -> Value {
    json!({
        "name": &*route.name,
        "place": &*route.place,
        "service": &*policy.service(route.service).name,
        "class": route.class.map_or("auto", Class::as_str),
        "lanes": lanes(route, policy.service(route.service)),
        "auto": {
            "sprinter_up_to": duration(route.auto.sprinter_up_to),
            "prior": duration(route.auto.prior),
            "size_by": route.auto.size_by.as_ref().map(size_by),
        },
        "timeouts": {
            "connect": duration(route.timeouts.connect),
            "queue": duration(route.timeouts.queue),
            "first_byte": duration(route.timeouts.first_byte),
            "idle": duration(route.timeouts.idle),
            "total": duration(route.timeouts.total),
        },
        "retry": {
            "did_not_run": route.retry.did_not_run,
            "budget": route.retry.budget,
            "idempotent_methods": route.retry.idempotent_methods.iter().map(http::Method::as_str).collect::<Vec<_>>(),
            "idempotent_headers": route.retry.idempotent_headers.iter().map(http::HeaderName::as_str).collect::<Vec<_>>(),
        },
        "buffer_bytes": route.buffer,
        "priority": match route.priority {
            Priority::Low => "low",
            Priority::Normal => "normal",
            Priority::High => "high",
        },
        "decision_header": route.decision_header,
        "objective": objective(route.objective),
    })
}

fn objective(objective: Objective) -> Value {
    json!({ "p99": objective.p99.map(duration), "success": objective.success, "window": objective.window.map(duration) })
}

/// Takes a user and password out of a URL.
fn without_userinfo(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?.1))) {
        Some((scheme, rest)) => format!("{scheme}://{rest}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        assert_eq!(without_userinfo("http://me:secret@127.0.0.1:4566"), "http://127.0.0.1:4566");
        assert_eq!(without_userinfo("http://127.0.0.1:4566"), "http://127.0.0.1:4566");
    }
}
