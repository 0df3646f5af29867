//! Acting on one service: what is known of it, which call is due, and what came of it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use policies::policy::{ScaleBy, TaskLimits};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Acted, Allowed, Call, Circumstances, Deed, Names, Target, Wish,
    call::{self, PROTECTED_MINUTES, Told},
    next::{By, Goal, Member, Seen, Step, next},
};
use crate::{
    control::{
        discover::{Fleet, Placed},
        pace::Pace,
    },
    lane::container::{Task, TaskState},
    telemetry::access_log::rfc3339,
};

/// Time between two readings of a service about which nothing is to be done.
const READ_EVERY: Duration = Duration::from_secs(30);

/// Time between two readings of a service that cannot be acted on: somebody mends it.
const TROUBLE_EVERY: Duration = Duration::from_secs(10);

/// How old what was read may be when something is done about it.
const FRESH: Duration = Duration::from_secs(5);

/// Shortest pause between two calls for a service.
const CALL_EVERY: Duration = Duration::from_millis(500);

/// First pause after a call that failed.
const RETRY: Duration = Duration::from_secs(2);

/// How far ahead the schedule lies that lowers the count when Pacer is gone. Long enough for a gateway to be replaced.
const FALLBACK_AFTER: Duration = Duration::from_mins(15);

/// How often it is pushed forward.
const FALLBACK_EVERY: Duration = Duration::from_mins(5);

/// After how long every gateway knows which tasks are to go, and has told what it still has in them: two beats each.
const HEARD_AFTER: Duration = Duration::from_secs(8);

/// For how long a task that went away of itself is counted: the notice that Spot gives, and ECS's time to see it.
const TAKEN_FOR: Duration = Duration::from_mins(3);

/// How long ECS is given to replace by itself what went away.
const TAKEN_AFTER: Duration = Duration::from_secs(5);

/// One service that is acted on.
#[derive(Debug)]
pub(super) struct Acting {
    name: Arc<str>,
    target: Target,
    pace: Pace,
    fallback: Pace,
    told: Option<(Told, Instant)>,
    /// Until when tasks are protected.
    protected: BTreeMap<Arc<str>, Instant>,
    /// Tasks that are to go, and since when.
    retiring: BTreeMap<Arc<str>, Instant>,
    /// Tasks as listed last, and those that went away of themselves since.
    present: Names,
    taken: BTreeMap<Arc<str>, Instant>,
    /// What the last call was made for.
    why: String,
    /// Why the last call failed.
    trouble: Option<String>,
    /// Why the service cannot be acted on as it is set up.
    unfit: Option<String>,
}

/// What a call did.
#[derive(Debug)]
pub(super) enum Done {
    Read(Result<Told, String>),
    Took(Step, Result<(), String>),
    Pushed(u32, SystemTime, Result<(), String>),
}

impl Acting {
    pub(super) fn new(name: Arc<str>, target: Target, now: Instant) -> Self {
        Self {
            name,
            target,
            pace: Pace::new(true, now),
            fallback: Pace::new(true, now),
            told: None,
            protected: BTreeMap::new(),
            retiring: BTreeMap::new(),
            present: Names::new(),
            taken: BTreeMap::new(),
            why: String::new(),
            trouble: None,
            unfit: None,
        }
    }

    pub(super) fn retiring(&self) -> impl Iterator<Item = &Arc<str>> {
        self.retiring.keys()
    }

