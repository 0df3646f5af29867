//! The wiring: what runs, on which thread, and who tells whom.
//!
//! Threads: one for control (discovery, learning, admin, metrics), one that accepts, one a worker, one that writes the
//! access log. Control sends whole worlds to the workers; workers send nothing but counters that are read.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc as std_mpsc},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context;
use policies::policy::Policy;
use predictor::outcome::Outcome;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    admin,
    control::{Control, capacity::Clock, reload::Follower},
    files::ReadPolicy,
    serve::{Serving, Setup},
    telemetry::{access_log::AccessLog, exposition, otlp, shard::Shard},
    world::World,
};

/// Batches of outcomes on their way to the admin API: a quarter of a second of each of 64 workers.
const RECENT_BATCHES: usize = 64;

/// How long a gateway that stops waits for its collector: whatever stopped it kills it soon.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where it serves HTTP.
    pub(crate) http: SocketAddr,
    /// Where its admin API is.
    pub(crate) admin: Option<SocketAddr>,
    /// Where its metrics are.
    pub(crate) metrics: Option<SocketAddr>,
    serving: Serving,
    log: Option<AccessLog>,
    reload: Arc<Notify>,
    stopping: Arc<Notify>,
    stop_control: oneshot::Sender<()>,
    control: JoinHandle<()>,
}

/// Starts a gateway with a policy and a number of workers; it serves when this returns. With `watch`, the policy's files
/// are followed. Plans go by `clock`.
pub(crate) fn start(
    read: ReadPolicy,
    workers: usize,
    watch: bool,
    clock: Clock,
) -> anyhow::Result<Running> {
    let ReadPolicy { loaded, reading } = read;
    let policy = Arc::new(loaded.policy);
    let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
    let reload = Arc::new(Notify::new());
    let follower = Follower::new(reading, watch, reload.clone());
    allow_files(&policy);
    let http = listen(policy.listen.http, "listen.http")?;
    let admin = policy.admin.as_ref().map(|admin| listen(admin.listen, "admin")).transpose()?;
    let tls = policy.admin.as_ref().and_then(|admin| admin.tls.as_ref());
    let admin_tls = tls.map(admin::tls::acceptor).transpose().context("admin.tls")?;
    let metrics = policy.metrics.map(|address| listen(address, "metrics")).transpose()?;
    let addresses =
        |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
    let (http_address, admin_address, metrics_address) =
        (http.local_addr()?, addresses(&admin)?, addresses(&metrics)?);
    let log = AccessLog::start(&policy.access_log).context("starting the access log")?;

    let (ready, started) = std_mpsc::channel();
    let (stop_control, stopped) = oneshot::channel();
    let stopping = Arc::new(Notify::new());
    let told_of_stop = stopping.clone();
    let (recent, recent_received) = mpsc::channel(RECENT_BATCHES);
    let (recorded, recorded_received) = mpsc::channel(otlp::BATCHES);
    let control = std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || {
            control(
                Start { policy, warnings, follower, workers, clock, stopping: told_of_stop },
                Listeners { admin, admin_tls, metrics },
                Told { recent: recent_received, recorded: recorded_received },
                &ready,
                stopped,
            );
        })
        .context("starting thread control")?;
    let (worlds, shards) = started.recv().context("the control thread ended early")??;
    let serving = Serving::start(http, Setup { worlds, shards, recent, recorded }, log.as_ref())?;
    Ok(Running {
        http: http_address,
        admin: admin_address,
        metrics: metrics_address,
        serving,
        log,
        reload,
        stopping,
        stop_control,
        control,
    })
}

impl Running {
    /// Returns what asks the gateway to read its policy again.
    pub(crate) fn reload(&self) -> Arc<Notify> {
        self.reload.clone()
    }

    /// Says 503 to health checks and takes new connections for the policy's `listen.drain`, then ends like
    /// [`Running::shutdown_now`].
    pub(crate) fn shutdown(self) {
        self.end(true);
    }

    /// Takes no more connections, finishes what is in flight within the policy's `limits.shutdown`, and ends.
    pub(crate) fn shutdown_now(self) {
        self.end(false);
    }

