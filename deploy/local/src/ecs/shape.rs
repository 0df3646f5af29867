//! Tasks and services as the API writes them, and tasks as events do.

use std::{sync::Arc, time::SystemTime};

use serde_json::{Value, json};

use crate::{
    clock::{epoch_seconds, timestamp},
    config::{CapacityProvider, Network},
    ecs::{
        cluster::Cluster,
        definition::Definition,
        deployment::Deployment,
        service::Service,
        task::{Status, Task, TaskState},
    },
};

/// How a protocol writes a time.
type Time = fn(SystemTime) -> Value;

/// A task as DescribeTasks shows it.
pub(crate) fn task(task: &Task) -> Value {
    describe(task, &task.state(), |at| json!(epoch_seconds(at)), "ElasticNetworkInterface")
}

/// A task as an event of its state shows it: times are text, and the interface's type is `eni`.
pub(crate) fn event(task: &Task, state: &TaskState) -> Value {
    describe(task, state, |at| json!(timestamp(at)), "eni")
}

fn describe(task: &Task, state: &TaskState, time: Time, interface_type: &str) -> Value {
    let content = &task.definition.content;
    let mut shown = json!({
        "taskArn": task.arn,
        "clusterArn": task.origin.cluster_arn,
        "taskDefinitionArn": task.definition.arn,
        "group": task.origin.group,
        "availabilityZone": task.place.zone,
        "lastStatus": state.status.name(),
        "desiredStatus": if state.wanted { "RUNNING" } else { "STOPPED" },
        "healthStatus": state.health.name(),
        "cpu": cpu_units(content.vcpu_milli),
        "memory": content.memory_mib.to_string(),
        "createdAt": time(task.created),
        "attachments": attachments(task, state, interface_type),
        "containers": [container(task, state)],
        "overrides": { "containerOverrides": [] },
        "tags": [],
        "version": state.version,
    });
    match task.place.provider {
        Some(provider) => {
            shown["capacityProviderName"] = json!(provider.name());
            shown["launchType"] = json!("FARGATE");
        }
        None => shown["launchType"] = json!(launch_type(content.network)),
    }
    if let Some(by) = &task.origin.started_by {
        shown["startedBy"] = json!(by);
    }
    if state.address.is_some() {
        shown["connectivity"] = json!("CONNECTED");
    }
    let times = [
        ("pullStartedAt", state.pull_started),
        ("pullStoppedAt", state.pull_stopped),
        ("connectivityAt", state.pull_stopped),
        ("startedAt", state.started),
        ("stoppingAt", state.stopping),
        ("executionStoppedAt", state.execution_stopped),
        ("stoppedAt", state.stopped),
    ];
    for (name, at) in times {
        if let Some(at) = at {
            shown[name] = time(at);
        }
    }
    if let Some(code) = state.stop_code {
        shown["stopCode"] = json!(code);
        shown["stoppedReason"] = json!(state.stopped_reason);
    }
    shown
}

fn container(task: &Task, state: &TaskState) -> Value {
    let content = &task.definition.content;
    let mut shown = json!({
        "containerArn": format!("{}/{}", task.arn.replacen(":task/", ":container/", 1), content.name),
        "taskArn": task.arn,
        "name": content.name,
        "image": content.image,
        "lastStatus": match state.status {
            Status::Deprovisioning | Status::Stopped => "STOPPED",
            Status::Provisioning | Status::Pending => "PENDING",
            Status::Activating | Status::Running | Status::Deactivating | Status::Stopping => "RUNNING",
        },
        "healthStatus": state.health.name(),
        "networkBindings": [],
        "networkInterfaces": [],
    });
    if let Some(address) = state.address {
        let ip = address.ip().to_string();
        match content.network {
            Network::Awsvpc => {
                shown["networkInterfaces"] =
                    json!([{ "attachmentId": task.id, "privateIpv4Address": ip }]);
            }
            Network::Bridge => {
                shown["networkBindings"] = json!([{
                    "bindIP": ip,
                    "containerPort": content.port,
                    "hostPort": address.port(),
                    "protocol": "tcp",
                }]);
            }
        }
    }
    if let Some(code) = state.exit_code {
        shown["exitCode"] = json!(code);
    }
    shown
}

fn attachments(task: &Task, state: &TaskState, interface_type: &str) -> Value {
    if task.definition.content.network != Network::Awsvpc {
        return json!([]);
    }
    let Some(address) = state.address else {
        return json!([{ "id": task.id, "type": interface_type, "status": "PRECREATED", "details": [] }]);
    };
    let subnet = format!("subnet-{}", task.place.zone);
    let status = if state.status == Status::Stopped { "DELETED" } else { "ATTACHED" };
    json!([{
        "id": task.id,
        "type": interface_type,
        "status": status,
        "details": [
            { "name": "subnetId", "value": subnet },
            { "name": "networkInterfaceId", "value": format!("eni-{}", &task.id[..17]) },
            { "name": "privateIPv4Address", "value": address.ip().to_string() },
        ],
    }])
}