    /// Returns why its tasks are left as they are; `None` when nothing is in the way.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.unfit.as_deref().or(self.trouble.as_deref())
    }

    /// Returns how many tasks ECS is to have, as read or set last.
    pub(super) fn asked(&self) -> Option<u32> {
        self.told.as_ref().map(|(told, _)| told.desired)
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the call that is due, if one is.
    pub(super) fn due(
        &mut self,
        Wish { tasks, why, may_take_back }: Wish,
        limits: &TaskLimits,
        fleet: &mut Fleet,
        circumstances: &Circumstances<'_>,
    ) -> Option<Call> {
        let &Circumstances { allowed, now, .. } = circumstances;
        self.follow(fleet, now);
        // Schedules have their own pace: one that cannot be made must not keep tasks from coming.
        if self.told.is_some()
            && let Some(fallback) = limits.fallback
            && self.fallback.is_due(now)
        {
            return Some(self.push(fallback, circumstances));
        }
        let Some((told, read)) = self.told.clone() else { return self.read(allowed, now) };
        let by = match by(&self.target, &told, limits.max) {
            Ok(by) => {
                if self.unfit.take().is_some() {
                    info!(service = %self.name, "it can be acted on");
                }
                by
            }
            Err(why) => {
                if self.unfit.as_ref() != Some(&why) {
                    warn!(service = %self.name, "it is not acted on: {why}");
                    self.unfit = Some(why);
                }
                let look_again = TROUBLE_EVERY <= now.duration_since(read);
                return if look_again { self.read(allowed, now) } else { None };
            }
        };
        // Of the floor, what is there already is what Auto Scaling may not go below.
        let there = match by {
            By::DesiredCount { .. } => told.desired,
            By::Floor { least, .. } => least,
        };
        let frozen = allowed.brake.is_on();
        let kept = |tasks: u32| match may_take_back {
            _ if frozen => there,
            true => tasks,
            false => tasks.max(there.min(limits.max)),
        };
        let seen = self.seen(&told, now);
        let members = self.members(&told, fleet, circumstances);
        let (mut victims, mut step) = next(Goal { tasks: kept(tasks), by }, &seen, &members);
        if frozen {
            // Who was on the way out serves again; a deployment is the operator's own, and its old tasks go on draining.
            victims = if seen.deploying { victims } else { Names::new() };
            step = step.filter(|step| matches!(step, Step::Protect(_)));
        }
        fleet.retire(&victims);
        self.retiring.retain(|name, _| victims.contains(name));
        for name in victims {
            self.retiring.entry(name).or_insert(now);
        }
        let Some(step) = step else {
            self.pace.hasten(read + READ_EVERY);
            return if READ_EVERY <= now.duration_since(read) {
                self.read(allowed, now)
            } else {
                None
            };
        };
        if FRESH < now.duration_since(read) {
            return self.read(allowed, now);
        }
        if !self.pace.is_due(now) {
            return None;
        }
        self.why = why;
        let (allowed, target, name) = (allowed.clone(), self.target.clone(), self.name.clone());
        Some(Box::pin(async move {
            let result =
                Box::pin(allowed.while_leading(call::take(&allowed, &target, &step))).await;
            Acted { service: name, done: Done::Took(step, result) }
        }))
    }

    fn read(&mut self, allowed: &Allowed, now: Instant) -> Option<Call> {
        if !self.pace.is_due(now) {
            return None;
        }
        let (allowed, target, name) = (allowed.clone(), self.target.clone(), self.name.clone());
        Some(Box::pin(async move {
            let result = call::read(&allowed.aws, &target).await;
            Acted { service: name, done: Done::Read(result) }
        }))
    }

    fn push(&self, tasks: u32, &Circumstances { allowed, scale, .. }: &Circumstances<'_>) -> Call {
        // A faster cloud takes what is ahead for as much nearer; this gateway's own pace is real.
        let at = SystemTime::now() + FALLBACK_AFTER.mul_f64(scale);
        let (allowed, target, name) = (allowed.clone(), self.target.clone(), self.name.clone());
        Box::pin(async move {
            let text = rfc3339(at);
            // Both schedulers want it without fractions and zone.
            let text = text.get(..19).unwrap_or(&text);
            let push = call::push_fallback(&allowed, &target, tasks, text);
            let result = Box::pin(allowed.while_leading(push)).await;
            Acted { service: name, done: Done::Pushed(tasks, at, result) }
        })
    }

    /// Notes which tasks went away of themselves.
    fn follow(&mut self, fleet: &Fleet, now: Instant) {
        let present: Names = fleet.present_names();
        for name in self.present.difference(&present) {
            let released = !self.protected.contains_key(name);
            if !released && !self.retiring.contains_key(name) {
                self.taken.insert(name.clone(), now);
            }
        }
        self.taken.retain(|_, since| now.duration_since(*since) < TAKEN_FOR);
        self.protected.retain(|name, until| present.contains(name) && now < *until);
        self.present = present;
    }

    fn seen(&self, told: &Told, now: Instant) -> Seen {
        let taken = self.taken.values().filter(|since| TAKEN_AFTER <= now.duration_since(**since));
        Seen {
            desired: told.desired,
            pending: told.pending,
            deploying: told.deploying,
            taken: taken.count() as u32,
            stops_first: told.stops_first,
        }
    }

    fn members(
        &self,
        told: &Told,
        fleet: &Fleet,
        &Circumstances { busy, live, now, .. }: &Circumstances<'_>,
    ) -> Vec<Member> {
        let renew = Duration::from_mins(u64::from(PROTECTED_MINUTES) / 2);
        let member = |(task, placed): (&Task, &Placed)| {
            let name = task.name.clone();
            let since = self.retiring.get(&name);
            let retiring = since.is_some();
            // What others have in it counts once they know that it is to go, and have told.
            let unheard =
                1 < live && since.is_some_and(|since| now.duration_since(*since) < HEARD_AFTER);
            let others = busy.get(&name).copied().unwrap_or_default();
            let protected = self.protected.get(&name);
            Member {
                ready: retiring || task.state() == TaskState::Ready,
                busy: task.busy() + others + u32::from(unheard),
                zone: placed.zone.clone(),
                old: told.deploying && placed.definition != told.definition,
                // Whoever goes keeps the protection that it has; whoever stays has it renewed at half its time.
                protected: protected.is_some_and(|until| retiring || now + renew < *until),
                retiring,
                name,
            }
        };
        fleet.present().map(member).collect()
    }

    /// Takes in what came of a call.
    pub(super) fn heard(&mut self, done: Done, now: Instant, clock: SystemTime) -> Option<Deed> {
        match done {
            Done::Read(Ok(told)) => {
                self.pace.succeeded(CALL_EVERY, now);
                if self.told.is_none() && self.trouble.take().is_some() {
                    info!(service = %self.name, "it is acted on again");
                }
                self.told = Some((told, now));
                None
            }
            Done::Read(Err(error)) => {
                self.pace.failed(RETRY, now);
                self.told = None;
                let told = self.tell(error.clone());
                told.then(|| self.deed("read", "read it".to_owned(), Some(error), clock))
            }
            Done::Took(step, Ok(())) => {
                self.pace.succeeded(CALL_EVERY, now);
                self.trouble = None;
                if let Some((_, read)) = &mut self.told {
                    // What was read is not true any more.
                    *read = now.checked_sub(FRESH + FRESH).unwrap_or(now);
                }
                let deed = self
                    .took(&step, now)
                    .then(|| self.deed(kind(&step), words(&step), None, clock));
                if let Some(deed) = &deed {
                    info!(service = %self.name, why = deed.why, "{}", deed.what);
                }
                deed
            }
            Done::Took(step, Err(error)) => {
                self.pace.failed(RETRY, now);
                self.tell(error.clone());
                Some(self.deed(kind(&step), words(&step), Some(error), clock))
            }
            Done::Pushed(tasks, at, result) => {
                let what = format!("fall back to {} at {}", counted(tasks), rfc3339(at));
                match result {
                    Ok(()) => {
                        let first = self.fallback.turns() == 0;
                        self.fallback.succeeded(FALLBACK_EVERY, now);
                        first
                            .then(|| self.deed("fallback", what, None, clock))
                            .map(for_want_of_pacer)
                    }
                    Err(error) => {
                        self.fallback.failed(RETRY, now);
                        self.tell(error.clone());
                        Some(for_want_of_pacer(self.deed("fallback", what, Some(error), clock)))
                    }
                }
            }
        }
    }

    /// Notes what a step did; returns whether it is worth telling.
    fn took(&mut self, step: &Step, now: Instant) -> bool {
        match step {
            Step::Protect(names) => {
                let until = now + Duration::from_mins(PROTECTED_MINUTES.into());
                let renewed = names.iter().all(|name| self.protected.contains_key(name));
                self.protected.extend(names.iter().map(|name| (name.clone(), until)));
                !renewed
            }
            Step::Release(names) => {
                self.protected.retain(|name, _| !names.contains(name));
                true
            }
            Step::SetDesired { to, .. } => {
                self.taken.clear();
                if let Some((told, _)) = &mut self.told {
                    told.desired = *to;
                }
                true
            }
            Step::SetFloor { .. } => true,
        }
    }

    /// Says why nothing is done, once; returns whether it was news.
    fn tell(&mut self, trouble: String) -> bool {
        if self.trouble.as_ref() == Some(&trouble) {
            return false;
        }
        warn!(service = %self.name, error = trouble, "its tasks are left as they are");
        self.trouble = Some(trouble);
        true
    }

    fn deed(
        &self,
        kind: &'static str,
        what: String,
        error: Option<String>,
        at: SystemTime,
    ) -> Deed {
        Deed { at, service: self.name.clone(), kind, what, why: self.why.clone(), error }
    }
}

