//! A Lambda function of the configuration.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{NAME_RULE, Problems, is_name};
use crate::units;

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
    #[serde(default = "default_memory", deserialize_with = "units::mebibytes")]
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

fn default_memory() -> u32 {
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

impl Function {
    /// A function of default memory, timeout and idle time that runs `command`.
    pub fn new(command: Vec<String>) -> Self {
        Self {
            command,
            env: BTreeMap::new(),
            memory: default_memory(),
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

    pub(super) fn check(&self, name: &str, problems: &mut Problems) {
        let at = format!("functions.{name}");
        problems.unless(is_name(name), format!("{at}: {NAME_RULE}"));
        problems.unless(
            !self.command.is_empty(),
            format!("{at}.command: is empty; write [program, argument...]"),
        );
        problems.unless(
            (128..=10_240).contains(&self.memory),
            format!("{at}.memory: {} MiB is not within 128 to 10240", self.memory),
        );
        problems.unless(
            (Duration::from_millis(1)..=Duration::from_mins(15)).contains(&self.timeout),
            format!("{at}.timeout: {:?} is not within 1ms to 15m", self.timeout),
        );
        problems.unless(!self.idle.is_zero(), format!("{at}.idle: must be above 0"));
        problems
            .unless(!self.init_timeout.is_zero(), format!("{at}.init_timeout: must be above 0"));
        for qualifier in &self.qualifiers {
            problems.unless(
                is_name(qualifier),
                format!("{at}.qualifiers: `{qualifier}` is no alias or version"),
            );
        }
    }
}
