//! A load, request by request: every arrival, start and end is an event.
//!
//! The gateway's own [`decide`] says where each request goes; [`lambda`](super::lambda) and [`fargate`](super::fargate) say
//! what comes of it. Events are taken in the order of time, ends before arrivals of the same moment. All services of a run
//! share the account's concurrency.

use std::{cmp::Reverse, collections::BinaryHeap, collections::VecDeque};

use policies::{
    cost::Usage,
    decide::{Belief, ContainerState, Facts, LambdaState, Lane, LaneStates, Reason, decide},
    policy::{Route, Service},
};

use super::{
    distribution::Distribution,
    fargate::{Change, TaskId, TaskModel, Tasks},
    lambda::{Function, FunctionModel, Throttle},
    random::{Purpose, Random},
    series::Series,
    tally::{Failed, SpillCause, Tally},
};
use crate::plan::{History, Inputs, Plan, Planner, Routing, Shape, Truth, Why};

/// How long a container's client waits without Pacer: an Application Load Balancer gives up an idle connection after 60 s.
pub(super) const BALANCER_WAIT_US: u64 = 60_000_000;

/// How much of its past a planner may look at: an hour, and a bit.
pub(super) const HISTORY_US: u64 = 3_700_000_000;

/// A service to replay.
#[derive(Debug)]
pub struct Site {
    /// As the policy has it; lanes that the routing leaves out are taken out.
    pub service: Service,
    /// The route that its requests match.
    pub route: Route,
    /// What is believed of them.
    pub belief: Belief,
    /// How long they take in a container, when they do not say.
    pub service_time: Distribution,
    /// Its function.
    pub function: FunctionModel,
    /// Its tasks.
    pub task: TaskModel,
    /// What planners need to know.
    pub shape: Shape,
    /// How many tasks are ready when the load begins.
    pub first_tasks: u32,
    /// Latency that counts as within the objective, in microseconds.
    pub objective_us: u64,
}

/// A site's planner.
pub struct Planned<'a> {
    /// The planner.
    pub planner: Box<dyn Planner + 'a>,
    /// The demand to come, for a planner that is meant to know it.
    pub truth: Option<&'a dyn Truth>,
}

impl std::fmt::Debug for Planned<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.planner.name())
    }
}

/// A request that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at_us: u64,
    /// Of which service.
    pub site: u16,
    /// How long it takes in a container, when that is known.
    pub service_us: Option<u64>,
}

/// What one service's replay came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its counts.
    pub tally: Tally,
    /// What it used.
    pub usage: Usage,
    /// How load and capacity went.
    pub series: Series,
}

impl Outcome {
    /// Adds what another service's replay came to, over the same time.
    pub fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.usage += other.usage;
        self.series.add(&other.series);
    }
}

/// Limits of the account.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// Concurrency of all functions together; 1,000 unless raised (AWS Lambda quotas).
    pub concurrency: u32,
}

impl Default for Account {
    fn default() -> Self {
        Self { concurrency: 1000 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at_us: u64,
    /// What, of which site, of which task: packed, because millions of them are moved about.
    token: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    OnLambda,
    OnProvisioned,
    WarmUp,
    InContainer,
    TaskReady,
    SpotNotice,
    TaskKilled,
    Deadline,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::OnLambda,
        Self::OnProvisioned,
        Self::WarmUp,
        Self::InContainer,
        Self::TaskReady,
        Self::SpotNotice,
        Self::TaskKilled,
        Self::Deadline,
    ];
}

const ID_BITS: u32 = 48;
const SITE_BITS: u32 = 12;

/// Most services of one run.
pub const SITES_MAX: usize = 1 << SITE_BITS;

fn token(kind: Kind, site: usize, id: u64) -> u64 {
    (kind as u64) << (ID_BITS + SITE_BITS) | (site as u64) << ID_BITS | id & ((1 << ID_BITS) - 1)
}

fn of_task(change: Change, site: usize, id: TaskId) -> u64 {
    let kind = match change {
        Change::Ready => Kind::TaskReady,
        Change::Notice => Kind::SpotNotice,
        Change::Kill => Kind::TaskKilled,
    };
    token(kind, site, id.0)
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    arrived_us: u64,
    service_us: u64,
}

/// A service while it runs.
struct Running<'a> {
    spec: &'a Site,
    service: Service,
    routing: Routing,
    planner: Box<dyn Planner + 'a>,
    truth: Option<&'a dyn Truth>,
    plan: Plan,
    tick_us: u64,
    next_tick: u64,
    history: History,
    function: Function,
    tasks: Tasks,
    queue: VecDeque<Waiting>,
    /// Number of the request at the queue's front.
    front: u64,
    wait_us: u64,
    durations: Random,
    starts: Random,
    decisions: Random,
    arrived: u64,
    worked_us: u128,
    all_worked_us: u128,
    areas: (u128, u128),
    in_system: u64,
    in_system_at: u64,
    tally: Tally,
    series: Series,
}

