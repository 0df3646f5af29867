//! `pacer iam`: every call that is made is permitted by the role of whoever makes it, and by no role that should not.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Cloud, Gateway, cloud::SCRIPTED, gateway::Setup, process::run, until};

/// The local cloud's account and region.
const LAMBDA: &str = "arn:aws:lambda:eu-west-1:000000000000:function:";

const SCHEDULE: &str = "arn:aws:scheduler:eu-west-1:000000000000:schedule/default/";

/// What a role permits: pairs of an action and a pattern of ARNs.
async fn role(policy: &str, role: &str) -> Vec<(String, String)> {
    let arguments = ["iam", "--account", "000000000000", "--role", role, "--policy", policy];
    let ended = run(arguments).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let document: Value = serde_json::from_str(&ended.stdout).expect("it is JSON");
    let texts = |value: &Value| -> Vec<String> {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        value.as_array().map_or_else(|| vec![text(value)], |list| list.iter().map(text).collect())
    };
    let mut permits = Vec::new();
    for statement in document["Statement"].as_array().expect("statements") {
        assert_eq!(statement["Effect"], "Allow");
        for action in texts(&statement["Action"]) {
            assert!(!action.contains('*'), "{action}");
            permits
                .extend(texts(&statement["Resource"]).into_iter().map(|arn| (action.clone(), arn)));
        }
    }
    permits
}

/// The action of a call that the cloud recorded, and the function that it was made for.
fn action(call: &str) -> (String, Option<String>) {
    if let Some(operation) = call.strip_prefix("AmazonEC2ContainerServiceV20141113.") {
        return (format!("ecs:{operation}"), None);
    }
    if let Some(operation) = call.strip_prefix("AmazonSQS.") {
        // A batch asks for the permission of its parts.
        return (format!("sqs:{}", operation.trim_end_matches("Batch")), None);
    }
    if let Some(operation) = call.strip_prefix("DynamoDB_20120810.") {
        return (format!("dynamodb:{operation}"), None);
    }
    if let Some(operation) = call.strip_prefix("AnyScaleFrontendService.") {
        return (format!("application-autoscaling:{operation}"), None);
    }
    let (method, target) = call.split_once(' ').expect("a method and a path");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let qualifier = query.split('&').find_map(|pair| pair.strip_prefix("Qualifier="));
    let qualifier = qualifier.map_or_else(String::new, |qualifier| format!(":{qualifier}"));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if let [.., "schedules", name] = parts[..] {
        let operation = match method {
            "POST" => "CreateSchedule",
            "PUT" => "UpdateSchedule",
            _ => panic!("a call that no role is known for: {call}"),
        };
        return (format!("scheduler:{operation}"), Some(format!("{SCHEDULE}{name}")));
    }
    let action = match (method, &parts[..]) {
        ("POST", [_, "functions", _, "invocations" | "response-streaming-invocations"]) => {
            "InvokeFunction"
        }
        ("GET", [_, "functions", _, "configuration"]) => "GetFunctionConfiguration",
        ("GET", [_, "functions", _, "concurrency"]) => "GetFunctionConcurrency",
        ("GET", [_, "functions", _, "provisioned-concurrency"]) => {
            "GetProvisionedConcurrencyConfig"
        }
        ("PUT", [_, "functions", _, "provisioned-concurrency"]) => {
            "PutProvisionedConcurrencyConfig"
        }
        ("DELETE", [_, "functions", _, "provisioned-concurrency"]) => {
            "DeleteProvisionedConcurrencyConfig"
        }
        ("GET", [_, "functions", _, "aliases", _]) => "GetAlias",
        ("GET", [_, "functions", _]) => "GetFunction",
        ("GET", [_, "account-settings"]) => "GetAccountSettings",
        _ => panic!("a call that no role is known for: {call}"),
    };
    let function = parts.get(2).map(|name| format!("{LAMBDA}{name}{qualifier}"));
    (format!("lambda:{action}"), function)
}

fn permits(role: &[(String, String)], action: &str, arn: Option<&str>) -> bool {
    role.iter().any(|(permitted, pattern)| {
        permitted == action
            && arn.is_none_or(|arn| match pattern.strip_suffix('*') {
                Some(prefix) => arn.starts_with(prefix),
                None => arn == pattern,
            })
    })
}

