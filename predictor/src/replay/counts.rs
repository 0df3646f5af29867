//! A load without its requests: what each step comes to on average.
//!
//! For loads of hundreds of millions. Between two moments at which the planner is asked, the arrivals are a Poisson process
//! of one rate, and the state that it leads to is taken as settled:
//!
//! - With Lambda behind the containers, as many go there as a line sends away that is as long as requests are patient
//!   (M/M/n/n+k); without patience that is Erlang B, for any distribution of durations.
//! - Without, requests wait as Erlang C says (times `(1 + scv) / 2` for other than exponential durations: Lee and Longton
//!   1959); what arrives beyond all slots piles up as in a fluid, and is worked off later.
//! - Of the requests on Lambda, `n` at a time, the `k`th environment is taken whenever `n` goes from `k - 1` to `k`. It
//!   is cold if that has not happened within its idle lifetime: `exp(-crossings)`. The load that containers leave over is
//!   less even than Poisson; `n` is taken as normal, of Riordan's variance.
//!
//! Warm-up invokes and provisioned concurrency are not reckoned: who is to be judged by them is followed request by request.
//!
//! [`super::engine`] knows none of these shortcuts; a test holds the two together.

mod environments;
mod outcome;
mod running;
mod spreader;

use std::{borrow::Cow, cmp::Reverse, collections::BinaryHeap};

use self::environments::Environments;
pub use self::running::{Asked, Running};
use super::{
    distribution::Distribution,
    fargate::{Change, TaskId, Tasks},
    lambda::FunctionModel,
    load::Load,
    random::{Purpose, Random},
    series::Series,
    site::{Account, BALANCER_WAIT_US, HISTORY_US, IDLE_US, Outcome, Planned, Site},
    tally::{Tally, Window},
};
use crate::plan::{History, Inputs, OnLambda, Plan, Planner, Routing, Truth, Why, erlang};

/// Points by which a distribution of durations is told when latencies are added up.
const GRID: usize = 256;

/// Replays `load` on one site, which it is the whole load of.
pub fn run<'a>(
    site: &'a Site,
    planned: Planned<'a>,
    load: &Load,
    (start_us, end_us): (u64, u64),
    account: Account,
    seed: u64,
) -> Outcome {
    let mut counts = Counts::new(Cow::Borrowed(site), planned, (start_us, end_us), account, seed);
    let mut now_us = start_us;
    let mut before = load.before(now_us);
    let mut busy_us = start_us;
    while now_us < end_us {
        if busy_us + IDLE_US <= now_us && counts.is_idle() {
            let next_us = load.next_us(now_us).unwrap_or(end_us).min(end_us);
            let ticks = next_us.saturating_sub(now_us + HISTORY_US) / counts.tick_us;
            counts.skip(now_us, now_us + ticks * counts.tick_us);
            now_us += ticks * counts.tick_us;
        }
        let until_us = (now_us + counts.tick_us).min(end_us);
        counts.plan(now_us);
        let then = load.before(until_us);
        let asked = counts.alike(then - before);
        counts.step(now_us, until_us, asked);
        if before < then {
            busy_us = until_us;
        }
        (now_us, before) = (until_us, then);
    }
    counts.close(start_us, end_us, load.total())
}

/// Requests that take as long as each other.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    requests: f64,
    /// How long one takes in a container on average, in microseconds.
    container_us: f64,
    /// How long one takes on Lambda.
    lambda_us: f64,
}

impl Flow {
    /// Returns both together.
    fn with(self, other: Self) -> Self {
        let requests = self.requests + other.requests;
        if requests <= 0.0 {
            return Self { requests: 0.0, ..self };
        }
        let mean = |of: fn(&Self) -> f64| {
            (self.requests * of(&self) + other.requests * of(&other)) / requests
        };
        let (container_us, lambda_us) =
            (mean(|flow| flow.container_us), mean(|flow| flow.lambda_us));
        Self { requests, container_us, lambda_us }
    }
}

struct Counts<'a> {
    site: Cow<'a, Site>,
    routing: Routing,
    planner: Box<dyn Planner + 'a>,
    truth: Option<&'a dyn Truth>,
    plan: Plan,
    /// The last plan was that before it.
    steady: bool,
    tick_us: u64,
    history: History,
    tasks: Tasks,
    changes: BinaryHeap<Reverse<(u64, u64, u8)>>,
    environments: Environments,
    limit: f64,
    starts: Random,
    mean_us: f64,
    /// How long a request runs on Lambda on average, the function's timeout being what it is.
    run_us: f64,
    /// Share of the requests on Lambda that lately found a cold environment.
    cold_share: f64,
    /// Share of the requests that go to containers first.
    home: f64,
    /// Requests of the last step that did.
    asked: f64,
    /// Requests that wait in containers beyond what all slots can take, as in a fluid.
    backlog: f64,
    sums: Sums,
    waits: super::latency::Latencies,
    grid: Vec<f64>,
    tally: Tally,
    window: Window,
    busy_area: f64,
    slot_area: f64,
    series: Series,
}