/// Replays `arrivals`, which come in order, from `start_us` to `end_us` under `planners`, one a site.
///
/// After the last arrival it goes on until every request has ended. Equal inputs give equal outcomes.
///
/// # Panics
/// When there are more sites than [`SITES_MAX`], or not as many planners.
pub fn run<'a>(
    sites: &[&'a Site],
    planners: Vec<Planned<'a>>,
    arrivals: impl Iterator<Item = Arrival>,
    (start_us, end_us): (u64, u64),
    account: Account,
    seed: u64,
) -> Vec<Outcome> {
    assert!(sites.len() <= SITES_MAX && sites.len() == planners.len(), "a planner for each site");
    let mut events = BinaryHeap::new();
    let running = sites.iter().zip(planners).enumerate().map(|(number, (&spec, planner))| {
        let later = |event| events.push(Reverse(event));
        Running::new(spec, number, planner, (start_us, end_us), seed, later)
    });
    let mut engine =
        Engine { sites: running.collect(), events, on_lambda: 0, concurrency: account.concurrency };
    engine.run(arrivals, end_us);
    let sites = engine.sites.into_iter();
    sites.map(|site| site.close(start_us, end_us)).collect()
}

struct Engine<'a> {
    sites: Vec<Running<'a>>,
    events: BinaryHeap<Reverse<Event>>,
    /// Requests on Lambda of all functions without a reservation of their own.
    on_lambda: u32,
    concurrency: u32,
}