/// Holds every call that was made against the roles that the policy in `file` needs; returns their actions.
async fn made(cloud: &Cloud, file: &str) -> BTreeSet<String> {
    let (serve, control) = (role(file, "serve").await, role(file, "control").await);
    let mut made = BTreeSet::new();
    for call in cloud.calls().await.keys() {
        let (action, arn) = action(call);
        let arn = arn.as_deref();
        let traffic = action == "lambda:InvokeFunction";
        assert_eq!(permits(&serve, &action, arn), traffic, "serve, {call}: {serve:?}");
        assert_eq!(permits(&control, &action, arn), !traffic, "control, {call}: {control:?}");
        made.insert(action);
    }
    made
}

#[tokio::test]
async fn every_call_that_is_made_is_permitted_to_its_role() {
    let command = format!("['{SCRIPTED}', task]");
    let cloud = Cloud::start(
        &format!(
            "functions:\n  web: {{ command: ['{SCRIPTED}', function], qualifiers: [live] }}\n\
             clusters:\n  prod:\n    services:\n      web: {{ command: {command}, desired: 1, start_lag: 1s }}\n\
             queues:\n  tasks: {{ task_events_of: [prod] }}\n"
        ),
        5,
    )
    .await;
    let policy = format!(
        "endpoint_url: {0}\n\
         services:\n  web:\n    lambda: {{ function: 'web:live', assume: {{ timeout: 30s }} }}\n    \
         container:\n      ecs: {{ cluster: prod, service: web, port: 8080, events: '{0}/123456789012/tasks' }}\n      \
         requests_per_task: 2\n      probe: {{ path: /health, interval: 200ms }}\n\
         routes:\n  - {{ match: {{ path: /lambda }}, service: web, lanes: [lambda] }}\n  \
         - {{ match: {{}}, service: web, lanes: [container] }}\n",
        cloud.url()
    );
    let setup = Setup { wait_ready: false, ..Setup::default() };
    let gateway = Gateway::start_with(&policy, setup).await;
    gateway.until_metric("pacer_tasks", &[("state", "ready")], 1.0).await;
    until("Lambda answers", async || (gateway.get("/lambda").await.status() == 200).then_some(()))
        .await;
    assert_eq!(gateway.get("/").await.status(), 200);
    until("the function is read", async || {
        let calls = cloud.calls().await;
        calls.keys().any(|call| call.ends_with("/account-settings")).then_some(())
    })
    .await;
    // An event of the task that started, most likely: read, and then deleted.
    until("an event is read", async || {
        cloud.calls().await.contains_key("AmazonSQS.DeleteMessageBatch").then_some(())
    })
    .await;

    let file = gateway.directory().join("policy.yaml").display().to_string();
    let made = made(&cloud, &file).await;
    for expected in [
        "lambda:InvokeFunction",
        "ecs:ListTasks",
        "ecs:DescribeTasks",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "lambda:GetAccountSettings",
        "lambda:GetAlias",
        "lambda:GetFunctionConcurrency",
        "lambda:GetFunctionConfiguration",
        "lambda:GetProvisionedConcurrencyConfig",
    ] {
        assert!(made.contains(expected), "no {expected} in {made:?}");
    }
    let other = format!("{LAMBDA}other:live");
    let serve = role(&file, "serve").await;
    assert!(!permits(&serve, "lambda:InvokeFunction", Some(&other)));
    // Nothing is set that only a service in `mode: act` needs.
    let control = role(&file, "control").await;
    for acts in ["ecs:UpdateService", "ecs:UpdateTaskProtection", "scheduler:CreateSchedule"] {
        assert!(!control.iter().any(|(action, _)| action == acts), "{acts} in {control:?}");
    }

    // What a person does, as these tests do it.
    let operator = role(&file, "operator").await;
    cloud.scale(0).await;
    for call in cloud.calls().await.keys() {
        let (action, arn) = action(call);
        if action.starts_with("sqs:") {
            continue; // the gateway's alone
        }
        assert!(permits(&operator, &action, arn.as_deref()), "operator, {call}: {operator:?}");
    }
    drop(gateway);
    cloud.stop().await;
}

