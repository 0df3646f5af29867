//! Asks ECS for the running tasks of a service.
//!
//! Only the two calls that every role may be given alone are used: ListTasks and DescribeTasks. In awsvpc mode a task has
//! an address of its own. In bridge mode it has a port on its host, whose address ECS does not tell; it is used when the
//! binding names one.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use aws_sdk_ecs::{
    Client,
    error::ProvideErrorMetadata,
    types::{Attachment, Container, DesiredStatus, Task},
};

use super::Found;

/// Tasks that one DescribeTasks takes (ECS API reference, DescribeTasks, `tasks`: up to 100).
const DESCRIBE_MAX: usize = 100;

/// Tasks followed in one service, ten times the default of 5,000 tasks a service would be a runaway listing: stop there.
const TASKS_MAX: usize = 5000;

const RUNNING: &str = "RUNNING";

/// Lists the tasks of `service` in `cluster` that run and are meant to, with the address of container port `port`.
pub(super) async fn list(
    client: Client,
    cluster: Arc<str>,
    service: Arc<str>,
    port: u16,
) -> Result<Vec<Found>, String> {
    let mut arns: Vec<String> = Vec::new();
    let mut pages = client
        .list_tasks()
        .cluster(&*cluster)
        .service_name(&*service)
        .desired_status(DesiredStatus::Running)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| told("ListTasks", &cluster, &service, &error))?;
        arns.extend(page.task_arns.unwrap_or_default());
        if TASKS_MAX < arns.len() {
            return Err(format!(
                "ECS ListTasks for service `{service}` lists more than {TASKS_MAX} tasks"
            ));
        }
    }
    let mut all = Vec::with_capacity(arns.len());
    let mut unusable = None;
    for arns in arns.chunks(DESCRIBE_MAX) {
        let described =
            client.describe_tasks().cluster(&*cluster).set_tasks(Some(arns.to_vec())).send().await;
        let described =
            described.map_err(|error| told("DescribeTasks", &cluster, &service, &error))?;
        for task in described.tasks().iter().filter(|task| is_running(task)) {
            match found(task, port) {
                Ok(found) => all.push(found),
                Err(error) => unusable = Some(error),
            }
        }
    }
    match unusable {
        // One odd task among good ones is passed over; when none can be used, somebody should know why.
        Some(error) if all.is_empty() => Err(error),
        _ => Ok(all),
    }
}

/// Tells whether a task is up and meant to stay so.
fn is_running(task: &Task) -> bool {
    task.last_status() == Some(RUNNING) && task.desired_status() == Some(RUNNING)
}

/// Returns a running task's name and the address of its container port `port`.
fn found(task: &Task, port: u16) -> Result<Found, String> {
    let arn = task.task_arn().unwrap_or_default();
    let name = arn.rsplit('/').next().unwrap_or(arn);
    let address = own_address(task).map(|ip| SocketAddr::new(ip, port)).or_else(|| bound_address(task, port)).ok_or_else(|| {
        format!(
            "task `{name}` has neither an address of its own nor a host port with one for container port {port}: \
             use network mode awsvpc, or mend `ecs.port`"
        )
    })?;
    Ok(Found { name: name.into(), address, tls: None })
}

/// Returns the address of the task's own network interface (awsvpc mode).
fn own_address(task: &Task) -> Option<IpAddr> {
    let interfaces = task
        .attachments()
        .iter()
        .filter(|attachment| attachment.r#type() == Some("ElasticNetworkInterface"));
    let mut details = interfaces.flat_map(Attachment::details);
    let attached = details
        .find(|detail| detail.name() == Some("privateIPv4Address"))
        .and_then(|detail| detail.value());
    let mut of_containers = task.containers().iter().flat_map(Container::network_interfaces);
    attached
        .or_else(|| of_containers.find_map(|interface| interface.private_ipv4_address()))?
        .parse()
        .ok()
}

/// Returns the host's address and port that container port `port` is bound to (bridge and host mode).
fn bound_address(task: &Task, port: u16) -> Option<SocketAddr> {
    let mut bindings = task.containers().iter().flat_map(Container::network_bindings);
    let binding = bindings.find(|binding| binding.container_port() == Some(i32::from(port)))?;
    let host: IpAddr = binding.bind_ip()?.parse().ok()?;
    let host_port = u16::try_from(binding.host_port()?).ok()?;
    // 0.0.0.0 says "every address of the host" and names none.
    (!host.is_unspecified() && host_port != 0).then_some(SocketAddr::new(host, host_port))
}

/// Returns one sentence about a failed call: what was tried, with what, and what AWS said.
fn told<E>(call: &str, cluster: &str, service: &str, error: &E) -> String
where
    E: ProvideErrorMetadata + Error,
{
    let why = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => chain(error),
    };
    format!("ECS {call} for service `{service}` in cluster `{cluster}`: {why}")
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{KeyValuePair, NetworkBinding};

    use super::*;

    fn running() -> aws_sdk_ecs::types::builders::TaskBuilder {
        Task::builder()
            .task_arn("arn:aws:ecs:eu-west-1:123456789012:task/prod/0a1b")
            .last_status("RUNNING")
            .desired_status("RUNNING")
    }

    fn bound(ip: &str) -> Task {
        let binding =
            NetworkBinding::builder().bind_ip(ip).container_port(8080).host_port(32768).build();
        let other =
            NetworkBinding::builder().bind_ip(ip).container_port(9000).host_port(32769).build();
        running()
            .containers(
                Container::builder().network_bindings(other).network_bindings(binding).build(),
            )
            .build()
    }

    #[test]
    fn a_task_in_awsvpc_mode_is_found_by_its_own_address() {
        let address = KeyValuePair::builder().name("privateIPv4Address").value("10.0.3.7").build();
        let subnet = KeyValuePair::builder().name("subnetId").value("subnet-1").build();
        let interface = Attachment::builder()
            .r#type("ElasticNetworkInterface")
            .details(subnet)
            .details(address)
            .build();
        let found = found(&running().attachments(interface).build(), 8080).unwrap();
        assert_eq!(
            found,
            Found { name: "0a1b".into(), address: "10.0.3.7:8080".parse().unwrap(), tls: None }
        );
    }

    #[test]
    fn a_task_in_bridge_mode_is_found_by_its_host_port() {
        assert_eq!(
            found(&bound("127.0.0.1"), 8080).unwrap().address,
            "127.0.0.1:32768".parse().unwrap()
        );
        let error = found(&bound("0.0.0.0"), 8080).unwrap_err();
        assert!(error.contains("0a1b") && error.contains("awsvpc"), "{error}");
        assert!(found(&bound("127.0.0.1"), 8081).is_err(), "another port is not the service");
    }

    #[test]
    fn only_what_runs_and_is_meant_to_counts() {
        assert!(is_running(&running().build()));
        assert!(!is_running(&running().desired_status("STOPPED").build()));
        assert!(!is_running(&running().last_status("PENDING").build()));
        assert!(!is_running(&Task::builder().build()));
    }
}