impl Engine<'_> {
    fn run(&mut self, arrivals: impl Iterator<Item = Arrival>, end_us: u64) {
        let mut next_tick = self.tick(0);
        for arrival in arrivals {
            loop {
                let next = self.events.peek().map_or(u64::MAX, |event| event.0.at_us);
                if next_tick <= arrival.at_us && next_tick <= next {
                    next_tick = self.tick(next_tick);
                } else if next <= arrival.at_us
                    && let Some(Reverse(event)) = self.events.pop()
                {
                    self.happen(event);
                } else {
                    break;
                }
            }
            self.arrive(arrival);
        }
        // Planners go on to the end of the load; what is under way then comes to its end.
        while let Some(&Reverse(event)) = self.events.peek() {
            if next_tick <= event.at_us.min(end_us) {
                next_tick = self.tick(next_tick);
                continue;
            }
            let idle = self.sites.iter().all(|site| site.in_system == 0);
            if end_us <= event.at_us && idle {
                break;
            }
            self.events.pop();
            self.happen(event);
        }
        while next_tick < end_us {
            next_tick = self.tick(next_tick);
        }
    }

    /// Has every planner plan that is due at `now_us`; returns when the next one is.
    fn tick(&mut self, now_us: u64) -> u64 {
        let mut next = u64::MAX;
        for number in 0..self.sites.len() {
            let site = &mut self.sites[number];
            if site.next_tick <= now_us {
                let events = &mut self.events;
                site.tick(number, |event| events.push(Reverse(event)), &mut self.on_lambda);
            }
            next = next.min(self.sites[number].next_tick);
        }
        next
    }

    fn arrive(&mut self, arrival: Arrival) {
        let number = usize::from(arrival.site);
        let account_full = self.concurrency <= self.on_lambda;
        let site = &mut self.sites[number];
        let now_us = arrival.at_us;
        let service_us =
            arrival.service_us.unwrap_or_else(|| site.spec.service_time.draw(&mut site.durations));
        site.arrived += 1;
        site.worked_us += u128::from(service_us);
        site.tally.requests += 1;
        site.enter(now_us);
        let lanes = LaneStates {
            lambda: LambdaState { up: true, in_flight: site.function.in_flight },
            container: ContainerState {
                up: 0 < site.tasks.ready,
                slots_free: site.tasks.slots_free,
                waiting: site.queue.len() as u32,
            },
        };
        let draw = site.decisions.bits();
        let decision =
            decide(&Facts::PLAIN, &site.spec.route, &site.service, &site.spec.belief, &lanes, draw);
        match decision.reason {
            Reason::SpillNoTasks => site.spill(SpillCause::NoTasks),
            Reason::SpillSlotsFull => site.spill(SpillCause::SlotsFull),
            Reason::SpillLambdaCapped | Reason::SpillLambdaDown => site.spill(SpillCause::Capped),
            _ => {}
        }
        let waiting = Waiting { arrived_us: now_us, service_us };
        match decision.lane {
            Some(Lane::Container) => self.send_to_container(number, now_us, waiting),
            Some(Lane::Lambda) => {
                let spill = decision.spill == Some(Lane::Container);
                self.send_to_lambda(number, now_us, waiting, account_full, spill);
            }
            // A service of containers alone, none of which is ready yet: a load balancer without targets answers 503.
            None => site.fail(now_us, now_us, Failed::Refused),
        }
    }

    fn send_to_container(&mut self, number: usize, now_us: u64, waiting: Waiting) {
        let site = &mut self.sites[number];
        if let Some(id) = site.tasks.take(now_us) {
            let end_us = site.begin_in_container(now_us, waiting);
            self.push(end_us, Kind::InContainer, number, id.0);
            return;
        }
        let seq = site.front + site.queue.len() as u64;
        site.queue.push_back(waiting);
        let at_us = now_us + site.wait_us;
        self.push(at_us, Kind::Deadline, number, seq);
    }

    fn send_to_lambda(
        &mut self,
        number: usize,
        now_us: u64,
        waiting: Waiting,
        account_full: bool,
        may_spill: bool,
    ) {
        let site = &mut self.sites[number];
        let started =
            site.function.begin(now_us, waiting.service_us, account_full, &mut site.starts);
        match started {
            Ok(started) => {
                site.began_on_lambda(waiting.arrived_us, &started);
                if !site.function.is_reserved() {
                    self.on_lambda += 1;
                }
                let kind = if started.provisioned { Kind::OnProvisioned } else { Kind::OnLambda };
                self.push(started.end_us, kind, number, 0);
            }
            Err(throttle) => {
                let site = &mut self.sites[number];
                site.tally.throttled[match throttle {
                    Throttle::Account => 0,
                    Throttle::Reserved => 1,
                    Throttle::ScalingRate => 2,
                }] += 1;
                if may_spill {
                    site.spill(SpillCause::Throttled);
                    self.send_to_container(number, now_us, waiting);
                } else {
                    site.fail(now_us, waiting.arrived_us, Failed::Throttled);
                }
            }
        }
    }

    fn push(&mut self, at_us: u64, kind: Kind, site: usize, id: u64) {
        self.events.push(Reverse(Event { at_us, token: token(kind, site, id) }));
    }

    fn happen(&mut self, event: Event) {
        let now_us = event.at_us;
        let kind = Kind::ALL[(event.token >> (ID_BITS + SITE_BITS)) as usize];
        let number = (event.token >> ID_BITS) as usize & (SITES_MAX - 1);
        let id = event.token & ((1 << ID_BITS) - 1);
        let site = &mut self.sites[number];
        match kind {
            Kind::OnLambda | Kind::OnProvisioned | Kind::WarmUp => {
                site.function.end(now_us, kind == Kind::OnProvisioned);
                if !site.function.is_reserved() {
                    self.on_lambda -= 1;
                }
                if kind != Kind::WarmUp {
                    site.leave(now_us);
                }
            }
            Kind::InContainer => {
                site.leave(now_us);
                if !site.tasks.give_back(now_us, TaskId(id)) {
                    site.tally.ok -= 1;
                    site.tally.failed[Failed::TaskLost.index()] += 1;
                }
                self.serve_queue(number, now_us);
            }
            Kind::TaskReady => {
                site.tasks.change(now_us, TaskId(id), Change::Ready);
                self.serve_queue(number, now_us);
            }
            Kind::SpotNotice => {
                if let Some(at_us) = site.tasks.change(now_us, TaskId(id), Change::Notice) {
                    self.push(at_us, Kind::TaskKilled, number, id);
                }
                // ECS replaces it at once: the count that is wanted has not changed.
                let wanted = self.sites[number].plan.tasks;
                let events = &mut self.events;
                self.sites[number].set_tasks(number, now_us, wanted, |event| {
                    events.push(Reverse(event));
                });
            }
            Kind::TaskKilled => {
                site.tasks.change(now_us, TaskId(id), Change::Kill);
            }
            Kind::Deadline => self.give_up_waiting(number, now_us, id),
        }
    }

    /// Gives free slots to those who wait.
    fn serve_queue(&mut self, number: usize, now_us: u64) {
        loop {
            let site = &mut self.sites[number];
            if site.queue.is_empty() {
                return;
            }
            let Some(id) = site.tasks.take(now_us) else { return };
            let Some(waiting) = site.queue.pop_front() else { return };
            site.front += 1;
            let end_us = site.begin_in_container(now_us, waiting);
            self.push(end_us, Kind::InContainer, number, id.0);
        }
    }

    /// The `seq`th request to wait has waited for as long as it may.
    fn give_up_waiting(&mut self, number: usize, now_us: u64, seq: u64) {
        let account_full = self.concurrency <= self.on_lambda;
        let site = &mut self.sites[number];
        // All before it have been served or given up: it is the first, or gone itself.
        if (site.front ^ seq) & ((1 << ID_BITS) - 1) != 0 {
            return;
        }
        let Some(waiting) = site.queue.pop_front() else { return };
        site.front += 1;
        let capped =
            |lambda: &policies::policy::Lambda| lambda.max_in_flight <= site.function.in_flight;
        let lambda = site.spec.route.lanes.lambda
            && site.service.lambda.as_ref().is_some_and(|lambda| !capped(lambda));
        if lambda {
            site.spill(SpillCause::QueueTimeout);
            self.send_to_lambda(number, now_us, waiting, account_full, false);
        } else {
            site.fail(now_us, waiting.arrived_us, Failed::QueueTimeout);
        }
    }
}

