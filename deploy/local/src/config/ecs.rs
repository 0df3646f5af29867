//! The ECS clusters of the configuration, and their services.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{NAME_RULE, Problems, is_name};
use crate::units;

mod capacity;
mod health_check;

pub(crate) use capacity::strategy;
pub use capacity::{CapacityProvider, Provider};
pub use health_check::HealthCheck;

/// Most tasks a service may have unless it says otherwise: processes on one machine, not a cluster's quota.
const TASKS_MAX: u32 = 100;

/// An ECS cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Services by name.
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
}

/// An ECS service: a command that serves HTTP on `HOST`:`PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Program and arguments of a task's process.
    pub command: Vec<String>,
    /// Environment variables, beside `PATH`, `HOME`, `TMPDIR`, `HOST` and `PORT`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The container's port; with `network: bridge` the host port differs.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Desired count at the start.
    #[serde(default = "default_desired")]
    pub desired: u32,
    /// From the decision to run a task to its process (Fargate: 30 s to 90 s). Divided by the time scale.
    #[serde(default = "default_start_lag", deserialize_with = "units::duration")]
    pub start_lag: Duration,
    /// From SIGTERM to SIGKILL, up to 120 s. Divided by the time scale.
    #[serde(default = "default_stop_timeout", deserialize_with = "units::duration")]
    pub stop_timeout: Duration,
    /// Thousandths of a vCPU (written as `vcpu: 0.25`). Billed; the process is not held to it.
    #[serde(
        default = "default_vcpu_milli",
        rename = "vcpu",
        deserialize_with = "units::vcpu_milli"
    )]
    pub vcpu_milli: u32,
    /// Memory in MiB. Billed; the process is not held to it.
    #[serde(default = "default_memory", deserialize_with = "units::mebibytes")]
    pub memory: u32,
    /// Availability zones over which tasks are spread; by default three of the region.
    #[serde(default)]
    pub zones: Vec<String>,
    /// How tasks get their addresses.
    #[serde(default)]
    pub network: Network,
    /// Capacity providers that tasks are spread over; none: launch type `FARGATE`, or `EC2` with
    /// `network: bridge`.
    #[serde(default)]
    pub capacity_providers: Vec<CapacityProvider>,
    /// How it is found out whether a task is healthy; without it, that stays `UNKNOWN`.
    #[serde(default)]
    pub health_check: Option<HealthCheck>,
    /// Healthy tasks kept during a deployment, as a share of the desired count, rounded up.
    #[serde(default = "default_minimum_healthy_percent")]
    pub minimum_healthy_percent: u32,
    /// Tasks that a deployment may bring the service to, as a share of the desired count, rounded down.
    #[serde(default = "default_maximum_percent")]
    pub maximum_percent: u32,
    /// Tasks there is room for; a desired count beyond it is accepted and not reached, as on a full cluster.
    #[serde(default = "default_max")]
    pub max: u32,
}

/// How tasks get their addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// An own 127.x.y.z address a task, as `awsvpc` mode gives it an own interface. Needs Linux.
    #[default]
    Awsvpc,
    /// 127.0.0.1 and a free host port, listed in `networkBindings`.
    Bridge,
}

fn default_port() -> u16 {
    8080
}
fn default_desired() -> u32 {
    1
}
fn default_start_lag() -> Duration {
    Duration::from_secs(30)
}
fn default_stop_timeout() -> Duration {
    Duration::from_secs(30)
}
fn default_vcpu_milli() -> u32 {
    1000
}
fn default_memory() -> u32 {
    2048
}
fn default_minimum_healthy_percent() -> u32 {
    100
}
fn default_maximum_percent() -> u32 {
    200
}
fn default_max() -> u32 {
    TASKS_MAX
}

impl Cluster {
    pub(super) fn check(&self, cluster: &str, problems: &mut Problems) {
        problems.unless(is_name(cluster), format!("clusters.{cluster}: {NAME_RULE}"));
        for (name, service) in &self.services {
            service.check(cluster, name, problems);
        }
    }
}

impl Service {
    /// A service with one task of 1 vCPU and 2 GiB that runs `command`.
    pub fn new(command: Vec<String>) -> Self {
        Self {
            command,
            env: BTreeMap::new(),
            port: default_port(),
            desired: default_desired(),
            start_lag: default_start_lag(),
            stop_timeout: default_stop_timeout(),
            vcpu_milli: default_vcpu_milli(),
            memory: default_memory(),
            zones: Vec::new(),
            network: Network::default(),
            capacity_providers: Vec::new(),
            health_check: None,
            minimum_healthy_percent: default_minimum_healthy_percent(),
            maximum_percent: default_maximum_percent(),
            max: default_max(),
        }
    }

    fn check(&self, cluster: &str, name: &str, problems: &mut Problems) {
        let at = format!("clusters.{cluster}.services.{name}");
        problems.unless(is_name(name), format!("{at}: {NAME_RULE}"));
        problems.unless(
            !self.command.is_empty(),
            format!("{at}.command: is empty; write [program, argument...]"),
        );
        problems.unless(self.port != 0, format!("{at}.port: must be within 1 to 65535"));
        problems.unless(
            self.stop_timeout <= Duration::from_mins(2),
            format!(
                "{at}.stop_timeout: {:?} is more than 120s, the most Fargate allows",
                self.stop_timeout
            ),
        );
        problems.unless(
            self.capacity_providers.is_empty() || self.network == Network::Awsvpc,
            format!("{at}.capacity_providers: Fargate has no `network: bridge`"),
        );
        if let Err(problem) = strategy(&self.capacity_providers) {
            problems.note(format!("{at}.capacity_providers: {problem}"));
        }
        if let Some(Err(problem)) = self.health_check.as_ref().map(HealthCheck::check) {
            problems.note(format!("{at}.health_check.{problem}"));
        }
        problems.unless(
            self.minimum_healthy_percent <= 100,
            format!("{at}.minimum_healthy_percent: {} is above 100", self.minimum_healthy_percent),
        );
        problems.unless(
            (100..=200).contains(&self.maximum_percent)
                && self.minimum_healthy_percent < self.maximum_percent,
            format!(
                "{at}.maximum_percent: {} is not within 100 to 200 and above minimum_healthy_percent",
                self.maximum_percent
            ),
        );
    }
}
