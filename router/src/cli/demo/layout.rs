//! The local cloud as a policy expects it: every function and every service of it, all running the demo's workload.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use pacer_local::config::{self, Config};
use policies::policy::{Container, Discovery, Policy};

/// Tasks of each service when the demo begins, within the policy's bounds: what quiet minutes need, and one to spare. Two
/// also show slots, spills and the choice of a task where nothing scales them.
const TASKS: u32 = 2;
/// Time before an environment's process starts, in the cloud's time: the VM and the image of a container function of
/// some 100 MB.
const ENVIRONMENT_START: Duration = Duration::from_millis(400);

/// Lays the local cloud out as the policy expects it, every function and service running the demo workload.
pub(super) fn lay_out(
    policy: &Policy,
    program: &Path,
    runs: SocketAddr,
    time_scale: f64,
) -> anyhow::Result<Config> {
    let program = PathBuf::from(program).into_os_string().into_string();
    let program = program.map_err(|path| {
        anyhow::anyhow!("the path of this program is not UTF-8: {}", path.display())
    })?;
    let argv = |rest: &[&str]| {
        [program.as_str()].iter().chain(rest).map(|part| (*part).to_owned()).collect::<Vec<_>>()
    };
    let mut config = Config::new();
    config.time_scale = time_scale;
    if let Some(region) = &policy.region {
        config.region = region.to_string();
    }
    for service in &policy.services {
        if let Some(lambda) = &service.lambda {
            let command = argv(&[
                "adapter",
                "--port",
                "0",
                "--ready-path",
                "/health",
                "--",
                &program,
                "demo-app",
            ]);
            let name = local_name(&lambda.function, &mut config.account);
            let function =
                config.functions.entry(name).or_insert_with(|| config::Function::new(command));
            function.env.insert("PACER_DEMO_RUNS".to_owned(), runs.to_string());
            function.memory = lambda.memory_mib;
            function.timeout = lambda.timeout;
            function.start_delay = ENVIRONMENT_START;
            function.qualifiers.extend(lambda.qualifier.as_deref().map(str::to_owned));
        }
        let Some(container) = &service.container else { continue };
        let Discovery::Ecs { cluster, service: name, port, events } = &container.discovery else {
            continue;
        };
        let slots = container.requests_per_task.to_string();
        let mut local = config::Service::new(argv(&["demo-app", "--at-once", &slots]));
        local.env.insert("PACER_DEMO_RUNS".to_owned(), runs.to_string());
        local.port = *port;
        local.desired = first_tasks(container);
        local.vcpu_milli = (container.vcpu * 1000.0).round() as u32;
        local.memory = container.memory_mib;
        // Only Linux has all of 127.0.0.0/8 without asking.
        local.network = if cfg!(target_os = "linux") {
            config::Network::Awsvpc
        } else {
            config::Network::Bridge
        };
        let cluster = local_name(cluster, &mut config.account);
        if let Some(queue) = events.as_ref().and_then(|queue| queue.url.rsplit('/').next()) {
            let queue = config.queues.entry(queue.to_owned()).or_insert_with(no_events);
            queue.task_events_of.push(cluster.clone());
        }
        config.clusters.entry(cluster).or_default().services.insert(name.to_string(), local);
    }
    Ok(config)
}

/// Returns how many tasks a service has when the demo begins.
pub(super) fn first_tasks(container: &Container) -> u32 {
    let limits = container.tasks.as_ref();
    limits.map_or(TASKS, |limits| TASKS.clamp(limits.min.min(limits.max), limits.max))
}

/// A queue that is told of nothing yet.
fn no_events() -> config::Queue {
    config::Queue { task_events_of: Vec::new(), visibility_timeout: Duration::from_secs(30) }
}

/// Returns the bare name in `reference`, a name or an ARN (`arn:aws:lambda:REGION:ACCOUNT:function:NAME`,
/// `arn:aws:ecs:REGION:ACCOUNT:cluster/NAME`), and takes the account over from an ARN.
fn local_name(reference: &str, account: &mut String) -> String {
    let parts: Vec<_> = reference.split(':').collect();
    if parts[0] == "arn" && 5 < parts.len() {
        parts[4].clone_into(account);
    }
    reference.rsplit([':', '/']).next().unwrap_or(reference).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{super::stage::built_in_policy, *};

    #[test]
    fn the_cloud_is_laid_out_as_the_policy_expects() {
        let runs = "127.0.0.1:9".parse().unwrap();
        let config = lay_out(&built_in_policy(), Path::new("/bin/pacer"), runs, 20.0).unwrap();
        config.check().unwrap();
        let function = &config.functions["photos"];
        assert_eq!(
            (function.qualifiers.as_slice(), function.memory),
            (&["live".to_owned()][..], 1769)
        );
        assert_eq!(
            function.command.join(" "),
            "/bin/pacer adapter --port 0 --ready-path /health -- /bin/pacer demo-app"
        );
        let service = &config.clusters["demo"].services["photos"];
        assert_eq!(
            (service.desired, service.vcpu_milli, service.memory, service.port),
            (TASKS, 250, 512, 8080)
        );
        assert_eq!(config.queues["demo-tasks"].task_events_of, ["demo"]);
    }

    #[test]
    fn an_arn_names_function_and_account() {
        let mut account = "123456789012".to_owned();
        assert_eq!(local_name("photos", &mut account), "photos");
        assert_eq!(account, "123456789012");
        assert_eq!(
            local_name("arn:aws:lambda:eu-west-1:210987654321:function:thumb", &mut account),
            "thumb"
        );
        assert_eq!(account, "210987654321");
        assert_eq!(
            local_name("arn:aws:ecs:eu-west-1:210987654321:cluster/prod", &mut account),
            "prod"
        );
    }
}
