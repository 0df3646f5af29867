//! What the demo plays on: the local cloud and the gateway, both in this process.
//!
//! The gateway is the real one, started as `pacer serve` starts it; only the endpoint of its AWS calls differs. The cloud
//! is laid out from the policy, so that an edited policy still finds its functions and services. A policy that would
//! reach beyond this machine is refused.

use std::{
    env, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail, ensure};
use pacer_demo::load::{arrivals::Trace, calibrate::Pace};
use pacer_local::config::Config;
use policies::{
    load::Source,
    policy::{Discovery, Policy, State},
};
use tempfile::TempDir;
use tokio::{sync::oneshot, time::Instant};

use super::{asked::asked, cloud, layout::lay_out, past};
use crate::{
    app,
    control::capacity::Clock,
    files::{FileSource, ReadPolicy, read_policy},
};

/// Name of the built-in policy in messages.
const BUILT_IN: &str = "the built-in demo.yaml";
/// How long the gateway's start waits for the tasks to run: it then finds them with its first look, as a gateway that is
/// put in front of a service does. Not longer, so that traffic flows within 5 s; with a small time scale it begins without.
const TASKS_WITHIN: Duration = Duration::from_secs(3);
/// Time from the gateway's start until the load begins: it then has what was asked before, and has looked around.
const LEAD: Duration = Duration::from_millis(500);
/// Stands for the local cloud's address while the policy is read to lay the cloud out. Nothing is sent there.
const NO_CLOUD_YET: &str = "http://127.0.0.1:1";

/// The command's ports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    /// Data port.
    pub data: u16,
    /// Admin API.
    pub admin: u16,
    /// Metrics.
    pub metrics: u16,
}

/// The running cloud and gateway.
pub(crate) struct Stage {
    /// The gateway.
    gateway: app::Running,
    cloud: Cloud,
    /// The policy both were made from, read once more for the objectives.
    pub policy: Policy,
    /// When the load is to begin: what the gateway's clock shows then is when the recording begins.
    pub begins: Instant,
    /// The gateway has what was asked before.
    pub knows_past: bool,
    /// What the gateway keeps of what it was asked; gone with this.
    _state: TempDir,
}

/// What the gateway shall believe: that it is there when a load was recorded, and has been for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// The recording.
    pub trace: &'a Trace,
    /// What of it is sent.
    pub pace: &'a Pace,
    /// What chance goes by.
    pub seed: u64,
}

impl Stage {
    /// Starts the cloud, then the gateway. `runs` is told of each run of the workload. With a `setting` the gateway knows what
    /// was asked before; without one its clock shows the present.
    ///
    /// # Errors
    /// When the policy has problems, leaves this machine, or a port is in use.
    pub(crate) async fn raise(
        file: Option<&Path>,
        ports: Ports,
        time_scale: f64,
        runs: SocketAddr,
        setting: Option<Setting<'_>>,
    ) -> anyhow::Result<Self> {
        let state =
            TempDir::with_prefix("pacer-demo-").context("cannot make a directory for `state`")?;
        let read = |cloud: &str| load(file, ports, cloud, state.path());
        let policy = read(NO_CLOUD_YET)?.loaded.policy;
        check_stays_here(&policy, file)?;
        check_ports(&policy, file)?;
        let program =
            env::current_exe().context("cannot find this program to run the workload with")?;
        let config = lay_out(&policy, &program, runs, time_scale)?;
        let cloud = Cloud::start(config, time_scale).await?;
        cloud::tasks_run(cloud.address, TASKS_WITHIN).await;
        let address = cloud.address;
        let start = async || {
            let read = read(&format!("http://{address}"))?;
            let now = SystemTime::now();
            let (mut shown, mut knows_past) = (now, false);
            if let Some(Setting { trace, pace, seed }) = setting {
                // A policy with a `state` of its own has its own past.
                if policy.state == Some(State::Directory(state.path().to_owned())) {
                    let asked = asked(&policy, pace, 1.0);
                    past::write(state.path(), &policy, &asked, trace, seed).await?;
                    knows_past = true;
                }
                shown = UNIX_EPOCH + Duration::from_secs(trace.start) - LEAD.mul_f64(time_scale);
            }
            let workers = thread::available_parallelism().map_or(1, usize::from);
            let clock = Clock::scaled(time_scale, shown, SystemTime::now());
            Ok((app::start(read, workers, false, clock)?, Instant::now() + LEAD, knows_past))
        };
        match start().await {
            Ok((gateway, begins, knows_past)) => {
                Ok(Self { gateway, cloud, policy, begins, knows_past, _state: state })
            }
            Err(error) => {
                cloud.stop().await?;
                Err(error)
            }
        }
    }

