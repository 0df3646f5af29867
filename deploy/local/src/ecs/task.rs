//! One task: a process that serves HTTP on its own address, and what ECS says of it from birth to after its end.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    Shared,
    bill::ceil_ms,
    clock,
    config::{Network, Provider},
    ecs::{definition::Definition, health, shape, topic::Topic},
    process::Process,
    tasks::lock,
};

/// Parts of the start lag: PROVISIONING (the network interface), PENDING (the image), and ACTIVATING for the rest, in
/// which the process runs already.
const PROVISIONING_SHARE: f64 = 0.3;
const PENDING_SHARE: f64 = 0.6;
/// From the order to stop a task to its SIGTERM, divided by the time scale. ECS deregisters the task from load balancers
/// meanwhile; where there is none, as here, it takes about a second. It lets a gateway that polls fast see it coming.
const DEACTIVATING: Duration = Duration::from_secs(1);
/// How long the network interface of a task that has ended takes to be gone, divided by the time scale.
const DEPROVISIONING: Duration = Duration::from_secs(1);
/// Addresses tried before a task is given up for want of a free one.
const ADDRESS_TRIES_MAX: u32 = 100;
/// Addresses given out by this process so far, so that an address is not soon given out again.
static ADDRESSES_USED: AtomicU32 = AtomicU32::new(0);

/// Where a task is in its life, in ECS's words and order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Provisioning,
    Pending,
    Activating,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl Status {
    /// As ECS writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// What the container's health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// There is no check, or none has counted yet.
    Unknown,
    Healthy,
    Unhealthy,
}

impl Health {
    /// As ECS writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
        }
    }
}

/// Orders to a task, given from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Live,
    /// By the scheduler or a user.
    Stop,
    /// Its Spot capacity is taken back: SIGTERM comes with the notice.
    Interrupt,
    /// By a fault: its process is killed.
    Kill,
}

/// Whose a task is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) cluster_arn: String,
    /// `service:NAME`, or what RunTask was told.
    pub(crate) group: String,
    pub(crate) started_by: Option<String>,
    /// The deployment of its service.
    pub(crate) deployment: Option<String>,
    pub(crate) client_token: Option<String>,
}

/// Where it runs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) zone: String,
    pub(crate) provider: Option<Provider>,
}

/// One task. Its [`Task::live`] is the only one who moves it through its life.
#[derive(Debug)]
pub(crate) struct Task {
    /// 32 hexadecimal digits: the end of its ARN.
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) created: SystemTime,
    pub(crate) definition: Arc<Definition>,
    pub(crate) origin: Origin,
    pub(crate) place: Place,
    born: Instant,
    order: watch::Sender<Order>,
    state: Mutex<TaskState>,
    topic: Arc<Topic>,
    /// Whoever keeps this task is woken when it changes.
    changed: Arc<Notify>,
}

/// What is told of a task.
#[derive(Clone, Debug)]
pub(crate) struct TaskState {
    pub(crate) status: Status,
    /// `desiredStatus` RUNNING.
    pub(crate) wanted: bool,
    pub(crate) health: Health,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) pid: Option<u32>,
    pub(crate) pull_started: Option<SystemTime>,
    pub(crate) pull_stopped: Option<SystemTime>,
    pub(crate) started: Option<SystemTime>,
    pub(crate) stopping: Option<SystemTime>,
    pub(crate) execution_stopped: Option<SystemTime>,
    pub(crate) stopped: Option<SystemTime>,
    pub(crate) stop_code: Option<&'static str>,
    pub(crate) stopped_reason: Option<String>,
    pub(crate) exit_code: Option<i32>,
    /// Until when scale-in must spare it.
    pub(crate) protected: Option<(Instant, SystemTime)>,
    /// Counts its changes.
    pub(crate) version: u64,
    /// How long it lived, once it is over.
    lived: Option<Duration>,
}

