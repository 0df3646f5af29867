//! One service while its load is replayed: its planner, lanes, queue and counts.

use std::collections::VecDeque;

use policies::{cost::Usage, decide::Lane, policy::Service};

use super::super::{
    fargate::Tasks,
    lambda::{Function, Started},
    random::{Purpose, Random},
    series::Series,
    site::{BALANCER_WAIT_US, HISTORY_US, Outcome, Planned, Site},
    tally::{Failed, SpillCause, Tally, Window},
};
use super::{
    event::{Event, Kind, of_task, token},
    stream::Stream,
};
use crate::plan::{History, Inputs, OnLambda, Plan, Planner, Routing, Truth, Why};

#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) arrived_us: u64,
    pub(super) service_us: u64,
    pub(super) stream: u16,
    pub(super) answer_bytes: u32,
}

/// What Lambda was asked since the last look; warm-up invokes left out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lambda {
    asked: u64,
    asked_us: u128,
    busy: u32,
    most: u32,
}

impl Lambda {
    fn began(&mut self, run_us: u64) {
        self.asked += 1;
        self.asked_us += u128::from(run_us);
        self.busy += 1;
        self.most = self.most.max(self.busy);
    }

    pub(super) fn ended(&mut self) {
        self.busy -= 1;
    }

    fn take(&mut self) -> OnLambda {
        let Self { asked, asked_us, most, busy } = *self;
        (self.asked, self.asked_us, self.most) = (0, 0, busy);
        OnLambda { asked: asked as f64, mean_us: asked_us as f64 / asked.max(1) as f64, most }
    }
}

/// A service while it runs.
pub(super) struct Running<'a> {
    pub(super) spec: &'a Site,
    pub(super) service: Service,
    pub(super) streams: Vec<Stream<'a>>,
    pub(super) routing: Routing,
    pub(super) planner: Box<dyn Planner + 'a>,
    pub(super) truth: Option<&'a dyn Truth>,
    pub(super) plan: Plan,
    /// The last plan was that before it.
    pub(super) steady: bool,
    pub(super) tick_us: u64,
    pub(super) next_tick: u64,
    pub(super) history: History,
    pub(super) function: Function,
    pub(super) tasks: Tasks,
    pub(super) queue: VecDeque<Waiting>,
    /// Number of the request at the queue's front.
    pub(super) front: u64,
    pub(super) wait_us: u64,
    pub(super) durations: Random,
    pub(super) starts: Random,
    pub(super) decisions: Random,
    /// Requests that containers were asked to serve first: in this step, in all, and their service times.
    pub(super) asked: u64,
    pub(super) all_asked: u64,
    pub(super) all_asked_us: u128,
    pub(super) lambda: Lambda,
    pub(super) areas: (u128, u128),
    pub(super) in_system: u64,
    pub(super) in_system_at: u64,
    pub(super) tally: Tally,
    pub(super) window: Window,
    pub(super) series: Series,
}

impl<'a> Running<'a> {
    pub(super) fn new(
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
        let streams = spec.streams.iter().map(|stream| Stream::new(stream, &service, routing));
        let streams: Vec<_> = streams.collect();
        let mut starts = Random::new(seed, number, Purpose::Starts);
        let mut tasks = Tasks::new(spec.task.clone(), start_us);
        let first = if service.container.is_none() { 0 } else { spec.first_tasks };
        tasks.begin_with(start_us, first, &mut starts, |at_us, id, change| {
            later(Event { at_us, token: of_task(change, number, id) });
        });
        let tick_us = planner.every_us();
        let queue = streams.iter().map(|stream| stream.route.timeouts.queue).max();
        let queue_us =
            queue.map_or(0, |queue| u64::try_from(queue.as_micros()).unwrap_or(u64::MAX));
        Self {
            spec,
            service,
            streams,
            routing,
            truth,
            plan: Plan::tasks(first, Why::Fixed),
            steady: false,
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
            asked: 0,
            all_asked: 0,
            all_asked_us: 0,
            lambda: Lambda::default(),
            areas: (0, 0),
            in_system: 0,
            in_system_at: start_us,
            tally: Tally::default(),
            window: Window::default(),
            series: Series::new(start_us, end_us),
        }
    }

