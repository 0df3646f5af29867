//! The control loop's part in planning: what was asked is told, kept and learned, and what was planned is had.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use policies::policy::State;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Control, Report,
    act::{
        Allowed, Circumstances, Names,
        spot::{Proposal, proposal},
        warm::Surroundings,
    },
    capacity::{Look, STEP_S},
    discover::Fleet,
};
use crate::history::{self, History, Loaded, Loading};

/// How long what the other gateways were asked is waited for: two of their beats.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(5);

impl Control {
    /// Opens the store of what was asked. One that cannot be opened is told of, and done without.
    pub(super) fn open_history(&mut self) -> Loading {
        let aws = self.aws.as_ref().map(|aws| aws.config());
        match History::open(self.policy.state.as_ref(), aws) {
            Ok((history, loading)) => {
                self.history = history;
                loading
            }
            Err(error) => {
                warn!(
                    error = format!("{error:#}"),
                    "what services are asked is not kept; mend `state`"
                );
                Loading::nothing()
            }
        }
    }

    /// Takes in what the store had.
    pub(super) fn remember(&mut self, loaded: Loaded) {
        for note in &loaded.notes {
            warn!("{note}");
        }
        let services = loaded.services().count();
        if 0 < services {
            info!(services, complete = loaded.complete, "what was asked before is known");
        }
        let rows = loaded.memos(history::Kind::Ledger);
        let unread = self.shared.ledger().recall(rows, loaded.complete);
        if 0 < unread {
            warn!(unread, "rows of the ledger cannot be read and are left out");
        }
        for (_, order) in loaded.memos(history::Kind::Order) {
            match serde_json::from_slice(order) {
                Ok(order) => _ = self.shared.order(&order),
                Err(error) => warn!(%error, "the last order to freeze cannot be read"),
            }
        }
        self.warmers.recall(&loaded);
        let (beliefs, unread) =
            self.learner.recall(&self.policy, loaded.memos(history::Kind::Profile));
        for note in unread {
            warn!("left out of what was learned: {note}");
        }
        if let Some(beliefs) = beliefs {
            info!("what routes have taught is known");
            self.publish(Some(Arc::new(beliefs)), None, None);
        }
        self.capacity.remember(loaded);
    }

    /// Has what was asked and learned written, when that is due.
    pub(super) fn keep(&mut self, now: Instant) {
        let leads = self.gateways.group().leader;
        self.history.leads(leads);
        if self.history.is_due(now) {
            self.keep_profiles();
        }
        self.history.flush(now);
    }

    /// Has written what is left at the end: what was learned last, and what was taken of budgets and not spent.
    pub(super) fn keep_last(&mut self) {
        self.book_now(SystemTime::now());
        self.keep_books();
        self.keep_profiles();
        self.history.give_back(self.warmers.left());
    }

    /// Has what was used, and an order to freeze, kept within a second.
    pub(super) fn keep_books(&mut self) {
        let rows = self.shared.ledger().take_changed();
        if !rows.is_empty() {
            self.history.remember(history::Kind::Ledger, rows);
            self.history.hasten();
        }
    }

    fn keep_profiles(&mut self) {
        if self.keeps() {
            let learned = self.learner.changed(&self.policy);
            self.history.remember(history::Kind::Profile, learned);
        }
    }

    /// Tells whether this gateway keeps what all of them know: a bucket is everybody's.
    fn keeps(&self) -> bool {
        self.gateways.group().leader || !matches!(self.policy.state, Some(State::S3 { .. }))
    }

