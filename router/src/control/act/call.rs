//! The calls: what AWS is asked and told about a service's tasks. Each is made once; who calls decides about again.

use std::sync::Arc;

use aws_sdk_applicationautoscaling::{
    error::ProvideErrorMetadata,
    types::{ScalableDimension, ScalableTarget, ScalableTargetAction, ServiceNamespace},
};
use aws_sdk_ecs::types::{DeploymentConfiguration, DeploymentRolloutState, Service};
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, Target as ScheduleTarget,
};
use policies::policy::ScaleBy;

use super::{Allowed, Names, Target, next::Step};
use crate::control::aws::{Aws, reason};

/// For how long a task is protected, in minutes: renewed at half of it, and gone within it when nobody renews it.
pub(super) const PROTECTED_MINUTES: u16 = 60;

/// Tasks in one call of UpdateTaskProtection (Amazon ECS API reference).
const PROTECT_MAX: usize = 10;

/// The action that EventBridge Scheduler takes: any call of ECS's API.
const UPDATE_SERVICE: &str = "arn:aws:scheduler:::aws-sdk:ecs:updateService";

/// Name of the scheduled action of Application Auto Scaling.
const FALLBACK: &str = "pacer-fallback";

/// What ECS and Application Auto Scaling say of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(super) desired: u32,
    pub(super) pending: u32,
    /// The task definition that its tasks are to have.
    pub(super) definition: Option<Arc<str>>,
    pub(super) deploying: bool,
    pub(super) stops_first: bool,
    /// `MinCapacity` and `MaxCapacity`, when Application Auto Scaling knows it.
    pub(super) bounds: Option<(u32, u32)>,
}

/// Reads a service.
pub(super) async fn read(aws: &Aws, target: &Target) -> Result<Told, String> {
    let failed = |call: &str, why: String| said(call, target, &why);
    aws.ecs_rate().turn().await;
    let call = aws.ecs().describe_services().cluster(&*target.cluster).services(&*target.service);
    let answer = call.send().await.map_err(|error| failed("DescribeServices", reason(&error)))?;
    let service = answer.services().first().filter(|service| service.status() == Some("ACTIVE"));
    let service = service
        .ok_or_else(|| failed("DescribeServices", "it has no such active service".to_owned()))?;
    let call = aws.autoscaling().describe_scalable_targets();
    let call = call.service_namespace(ServiceNamespace::Ecs).resource_ids(target.resource());
    let call = call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
    let answer = call.send().await;
    let answer = answer.map_err(|error| failed("DescribeScalableTargets", reason(&error)))?;
    let bounds =
        |target: &ScalableTarget| (count(target.min_capacity()), count(target.max_capacity()));
    Ok(Told { bounds: answer.scalable_targets().first().map(bounds), ..told(service) })
}

fn told(service: &Service) -> Told {
    let rolling = |deployment: &aws_sdk_ecs::types::Deployment| {
        deployment.rollout_state() == Some(&DeploymentRolloutState::InProgress)
            || deployment.status() != Some("PRIMARY") && 0 < deployment.running_count()
    };
    let settings = service.deployment_configuration();
    Told {
        desired: count(service.desired_count()),
        pending: count(service.pending_count()),
        definition: service.task_definition().map(Into::into),
        // A deployment is also under way while its first tasks start: with one only, there is nothing to replace.
        deploying: 1 < service.deployments().len() && service.deployments().iter().any(rolling),
        stops_first: settings
            .and_then(DeploymentConfiguration::minimum_healthy_percent)
            .is_some_and(|percent| percent < 100),
        bounds: None,
    }
}

/// Takes a step.
pub(super) async fn take(allowed: &Allowed, target: &Target, step: &Step) -> Result<(), String> {
    match step {
        Step::SetDesired { to, .. } => {
            allowed.aws.ecs_rate().turn().await;
            let call = allowed.now()?.ecs().update_service().cluster(&*target.cluster);
            let call = call.service(&*target.service).desired_count(number(*to));
            let done =
                call.send().await.map_err(|error| said("UpdateService", target, &reason(&error)));
            done.map(drop)
        }
        Step::SetFloor { to, .. } => {
            let call = allowed.now()?.autoscaling().register_scalable_target();
            let call = call.service_namespace(ServiceNamespace::Ecs).resource_id(target.resource());
            let call = call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
            let done = call.min_capacity(number(*to)).send().await;
            let done =
                done.map_err(|error| said("RegisterScalableTarget", target, &reason(&error)));
            done.map(drop)
        }
        Step::Protect(names) => protect(allowed, target, names, true).await,
        Step::Release(names) => protect(allowed, target, names, false).await,
    }
}