impl<'a> Running<'a> {
    fn new(
        spec: &'a Site,
        number: usize,
        Planned { planner, truth }: Planned<'a>,
        (start_us, end_us): (u64, u64),
        seed: u64,
        mut later: impl FnMut(Event),
    ) -> Self {
        let routing = planner.routing();
        let mut service = spec.service.clone();
        match routing {
            Routing::LambdaOnly => service.container = None,
            Routing::ContainerOnly => service.lambda = None,
            Routing::Hybrid => {}
        }
        let mut starts = Random::new(seed, number, Purpose::Starts);
        let mut tasks = Tasks::new(spec.task.clone(), start_us);
        let first = if service.container.is_none() { 0 } else { spec.first_tasks };
        tasks.begin_with(start_us, first, &mut starts, |at_us, id, change| {
            later(Event { at_us, token: of_task(change, number, id) });
        });
        let tick_us = planner.every_us();
        let queue_us = u64::try_from(spec.route.timeouts.queue.as_micros()).unwrap_or(u64::MAX);
        Self {
            spec,
            service,
            routing,
            truth,
            plan: Plan::tasks(first, Why::Fixed),
            tick_us,
            next_tick: start_us,
            history: History::new(tick_us, (HISTORY_US / tick_us) as usize),
            planner,
            function: Function::new(spec.function.clone()),
            tasks,
            queue: VecDeque::new(),
            front: 0,
            wait_us: if routing == Routing::Hybrid { queue_us } else { BALANCER_WAIT_US },
            durations: Random::new(seed, number, Purpose::Durations),
            starts,
            decisions: Random::new(seed, number, Purpose::Decisions),
            arrived: 0,
            worked_us: 0,
            all_worked_us: 0,
            areas: (0, 0),
            in_system: 0,
            in_system_at: start_us,
            tally: Tally::default(),
            series: Series::new(start_us, end_us),
        }
    }

    /// Plans, and has what was planned.
    fn tick(&mut self, number: usize, mut later: impl FnMut(Event), on_lambda: &mut u32) {
        let now_us = self.next_tick;
        self.next_tick += self.tick_us;
        self.tasks.advance(now_us);
        if self.tally.requests != 0 || self.history.demand().len() != 0 || self.arrived != 0 {
            self.note_step();
        }
        let inputs = Inputs {
            now_us,
            history: &self.history,
            ready: self.tasks.ready,
            starting: self.tasks.starting,
            busy: self.tasks.busy,
            waiting: self.queue.len() as u32,
            shape: &self.spec.shape,
            truth: self.truth,
        };
        let plan = self.planner.plan(&inputs, &self.plan);
        if self.routing != Routing::LambdaOnly {
            self.set_tasks(number, now_us, plan.tasks, &mut later);
        }
        if self.routing != Routing::ContainerOnly {
            self.function.provision(now_us, plan.provisioned);
            for at_us in self.function.warm_up(now_us, plan.warm, &mut self.starts) {
                if !self.function.is_reserved() {
                    *on_lambda += 1;
                }
                later(Event { at_us, token: token(Kind::WarmUp, number, 0) });
            }
        }
        self.plan = plan;
        self.series.push(
            now_us,
            self.history.last(),
            f64::from(self.tasks.ready * self.spec.task.slots),
            f64::from(self.function.in_flight),
        );
    }