/// What was summed over all steps, in requests; whole numbers are made of it at the end.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    arrived: f64,
    in_containers: f64,
    on_lambda: f64,
    /// How long those on Lambda ran in all, in microseconds.
    ran_us: f64,
    cold: f64,
    no_tasks: f64,
    slots_full: f64,
    throttled: f64,
    refused: f64,
    timed_out: f64,
}

impl<'a> Counts<'a> {
    fn new(
        site: Cow<'a, Site>,
        Planned { planner, truth }: Planned<'a>,
        (start_us, end_us): (u64, u64),
        account: Account,
        seed: u64,
    ) -> Self {
        let routing = planner.routing();
        let mut starts = Random::new(seed, 0, Purpose::Starts);
        let mut tasks = Tasks::new(site.task.clone(), start_us);
        let mut changes = BinaryHeap::new();
        let first = if routing == Routing::LambdaOnly { 0 } else { site.first_tasks };
        tasks.begin_with(start_us, first, &mut starts, |at_us, id, change| {
            changes.push(Reverse((at_us, id.0, change as u8)));
        });
        let tick_us = planner.every_us();
        let reserved = site.function.reserved.unwrap_or(account.concurrency);
        let cap = site.service.lambda.as_ref().map_or(0, |lambda| lambda.max_in_flight);
        let grid = |distribution: &Distribution| {
            (0..GRID).map(|n| distribution.quantile_us((n as f64 + 0.5) / GRID as f64)).collect()
        };
        Self {
            routing,
            truth,
            plan: Plan::tasks(first, Why::Fixed),
            steady: false,
            tick_us,
            history: History::new(tick_us, (HISTORY_US / tick_us) as usize),
            planner,
            tasks,
            changes,
            environments: Environments::new(site.function.idle_us, tick_us),
            limit: f64::from(reserved.min(cap)),
            starts,
            mean_us: site.service_time.mean_us(),
            run_us: site.function.run_mean_us(&site.service_time),
            cold_share: 0.0,
            home: site.home_share(),
            asked: 0.0,
            backlog: 0.0,
            sums: Sums::default(),
            waits: super::latency::Latencies::default(),
            grid: grid(&site.service_time),
            site,
            tally: Tally::default(),
            window: Window::default(),
            busy_area: 0.0,
            slot_area: 0.0,
            series: Series::new(start_us, end_us),
        }
    }

    /// Whether nothing waits, starts or changes.
    fn is_idle(&self) -> bool {
        self.steady && self.backlog <= 0.0 && self.changes.is_empty()
    }

    /// Goes on without planning: nothing is asked for.
    fn skip(&mut self, from_us: u64, until_us: u64) {
        if from_us < until_us {
            let begin = self.tasks.slot_area;
            self.tasks.advance(until_us);
            let slots = (self.tasks.slot_area - begin) as f64;
            self.slot_area += slots;
            self.series.hold(from_us, until_us, slots / (until_us - from_us) as f64);
            self.environments.clear();
        }
    }

    /// Plans, and has what was planned.
    fn plan(&mut self, now_us: u64) {
        self.settle(now_us);
        let inputs = Inputs {
            now_us,
            history: &self.history,
            asked: self.asked,
            mean_service_us: self.mean_us,
            ready: self.tasks.ready,
            starting: self.tasks.starting,
            busy: (self.history.last() as u32).min(self.tasks.ready * self.site.task.slots),
            waiting: self.backlog as u32,
            shape: &self.site.shape,
            truth: self.truth,
            lambda: OnLambda::default(),
        };
        let plan = self.planner.plan(&inputs, &self.plan);
        self.tasks.spot_most = self.planner.places_spot().then_some(plan.spot);
        self.steady = plan.tasks == self.plan.tasks;
        self.plan = plan;
        if self.routing != Routing::LambdaOnly {
            let changes = &mut self.changes;
            let changed =
                self.tasks.set(now_us, self.plan.tasks, &mut self.starts, |at, id, change| {
                    changes.push(Reverse((at, id.0, change as u8)));
                });
            self.tally.scaling_actions += u64::from(changed);
            self.tally.most_tasks = self.tally.most_tasks.max(self.tasks.wanted());
        }
    }

