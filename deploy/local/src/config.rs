//! What the local cloud runs: functions and services, read from YAML or built in Rust.
//!
//! A key that is not known is an error with its line and column, because a misspelt limit that is silently ignored
//! makes a test pass for the wrong reason.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::units;

/// The whole configuration. Build it in Rust with [`Config::new`], or read it with [`Config::parse`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this file's form: 1.
    pub version: u32,
    /// Region in ARNs, and the only one whose signatures are accepted.
    #[serde(default = "default_region")]
    pub region: String,
    /// Account in ARNs: twelve digits.
    #[serde(default = "default_account")]
    pub account: String,
    /// Invocations that may run at once in the account (AWS's default quota: 1000).
    #[serde(default = "default_account_concurrency")]
    pub account_concurrency: u32,
    /// How many times faster than real the cloud's lags pass: more than 0, up to 100,000.
    #[serde(default = "default_time_scale")]
    pub time_scale: f64,
    /// Lambda functions by name.
    #[serde(default)]
    pub functions: BTreeMap<String, Function>,
    /// ECS clusters by name.
    #[serde(default)]
    pub clusters: BTreeMap<String, Cluster>,
    /// SQS queues by name.
    #[serde(default)]
    pub queues: BTreeMap<String, Queue>,
}

/// A Lambda function: a command that speaks the Runtime API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Program and arguments of an environment's process.
    pub command: Vec<String>,
    /// Environment variables, beside `PATH`, `HOME`, `TMPDIR` and the ones Lambda sets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Memory in MiB, 128 to 10,240. It is billed and reported; the process is not held to it.
    #[serde(default = "default_function_memory", deserialize_with = "units::mebibytes")]
    pub memory: u32,
    /// How long one invocation may take, up to 15 minutes. Real time.
    #[serde(default = "default_timeout", deserialize_with = "units::duration")]
    pub timeout: Duration,
    /// Aliases and versions that are there at the start. A number has all versions up to it published, an alias points at
    /// the last of them, or at version 1. More come by the API.
    #[serde(default)]
    pub qualifiers: Vec<String>,
    /// Reserved concurrency: a limit, and taken from what all others share. 0 turns the function off.
    #[serde(default)]
    pub reserved_concurrency: Option<u32>,
    /// An environment idle for so long is reaped. Divided by the time scale.
    #[serde(default = "default_idle", deserialize_with = "units::duration")]
    pub idle: Duration,
    /// Time before a new environment's process starts; stands for the VM and the image. Divided by the time scale.
    #[serde(default, deserialize_with = "units::duration")]
    pub start_delay: Duration,
    /// How long a process may take to ask for its first event before it is started once more. Real time.
    #[serde(default = "default_init_timeout", deserialize_with = "units::duration")]
    pub init_timeout: Duration,
    /// Published versions use SnapStart: the process starts for real, `restore/next` exists, and init is not billed.
    #[serde(default)]
    pub snap_start: bool,
    /// How long a version is Pending while its snapshot is made. Divided by the time scale.
    #[serde(default = "default_snapshot_lag", deserialize_with = "units::duration")]
    pub snapshot_lag: Duration,
    /// How long a process may take to ask for its first event after it was restored. Real time.
    #[serde(default = "default_restore_timeout", deserialize_with = "units::duration")]
    pub restore_timeout: Duration,
    /// Form of the lines that Lambda logs.
    #[serde(default)]
    pub log_format: LogFormat,
}

/// Form of the lines that Lambda logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `REPORT RequestId: ...`.
    #[default]
    Text,
    /// An object a line.
    Json,
}

impl LogFormat {
    /// As the API and `AWS_LAMBDA_LOG_FORMAT` write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Json => "JSON",
        }
    }
}

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
    #[serde(default = "default_service_memory", deserialize_with = "units::mebibytes")]
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

