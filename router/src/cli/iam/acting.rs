//! What a gateway may set: the capacity of services in `mode: act`, and of no other.

use policies::policy::{Discovery, Mode, ScaleBy, Service};
use serde_json::{Value, json};

use super::statement;
use crate::control::act::fallback_schedule;

/// How environments are provisioned.
const PROVISION_CALLS: [&str; 2] =
    ["lambda:DeleteProvisionedConcurrencyConfig", "lambda:PutProvisionedConcurrencyConfig"];

/// How the floor of Application Auto Scaling is set, at once and for when no gateway is left.
const FLOOR_CALLS: [&str; 2] = [
    "application-autoscaling:PutScheduledAction",
    "application-autoscaling:RegisterScalableTarget",
];

/// What the gateway sets: that of services in `mode: act`.
#[derive(Debug, Default)]
pub(super) struct Acting {
    services: Vec<String>,
    tasks: Vec<String>,
    /// Application Auto Scaling gives its targets ids that nobody knows beforehand.
    scalable_targets: Vec<String>,
    schedules: Vec<String>,
    /// Who the schedules act as.
    scheduler_roles: Vec<String>,
    /// Of some service that only observes it is read whether it could be acted on.
    observes: bool,
    /// Versions and aliases with provisioned concurrency.
    pub(super) provisioned: Vec<String>,
    /// Versions and aliases that had some, perhaps: what Pacer set is taken away when the policy does not ask for it any more.
    pub(super) taken_back: Vec<String>,
}

impl Acting {
    pub(super) fn any() -> Self {
        let all = || vec!["*".to_owned()];
        Self {
            services: all(),
            tasks: all(),
            scalable_targets: all(),
            schedules: all(),
            scheduler_roles: all(),
            observes: true,
            provisioned: all(),
            taken_back: Vec::new(),
        }
    }

    /// Adds what is set of the containers of `service`, where `arn` writes ARNs of its account.
    pub(super) fn add_tasks(&mut self, service: &Service, arn: impl Fn(&str, &str) -> String) {
        let bounds = service.container.as_ref().and_then(|container| container.tasks.as_ref());
        self.observes |= service.mode == Mode::Observe && bounds.is_some();
        let Some(container) = service.container.as_ref().filter(|_| service.mode == Mode::Act)
        else {
            return;
        };
        let Discovery::Ecs { cluster, service: name, .. } = &container.discovery else { return };
        let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        let cluster = last(cluster);
        self.services.push(arn("ecs", &format!("service/{cluster}/{}", last(name))));
        self.tasks.push(arn("ecs", &format!("task/{cluster}/*")));
        if container.scale_by == ScaleBy::AutoscalingFloor {
            self.scalable_targets.push(arn("application-autoscaling", "scalable-target/*"));
        }
        let schedule = fallback_schedule(service);
        let schedule = schedule.map(|name| arn("scheduler", &format!("schedule/default/{name}")));
        self.schedules.extend(schedule);
        let role = container.tasks.as_ref().and_then(|limits| limits.scheduler_role.as_ref());
        self.scheduler_roles.extend(role.map(ToString::to_string));
    }

    pub(super) fn sort(&mut self) {
        let Self {
            services,
            tasks,
            scalable_targets,
            schedules,
            scheduler_roles,
            provisioned,
            taken_back,
            ..
        } = self;
        for list in
            [services, tasks, scalable_targets, schedules, scheduler_roles, provisioned, taken_back]
        {
            list.sort();
            list.dedup();
        }
    }

    /// Returns the statements that permit it.
    pub(super) fn statements(&self) -> Vec<Option<Value>> {
        let only_if = |statement: Option<Value>, condition: Value| {
            let mut statement = statement?;
            statement["Condition"] = json!({ "StringEquals": condition });
            Some(statement)
        };
        let everything = vec!["*".to_owned()];
        // AWS scopes it to nothing (Service Authorization Reference, Application Auto Scaling).
        let mut read = statement(
            "ReadScalableTargets",
            &["application-autoscaling:DescribeScalableTargets"],
            if self.observes { &everything } else { &self.services },
        );
        if let Some(read) = &mut read {
            read["Resource"] = "*".into();
        }
        let counts = json!({
            "application-autoscaling:scalable-dimension": "ecs:service:DesiredCount",
            "application-autoscaling:service-namespace": "ecs",
        });
        let floor = statement("ScaleByFloor", &FLOOR_CALLS, &self.scalable_targets);
        let to_scheduler = json!({ "iam:PassedToService": "scheduler.amazonaws.com" });
        let pass = statement("PassSchedulerRole", &["iam:PassRole"], &self.scheduler_roles);
        vec![
            // Also by the floor: who registers a target must be permitted what is done in its name (Application Auto Scaling
            // User Guide, identity-based policies).
            statement("ScaleServices", &["ecs:UpdateService"], &self.services),
            statement("ProtectTasks", &["ecs:UpdateTaskProtection"], &self.tasks),
            read,
            only_if(floor, counts),
            statement(
                "Fallback",
                &["scheduler:CreateSchedule", "scheduler:UpdateSchedule"],
                &self.schedules,
            ),
            only_if(pass, to_scheduler),
            statement("Provision", &PROVISION_CALLS, &self.provisioned),
            statement("TakeBackProvisioned", &PROVISION_CALLS[..1], &self.taken_back),
        ]
    }
}
