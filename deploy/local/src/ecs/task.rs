//! One task: a process that serves HTTP on its own address, and what ECS says of it from birth to after its end.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::Instant};

use crate::{
    Shared, bill::ceil_ms, clock, config::Network, ecs::service::Service, process::Process,
    tasks::lock,
};

/// Part of the start lag that a task is PROVISIONING (its network interface); it is PENDING (the image) for the rest.
const PROVISIONING_SHARE: f64 = 0.3;
/// From the order to stop a task to its SIGTERM, divided by the time scale. ECS deregisters the task from load balancers
/// meanwhile; where there is none, as here, it takes about a second. It lets a gateway that polls fast see it coming.
const DEACTIVATING: Duration = Duration::from_secs(1);
/// Addresses tried before a task is given up for want of a free one.
const ADDRESS_TRIES_MAX: u32 = 100;
/// Addresses given out by this process so far, so that an address is not soon given out again.
static ADDRESSES_USED: AtomicU32 = AtomicU32::new(0);

/// Where a task is in its life, in ECS's words and order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Provisioning,
    Pending,
    Running,
    Deactivating,
    Stopping,
    Stopped,
}

impl Status {
    /// As ECS writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Orders to a task, given from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Live,
    /// By the service's scheduler.
    Stop,
    /// By a fault: its process is killed.
    Kill,
}

/// One task. Its [`Task::live`] is the only one who changes its state.
#[derive(Debug)]
pub(crate) struct Task {
    /// 32 hexadecimal digits: the end of its ARN.
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) zone: String,
    pub(crate) created: SystemTime,
    born: Instant,
    command: watch::Sender<Command>,
    state: Mutex<TaskState>,
}

/// What is told of a task.
#[derive(Clone, Debug)]
pub(crate) struct TaskState {
    pub(crate) status: Status,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) pid: Option<u32>,
    pub(crate) started: Option<SystemTime>,
    pub(crate) stopping: Option<SystemTime>,
    pub(crate) stopped: Option<SystemTime>,
    pub(crate) stop_code: Option<&'static str>,
    pub(crate) stopped_reason: Option<String>,
    pub(crate) exit_code: Option<i32>,
    /// How long it lived, once it is over.
    lived: Option<Duration>,
}

impl Task {
    pub(crate) fn new(arn_prefix: &str, zone: &str) -> Self {
        let id = clock::random_hex();
        Self {
            arn: format!("{arn_prefix}/{id}"),
            id,
            zone: zone.to_owned(),
            created: SystemTime::now(),
            born: Instant::now(),
            command: watch::Sender::new(Command::Live),
            state: Mutex::new(TaskState {
                status: Status::Provisioning,
                address: None,
                pid: None,
                started: None,
                stopping: None,
                stopped: None,
                stop_code: None,
                stopped_reason: None,
                exit_code: None,
                lived: None,
            }),
        }
    }

    pub(crate) fn state(&self) -> TaskState {
        lock(&self.state).clone()
    }

    pub(crate) fn status(&self) -> Status {
        lock(&self.state).status
    }

    /// Whether it is meant to run: neither over nor told to stop.
    pub(crate) fn is_wanted(&self) -> bool {
        self.status() < Status::Deactivating && *self.command.borrow() != Command::Stop
    }

    /// How long it has lived, or did: what is billed.
    pub(crate) fn lived_ms(&self) -> u64 {
        ceil_ms(lock(&self.state).lived.unwrap_or_else(|| self.born.elapsed()))
    }

    /// Whether it is over and was so before `since`.
    pub(crate) fn was_over(&self, since: SystemTime) -> bool {
        lock(&self.state).stopped.is_some_and(|at| at < since)
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self) {
        self.command.send_replace(Command::Stop);
    }

    /// Kills its process; false when it has none (any more).
    pub(crate) fn kill(&self) -> bool {
        let alive = lock(&self.state).pid.is_some();
        if alive {
            self.command.send_replace(Command::Kill);
        }
        alive
    }