/// Tells how the count of a service is set, of up to `most` tasks.
///
/// # Errors
/// When somebody else sets it, or nobody can: why, and what to do.
pub(super) fn by(target: &Target, told: &Told, most: u32) -> Result<By, String> {
    let Target { cluster, service, .. } = target;
    match (target.by, told.bounds) {
        (ScaleBy::DesiredCount, None) => Ok(By::DesiredCount { most }),
        (ScaleBy::AutoscalingFloor, Some((least, most))) => Ok(By::Floor { least, most }),
        (ScaleBy::DesiredCount, Some((least, most))) => Err(format!(
            "service `{service}` in cluster `{cluster}` is scaled by Application Auto Scaling ({least} to {most} tasks): \
             two would fight over its count; write `scale_by: autoscaling-floor`, or deregister its scalable target"
        )),
        (ScaleBy::AutoscalingFloor, None) => Err(format!(
            "Application Auto Scaling has no scalable target for service `{service}` in cluster `{cluster}`: register \
             one, or write `scale_by: desired-count`"
        )),
    }
}

fn for_want_of_pacer(deed: Deed) -> Deed {
    Deed { why: "pushed forward every five minutes, for when no gateway does".to_owned(), ..deed }
}

fn kind(step: &Step) -> &'static str {
    match step {
        Step::SetDesired { from, to } | Step::SetFloor { from, to } if to < from => "scale-in",
        Step::SetDesired { .. } | Step::SetFloor { .. } => "scale-out",
        Step::Protect(_) => "protect",
        Step::Release(_) => "release",
    }
}

fn words(step: &Step) -> String {
    let list = |names: &Names| names.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
    match step {
        Step::SetDesired { from, to } => format!("tasks {from} -> {to}"),
        Step::SetFloor { from, to } => format!("auto scaling's floor {from} -> {to}"),
        Step::Protect(names) => format!("protect {} from scale-in", list(names)),
        Step::Release(names) => format!("let go {}", list(names)),
    }
}

fn counted(tasks: u32) -> String {
    if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") }
}
