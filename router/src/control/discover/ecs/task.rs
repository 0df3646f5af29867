//! A task as ECS describes it, and where it listens.
//!
//! In awsvpc mode a task has an address of its own. In bridge and host mode it has a port on its host, and ECS tells the
//! host's address only where the port is bound to one: not where it is bound to all of them (0.0.0.0), as Docker does by
//! default. Finding that out takes DescribeContainerInstances and EC2's DescribeInstances, two more permissions, one of
//! another service; it is not done, and [`found`] says so when it leaves a service without tasks.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::SystemTime,
};

use policies::policy::Arch;

use aws_sdk_ecs::types::{Attachment, Container, HealthStatus, Task};

use super::super::{Found, Placed};
use crate::ledger::held::Life;

const RUNNING: &str = "RUNNING";
/// The capacity provider whose tasks AWS may take back with two minutes' notice.
const SPOT: &str = "FARGATE_SPOT";

/// A task that runs and is meant to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The last part of its ARN.
    pub(super) name: Arc<str>,
    /// The address of its own network interface (awsvpc mode).
    own: Option<IpAddr>,
    /// Its container ports, each with the port of its host that leads there (bridge and host mode), if ECS says on which
    /// address.
    bound: Vec<(u16, Option<SocketAddr>)>,
    unhealthy: bool,
    placed: Placed,
}

/// Returns what is to be known of a task, if it is up and meant to stay so.
pub(super) fn seen(task: &Task) -> Option<Seen> {
    if task.last_status() != Some(RUNNING) || task.desired_status() != Some(RUNNING) {
        return None;
    }
    let arn = task.task_arn().unwrap_or_default();
    let bindings = task.containers().iter().flat_map(Container::network_bindings);
    let bound = bindings.filter_map(|binding| {
        let port = u16::try_from(binding.container_port()?).ok()?;
        let host_port = u16::try_from(binding.host_port()?).ok().filter(|port| *port != 0)?;
        let host: Option<IpAddr> = binding.bind_ip().and_then(|ip| ip.parse().ok());
        // 0.0.0.0 says "every address of the host" and names none.
        let host = host.filter(|host| !host.is_unspecified());
        Some((port, host.map(|host| SocketAddr::new(host, host_port))))
    });
    Some(Seen {
        name: arn.rsplit('/').next().unwrap_or(arn).into(),
        own: own_address(task),
        bound: bound.collect(),
        unhealthy: task.health_status() == Some(&HealthStatus::Unhealthy),
        placed: Placed {
            created: task.created_at().and_then(|at| SystemTime::try_from(*at).ok()),
            zone: task.availability_zone().map(Into::into),
            definition: task.task_definition_arn().map(Into::into),
            spot: task.capacity_provider_name() == Some(SPOT),
        },
    })
}

/// Returns for how long a task is paid for, and of what size.
pub(super) fn life(task: &Task) -> Life {
    let arn = task.task_arn().unwrap_or_default();
    let time = |at: Option<&aws_sdk_ecs::primitives::DateTime>| {
        at.and_then(|at| SystemTime::try_from(*at).ok())
    };
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let arch =
        task.attributes().iter().find(|attribute| attribute.name() == "ecs.cpu-architecture");
    Life {
        name: arn.rsplit('/').next().unwrap_or(arn).into(),
        // On EC2 nothing is billed by the task; there it counts from its start.
        from: time(task.pull_started_at()).or_else(|| time(task.started_at())),
        until: time(task.stopped_at()),
        spot: task.capacity_provider_name() == Some(SPOT),
        size: number(task.cpu()).zip(number(task.memory())),
        arch: arch.and_then(|attribute| match attribute.value() {
            Some("x86_64") => Some(Arch::X86_64),
            Some("arm64") => Some(Arch::Arm64),
            _ => None,
        }),
    }
}

/// Returns the tasks with the address of their container port `port`. One odd task among good ones is passed over.
///
/// # Errors
/// When there are tasks and none can be used: why not, and what to do.
pub(super) fn found<'a>(
    seen: impl Iterator<Item = &'a Seen>,
    port: u16,
) -> Result<Vec<Found>, String> {
    let (mut all, mut unusable) = (Vec::new(), None);
    for task in seen {
        match task.address(port) {
            Ok(address) => all.push(Found {
                name: task.name.clone(),
                address,
                tls: None,
                unhealthy: task.unhealthy,
                placed: task.placed.clone(),
            }),
            Err(error) => unusable = Some(error),
        }
    }
    match unusable {
        Some(error) if all.is_empty() => Err(error),
        _ => Ok(all),
    }
}