    /// Counts what was asked, and plans at once where that is a flood; when another step of ten seconds has ended, tells the
    /// other gateways, and plans once they have told too.
    pub(super) fn plan(&mut self, now: Instant, clock: SystemTime) {
        if self.capacity.second(clock, &self.world, self.gateways.group().live) {
            self.shared.tell_plans(self.capacity.states());
        }
        self.teach();
        if let Some(look) = self.capacity.look(clock, &self.world) {
            // Nobody waits for who does not tell before the next step has ended.
            if let Some((late, _)) = self.looked.take() {
                self.plan_for(late, clock);
            }
            self.gateways.tell(look.number(), look.asked.clone(), now);
            self.looked = Some((look, now));
        }
        let Some((look, since)) = &self.looked else { return };
        let group = self.gateways.group();
        let all = group.asked(look.number()).is_some();
        if (all || WAIT_FOR_OTHERS <= now.duration_since(*since))
            && let Some((look, _)) = self.looked.take()
        {
            self.plan_for(look, clock);
        }
    }

    /// Plans for a step, from what all gateways that told were asked in it.
    pub(super) fn plan_for(&mut self, mut look: Look, clock: SystemTime) {
        let group = self.gateways.group();
        if let Some((all, _)) = group.asked_so_far(look.number()) {
            look.asked = all.clone();
        }
        let keeps = self.keeps();
        for (service, step) in look.asked.iter().filter(|_| keeps) {
            // Of a service of Lambda alone nothing is asked of containers.
            if !self.fleets.values().any(|fleet| fleet.name() == service) {
                continue;
            }
            let kept = history::Step::new(step.asked, step.service_us);
            self.history.append(service, look.end_s - STEP_S, kept);
        }
        self.capacity.plan(&look, &self.world, self.fleets.values(), group.live);
        self.shared.tell_plans(self.capacity.states());
        self.shared.stats().tell_spot(self.fleets.values().filter_map(spot).collect());
        self.judge(Instant::now(), clock, true);
    }

    /// Starts what planners are to learn, beside the loop.
    fn teach(&mut self) {
        while let Some(lesson) = self.capacity.lesson() {
            self.jobs.spawn(async move {
                let learned = tokio::task::spawn_blocking(move || lesson.run());
                Report::Learned(Box::new(
                    learned.await.expect("learning does not panic, and nobody aborts it"),
                ))
            });
        }
    }

    /// Starts the calls that have what was planned.
    pub(super) fn act(&mut self, now: Instant) {
        let Some(aws) = &self.aws else { return };
        let lease = self.gateways.lease();
        if !lease.holds(now, SystemTime::now()) {
            // Whoever leads stops tasks; all others leave these alone meanwhile.
            let group = self.gateways.group();
            self.fleets.values_mut().for_each(|fleet| fleet.retire(&group.retiring));
            self.gateways.retires(Names::new(), now);
            return;
        }
        let planned = |service: &str| self.capacity.planned(service);
        let (fleets, group) = (self.fleets.values_mut(), self.gateways.group());
        let brake = self.shared.brake();
        let allowed = &Allowed { aws: aws.clone(), lease: lease.clone(), brake };
        let scale = self.capacity.clock().scale();
        let circumstances =
            Circumstances { allowed, busy: &group.busy, live: group.live, scale, now };
        for call in self.actuators.due(&self.policy, fleets, planned, &circumstances) {
            self.jobs.spawn(async move { Report::Acted(call.await) });
        }
        let notary = self.history.notary();
        let around = Surroundings {
            world: &self.world,
            functions: &self.functions,
            allowed,
            book: self.capacity.book(),
            clock: self.capacity.clock(),
            notary: notary.as_ref(),
            now,
        };
        for call in self.warmers.due(&around, |service| self.capacity.environments(service)) {
            self.jobs.spawn(async move { Report::Warmed(call.await) });
        }
        self.gateways.retires(self.actuators.retiring(), now);
        self.shared.stats().tell_troubles(self.actuators.troubles());
    }
}

/// Returns what share of a service's tasks is proposed to be on Spot.
fn spot(fleet: &Fleet) -> Option<(Arc<str>, Proposal)> {
    let (tasks, on_spot) = fleet
        .present()
        .fold((0, 0), |(tasks, spot), (_, placed)| (tasks + 1, spot + u32::from(placed.spot)));
    Some((fleet.name().clone(), proposal(fleet.container(), tasks, on_spot)?))
}