    /// Takes in what has happened to tasks until `now_us`.
    fn settle(&mut self, now_us: u64) {
        while let Some(&Reverse((at_us, id, change))) = self.changes.peek()
            && at_us <= now_us
        {
            self.changes.pop();
            let change = Change::ALL[usize::from(change)];
            self.tasks.change(at_us, TaskId(id), change);
            if change == Change::Notice {
                let changes = &mut self.changes;
                self.tasks.set(at_us, self.plan.tasks, &mut self.starts, |at, id, change| {
                    changes.push(Reverse((at, id.0, change as u8)));
                });
            }
        }
    }

    /// Returns `arrivals` that all take as long as the service's requests do on average.
    fn alike(&self, arrivals: f64) -> Asked {
        let of = |share: f64| Flow {
            requests: arrivals * share,
            container_us: self.mean_us,
            lambda_us: self.run_us,
        };
        Asked { at_home: of(self.home), sprinters: of(1.0 - self.home) }
    }

    /// Lets what is `asked` come between two moments.
    fn step(&mut self, from_us: u64, until_us: u64, asked: Asked) {
        let us = (until_us - from_us) as f64;
        let all = asked.at_home.with(asked.sprinters);
        let arrivals = all.requests;
        // What containers are asked for, the rest being for Lambda.
        let home = if self.routing == Routing::Hybrid { asked.at_home } else { all };
        if 0.0 < home.requests {
            self.mean_us = home.container_us;
        }
        let offered = home.requests * home.container_us / us;
        // Tasks that become ready within the step count for what is left of it.
        let begin = self.tasks.slot_area;
        self.settle(until_us);
        self.tasks.advance(until_us);
        let slots = (self.tasks.slot_area - begin) as f64 / us;
        self.sums.arrived += arrivals;
        let before = self.sums;
        let (carried, on_lambda) = match self.routing {
            Routing::LambdaOnly => (0.0, self.send_to_lambda(us, all, offered, 0.0)),
            Routing::ContainerOnly => (self.wait(us, arrivals, offered, slots), 0.0),
            Routing::Hybrid => {
                let blocked = blocked(slots, offered);
                let patience = self.site.shape.patience;
                let away = erlang::sent_away(slots, offered, blocked, patience);
                let left_over = Flow { requests: home.requests * away, ..home };
                let stay = home.requests - left_over.requests;
                self.wait_in_line(stay, offered / slots, slots * patience, away);
                if slots < 1.0 {
                    self.sums.no_tasks += left_over.requests;
                } else {
                    self.sums.slots_full += left_over.requests;
                }
                self.sums.in_containers += stay;
                let on_lambda = left_over.with(asked.sprinters);
                let load = self.send_to_lambda(us, on_lambda, offered, slots);
                (offered * (1.0 - away), load)
            }
        };
        self.judge(from_us, arrivals, &before);
        self.asked = home.requests;
        self.busy_area += carried * us;
        self.slot_area += slots * us;
        self.history.push(offered, carried, slots);
        self.series.push(from_us, all.requests * all.container_us / us, slots, on_lambda);
    }

    /// Judges by the objective what became of `arrivals`, of which the sums `before` do not know.
    fn judge(&mut self, from_us: u64, arrivals: f64, before: &Sums) {
        let FunctionModel { slowness, timeout_us, start, .. } = &self.site.function;
        let (time, goal) = (&self.site.service_time, self.site.streams[0].objective_us as f64);
        let run_goal = |goal: f64| time.share_within(goal.min(*timeout_us as f64) / slowness);
        let new = |sum: fn(&Sums) -> f64| sum(&self.sums) - sum(before);
        let cold = new(|sums| sums.cold);
        let on_lambda = (new(|sums| sums.on_lambda) - cold).max(0.0);
        // Waits for a slot with Lambda behind it are short; without, the backlog tells how long they are.
        let wait_us = match self.routing {
            Routing::ContainerOnly => self.backlog * self.mean_us / self.tasks_slots().max(1.0),
            Routing::LambdaOnly | Routing::Hybrid => 0.0,
        };
        let within = new(|sums| sums.in_containers) * time.share_within((goal - wait_us).max(0.0))
            + on_lambda * run_goal(goal)
            + cold * run_goal((goal - start.mean_us()).max(0.0));
        self.window.count(from_us, arrivals, within, &mut self.tally);
    }

    fn tasks_slots(&self) -> f64 {
        f64::from(self.tasks.ready * self.site.task.slots)
    }

