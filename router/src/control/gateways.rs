//! Several gateways of one policy: who is there, what all are asked together, whose slots are whose, and who leads.
//!
//! They find each other in a DynamoDB table (`gateways` in the policy). Every two seconds each writes a [`beat`], reads
//! everybody's, and the one that has the [`lease`] renews it: a [`table::Round`], which runs as a job beside the loop. What
//! follows from it is worked out here, without I/O: who lives ([`members`]), how slots are divided ([`division`]), and a
//! [`Group`], the snapshot that planning reads. A gateway without `gateways` is alone, divides with nobody and leads.
//!
//! When the table cannot be reached, everybody serves on with the slots it has, and whoever leads stops acting when its
//! lease runs out. A gateway that starts meanwhile cannot know of others and takes all slots: tasks that answer
//! `503 x-pacer-busy` to what is too much keep that harmless.

mod beat;
mod division;
mod group;
mod lease;
mod members;
mod table;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use policies::policy::{self, Policy};
use tokio::time::Instant;
use tracing::{info, warn};

use self::{
    beat::{Beat, Load, STEPS},
    division::Agreement,
    lease::{Keeper, Write, Written},
    members::Members,
    table::Table,
};
pub(crate) use self::{
    division::Division,
    group::{GatewaysState, Group},
    lease::Lease,
    table::{Done, Leave, Round},
};
use super::{
    act::Names,
    asked::Services,
    aws::Aws,
    freeze::Order,
    pace::{Pace, random},
};

/// Time between two rounds. Doubled, a death is seen twice as late, and the table costs half.
const EVERY: Duration = Duration::from_secs(2);

/// The same while slots are being divided anew, which is over after some rounds of everybody.
const EVERY_UNSETTLED: Duration = Duration::from_millis(500);

/// Rounds that may fail before the pause grows: one that fails must not cost the lease.
const FAILURES_FREE: u32 = 2;

/// Longest pause after failures: a table that is back must see every gateway's beat before anybody calls it dead.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// How long a gateway that starts waits for its share of slots before it serves: what the others take to see it, and a
/// dead one to be recognised.
pub(super) const JOIN_MAX: Duration = Duration::from_secs(14);

/// How long a gateway that stops takes to say so.
pub(super) const LEAVE_MAX: Duration = Duration::from_secs(2);

/// This gateway among its like.
#[derive(Debug)]
pub(crate) struct Gateways {
    /// `None`: it is alone.
    joined: Option<Joined>,
    lease: Lease,
    group: Arc<Group>,
    /// What this gateway was asked in the last steps.
    asked: BTreeMap<u64, Services>,
    /// Tasks that this gateway is about to stop.
    retiring: Names,
    /// The latest order to freeze, or to go on, that this gateway knows of.
    order: Option<Order>,
    led: bool,
}

/// What a gateway with others beside it goes by.
#[derive(Debug)]
struct Joined {
    config: policy::Gateways,
    table: Option<Table>,
    pace: Pace,
    keeper: Keeper,
    members: Members,
    agreement: Agreement,
    /// What does not change of its beats.
    beat: Beat,
    /// It serves: whoever has no slot of a service keeps one.
    serves: bool,
    /// The table was read at least once.
    has_read: bool,
    error: Option<String>,
    errors: u64,
}

impl Gateways {
    /// Begins for `policy`; another policy does not change with whom it divides.
    pub(crate) fn new(policy: &Policy, now: Instant) -> Self {
        let joined = policy.gateways.clone().map(|config| Joined::new(config, policy, now));
        let lease =
            joined.as_ref().map_or_else(Lease::alone, |joined| joined.keeper.lease().clone());
        let mut group = Group::alone(now);
        group.leader = joined.is_none();
        Self {
            joined,
            lease,
            group: Arc::new(group),
            asked: BTreeMap::new(),
            retiring: Names::new(),
            order: None,
            led: false,
        }
    }

    /// Tells whether there may be others.
    pub(crate) fn divides(&self) -> bool {
        self.joined.is_some()
    }

    /// Returns what says whether this gateway may change capacity: to be asked right before each call.
    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Returns what planning knows of all gateways together.
    pub(crate) fn group(&self) -> Arc<Group> {
        self.group.clone()
    }

