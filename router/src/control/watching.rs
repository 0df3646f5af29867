//! The control loop's own part in the radar: when it looks, and what at.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    Control, Report,
    act::dry_check,
    radar::{Around, Radar},
};

/// Time between two judgements of what changes fast.
const JUDGE_EVERY: Duration = Duration::from_secs(1);

/// Time between two readings of what would be acted on in a service that only observes. Two calls a service.
const CHECK_EVERY: Duration = Duration::from_mins(5);

/// How long after the start it is read first: discovery goes before.
const CHECK_AFTER: Duration = Duration::from_secs(5);

/// The radar, and what it waits for.
#[derive(Debug)]
pub(super) struct Watch {
    radar: Radar,
    judged: Instant,
    check_at: Instant,
    checks: BTreeMap<Arc<str>, Result<(), String>>,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            radar: Radar::default(),
            judged: now,
            check_at: now + CHECK_AFTER,
            checks: BTreeMap::new(),
        }
    }

    /// Takes in whether a service could be acted on.
    pub(super) fn checked(&mut self, service: Arc<str>, check: Result<(), String>) {
        self.checks.insert(service, check);
    }
}

impl Control {
    /// Looks for trouble ahead: at what changes fast with every tick, which is judged once a second.
    pub(super) fn watch(&mut self, now: Instant, clock: SystemTime) {
        let shown_s = self.capacity.clock().shows(clock).as_secs_f64();
        self.watch.radar.sample(&self.world, shown_s);
        self.check(now);
        if JUDGE_EVERY <= now.duration_since(self.watch.judged) {
            self.judge(now, clock, false);
        }
    }

    /// Judges what is known: all of it after a plan, else what changes fast.
    pub(super) fn judge(&mut self, now: Instant, clock: SystemTime, planned: bool) {
        self.watch.judged = now;
        let group = self.gateways.group();
        let health = self.history.health();
        let functions = self.shared.stats().functions();
        let fleets = self.fleets.values();
        let around = Around {
            world: &self.world,
            capacity: &self.capacity,
            fleets: fleets.map(|fleet| (&**fleet.name(), fleet)).collect(),
            functions: &functions,
            actuators: &self.actuators,
            checks: &self.watch.checks,
            leads: self.gateways.lease().holds(now, clock),
            frozen: self.shared.frozen().is_some(),
            live: group.live,
            not_kept: health.error.as_deref(),
            shown_s: self.capacity.clock().shows(clock).as_secs_f64(),
            now,
        };
        if planned {
            self.watch.radar.plan(&around, &self.shared.series());
        } else {
            self.watch.radar.second(&around);
        }
        self.shared.tell_radar(self.watch.radar.state());
    }

    /// Starts reading what would be acted on in services that only observe.
    fn check(&mut self, now: Instant) {
        let Some(aws) = self.aws.as_ref().filter(|_| self.watch.check_at <= now) else { return };
        self.watch.check_at = now + CHECK_EVERY;
        let services = &self.policy.services;
        self.watch.checks.retain(|name, _| services.iter().any(|service| service.name == *name));
        for service in services {
            if let Some(check) = dry_check(service, aws.clone()) {
                let name = service.name.clone();
                self.jobs.spawn(async move { Report::Checked(name, check.await) });
            }
        }
    }
}
