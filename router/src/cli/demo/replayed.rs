//! What the demo's load would have cost otherwise: the same requests, replayed under other planners.
//!
//! Simulated, with what requests cost on this machine, and shown as that beside the bill that was measured. The replay goes by
//! the recording's time, as planners do: all durations are longer by the time scale, and what is paid by duration is divided
//! by it again, as the bill of the demo is one of real seconds.

use std::time::Duration;

use pacer_demo::load::{arrivals::Trace, calibrate::Pace, due::Due};
use policies::{
    cost::{Item, PicoUsd, PriceBook, Terms, Usage},
    policy::Policy,
    workload::{Assumptions, Distribution as Written},
};
use predictor::{
    plan::{Forecasts, LambdaOnly, Pacer, Planner, TargetTracking},
    replay::{
        distribution::Distribution,
        engine,
        latency::Latencies,
        load::{Collected, Collector},
        scenario::of_service,
        site::{Account, Arrival, Planned, Site},
    },
};

use super::{
    FADE_IN, SEED,
    asked::{Asked, asked},
    layout, past,
};

/// How long an idle environment stays on the local cloud, in its time.
const IDLE: Duration = Duration::from_mins(5);
/// Tasks that target tracking may have: all that it wants. It has no Lambda to go to.
const MOST: u32 = 1000;

/// The demo that is replayed.
#[derive(Debug, Clone)]
pub(crate) struct Play {
    /// The recording, by the clock of the gateway.
    pub trace: Trace,
    /// What of it was sent.
    pub pace: Pace,
    /// How many times faster than real.
    pub time_scale: f64,
    /// How long it was sent.
    pub duration: Duration,
    /// How long a start takes, in seconds of the recording.
    pub start_s: f64,
}

/// What the load comes to under one planner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    /// At list price, without the gateway itself.
    pub cost: PicoUsd,
    /// 99th percentile of latency.
    pub p99: Duration,
    /// Requests that failed.
    pub failed: u64,
}

/// The same load otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Compared {
    /// Everything on Lambda.
    pub all_lambda: Outcome,
    /// Everything in containers, as many as Application Auto Scaling has at 70 %.
    pub tracking: Outcome,
    /// As Pacer plans, with the same past.
    pub pacer: Outcome,
}

/// Replays the demo; `None` when one of the services has only one lane, so that it cannot be run otherwise, or nothing is
/// asked of them.
pub(crate) fn compare(policy: &Policy, play: &Play) -> Option<Compared> {
    let book =
        policy.region.as_deref().and_then(PriceBook::builtin).unwrap_or_else(PriceBook::fallback);
    let load = Load::new(policy, play, book)?;
    let outcome = |planner: &dyn Fn(&Site, &Asked) -> Box<dyn Planner>, most: Option<u32>| {
        load.run(planner, most, play, book)
    };
    Some(Compared {
        all_lambda: outcome(&|_, _| Box::new(LambdaOnly), None)?,
        tracking: outcome(&|_, _| Box::new(TargetTracking::new(0.7)), Some(MOST))?,
        pacer: outcome(
            &|site, asked| {
                let mut forecasts = Forecasts::new(&site.shape);
                let home = asked.home(policy);
                let steps = past::steps(&play.trace, home, SEED);
                forecasts
                    .recall(steps.into_iter().map(|(at_s, step)| (at_s, step.requests as f64)));
                Box::new(Pacer::new(forecasts))
            },
            None,
        )?,
    })
}

/// The requests of the demo, and the services that they are for.
struct Load {
    asked: Vec<Asked>,
    sites: Vec<Site>,
    arrivals: Vec<Arrival>,
    span_us: (u64, u64),
}

