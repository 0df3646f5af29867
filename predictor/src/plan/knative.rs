//! Knative's pod autoscaler (KPA).
//!
//! Every 2 s it sets the count so that concurrency, averaged over 60 s, fills the target share of each task's slots. When the
//! average over 6 s asks for twice what is ready, it panics: it follows the short average and takes nothing back for 60 s.
//! It doubles nothing slower than 1,000-fold a step, and takes back at most half. Its 30 s grace before scaling to zero is
//! left out: one task always stays, as the activator that would hold requests is not modelled. Source: knative/serving,
//! `pkg/autoscaler/scaling/autoscaler.go` and the defaults of `config-autoscaler`.

use super::{Inputs, Plan, Planner, Routing, Why};

const STABLE_US: u64 = 60_000_000;
const PANIC_US: u64 = 6_000_000;
const PANIC_AT: f64 = 2.0;
const TARGET: f64 = 0.7;

/// The autoscaler.
#[derive(Debug, Clone, Default)]
pub struct Knative {
    panic_until: u64,
    panic_tasks: u32,
}

impl Planner for Knative {
    fn plan(&mut self, inputs: &Inputs<'_>, previous: &Plan) -> Plan {
        let shape = inputs.shape;
        let (least, most) = (shape.min_tasks.max(1), shape.max_tasks.max(1));
        let target = TARGET * f64::from(shape.slots_per_task);
        let wanted = |us| (inputs.history.demand_over(us) / target).ceil() as u32;
        let (stable, short) = (wanted(STABLE_US), wanted(PANIC_US));
        let ready = inputs.ready.max(1);
        if PANIC_AT * f64::from(ready) <= f64::from(short) {
            self.panic_until = inputs.now_us + STABLE_US;
        }
        if inputs.now_us < self.panic_until {
            self.panic_tasks = self.panic_tasks.max(short.max(stable));
            return Plan::tasks(self.panic_tasks.clamp(least, most), Why::Panic);
        }
        self.panic_tasks = 0;
        let tasks = stable.max(ready / 2).clamp(least, most);
        let why = match tasks.cmp(&previous.tasks) {
            std::cmp::Ordering::Less => Why::TooIdle,
            std::cmp::Ordering::Equal => Why::Unchanged,
            std::cmp::Ordering::Greater => Why::TooBusy,
        };
        Plan::tasks(tasks, why)
    }

    fn every_us(&self) -> u64 {
        2_000_000
    }

    fn routing(&self) -> Routing {
        Routing::ContainerOnly
    }

    fn name(&self) -> &'static str {
        "knative"
    }
}
