//! A number of tasks that never changes.

use super::{Inputs, Plan, Planner, Routing, Why};

/// Holds always as many.
#[derive(Debug, Clone, Copy)]
pub struct StaticTasks {
    tasks: u32,
    routing: Routing,
    name: &'static str,
}

impl StaticTasks {
    /// Holds enough for the peak, without Lambda: tasks whose slots the highest demand of any minute fills to 70 %.
    pub fn peak(peak: f64, slots_per_task: u32) -> Self {
        let tasks = (peak / f64::from(slots_per_task.max(1)) / 0.7).ceil().max(1.0) as u32;
        Self { tasks, routing: Routing::ContainerOnly, name: "static-peak" }
    }

    /// Holds the number that turned out cheapest, with Lambda for the rest: nobody could have known.
    pub fn hindsight(tasks: u32) -> Self {
        Self { tasks, routing: Routing::Hybrid, name: "best-static" }
    }

    /// Holds as many as a user runs today.
    pub fn given(tasks: u32, routing: Routing) -> Self {
        Self { tasks, routing, name: "static" }
    }
}

impl Planner for StaticTasks {
    fn plan(&mut self, inputs: &Inputs<'_>, _: &Plan) -> Plan {
        let (least, most) = (inputs.shape.min_tasks, inputs.shape.max_tasks);
        Plan::tasks(self.tasks.min(most).max(least), Why::Fixed)
    }

    fn routing(&self) -> Routing {
        self.routing
    }

    fn name(&self) -> &'static str {
        self.name
    }
}