    /// Takes in what this gateway was asked in a step that has ended, and lets the others know soon.
    pub(crate) fn tell(&mut self, step: u64, services: Services, now: Instant) {
        self.asked.insert(step, services);
        while STEPS < self.asked.len() {
            self.asked.pop_first();
        }
        if let Some(joined) = &mut self.joined {
            joined.pace.hasten(now);
        }
        self.regroup(self.group.since, now, SystemTime::now());
    }

    /// Lets the others know which tasks this gateway, which leads, is about to stop.
    pub(crate) fn retires(&mut self, retiring: Names, now: Instant) {
        if self.retiring != retiring {
            self.retiring = retiring;
            if let Some(joined) = &mut self.joined {
                joined.pace.hasten(now);
            }
        }
    }

    /// Lets the others know of an order to freeze, or to go on; returns whether it is another than before.
    pub(crate) fn orders(&mut self, order: &Order, now: Instant) -> bool {
        let is_news = self.order.as_ref() != Some(order);
        if is_news {
            self.order = Some(order.clone());
            if let Some(joined) = &mut self.joined {
                joined.pace.hasten(now);
            }
        }
        is_news
    }

    /// Returns the round that is due. It must be reported to [`Gateways::heard`]. `busy`: this gateway's slots that are
    /// taken, by task.
    pub(crate) fn due(
        &mut self,
        aws: &Aws,
        busy: impl FnOnce() -> BTreeMap<Arc<str>, u32>,
        now: Instant,
    ) -> Option<Round> {
        let (beat, lease) = self.begin(busy, now)?;
        let table = self.joined.as_mut()?.table(aws);
        Some(Round { table, beat, lease })
    }

    /// Returns what is written in the round that is due.
    fn begin(
        &mut self,
        busy: impl FnOnce() -> BTreeMap<Arc<str>, u32>,
        now: Instant,
    ) -> Option<(Beat, Option<Write>)> {
        let joined = self.joined.as_mut()?;
        if !joined.pace.is_due(now) {
            return None;
        }
        joined.agreement.publishing();
        joined.beat.sequence += 1;
        let view = joined.agreement.wanted().cloned();
        let load = Load {
            asked: self.asked.clone(),
            busy: busy(),
            retiring: self.retiring.clone(),
            order: self.order.clone(),
        };
        Some((Beat { view, load, ..joined.beat.clone() }, joined.keeper.next(now)))
    }

    /// Takes in how a round ended. Returns whether the division of slots has changed.
    pub(crate) fn heard(&mut self, done: Done, now: Instant, clock: SystemTime) -> bool {
        let Some(joined) = &mut self.joined else { return false };
        let before = joined.division();
        joined.heard(done, now);
        let changed = joined.division() != before;
        let since = if joined.error.is_none() { now } else { self.group.since };
        self.regroup(since, now, clock);
        changed
    }

    /// Returns how slots are divided.
    pub(crate) fn division(&self) -> Division {
        self.joined.as_ref().map_or_else(Division::whole, Joined::division)
    }

    /// Tells whether this gateway has its share of slots, or cannot know it.
    pub(crate) fn is_in(&self) -> bool {
        self.joined.as_ref().is_none_or(|joined| joined.agreement.is_in())
    }

    /// Notes that requests come from here on.
    pub(crate) fn serves(&mut self) {
        if let Some(joined) = &mut self.joined {
            joined.serves = true;
        }
    }

    /// Notes that this gateway stops: from here on it does not lead, and the next round lets another do so.
    pub(crate) fn stop(&mut self, now: Instant) {
        if let Some(joined) = &mut self.joined {
            joined.beat.drains = true;
            joined.keeper.give_up();
            joined.pace.hasten(now);
        }
    }

    /// Returns what takes this gateway out of the table: its slots are the others' then.
    pub(crate) fn leave(&mut self, aws: &Aws) -> Option<Leave> {
        let joined = self.joined.as_mut()?;
        joined.keeper.give_up();
        let (lease, beat) = (joined.keeper.way_out(), joined.beat.id.clone());
        Some(Leave { table: joined.table(aws), beat, lease })
    }

    /// Returns what is shown of it; `None` alone.
    pub(crate) fn state(&mut self, now: Instant, clock: SystemTime) -> Option<GatewaysState> {
        let leads = self.lease.holds(now, clock);
        let joined = self.joined.as_ref()?;
        if leads != self.led {
            self.led = leads;
            info!(
                group = &*joined.config.group,
                leads,
                "this gateway {}",
                if leads { "leads" } else { "leads no longer" }
            );
        }
        let others = joined.members.live();
        Some(GatewaysState {
            table: joined.config.table.clone(),
            group: joined.config.group.clone(),
            id: joined.beat.id.clone(),
            live: joined.members.view().len(),
            holder: joined.keeper.holder().cloned(),
            lease: self.lease.clone(),
            settled: joined.agreement.is_settled(),
            others: others
                .map(|beat| [&beat.id, &beat.host, &beat.address].map(Arc::clone))
                .collect(),
            error: joined.error.clone(),
            errors: joined.errors,
        })
    }