    /// Returns where the gateway takes requests, for a client on this machine.
    pub(crate) const fn gateway(&self) -> &app::Running {
        &self.gateway
    }

    /// Returns where the local cloud listens.
    pub(crate) const fn cloud(&self) -> SocketAddr {
        self.cloud.address
    }

    /// Stops the gateway, then the cloud with all its processes.
    ///
    /// # Errors
    /// When the cloud did not stop as it should.
    pub(crate) async fn strike(self) -> anyhow::Result<()> {
        let gateway = self.gateway;
        tokio::task::spawn_blocking(move || gateway.shutdown_now())
            .await
            .context("the gateway's shutdown ended early")?;
        self.cloud.stop().await
    }
}

/// The local cloud on a thread of its own, so that its work does not delay the client's clock.
struct Cloud {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<anyhow::Result<()>>,
}

impl Cloud {
    async fn start(config: Config, time_scale: f64) -> anyhow::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, address) = oneshot::channel();
        let thread = thread::Builder::new().name("local-cloud".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let cloud = pacer_local::start(
                    config,
                    SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                    time_scale,
                )
                .await?;
                // Whether told to stop or left alone (the stage was dropped): the processes must end.
                if ready.send(cloud.address).is_ok() {
                    let _dropped = stopped.await;
                }
                cloud.stop().await;
                Ok(())
            })
        })?;
        match address.await {
            Ok(address) => Ok(Self { address, stop, thread }),
            Err(_) => match join(thread).await {
                Ok(()) => bail!("the local cloud ended before it was ready"),
                Err(error) => Err(error.context("cannot start the local cloud")),
            },
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        // An error means that the thread has ended: joining tells why.
        let _ended = self.stop.send(());
        join(self.thread).await.context("the local cloud failed")
    }
}

async fn join(thread: thread::JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    let ended = tokio::task::spawn_blocking(move || thread.join()).await?;
    ended.unwrap_or_else(|_| bail!("the local cloud's thread panicked"))
}

fn load(
    file: Option<&Path>,
    ports: Ports,
    cloud: &str,
    state: &Path,
) -> anyhow::Result<ReadPolicy> {
    let main = file.map_or_else(|| BUILT_IN.to_owned(), |file| file.display().to_string());
    let variables = [
        ("PACER_DEMO_CLOUD", cloud.to_owned()),
        ("PACER_DEMO_PORT", ports.data.to_string()),
        ("PACER_DEMO_ADMIN_PORT", ports.admin.to_string()),
        ("PACER_DEMO_METRICS_PORT", ports.metrics.to_string()),
        ("PACER_DEMO_STATE", state.display().to_string()),
    ];
    let script = Script { files: FileSource, built_in: file.is_none(), variables };
    read_policy(&main, &script).map_err(|(problems, _)| anyhow::anyhow!("{problems}"))
}