/// A capacity provider of a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityProvider {
    /// Which one.
    pub provider: Provider,
    /// Tasks that run on it before weights count. Only one provider of a strategy may have a base.
    #[serde(default)]
    pub base: u32,
    /// Its share of the tasks beyond the base, beside the others' weights.
    #[serde(default = "default_weight")]
    pub weight: u32,
}

/// Fargate's capacity providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Provider {
    /// On demand.
    Fargate,
    /// Spare capacity, which may be taken back with two minutes' notice.
    FargateSpot,
}

impl Provider {
    /// As ECS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fargate => "FARGATE",
            Self::FargateSpot => "FARGATE_SPOT",
        }
    }

    /// The provider of this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Fargate, Self::FargateSpot].into_iter().find(|provider| provider.name() == name)
    }
}

/// How it is found out whether a container is healthy: the container definition's `healthCheck`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// As ECS takes it: `[CMD-SHELL, text]` or `[CMD, program, argument...]`. Exit status 0 is healthy. It runs with the
    /// container's variables.
    pub command: Vec<String>,
    /// Time between two checks, 5 s to 300 s. Divided by the time scale.
    #[serde(default = "default_check_interval", deserialize_with = "units::duration")]
    pub interval: Duration,
    /// How long one check may take, 2 s to 60 s. Real time.
    #[serde(default = "default_check_timeout", deserialize_with = "units::duration")]
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy, 1 to 10.
    #[serde(default = "default_check_retries")]
    pub retries: u32,
    /// Time from the start in which failures do not count, 0 s to 300 s. Divided by the time scale.
    #[serde(default, deserialize_with = "units::duration")]
    pub start_period: Duration,
}

/// An SQS queue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Clusters whose task state change events it is sent, as by a rule of EventBridge.
    #[serde(default)]
    pub task_events_of: Vec<String>,
    /// How long a message that was received and not deleted is hidden, up to 12 h. Real time.
    #[serde(default = "default_visibility_timeout", deserialize_with = "units::duration")]
    pub visibility_timeout: Duration,
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

/// Most functions, and most services, one local cloud runs: each may start processes.
const ENTRIES_MAX: usize = 1000;
/// Most tasks a service may have unless it says otherwise: processes on one machine, not a cluster's quota.
const TASKS_MAX: u32 = 100;

