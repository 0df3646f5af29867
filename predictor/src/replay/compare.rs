//! One load under every planner, side by side.

use policies::cost::{Bill, FargateUsage, FunctionSize, PriceBook, TaskSize, Terms};
use policies::policy::Arch;

use super::{
    arrivals::{Merged, Spread},
    counts, engine,
    load::{Known, Load},
    random::{Purpose, Random},
    site::{Account, Outcome, Planned, Site},
};
use crate::plan::{
    Knative, LambdaOnly, LastValue, Newsvendor, Perfect, Planner, Predictive, Routing, Spock,
    StaticTasks, TargetTracking, Truth, erlang,
};

/// The planners that a load is compared under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Everything on Lambda.
    AllLambda,
    /// Tasks for the peak, no Lambda.
    StaticPeak,
    /// The number of tasks that turned out best, with Lambda for the rest.
    BestStatic,
    /// Application Auto Scaling at 70 %.
    TargetTracking,
    /// Knative's autoscaler.
    Knative,
    /// AWS's hourly forecast beside target tracking.
    PredictiveScaling,
    /// Target tracking, with Lambda while tasks boot.
    Spock,
    /// Last value and newsvendor: the simplest hybrid worth the name.
    LastValueNewsvendor,
    /// The same with the demand known.
    PerfectForecast,
}

impl Baseline {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 9] = [
        Self::AllLambda,
        Self::StaticPeak,
        Self::BestStatic,
        Self::TargetTracking,
        Self::Knative,
        Self::PredictiveScaling,
        Self::Spock,
        Self::LastValueNewsvendor,
        Self::PerfectForecast,
    ];

    /// Returns the name that reports give it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllLambda => "all-lambda",
            Self::StaticPeak => "static-peak",
            Self::BestStatic => "best-static",
            Self::TargetTracking => "target-tracking",
            Self::Knative => "knative",
            Self::PredictiveScaling => "predictive-scaling",
            Self::Spock => "spock",
            Self::LastValueNewsvendor => "last-value-newsvendor",
            Self::PerfectForecast => "perfect-forecast",
        }
    }

    fn planner(self, part: &Part, bench: &Bench<'_>) -> Box<dyn Planner> {
        let slots = part.site.shape.slots_per_task;
        match self {
            Self::AllLambda => Box::new(LambdaOnly),
            Self::StaticPeak => Box::new(StaticTasks::peak(part.peak_demand(), slots)),
            Self::BestStatic => Box::new(StaticTasks::hindsight(bench.best_static(part))),
            Self::TargetTracking => Box::new(TargetTracking::new(0.7)),
            Self::Knative => Box::new(Knative::default()),
            Self::PredictiveScaling => Box::new(Predictive::new(0.7)),
            Self::Spock => Box::new(Spock::new(0.7)),
            Self::LastValueNewsvendor => Box::new(Newsvendor::new(LastValue::default())),
            Self::PerfectForecast => Box::new(Newsvendor::new(Perfect)),
        }
    }
}

/// How requests are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each by itself.
    Events,
    /// By step.
    Counts,
}

/// A service and its load.
#[derive(Debug)]
pub struct Part {
    /// The load.
    pub load: Load,
    /// The service.
    pub site: Site,
}

/// Services of one account with their loads, and what things cost.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    /// The services, at least one.
    pub parts: &'a [Part],
    /// Limits of the account.
    pub account: Account,
    /// The prices.
    pub book: &'a PriceBook,
    /// How they are paid.
    pub terms: Terms,
    /// What chance goes by.
    pub seed: u64,
}

/// What a load came to under one planner.
#[derive(Debug)]
pub struct Run {
    /// The planner.
    pub baseline: Baseline,
    /// Counts, usage and pictures, of all services together.
    pub outcome: Outcome,
    /// What it cost.
    pub bill: Bill,
}

