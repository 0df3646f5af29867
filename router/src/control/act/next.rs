//! What to do next about a service's tasks: one step at a time, from what is planned and what is seen. Pure.
//!
//! A task that has requests is never stopped for being one too many: all tasks are protected from scale-in, those that
//! are to go are given nothing new, and only when they are idle is the protection taken off and the count lowered by as
//! many. A deployment is stronger: it waits for protected tasks for ever, so those of the version that goes are
//! drained as those of the next come, and released when they are idle.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use super::Names;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goal {
    /// Tasks, within the policy's bounds.
    pub(super) tasks: u32,
    /// How that is set.
    pub(super) by: By,
}

/// How the count of tasks is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// As the ECS service's desired count, which may be raised up to `most` while tasks that were taken away are replaced.
    DesiredCount {
        /// `tasks.max`.
        most: u32,
    },
    /// As the floor of Application Auto Scaling, whose own bounds these are.
    Floor {
        /// `MinCapacity` as it is.
        least: u32,
        /// `MaxCapacity`, which is never passed.
        most: u32,
    },
}

/// What ECS says of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Tasks that it is to have.
    pub(super) desired: u32,
    /// Tasks that are being started.
    pub(super) pending: u32,
    /// A deployment is under way.
    pub(super) deploying: bool,
    /// Tasks that went away of themselves of late: given notice by Spot, say.
    pub(super) taken: u32,
    /// It may stop tasks before their successors run: fewer than all must stay healthy.
    pub(super) stops_first: bool,
}

/// One running task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    /// Answers its probes.
    pub(super) ready: bool,
    /// Requests in it, of all gateways.
    pub(super) busy: u32,
    pub(super) zone: Option<Arc<str>>,
    /// Of a version that a deployment is replacing.
    pub(super) old: bool,
    /// Is given nothing new.
    pub(super) retiring: bool,
    /// Is protected from scale-in, for long enough.
    pub(super) protected: bool,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Have so many tasks.
    SetDesired { from: u32, to: u32 },
    /// Have at least so many.
    SetFloor { from: u32, to: u32 },
    /// Do not stop these.
    Protect(Names),
    /// These may be stopped.
    Release(Names),
}

/// Returns which tasks are to be given nothing new, and the next call.
pub(super) fn next(goal: Goal, seen: &Seen, members: &[Member]) -> (Names, Option<Step>) {
    let victims = victims(goal, seen, members);
    let step = count_up(goal, seen, members)
        .or_else(|| protect(members, &victims))
        .or_else(|| release(seen, members, &victims))
        .or_else(|| count_down(goal, seen, members, &victims));
    (victims, step)
}

/// More tasks are never waited for.
fn count_up(goal: Goal, seen: &Seen, members: &[Member]) -> Option<Step> {
    match goal.by {
        By::Floor { least, most } => {
            let to = goal.tasks.min(most);
            (to != least).then_some(Step::SetFloor { from: least, to })
        }
        By::DesiredCount { most } => {
            let to = (goal.tasks + lost(seen, members)).min(most.max(goal.tasks));
            (seen.desired < to).then_some(Step::SetDesired { from: seen.desired, to })
        }
    }
}

/// Returns how many tasks were taken away that ECS still counts and starts no successors for. Asked for beyond the plan,
/// those start while the notice still runs.
fn lost(seen: &Seen, members: &[Member]) -> u32 {
    let missing = seen.desired.saturating_sub(seen.pending + count(members, |_| true));
    if seen.deploying { 0 } else { missing.min(seen.taken) }
}

/// Returns the tasks that are to go: they stay the same while as many are to go.
fn victims(goal: Goal, seen: &Seen, members: &[Member]) -> Names {
    let present = count(members, |_| true);
    let wanted = match goal.by {
        By::DesiredCount { .. } => goal.tasks,
        By::Floor { .. } => seen.desired,
    };
    let (candidates, surplus): (Vec<&Member>, u32) = if seen.deploying {
        let ready = count(members, |member| member.ready);
        let old = members.iter().filter(|member| member.old).collect();
        (old, ready.saturating_sub(seen.desired.max(1)))
    } else if 0 < seen.pending || present < seen.desired {
        // Some are still to come: whether that many are needed is seen when they are there.
        (members.iter().filter(|member| member.retiring).collect(), present.saturating_sub(wanted))
    } else {
        (members.iter().collect(), present.saturating_sub(wanted))
    };
    choose(candidates, surplus)
}