    /// Adds up what this gateway and the others that live were asked.
    fn regroup(&mut self, since: Instant, now: Instant, clock: SystemTime) {
        let mut asked: BTreeMap<u64, (Services, u32)> = BTreeMap::new();
        let mut busy: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        let (mut live, mut retiring) = (1, Names::new());
        let mut order = self.order.clone();
        let mut add = |told: &BTreeMap<u64, Services>| {
            for (step, services) in told {
                let (sum, gateways) = asked.entry(*step).or_default();
                *gateways += 1;
                for (name, told) in services {
                    sum.entry(name.clone()).or_default().add(*told);
                }
            }
        };
        add(&self.asked);
        if let Some(joined) = &self.joined {
            for load in joined.members.loads() {
                add(&load.asked);
                retiring.extend(load.retiring.iter().cloned());
                order = order.max(load.order.clone());
                for (task, slots) in &load.busy {
                    let sum = busy.entry(task.clone()).or_default();
                    *sum = sum.saturating_add(*slots);
                }
            }
            let view = joined.members.view();
            live = view.len();
        }
        let leader = self.lease.holds(now, clock);
        self.group = Arc::new(Group { leader, live, busy, retiring, order, since, asked });
    }
}

impl Joined {
    fn new(config: policy::Gateways, policy: &Policy, now: Instant) -> Self {
        let id: Arc<str> = format!("{:016x}", random()).into();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let beat = Beat {
            id: id.clone(),
            started_s: started.as_secs(),
            host: host.trim().into(),
            address: policy.listen.http.to_string().into(),
            ..Beat::default()
        };
        Self {
            config,
            table: None,
            pace: Pace::new(true, now),
            keeper: Keeper::new(id.clone()),
            members: Members::new(id.clone()),
            agreement: Agreement::new(id),
            beat,
            serves: false,
            has_read: false,
            error: None,
            errors: 0,
        }
    }

    fn table(&mut self, aws: &Aws) -> Table {
        self.table.get_or_insert_with(|| Table::new(aws, &self.config)).clone()
    }

    fn heard(&mut self, done: Done, now: Instant) {
        let mut error = None;
        if let Some((write, how)) = done.lease {
            self.keeper.written(&write, &how, done.sent);
            if let Written::Unknown(why) = how {
                error = Some(why);
            }
        }
        match done.beat {
            Ok(view) => self.agreement.published(view),
            Err(why) => error = Some(why),
        }
        match done.seen {
            Ok(seen) => {
                self.has_read = true;
                self.keeper.read(seen.lease, now);
                self.members.read(seen.beats, now);
                self.agreement.saw(self.members.view(), &self.members.views());
            }
            Err(why) => {
                error = Some(why);
                if !self.has_read {
                    self.agreement.blind();
                }
            }
        }
        self.heard_error(error, now);
    }

    fn heard_error(&mut self, error: Option<String>, now: Instant) {
        let (table, group) = (&*self.config.table, &*self.config.group);
        match &error {
            None => {
                if self.error.is_some() {
                    info!(table, group, "the table of gateways is reached again");
                }
                let news = !self.agreement.is_published() || self.keeper.way_out().is_some();
                let settled = self.agreement.is_settled();
                let pause = if settled { EVERY } else { EVERY_UNSETTLED };
                self.pace.succeeded(if news { Duration::ZERO } else { pause }, now);
            }
            Some(error) => {
                if self.error.is_none() {
                    warn!(
                        table,
                        group,
                        error,
                        "cannot reach the table of gateways: slots stay divided as they are, and nobody changes capacity"
                    );
                }
                self.errors += 1;
                let grown = self.pace.failures().saturating_sub(FAILURES_FREE).min(8);
                self.pace.failed(EVERY, now);
                self.pace.turn_at(now + (EVERY * 2_u32.pow(grown)).min(PAUSE_MAX));
            }
        }
        self.error = error;
    }

    fn division(&self) -> Division {
        self.agreement.division().keeping_one(self.serves)
    }
}
