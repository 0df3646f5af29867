//! What share of a service's tasks is on Spot, and the command that makes it what the policy wants. Pure.
//!
//! It is proposed and never done: ECS takes another strategy of an existing service with a forced deployment only, and that
//! replaces every task and takes what a mutable tag of the image points to by now. See `docs/acting.md`.

use policies::policy::{Container, Discovery};

/// Share of the tasks by which what is on Spot must differ from what is wanted before a change is proposed: a task more or
/// less, and those that were just taken back, are no reason to replace all.
const DIFFERS: f64 = 0.2;

/// A strategy for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// Tasks that are there.
    pub(crate) tasks: u32,
    /// Of these, how many are on Spot.
    pub(crate) on_spot: u32,
    /// Of these, how many would be.
    pub(crate) wanted: u32,
    /// The command that sets it.
    pub(crate) command: String,
}

/// Returns the strategy to propose for a service of `tasks` tasks of which `on_spot` are on Spot; `None` when it is near
/// enough to what its policy wants, or the policy wants nothing.
///
/// The policy's least stays on demand, as in plans; of what is above it, `spot.up_to` is on Spot.
pub(crate) fn proposal(container: &Container, tasks: u32, on_spot: u32) -> Option<Proposal> {
    let limits = container.tasks.as_ref()?;
    let Discovery::Ecs { cluster, service, .. } = &container.discovery else { return None };
    if limits.spot <= 0.0 {
        return None;
    }
    let wanted = (f64::from(tasks.saturating_sub(limits.min)) * limits.spot) as u32;
    if f64::from(on_spot.abs_diff(wanted)) <= f64::from(tasks) * DIFFERS {
        return None;
    }
    let spot = (limits.spot * 100.0).round() as u32;
    let command = format!(
        "aws ecs update-service --cluster {cluster} --service {service} --force-new-deployment \
         --capacity-provider-strategy capacityProvider=FARGATE,base={},weight={} capacityProvider=FARGATE_SPOT,weight={spot}",
        limits.min,
        100 - spot.min(100),
    );
    Some(Proposal { tasks, on_spot, wanted, command })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn of(tasks: &str, present: u32, on_spot: u32) -> Option<Proposal> {
        let ecs = "ecs: { cluster: prod, service: film, port: 80 }";
        let text = fixture::POLICY.replace("upstreams: [\"http://127.0.0.1:9000\"]", ecs);
        let text = text.replacen(
            "requests_per_task: 4",
            &format!("requests_per_task: 4\n      {tasks}"),
            1,
        );
        proposal(fixture::policy(&text).services[0].container.as_ref().unwrap(), present, on_spot)
    }

    #[test]
    fn a_strategy_is_proposed_where_it_differs_by_more_than_a_fifth() {
        let wants = "tasks: { min: 2, max: 20, spot: { up_to: 70% } }";
        let proposed = of(wants, 10, 0).unwrap();
        assert_eq!((proposed.tasks, proposed.on_spot, proposed.wanted), (10, 0, 5));
        assert_eq!(
            proposed.command,
            "aws ecs update-service --cluster prod --service film --force-new-deployment --capacity-provider-strategy \
             capacityProvider=FARGATE,base=2,weight=30 capacityProvider=FARGATE_SPOT,weight=70"
        );
        for near in [3, 5, 7] {
            assert_eq!(of(wants, 10, near), None, "{near}");
        }
        assert_eq!(of(wants, 10, 10).unwrap().wanted, 5, "too many are no less a reason");
        assert_eq!(of(wants, 2, 0), None, "the least is on demand");
        assert_eq!(of(wants, 0, 0), None, "there are none to tell by");
        assert_eq!(of("tasks: { min: 2, max: 20 }", 10, 10), None, "the policy wants nothing");
        let all = of("tasks: { min: 0, max: 20, spot: { up_to: 100% } }", 10, 0).unwrap();
        assert!(
            all.command
                .ends_with("FARGATE,base=0,weight=0 capacityProvider=FARGATE_SPOT,weight=100")
        );
    }
}