fn default_region() -> String {
    "eu-west-1".into()
}
fn default_account() -> String {
    "123456789012".into()
}
fn default_account_concurrency() -> u32 {
    1000
}
fn default_time_scale() -> f64 {
    1.0
}
fn default_function_memory() -> u32 {
    1769
}
fn default_timeout() -> Duration {
    Duration::from_secs(30)
}
fn default_idle() -> Duration {
    Duration::from_mins(5)
}
fn default_init_timeout() -> Duration {
    Duration::from_secs(10)
}
/// Making a snapshot takes minutes at AWS.
fn default_snapshot_lag() -> Duration {
    Duration::from_mins(1)
}
/// AWS's limit for what runs after a restore.
fn default_restore_timeout() -> Duration {
    Duration::from_secs(10)
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
fn default_service_memory() -> u32 {
    2048
}
fn default_max() -> u32 {
    TASKS_MAX
}
fn default_weight() -> u32 {
    1
}
fn default_check_interval() -> Duration {
    Duration::from_secs(30)
}
fn default_check_timeout() -> Duration {
    Duration::from_secs(5)
}
fn default_check_retries() -> u32 {
    3
}
fn default_visibility_timeout() -> Duration {
    Duration::from_secs(30)
}
fn default_minimum_healthy_percent() -> u32 {
    100
}
fn default_maximum_percent() -> u32 {
    200
}

impl Config {
    /// An empty cloud in `eu-west-1` with AWS's default limits, in real time.
    pub fn new() -> Self {
        Self {
            version: 1,
            region: default_region(),
            account: default_account(),
            account_concurrency: default_account_concurrency(),
            time_scale: default_time_scale(),
            functions: BTreeMap::new(),
            clusters: BTreeMap::new(),
            queues: BTreeMap::new(),
        }
    }

    /// Reads a configuration from YAML.
    ///
    /// # Errors
    /// Syntax and unknown keys with line and column; then everything [`Config::check`] finds.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = serde_saphyr::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types cannot hold; [`crate::start`] does it for configurations built in Rust too.
    ///
    /// # Errors
    /// Lists all problems, each with the path of the key and the fix.
    pub fn check(&self) -> anyhow::Result<()> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        check(self.version == 1, format!("version: {} is not supported; write 1", self.version));
        check(
            is_name(&self.region),
            format!("region: `{}` is not a region, like eu-west-1", self.region),
        );
        check(
            self.account.len() == 12 && self.account.bytes().all(|b| b.is_ascii_digit()),
            format!("account: `{}` is not twelve digits; put quotes around it", self.account),
        );
        check(
            0.0 < self.time_scale && self.time_scale <= 100_000.0,
            format!(
                "time_scale: {} is out of range; write a number above 0, up to 100000",
                self.time_scale
            ),
        );
        check(self.functions.len() <= ENTRIES_MAX, format!("functions: more than {ENTRIES_MAX}"));
        for (name, f) in &self.functions {
            let at = format!("functions.{name}");
            check(is_name(name), format!("{at}: a name has letters, digits, - and _, at most 64"));
            check(
                !f.command.is_empty(),
                format!("{at}.command: is empty; write [program, argument...]"),
            );
            check(
                (128..=10_240).contains(&f.memory),
                format!("{at}.memory: {} MiB is not within 128 to 10240", f.memory),
            );
            check(
                (Duration::from_millis(1)..=Duration::from_mins(15)).contains(&f.timeout),
                format!("{at}.timeout: {:?} is not within 1ms to 15m", f.timeout),
            );
            check(!f.idle.is_zero(), format!("{at}.idle: must be above 0"));
            check(!f.init_timeout.is_zero(), format!("{at}.init_timeout: must be above 0"));
            for qualifier in &f.qualifiers {
                check(
                    is_name(qualifier),
                    format!("{at}.qualifiers: `{qualifier}` is no alias or version"),
                );
            }
        }
        let reserved: u64 =
            self.functions.values().filter_map(|f| f.reserved_concurrency.map(u64::from)).sum();
        check(
            reserved <= u64::from(self.account_concurrency),
            format!(
                "account_concurrency: {} is less than the {reserved} that functions reserve",
                self.account_concurrency
            ),
        );
        let services = self.clusters.values().map(|c| c.services.len()).sum::<usize>();
        check(services <= ENTRIES_MAX, format!("clusters: more than {ENTRIES_MAX} services"));
        for (cluster, services) in &self.clusters {
            check(
                is_name(cluster),
                format!("clusters.{cluster}: a name has letters, digits, - and _, at most 64"),
            );
            for (name, s) in &services.services {
                let at = format!("clusters.{cluster}.services.{name}");
                check(
                    is_name(name),
                    format!("{at}: a name has letters, digits, - and _, at most 64"),
                );
                check(
                    !s.command.is_empty(),
                    format!("{at}.command: is empty; write [program, argument...]"),
                );
                check(s.port != 0, format!("{at}.port: must be within 1 to 65535"));
                check(
                    s.stop_timeout <= Duration::from_mins(2),
                    format!(
                        "{at}.stop_timeout: {:?} is more than 120s, the most Fargate allows",
                        s.stop_timeout
                    ),
                );
                s.check(&at, &mut check);
            }
        }
        check(self.queues.len() <= ENTRIES_MAX, format!("queues: more than {ENTRIES_MAX}"));
        for (name, queue) in &self.queues {
            let at = format!("queues.{name}");
            check(is_name(name), format!("{at}: a name has letters, digits, - and _, at most 64"));
            check(
                queue.visibility_timeout <= Duration::from_hours(12),
                format!("{at}.visibility_timeout: {:?} is more than 12h", queue.visibility_timeout),
            );
            for cluster in &queue.task_events_of {
                check(
                    self.clusters.contains_key(cluster),
                    format!("{at}.task_events_of: there is no cluster `{cluster}`"),
                );
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        anyhow::bail!("the local cloud's configuration has problems:\n  {}", problems.join("\n  "))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Function {
    /// A function of default memory, timeout and idle time that runs `command`.
    pub fn new(command: Vec<String>) -> Self {
        Self {
            command,
            env: BTreeMap::new(),
            memory: default_function_memory(),
            timeout: default_timeout(),
            qualifiers: Vec::new(),
            reserved_concurrency: None,
            idle: default_idle(),
            start_delay: Duration::ZERO,
            init_timeout: default_init_timeout(),
            snap_start: false,
            snapshot_lag: default_snapshot_lag(),
            restore_timeout: default_restore_timeout(),
            log_format: LogFormat::default(),
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
            memory: default_service_memory(),
            zones: Vec::new(),
            network: Network::default(),
            capacity_providers: Vec::new(),
            health_check: None,
            minimum_healthy_percent: default_minimum_healthy_percent(),
            maximum_percent: default_maximum_percent(),
            max: default_max(),
        }
    }

    /// Checks what concerns capacity, health and deployments.
    fn check(&self, at: &str, check: &mut impl FnMut(bool, String)) {
        check(
            self.capacity_providers.is_empty() || self.network == Network::Awsvpc,
            format!("{at}.capacity_providers: Fargate has no `network: bridge`"),
        );
        if let Err(problem) = strategy(&self.capacity_providers) {
            check(false, format!("{at}.capacity_providers: {problem}"));
        }
        if let Some(Err(problem)) = self.health_check.as_ref().map(HealthCheck::check) {
            check(false, format!("{at}.health_check.{problem}"));
        }
        check(
            self.minimum_healthy_percent <= 100,
            format!("{at}.minimum_healthy_percent: {} is above 100", self.minimum_healthy_percent),
        );
        check(
            (100..=200).contains(&self.maximum_percent)
                && self.minimum_healthy_percent < self.maximum_percent,
            format!(
                "{at}.maximum_percent: {} is not within 100 to 200 and above minimum_healthy_percent",
                self.maximum_percent
            ),
        );
    }
}

impl HealthCheck {
    /// Checks the bounds that ECS has (API reference, `HealthCheck`).
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        let form = self.command.first().map(String::as_str);
        let has_arguments = 2 <= self.command.len();
        let seconds = |from, to| Duration::from_secs(from)..=Duration::from_secs(to);
        if !has_arguments || !matches!(form, Some("CMD" | "CMD-SHELL")) {
            return Err("command: is not [CMD-SHELL, text] or [CMD, program, argument...]".into());
        }
        if !seconds(5, 300).contains(&self.interval) {
            return Err(format!("interval: {:?} is not within 5s to 300s", self.interval));
        }
        if !seconds(2, 60).contains(&self.timeout) {
            return Err(format!("timeout: {:?} is not within 2s to 60s", self.timeout));
        }
        if !(1..=10).contains(&self.retries) {
            return Err(format!("retries: {} is not within 1 to 10", self.retries));
        }
        if !seconds(0, 300).contains(&self.start_period) {
            return Err(format!("start_period: {:?} is not within 0s to 300s", self.start_period));
        }
        Ok(())
    }
}

/// Checks what ECS asks of a capacity provider strategy (API reference, `CapacityProviderStrategyItem`).
///
/// # Errors
/// Says which rule is broken.
pub(crate) fn strategy(items: &[CapacityProvider]) -> Result<(), &'static str> {
    let twice = |(i, item): (usize, &CapacityProvider)| {
        items[..i].iter().any(|other| other.provider == item.provider)
    };
    if items.iter().enumerate().any(twice) {
        return Err("a provider is named twice");
    }
    if 1 < items.iter().filter(|item| 0 < item.base).count() {
        return Err("only one provider may have a base");
    }
    if items.iter().any(|item| 1000 < item.weight || 100_000 < item.base) {
        return Err("a weight is at most 1000, a base at most 100000");
    }
    if !items.is_empty() && items.iter().all(|item| item.weight == 0) {
        return Err("one provider must have a weight above 0");
    }
    Ok(())
}

/// Names go into ARNs, paths and addresses; AWS's own limit for functions is 64.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "version: 1\nfunctions:\n  thumb:\n    command: [app]\n    memory: 512MiB\n    timeout: 3s\n\
        clusters:\n  prod:\n    services:\n      web: { command: [app], vcpu: 0.25, memory: 2GiB, network: bridge }\n";

    #[test]
    fn a_small_file_is_read_with_defaults() {
        let config = Config::parse(SMALL).unwrap();
        let thumb = &config.functions["thumb"];
        assert_eq!((thumb.memory, thumb.timeout), (512, Duration::from_secs(3)));
        assert_eq!(thumb.idle, Duration::from_mins(5));
        let web = &config.clusters["prod"].services["web"];
        assert_eq!(
            (web.vcpu_milli, web.memory, web.network, web.port),
            (250, 2048, Network::Bridge, 8080)
        );
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_place() {
        let error = Config::parse(&SMALL.replace("timeout", "time_out")).unwrap_err().to_string();
        assert!(error.contains("time_out"), "{error}");
        assert!(error.contains("line 6") && error.contains("column 5"), "{error}");
    }

    #[test]
    fn a_wrong_unit_is_an_error_with_its_place_and_the_fix() {
        let error = Config::parse(&SMALL.replace("512MiB", "512MB")).unwrap_err().to_string();
        assert!(error.contains("line 5") && error.contains("like `512MiB`"), "{error}");
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let text = SMALL.replace("version: 1", "version: 2\naccount_concurrency: 1");
        let text = text.replace("512MiB", "64MiB\n    reserved_concurrency: 7");
        let error = Config::parse(&text).unwrap_err().to_string();
        for part in
            ["version: 2", "functions.thumb.memory", "account_concurrency: 1 is less than the 7"]
        {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn capacity_health_deployments_and_queues_are_checked() {
        let good = SMALL.replace("network: bridge", "capacity_providers: [{ provider: FARGATE, base: 1 }, { provider: FARGATE_SPOT, weight: 3 }], \
             health_check: { command: [CMD-SHELL, 'true'] }");
        let good = format!("{good}queues:\n  tasks: {{ task_events_of: [prod] }}\n");
        let web = Config::parse(&good).unwrap().clusters["prod"].services["web"].clone();
        assert_eq!(web.capacity_providers[1].provider, Provider::FargateSpot);
        assert_eq!(web.health_check.unwrap().interval, Duration::from_secs(30));
        for (from, to, problem) in [
            ("weight: 3", "weight: 3, base: 1", "only one provider may have a base"),
            ("FARGATE_SPOT", "FARGATE", "a provider is named twice"),
            ("vcpu: 0.25", "vcpu: 0.25, network: bridge", "Fargate has no `network: bridge`"),
            ("[CMD-SHELL, 'true']", "['true']", "health_check.command"),
            ("'true'] }", "'true'], interval: 1s }", "health_check.interval"),
            ("vcpu: 0.25", "vcpu: 0.25, maximum_percent: 50", "maximum_percent: 50"),
            ("vcpu: 0.25", "vcpu: 0.25, maximum_percent: 100", "above minimum_healthy_percent"),
            ("task_events_of: [prod]", "task_events_of: [gone]", "there is no cluster `gone`"),
        ] {
            let error = Config::parse(&good.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(problem), "{problem} in {error}");
        }
    }
}
