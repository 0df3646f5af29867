//! The ECS API (JSON 1.1): the four calls the gateway makes.
//!
//! Shapes are those of the AWS API reference, as far as they are filled in; SDKs take absent fields for unset. A
//! parameter that this cloud would ignore is refused by name.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    Shared,
    clock::{self, epoch_seconds},
    config::Network,
    ecs::{
        service::Service,
        task::{Status, Task},
    },
    signature,
};

const TARGET_PREFIX: &str = "AmazonEC2ContainerServiceV20141113.";
/// Largest request: a hundred ARNs are 15 KB.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Most ARNs ListTasks gives, and DescribeTasks takes, at once (ECS API reference).
const TASKS_PAGE_MAX: usize = 100;
/// Most services DescribeServices takes at once (ECS API reference).
const SERVICES_PAGE_MAX: usize = 10;

/// A refused call.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Refusal {
    fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind, message: message.into() }
    }

    fn parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListTasks {
    cluster: Option<String>,
    service_name: Option<String>,
    desired_status: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribeTasks {
    cluster: Option<String>,
    tasks: Vec<String>,
    /// Tags may be asked for; there are none.
    #[serde(rename = "include")]
    _include: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribeServices {
    cluster: Option<String>,
    services: Vec<String>,
    /// Tags may be asked for; there are none.
    #[serde(rename = "include")]
    _include: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateService {
    cluster: Option<String>,
    service: String,
    desired_count: Option<i64>,
}

/// Answers one call.
pub(crate) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (status, body) = match answer(&shared, request).await {
        Ok(body) => (StatusCode::OK, body),
        Err(refusal) => {
            (refusal.status, json!({ "__type": refusal.kind, "message": refusal.message }))
        }
    };
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    if let Ok(id) = HeaderValue::from_str(&clock::request_id()) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

async fn answer(shared: &Shared, request: Request) -> Result<Value, Refusal> {
    if let Some(status) = shared.faults.ecs_down() {
        let kind = if status == StatusCode::SERVICE_UNAVAILABLE {
            "ServiceUnavailable"
        } else {
            "ServerException"
        };
        return Err(Refusal {
            status,
            kind,
            message: "ordered by a fault of the local cloud".into(),
        });
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, REQUEST_BYTES_MAX).await;
    let body = body.map_err(|_| {
        Refusal::parameter(format!("the request is above {REQUEST_BYTES_MAX} bytes"))
    })?;
    signature::verify(&parts, &body, &shared.config.region, "ecs", SystemTime::now()).map_err(
        |refusal| Refusal {
            status: StatusCode::FORBIDDEN,
            ..Refusal::new(refusal.name(), refusal.to_string())
        },
    )?;
    let target =
        parts.headers.get("x-amz-target").and_then(|v| v.to_str().ok()).unwrap_or_default();
    match target.strip_prefix(TARGET_PREFIX) {
        Some("ListTasks") => list_tasks(shared, parse(&body)?),
        Some("DescribeTasks") => describe_tasks(shared, parse(&body)?),
        Some("DescribeServices") => describe_services(shared, parse(&body)?),
        Some("UpdateService") => update_service(shared, &parse(&body)?),
        _ => Err(Refusal::new(
            "UnknownOperationException",
            format!(
                "`{target}` is not a call of the local cloud; it has ListTasks, DescribeTasks, DescribeServices and UpdateService"
            ),
        )),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::parameter(format!("the local cloud cannot do this: {error}")))
}

fn list_tasks(shared: &Shared, ask: ListTasks) -> Result<Value, Refusal> {
    let cluster = cluster(shared, ask.cluster.as_deref())?;
    let services: Vec<&Arc<Service>> = match ask.service_name.as_deref() {
        Some(name) => vec![service(cluster, name)?],
        None => cluster.values().collect(),
    };
    let stopped = match ask.desired_status.as_deref() {
        None | Some("RUNNING") => false,
        Some("STOPPED") => true,
        // ECS documents that it gives nothing for PENDING: no task is ever desired to be so.
        Some("PENDING") => return Ok(json!({ "taskArns": [] })),
        Some(other) => {
            return Err(Refusal::parameter(format!(
                "desiredStatus `{other}` is not RUNNING or STOPPED"
            )));
        }
    };
    let page_max = ask.max_results.unwrap_or(TASKS_PAGE_MAX);
    if !(1..=TASKS_PAGE_MAX).contains(&page_max) {
        return Err(Refusal::parameter(format!(
            "maxResults {page_max} is not within 1 to {TASKS_PAGE_MAX}"
        )));
    }
    let tasks = services.iter().flat_map(|s| s.tasks()).filter(|t| t.is_wanted() != stopped);
    let mut arns: Vec<String> = tasks.map(|t| t.arn.clone()).collect();
    // In order of ARN, so that a page's last ARN is all the next page needs to know.
    arns.sort();
    if let Some(token) = ask.next_token {
        arns.retain(|arn| token < *arn);
    }
    let more = page_max < arns.len();
    arns.truncate(page_max);
    let mut answer = json!({ "taskArns": arns });
    if more {
        answer["nextToken"] = json!(arns.last());
    }
    Ok(answer)
}

fn describe_tasks(shared: &Shared, ask: DescribeTasks) -> Result<Value, Refusal> {
    let cluster = cluster(shared, ask.cluster.as_deref())?;
    if ask.tasks.is_empty() || TASKS_PAGE_MAX < ask.tasks.len() {
        return Err(Refusal::parameter(format!(
            "tasks: {} is not within 1 to {TASKS_PAGE_MAX}",
            ask.tasks.len()
        )));
    }
    let all: Vec<(&Arc<Service>, Arc<Task>)> =
        cluster.values().flat_map(|s| s.tasks().into_iter().map(move |t| (s, t))).collect();
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for asked in ask.tasks {
        match all.iter().find(|(_, task)| task.arn == asked || task.id == asked) {
            Some((service, task)) => tasks.push(describe_task(service, task)),
            None => failures.push(json!({ "arn": asked, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "tasks": tasks, "failures": failures }))
}

fn describe_services(shared: &Shared, ask: DescribeServices) -> Result<Value, Refusal> {
    let cluster = cluster(shared, ask.cluster.as_deref())?;
    if ask.services.is_empty() || SERVICES_PAGE_MAX < ask.services.len() {
        let asked = ask.services.len();
        return Err(Refusal::parameter(format!(
            "services: {asked} is not within 1 to {SERVICES_PAGE_MAX}"
        )));
    }
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for asked in ask.services {
        match service(cluster, &asked) {
            Ok(service) => services.push(describe_service(service)),
            Err(_) => failures.push(json!({ "arn": asked, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "services": services, "failures": failures }))
}

fn update_service(shared: &Shared, ask: &UpdateService) -> Result<Value, Refusal> {
    let service = service(cluster(shared, ask.cluster.as_deref())?, &ask.service)?;
    if let Some(desired) = ask.desired_count {
        let desired = u32::try_from(desired);
        service.set_desired(
            desired.map_err(|_| Refusal::parameter("desiredCount must be 0 or more"))?,
        );
    }
    Ok(json!({ "service": describe_service(service) }))
}

type Services = BTreeMap<String, Arc<Service>>;

/// The cluster of a name or ARN; `default` when none is given, as in ECS.
fn cluster<'a>(shared: &'a Shared, asked: Option<&str>) -> Result<&'a Services, Refusal> {
    let name = short(asked.unwrap_or("default"));
    let found = shared.ecs.clusters.get(name);
    found.ok_or_else(|| Refusal::new("ClusterNotFoundException", "Cluster not found."))
}

fn service<'a>(cluster: &'a Services, asked: &str) -> Result<&'a Arc<Service>, Refusal> {
    cluster
        .get(short(asked))
        .ok_or_else(|| Refusal::new("ServiceNotFoundException", "Service not found."))
}

/// The name at the end of an ARN; a name is its own.
fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn describe_service(service: &Service) -> Value {
    let (running, pending) = service.counts();
    let (desired, updated) = service.desired();
    let state =
        if running == desired as usize && pending == 0 { "COMPLETED" } else { "IN_PROGRESS" };
    let launch_type = launch_type(service);
    json!({
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": service.cluster_arn,
        "status": "ACTIVE",
        "desiredCount": desired,
        "runningCount": running,
        "pendingCount": pending,
        "launchType": launch_type,
        "schedulingStrategy": "REPLICA",
        "taskDefinition": service.task_definition,
        "createdAt": epoch_seconds(service.created),
        "deployments": [{
            "id": "ecs-svc/1",
            "status": "PRIMARY",
            "taskDefinition": service.task_definition,
            "desiredCount": desired,
            "runningCount": running,
            "pendingCount": pending,
            "failedTasks": 0,
            "launchType": launch_type,
            "createdAt": epoch_seconds(service.created),
            "updatedAt": epoch_seconds(updated),
            "rolloutState": state,
        }],
        "events": [],
        "loadBalancers": [],
    })
}

fn describe_task(service: &Service, task: &Task) -> Value {
    let state = task.state();
    let container_arn = format!("{}/app", task.arn.replacen(":task/", ":container/", 1));
    let mut container = json!({
        "containerArn": container_arn,
        "taskArn": task.arn,
        "name": "app",
        "lastStatus": match state.status {
            Status::Stopped => "STOPPED",
            Status::Provisioning | Status::Pending => "PENDING",
            Status::Running | Status::Deactivating | Status::Stopping => "RUNNING",
        },
        "healthStatus": "UNKNOWN",
        "networkBindings": [],
        "networkInterfaces": [],
    });
    let mut attachments = json!([]);
    if let Some(address) = state.address {
        let ip = address.ip().to_string();
        match service.config.network {
            Network::Awsvpc => {
                let interface = &task.id[..17];
                container["networkInterfaces"] =
                    json!([{ "attachmentId": task.id, "privateIpv4Address": ip }]);
                attachments = json!([{
                    "id": task.id,
                    "type": "ElasticNetworkInterface",
                    "status": if state.status == Status::Stopped { "DELETED" } else { "ATTACHED" },
                    "details": [
                        { "name": "subnetId", "value": format!("subnet-{}", task.zone) },
                        { "name": "networkInterfaceId", "value": format!("eni-{interface}") },
                        { "name": "privateIPv4Address", "value": ip },
                    ],
                }]);
            }
            Network::Bridge => {
                container["networkBindings"] = json!([{
                    "bindIP": ip,
                    "containerPort": service.config.port,
                    "hostPort": address.port(),
                    "protocol": "tcp",
                }]);
            }
        }
    }
    if let Some(code) = state.exit_code {
        container["exitCode"] = json!(code);
    }
    let mut task = json!({
        "taskArn": task.arn,
        "clusterArn": service.cluster_arn,
        "taskDefinitionArn": service.task_definition,
        "group": format!("service:{}", service.name),
        "startedBy": "ecs-svc/1",
        "launchType": launch_type(service),
        "availabilityZone": task.zone,
        "lastStatus": state.status.name(),
        "desiredStatus": if task.is_wanted() { "RUNNING" } else { "STOPPED" },
        "healthStatus": "UNKNOWN",
        "connectivity": "CONNECTED",
        "cpu": (u64::from(service.config.vcpu_milli) * 1024 / 1000).to_string(),
        "memory": service.config.memory.to_string(),
        "createdAt": epoch_seconds(task.created),
        "attachments": attachments,
        "containers": [container],
        "version": 1,
    });
    let times = [
        ("startedAt", state.started),
        ("stoppingAt", state.stopping),
        ("stoppedAt", state.stopped),
    ];
    for (name, at) in times {
        if let Some(at) = at {
            task[name] = json!(epoch_seconds(at));
        }
    }
    if let Some(code) = state.stop_code {
        task["stopCode"] = json!(code);
        task["stoppedReason"] = json!(state.stopped_reason);
    }
    task
}

fn launch_type(service: &Service) -> &'static str {
    match service.config.network {
        Network::Awsvpc => "FARGATE",
        // Fargate has no bridge mode.
        Network::Bridge => "EC2",
    }
}