    /// Lives the task's life: lag, process, end. Returns whether it was the scheduler that ended it.
    pub(crate) async fn live(&self, shared: &Shared, service: &Service, delay: Duration) -> bool {
        let mut command = self.command.subscribe();
        let lag = shared.scale.shrink(
            service.config.start_lag + shared.faults.extra_lag(&service.cluster, &service.name),
        );
        let provisioning = lag.mul_f64(PROVISIONING_SHARE);
        let lagged = async {
            tokio::time::sleep(delay + provisioning).await;
            self.update(|state| state.status = Status::Pending);
            tokio::time::sleep(lag.saturating_sub(provisioning)).await;
        };
        tokio::select! {
            () = lagged => {}
            _ = order(&mut command, |c| c == Command::Stop) => return self.over(SCALED_IN, None),
        }
        let (process, address) = match start(shared, service, &self.id) {
            Ok(started) => started,
            Err(error) => {
                tracing::warn!(task = self.arn, %error, "a task did not start");
                let reason = format!("CannotStartContainerError: {error}");
                return self.over(("TaskFailedToStart", &reason), None);
            }
        };
        tracing::info!(task = self.arn, %address, pid = process.pid, "a task runs");
        self.update(|state| {
            state.status = Status::Running;
            state.address = Some(address);
            state.pid = Some(process.pid);
            state.started = Some(SystemTime::now());
        });
        let ordered = tokio::select! {
            _ = process.exited() => false,
            order = order(&mut command, |c| c != Command::Live) => order == Command::Stop,
        };
        if !ordered {
            process.kill();
            let exit = process.exited().await;
            return self.over(
                ("EssentialContainerExited", "Essential container in task exited"),
                Some(exit.code),
            );
        }
        self.update(|state| state.status = Status::Deactivating);
        tokio::select! {
            () = tokio::time::sleep(shared.scale.shrink(DEACTIVATING)) => {}
            _ = process.exited() => {}
        }
        self.update(|state| {
            state.status = Status::Stopping;
            state.stopping = Some(SystemTime::now());
        });
        process.stop(shared.scale.shrink(service.config.stop_timeout));
        let exit = tokio::select! {
            exit = process.exited() => exit,
            _ = order(&mut command, |c| c == Command::Kill) => {
                process.kill();
                process.exited().await
            }
        };
        self.over(SCALED_IN, Some(exit.code))
    }

    fn over(&self, (code, reason): (&'static str, &str), exit_code: Option<i32>) -> bool {
        let now = SystemTime::now();
        self.update(|state| {
            state.status = Status::Stopped;
            state.stop_code = Some(code);
            state.stopped_reason = Some(reason.to_owned());
            state.exit_code = exit_code;
            state.stopping = state.stopping.or(Some(now));
            state.stopped = Some(now);
            state.pid = None;
            state.lived = Some(self.born.elapsed());
        });
        tracing::info!(task = self.arn, code, reason, "a task ended");
        code == SCALED_IN.0
    }

    fn update(&self, change: impl FnOnce(&mut TaskState)) {
        change(&mut lock(&self.state));
    }
}

/// Waits for an order that `is` asked about.
async fn order(command: &mut watch::Receiver<Command>, is: impl Fn(Command) -> bool) -> Command {
    // The task holds the sender, and outlives whoever waits here.
    command.wait_for(|c| is(*c)).await.map_or(Command::Kill, |c| *c)
}

/// Stop code and reason of a task that its service no longer wants.
const SCALED_IN: (&str, &str) =
    ("ServiceSchedulerInitiated", "Scaling activity initiated by the service's scheduler");

/// Starts the task's process on an address of its own.
fn start(shared: &Shared, service: &Service, id: &str) -> io::Result<(Process, SocketAddr)> {
    let address = match service.config.network {
        Network::Awsvpc => own_address(service.config.port)?,
        Network::Bridge => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?,
    };
    let mut env: BTreeMap<String, String> = service.config.env.clone();
    env.insert("HOST".into(), address.ip().to_string());
    env.insert("PORT".into(), address.port().to_string());
    env.insert("AWS_REGION".into(), shared.config.region.clone());
    env.insert("AWS_EXECUTION_ENV".into(), "AWS_ECS_FARGATE".into());
    let label = format!("{}/{}/{}", service.cluster, service.name, &id[..8]);
    let process = Process::spawn(&shared.processes, &label, &service.config.command, &env)?;
    Ok((process, address))
}

/// Finds an address of 127.0.0.0/8 on which `port` is free, other than 127.0.0.x.
///
/// The second octet comes from our process id, so that two local clouds on one machine rarely meet; where they do, or
/// something listens on 0.0.0.0, the address is passed over.
fn own_address(port: u16) -> io::Result<SocketAddr> {
    let mut last = None;
    for _ in 0..ADDRESS_TRIES_MAX {
        let n = ADDRESSES_USED.fetch_add(1, Relaxed);
        let octet = |value: u32| (value % 254 + 1) as u8;
        let second = (std::process::id() % 223 + 32) as u8;
        let address =
            SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, second, octet(n / 254), octet(n))), port);
        match TcpListener::bind(address) {
            Ok(_) => return Ok(address),
            Err(error) => last = Some((address, error)),
        }
    }
    let (address, error) =
        last.unwrap_or((SocketAddr::from(([127, 0, 0, 1], port)), io::Error::other("none tried")));
    let fix = "free the port, or use `network: bridge` where loopback has no aliases";
    Err(io::Error::new(
        error.kind(),
        format!("no free 127.x.y.z address; the last, {address}: {error}; {fix}"),
    ))
}
