//! Task state change events, as EventBridge puts them into a queue.
//!
//! "Amazon ECS task state change events", ECS developer guide, read 2026-11. Little of one is used: that a task of a service
//! stops, or that something else happened to it. Everything else is asked from ECS, which answers for itself, while anybody
//! who may write to the queue can write what they like.

use std::sync::Arc;

use serde::Deserialize;

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    cluster_arn: String,
    service: String,
    /// The last part of the task's ARN.
    pub(super) task: Arc<str>,
    /// It is no longer meant to run: scaled in, replaced, interrupted, or dead. It never comes back.
    pub(super) stops: bool,
    /// It stops because Spot takes it back.
    pub(super) interrupted: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope {
    source: String,
    detail_type: String,
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    cluster_arn: String,
    task_arn: String,
    group: Option<String>,
    desired_status: String,
    last_status: String,
    stop_code: Option<String>,
}

impl Event {
    /// Reads the event of a task that belongs to a service; `None` for everything else.
    pub(super) fn read(body: &str) -> Option<Self> {
        let event: Envelope = serde_json::from_str(body).ok()?;
        if event.source != "aws.ecs" || event.detail_type != "ECS Task State Change" {
            return None;
        }
        let detail = event.detail;
        Some(Self {
            service: detail.group?.strip_prefix("service:")?.to_owned(),
            task: short(&detail.task_arn).into(),
            stops: detail.desired_status == "STOPPED" || detail.last_status == "STOPPED",
            interrupted: detail.stop_code.as_deref() == Some("SpotInterruption"),
            cluster_arn: detail.cluster_arn,
        })
    }

    #[cfg(test)]
    pub(super) fn of_test(service: &str, task: &str, stops: bool) -> Self {
        let cluster_arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/prod".into();
        Self { cluster_arn, service: service.into(), task: task.into(), stops, interrupted: false }
    }

    /// Tells whether it is of the cluster that a policy calls `cluster`, by name or ARN.
    pub(super) fn is_of_cluster(&self, cluster: &str) -> bool {
        if cluster.starts_with("arn:") {
            self.cluster_arn == cluster
        } else {
            short(&self.cluster_arn) == cluster
        }
    }

    /// Tells whether it is of the service that a policy calls `service`, by name or ARN.
    pub(super) fn is_of_service(&self, service: &str) -> bool {
        self.service == short(service)
    }
}

/// The name at the end of an ARN; a name is its own.
fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(change: impl FnOnce(&mut Value)) -> Option<Event> {
        let mut event = json!({
            "version": "0", "id": "9bcdac79-b31f-4d3d-9410-fbd727c29fab",
            "detail-type": "ECS Task State Change", "source": "aws.ecs",
            "account": "123456789012", "time": "2026-11-21T05:00:00Z", "region": "eu-west-1",
            "resources": ["arn:aws:ecs:eu-west-1:123456789012:task/prod/0a1b"],
            "detail": {
                "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/prod",
                "taskArn": "arn:aws:ecs:eu-west-1:123456789012:task/prod/0a1b",
                "group": "service:web", "desiredStatus": "STOPPED", "lastStatus": "RUNNING",
                "stopCode": "SpotInterruption", "stoppedReason": "Your Spot Task was interrupted.",
                "version": 5,
            },
        });
        change(&mut event);
        Event::read(&event.to_string())
    }

    #[test]
    fn a_spot_notice_stops_a_task_that_still_runs() {
        let notice = event(|_| {}).unwrap();
        assert!(notice.stops && notice.interrupted && &*notice.task == "0a1b");
        assert!(notice.is_of_cluster("prod") && notice.is_of_service("web"));
        assert!(notice.is_of_cluster("arn:aws:ecs:eu-west-1:123456789012:cluster/prod"));
        assert!(notice.is_of_service("arn:aws:ecs:eu-west-1:123456789012:service/prod/web"));
        for other in ["test", "arn:aws:ecs:eu-west-1:210987654321:cluster/prod"] {
            assert!(!notice.is_of_cluster(other), "{other}");
        }
        assert!(!notice.is_of_service("we"));
    }

    #[test]
    fn only_what_stops_stops() {
        let up = event(|e| e["detail"]["desiredStatus"] = json!("RUNNING")).unwrap();
        assert!(!up.stops);
    }

    #[test]
    fn everything_else_is_passed_over() {
        assert_eq!(event(|e| e["source"] = json!("me")), None);
        assert_eq!(event(|e| e["detail-type"] = json!("ECS Deployment State Change")), None);
        assert_eq!(event(|e| e["detail"]["group"] = json!("family:job")), None, "it stands alone");
        assert_eq!(event(|e| e["detail"] = json!("text")), None);
        assert_eq!(Event::read("not JSON"), None);
    }
}