    /// Plans, and has what was planned.
    pub(super) fn tick(
        &mut self,
        number: usize,
        mut later: impl FnMut(Event),
        on_lambda: &mut u32,
    ) {
        let now_us = self.next_tick;
        self.next_tick += self.tick_us;
        self.tasks.advance(now_us);
        let asked = self.asked;
        if self.tally.requests != 0 || self.history.demand().len() != 0 {
            self.note_step();
        }
        let inputs = Inputs {
            now_us,
            history: &self.history,
            asked: asked as f64,
            mean_service_us: self.all_asked_us as f64 / self.all_asked.max(1) as f64,
            ready: self.tasks.ready,
            starting: self.tasks.starting,
            busy: self.tasks.busy,
            waiting: self.queue.len() as u32,
            shape: &self.spec.shape,
            truth: self.truth,
            lambda: self.lambda.take(),
        };
        let plan = self.planner.plan(&inputs, &self.plan);
        self.tasks.spot_most = self.planner.places_spot().then_some(plan.spot);
        if self.routing != Routing::LambdaOnly {
            self.set_tasks(number, now_us, plan.tasks, &mut later);
        }
        if self.routing != Routing::ContainerOnly {
            self.function.provision(now_us, plan.provisioned);
            let how = &self.spec.warm_ups;
            for at_us in self.function.warm_up(now_us, plan.warm, how, &mut self.starts) {
                if !self.function.is_reserved() {
                    *on_lambda += 1;
                }
                later(Event { at_us, token: token(Kind::WarmUp, number, 0) });
            }
        }
        self.steady = plan.tasks == self.plan.tasks;
        self.plan = plan;
        self.series.push(
            now_us,
            self.history.last(),
            f64::from(self.tasks.ready * self.spec.task.slots),
            f64::from(self.function.in_flight),
        );
    }

    /// Goes on without planning to the last tick before `until_us`, unless the plan still changes.
    pub(super) fn skip(&mut self, until_us: u64) {
        let ticks = until_us.saturating_sub(self.next_tick) / self.tick_us;
        if ticks == 0 || !self.steady {
            return;
        }
        let from_us = self.next_tick;
        self.next_tick += ticks * self.tick_us;
        self.tasks.advance(self.next_tick - self.tick_us);
        self.areas = (self.tasks.busy_area, self.tasks.slot_area);
        let slots = f64::from(self.tasks.ready * self.spec.task.slots);
        self.series.hold(from_us, self.next_tick, slots);
    }

    /// Adds the step that ends now to what the planner may look at.
    pub(super) fn note_step(&mut self) {
        let mean_us = self.all_asked_us as f64 / self.all_asked.max(1) as f64;
        let step = self.tick_us as f64;
        let demand = self.asked as f64 * mean_us / step;
        let (busy, slots) =
            (self.tasks.busy_area - self.areas.0, self.tasks.slot_area - self.areas.1);
        self.history.push(demand, busy as f64 / step, slots as f64 / step);
        self.areas = (self.tasks.busy_area, self.tasks.slot_area);
        self.asked = 0;
    }

    /// Notes a request that containers are asked to serve first.
    pub(super) fn asked(&mut self, service_us: u64) {
        self.asked += 1;
        self.all_asked += 1;
        self.all_asked_us += u128::from(service_us);
    }

    pub(super) fn set_tasks(
        &mut self,
        number: usize,
        now_us: u64,
        wanted: u32,
        mut later: impl FnMut(Event),
    ) {
        let changed = self.tasks.set(now_us, wanted, &mut self.starts, |at_us, id, change| {
            later(Event { at_us, token: of_task(change, number, id) });
        });
        self.tally.scaling_actions += u64::from(changed);
        self.tally.most_tasks = self.tally.most_tasks.max(self.tasks.wanted());
    }

    pub(super) fn begin_in_container(&mut self, now_us: u64, waiting: Waiting) -> u64 {
        let end_us = now_us + waiting.service_us;
        self.tally.by_lane[Lane::Container.index()] += 1;
        self.streams[usize::from(waiting.stream)].ran(end_us, waiting.service_us);
        self.ends_well(now_us, waiting.stream, end_us - waiting.arrived_us);
        end_us
    }

    pub(super) fn began_on_lambda(&mut self, now_us: u64, waiting: Waiting, started: &Started) {
        // As in the gateway: a cold start says nothing of how long the next such request takes.
        if started.cold_us.is_none() {
            self.streams[usize::from(waiting.stream)].ran(started.end_us, started.run_us);
        }
        self.tally.by_lane[Lane::Lambda.index()] += 1;
        self.tally.cold += u64::from(started.cold_us.is_some());
        self.tally.cold_us += started.cold_us.unwrap_or_default();
        self.tally.most_on_lambda = self.tally.most_on_lambda.max(self.function.in_flight);
        self.lambda.began(started.end_us - now_us);
        let latency_us = started.end_us - waiting.arrived_us;
        match started.failed {
            Some(why) => {
                self.tally.latencies.add(latency_us);
                self.tally.failed[why.index()] += 1;
                self.window.count(now_us, 1.0, 0.0, &mut self.tally);
            }
            None => self.ends_well(now_us, waiting.stream, latency_us),
        }
    }

