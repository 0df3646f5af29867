//! A service's slots when several gateways divide them.

use std::sync::Arc;

use super::{Fleet, Member, TaskState};
use crate::control::gateways::Division;

impl Fleet {
    /// Divides the slots of its tasks among gateways: this one uses what `division` leaves it.
    pub(crate) fn divide(&mut self, division: &Division) {
        self.division = division.clone();
        self.share();
    }

    /// Gives each task the slots that this gateway may use of it.
    pub(super) fn share(&self) {
        let all = self.container.requests_per_task;
        let share = |member: &Member| self.division.slots(&member.task.name, all);
        let has_some = self.members.iter().any(|member| 0 < share(member));
        let kept = if has_some { None } else { self.kept() };
        for member in &self.members {
            let is_kept = kept == Some(member.task.key);
            member.task.set_slots(if is_kept { 1 } else { share(member) });
        }
        self.tasks.wake();
    }

    /// Returns the task of which one slot is kept when there would be none of the whole service: a ready one, if there is
    /// any.
    fn kept(&self) -> Option<u64> {
        let of = |state: TaskState| -> Vec<u64> {
            let tasks = self.members.iter().map(|member| &member.task);
            tasks.filter(|task| task.state() == state).map(|task| task.key).collect()
        };
        let ready = of(TaskState::Ready);
        let some = if ready.is_empty() { of(TaskState::Unproven) } else { ready };
        Some(some[self.division.kept(some.len())?])
    }

    /// Returns its tasks with slots that are taken, and how many.
    pub(crate) fn busy(&self) -> impl Iterator<Item = (Arc<str>, u32)> {
        let busy = self.members.iter().map(|member| (member.task.name.clone(), member.task.busy()));
        busy.filter(|(_, busy)| 0 < *busy)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{
        super::tests::{fleet, found},
        *,
    };

    /// A service of three tasks of four slots, of which the first two are ready, as the gateway in a place sees it.
    fn service(rank: u32, of: u32) -> Fleet {
        let now = Instant::now();
        let mut fleet = fleet("[\"http://a.example:1\"]");
        fleet.listed(vec![found("a"), found("bb"), found("ccc")], now);
        for probe in fleet.probes_due(now).iter().take(2) {
            fleet.probed(probe.key, Ok(()), now);
        }
        fleet.divide(&Division::of(rank, of));
        fleet
    }

    fn slots(fleet: &Fleet) -> Vec<u32> {
        fleet.members.iter().map(|member| member.task.slots()).collect()
    }

    #[test]
    fn a_tasks_slots_are_divided_also_when_it_comes_later_or_the_policy_changes() {
        let both = [service(0, 2), service(1, 2)];
        assert_eq!(both.each_ref().map(slots), [[2, 2, 2], [2, 2, 2]]);
        let three = [service(0, 3), service(1, 3), service(2, 3)];
        for task in 0..3 {
            assert_eq!(three.iter().map(|fleet| slots(fleet)[task]).sum::<u32>(), 4);
        }
        let mut fleet = service(0, 2);
        let all = ["a", "bb", "ccc", "dddd"].map(found);
        fleet.listed(all.to_vec(), Instant::now());
        assert_eq!(slots(&fleet), [2, 2, 2, 2]);
        let mut container = fleet.container.clone();
        container.requests_per_task = 10;
        fleet.keep(fleet.service(), &container);
        assert_eq!(slots(&fleet), [5, 5, 5, 5]);
        fleet.divide(&Division::whole());
        assert_eq!(slots(&fleet), [10, 10, 10, 10]);
    }

    #[test]
    fn a_gateway_that_would_have_nothing_of_a_service_keeps_one_slot_of_a_ready_task() {
        let mut without = 0;
        for rank in 0..40 {
            let mut fleet = service(rank, 40);
            let slots = slots(&fleet);
            assert!((1..=3).contains(&slots.iter().sum::<u32>()), "{slots:?}");
            if (0..3).all(|task| Division::of(rank, 40).slots(["a", "bb", "ccc"][task], 4) == 0) {
                without += 1;
                assert_eq!(slots[2], 0, "it is not ready");
                // Another becomes ready, and this one fails: the slot follows.
                fleet.members[0].task.fail();
                fleet.new_list();
                assert_eq!(fleet.members[1].task.slots(), 1);
            }
        }
        assert!(28 <= without, "four slots each for at most twelve of forty");
    }

    #[test]
    fn what_runs_beyond_a_smaller_share_is_finished_and_told_as_busy() {
        let mut fleet = service(0, 2);
        fleet.divide(&Division::whole());
        let tasks = fleet.tasks();
        let held: Vec<_> =
            (0..8).map(|draw| tasks.take(draw, None).expect("two are ready")).collect();
        fleet.divide(&Division::of(0, 2));
        assert_eq!(
            fleet.busy().map(|(name, busy)| (name.len(), busy)).collect::<Vec<_>>(),
            [(1, 4), (2, 4)]
        );
        assert!(tasks.take(0, None).is_none());
        let mut held = held.into_iter();
        drop(held.by_ref().take(4).collect::<Vec<_>>());
        drop(held.next());
        assert!(tasks.take(0, None).is_some(), "three are left, and four may be");
    }
}
