//! The data port: one acceptor, and a worker a core.
//!
//! The acceptor hands each connection to the worker with the fewest. `SO_REUSEPORT` would let the kernel spread them by
//! hash: a load balancer's few long connections then land unevenly, and closing one listener resets what waits in it.

use std::{
    cmp::Reverse,
    net::{SocketAddr, TcpListener, TcpStream},
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context;
use predictor::outcome::Outcome;
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    lane::budget::BufferBudget,
    telemetry::{access_log::AccessLog, otlp::Finished, shard::Shard},
    world::World,
};

pub(crate) mod connection;
pub(crate) mod retries;
pub(crate) mod worker;

use worker::Worker;

/// How long the acceptor rests when the process is out of file descriptors: long enough not to spin, short enough that
/// nobody notices once some are free.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// What the workers are given to start with.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The worlds to serve by, beginning with the first.
    pub(crate) worlds: watch::Receiver<Arc<World>>,
    /// A shard for each worker: how many there are.
    pub(crate) shards: Vec<Arc<Shard>>,
    /// Where outcomes go to be looked at.
    pub(crate) recent: mpsc::Sender<Vec<Outcome>>,
    /// Where what is recorded for traces goes.
    pub(crate) recorded: mpsc::Sender<Vec<Finished>>,
}

/// The running acceptor and workers.
#[derive(Debug)]
pub(crate) struct Serving {
    threads: Vec<JoinHandle<()>>,
    worlds: watch::Receiver<Arc<World>>,
    stop: watch::Sender<Option<Stop>>,
}

/// When what ends.
#[derive(Debug, Clone, Copy)]
struct Stop {
    /// Until then new connections are taken.
    listen_until: Instant,
    /// By then all must have ended.
    end_by: Instant,
}

impl Stop {
    /// Waits until it is told that the gateway stops.
    async fn told(stopped: &mut watch::Receiver<Option<Self>>) -> Self {
        let stop = stopped.wait_for(Option::is_some).await.ok().and_then(|stop| *stop);
        let now = Instant::now();
        // Whoever would tell has gone.
        stop.unwrap_or(Self { listen_until: now, end_by: now })
    }

    /// Waits until no new connections are to be taken.
    async fn listening_ends(stopped: &mut watch::Receiver<Option<Self>>) {
        let stop = Self::told(stopped).await;
        sleep_until(stop.listen_until).await;
    }
}

impl Serving {
    /// Starts serving `listener`.
    pub(crate) fn start(
        listener: TcpListener,
        setup: Setup,
        log: Option<&AccessLog>,
    ) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(None);
        let limits = setup.worlds.borrow().policy.limits.clone();
        let budget = BufferBudget::new(limits.buffered);
        let mut threads = Vec::new();
        let mut desks = Vec::new();
        for (index, shard) in setup.shards.into_iter().enumerate() {
            // Unbounded, but never longer than `limits.connections`: the acceptor counts what it hands over.
            let (sender, connections) = mpsc::unbounded_channel();
            let open = Arc::new(AtomicUsize::new(0));
            let parts = WorkerParts {
                log: log.map(|log| log.buffer(shard.clone())),
                worlds: setup.worlds.clone(),
                recent: setup.recent.clone(),
                recorded: setup.recorded.clone(),
                budget: budget.clone(),
                stopped: stopped.clone(),
                open: open.clone(),
                shard,
                connections,
            };
            desks.push(Desk { sender, open, shard: parts.shard.clone() });
            threads.push(spawn(&format!("worker-{index}"), move || parts.run())?);
        }
        threads.push(spawn("acceptor", move || {
            accept_all(listener, &desks, limits.connections, stopped);
        })?);
        Ok(Self { threads, worlds: setup.worlds, stop })
    }

    /// Takes new connections for a while when it is to `drain`, then no more, finishes what is in flight, and ends.
    pub(crate) fn shutdown(self, drain: bool) {
        let (listen, limit) = {
            let world = self.worlds.borrow();
            (world.policy.listen.drain, world.policy.limits.shutdown)
        };
        let listen_until = Instant::now() + if drain { listen } else { Duration::ZERO };
        self.stop.send_replace(Some(Stop { listen_until, end_by: listen_until + limit }));
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a serving thread panicked");
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .with_context(|| format!("starting thread {name}"))
}

/// Where the acceptor puts a worker's connections.
struct Desk {
    sender: mpsc::UnboundedSender<Arrival>,
    open: Arc<AtomicUsize>,
    shard: Arc<Shard>,
}

/// A connection on its way to its worker; counted as the worker's until it is dropped.
struct Arrival {
    stream: TcpStream,
    peer: SocketAddr,
    open: Open,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn accept_all(
    listener: TcpListener,
    desks: &[Desk],
    limit: usize,
    mut stopped: watch::Receiver<Option<Stop>>,
) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread needs only file descriptors");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)
            .expect("the listener was made non-blocking");
        let mut ends = pin!(Stop::listening_ends(&mut stopped));
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                () = &mut ends => return,
            };
            match accepted {
                Ok((stream, peer)) => hand_over(stream, peer, desks, limit),
                // Reset before it was accepted: the next one may be fine.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    });
}