/// The policy's files, the built-in one among them, with the demo's own variables first.
struct Script {
    files: FileSource,
    built_in: bool,
    variables: [(&'static str, String); 5],
}

impl Source for Script {
    fn read(&self, name: &str) -> io::Result<String> {
        if self.built_in && name == BUILT_IN {
            Ok(pacer_demo::POLICY.to_owned())
        } else {
            self.files.read(name)
        }
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        self.files.glob(pattern)
    }

    fn env(&self, name: &str) -> Option<String> {
        let own = self.variables.iter().find(|(variable, _)| *variable == name);
        own.map_or_else(|| self.files.env(name), |(_, value)| Some(value.clone()))
    }
}

/// Refuses a policy under which the demo would talk to anything but this machine.
fn check_stays_here(policy: &Policy, file: Option<&Path>) -> anyhow::Result<()> {
    let file = file.unwrap_or(Path::new(BUILT_IN)).display();
    ensure!(
        policy.endpoint_url.as_deref() == Some(NO_CLOUD_YET),
        "{file}: `endpoint_url` is not the demo's local cloud; write `endpoint_url: \"${{PACER_DEMO_CLOUD}}\"`"
    );
    for service in &policy.services {
        let Some(Discovery::Upstreams(upstreams)) =
            service.container.as_ref().map(|container| &container.discovery)
        else {
            continue;
        };
        for upstream in upstreams {
            let here =
                upstream.host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
            ensure!(
                here || &*upstream.host == "localhost",
                "{file}: the upstream {} of service {} is not on this machine; the demo sends nothing elsewhere",
                upstream.host,
                service.name
            );
        }
    }
    Ok(())
}

/// Finds out which port is in use while the message can still say how to change it.
fn check_ports(policy: &Policy, file: Option<&Path>) -> anyhow::Result<()> {
    let sockets = [
        (Some(policy.listen.http), "the gateway", "--port", "listen.http"),
        (policy.admin.as_ref().map(|admin| admin.listen), "the admin API", "--admin-port", "admin"),
        (policy.metrics, "metrics", "--metrics-port", "metrics"),
    ];
    for (socket, what, flag, key) in sockets {
        let Some(socket) = socket else { continue };
        let Err(error) = TcpListener::bind(socket) else { continue };
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => format!("port {} is in use", socket.port()),
            _ => format!("cannot listen on {socket}: {error}"),
        };
        match file {
            None => bail!(
                "{why} (needed for {what}); choose another with `pacer demo {flag} N`, or 0 for a free one"
            ),
            Some(file) => bail!("{why} (needed for {what}); change `{key}` in {}", file.display()),
        }
    }
    Ok(())
}

#[cfg(test)]
const PORTS: Ports = Ports { data: 0, admin: 0, metrics: 0 };

/// Returns the built-in policy, for tests.
#[cfg(test)]
pub(crate) fn built_in_policy() -> Policy {
    let read = load(None, PORTS, NO_CLOUD_YET, Path::new("/nowhere"));
    read.expect("the built-in policy is valid").loaded.policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_loads_and_stays_here() {
        let policy = built_in_policy();
        check_stays_here(&policy, None).unwrap();
        assert_eq!(policy.listen.http.port(), 0);
        assert!(policy.routes.iter().all(|route| route.decision_header));
    }

    #[test]
    fn a_policy_that_leaves_this_machine_is_refused() {
        let mut policy = built_in_policy();
        policy.endpoint_url = None;
        let error = check_stays_here(&policy, Some(Path::new("my.yaml"))).unwrap_err().to_string();
        assert_eq!(
            error,
            "my.yaml: `endpoint_url` is not the demo's local cloud; write `endpoint_url: \"${PACER_DEMO_CLOUD}\"`"
        );
    }

    #[test]
    fn a_port_in_use_is_named_with_the_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let ports = Ports { data: port, ..PORTS };
        let read = load(None, ports, NO_CLOUD_YET, Path::new("/nowhere")).unwrap();
        let policy = read.loaded.policy;
        let error = check_ports(&policy, None).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("port {port} is in use")) && error.contains("--port N"),
            "{error}"
        );
        let error = check_ports(&policy, Some(Path::new("my.yaml"))).unwrap_err().to_string();
        assert!(error.ends_with("change `listen.http` in my.yaml"), "{error}");
    }
}
