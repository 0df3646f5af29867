//! A container's health check, and its bounds, to which the API holds its callers too.

use std::time::Duration;

use serde::Deserialize;

use crate::units;

/// How it is found out whether a container is healthy: the container definition's `healthCheck`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// As ECS takes it: `[CMD-SHELL, text]` or `[CMD, program, argument...]`. Exit status 0 is healthy. It runs with the
    /// container's variables.
    pub command: Vec<String>,
    /// Time between two checks, 5 s to 300 s. Divided by the time scale.
    #[serde(default = "default_interval", deserialize_with = "units::duration")]
    pub interval: Duration,
    /// How long one check may take, 2 s to 60 s. Real time.
    #[serde(default = "default_timeout", deserialize_with = "units::duration")]
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy, 1 to 10.
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// Time from the start in which failures do not count, 0 s to 300 s. Divided by the time scale.
    #[serde(default, deserialize_with = "units::duration")]
    pub start_period: Duration,
}

fn default_interval() -> Duration {
    Duration::from_secs(30)
}
fn default_timeout() -> Duration {
    Duration::from_secs(5)
}
fn default_retries() -> u32 {
    3
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