/// Returns `surplus` of the candidates: first who is on the way out already; then of the zone that has most, so that no
/// zone is left alone; then who has least to do.
fn choose(mut candidates: Vec<&Member>, surplus: u32) -> Names {
    let mut in_zone: BTreeMap<Option<Arc<str>>, u32> = BTreeMap::new();
    for member in &candidates {
        *in_zone.entry(member.zone.clone()).or_default() += 1;
    }
    let mut chosen = Names::new();
    while (chosen.len() as u32) < surplus && !candidates.is_empty() {
        let order = |member: &&Member| {
            let crowd = in_zone.get(&member.zone).copied().unwrap_or_default();
            (!member.retiring, member.ready, Reverse(crowd), member.busy, member.name.clone())
        };
        let at = (0..candidates.len()).min_by_key(|at| order(&candidates[*at])).unwrap_or_default();
        let member = candidates.swap_remove(at);
        in_zone.entry(member.zone.clone()).and_modify(|crowd| *crowd -= 1);
        chosen.insert(member.name.clone());
    }
    chosen
}

/// Whoever stays is protected first.
fn protect(members: &[Member], victims: &Names) -> Option<Step> {
    let bare = |member: &&Member| {
        member.ready && !member.protected && !member.old && !victims.contains(&member.name)
    };
    some(members.iter().filter(bare)).map(Step::Protect)
}

/// Whoever goes and has nothing to do any more may be stopped.
fn release(seen: &Seen, members: &[Member], victims: &Names) -> Option<Step> {
    let done = |member: &&Member| {
        let goes = victims.contains(&member.name) && member.retiring || member.old;
        member.protected && goes && (member.busy == 0 || member.old && seen.stops_first)
    };
    some(members.iter().filter(done)).map(Step::Release)
}

/// Lowers the count by those who are done.
fn count_down(goal: Goal, seen: &Seen, members: &[Member], victims: &Names) -> Option<Step> {
    if seen.deploying || !matches!(goal.by, By::DesiredCount { .. }) {
        return None;
    }
    let done = count(members, |member| {
        victims.contains(&member.name) && member.retiring && member.busy == 0 && !member.protected
    });
    let gone_already = count(members, |_| true).saturating_sub(seen.desired);
    let to = seen.desired.saturating_sub(done.saturating_sub(gone_already)).max(goal.tasks);
    (to < seen.desired).then_some(Step::SetDesired { from: seen.desired, to })
}

fn some<'a>(members: impl Iterator<Item = &'a Member>) -> Option<Names> {
    let names: Names = members.map(|member| member.name.clone()).collect();
    (!names.is_empty()).then_some(names)
}

