use super::*;
use crate::{control::Control, fixture};

pub(super) fn fleet(upstreams: &str) -> Fleet {
    let policy =
        fixture::policy(&fixture::POLICY.replace("[\"http://127.0.0.1:9000\"]", upstreams));
    let service = &policy.services[0];
    let tasks = Arc::new(Tasks::new(Vec::new(), Queue::new()));
    Fleet::new(
        ServiceId(0),
        service.name.clone(),
        service.container.as_ref().unwrap(),
        tasks,
        Instant::now(),
    )
}

pub(super) fn found(name: &str) -> Found {
    Found {
        name: name.into(),
        address: format!("10.0.0.1:{}", 8000 + name.len()).parse().unwrap(),
        tls: None,
        unhealthy: false,
        placed: Placed::default(),
    }
}

pub(super) fn states(fleet: &Fleet) -> Vec<(&str, TaskState)> {
    fleet.members.iter().map(|member| (&*member.task.name, member.task.state())).collect()
}

#[tokio::test]
async fn a_task_comes_proves_itself_drains_and_goes_when_it_is_done() {
    let mut fleet = fleet("[\"http://a.example:1\"]");
    let now = Instant::now();
    fleet.listed(vec![found("a"), found("bb")], now);
    assert_eq!(states(&fleet), [("a", TaskState::Unproven), ("bb", TaskState::Unproven)]);
    let list = fleet.new_list().expect("two tasks came");
    assert!(fleet.new_list().is_none(), "nothing changed since");

    let probes = fleet.probes_due(now);
    assert_eq!(probes.len(), 2, "new tasks are probed at once");
    assert!(fleet.probes_due(now).is_empty(), "one probe at a time");
    fleet.probed(probes[0].key, Ok(()), now);
    let room = list.room();
    assert_eq!((room.ready, room.free), (1, 4));

    let slot = list.take(0, None).expect("a task is ready");
    fleet.listed(vec![found("bb")], now);
    assert_eq!(states(&fleet)[0], ("a", TaskState::Draining));
    assert!(fleet.new_list().is_none(), "it stays while a request runs on it");
    drop(slot);
    assert_eq!(fleet.new_list().expect("it is done").list().len(), 1);
}

#[tokio::test]
async fn a_task_that_is_listed_again_proves_itself_again() {
    let mut fleet = fleet("[\"http://a.example:1\"]");
    let now = Instant::now();
    fleet.listed(vec![found("a")], now);
    fleet.listed(vec![], now);
    assert_eq!(states(&fleet), [("a", TaskState::Draining)]);
    fleet.listed(vec![found("a")], now);
    assert_eq!(states(&fleet), [("a", TaskState::Unproven)]);
    assert_eq!(fleet.probes_due(now).len(), 1);
}

#[tokio::test]
async fn a_listing_that_fails_keeps_the_tasks_and_waits_longer_each_time() {
    let mut fleet = fleet("[\"http://a.example:1\"]");
    let now = Instant::now();
    assert!(fleet.lookup(now).is_some());
    fleet.listed(vec![found("a")], now);
    for failure in 1..=6 {
        fleet.not_listed("down", now);
        assert_eq!(
            fleet.state(),
            DiscoveryState {
                service: "film".into(),
                error: Some("down".into()),
                failures: failure
            }
        );
    }
    assert_eq!(states(&fleet), [("a", TaskState::Unproven)]);
    assert!(now + LIST_EVERY < fleet.pace.at().unwrap(), "it waits longer");
    fleet.listed(vec![found("a")], now);
    assert_eq!(fleet.state().error, None);
}

#[tokio::test]
async fn one_failed_probe_is_forgiven_and_a_worker_that_gives_up_is_believed() {
    let mut fleet = fleet("[\"http://a.example:1\"]");
    let now = Instant::now();
    fleet.listed(vec![found("a")], now);
    let key = fleet.probes_due(now)[0].key;
    fleet.probed(key, Ok(()), now);
    fleet.probed(key, Err("late".into()), now);
    assert_eq!(states(&fleet), [("a", TaskState::Ready)]);
    fleet.probed(key, Err("late".into()), now);
    assert_eq!(states(&fleet), [("a", TaskState::Unproven)]);

    fleet.probed(key, Ok(()), now);
    assert_eq!(states(&fleet), [("a", TaskState::Ready)]);
    assert!(fleet.probes_due(now + PROVE_EVERY).is_empty(), "its turn is seconds away");
    fleet.members[0].task.fail();
    assert!(fleet.probes_due(now).is_empty());
    assert_eq!(fleet.probes_due(now + PROVE_EVERY).len(), 1, "a task given up on is probed soon");
}

#[tokio::test]
async fn a_probe_that_ends_after_its_task_began_to_drain_changes_nothing() {
    let mut fleet = fleet("[\"http://a.example:1\"]");
    let now = Instant::now();
    fleet.listed(vec![found("a")], now);
    let key = fleet.probes_due(now)[0].key;
    fleet.listed(vec![], now);
    fleet.probed(key, Ok(()), now);
    assert_eq!(states(&fleet), [("a", TaskState::Draining)]);
}

#[tokio::test]
async fn addresses_are_found_without_a_name_service_and_never_looked_up_again() {
    let mut fixed = fleet("[\"http://127.0.0.1:9000\", \"https://[::1]:9001\"]");
    assert!(fixed.lookup(Instant::now()).is_none());
    let policy = fixture::policy(fixture::POLICY);
    let world = Control::first_world(&policy, 1).await.unwrap().world;
    let tasks = world.endpoints[0].tasks.as_ref().unwrap();
    assert_eq!(
        tasks.list().iter().map(|task| task.address.to_string()).collect::<Vec<_>>(),
        ["127.0.0.1:9000"]
    );
    assert_eq!(tasks.list()[0].state(), TaskState::Unproven, "nothing is proven yet");
}

#[tokio::test]
async fn a_task_that_ecs_calls_unhealthy_is_given_nothing_until_it_is_called_so_no_longer() {
    let mut fleet = fleet("[\"http://a.example:1\"]");
    let now = Instant::now();
    let ill = || Found { unhealthy: true, ..found("a") };
    fleet.listed(vec![found("a")], now);
    let key = fleet.probes_due(now)[0].key;
    fleet.probed(key, Ok(()), now);
    fleet.listed(vec![ill()], now);
    assert_eq!(states(&fleet), [("a", TaskState::Unproven)]);
    assert!(fleet.probes_due(now + PROVE_EVERY).is_empty(), "its own probe cannot bring it back");
    fleet.probed(key, Ok(()), now);
    assert_eq!(states(&fleet), [("a", TaskState::Unproven)], "nor one that was under way");
    fleet.listed(vec![found("a")], now);
    fleet.probes_due(now + PROVE_EVERY);
    fleet.probed(key, Ok(()), now);
    assert_eq!(states(&fleet), [("a", TaskState::Ready)]);

    fleet.listed(vec![found("a"), Found { unhealthy: true, ..found("bb") }], now);
    assert!(fleet.probes_due(now).is_empty(), "who comes ill is not admitted either");
}

#[tokio::test]
async fn a_task_that_is_told_to_stop_drains_at_once() {
    let mut fleet = fleet("[\"http://a.example:1\"]");
    fleet.listed(vec![found("a"), found("bb")], Instant::now());
    fleet.stop(|name| &**name == "a");
    assert_eq!(states(&fleet), [("a", TaskState::Draining), ("bb", TaskState::Unproven)]);
}
