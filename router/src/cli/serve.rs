//! `pacer serve`: runs the gateway until it is told to stop.
//!
//! The first SIGTERM drains: health turns to 503, new connections are taken for `listen.drain` more, then what runs is
//! finished within `limits.shutdown`. SIGINT comes from a person who waits: it does without the drain. The second of
//! either ends the process at once. SIGHUP reads the policy again.

use std::{
    io,
    num::NonZeroUsize,
    process::{self, ExitCode},
    thread,
};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::control::capacity::Clock;

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
    /// Do not follow the policy's files: read them again on SIGHUP only.
    #[arg(long)]
    no_watch: bool,
    /// How many times faster than real the time of plans passes, 0.1 to 1000: that of a `pacer local` behind it.
    #[arg(long, value_name = "N", default_value = "1", value_parser = super::time_scale)]
    time_scale: f64,
}

/// Runs the gateway.
///
/// # Errors
/// When the policy has problems, or an address cannot be listened on.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let read = super::load_policy(&args.policy)?;
    for warning in &read.loaded.warnings {
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
    let admin = read.loaded.policy.admin.as_ref();
    let admin_tls = admin.is_some_and(|admin| admin.tls.is_some());
    let running = crate::app::start(read, workers, !args.no_watch, Clock::new(args.time_scale))?;
    println!("pacer listening on http://{}", running.http);
    if let Some(admin) = running.admin {
        let scheme = if admin_tls { "https" } else { "http" };
        println!("pacer admin on {scheme}://{admin}");
    }
    if let Some(metrics) = running.metrics {
        println!("pacer metrics on http://{metrics}/metrics");
    }

    let reload = running.reload();
    let stop = runtime.block_on(signals.stop(|| reload.notify_one()));
    info!("stopping: requests under way are finished; a second signal ends at once");
    let impatient = thread::Builder::new().name("second-signal".into()).spawn(move || {
        // Nothing is reloaded any more.
        runtime.block_on(signals.stop(|| ()));
        eprintln!("pacer: told twice to stop; requests under way are cut off");
        process::exit(STOPPED_HARD);
    });
    if let Err(error) = impatient {
        warn!(%error, "no thread for a second signal; it will not be heard");
    }
    match stop {
        Stop::Terminate => running.shutdown(),
        Stop::Interrupt => running.shutdown_now(),
    }
    Ok(ExitCode::SUCCESS)
}

/// Which signal asked this process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// SIGTERM: a supervisor.
    Terminate,
    /// SIGINT: a person at a terminal.
    Interrupt,
}

/// The signals that this process listens to.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen; must be called within a runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one that asks to stop; calls `reload` for each SIGHUP until then.
    pub(super) async fn stop(&mut self, mut reload: impl FnMut()) -> Stop {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Stop::Terminate,
                _ = self.interrupt.recv() => return Stop::Interrupt,
                _ = self.hangup.recv() => reload(),
            }
        }
    }
}
