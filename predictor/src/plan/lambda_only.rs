//! No containers: everything runs on Lambda.

use super::{Inputs, Plan, Planner, Routing, Why};

/// Holds nothing ready.
#[derive(Debug, Clone, Copy, Default)]
pub struct LambdaOnly;

impl Planner for LambdaOnly {
    fn plan(&mut self, _: &Inputs<'_>, _: &Plan) -> Plan {
        Plan::tasks(0, Why::Fixed)
    }

    fn routing(&self) -> Routing {
        Routing::LambdaOnly
    }

    fn name(&self) -> &'static str {
        "all-lambda"
    }
}
