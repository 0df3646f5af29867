//! Runs a container's health check: a command beside the container, again and again.
//!
//! As ECS documents it (API reference, `HealthCheck`): the first check comes one interval after the start; one success
//! makes the task healthy, `retries` failures in a row make it unhealthy, and failures within the start period do not
//! count.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use tokio::time::Instant;

use crate::{
    Shared,
    config::HealthCheck,
    ecs::task::{Health, Task},
    process::Process,
};

/// Checks `task`, if its definition has a check, for as long as somebody waits.
pub(crate) async fn watch(
    shared: &Shared,
    task: &Task,
    env: &BTreeMap<String, String>,
) -> Infallible {
    let Some(check) = &task.definition.content.health_check else {
        return std::future::pending().await;
    };
    let begun = Instant::now();
    let mut failures = 0;
    loop {
        tokio::time::sleep(shared.scale.shrink(check.interval)).await;
        let passed = passes(shared, check, env).await;
        let grace = begun.elapsed() < shared.scale.shrink(check.start_period);
        failures = if passed || grace { 0 } else { failures + 1 };
        if passed {
            task.set_health(Health::Healthy);
        } else if check.retries <= failures {
            task.set_health(Health::Unhealthy);
        }
    }
}

async fn passes(shared: &Shared, check: &HealthCheck, env: &BTreeMap<String, String>) -> bool {
    let Ok(process) = Process::spawn(&shared.processes, "health check", &command(check), env)
    else {
        return false;
    };
    let exit = tokio::time::timeout(check.timeout, process.exited()).await;
    process.stop(Duration::ZERO);
    exit.is_ok_and(|exit| exit.code == 0)
}

/// The command line of a check.
fn command(check: &HealthCheck) -> Vec<String> {
    match check.command.split_first() {
        Some((form, text)) if form == "CMD-SHELL" => ["/bin/sh", "-c"]
            .iter()
            .map(|&part| part.to_owned())
            .chain(text.iter().cloned())
            .collect(),
        Some((_, line)) => line.to_vec(),
        None => Vec::new(),
    }
}
