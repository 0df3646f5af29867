//! `pacer-local`: the local cloud as a program of its own.

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// An AWS-shaped cloud on loopback: Lambda and ECS with real processes.
#[derive(Debug, Parser)]
#[command(name = "pacer-local", version)]
struct Cli {
    #[command(flatten)]
    args: pacer_local::Args,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let cli = Cli::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    pacer_local::run(cli.args, async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    })
    .await
}