    fn ends_well(&mut self, now_us: u64, stream: u16, latency_us: u64) {
        self.tally.latencies.add(latency_us);
        self.tally.ok += 1;
        let objective_us = self.spec.streams[usize::from(stream)].objective_us;
        let within = u8::from(latency_us <= objective_us);
        self.tally.within_objective += u64::from(within);
        self.window.count(now_us, 1.0, f64::from(within), &mut self.tally);
    }

    pub(super) fn fail(&mut self, now_us: u64, arrived_us: u64, why: Failed) {
        self.tally.latencies.add(now_us - arrived_us);
        self.tally.failed[why.index()] += 1;
        self.window.count(now_us, 1.0, 0.0, &mut self.tally);
        self.leave(now_us);
    }

    pub(super) fn spill(&mut self, cause: SpillCause) {
        self.tally.spills[cause.index()] += 1;
    }

    pub(super) fn enter(&mut self, now_us: u64) {
        self.in_system_until(now_us);
        self.in_system += 1;
    }

    pub(super) fn leave(&mut self, now_us: u64) {
        self.in_system_until(now_us);
        self.in_system -= 1;
    }

    pub(super) fn in_system_until(&mut self, now_us: u64) {
        let since = u128::from(now_us - self.in_system_at);
        self.tally.in_system_area += u128::from(self.in_system) * since;
        self.in_system_at = now_us;
    }

    pub(super) fn close(mut self, start_us: u64, end_us: u64) -> Outcome {
        self.window.close(&mut self.tally);
        self.function.close(start_us, end_us, self.routing != Routing::ContainerOnly);
        self.tasks.close(end_us);
        self.tally.warm_ups = self.function.warm_ups;
        self.tally.interruptions = self.tasks.interruptions;
        self.tally.busy_area = self.tasks.busy_area;
        self.tally.slot_area = self.tasks.slot_area;
        let usage =
            Usage { lambda: self.function.usage, fargate: self.tasks.usage, ..Usage::default() };
        let warm_usage = self.function.warm_usage;
        Outcome { tally: self.tally, usage, warm_usage, series: self.series }
    }
}

#[cfg(test)]
mod tests {
    use policies::{
        cost::{PriceBook, Terms},
        workload,
    };

    use super::super::run;
    use crate::{
        plan::{Routing, StaticTasks},
        replay::{
            arrivals::Step,
            distribution::Distribution,
            load::Load,
            scenario,
            site::{Account, Arrival, Planned},
        },
    };

    /// Replays forty requests of two seconds, one every hundred seconds, that are taken for sprinters until twenty were
    /// seen; returns how many run on Lambda, in containers.
    fn by_lane(idle_lifetime: &str) -> [u64; 2] {
        let text = format!(
            "version: 1
scenarios:
  - {{ name: s, trace: t.csv, service_time: {{ fixed: 2s }}, class: auto, tasks: {{ min: 1 }}, idle_lifetime: {idle_lifetime} }}
"
        );
        let scenario = workload::load("w.yaml", &text).unwrap().remove(0);
        let (step_us, count) = (100_000_000, 1);
        let steps = (0..40).map(|step| Step { at_us: step * step_us, us: step_us, count });
        let load = Load::new(steps.collect());
        let time = Distribution::Fixed(2e6);
        let book = PriceBook::fallback();
        let site = scenario::site(&scenario, "s", time, &load, book, Terms::default());
        let planner = Box::new(StaticTasks::given(1, Routing::Hybrid));
        let arrivals = load.steps().iter().map(|step| Arrival::plain(step.at_us, 0));
        let span = (0, 40 * step_us);
        let planned = Planned { planner, truth: None };
        run(&[&site], vec![planned], arrivals, span, Account::default(), 7)[0].tally.by_lane
    }

    #[test]
    fn nothing_is_learned_from_cold_starts() {
        assert_eq!(by_lane("1h"), [21, 19], "one is cold, twenty are learned from");
        assert_eq!(by_lane("1s"), [40, 0], "all are cold");
    }
}