/// A service as DescribeServices shows it.
pub(crate) fn service(service: &Service) -> Value {
    let (running, pending) = service.counts();
    let (desired, _) = service.desired();
    let deployments = service.deployments();
    let mut shown = json!({
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": service.cluster_arn,
        "status": "ACTIVE",
        "desiredCount": desired,
        "runningCount": running,
        "pendingCount": pending,
        "schedulingStrategy": "REPLICA",
        "createdAt": epoch_seconds(service.created),
        "deploymentController": { "type": "ECS" },
        "events": service.events().iter().map(|event| json!({
            "id": event.id,
            "createdAt": epoch_seconds(event.at),
            "message": event.message,
        })).collect::<Vec<_>>(),
        "loadBalancers": [],
        "propagateTags": "NONE",
    });
    let (minimum, maximum) = service.percentages();
    shown["deploymentConfiguration"] =
        json!({ "minimumHealthyPercent": minimum, "maximumPercent": maximum });
    if let Some((primary, _)) = deployments.first() {
        shown["taskDefinition"] = json!(primary.definition.arn);
        capacity(&mut shown, primary);
    }
    let shapes = deployments.iter().enumerate();
    let shapes = shapes.map(|(n, (deployment, counts))| {
        let mut shown = json!({
            "id": deployment.id,
            "status": if n == 0 { "PRIMARY" } else { "ACTIVE" },
            "taskDefinition": deployment.definition.arn,
            "desiredCount": if n == 0 { desired as usize } else { counts.wanted },
            "runningCount": counts.running,
            "pendingCount": counts.pending,
            "failedTasks": deployment.failed,
            "createdAt": epoch_seconds(deployment.created),
            "updatedAt": epoch_seconds(deployment.updated),
            "rolloutState": if deployment.completed { "COMPLETED" } else { "IN_PROGRESS" },
            "rolloutStateReason": format!(
                "ECS deployment {} {}.",
                deployment.id,
                if deployment.completed { "completed" } else { "in progress" },
            ),
        });
        capacity(&mut shown, deployment);
        shown
    });
    shown["deployments"] = shapes.collect();
    shown
}

/// A cluster as DescribeClusters shows it.
pub(crate) fn cluster(cluster: &Cluster) -> Value {
    let tasks = cluster.tasks();
    let count = |is: fn(Status) -> bool| tasks.iter().filter(|task| is(task.status())).count();
    json!({
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": "ACTIVE",
        "activeServicesCount": cluster.services.len(),
        "runningTasksCount": count(|status| status == Status::Running),
        "pendingTasksCount": count(|status| status < Status::Running),
        "registeredContainerInstancesCount": 0,
        "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
        "defaultCapacityProviderStrategy": [],
        "statistics": [],
        "settings": [],
        "tags": [],
    })
}

/// A task definition as DescribeTaskDefinition shows it.
pub(crate) fn definition(definition: &Arc<Definition>) -> Value {
    let content = &definition.content;
    let env = content.env.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    let seconds = |duration: std::time::Duration| duration.as_secs();
    let port = match content.network {
        Network::Awsvpc => {
            json!({ "containerPort": content.port, "hostPort": content.port, "protocol": "tcp" })
        }
        Network::Bridge => {
            json!({ "containerPort": content.port, "hostPort": 0, "protocol": "tcp" })
        }
    };
    let mut container = json!({
        "name": content.name,
        "image": content.image,
        "cpu": 0,
        "essential": true,
        "entryPoint": content.entry_point,
        "command": content.command,
        "environment": env.collect::<Vec<_>>(),
        "portMappings": [port],
        "stopTimeout": seconds(content.stop_timeout),
        "mountPoints": [],
        "volumesFrom": [],
    });
    if let Some(check) = &content.health_check {
        container["healthCheck"] = json!({
            "command": check.command,
            "interval": seconds(check.interval),
            "timeout": seconds(check.timeout),
            "retries": check.retries,
            "startPeriod": seconds(check.start_period),
        });
    }
    json!({
        "taskDefinitionArn": definition.arn,
        "family": definition.family,
        "revision": definition.revision,
        "status": "ACTIVE",
        "networkMode": match content.network {
            Network::Awsvpc => "awsvpc",
            Network::Bridge => "bridge",
        },
        "requiresCompatibilities": [launch_type(content.network)],
        "compatibilities": match content.network {
            Network::Awsvpc => json!(["EC2", "FARGATE"]),
            Network::Bridge => json!(["EC2"]),
        },
        "cpu": cpu_units(content.vcpu_milli),
        "memory": content.memory_mib.to_string(),
        "containerDefinitions": [container],
        "volumes": [],
        "placementConstraints": [],
        "registeredAt": epoch_seconds(definition.registered),
    })
}

/// Launch type and strategy exclude each other.
fn capacity(shown: &mut Value, deployment: &Deployment) {
    if deployment.strategy.is_empty() {
        shown["launchType"] = json!(launch_type(deployment.definition.content.network));
    } else {
        let items = deployment.strategy.iter().map(|item: &CapacityProvider| {
            json!({ "capacityProvider": item.provider.name(), "base": item.base, "weight": item.weight })
        });
        shown["capacityProviderStrategy"] = items.collect();
    }
}

/// Fargate has no bridge mode.
fn launch_type(network: Network) -> &'static str {
    match network {
        Network::Awsvpc => "FARGATE",
        Network::Bridge => "EC2",
    }
}

/// CPU units: 1,024 a vCPU.
fn cpu_units(vcpu_milli: u32) -> String {
    (u64::from(vcpu_milli) * 1024 / 1000).to_string()
}
