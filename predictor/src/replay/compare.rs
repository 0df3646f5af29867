//! One load under every planner, side by side.

mod baseline;

use std::{fmt, sync::Arc};

use policies::cost::{
    Bill, FargateUsage, FunctionSize, PicoUsd, PriceBook, TaskSize, Terms, Usage,
};
use policies::policy::Arch;

pub use self::baseline::Baseline;
use super::{
    arrivals::{Merged, Spread},
    counts, engine,
    load::{Known, Load},
    random::{Purpose, Random},
    site::{Account, Arrival, Outcome, Planned, Site},
};
use crate::plan::{Truth, erlang};

/// How requests are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each by itself.
    Events,
    /// By step.
    Counts,
}

/// A service and its load.
#[derive(Debug, Clone)]
pub struct Part {
    /// The load.
    pub load: Arc<Load>,
    /// Its service times by step, where each request's own is known.
    pub work: Option<Work>,
    /// The service.
    pub site: Site,
}

/// Service times by step: microseconds in the place of counts.
#[derive(Debug, Clone)]
pub struct Work {
    /// Of all requests.
    pub all: Arc<Load>,
    /// Of those that go to containers first when both lanes have room.
    pub home: Arc<Load>,
}

/// Single requests, kept somewhere, to be read once for each run.
pub trait Requests: fmt::Debug + Sync {
    /// Iterates over them in order; their sites are places in [`Bench::parts`].
    fn each(&self) -> Box<dyn Iterator<Item = Result<Arrival, String>> + '_>;
}

/// Services of one account with their loads, and what things cost.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    /// The services, at least one.
    pub parts: &'a [Part],
    /// Their requests one by one, where a trace has them; else they are drawn from the loads.
    pub requests: Option<&'a dyn Requests>,
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
    /// What of that warm-up invokes cost, at the prices of the first tier.
    pub warm_up_cost: PicoUsd,
    /// Each service by itself, in the order of [`Bench::parts`].
    pub services: Vec<ServiceRun>,
}

/// What one service came to under one planner.
#[derive(Debug, Clone)]
pub struct ServiceRun {
    /// Its name.
    pub name: Arc<str>,
    /// Requests that arrived.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// 99th percentile of latency, in microseconds.
    pub p99_us: f64,
    /// What it cost by itself: without Pacer, and as if no other service used up the account's tiers.
    pub cost: PicoUsd,
}

/// Tasks that Pacer itself runs on, the smallest that Fargate sells: one for every 5,000 requests a second at the peak, and two
/// at least, in two zones. A quarter of a vCPU serves some 15,000 a second (tests/bench/proxy.py), a third of which is
/// planned for; of 512 MiB it takes 13 when idle and 13 KiB a connection.
pub const OWN_TASK: TaskSize = TaskSize { arch: Arch::Arm64, cpu_units: 256, memory_mib: 512 };
/// See [`OWN_TASK`].
const OWN_REQUESTS_PER_TASK: f64 = 5_000.0;

const MINUTE_US: u64 = 60_000_000;

/// Steps by which demand is told apart when the best number of tasks is looked for.
const LEVELS: usize = 400;