impl Load {
    fn new(policy: &Policy, play: &Play, book: &PriceBook) -> Option<Self> {
        let &Play { ref trace, pace, time_scale, duration, .. } = play;
        let asked = asked(policy, &pace, time_scale);
        let begins_us = trace.start * 1_000_000;
        let us = |time: Duration| (time.as_secs_f64() * time_scale * 1e6) as u64;
        let mut arrivals = Vec::new();
        let mut counted: Vec<_> =
            asked.iter().map(|_| (Collector::default(), Latencies::default())).collect();
        let due = Due::new(trace, time_scale, &pace, FADE_IN, SEED);
        for (at, ask) in due.take_while(|(at, _)| *at < duration) {
            let place = |(number, asked): (usize, &Asked)| Some((number, asked.kind(policy, ask)?));
            let Some((site, stream)) = asked.iter().enumerate().find_map(place) else { continue };
            let service_us = (pace.costs.duration(ask) * time_scale * 1e6) as u32;
            let at_us = begins_us + us(at);
            let share =
                asked[site].kinds[stream].stream.home_share(policy.service(asked[site].service));
            let (collector, latencies) = &mut counted[site];
            collector.add(at_us, service_us.into(), (f64::from(service_us) * share) as u64);
            latencies.add(service_us.into());
            let plain = Arrival::plain(at_us, site as u16);
            arrivals.push(Arrival { stream: stream as u16, service_us: Some(service_us), ..plain });
        }
        if arrivals.is_empty() {
            return None;
        }
        let sites = asked.iter().zip(counted).map(|(asked, (collector, latencies))| {
            site(policy, asked, &collector.finish(), &Distribution::from(&latencies), play, book)
        });
        let sites = sites.collect::<Option<Vec<_>>>()?;
        Some(Self { asked, sites, arrivals, span_us: (begins_us, begins_us + us(duration)) })
    }

    fn run(
        &self,
        planner: &dyn Fn(&Site, &Asked) -> Box<dyn Planner>,
        most: Option<u32>,
        play: &Play,
        book: &PriceBook,
    ) -> Option<Outcome> {
        let mut sites = self.sites.clone();
        for site in &mut sites {
            site.shape.max_tasks = most.unwrap_or(site.shape.max_tasks);
        }
        let planned = sites.iter().zip(&self.asked);
        let planned =
            planned.map(|(site, asked)| Planned { planner: planner(site, asked), truth: None });
        let planned = planned.collect();
        let (account, arrivals) = (Account::default(), self.arrivals.iter().copied());
        let sites: Vec<_> = sites.iter().collect();
        let outcomes = engine::run(&sites, planned, arrivals, self.span_us, account, SEED);
        let (mut usage, mut latencies, mut failed) = (Usage::default(), Latencies::default(), 0);
        for outcome in &outcomes {
            outcome.tally.check().ok()?;
            usage += outcome.usage;
            latencies.merge(&outcome.tally.latencies);
            failed += outcome.tally.failures();
        }
        let bill = book.bill(&usage, self.span_us.1 - self.span_us.0, Terms::default());
        let real = |(item, amount): (Item, PicoUsd)| match item {
            Item::LambdaRequests => amount,
            _ => PicoUsd((amount.0 as f64 / play.time_scale) as u128),
        };
        let p99 = Duration::from_secs_f64(latencies.quantile_us(0.99) / 1e6 / play.time_scale);
        Some(Outcome { cost: bill.lines().map(real).sum(), p99, failed })
    }
}

/// Makes a service of the policy one to replay; `None` when it has only one lane.
fn site(
    policy: &Policy,
    asked: &Asked,
    load: &Collected,
    service_time: &Distribution,
    play: &Play,
    book: &PriceBook,
) -> Option<Site> {
    let service = policy.service(asked.service);
    let container = service.container.as_ref().filter(|_| service.lambda.is_some())?;
    let mut assumed = Assumptions::default().of(&service.name).clone();
    if let Some(limits) = &container.tasks {
        (assumed.tasks.min, assumed.tasks.max) = (limits.min, limits.max);
    }
    assumed.task_start = Written::Fixed(Duration::from_secs_f64(play.start_s));
    assumed.idle_lifetime = IDLE;
    let streams = asked.kinds.iter().map(|kind| kind.stream.clone()).collect();
    let (time, load) = (service_time.clone(), &load.arrivals);
    let mut site = of_service(service, streams, time, &assumed, load, book, Terms::default());
    let timeout_us = site.function.timeout_us as f64 * play.time_scale;
    site.function.timeout_us = timeout_us as u64;
    site.first_tasks = layout::first_tasks(container);
    // The fee of a request is not longer in slower time.
    let mean = Duration::from_secs_f64(service_time.mean_us() / 1e6 / play.time_scale);
    let (function, task, slots) = (site.function.size, site.task.size, site.task.slots);
    site.shape.break_even =
        book.break_even_utilisation(function, task, false, slots, mean, Terms::default());
    Some(site)
}