async fn protect(
    allowed: &Allowed,
    target: &Target,
    names: &Names,
    on: bool,
) -> Result<(), String> {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    for names in names.chunks(PROTECT_MAX) {
        allowed.aws.ecs_rate().turn().await;
        let aws = if on { allowed.to_hold()? } else { allowed.now()? };
        let call = aws.ecs().update_task_protection().cluster(&*target.cluster);
        let call = call.set_tasks(Some(names.to_vec())).protection_enabled(on);
        let call = if on { call.expires_in_minutes(PROTECTED_MINUTES.into()) } else { call };
        // Of a task that has gone meanwhile the answer tells among its failures: nothing is amiss.
        call.send().await.map_err(|error| said("UpdateTaskProtection", target, &reason(&error)))?;
    }
    Ok(())
}

/// Has the count go back to `tasks` at `at` (`yyyy-mm-ddThh:mm:ss`, UTC) unless this is called again before.
pub(super) async fn push_fallback(
    allowed: &Allowed,
    target: &Target,
    tasks: u32,
    at: &str,
) -> Result<(), String> {
    let at = format!("at({at})");
    let aws = allowed.to_hold()?;
    match target.by {
        ScaleBy::AutoscalingFloor => {
            let action = ScalableTargetAction::builder().min_capacity(number(tasks)).build();
            let call = aws.autoscaling().put_scheduled_action().scheduled_action_name(FALLBACK);
            let call = call.service_namespace(ServiceNamespace::Ecs).resource_id(target.resource());
            let call = call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
            let done = call.schedule(at).scalable_target_action(action).send().await;
            done.map(drop).map_err(|error| said("PutScheduledAction", target, &reason(&error)))
        }
        ScaleBy::DesiredCount => schedule(aws, target, tasks, &at).await,
    }
}

/// Moves the one schedule of the service, or makes it.
async fn schedule(aws: &Aws, target: &Target, tasks: u32, at: &str) -> Result<(), String> {
    let name = target.schedule();
    let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build();
    let window = window.map_err(|error| said("UpdateSchedule", target, &error.to_string()))?;
    let input = serde_json::json!({
        "Cluster": &*target.cluster,
        "Service": &*target.service,
        "DesiredCount": tasks,
    });
    let role = target.scheduler_role.as_deref().unwrap_or_default();
    let to = ScheduleTarget::builder().arn(UPDATE_SERVICE).role_arn(role).input(input.to_string());
    let to = to.build().map_err(|error| said("UpdateSchedule", target, &error.to_string()))?;
    let call = aws.scheduler().update_schedule().name(&name).schedule_expression(at);
    let call = call.flexible_time_window(window.clone()).target(to.clone());
    let call = call.action_after_completion(ActionAfterCompletion::Delete);
    match call.send().await {
        Ok(_) => return Ok(()),
        Err(error) if error.code() == Some("ResourceNotFoundException") => {}
        Err(error) => return Err(said("UpdateSchedule", target, &reason(&error))),
    }
    let call = aws.scheduler().create_schedule().name(&name).schedule_expression(at);
    let call = call.flexible_time_window(window).target(to);
    let done = call.action_after_completion(ActionAfterCompletion::Delete).send().await;
    done.map(drop).map_err(|error| said("CreateSchedule", target, &reason(&error)))
}

/// Says in one sentence what was tried, with what, and what came of it.
fn said(call: &str, target: &Target, why: &str) -> String {
    format!("{call} for `{}` in cluster `{}`: {why}", target.service, target.cluster)
}

fn count(count: i32) -> u32 {
    u32::try_from(count).unwrap_or(0)
}

fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