/// Tasks that Pacer itself runs on, of half a vCPU and 1 GiB: one for every 10,000 requests a second at the peak, and two at
/// least, in two zones. Half a vCPU serves some 30,000 a second (tests/bench/proxy.py); a third of it is planned for.
const OWN_TASK: TaskSize = TaskSize { arch: Arch::Arm64, cpu_units: 512, memory_mib: 1024 };
const OWN_REQUESTS_PER_TASK: f64 = 10_000.0;

/// Steps by which demand is told apart when the best number of tasks is looked for.
const LEVELS: usize = 400;

impl Part {
    fn known(&self) -> Known<'_> {
        Known::new(&self.load, self.site.service_time.mean_us())
    }

    /// The highest demand of any step: busy slots.
    fn peak_demand(&self) -> f64 {
        self.load.peak_per_second() * self.site.service_time.mean_us() / 1e6
    }
}

impl Bench<'_> {
    /// Runs the load under `baseline`.
    ///
    /// # Errors
    /// What does not add up, in words: a mistake of the models, never of the load.
    pub fn run(&self, baseline: Baseline, mode: Mode) -> Result<Run, String> {
        let span = self.span_us();
        let known: Vec<_> = self.parts.iter().map(Part::known).collect();
        let planned = self.parts.iter().zip(&known).map(|(part, known)| Planned {
            planner: baseline.planner(part, self),
            truth: Some(known as &dyn Truth),
        });
        let planned: Vec<_> = planned.collect();
        let hybrid = planned.iter().any(|part| part.planner.routing() == Routing::Hybrid);
        let (account, seed) = (self.account, self.seed);
        let outcomes = match mode {
            Mode::Events => {
                let sites: Vec<_> = self.parts.iter().map(|part| &part.site).collect();
                engine::run(&sites, planned, self.arrivals(), span, account, seed)
            }
            Mode::Counts => {
                let parts = self.parts.iter().zip(planned).enumerate();
                let outcome = |(number, (part, planned)): (usize, (&Part, _))| {
                    let seed = seed.wrapping_add(number as u64);
                    counts::run(&part.site, planned, &part.load, span, account, seed)
                };
                parts.map(outcome).collect()
            }
        };
        let mut all: Option<Outcome> = None;
        for (part, outcome) in self.parts.iter().zip(outcomes) {
            let told = |wrong| format!("{} {}: {wrong}", part.site.service.name, baseline.as_str());
            outcome.tally.check().map_err(told)?;
            if outcome.tally.requests != part.load.total() {
                return Err(told("requests were lost".to_owned()));
            }
            match &mut all {
                Some(all) => all.add(&outcome),
                None => all = Some(outcome),
            }
        }
        let mut outcome = all.ok_or("there is no service to replay")?;
        if hybrid {
            outcome.usage.pacer = self.own_usage();
        }
        let bill = self.book.bill(&outcome.usage, span.1 - span.0, self.terms);
        let lines = bill.lines().map(|(_, amount)| amount).sum();
        if bill.total() != lines {
            return Err(format!("{}: the bill's items do not add up", baseline.as_str()));
        }
        Ok(Run { baseline, outcome, bill })
    }

    /// Returns what the load would cost at least, in USD, whoever plans: a relaxed bound.
    ///
    /// Each request needs its service time on one of the lanes. On Lambda that costs the function's memory for as long and the
    /// request itself; in a container at least the share of a task that one slot is, with every slot of every task always in
    /// use. So no plan costs less than each request on the cheaper of the two: no starts, no lags, no idle slot, tasks in
    /// fractions, and Pacer for nothing. Nothing reaches it.
    pub fn lower_bound_usd(&self) -> f64 {
        let part = |part: &Part| {
            let seconds = part.site.service_time.mean_us() / 1e6;
            let container = self.slot_second_usd(&part.site) * seconds;
            part.load.total() as f64 * container.min(self.lambda_request_usd(&part.site))
        };
        self.parts.iter().map(part).sum()
    }

    /// Returns how many requests arrive in all.
    pub fn requests(&self) -> u64 {
        self.parts.iter().map(|part| part.load.total()).sum()
    }

    /// Returns when the first step of any service begins, and when the last one ends.
    pub fn span_us(&self) -> (u64, u64) {
        let spans = || self.parts.iter().filter_map(|part| part.load.span_us());
        let start = spans().map(|span| span.0).min().unwrap_or_default();
        (start, spans().map(|span| span.1).max().unwrap_or(start))
    }

    /// Iterates over the requests of all services in order.
    fn arrivals(&self) -> Merged<impl Iterator<Item = u64>> {
        let spread = self.parts.iter().enumerate().map(|(number, part)| {
            let random = Random::new(self.seed, number, Purpose::Arrivals);
            Spread::new(part.load.steps().iter().copied(), random)
        });
        Merged::new(spread.collect())
    }

    fn own_usage(&self) -> FargateUsage {
        let (start, end) = self.span_us();
        let peak: f64 = self.parts.iter().map(|part| part.load.peak_per_second()).sum();
        let more = (peak / OWN_REQUESTS_PER_TASK).ceil() as u64;
        let mut usage = FargateUsage::default();
        usage.add(OWN_TASK, false, more.max(2) * (end - start).div_ceil(1000));
        usage
    }

    /// What a second of a slot costs, used or not.
    fn slot_second_usd(&self, site: &Site) -> f64 {
        let mut usage = policies::cost::Usage::default();
        let ms = 1_000_000_000;
        usage.fargate.add(site.task.size, false, ms);
        let bill = self.book.bill(&usage, 0, self.terms);
        bill.total().as_usd() / (ms as f64 / 1000.0) / f64::from(site.task.slots)
    }

    /// What a request of mean length costs on Lambda, warm.
    fn lambda_request_usd(&self, site: &Site) -> f64 {
        let mut usage = policies::cost::Usage::default();
        let ms = site.service_time.mean_us() * site.function.slowness / 1000.0 + 0.5;
        let requests = 1_000_000;
        let size: FunctionSize = site.function.size;
        usage.lambda.add(size, requests, (ms * requests as f64) as u64);
        self.book.bill(&usage, 0, self.terms).total().as_usd() / requests as f64
    }

    /// Returns the number of tasks that, held all the time, with Lambda for what finds no room, costs least.
    fn best_static(&self, part: &Part) -> u32 {
        let site = &part.site;
        let mean_s = site.service_time.mean_us() / 1e6;
        let peak = part.peak_demand();
        let mut seconds = vec![0.0; LEVELS + 1];
        for step in part.load.steps() {
            let demand = step.count as f64 * 1e6 / step.us.max(1) as f64 * mean_s;
            let level = (demand / peak.max(1e-9) * LEVELS as f64).round() as usize;
            seconds[level.min(LEVELS)] += step.us as f64 / 1e6;
        }
        let slots = site.task.slots;
        let (span_s, lambda) =
            (seconds.iter().sum::<f64>(), self.lambda_request_usd(site) / mean_s.max(1e-9));
        let slot = self.slot_second_usd(site);
        let cost = |tasks: u32| {
            let levels = seconds.iter().enumerate().filter(|(_, seconds)| 0.0 < **seconds);
            let overflow = levels.map(|(level, seconds)| {
                let demand = level as f64 / LEVELS as f64 * peak;
                erlang::overflow(tasks * slots, demand) * seconds
            });
            f64::from(tasks * slots) * slot * span_s + overflow.sum::<f64>() * lambda
        };
        // It falls and then rises: the least is where the next one costs more.
        let most = site.shape.max_tasks.min((peak / f64::from(slots)).ceil() as u32 * 2 + 1);
        let (mut low, mut high) = (site.shape.min_tasks.min(most), most);
        while low < high {
            let middle = low.midpoint(high);
            if cost(middle) <= cost(middle + 1) { high = middle } else { low = middle + 1 }
        }
        low
    }
}