fn count(members: &[Member], of: impl Fn(&Member) -> bool) -> u32 {
    members.iter().filter(|member| of(member)).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Names {
        names.iter().map(|name| (*name).into()).collect()
    }

    fn goal(tasks: u32) -> Goal {
        Goal { tasks, by: By::DesiredCount { most: 40 } }
    }

    fn seen(desired: u32) -> Seen {
        Seen { desired, pending: 0, deploying: false, taken: 0, stops_first: false }
    }

    /// A ready, protected task called `name`, in the zone that its first letter names.
    fn member(name: &str, busy: u32) -> Member {
        let zone = Some(name[..1].into());
        Member { name: name.into(), ready: true, busy, zone, protected: true, ..Member::default() }
    }

    fn retiring(name: &str, busy: u32) -> Member {
        Member { retiring: true, ..member(name, busy) }
    }

    #[test]
    fn more_are_asked_for_at_once() {
        let (victims, step) = next(goal(5), &seen(2), &[member("a1", 4)]);
        assert_eq!((victims.len(), step), (0, Some(Step::SetDesired { from: 2, to: 5 })));
    }

    #[test]
    fn scale_in_drains_then_releases_then_lowers_the_count() {
        let three = [member("a1", 3), member("a2", 1), member("b1", 0)];
        let (victims, step) = next(goal(2), &seen(3), &three);
        assert_eq!((victims, step), (names(&["a2"]), None), "of the fuller zone, the less busy");
        let busy = [member("a1", 3), retiring("a2", 1), member("b1", 0)];
        assert_eq!(next(goal(2), &seen(3), &busy), (names(&["a2"]), None), "it has a request");
        let idle = [member("a1", 3), retiring("a2", 0), member("b1", 0)];
        let release = Some(Step::Release(names(&["a2"])));
        assert_eq!(next(goal(2), &seen(3), &idle), (names(&["a2"]), release));
        let open = Member { protected: false, ..retiring("a2", 0) };
        let open = [member("a1", 3), open, member("b1", 0)];
        let lower = Some(Step::SetDesired { from: 3, to: 2 });
        assert_eq!(next(goal(2), &seen(3), &open), (names(&["a2"]), lower));
        // ECS has been told and has not stopped it yet: it stays on its way out, and nothing is done twice.
        assert_eq!(next(goal(2), &seen(2), &open), (names(&["a2"]), None));
        assert_eq!(next(goal(2), &seen(2), &[member("a1", 3), member("b1", 0)]).1, None);
    }

    #[test]
    fn a_plan_that_rises_again_takes_back_who_was_on_the_way_out() {
        let two = [member("a1", 3), retiring("a2", 1)];
        assert_eq!(next(goal(2), &seen(2), &two), (names(&[]), None));
    }

    #[test]
    fn whoever_stays_is_protected_before_anyone_goes() {
        let new = Member { protected: false, ..member("b1", 0) };
        let step = next(goal(1), &seen(2), &[retiring("a1", 0), new]).1;
        assert_eq!(step, Some(Step::Protect(names(&["b1"]))));
    }

    #[test]
    fn nobody_goes_while_some_are_still_to_come() {
        let starting = Seen { pending: 2, ..seen(4) };
        assert_eq!(
            next(goal(3), &starting, &[member("a1", 0), member("a2", 0)]),
            (names(&[]), None)
        );
    }

    #[test]
    fn what_was_taken_away_is_replaced_while_it_still_counts() {
        // Three are desired, one of them has been given notice and is listed no longer.
        let two = [member("a1", 1), member("b1", 1)];
        let taken = Seen { taken: 1, ..seen(3) };
        assert_eq!(next(goal(3), &taken, &two).1, Some(Step::SetDesired { from: 3, to: 4 }));
        let replacing = Seen { pending: 1, ..taken.clone() };
        assert_eq!(next(goal(3), &replacing, &two).1, None, "ECS does it itself");
        assert_eq!(next(goal(3), &seen(3), &two).1, None, "it may merely not be listed yet");
        let capped = Goal { tasks: 3, by: By::DesiredCount { most: 3 } };
        assert_eq!(next(capped, &taken, &two).1, None, "never above tasks.max");
    }

    #[test]
    fn a_deployment_gets_the_old_ones_as_new_ones_come() {
        let deploying = Seen { deploying: true, ..seen(2) };
        let old = |name, busy| Member { old: true, ..member(name, busy) };
        let both_old = [old("a1", 2), old("b1", 1)];
        assert_eq!(next(goal(2), &deploying, &both_old), (names(&[]), None));
        let one_new = [old("a1", 2), old("b1", 1), member("c1", 0)];
        assert_eq!(next(goal(2), &deploying, &one_new).0, names(&["b1"]));
        let idle = [old("a1", 2), Member { retiring: true, ..old("b1", 0) }, member("c1", 0)];
        assert_eq!(next(goal(2), &deploying, &idle).1, Some(Step::Release(names(&["b1"]))));
        let stops_first = Seen { stops_first: true, ..deploying };
        let release = Some(Step::Release(names(&["a1", "b1"])));
        assert_eq!(
            next(goal(2), &stops_first, &both_old).1,
            release,
            "else it would wait for ever"
        );
    }

    #[test]
    fn the_floor_follows_the_plan_up_to_what_auto_scaling_allows() {
        let floor = |tasks, least| Goal { tasks, by: By::Floor { least, most: 6 } };
        let tasks = [member("a1", 0), member("b1", 0)];
        let up = Some(Step::SetFloor { from: 1, to: 6 });
        assert_eq!(next(floor(9, 1), &seen(2), &tasks).1, up);
        assert_eq!(next(floor(9, 6), &seen(2), &tasks).1, None, "asked for once");
        let down = Some(Step::SetFloor { from: 6, to: 1 });
        assert_eq!(next(floor(1, 6), &seen(2), &tasks).1, down);
        // Auto Scaling wants one less, and cannot stop what is protected.
        let (victims, step) = next(floor(1, 1), &seen(1), &tasks);
        assert_eq!((victims, step), (names(&["a1"]), None));
        let (_, step) = next(floor(1, 1), &seen(1), &[retiring("a1", 0), member("b1", 0)]);
        assert_eq!(step, Some(Step::Release(names(&["a1"]))));
    }
}
