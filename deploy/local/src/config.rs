//! What the local cloud runs: functions and services, read from YAML or built in Rust.
//!
//! A key that is not known is an error with its line and column, because a misspelt limit that is silently ignored
//! makes a test pass for the wrong reason.

use std::collections::BTreeMap;

use serde::Deserialize;

mod dynamodb;
mod ecs;
mod lambda;
mod s3;
mod sqs;

pub use dynamodb::Table;
pub(crate) use dynamodb::is_table_name;
pub(crate) use ecs::strategy;
pub use ecs::{CapacityProvider, Cluster, HealthCheck, Network, Provider, Service};
pub use lambda::{Function, LogFormat};
pub(crate) use s3::is_bucket_name;
pub use sqs::Queue;

/// Most functions, and most services, one local cloud runs: each may start processes.
const ENTRIES_MAX: usize = 1000;
/// What is said of a name that [`is_name`] refuses.
const NAME_RULE: &str = "a name has letters, digits, - and _, at most 64";

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
    /// DynamoDB tables by name, which are there from the start.
    #[serde(default)]
    pub tables: BTreeMap<String, Table>,
    /// Names of S3 buckets that are there from the start.
    #[serde(default)]
    pub buckets: Vec<String>,
}

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
            tables: BTreeMap::new(),
            buckets: Vec::new(),
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
        let mut problems = Problems::default();
        problems.unless(
            self.version == 1,
            format!("version: {} is not supported; write 1", self.version),
        );
        problems.unless(
            is_name(&self.region),
            format!("region: `{}` is not a region, like eu-west-1", self.region),
        );
        problems.unless(
            self.account.len() == 12 && self.account.bytes().all(|b| b.is_ascii_digit()),
            format!("account: `{}` is not twelve digits; put quotes around it", self.account),
        );
        problems.unless(
            0.0 < self.time_scale && self.time_scale <= 100_000.0,
            format!(
                "time_scale: {} is out of range; write a number above 0, up to 100000",
                self.time_scale
            ),
        );
        problems.unless(
            self.functions.len() <= ENTRIES_MAX,
            format!("functions: more than {ENTRIES_MAX}"),
        );
        for (name, function) in &self.functions {
            function.check(name, &mut problems);
        }
        let reserved: u64 =
            self.functions.values().filter_map(|f| f.reserved_concurrency.map(u64::from)).sum();
        problems.unless(
            reserved <= u64::from(self.account_concurrency),
            format!(
                "account_concurrency: {} is less than the {reserved} that functions reserve",
                self.account_concurrency
            ),
        );
        let services = self.clusters.values().map(|c| c.services.len()).sum::<usize>();
        problems
            .unless(services <= ENTRIES_MAX, format!("clusters: more than {ENTRIES_MAX} services"));
        for (name, cluster) in &self.clusters {
            cluster.check(name, &mut problems);
        }
        problems
            .unless(self.queues.len() <= ENTRIES_MAX, format!("queues: more than {ENTRIES_MAX}"));
        for (name, queue) in &self.queues {
            queue.check(name, &self.clusters, &mut problems);
        }
        for (what, entries) in [("tables", self.tables.len()), ("buckets", self.buckets.len())] {
            problems.unless(entries <= ENTRIES_MAX, format!("{what}: more than {ENTRIES_MAX}"));
        }
        for (name, table) in &self.tables {
            table.check(name, &mut problems);
        }
        for name in &self.buckets {
            problems.unless(
                is_bucket_name(name),
                format!("buckets: a bucket's name has 3 to 63 lower-case letters, digits, - and ., not `{name}`"),
            );
        }
        problems.none()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// What is wrong with a configuration, in the order of its keys.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    /// Notes `problem`, unless what it is about `holds`.
    fn unless(&mut self, holds: bool, problem: String) {
        if !holds {
            self.note(problem);
        }
    }

    fn note(&mut self, problem: String) {
        self.0.push(problem);
    }

    /// An error that lists them all, if there are any.
    fn none(self) -> anyhow::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        anyhow::bail!("the local cloud's configuration has problems:\n  {}", self.0.join("\n  "))
    }
}

/// Names go into ARNs, paths and addresses; AWS's own limit for functions is 64.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let good = format!(
            "{good}queues:\n  tasks: {{ task_events_of: [prod] }}\n\
             tables:\n  gateways: {{ hash: pk, range: sk }}\nbuckets: [history]\n"
        );
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
            ("gateways: {", "g: {", "tables.g: a table's name"),
            ("range: sk", "range: pk", "`pk` is both hash and range"),
            ("[history]", "[History]", "not `History`"),
        ] {
            let error = Config::parse(&good.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(problem), "{problem} in {error}");
        }
    }
}
