use policies::policy::ServiceId;

use super::*;
use crate::{control::discover::first_tasks, fixture, lane::container::TaskState};

/// Two services of the cluster `prod`, the first of which is told of by a queue, and an `Aws` that nobody answers for.
struct World {
    fleets: Vec<Fleet>,
    clusters: Clusters,
    aws: Arc<Aws>,
    now: Instant,
}

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/tasks";

impl World {
    async fn new() -> Self {
        let ecs = |service: &str, more: &str| {
            format!("ecs: {{ cluster: prod, service: {service}, port: 8080{more} }}")
        };
        let text = fixture::POLICY
            .replace(
                "upstreams: [\"http://127.0.0.1:9000\"]",
                &ecs("film", &format!(", events: '{QUEUE}'")),
            )
            .replace("upstreams: [\"http://127.0.0.1:9001\"]", &ecs("report", ""));
        let policy = fixture::policy(&text);
        let now = Instant::now();
        let mut fleets = Vec::new();
        for (index, service) in policy.services.iter().enumerate() {
            let container = service.container.as_ref().unwrap();
            let tasks = first_tasks(&service.name, container).await;
            let id = ServiceId(index as u16);
            fleets.push(Fleet::new(id, service.name.clone(), container, tasks, now));
        }
        let aws = Arc::new(Aws::load(&policy).await.unwrap());
        Self { fleets, clusters: Clusters::default(), aws, now }
    }

    fn polls(&mut self, after: Duration) -> usize {
        let now = self.now + after;
        self.clusters.polls_due(self.fleets.iter(), &self.aws, now).len()
    }

    /// Takes in a poll that found these tasks of `film`, and of `report` what `report` says.
    fn polled(
        &mut self,
        film: &[&str],
        report: Result<Vec<task::Seen>, String>,
        broke_off: bool,
    ) -> Vec<Arc<str>> {
        let film = film.iter().map(|name| task::tests::seen_at(name)).collect();
        let services = [("film".into(), Ok(film)), ("report".into(), report)].into();
        let (lives, unended) = (BTreeMap::new(), None);
        let polled = Polled { cluster: "prod".into(), services, lives, unended, broke_off };
        self.clusters.polled(polled, self.fleets.iter_mut(), self.now)
    }

    fn told(&mut self, told: Result<Vec<Event>, String>, after: Duration) {
        let queue =
            Queue { url: QUEUE.into(), endpoint: "https://sqs.eu-west-1.amazonaws.com".into() };
        self.clusters.told(&queue, told, self.fleets.iter_mut(), self.now + after);
    }

    fn states(&self) -> Vec<TaskState> {
        self.fleets[0].members.iter().map(|member| member.task.state()).collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn services_of_a_cluster_share_one_poller() {
    let mut world = World::new().await;
    assert_eq!(world.polls(Duration::ZERO), 1);
    assert_eq!(world.polls(SECOND * 60), 0, "one poll at a time");
    assert!(world.polled(&["a", "b"], Ok(vec![task::tests::seen_at("c")]), false).is_empty());
    assert_eq!(world.states(), [TaskState::Unproven; 2]);
    assert_eq!(world.fleets[1].members.len(), 1);
    assert_eq!(world.polls(Duration::ZERO), 0);
    assert_eq!(world.polls(SECOND * 2), 1, "the first ones follow quickly");
}

#[tokio::test]
async fn one_service_that_cannot_be_listed_does_not_hold_up_the_others() {
    let mut world = World::new().await;
    world.polls(Duration::ZERO);
    let failed = world.polled(&["a"], Err("no such service".into()), false);
    assert_eq!(failed, ["report".into()]);
    assert_eq!(world.states(), [TaskState::Unproven]);
    assert_eq!(world.fleets[1].state().error.as_deref(), Some("no such service"));
    assert_eq!(world.polls(SECOND * 2), 1);
}

#[tokio::test]
async fn a_poll_that_broke_off_is_made_again_later_each_time_and_events_do_not_hasten_it() {
    let mut world = World::new().await;
    world.polls(Duration::ZERO);
    world.polled(&["a"], Err("throttled".into()), true);
    assert_eq!(world.polls(SECOND * 3), 0);
    let up = Event::of_test("film", "b", false);
    world.told(Ok(vec![up]), Duration::ZERO);
    assert_eq!(world.polls(SECOND * 3), 0, "throttling is no time to ask more often");
    assert_eq!(world.polls(SECOND * 7), 1);
    assert_eq!(world.states(), [TaskState::Unproven], "what was known stays");
}

#[tokio::test]
async fn an_event_drains_at_once_and_a_list_that_lags_behind_it_changes_nothing() {
    let mut world = World::new().await;
    let listens = world.clusters.queues_due(world.fleets.iter(), &world.aws, world.now);
    assert_eq!(listens.len(), 1);
    world.polls(Duration::ZERO);
    world.polled(&["a", "b"], Ok(Vec::new()), false);
    let others = Event::of_test("other", "b", true);
    world.told(Ok(vec![others, Event::of_test("film", "a", true)]), SECOND / 2);
    assert_eq!(world.states(), [TaskState::Draining, TaskState::Unproven]);
    assert_eq!(world.polls(SECOND / 2), 0, "a second between two polls");
    assert_eq!(world.polls(SECOND), 1, "sooner than it would have come");
    world.polled(&["a", "b"], Ok(Vec::new()), false);
    assert_eq!(world.states(), [TaskState::Draining, TaskState::Unproven]);
}

#[tokio::test]
async fn a_queue_that_cannot_be_read_is_left_alone_for_a_while() {
    let mut world = World::new().await;
    let due = |world: &mut World, after: Duration| {
        world.clusters.queues_due(world.fleets.iter(), &world.aws, world.now + after).len()
    };
    assert_eq!(due(&mut world, Duration::ZERO), 1);
    world.told(Err("no such queue".into()), Duration::ZERO);
    assert_eq!(due(&mut world, SECOND / 2), 0);
    assert_eq!(due(&mut world, SECOND * 2), 1);
    world.told(Ok(Vec::new()), SECOND * 20);
    assert_eq!(due(&mut world, SECOND * 20), 1, "the next long poll follows at once");
}

#[test]
fn stopped_tasks_are_remembered_within_a_limit() {
    let now = Instant::now();
    let mut cluster = Cluster::new(now);
    for n in 0..=STOPPED_MAX {
        cluster.stopped(n.to_string().into(), now + Duration::from_millis(n as u64));
    }
    assert_eq!(cluster.stopped.len(), STOPPED_MAX);
    assert!(!cluster.stopped.contains_key("0"), "the oldest is forgotten");
}
