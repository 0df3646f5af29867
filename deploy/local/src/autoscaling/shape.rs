//! Scalable targets and scheduled actions as the API writes them.

use serde_json::{Value, json};

use super::{
    Action, Target,
    api::{DIMENSION, NAMESPACE},
};
use crate::clock::epoch_seconds;

pub(super) fn target(target: &Target, account: &str) -> Value {
    json!({
        "ServiceNamespace": NAMESPACE,
        "ResourceId": target.id,
        "ScalableDimension": DIMENSION,
        "MinCapacity": target.min,
        "MaxCapacity": target.max,
        "RoleARN": format!(
            "arn:aws:iam::{account}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/\
             AWSServiceRoleForApplicationAutoScaling_ECSService"
        ),
        "CreationTime": epoch_seconds(target.created),
        "SuspendedState": {
            "DynamicScalingInSuspended": target.suspended.dynamic_in,
            "DynamicScalingOutSuspended": target.suspended.dynamic_out,
            "ScheduledScalingSuspended": target.suspended.scheduled,
        },
        "ScalableTargetARN": target.arn,
    })
}

pub(super) fn action(target: &Target, name: &str, action: &Action) -> Value {
    let mut shown = json!({
        "ScheduledActionName": name,
        "ScheduledActionARN": action.arn,
        "ServiceNamespace": NAMESPACE,
        "Schedule": action.schedule,
        "ResourceId": target.id,
        "ScalableDimension": DIMENSION,
        "ScalableTargetAction": {},
        "CreationTime": epoch_seconds(action.created),
    });
    if let Some(timezone) = &action.timezone {
        shown["Timezone"] = json!(timezone);
    }
    for (bound, value) in [("MinCapacity", action.min), ("MaxCapacity", action.max)] {
        if let Some(value) = value {
            shown["ScalableTargetAction"][bound] = json!(value);
        }
    }
    shown
}
