//! Spock (Gunasekaran et al., CLOUD 2019): containers scaled as usual, and Lambda for what finds no room while they boot.

use super::{Inputs, Plan, Planner, Routing, TargetTracking};

/// Target tracking with Lambda behind it.
#[derive(Debug, Clone)]
pub struct Spock(TargetTracking);

impl Spock {
    /// Scales containers as [`TargetTracking`] does.
    pub fn new(target: f64) -> Self {
        Self(TargetTracking::new(target))
    }
}

impl Planner for Spock {
    fn plan(&mut self, inputs: &Inputs<'_>, previous: &Plan) -> Plan {
        self.0.plan(inputs, previous)
    }

    fn every_us(&self) -> u64 {
        self.0.every_us()
    }

    fn routing(&self) -> Routing {
        Routing::Hybrid
    }

    fn name(&self) -> &'static str {
        "spock"
    }
}
