//! The container of a task: a process that serves HTTP where its environment says.

use std::{collections::BTreeMap, io, net::SocketAddr};

use super::{Task, address};
use crate::{Shared, config::Network, process::Process};

/// Starts the process of `task` on an address of its own. Returns its environment too.
pub(super) fn start(
    task: &Task,
    shared: &Shared,
    (cluster, service): (&str, &str),
) -> io::Result<(Process, SocketAddr, BTreeMap<String, String>)> {
    let content = &task.definition.content;
    let address = address::free(content.network, content.port)?;
    let mut env = content.env.clone();
    env.insert("HOST".into(), address.ip().to_string());
    env.insert("PORT".into(), address.port().to_string());
    env.insert("AWS_REGION".into(), shared.config.region.clone());
    let execution =
        if content.network == Network::Awsvpc { "AWS_ECS_FARGATE" } else { "AWS_ECS_EC2" };
    env.insert("AWS_EXECUTION_ENV".into(), execution.into());
    let label = format!("{cluster}/{service}/{}", &task.id[..8]);
    let process = Process::spawn(&shared.processes, &label, &content.command_line(), &env)?;
    Ok((process, address, env))
}
