//! What a run by counts came to: whole requests, latencies, usage.

use policies::{
    cost::{LambdaUsage, Usage},
    policy::ColdStart,
};

use super::{Counts, GRID, Sums, spreader::Spreader};
use crate::{
    plan::Routing,
    replay::{
        lambda::{Function, RESTORE_BILLED},
        site::{BALANCER_WAIT_US, Outcome},
        tally::{Failed, SpillCause},
    },
};

impl Counts<'_> {
    pub(super) fn close(mut self, start_us: u64, end_us: u64, arrived: u64) -> Outcome {
        self.window.close(&mut self.tally);
        self.tasks.close(end_us);
        let sums = &self.sums;
        // Whole requests, whose sum is what arrived: what was rounded goes to the largest part.
        let round = |requests: f64| requests.round() as u64;
        let failed = [
            (Failed::Refused, round(sums.refused)),
            (Failed::QueueTimeout, round(sums.timed_out)),
            (Failed::Throttled, round(sums.throttled)),
        ];
        let failures: u64 = failed.iter().map(|(_, count)| count).sum();
        let ok = arrived.saturating_sub(failures);
        let total = (sums.in_containers + sums.on_lambda).max(1e-9);
        let on_lambda = round(ok as f64 * sums.on_lambda / total).min(ok);
        let cold = round(sums.cold).min(on_lambda);
        let model = &self.site.function;
        let within = self.site.service_time.share_within(model.timeout_us as f64 / model.slowness);
        let cut_off = round(on_lambda as f64 * (1.0 - within)).min(on_lambda);
        for (why, count) in failed {
            self.tally.failed[why.index()] = count;
        }
        self.tally.failed[Failed::FunctionTimeout.index()] = cut_off;
        self.tally.failed[Failed::Refused.index()] += arrived - failures - ok;
        self.tally.requests = arrived;
        self.tally.ok = ok - cut_off;
        self.tally.by_lane = [on_lambda, ok - on_lambda];
        self.tally.cold = cold;
        self.tally.spills[SpillCause::NoTasks.index()] = round(sums.no_tasks);
        self.tally.spills[SpillCause::SlotsFull.index()] = round(sums.slots_full);
        self.tally.throttled[0] = round(sums.throttled);
        self.tally.interruptions = self.tasks.interruptions;
        self.tally.busy_area = self.busy_area.min(self.slot_area) as u128;
        self.tally.slot_area = self.slot_area as u128;
        self.latencies(failures);
        let usage = self.usage(start_us, end_us);
        let warm_usage = LambdaUsage::default();
        Outcome { tally: self.tally, usage, warm_usage, series: self.series }
    }

    /// Adds up latencies: durations in containers behind their waits, on Lambda behind cold starts.
    fn latencies(&mut self, failures: u64) {
        let [on_lambda, in_containers] = self.tally.by_lane;
        let slowness = self.site.function.slowness;
        let timeout = self.site.function.timeout_us as f64;
        let objective = self.site.streams[0].objective_us as f64;
        let cold = self.tally.cold;
        let starts: Vec<_> = (0..32)
            .map(|n| self.site.function.start.quantile_us((f64::from(n) + 0.5) / 32.0))
            .collect();
        let waits: Vec<_> =
            self.waits.buckets().map(|((a, b), n)| (f64::midpoint(a, b), n as f64)).collect();
        let waited = waits.iter().map(|wait| wait.1).sum::<f64>();
        let mut latencies = Spreader::default();
        for &us in &self.grid {
            let share = 1.0 / GRID as f64;
            let run_us = (us * slowness).min(timeout);
            latencies.add(run_us, (on_lambda - cold) as f64 * share);
            for start in &starts {
                latencies.add(run_us + start, cold as f64 * share / 32.0);
            }
            if waited <= 0.0 {
                latencies.add(us, in_containers as f64 * share);
            }
            for (wait, count) in &waits {
                latencies.add(us + wait, in_containers as f64 * share * count / waited);
            }
        }
        self.tally.within_objective =
            latencies.within(objective).round().min(self.tally.ok as f64) as u64;
        // Who is refused is so at once; who gives up waiting does so at the end of the wait.
        let timed_out = self.tally.failed[Failed::QueueTimeout.index()].min(failures);
        latencies.add(BALANCER_WAIT_US as f64, timed_out as f64);
        latencies.add(0.0, (failures - timed_out) as f64);
        self.tally.latencies = latencies.counted(self.tally.requests);
        self.tally.in_system_area = self.tally.latencies.sum_us();
        self.tally.cold_us = (cold as f64 * self.site.function.start.mean_us()) as u64;
    }

    /// Returns what was used from `start_us` to `end_us`, once tasks are closed.
    pub(super) fn usage(&self, start_us: u64, end_us: u64) -> Usage {
        let Sums { on_lambda, ran_us, cold, .. } = self.sums;
        let model = &self.site.function;
        let snapstart = model.cold_start == ColdStart::SnapStart;
        let billed = if snapstart { RESTORE_BILLED } else { 1.0 };
        let start_ms = model.start.mean_us() * billed / 1000.0;
        // Each run is rounded up to a millisecond: by half of one on average.
        let billed_ms = ran_us / 1000.0 + on_lambda * 0.5 + cold * start_ms;
        let restores = if snapstart { cold.round() as u64 } else { 0 };
        let mut function = Function::new(model.clone());
        function.ran(on_lambda.round() as u64, billed_ms as u64, restores);
        function.close(start_us, end_us, self.routing != Routing::ContainerOnly);
        Usage { lambda: function.usage, fargate: self.tasks.usage, ..Usage::default() }
    }
}
