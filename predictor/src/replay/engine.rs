//! A load, request by request: every arrival, start and end is an event.
//!
//! The gateway's own [`decide`] says where each request goes; [`lambda`](super::lambda) and [`fargate`](super::fargate) say
//! what comes of it. Events are taken in the order of time, ends before arrivals of the same moment. All services of a run
//! share the account's concurrency.

mod event;
mod service;
mod stream;

use std::{cmp::Reverse, collections::BinaryHeap};

use policies::decide::{
    Body, ContainerState, Facts, LambdaState, Lane, LaneStates, Reason, Refusal, decide,
};

pub use self::event::SITES_MAX;
use self::{
    event::{Event, ID_MASK, Kind, token},
    service::{Running, Waiting},
};
use super::{
    fargate::{Change, TaskId},
    lambda::Throttle,
    site::{Account, Arrival, HISTORY_US, IDLE_US, Outcome, Planned, Site},
    tally::{Failed, SpillCause},
};

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
    let mut engine = Engine {
        sites: running.collect(),
        events,
        on_lambda: 0,
        concurrency: account.concurrency,
        busy_us: start_us,
    };
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
    /// When something last happened.
    busy_us: u64,
}

impl Engine<'_> {
    fn run(&mut self, arrivals: impl Iterator<Item = Arrival>, end_us: u64) {
        let mut next_tick = self.tick(0);
        for arrival in arrivals {
            loop {
                let next = self.events.peek().map_or(u64::MAX, |event| event.0.at_us);
                if next_tick <= arrival.at_us && next_tick <= next {
                    if self.busy_us + IDLE_US <= next_tick && next == u64::MAX {
                        next_tick = self.skip(arrival.at_us);
                    }
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

    /// Skips what planners would do until shortly before `until_us`, when something arrives again; returns the next tick.
    fn skip(&mut self, until_us: u64) -> u64 {
        for site in &mut self.sites {
            site.skip(until_us.saturating_sub(HISTORY_US));
        }
        self.sites.iter().map(|site| site.next_tick).min().unwrap_or(u64::MAX)
    }

    fn arrive(&mut self, arrival: Arrival) {
        self.busy_us = arrival.at_us;
        let number = usize::from(arrival.site);
        let account_full = self.concurrency <= self.on_lambda;
        let site = &mut self.sites[number];
        let now_us = arrival.at_us;
        let stream = &mut site.streams[usize::from(arrival.stream)];
        let service_us = match arrival.service_us {
            Some(us) => u64::from(us),
            None => stream.service_time.draw(&mut site.durations),
        };
        site.tally.requests += 1;
        site.enter(now_us);
        let lanes = LaneStates {
            lambda: LambdaState { up: true, in_flight: site.function.in_flight },
            container: ContainerState {
                up: 0 < site.tasks.ready,
                slots: site.tasks.ready * site.spec.task.slots,
                // Whoever waits has the next free slot.
                slots_free: if site.queue.is_empty() { site.tasks.slots_free } else { 0 },
                waiting: site.queue.len() as u32,
            },
        };
        let facts = match arrival.event_bytes {
            0 => Facts::PLAIN,
            bytes => Facts { body: Body::Encoded(bytes.into()), ..Facts::PLAIN },
        };
        let draw = site.decisions.bits();
        let stream = &mut site.streams[usize::from(arrival.stream)];
        stream.learn(now_us);
        let belief = stream.belief();
        let decision = decide(&facts, &stream.route, &site.service, belief, &lanes, draw);
        match decision.reason {
            Reason::SpillNoTasks => site.spill(SpillCause::NoTasks),
            Reason::SpillSlotsFull => site.spill(SpillCause::SlotsFull),
            Reason::SpillLambdaCapped | Reason::SpillLambdaDown => site.spill(SpillCause::Capped),
            _ => {}
        }
        // What is asked of containers first is what planners size them for.
        let spilled = matches!(decision.reason, Reason::SpillNoTasks | Reason::SpillSlotsFull);
        if decision.lane != Some(Lane::Lambda) || spilled {
            site.asked(service_us);
        }
        let Arrival { stream, answer_bytes, .. } = arrival;
        let waiting = Waiting { arrived_us: now_us, service_us, stream, answer_bytes };
        match decision.lane {
            Some(Lane::Container) => self.send_to_container(number, now_us, waiting),
            Some(Lane::Lambda) => {
                let spill = decision.spill == Some(Lane::Container);
                self.send_to_lambda(number, now_us, waiting, account_full, spill);
            }
            None => site.fail(
                now_us,
                now_us,
                match decision.refusal() {
                    // Containers alone, none of which is ready yet: a load balancer without targets answers 503.
                    Some(Refusal::Unavailable) | None => Failed::Refused,
                    Some(Refusal::TooLarge | Refusal::NotPossible) => Failed::NotPossible,
                },
            ),
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
        let Waiting { service_us, answer_bytes, .. } = waiting;
        let started =
            site.function.begin(now_us, service_us, answer_bytes, account_full, &mut site.starts);
        match started {
            Ok(started) => {
                site.began_on_lambda(now_us, waiting, &started);
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
        self.busy_us = now_us;
        let (kind, number, id) = event.what();
        let site = &mut self.sites[number];
        match kind {
            Kind::OnLambda | Kind::OnProvisioned | Kind::WarmUp => {
                site.function.end(now_us, kind == Kind::OnProvisioned);
                if !site.function.is_reserved() {
                    self.on_lambda -= 1;
                }
                if kind != Kind::WarmUp {
                    site.lambda.ended();
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
        if (site.front ^ seq) & ID_MASK != 0 {
            return;
        }
        let Some(waiting) = site.queue.pop_front() else { return };
        site.front += 1;
        let capped =
            |lambda: &policies::policy::Lambda| lambda.max_in_flight <= site.function.in_flight;
        let lambda = site.streams[usize::from(waiting.stream)].route.lanes.lambda
            && site.service.lambda.as_ref().is_some_and(|lambda| !capped(lambda));
        if lambda {
            site.spill(SpillCause::QueueTimeout);
            self.send_to_lambda(number, now_us, waiting, account_full, false);
        } else {
            site.fail(now_us, waiting.arrived_us, Failed::QueueTimeout);
        }
    }
}
