//! How busy a container must be before it is cheaper than Lambda.

use std::time::Duration;

use super::{FunctionSize, MIB_PER_GB, MS_PER_HOUR, PriceBook, TaskSize, Terms};

impl PriceBook {
    /// Returns the share of time that a task's slots must be in use for the task to cost what Lambda would.
    ///
    /// ```text
    /// u* = c_slot / c_lambda
    ///      c_slot   = (vcpu x vcpu_hour + gb x gb_hour) / 3600 / slots      a slot's second, used or not
    ///      c_lambda = gb x gb_second + request / mean                       a second of requests being served
    /// ```
    ///
    /// 1 vCPU and 2 GB on Arm beside 1769 MiB, one slot, long requests: 10.97e-6 / 23.03e-6 = 0.476. Above 1, Lambda is
    /// cheaper however busy the task. `mean` is the mean billed duration, at equal speed on both; prices are those of
    /// the first tier, `spot` takes the task's from the Spot list. Infinite where Lambda costs nothing.
    pub fn break_even_utilisation(
        &self,
        function: FunctionSize,
        task: TaskSize,
        spot: bool,
        slots: u32,
        mean: Duration,
        terms: Terms,
    ) -> f64 {
        let (arch, fargate) = (task.arch, &self.fargate);
        let (vcpu_hour, gb_hour) = if spot {
            (*fargate.spot_vcpu_hour.of(arch), *fargate.spot_gb_hour.of(arch))
        } else {
            let plan = self.savings_plans.under(terms.fargate);
            let vcpu_hour = plan.and_then(|plan| *plan.fargate_vcpu_hour.of(arch));
            let gb_hour = plan.and_then(|plan| *plan.fargate_gb_hour.of(arch));
            (
                vcpu_hour.unwrap_or(*fargate.vcpu_hour.of(arch)),
                gb_hour.unwrap_or(*fargate.gb_hour.of(arch)),
            )
        };
        let hour_1024 = f64::from(task.cpu_units) * vcpu_hour.as_usd()
            + f64::from(task.memory_mib) * gb_hour.as_usd();
        let slot_second =
            hour_1024 * 1000.0 / (MIB_PER_GB * MS_PER_HOUR) as f64 / f64::from(slots.max(1));

        let plan = self.savings_plans.under(terms.lambda);
        let gb_second = plan
            .and_then(|plan| *plan.lambda_gb_second.of(function.arch))
            .unwrap_or_else(|| self.lambda.first_tier(function.arch));
        let request = self.lambda.million_requests.as_usd() / 1e6;
        let memory_second = f64::from(function.memory_mib) / MIB_PER_GB as f64 * gb_second.as_usd();
        slot_second / (memory_second + request / mean.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cost::Term, policy::Arch};

    const FUNCTION: FunctionSize = FunctionSize { arch: Arch::Arm64, memory_mib: 1769 };
    const TASK: TaskSize = TaskSize { arch: Arch::Arm64, cpu_units: 1024, memory_mib: 2048 };
    const LONG: Duration = Duration::from_hours(1);

    #[track_caller]
    fn check(spot: bool, slots: u32, mean: Duration, terms: Terms, expected: f64) {
        let book = PriceBook::fallback();
        let share = book.break_even_utilisation(FUNCTION, TASK, spot, slots, mean, terms);
        assert!((share - expected).abs() < 0.0005, "{share}");
    }

    #[test]
    fn worked_numbers_come_out() {
        let on_demand = Terms::default();
        check(false, 1, LONG, on_demand, 0.476);
        // Spot: (0.01030969 + 2 x 0.00113349) / 3600 = 3.4935e-6.
        check(true, 1, LONG, on_demand, 0.152);
        // Four requests at once share the task.
        check(false, 4, LONG, on_demand, 0.119);
        // A request of 10 ms pays 0.0000002 / 0.01 s = 20e-6 a second besides: 10.97 / 43.03.
        check(false, 1, Duration::from_millis(10), on_demand, 0.255);
        // Plans: (0.0255 + 2 x 0.0028) / 3600 = 8.639e-6 beside 1.7275 x 0.0000117 = 20.21e-6.
        let plans = Terms {
            lambda: Term::OneYearNoUpfront,
            fargate: Term::OneYearNoUpfront,
            free_tier: false,
        };
        check(false, 1, LONG, plans, 0.427);
    }

    #[test]
    fn edges_are_numbers_too() {
        let book = PriceBook::fallback();
        let terms = Terms::default();
        let at =
            |slots, mean| book.break_even_utilisation(FUNCTION, TASK, false, slots, mean, terms);
        // Requests that take no time cost on Lambda and nothing in a slot.
        assert!(at(1, Duration::ZERO).abs() < f64::EPSILON);
        assert!((at(0, LONG) - at(1, LONG)).abs() < f64::EPSILON);
        let free = "lambda: { million_requests: 0, duration_gb_second: { arm64: 0 } }";
        let free = book.with_overrides("own.yaml", free).unwrap();
        let share = free.break_even_utilisation(FUNCTION, TASK, false, 1, LONG, terms);
        assert!(share.is_infinite());
    }
}
