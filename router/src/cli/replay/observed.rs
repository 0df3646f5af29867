//! The load as it was run, as far as its log tells.

use std::collections::HashMap;

use policies::cost::{TaskSize, Usage};
use predictor::{
    replay::{latency::Latencies, site::Site},
    trace::Request,
};

/// Servers that are told apart.
const TARGETS_MAX: usize = 1 << 16;

/// After so long without a request a server is taken to have been stopped and started again.
const GONE_US: u64 = 900_000_000;

/// Where a load ran, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// Its requests.
    pub(super) requests: u64,
    /// Those that were answered with a server error, or not at all.
    pub(super) failures: u64,
    /// Those that a server answered, which has an address.
    pub(super) in_tasks: u64,
    /// Those that something without an address answered: a Lambda function.
    pub(super) on_lambda: u64,
    /// How long all took that tell it.
    pub(super) latencies: Latencies,
    /// Servers that were seen.
    pub(super) servers: usize,
    /// What all of it would cost at the policy's sizes.
    pub(super) usage: Usage,
    /// Those that took no longer than their service promises, of those that tell it.
    pub(super) within_objective: u64,
}

/// Requests of one service, as they ran.
#[derive(Debug, Default)]
pub(super) struct Seen {
    requests: u64,
    failures: u64,
    in_tasks: u64,
    on_lambda: u64,
    lambda_ms: u64,
    latencies: Latencies,
    within_objective: u64,
    targets: HashMap<Box<str>, Stay>,
    task_us: u64,
}

/// From when to when a server was seen.
#[derive(Debug, Clone, Copy)]
struct Stay {
    first_us: u64,
    last_us: u64,
}

impl Seen {
    /// Takes in a request of a load balancer's log, which is promised to take no longer than `objective_us`.
    pub(super) fn add(&mut self, request: &Request<'_>, objective_us: u64) {
        self.requests += 1;
        self.failures += u64::from(request.status.is_none_or(|status| 500 <= status));
        let Some(us) = request.duration_us else { return };
        self.latencies.add(us.into());
        self.within_objective += u64::from(u64::from(us) <= objective_us);
        let Some(target) = request.target else {
            self.on_lambda += 1;
            self.lambda_ms += u64::from(us).div_ceil(1000);
            return;
        };
        self.in_tasks += 1;
        let until_us = request.at_us + u64::from(us);
        let stay = Stay { first_us: request.at_us, last_us: until_us };
        let room = self.targets.len() < TARGETS_MAX;
        match self.targets.get_mut(target) {
            Some(known) if request.at_us <= known.last_us + GONE_US => {
                known.first_us = known.first_us.min(stay.first_us);
                known.last_us = known.last_us.max(stay.last_us);
            }
            Some(known) => {
                self.task_us += known.last_us - known.first_us;
                *known = stay;
            }
            None if room => {
                self.targets.insert(target.into(), stay);
            }
            None => {}
        }
    }

    fn task_ms(&self) -> u64 {
        let stays: u64 = self.targets.values().map(|stay| stay.last_us - stay.first_us).sum();
        (self.task_us + stays) / 1000
    }
}

impl Observed {
    /// Puts what was seen of services together; nothing without a log that tells where requests ran.
    pub(super) fn of<'a>(services: impl Iterator<Item = (&'a Seen, &'a Site)>) -> Option<Self> {
        let mut all = Self::default();
        for (seen, site) in services {
            all.requests += seen.requests;
            all.failures += seen.failures;
            all.in_tasks += seen.in_tasks;
            all.on_lambda += seen.on_lambda;
            all.servers += seen.targets.len();
            all.latencies.merge(&seen.latencies);
            all.within_objective += seen.within_objective;
            let task: TaskSize = site.task.size;
            all.usage.fargate.add(task, false, seen.task_ms());
            all.usage.lambda.add(site.function.size, seen.on_lambda, seen.lambda_ms);
        }
        (0 < all.in_tasks + all.on_lambda).then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_runs_from_its_first_request_to_its_last_one() {
        let mut seen = Seen::default();
        let mut request = |second: u64, target| {
            let at_us = second * 1_000_000;
            let duration_us = Some(2_000_000);
            let request =
                Request { at_us, duration_us, target, status: Some(200), ..Request::default() };
            seen.add(&request, if second < 100 { 2_000_000 } else { 1_000_000 });
        };
        request(10, Some("10.0.0.1:80"));
        request(100, Some("10.0.0.1:80"));
        request(95, Some("10.0.0.2:80"));
        // Gone for half an hour: another task.
        request(2_000, Some("10.0.0.1:80"));
        request(50, None);
        assert_eq!(seen.task_ms(), 92_000 + 2_000 + 2_000);
        assert_eq!((seen.in_tasks, seen.on_lambda, seen.lambda_ms), (4, 1, 2_000));
        assert_eq!(seen.within_objective, 3);
    }
}