    /// Runs a `flow` on Lambda, of a load `offered` to `slots` first; returns how many run at a time.
    fn send_to_lambda(&mut self, us: f64, flow: Flow, offered: f64, slots: f64) -> f64 {
        let Flow { requests: arrivals, lambda_us, .. } = flow;
        // Environments that start hold concurrency too: as many as lately did.
        let starting = self.cold_share * self.site.function.start.mean_us();
        let all = arrivals * (lambda_us + starting) / us;
        let refused =
            if self.limit < all + 6.0 * all.sqrt() { blocked(self.limit, all) } else { 0.0 };
        self.sums.throttled += arrivals * refused;
        let taken = arrivals * (1.0 - refused);
        self.sums.on_lambda += taken;
        self.sums.ran_us += taken * lambda_us;
        let mean = all * (1.0 - refused);
        // Riordan: of a load that finds its slots busy, the variance over the mean.
        let peakedness = (1.0 - mean + offered / (slots + 1.0 + mean - offered)).clamp(1.0, 10.0);
        let cold = self.environments.step(taken, mean, mean * peakedness);
        self.sums.cold += cold;
        if 0.0 < taken {
            self.cold_share = (cold / taken).min(1.0);
        }
        let most = (mean + 3.0 * (mean * peakedness).sqrt()).min(self.limit) as u32;
        self.tally.most_on_lambda = self.tally.most_on_lambda.max(most);
        mean
    }

    /// Notes the waits of `served` requests: with as many before them as a line of `places` has on average that sends the
    /// share `away` away, of a load `r` a slot. The chance of `k` waiting falls by `r` with each: that of a full line is `away`.
    fn wait_in_line(&mut self, served: f64, r: f64, places: f64, away: f64) {
        const PARTS: i32 = 10;
        let patience_us = self.site.shape.patience * self.mean_us;
        let mut waited = 0.0;
        if 0.0 < places && 0.0 < away && r.is_finite() {
            for part in 0..PARTS {
                // So far from the end of the line, and as likely as r^-(places left) times a full one.
                let left = (1.0 - (f64::from(part) + 0.5) / f64::from(PARTS)) * places;
                let share = (away * r.powf(-left) * places / f64::from(PARTS)).min(1.0 - waited);
                let wait_us = patience_us * (1.0 - left / places);
                self.waits.add_many(wait_us as u64, (served * share * SCALE) as u64);
                waited += share;
            }
        }
        self.waits.add_many(0, (served * (1.0 - waited) * SCALE) as u64);
    }

    /// Has `arrivals` wait for a slot; returns how many slots are busy.
    fn wait(&mut self, us: f64, arrivals: f64, offered: f64, slots: f64) -> f64 {
        if slots < 1.0 && self.tasks.ready == 0 && self.backlog <= 0.0 {
            self.sums.refused += arrivals;
            return 0.0;
        }
        let rate = slots / self.mean_us;
        let (before, served) = (self.backlog, rate * us);
        self.backlog = (before + arrivals - served).max(0.0);
        let most = rate * BALANCER_WAIT_US as f64;
        let given_up = (self.backlog - most).max(0.0);
        self.backlog -= given_up;
        self.sums.timed_out += given_up;
        let passed = arrivals - given_up;
        self.sums.in_containers += passed;
        let piled_us = if rate <= 0.0 { 0.0 } else { f64::midpoint(before, self.backlog) / rate };
        let whole = slots.floor().max(1.0) as u32;
        let scv = self.site.service_time.scv();
        let settled = offered < slots && before <= 0.0;
        let (share, mean_wait) = if settled {
            let share = erlang::waits(whole, offered.min(f64::from(whole) * 0.999_9));
            (share, self.mean_us / (slots - offered) * f64::midpoint(1.0, scv))
        } else {
            (1.0, 0.0)
        };
        // Who waits, waits exponentially long: ten equal parts of them tell it.
        let mut add = |wait_us: f64, requests: f64| {
            self.waits
                .add_many(wait_us.min(BALANCER_WAIT_US as f64) as u64, (requests * SCALE) as u64);
        };
        add(piled_us, passed * (1.0 - share));
        for part in 0..10 {
            let wait = -mean_wait * (-(f64::from(part) + 0.5) / 10.0).ln_1p();
            add(piled_us + wait, passed * share / 10.0);
        }
        (passed * self.mean_us / us + (before - self.backlog).max(0.0) * self.mean_us / us)
            .min(slots)
    }
}

/// Requests are counted in millionths while latencies are added up, so that small steps do not round to nothing.
const SCALE: f64 = 1e6;

/// Returns how often all of `slots` are busy, between whole numbers straight.
fn blocked(slots: f64, offered: f64) -> f64 {
    let low = slots.floor();
    let below = erlang::blocked(low as u32, offered);
    if slots <= low {
        return below;
    }
    let above = erlang::blocked(low as u32 + 1, offered);
    below + (above - below) * (slots - low)
}
