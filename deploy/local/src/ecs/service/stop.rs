//! Which tasks a service stops first when it has too many, and why it says it does.

use std::sync::Arc;

use tokio::time::Instant;

use super::{ServiceState, groups::Groups};
use crate::{
    config::{CapacityProvider, Provider},
    ecs::{
        deployment::Step,
        strategy,
        task::{Status, Task},
    },
};

/// Stop code of a task that its service no longer wants.
const SCHEDULER: &str = "ServiceSchedulerInitiated";

/// Stops what the step says, but for what is protected. Returns what it stopped.
pub(super) fn stop(
    groups: &Groups,
    step: Step,
    state: &ServiceState,
    now: Instant,
) -> Vec<Arc<Task>> {
    let newest = &state.deployments[0];
    let spared = |task: &&Arc<Task>| task.protected_until(now).is_none();
    let unprotected =
        |tasks: &[Arc<Task>]| tasks.iter().filter(spared).cloned().collect::<Vec<_>>();
    let scaled_in = victims(&unprotected(&groups.current), step.surplus, &newest.strategy);
    for task in &scaled_in {
        let reason = format!("Scaling activity initiated by (deployment {})", newest.id);
        task.stop(SCHEDULER, &reason);
    }
    let retired = victims(&unprotected(&groups.old_healthy), step.retire, &[]);
    let retired: Vec<_> = unprotected(&groups.old_pending).into_iter().chain(retired).collect();
    for task in &retired {
        let by = task.origin.deployment.as_deref().unwrap_or_default();
        task.stop(SCHEDULER, &format!("Scaling activity initiated by (deployment {by})"));
    }
    let ill: Vec<_> = groups.unhealthy.iter().take(step.replace).cloned().collect();
    for task in &ill {
        task.stop(SCHEDULER, "Task failed container health checks");
    }
    scaled_in.into_iter().chain(retired).chain(ill).collect()
}

/// Chooses `count` tasks to stop: those that do not run yet first, then of the provider that has most above its share, and
/// from the fullest zone the newest, as ECS does.
fn victims(wanted: &[Arc<Task>], count: usize, strategy: &[CapacityProvider]) -> Vec<Arc<Task>> {
    let mut left: Vec<&Arc<Task>> = wanted.iter().collect();
    let mut chosen = Vec::new();
    for _ in 0..count.min(wanted.len()) {
        let providers: Vec<Provider> = left.iter().filter_map(|task| task.place.provider).collect();
        let rank = |task: &Task| {
            let excess = strategy::excess(strategy, task.place.provider, &providers);
            let in_zone = left.iter().filter(|other| other.place.zone == task.place.zone).count();
            (task.status() < Status::Running, excess, in_zone)
        };
        let order = |&a: &usize, &b: &usize| {
            let (a, b) = (rank(left[a]), rank(left[b]));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
        };
        // The last of equals is the newest.
        let Some(choice) = (0..left.len()).max_by(order) else { break };
        chosen.push(left.remove(choice).clone());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;
    use crate::{
        config::{self, Config},
        ecs::{
            definition::Definitions,
            task::{Origin, Place},
            topic::Topic,
        },
        sqs::Sqs,
    };

    fn task(zone: &str, provider: Option<Provider>) -> Arc<Task> {
        let config = Config::new();
        let definitions = Definitions::new(&config);
        let definition = definitions.of_service("web", &config::Service::new(vec!["app".into()]));
        let topic = Topic::new(&config, "c", &Sqs::new(&config));
        let place = Place { zone: zone.into(), provider };
        let keeper = (Arc::new(topic), Arc::new(Notify::new()));
        Arc::new(Task::new("arn:aws:ecs:r:1:task/c", definition, Origin::default(), place, keeper))
    }

    #[test]
    fn the_newest_task_of_the_fullest_zone_goes_first() {
        let tasks = ["a", "b", "a", "c"].map(|zone| task(zone, None));
        let chosen: Vec<String> = victims(&tasks, 2, &[]).iter().map(|t| t.id.clone()).collect();
        assert_eq!(chosen, [tasks[2].id.clone(), tasks[3].id.clone()]);
        assert_eq!(victims(&tasks, 9, &[]).len(), 4);
    }

    #[test]
    fn a_provider_above_its_share_gives_up_a_task_first() {
        use Provider::{Fargate, FargateSpot};
        let strategy = [
            CapacityProvider { provider: Fargate, base: 1, weight: 1 },
            CapacityProvider { provider: FargateSpot, base: 0, weight: 1 },
        ];
        let tasks = [Fargate, FargateSpot, Fargate].map(|provider| task("a", Some(provider)));
        let chosen = victims(&tasks, 3, &strategy);
        let providers: Vec<_> = chosen.iter().map(|task| task.place.provider.unwrap()).collect();
        assert_eq!(providers, [Fargate, FargateSpot, Fargate]);
    }
}
