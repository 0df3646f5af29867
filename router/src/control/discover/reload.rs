//! A service's tasks when another policy takes over.

use std::{sync::Arc, time::Duration};

use policies::policy::{Container, ServiceId};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Aws, Fleet, Member, PROVE_EVERY, TaskState, Tasks, ecs::LIST_EARLY};

/// How long a new policy waits for the tasks of a service that is new to it, or found elsewhere: what runs already answers
/// its first probe within a second; what does not run at all must not keep the rest of the policy from taking over.
const WARM_MAX: Duration = Duration::from_secs(5);

impl Fleet {
    /// Returns the list of its tasks.
    pub(crate) fn tasks(&mut self) -> Arc<Tasks> {
        self.new_list().unwrap_or_else(|| self.tasks.clone())
    }

    /// Lists and probes until a task is ready, there is none, or the time is up.
    pub(crate) async fn warm(mut self, aws: Option<&Arc<Aws>>) -> Self {
        let end = Instant::now() + WARM_MAX;
        while Instant::now() < end {
            if let Some(listing) = self.listing(Instant::now(), aws) {
                match listing.await {
                    Ok(found) => self.listed(found, Instant::now()),
                    Err(error) => self.not_listed(&error, Instant::now()),
                }
            }
            let mut probes = JoinSet::new();
            for probe in self.probes_due(Instant::now()) {
                probes.spawn(async move { (probe.key, probe.run().await) });
            }
            for (key, result) in probes.join_all().await {
                self.probed(key, result, Instant::now());
            }
            let ready = self.members.iter().any(|member| member.task.state() == TaskState::Ready);
            if ready || (self.members.is_empty() && self.error.is_none()) {
                break;
            }
            sleep(PROVE_EVERY).await;
        }
        self
    }

    /// Goes on for the service `id` of another policy, which finds its tasks as before.
    pub(crate) fn keep(&mut self, id: ServiceId, container: &Container) {
        self.service = id;
        self.container = container.clone();
        self.share();
    }

    /// Takes the place of `old`, whose tasks are found elsewhere. A task that both know stays as it is; the others of `old`
    /// go on until the next listing does not show them, so that workers that have not heard yet are not left without.
    pub(crate) fn succeed(&mut self, old: Self, now: Instant) {
        self.queue = old.queue;
        self.division = old.division;
        self.changed = true;
        self.pace.turn_at(now + LIST_EARLY);
        for member in old.members {
            let same = |new: &&mut Member| {
                new.task.address == member.task.address
                    && new.task.name == member.task.name
                    && new.task.tls == member.task.tls
            };
            match self.members.iter_mut().find(same) {
                Some(new) => *new = member.again(now),
                None => self.members.push(member.again(now)),
            }
        }
        self.share();
    }
}

#[cfg(test)]
mod tests {
    use policies::policy::Discovery;

    use super::{
        super::tests::{fleet, found, states},
        *,
    };

    #[tokio::test]
    async fn tasks_that_both_know_stay_and_the_others_go_when_the_next_listing_leaves_them_out() {
        let now = Instant::now();
        let mut old = fleet("[\"http://a.example:1\"]");
        old.listed(vec![found("a"), found("bb")], now);
        for probe in old.probes_due(now) {
            old.probed(probe.key, Ok(()), now);
        }
        let slot = old.tasks().take(0, None).expect("both are ready");
        let kept = old.members[1].task.key;

        // An address: nothing is ever looked up again, but this once.
        let mut new = fleet("[\"http://127.0.0.1:1\"]");
        new.listed(vec![found("bb"), found("ccc")], now);
        new.container.requests_per_task = 7;
        new.succeed(old, now);
        let list = new.tasks();
        let is = [("bb", TaskState::Ready), ("ccc", TaskState::Unproven), ("a", TaskState::Ready)];
        assert_eq!(states(&new), is);
        assert_eq!((list.list()[0].key, list.list()[2].slots()), (kept, 7));

        assert!(new.pace.at().is_some_and(|at| at <= now + LIST_EARLY));
        new.listed(vec![found("bb"), found("ccc")], now);
        assert_eq!(states(&new)[2], ("a", TaskState::Draining));
        drop(slot);
        assert_eq!(new.tasks().list().len(), 2);
    }

    #[tokio::test]
    async fn a_service_without_tasks_and_one_that_cannot_be_listed_do_not_hold_up_a_policy() {
        let mut empty = fleet("[\"http://127.0.0.1:1\"]");
        empty.container.discovery = Discovery::Upstreams([].into());
        let started = Instant::now();
        assert!(empty.warm(None).await.members.is_empty());
        assert!(started.elapsed() < WARM_MAX);
    }
}