    /// Adds the step that ends now to what the planner may look at.
    fn note_step(&mut self) {
        self.all_worked_us += self.worked_us;
        let mean_us = self.all_worked_us as f64 / (self.tally.requests.max(1)) as f64;
        let step = self.tick_us as f64;
        let demand = self.arrived as f64 * mean_us / step;
        let (busy, slots) =
            (self.tasks.busy_area - self.areas.0, self.tasks.slot_area - self.areas.1);
        self.history.push(demand, busy as f64 / step, slots as f64 / step);
        self.areas = (self.tasks.busy_area, self.tasks.slot_area);
        self.arrived = 0;
        self.worked_us = 0;
    }

    fn set_tasks(&mut self, number: usize, now_us: u64, wanted: u32, mut later: impl FnMut(Event)) {
        let changed = self.tasks.set(now_us, wanted, &mut self.starts, |at_us, id, change| {
            later(Event { at_us, token: of_task(change, number, id) });
        });
        self.tally.scaling_actions += u64::from(changed);
        self.tally.most_tasks = self.tally.most_tasks.max(self.tasks.wanted());
    }

    fn begin_in_container(&mut self, now_us: u64, waiting: Waiting) -> u64 {
        let end_us = now_us + waiting.service_us;
        self.tally.by_lane[Lane::Container.index()] += 1;
        self.ends_well(end_us - waiting.arrived_us);
        end_us
    }

    fn began_on_lambda(&mut self, arrived_us: u64, started: &super::lambda::Started) {
        self.tally.by_lane[Lane::Lambda.index()] += 1;
        self.tally.cold += u64::from(started.cold_us != 0);
        self.tally.cold_us += started.cold_us;
        self.tally.most_on_lambda = self.tally.most_on_lambda.max(self.function.in_flight);
        let latency_us = started.end_us - arrived_us;
        if started.timed_out {
            self.tally.latencies.add(latency_us);
            self.tally.failed[Failed::FunctionTimeout.index()] += 1;
        } else {
            self.ends_well(latency_us);
        }
    }

    fn ends_well(&mut self, latency_us: u64) {
        self.tally.latencies.add(latency_us);
        self.tally.ok += 1;
        self.tally.within_objective += u64::from(latency_us <= self.spec.objective_us);
    }

    fn fail(&mut self, now_us: u64, arrived_us: u64, why: Failed) {
        self.tally.latencies.add(now_us - arrived_us);
        self.tally.failed[why.index()] += 1;
        self.leave(now_us);
    }

    fn spill(&mut self, cause: SpillCause) {
        self.tally.spills[cause.index()] += 1;
    }

    fn enter(&mut self, now_us: u64) {
        self.in_system_until(now_us);
        self.in_system += 1;
    }

    fn leave(&mut self, now_us: u64) {
        self.in_system_until(now_us);
        self.in_system -= 1;
    }

    fn in_system_until(&mut self, now_us: u64) {
        let since = u128::from(now_us - self.in_system_at);
        self.tally.in_system_area += u128::from(self.in_system) * since;
        self.in_system_at = now_us;
    }

    fn close(mut self, start_us: u64, end_us: u64) -> Outcome {
        self.function.close(start_us, end_us, self.routing != Routing::ContainerOnly);
        self.tasks.close(end_us);
        self.tally.warm_ups = self.function.warm_ups;
        self.tally.interruptions = self.tasks.interruptions;
        self.tally.busy_area = self.tasks.busy_area;
        self.tally.slot_area = self.tasks.slot_area;
        let usage =
            Usage { lambda: self.function.usage, fargate: self.tasks.usage, ..Usage::default() };
        Outcome { tally: self.tally, usage, series: self.series }
    }
}
