//! `pacer serve`: runs the gateway until it is told to stop.
//!
//! The first SIGTERM or SIGINT drains: health turns to 503, what runs is finished within `limits.shutdown`. The second
//! one ends the process at once.

use std::{
    io,
    num::NonZeroUsize,
    process::{self, ExitCode},
    thread,
};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// Exit code of a process that was told twice to stop: what a shell shows for SIGINT.
const STOPPED_HARD: i32 = 130;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy's main file.
    #[arg(long, value_name = "FILE")]
    policy: String,
    /// Worker threads; one a processor unless given.
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
}

/// Runs the gateway.
///
/// # Errors
/// When the policy has problems, or an address cannot be listened on.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = super::load_policy(&args.policy)?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let workers =
        args.workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    // Before anything is started, so that no signal is missed.
    let runtime = super::runtime()?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::new().context("cannot listen for signals")?
    };
    let running = crate::app::start(loaded, workers)?;
    println!("pacer listening on http://{}", running.http);
    if let Some(admin) = running.admin {
        println!("pacer admin on http://{admin}");
    }
    if let Some(metrics) = running.metrics {
        println!("pacer metrics on http://{metrics}/metrics");
    }

    runtime.block_on(signals.next());
    info!("stopping: requests under way are finished; a second signal ends at once");
    let impatient = thread::Builder::new().name("second-signal".into()).spawn(move || {
        runtime.block_on(signals.next());
        eprintln!("pacer: told twice to stop; requests under way are cut off");
        process::exit(STOPPED_HARD);
    });
    if let Err(error) = impatient {
        warn!(%error, "no thread for a second signal; it will not be heard");
    }
    running.shutdown();
    Ok(ExitCode::SUCCESS)
}

/// The signals that ask this process to stop.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen; must be called within a runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
