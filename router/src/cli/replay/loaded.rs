//! A load that is ready to be replayed, and what is to be said of it.

use policies::{
    policy::ColdStart,
    units::show_duration,
    workload::{Distribution, Scenario},
};
use predictor::replay::{
    compare::{Mode, Part, Requests},
    engine::SITES_MAX,
    site::Site,
};

use super::{observed::Observed, spool::Kept};

/// Requests above which counts are not made single requests to be followed, unless asked for.
const EVENTS_UP_TO: u64 = 20_000_000;

/// Keys of a workload file whose value a policy says itself.
const SAID: [&str; 8] = [
    "scale",
    "memory",
    "task.vcpu",
    "task.memory",
    "task.arch",
    "requests_per_task",
    "timeout",
    "class",
];

/// A load, and the services that it is for.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Its name in reports.
    pub(super) name: String,
    /// The services.
    pub(super) parts: Vec<Part>,
    /// Its requests one by one, where the trace has them.
    pub(super) requests: Option<Kept>,
    /// How they are followed.
    pub(super) mode: Mode,
    /// What nobody wrote and is taken as it mostly is: keys of a workload file.
    pub(super) assumed: Vec<&'static str>,
    /// What was found in the trace that a reader should know, a sentence each.
    pub(super) notes: Vec<String>,
    /// What the result rests on without anybody knowing it.
    pub(super) unsure: Vec<String>,
    /// How it was run, where its log tells.
    pub(super) observed: Option<Observed>,
}

impl Loaded {
    /// A load of which nothing is known yet.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            parts: Vec::new(),
            requests: None,
            mode: Mode::Events,
            assumed: Vec::new(),
            notes: Vec::new(),
            unsure: Vec::new(),
            observed: None,
        }
    }

    /// Its single requests, as planners are given them.
    pub(super) fn requests(&self) -> Option<&dyn Requests> {
        self.requests.as_ref().map(|kept| kept as &dyn Requests)
    }

    /// Returns how many requests it has.
    pub(super) fn count(&self) -> u64 {
        self.parts.iter().map(|part| part.load.total()).sum()
    }

    /// Returns `problem` with all that was found in the trace: one of it may be the reason.
    pub(super) fn with_notes(&self, problem: &str) -> String {
        std::iter::once(problem)
            .chain(self.notes.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Follows each request as long as there are not too many.
    pub(super) fn mode_by_requests(&mut self) {
        let few = self.count() <= EVENTS_UP_TO && self.parts.len() <= SITES_MAX;
        self.mode = if few { Mode::Events } else { Mode::Counts };
    }

    /// Notes what nobody wrote about `site`, and what the result rests on for that.
    pub(super) fn assume(&mut self, site: &Site, assumed: &Scenario) {
        let service = &site.service;
        for key in assumed.assumed.iter().copied().filter(|key| !SAID.contains(key)) {
            let of_lambda = matches!(key, "cold_start" | "lambda_speed" | "idle_lifetime");
            let lane =
                if of_lambda { service.lambda.is_some() } else { service.container.is_some() };
            if !lane {
                continue;
            }
            if !self.assumed.contains(&key) {
                self.assumed.push(key);
            }
            let unsure = match key {
                "lambda_speed" => "Lambda is taken to be as fast as a task".to_owned(),
                "task_start" => {
                    format!("tasks are taken to start in {}", about(&assumed.task_start))
                }
                "cold_start" => {
                    let what = match site.function.cold_start {
                        ColdStart::SnapStart => "restores",
                        ColdStart::Plain | ColdStart::Provisioned => "cold starts",
                    };
                    format!("{what} are taken to last {}", about(&assumed.cold_start.time))
                }
                _ => continue,
            };
            if !self.unsure.contains(&unsure) {
                self.unsure.push(unsure);
            }
        }
    }
}

fn about(time: &Distribution) -> String {
    match time {
        Distribution::Fixed(time) => show_duration(*time),
        Distribution::Exponential { mean } | Distribution::Lognormal { mean, .. } => {
            format!("{} on average", show_duration(*mean))
        }
        Distribution::Quantiles(_) => "what is written".to_owned(),
    }
}
