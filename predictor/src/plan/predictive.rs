//! AWS's predictive scaling for ECS beside target tracking.
//!
//! Once an hour it forecasts the load of each hour of the next two days and raises the floor ahead of it, by the scheduling
//! buffer of 5 minutes; target tracking does the rest, and alone takes back. It begins after 24 h of data. AWS does not
//! publish its model: here an hour's forecast is the mean of the same hour of the days before, those of the same weekday
//! counted twice, over 14 days at most. Source: Application Auto Scaling user guide, "Predictive scaling".

use super::{Inputs, Plan, Planner, Routing, TargetTracking, Why};

const HOUR_US: u64 = 3_600_000_000;
const BUFFER_US: u64 = 300_000_000;
const DAY_HOURS: usize = 24;
const DAYS: usize = 14;

/// Hourly floors and target tracking.
#[derive(Debug, Clone)]
pub struct Predictive {
    tracking: TargetTracking,
    target: f64,
    /// Demand on average in each whole hour that has passed.
    hours: Vec<f64>,
    first_hour: Option<u64>,
}

impl Predictive {
    /// Tracks `target`, and forecasts to meet it.
    pub fn new(target: f64) -> Self {
        Self { tracking: TargetTracking::new(target), target, hours: Vec::new(), first_hour: None }
    }

    /// Returns the demand expected in the `hour`th hour since the first.
    fn forecast(&self, hour: usize) -> Option<f64> {
        let (mut sum, mut weight) = (0.0, 0.0);
        for day in 1..=DAYS {
            let Some(demand) = hour.checked_sub(day * DAY_HOURS).and_then(|at| self.hours.get(at))
            else {
                continue;
            };
            let share = if day % 7 == 0 { 2.0 } else { 1.0 };
            sum += share * demand;
            weight += share;
        }
        (0.0 < weight).then(|| sum / weight)
    }
}

impl Planner for Predictive {
    fn plan(&mut self, inputs: &Inputs<'_>, previous: &Plan) -> Plan {
        let now = inputs.now_us;
        let first = *self.first_hour.get_or_insert(now / HOUR_US);
        let passed = (now / HOUR_US - first) as usize;
        while self.hours.len() < passed {
            // Hours are taken in as they end; what came since the end of one is minutes.
            self.hours.push(inputs.history.demand_over(HOUR_US));
        }
        let hours = [now, now + BUFFER_US].map(|at| (at / HOUR_US - first) as usize);
        let demand = hours.into_iter().filter_map(|hour| self.forecast(hour)).fold(0.0, f64::max);
        let slots = f64::from(inputs.shape.slots_per_task) * self.target;
        let floor = (demand / slots).ceil() as u32;
        self.tracking.floor(floor);
        let plan = self.tracking.plan(inputs, previous);
        let raised = previous.tasks < plan.tasks && plan.tasks == floor.min(inputs.shape.max_tasks);
        Plan { why: if raised { Why::Forecast } else { plan.why }, ..plan }
    }

    fn every_us(&self) -> u64 {
        self.tracking.every_us()
    }

    fn routing(&self) -> Routing {
        Routing::ContainerOnly
    }

    fn name(&self) -> &'static str {
        "predictive-scaling"
    }
}
