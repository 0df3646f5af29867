//! The policy file as written: every field with its place, nothing inherited, nothing checked against anything else.
//!
//! Reading stops at nothing: an unreadable value is noted and left out, so that one run finds all problems. Keys of the
//! settled namespace whose feature does not exist yet are refused here, at their place: ignoring one would be a lie.

pub(crate) mod admin;
pub(crate) mod capacity;
pub(crate) mod common;
pub(crate) mod defaults;
pub(crate) mod event;
pub(crate) mod fields;
pub(crate) mod global;
pub(crate) mod outline;
pub(crate) mod route;
pub(crate) mod scalar;
pub(crate) mod service;
pub(crate) mod state;
pub(crate) mod telemetry;

use self::{
    common::Common,
    event::EventSpec,
    fields::{Fields, Sink, Written},
    global::Global,
    outline::Drawing,
    route::RouteSpec,
    service::ServiceSpec,
};
use crate::{node::Node, problem::Place};

/// One file.
#[derive(Debug, Default)]
pub(crate) struct Spec {
    pub(crate) global: Global,
    pub(crate) include: Vec<Written<String>>,
    pub(crate) defaults: Common,
    pub(crate) services: Vec<ServiceSpec>,
    pub(crate) routes: Vec<RouteSpec>,
    pub(crate) events: Vec<EventSpec>,
}

/// Keys settled for later work in many places; named so that nothing moves when they come.
const RESERVED: [&str; 9] =
    ["auth", "rate_limit", "canary", "mirror", "tls", "assume_role", "tenant", "rewrite", "cors"];

/// Keys that services and routes inherit: at the top level they are in the wrong place.
const INHERITED: [&str; 8] =
    ["mode", "timeouts", "retry", "buffer", "auto", "priority", "objective", "decision_header"];

/// Keys that only the main file may hold: two files that disagree about them would have no right answer.
const MAIN_ONLY: [&str; 11] = [
    "region",
    "endpoint_url",
    "listen",
    "metrics",
    "admin",
    "access_log",
    "telemetry",
    "limits",
    "defaults",
    "state",
    "gateways",
];

/// Reads the file whose tree is `root`; `main` tells whether it is the one that was asked for, not an included one.
pub(crate) fn read(root: &Node, main: bool, sink: &Sink) -> Spec {
    match Fields::of(root, String::new(), sink) {
        Some(fields) => read_fields(fields, main),
        None => Spec::default(),
    }
}

/// Notes all that is asked for in a policy's main file.
pub(crate) fn draw() -> Drawing {
    let (drawing, sink) = (Drawing::default(), Sink::default());
    read_fields(Fields::draw(drawing.clone(), &sink), true);
    drawing
}

fn read_fields(mut fields: Fields<'_, '_>, main: bool) -> Spec {
    let mut spec = Spec::default();
    let version = fields.value("version", scalar::VERSION);
    if main && version.is_none() && !fields.has("version") {
        let place = Place { line: 1, column: 1, ..fields.place.clone() };
        fields.missing_at(place, "version", "write `version: 1` first");
    }
    if main {
        spec.global = Global::read(&mut fields);
        if let Some(mut defaults) = fields.fields("defaults") {
            spec.defaults = Common::read(&mut defaults);
            spec.defaults.mode = defaults.value("mode", scalar::MODE);
            defaults.reserved(&RESERVED);
            defaults.done();
        }
    } else {
        for key in MAIN_ONLY {
            fields.misplaced(key, "belongs in the main file; move it there");
        }
    }
    for key in INHERITED {
        fields.misplaced(key, "belongs in `defaults`, a service or a route; move it there");
    }
    fields.reserved(&RESERVED);
    spec.include = fields.values("include", scalar::INCLUDE);
    spec.services = fields.named("services", ServiceSpec::read);
    spec.routes = fields.each("routes", RouteSpec::read);
    spec.events = fields.each("events", EventSpec::read);
    fields.done();
    spec
}