fn hand_over(stream: tokio::net::TcpStream, peer: SocketAddr, desks: &[Desk], limit: usize) {
    let open = |desk: &Desk| desk.open.load(Relaxed);
    if limit <= desks.iter().map(open).sum() {
        desks[0].shard.connections_refused.add(1);
        tracing::debug!(%peer, limit, "limits.connections is reached: connection closed");
        return;
    }
    let Some(desk) = desks.iter().max_by_key(|desk| Reverse(open(desk))) else { return };
    // A socket that cannot be set up is one whose client is gone.
    let Ok(stream) = stream.set_nodelay(true).and_then(|()| stream.into_std()) else { return };
    desk.open.fetch_add(1, Relaxed);
    let arrival = Arrival { stream, peer, open: Open(desk.open.clone()) };
    // A worker that has ended takes no more; its connection closes by drop.
    let _ = desk.sender.send(arrival);
}

struct WorkerParts {
    worlds: watch::Receiver<Arc<World>>,
    shard: Arc<Shard>,
    budget: Arc<BufferBudget>,
    log: Option<crate::telemetry::access_log::LogBuffer>,
    recent: mpsc::Sender<Vec<Outcome>>,
    recorded: mpsc::Sender<Vec<Finished>>,
    stopped: watch::Receiver<Option<Stop>>,
    open: Arc<AtomicUsize>,
    connections: mpsc::UnboundedReceiver<Arrival>,
}

impl WorkerParts {
    fn run(self) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            // Under load, more connections are served between two looks at the sockets: fewer system calls. At some 10 us
            // each, the last one waits 3 ms at most.
            .event_interval(256)
            // For events too large to convert on the worker's own thread, and for names to look up.
            .max_blocking_threads(4)
            .build_local(LocalOptions::default())
            .expect("a runtime of one thread needs only file descriptors");
        runtime.block_on(self.serve());
    }

    async fn serve(self) {
        let Self {
            mut worlds,
            shard,
            budget,
            log,
            recent,
            recorded,
            mut stopped,
            open,
            mut connections,
        } = self;
        let first = worlds.borrow_and_update().clone();
        let worker = Rc::new(Worker::new(first, shard, budget, log, recent, recorded));
        tokio::task::spawn_local(worker.clone().sweep());
        tokio::task::spawn_local({
            let worker = worker.clone();
            async move {
                while worlds.changed().await.is_ok() {
                    let world = worlds.borrow_and_update().clone();
                    worker.set_world(world);
                }
            }
        });
        let mut number = 0;
        // Health says 503 from the first moment on, and responses say that their connection closes.
        tokio::task::spawn_local({
            let (worker, mut stopped) = (worker.clone(), stopped.clone());
            async move {
                Stop::told(&mut stopped).await;
                worker.draining.set(true);
            }
        });
        {
            let mut ends = pin!(Stop::listening_ends(&mut stopped));
            loop {
                let arrival = tokio::select! {
                    arrival = connections.recv() => arrival,
                    () = &mut ends => None,
                };
                let Some(arrival) = arrival else { break };
                number += 1;
                take(&worker, arrival, number);
            }
        }
        let deadline = Stop::told(&mut stopped).await.end_by;
        drain(&worker, &open, deadline, || {
            // The acceptor may hand over some more until it hears of the stop itself.
            while let Ok(arrival) = connections.try_recv() {
                number += 1;
                take(&worker, arrival, number);
            }
        })
        .await;
        // Clients point back at their worker: those that are cut would keep it, and its part of the access log, for ever.
        worker.clients.borrow_mut().clear();
        worker.flush();
    }
}

fn take(worker: &Rc<Worker>, arrival: Arrival, number: u64) {
    let Arrival { stream, peer, open } = arrival;
    let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { return };
    let worker = worker.clone();
    tokio::task::spawn_local(async move {
        connection::serve(worker, stream, peer, number).await;
        drop(open);
    });
}

/// Lets every connection finish the request it is on; idle ones close at once.
async fn drain(
    worker: &Rc<Worker>,
    open: &AtomicUsize,
    deadline: Instant,
    mut take_late: impl FnMut(),
) {
    /// How often it is looked whether all have gone.
    const LOOK: Duration = Duration::from_millis(10);
    worker.draining.set(true);
    let done = async {
        while 0 < open.load(Relaxed) {
            take_late();
            for client in worker.clients.borrow().values() {
                client.finish();
            }
            sleep(LOOK).await;
        }
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if timeout(left, done).await.is_err() {
        tracing::warn!(
            connections = open.load(Relaxed),
            "limits.shutdown is over: connections are cut"
        );
    }
}