impl Seen {
    fn address(&self, port: u16) -> Result<SocketAddr, String> {
        if let Some(own) = self.own {
            return Ok(SocketAddr::new(own, port));
        }
        let name = &self.name;
        match self.bound.iter().find(|(container, _)| *container == port) {
            Some((_, Some(address))) => Ok(*address),
            Some((_, None)) => Err(format!(
                "task `{name}` has container port {port} on its host, and ECS does not tell the host's address: Pacer does \
                 not ask EC2 for it; use network mode awsvpc, or name the hosts in `upstreams`"
            )),
            None => Err(format!(
                "task `{name}` has neither an address of its own nor a host port for container port {port}: use network \
                 mode awsvpc, or mend `ecs.port`"
            )),
        }
    }
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

#[cfg(test)]
pub(super) mod tests {
    use aws_sdk_ecs::types::{KeyValuePair, NetworkBinding};

    use super::*;

    fn running() -> aws_sdk_ecs::types::builders::TaskBuilder {
        Task::builder()
            .task_arn("arn:aws:ecs:eu-west-1:123456789012:task/prod/0a1b")
            .last_status("RUNNING")
            .desired_status("RUNNING")
    }

    /// A task with an address of its own.
    pub(in super::super) fn seen_at(name: &str) -> Seen {
        let own = Some(IpAddr::from([10, 0, 0, name.as_bytes()[0]]));
        Seen {
            name: name.into(),
            own,
            bound: Vec::new(),
            unhealthy: false,
            placed: Placed::default(),
        }
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
        let task = seen(&running().attachments(interface).build()).unwrap();
        assert_eq!(
            found([&task].into_iter(), 8080).unwrap(),
            [Found {
                name: "0a1b".into(),
                address: "10.0.3.7:8080".parse().unwrap(),
                tls: None,
                unhealthy: false,
                placed: Placed::default(),
            }]
        );
    }

    #[test]
    fn a_task_in_bridge_mode_is_found_by_its_host_port() {
        let of = |task: &Task, port| seen(task).unwrap().address(port);
        assert_eq!(of(&bound("127.0.0.1"), 8080), Ok("127.0.0.1:32768".parse().unwrap()));
        let error = of(&bound("0.0.0.0"), 8080).unwrap_err();
        assert!(error.contains("0a1b") && error.contains("does not ask EC2"), "{error}");
        let error = of(&bound("127.0.0.1"), 8081).unwrap_err();
        assert!(error.contains("mend `ecs.port`"), "another port is not the service: {error}");
    }

    #[test]
    fn one_odd_task_among_good_ones_is_passed_over() {
        let (good, odd) = (seen(&bound("127.0.0.1")).unwrap(), seen(&bound("0.0.0.0")).unwrap());
        assert_eq!(found([&odd, &good].into_iter(), 8080).unwrap().len(), 1);
        assert!(
            found([&odd].into_iter(), 8080).is_err(),
            "when none can be used, somebody should know"
        );
        assert_eq!(found([].into_iter(), 8080), Ok(Vec::new()));
    }

    #[test]
    fn only_what_runs_and_is_meant_to_counts() {
        assert!(seen(&running().build()).is_some());
        assert!(seen(&running().desired_status("STOPPED").build()).is_none());
        assert!(seen(&running().last_status("PENDING").build()).is_none());
        assert!(seen(&running().last_status("ACTIVATING").build()).is_none());
        assert!(seen(&Task::builder().build()).is_none());
    }

    #[test]
    fn only_what_its_check_calls_unhealthy_is() {
        for (status, unhealthy) in [
            (HealthStatus::Unhealthy, true),
            (HealthStatus::Healthy, false),
            // Without a check it stays so.
            (HealthStatus::UnknownValue, false),
        ] {
            let task = running().health_status(status.clone()).build();
            assert_eq!(seen(&task).unwrap().unhealthy, unhealthy, "{status}");
        }
        assert!(!seen(&running().build()).unwrap().unhealthy);
    }
}
