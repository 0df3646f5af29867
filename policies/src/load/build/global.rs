//! What holds for the whole gateway.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{
    load::inherit::{or, shared},
    policy::{AccessLog, Admin, Limits, Listen},
    spec::{defaults, fields::Sink, global::Global},
};

/// The gateway's own settings.
pub(super) struct Settings {
    pub(super) region: Option<Arc<str>>,
    pub(super) endpoint_url: Option<Arc<str>>,
    pub(super) listen: Listen,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) admin: Option<Admin>,
    pub(super) access_log: AccessLog,
    pub(super) limits: Limits,
}

pub(super) fn settings(global: &Global, sink: &Sink, warnings: &Sink) -> Settings {
    let default = defaults::LIMITS;
    let limits = Limits {
        connections: global
            .connections
            .as_ref()
            .map_or(default.connections, |limit| limit.value as usize),
        request_head: or(global.request_head.as_ref(), default.request_head as u64) as usize,
        buffered: or(global.buffered.as_ref(), default.buffered),
        queue: or(global.queue.as_ref(), default.queue),
        shutdown: or(global.shutdown.as_ref(), default.shutdown),
    };
    let settings = Settings {
        region: global.region.as_ref().map(|region| region.value.clone()),
        endpoint_url: global.endpoint_url.as_ref().map(|url| url.value.clone()),
        listen: Listen {
            http: or(global.http.as_ref(), defaults::HTTP),
            health: or(global.health.as_ref(), shared(defaults::HEALTH)),
            trust_forwarded_from: global
                .trust_forwarded_from
                .iter()
                .map(|network| network.value)
                .collect(),
            idle_timeout: or(global.idle_timeout.as_ref(), defaults::LISTEN_IDLE),
            drain: or(global.drain.as_ref(), defaults::LISTEN_DRAIN),
        },
        metrics: or(global.metrics.as_ref(), Some(defaults::METRICS)),
        admin: or(global.admin.as_ref(), Some(Admin::at(defaults::ADMIN))),
        access_log: or(global.access_log.as_ref(), AccessLog::Off),
        limits,
    };
    check_sockets(global, &settings, sink);
    check_admin(global, sink, warnings);
    warn_otlp(global, warnings);
    warn_open(global, warnings);
    settings
}

/// Warns of what is open to more people than was probably meant.
fn warn_open(global: &Global, warnings: &Sink) {
    for network in global.trust_forwarded_from.iter().filter(|network| network.value.prefix == 0) {
        let message =
            "every client is believed about where it comes from; name the proxies' networks";
        network.problem(warnings, message);
    }
}

/// Refuses to let strangers stop all scaling, and warns of tokens that can be read on their way.
fn check_admin(global: &Global, sink: &Sink, warnings: &Sink) {
    let Some(written) = &global.admin else { return };
    let Some(admin) = written.value.as_ref().filter(|admin| !admin.listen.ip().is_loopback())
    else {
        return;
    };
    if !admin.asks() {
        let message = "whoever reaches it could stop all scaling: write `{ listen, tokens: { read, operator } }` or `tls: { clients }`, \
                       or listen on 127.0.0.1";
        written.problem(sink, message);
    } else if admin.tls.is_none() {
        let message = "tokens pass in clear: add `tls`, or keep strangers off the way";
        written.problem(warnings, message);
    }
}

/// Warns of keys for a collector that can be read on their way, and of the port at which OTLP is not spoken over HTTP.
fn warn_otlp(global: &Global, warnings: &Sink) {
    let Some(otlp) = &global.otlp else { return };
    let Ok(uri) = otlp.value.endpoint.parse::<http::Uri>() else { return };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if uri.scheme_str() == Some("http") && !here && !otlp.value.headers.is_empty() {
        let message = "its headers pass in clear: write an endpoint of https://, or keep strangers off the way";
        otlp.problem(warnings, message);
    }
    if uri.port_u16() == Some(4317) {
        let message =
            "4317 is the usual port of OTLP over gRPC; over HTTP, which is spoken here, it is 4318";
        otlp.problem(warnings, message);
    }
}

/// Refuses two listeners on one socket, noting it where the later of them is written.
fn check_sockets(global: &Global, settings: &Settings, sink: &Sink) {
    let http = global.http.as_ref().map(|http| (&http.place, &http.field));
    let metrics = global.metrics.as_ref().map(|metrics| (&metrics.place, &metrics.field));
    let admin = global.admin.as_ref().map(|admin| (&admin.place, &admin.field));
    let listeners = [
        ("listen.http", Some(settings.listen.http), http),
        ("metrics", settings.metrics, metrics),
        ("admin", settings.admin.as_ref().map(|admin| admin.listen), admin),
    ];
    for (index, (name, socket, written)) in listeners.iter().enumerate() {
        for (earlier, other, other_written) in &listeners[..index] {
            let (Some(socket), Some(other)) = (socket, other) else { continue };
            if !coincide(*socket, *other) {
                continue;
            }
            // One of the two is written: the defaults do not coincide.
            if let Some((place, field)) = written.or(*other_written) {
                sink.add(
                    place.clone(),
                    field.clone(),
                    format!("{earlier} ({other}) and {name} ({socket}) are one socket; give one another port"),
                );
            }
        }
    }
}

/// Tells whether binding both would fail; port 0 is always free.
fn coincide(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}