impl Part {
    fn known(&self) -> Known<'_> {
        if let Some(work) = &self.work {
            return Known::work(&work.home);
        }
        Known::new(&self.load, self.site.service_time.mean_us() * self.site.home_share())
    }

    /// Whether it has a function, and containers.
    fn lanes(&self) -> (bool, bool) {
        (self.site.service.lambda.is_some(), self.site.service.container.is_some())
    }

    /// How long a request takes in a container on average, in microseconds.
    fn mean_us(&self) -> f64 {
        match &self.work {
            Some(work) => work.all.total() as f64 / self.load.total().max(1) as f64,
            None => self.site.service_time.mean_us(),
        }
    }

    /// Busy slots on average, and for how many seconds: by the minute, or by the load's own steps if those are longer. With
    /// `home` only those of requests which go to containers first.
    fn demand(&self, home: bool) -> Vec<(f64, f64)> {
        let (load, us) = match &self.work {
            Some(work) if home => (&work.home, 1.0),
            Some(work) => (&work.all, 1.0),
            None => {
                let share = if home { self.site.home_share() } else { 1.0 };
                (&self.load, self.site.service_time.mean_us() * share)
            }
        };
        let mut demand: Vec<(f64, f64)> = Vec::new();
        let mut minute = None;
        for step in load.steps() {
            let busy_us = step.count as f64 * us;
            if MINUTE_US <= step.us {
                demand.push((busy_us / step.us as f64, step.us as f64 / 1e6));
            } else if minute == Some(step.at_us / MINUTE_US)
                && let Some(last) = demand.last_mut()
            {
                last.0 += busy_us / MINUTE_US as f64;
            } else {
                minute = Some(step.at_us / MINUTE_US);
                demand.push((busy_us / MINUTE_US as f64, MINUTE_US as f64 / 1e6));
            }
        }
        let span = load.span_us().map_or(0, |(start, end)| end - start);
        let told: f64 = demand.iter().map(|(_, seconds)| seconds).sum();
        // What no step tells of was empty.
        demand.push((0.0, (span as f64 / 1e6 - told).max(0.0)));
        demand
    }

    /// The highest demand of any minute: busy slots.
    fn peak_demand(&self, home: bool) -> f64 {
        self.demand(home).into_iter().map(|(demand, _)| demand).fold(0.0, f64::max)
    }

    /// Returns the same service with another number of slots a task; at least one.
    #[must_use]
    pub fn with_slots(&self, slots: u32, book: &PriceBook, terms: Terms) -> Self {
        let site = self.site.with_slots(slots.max(1), &self.load, book, terms);
        Self { site, ..self.clone() }
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
        let hybrid =
            baseline.uses_both() && self.parts.iter().any(|part| part.lanes() == (true, true));
        let (account, seed) = (self.account, self.seed);
        let outcomes = match mode {
            Mode::Events => {
                let sites: Vec<_> = self.parts.iter().map(|part| &part.site).collect();
                let planned = planned.collect();
                match self.requests {
                    None => engine::run(&sites, planned, self.arrivals(), span, account, seed),
                    Some(requests) => {
                        let mut wrong = None;
                        let arrivals = requests
                            .each()
                            .map_while(|next| next.map_err(|why| wrong = Some(why)).ok());
                        let outcomes = engine::run(&sites, planned, arrivals, span, account, seed);
                        if let Some(why) = wrong {
                            return Err(why);
                        }
                        outcomes
                    }
                }
            }
            Mode::Counts => {
                // One planner at a time: thousands of forecasters together would fill the memory.
                let parts = self.parts.iter().zip(planned).enumerate();
                let outcome = |(number, (part, planned)): (usize, (&Part, _))| {
                    let seed = seed.wrapping_add(number as u64);
                    counts::run(&part.site, planned, &part.load, span, account, seed)
                };
                parts.map(outcome).collect()
            }
        };
        let mut services = Vec::with_capacity(self.parts.len());
        let mut all: Option<Outcome> = None;
        for (part, outcome) in self.parts.iter().zip(outcomes) {
            let told = |wrong| format!("{} {}: {wrong}", part.site.service.name, baseline.as_str());
            outcome.tally.check().map_err(told)?;
            if outcome.tally.requests != part.load.total() {
                return Err(told("requests were lost".to_owned()));
            }
            services.push(ServiceRun {
                name: part.site.service.name.clone(),
                requests: outcome.tally.requests,
                failures: outcome.tally.failures(),
                p99_us: outcome.tally.latencies.quantile_us(0.99),
                cost: self.book.bill(&outcome.usage, span.1 - span.0, self.terms).total(),
            });
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
        let warm = Usage { lambda: outcome.warm_usage, ..Usage::default() };
        let terms = Terms { free_tier: false, ..self.terms };
        let warm_up_cost = self.book.bill(&warm, 0, terms).total();
        Ok(Run { baseline, outcome, bill, warm_up_cost, services })
    }

    /// Returns what the load would cost at least, in USD, whoever plans: a relaxed bound.
    ///
    /// Each request needs its service time on one of the lanes. On Lambda that costs the function's memory for as long and the
    /// request itself; in a container at least the share of a task that one slot is, with every slot of every task always in
    /// use. So no plan that serves every request costs less than each request on the cheaper of the two: no starts, no lags, no idle slot, tasks in
    /// fractions, as many on Spot as may be, and Pacer for nothing. Nothing that serves them all reaches it.
    pub fn lower_bound_usd(&self) -> f64 {
        let part = |part: &Part| {
            let container = self.slot_second_usd(&part.site) * part.mean_us() / 1e6;
            let request = match part.lanes() {
                (true, true) => container.min(self.lambda_request_usd(part)),
                (true, false) => self.lambda_request_usd(part),
                (false, _) => container,
            };
            part.load.total() as f64 * request
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
        let spot = (ms as f64 * site.task.spot) as u64;
        usage.fargate.add(site.task.size, true, spot);
        usage.fargate.add(site.task.size, false, ms - spot);
        let bill = self.book.bill(&usage, 0, self.terms);
        bill.total().as_usd() / (ms as f64 / 1000.0) / f64::from(site.task.slots)
    }

    /// What a request of mean length costs on Lambda, warm.
    fn lambda_request_usd(&self, part: &Part) -> f64 {
        let mut usage = policies::cost::Usage::default();
        let site = &part.site;
        // Without a timeout the trace's own mean is more exact than that of the distribution that was made of it.
        let capped = site.function.run_mean_us(&site.service_time);
        let ms = capped.min(part.mean_us() * site.function.slowness) / 1000.0;
        let requests = 1_000_000;
        let size: FunctionSize = site.function.size;
        usage.lambda.add(size, requests, (ms * requests as f64) as u64);
        self.book.bill(&usage, 0, self.terms).total().as_usd() / requests as f64
    }

    /// Returns the number of tasks that, held all the time, with Lambda for what finds no room, costs least.
    fn best_static(&self, part: &Part) -> u32 {
        let site = &part.site;
        let mean_s = part.mean_us() / 1e6;
        let peak = part.peak_demand(true);
        let mut seconds = vec![0.0; LEVELS + 1];
        for (demand, lasted) in part.demand(true) {
            let level = (demand / peak.max(1e-9) * LEVELS as f64).round() as usize;
            seconds[level.min(LEVELS)] += lasted;
        }
        let slots = site.task.slots;
        let least_paid_s = site.task.least_paid_us as f64 / 1e6;
        let (span_s, lambda) = (
            seconds.iter().sum::<f64>().max(least_paid_s),
            self.lambda_request_usd(part) / mean_s.max(1e-9),
        );
        let slot = self.slot_second_usd(site);
        let cost = |tasks: u32| {
            let levels = seconds.iter().enumerate().filter(|(_, seconds)| 0.0 < **seconds);
            let overflow = levels.map(|(level, seconds)| {
                let demand = level as f64 / LEVELS as f64 * peak;
                erlang::overflow(tasks.saturating_mul(slots), demand, site.shape.patience) * seconds
            });
            f64::from(tasks) * f64::from(slots) * slot * span_s + overflow.sum::<f64>() * lambda
        };
        // It falls and then rises: the least is where the next one costs more.
        let needed = (peak / f64::from(slots)).ceil() as u32;
        let most = site.shape.max_tasks.min(needed.saturating_mul(2).saturating_add(1));
        let (mut low, mut high) = (site.shape.min_tasks.min(most), most);
        while low < high {
            let middle = low.midpoint(high);
            if cost(middle) <= cost(middle + 1) { high = middle } else { low = middle + 1 }
        }
        low
    }
}
