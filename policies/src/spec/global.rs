//! The fields that hold for the whole gateway; only the main file has them.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::{
    admin, defaults,
    fields::{Fields, WordOrFields, Written},
    scalar, state, telemetry,
};
use crate::{
    policy::{AccessLog, Admin, Gateways, Network, Otlp, State},
    problem::Place,
};

/// The main file's own fields; `None` takes the default.
#[derive(Debug, Default)]
pub(crate) struct Global {
    pub(crate) region: Option<Written<Arc<str>>>,
    pub(crate) endpoint_url: Option<Written<Arc<str>>>,
    pub(crate) http: Option<Written<SocketAddr>>,
    pub(crate) health: Option<Written<Arc<str>>>,
    pub(crate) trust_forwarded_from: Vec<Written<Network>>,
    pub(crate) idle_timeout: Option<Written<Duration>>,
    pub(crate) drain: Option<Written<Duration>>,
    pub(crate) metrics: Option<Written<Option<SocketAddr>>>,
    pub(crate) admin: Option<Written<Option<Admin>>>,
    pub(crate) access_log: Option<Written<AccessLog>>,
    pub(crate) otlp: Option<Written<Otlp>>,
    pub(crate) connections: Option<Written<u32>>,
    pub(crate) request_head: Option<Written<u64>>,
    pub(crate) buffered: Option<Written<u64>>,
    pub(crate) queue: Option<Written<u32>>,
    pub(crate) shutdown: Option<Written<Duration>>,
    pub(crate) state: Option<Written<State>>,
    pub(crate) gateways: Option<Written<Gateways>>,
}

impl Global {
    /// Returns where the fields are written that a running gateway cannot change, by path.
    pub(crate) fn places(&self) -> BTreeMap<&'static str, Place> {
        fn place<T>(written: Option<&Written<T>>) -> Option<Place> {
            written.map(|written| written.place.clone())
        }
        let places = [
            ("region", place(self.region.as_ref())),
            ("endpoint_url", place(self.endpoint_url.as_ref())),
            ("listen.http", place(self.http.as_ref())),
            ("metrics", place(self.metrics.as_ref())),
            ("admin", place(self.admin.as_ref())),
            ("access_log", place(self.access_log.as_ref())),
            ("limits.connections", place(self.connections.as_ref())),
            ("limits.buffered", place(self.buffered.as_ref())),
            ("state", place(self.state.as_ref())),
            ("gateways", place(self.gateways.as_ref())),
        ];
        places.into_iter().filter_map(|(field, place)| Some((field, place?))).collect()
    }

    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let mut global = Self {
            region: fields.value("region", scalar::REGION),
            endpoint_url: fields.value("endpoint_url", scalar::ENDPOINT_URL),
            metrics: fields.value("metrics", scalar::SOCKET_OR_OFF),
            admin: admin::admin(fields, defaults::ADMIN),
            access_log: access_log(fields),
            otlp: telemetry::telemetry(fields),
            state: fields.value("state", state::STATE),
            gateways: state::gateways(fields),
            ..Self::default()
        };
        if let Some(mut listen) = fields.fields("listen") {
            global.http = listen.value("http", scalar::SOCKET);
            global.health = listen.value("health", scalar::PATH);
            global.trust_forwarded_from = listen.values("trust_forwarded_from", scalar::NETWORK);
            global.idle_timeout = listen.value("idle_timeout", scalar::SOME_TIME);
            global.drain = listen.value("drain", scalar::DURATION);
            listen.reserved(&["tls"]);
            listen.done();
        }
        if let Some(mut limits) = fields.fields("limits") {
            global.connections = limits.value("connections", scalar::COUNT);
            global.request_head = limits.value("request_head", scalar::HEAD_BYTES);
            global.buffered = limits.value("buffered", scalar::SOME_BYTES);
            global.queue = limits.value("queue", scalar::COUNT);
            global.shutdown = limits.value("shutdown", scalar::DURATION);
            limits.done();
        }
        global
    }
}

/// Reads `off`, `stdout` or `{ file: PATH }`.
fn access_log(fields: &mut Fields<'_, '_>) -> Option<Written<AccessLog>> {
    match fields.word_or_fields("access_log", scalar::LOG_TARGET) {
        WordOrFields::Nothing => None,
        WordOrFields::Word(Written { value, place, field }) => {
            let value = if value { AccessLog::Stdout } else { AccessLog::Off };
            Some(Written { value, place, field })
        }
        WordOrFields::Fields(mut to) => {
            let (place, field) = (to.place.clone(), to.path.clone());
            let file = to.value("file", scalar::TEXT);
            if !to.has("file") {
                to.missing("file", "write the path of a file");
            }
            to.done();
            let value = AccessLog::File(PathBuf::from(&*file?.value));
            Some(Written { value, place, field })
        }
    }
}