impl Task {
    pub(crate) fn new(
        arn_prefix: &str,
        definition: Arc<Definition>,
        origin: Origin,
        place: Place,
        (topic, changed): (Arc<Topic>, Arc<Notify>),
    ) -> Self {
        let id = clock::random_hex();
        Self {
            arn: format!("{arn_prefix}/{id}"),
            id,
            created: SystemTime::now(),
            definition,
            origin,
            place,
            born: Instant::now(),
            order: watch::Sender::new(Order::Live),
            state: Mutex::new(TaskState {
                status: Status::Provisioning,
                wanted: true,
                health: Health::Unknown,
                address: None,
                pid: None,
                pull_started: None,
                pull_stopped: None,
                started: None,
                stopping: None,
                execution_stopped: None,
                stopped: None,
                stop_code: None,
                stopped_reason: None,
                exit_code: None,
                protected: None,
                version: 1,
                lived: None,
            }),
            topic,
            changed,
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
        lock(&self.state).wanted
    }

    /// Whether it runs and its health check, if it has one, has found it healthy.
    pub(crate) fn is_healthy(&self) -> bool {
        let state = lock(&self.state);
        let checked = self.definition.content.health_check.is_some();
        state.status == Status::Running && (!checked || state.health == Health::Healthy)
    }

    /// How long it has lived, or did: what is billed.
    pub(crate) fn lived_ms(&self) -> u64 {
        ceil_ms(lock(&self.state).lived.unwrap_or_else(|| self.born.elapsed()))
    }

    /// Whether it is over and was so before `since`.
    pub(crate) fn was_over(&self, since: SystemTime) -> bool {
        lock(&self.state).stopped.is_some_and(|at| at < since)
    }

    /// Whether it ended by itself, and not because somebody wanted it to.
    pub(crate) fn failed(&self) -> bool {
        matches!(
            lock(&self.state).stop_code,
            Some("EssentialContainerExited" | "TaskFailedToStart")
        )
    }

    /// Asks it to stop. What was said first of a task that stops already, stays.
    pub(crate) fn stop(&self, code: &'static str, reason: &str) {
        if self.no_longer_wanted(code, reason) {
            self.order.send_replace(Order::Stop);
        }
    }

    /// Takes its capacity back, as Spot does; false when it does not run on Spot capacity, or not any more.
    pub(crate) fn interrupt(&self) -> bool {
        let interrupted = self.place.provider == Some(Provider::FargateSpot)
            && self.no_longer_wanted("SpotInterruption", "Your Spot Task was interrupted.");
        if interrupted {
            self.order.send_replace(Order::Interrupt);
        }
        interrupted
    }

    /// Kills its process; false when it has none (any more).
    pub(crate) fn kill(&self) -> bool {
        let alive = lock(&self.state).pid.is_some();
        if alive {
            self.order.send_replace(Order::Kill);
        }
        alive
    }

    /// Spares it from scale-in and deployments until `until`; not any more without.
    pub(crate) fn protect(&self, until: Option<(Instant, SystemTime)>) {
        lock(&self.state).protected = until;
        self.changed.notify_one();
    }

    /// Until when it is protected.
    pub(crate) fn protected_until(&self, now: Instant) -> Option<(Instant, SystemTime)> {
        lock(&self.state).protected.filter(|(until, _)| now < *until)
    }

    /// Notes what its health check found.
    pub(crate) fn set_health(&self, health: Health) {
        if lock(&self.state).health != health {
            self.update(|state| state.health = health);
        }
    }

    fn no_longer_wanted(&self, code: &'static str, reason: &str) -> bool {
        let wanted = self.is_wanted();
        if wanted {
            self.update(|state| {
                state.wanted = false;
                state.stop_code = Some(code);
                state.stopped_reason = Some(reason.to_owned());
            });
        }
        wanted
    }

    /// Lives the task's life: lag, process, end. Cluster and service name faults and logs.
    pub(crate) async fn live(&self, shared: &Shared, of: (&str, &str), delay: Duration) {
        let mut orders = self.order.subscribe();
        let lag = self.definition.start_lag + shared.faults.extra_lag(of.0, of.1);
        let lag = shared.scale.shrink(lag);
        let lagged = async {
            tokio::time::sleep(delay + lag.mul_f64(PROVISIONING_SHARE)).await;
            self.update(|state| {
                state.status = Status::Pending;
                state.pull_started = Some(SystemTime::now());
            });
            tokio::time::sleep(lag.mul_f64(PENDING_SHARE)).await;
        };
        tokio::select! {
            () = lagged => {}
            _ = order(&mut orders, |o| o != Order::Live) => return self.over(shared, None).await,
        }
        let (process, address, env) = match self.start(shared, of) {
            Ok(started) => started,
            Err(error) => {
                tracing::warn!(task = self.arn, %error, "a task did not start");
                let reason = format!("CannotStartContainerError: {error}");
                self.no_longer_wanted("TaskFailedToStart", &reason);
                return self.over(shared, None).await;
            }
        };
        self.update(|state| {
            state.status = Status::Activating;
            state.pull_stopped = Some(SystemTime::now());
            state.address = Some(address);
            state.pid = Some(process.pid);
        });
        let running = async {
            let activating = 1.0 - PROVISIONING_SHARE - PENDING_SHARE;
            tokio::time::sleep(lag.mul_f64(activating)).await;
            tracing::info!(task = self.arn, %address, pid = process.pid, "a task runs");
            self.update(|state| {
                state.status = Status::Running;
                state.started = Some(SystemTime::now());
            });
            health::watch(shared, self, &env).await
        };
        let ordered = tokio::select! {
            _ = process.exited() => Order::Kill,
            order = order(&mut orders, |o| o != Order::Live) => order,
            never = running => match never {},
        };
        let exit_code = self.end(shared, &process, ordered, &mut orders).await;
        self.over(shared, Some(exit_code)).await;
    }

    /// Ends the process as it was ordered. Returns its exit code.
    async fn end(
        &self,
        shared: &Shared,
        process: &Process,
        ordered: Order,
        orders: &mut watch::Receiver<Order>,
    ) -> i32 {
        if ordered == Order::Kill {
            process.kill();
            let exit = process.exited().await;
            self.no_longer_wanted("EssentialContainerExited", "Essential container in task exited");
            return exit.code;
        }
        self.update(|state| state.status = Status::Deactivating);
        // The notice of an interruption and SIGTERM come together.
        if ordered != Order::Interrupt {
            tokio::select! {
                () = tokio::time::sleep(shared.scale.shrink(DEACTIVATING)) => {}
                _ = process.exited() => {}
            }
        }
        self.update(|state| {
            state.status = Status::Stopping;
            state.stopping = Some(SystemTime::now());
        });
        process.stop(shared.scale.shrink(self.definition.content.stop_timeout));
        let exit = tokio::select! {
            exit = process.exited() => exit,
            _ = order(orders, |o| o == Order::Kill) => {
                process.kill();
                process.exited().await
            }
        };
        exit.code
    }

    /// Its process has ended, or never was.
    async fn over(&self, shared: &Shared, exit_code: Option<i32>) {
        let now = SystemTime::now();
        self.update(|state| {
            state.stopping = state.stopping.or(Some(now));
            state.execution_stopped = Some(now);
            state.exit_code = exit_code;
            state.pid = None;
            if state.address.is_some() && self.definition.content.network == Network::Awsvpc {
                state.status = Status::Deprovisioning;
            }
        });
        if self.status() == Status::Deprovisioning {
            tokio::time::sleep(shared.scale.shrink(DEPROVISIONING)).await;
        }
        self.update(|state| {
            state.status = Status::Stopped;
            state.stopped = Some(SystemTime::now());
            state.lived = Some(self.born.elapsed());
        });
        let state = self.state();
        tracing::info!(
            task = self.arn,
            code = state.stop_code,
            reason = state.stopped_reason,
            "a task ended"
        );
    }

    /// Changes what is told of it, and tells it.
    fn update(&self, change: impl FnOnce(&mut TaskState)) {
        let mut state = lock(&self.state);
        change(&mut state);
        state.version += 1;
        let told = state.clone();
        drop(state);
        self.topic.tell(&self.arn, || shape::event(self, &told));
        self.changed.notify_one();
    }

    /// Starts its process on an address of its own.
    fn start(
        &self,
        shared: &Shared,
        (cluster, service): (&str, &str),
    ) -> io::Result<(Process, SocketAddr, BTreeMap<String, String>)> {
        let content = &self.definition.content;
        let address = match content.network {
            Network::Awsvpc => own_address(content.port)?,
            Network::Bridge => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?,
        };
        let mut env = content.env.clone();
        env.insert("HOST".into(), address.ip().to_string());
        env.insert("PORT".into(), address.port().to_string());
        env.insert("AWS_REGION".into(), shared.config.region.clone());
        let execution =
            if content.network == Network::Awsvpc { "AWS_ECS_FARGATE" } else { "AWS_ECS_EC2" };
        env.insert("AWS_EXECUTION_ENV".into(), execution.into());
        let label = format!("{cluster}/{service}/{}", &self.id[..8]);
        let process = Process::spawn(&shared.processes, &label, &content.command_line(), &env)?;
        Ok((process, address, env))
    }
}

/// Waits for an order that `is` asked about.
async fn order(orders: &mut watch::Receiver<Order>, is: impl Fn(Order) -> bool) -> Order {
    // The task holds the sender, and outlives whoever waits here.
    orders.wait_for(|o| is(*o)).await.map_or(Order::Kill, |o| *o)
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