#[tokio::test]
async fn a_policy_that_calls_nothing_of_aws_needs_nothing() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("policy.yaml");
    let policy = "version: 1\nservices: { a: { container: { upstreams: [http://a], requests_per_task: 1 } } }\n\
                  routes: [{ match: {}, service: a }]\n";
    std::fs::write(&file, policy).unwrap();
    let file = file.display().to_string();
    let ended = run(["iam", "--policy", &file]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("calls nothing of AWS"), "{}", ended.stderr);
}

#[tokio::test]
async fn every_call_of_an_acting_gateway_is_permitted_to_its_role() {
    let task = format!("command: ['{SCRIPTED}', task], desired: 1, start_lag: 1s");
    let cloud = Cloud::start(
        &format!(
            "functions:\n  web: {{ command: ['{SCRIPTED}', function], qualifiers: [live] }}\n\
             clusters:\n  prod:\n    services:\n      web: {{ {task} }}\n      low: {{ {task} }}\n"
        ),
        60,
    )
    .await;
    let target = json!({
        "ServiceNamespace": "ecs", "ResourceId": "service/prod/low",
        "ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": 1, "MaxCapacity": 5,
    });
    cloud.autoscaling("RegisterScalableTarget", target).await;
    let policy = |min: u32, pool: &str| {
        let container = |service: &str, more: &str| {
            format!(
                "container:\n      ecs: {{ cluster: prod, service: {service}, port: 8080 }}\n      \
                 requests_per_task: 1\n      probe: {{ path: /health, interval: 200ms }}\n      {more}\n"
            )
        };
        let bounds = format!("min: {min}, max: 5, fallback: {min}");
        let role = "arn:aws:iam::123456789012:role/pacer-fallback";
        let desired = container("web", &format!("tasks: {{ {bounds}, scheduler_role: {role} }}"));
        let floor = format!("scale_by: autoscaling-floor\n      tasks: {{ {bounds} }}");
        let floor = container("low", &floor);
        format!(
            "endpoint_url: {}\ndefaults: {{ mode: act }}\nservices:\n  \
             web:\n    lambda: {{ function: 'web:live', cold_start: provisioned, warm_pool: {{ {pool} }} }}\n    \
             {desired}  low:\n    {floor}\
             routes:\n  - {{ match: {{}}, service: web }}\n  - {{ match: {{ path_prefix: /low }}, service: low }}\n",
            cloud.url()
        )
    };
    let setup =
        Setup { wait_ready: false, arguments: vec!["--time-scale", "60"], ..Setup::default() };
    let gateway = Gateway::start_with(&policy(2, "min: 2, max: 2"), setup).await;
    for service in ["web", "low"] {
        let ready = [("service", service), ("state", "ready")];
        gateway.until_metric("pacer_tasks", &ready, 2.0).await;
    }
    gateway.write_policy(&policy(1, "min: 0, max: 2"));
    let all = [
        "ecs:DescribeServices",
        "ecs:UpdateService",
        "ecs:UpdateTaskProtection",
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:RegisterScalableTarget",
        "application-autoscaling:PutScheduledAction",
        "scheduler:CreateSchedule",
        "scheduler:UpdateSchedule",
        "lambda:PutProvisionedConcurrencyConfig",
        "lambda:DeleteProvisionedConcurrencyConfig",
    ];
    until("all that can be set is set", async || {
        let made: BTreeSet<_> = cloud.calls().await.keys().map(|call| action(call).0).collect();
        all.iter().all(|action| made.contains(*action)).then_some(())
    })
    .await;
    let file = gateway.directory().join("policy.yaml").display().to_string();
    made(&cloud, &file).await;
    // What EventBridge Scheduler acts as is passed on, and nothing else is.
    let control = role(&file, "control").await;
    let passed: Vec<_> = control.iter().filter(|(action, _)| action == "iam:PassRole").collect();
    let fallback = "arn:aws:iam::123456789012:role/pacer-fallback";
    assert!(matches!(passed[..], [(_, arn)] if arn == fallback), "{passed:?}");
    let other = format!("{LAMBDA}other:live");
    assert!(!permits(&control, "lambda:PutProvisionedConcurrencyConfig", Some(&other)));
    drop(gateway);
    cloud.stop().await;
}