    fn end(self, drain: bool) {
        self.stopping.notify_one();
        self.serving.shutdown(drain);
        if let Some(log) = self.log {
            log.finish();
        }
        // An error means that control has ended already.
        let _ = self.stop_control.send(());
        if self.control.join().is_err() {
            tracing::error!("the control thread panicked");
        }
    }
}

/// Raises the number of files that may be open to what the system allows: shells hand out 1,024, and each request needs
/// two sockets.
fn allow_files(policy: &Policy) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// Files beside sockets: the program, its log, epoll and timers of each thread, with room to spare.
    const OTHERS: u64 = 100;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err()
    {
        tracing::warn!(?current, ?maximum, "the limit of open files could not be raised");
    }
    let needed = 2 * policy.limits.connections as u64 + OTHERS;
    if let Some(maximum) = maximum.filter(|maximum| *maximum < needed) {
        tracing::warn!(
            maximum,
            needed,
            "fewer files may be open than limits.connections needs; raise `ulimit -n`, or lower limits.connections"
        );
    }
}

struct Listeners {
    admin: Option<TcpListener>,
    admin_tls: Option<TlsAcceptor>,
    metrics: Option<TcpListener>,
}

/// What the workers start with, once control knows it.
type Started = (watch::Receiver<Arc<World>>, Vec<Arc<Shard>>);

/// What the workers tell.
struct Told {
    recent: mpsc::Receiver<Vec<Outcome>>,
    recorded: mpsc::Receiver<Vec<otlp::Finished>>,
}

/// What control starts with.
struct Start {
    policy: Arc<Policy>,
    warnings: Vec<String>,
    follower: Follower,
    workers: usize,
    clock: Clock,
    stopping: Arc<Notify>,
}

fn control(
    start: Start,
    listeners: Listeners,
    told: Told,
    ready: &std_mpsc::Sender<anyhow::Result<Started>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread needs only file descriptors");
    let Start { policy, warnings, follower, workers, clock, stopping } = start;
    runtime.block_on(async {
        let first = match Control::first_world(&policy, workers).await {
            Ok(first) => first,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let shards: Vec<_> = (0..workers).map(|worker| Arc::new(Shard::new(worker))).collect();
        let (publish, worlds) = watch::channel(first.world.clone());
        let control =
            Control::new(policy, shards.clone(), publish, told.recent, first, follower, clock);
        let mut control = control.stopping(stopping);
        let shared = control.shared();
        shared.warned(warnings);
        if let Some(listener) = listeners.admin {
            let (state, tls) = (shared.clone(), listeners.admin_tls);
            tokio::spawn(async move { report("admin", admin::serve(listener, tls, state).await) });
        }
        if let Some(listener) = listeners.metrics {
            let shared = shared.clone();
            tokio::spawn(
                async move { report("metrics", exposition::serve(listener, shared).await) },
            );
        }
        let exporter = tokio::spawn(otlp::export(shared, told.recorded));
        Box::pin(control.join()).await;
        if ready.send(Ok((worlds, shards))).is_ok() {
            Box::pin(control.run(stopped)).await;
            // The workers have ended: it ends when what they left is sent.
            let _ = timeout(LAST_WORDS, exporter).await;
        }
    });
}

fn report(what: &str, ended: std::io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the {what} listener ended");
    }
}

fn listen(address: SocketAddr, field: &str) -> anyhow::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    /// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`, 4096 by default.
    const BACKLOG: i32 = 4096;
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // A restarted gateway must not wait for the old one's closed connections to be forgotten.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|error: std::io::Error| {
        let fix = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("; something else listens there: end it, or change `{field}` in the policy")
            }
            std::io::ErrorKind::PermissionDenied => {
                format!("; ports below 1024 need a privilege: change `{field}` in the policy")
            }
            std::io::ErrorKind::AddrNotAvailable => {
                format!("; this machine has no such address: change `{field}` in the policy")
            }
            _ => String::new(),
        };
        anyhow::anyhow!("cannot listen on {address} (`{field}`): {error}{fix}")
    })
}
